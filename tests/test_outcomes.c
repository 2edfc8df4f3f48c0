/* test_outcomes.c - evaluations read back, joined and compared; majority votes; outputs that are continued. */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "file.h"
#include "outcomes.h"
#include "resume.h"
#include "test.h"
#include "vote.h"

static struct diag diag;
static char path[64], other_path[64];

static void write_file(const char *name, const char *text)
{
    CHECK(file_save(name, text, strlen(text), &diag) == STATUS_OK);
}

static int read_text(struct outcomes *o, const char *text)
{
    write_file(path, text);
    return outcomes_read(o, path, &diag);
}

static double mean_of(const struct outcomes *o, enum outcome_measure measure, size_t n)
{
    struct stats_interval interval;
    size_t found;

    CHECK(outcomes_interval(&interval, &found, o, measure, &diag) == STATUS_OK);
    CHECK_MSG(found == n, "%zu of %zu", found, n);
    CHECK(interval.low <= interval.mean && interval.mean <= interval.high);
    return interval.mean;
}

static void kinds(void)
{
    struct outcomes o = {0};

    CHECK(read_text(&o, "{\"id\":1,\"correct\":true,\"tokens\":10,\"prediction\":\"4\",\"finish\":\"stop\"}\n"
                        "{\"id\":2,\"correct\":false,\"tokens\":20,\"prediction\":null,\"finish\":\"length\"}\n"
                        "{\"id\":3,\"correct\":null,\"tokens\":5,\"prediction\":\"x\"}\n"
                        "{\"id\":4,\"correct\":false,\"em\":0,\"f1\":0.5}\n"
                        "{\"id\":5,\"correct\":true,\"em\":1,\"f1\":1}\n"
                        "{\"id\":6,\"correct\":false,\"rouge1\":0.6,\"rouge2\":0.2,\"rougeL\":0.4}\n") == STATUS_OK);
    CHECK(o.records == 6 && o.n == 5 && o.tokens == 35 && o.unanswered == 1 && o.truncated == 1);
    CHECK(mean_of(&o, OUTCOME_ACCURACY, 2) == 0.5);
    CHECK(mean_of(&o, OUTCOME_EM, 2) == 0.5 && mean_of(&o, OUTCOME_F1, 2) == 0.75);
    CHECK(mean_of(&o, OUTCOME_ROUGE1, 1) == 0.6 && mean_of(&o, OUTCOME_ROUGEL, 1) == 0.4);
    CHECK(mean_of(&o, OUTCOME_SAMPLE, 0) == 0);
    outcomes_free(&o);
}

/* Two agents; the first debate ends after round 0 and keeps its answers, the second corrects one. */
static void rounds(void)
{
    struct outcomes o = {0};
    struct buffer table = {0};

    CHECK(read_text(
              &o, "{\"id\":1,\"turns\":[{\"round\":0,\"correct\":true,\"tokens\":3},{\"round\":0,\"correct\":true,"
                  "\"tokens\":4}],\"vote\":{\"correct\":true}}\n"
                  "{\"id\":2,\"turns\":[{\"round\":0,\"correct\":false},{\"round\":0,\"correct\":false},"
                  "{\"round\":1,\"correct\":true},{\"round\":1,\"correct\":false}],\"vote\":{\"correct\":false}}\n") ==
          STATUS_OK);
    CHECK(mean_of(&o, OUTCOME_ACCURACY, 2) == 0.5 && mean_of(&o, OUTCOME_SAMPLE, 2) == 0.5);
    CHECK(mean_of(&o, OUTCOME_ANY, 2) == 0.5 && mean_of(&o, OUTCOME_ROUND, 2) == 0.75 && o.tokens == 7);
    CHECK(outcomes_put(&table, &o, NULL, &diag) == STATUS_OK);
    CHECK(strstr(table.data, "mean_agent_round_1 ") && !strstr(table.data, "mean_agent_round_2"));
    buffer_free(&table);
    outcomes_free(&o);
}

