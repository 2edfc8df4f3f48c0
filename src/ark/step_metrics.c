/* step_metrics.c - measures of step scores, collected solution by solution.
 *
 * A first error at step e is named by every threshold t with scores[e] < t <= min(scores[0..e)), none by every t <=
 * min(scores): a solution is kept as this interval (low, high], so that any threshold can be judged afterwards.
 * Leaves out: where scores and labels come from (stepwise.c, prm_score.c). */
#include "step_metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "stats.h"
#include "stepwise.h"

#define LABEL_RIGHT     1
#define LABEL_UP_TO_ERR 2

struct step_interval {
    double low, high;     /* right at thresholds in (low, high] */
    int with_error, half; /* half: 0 or 1, by the question */
};

struct step_whole {
    double score;
    uint64_t question;
    int right;
};

struct step_question {
    uint64_t hash;
    uint32_t n, n_right; /* n 0: an empty slot */
    double best;         /* highest score so far */
    uint32_t n_best, n_best_right;
};

static enum status no_memory(struct diag *diag)
{
    return diag_fail(diag, STATUS_MEMORY, "step metrics: out of memory");
}

/* ---- One number a solution ---- */

double step_metrics_whole(enum step_aggregate aggregate, const double *scores, size_t n_steps)
{
    double whole = aggregate == STEP_AGGREGATE_PRODUCT ? 1 : aggregate == STEP_AGGREGATE_MEAN ? 0 : INFINITY;

    for (size_t i = 0; i < n_steps; i++) {
        if (isnan(scores[i]))
            return NAN;
        if (aggregate == STEP_AGGREGATE_MIN)
            whole = scores[i] < whole ? scores[i] : whole;
        else if (aggregate == STEP_AGGREGATE_MEAN)
            whole += scores[i] / (double)n_steps;
        else if (aggregate == STEP_AGGREGATE_PRODUCT)
            whole *= (scores[i] + 1) / 2;
        else
            whole = scores[i];
    }
    return whole;
}

int step_metrics_aggregate_named(enum step_aggregate *aggregate, const char *name)
{
    static const char *const names[] = {"min", "mean", "last", "product"};

    for (int i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0) {
            *aggregate = (enum step_aggregate)i;
            return 1;
        }
    return 0;
}

/* ---- Collecting ---- */

/* Room for one more element in two arrays of the same length; the second may be absent (size 0). */
static int grow(void **first, size_t size, void **second, size_t second_size, size_t n, size_t *room)
{
    size_t wanted = *room ? 2 * *room : 64;
    void *grown;

    if (n < *room)
        return 1;
    grown = memory_grow(*first, wanted * size);
    if (!grown)
        return 0;
    *first = grown;
    if (second_size) {
        grown = memory_grow(*second, wanted * second_size);
        if (!grown)
            return 0;
        *second = grown;
    }
    *room = wanted;
    return 1;
}

static void add_to_bin(struct step_metrics *m, double score, int right)
{
    double p = (score + 1) / 2;
    int b = 0;

    while (b + 1 < STEP_METRICS_BINS && p > (double)(b + 1) / STEP_METRICS_BINS)
        b++;
    m->bin_p[b] += p;
    m->bin_right[b] += right;
    m->bin_n[b]++;
    m->brier += (p - right) * (p - right);
}

static enum status add_steps(struct step_metrics *m, const struct step_solution *s, size_t first_error,
                             struct diag *diag)
{
    for (size_t i = 0; i < s->n_steps; i++) {
        void *scores = m->scores, *labels = m->labels;
        int fits;

        if (!s->labels || s->labels[i] == STEP_UNKNOWN || isnan(s->scores[i]))
            continue;
        fits = grow(&scores, sizeof *m->scores, &labels, 1, m->n_steps, &m->room_steps);
        m->scores = scores;
        m->labels = labels;
        if (!fits)
            return no_memory(diag);
        m->scores[m->n_steps] = s->scores[i];
        m->labels[m->n_steps++] =
            (unsigned char)((s->labels[i] ? LABEL_RIGHT : 0) | (i <= first_error ? LABEL_UP_TO_ERR : 0));
        add_to_bin(m, s->scores[i], s->labels[i] != 0);
    }
    return STATUS_OK;
}

/* The half of all questions that one belongs to. */
static int half_of(uint64_t question)
{
    return (int)(question * 0x9E3779B97F4A7C15u >> 63);
}

