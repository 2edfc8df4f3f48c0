/* test_steps.c - steps of a solution: equations told apart from prose and algebra, errors, checks, corrections, loops.
 */
#include <math.h>

#include "steps.h"
#include "test.h"

static struct arena arena;
static struct diag diag;

static struct steps read_steps(const char *question, const char *text)
{
    struct steps steps;

    CHECK(steps_read(&steps, question, text, strlen(text), &arena, &diag) == STATUS_OK);
    return steps;
}

static void splitting(void)
{
    static const char text[] = "\n one\nline \n \t\ntwo\r\n\r\n\n\nthree  ";
    static const char *const pieces[] = {"one\nline", "two", "three"};
    size_t from = 0, begin, end, n = 0;

    for (; steps_next(&begin, &end, text, strlen(text), &from); n++)
        CHECK_MSG(n < 3 && end - begin == strlen(pieces[n]) && memcmp(text + begin, pieces[n], end - begin) == 0,
                  "step %zu", n);
    CHECK(n == 3);
    from = 0;
    CHECK(!steps_next(&begin, &end, " \n\n ", 4, &from));
    CHECK(read_steps(NULL, "").n == 0 && read_steps(NULL, "").first_error == 0);
}

/* What each line states: equations and how many of them are true. */
static void equations(void)
{
    static const struct {
        const char *text;
        size_t n, n_true;
    } table[] = {
        {"3 * 4 = 12", 1, 1},
        {"3 * 4 = 13", 1, 0},
        {"3 x 4 = 12 and 3x4=12", 1, 1}, /* said twice, counted once */
        {"So 16 - 3 - 4 = 9 eggs.", 1, 1},
        {"She has 16 - 3 - 4 = <<16-3-4=9>>9 eggs left.", 1, 1},
        {"half of it is <<48/2=24>>24", 1, 1},
        {"$350,000 + $17,500 = $367,500", 1, 1},
        {"3.5 \u00D7 8 = 28 miles", 1, 1},
        {"\\[ \\text{Total} = 3.5 \\times 8 = 28 \\text{ miles} \\]", 1, 1},
        {"\\( \\frac{180}{5} = 36 \\)", 1, 1},
        {"\\frac{10 + 5}{3} = 4", 1, 0},
        {"2 + 3 = 5 = 1 + 4", 2, 2},
        {"2 + 3 = 6 - 1 = 4", 2, 1},
        {"3 boxes * 4 eggs/box = 12 eggs", 1, 1},
        {"$2/egg * 9 eggs = $18", 1, 1},
        {"7 minutes x 60 seconds per minute = 420 seconds", 1, 1},
        {"20% of 50 = 10", 1, 1},
        {"50 * 20% = 10", 1, 1},
        {"5 / 20 = 25%", 1, 1},
        {"0.25 * 100 = 25%", 1, 1},
        {"$1 / 2 = 50 cents", 1, 1},
        {"10 / 3 = 3.33", 1, 1},
        {"10 / 3 = 3.3333...", 1, 1},
        {"10 / 3 = 3.4", 1, 0},
        {"10 / 3 = 3", 1, 0},
        {"10 / 3 \u2248 3", 1, 1},
        {"100 / 3 \u2248 33", 1, 1},
        {"100 / 3 \\approx 35", 1, 0},
        {"8 x 1 1/2 = 12", 1, 1},
        {"1/4 cup + 1 and 1/4 cup = 1.5 cups", 1, 1},
        {"60 / 3/4 = 80", 1, 1},
        {"$80 000 x 20/100 = $16 000", 1, 1},
        {"2^3 + 1 = 9", 1, 1},
        {"(2 + 3) * 4 = 20", 1, 1},
        {"-5 + 3 = -2", 1, 1},
        {"\u22125 + 3 = \u22122", 1, 1},
        {"- 5 + 3 = 8", 1, 1}, /* a bullet */
        {"* 5 + 3 = 8", 1, 1},
        {"2. 5 + 3 = 8", 1, 1},
        {"For the 5 children, 5 * 3 = 15", 1, 1},
        {"He eats 48 pieces because 32 + 16 = 48", 1, 1},
        /* no equations on numbers */
        {"x = 5", 0, 0},
        {"2x = 10", 0, 0},
        {"2x + 3 = 13", 0, 0},
        {"S + 143 = 200", 0, 0},
        {"100-x+40-30 = 60", 0, 0},
        {"(X+10)*3/2 = 45", 0, 0},
        {"26 = 5+3x", 0, 0},
        {"1 hour = 60 minutes", 0, 0},
        {"2 dozen = 2 * 12", 0, 0},
        {"the number of bikes + 12 = 45", 0, 0},
        {"Week 1 + Week 2 = 70", 0, 0},
        {"He leaves at 6:00+18 hours = 24:00", 0, 0},
        {"a == b, x >= 3, y != 4", 0, 0},
        {"= = = 5 = = ", 0, 0},
        {"", 0, 0},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct steps s = read_steps(NULL, table[i].text);

        CHECK_MSG(s.n_equations == table[i].n && s.n_true == table[i].n_true, "'%s': %zu equations, %zu true",
                  table[i].text, s.n_equations, s.n_true);
    }
}

