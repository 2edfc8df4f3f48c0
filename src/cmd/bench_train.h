/* bench_train.h - the training rows of `arklet bench --train`. */
#ifndef ARKLET_BENCH_TRAIN_H
#define ARKLET_BENCH_TRAIN_H

#include "args.h"
#include "bench.h"
#include "load.h"

#define BENCH_TRAIN_ROWS 17 /* the most that bench_train adds */

extern const struct arg bench_train_flags[];

/* The flags' values; returns an exit code after an error in one line, or -1. Nothing to do when --train is not given.
 */
int bench_train_check(const struct args *args);
/* Runs the tests of the flags and appends their rows. With --full the model's weights are trained and lost. */
enum status bench_train(const struct args *args, const struct load *load, const struct bench_model *model,
                        const struct bench_machine *machine, struct bench_row *rows, size_t *n_rows, struct diag *diag);

#endif