static enum status add_interval(struct step_metrics *m, const struct step_solution *s, size_t first_error,
                                struct diag *diag)
{
    struct step_interval interval = {-INFINITY, INFINITY, first_error < s->n_steps, half_of(s->question)};
    void *intervals = m->intervals;
    int fits = grow(&intervals, sizeof *m->intervals, NULL, 0, m->n_intervals, &m->room_intervals);

    m->intervals = intervals;
    if (!fits)
        return no_memory(diag);
    for (size_t i = 0; i < first_error; i++)
        interval.high = s->scores[i] < interval.high ? s->scores[i] : interval.high;
    if (interval.with_error)
        interval.low = s->scores[first_error];
    m->intervals[m->n_intervals++] = interval;
    return STATUS_OK;
}

static struct step_question *find_slot(struct step_question *table, size_t room, uint64_t hash)
{
    size_t at = (size_t)(hash * 0x9E3779B97F4A7C15u >> 32) & (room - 1);

    while (table[at].n && table[at].hash != hash)
        at = (at + 1) & (room - 1);
    return &table[at];
}

/* The slot of a question, an empty one when it is new; NULL without memory. The table is a power of two of slots, at
 * most three quarters full. */
static struct step_question *find_question(struct step_metrics *m, uint64_t hash)
{
    struct step_question *slot;

    if (4 * m->n_questions >= 3 * m->room_questions) {
        size_t room = m->room_questions ? 2 * m->room_questions : 64;
        struct step_question *table = memory_alloc(room * sizeof *table);

        if (!table)
            return NULL;
        memset(table, 0, room * sizeof *table);
        for (size_t i = 0; i < m->room_questions; i++)
            if (m->questions[i].n)
                *find_slot(table, room, m->questions[i].hash) = m->questions[i];
        memory_free(m->questions);
        m->questions = table;
        m->room_questions = room;
    }
    slot = find_slot(m->questions, m->room_questions, hash);
    m->n_questions += slot->n == 0;
    return slot;
}

static enum status add_whole(struct step_metrics *m, double whole, int correct, uint64_t question, struct diag *diag)
{
    const struct step_whole solution = {whole, question, correct != 0};
    void *wholes = m->wholes;
    int fits = grow(&wholes, sizeof *m->wholes, NULL, 0, m->n_wholes, &m->room_wholes);
    struct step_question *q = fits ? find_question(m, question) : NULL;

    m->wholes = wholes;
    if (!q)
        return no_memory(diag);
    m->wholes[m->n_wholes++] = solution;
    if (q->n == 0 || whole > q->best) {
        q->best = whole;
        q->n_best = q->n_best_right = 0;
    }
    q->hash = question;
    q->n++;
    q->n_right += correct != 0;
    if (whole == q->best) {
        q->n_best++;
        q->n_best_right += correct != 0;
    }
    return STATUS_OK;
}

enum status step_metrics_add(struct step_metrics *m, const struct step_solution *s, struct diag *diag)
{
    size_t first_error = s->n_steps, n_unknown = 0, n_cut = 0;
    int correct = s->correct;
    enum status status;

    for (size_t i = s->n_steps; i-- > 0;) {
        n_unknown += !s->labels || s->labels[i] == STEP_UNKNOWN;
        n_cut += isnan(s->scores[i]) != 0;
        if (s->labels && s->labels[i] == 0)
            first_error = i;
    }
    status = add_steps(m, s, first_error, diag);
    if (n_cut || s->n_steps == 0) {
        m->n_cut += n_cut != 0;
        return status;
    }
    if (!status && (first_error < s->n_steps || n_unknown == 0))
        status = add_interval(m, s, first_error, diag);
    if (correct < 0 && first_error < s->n_steps)
        correct = 0;
    if (correct < 0 && n_unknown == 0)
        correct = 1;
    if (!status && correct >= 0)
        status = add_whole(m, step_metrics_whole(m->aggregate, s->scores, s->n_steps), correct, s->question, diag);
    return status;
}

void step_metrics_free(struct step_metrics *m)
{
    memory_free(m->scores);
    memory_free(m->labels);
    memory_free(m->intervals);
    memory_free(m->wholes);
    memory_free(m->questions);
    memset(m, 0, sizeof *m);
}

