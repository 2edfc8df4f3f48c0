/* solutions_score.c - the stream of records through the scorer.
 *
 *   records -> solutions -> tokens and step ends | a batch | forward, head -> scores -> records, in their order
 *
 * A record's scores do not depend on the batch it is in. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "solutions.h"

struct scored {         /* a record of the batch */
    struct buffer head; /* the record without `scores` and without its last brace */
    struct solutions solutions;
    size_t first; /* its first text in the batch */
};

struct scoring {
    const struct solutions_options *options;
    struct solutions_summary *summary;
    struct step_metrics *metrics;
    struct record_reader *records;
    struct file_stream *out;
    struct arena arena; /* of the batch: solutions, texts, scores */
    struct scored *scored;
    size_t n_scored, room_scored;
    struct prm_example *examples;
    size_t n_examples, room_examples;
    uint64_t total; /* records; 0: not known */
    struct buffer line;
};

static enum status no_memory(struct diag *diag)
{
    return diag_fail(diag, STATUS_MEMORY, "score: out of memory");
}

/* ---- In ---- */

static int grow(void **list, size_t size, size_t n, size_t *room)
{
    size_t wanted = *room ? 2 * *room : 16;
    void *grown;

    if (n < *room)
        return 1;
    grown = memory_grow(*list, wanted * size);
    if (!grown)
        return 0;
    memset((char *)grown + *room * size, 0, (wanted - *room) * size);
    *list = grown;
    *room = wanted;
    return 1;
}

static struct prm_example *next_example(struct scoring *s)
{
    void *list = s->examples;
    int fits = grow(&list, sizeof *s->examples, s->n_examples, &s->room_examples);

    s->examples = list;
    return fits ? &s->examples[s->n_examples] : NULL;
}

static struct scored *next_scored(struct scoring *s)
{
    void *list = s->scored;
    int fits = grow(&list, sizeof *s->scored, s->n_scored, &s->room_scored);

    s->scored = list;
    return fits ? &s->scored[s->n_scored] : NULL;
}

/* {"v":1,"id":..., and all members but those and `scores`. */
static void put_head(struct buffer *out, const struct record *record)
{
    buffer_clear(out);
    buffer_text(out, "{\"v\":1,\"id\":");
    record_put_id(out, record);
    for (const struct json *m = record->json->child; m; m = m->next) {
        if (strcmp(m->key, "v") == 0 || strcmp(m->key, "id") == 0 || strcmp(m->key, "scores") == 0)
            continue;
        buffer_byte(out, ',');
        json_put_text(out, m->key);
        buffer_byte(out, ':');
        json_put(out, m);
    }
}

/* Labels stay beyond the reader's record; the prompt's and steps' texts are tokens by now. */
static enum status take_record(struct scoring *s, const struct record *record, struct diag *diag)
{
    struct scored *one = next_scored(s);
    size_t n = s->n_examples;
    char where[320];
    enum status status =
        one ? solutions_read(&one->solutions, record, &s->options->style, &s->arena, diag) : no_memory(diag);

    snprintf(where, sizeof where, "%.280s:%llu", record->path, (unsigned long long)record->line);
    for (size_t i = 0; !status && i < one->solutions.n; i++) {
        const struct stepwise *steps = &one->solutions.list[i].steps;
        struct prm_example *example = next_example(s);

        if (!example)
            return no_memory(diag);
        example->n_steps = example->text.tokens.count = 0;
        if (steps->n_steps)
            status = prm_example_read(example, steps, &s->options->format, where, diag);
        s->n_examples++;
    }
    if (status) {
        s->n_examples = n;
        return record_skip(s->records, status, diag);
    }
    one->first = n;
    put_head(&one->head, record);
    s->n_scored++;
    return one->head.failed ? no_memory(diag) : STATUS_OK;
}

static enum status read_batch(struct scoring *s, struct resume *resume, int *at_end, struct diag *diag)
{
    const struct record *record;
    enum status status = STATUS_OK;
    int held;

    s->n_scored = s->n_examples = 0;
    arena_free(&s->arena);
    arena_init(&s->arena, "score", 0);
    while (s->n_examples < s->options->batch && !status) {
        status = record_next(s->records, &record, diag);
        if (!status && !record) {
            *at_end = 1;
            return resume_end(resume, diag);
        }
        if (!status)
            status = resume_next(resume, record->id, &held, diag);
        if (!status && !held)
            status = take_record(s, record, diag);
    }
    return status;
}

