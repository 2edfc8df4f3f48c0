/* lora.h - low-rank adaptation of one matrix (Hu et al. 2021, eq. 3): y += scale * B (A x).
 *
 * A [R][in] and B [out][R] are kept in the two orders that the products need, R padded to a multiple of 16 with zeros
 * where it runs in lanes. a and b_t are the parameters; a_t is a copy that lora_refresh renews, b one that each
 * lora_backward makes for itself (kept, it would weigh as much as both moments of Adam at rank 8). Per output
 * y = fmaf(scale * u_r, B_r, y), r ascending, with u = A x summed over the input ascending. */
#ifndef ARKLET_LORA_H
#define ARKLET_LORA_H

#include <stddef.h>
#include "exec.h"

struct lora {
    size_t rank, in, out;
    size_t rank_stride, out_stride; /* rank and out rounded up to 16 */
    float scale;                    /* alpha / rank, or alpha / sqrt(rank) */
    float *a;                       /* [R][in] */
    float *b_t;                     /* [R][out_stride] */
    float *a_t;                     /* [in][rank_stride] */
};

/* Work space of lora_backward. */
struct lora_scratch {
    float *du; /* [T][rank_stride] */
    float *b;  /* [out][rank_stride] */
};

/* Renews a_t from a. */
void lora_refresh(struct lora *lora);

/* u [T][rank_stride] = scale * A x. */
void lora_down(const struct exec *exec, const struct lora *lora, float *u, const float *x, size_t x_stride,
               size_t n_tokens);
/* y [T][y_stride] += B u. */
void lora_up(const struct exec *exec, const struct lora *lora, float *y, size_t y_stride, const float *u,
             size_t n_tokens);

/* With u of lora_down: d_b_t [R][out_stride] += u^T dy, du = scale * B^T dy (left in scratch->du),
 * d_a [R][in] += du^T x, and dx [T][dx_stride] += du A (dx may be NULL). Sums over tokens ascend. */
void lora_backward(const struct exec *exec, const struct lora *lora, float *d_a, float *d_b_t, float *dx,
                   size_t dx_stride, const struct lora_scratch *scratch, const float *u, const float *dy,
                   size_t dy_stride, const float *x, size_t x_stride, size_t n_tokens);

#endif