/* ---- The report ---- */

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : NAN;
}

/* AUC of the steps whose label has all bits of `mask`; NaN when a class is missing. */
static enum status steps_auc(double *auc, const struct step_metrics *m, int mask, struct diag *diag)
{
    double *scores = memory_alloc((m->n_steps + 1) * sizeof *scores);
    unsigned char *labels = memory_alloc(m->n_steps + 1);
    size_t n = 0, right = 0;
    enum status status = scores && labels ? STATUS_OK : no_memory(diag);

    for (size_t i = 0; i < m->n_steps && !status; i++)
        if ((m->labels[i] & mask) == mask) {
            scores[n] = m->scores[i];
            labels[n] = (m->labels[i] & LABEL_RIGHT) != 0;
            right += labels[n++];
        }
    *auc = NAN;
    if (!status && right && right < n)
        status = stats_auc(auc, scores, labels, n, diag);
    memory_free(scores);
    memory_free(labels);
    return status;
}

static void count_steps(struct step_report *r, const struct step_metrics *m, double threshold)
{
    double hits = 0, gap = 0;

    r->steps = m->n_steps;
    for (size_t i = 0; i < m->n_steps; i++) {
        int right = (m->labels[i] & LABEL_RIGHT) != 0;

        r->wrong_steps += !right;
        r->first_steps += (m->labels[i] & LABEL_UP_TO_ERR) != 0;
        hits += right == !(m->scores[i] < threshold);
    }
    for (int b = 0; b < STEP_METRICS_BINS; b++)
        gap += fabs(m->bin_p[b] - m->bin_right[b]);
    r->accuracy = share(hits, (double)m->n_steps);
    r->ece = share(gap, (double)m->n_steps);
    r->brier = share(m->brier, (double)m->n_steps);
}

static double harmonic(double a, double b)
{
    return a + b > 0 ? 2 * a * b / (a + b) : isnan(a) || isnan(b) ? NAN : 0;
}

