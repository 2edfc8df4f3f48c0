/* train_run.h - the loop around a learner: steps, metrics, evaluation, the best parameters, checkpoints, resuming.
 *
 *   <output>/metrics.csv            a row a step
 *   <output>/checkpoint/state.bin   everything that the rest of the run depends on
 *
 * The learner gives a step and, if it can, an evaluation; the loop is the same for fine-tuning, reward models and
 * reinforcement. */
#ifndef ARKLET_TRAIN_RUN_H
#define ARKLET_TRAIN_RUN_H

#include <stdint.h>
#include "metrics.h"
#include "progress.h"
#include "trainer.h"

struct train_hooks {
    void *context;
    /* Gradients of the next step and trainer_end_step. STATUS_STOPPED before the latter: the step counts for nothing.
     */
    enum status (*step)(void *context, struct diag *diag);
    /* A number that is the better the lower it is; NULL: there is no evaluation. */
    enum status (*evaluate)(void *context, double *value, struct diag *diag);
    const char *columns;                                  /* of metrics.csv between step and learning_rate */
    void (*row)(void *context, struct metrics *metrics);  /* their values */
    void (*note)(void *context, char *text, size_t size); /* for the progress line */
};

struct train_run_options {
    const char *output; /* run folder with checkpoint/ in it */
    const char *config; /* "name = value" lines that must agree to resume */
    uint64_t data_hash;
    uint64_t total_steps, save_every, eval_every; /* steps; every 0: only at the end */
    uint64_t patience;                            /* evaluations without improvement before stopping; 0: never */
    int resume;
    int judge_start;           /* what the run starts from is evaluated, too, and kept when nothing later is better */
    struct progress *progress; /* may be NULL */
    int (*stop)(void);         /* may be NULL; polled between steps and before each pass of one */
};

struct train_run_result {
    double best;        /* evaluation of the parameters that were kept; NaN without evaluation */
    uint64_t best_step; /* 0: what the run started from, or no evaluation */
    double seconds;
};

/* Runs until total_steps (or patience) and leaves the kept parameters in the trainer: the best that were evaluated,
 * else the last. STATUS_NUMERIC: loss, gradient or a parameter became non-finite; the last ones are then those of the
 * last checkpoint. STATUS_STOPPED: stop() said so; they are the present ones, and are saved. */
enum status train_run(struct trainer *trainer, const struct train_run_options *options, const struct train_hooks *hooks,
                      struct train_run_result *result, struct diag *diag);

#endif
