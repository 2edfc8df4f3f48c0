/* rmsnorm.h - root-mean-square normalisation of rows (Zhang and Sennrich 2019, eq. 4). */
#ifndef ARKLET_RMSNORM_H
#define ARKLET_RMSNORM_H

#include <stddef.h>
#include "exec.h"

/* y [T][stride] = x * r * weight with r = 1 / sqrt(mean(x^2) + eps) of each row; y may be x. residual NULL, or
 * [T][stride]: residual += y (a post-norm). weight [n], n <= stride. */
void rmsnorm_forward(const struct exec *exec, float *y, const float *x, const float *weight, float *residual,
                     size_t n_tokens, size_t stride, size_t n, float eps);

/* dx [T][stride] += r * (g - x * r^2 / n * (g . x)) with g = dy * weight, r as above; dy is overwritten with g. */
void rmsnorm_backward(const struct exec *exec, float *dx, float *dy, const float *x, const float *weight,
                      size_t n_tokens, size_t stride, size_t n, float eps);

/* d_weight [n] += sum over tokens, ascending, of dy * (x * r). dy as before rmsnorm_backward. */
void rmsnorm_backward_weight(const struct exec *exec, float *d_weight, const float *dy, const float *x, size_t n_tokens,
                             size_t stride, size_t n, float eps);

/* One row in place: d [n] becomes the gradient of x, from the gradient of y = x * r * weight. */
void rmsnorm_backward_row(const struct row_kernels *rows, float *d, const float *x, const float *weight, size_t n,
                          float eps);

#endif
