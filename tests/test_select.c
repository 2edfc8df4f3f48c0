/* test_select.c - traces from debates, worked out by hand: who is kept, which turns, in what order and form. */
#include <unistd.h>

#include "departure.h"
#include "select.h"
#include "test.h"

static struct diag diag;
static char in_path[64] = "/tmp/arklet_select_XXXXXX", out_path[80];
static struct buffer written;
static struct select_summary summary;

static void write_file(const char *text)
{
    FILE *file = fopen(in_path, "wb");

    CHECK(file && fputs(text, file) >= 0);
    if (file)
        fclose(file);
}

static struct select_options plain_options(enum select_strategy strategy)
{
    static struct prompt_style style;
    struct select_options o = {.strategy = strategy, .k = 3, .min_correct = 2, .distance = 0.3, .max_spliced = 0.15};

    o.style = &style;
    return o;
}

/* Selects from the file and reads the output into `written`. */
static enum status run(const struct select_options *options)
{
    struct record_reader reader;
    struct file_rewrite out;
    enum status status = file_rewrite_open(&out, out_path, &diag);

    CHECK(status == STATUS_OK);
    status = select_run(options, in_path, &out, &reader, &summary, &diag);
    CHECK(file_rewrite_close(&out, !status, NULL) == STATUS_OK);
    record_close(&reader);
    buffer_clear(&written);
    CHECK(file_read(&written, out_path, 0, NULL) == STATUS_OK);
    if (!written.data)
        buffer_text(&written, "");
    return status;
}

/* "kind id weight [[source]]" of every trace, one a line. */
static const char *outline(void)
{
    static char text[2000];
    struct arena arena;
    char *line = written.data, *end;
    size_t length = 0;

    arena_init(&arena, "test", 0);
    text[0] = 0;
    for (; line && (end = strchr(line, '\n')) != NULL; line = end + 1) {
        const struct json *trace, *source;

        CHECK(json_parse(&trace, line, (size_t)(end - line), &arena, "out", 1, NULL, &diag) == STATUS_OK);
        length += (size_t)snprintf(text + length, sizeof text - length, "%s %s %.3f", json_string(trace, "kind", "?"),
                                   json_string(trace, "id", "?"), json_number(trace, "weight", -1));
        source = json_get(trace, "source");
        for (source = source ? source->child : NULL; source; source = source->next)
            length += (size_t)snprintf(text + length, sizeof text - length, " %g.%g", source->child->number,
                                       source->child->next->number);
        length += (size_t)snprintf(text + length, sizeof text - length, "\n");
    }
    arena_free(&arena);
    return text;
}

#define TURN(round, agent, text) "{\"round\":" #round ",\"agent\":" #agent ",\"text\":\"" text "\"}"
#define DEBATE(id, question, gold, turns)                                                                              \
    "{\"id\":\"" id "\",\"question\":\"" question "\",\"gold\":\"" gold "\",\"turns\":[" turns "]}\n"

/* Three ways to 12, of which one is said twice in other words, and a wrong one that is corrected. */
#define WAY_A     "3 * 4 = 12\\n\\n#### 12"
#define WAY_A2    "First 3 * 4 = 12, so it is this:\\n\\n#### 12"
#define WAY_B     "4 + 4 = 8, and then 8 + 4 = 12\\n\\n#### 12"
#define WAY_WRONG "3 * 4 = 13\\n\\n13 it is.\\n\\n#### 13"

static const char *const debates =
    DEBATE("a", "There are 3 boxes of 4.", "12",
           TURN(0, 0, WAY_A) "," TURN(0, 1, WAY_WRONG) "," TURN(0, 2, WAY_B) "," TURN(1, 0, WAY_A) "," TURN(
               1, 1, WAY_A2) "," TURN(1, 2, "As agent 1 says, 3 * 4 = 12\\n\\n#### 12"))
    /* one right agent in the end: agent 0 falls back */
    DEBATE("b", "There are 3 boxes of 4.", "12",
           TURN(0, 0, WAY_A) "," TURN(0, 1, WAY_WRONG) "," TURN(1, 0, WAY_WRONG) "," TURN(1, 1, WAY_B));

