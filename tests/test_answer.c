/* test_answer.c - finding answers in texts, comparing them, and the measures of spans and summaries.
 *
 * Golden files: fixtures/golden/grade_*.jsonl, made by tests/oracle/grade_golden.py with rouge_score, NLTK, math_verify
 * and SQuAD's definitions. */
#include <math.h>

#include "answer.h"
#include "porter.h"
#include "record.h"
#include "rouge.h"
#include "test.h"

/* The golden values have nine decimals, and both sides compute in double: measured 5e-10. */
#define GOLDEN_TOLERANCE 1e-6

static struct arena arena;
static struct diag diag;

/* ---- extraction ---- */

struct extraction {
    const char *gold, *text;
    int right;
};

static void check_table(enum answer_kind kind, const char *const *options, size_t n_options,
                        const struct extraction *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct answer_key key = {kind, NULL, 0, options, n_options};
        struct answer_grade grade;
        const char *gold;

        CHECK(answer_gold(&gold, kind, table[i].gold, strlen(table[i].gold), &arena, &diag) == STATUS_OK);
        key.golds = &gold;
        key.n_golds = 1;
        CHECK(answer_grade(&grade, &key, table[i].text, strlen(table[i].text), 0, &arena, &diag) == STATUS_OK);
        CHECK_MSG(grade.correct == table[i].right, "'%s' for gold '%s': prediction '%s' should be %s", table[i].text,
                  table[i].gold, grade.prediction ? grade.prediction : "(none)", table[i].right ? "right" : "wrong");
    }
}

static void numbers_in_texts(void)
{
    static const struct extraction table[] = {
        {"1234", "The answer is 1,234 dollars.", 1},
        {"-7", "#### -7", 1},
        {"1234.5", "So it costs $1,234.50", 1},
        {"0.5", "\\boxed{\\frac{1}{2}}", 1},
        {"1/2", "\\boxed{\\frac12}", 1},
        {"50", "The answer is 50%.", 1},
        {"50%", "The answer is 0.5", 1},
        {"18", "<think>maybe 20? \\boxed{20}</think>The answer is 18.", 1},
        {"18", "maybe 20? \\boxed{20}</think>The answer is 18.", 1},
        {"18", "<think>maybe 18 \\boxed{18}", 0},
        {"18", "I think it is \\boxed{18", 0},
        {"18", "First \\boxed{18}, so the final result is \\boxed{1", 0},
        {"18", "The answer is", 0},
        {"18", "She has 18. The answer is:\n", 0},
        {"18", "3 * 6 = 18\n#### ", 0},
        {"112", "a total of 16 * 7 = $<<16*7=112", 0},
        {"-7", "The answer is \u22127.", 1},
        {"-7", "The answer is -$7.", 1},
        {"-3", "The temperature is minus 3 degrees", 1},
        {"3", "5 minus 3", 1},
        {"5", "x = 5", 1},
        {"5:30", "It is 5:30", 1},
        {"5", "It is 5:30", 0},
        {"1.5", "The answer is 1 1/2 cups.", 1},
        {"7.5", "\\boxed{7\\frac{1}{2}}", 1},
        {"2.5", "The answer is 2\u00BD.", 1},
        {"1500", "\\boxed{1.5 \\times 10^3}", 1},
        {"1500", "The answer is 1.5e3.", 1},
        {"0.00012", "The answer is 1.2 \u00D7 10^-4", 1},
        {"0.333", "The answer is 1/3", 0},
        {"18", "The answer is 3 * 6 = 18.", 1},
        {"18", "The answer is not 20 but 18.", 1},
        {"18", "#### Step 1: compute\n3*6=18\n#### Step 2: done\nThe answer is 18.", 1},
        {"18", "#### 1. Count\n3 * 6 = \\boxed{18}", 1},
        {"18", "**Answer: 18**", 1},
        {"18", "**Final Answer:** $18$", 1},
        {"18", "## Final Answer\n\n18", 1},
        {"18", "Therefore, she has 18 eggs. This answer is reasonable.", 1},
        {"18", "She makes 9 * 2 = $18\nA: 18", 1},
        {"18", "#### $18", 1},
        {"18", "#### 18 dollars per day", 1},
        {"1080", "#### 1,080", 1},
        {"18", "The final answer is \\(\\boxed{18}\\).", 1},
        {"18", "\\[ \\boxed{18 \\text{ eggs}} \\]", 1},
        {"52", "\\boxed{52 WPM}", 1},
        {"100000", "The answer is 100 000.", 1},
        {"10080", "\\boxed{10,\\!080}", 1},
        {"1234567", "He earns 12,34,567 rupees.", 1},
        {"0.25", "It's \u00BC.", 1},
        {"3", "The answer is 3, because 1+2=3 and 5 is not.", 1},
        {"20", "she paid $20.00!", 1},
        {"12", "The answer is twelve.", 1},
        {"125", "The answer is one hundred and twenty-five eggs.", 1},
        {"18", "The answer is $18 per day, or $126 per week.", 1},
        {"18", "<answer>18</answer>", 1},
        {"18", "<answer> 18", 0},
        {"42", "The answer to the question \"how many apples are left after 3 days?\" is 42.", 1},
        {"42", "The answers are 42.", 1},
        {"0", "\\boxed{-0}", 1},
        {"1000000", "\\boxed{10^6}", 1},
        {"5", "The answer is \uFF15.", 1},
        {"18", "", 0},
        {"18", "no number at all", 0},
        {"2", "The solution is x2", 0},
    };

    check_table(ANSWER_NUMBER, NULL, 0, table, sizeof table / sizeof *table);
}