/* ---- Scores ---- */

static enum status score_batch(struct scoring *s, struct step_scores *texts, struct diag *diag)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n_scored; i++)
        for (size_t k = 0; k < s->scored[i].solutions.n; k++) {
            const struct prm_example *e = &s->examples[s->scored[i].first + k];
            struct stepwise *steps = &s->scored[i].solutions.list[k].steps;
            struct step_scores text = {e->text.tokens.ids, e->text.tokens.count, e->ends, e->n_steps, NULL,
                                       e->n_prompt};

            text.scores = arena_array(&s->arena, steps->n_steps + 1, sizeof *text.scores);
            if (!text.scores)
                return no_memory(diag);
            steps->scores = text.scores;
            if (text.n_steps)
                texts[n++] = text;
            s->summary->steps += text.n_steps;
            s->summary->tokens += text.n_tokens;
            s->summary->cut += (uint64_t)(text.n_steps && e->text.truncated);
        }
    s->summary->solutions += n;
    return step_scorer_run(s->options->scorer, texts, n, diag);
}

/* ---- Out ---- */

static void put_scores(struct buffer *out, const struct stepwise *steps)
{
    buffer_byte(out, '[');
    for (size_t i = 0; i < steps->n_steps; i++) {
        buffer_text(out, i ? "," : "");
        if (isnan(steps->scores[i]))
            buffer_text(out, "null");
        else
            buffer_format(out, "%.9g", steps->scores[i]);
    }
    buffer_byte(out, ']');
}

static enum status write_record(struct scoring *s, const struct scored *one, struct diag *diag)
{
    const struct solutions *solutions = &one->solutions;
    struct buffer *out = &s->line;

    buffer_clear(out);
    buffer_append(out, one->head.data, one->head.length);
    buffer_text(out, solutions->nested ? ",\"scores\":[" : ",\"scores\":");
    for (size_t k = 0; k < solutions->n; k++) {
        buffer_text(out, k ? "," : "");
        put_scores(out, &solutions->list[k].steps);
    }
    buffer_text(out, solutions->nested ? "]}" : "}");
    s->summary->records++;
    if (out->failed)
        return no_memory(diag);
    return file_stream_record(s->out, out->data, out->length, diag);
}

static enum status run(struct scoring *s, struct resume *resume, struct diag *diag)
{
    enum status status = STATUS_OK;
    int at_end = 0;

    while (!at_end && !status) {
        struct step_scores *texts;

        status = read_batch(s, resume, &at_end, diag);
        texts = status ? NULL : arena_array(&s->arena, s->n_examples + 1, sizeof *texts);
        if (!status)
            status = texts ? score_batch(s, texts, diag) : no_memory(diag);
        for (size_t i = 0; i < s->n_scored && !status; i++) {
            status = write_record(s, &s->scored[i], diag);
            if (!status)
                status = solutions_measure(s->metrics, &s->scored[i].solutions, diag);
        }
        if (s->options->progress) {
            s->options->progress->before = resume->n;
            progress_update(s->options->progress, resume->n + s->summary->records, s->total, (double)s->summary->tokens,
                            "");
        }
        if (!status && !at_end && s->options->stop && s->options->stop())
            status = diag_fail(diag, STATUS_STOPPED, "interrupted after %llu records; the same command goes on",
                               (unsigned long long)(resume->n + s->summary->records));
    }
    return status;
}

enum status solutions_score(const struct solutions_options *options, struct record_reader *records,
                            struct resume *resume, struct file_stream *out, struct step_metrics *metrics,
                            struct solutions_summary *summary, struct diag *diag)
{
    struct scoring s = {.options = options, .summary = summary, .metrics = metrics, .records = records, .out = out};
    double began = progress_now();
    enum status status;

    memset(summary, 0, sizeof *summary);
    if (options->progress && options->progress->sink)
        s.total = record_count(records);
    arena_init(&s.arena, "score", 0);
    status = run(&s, resume, diag);
    for (size_t i = 0; i < s.room_examples; i++)
        prm_example_free(&s.examples[i]);
    for (size_t i = 0; i < s.room_scored; i++)
        buffer_free(&s.scored[i].head);
    memory_free(s.examples);
    memory_free(s.scored);
    buffer_free(&s.line);
    arena_free(&s.arena);
    summary->seconds = progress_now() - began;
    return status;
}