static void rsft(void)
{
    struct select_options o = plain_options(SELECT_RSFT);

    write_file(debates);
    CHECK_MSG(run(&o) == STATUS_OK, "%s", diag.message);
    CHECK_MSG(strcmp(outline(), "consensus a 1.000 0.0\n") == 0, "%s", outline());
    CHECK(summary.debates == 2 && summary.kept == 1 && summary.few_correct == 1);
    CHECK(strstr(written.data,
                 "\"prompt\":\"Question: There are 3 boxes of 4.\\n\\nSolution:\\n\\n\",\"completion\":\"3 "
                 "* 4 = 12\\n\\n#### 12\""));
    o.min_correct = 1;
    CHECK(run(&o) == STATUS_OK);
    CHECK_MSG(strcmp(outline(), "consensus a 1.000 0.0\nconsensus b 1.000 0.0\n") == 0, "%s", outline());
}

/* Of debate a: 0.0 and 1.0 are the same words; 1.2 leans on an agent; 1.1 has the equation and numbers of 0.0: {3*4=12,
 * 3, 4, 12, 12}, distance 0; 0.2 has {4+4=8, 8+4=12, 4, 4, 8, 8, 4, 12, 12}: of 14 - 3 = 11 numbers and equations
 * together 3 are common (4, 12, 12), distance 8/11. */
static void diverse(void)
{
    struct select_options o = plain_options(SELECT_DA);

    write_file(debates);
    CHECK(run(&o) == STATUS_OK);
    CHECK_MSG(strcmp(outline(), "consensus a 0.500 0.0\nconsensus a 0.500 0.2\n") == 0, "%s", outline());
    CHECK(summary.left_out[SELECT_WRONG] == 1 && summary.left_out[SELECT_LEANS] == 1);
    CHECK(summary.left_out[SELECT_DUPLICATE] == 1 && summary.left_out[SELECT_SIMILAR] == 1);
    o.distance = 8.0 / 11 + 1e-9;
    CHECK(run(&o) == STATUS_OK);
    CHECK_MSG(strcmp(outline(), "consensus a 1.000 0.0\n") == 0, "%s", outline());
    o.distance = 8.0 / 11 - 1e-9;
    CHECK(run(&o) == STATUS_OK);
    CHECK_MSG(strcmp(outline(), "consensus a 0.500 0.0\nconsensus a 0.500 0.2\n") == 0, "%s", outline());
    o.distance = 0; /* then also what is near, up to k */
    CHECK(run(&o) == STATUS_OK);
    CHECK_MSG(strcmp(outline(), "consensus a 0.333 0.0\nconsensus a 0.333 0.2\ncorrective a 0.333 1.1\n") == 0, "%s",
              outline());
    o.k = 2;
    CHECK(run(&o) == STATUS_OK);
    CHECK_MSG(strcmp(outline(), "consensus a 0.500 0.0\nconsensus a 0.500 0.2\n") == 0, "%s", outline());
    CHECK(summary.left_out[SELECT_SURPLUS] == 1);
}

static void answer_and_sampled(void)
{
    struct select_options o = plain_options(SELECT_ANSWER);

    write_file(debates);
    CHECK(run(&o) == STATUS_OK);
    CHECK_MSG(strcmp(outline(), "answer a 1.000\n") == 0, "%s", outline());
    CHECK(strstr(written.data, "\"completion\":\"#### 12\""));
    o = plain_options(SELECT_SAMPLED);
    o.distance = 0;
    CHECK(run(&o) == STATUS_OK);
    CHECK_MSG(strcmp(outline(), "sampled a 0.500 0.0\nsampled a 0.500 0.2\n") == 0, "%s", outline());
    CHECK(summary.left_out[SELECT_UNUSED] == 3 && summary.left_out[SELECT_DROPPED] == 4);
}

