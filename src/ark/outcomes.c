/* outcomes.c - records of evaluations as numbers, and two evaluations joined by id.
 *
 * Where to read next: outcomes_put.c (tables), stats.c (intervals and tests). */
#include "outcomes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "steps.h"

static enum status no_memory(struct diag *diag)
{
    return diag_fail(diag, STATUS_MEMORY, "outcomes: out of memory");
}

/* ---- One record ---- */

static enum status push(struct outcomes *o, int measure, double value, struct diag *diag)
{
    struct outcome_series *s = &o->series[measure];

    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 64;
        double *grown = memory_grow(s->values, room * sizeof *grown);

        if (!grown)
            return no_memory(diag);
        s->values = grown;
        s->room = room;
    }
    s->values[s->n++] = value;
    return STATUS_OK;
}

static int truth(const struct json *value)
{
    return !value ? -1 : value->type == JSON_TRUE ? 1 : value->type == JSON_FALSE ? 0 : -1;
}

static enum status push_named(struct outcomes *o, const struct json *record, int measure, const char *name,
                              struct diag *diag)
{
    const struct json *value = json_get(record, name);

    return value && value->type == JSON_NUMBER ? push(o, measure, value->number, diag) : STATUS_OK;
}

static enum status add_outcome(struct outcomes *o, const struct record *record, double score, int correct,
                               struct diag *diag)
{
    if (o->n == o->room) {
        size_t room = o->room ? 2 * o->room : 64;
        struct outcome *grown = memory_grow(o->list, room * sizeof *grown);

        if (!grown)
            return no_memory(diag);
        o->list = grown;
        o->room = room;
    }
    o->list[o->n].id = arena_text(&o->arena, record->id, strlen(record->id));
    o->list[o->n].order = o->n;
    o->list[o->n].score = score;
    o->list[o->n].correct = correct;
    return o->list[o->n++].id ? STATUS_OK : no_memory(diag);
}

static uint64_t member(const struct json *object, const char *name)
{
    double value = json_number(object, name, 0);

    return value > 0 && value < 1e15 ? (uint64_t)value : 0;
}

/* Generated tokens: the record's own number, else a debate's turns together. */
static uint64_t tokens_of(const struct json *record)
{
    const struct json *turns = json_get(record, "turns");
    uint64_t sum = 0;

    if (json_get(record, "tokens") || !turns || turns->type != JSON_ARRAY)
        return member(record, "tokens");
    for (const struct json *turn = turns->child; turn; turn = turn->next)
        sum += member(turn, "tokens");
    return sum;
}

/* What the kind is measured by. */
static enum status add_measures(struct outcomes *o, const struct record *record, int correct, struct diag *diag)
{
    const struct json *json = record->json, *f1 = json_get(json, "f1"), *rouge = json_get(json, "rougeL");
    double score = rouge ? rouge->number : f1 ? f1->number : correct;
    int em = f1 && json_number(json, "em", 0) > 0;
    enum status status;

    if (!rouge && !f1 && correct < 0)
        return STATUS_OK;
    status = add_outcome(o, record, score, rouge ? -1 : f1 ? em : correct, diag);
    if (!status && !rouge && !f1)
        return push(o, OUTCOME_ACCURACY, correct, diag);
    if (!status)
        status = push_named(o, json, OUTCOME_EM, "em", diag);
    if (!status)
        status = push_named(o, json, OUTCOME_F1, "f1", diag);
    if (!status)
        status = push_named(o, json, OUTCOME_ROUGE1, "rouge1", diag);
    if (!status)
        status = push_named(o, json, OUTCOME_ROUGE2, "rouge2", diag);
    return status ? status : push_named(o, json, OUTCOME_ROUGEL, "rougeL", diag);
}

