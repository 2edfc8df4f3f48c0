/* attention.h - causal attention of query rows over one kv head, key block by key block.
 *
 * Streaming soft-max (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax", algorithm 3) over
 * blocks of ATTENTION_BLOCK keys aligned to absolute position 0. With s = scale * (q . k), for each block in turn:
 *
 *     m' = max(m, max s)   c = exp(m - m')   p = exp(s - m')   l = fmaf(l, c, sum p)   acc = acc * c + sum p v
 *
 * and at the end out = acc * (1 / l). Keys after the query and keys before its window are skipped, not multiplied by
 * zero, so how a prompt was cut into chunks, or shared, leaves no trace in the bits. */
#ifndef ARKLET_ATTENTION_H
#define ARKLET_ATTENTION_H

#include <stddef.h>
#include "kernels.h"

#define ATTENTION_BLOCK 64

/* M query rows that share one kv head: any mix of tokens and heads of the group. */
struct attention {
    size_t n_rows, head_dim;
    size_t window; /* keys a row sees, its own included; 0: all before it */
    float scale;
    const size_t *position; /* [M] absolute position of each row's token, ascending */
    const float *q;         /* [M][head_dim] */
    float *acc;             /* [M][head_dim], the result after attention_end */
    float *max, *sum;       /* [M] */
    float *scores;          /* [M][ATTENTION_BLOCK] scratch */
};

/* The key blocks that rows at positions first..last need: [*begin, *end) in units of ATTENTION_BLOCK. */
void attention_blocks(size_t first, size_t last, size_t window, size_t *begin, size_t *end);
void attention_begin(struct attention *a);
/* k [head_dim][ATTENTION_BLOCK] keys in lanes, v [ATTENTION_BLOCK][head_dim]; key j is at position start + j. Only the
 * first n_keys columns and rows (a multiple of 16, covering every key that a row may see) are read. */
void attention_block(struct attention *a, const struct kernels *kernels, const float *k, const float *v, size_t start,
                     size_t n_keys);
void attention_end(struct attention *a, const struct kernels *kernels);

/* Backward of one block for M query rows. With P = p / l the probabilities, d_out [M][E] the gradient of the output and
 * delta = d_out . out of each row (Dao et al. 2022, "FlashAttention", appendix B.4):
 *
 *     dP = d_out V^T   dS = P (dP - delta) scale   dQ += dS K   dK += dS^T Q   dV += P^T d_out
 *
 * The rounding of K and V to the cache's type counts as the identity (straight-through). */
struct attention_gradient {
    struct attention forward; /* as it was after attention_end: max, sum; acc is the output; scores are scratch */
    const float *d_out;       /* [M][head_dim] */
    float *delta;             /* [M], by attention_gradient_begin */
    float *p, *ds;            /* [M][ATTENTION_BLOCK]: filled by attention_backward_block, zero where masked */
};

void attention_gradient_begin(struct attention_gradient *g, const struct kernels *kernels);
/* k [head_dim][ATTENTION_BLOCK] as in attention_block, v_t [head_dim][ATTENTION_BLOCK] values in lanes likewise. */
void attention_backward_block(struct attention_gradient *g, const struct kernels *kernels, const float *k,
                              const float *v_t, size_t start, size_t n_keys);

#endif