static void choices_in_texts(void)
{
    static const char *const options[] = {"270", "300 dollars", "280", "320", "315"};
    static const struct extraction table[] = {
        {"C", "(A) is wrong, so C", 1},
        {"C", "C is right since (A) is wrong.", 1},
        {"C", "\\boxed{C}", 1},
        {"C", "\\boxed{\\text{(C)}}", 1},
        {"C", "\\boxed{(C)\\ 280}", 1},
        {"C", "\\boxed{280}", 1},
        {"B", "\\boxed{300}", 1},
        {"B", "The answer is 300 dollars.", 1},
        {"C", "The answer is (C).", 1},
        {"C", "the answer is c.", 1},
        {"C", "Answer: C) 280", 1},
        {"C", "**C**", 1},
        {"C", "C", 1},
        {"C", "c", 1},
        {"C", "The correct option is C.", 1},
        {"B", "The answer is a tricky one, but B", 1},
        {"A", "The answer is a tricky one, but B", 0},
        {"A", "The answer is A because it fits.", 1},
        {"A", "This is a good question", 0},
        {"B", "A dog is an animal, so B.", 1},
        {"D", "A is wrong. B is wrong. C is incorrect. Therefore D.", 1},
        {"D", "The answer is not A but D.", 1},
        {"D", "The answer is not A. It is D.", 1},
        {"C", "<think>The answer is B</think>The answer is C.", 1},
        {"B", "<think>The answer is B", 0},
        {"C", "I would choose C, not B.", 1},
        {"A", "The answer is (", 0},
        {"C", "A) no\nB) no\nC) yes\nThe answer is C", 1},
        {"B", "B) Vitamin A", 1},
        {"C", "Based on A, the answer is C.", 1},
        {"C", "It can't be A or B. C", 1},
        {"C", "Answer: $\\text{C}$", 1},
        {"C", "<answer>C</answer>", 1},
        {"B", "Answer: BC", 0},
        {"C", "", 0},
    };

    check_table(ANSWER_CHOICE, options, 5, table, sizeof table / sizeof *table);
    check_table(ANSWER_CHOICE, NULL, 0, table, 5);
}