/* Mean correctness of the members of a list, and whether one is right; of a debate, those of one round. n of them. */
static size_t mean_of(const struct json *list, int round, double *mean, int *any)
{
    size_t n = 0, right = 0;

    for (const struct json *item = list->child; item; item = item->next) {
        int correct = truth(json_get(item, "correct"));

        if ((round >= 0 && json_number(item, "round", -1) != round) || correct < 0)
            continue;
        right += (size_t)correct;
        n++;
    }
    *mean = n ? (double)right / (double)n : 0;
    *any = right > 0;
    return n;
}

/* Samples of one question, or the rounds of a debate: a debate that ended early keeps its last round. */
static enum status add_several(struct outcomes *o, const struct json *record, struct diag *diag)
{
    const struct json *samples = json_get(record, "samples"), *turns = json_get(record, "turns");
    const struct json *list = samples ? samples : turns;
    double mean;
    int any, next_any;
    size_t round;
    enum status status = STATUS_OK;

    if (!list || list->type != JSON_ARRAY || mean_of(list, samples ? -1 : 0, &mean, &any) == 0)
        return STATUS_OK;
    status = push(o, OUTCOME_SAMPLE, mean, diag);
    if (!status)
        status = push(o, OUTCOME_ANY, any, diag);
    for (round = 1; !samples && round <= 16 && !status; round++) {
        double next;

        if (mean_of(list, (int)round, &next, &next_any)) {
            mean = next;
            o->rounds = round > o->rounds ? round : o->rounds;
        }
        status = push(o, OUTCOME_ROUND + (int)round - 1, mean, diag);
    }
    return status;
}

static void add_sums(struct outcomes *o, const struct steps *s)
{
    struct outcome_process *sums = &o->sums;

    sums->outputs++;
    sums->steps += s->n;
    sums->equations += s->n_equations;
    sums->true_equations += s->n_true;
    sums->grounded += s->n_grounded;
    sums->wrong += s->n_wrong;
    sums->corrected += s->n_corrected;
    sums->repeats += s->n_repeats;
    sums->with_check += s->n_checks > 0;
    if (s->first_error < s->n) {
        sums->with_error++;
        sums->first_error_sum += s->first_error + 1;
    }
}

static enum status add_process(struct outcomes *o, const struct record *record, struct diag *diag)
{
    const struct json *process = json_get(record->json, "process"), *output = json_get(record->json, "output");
    struct arena_mark mark = arena_mark(&o->arena);
    struct steps s = {0};
    enum status status = STATUS_OK;

    if (process && process->type == JSON_OBJECT) {
        s.n = member(process, "steps");
        s.n_equations = member(process, "equations");
        s.n_true = member(process, "true");
        s.n_grounded = member(process, "grounded");
        s.n_wrong = member(process, "wrong");
        s.n_corrected = member(process, "corrected");
        s.n_checks = member(process, "checks");
        s.n_repeats = member(process, "repeats");
        s.first_error = (size_t)json_number(process, "first_error", (double)s.n);
        add_sums(o, &s);
    } else if (output && output->type == JSON_STRING) {
        status =
            steps_read(&s, json_string(record->json, "question", NULL), output->text, output->length, &o->arena, diag);
        if (!status)
            add_sums(o, &s);
        arena_release(&o->arena, mark);
    }
    return status;
}

enum status outcomes_add(struct outcomes *o, const struct record *record, struct diag *diag)
{
    const struct json *json = record->json, *correct = json_get(json, "correct"), *vote = json_get(json, "vote");
    const struct json *prediction = json_get(json, "prediction");
    enum status status;

    if (!o->ready)
        arena_init(&o->arena, "outcomes", 0);
    o->ready = 1;
    if (!correct && json_get(json, "turns"))
        correct = json_get(vote, "correct");
    if (!correct && !json_get(json, "em") && !json_get(json, "rougeL"))
        return record_fail(record, STATUS_FORMAT, diag,
                           "expected a record of eval, debate or grade (a field \"correct\"), found none");
    o->records++;
    o->tokens += tokens_of(json);
    o->unanswered += prediction && prediction->type == JSON_NULL;
    o->truncated += strcmp(json_string(json, "finish", ""), "length") == 0;
    status = add_measures(o, record, truth(correct), diag);
    if (!status)
        status = add_several(o, json, diag);
    if (!status && o->process)
        status = add_process(o, record, diag);
    return status;
}