static void find_errors(struct step_report *r, const struct step_metrics *m, double threshold)
{
    double found_error = 0, found_none = 0;

    r->with_error = r->without_error = 0;
    for (size_t i = 0; i < m->n_intervals; i++) {
        const struct step_interval *in = &m->intervals[i];
        int found = in->low < threshold && threshold <= in->high;

        r->with_error += (size_t)in->with_error;
        r->without_error += (size_t)!in->with_error;
        *(in->with_error ? &found_error : &found_none) += found;
    }
    r->found_error = share(found_error, (double)r->with_error);
    r->found_none = share(found_none, (double)r->without_error);
    r->first_error_accuracy = share(found_error + found_none, (double)m->n_intervals);
    r->first_error_f1 = harmonic(r->found_error, r->found_none);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* How many of the n ascending values are below x. */
static size_t below(const double *ascending, size_t n, double x)
{
    size_t low = 0;

    while (n) {
        size_t half = n / 2;

        if (ascending[low + half] < x) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}

/* A threshold, and the first-error F1 that it has. */
struct fit {
    double threshold, f1;
    size_t with_error, without_error;
};

/* Raising the threshold to the next upper end loses nothing, so the best one is an upper end (1 above all scores). */
static void search_threshold(struct fit *fit, double *lows, double *highs, double *nones, size_t n_errors)
{
    size_t n_nones = fit->without_error;

    qsort(lows, n_errors, sizeof *lows, compare_doubles);
    qsort(highs, n_errors, sizeof *highs, compare_doubles);
    qsort(nones, n_nones, sizeof *nones, compare_doubles);
    for (size_t i = 0; i < n_errors + n_nones; i++) {
        double t = i < n_errors ? highs[i] : nones[i - n_errors];
        double errors = (double)(below(lows, n_errors, t) - below(highs, n_errors, t));
        double f1 = harmonic(share(errors, (double)fit->with_error),
                             share((double)(n_nones - below(nones, n_nones, t)), (double)n_nones));

        if (isnan(fit->f1) || f1 > fit->f1) {
            fit->f1 = f1;
            fit->threshold = t;
        }
    }
}

/* The best threshold for the solutions of one half, or of both (half < 0); NaN when a kind of solution is missing. */
static enum status fit_threshold(struct fit *fit, const struct step_metrics *m, int half, struct diag *diag)
{
    double *ends = memory_alloc((3 * m->n_intervals + 1) * sizeof *ends), *highs, *nones;
    size_t n_errors = 0;

    memset(fit, 0, sizeof *fit);
    fit->threshold = fit->f1 = NAN;
    if (!ends)
        return no_memory(diag);
    highs = ends + m->n_intervals;
    nones = highs + m->n_intervals;
    for (size_t i = 0; i < m->n_intervals; i++) {
        const struct step_interval *in = &m->intervals[i];
        double high = in->high < 1 ? in->high : 1;

        if (half >= 0 && in->half != half)
            continue;
        fit->with_error += (size_t)in->with_error;
        if (!in->with_error) {
            nones[fit->without_error++] = high;
        } else if (in->low < high) { /* else no threshold finds it */
            ends[n_errors] = in->low;
            highs[n_errors++] = high;
        }
    }
    if (fit->with_error && fit->without_error)
        search_threshold(fit, ends, highs, nones, n_errors);
    memory_free(ends);
    return STATUS_OK;
}

static enum status best_threshold(struct step_report *r, const struct step_metrics *m, struct diag *diag)
{
    double found[2] = {0, 0};
    struct fit all, fits[2];
    enum status status = fit_threshold(&all, m, -1, diag);

    for (int half = 0; half < 2 && !status; half++)
        status = fit_threshold(&fits[half], m, half, diag);
    if (status)
        return status;
    r->best_threshold = all.threshold;
    r->best_f1 = all.f1;
    r->fitted_f1 = NAN;
    if (isnan(fits[0].f1) || isnan(fits[1].f1))
        return STATUS_OK;
    for (size_t i = 0; i < m->n_intervals; i++) {
        const struct step_interval *in = &m->intervals[i];
        double threshold = fits[!in->half].threshold;

        found[in->with_error] += in->low < threshold && threshold <= in->high;
    }
    r->fitted_f1 = harmonic(share(found[1], (double)all.with_error), share(found[0], (double)all.without_error));
    return STATUS_OK;
}

/* A tie for the best is broken at random: it counts by the share of the right ones among the best. */
static void choose_best(struct step_report *r, const struct step_metrics *m)
{
    double mean = 0, best = 0, any = 0, each = 0;

    for (size_t i = 0; i < m->room_questions; i++) {
        const struct step_question *q = &m->questions[i];

        if (q->n < 2)
            continue;
        r->questions++;
        each += q->n;
        mean += (double)q->n_right / q->n;
        best += (double)q->n_best_right / q->n_best;
        any += q->n_right > 0;
    }
    r->solutions_each = share(each, (double)r->questions);
    r->mean_of_n = share(mean, (double)r->questions);
    r->best_of_n = share(best, (double)r->questions);
    r->any_of_n = share(any, (double)r->questions);
}

static int compare_wholes(const void *a, const void *b)
{
    const struct step_whole *x = a, *y = b;

    if (x->question != y->question)
        return x->question < y->question ? -1 : 1;
    return (x->score > y->score) - (x->score < y->score);
}

/* Pairs of a right and a wrong solution of one question that are in order; a tie is half in order. */
static void count_pairs(struct step_report *r, const struct step_whole *sorted, size_t n)
{
    double in_order = 0;
    size_t wrong = 0, right = 0;

    for (size_t i = 0, next; i < n; i = next) {
        size_t equal[2] = {0, 0}; /* wrong, right */

        if (i == 0 || sorted[i].question != sorted[i - 1].question)
            wrong = right = 0;
        for (next = i; next < n && compare_wholes(&sorted[next], &sorted[i]) == 0; next++)
            equal[sorted[next].right]++;
        in_order += (double)equal[1] * ((double)wrong + (double)equal[0] / 2);
        r->pairs += equal[1] * wrong + equal[0] * right + equal[0] * equal[1];
        wrong += equal[0];
        right += equal[1];
    }
    r->within_auc = share(in_order, (double)r->pairs);
}

/* How solutions are ranked: all of them, and within each question. */
static enum status rank_solutions(struct step_report *r, const struct step_metrics *m, struct diag *diag)
{
    struct step_whole *sorted = memory_alloc((m->n_wholes + 1) * sizeof *sorted);
    double *scores = memory_alloc((m->n_wholes + 1) * sizeof *scores);
    unsigned char *labels = memory_alloc(m->n_wholes + 1);
    enum status status = sorted && scores && labels ? STATUS_OK : no_memory(diag);
    size_t right = 0;

    r->solution_auc = r->within_auc = NAN;
    r->solutions = m->n_wholes;
    for (size_t i = 0; i < m->n_wholes && !status; i++) {
        sorted[i] = m->wholes[i];
        scores[i] = m->wholes[i].score;
        labels[i] = m->wholes[i].right != 0;
        right += labels[i];
    }
    if (!status && right && right < m->n_wholes) {
        qsort(sorted, m->n_wholes, sizeof *sorted, compare_wholes);
        count_pairs(r, sorted, m->n_wholes);
        status = stats_auc(&r->solution_auc, scores, labels, m->n_wholes, diag);
    }
    memory_free(sorted);
    memory_free(scores);
    memory_free(labels);
    return status;
}

enum status step_metrics_report(struct step_report *r, const struct step_metrics *m, double threshold,
                                struct diag *diag)
{
    enum status status;

    memset(r, 0, sizeof *r);
    count_steps(r, m, threshold);
    find_errors(r, m, threshold);
    choose_best(r, m);
    r->cut = m->n_cut;
    status = steps_auc(&r->auc, m, 0, diag);
    if (!status)
        status = steps_auc(&r->auc_first, m, LABEL_UP_TO_ERR, diag);
    if (!status)
        status = best_threshold(r, m, diag);
    return status ? status : rank_solutions(r, m, diag);
}

/* ---- Writing ---- */

struct measure {
    const char *name;
    double value;
    size_t n;
};

#define MEASURES 17

static void list_measures(struct measure list[MEASURES], const struct step_report *r)
{
    size_t both = r->with_error + r->without_error;
    const struct measure all[MEASURES] = {{"step_auc", r->auc, r->steps},
                                          {"step_auc_to_first_error", r->auc_first, r->first_steps},
                                          {"step_accuracy", r->accuracy, r->steps},
                                          {"calibration_error", r->ece, r->steps},
                                          {"brier", r->brier, r->steps},
                                          {"first_error_f1", r->first_error_f1, both},
                                          {"first_error_accuracy", r->first_error_accuracy, both},
                                          {"found_error", r->found_error, r->with_error},
                                          {"found_none", r->found_none, r->without_error},
                                          {"best_threshold", r->best_threshold, both},
                                          {"best_threshold_f1", r->best_f1, both},
                                          {"fitted_first_error_f1", r->fitted_f1, both},
                                          {"solution_auc", r->solution_auc, r->solutions},
                                          {"within_question_auc", r->within_auc, r->pairs},
                                          {"mean_of_n", r->mean_of_n, r->questions},
                                          {"best_of_n", r->best_of_n, r->questions},
                                          {"any_of_n", r->any_of_n, r->questions}};

    memcpy(list, all, sizeof all);
}

void step_metrics_put(struct buffer *out, const struct step_report *r)
{
    struct measure list[MEASURES];

    list_measures(list, r);
    for (size_t i = 0; i < MEASURES; i++)
        if (!isnan(list[i].value))
            buffer_format(out, "%s %.6f %zu\n", list[i].name, list[i].value, list[i].n);
    if (r->questions)
        buffer_format(out, "best_of_n_lift %.6f %zu\n", r->best_of_n - r->mean_of_n, r->questions);
    if (r->cut)
        buffer_format(out, "cut %zu\n", r->cut);
}

void step_metrics_put_json(struct buffer *out, const struct step_report *r)
{
    struct measure list[MEASURES];

    list_measures(list, r);
    buffer_format(out, "\"steps\":%zu,\"wrong_steps\":%zu,\"with_error\":%zu,\"without_error\":%zu", r->steps,
                  r->wrong_steps, r->with_error, r->without_error);
    buffer_format(out, ",\"solutions\":%zu,\"questions\":%zu,\"cut\":%zu", r->solutions, r->questions, r->cut);
    for (size_t i = 0; i < MEASURES; i++)
        if (!isnan(list[i].value))
            buffer_format(out, ",\"%s\":%.9g", list[i].name, list[i].value);
    if (r->questions)
        buffer_format(out, ",\"best_of_n_lift\":%.9g,\"solutions_each\":%.9g", r->best_of_n - r->mean_of_n,
                      r->solutions_each);
}
