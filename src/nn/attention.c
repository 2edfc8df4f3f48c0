/* attention.c - streaming soft-max attention of query rows over blocks of keys; see attention.h for the formula.
 *
 * Rows that see a whole block go through the matrix product together; a row that sees only part of it (the diagonal,
 * the edge of a window) takes its own part. Both give a row the same operations in the same order. */
#include "attention.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include "elementary.h"

void attention_blocks(size_t first, size_t last, size_t window, size_t *begin, size_t *end)
{
    size_t oldest = window && first + 1 > window ? first + 1 - window : 0;

    *begin = oldest / ATTENTION_BLOCK;
    *end = last / ATTENTION_BLOCK + 1;
}

void attention_begin(struct attention *a)
{
    size_t i;

    memset(a->acc, 0, a->n_rows * a->head_dim * sizeof *a->acc);
    for (i = 0; i < a->n_rows; i++) {
        a->max[i] = -INFINITY;
        a->sum[i] = 0;
    }
}

/* The keys [*lo, *hi) of the block at `start` that row i sees; 0 when it sees none. */
static int visible(const struct attention *a, size_t i, size_t start, size_t *lo, size_t *hi)
{
    size_t position = a->position[i];
    size_t oldest = a->window && position + 1 > a->window ? position + 1 - a->window : 0;

    *lo = oldest > start ? oldest - start : 0;
    *hi = position < start ? 0 : position - start + 1;
    if (*hi > ATTENTION_BLOCK)
        *hi = ATTENTION_BLOCK;
    return *lo < *hi;
}

/* Scores to probabilities for one row; rescales its accumulator to the new maximum. */
static void soften(struct attention *a, const struct row_kernels *rows, size_t i, size_t lo, size_t hi)
{
    float *s = a->scores + i * ATTENTION_BLOCK + lo;
    size_t n = hi - lo;
    float max, correction;

    rows->scale(s, a->scale, n);
    max = rows->max(s, n);
    if (max < a->max[i])
        max = a->max[i];
    correction = elementary_exp(a->max[i] - max);
    a->max[i] = max;
    a->sum[i] = fmaf(a->sum[i], correction, rows->exp_sum(s, s, max, n));
    if (correction != 1.0f)
        rows->scale(a->acc + i * a->head_dim, correction, a->head_dim);
}

/* acc[i] += p[i] v over keys [lo, hi) for rows i .. i + n - 1. */
static void mix(struct attention *a, const struct kernels *kernels, const float *v, size_t i, size_t n, size_t lo,
                size_t hi)
{
    kernels->gemm_f32(a->acc + i * a->head_dim, a->head_dim, a->scores + i * ATTENTION_BLOCK + lo, ATTENTION_BLOCK, 1,
                      v + lo * a->head_dim, a->head_dim, n, a->head_dim, hi - lo, 1);
}

void attention_block(struct attention *a, const struct kernels *kernels, const float *k, const float *v, size_t start,
                     size_t n_keys)
{
    size_t i, lo, hi, whole = 0; /* rows [i - whole, i) see the whole block and wait to be mixed together */

    assert(n_keys % 16 == 0 && n_keys <= ATTENTION_BLOCK);
    kernels->gemm_f32(a->scores, ATTENTION_BLOCK, a->q, a->head_dim, 1, k, ATTENTION_BLOCK, a->n_rows, n_keys,
                      a->head_dim, 0);
    for (i = 0; i < a->n_rows; i++) {
        int sees = visible(a, i, start, &lo, &hi);

        if (sees)
            soften(a, kernels->rows, i, lo, hi);
        if (sees && lo == 0 && hi == ATTENTION_BLOCK) {
            whole++;
            continue;
        }
        if (whole)
            mix(a, kernels, v, i - whole, whole, 0, ATTENTION_BLOCK);
        whole = 0;
        if (sees)
            mix(a, kernels, v, i, 1, lo, hi);
    }
    if (whole)
        mix(a, kernels, v, i - whole, whole, 0, ATTENTION_BLOCK);
}

void attention_end(struct attention *a, const struct kernels *kernels)
{
    size_t i;

    for (i = 0; i < a->n_rows; i++)
        kernels->rows->scale(a->acc + i * a->head_dim, 1.0f / a->sum[i], a->head_dim);
}

/* ---- Backward: probabilities again from the kept maximum and sum, then the gradient of the scores ---- */

void attention_gradient_begin(struct attention_gradient *g, const struct kernels *kernels)
{
    const struct attention *a = &g->forward;
    size_t i, e = a->head_dim;

    for (i = 0; i < a->n_rows; i++)
        g->delta[i] = kernels->rows->dot(g->d_out + i * e, a->acc + i * e, e);
}

void attention_backward_block(struct attention_gradient *g, const struct kernels *kernels, const float *k,
                              const float *v_t, size_t start, size_t n_keys)
{
    struct attention *a = &g->forward;
    size_t e = a->head_dim, i, lo, hi;

    kernels->gemm_f32(g->p, ATTENTION_BLOCK, a->q, e, 1, k, ATTENTION_BLOCK, a->n_rows, n_keys, e, 0);
    kernels->gemm_f32(g->ds, ATTENTION_BLOCK, g->d_out, e, 1, v_t, ATTENTION_BLOCK, a->n_rows, n_keys, e, 0);
    for (i = 0; i < a->n_rows; i++) {
        float *p = g->p + i * ATTENTION_BLOCK, *ds = g->ds + i * ATTENTION_BLOCK;

        if (!visible(a, i, start, &lo, &hi))
            lo = hi = 0;
        memset(p, 0, lo * sizeof *p);
        memset(ds, 0, lo * sizeof *ds);
        memset(p + hi, 0, (ATTENTION_BLOCK - hi) * sizeof *p);
        memset(ds + hi, 0, (ATTENTION_BLOCK - hi) * sizeof *ds);
        kernels->rows->scale(p + lo, a->scale, hi - lo);
        kernels->gradients->exp_scale(p + lo, a->max[i], 1.0f / a->sum[i], hi - lo);
        kernels->gradients->softmax_backward(ds + lo, p + lo, g->delta[i], a->scale, hi - lo);
    }
}
