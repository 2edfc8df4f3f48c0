/* test_step_labels.c - what each source says of the steps of a debate, worked out by hand, and what they say together.
 */
#include <math.h>
#include <unistd.h>

#include "debate_steps.h"
#include "stepwise.h"
#include "test.h"

static struct diag diag;
static char path[64] = "/tmp/arklet_labels_XXXXXX", out_path[80];
static struct record_reader reader;
static struct transcript transcript;

static void write_file(const char *text)
{
    FILE *file = fopen(path, "wb");

    CHECK(file && fputs(text, file) >= 0);
    if (file)
        fclose(file);
}

static void read_debate(const char *text)
{
    const struct record *record;

    write_file(text);
    CHECK(record_open(&reader, path, NULL, &diag) == STATUS_OK);
    CHECK(record_next(&reader, &record, &diag) == STATUS_OK && record);
    CHECK_MSG(transcript_read(&transcript, record, &reader.arena, &diag) == STATUS_OK, "%s", diag.message);
}

#define TURN(round, agent, text) "{\"round\":" #round ",\"agent\":" #agent ",\"text\":\"" text "\"}"
#define DEBATE(turns)            "{\"id\":\"d\",\"question\":\"3 boxes of 4, 5 eaten.\",\"gold\":\"7\",\"turns\":[" turns "]}\n"

/* "+-?" for the steps of turn i by these sources. */
static const char *labels_of(struct labelled_turn *turn, const char *sources)
{
    static char text[32];
    size_t k;

    CHECK(step_labels_judge(turn, &transcript, step_labels_named(sources), 0, &reader.arena, &diag) == STATUS_OK);
    for (k = 0; k < turn->n_steps && k < 31; k++)
        text[k] = turn->labels[k] == STEP_UNKNOWN ? '?' : turn->labels[k] ? '+' : '-';
    text[k] = 0;
    return text;
}

/* Agent 0 departs in step 1 (8 is nowhere else), and says so again in step 2. */
static const char *const simple = DEBATE(TURN(0, 0, "3 * 4 = 12\\n\\n12 - 5 = 8\\n\\n#### 8") "," TURN(
    0, 1, "3 * 4 = 12\\n\\nSo:\\n\\n12 - 5 = 7\\n\\n#### 7") "," TURN(1, 0, "3 * 4 = 12\\n\\n12 - 5 = 7\\n\\n#### 7"));

static void sources(void)
{
    static const struct {
        size_t turn;
        const char *sources, *labels;
    } table[] = {
        {0, "outcome", "---"},
        {1, "outcome", "++++"},
        {0, "debate", "+-?"},
        {1, "debate", "++++"},
        {0, "equation", "+-?"},
        {1, "equation", "+?+?"}, /* steps without equations are left to others */
        {0, "debate,equation", "+-?"},
        {1, "debate,equation", "++++"},
        {0, "outcome,debate", "?-?"}, /* they agree on the first error alone */
        {1, "outcome,debate,equation", "++++"},
    };
    struct labelled_turn *turns;
    size_t n;

    read_debate(simple);
    CHECK(step_labels_turns(&turns, &n, &transcript, &reader.arena, &diag) == STATUS_OK && n == 3);
    CHECK(turns[0].n_steps == 3 && turns[1].n_steps == 4 && turns[0].steps[1].length == 10);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *labels = labels_of(&turns[table[i].turn], table[i].sources);

        CHECK_MSG(strcmp(labels, table[i].labels) == 0, "case %zu: %s", i, labels);
    }
    record_close(&reader);
}

/* Shares of continuations that end right: 1, 1/2, 0, 1. */
static void samples(void)
{
    double fractions[4] = {1, 0.5, 0, 1};
    struct labelled_turn *turns;
    size_t n;

    read_debate(simple);
    CHECK(step_labels_turns(&turns, &n, &transcript, &reader.arena, &diag) == STATUS_OK);
    turns[1].fractions = fractions;
    CHECK(strcmp(labels_of(&turns[1], "mc"), "++-?") == 0);
    CHECK(strcmp(labels_of(&turns[1], "outcome,mc"), "++??") == 0);
    CHECK(step_labels_judge(&turns[1], &transcript, STEP_LABELS_MC, 0.5, &reader.arena, &diag) == STATUS_OK);
    CHECK(turns[1].labels[0] == 1 && turns[1].labels[1] == 0 && turns[1].labels[2] == STEP_UNKNOWN);
    fractions[1] = NAN; /* beyond the context */
    CHECK(strcmp(labels_of(&turns[1], "mc"), "+?-?") == 0);
    record_close(&reader);
}

