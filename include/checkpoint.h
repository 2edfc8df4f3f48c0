/* checkpoint.h - the state of a training run, complete: resumed, it ends with the bytes of an uninterrupted run.
 *
 *   | "ARKCKPT2" | u64 n_config | config text | u64 base hash | u64 data hash | u64 step | u64 updates | u64 tokens |
 *   | f64 best | u64 best step | u64 n_params | params f32 | m f32 | v f32 | best params f32 |
 *   | u64 check: hash of all before |
 *
 * Every random number is a function of the seed and of indices (rng.h), so the step is the whole random state and, with
 * the data's hash, the position in the data. Written under a temporary name, synced, renamed. */
#ifndef ARKLET_CHECKPOINT_H
#define ARKLET_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"
#include "status.h"

struct checkpoint {
    const char *config; /* "name = value" lines that must agree to resume; NUL-terminated */
    uint64_t base_hash; /* of the base model's weights */
    uint64_t data_hash;
    uint64_t step, updates; /* steps done; updates of the parameters, which a step may have none or several of */
    uint64_t tokens;        /* trained on */
    double best;            /* best dev loss (or reward) so far; unused without a dev set */
    uint64_t best_step;     /* 0: none */
    size_t n_params;
    float *params, *m, *v; /* [n_params] */
    float *best_params;    /* [n_params] or NULL */
};

/* The first line in which two configurations differ: its text and length in place of theirs (either may be empty, no
 * NUL follows). 0: they agree. */
int checkpoint_config_differs(const char **a, size_t *n_a, const char **b, size_t *n_b);

enum status checkpoint_save(const char *path, const struct checkpoint *checkpoint, struct diag *diag);
/* Fills everything but config, base_hash, data_hash and n_params, which must agree with the file: the first difference
 * is an error that names it. The arrays are the caller's; a file without best parameters fills best_params from params.
 */
enum status checkpoint_load(const char *path, struct checkpoint *checkpoint, struct diag *diag);

#endif
