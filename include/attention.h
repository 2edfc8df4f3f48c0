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

/* Backward for M query rows of one head. With P = p / l the probabilities, d_out [M][E] the gradient of the output and
 * delta = d_out . out of each row (Dao et al. 2022, "FlashAttention", appendix B.4):
 *
 *     dP = d_out V^T   dS = P (dP - delta) scale   dQ += dS K   dK += dS^T Q   dV += P^T d_out
 *
 * The rounding of K and V to the cache's type counts as the identity (straight-through). */
#define ATTENTION_TILE 64 /* query rows whose probabilities exist at once */

struct attention_gradient {
    size_t n_rows, head_dim, window;
    float scale;
    const size_t *position;         /* [M] ascending */
    size_t stride;                  /* floats from row to row of q, d_out and d_q */
    const float *q, *d_out;         /* [M][stride] */
    size_t n_heads;                 /* floats from row to row of the next three */
    const float *max, *sum, *delta; /* [M][n_heads]: of the forward pass, and of attention_deltas */
    float *d_q;                     /* [M][stride], added to; or NULL */
    float *d_k, *d_v;               /* [ATTENTION_BLOCK][head_dim], added to; or NULL */
    float *p, *ds;                  /* [ATTENTION_TILE][ATTENTION_BLOCK] scratch */
};

/* Keys of one block: k, v_t [head_dim][ATTENTION_BLOCK] with keys in lanes, k_t [ATTENTION_BLOCK][head_dim]; the first
 * n (a multiple of 16) are there. */
struct attention_keys {
    const float *k, *v_t, *k_t;
    size_t start, n;
};

/* delta[h] = d_out . out for each of a token's heads. */
void attention_deltas(const struct kernels *kernels, float *delta, const float *d_out, const float *out, size_t n_heads,
                      size_t head_dim);
/* Adds the part of one block, rows ascending. */
void attention_backward_block(const struct attention_gradient *gradient, const struct kernels *kernels,
                              const struct attention_keys *keys);

#endif