/* A budget of 25 tokens pays for agents 0 and 1 (10 each), not for agent 2; turns that were cut count nothing. */
static void budget(void)
{
    struct select_options o = plain_options(SELECT_SAMPLED);

    write_file("{\"id\":\"a\",\"question\":\"Q\",\"gold\":\"12\",\"turns\":["
               "{\"round\":0,\"agent\":0,\"text\":\"" WAY_A "\",\"finish\":\"stop\",\"tokens\":10},"
               "{\"round\":0,\"agent\":1,\"text\":\"" WAY_B "\",\"finish\":\"length\",\"tokens\":10},"
               "{\"round\":0,\"agent\":2,\"text\":\"" WAY_B "\",\"finish\":\"stop\",\"tokens\":10},"
               "{\"round\":1,\"agent\":2,\"text\":\"" WAY_B "\",\"finish\":\"stop\",\"tokens\":7}]}\n");
    o.budget = 25;
    CHECK(run(&o) == STATUS_OK);
    CHECK_MSG(strcmp(outline(), "sampled a 1.000 0.0\n") == 0, "%s", outline());
    CHECK(summary.left_out[SELECT_TRUNCATED] == 1 && summary.left_out[SELECT_UNUSED] == 2);
    CHECK(summary.debate_tokens == 37 && summary.first_tokens == 30);
    o.budget = 30;
    CHECK(run(&o) == STATUS_OK);
    CHECK_MSG(strcmp(outline(), "sampled a 0.500 0.0\nsampled a 0.500 0.2\n") == 0, "%s", outline());
}

/* The budget of a debate is what another one on its question generated: 25 tokens for a, in spite of what stands
 * between.
 */
static void matched(void)
{
    struct select_options o = plain_options(SELECT_SAMPLED);
    static const char *const four = "{\"id\":\"a\",\"question\":\"Q\",\"gold\":\"12\",\"turns\":["
                                    "{\"round\":0,\"agent\":0,\"text\":\"" WAY_A "\",\"tokens\":10},"
                                    "{\"round\":0,\"agent\":1,\"text\":\"" WAY_B "\",\"tokens\":15},"
                                    "{\"round\":0,\"agent\":2,\"text\":\"6 + 6 = 12\",\"tokens\":1}]}\n";
    char match[96];
    FILE *file;

    snprintf(match, sizeof match, "%s.match", in_path);
    file = fopen(match, "wb");
    CHECK(file && fprintf(file, "{\"id\":\"z\",\"question\":\"Q\",\"turns\":[]}\n{\"id\":\"a\",\"question\":\"Q\","
                                "\"turns\":[{\"round\":0,\"agent\":0,\"text\":\"\",\"tokens\":11},"
                                "{\"round\":1,\"agent\":0,\"text\":\"\",\"tokens\":14}]}\n") > 0);
    if (file)
        fclose(file);
    o.match = match;
    write_file(four);
    CHECK_MSG(run(&o) == STATUS_OK, "%s", diag.message);
    CHECK_MSG(strcmp(outline(), "sampled a 0.500 0.0\nsampled a 0.500 0.1\n") == 0, "%s", outline());
    write_file(debates);
    CHECK(run(&o) == STATUS_RANGE && strstr(diag.message, "expected a debate with the id b"));
    unlink(match);
}

/* Bare answers only where nothing else is to be had; the shorter of two in tokens when they are known. */
static void bare_and_short(void)
{
    struct select_options o = plain_options(SELECT_RSFT);

    write_file(DEBATE("a", "Q", "12", TURN(0, 0, "#### 12") "," TURN(0, 1, WAY_B))
                   DEBATE("b", "Q", "12", TURN(0, 0, "It is 12") "," TURN(0, 1, "#### 12")));
    CHECK(run(&o) == STATUS_OK);
    CHECK_MSG(strcmp(outline(), "consensus a 1.000 0.1\nconsensus b 1.000 0.1\n") == 0, "%s", outline());
    CHECK(summary.left_out[SELECT_BARE] == 1);
    write_file("{\"id\":\"a\",\"question\":\"Q\",\"gold\":\"12\",\"turns\":["
               "{\"round\":0,\"agent\":0,\"text\":\"" WAY_A "\",\"tokens\":30},"
               "{\"round\":0,\"agent\":1,\"text\":\"" WAY_B "\",\"tokens\":20}]}\n");
    CHECK(run(&o) == STATUS_OK);
    CHECK_MSG(strcmp(outline(), "consensus a 1.000 0.1\n") == 0, "%s", outline());
}

