/* linear.h - matrix products with packed weights: y = W x + bias for a batch of rows.
 *
 * Several matrices that read the same input (q, k and v; gate and up) run in one parallel region: its items are panels
 * of 16 output rows, and each output element has one owner. Quantised weights read the input rounded to int8 in blocks
 * of 32 (kernels.h); float weights read it as it is. */
#ifndef ARKLET_LINEAR_H
#define ARKLET_LINEAR_H

#include <stddef.h>
#include "arena.h"
#include "dtype.h"
#include "exec.h"
#include "pack.h"

/* y = W x + bias. W [rows = outputs][cols = inputs], bias [rows] or NULL. */
struct linear {
    struct pack w;
    const float *rows; /* the same values row-major, for the backward pass (full training); or NULL */
    const float *bias;
    enum dtype stored; /* type in the file */
};

/* Rows to multiply: floats, and their int8 form once linear_quantize has run on them. */
struct linear_input {
    const float *x; /* [T][x_stride] */
    size_t x_stride, n_tokens, cols;
    struct qrows q; /* capacity max_tokens x max_cols, from linear_input_create */
    int quantized;  /* q holds the rows of x */
};

/* Buffers for max_tokens rows of max_cols. 0 when the arena is exhausted. */
int linear_input_create(struct linear_input *input, struct arena *arena, size_t max_tokens, size_t max_cols);
size_t linear_input_bytes(size_t max_tokens, size_t max_cols);
/* Points the input at rows of x; nothing is rounded yet. */
void linear_input_set(struct linear_input *input, const float *x, size_t x_stride, size_t n_tokens, size_t cols);

/* y [T][y_stride], stride >= rows rounded up to 16; the padding is written with zeros. residual NULL, or [T][y_stride]:
 * residual += y after the bias. */
struct linear_job {
    const struct linear *linear;
    float *y;
    size_t y_stride;
    float *residual;
};

/* Runs all jobs on one input, rounding the input first when a job's weights are quantised and it is not yet done. */
void linear_forward(const struct exec *exec, const struct linear_job *jobs, size_t n_jobs, struct linear_input *input);

/* One term of the gradient with respect to a shared input: dx += dy W. */
struct linear_gradient {
    const struct linear *linear;
    const float *dy; /* [T][dy_stride] */
    size_t dy_stride;
};

/* Floats of scratch per worker for linear_backward. */
size_t linear_backward_scratch(void);

/* dx [T][dx_stride] = sum over jobs, in order, of dy W: per element from +0 over output rows ascending, one FMA each. A
 * part of W is brought to f32 once, in a buffer that stays in the cache, and used by all tokens. The rounding of the
 * input to int8 counts as the identity (straight-through). scratch[worker] has linear_backward_scratch floats. */
void linear_backward(const struct exec *exec, float *dx, size_t dx_stride, const struct linear_gradient *jobs,
                     size_t n_jobs, size_t n_tokens, float *const *scratch);

/* dw [rows][cols] += dy^T x: per element over tokens ascending; d_bias [rows] (may be NULL) += sum of dy. */
void linear_backward_weight(const struct exec *exec, float *dw, float *d_bias, size_t rows, size_t cols,
                            const float *dy, size_t dy_stride, const float *x, size_t x_stride, size_t n_tokens);

#endif
