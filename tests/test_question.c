/* test_question.c - the questions of all public forms: text, options, context, gold, kind. */
#include <unistd.h>

#include "question.h"
#include "test.h"

static struct diag diag;
static char path[64] = "/tmp/arklet_question_XXXXXX";

static void write_file(const char *text)
{
    FILE *file = fopen(path, "wb");

    CHECK(file && fputs(text, file) >= 0);
    if (file)
        fclose(file);
}

static struct question_reader reader;
static const struct question *question;

/* Opens a file of this text and reads its first question. */
static enum status first(const char *text, const char *kind)
{
    struct question_options options = {{0, 0, 0, 0}, kind, 1};
    enum status status;

    write_file(text);
    status = question_open(&reader, path, &options, &diag);
    question = NULL;
    return status ? status : question_next(&reader, &question, &diag);
}

struct form {
    const char *record;
    enum answer_kind kind;
    const char *text, *gold; /* NULL gold: none */
};

static void forms(void)
{
    static const struct form table[] = {
        {"{\"question\":\"How many?\",\"answer\":\"3*4=<<3*4=12>>12\\n#### 1,012\"}", ANSWER_NUMBER, "How many?",
         "1012"},
        {"{\"question\":\"How many?\",\"answer\":\"so\\n#### -7\"}", ANSWER_NUMBER, "How many?", "-7"},
        {"{\"problem\":\"Find x.\",\"answer\":\"\\\\dfrac{1}{2}\",\"solution\":\"so \\\\boxed{3}\"}", ANSWER_MATH,
         "Find x.", "\\frac{1}{2}"},
        {"{\"problem\":\"Find x.\",\"solution\":\"so \\\\boxed{3}\"}", ANSWER_MATH, "Find x.", "3"},
        {"{\"Body\":\"Ann has 3.\",\"Question\":\"How many?\",\"Answer\":145.0,\"ID\":\"c-1\"}", ANSWER_NUMBER,
         "Ann has 3. How many?", "145"},
        {"{\"body\":\"Ann has 3.\",\"question\":\"How many?\",\"answer\":\"9 (apples)\"}", ANSWER_NUMBER,
         "Ann has 3. How many?", "9"},
        {"{\"input\":\"How many ?\",\"target\":0.25}", ANSWER_NUMBER, "How many ?", "0.25"},
        {"{\"query\":\"How many?\",\"response\":\"3+4=7\\n#### 7\\nThe answer is: 7\"}", ANSWER_NUMBER, "How many?",
         "7"},
        {"{\"query\":\"Find x.\",\"response\":\"Hence $x=\\\\frac12$. The answer is: \\\\frac{1}{2}\"}", ANSWER_MATH,
         "Find x.", "\\frac{1}{2}"},
        {"{\"question\":\"Q\",\"ground_truth\":\"2+3=5\\nA: 5\",\"m\":{\"solution\":\"x\",\"is_correct\":true}}",
         ANSWER_NUMBER, "Q", "5"},
        {"{\"prompt\":\"Q\",\"gold\":\"18 dollars\"}", ANSWER_NUMBER, "Q", "18"},
        {"{\"question\":\"Q\",\"gt\":\"$18.50\"}", ANSWER_NUMBER, "Q", "18.5"},
        {"{\"query\":\"Q\",\"answer\":7}", ANSWER_NUMBER, "Q", "7"},
        {"{\"question\":\"Q\",\"answer\":\"x^2+1\"}", ANSWER_MATH, "Q", "x^2+1"},
        {"{\"question\":\"Q\",\"answer\":\"$\\\\frac{1}{3}$\"}", ANSWER_MATH, "Q", "\\frac{1}{3}"},
        {"{\"question\":\"Q\",\"answer\":\"(2,3)\"}", ANSWER_MATH, "Q", "(2,3)"},
        {"{\"question\":\"Which? (A) x (B) y\",\"answer\":\"B\"}", ANSWER_CHOICE, "Which? (A) x (B) y", "B"},
        {"{\"question\":\"Q\",\"answer\":\"Edmonton, Alberta\"}", ANSWER_SPAN, "Q", "Edmonton, Alberta"},
        {"{\"question\":\"Q\",\"answer\":\"1984 South Asian Games\"}", ANSWER_SPAN, "Q", "1984 South Asian Games"},
        {"{\"question\":\"Q\",\"answer\":true}", ANSWER_SPAN, "Q", "yes"},
        {"{\"question\":\"Q\",\"answer\":\"\"}", ANSWER_MATH, "Q", NULL},
        {"{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"How "
         "many?\"},{\"role\":\"assistant\","
         "\"content\":\"The answer is 12.\"}]}",
         ANSWER_NUMBER, "How many?", "12"},
        {"{\"prompt\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"How many?\"}]}],\"answer\":\"5\"}",
         ANSWER_NUMBER, "How many?", "5"},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        enum status status = first(table[i].record, NULL);
        const char *gold = question && question->key.n_golds ? question->key.golds[0] : NULL;

        CHECK_MSG(status == STATUS_OK && question, "%s: %s", table[i].record, diag.message);
        if (question) {
            CHECK_MSG(question->key.kind == table[i].kind, "%s: a %s", table[i].record,
                      answer_kind_name(question->key.kind));
            CHECK_MSG(strcmp(question->text, table[i].text) == 0, "%s: text '%s'", table[i].record, question->text);
            CHECK_MSG(gold == table[i].gold || (gold && table[i].gold && strcmp(gold, table[i].gold) == 0),
                      "%s: gold '%s'", table[i].record, gold ? gold : "(none)");
        }
        question_close(&reader);
    }
}