/* Agent 1 goes wrong at its first step (3 * 4 = 13), so the splice ends there. */
static void spliced(void)
{
    struct select_options o = plain_options(SELECT_RSFT);

    write_file(debates);
    o.spliced = 1;
    CHECK(run(&o) == STATUS_OK);
    CHECK_MSG(strcmp(outline(), "consensus a 0.500 0.0\nspliced a 0.500 0.1 1.1\n") == 0, "%s", outline());
    CHECK(strstr(written.data,
                 "\"segments\":[{\"text\":\"Question: There are 3 boxes of 4.\\n\\nSolution:\\n\\n\",\"weight\":0},"
                 "{\"text\":\"3 * 4 = 13\\n\\n\",\"weight\":0},{\"text\":\"Wait, this step is not right. I work it out "
                 "again.\\n\\nFirst 3 * 4 = 12, so it is this:\\n\\n#### 12\",\"weight\":0.5}]"));
    CHECK(strstr(written.data, "\"completion\":\"3 * 4 = 13\\n\\nWait, this step"));
}

/* The bound: a second spliced trace waits until there are bytes enough. The first question's two completions are 19 and
 * 99 bytes. */
static void splice_bound(void)
{
    struct select_options o = plain_options(SELECT_RSFT);
    struct buffer many = {0};
    double bytes;

    for (int i = 0; i < 40; i++)
        buffer_append(&many, debates, (size_t)(strchr(debates, '\n') + 1 - debates));
    write_file(many.data);
    o.spliced = 1;
    CHECK(run(&o) == STATUS_OK);
    bytes = (double)summary.bytes;
    CHECK(summary.kept == 40 && summary.spliced + summary.splice_bound == 40);
    CHECK_MSG(summary.spliced > 1 && (double)summary.spliced_bytes - 110 <= 0.15 * bytes &&
                  (double)summary.spliced_bytes > 0.10 * bytes,
              "%d of %d bytes", (int)summary.spliced_bytes, (int)summary.bytes);
    buffer_free(&many);
}

/* Shards with spliced traces too concatenate to the whole, and sum up to it. */
static void shards(void)
{
    struct select_options o = plain_options(SELECT_DA);
    struct buffer many = {0}, whole = {0}, parts = {0};
    uint64_t kept = 0;

    for (int i = 0; i < 23; i++)
        buffer_append(&many, debates, strlen(debates));
    write_file(many.data);
    o.spliced = 1;
    CHECK(run(&o) == STATUS_OK);
    buffer_append(&whole, written.data, written.length);
    o.records.n_shards = 5;
    for (o.records.shard = 1; o.records.shard <= 5; o.records.shard++) {
        CHECK(run(&o) == STATUS_OK);
        buffer_append(&parts, written.data, written.length);
        kept += summary.kept;
    }
    CHECK(kept == 23 && whole.length && parts.length == whole.length &&
          memcmp(parts.data, whole.data, whole.length) == 0);
    buffer_free(&many);
    buffer_free(&whole);
    buffer_free(&parts);
}

static void refused(void)
{
    struct select_options o = plain_options(SELECT_DA);

    write_file("{\"id\":\"a\",\"question\":\"Q\",\"gold\":\"12\",\"turns\":[" TURN(
        0, 0, WAY_A) "]}\n{\"question\":\"Q\",\"turns\":[" TURN(0, 0, WAY_A) "]}\n");
    o.min_correct = 1;
    CHECK(run(&o) == STATUS_FORMAT);
    CHECK_MSG(strstr(diag.message, ":2: \"gold\": expected an answer"), "%s", diag.message);
    CHECK_MSG(strcmp(outline(), "consensus a 1.000 0.0\n") == 0, "%s", outline()); /* what was written stays */
    o.records.skip_bad = 1;
    CHECK(run(&o) == STATUS_OK && summary.kept == 1);
}

/* The n-th allocation fails: a clear failure, everything freed, and what was written stays a beginning of the output.
 */