/* Joined by id, whatever the order; of an id that comes twice the first goes with the first. */
static void comparison(void)
{
    struct outcomes a = {0}, b = {0};
    struct outcome_comparison c;

    CHECK(read_text(&a, "{\"id\":\"p\",\"correct\":true}\n{\"id\":\"q\",\"correct\":true}\n{\"id\":\"q\",\"correct\":"
                        "false}\n{\"id\":\"r\",\"correct\":true}\n{\"id\":\"s\",\"correct\":true}\n") == STATUS_OK);
    CHECK(read_text(&b, "{\"id\":\"r\",\"correct\":false}\n{\"id\":\"q\",\"correct\":false}\n{\"id\":\"q\",\"correct\":"
                        "true}\n{\"id\":\"t\",\"correct\":true}\n{\"id\":\"p\",\"correct\":true}\n") == STATUS_OK);
    CHECK(outcomes_compare(&c, &a, &b, &diag) == STATUS_OK);
    CHECK(c.n == 4 && c.left == 1 && c.right == 1 && c.n_binary == 4 && c.only_left == 2 && c.only_right == 1);
    CHECK(c.mean == 0.75 && c.other == 0.5 && c.paired.difference.mean == 0.25 && c.mcnemar == 1);
    outcomes_free(&a);
    outcomes_free(&b);
}

/* Of outputs that bring no step metrics they are worked out: 3 equations, 2 true; one output of two without an error.
 */
static void process(void)
{
    struct outcomes o = {.process = 1};

    CHECK(read_text(&o,
                    "{\"id\":1,\"question\":\"3 and 4\",\"output\":\"3 + 4 = 7\\n\\nWait, 7 - 3 = 4.\",\"correct\":"
                    "true}\n{\"id\":2,\"question\":\"3\",\"output\":\"3 + 3 = 7\",\"correct\":false}\n") == STATUS_OK);
    CHECK(o.sums.outputs == 2 && o.sums.equations == 3 && o.sums.true_equations == 2 && o.sums.with_error == 1);
    CHECK(o.sums.first_error_sum == 1 && o.sums.with_check == 1 && o.sums.steps == 3);
    outcomes_free(&o);
    o.process = 1;
    CHECK(read_text(&o, "{\"id\":1,\"correct\":true,\"process\":{\"steps\":4,\"equations\":5,\"true\":3,\"grounded\":2,"
                        "\"first_error\":2,\"wrong\":2,\"corrected\":1,\"checks\":3,\"repeats\":1}}\n") == STATUS_OK);
    CHECK(o.sums.steps == 4 && o.sums.equations == 5 && o.sums.true_equations == 3 && o.sums.grounded == 2);
    CHECK(o.sums.wrong == 2 && o.sums.corrected == 1 && o.sums.repeats == 1 && o.sums.first_error_sum == 3);
    outcomes_free(&o);
}

static void bad_records(void)
{
    struct outcomes o = {0};

    CHECK(read_text(&o, "{\"id\":1,\"correct\":true}\n{\"id\":2,\"question\":\"x\"}\n") == STATUS_FORMAT);
    CHECK_MSG(strstr(diag.message, ":2: ") && strstr(diag.message, "correct"), "%s", diag.message);
    outcomes_free(&o);
    CHECK(read_text(&o, "{\"id\":1,\"correct\":tr") == STATUS_FORMAT);
    outcomes_free(&o);
    CHECK(read_text(&o, "{\"id\":1,\"correct\":\"yes\",\"turns\":3,\"samples\":7,\"vote\":[],\"em\":null}\n") ==
          STATUS_OK);
    outcomes_free(&o);
}

