/* solutions.c - records of every form as solutions in steps.
 *
 * The steps of a text are those of steps.h: they end at blank lines. Where to read next: solutions_score.c. */
#include "solutions.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "rng.h"
#include "steps.h"

struct reading {
    struct solutions *out;
    const struct record *record;
    const struct prompt_style *style;
    struct arena *arena;
    const struct json *prompt; /* of debates and evaluations */
    char where[320];
};

static enum status no_memory(const struct record *record, struct diag *diag)
{
    return record_fail(record, STATUS_MEMORY, diag, "out of memory for its steps");
}

static int truth(const struct json *value)
{
    return !value ? -1 : value->type == JSON_TRUE ? 1 : value->type == JSON_FALSE ? 0 : -1;
}

/* ---- Texts of debates and evaluations ---- */

/* The prompt of the question alone, as traces store it, so that it is tokenised like theirs. */
static enum status make_prompt(struct reading *r, struct diag *diag)
{
    struct question question = {.id = r->record->id};
    struct buffer json = {0};
    struct prompt prompt;
    const char *kind = json_string(r->record->json, "kind", "number");
    enum status status;

    question.text = json_string(r->record->json, "question", "");
    question.context = json_string(r->record->json, "context", NULL);
    if (!answer_kind_named(&question.key.kind, kind))
        return record_fail(r->record, STATUS_FORMAT, diag, "\"kind\": expected one of %s, found \"%.40s\"",
                           ANSWER_KINDS, kind);
    r->out->question = rng_hash(question.text);
    if (!r->style)
        return STATUS_OK;
    status = prompt_solve(&prompt, r->style, &question, r->arena, diag);
    if (!status)
        prompt_put(&json, &prompt);
    if (!status)
        status = json.failed ? no_memory(r->record, diag)
                             : json_parse(&r->prompt, json.data, json.length, r->arena, r->record->path,
                                          r->record->line, NULL, diag);
    buffer_free(&json);
    return status;
}

static size_t count_steps(const char *text, size_t length)
{
    size_t n = 0, begin, end, from = 0;

    while (steps_next(&begin, &end, text, length, &from))
        n++;
    return n;
}

static enum status take_scores(struct reading *r, struct solution *s, const struct json *scores, struct diag *diag)
{
    size_t i = 0;

    if (!scores)
        return STATUS_OK;
    if (scores->type != JSON_ARRAY || scores->length != s->steps.n_steps)
        return record_fail(r->record, STATUS_FORMAT, diag, "\"scores\": expected %zu of a text, one a step, found %s",
                           s->steps.n_steps, record_type_name(scores));
    s->steps.scores = arena_array(r->arena, s->steps.n_steps + 1, sizeof *s->steps.scores);
    if (!s->steps.scores)
        return no_memory(r->record, diag);
    for (const struct json *score = scores->child; score; score = score->next)
        s->steps.scores[i++] = score->type == JSON_NUMBER ? score->number : NAN;
    return STATUS_OK;
}

static enum status add_text(struct reading *r, const struct json *text, int correct, const struct json *scores,
                            struct diag *diag)
{
    struct solution *s = &r->out->list[r->out->n++];
    struct json *nodes;
    size_t n, i, begin, end, from = 0;

    memset(s, 0, sizeof *s);
    s->correct = correct;
    s->steps.prompt = r->prompt;
    s->steps.after_prompt = "";
    if (!text || text->type != JSON_STRING)
        return record_fail(r->record, STATUS_FORMAT, diag, "expected the text of a solution, found %s",
                           record_type_name(text));
    n = count_steps(text->text, text->length);
    nodes = arena_array(r->arena, n + 1, sizeof *nodes);
    s->steps.steps = arena_array(r->arena, n + 1, sizeof *s->steps.steps);
    s->steps.labels = arena_array(r->arena, n + 1, sizeof *s->steps.labels);
    if (!nodes || !s->steps.steps || !s->steps.labels)
        return no_memory(r->record, diag);
    s->steps.n_steps = n;
    for (i = 0; i < n && steps_next(&begin, &end, text->text, text->length, &from); i++) {
        struct json node = {.type = JSON_STRING, .text = text->text + begin, .length = end - begin};

        nodes[i] = node;
        s->steps.steps[i] = &nodes[i];
        s->steps.labels[i] = STEP_UNKNOWN;
    }
    return take_scores(r, s, scores, diag);
}