static void out_of_memory(void)
{
    struct select_options o = plain_options(SELECT_DA);
    enum status status = STATUS_MEMORY;
    size_t n = 0;

    write_file(debates);
    o.spliced = 1;
    o.distance = 0;
    while (status && n < 10000) {
        struct record_reader reader = {.stream = {.fd = -1}};
        struct file_rewrite out;
        size_t live = memory_live();

        unlink(out_path);
        memory_fail_at(++n);
        status = file_rewrite_open(&out, out_path, &diag);
        if (!status) {
            status = select_run(&o, in_path, &out, &reader, &summary, &diag);
            record_close(&reader);
            if (file_rewrite_close(&out, !status, NULL) && !status)
                status = STATUS_MEMORY;
        }
        memory_fail_at(0);
        CHECK_MSG(memory_live() == live, "allocation %zu: %zu blocks were not freed", n, memory_live() - live);
        CHECK_MSG(!status || (status == STATUS_MEMORY && strstr(diag.message, "memory")), "allocation %zu: %s", n,
                  diag.message);
    }
    CHECK_MSG(n > 20 && n < 10000, "%zu allocations", n);
}

/* ---- where solutions depart, and what stands alone ---- */

static void departing(void)
{
    static const struct {
        const char *reference, *solution;
        size_t step; /* SIZE_MAX: none */
    } table[] = {
        {"3 * 4 = 12\n\n12 - 5 = 7", "3 * 4 = 12\n\n12 - 5 = 8\n\n#### 8", 1},
        {"3 * 4 = 12\n\n12 - 5 = 7", "3 * 4 = 12\n\n12 - 5 = 7\n\n#### 7", SIZE_MAX},
        {"3 * 4 = 12", "1. 4 * 3 = 12\n2. so 12.0\n\nStep 9: 12\n\n#### 12", SIZE_MAX},
        {"3 * 4 = 12", "It is 0.12 or 12%.\n\n9 is more", 1},
        {"", "7", 0},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct departure_text reference = {table[i].reference, strlen(table[i].reference)};
        struct departure_text solution = {table[i].solution, strlen(table[i].solution)};
        size_t step;

        CHECK(departure_find(&step, "There are 3 boxes of 4, and 5 are eaten.", &reference, 1, &solution, &diag) ==
              STATUS_OK);
        CHECK_MSG(step == table[i].step, "case %zu: step %zd", i, (ssize_t)step);
        CHECK(departure_find(&step, "Q", NULL, 0, &solution, &diag) == STATUS_OK && step == SIZE_MAX);
    }
}

static void standing_alone(void)
{
    static const struct {
        const char *text, *alone; /* "": nothing */
    } table[] = {
        {" 3 * 4 = 12 ", "3 * 4 = 12"},
        {"The other agents are right about the 3 boxes:\n\n3 * 4 = 12", "3 * 4 = 12"},
        {"The other agents say 12:\n\n3 * 4 = 12", ""}, /* 12 is news */
        {"3 * 4 = 12\n\nSolution 2 says so too.", ""},
        {"I agree with agent 2:\n\nas the other solutions say.", ""},
        {"Agentic solution: 3", "Agentic solution: 3"},
        {"", ""},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct departure_text alone;

        CHECK(departure_alone(&alone, "3 boxes of 4?", table[i].text, strlen(table[i].text), &diag) == STATUS_OK);
        CHECK_MSG(alone.length == strlen(table[i].alone) && memcmp(alone.text, table[i].alone, alone.length) == 0,
                  "case %zu: '%.*s'", i, (int)alone.length, alone.text);
    }
}

int main(void)
{
    int fd = mkstemp(in_path);

    if (fd >= 0)
        close(fd);
    snprintf(out_path, sizeof out_path, "%s.out", in_path);
    RUN(rsft);
    RUN(diverse);
    RUN(answer_and_sampled);
    RUN(budget);
    RUN(matched);
    RUN(bare_and_short);
    RUN(spliced);
    RUN(splice_bound);
    RUN(shards);
    RUN(refused);
    RUN(out_of_memory);
    RUN(departing);
    RUN(standing_alone);
    unlink(in_path);
    unlink(out_path);
    buffer_free(&written);
    return TEST_RESULT();
}
