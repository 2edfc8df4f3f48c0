/* dropout.c - rows with some elements left out; threads over tokens. */
#include "dropout.h"

#include <math.h>
#include "rng.h"

struct dropout dropout_create(double p, uint64_t seed)
{
    struct dropout d = {seed, (uint32_t)(p * 65536 + 0.5), 1};

    d.scale = 65536.0f / (float)(65536 - d.threshold);
    return d;
}

struct dropout_work {
    const struct dropout_mask *mask;
    float *y;
    const float *x;
    size_t y_stride, x_stride, n;
    int add;
};

static void mask_row(const struct dropout_work *w, size_t t)
{
    const struct dropout_mask *m = w->mask;
    const float *x = w->x + t * w->x_stride;
    float *y = w->y + t * w->y_stride, scale;
    uint64_t bits = 0, row = (uint64_t)m->position[t] << 32;
    size_t c;

    for (c = 0; c < w->n; c++, bits >>= 16) {
        if (c % 4 == 0)
            bits = rng_bits(m->dropout->seed, RNG_DROPOUT, m->stream[t], m->matrix, row | c / 4);
        scale = (bits & 0xffff) < m->dropout->threshold ? 0 : m->dropout->scale;
        y[c] = w->add ? fmaf(x[c], scale, y[c]) : x[c] * scale;
    }
}

static void mask_rows(void *context, size_t begin, size_t end, int worker)
{
    (void)worker;
    for (; begin < end; begin++)
        mask_row(context, begin);
}

void dropout_apply(const struct exec *exec, const struct dropout_mask *mask, float *y, size_t y_stride, const float *x,
                   size_t x_stride, size_t n_tokens, size_t n)
{
    struct dropout_work work = {mask, y, x, y_stride, x_stride, n, 0};

    pool_run(exec->pool, mask_rows, &work, n_tokens, 4);
}

void dropout_add(const struct exec *exec, const struct dropout_mask *mask, float *y, size_t y_stride, const float *x,
                 size_t x_stride, size_t n_tokens, size_t n)
{
    struct dropout_work work = {mask, y, x, y_stride, x_stride, n, 1};

    pool_run(exec->pool, mask_rows, &work, n_tokens, 4);
}
