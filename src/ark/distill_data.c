/* distill_data.c - the stages that make data: the split of the questions, the debate, samples at its cost, traces. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "debate.h"
#include "distill_parts.h"
#include "file.h"
#include "record.h"
#include "rng.h"
#include "select.h"

/* ---- split ---- */

struct split {
    struct distill *d;
    struct file_writer train, dev, test; /* {0}: of no file */
    uint64_t n, n_dev, n_test;           /* records; of them for dev and test, when no file is given for these */
    uint64_t written[3];
    uint64_t *questions; /* [n]: hash of each record's question, its upper half, over the record's number; ascending */
    struct buffer line;
};

#define RECORD_NUMBER 0xFFFFFFFFu /* the lower half of an entry of split.questions */

/* The upper half of an entry: what is asked. */
static uint64_t hash_of(const struct record *record)
{
    return rng_hash(json_string(record->json, "question", record->id)) & ~(uint64_t)RECORD_NUMBER;
}

static enum status note_question(struct split *s, const struct record *record, struct diag *diag)
{
    if ((s->n & (s->n - 1)) == 0) { /* room for a power of two */
        uint64_t *grown = memory_grow(s->questions, (s->n ? 2 * s->n : 1) * sizeof *grown);

        if (!grown)
            return distill_no_memory(diag);
        s->questions = grown;
    }
    s->questions[s->n] = hash_of(record) | (s->n & RECORD_NUMBER);
    s->n++;
    return STATUS_OK;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static enum status count_records(struct split *s, struct diag *diag)
{
    struct record_options options = {.skip_bad = s->d->options->skip_bad};
    struct record_reader reader;
    const struct record *record;
    enum status status = record_open(&reader, s->d->options->questions, &options, diag);

    while (!status && !(status = record_next(&reader, &record, diag)) && record)
        status = note_question(s, record, diag);
    record_close(&reader);
    if (!status && s->n)
        qsort(s->questions, s->n, sizeof *s->questions, ascending);
    return status;
}

/* The number of the first record with this question. */
static uint64_t first_of(const struct split *s, const struct record *record)
{
    uint64_t hash = hash_of(record);
    size_t low = 0, high = s->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (s->questions[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return s->questions[low] & RECORD_NUMBER;
}

/* The record as it stood, with the id by which all later records know it. */
static enum status put_record(struct buffer *line, struct file_writer *out, const struct record *record,
                              struct diag *diag)
{
    int has_id = json_get(record->json, "id") != NULL;
    struct buffer whole = {0};

    buffer_clear(line);
    if (!has_id) {
        buffer_text(line, "{\"id\":");
        record_put_id(line, record);
        buffer_text(line, record->json->child ? "," : "");
    }
    json_put(&whole, record->json);
    buffer_append(line, whole.data ? whole.data + !has_id : "", whole.length - (size_t)(!has_id && whole.length));
    line->failed |= whole.failed;
    buffer_free(&whole);
    buffer_byte(line, '\n');
    return line->failed ? distill_no_memory(diag) : file_write(out, line->data, line->length, diag);
}

/* A record goes where a permutation of all records puts the first one with its question: the first places are dev's,
 * the next test's. So a question that is there twice is in one part. */
static struct file_writer *place_of(struct split *s, const struct record *record)
{
    uint64_t place = rng_permute(s->d->options->sampling.seed, RNG_SELECT, 0, first_of(s, record), s->n);

    if (place < s->n_dev) {
        s->written[1]++;
        return &s->dev;
    }
    if (place < s->n_dev + s->n_test) {
        s->written[2]++;
        return &s->test;
    }
    s->written[0]++;
    return &s->train;
}

static enum status split_records(struct split *s, struct diag *diag)
{
    struct record_options options = {.skip_bad = s->d->options->skip_bad};
    struct record_reader reader;
    const struct record *record;
    enum status status = record_open(&reader, s->d->options->questions, &options, diag);

    while (!status && !(status = record_next(&reader, &record, diag)) && record)
        status = put_record(&s->line, place_of(s, record), record, diag);
    record_close(&reader);
    return status;
}

/* A file of questions as it is, with ids. */
static enum status copy_records(struct split *s, const char *from, struct file_writer *out, uint64_t *n,
                                struct diag *diag)
{
    struct record_options options = {.skip_bad = s->d->options->skip_bad};
    struct record_reader reader;
    const struct record *record;
    enum status status = record_open(&reader, from, &options, diag);

    for (; !status && !(status = record_next(&reader, &record, diag)) && record; ++*n)
        status = put_record(&s->line, out, record, diag);
    record_close(&reader);
    return status;
}

static enum status copy_file(struct split *s, const char *from, const char *name, struct diag *diag)
{
    const char *path = distill_path(s->d, "questions/%s.jsonl", name);
    struct file_writer out;
    uint64_t n = 0;
    enum status status = path ? file_create(&out, path, diag) : distill_no_memory(diag);

    if (status)
        return status;
    status = copy_records(s, from, &out, &n, diag);
    if (!status && n == 0)
        status = diag_fail(diag, STATUS_FORMAT, "%s: expected at least one question, found none", from);
    if (!status)
        status = file_commit(&out, diag);
    file_abandon(&out);
    return status;
}

static enum status open_part(struct split *s, struct file_writer *out, const char *name, struct diag *diag)
{
    const char *path = distill_path(s->d, "questions/%s.jsonl", name);

    return path ? file_create(out, path, diag) : distill_no_memory(diag);
}

/* How many go where. At least one is left to learn from. */
static enum status size_parts(struct split *s, struct diag *diag)
{
    const struct distill_options *o = s->d->options;
    enum status status = count_records(s, diag);

    if (status)
        return status;
    s->n_dev = o->dev ? 0 : (uint64_t)ceil((double)s->n * o->dev_share);
    s->n_test = o->test ? 0 : (uint64_t)ceil((double)s->n * o->test_share);
    if (s->n < s->n_dev + s->n_test + 1)
        return diag_fail(diag, STATUS_FORMAT, "%s: expected more than %llu questions, found %llu", o->questions,
                         (unsigned long long)(s->n_dev + s->n_test), (unsigned long long)s->n);
    return STATUS_OK;
}

static enum status write_parts(struct split *s, struct diag *diag)
{
    enum status status = open_part(s, &s->train, "train", diag);

    if (!status && s->n_dev)
        status = open_part(s, &s->dev, "dev", diag);
    if (!status && s->n_test)
        status = open_part(s, &s->test, "test", diag);
    if (!status)
        status = split_records(s, diag);
    if (!status)
        status = file_commit(&s->train, diag);
    if (!status && s->n_dev)
        status = file_commit(&s->dev, diag);
    if (!status && s->n_test)
        status = file_commit(&s->test, diag);
    file_abandon(&s->train);
    file_abandon(&s->dev);
    file_abandon(&s->test);
    return status;
}

enum status distill_split(struct distill *d, enum distill_row row, struct buffer *result, struct diag *diag)
{
    const struct distill_options *o = d->options;
    struct split s = {.d = d};
    char name[32];
    enum status status = size_parts(&s, diag);

    (void)row;
    if (!status)
        status = write_parts(&s, diag);
    if (!status && o->dev)
        status = copy_file(&s, o->dev, "dev", diag);
    if (!status && o->test)
        status = copy_file(&s, o->test, "test", diag);
    for (size_t i = 0; i < o->n_ood && !status; i++) {
        snprintf(name, sizeof name, "ood%zu", i + 1);
        status = copy_file(&s, o->ood[i], name, diag);
    }
    buffer_format(result, ",\"train\":%llu,\"dev\":%llu,\"test\":%llu", (unsigned long long)s.written[0],
                  (unsigned long long)s.written[1], (unsigned long long)s.written[2]);
    buffer_free(&s.line);
    memory_free(s.questions);
    return status;
}

static void add_set(struct distill *d, const char *name)
{
    const char *path = distill_path(d, "questions/%s.jsonl", name);

    if (path && file_exists(path) && d->n_sets < DISTILL_MAX_SETS) {
        d->sets[d->n_sets].name = arena_text(&d->arena, name, strlen(name));
        d->sets[d->n_sets].path = path;
        d->n_sets += d->sets[d->n_sets].name != NULL;
    }
}

void distill_find_sets(struct distill *d)
{
    char name[32];

    d->train = distill_path(d, "questions/train.jsonl");
    d->dev = distill_path(d, "questions/dev.jsonl");
    d->dev = d->dev && file_exists(d->dev) ? d->dev : NULL;
    add_set(d, "test");
    for (size_t i = 0; i < d->options->n_ood; i++) {
        snprintf(name, sizeof name, "ood%zu", i + 1);
        add_set(d, name);
    }
}

/* ---- debate ---- */

static void fill_agents(struct distill *d, const struct debate_speaker *speaker, struct debate_agent *agents, size_t n)
{
    for (size_t a = 0; a < n; a++) {
        struct debate_agent agent = {.speaker = speaker, .style = d->style};

        agent.temperature = d->options->sampling.temperature;
        agent.model_name = d->model->name ? d->model->name : d->model->path;
        agents[a] = agent;
    }
}

static enum status hold_into(struct distill *d, const struct debate_options *options, const char *questions,
                             struct file_stream *out, struct debate_summary *summary, struct diag *diag)
{
    struct question_options wanted = {.kind = d->options->kind, .records = {.skip_bad = d->options->skip_bad}};
    struct question_reader reader;
    struct resume resume = {0};
    enum status status = question_open(&reader, questions, &wanted, diag);

    if (!status)
        status = resume_open(&resume, out, diag);
    if (!status)
        status = debate_run(options, &reader, &resume, out, summary, diag);
    resume_close(&resume);
    question_close(&reader);
    return status;
}

enum status distill_hold(struct distill *d, const char *questions, const char *output, size_t agents, size_t rounds,
                         int evaluation, struct diag *diag)
{
    const struct distill_options *o = d->options;
    struct debate_agent list[DEBATE_MAX_AGENTS];
    struct debate_speaker speaker = {NULL, d->model, rounds > 1 ? d->lengths.debate : d->lengths.solve};
    struct debate_options options = {.agents = list, .n_agents = agents, .rounds = rounds, .max_new = o->max_new};
    struct debate_summary summary = {0};
    struct file_stream out;
    enum status status = questions && output ? distill_engine(d, &speaker.engine, speaker.context, diag)
                                             : distill_no_memory(diag),
                closed;

    if (status)
        return status;
    fill_agents(d, &speaker, list, agents);
    options.top_k = o->sampling.top_k;
    options.top_p = o->sampling.top_p;
    options.min_p = o->sampling.min_p;
    options.seed = o->sampling.seed;
    options.window = o->window;
    options.early_stop = 1;
    options.evaluation = evaluation;
    options.model_name = list[0].model_name;
    options.progress = o->progress;
    options.stop = o->stop;
    status = file_stream_open(&out, output, 1, diag);
    if (!status) {
        status = hold_into(d, &options, questions, &out, &summary, diag);
        closed = file_stream_close(&out, status ? NULL : diag);
        status = status ? status : closed;
    }
    if (summary.shortened)
        distill_say(d,
                    "distill: warning: %llu prompts were too long; the oldest parts of their material were left away",
                    (unsigned long long)summary.shortened);
    engine_free(speaker.engine);
    return status;
}

enum status distill_debate(struct distill *d, enum distill_row row, struct buffer *result, struct diag *diag)
{
    const struct distill_options *o = d->options;
    const char *output = distill_path(d, "debate.jsonl");
    struct debate_summary s = {0};
    enum status status = distill_use(d, o->teacher, diag);

    (void)row;
    if (!status)
        status = distill_hold(d, d->train, output, o->agents, o->rounds, 0, diag);
    if (!status)
        status = debate_recount(&s, output, diag);
    if (!status)
        buffer_format(result,
                      ",\"questions\":%llu,\"tokens\":%llu,\"single\":%.6g,\"vote\":%.6g,\"wrong_to_right\":%llu,"
                      "\"right_to_wrong\":%llu",
                      (unsigned long long)s.questions, (unsigned long long)s.tokens,
                      s.turns ? (double)s.right_per_round[0] / (double)s.turns : 0,
                      s.with_gold ? (double)s.vote_last / (double)s.with_gold : 0, (unsigned long long)s.wrong_to_right,
                      (unsigned long long)s.right_to_wrong);
    return status;
}

/* As many first answers as cost what the debate cost: n tokens_of_debate / tokens_of_round_0. */
static enum status samples_wanted(struct distill *d, size_t *agents, struct diag *diag)
{
    const char *path = distill_path(d, "debate.jsonl");
    struct transcript transcript;
    struct record_reader reader;
    const struct record *record;
    uint64_t all = 0, first = 0;
    enum status status = path ? record_open(&reader, path, NULL, diag) : distill_no_memory(diag);

    while (path && !status && !(status = record_next(&reader, &record, diag)) && record) {
        status = transcript_read(&transcript, record, &reader.arena, diag);
        for (size_t i = 0; i < transcript.n_turns && !status; i++) {
            uint64_t tokens = (uint64_t)(transcript.turns[i].tokens > 0 ? transcript.turns[i].tokens : 0);

            all += tokens;
            first += transcript.turns[i].round == 0 ? tokens : 0;
        }
    }
    if (path)
        record_close(&reader);
    *agents = first ? (size_t)((double)d->options->agents * (double)all / (double)first + 0.5) : d->options->agents;
    *agents = *agents < DEBATE_MAX_AGENTS ? *agents : DEBATE_MAX_AGENTS;
    return status;
}

static const char *samples_of(enum distill_row row)
{
    return row == ROW_SELF ? "self-samples.jsonl" : "samples.jsonl";
}

enum status distill_sample(struct distill *d, enum distill_row row, struct buffer *result, struct diag *diag)
{
    const char *output = distill_path(d, "%s", samples_of(row));
    struct debate_summary s = {0};
    size_t agents = 0;
    enum status status = samples_wanted(d, &agents, diag);

    if (!status)
        status = distill_use(d, row == ROW_SELF ? d->options->student : d->options->teacher, diag);
    if (!status)
        status = distill_hold(d, d->train, output, agents, 1, 0, diag);
    if (!status)
        status = debate_recount(&s, output, diag);
    buffer_format(result, ",\"samples\":%zu,\"tokens\":%llu", agents, (unsigned long long)s.tokens);
    return status;
}

/* ---- select ---- */

static enum select_strategy strategy_of(enum distill_row row)
{
    return row == ROW_ANSWER                       ? SELECT_ANSWER
           : row == ROW_SAMPLED || row == ROW_SELF ? SELECT_SAMPLED
           : row == ROW_RSFT                       ? SELECT_RSFT
                                                   : SELECT_DA;
}

enum status distill_select(struct distill *d, enum distill_row row, struct buffer *result, struct diag *diag)
{
    const struct distill_options *o = d->options;
    int sampled = row == ROW_SAMPLED || row == ROW_SELF;
    const char *debates = distill_path(d, "%s", sampled ? samples_of(row) : "debate.jsonl");
    const char *traces = distill_path(d, "traces/%s.jsonl", distill_row_name(row));
    struct select_options options = {.strategy = strategy_of(row), .k = o->k, .min_correct = o->min_correct};
    struct select_summary s = {0};
    struct record_reader reader = {.stream.fd = -1};
    struct file_rewrite out;
    enum status status = debates && traces ? distill_use(d, o->student, diag) : distill_no_memory(diag), closed;

    if (status)
        return status;
    options.distance = SELECT_DISTANCE;
    options.spliced = o->spliced && (row == ROW_RSFT || row == ROW_DA);
    options.max_spliced = SELECT_SPLICED;
    options.style = &d->style;
    options.progress = o->progress;
    options.stop = o->stop;
    status = file_rewrite_open(&out, traces, diag);
    if (!status) {
        status = select_run(&options, debates, &out, &reader, &s, diag);
        closed = file_rewrite_close(&out, !status, status ? NULL : diag);
        status = status ? status : closed;
    }
    record_close(&reader);
    buffer_format(result, ",\"debates\":%llu,\"kept\":%llu,\"few_correct\":%llu,\"traces\":%llu,\"corrective\":%llu",
                  (unsigned long long)s.debates, (unsigned long long)s.kept, (unsigned long long)s.few_correct,
                  (unsigned long long)(s.consensus + s.corrective + s.spliced + s.answers + s.sampled),
                  (unsigned long long)s.corrective);
    return status;
}
