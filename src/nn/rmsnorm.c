/* rmsnorm.c - normalisation of rows, threads over tokens (over columns for the gradient of the weight). */
#include "rmsnorm.h"

#include <math.h>
#include <string.h>

struct rmsnorm_work {
    const struct row_kernels *rows;
    float *y, *residual;
    const float *x, *weight;
    size_t stride, n;
    float eps;
};

static void rmsnorm_rows(void *context, size_t begin, size_t end, int worker)
{
    const struct rmsnorm_work *w = context;
    size_t t;

    (void)worker;
    for (t = begin; t < end; t++) {
        w->rows->rmsnorm(w->y + t * w->stride, w->x + t * w->stride, w->weight, w->n, w->eps);
        if (w->residual)
            w->rows->add(w->residual + t * w->stride, w->y + t * w->stride, w->n);
    }
}

void rmsnorm_forward(const struct exec *exec, float *y, const float *x, const float *weight, float *residual,
                     size_t n_tokens, size_t stride, size_t n, float eps)
{
    struct rmsnorm_work work = {exec->kernels->rows, y, residual, x, weight, stride, n, eps};

    pool_run(exec->pool, rmsnorm_rows, &work, n_tokens, 4);
}

/* With y_i = x_i r w_i, r = (s + eps)^(-1/2), s = sum x^2 / n:  dr/dx_j = -r^3 x_j / n, hence
 *   dx_j = r w_j dy_j + sum_i dy_i w_i x_i dr/dx_j = r g_j - x_j (r^3 / n) (g . x),   dw_i = dy_i x_i r. */
struct rmsnorm_gradient {
    const struct exec *exec;
    float *dx, *d_weight, *g;
    const float *dy, *x, *weight;
    size_t n_tokens, stride, n;
    float eps;
};

static float inverse_root(const struct row_kernels *rows, const float *x, size_t n, float eps)
{
    return 1 / sqrtf(rows->dot(x, x, n) / (float)n + eps);
}

void rmsnorm_backward_row(const struct row_kernels *rows, float *d, const float *x, const float *weight, size_t n,
                          float eps)
{
    float r = inverse_root(rows, x, n, eps), along;

    rows->mul(d, weight, n);
    along = rows->dot(d, x, n);
    rows->scale(d, r, n);
    rows->axpy(d, -(r * r * r / (float)n) * along, x, n);
}

static void rmsnorm_backward_rows(void *context, size_t begin, size_t end, int worker)
{
    const struct rmsnorm_gradient *w = context;
    const struct row_kernels *rows = w->exec->kernels->rows;
    size_t t;

    (void)worker;
    for (t = begin; t < end; t++) {
        const float *x = w->x + t * w->stride;
        float *g = w->g + t * w->stride, *dx = w->dx + t * w->stride;
        float r = inverse_root(rows, x, w->n, w->eps);

        rows->mul(g, w->weight, w->n);
        rows->axpy(dx, r, g, w->n);
        rows->axpy(dx, -(r * r * r / (float)w->n) * rows->dot(g, x, w->n), x, w->n);
    }
}

#define COLUMNS 64 /* of d_weight, at once */

/* An owner of columns needs 1 / root of every row, so there are no more owners than threads. */
static void rmsnorm_backward_columns(void *context, size_t begin, size_t end, int worker)
{
    const struct rmsnorm_gradient *w = context;
    const struct row_kernels *rows = w->exec->kernels->rows;
    size_t last = end * COLUMNS < w->n ? end * COLUMNS : w->n, t, c, n;
    float y[COLUMNS];

    (void)worker;
    for (t = 0; t < w->n_tokens; t++) {
        const float *x = w->x + t * w->stride, *dy = w->dy + t * w->stride;
        float r = inverse_root(rows, x, w->n, w->eps);

        for (c = begin * COLUMNS; c < last; c += n) {
            n = last - c < COLUMNS ? last - c : COLUMNS;
            memcpy(y, x + c, n * sizeof *y);
            rows->scale(y, r, n);
            w->exec->kernels->gradients->fma(w->d_weight + c, dy + c, y, n);
        }
    }
}

void rmsnorm_backward(const struct exec *exec, float *dx, float *dy, const float *x, const float *weight,
                      size_t n_tokens, size_t stride, size_t n, float eps)
{
    struct rmsnorm_gradient work = {exec, dx, NULL, dy, dy, x, weight, n_tokens, stride, n, eps};

    pool_run(exec->pool, rmsnorm_backward_rows, &work, n_tokens, 4);
}

void rmsnorm_backward_weight(const struct exec *exec, float *d_weight, const float *dy, const float *x, size_t n_tokens,
                             size_t stride, size_t n, float eps)
{
    struct rmsnorm_gradient work = {exec, NULL, d_weight, NULL, dy, x, NULL, n_tokens, stride, n, eps};

    size_t parts = (n + COLUMNS - 1) / COLUMNS, workers = (size_t)pool_size(exec->pool);

    pool_run(exec->pool, rmsnorm_backward_columns, &work, parts, (parts + workers - 1) / workers);
}
