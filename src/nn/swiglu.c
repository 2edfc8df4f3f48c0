/* swiglu.c - the gated activation, threads over tokens. */
#include "swiglu.h"

struct swiglu_work {
    const struct row_kernels *rows;
    float *y;
    const float *gate, *up;
    size_t stride, n;
    enum activation activation;
};

static void swiglu_rows(void *context, size_t begin, size_t end, int worker)
{
    const struct swiglu_work *w = context;
    size_t t;

    (void)worker;
    for (t = begin; t < end; t++) {
        size_t at = t * w->stride;

        if (w->activation == ACTIVATION_GELU)
            w->rows->gelu_mul(w->y + at, w->gate + at, w->up + at, w->n);
        else
            w->rows->silu_mul(w->y + at, w->gate + at, w->up + at, w->n);
    }
}

void swiglu_forward(const struct exec *exec, float *y, const float *gate, const float *up, size_t n_tokens,
                    size_t stride, size_t n, enum activation activation)
{
    struct swiglu_work work = {exec->kernels->rows, y, gate, up, stride, n, activation};

    pool_run(exec->pool, swiglu_rows, &work, n_tokens, 2);
}

/* y = a(gate) up:  d_gate = dy up a'(gate),  d_up = dy a(gate). */
struct swiglu_gradient {
    const struct gradient_kernels *kernels;
    float *gate, *up;
    const float *dy;
    size_t stride, n;
    enum activation activation;
};

static void swiglu_backward_rows(void *context, size_t begin, size_t end, int worker)
{
    const struct swiglu_gradient *w = context;
    size_t t;

    (void)worker;
    for (t = begin; t < end; t++) {
        size_t at = t * w->stride;

        if (w->activation == ACTIVATION_GELU)
            w->kernels->gelu_backward(w->gate + at, w->up + at, w->dy + at, w->n);
        else
            w->kernels->silu_backward(w->gate + at, w->up + at, w->dy + at, w->n);
    }
}

void swiglu_backward(const struct exec *exec, float *gate, float *up, const float *dy, size_t n_tokens, size_t stride,
                     size_t n, enum activation activation)
{
    struct swiglu_gradient work = {exec->kernels->gradients, gate, up, dy, stride, n, activation};

    pool_run(exec->pool, swiglu_backward_rows, &work, n_tokens, 2);
}
