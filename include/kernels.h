/* kernels.h - the kernel table: every SIMD routine behind one constant struct per instruction-set tier.
 *
 * All tiers give the same bits (design.md section 2); the scalar tier is the specification, in C. Kernels do no I/O,
 * allocate nothing, start no threads, never fail. Float row buffers are 64-byte aligned with a stride that is a
 * multiple of 16 floats; matmul kernels write whole groups of 16 outputs, zeros in the padding rows. */
#ifndef ARKLET_KERNELS_H
#define ARKLET_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include "gradients.h"
#include "pack.h"

/* Activation rows rounded to int8 in blocks of 32 (design.md 2.2). Per block: m = max|x|; m < 2^-100 gives q = 0 and
 * d = 0; else d = m / 127 and q = rint(x * (127 / m)), f32 throughout, ties to even. A last block shorter than 32 is
 * padded with zeros. The other arrays are what the tiles need of the block's integer sum S (S0, S1: its halves):
 * unsigned codes carry an offset, and minima multiply the sum. */
struct qrows {
    size_t n_blocks; /* ceil(cols / 32) */
    int8_t *q;       /* [T][32 * n_blocks] */
    float *d;        /* [T][n_blocks] */
    float *ds;       /* [T][n_blocks]      d * (float)S, one rounding */
    int32_t *neg8;   /* [T][n_blocks]      -8 S   (PACK_4) */
    int32_t *neg16;  /* [T][n_blocks]      -16 S  (PACK_5) */
    int32_t *neg128; /* [T][n_blocks]      -128 S (PACK_8 on unsigned x signed hardware) */
    int32_t *neg32;  /* [T][2 * n_blocks]  -32 S0, -32 S1 (PACK_6K; PACK_2K takes S0 = -neg32 / 32) */
};

/* y[t * y_stride + 16 p + r] = row 16(panel + p) + r of w times row (token + t) of x, for p < n_panels, t < n_tokens.
 * y addresses token `token`, panel `panel`. Per output the blocks ascend; with ws the weight scale (f32), as = x.d:
 *   isum = sum over the block of (code - offset) * q          exact int32
 *   acc  = fmaf(ws * as, (float)isum, acc)                    acc starts at +0
 *   and for classes with a minimum  acc = fmaf(wm, x.ds, acc)     wm = m (41, 51) or -(dmin * m) (4K, 5K)
 * 4K, 5K: ws = d * (float)sc. 6K: isum = sc0 * sum0 + sc1 * sum1 (int32, exact also in f32: below 2^24), ws = d.
 * 2K: isum as 6K with ws = d; minimum: acc = fmaf(-dmin * as, (float)(m0 * S0 + m1 * S1), acc). */
typedef void matmul_q_kernel(float *y, size_t y_stride, const struct pack *w, size_t panel, size_t n_panels,
                             const struct qrows *x, size_t token, size_t n_tokens);

/* The same for float classes and float activations x[t * x_stride + k]: acc = fmaf(w, x, acc), k ascending from +0. */
typedef void matmul_f_kernel(float *y, size_t y_stride, const struct pack *w, size_t panel, size_t n_panels,
                             const float *x, size_t x_stride, size_t n_tokens);

/* c[i * c_row + j] = (accumulate ? c : +0) + sum over p < k of a[i * a_row + p * a_col] * b[p * b_row + j], p
 * ascending, one fmaf each, for i < m, j < n. Any m, n, k >= 0; writes exactly the m x n elements. The one float
 * product of training, attention and LoRA; n runs in lanes. c overlaps neither a nor b. */
typedef void gemm_f32_kernel(float *c, size_t c_row, const float *a, size_t a_row, size_t a_col, const float *b,
                             size_t b_row, size_t m, size_t n, size_t k, int accumulate);

/* Work along one row. "16 partials" means: partial[i mod 16] takes element i by the stated operation, i ascending,
 * partials start at +0; then the tree p[l] += p[l+8] (l < 8), p[l] += p[l+4], p[l] += p[l+2], p[0] + p[1]. */
struct row_kernels {
    const char *name;
    void (*quantize)(const struct qrows *out, size_t t, const float *x, size_t n);
    float (*sum)(const float *x, size_t n);                    /* 16 partials: p = p + x */
    float (*dot)(const float *x, const float *y, size_t n);    /* 16 partials: p = fmaf(x, y, p) */
    float (*max)(const float *x, size_t n);                    /* n >= 1; -inf is allowed, NaN is not */
    int (*finite)(const float *x, size_t n);                   /* 1 when every element is finite */
    void (*add)(float *y, const float *x, size_t n);           /* y = y + x */
    void (*mul)(float *y, const float *x, size_t n);           /* y = y * x */
    void (*scale)(float *y, float a, size_t n);                /* y = y * a */
    float (*scale_max)(float *y, float a, size_t n);           /* scale, then max of the result */
    void (*axpy)(float *y, float a, const float *x, size_t n); /* y = fmaf(a, x, y) */
    /* r = 1 / sqrtf(dot(x, x) / n + eps); y = (x * r) * w; returns r. w NULL: y = x * r. y may be x. */
    float (*rmsnorm)(float *y, const float *x, const float *w, size_t n, float eps);
    /* In place on one head. pairs: (x[2i], x[2i+1]); halves: (x[i], x[i + n]); i < n, with c = cos[i], s = sin[i]:
     * a' = fmaf(a, c, -(b * s)), b' = fmaf(a, s, b * c). */
    void (*rope_pairs)(float *x, const float *cos, const float *sin, size_t n);
    void (*rope_halves)(float *x, const float *cos, const float *sin, size_t n);
    void (*silu_mul)(float *y, const float *gate, const float *up, size_t n); /* y = silu(gate) * up */
    void (*gelu_mul)(float *y, const float *gate, const float *up, size_t n); /* tanh form of GELU */
    void (*tanh_scale)(float *y, float cap, size_t n);                        /* y = cap * tanh(y / cap) */
    /* y[i] = exp(x[i] - max), returns the sum of y by 16 partials (p = p + y). y may be x. */
    float (*exp_sum)(float *y, const float *x, float max, size_t n);
    /* The same sum without storing. */
    float (*exp_sum_only)(const float *x, float max, size_t n);
    void (*from_f16)(float *y, const uint16_t *x, size_t n);
    void (*to_f16)(uint16_t *y, const float *x, size_t n);
    void (*from_bf16)(float *y, const uint16_t *x, size_t n);
    void (*to_bf16)(uint16_t *y, const float *x, size_t n);
};

/* Does `iterations` rounds of a loop that only multiplies; returns the operations done (peak.h). */
typedef uint64_t peak_kernel(uint64_t iterations);

struct kernels {
    const char *name;                      /* scalar avx2 avxvnni avx512 neon neondot */
    matmul_q_kernel *matmul_q[PACK_COUNT]; /* NULL for float classes */
    matmul_f_kernel *matmul_f[PACK_COUNT]; /* NULL for quantised classes */
    gemm_f32_kernel *gemm_f32;
    const struct row_kernels *rows;
    const struct gradient_kernels *gradients; /* gradients.h */
    peak_kernel *peak_int8, *peak_f32;        /* NULL where nobody asks (scalar) */
};

/* The best tier of this host (name NULL), or the named one; NULL when unknown or not supported here. */
const struct kernels *kernels_find(const char *name);
/* The i-th tier that this host can run, scalar first; NULL past the end. */
const struct kernels *kernels_at(size_t i);

#endif
