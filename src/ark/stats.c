/* stats.c - Wilson, bootstrap, McNemar, AUC.
 *
 *   replicate r of n values: the mean of values[rng(r, 0)], ..., values[rng(r, n - 1)]
 *   the paired bootstrap draws questions, so that both systems are seen on the same ones
 *
 * Sums run in index order in double; nothing depends on threads.
 * Leaves out: levels other than 95 %, corrections for many comparisons. */
#include <math.h>
#include <stdlib.h>

#include "arena.h"
#include "rng.h"
#include "stats.h"

#define NORMAL_975 1.959963984540054 /* quantile of the standard normal distribution */

static enum status no_memory(struct diag *diag)
{
    return diag_fail(diag, STATUS_MEMORY, "out of memory for statistics");
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct stats_interval stats_wilson(uint64_t successes, uint64_t n)
{
    struct stats_interval i = {0, 0, 1};
    double count = (double)n, z2 = NORMAL_975 * NORMAL_975, centre, half;

    if (n == 0)
        return i;
    i.mean = (double)successes / count;
    centre = (i.mean + z2 / (2 * count)) / (1 + z2 / count);
    half = NORMAL_975 / (1 + z2 / count) * sqrt(i.mean * (1 - i.mean) / count + z2 / (4 * count * count));
    i.low = successes == 0 ? 0 : centre - half;
    i.high = successes == n ? 1 : centre + half;
    return i;
}

double stats_quantile(const double *ascending, size_t n, double q)
{
    double at = q * (double)(n - 1), low = floor(at);
    size_t i = (size_t)low;

    return i + 1 < n ? ascending[i] + (at - low) * (ascending[i + 1] - ascending[i]) : ascending[n - 1];
}

/* The means of the replicates, ascending; *mean that of the values. */
static double *replicate_means(double *mean, const double *values, size_t n, size_t replicates, uint64_t seed)
{
    double *means = memory_alloc((replicates + 1) * sizeof *means), sum = 0;

    if (!means)
        return NULL;
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    *mean = sum / (double)n;
    for (size_t r = 0; r < replicates; r++) {
        sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += values[rng_below(rng_bits(seed, RNG_BOOTSTRAP, r, i, 0), (uint32_t)n)];
        means[r] = sum / (double)n;
    }
    qsort(means, replicates, sizeof *means, compare_doubles);
    return means;
}

static void set_bounds(struct stats_interval *interval, const double *means, size_t replicates)
{
    interval->low = interval->high = interval->mean;
    if (replicates) {
        interval->low = stats_quantile(means, replicates, 0.025);
        interval->high = stats_quantile(means, replicates, 0.975);
    }
}

enum status stats_bootstrap(struct stats_interval *interval, const double *values, size_t n, size_t replicates,
                            uint64_t seed, struct diag *diag)
{
    struct stats_interval none = {0, 0, 0};
    double *means;

    *interval = none;
    if (n == 0)
        return STATUS_OK;
    means = replicate_means(&interval->mean, values, n, replicates, seed);
    if (!means)
        return no_memory(diag);
    set_bounds(interval, means, replicates);
    memory_free(means);
    return STATUS_OK;
}

enum status stats_paired_bootstrap(struct stats_paired *paired, const double *a, const double *b, size_t n,
                                   size_t replicates, uint64_t seed, struct diag *diag)
{
    struct stats_paired none = {{0, 0, 0}, 1};
    double *differences, *means;
    size_t below = 0, above = 0;

    *paired = none;
    if (n == 0)
        return STATUS_OK;
    differences = memory_alloc(n * sizeof *differences);
    if (!differences)
        return no_memory(diag);
    for (size_t i = 0; i < n; i++)
        differences[i] = a[i] - b[i];
    means = replicate_means(&paired->difference.mean, differences, n, replicates, seed);
    memory_free(differences);
    if (!means)
        return no_memory(diag);
    set_bounds(&paired->difference, means, replicates);
    for (size_t r = 0; r < replicates; r++) {
        below += means[r] <= 0;
        above += means[r] >= 0;
    }
    if (replicates)
        paired->p = 2 * (double)(below < above ? below : above) / (double)replicates;
    paired->p = paired->p > 1 ? 1 : paired->p;
    memory_free(means);
    return STATUS_OK;
}

/* Under the null hypothesis only_a is binomial (n, 1/2); p = 2 P(X <= min). The terms are summed from the largest down:
 * C(n, k - 1) = C(n, k) k / (n - k + 1). */
double stats_mcnemar(uint64_t only_a, uint64_t only_b)
{
    uint64_t n = only_a + only_b, k = only_a < only_b ? only_a : only_b;
    double term, sum = 0, p;

    if (n == 0 || only_a == only_b)
        return 1;
    term = exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) - (double)n * log(2));
    for (; term > 0 && term > sum * 1e-18; k--) {
        sum += term;
        if (k == 0)
            break;
        term *= (double)k / (double)(n - k + 1);
    }
    p = 2 * sum;
    return p > 1 ? 1 : p;
}

struct scored {
    double score;
    unsigned char label;
};

static int compare_scored(const void *a, const void *b)
{
    return compare_doubles(&((const struct scored *)a)->score, &((const struct scored *)b)->score);
}

/* By ranks: (sum of the positives' ranks - P (P + 1) / 2) / (P N), equal scores share their mean rank. */
enum status stats_auc(double *auc, const double *scores, const unsigned char *labels, size_t n, struct diag *diag)
{
    struct scored *sorted = memory_alloc((n + 1) * sizeof *sorted);
    double ranks = 0, positives = 0;

    *auc = 0.5;
    if (!sorted)
        return no_memory(diag);
    for (size_t i = 0; i < n; i++) {
        sorted[i].score = scores[i];
        sorted[i].label = labels[i] != 0;
        positives += labels[i] != 0;
    }
    qsort(sorted, n, sizeof *sorted, compare_scored);
    for (size_t i = 0, end; i < n; i = end) {
        double share, in_group = 0;

        for (end = i; end < n && compare_scored(&sorted[i], &sorted[end]) == 0; end++)
            in_group += sorted[end].label;
        share = (double)(i + 1 + end) / 2; /* mean of the ranks i + 1 ... end */
        ranks += in_group * share;
    }
    memory_free(sorted);
    if (positives > 0 && positives < (double)n)
        *auc = (ranks - positives * (positives + 1) / 2) / (positives * ((double)n - positives));
    return STATUS_OK;
}