/* The texts under `key` of the members of a list, with the list of their scores. */
static enum status add_list(struct reading *r, const struct json *list, const char *key, struct diag *diag)
{
    const struct json *scores = json_get(r->record->json, "scores"), *one = NULL;
    enum status status = STATUS_OK;

    r->out->nested = 1;
    if (list->type != JSON_ARRAY)
        return record_fail(r->record, STATUS_FORMAT, diag, "\"%s\": expected a list, found %s", list->key,
                           record_type_name(list));
    if (scores && (scores->type != JSON_ARRAY || scores->length != list->length))
        return record_fail(r->record, STATUS_FORMAT, diag, "\"scores\": expected %zu lists, found %s", list->length,
                           record_type_name(scores));
    r->out->list = arena_array(r->arena, list->length + 1, sizeof *r->out->list);
    if (!r->out->list)
        return no_memory(r->record, diag);
    one = scores ? scores->child : NULL;
    for (const struct json *item = list->child; item && !status; item = item->next) {
        status = add_text(r, json_get(item, key), truth(json_get(item, "correct")), one, diag);
        one = one ? one->next : NULL;
    }
    return status;
}

/* ---- Labelled steps ---- */

static enum status add_stepwise(struct reading *r, struct diag *diag)
{
    const struct json *json = r->record->json, *prompt;
    struct buffer text = {0};
    enum status status;

    r->out->list = arena_array(r->arena, 1, sizeof *r->out->list);
    if (!r->out->list)
        return no_memory(r->record, diag);
    r->out->n = 1;
    status = stepwise_read(&r->out->list->steps, json, r->arena, r->where, diag);
    if (status)
        return status;
    if (!r->out->list->steps.scores)
        status = take_scores(r, r->out->list, json_get(json, "scores"), diag);
    r->out->list->correct = truth(json_get(json, json_get(json, "correct") ? "correct" : "is_correct"));
    prompt = r->out->list->steps.prompt;
    json_put(&text, prompt);
    r->out->question = rng_hash(text.data ? text.data : "");
    if (!status && text.failed)
        status = no_memory(r->record, diag);
    buffer_free(&text);
    return status;
}

enum status solutions_read(struct solutions *out, const struct record *record, const struct prompt_style *style,
                           struct arena *arena, struct diag *diag)
{
    const struct json *json = record->json, *turns = json_get(json, "turns"), *samples = json_get(json, "samples");
    const struct json *output = json_get(json, "output");
    struct reading r = {.out = out, .record = record, .style = style, .arena = arena};
    enum status status = STATUS_OK;

    memset(out, 0, sizeof *out);
    snprintf(r.where, sizeof r.where, "%.280s:%llu", record->path, (unsigned long long)record->line);
    if (!turns && !samples && !output)
        return add_stepwise(&r, diag);
    if (!json_get(json, "question"))
        return record_expected(record, "question", "a string", diag);
    status = make_prompt(&r, diag);
    if (status)
        return status;
    if (turns || samples)
        return add_list(&r, turns ? turns : samples, "text", diag);
    out->list = arena_array(arena, 1, sizeof *out->list);
    return out->list ? add_text(&r, output, truth(json_get(json, "correct")), json_get(json, "scores"), diag)
                     : no_memory(record, diag);
}

/* ---- Measuring ---- */

enum status solutions_measure(struct step_metrics *metrics, const struct solutions *s, struct diag *diag)
{
    enum status status = STATUS_OK;

    for (size_t i = 0; i < s->n && !status; i++) {
        const struct stepwise *steps = &s->list[i].steps;
        struct step_solution one = {steps->scores, steps->labels, steps->n_steps, s->list[i].correct, s->question};

        if (steps->n_steps && steps->scores)
            status = step_metrics_add(metrics, &one, diag);
    }
    return status;
}

enum status solutions_measure_file(struct step_metrics *metrics, const char *path, struct diag *diag)
{
    struct record_reader reader;
    const struct record *record;
    struct solutions solutions;
    enum status status = record_open(&reader, path, NULL, diag);

    while (!status && !(status = record_next(&reader, &record, diag)) && record) {
        if (!json_get(record->json, "scores"))
            status = record_expected(record, "scores", "a list", diag);
        if (!status)
            status = solutions_read(&solutions, record, NULL, &reader.arena, diag);
        if (!status)
            status = solutions_measure(metrics, &solutions, diag);
    }
    record_close(&reader);
    return status;
}
