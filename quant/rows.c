/* rows.c - work along one row of floats: struct row_kernels of kernels.h.
 *
 * One plain C source for every tier: the Makefile compiles it once per vector width, under the name ROWS_TABLE, and
 * the compiler vectorises it. All tiers agree by construction: elementwise work has no order, and sums run in sixteen
 * lanes that never meet before tree_sum, which has one fixed order.
 *
 *   x   | step 0: lanes 0..15 | step 1: lanes 0..15 | ... | tail: lanes 0..n mod 16 - 1 |
 *         each step loads, computes, then stores (so y may be x where kernels.h allows it)
 *
 * A tail of long arithmetic goes through the step once more on a copy padded with zeros, of which only the valid lanes
 * are stored or summed; a short one is a loop. No byte outside the row is touched.
 * No intrinsics: compilers vectorise all but the f16 conversions, which each tier brings (rows_half.h). */
#include <string.h>
#include "elementary.h"
#include "half.h"
#include "kernels.h"
#include "rows_half.h"

#define LANES 16

/* rows_avx2 and _to_f16 make rows_avx2_to_f16. */
#define PASTE(a, b) a##b
#define TIER(a, b)  PASTE(a, b)

/* The tree of kernels.h: halves added until one is left. */
static float tree_sum(float p[LANES])
{
    int l;
    for (l = 0; l < 8; l++)
        p[l] += p[l + 8];
    for (l = 0; l < 4; l++)
        p[l] += p[l + 4];
    return (p[0] + p[2]) + (p[1] + p[3]);
}

static inline void store_step(float *y, const float t[LANES])
{
    int l;
    for (l = 0; l < LANES; l++)
        y[l] = t[l];
}

/* The last n < LANES elements as a full step, zeros behind them. */
static void pad_tail(float t[LANES], const float *x, size_t n)
{
    memset(t, 0, LANES * sizeof *t);
    memcpy(t, x, n * sizeof *t);
}

/* quantize, first pass: the codes and scale of one block. max|x| is found on the bits, where the order of magnitudes
 * is the order of integers; below 2^-100 the exponent field is below 27. Adding 1.5 * 2^23 rounds to an integer, ties
 * to even, and leaves it in the low bits. */
static inline void quantize_block(int8_t *q, float *d, const float x[PACK_BLOCK])
{
    uint32_t m = 0, rounded[PACK_BLOCK];
    float inverse;
    int i, tiny;
    for (i = 0; i < PACK_BLOCK; i++) {
        uint32_t magnitude = half_float_bits(x[i]) & 0x7fffffffu;
        m = magnitude > m ? magnitude : m;
    }
    tiny = m < (uint32_t)27 << 23;
    *d = tiny ? 0 : half_float_of_bits(m) / 127;
    inverse = tiny ? 0 : 127 / half_float_of_bits(m);
    for (i = 0; i < PACK_BLOCK; i++)
        rounded[i] = half_float_bits(x[i] * inverse + 0x1.8p23f);
    for (i = 0; i < PACK_BLOCK; i++)
        q[i] = (int8_t)(rounded[i] & 0xff);
}

/* The sum of sixteen codes: as bytes in two words (plus 128 each, to be unsigned), added pairwise. */
static inline int32_t sum_codes(const int8_t *q)
{
    const uint64_t flip = 0x8080808080808080, even = 0x00ff00ff00ff00ff;
    uint64_t a, b, s;
    memcpy(&a, q, sizeof a);
    memcpy(&b, q + 8, sizeof b);
    a ^= flip;
    b ^= flip;
    s = (a & even) + (a >> 8 & even) + (b & even) + (b >> 8 & even);
    s += s >> 32;
    s += s >> 16;
    return (int32_t)(s & 0xffff) - 16 * 128;
}