static void votes(void)
{
    static const char *const golds[] = {"4"};
    struct answer_key key = {ANSWER_NUMBER, golds, 1, NULL, 0};
    struct ballot ballots[] = {{NULL, -0.1}, {"3", -0.5}, {"4", -0.9}, {"4.0", -0.4}, {"3", -1.0}};
    size_t count;

    /* 3 has a mean of -0.75, 4 of -0.65: the tie is 4's */
    CHECK(vote_majority(&key, ballots, 5, &count) == 2 && count == 2);
    ballots[1].logprob = -0.2; /* -0.6 */
    CHECK(vote_majority(&key, ballots, 5, &count) == 1 && count == 2);
    ballots[1].logprob = -0.3; /* equal: the one that came first */
    CHECK(vote_majority(&key, ballots, 5, &count) == 1 && count == 2);
    CHECK(vote_majority(&key, ballots, 1, &count) == 1 && count == 0);
}

/* The output's records are passed over in step with the input; others are an error. */
static void resumed(void)
{
    static const char *const ids[] = {"a", "7", "c"};
    struct file_stream out;
    struct resume resume = {0};
    int held[3];

    write_file(other_path, "{\"v\":1,\"id\":\"a\"}\n{\"id\":7}\n{\"id\":\"to");
    CHECK(file_stream_open(&out, other_path, 1, &diag) == STATUS_OK);
    CHECK(resume_open(&resume, &out, &diag) == STATUS_OK);
    for (int i = 0; i < 3; i++)
        CHECK(resume_next(&resume, ids[i], &held[i], &diag) == STATUS_OK);
    CHECK(held[0] && held[1] && !held[2] && resume.n == 2 && resume_end(&resume, &diag) == STATUS_OK);
    CHECK(resume_open(&resume, &out, &diag) == STATUS_OK && resume_next(&resume, "b", held, &diag) == STATUS_FORMAT);
    CHECK_MSG(strstr(diag.message, ":1: expected the record of \"b\", found a"), "%s", diag.message);
    resume_close(&resume);
    CHECK(resume_open(&resume, &out, &diag) == STATUS_OK && resume_next(&resume, "a", held, &diag) == STATUS_OK);
    CHECK(resume_end(&resume, &diag) == STATUS_FORMAT);
    resume_close(&resume);
    CHECK(file_stream_close(&out, &diag) == STATUS_OK);
}

static void no_memory(void)
{
    size_t n, live = memory_live();

    write_file(path, "{\"id\":1,\"correct\":true,\"samples\":[{\"correct\":true}]}\n{\"id\":2,\"correct\":false}\n");
    for (n = 1; n < 200; n++) {
        struct outcomes a = {.process = 1}, b = {0};
        struct outcome_comparison c;
        struct buffer table = {0}, json = {0};
        enum status status;

        memory_fail_at(n);
        status = outcomes_read(&a, path, &diag);
        if (!status)
            status = outcomes_read(&b, path, &diag);
        if (!status)
            status = outcomes_compare(&c, &a, &b, &diag);
        if (!status)
            status = outcomes_put(&table, &a, &c, &diag);
        if (!status)
            status = outcomes_put_json(&json, &a, &c, &diag);
        memory_fail_at(0);
        buffer_free(&table);
        buffer_free(&json);
        outcomes_free(&a);
        outcomes_free(&b);
        CHECK(status == STATUS_OK || status == STATUS_MEMORY);
        CHECK_MSG(memory_live() == live, "%zu blocks left at %zu", memory_live() - live, n);
        if (!status)
            break;
    }
    CHECK_MSG(n > 10 && n < 200, "%zu", n);
}

int main(void)
{
    snprintf(path, sizeof path, "/tmp/arklet_outcomes_%ld.jsonl", (long)getpid());
    snprintf(other_path, sizeof other_path, "/tmp/arklet_outcomes_%ld_o.jsonl", (long)getpid());
    RUN(kinds);
    RUN(rounds);
    RUN(comparison);
    RUN(process);
    RUN(bad_records);
    RUN(votes);
    RUN(resumed);
    RUN(no_memory);
    unlink(path);
    unlink(other_path);
    return TEST_RESULT();
}