static void choices(void)
{
    static const char listed[] = "Q\n\nA) 36\nB) 15\nC) five";
    static const struct {
        const char *record, *gold;
    } table[] = {
        {"{\"question\":\"Q\",\"options\":[\"A)36\",\"B)15\",\"C)five\"],\"correct\":\"C\"}", "C"},
        {"{\"question\":\"Q\",\"options\":[\"(A) 36\",\"(B) 15\",\"(C) five\"],\"correct\":\"(C)\"}", "C"},
        {"{\"question\":\"Q\",\"options\":{\"A\":\"36\",\"B\":\"15\",\"C\":\"five\"},\"answer_idx\":\"B\",\"answer\":"
         "\"15\"}",
         "B"},
        {"{\"question\":\"Q\",\"options\":{\"A\":\"36\",\"B\":\"15\",\"C\":\"five\"},\"answer\":\"five\"}", "C"},
        {"{\"question\":\"Q\",\"choices\":{\"text\":[\"36\",\"15\",\"five\"],\"label\":[\"1\",\"2\",\"3\"]},"
         "\"answerKey\":\"2\"}",
         "B"},
        {"{\"question\":\"Q\",\"choices\":[{\"label\":\"A\",\"text\":\"36\"},{\"label\":\"B\",\"text\":\"15\"},{"
         "\"label\":\"C\",\"text\":\"five\"}],\"answerKey\":\"A\"}",
         "A"},
        {"{\"question\":\"Q\",\"choices\":[\"36\",\"15\",\"five\"],\"answer\":1}", "B"},
        {"{\"question\":\"Q\",\"choices\":[\"36\",\"15\",\"five\"],\"answer\":0}", "A"},
        {"{\"question\":\"Q\",\"choices\":[\"36\",\"15\",\"five\"],\"answer\":3}", "C"}, /* so it counts from 1 */
        {"{\"question\":\"Q\",\"opa\":\"36\",\"opb\":\"15\",\"opc\":\"five\",\"cop\":2}", "C"},
        {"{\"question\":\"Q\",\"A\":36,\"B\":15,\"C\":\"five\",\"answer\":\"B\"}", "B"},
        {"{\"question\":\"Q\",\"options\":[36,15,\"five\"],\"answer\":\"15\"}", "B"}, /* the text, no index */
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        enum status status = first(table[i].record, NULL);

        CHECK_MSG(status == STATUS_OK && question, "%s: %s", table[i].record, diag.message);
        if (question) {
            CHECK_MSG(question->key.kind == ANSWER_CHOICE && question->key.n_options == 3, "%s", table[i].record);
            CHECK_MSG(strcmp(question->text, listed) == 0, "%s: '%s'", table[i].record, question->text);
            CHECK_MSG(strcmp(question->key.golds[0], table[i].gold) == 0, "%s: %s", table[i].record,
                      question->key.golds[0]);
        }
        question_close(&reader);
    }
}

