/* optim.c - AdamW, Muon, norms and schedules. Each tensor has one owner; nothing depends on the threads. */
#include "optim.h"

#include <math.h>
#include <string.h>
#include "elementary.h"

#define NORM_CHUNK ((size_t)4096)

static size_t smaller(const struct optim_tensor *t)
{
    return t->rows < t->cols ? t->rows : t->cols;
}

/* Floats that Newton-Schulz needs for the largest matrix: X, its transpose, and two squares. */
static size_t scratch_floats(const struct optim_options *options, const struct optim_tensor *tensors, size_t n)
{
    size_t i, most = 0;

    for (i = 0; options->kind == OPTIM_MUON && i < n; i++) {
        size_t side = smaller(&tensors[i]), need = 3 * tensors[i].rows * tensors[i].cols + 2 * side * side;

        if (tensors[i].matrix && need > most)
            most = need;
    }
    return most;
}

int optim_create(struct optim *o, const struct optim_options *options, const struct exec *exec,
                 const struct optim_tensor *tensors, size_t n_tensors, size_t n_params, struct arena *arena)
{
    size_t threads = (size_t)pool_size(exec->pool), floats = scratch_floats(options, tensors, n_tensors), i;

    o->options = *options;
    o->exec = *exec;
    o->tensors = tensors;
    o->n_tensors = n_tensors;
    o->n_params = n_params;
    o->m = arena_array(arena, n_params, sizeof(float));
    o->v = arena_array(arena, n_params, sizeof(float));
    o->scratch = arena_array(arena, threads, sizeof *o->scratch);
    for (i = 0; o->scratch && i < threads; i++)
        if (!(o->scratch[i] = arena_array(arena, floats, sizeof(float))))
            return 0;
    return o->m && o->v && o->scratch;
}

/* ---- Norm and clipping ---- */

struct norm_work {
    const struct exec *exec;
    const float *grads;
    size_t n;
    double *sums;
};

#define NORM_BATCH ((size_t)1024) /* chunks whose sums exist at once */

static void norm_chunks(void *context, size_t begin, size_t end, int worker)
{
    const struct norm_work *w = context;

    (void)worker;
    for (; begin < end; begin++) {
        size_t at = begin * NORM_CHUNK, n = w->n - at < NORM_CHUNK ? w->n - at : NORM_CHUNK;

        w->sums[begin] = w->exec->kernels->gradients->square_sum(w->grads + at, n);
    }
}

double optim_norm(const struct exec *exec, const float *grads, size_t n)
{
    double sums[NORM_BATCH], total = 0;
    size_t at, i;

    for (at = 0; at < n; at += NORM_BATCH * NORM_CHUNK) {
        size_t rest = n - at < NORM_BATCH * NORM_CHUNK ? n - at : NORM_BATCH * NORM_CHUNK;
        size_t chunks = (rest + NORM_CHUNK - 1) / NORM_CHUNK;
        struct norm_work work = {exec, grads + at, rest, sums};

        pool_run(exec->pool, norm_chunks, &work, chunks, 8);
        for (i = 0; i < chunks; i++)
            total += sums[i];
    }
    return sqrt(total);
}

float optim_clip(double norm, double clip)
{
    double factor = clip > 0 ? clip / (norm + 1e-6) : 1;

    return factor < 1 ? (float)factor : 1.0f;
}

/* ---- Updates ---- */

struct update_work {
    struct optim *optim;
    float *params;
    const float *grads;
    float lr, grad_scale;
    uint64_t t;
};

static void update_adamw(const struct update_work *w, const struct optim_tensor *tensor, float lr)
{
    const struct optim_options *o = &w->optim->options;
    size_t at = tensor->offset, n = (tensor->rows - 1) * tensor->stride + tensor->cols;
    double t = (double)w->t;
    struct adamw_step step;

    step.grad_scale = w->grad_scale;
    step.one_minus_beta1 = 1 - o->beta1;
    step.one_minus_beta2 = 1 - o->beta2;
    step.decay = tensor->decay ? 1 - lr * o->weight_decay : 1;
    step.step = (float)(lr / (1 - elementary_pow(o->beta1, t)));
    step.root = (float)(1 / sqrt(1 - elementary_pow(o->beta2, t)));
    step.eps = o->eps;
    w->optim->exec.kernels->gradients->adamw(w->params + at, w->optim->m + at, w->optim->v + at, w->grads + at, &step,
                                             n);
}