/* Of wrong turns of the last round the right ones beside them are the measure; where nobody is right, there is none. */
static void last_round(void)
{
    struct labelled_turn *turns;
    size_t n;

    read_debate(DEBATE(TURN(0, 0, "3 * 4 = 12\\n\\n12 - 6 = 6\\n\\n#### 6") "," TURN(0, 1, "12 - 5 = 7\\n\\n#### 7")));
    CHECK(step_labels_turns(&turns, &n, &transcript, &reader.arena, &diag) == STATUS_OK && n == 2);
    CHECK(strcmp(labels_of(&turns[0], "debate"), "+-?") == 0);
    CHECK(strcmp(labels_of(&turns[0], "equation"), "++?") == 0);
    CHECK(strcmp(labels_of(&turns[0], "debate,equation"), "+??") == 0); /* 12 - 6 is 6 */
    record_close(&reader);
    read_debate(DEBATE(TURN(0, 0, "3 * 4 = 12\\n\\n#### 6") "," TURN(0, 1, "12 - 6 = 6\\n\\n#### 6")));
    CHECK(step_labels_turns(&turns, &n, &transcript, &reader.arena, &diag) == STATUS_OK && n == 2);
    CHECK(strcmp(labels_of(&turns[0], "debate"), "??") == 0);
    record_close(&reader);
}

/* What the next round's right turns of others name counts before anything else: two say step 1, one step 2. */
static void critique(void)
{
    struct labelled_turn *turns;
    size_t n;

    read_debate(
        DEBATE(TURN(0, 0, "3 * 4 = 12\\n\\n12 - 5 = 8\\n\\n#### 8") "," TURN(0, 1, "12 - 5 = 7\\n\\n#### 7") "," TURN(
            1, 1,
            "Solution 2: none. Solution 1: step 1 is wrong, for reasons.\\n\\n12 - "
            "5 = 7\\n\\n#### 7") "," TURN(1, 2,
                                          "In solution 1 I disagree with step "
                                          "1.\\n\\n#### 7") "," TURN(1, 3,
                                                                     "Solution 1: "
                                                                     "Step "
                                                                     "2.\\n\\n#### "
                                                                     "7") "," TURN(1, 0,
                                                                                   "Solution 1, step 3\\n\\n#### 7")));
    CHECK(step_labels_turns(&turns, &n, &transcript, &reader.arena, &diag) == STATUS_OK);
    CHECK_MSG(strcmp(labels_of(&turns[0], "debate"), "-??") == 0, "%s", labels_of(&turns[0], "debate"));
    record_close(&reader);
}

/* Turns that are cut, of unknown correctness, said before or lean on others are left out. */
static void usable(void)
{
    struct labelled_turn *turns;
    size_t n;

    read_debate("{\"question\":\"Q\",\"gold\":\"7\",\"turns\":["
                "{\"round\":0,\"agent\":0,\"text\":\"#### 7\",\"finish\":\"length\"}," TURN(0, 1, "1 + 6 = 7") "," TURN(
                    1, 0, "1 + 6 = 7") "," TURN(1, 1, "Agent 1 says 7") "," TURN(1, 2, " ") "]}\n");
    CHECK(step_labels_turns(&turns, &n, &transcript, &reader.arena, &diag) == STATUS_OK && n == 1);
    CHECK(turns[0].turn->agent == 1 && turns[0].turn->round == 0);
    record_close(&reader);
}

static void names_and_sums(void)
{
    enum step_verdict all[4] = {VERDICT_RIGHT, VERDICT_SILENT, VERDICT_RIGHT, VERDICT_WRONG};

    CHECK(step_labels_named("outcome") == STEP_LABELS_OUTCOME);
    CHECK(step_labels_named("mc,debate") == (STEP_LABELS_MC | STEP_LABELS_DEBATE));
    CHECK(step_labels_named("equation,equation") == STEP_LABELS_EQUATION);
    CHECK(!step_labels_named("") && !step_labels_named("mc,") && !step_labels_named("debates"));
    CHECK(step_labels_combine(all, 3) == 1 && step_labels_combine(all, 4) == STEP_UNKNOWN);
    CHECK(step_labels_combine(all + 1, 1) == STEP_UNKNOWN && step_labels_combine(all, 0) == STEP_UNKNOWN);
    all[1] = VERDICT_IGNORE;
    CHECK(step_labels_combine(all, 2) == STEP_UNKNOWN && step_labels_combine(all + 3, 1) == 0);
}

