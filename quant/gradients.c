/* gradients.c - row kernels of training: struct gradient_kernels of gradients.h.
 *
 * Written as rows.c is: steps of LANES elements whose lanes never meet, compiled once per vector width under the name
 * GRADIENTS_TABLE; the compiler vectorises. A tail runs the same step on a zero-padded copy. */
#include "gradients.h"
#include <math.h>
#include <string.h>
#include "elementary.h"

#define LANES 16

extern const struct gradient_kernels GRADIENTS_TABLE;
/* pack_panel.c */
void PACK_DECODE_PANEL(const struct pack *pack, size_t panel, size_t col, size_t n, float *dst, size_t stride);

/* The part of a row that a step handles: whole lanes in place, or a padded copy of the tail. */
static inline size_t tail_of(size_t n)
{
    return n % LANES;
}

static inline void fma_step(float *z, const float *x, const float *y)
{
    int l;
    for (l = 0; l < LANES; l++)
        z[l] = fmaf(x[l], y[l], z[l]);
}

static void fma_row(float *z, const float *x, const float *y, size_t n)
{
    size_t i, l;
    for (i = 0; i + LANES <= n; i += LANES)
        fma_step(z + i, x + i, y + i);
    for (l = i; l < n; l++)
        z[l] = fmaf(x[l], y[l], z[l]);
}

static inline void silu_step(float *gate, float *up, const float *d)
{
    float g[LANES], u[LANES];
    int l;
    for (l = 0; l < LANES; l++) {
        g[l] = d[l] * up[l] * elementary_silu_grad(gate[l]);
        u[l] = d[l] * elementary_silu(gate[l]);
    }
    memcpy(gate, g, sizeof g);
    memcpy(up, u, sizeof u);
}

static inline void gelu_step(float *gate, float *up, const float *d)
{
    float g[LANES], u[LANES];
    int l;
    for (l = 0; l < LANES; l++) {
        g[l] = d[l] * up[l] * elementary_gelu_grad(gate[l]);
        u[l] = d[l] * elementary_gelu(gate[l]);
    }
    memcpy(gate, g, sizeof g);
    memcpy(up, u, sizeof u);
}

typedef void activation_step(float *gate, float *up, const float *d);

static inline void activation_backward(activation_step *step, float *gate, float *up, const float *d, size_t n)
{
    size_t i, tail = tail_of(n);
    float g[LANES] = {0}, u[LANES] = {0}, t[LANES] = {0};

    for (i = 0; i + LANES <= n; i += LANES)
        step(gate + i, up + i, d + i);
    if (!tail)
        return;
    memcpy(g, gate + i, tail * sizeof *g);
    memcpy(u, up + i, tail * sizeof *u);
    memcpy(t, d + i, tail * sizeof *t);
    step(g, u, t);
    memcpy(gate + i, g, tail * sizeof *g);
    memcpy(up + i, u, tail * sizeof *u);
}

static void silu_backward(float *gate, float *up, const float *d, size_t n)
{
    activation_backward(silu_step, gate, up, d, n);
}

static void gelu_backward(float *gate, float *up, const float *d, size_t n)
{
    activation_backward(gelu_step, gate, up, d, n);
}

static inline void exp_step(float *x, float a, float shift, float scale)
{
    float t[LANES];
    int l;
    for (l = 0; l < LANES; l++)
        t[l] = scale * elementary_exp(a * x[l] - shift);
    for (l = 0; l < LANES; l++)
        x[l] = t[l];
}

static void exp_scale(float *x, float a, float shift, float scale, size_t n)
{
    size_t i, tail = tail_of(n);
    float t[LANES] = {0};

    for (i = 0; i + LANES <= n; i += LANES)
        exp_step(x + i, a, shift, scale);
    if (!tail)
        return;
    memcpy(t, x + i, tail * sizeof *t);
    exp_step(t, a, shift, scale);
    memcpy(x + i, t, tail * sizeof *t);
}

static inline void expectation_step(float *p, const float *x, float shift)
{
    int l;
    for (l = 0; l < LANES; l++)
        p[l] = fmaf(elementary_exp(x[l] - shift), x[l], p[l]);
}

static float expectation(const float *x, float shift, size_t n)
{
    size_t i, tail = tail_of(n);
    float p[LANES] = {0}, t[LANES] = {0}, q[LANES];
    int l;

    for (i = 0; i + LANES <= n; i += LANES)
        expectation_step(p, x + i, shift);
    memcpy(t, x + i, tail * sizeof *t);
    memcpy(q, p, sizeof q);
    expectation_step(q, t, shift);
    memcpy(p, q, tail * sizeof *p); /* not the padding: exp(-shift) * 0 may be infinity times 0 */
    for (l = 0; l < 8; l++)
        p[l] += p[l + 8];
    for (l = 0; l < 4; l++)
        p[l] += p[l + 4];
    return (p[0] + p[2]) + (p[1] + p[3]);
}

static void softmax_backward(float *dp, const float *p, float delta, float scale, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++)
        dp[i] = p[i] * (dp[i] - delta) * scale;
}

static double square_sum(const float *x, size_t n)
{
    double p[LANES] = {0};
    size_t i;
    int l;

    for (i = 0; i + LANES <= n; i += LANES)
        for (l = 0; l < LANES; l++)
            p[l] = fma((double)x[i + (size_t)l], (double)x[i + (size_t)l], p[l]);
    for (l = 0; i < n; i++, l++)
        p[l] = fma((double)x[i], (double)x[i], p[l]);
    for (l = 0; l < 8; l++)
        p[l] += p[l + 8];
    for (l = 0; l < 4; l++)
        p[l] += p[l + 4];
    return (p[0] + p[2]) + (p[1] + p[3]);
}

static inline float flushed(float x)
{
    return fabsf(x) < GRADIENT_TINY ? 0.0f : x;
}

static void flush(float *x, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++)
        x[i] = flushed(x[i]);
}

static void adamw(float *w, float *m, float *v, const float *g, const struct adamw_step *s, size_t n)
{
    const struct adamw_step step = *s; /* by value, so that no store can alias it */
    size_t i;

    for (i = 0; i < n; i++) {
        float gradient = flushed(g[i] * step.grad_scale);
        float first = flushed(fmaf(step.one_minus_beta1, gradient - m[i], m[i]));
        float second = flushed(fmaf(step.one_minus_beta2, fmaf(gradient, gradient, -v[i]), v[i]));
        float denominator = fmaf(sqrtf(second), step.root, step.eps);

        m[i] = first;
        v[i] = second;
        w[i] = w[i] * step.decay - step.step * first / denominator;
    }
}

const struct gradient_kernels GRADIENTS_TABLE = {
    .decode_panel = PACK_DECODE_PANEL,
    .fma = fma_row,
    .silu_backward = silu_backward,
    .gelu_backward = gelu_backward,
    .exp_scale = exp_scale,
    .expectation = expectation,
    .softmax_backward = softmax_backward,
    .square_sum = square_sum,
    .flush = flush,
    .adamw = adamw,
};
