/* neon_float.c - what both Advanced SIMD tiers do in float: matmul_f and gemm_f32 of kernels.h, f16 rows.
 *
 * Outputs lie in lanes and each has one accumulator that runs over the summed index in order, so a tile is any
 * rectangle of outputs: 4 tokens (or rows) x 16 outputs = 16 accumulators, 4 registers of the wide operand. */
#include "neon_tile.h"
#include "each.h"
#include "half.h"
#include "rows_half.h"
#include <math.h>

#define WIDTH 4

/* Sixteen weights, rows 0..15 of one column. */
static inline void load_f32(float32x4_t w[4], const uint8_t *p)
{
    int g;

    for (g = 0; g < 4; g++)
        w[g] = vreinterpretq_f32_u8(vld1q_u8(p + 16 * g));
}

static inline void load_f16(float32x4_t w[4], const uint8_t *p)
{
    int g;

    for (g = 0; g < 4; g++)
        w[g] = vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p + 8 * g)));
}

static inline void load_bf16(float32x4_t w[4], const uint8_t *p)
{
    int g;

    for (g = 0; g < 4; g++)
        w[g] = vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p + 8 * g)), 16));
}

/* n_tokens (a constant wherever this is inlined) rows of x times one panel. */
NEON_INLINE void panel_tile(float *y, size_t y_stride, enum pack_class class_, const uint8_t *w, size_t cols,
                            const float *x, size_t x_stride, size_t n_tokens)
{
    size_t bytes = class_ == PACK_F32 ? 64 : 32, k, t;
    float32x4_t acc[WIDTH][4], column[4];
    int g;

    for (t = 0; t < n_tokens; t++)
        for (g = 0; g < 4; g++)
            acc[t][g] = vdupq_n_f32(0);
    for (k = 0; k < cols; k++, w += bytes) {
        if (class_ == PACK_F32)
            load_f32(column, w);
        else if (class_ == PACK_F16)
            load_f16(column, w);
        else
            load_bf16(column, w);
        for (t = 0; t < n_tokens; t++)
            for (g = 0; g < 4; g++)
                acc[t][g] = vfmaq_n_f32(acc[t][g], column[g], x[t * x_stride + k]);
    }
    for (t = 0; t < n_tokens; t++)
        for (g = 0; g < 4; g++)
            vst1q_f32(y + t * y_stride + 4 * g, acc[t][g]);
}

NEON_INLINE void matmul(float *y, size_t y_stride, enum pack_class class_, const struct pack *w, size_t panel,
                        size_t n_panels, const float *x, size_t x_stride, size_t n_tokens)
{
    size_t p, t;

    for (p = 0; p < n_panels; p++) {
        const uint8_t *data = w->data + (panel + p) * w->panel_bytes;
        float *out = y + PACK_ROWS * p;

        for (t = 0; t + WIDTH <= n_tokens; t += WIDTH)
            panel_tile(out + t * y_stride, y_stride, class_, data, w->cols, x + t * x_stride, x_stride, WIDTH);
        for (; t < n_tokens; t++)
            panel_tile(out + t * y_stride, y_stride, class_, data, w->cols, x + t * x_stride, x_stride, 1);
    }
}

void neon_matmul_f32(float *y, size_t y_stride, const struct pack *w, size_t panel, size_t n_panels, const float *x,
                     size_t x_stride, size_t n_tokens)
{
    matmul(y, y_stride, PACK_F32, w, panel, n_panels, x, x_stride, n_tokens);
}

void neon_matmul_f16(float *y, size_t y_stride, const struct pack *w, size_t panel, size_t n_panels, const float *x,
                     size_t x_stride, size_t n_tokens)
{
    matmul(y, y_stride, PACK_F16, w, panel, n_panels, x, x_stride, n_tokens);
}

void neon_matmul_bf16(float *y, size_t y_stride, const struct pack *w, size_t panel, size_t n_panels, const float *x,
                      size_t x_stride, size_t n_tokens)
{
    matmul(y, y_stride, PACK_BF16, w, panel, n_panels, x, x_stride, n_tokens);
}

/* A gemm's operands (kernels.h), moved to a tile's corner. */
struct gemm {
    float *c;
    size_t c_row;
    const float *a;
    size_t a_row, a_col;
    const float *b;
    size_t b_row, k;
    int accumulate;
};