/* ---- records ---- */

static struct buffer run(uint64_t skip, int resume)
{
    static struct prompt_style style;
    struct debate_steps_options o = {.sources = STEP_LABELS_DEBATE, .style = &style, .skip = skip};
    struct debate_steps_summary summary;
    struct file_stream out;
    struct buffer written = {0};

    CHECK(file_stream_open(&out, out_path, resume, &diag) == STATUS_OK);
    CHECK_MSG(debate_steps_run(&o, path, &out, &reader, &summary, &diag) == STATUS_OK, "%s", diag.message);
    CHECK(file_stream_close(&out, &diag) == STATUS_OK);
    record_close(&reader);
    CHECK(summary.debates == 3 && summary.turns == 9 && summary.steps == 30);
    CHECK(file_read(&written, out_path, 0, &diag) == STATUS_OK);
    return written;
}

/* Records are read back by stepwise_read; a run cut anywhere ends with the same bytes. */
static void records(void)
{
    struct buffer three = {0}, whole, torn;
    struct stepwise steps;
    const struct json *json;
    struct arena arena;
    uint64_t lines;

    for (int i = 0; i < 3; i++)
        buffer_text(&three, simple);
    write_file(three.data);
    whole = run(0, 0);
    arena_init(&arena, "test", 0);
    CHECK(json_parse(&json, whole.data, (size_t)(strchr(whole.data, '\n') - whole.data), &arena, "out", 1, NULL,
                     &diag) == STATUS_OK);
    CHECK(stepwise_read(&steps, json, &arena, "out:1", &diag) == STATUS_OK);
    CHECK(steps.n_steps == 3 && steps.correct == 0 && stepwise_first_error(&steps) == 1 && steps.labels[2] == -1);
    CHECK(strcmp(steps.steps[1]->text, "12 - 5 = 8") == 0);
    CHECK(strcmp(steps.prompt->text, "Question: 3 boxes of 4, 5 eaten.\n\nSolution:\n\n") == 0);
    arena_free(&arena);
    for (size_t cut = 0; cut < whole.length; cut += 37) {
        char saved = whole.data[cut];
        FILE *file = fopen(out_path, "wb");

        CHECK(file && fwrite(whole.data, 1, cut, file) == cut);
        if (file)
            fclose(file);
        whole.data[cut] = 0;
        lines = 0;
        for (const char *c = whole.data; (c = strchr(c, '\n')) != NULL; c++)
            lines++;
        whole.data[cut] = saved;
        torn = run(lines, 1);
        CHECK_MSG(torn.length == whole.length && memcmp(torn.data, whole.data, whole.length) == 0, "cut at %zu", cut);
        buffer_free(&torn);
    }
    buffer_free(&whole);
    buffer_free(&three);
}

/* The n-th allocation fails: a clear failure, and everything is freed. */
static void out_of_memory(void)
{
    static struct prompt_style style;
    struct debate_steps_options o = {.sources = STEP_LABELS_DEBATE | STEP_LABELS_EQUATION, .style = &style};
    struct debate_steps_summary summary;
    enum status status = STATUS_MEMORY;
    size_t n = 0;

    write_file(simple);
    while (status && n < 10000) {
        struct record_reader records = {.stream = {.fd = -1}};
        struct file_stream out;
        size_t live = memory_live();

        memory_fail_at(++n);
        status = file_stream_open(&out, out_path, 0, &diag);
        if (!status) {
            status = debate_steps_run(&o, path, &out, &records, &summary, &diag);
            record_close(&records);
            file_stream_close(&out, NULL);
        }
        memory_fail_at(0);
        CHECK_MSG(memory_live() == live, "allocation %zu: not all was freed", n);
        CHECK_MSG(!status || status == STATUS_MEMORY, "allocation %zu: %s", n, diag.message);
    }
    CHECK_MSG(n > 20 && n < 10000, "%zu allocations", n);
}

int main(void)
{
    int fd = mkstemp(path);

    if (fd >= 0)
        close(fd);
    snprintf(out_path, sizeof out_path, "%s.out", path);
    RUN(sources);
    RUN(samples);
    RUN(last_round);
    RUN(critique);
    RUN(usable);
    RUN(names_and_sums);
    RUN(records);
    RUN(out_of_memory);
    unlink(path);
    unlink(out_path);
    return TEST_RESULT();
}