/* MedMCQA's cop is 1-based in its original files and 0-based elsewhere: the file tells. */
static void bases(void)
{
    static const struct {
        int answers[3];
        const char *golds;
    } table[] = {{{1, 4, 2}, "ADB"}, {{1, 0, 2}, "BAC"}, {{1, 2, 3}, "BCD"}, {{2, 1, 4}, "BAD"}};
    char text[1024];

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        size_t at = 0, n = 0;

        for (int k = 0; k < 3; k++)
            at += (size_t)snprintf(
                text + at, sizeof text - at,
                "{\"question\":\"Q\",\"opa\":\"w\",\"opb\":\"x\",\"opc\":\"y\",\"opd\":\"z\",\"cop\":%d}\n",
                table[i].answers[k]);
        CHECK(first(text, NULL) == STATUS_OK);
        for (; question; n++) {
            CHECK_MSG(*question->key.golds[0] == table[i].golds[n], "file %zu, record %zu: %s", i, n,
                      question->key.golds[0]);
            CHECK(question_next(&reader, &question, &diag) == STATUS_OK);
        }
        CHECK(n == 3);
        question_close(&reader);
    }
}

static void contexts(void)
{
    struct buffer prompt = {0};

    first("[{\"_id\":\"h1\",\"answer\":\"no\",\"question\":\"Q?\",\"supporting_facts\":[[\"T\",0]],"
          "\"context\":[[\"T\",[\"One.\",\" Two.\"]],[\"U\",[\"Three.\"]]]}]",
          NULL);
    CHECK(question && question->key.kind == ANSWER_SPAN && strcmp(question->context, "T\nOne. Two.\n\nU\nThree.") == 0);
    CHECK(question && strcmp(question->id, "h1") == 0 && strcmp(question->key.golds[0], "no") == 0);
    if (question)
        question_put(&prompt, question);
    CHECK(prompt.data && strcmp(prompt.data, "T\nOne. Two.\n\nU\nThree.\n\nQ?") == 0);
    buffer_free(&prompt);
    question_close(&reader);
    first("{\"question\":\"Q?\",\"context\":{\"title\":[\"T\",\"U\"],\"sentences\":[[\"One.\",\"Two.\"],[\"Three.\"]]},"
          "\"answer\":\"42\"}",
          NULL);
    CHECK(question && question->key.kind == ANSWER_SPAN && strcmp(question->context, "T\nOne. Two.\n\nU\nThree.") == 0);
    question_close(&reader);
    first("{\"question\":\"Q?\",\"context\":\"A passage.\",\"answers\":{\"text\":[\"x y\",\"the "
          "x\"],\"answer_start\":[1,2]}}",
          NULL);
    CHECK(question && question->key.n_golds == 2 && strcmp(question->key.golds[1], "the x") == 0);
    question_close(&reader);
}

static void meetings(void)
{
    static const char record[] =
        "{\"topic_list\":[],\"general_query_list\":[{\"query\":\"Summarise.\",\"answer\":\"They met.\"}],"
        "\"specific_query_list\":[{\"query\":\"What of x?\",\"answer\":\"Nothing.\",\"output\":\"No.\"}],"
        "\"meeting_transcripts\":[{\"speaker\":\"Ann\",\"content\":\"Hello.\"},{\"speaker\":\"Bo\",\"content\":\"Hi.\"}"
        "]}\n";

    first(record, NULL);
    CHECK(question && question->key.kind == ANSWER_SUMMARY && strcmp(question->text, "Summarise.") == 0);
    CHECK(question && strcmp(question->context, "Ann: Hello.\nBo: Hi.") == 0 &&
          strcmp(question->id + strlen(question->id) - 4, ":0:0") == 0);
    CHECK(question_next(&reader, &question, &diag) == STATUS_OK && question &&
          strcmp(question->key.golds[0], "Nothing.") == 0);
    CHECK(question && strcmp(json_string(question->fields, "output", ""), "No.") == 0);
    CHECK(question && strcmp(question->id + strlen(question->id) - 4, ":0:1") == 0);
    CHECK(question_count(&reader) == 2);
    CHECK(question_next(&reader, &question, &diag) == STATUS_OK && !question);
    question_close(&reader);
}

