/* results.h - what the experiment's run folder holds, as numbers by row, test set, seed and question. */
#ifndef ARKLET_RESULTS_H
#define ARKLET_RESULTS_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"
#include "distill.h"
#include "stats.h"
#include "status.h"

#define MAX_SEEDS 16
#define N_SETS    3

extern const char *const set_names[N_SETS]; /* "test", "form", "deep" */

/* The rows of distill, and da on more questions, which stands in run folders of its own. */
enum { ROW_DA_MORE = DISTILL_ROWS, N_ROWS };
const char *row_name(int row);   /* "da", "da-more" */
const char *row_in_run(int row); /* as its run folder calls it */
const char *row_folder(int row); /* what stands before seed-N: "", "more/" */

/* Of a file of answers, per question in the order of the questions' file. */
struct answers {
    int there;
    size_t n;
    double *right, *wrong_steps; /* [n] 0 or 1; steps that the reference solution does not have */
    double tokens, steps, wrong; /* a question; all steps but the answer, of them wrong ones */
};

struct results {
    const char *run, *out;
    size_t n_seeds;
    uint64_t seeds[MAX_SEEDS];
    struct answers rows[N_ROWS][N_SETS][MAX_SEEDS];
    struct arena arena;
};

/* Reads answers; `solved`: the questions with their solutions, in the same order, maybe more of them. */
enum status answers_read(struct answers *answers, const char *path, const char *solved, struct arena *arena,
                         struct diag *diag);
/* "<run>/<formatted>" in the arena. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
const char *
results_path(struct results *r, const char *format, ...);

/* A value over the seeds, each the mean over a set's questions: mean, Student's 95 % interval (n - 1 degrees of
 * freedom; half is NaN with one seed). */
struct over_seeds {
    double mean, half;
    size_t n;
};

struct over_seeds over_seeds(const double *values, size_t n);
/* values[n_questions]: the mean over the seeds. 0: the row is not there. */
size_t per_question(const struct results *r, int row, int set, int wrong_steps, double **values, struct arena *arena);

/* (a - base) / (top - base), of the questions' means; the interval resamples questions. Without a gain of top: NaN. */
struct stats_interval recovered(const double *a, const double *base, const double *top, size_t n);

/* The parts of results.md and results.json. */
enum status put_tables(struct results *r, struct buffer *md, struct buffer *json, struct diag *diag);
enum status put_ablations(struct results *r, struct buffer *md, struct buffer *json, struct diag *diag);
enum status put_curves(struct results *r, struct buffer *md, struct diag *diag);

#endif