/* Second pass: what depends on the sums S0, S1 of a block's halves. */
static void quantize_sums(const struct qrows *out, size_t first, size_t n_blocks)
{
    const int8_t *q = out->q + PACK_BLOCK * first;
    const float *d = out->d + first;
    float *ds = out->ds + first;
    int32_t *neg8 = out->neg8 + first, *neg16 = out->neg16 + first, *neg128 = out->neg128 + first;
    int32_t *neg32 = out->neg32 + 2 * first;
    size_t b;
    for (b = 0; b < n_blocks; b++) {
        int32_t s0 = sum_codes(q + PACK_BLOCK * b), s1 = sum_codes(q + PACK_BLOCK * b + PACK_BLOCK / 2);
        ds[b] = d[b] * (float)(s0 + s1);
        neg8[b] = -8 * (s0 + s1);
        neg16[b] = -16 * (s0 + s1);
        neg128[b] = -128 * (s0 + s1);
        neg32[2 * b] = -32 * s0;
        neg32[2 * b + 1] = -32 * s1;
    }
}

static void quantize(const struct qrows *out, size_t t, const float *x, size_t n)
{
    size_t first = t * out->n_blocks, whole = n / PACK_BLOCK, rest = n % PACK_BLOCK, b;
    int8_t *q = out->q + PACK_BLOCK * first;
    float *d = out->d + first;
    for (b = 0; b < whole; b++)
        quantize_block(q + PACK_BLOCK * b, d + b, x + PACK_BLOCK * b);
    if (rest) {
        float padded[PACK_BLOCK] = {0};
        memcpy(padded, x + PACK_BLOCK * whole, rest * sizeof *x);
        quantize_block(q + PACK_BLOCK * whole, d + whole, padded);
    }
    quantize_sums(out, first, whole + (rest != 0));
}

static float sum(const float *x, size_t n)
{
    float p[LANES] = {0};
    size_t i, l;
    for (i = 0; i + LANES <= n; i += LANES)
        for (l = 0; l < LANES; l++)
            p[l] += x[i + l];
    for (l = 0; i + l < n; l++)
        p[l] += x[i + l];
    return tree_sum(p);
}

static float dot(const float *x, const float *y, size_t n)
{
    float p[LANES] = {0};
    size_t i, l;
    for (i = 0; i + LANES <= n; i += LANES)
        for (l = 0; l < LANES; l++)
            p[l] = fmaf(x[i + l], y[i + l], p[l]);
    for (l = 0; i + l < n; l++)
        p[l] = fmaf(x[i + l], y[i + l], p[l]);
    return tree_sum(p);
}

/* As signed integers the bits of positive floats are in order; negative ones are after flipping their lower bits.
 * So the maximum is an integer's, exact in any order of comparison (and -0 is below +0). */
static inline int32_t ordered_bits(int32_t bits)
{
    return bits ^ (int32_t)((uint32_t)(bits >> 31) >> 1);
}

static float max(const float *x, size_t n)
{
    int32_t most = INT32_MIN;
    size_t i;
    for (i = 0; i < n; i++) {
        int32_t bits = ordered_bits((int32_t)half_float_bits(x[i]));
        most = bits > most ? bits : most;
    }
    return half_float_of_bits((uint32_t)ordered_bits(most));
}

static float scale_max(float *y, float a, size_t n)
{
    int32_t most = INT32_MIN;
    size_t i;
    for (i = 0; i < n; i++) {
        float scaled = y[i] * a;
        int32_t bits = ordered_bits((int32_t)half_float_bits(scaled));
        y[i] = scaled;
        most = bits > most ? bits : most;
    }
    return half_float_of_bits((uint32_t)ordered_bits(most));
}

/* The exponent field is all ones in an infinity or NaN, and only there. */
static int all_finite(const float *x, size_t n)
{
    uint32_t bad = 0;
    size_t i;
    for (i = 0; i < n; i++)
        bad |= (half_float_bits(x[i]) & 0x7f800000u) == 0x7f800000u;
    return !bad;
}

static void add(float *y, const float *x, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++)
        y[i] = y[i] + x[i];
}

