/* test_step_metrics.c - measures of step scores against values computed by hand. */
#include <math.h>

#include "rng.h"
#include "step_metrics.h"
#include "stepwise.h"
#include "test.h"

/* Sums of a few doubles against fractions. */
#define ROUNDING 1e-12

static struct diag diag;

static int near(double a, double b)
{
    return fabs(a - b) <= ROUNDING;
}

static void add(struct step_metrics *m, const double *scores, const int *labels, size_t n, int correct,
                uint64_t question)
{
    struct step_solution s = {scores, labels, n, correct, question};

    CHECK(step_metrics_add(m, &s, &diag) == STATUS_OK);
}

/* Four solutions: errors at 2 (named), at 0 (missed), none (named), none (falsely named). Eleven known labels.
 *
 *   A  .9  .7 -.4  .2*     labels 1 1 0 ?      B  .5 .6       labels 0 0
 *   C  .8  .3  .1          labels 1 1 1        D  .6 -.2 .9   labels 1 1 1 */
static void four_solutions(struct step_metrics *m)
{
    static const double a[] = {.9, .7, -.4, .2}, b[] = {.5, .6}, c[] = {.8, .3, .1}, d[] = {.6, -.2, .9};
    static const int la[] = {1, 1, 0, STEP_UNKNOWN}, lb[] = {0, 0}, lc[] = {1, 1, 1};

    add(m, a, la, 4, -1, 1);
    add(m, b, lb, 2, -1, 2);
    add(m, c, lc, 3, -1, 3);
    add(m, d, lc, 3, -1, 4);
}

/* Right: .9 .7 .8 .3 .1 .6 -.2 .9; wrong: -.4 .5 .6. Pairs won: over -.4 all 8; over .5: .9 .7 .8 .6 .9 = 5; over .6:
 * .9 .7 .8 .9 = 4 and the tie .6 = 1/2: 17.5 of 24. Without B's second step (after its first error): 13 of 16. */
static void steps_by_hand(void)
{
    struct step_metrics m = {0};
    struct step_report r;

    four_solutions(&m);
    CHECK(step_metrics_report(&r, &m, 0, &diag) == STATUS_OK);
    CHECK(r.steps == 11 && r.wrong_steps == 3 && r.first_steps == 10);
    CHECK_MSG(near(r.auc, 17.5 / 24) && near(r.auc_first, 13.0 / 16), "%.9f %.9f", r.auc, r.auc_first);
    CHECK(near(r.accuracy, 8.0 / 11)); /* wrong about .5, .6 of B and -.2 of D */
    step_metrics_free(&m);
}

static void first_errors_by_hand(void)
{
    struct step_metrics m = {0};
    struct step_report r;

    four_solutions(&m);
    CHECK(step_metrics_report(&r, &m, 0, &diag) == STATUS_OK);
    CHECK(r.with_error == 2 && r.without_error == 2);
    CHECK(near(r.found_error, .5) && near(r.found_none, .5) && near(r.first_error_f1, .5));
    CHECK(near(r.first_error_accuracy, .5));
    /* Thresholds in (-.4, .7] name A's error, above .5 B's, up to .1 C's none, up to -.2 D's: 2 1/2 1/(3/2) = 2/3 at
     * -.2, 2/3 has 1/2 and 1. */
    CHECK_MSG(near(r.best_f1, 2.0 / 3) && near(r.best_threshold, -.2), "%g at %g", r.best_f1, r.best_threshold);
    CHECK(step_metrics_report(&r, &m, -.2, &diag) == STATUS_OK);
    CHECK(near(r.found_error, .5) && near(r.found_none, 1) && near(r.first_error_f1, 2.0 / 3));
    CHECK(step_metrics_report(&r, &m, .55, &diag) == STATUS_OK);
    CHECK(near(r.found_error, 1) && near(r.found_none, 0) && near(r.first_error_f1, 0));
    CHECK(near(r.first_error_accuracy, .5));
    step_metrics_free(&m);
}

/* Questions 1 and 3 are one half, 2 and 4 the other. Of a half with an error found in (low, .9] and a right solution
 * whose lowest score is `none`, the best threshold is `none`: both are named there. Half 1: (-.4, .9] and .1, half 2:
 * (-.3, .9] and 0. At .1 half 2 has its error alone, at 0 half 1 has both: errors 2/2, none 1/2. */