enum status outcomes_read(struct outcomes *o, const char *path, struct diag *diag)
{
    struct record_reader reader;
    const struct record *record;
    enum status status = record_open(&reader, path, NULL, diag);

    while (!status && !(status = record_next(&reader, &record, diag)) && record)
        status = outcomes_add(o, record, diag);
    record_close(&reader);
    return status;
}

void outcomes_free(struct outcomes *o)
{
    for (int m = 0; m < OUTCOME_MEASURES; m++)
        memory_free(o->series[m].values);
    memory_free(o->list);
    if (o->ready)
        arena_free(&o->arena);
    memset(o, 0, sizeof *o);
}

/* ---- Means ---- */

enum status outcomes_interval(struct stats_interval *interval, size_t *n, const struct outcomes *o,
                              enum outcome_measure measure, struct diag *diag)
{
    const struct outcome_series *s = &o->series[measure];
    double sum = 0;

    *n = s->n;
    if (measure != OUTCOME_ACCURACY && measure != OUTCOME_EM && measure != OUTCOME_ANY)
        return stats_bootstrap(interval, s->values, s->n, STATS_REPLICATES, o->seed, diag);
    for (size_t i = 0; i < s->n; i++)
        sum += s->values[i];
    *interval = stats_wilson((uint64_t)(sum + 0.5), s->n);
    return STATUS_OK;
}

/* ---- Two evaluations ---- */

static int compare_ids(const void *a, const void *b)
{
    const struct outcome *x = a, *y = b;
    int order = strcmp(x->id, y->id);

    return order ? order : (x->order > y->order) - (x->order < y->order);
}

static void count_pair(struct outcome_comparison *c, const struct outcome *a, const struct outcome *b, double *left,
                       double *right)
{
    left[c->n] = a->score;
    right[c->n] = b->score;
    c->mean += a->score;
    c->other += b->score;
    c->n++;
    if (a->correct < 0 || b->correct < 0)
        return;
    c->n_binary++;
    c->only_left += a->correct && !b->correct;
    c->only_right += !a->correct && b->correct;
}

static void join(struct outcome_comparison *c, const struct outcomes *a, const struct outcomes *b, double *left,
                 double *right)
{
    size_t i = 0, j = 0;

    while (i < a->n && j < b->n) {
        int order = strcmp(a->list[i].id, b->list[j].id);

        if (order == 0)
            count_pair(c, &a->list[i], &b->list[j], left, right);
        c->left += order < 0;
        c->right += order > 0;
        i += order <= 0;
        j += order >= 0;
    }
    c->left += a->n - i;
    c->right += b->n - j;
    if (c->n) {
        c->mean /= (double)c->n;
        c->other /= (double)c->n;
    }
}

enum status outcomes_compare(struct outcome_comparison *c, struct outcomes *a, struct outcomes *b, struct diag *diag)
{
    double *left = memory_alloc((a->n + 1) * sizeof *left), *right = memory_alloc((a->n + 1) * sizeof *right);
    enum status status = left && right ? STATUS_OK : no_memory(diag);

    memset(c, 0, sizeof *c);
    if (!status) {
        if (a->n)
            qsort(a->list, a->n, sizeof *a->list, compare_ids);
        if (b->n)
            qsort(b->list, b->n, sizeof *b->list, compare_ids);
        join(c, a, b, left, right);
        status = stats_paired_bootstrap(&c->paired, left, right, c->n, STATS_REPLICATES, a->seed, diag);
        c->mcnemar = stats_mcnemar(c->only_left, c->only_right);
    }
    memory_free(left);
    memory_free(right);
    return status;
}
