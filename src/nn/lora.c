/* lora.c - the low-rank product of an adapter and its gradients; see lora.h for the shapes. */
#include "lora.h"

#include <string.h>

void lora_refresh(struct lora *lora)
{
    size_t r, i;

    for (i = 0; i < lora->in; i++)
        for (r = 0; r < lora->rank; r++)
            lora->a_t[i * lora->rank_stride + r] = lora->a[r * lora->in + i];
}

/* All arguments of the parallel regions below. */
struct lora_work {
    const struct exec *exec;
    const struct lora *lora;
    float *y, *u_out, *du, *b, *dx, *d_a, *d_b_t;
    const float *u, *x, *dy;
    size_t y_stride, x_stride, dy_stride, dx_stride, n_tokens;
};

#define COLUMNS 128 /* outputs of one owner where columns are split */

static size_t column_items(size_t n)
{
    return (n + COLUMNS - 1) / COLUMNS;
}

static size_t clip_columns(size_t end, size_t n)
{
    return end * COLUMNS < n ? end * COLUMNS : n;
}

/* u = scale * A x for tokens [begin, end). */
static void down_rows(void *context, size_t begin, size_t end, int worker)
{
    const struct lora_work *w = context;
    const struct lora *l = w->lora;
    size_t stride = l->rank_stride;

    (void)worker;
    w->exec->kernels->gemm_f32(w->u_out + begin * stride, stride, w->x + begin * w->x_stride, w->x_stride, 1, l->a_t,
                               stride, end - begin, stride, l->in, 0);
    w->exec->kernels->rows->scale(w->u_out + begin * stride, l->scale, (end - begin) * stride);
}

/* y += B u for output columns of all tokens. */
static void up_columns(void *context, size_t begin, size_t end, int worker)
{
    const struct lora_work *w = context;
    const struct lora *l = w->lora;
    size_t c = begin * COLUMNS, n = clip_columns(end, l->out) - c;

    (void)worker;
    w->exec->kernels->gemm_f32(w->y + c, w->y_stride, w->u, l->rank_stride, 1, l->b_t + c, l->out_stride, w->n_tokens,
                               n, l->rank, 1);
}

void lora_down(const struct exec *exec, const struct lora *lora, float *u, const float *x, size_t x_stride,
               size_t n_tokens)
{
    struct lora_work work = {.exec = exec, .lora = lora, .u_out = u, .x = x, .x_stride = x_stride};

    pool_run(exec->pool, down_rows, &work, n_tokens, 8);
}

void lora_up(const struct exec *exec, const struct lora *lora, float *y, size_t y_stride, const float *u,
             size_t n_tokens)
{
    struct lora_work work = {.exec = exec, .lora = lora, .y = y, .u = u, .y_stride = y_stride, .n_tokens = n_tokens};

    pool_run(exec->pool, up_columns, &work, column_items(lora->out), 1);
}

/* d_b_t += u^T dy for output columns, and B with its rank in lanes. */
static void gradient_b(void *context, size_t begin, size_t end, int worker)
{
    const struct lora_work *w = context;
    const struct lora *l = w->lora;
    size_t c = begin * COLUMNS, n = clip_columns(end, l->out) - c, r, i;

    (void)worker;
    memset(w->b + c * l->rank_stride, 0, n * l->rank_stride * sizeof *w->b);
    for (i = c; i < c + n; i++)
        for (r = 0; r < l->rank; r++)
            w->b[i * l->rank_stride + r] = l->b_t[r * l->out_stride + i];
    w->exec->kernels->gemm_f32(w->d_b_t + c, l->out_stride, w->u, 1, l->rank_stride, w->dy + c, w->dy_stride, l->rank,
                               n, w->n_tokens, 1);
}

/* du = scale * dy B for tokens. */
static void gradient_u(void *context, size_t begin, size_t end, int worker)
{
    const struct lora_work *w = context;
    const struct lora *l = w->lora;
    size_t stride = l->rank_stride;

    (void)worker;
    w->exec->kernels->gemm_f32(w->du + begin * stride, stride, w->dy + begin * w->dy_stride, w->dy_stride, 1, w->b,
                               stride, end - begin, stride, l->out, 0);
    w->exec->kernels->rows->scale(w->du + begin * stride, l->scale, (end - begin) * stride);
}

/* d_a += du^T x and dx += du A for input columns. */
static void gradient_a(void *context, size_t begin, size_t end, int worker)
{
    const struct lora_work *w = context;
    const struct lora *l = w->lora;
    size_t c = begin * COLUMNS, n = clip_columns(end, l->in) - c;

    (void)worker;
    w->exec->kernels->gemm_f32(w->d_a + c, l->in, w->du, 1, l->rank_stride, w->x + c, w->x_stride, l->rank, n,
                               w->n_tokens, 1);
    if (w->dx)
        w->exec->kernels->gemm_f32(w->dx + c, w->dx_stride, w->du, l->rank_stride, 1, l->a + c, l->in, w->n_tokens, n,
                                   l->rank, 1);
}

/* y = W x + s B A x. With u = s A x:  dB = dy u^T,  du = s B^T dy,  dA = du x^T,  dx += A^T du. */
void lora_backward(const struct exec *exec, const struct lora *lora, float *d_a, float *d_b_t, float *dx,
                   size_t dx_stride, const struct lora_scratch *scratch, const float *u, const float *dy,
                   size_t dy_stride, const float *x, size_t x_stride, size_t n_tokens)
{
    struct lora_work work = {.exec = exec, .lora = lora, .dx = dx, .d_a = d_a, .d_b_t = d_b_t};

    work.du = scratch->du;
    work.b = scratch->b;
    work.u = u;
    work.x = x;
    work.dy = dy;
    work.x_stride = x_stride;
    work.dy_stride = dy_stride;
    work.dx_stride = dx_stride;
    work.n_tokens = n_tokens;
    pool_run(exec->pool, gradient_b, &work, column_items(lora->out), 1);
    pool_run(exec->pool, gradient_u, &work, n_tokens, 8);
    pool_run(exec->pool, gradient_a, &work, column_items(lora->in), 1);
}
