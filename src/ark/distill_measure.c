/* distill_measure.c - what a run's evaluations and learners came to, as numbers. Tables of them: distill_report.c,
 * distill_story.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "distill_parts.h"
#include "file.h"

struct measuring { /* of one set */
    struct distill *d;
    struct outcomes base; /* what the others are compared with */
    int has_base;
};

static enum outcome_measure main_measure(const struct outcomes *o)
{
    return o->series[OUTCOME_ACCURACY].n ? OUTCOME_ACCURACY : o->series[OUTCOME_F1].n ? OUTCOME_F1 : OUTCOME_ROUGEL;
}

static enum status read_greedy(struct measuring *r, enum distill_row row, const char *path, struct distill_measured *m,
                               struct diag *diag)
{
    struct outcomes o = {.process = 1, .seed = r->d->options->sampling.seed};
    enum status status = outcomes_read(&o, path, diag);

    if (!status)
        status = outcomes_interval(&m->value, &m->n, &o, main_measure(&o), diag);
    if (!status && distill_is_debate(row)) { /* its answers are votes, its first round are samples */
        m->vote = m->value;
        m->n_vote = m->n;
        status = outcomes_interval(&m->sampled, &m->n_sampled, &o, OUTCOME_SAMPLE, diag);
    }
    m->there = !status;
    m->tokens = o.records ? (double)o.tokens / (double)o.records : 0;
    m->equations = o.sums.equations ? (double)o.sums.true_equations / (double)o.sums.equations : NAN;
    if (!status && row == ROW_BASE) {
        r->base = o;
        r->has_base = 1;
        return STATUS_OK;
    }
    if (!status && r->has_base) {
        status = outcomes_compare(&m->comparison, &o, &r->base, diag);
        m->compared = m->comparison.n > 0;
    }
    outcomes_free(&o);
    return status;
}

static enum status read_votes(struct measuring *r, const char *path, struct distill_measured *m, struct diag *diag)
{
    struct outcomes o = {.seed = r->d->options->sampling.seed};
    enum status status = outcomes_read(&o, path, diag);

    if (!status)
        status = outcomes_interval(&m->vote, &m->n_vote, &o, main_measure(&o), diag);
    if (!status)
        status = outcomes_interval(&m->sampled, &m->n_sampled, &o, OUTCOME_SAMPLE, diag);
    m->vote_tokens = o.records ? (double)o.tokens / (double)o.records : 0;
    outcomes_free(&o);
    return status;
}

static enum status measure_row(struct measuring *r, struct distill_measured *m, enum distill_row row,
                               const struct distill_set *set, struct diag *diag)
{
    const char *greedy = distill_answers(r->d, row, set, 0), *votes = distill_answers(r->d, row, set, 1);
    enum status status = greedy && votes ? STATUS_OK : distill_no_memory(diag);

    memset(m, 0, sizeof *m);
    if (status || !distill_wants(r->d, row) || !file_exists(greedy))
        return status;
    status = read_greedy(r, row, greedy, m, diag);
    if (!status && file_exists(votes))
        status = read_votes(r, votes, m, diag);
    return status;
}

enum status distill_measure(struct distill *d, struct distill_measured *rows, const struct distill_set *set,
                            struct diag *diag)
{
    struct measuring m = {.d = d};
    enum status status = STATUS_OK;

    for (int row = 0; row < DISTILL_ROWS && !status; row++)
        status = measure_row(&m, &rows[row], (enum distill_row)row, set, diag);
    outcomes_free(&m.base);
    return status;
}

enum status distill_measure_dev(struct distill *d, enum distill_row row, double *mean, struct diag *diag)
{
    const struct distill_set dev = {"dev", d->dev};
    const char *path = distill_answers(d, row, &dev, 0);
    struct outcomes o = {.seed = d->options->sampling.seed};
    struct stats_interval interval;
    enum status status;
    size_t n = 0;

    *mean = NAN;
    if (!path)
        return distill_no_memory(diag);
    if (!file_exists(path))
        return STATUS_OK;
    status = outcomes_read(&o, path, diag);
    if (!status)
        status = outcomes_interval(&interval, &n, &o, main_measure(&o), diag);
    if (!status && n)
        *mean = interval.mean;
    outcomes_free(&o);
    return status;
}

/* ---- What training cost ---- */

/* The sum of the last column of metrics.csv: the time of all steps, interrupted runs included. */
double distill_training_seconds(struct distill *d, const char *name)
{
    const char *path = distill_path(d, "%s/metrics.csv", name);
    struct file_lines lines;
    char *line;
    size_t length;
    double sum = 0;

    if (!path || !file_exists(path) || file_lines_open(&lines, path, NULL))
        return 0;
    while (!file_lines_next(&lines, &line, &length, NULL) && line) {
        const char *last = strrchr(line, ',');

        sum += last && lines.number > 1 ? strtod(last + 1, NULL) : 0;
    }
    file_lines_close(&lines);
    return sum;
}

double distill_training_tokens(struct distill *d, const char *name)
{
    return json_number(distill_result(d, name), "num_tokens", 0);
}