static void mathematics_in_texts(void)
{
    static const struct extraction table[] = {
        {"\\frac{\\pi}{3}", "Hence $x = \\frac{\\pi}{3}$.", 1},
        {"\\frac{1}{2}", "The answer is $\\frac{1}{2}$ because $\\frac{2}{4}$ is the same.", 1},
        {"x^2+1", "The final answer is: x^2 + 1 when x is real.", 1},
        {"\\text{Evelyn}", "The answer is Evelyn.", 1},
        {"\\text{Evelyn}", "\\boxed{\\text{Evelyn}}", 1},
        {"2, 3", "The answers are $2$ and $3$.", 1},
        {"(3,4]", "\\boxed{3 < x \\leq 4}", 1},
        {"$\\{x|-2\\leq x < 1\\}$", "\\boxed{[-2,1)}", 1},
        {"\\frac{1}{3}", "\\boxed{0.333}", 0},
        {"\\frac{1}{3}", "\\boxed{0.3333}", 1},
        {"x=5", "\\boxed{5}", 1},
        {"5", "\\boxed{\\boxed{5}}", 1},
        {"52_8", "\\boxed{52_{8}}", 1},
        {"52_8", "\\boxed{52_7}", 0},
        {"90^\\circ", "\\boxed{90}", 1},
        {"\\frac12", "\\boxed{\\sin 30^\\circ}", 1},
        {"5.4 \\text{ cents}", "It costs \\boxed{5.4}", 1},
        {"$1.1\\%$", "\\boxed{1.1}", 1},
        {"$1.1\\%$", "\\boxed{0.011}", 1},
        {"$5am$", "\\boxed{5 \\text{ am}}", 1},
        {"$2$ or $-2$", "\\boxed{\\pm 2}", 1},
        {"2\\sqrt{3}", "so the length is $2\u221A3$", 1},
        {"11\\sqrt2", "\\boxed{11 \\sqrt{2}", 0},
        {"7", "I get 3 + 4 = 7", 1},
    };

    check_table(ANSWER_MATH, NULL, 0, table, sizeof table / sizeof *table);
}

static void cut_texts(void)
{
    static const struct extraction table[] = {{"18", "#### 18", 0},
                                              {"18", "The answer is 18", 0},
                                              {"18", "The answer is 18.\n", 1},
                                              {"18", "so far 18 and", 0},
                                              {"18", "\\boxed{18}", 1}};

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (int cut = 0; cut < 2; cut++) {
            struct answer_key key = {ANSWER_NUMBER, &table[i].gold, 1, NULL, 0};
            struct answer_grade grade;

            answer_grade(&grade, &key, table[i].text, strlen(table[i].text), cut, &arena, &diag);
            CHECK_MSG(grade.correct == (cut ? table[i].right : 1), "'%s', cut %d", table[i].text, cut);
        }
}

static void normal_forms(void)
{
    static const char *const table[][2] = {{"1,234.50", "1234.5"},
                                           {"$1,080", "1080"},
                                           {"\\frac{2}{4}", "1/2"},
                                           {"007", "7"},
                                           {"-0.50", "-0.5"},
                                           {".5", "0.5"},
                                           {"6/3", "2"},
                                           {"50 \\%", "50%"},
                                           {"1.50e2", "150"},
                                           {"2\\sqrt{3}", "2\\sqrt{3}"},
                                           {"18 eggs", "18"},
                                           {"5:30", "5:30"}};

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *gold;

        answer_gold(&gold, ANSWER_NUMBER, table[i][0], strlen(table[i][0]), &arena, &diag);
        CHECK_MSG(strcmp(gold, table[i][1]) == 0, "'%s': expected '%s', found '%s'", table[i][0], table[i][1], gold);
    }
}

/* ---- equality ---- */

