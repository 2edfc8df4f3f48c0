/* stats.h - intervals and tests of what was measured on questions; deterministic in the seed.
 *
 * Levels are 95 % throughout. Random numbers: rng(seed, RNG_BOOTSTRAP, replicate, draw). */
#ifndef ARKLET_STATS_H
#define ARKLET_STATS_H

#include <stddef.h>
#include <stdint.h>
#include "status.h"

#define STATS_REPLICATES 10000

struct stats_interval {
    double mean, low, high;
};

/* Wilson's interval of a proportion (Wilson 1927). n = 0 gives mean 0 and the interval 0..1. */
struct stats_interval stats_wilson(uint64_t successes, uint64_t n);

/* The mean of n values with the percentile interval of its bootstrap (Efron 1979); n = 0 gives zeros. Fails only for
 * memory. */
enum status stats_bootstrap(struct stats_interval *interval, const double *values, size_t n, size_t replicates,
                            uint64_t seed, struct diag *diag);

/* a - b on the same n questions: the mean difference, its interval, and p, two-sided: twice the smaller share of the
 * replicates on the wrong side of 0 (those at 0 count for both), at most 1. */
struct stats_paired {
    struct stats_interval difference;
    double p;
};

enum status stats_paired_bootstrap(struct stats_paired *paired, const double *a, const double *b, size_t n,
                                   size_t replicates, uint64_t seed, struct diag *diag);

/* McNemar's exact test, two-sided (McNemar 1947): `only_a` questions are right in a alone, `only_b` in b alone. */
double stats_mcnemar(uint64_t only_a, uint64_t only_b);

/* The area under the ROC curve: the chance that a positive scores higher than a negative, ties count half (Hanley and
 * McNeil 1982). labels are 0 or 1. 0.5 when one class is missing. */
enum status stats_auc(double *auc, const double *scores, const unsigned char *labels, size_t n, struct diag *diag);

/* The q-quantile (0..1) of n > 0 ascending values, interpolated between neighbours. */
double stats_quantile(const double *ascending, size_t n, double q);

#endif
