/* stepwise.c - reading labelled steps in the three forms of stepwise.h. */
#include "stepwise.h"

#include <math.h>
#include <string.h>
#include "record.h"

static size_t count(const struct json *list)
{
    const struct json *item = list->child;
    size_t n = 0;

    for (; item; item = item->next)
        n++;
    return n;
}

static enum status take_steps(struct stepwise *s, const struct json *record, const char *key, struct arena *arena,
                              const char *where, struct diag *diag)
{
    const struct json *list = json_get(record, key), *item;
    size_t i = 0;

    if (!list || list->type != JSON_ARRAY || !list->child)
        return diag_fail(diag, STATUS_FORMAT, "%s: \"%s\": expected a list of steps, found %s", where, key,
                         list && list->type == JSON_ARRAY ? "an empty one" : record_type_name(list));
    s->n_steps = count(list);
    s->steps = arena_array(arena, s->n_steps, sizeof *s->steps);
    s->labels = arena_array(arena, s->n_steps, sizeof *s->labels);
    if (!s->steps || !s->labels)
        return diag_fail(diag, STATUS_MEMORY, "%s: out of memory for %zu steps", where, s->n_steps);
    for (item = list->child; item; item = item->next, i++) {
        if (item->type != JSON_STRING)
            return diag_fail(diag, STATUS_FORMAT, "%s: \"%s\": step %zu: expected a string, found %s", where, key,
                             i + 1, record_type_name(item));
        s->steps[i] = item;
        s->labels[i] = STEP_UNKNOWN;
    }
    return STATUS_OK;
}

/* Right before the first error, wrong at it, unknown after it. */
static void label_until(struct stepwise *s, size_t first_error)
{
    size_t i;

    for (i = 0; i < s->n_steps && i <= first_error; i++)
        s->labels[i] = i < first_error;
}

static enum status take_labels(struct stepwise *s, const struct json *record, const char *where, struct diag *diag)
{
    const struct json *list = json_get(record, "labels"), *item;
    size_t i = 0;

    if (!list)
        return STATUS_OK;
    if (list->type != JSON_ARRAY || count(list) != s->n_steps)
        return diag_fail(diag, STATUS_FORMAT, "%s: \"labels\": expected %zu of them, one a step, found %s of %zu",
                         where, s->n_steps, record_type_name(list), list->type == JSON_ARRAY ? count(list) : 0);
    for (item = list->child; item; item = item->next, i++) {
        int is_number = item->type == JSON_NUMBER && (item->number == 0 || item->number == 1);

        if (item->type != JSON_TRUE && item->type != JSON_FALSE && item->type != JSON_NULL && !is_number)
            return diag_fail(diag, STATUS_FORMAT, "%s: \"labels\": label %zu: expected true, false or null, found %s",
                             where, i + 1, record_type_name(item));
        if (item->type != JSON_NULL)
            s->labels[i] = item->type == JSON_TRUE || (is_number && item->number == 1);
    }
    return STATUS_OK;
}

static enum status take_scores(struct stepwise *s, const struct json *record, struct arena *arena, const char *where,
                               struct diag *diag)
{
    const struct json *list = json_get(record, "scores"), *item;
    size_t i = 0;

    if (!list || list->type != JSON_ARRAY || count(list) != s->n_steps)
        return STATUS_OK; /* an unknown field of another use */
    s->scores = arena_array(arena, s->n_steps, sizeof *s->scores);
    if (!s->scores)
        return diag_fail(diag, STATUS_MEMORY, "%s: out of memory for %zu scores", where, s->n_steps);
    for (item = list->child; item; item = item->next)
        s->scores[i++] = item->type == JSON_NUMBER ? item->number : NAN;
    return STATUS_OK;
}

/* An error index from `base` on, null (or a text such as "N/A") for none. */
static enum status take_index(struct stepwise *s, const struct json *record, const char *key, double base,
                              const char *where, struct diag *diag)
{
    const struct json *value = json_get(record, key);
    double index;

    if (!value || value->type == JSON_NULL || value->type == JSON_STRING) {
        label_until(s, s->n_steps);
        return STATUS_OK;
    }
    index = value->number - base;
    if (value->type != JSON_NUMBER || index != floor(index) || index < 0 || index >= (double)s->n_steps)
        return diag_fail(diag, STATUS_FORMAT, "%s: \"%s\": expected a step of %g..%g, found %s", where, key, base,
                         (double)s->n_steps - 1 + base,
                         value->type == JSON_NUMBER ? value->text : record_type_name(value));
    label_until(s, (size_t)index);
    return STATUS_OK;
}

static enum status take_prompt(struct stepwise *s, const struct json *record, const char *key, const char *after,
                               const char *where, struct diag *diag)
{
    s->prompt = json_get(record, key);
    s->after_prompt = after;
    if (s->prompt && (s->prompt->type == JSON_STRING || s->prompt->type == JSON_ARRAY))
        return STATUS_OK;
    return diag_fail(diag, STATUS_FORMAT, "%s: \"%s\": expected a string, found %s", where, key,
                     record_type_name(s->prompt));
}

enum status stepwise_read(struct stepwise *s, const struct json *record, struct arena *arena, const char *where,
                          struct diag *diag)
{
    enum status status;
    size_t i;

    memset(s, 0, sizeof *s);
    s->correct = json_bool(record, "correct", STEP_UNKNOWN);
    if (json_get(record, "model_output_steps")) {
        status = take_prompt(s, record, "question", "\n\n", where, diag);
        if (!status)
            status = take_steps(s, record, "model_output_steps", arena, where, diag);
        if (!status)
            status = take_index(s, record, "model_output_solution_first_error_step", 1, where, diag);
    } else if (json_get(record, "steps")) {
        status = take_prompt(s, record, "input", "\n\n", where, diag);
        if (!status)
            status = take_steps(s, record, "steps", arena, where, diag);
        if (!status)
            status = take_index(s, record, "mistake_index", 0, where, diag);
    } else {
        status = take_prompt(s, record, "prompt", "", where, diag);
        if (!status)
            status = take_steps(s, record, "completions", arena, where, diag);
        if (!status)
            status = take_labels(s, record, where, diag);
        if (!status)
            status = take_scores(s, record, arena, where, diag);
    }
    for (i = 0; !status && i < s->n_steps; i++)
        s->labelled |= s->labels[i] != STEP_UNKNOWN;
    return status;
}

size_t stepwise_first_error(const struct stepwise *s)
{
    size_t i;

    for (i = 0; i < s->n_steps; i++)
        if (s->labels[i] == 0)
            break;
    return i;
}