static void equal_numbers(void)
{
    static const struct {
        const char *a, *b;
        int same;
    } table[] = {{"1234", "1234", 1},
                 {"1/2", "0.5", 1},
                 {"2/3", "0.6667", 1},
                 {"2/3", "0.6666", 1},
                 {"2/3", "0.667", 0},
                 {"2/3", "0.67", 0},
                 {"0.6666666667", "2/3", 1},
                 {"33.33", "100/3", 1},
                 {"0.3", "0.30000000000000004", 1},
                 {"8", "8.0001", 0},
                 {"8", "7.99999999999", 1},
                 {"8", "8.333333333333334", 0},
                 {"1234567", "1234568", 0},
                 {"123456789012345678901234567890", "123456789012345678901234567890", 1},
                 {"123456789012345678901234567890", "123456789012345678901234567891", 0},
                 {"50%", "50", 1},
                 {"50%", "0.5", 1},
                 {"0.5%", "0.5", 1},
                 {"50%", "5", 0},
                 {"-7", "7", 0},

                 {"1/3", "1/3", 1},
                 {"1/3", "2/6", 1},
                 {"5:30", "5:30", 1},
                 {"5:30", "5", 0},
                 {"0", "0", 1},
                 {"2\\sqrt{3}", "\\sqrt{12}", 1}};
    struct answer_key key = {ANSWER_NUMBER, NULL, 0, NULL, 0};

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int same = answer_same(&key, table[i].a, table[i].b);

        CHECK_MSG(same == table[i].same, "%s and %s", table[i].a, table[i].b);
        CHECK_MSG(answer_same(&key, table[i].b, table[i].a) == same, "%s and %s, the other way round", table[i].a,
                  table[i].b);
    }
    CHECK(!answer_same(&key, NULL, "1") && !answer_same(&key, "1", NULL) && !answer_same(&key, NULL, NULL));
}

/* ---- golden files ---- */

typedef void each_record(const struct json *record, double *worst);

static void golden(const char *path, each_record *each, size_t at_least)
{
    struct record_reader reader;
    const struct record *record;
    enum status status = record_open(&reader, path, NULL, &diag);
    double worst = 0;

    while (!status && (status = record_next(&reader, &record, &diag)) == STATUS_OK && record)
        each(record->json, &worst);
    CHECK_MSG(status == STATUS_OK, "%s", diag.message);
    CHECK_MSG(reader.n_records >= at_least, "%s: %llu records", path, (unsigned long long)reader.n_records);
    CHECK_MSG(worst <= GOLDEN_TOLERANCE, "%s: off by %g", path, worst);
    record_close(&reader);
}

static double off(const struct json *record, const char *key, double found)
{
    double difference = fabs(json_number(record, key, -1) - found);

    CHECK_MSG(difference <= GOLDEN_TOLERANCE, "%.60s | %.60s: %s: expected %.9g, found %.9g",
              json_string(record, "prediction", ""), json_string(record, "gold", ""), key, json_number(record, key, -1),
              found);
    return difference;
}

static void one_span(const struct json *record, double *worst)
{
    const char *gold = json_string(record, "gold", NULL), *text = json_string(record, "prediction", "");
    struct answer_key key = {ANSWER_SPAN, &gold, 1, NULL, 0};
    struct answer_grade grade;

    CHECK(answer_grade(&grade, &key, text, strlen(text), 0, &arena, &diag) == STATUS_OK);
    *worst = fmax(*worst, fmax(off(record, "em", grade.em), off(record, "f1", grade.f1)));
}

static void one_summary(const struct json *record, double *worst)
{
    const char *gold = json_string(record, "gold", NULL), *text = json_string(record, "prediction", "");
    struct answer_key key = {ANSWER_SUMMARY, &gold, 1, NULL, 0};
    struct answer_grade grade;

    CHECK(answer_grade(&grade, &key, text, strlen(text), 0, &arena, &diag) == STATUS_OK);
    *worst = fmax(*worst, off(record, "rouge1", grade.rouge1));
    *worst = fmax(*worst, off(record, "rouge2", grade.rouge2));
    *worst = fmax(*worst, off(record, "rougeL", grade.rougeL));
}