static void mul(float *y, const float *x, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++)
        y[i] = y[i] * x[i];
}

static void scale(float *y, float a, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++)
        y[i] = y[i] * a;
}

static void axpy(float *y, float a, const float *x, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++)
        y[i] = fmaf(a, x[i], y[i]);
}

static float rmsnorm(float *y, const float *x, const float *w, size_t n, float eps)
{
    float r = 1 / sqrtf(dot(x, x, n) / (float)n + eps);
    float t[LANES];
    size_t i, l;
    if (!w) {
        for (i = 0; i < n; i++)
            y[i] = x[i] * r;
        return r;
    }
    for (i = 0; i + LANES <= n; i += LANES) {
        for (l = 0; l < LANES; l++)
            t[l] = x[i + l] * r * w[i + l];
        store_step(y + i, t);
    }
    for (; i < n; i++)
        y[i] = x[i] * r * w[i];
    return r;
}

/* Each plane (u, v) turns by the angle of cosine c[i], sine s[i]: u c - v s, u s + v c. */
static void rope_pairs(float *x, const float *c, const float *s, size_t n)
{
    float a[LANES], b[LANES];
    size_t i, l;
    for (i = 0; i + LANES <= n; i += LANES) {
        for (l = 0; l < LANES; l++) {
            float u = x[2 * (i + l)], v = x[2 * (i + l) + 1];
            a[l] = fmaf(u, c[i + l], -(v * s[i + l]));
            b[l] = fmaf(u, s[i + l], v * c[i + l]);
        }
        for (l = 0; l < LANES; l++) {
            x[2 * (i + l)] = a[l];
            x[2 * (i + l) + 1] = b[l];
        }
    }
    for (; i < n; i++) {
        float u = x[2 * i], v = x[2 * i + 1];
        x[2 * i] = fmaf(u, c[i], -(v * s[i]));
        x[2 * i + 1] = fmaf(u, s[i], v * c[i]);
    }
}

static void rope_halves(float *x, const float *c, const float *s, size_t n)
{
    float a[LANES], b[LANES];
    size_t i, l;
    for (i = 0; i + LANES <= n; i += LANES) {
        for (l = 0; l < LANES; l++) {
            float u = x[i + l], v = x[i + n + l];
            a[l] = fmaf(u, c[i + l], -(v * s[i + l]));
            b[l] = fmaf(u, s[i + l], v * c[i + l]);
        }
        store_step(x + i, a);
        store_step(x + n + i, b);
    }
    for (; i < n; i++) {
        float u = x[i], v = x[i + n];
        x[i] = fmaf(u, c[i], -(v * s[i]));
        x[i + n] = fmaf(u, s[i], v * c[i]);
    }
}

/* silu_mul, gelu_mul, tanh_scale, exp_sum: the _steps function takes whole steps only; the tail goes through it once
 * more, padded. */
static void silu_mul_steps(float *y, const float *gate, const float *up, size_t n)
{
    float t[LANES];
    size_t i, l;
    for (i = 0; i < n; i += LANES) {
        for (l = 0; l < LANES; l++)
            t[l] = elementary_silu(gate[i + l]) * up[i + l];
        store_step(y + i, t);
    }
}

static void silu_mul(float *y, const float *gate, const float *up, size_t n)
{
    size_t rest = n % LANES, whole = n - rest;
    silu_mul_steps(y, gate, up, whole);
    if (rest) {
        float g[LANES], u[LANES];
        pad_tail(g, gate + whole, rest);
        pad_tail(u, up + whole, rest);
        silu_mul_steps(g, g, u, LANES);
        memcpy(y + whole, g, rest * sizeof *y);
    }
}

static void gelu_mul_steps(float *y, const float *gate, const float *up, size_t n)
{
    float t[LANES];
    size_t i, l;
    for (i = 0; i < n; i += LANES) {
        for (l = 0; l < LANES; l++)
            t[l] = elementary_gelu(gate[i + l]) * up[i + l];
        store_step(y + i, t);
    }
}

