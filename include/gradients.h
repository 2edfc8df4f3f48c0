/* gradients.h - row kernels of training: derivatives of the elementwise steps, and the optimiser's update.
 *
 * One table per tier beside struct row_kernels, from one source (quant/gradients.c) compiled per vector width; the same
 * rules hold: a fixed order, the same bits on every tier, no byte outside the row. */
#ifndef ARKLET_GRADIENTS_H
#define ARKLET_GRADIENTS_H

#include <stddef.h>

/* Below this magnitude gradients and moments are set to 0, so that no result depends on the processor's denormal flags
 * and no denormal slows a step. */
#define GRADIENT_TINY 0x1p-100f

/* One AdamW step (Loshchilov and Hutter 2019, algorithm 2; Kingma and Ba 2015):
 *   g' = g * grad_scale            (the clipping factor)
 *   m = fmaf(1 - beta1, g' - m, m)     v = fmaf(1 - beta2, fmaf(g', g', -v), v)    |m|, |v| < GRADIENT_TINY become 0
 *   w = w * decay                  (decay = 1 - lr * weight_decay)
 *   w = w - step * m / (sqrtf(v) * root + eps)    step = lr / (1 - beta1^t), root = 1 / sqrt(1 - beta2^t) */
struct adamw_step {
    float grad_scale, one_minus_beta1, one_minus_beta2, decay, step, root, eps;
};

struct pack;

struct gradient_kernels {
    /* dst[r * stride + i] = row 16 panel + r, column col + i of a packed matrix, r < 16, i < n, as pack_decode_row
     * (pack.h) gives it; rows behind the last are zeros of either sign. Quantised classes: col and n divide by 32. */
    void (*decode_panel)(const struct pack *pack, size_t panel, size_t col, size_t n, float *dst, size_t stride);
    void (*fma)(float *z, const float *x, const float *y, size_t n); /* z = fmaf(x, y, z) */
    /* From d = dL/d(act(gate) * up): d_gate = d * up * act'(gate), d_up = d * act(gate). In place over gate and up:
     * gate becomes d_gate, up becomes d_up. */
    void (*silu_backward)(float *gate, float *up, const float *d, size_t n);
    void (*gelu_backward)(float *gate, float *up, const float *d, size_t n);
    /* x = scale * exp(a * x - shift), each operation rounded: probabilities from logits with shift = log of the sum of
     * their exponentials, or from scores with shift = their maximum and scale = 1 / that sum. */
    void (*exp_scale)(float *x, float a, float shift, float scale, size_t n);
    /* sum of exp(x - shift) * x: 16 partials, p = fmaf(exp(x - shift), x, p), then the tree of row_kernels */
    float (*expectation)(const float *x, float shift, size_t n);
    /* ds = p * (dp - delta) * scale, into dp */
    void (*softmax_backward)(float *dp, const float *p, float delta, float scale, size_t n);
    /* sum of squares in double, 16 partials as in row_kernels */
    double (*square_sum)(const float *x, size_t n);
    void (*flush)(float *x, size_t n); /* |x| < GRADIENT_TINY becomes 0 */
    void (*adamw)(float *w, float *m, float *v, const float *g, const struct adamw_step *step, size_t n);
};

#endif