static void one_stem(const struct json *record, double *worst)
{
    const char *word = json_string(record, "word", ""), *stem = json_string(record, "stem", NULL);
    char text[64];
    size_t length = strlen(word);

    (void)worst;
    memcpy(text, word, length);
    length = porter_stem(text, length);
    CHECK_MSG(length == strlen(stem) && memcmp(text, stem, length) == 0, "%s: expected %s, found %.*s", word, stem,
              (int)length, text);
}

static void one_formula(const struct json *record, double *worst)
{
    struct answer_key key = {ANSWER_MATH, NULL, 0, NULL, 0};
    const char *gold = json_string(record, "gold", ""), *answer = json_string(record, "answer", ""), *a, *b;
    int same = json_bool(record, "same", -1);

    (void)worst;
    answer_gold(&a, ANSWER_MATH, gold, strlen(gold), &arena, &diag);
    answer_gold(&b, ANSWER_MATH, answer, strlen(answer), &arena, &diag);
    CHECK_MSG(answer_same(&key, a, b) == same && answer_same(&key, b, a) == same, "%s and %s should be %s", gold,
              answer, same ? "the same" : "different");
}

static void golden_spans(void)
{
    golden("fixtures/golden/grade_spans.jsonl", one_span, 150);
}

static void golden_summaries(void)
{
    golden("fixtures/golden/grade_summaries.jsonl", one_summary, 60);
}

static void golden_stems(void)
{
    golden("fixtures/golden/grade_stems.jsonl", one_stem, 400);
}

static void golden_formulas(void)
{
    golden("fixtures/golden/grade_math.jsonl", one_formula, 60);
}

static void span_phrases(void)
{
    static const struct extraction table[] = {
        {"Kansas City", "The film is set in Kansas. The answer is Kansas City.", 1},
        {"yes", "Answer: Yes", 1},
        {"director", "**Answer:** Director", 1},
        {"director", "director and producer", 0}};
    const char *golds[] = {"the Big Apple", "New York City"};
    struct answer_key key = {ANSWER_SPAN, golds, 2, NULL, 0};
    struct answer_grade grade;

    check_table(ANSWER_SPAN, NULL, 0, table, sizeof table / sizeof *table);
    answer_grade(&grade, &key, "New York", 8, 0, &arena, &diag); /* the better of two golds */
    CHECK(grade.em == 0 && fabs(grade.f1 - 0.8) < 1e-12 && grade.score == grade.f1);
}

/* ---- hostile texts ---- */

static void grade_all_kinds(const char *text, size_t length)
{
    static const char *const options[] = {"1", "\\frac{1}{2}", "(1,2)", "x"};
    const char *golds[] = {"12", "\\frac{\\sqrt{x}}{2} \\pm 1, (2,3]"};

    for (int kind = ANSWER_NUMBER; kind <= ANSWER_SUMMARY; kind++) {
        struct answer_key key = {(enum answer_kind)kind, golds, 2, options, kind == ANSWER_CHOICE ? 4 : 0};
        struct arena_mark mark = arena_mark(&arena);
        struct answer_grade grade;

        CHECK(answer_grade(&grade, &key, text, length, 0, &arena, &diag) == STATUS_OK);
        if (grade.prediction) { /* a prediction means the same as itself */
            CHECK_MSG(answer_same(&key, grade.prediction, grade.prediction), "%.80s", text);
        }
        arena_release(&arena, mark);
    }
}

static void repeated(const char *piece, size_t total)
{
    size_t length = strlen(piece);
    char *text = malloc(total + 1);

    for (size_t i = 0; i < total; i++)
        text[i] = piece[i % length];
    text[total] = 0;
    grade_all_kinds(text, total);
    free(text);
}