static void gelu_mul(float *y, const float *gate, const float *up, size_t n)
{
    size_t rest = n % LANES, whole = n - rest;
    gelu_mul_steps(y, gate, up, whole);
    if (rest) {
        float g[LANES], u[LANES];
        pad_tail(g, gate + whole, rest);
        pad_tail(u, up + whole, rest);
        gelu_mul_steps(g, g, u, LANES);
        memcpy(y + whole, g, rest * sizeof *y);
    }
}

static void tanh_scale_steps(float *y, float cap, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++)
        y[i] = cap * elementary_tanh(y[i] / cap);
}

static void tanh_scale(float *y, float cap, size_t n)
{
    size_t rest = n % LANES, whole = n - rest;
    tanh_scale_steps(y, cap, whole);
    if (rest) {
        float t[LANES];
        pad_tail(t, y + whole, rest);
        tanh_scale_steps(t, cap, LANES);
        memcpy(y + whole, t, rest * sizeof *y);
    }
}

/* t = exp(x - maximum), added to p. */
static inline void exp_sum_step(float p[LANES], float t[LANES], const float *x, float maximum)
{
    int l;
    for (l = 0; l < LANES; l++) {
        t[l] = elementary_exp(x[l] - maximum);
        p[l] += t[l];
    }
}

static float exp_sum(float *y, const float *x, float maximum, size_t n)
{
    float p[LANES] = {0}, t[LANES];
    size_t rest = n % LANES, whole = n - rest, i, l;
    for (i = 0; i < whole; i += LANES) {
        exp_sum_step(p, t, x + i, maximum);
        store_step(y + i, t);
    }
    if (rest) {
        float padded[LANES], unused[LANES] = {0};
        pad_tail(padded, x + whole, rest);
        exp_sum_step(unused, t, padded, maximum);
        for (l = 0; l < rest; l++)
            p[l] += t[l];
        memcpy(y + whole, t, rest * sizeof *y);
    }
    return tree_sum(p);
}

static float exp_sum_only(const float *x, float maximum, size_t n)
{
    float p[LANES] = {0};
    size_t rest = n % LANES, whole = n - rest, i, l;
    for (i = 0; i < whole; i += LANES)
        for (l = 0; l < LANES; l++)
            p[l] += elementary_exp(x[i + l] - maximum);
    if (rest) {
        float t[LANES], padded[LANES], unused[LANES] = {0};
        pad_tail(padded, x + whole, rest);
        exp_sum_step(unused, t, padded, maximum);
        for (l = 0; l < rest; l++)
            p[l] += t[l];
    }
    return tree_sum(p);
}

static void from_bf16(float *y, const uint16_t *x, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++)
        y[i] = half_from_bf16(x[i]);
}

static void to_bf16(uint16_t *y, const float *x, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++)
        y[i] = half_to_bf16(x[i]);
}

extern const struct row_kernels ROWS_TABLE;
const struct row_kernels ROWS_TABLE = {
    .name = ROWS_NAME,
    .quantize = quantize,
    .sum = sum,
    .dot = dot,
    .max = max,
    .finite = all_finite,
    .add = add,
    .mul = mul,
    .scale = scale,
    .scale_max = scale_max,
    .axpy = axpy,
    .rmsnorm = rmsnorm,
    .rope_pairs = rope_pairs,
    .rope_halves = rope_halves,
    .silu_mul = silu_mul,
    .gelu_mul = gelu_mul,
    .tanh_scale = tanh_scale,
    .exp_sum = exp_sum,
    .exp_sum_only = exp_sum_only,
    .from_f16 = TIER(ROWS_TABLE, _from_f16),
    .to_f16 = TIER(ROWS_TABLE, _to_f16),
    .from_bf16 = from_bf16,
    .to_bf16 = to_bf16,
};
