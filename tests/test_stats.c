/* test_stats.c - intervals and tests against published and hand-computed values. */
#include <math.h>

#include "arena.h"
#include "rng.h"
#include "stats.h"
#include "test.h"

/* Closed formulas in double against values of six to nine digits. */
#define DIGITS 5e-7

static struct diag diag;

static int near(double a, double b, double tolerance)
{
    return fabs(a - b) <= tolerance;
}

static void wilson(void)
{
    static const struct {
        uint64_t k, n;
        double low, high;
    } table[] = {
        {8, 10, 0.490162, 0.943318}, {0, 10, 0, 0.277533}, {10, 10, 0.722467, 1}, {50, 100, 0.403832, 0.596168}};
    struct stats_interval none = stats_wilson(0, 0);

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct stats_interval w = stats_wilson(table[i].k, table[i].n);

        CHECK_MSG(near(w.low, table[i].low, DIGITS) && near(w.high, table[i].high, DIGITS), "%llu of %llu: %.6f %.6f",
                  (unsigned long long)table[i].k, (unsigned long long)table[i].n, w.low, w.high);
        CHECK(w.mean == (double)table[i].k / (double)table[i].n);
    }
    CHECK(none.low == 0 && none.high == 1);
}

/* A proportion's bootstrap interval agrees with the normal approximation: n = 400, p = 0.5, sd of the mean 0.025. */
static void bootstrap(void)
{
    double values[400];
    struct stats_interval a, b, c;
    size_t replicates = test_quick() ? 500 : STATS_REPLICATES;

    for (size_t i = 0; i < 400; i++)
        values[i] = (double)(i % 2);
    CHECK(stats_bootstrap(&a, values, 400, replicates, 1, &diag) == STATUS_OK);
    CHECK(stats_bootstrap(&b, values, 400, replicates, 1, &diag) == STATUS_OK);
    CHECK(stats_bootstrap(&c, values, 400, replicates, 2, &diag) == STATUS_OK);
    CHECK(a.mean == 0.5 && a.low == b.low && a.high == b.high);
    CHECK(a.low != c.low || a.high != c.high || replicates < STATS_REPLICATES);
    /* steps of the mean are 0.0025, the quantile's own error is below two of them: measured 0.0000 */
    CHECK_MSG(near(a.low, 0.451, 0.006) && near(a.high, 0.549, 0.006), "%g %g", a.low, a.high);
    CHECK(stats_bootstrap(&a, values, 0, replicates, 1, &diag) == STATUS_OK && a.mean == 0);
    CHECK(stats_bootstrap(&a, values + 1, 1, 100, 1, &diag) == STATUS_OK && a.low == 1 && a.high == 1);
}

/* The replicates are those that the header states: recomputed here for three values. */
static void bootstrap_draws(void)
{
    static const double values[3] = {1, 10, 100};
    struct stats_interval found;
    double means[2];

    for (uint64_t r = 0; r < 2; r++) {
        means[r] = 0;
        for (uint64_t i = 0; i < 3; i++)
            means[r] += values[rng_below(rng_bits(7, RNG_BOOTSTRAP, r, i, 0), 3)];
        means[r] /= 3;
    }
    stats_bootstrap(&found, values, 3, 2, 7, &diag);
    CHECK(near(found.low, fmin(means[0], means[1]) + 0.025 * fabs(means[0] - means[1]), 1e-9));
    CHECK(near(found.high, fmin(means[0], means[1]) + 0.975 * fabs(means[0] - means[1]), 1e-9));
}

static void paired(void)
{
    double a[200], b[200];
    struct stats_paired p, q;
    size_t replicates = test_quick() ? 500 : 4000;

    for (size_t i = 0; i < 200; i++) {
        a[i] = i % 4 != 0;
        b[i] = i % 2 == 0;
    }
    CHECK(stats_paired_bootstrap(&p, a, b, 200, replicates, 3, &diag) == STATUS_OK);
    CHECK(near(p.difference.mean, 0.25, 1e-12) && p.difference.low > 0 && p.p < 0.02);
    CHECK(stats_paired_bootstrap(&q, b, a, 200, replicates, 3, &diag) == STATUS_OK);
    CHECK(near(q.difference.mean, -0.25, 1e-12) && q.p == p.p && near(q.difference.low, -p.difference.high, 1e-9));
    CHECK(stats_paired_bootstrap(&q, a, a, 200, replicates, 3, &diag) == STATUS_OK && q.p == 1);
}

/* Exact binomial tails: 2 (C(n,0) + ... + C(n,k)) / 2^n. */
static void mcnemar(void)
{
    CHECK(near(stats_mcnemar(1, 9), 2 * 11.0 / 1024, 1e-12));
    CHECK(near(stats_mcnemar(9, 1), 2 * 11.0 / 1024, 1e-12));
    CHECK(near(stats_mcnemar(0, 6), 2 / 64.0, 1e-12));
    CHECK(near(stats_mcnemar(5, 10), 0.301757812, 1e-9));
    CHECK(stats_mcnemar(0, 0) == 1 && stats_mcnemar(4, 4) == 1 && stats_mcnemar(4, 5) == 1);
    CHECK(near(stats_mcnemar(450, 550), 0.0017305361, 1e-9)); /* exact integers, by hand of a bignum */
    CHECK(stats_mcnemar(0, 100000) == 0);
}

static void auc(void)
{
    static const double scores[] = {0.1, 0.4, 0.35, 0.8}, ties[] = {1, 1, 2, 2};
    static const unsigned char labels[] = {0, 0, 1, 1}, mixed[] = {0, 1, 0, 1}, ones[] = {1, 1, 1, 1};
    double found;

    CHECK(stats_auc(&found, scores, labels, 4, &diag) == STATUS_OK && near(found, 0.75, 1e-12));
    CHECK(stats_auc(&found, ties, mixed, 4, &diag) == STATUS_OK && near(found, 0.5, 1e-12));
    CHECK(stats_auc(&found, ties, labels, 4, &diag) == STATUS_OK && near(found, 1, 1e-12));
    CHECK(stats_auc(&found, scores, ones, 4, &diag) == STATUS_OK && found == 0.5);
    CHECK(stats_auc(&found, scores, labels, 0, &diag) == STATUS_OK && found == 0.5);
}

static void quantiles(void)
{
    static const double values[] = {1, 2, 4, 8};

    CHECK(stats_quantile(values, 4, 0) == 1 && stats_quantile(values, 4, 1) == 8 &&
          stats_quantile(values, 4, 0.5) == 3);
    CHECK(near(stats_quantile(values, 4, 0.25), 1.75, 1e-12));
}

static void short_memory(void)
{
    double values[4] = {1, 2, 3, 4}, area;
    unsigned char labels[4] = {0, 1, 0, 1};
    struct stats_interval interval;
    struct stats_paired p;

    memory_fail_at(1);
    CHECK(stats_bootstrap(&interval, values, 4, 10, 1, &diag) == STATUS_MEMORY);
    memory_fail_at(2);
    CHECK(stats_paired_bootstrap(&p, values, values, 4, 10, 1, &diag) == STATUS_MEMORY);
    memory_fail_at(1);
    CHECK(stats_auc(&area, values, labels, 4, &diag) == STATUS_MEMORY);
    memory_fail_at(0);
    CHECK(memory_live() == 0);
}

int main(void)
{
    RUN(wilson);
    RUN(bootstrap);
    RUN(bootstrap_draws);
    RUN(paired);
    RUN(mcnemar);
    RUN(auc);
    RUN(quantiles);
    RUN(short_memory);
    return TEST_RESULT();
}