static void thresholds_of_the_other_half(void)
{
    static const double error1[] = {.9, -.4}, error2[] = {.9, -.3}, none1[] = {.1}, none2[] = {0};
    static const int wrong[] = {1, 0}, right[] = {1};
    struct step_metrics m = {0};
    struct step_report r;

    add(&m, error1, wrong, 2, -1, 1);
    add(&m, error2, wrong, 2, -1, 2);
    add(&m, none1, right, 1, -1, 3);
    CHECK(step_metrics_report(&r, &m, 0, &diag) == STATUS_OK);
    CHECK(near(r.best_f1, 1) && isnan(r.fitted_f1)); /* the second half has no right solution */
    add(&m, none2, right, 1, -1, 4);
    CHECK(step_metrics_report(&r, &m, 0, &diag) == STATUS_OK);
    CHECK_MSG(near(r.best_f1, 1) && near(r.fitted_f1, 2.0 / 3), "%g %g", r.best_f1, r.fitted_f1);
    step_metrics_free(&m);
}

/* Two bins: p = .1 twice with one right, p = .75 (score .5) four times with four right:
 * ece = (|.2 - 1| + |3 - 4|) / 6 = .3; brier = (.01 + .81 + 4 / 16) / 6. */
static void calibration_by_hand(void)
{
    static const double low[] = {-.8, -.8}, high[] = {.5, .5, .5, .5};
    static const int mixed[] = {1, 0}, ones[] = {1, 1, 1, 1};
    struct step_metrics m = {0};
    struct step_report r;

    add(&m, low, mixed, 2, -1, 1);
    add(&m, high, ones, 4, -1, 1);
    CHECK(step_metrics_report(&r, &m, 0, &diag) == STATUS_OK);
    CHECK_MSG(near(r.ece, .3) && near(r.brier, (.01 + .81 + .25) / 6), "%.9f %.9f", r.ece, r.brier);
    step_metrics_free(&m);
}

/* Bins are open below: p = .5 belongs to (.4, .5], p = 1 to the last, p = 0 to the first. Were .5 in the bin of .55,
 * the error would be |.5 + .55 - 1| / 4 instead of (|.5 - 0| + |.55 - 1|) / 4. */
static void bin_edges(void)
{
    static const double scores[] = {0, .1, 1, -1};
    static const int labels[] = {0, 1, 1, 0};
    struct step_metrics m = {0};
    struct step_report r;

    add(&m, scores, labels, 4, -1, 1);
    CHECK(step_metrics_report(&r, &m, 0, &diag) == STATUS_OK);
    CHECK_MSG(near(r.ece, (.5 + .45) / 4), "%.9f", r.ece);
    step_metrics_free(&m);
}

/* Question 1: minima .2 (wrong), .5 (right), .5 (wrong): the tie counts 1/2. Question 2: -.3 (right), .1 (wrong): 0.
 * Question 3 has one solution: no choice. Mean (1/3 + 1/2) / 2. */
static void best_of_n_by_hand(void)
{
    static const double s1[] = {.2, .9}, s2[] = {.5, .6}, s3[] = {.9, .5}, s4[] = {-.3}, s5[] = {.1};
    struct step_metrics m = {0};
    struct step_report r;

    add(&m, s1, NULL, 2, 0, 1);
    add(&m, s2, NULL, 2, 1, 1);
    add(&m, s4, NULL, 1, 1, 2);
    add(&m, s3, NULL, 2, 0, 1);
    add(&m, s5, NULL, 1, 0, 2);
    add(&m, s5, NULL, 1, 1, 3);
    add(&m, s5, NULL, 1, -1, 3); /* of unknown correctness: counts for nothing */
    CHECK(step_metrics_report(&r, &m, 0, &diag) == STATUS_OK);
    CHECK(r.questions == 2 && r.solutions == 6 && r.steps == 0 && isnan(r.auc) && isnan(r.first_error_f1));
    CHECK(near(r.solutions_each, 2.5) && near(r.mean_of_n, (1.0 / 3 + .5) / 2));
    CHECK(near(r.best_of_n, .25) && near(r.any_of_n, 1));
    /* right .5 -.3 .1, wrong .2 .5 .1: pairs .5: 1 + .5 + 1, -.3: 0, .1: .5 */
    CHECK_MSG(near(r.solution_auc, 3.0 / 9), "%.9f", r.solution_auc);
    /* question 1: .5 over .2, .5 beside .5; question 2: -.3 under .1 */
    CHECK_MSG(r.pairs == 3 && near(r.within_auc, 1.5 / 3), "%.9f of %zu", r.within_auc, r.pairs);
    step_metrics_free(&m);
}

/* Easy questions score high, hard ones low, whatever their solutions: all pairs in order over questions, none within.
 */
static void difficulty_is_no_reward(void)
{
    static const double easy[] = {.9}, easier[] = {.95}, hard[] = {-.5}, harder[] = {-.6};
    struct step_metrics m = {0};
    struct step_report r;

    for (int i = 0; i < 9; i++)
        add(&m, easy, NULL, 1, 1, 1);
    add(&m, easier, NULL, 1, 0, 1);
    for (int i = 0; i < 9; i++)
        add(&m, hard, NULL, 1, 0, 2);
    add(&m, harder, NULL, 1, 1, 2);
    CHECK(step_metrics_report(&r, &m, 0, &diag) == STATUS_OK);
    CHECK(near(r.solution_auc, 81.0 / 100) && r.pairs == 18 && r.within_auc == 0);
    step_metrics_free(&m);
}

