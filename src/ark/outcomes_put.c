/* outcomes_put.c - outcomes as a table and as JSON. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "outcomes.h"

static void name_measure(char name[32], int measure)
{
    static const char *const names[] = {"accuracy", "em",     "f1",          "rouge1",
                                        "rouge2",   "rougeL", "mean_sample", "any_sample"};

    if (measure < OUTCOME_ROUND)
        snprintf(name, 32, "%s", names[measure]);
    else
        snprintf(name, 32, "mean_agent_round_%d", measure - OUTCOME_ROUND + 1);
}

static int is_shown(const struct outcomes *o, int measure)
{
    return o->series[measure].n && (measure < OUTCOME_ROUND || (size_t)(measure - OUTCOME_ROUND) < o->rounds);
}

struct ratio {
    const char *name;
    double part, whole;
};

#define RATIOS 7

static void list_ratios(struct ratio list[RATIOS], const struct outcome_process *s)
{
    const struct ratio all[RATIOS] = {
        {"equations_true", (double)s->true_equations, (double)s->equations},
        {"equations_grounded", (double)s->grounded, (double)s->equations},
        {"outputs_without_error", (double)(s->outputs - s->with_error), (double)s->outputs},
        {"first_error_step", (double)s->first_error_sum, (double)s->with_error},
        {"self_check_rate", (double)s->with_check, (double)s->outputs},
        {"self_correction_rate", (double)s->corrected, (double)s->wrong},
        {"loop_rate", (double)s->repeats, (double)s->steps}};

    memcpy(list, all, sizeof all);
}

static void put_row(struct buffer *out, const char *name, const struct stats_interval *i, size_t n)
{
    buffer_format(out, "%-22s %9.4f %9.4f %9.4f %8zu\n", name, i->mean, i->low, i->high, n);
}

static void put_plain(struct buffer *out, const char *name, double value, double n)
{
    buffer_format(out, "%-22s %9.4f %9s %9s %8.0f\n", name, value, "-", "-", n);
}

static void put_comparison(struct buffer *out, const struct outcome_comparison *c)
{
    put_plain(out, "joined", c->mean, (double)c->n);
    put_plain(out, "other", c->other, (double)c->n);
    put_row(out, "difference", &c->paired.difference, c->n);
    buffer_format(out, "p, paired bootstrap %.4g; p, McNemar %.4g (right here alone %zu, there alone %zu, of %zu)\n",
                  c->paired.p, c->mcnemar, c->only_left, c->only_right, c->n_binary);
    if (c->left || c->right)
        buffer_format(out, "not joined: %zu here, %zu there\n", c->left, c->right);
}

enum status outcomes_put(struct buffer *out, const struct outcomes *o, const struct outcome_comparison *c,
                         struct diag *diag)
{
    struct ratio ratios[RATIOS];
    enum status status = STATUS_OK;

    buffer_format(out, "%-22s %9s %9s %9s %8s\n", "measure", "value", "low", "high", "n");
    for (int m = 0; m < OUTCOME_MEASURES && !status; m++) {
        struct stats_interval interval;
        char name[32];
        size_t n;

        if (!is_shown(o, m))
            continue;
        status = outcomes_interval(&interval, &n, o, (enum outcome_measure)m, diag);
        name_measure(name, m);
        put_row(out, name, &interval, n);
    }
    if (o->records)
        put_plain(out, "tokens", (double)o->tokens / (double)o->records, (double)o->records);
    if (o->unanswered)
        put_plain(out, "unanswered", (double)o->unanswered / (double)o->records, (double)o->records);
    if (o->truncated)
        put_plain(out, "truncated", (double)o->truncated / (double)o->records, (double)o->records);
    list_ratios(ratios, &o->sums);
    for (size_t i = 0; o->process && i < RATIOS; i++)
        if (ratios[i].whole > 0)
            put_plain(out, ratios[i].name, ratios[i].part / ratios[i].whole, ratios[i].whole);
    if (c)
        put_comparison(out, c);
    return !status && out->failed ? diag_fail(diag, STATUS_MEMORY, "outcomes: out of memory") : status;
}

static void put_interval_json(struct buffer *out, const struct stats_interval *i)
{
    buffer_format(out, "{\"value\":%.9g,\"low\":%.9g,\"high\":%.9g", i->mean, i->low, i->high);
}

static void put_comparison_json(struct buffer *out, const struct outcome_comparison *c)
{
    buffer_format(out, ",\"compare\":{\"n\":%zu,\"value\":%.9g,\"other\":%.9g,\"difference\":", c->n, c->mean,
                  c->other);
    put_interval_json(out, &c->paired.difference);
    buffer_format(out, ",\"p\":%.9g},\"mcnemar\":{\"n\":%zu,\"only_here\":%zu,\"only_there\":%zu,\"p\":%.9g}",
                  c->paired.p, c->n_binary, c->only_left, c->only_right, c->mcnemar);
    buffer_format(out, ",\"not_joined\":[%zu,%zu]}", c->left, c->right);
}

enum status outcomes_put_json(struct buffer *out, const struct outcomes *o, const struct outcome_comparison *c,
                              struct diag *diag)
{
    struct ratio ratios[RATIOS];
    enum status status = STATUS_OK;

    buffer_format(out, "\"questions\":%zu,\"with_gold\":%zu,\"unanswered\":%zu,\"truncated\":%zu,\"tokens\":%llu",
                  o->records, o->n, o->unanswered, o->truncated, (unsigned long long)o->tokens);
    for (int m = 0; m < OUTCOME_MEASURES && !status; m++) {
        struct stats_interval interval;
        char name[32];
        size_t n;

        if (!is_shown(o, m))
            continue;
        status = outcomes_interval(&interval, &n, o, (enum outcome_measure)m, diag);
        name_measure(name, m);
        buffer_format(out, ",\"%s\":", name);
        put_interval_json(out, &interval);
        buffer_format(out, ",\"n\":%zu}", n);
    }
    list_ratios(ratios, &o->sums);
    if (o->process) {
        buffer_format(out, ",\"process\":{\"outputs\":%llu", (unsigned long long)o->sums.outputs);
        for (size_t i = 0; i < RATIOS; i++)
            if (ratios[i].whole > 0)
                buffer_format(out, ",\"%s\":%.9g", ratios[i].name, ratios[i].part / ratios[i].whole);
        buffer_text(out, "}");
    }
    if (c)
        put_comparison_json(out, c);
    return !status && out->failed ? diag_fail(diag, STATUS_MEMORY, "outcomes: out of memory") : status;
}