static void grounding(void)
{
    static const char question[] = "Ann has 5 boxes of 12 eggs and eats three eggs; 20% are bad.";
    struct steps s =
        read_steps(question, "5 * 12 = 60\n\n60 * 20/100 = 12\n\n60 - 3 = 57\n\n57 * 17 = 969\n\n0.2 * 5 = 1");

    CHECK(s.n == 5 && s.n_equations == 5 && s.n_true == 5 && s.n_grounded == 4);
    CHECK(s.step[3].n_grounded == 0 && s.step[4].n_grounded == 1 && s.first_error == 5);
    s = read_steps(NULL, "5 * 12 = 60\n\n60 * 60 = 3600");
    CHECK(s.n_grounded == 1);
}

/* The middle of a chain is another form of its beginning, if the beginning is sound and the two are equal. */
static void grounding_of_chains(void)
{
    static const char question[] = "Ann has 48 apples and 24 pears.";
    static const struct {
        const char *text;
        size_t n, n_true, n_grounded;
    } table[] = {
        {"48 + 24 = 68 + 4 = 72", 2, 2, 2},
        {"48 + 24 = 68 apples + 4 = 72 apples", 2, 2, 2},
        {"48 + 24 = 68 + 4 = 40 + 32 = 72", 3, 3, 3},
        {"48 + 24 = <<48+24=68+4=72>>72", 3, 3, 3},
        {"48 + 24 = 68 + 5 = 73", 2, 1, 1},     /* the middle is another number */
        {"48 + 25 = 69 + 4 = 73", 2, 2, 0},     /* the beginning has an operand of its own */
        {"48 + 24 = 72. 68 + 4 = 72", 2, 2, 1}, /* no chain */
        {"48 + 24 = 72\n68 + 4 = 72", 2, 2, 1}, /* nor this */
        {"48 + 24 = 68 + 4 = 72, 68 + 4 = 72", 2, 2, 2},
        {"48 + 24 = 68 + 4 = 72 and 72 - 5 = 67", 3, 3, 2},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct steps s = read_steps(question, table[i].text);

        CHECK_MSG(s.n_equations == table[i].n && s.n_true == table[i].n_true && s.n_grounded == table[i].n_grounded,
                  "'%s': %zu equations, %zu true, %zu grounded", table[i].text, s.n_equations, s.n_true, s.n_grounded);
    }
}

static void errors_and_corrections(void)
{
    struct steps s = read_steps("There are 3 boxes of 4; 5 are gone.",
                                "3 * 4 = 12\n\n12 - 5 = 8\n\nWait, let me check: 12 - 5 = 7.\n\nThe answer is 7.");

    CHECK(s.n == 4 && s.first_error == 1 && s.n_wrong == 1 && s.n_checks == 1 && s.n_corrected == 1 &&
          s.step[1].corrected);
    s = read_steps("", "3 * 4 = 13\n\n13 + 1 = 14\n\n3 * 4 = 12");
    CHECK(s.first_error == 0 && s.n_corrected == 1);
    s = read_steps("", "3 * 4 = 13\n\n5 * 5 = 25");
    CHECK(s.first_error == 0 && s.n_corrected == 0);
    s = read_steps("", "The waiters checked nothing. 3 + 4 = 7");
    CHECK(s.n_wrong == 0 && s.n_checks == 1);
    s = read_steps("", "The waiters left. 3 + 4 = 7");
    CHECK(s.n_checks == 0);
}

