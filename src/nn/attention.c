/* attention.c - streaming soft-max attention of query rows over blocks of keys; see attention.h for the formula.
 *
 * Rows that see a whole block go through the matrix product together, as do a few neighbours on its edge (the diagonal,
 * the end of a window) for the keys that all of them see; the other keys a row takes alone. A row gets the same
 * operations in the same order in every case. */
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

/* The keys [*lo, *hi) of the block at `start` that a row at `position` sees; 0 when it sees none. */
static int visible(size_t position, size_t window, size_t start, size_t *lo, size_t *hi)
{
    size_t oldest = window && position + 1 > window ? position + 1 - window : 0;

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

    max = rows->scale_max(s, a->scale, n);
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

/* Rows that see different parts of a block, [lo[i], hi[i]) with lo and hi ascending: what all see together, the rest
 * row by row before and behind it. */
static void mix_edge(struct attention *a, const struct kernels *kernels, const float *v, size_t first, size_t n,
                     const size_t *lo, const size_t *hi)
{
    size_t from = lo[n - 1], to = hi[0] > from ? hi[0] : from, i;

    for (i = 0; i < n; i++) /* the first row may end before the last one begins */
        if (lo[i] < from)
            mix(a, kernels, v, first + i, 1, lo[i], hi[i] < from ? hi[i] : from);
    if (from < to)
        mix(a, kernels, v, first, n, from, to);
    for (i = 0; i < n; i++)
        if (hi[i] > to)
            mix(a, kernels, v, first + i, 1, to, hi[i]);
}

#define EDGE_ROWS 6 /* rows of an edge that are mixed together */

void attention_block(struct attention *a, const struct kernels *kernels, const float *k, const float *v, size_t start,
                     size_t n_keys)
{
    size_t i, n, lo[EDGE_ROWS], hi[EDGE_ROWS], whole = 0; /* the last `whole` rows see the whole block */

    assert(n_keys % 16 == 0 && n_keys <= ATTENTION_BLOCK);
    kernels->gemm_f32(a->scores, ATTENTION_BLOCK, a->q, a->head_dim, 1, k, ATTENTION_BLOCK, a->n_rows, n_keys,
                      a->head_dim, 0);
    for (i = 0, n = 0; i < a->n_rows; i++) { /* n rows before row i wait with their edges */
        int sees = visible(a->position[i], a->window, start, &lo[n], &hi[n]);
        int all = sees && lo[n] == 0 && hi[n] == ATTENTION_BLOCK;

        if (sees)
            soften(a, kernels->rows, i, lo[n], hi[n]);
        if (!all && whole) {
            mix(a, kernels, v, i - whole, whole, 0, ATTENTION_BLOCK);
            whole = 0;
        }
        if (n && (!sees || all)) {
            mix_edge(a, kernels, v, i - n, n, lo, hi);
            n = 0;
        }
        whole += (size_t)all;
        n += (size_t)(sees && !all);
        if (n == EDGE_ROWS) {
            mix_edge(a, kernels, v, i + 1 - n, n, lo, hi);
            n = 0;
        }
    }
    if (whole)
        mix(a, kernels, v, i - whole, whole, 0, ATTENTION_BLOCK);
    if (n)
        mix_edge(a, kernels, v, i - n, n, lo, hi);
}

void attention_end(struct attention *a, const struct kernels *kernels)
{
    size_t i;

    for (i = 0; i < a->n_rows; i++)
        kernels->rows->scale(a->acc + i * a->head_dim, 1.0f / a->sum[i], a->head_dim);
}

/* ---- Backward: probabilities again from the kept maximum and sum, then the gradient of the scores ---- */

void attention_deltas(const struct kernels *kernels, float *delta, const float *d_out, const float *out, size_t n_heads,
                      size_t head_dim)
{
    size_t i;

    for (i = 0; i < n_heads; i++)
        delta[i] = kernels->rows->dot(d_out + i * head_dim, out + i * head_dim, head_dim);
}

/* p and ds of rows [first, first + n) for the first n_keys keys, zero where masked. */
static void gradient_of_scores(const struct attention_gradient *g, const struct kernels *kernels,
                               const struct attention_keys *keys, size_t first, size_t n, size_t n_keys)
{
    size_t e = g->head_dim, at = first * g->stride, i, lo, hi;

    kernels->gemm_f32(g->p, ATTENTION_BLOCK, g->q + at, g->stride, 1, keys->k, ATTENTION_BLOCK, n, n_keys, e, 0);
    kernels->gemm_f32(g->ds, ATTENTION_BLOCK, g->d_out + at, g->stride, 1, keys->v_t, ATTENTION_BLOCK, n, n_keys, e, 0);
    for (i = 0; i < n; i++) {
        float *p = g->p + i * ATTENTION_BLOCK, *ds = g->ds + i * ATTENTION_BLOCK;
        size_t row = (first + i) * g->n_heads;

        if (!visible(g->position[first + i], g->window, keys->start, &lo, &hi) || lo >= n_keys)
            lo = hi = 0;
        hi = hi < n_keys ? hi : n_keys;
        memset(p, 0, lo * sizeof *p);
        memset(ds, 0, lo * sizeof *ds);
        memset(p + hi, 0, (n_keys - hi) * sizeof *p);
        memset(ds + hi, 0, (n_keys - hi) * sizeof *ds);
        kernels->gradients->exp_scale(p + lo, g->scale, g->max[row], 1.0f / g->sum[row], hi - lo);
        kernels->gradients->softmax_backward(ds + lo, p + lo, g->delta[row], g->scale, hi - lo);
    }
}

#define DIAGONAL_ROWS 16 /* of a tile whose rows see only part of the block: the rest of it is left out */

void attention_backward_block(const struct attention_gradient *g, const struct kernels *kernels,
                              const struct attention_keys *keys)
{
    size_t e = g->head_dim, first, n, n_keys, seen;

    for (first = 0; first < g->n_rows; first += n) {
        size_t at = first * g->stride, most = ATTENTION_TILE;

        if (g->position[first] < keys->start + ATTENTION_BLOCK)
            most = DIAGONAL_ROWS;
        n = g->n_rows - first < most ? g->n_rows - first : most;
        if (g->position[first + n - 1] < keys->start)
            continue;
        if (g->window && g->position[first] >= keys->start + ATTENTION_BLOCK + g->window)
            return;
        seen = (g->position[first + n - 1] - keys->start) / 16 * 16 + 16;
        n_keys = keys->n < seen ? keys->n : seen;
        gradient_of_scores(g, kernels, keys, first, n, n_keys);
        if (g->d_q)
            kernels->gemm_f32(g->d_q + at, g->stride, g->ds, ATTENTION_BLOCK, 1, keys->k_t, e, n, e, n_keys, 1);
        if (g->d_k) {
            kernels->gemm_f32(g->d_k, e, g->ds, 1, ATTENTION_BLOCK, g->q + at, g->stride, n_keys, e, n, 1);
            kernels->gemm_f32(g->d_v, e, g->p, 1, ATTENTION_BLOCK, g->d_out + at, g->stride, n_keys, e, n, 1);
        }
    }
}