/* to [cols][rows] = from [rows][cols]^T */
static void transpose(float *to, const float *from, size_t rows, size_t cols)
{
    size_t i, j;

    for (i = 0; i < rows; i++)
        for (j = 0; j < cols; j++)
            to[j * rows + i] = from[i * cols + j];
}

/* X [r][c], r <= c, towards the nearest semi-orthogonal matrix; space: X^T, A, B behind each other, then the new X. */
static void newton_schulz(const struct kernels *k, float *x, size_t r, size_t c, float *space)
{
    float *x_t = space, *next = x_t + r * c, *a = next + r * c, *b = a + r * r;
    size_t i;
    int step;

    k->rows->scale(x, (float)(1 / (sqrt(k->gradients->square_sum(x, r * c)) + 1e-7)), r * c);
    for (step = 0; step < 5; step++) {
        transpose(x_t, x, r, c);
        k->gemm_f32(a, r, x, c, 1, x_t, r, r, r, c, 0); /* A = X X^T */
        k->gemm_f32(b, r, a, r, 1, a, r, r, r, r, 0);   /* B = c A A + b A */
        k->rows->scale(b, 2.0315f, r * r);
        k->rows->axpy(b, -4.7750f, a, r * r);
        memcpy(next, x, r * c * sizeof *x); /* X = a X + B X */
        k->rows->scale(next, 3.4445f, r * c);
        k->gemm_f32(next, c, b, r, 1, x, c, r, c, r, 1);
        for (i = 0; i < r * c; i++)
            x[i] = next[i];
    }
}

static void update_muon(const struct update_work *w, const struct optim_tensor *tensor, float *space)
{
    const struct optim_options *o = &w->optim->options;
    const struct kernels *k = w->optim->exec.kernels;
    size_t rows = tensor->rows, cols = tensor->cols, n = rows * cols, i, j;
    float *x = space, *turned = space + n;
    size_t outputs = tensor->turned ? cols : rows, inputs = tensor->turned ? rows : cols;
    float step = w->lr * sqrtf(outputs > inputs ? (float)outputs / (float)inputs : 1.0f);

    for (i = 0; i < rows; i++) {
        const float *g = w->grads + tensor->offset + i * tensor->stride;
        float *m = w->optim->m + tensor->offset + i * tensor->stride;

        for (j = 0; j < cols; j++) {
            float gradient = g[j] * w->grad_scale;

            m[j] = fmaf(o->momentum, m[j], gradient);
            if (fabsf(m[j]) < GRADIENT_TINY)
                m[j] = 0;
            x[i * cols + j] = fmaf(o->momentum, m[j], gradient);
        }
    }
    if (rows <= cols) {
        newton_schulz(k, x, rows, cols, space + n);
    } else {
        transpose(turned, x, rows, cols);
        memcpy(x, turned, n * sizeof *x);
        newton_schulz(k, x, cols, rows, space + n);
        transpose(turned, x, cols, rows);
        x = turned;
    }
    for (i = 0; i < rows; i++) {
        float *p = w->params + tensor->offset + i * tensor->stride;

        if (tensor->decay)
            k->rows->scale(p, 1 - w->lr * o->weight_decay, cols);
        k->rows->axpy(p, -step, x + i * cols, cols);
    }
}

static void update_tensors(void *context, size_t begin, size_t end, int worker)
{
    const struct update_work *w = context;
    const struct optim_options *o = &w->optim->options;

    for (; begin < end; begin++) {
        const struct optim_tensor *tensor = &w->optim->tensors[begin];

        if (o->kind == OPTIM_MUON && tensor->matrix)
            update_muon(w, tensor, w->optim->scratch[worker]);
        else
            update_adamw(w, tensor, o->kind == OPTIM_MUON ? w->lr * o->adam_ratio : w->lr);
    }
}

void optim_step(struct optim *optim, float *params, const float *grads, float lr, uint64_t t, float grad_scale)
{
    struct update_work work = {optim, params, grads, lr, grad_scale, t};

    pool_run(optim->exec.pool, update_tensors, &work, optim->n_tensors, 1);
}

double optim_schedule(enum schedule schedule, double warmup, uint64_t step, uint64_t total)
{
    double warm = ceil(warmup * (double)total), at = (double)step, rest = (double)total - warm;

    if (at < warm)
        return at / warm;
    if (schedule == SCHEDULE_CONSTANT || rest <= 0)
        return 1;
    if (schedule == SCHEDULE_LINEAR)
        return (double)(total - step) / rest;
    return 0.5 * (1 + elementary_cos(3.14159265358979323846 * (at - warm) / rest));
}