/* Each would take minutes at quadratic cost. */
static void long_texts(void)
{
    static const char *const pieces[] = {"answer is ",
                                         "answer: (A) ",
                                         "\\boxed{",
                                         "{",
                                         "(",
                                         "\\frac{1}{",
                                         "#### ",
                                         "1,11,",
                                         "5:5",
                                         "$",
                                         "<think>",
                                         "</think>1",
                                         "<answer>",
                                         "x^",
                                         "-",
                                         "A ",
                                         "not A ",
                                         "\\text{ and ",
                                         "<<1=",
                                         "1/2/",
                                         "9",
                                         "y",
                                         "\xF0\x9F",
                                         "\\left(\\pm ",
                                         "|",
                                         "\\begin{pmatrix}",
                                         "option A is ",
                                         "a an the "};

    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        repeated(pieces[i], test_quick() ? 3000 : 200000);
}

static uint32_t random_state = 12345;

static uint32_t next_random(void)
{
    random_state = random_state * 1664525u + 1013904223u; /* Numerical Recipes */
    return random_state >> 8;
}

static void random_texts(void)
{
    static const char *const pieces[] = {"\\frac",
                                         "{",
                                         "}",
                                         "(",
                                         ")",
                                         "[",
                                         "]",
                                         "1",
                                         "2",
                                         "12.5",
                                         "x",
                                         "=",
                                         "\\sqrt",
                                         "^",
                                         "_",
                                         "-",
                                         "+",
                                         "*",
                                         "/",
                                         ",",
                                         " ",
                                         "\\boxed{",
                                         "answer is ",
                                         "$",
                                         "%",
                                         "\\pm",
                                         "\\cup",
                                         "|",
                                         "!",
                                         "a",
                                         "A",
                                         "sin",
                                         "\\text{",
                                         "\\circ",
                                         "\n",
                                         "####",
                                         "e",
                                         "\\begin{pmatrix}",
                                         "\\end{pmatrix}",
                                         "&",
                                         "\\\\",
                                         "<",
                                         "\\le",
                                         "\\infty",
                                         "\\{",
                                         "\\}",
                                         "\xC3",
                                         "\xE2\x88\x92",
                                         ":",
                                         "."};
    int n = test_quick() ? 300 : 20000;

    for (int i = 0; i < n; i++) {
        char text[512];
        size_t length = 0, count = next_random() % 40;

        for (size_t k = 0; k < count; k++) {
            const char *piece = pieces[next_random() % (sizeof pieces / sizeof *pieces)];

            memcpy(text + length, piece, strlen(piece));
            length += strlen(piece);
        }
        text[length] = 0;
        grade_all_kinds(text, length);
    }
}

static void short_memory(void)
{
    static const char *const texts[] = {"The answer is \\frac{1}{2}.", "\\boxed{(1, 2)} \u22121/2",
                                        "A b c d the end of it"};

    for (size_t t = 0; t < 3; t++)
        for (int kind = ANSWER_NUMBER; kind <= ANSWER_SUMMARY; kind++) {
            const char *gold = "(1, \\frac{1}{2})";
            struct answer_key key = {(enum answer_kind)kind, &gold, 1, NULL, 0};
            enum status status = STATUS_MEMORY;

            for (size_t n = 1; status && n < 200; n++) {
                struct answer_grade grade;
                struct arena own;

                arena_init(&own, "short", 0);
                memory_fail_at(n);
                status = answer_grade(&grade, &key, texts[t], strlen(texts[t]), 0, &own, &diag);
                memory_fail_at(0);
                CHECK(status == STATUS_OK || status == STATUS_MEMORY);
                arena_free(&own);
            }
            CHECK(status == STATUS_OK);
        }
}

int main(void)
{
    arena_init(&arena, "test", 0);
    RUN(numbers_in_texts);
    RUN(choices_in_texts);
    RUN(mathematics_in_texts);
    RUN(cut_texts);
    RUN(normal_forms);
    RUN(equal_numbers);
    RUN(golden_spans);
    RUN(golden_summaries);
    RUN(golden_stems);
    RUN(golden_formulas);
    RUN(span_phrases);
    RUN(long_texts);
    RUN(random_texts);
    RUN(short_memory);
    arena_free(&arena);
    return TEST_RESULT();
}
