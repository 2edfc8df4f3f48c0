/* step_metrics.h - how well step scores tell right steps from wrong ones, and right solutions from wrong ones.
 *
 *   scores  .9  .7 -.4  .2     labels  1  1  0  ?     first error said: step 2 (the first score below the threshold)
 *
 * Measures:
 *   auc               area under the ROC curve over all labelled steps; auc_first: over those up to a first error
 *   first-error F1    harmonic mean of two shares (ProcessBench, Zheng et al. 2024, arXiv 2412.06559): of the solutions
 *                     with an error those whose first one is named, of those without those where none is named.
 *                     At a fixed threshold; and, as ProcessBench does for scores, at one fitted to other questions
 *   calibration       expected calibration error over ten equal bins (b/10, (b+1)/10] of p = (score + 1) / 2 (Guo et
 *                     al. 2017, eq. 3), and the Brier score
 *   solution AUC      the same over whole solutions; within_auc: over pairs of solutions of one question. A score that
 *                     only knows which questions are hard has .5 there and is no reward: advantages are relative to a
 *                     question's own samples
 *   best of n         of questions with several solutions the share where the best-scored one is right, beside the mean
 *                     solution and the best possible choice
 *
 * Memory: 9 bytes a labelled step, 48 a solution, 48 a question. */
#ifndef ARKLET_STEP_METRICS_H
#define ARKLET_STEP_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"
#include "status.h"

#define STEP_METRICS_BINS 10

/* What the steps' scores say of the whole solution. */
enum step_aggregate { STEP_AGGREGATE_MIN, STEP_AGGREGATE_MEAN, STEP_AGGREGATE_LAST, STEP_AGGREGATE_PRODUCT };

#define STEP_AGGREGATES "min|mean|last|product"

/* One scored solution. */
struct step_solution {
    const double *scores; /* [n_steps] in -1..1; NaN: not scored (the text was cut) */
    const int *labels;    /* [n_steps] 1 right, 0 wrong, STEP_UNKNOWN (stepwise.h); NULL: none is known */
    size_t n_steps;
    int correct;       /* the whole solution: 1, 0, or -1 not known */
    uint64_t question; /* hash of what it answers */
};

/* Start from {0}; free with step_metrics_free. */
struct step_metrics {
    enum step_aggregate aggregate; /* set by the caller before the first solution */

    /* The module's own. */
    double *scores;        /* [n_steps] of labelled steps */
    unsigned char *labels; /* [n_steps] bit 0: right, bit 1: not after a first error */
    size_t n_steps, room_steps;
    struct step_interval *intervals; /* [n_intervals] thresholds at which a solution's first error is found */
    size_t n_intervals, room_intervals;
    struct step_whole *wholes; /* [n_wholes] aggregate scores of solutions whose correctness is known */
    size_t n_wholes, room_wholes;
    struct step_question *questions; /* hash table */
    size_t n_questions, room_questions;
    double bin_p[STEP_METRICS_BINS], bin_right[STEP_METRICS_BINS], bin_n[STEP_METRICS_BINS], brier;
    size_t n_cut; /* solutions with steps that were not scored: left out but for the scored steps */
};

/* Measures that nothing was measured for are NaN. */
struct step_report {
    size_t steps, wrong_steps, first_steps; /* labelled and scored; of these up to a first error */
    double auc, auc_first;
    double accuracy; /* share of the steps on the right side of the threshold */
    double ece, brier;
    size_t with_error, without_error; /* solutions whose first error is known, known to be none */
    double first_error_accuracy;      /* share of both whose first error (or none) is named */
    double found_error, found_none;   /* the two shares */
    double first_error_f1;
    double best_threshold, best_f1; /* the threshold that would have been best on these very solutions */
    double fitted_f1; /* each half of the questions judged at the threshold that is best for the other half */
    size_t solutions; /* of known correctness */
    double solution_auc, within_auc;
    size_t pairs;                          /* of a right and a wrong solution of one question */
    size_t questions;                      /* with several solutions of known correctness */
    double solutions_each;                 /* of these questions, on average */
    double mean_of_n, best_of_n, any_of_n; /* shares right: a solution at random, the best-scored, any */
    size_t cut;
};

/* The score of a whole solution; NaN when a step has none. n_steps >= 1. */
double step_metrics_whole(enum step_aggregate aggregate, const double *scores, size_t n_steps);
int step_metrics_aggregate_named(enum step_aggregate *aggregate, const char *name); /* 0: none of STEP_AGGREGATES */

/* Counts a solution. A first error is known when a step is labelled wrong, none when all are labelled right; a
 * solution without `correct` counts as right when none of its steps is wrong and all are known. Fails only for memory.
 */
enum status step_metrics_add(struct step_metrics *metrics, const struct step_solution *solution, struct diag *diag);
/* threshold: a step is said to be wrong when its score is below it (0: the wrong class is the likelier one). Fails only
 * for memory. */
enum status step_metrics_report(struct step_report *report, const struct step_metrics *metrics, double threshold,
                                struct diag *diag);
void step_metrics_free(struct step_metrics *metrics);

/* "name value n" lines of what was measured, n what the value is a mean of. */
void step_metrics_put(struct buffer *out, const struct step_report *report);
/* The same as JSON members: "auc":0.8,... without braces. */
void step_metrics_put_json(struct buffer *out, const struct step_report *report);

#endif