/* Many questions make the table grow; their order does not matter. */
static void many_questions(void)
{
    struct step_metrics m = {0}, back = {0};
    struct step_report r, s;
    size_t n = test_quick() ? 500 : 5000;

    for (size_t i = 0; i < 3 * n; i++)
        for (int way = 0; way < 2; way++) {
            size_t j = way ? 3 * n - 1 - i : i;
            double score = 2 * rng_unit(rng_bits(1, RNG_TEST, j, 0, 0)) - 1;

            add(way ? &back : &m, &score, NULL, 1, (int)(rng_bits(1, RNG_TEST, j, 1, 0) & 1), 7 * (j % n));
        }
    CHECK(step_metrics_report(&r, &m, 0, &diag) == STATUS_OK && step_metrics_report(&s, &back, 0, &diag) == STATUS_OK);
    CHECK(r.questions == n && near(r.solutions_each, 3));
    CHECK(fabs(r.best_of_n - .5) < .1 && fabs(r.any_of_n - .875) < .1); /* 4.5 deviations at 500 questions */
    CHECK(r.solution_auc == s.solution_auc && fabs(r.best_of_n - s.best_of_n) < ROUNDING);
    step_metrics_free(&m);
    step_metrics_free(&back);
}

/* A cut solution: its scored steps count, it itself does not. */
static void cut_solutions(void)
{
    static const double scores[] = {.4, NAN};
    static const int labels[] = {1, 1};
    struct step_metrics m = {0};
    struct step_report r;

    add(&m, scores, labels, 2, 1, 1);
    CHECK(step_metrics_report(&r, &m, 0, &diag) == STATUS_OK);
    CHECK(r.cut == 1 && r.steps == 1 && r.with_error + r.without_error == 0 && r.solutions == 0);
    step_metrics_free(&m);
}

static void aggregates(void)
{
    static const double scores[] = {.5, -.5, 0};
    enum step_aggregate a;

    CHECK(step_metrics_whole(STEP_AGGREGATE_MIN, scores, 3) == -.5);
    CHECK(near(step_metrics_whole(STEP_AGGREGATE_MEAN, scores, 3), 0));
    CHECK(step_metrics_whole(STEP_AGGREGATE_LAST, scores, 3) == 0);
    CHECK(near(step_metrics_whole(STEP_AGGREGATE_PRODUCT, scores, 3), .75 * .25 * .5));
    CHECK(step_metrics_aggregate_named(&a, "product") && a == STEP_AGGREGATE_PRODUCT);
    CHECK(!step_metrics_aggregate_named(&a, "max"));
}

static void what_is_written(void)
{
    struct step_metrics m = {0};
    struct step_report r;
    struct buffer lines = {0}, json = {0};

    four_solutions(&m);
    CHECK(step_metrics_report(&r, &m, 0, &diag) == STATUS_OK);
    step_metrics_put(&lines, &r);
    step_metrics_put_json(&json, &r);
    CHECK(lines.data && strstr(lines.data, "first_error_f1 0.500000 4\n") && !strstr(lines.data, "nan"));
    CHECK(json.data && strstr(json.data, "\"steps\":11,") && strstr(json.data, "\"step_accuracy\":0.727272727,"));
    buffer_free(&lines);
    buffer_free(&json);
    step_metrics_free(&m);
}

/* The n-th allocation fails, until none does. */
static void no_memory(void)
{
    size_t n, live = memory_live();

    for (n = 1; n < 100; n++) {
        struct step_metrics m = {0};
        struct step_report r;
        static const double scores[] = {.9, -.4};
        static const int labels[] = {1, 0};
        struct step_solution s = {scores, labels, 2, -1, 1};
        enum status status;

        memory_fail_at(n);
        status = step_metrics_add(&m, &s, &diag);
        if (!status)
            status = step_metrics_report(&r, &m, 0, &diag);
        memory_fail_at(0);
        step_metrics_free(&m);
        CHECK(status == STATUS_OK || status == STATUS_MEMORY);
        CHECK(memory_live() == live);
        if (!status)
            break;
    }
    CHECK_MSG(n > 6 && n < 100, "%zu", n);
}

int main(void)
{
    RUN(steps_by_hand);
    RUN(first_errors_by_hand);
    RUN(thresholds_of_the_other_half);
    RUN(calibration_by_hand);
    RUN(bin_edges);
    RUN(best_of_n_by_hand);
    RUN(difficulty_is_no_reward);
    RUN(many_questions);
    RUN(cut_solutions);
    RUN(aggregates);
    RUN(what_is_written);
    RUN(no_memory);
    return TEST_RESULT();
}