static void given_kind(void)
{
    CHECK(first("{\"question\":\"Q\",\"answer\":\"in 1896\"}", "number") == STATUS_OK && question &&
          question->key.kind == ANSWER_NUMBER && strcmp(question->key.golds[0], "1896") == 0);
    question_close(&reader);
    CHECK(first("{\"question\":\"Q\",\"answer\":\"#### 12\"}", "span") == STATUS_OK && question &&
          question->key.kind == ANSWER_SPAN);
    question_close(&reader);
    CHECK(first("{}", "essay") == STATUS_RANGE && strstr(diag.message, "essay"));
    question_close(&reader);
}

static void bad_questions(void)
{
    static const struct {
        const char *text, *message;
    } table[] = {
        {"{\"answer\":\"5\"}", ":1: expected a field \"question\""},
        {"{\"question\":5,\"answer\":\"5\"}", ":1: \"question\": expected a string, found a number"},
        {"{\"question\":\"Q\"}", ":1: expected an answer"},
        {"{\"question\":\"Q\",\"answer\":null}", ":1: expected an answer"},
        {"{\"question\":\"Q\",\"answer\":{\"x\":1}}", ":1: expected an answer"},
        {"{\"question\":\"Q\",\"answer\":[[1]]}",
         ":1: \"answer\": expected an answer's text or number, found an array"},
        {"{\"question\":\"Q\",\"options\":[\"x\",\"y\"],\"answer\":\"E\"}",
         ":1: \"answer\": expected a letter, index or text of one of the 2 options, found E"},
        {"{\"question\":\"Q\",\"options\":[\"x\",\"y\"],\"answer\":7}",
         ":1: \"answer\": expected a letter, index or text of one of the 2 options, found 7"},
        {"{\"question\":\"Q\",\"options\":[\"x\",\"y\"],\"cop\":-1}", ":1: expected an answer"},
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\"}]}", ":1: \"messages\": expected one of role user"},
        {"{\"general_query_list\":[{\"answer\":\"x\"}]}", ":1: query 0: \"query\": expected a string, found nothing"},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        CHECK_MSG(first(table[i].text, NULL) == STATUS_FORMAT && strstr(diag.message, table[i].message), "%s: %s",
                  table[i].text, diag.message);
        question_close(&reader);
    }
}

static void skipped_questions(void)
{
    struct question_options options = {{1, 0, 0, 0}, NULL, 1};
    size_t n = 0;

    write_file(
        "{\"question\":\"Q\"}\n{\"question\":\"Q\",\"answer\":1}\nnonsense\n{\"question\":\"Q\",\"answer\":2}\n");
    CHECK(question_open(&reader, path, &options, &diag) == STATUS_OK);
    while (question_next(&reader, &question, &diag) == STATUS_OK && question)
        n++;
    CHECK(question_count(&reader) == n);
    CHECK(n == 2 && reader.records.n_skipped == 2 &&
          strstr(reader.records.first_skip.message, ":1: expected an answer"));
    question_close(&reader);
}

static void short_memory(void)
{
    size_t live = memory_live();
    enum status status = STATUS_MEMORY;

    write_file("{\"question\":\"Q\",\"options\":[\"x\",\"y\"],\"answer\":1}\n{\"body\":\"B\",\"question\":\"Q\","
               "\"answer\":\"9 (a)\"}\n"
               "{\"question\":\"Q\",\"context\":[[\"T\",[\"S\"]]],\"answer\":\"x y\"}\n");
    for (size_t n = 1; status && n < 300; n++) {
        memory_fail_at(n);
        status = question_open(&reader, path, NULL, &diag);
        while (!status && (status = question_next(&reader, &question, &diag)) == STATUS_OK && question)
            continue;
        memory_fail_at(0);
        CHECK(status == STATUS_OK || status == STATUS_MEMORY);
        question_close(&reader);
    }
    CHECK(status == STATUS_OK && memory_live() == live);
}

int main(void)
{
    int fd = mkstemp(path);

    if (fd < 0)
        return 1;
    close(fd);
    RUN(forms);
    RUN(choices);
    RUN(bases);
    RUN(contexts);
    RUN(meetings);
    RUN(given_kind);
    RUN(bad_questions);
    RUN(skipped_questions);
    RUN(short_memory);
    unlink(path);
    return TEST_RESULT();
}