static void loops(void)
{
    struct steps s = read_steps("", "So 1 + 1 = 2.\n\nThen  X.\n\nso 1 + 1 = 2.\n\nthen x.\n\nThen x.\n\nDone");

    CHECK(s.n == 6 && s.n_repeats == 3 && !s.step[0].repeats && s.step[2].repeats && s.step[4].repeats &&
          !s.step[5].repeats);
}

static void signatures(void)
{
    static const struct {
        const char *a, *b;
        double distance;
    } table[] = {{"3 * 4 = 12", "3*4 = 12.0", 0}, {"3 * 4 = 12", "", 1},   {"", "no numbers", 0},
                 {"1 2 3", "2 3 4", 0.5},         {"5 5 5", "5", 2.0 / 3}, {"3 * 4 = 12", "12 = 3 * 4", 1 - 3.0 / 5}};

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct steps_signature a, b;

        CHECK(steps_signature(&a, table[i].a, strlen(table[i].a), &arena, &diag) == STATUS_OK);
        CHECK(steps_signature(&b, table[i].b, strlen(table[i].b), &arena, &diag) == STATUS_OK);
        CHECK_MSG(fabs(steps_distance(&a, &b) - table[i].distance) < 1e-12, "'%s' and '%s': %g", table[i].a, table[i].b,
                  steps_distance(&a, &b));
        CHECK(steps_distance(&a, &b) == steps_distance(&b, &a));
    }
}

static void hostile(void)
{
    static const char *const pieces[] = {"1 + 1 = 2 ", "=",      "((((", "1=",     "\n\n",   "\\frac{",
                                         "<<",         "1 1/2 ", "x",    "a \n\n", "1 000 ", "%"};
    size_t size = test_quick() ? 5000 : 300000;
    char *text = malloc(size);

    for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
        size_t length = strlen(pieces[p]);
        struct arena_mark mark = arena_mark(&arena);
        struct steps_signature signature;
        struct steps steps;

        for (size_t i = 0; i < size; i++)
            text[i] = pieces[p][i % length];
        CHECK(steps_read(&steps, "1 2 3", text, size, &arena, &diag) == STATUS_OK);
        CHECK(steps_signature(&signature, text, size, &arena, &diag) == STATUS_OK);
        arena_release(&arena, mark);
    }
    free(text);
}

static void short_memory(void)
{
    static const char text[] = "3 * 4 = 12\n\n3 * 4 = 12 and \\frac{1}{2} + 1 1/2 = 2";
    enum status status = STATUS_MEMORY;
    size_t live = memory_live();

    for (size_t n = 1; status && n < 200; n++) {
        struct steps_signature signature;
        struct steps steps;
        struct arena own;

        arena_init(&own, "short", 0);
        memory_fail_at(n);
        status = steps_read(&steps, "3 of 4", text, strlen(text), &own, &diag);
        if (!status)
            status = steps_signature(&signature, text, strlen(text), &own, &diag);
        memory_fail_at(0);
        CHECK(status == STATUS_OK || status == STATUS_MEMORY);
        arena_free(&own);
    }
    CHECK(status == STATUS_OK && memory_live() == live);
}

int main(void)
{
    arena_init(&arena, "test", 0);
    RUN(splitting);
    RUN(equations);
    RUN(grounding);
    RUN(grounding_of_chains);
    RUN(errors_and_corrections);
    RUN(loops);
    RUN(signatures);
    RUN(hostile);
    RUN(short_memory);
    arena_free(&arena);
    return TEST_RESULT();
}