/* m rows x 16 columns; m is a constant wherever this is inlined. */
NEON_INLINE void gemm_tile(const struct gemm *o, size_t m)
{
    float32x4_t acc[WIDTH][4];
    const float *a = o->a, *b = o->b;
    size_t i, p;
    int g;

    for (i = 0; i < m; i++)
        for (g = 0; g < 4; g++)
            acc[i][g] = o->accumulate ? vld1q_f32(o->c + i * o->c_row + 4 * g) : vdupq_n_f32(0);
    for (p = 0; p < o->k; p++, a += o->a_col, b += o->b_row) {
        float32x4_t row[4];

        for (g = 0; g < 4; g++)
            row[g] = vld1q_f32(b + 4 * g);
        for (i = 0; i < m; i++)
            for (g = 0; g < 4; g++)
                acc[i][g] = vfmaq_n_f32(acc[i][g], row[g], a[i * o->a_row]);
    }
    for (i = 0; i < m; i++)
        for (g = 0; g < 4; g++)
            vst1q_f32(o->c + i * o->c_row + 4 * g, acc[i][g]);
}

static void gemm_wide(const struct gemm *o)
{
    gemm_tile(o, WIDTH);
}

static void gemm_one(const struct gemm *o)
{
    gemm_tile(o, 1);
}

/* m rows of the last n < 16 columns: four at a time, then one by one. */
static void gemm_edge(const struct gemm *o, size_t m, size_t n)
{
    size_t i, j, p;

    for (i = 0; i < m; i++) {
        const float *a = o->a + i * o->a_row;
        float *c = o->c + i * o->c_row;

        for (j = 0; j + 4 <= n; j += 4) {
            float32x4_t acc = o->accumulate ? vld1q_f32(c + j) : vdupq_n_f32(0);

            for (p = 0; p < o->k; p++)
                acc = vfmaq_n_f32(acc, vld1q_f32(o->b + p * o->b_row + j), a[p * o->a_col]);
            vst1q_f32(c + j, acc);
        }
        for (; j < n; j++) {
            float acc = o->accumulate ? c[j] : 0;

            for (p = 0; p < o->k; p++)
                acc = fmaf(a[p * o->a_col], o->b[p * o->b_row + j], acc);
            c[j] = acc;
        }
    }
}

void neon_gemm_f32(float *c, size_t c_row, const float *a, size_t a_row, size_t a_col, const float *b, size_t b_row,
                   size_t m, size_t n, size_t k, int accumulate)
{
    size_t i, j;

    for (j = 0; j < n; j += 16) {
        struct gemm o = {c + j, c_row, a, a_row, a_col, b + j, b_row, k, accumulate};

        if (n - j < 16) {
            gemm_edge(&o, m, n - j);
            break;
        }
        for (i = 0; i < m;) {
            size_t rows = m - i >= WIDTH ? WIDTH : 1;

            o.c = c + i * c_row + j;
            o.a = a + i * a_row;
            if (rows == WIDTH)
                gemm_wide(&o);
            else
                gemm_one(&o);
            i += rows;
        }
    }
}

void rows_neon_from_f16(float *y, const uint16_t *x, size_t n)
{
    size_t i;

    for (i = 0; i + 4 <= n; i += 4)
        vst1q_f32(y + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(x + i))));
    for (; i < n; i++)
        y[i] = half_from_f16(x[i]);
}

void rows_neon_to_f16(uint16_t *y, const float *x, size_t n)
{
    size_t i;

    for (i = 0; i + 4 <= n; i += 4)
        vst1_u16(y + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x + i))));
    for (; i < n; i++)
        y[i] = half_to_f16(x[i]);
}

uint64_t neon_peak_f32(uint64_t iterations)
{
    float32x4_t sum[12], a = vdupq_n_f32(3), b = vdupq_n_f32(5);
    uint64_t n;

    EACH12(i, 12, sum[i] = vdupq_n_f32(0));
    for (n = 0; n < iterations; n++)
        EACH12(i, 12, __asm__ volatile("fmla %0.4s, %1.4s, %2.4s" : "+w"(sum[i]) : "w"(a), "w"(b)));
    return iterations * 12 * 4 * 2;
}
