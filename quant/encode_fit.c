/* encode_fit.c - least-squares searches for scales and offsets; see encode_fit.h for the method.
 *
 * Loops run over fixed arrays element by element and sums are halving trees, so both vectorise although
 * additions may not be reordered. Division by a scale of 0 is avoided: codes are then the nearest to 0.
 * Next: encode.c, encode_k.c. */
#include <assert.h>
#include "encode_fit.h"

enum { GROUP = 32 };

#define ROUND 12582912.0f /* 1.5 * 2^23: adding and subtracting it rounds to the nearest integer, ties to even */

static float power_of_two(int exponent) /* -126..127 */
{
    return half_float_of_bits((uint32_t)(exponent + 127) << 23);
}

int scaled_load(struct scaled *block, const float *src, size_t n)
{
    float max = 0;
    int exponent;
    for (size_t i = 0; i < n; i++) {
        float size = src[i] < 0 ? -src[i] : src[i];
        assert(size <= 3.402823466e38f);
        max = size > max ? size : max;
    }
    if (max <= 0x1p-25f)
        return 0;
    exponent = (int)(half_float_bits(max) >> 23) - 126; /* max in [2^(exponent-1), 2^exponent) */
    exponent = exponent > 126 ? 126 : exponent;         /* 2^-exponent must not be denormal */
    block->up = power_of_two(exponent);
    block->down = power_of_two(-exponent);
    for (size_t i = 0; i < n; i++)
        block->x[i] = src[i] * block->down;
    return 1;
}

float scaled_half_value(const struct scaled *block, uint16_t bits)
{
    return half_from_f16(bits) * block->down;
}

float scaled_half(const struct scaled *block, float d, uint16_t *bits)
{
    float value = d * block->up;
    value = value > 65504.0f ? 65504.0f : value;
    value = value < -65504.0f ? -65504.0f : value;
    *bits = half_to_f16(value);
    return scaled_half_value(block, *bits);
}

float scaled_half_covering(const struct scaled *block, float d, uint16_t *bits)
{
    float value = scaled_half(block, d, bits);
    if (d != 0 && (*bits & 0x7fff) < 0x400 && value / d < 0.99f)
        value = scaled_half_value(block, ++*bits);
    return value;
}

/* Nearest of the sixteen nonlinear levels: one step up for every midpoint passed. */
static inline void nonlinear_codes(float *q, const float *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        q[i] = iq4nl_values[0];
    for (size_t k = 0; k < 15; k++) {
        float middle = 0.5f * (float)(iq4nl_values[k] + iq4nl_values[k + 1]);
        float step = (float)(iq4nl_values[k + 1] - iq4nl_values[k]);
        for (size_t i = 0; i < n; i++)
            q[i] += t[i] > middle ? step : 0;
    }
}

static inline void codes_of(float *q, const float *x, size_t n, float d, float m, const struct levels *levels)
{
    float inverse = d == 0 ? 0 : 1 / d, lo = levels->lo, hi = levels->hi, t[GROUP];
    for (size_t i = 0; i < n; i++)
        t[i] = (x[i] - m) * inverse;
    if (levels->nonlinear) {
        nonlinear_codes(q, t, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        float value = t[i] < lo ? lo : t[i];
        value = value > hi ? hi : value;
        q[i] = (value + ROUND) - ROUND;
    }
}

/* v[0..n) to its sum, n a power of two. */
static inline float tree_sum(float *v, size_t n)
{
    for (size_t half = n / 2; half; half /= 2)
        for (size_t i = 0; i < half; i++)
            v[i] += v[i + half];
    return v[0];
}

static inline float error_of(const float *x, size_t n, float d, float m, const struct levels *levels)
{
    float q[GROUP] = {0};
    codes_of(q, x, n, d, m, levels);
    for (size_t i = 0; i < n; i++) {
        float r = x[i] - m - d * q[i];
        q[i] = r * r;
    }
    return tree_sum(q, n);
}

/* The sums of q*x, q*q and q for the codes of d and m. */
static inline void moments_of(struct moments *sums, const float *x, size_t n, float d, float m,
                              const struct levels *levels)
{
    float q[GROUP], qx[GROUP], qq[GROUP];
    codes_of(q, x, n, d, m, levels);
    for (size_t i = 0; i < n; i++) {
        qx[i] = q[i] * x[i];
        qq[i] = q[i] * q[i];
    }
    sums->qx = tree_sum(qx, n);
    sums->qq = tree_sum(qq, n);
    sums->q = tree_sum(q, n);
}

/* Constant counts let the compiler unroll. */
void fit_codes(float *q, const float *x, size_t n, float d, float m, const struct levels *levels)
{
    codes_of(q, x, n == 16 ? 16 : GROUP, d, m, levels);
}

float fit_error(const float *x, size_t n, float d, float m, const struct levels *levels)
{
    return n == 16 ? error_of(x, 16, d, m, levels) : error_of(x, GROUP, d, m, levels);
}

void fit_moments(struct moments *sums, const float *x, size_t n, float d, float m, const struct levels *levels)
{
    if (n == 16)
        moments_of(sums, x, 16, d, m, levels);
    else
        moments_of(sums, x, GROUP, d, m, levels);
}

/* The least scale with which every element lies between the levels, for codes of the same sign as x
 * (flip = 1) or of the opposite sign (flip = -1). */
static float covering_scale(const float *x, size_t n, const struct levels *levels, float flip)
{
    float above = 0, below = 0;
    for (size_t i = 0; i < n; i++) {
        float value = flip * x[i];
        above = value > above ? value : above;
        below = value < below ? value : below;
    }
    above /= levels->hi;
    below /= levels->lo;
    return flip * (above > below ? above : below);
}

/* For fixed codes the best scale is qx/qq, and it takes qx^2/qq off the sum of squares. */
float fit_signed(const float *x, size_t n, const struct levels *levels, const struct grid *grid)
{
    float best = 0, best_gain = 0, step = grid->steps > 1 ? (grid->to - grid->from) / (float)(grid->steps - 1) : 0;
    for (int sign = 1; sign >= (grid->both ? -1 : 1); sign -= 2) {
        float cover = covering_scale(x, n, levels, (float)sign);
        for (int k = 0; k < grid->steps && cover != 0; k++) {
            struct moments sums;
            float gain;
            fit_moments(&sums, x, n, cover * (grid->from + step * (float)k), 0, levels);
            gain = sums.qx * sums.qx;
            if (gain > best_gain * sums.qq) {
                best_gain = gain / sums.qq;
                best = sums.qx / sums.qq;
            }
        }
    }
    return best;
}

/* The group with its mean taken off, and what is needed to return to it. */
struct centred {
    float x[GROUP], mean, low, high; /* extremes of x */
};

static void centre(struct centred *group, const float *x, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    group->mean = sum / (float)n;
    group->low = group->high = x[0] - group->mean;
    for (size_t i = 0; i < n; i++) {
        float value = x[i] - group->mean;
        group->x[i] = value;
        group->low = value < group->low ? value : group->low;
        group->high = value > group->high ? value : group->high;
    }
}

/* For fixed codes of centred x the best scale is qx/v, v = qq - q^2/n, and it takes qx^2/v off the sum of squares
 * around the mean. Where the offset would be positive but must not, it is 0: then only the scale is free, and
 * the sum of squares around 0, n*mean^2 larger, loses (qx + mean*q)^2/qq. */
static float affine_gain(float *d, float *m, const struct moments *sums, float mean, size_t n, int m_limit)
{
    float count = (float)n, variance = sums->qq - sums->q * sums->q / count, from_zero;
    *d = variance > 0 ? sums->qx / variance : 0;
    *m = mean - *d * sums->q / count;
    if (!m_limit || *m <= 0)
        return *d * sums->qx;
    from_zero = sums->qx + mean * sums->q;
    *d = sums->qq > 0 ? from_zero / sums->qq : 0;
    *m = 0;
    return *d * from_zero - count * mean * mean;
}

void fit_affine(float *d, float *m, const float *x, size_t n, float hi, const struct affine_grid *grid)
{
    struct levels levels = {0, hi, 0};
    struct centred group;
    float best = -3e38f, cut, floor;
    centre(&group, x, n);
    floor = -group.mean; /* zero of the source, seen from the mean */
    if (grid->m_limit && group.low > floor)
        group.low = floor;
    cut = grid->cut * (group.high - group.low);
    *d = 0;
    *m = group.low + group.mean;
    for (int k = 0; k < grid->steps * grid->steps && cut > 0; k++) {
        struct moments sums;
        float low = group.low + (float)(k / grid->steps - 1) * cut,
              high = group.high - (float)(k % grid->steps - 1) * cut;
        float dk, mk, gain;
        low = grid->m_limit && low > floor ? floor : low;
        fit_moments(&sums, group.x, n, (high - low) / hi, low, &levels);
        gain = affine_gain(&dk, &mk, &sums, group.mean, n, grid->m_limit);
        if (gain > best && dk >= 0) {
            best = gain;
            *d = dk;
            *m = mk;
        }
    }
}

/* Keeps the scale `bits` if it is finite and its error below *best. */
static void keep_better(uint16_t *best_bits, float *best, const struct scaled *block, uint16_t bits,
                        const struct levels *levels)
{
    float error;
    if ((bits & 0x7c00) == 0x7c00)
        return;
    error = fit_error(block->x, GROUP, scaled_half_value(block, bits), 0, levels);
    if (error < *best) {
        *best = error;
        *best_bits = bits;
    }
}

/* The f16 after (step 1) or before (-1) `bits`; those of zero are the least positive and negative numbers. */
static uint16_t half_neighbour(uint16_t bits, int step)
{
    if ((bits & 0x7fff) == 0)
        return step > 0 ? 1 : 0x8001;
    return (uint16_t)(bits + step);
}

uint16_t fit_half_signed(float *q, const struct scaled *block, float d, const struct levels *levels)
{
    struct moments sums;
    float best = 3e38f, value;
    uint16_t best_bits = 0, bits;
    value = scaled_half_covering(block, d, &bits);
    keep_better(&best_bits, &best, block, bits, levels);
    fit_moments(&sums, block->x, GROUP, value, 0, levels);
    scaled_half(block, sums.qq > 0 ? sums.qx / sums.qq : value, &bits);
    keep_better(&best_bits, &best, block, bits, levels);
    for (int climb = 0; climb < 4; climb++) {
        bits = best_bits;
        for (int step = -1; step <= 1; step += 2)
            keep_better(&best_bits, &best, block, half_neighbour(bits, step), levels);
        if (bits == best_bits)
            break;
    }
    fit_codes(q, block->x, GROUP, scaled_half_value(block, best_bits), 0, levels);
    return best_bits;
}

/* Lloyd's iteration over d alone, m being an f16 already. Returns the error. */
static float half_scale_for_offset(uint16_t *d_bits, const struct scaled *block, float d, float m, float hi)
{
    struct levels levels = {0, hi, 0};
    float best = 3e38f;
    for (int k = 0; k < 3; k++) {
        struct moments sums;
        uint16_t bits;
        float value = scaled_half_covering(block, d, &bits), error = fit_error(block->x, GROUP, value, m, &levels);
        if (!(error < best))
            break;
        best = error;
        *d_bits = bits;
        fit_moments(&sums, block->x, GROUP, value, m, &levels);
        d = sums.qq > 0 ? (sums.qx - m * sums.q) / sums.qq : value;
    }
    return best;
}

void fit_half_affine(uint16_t *d_bits, uint16_t *m_bits, float *q, const struct scaled *block, float d, float m,
                     float hi)
{
    struct levels levels = {0, hi, 0};
    float best = 3e38f, top = m + hi * d;
    uint16_t nearest;
    scaled_half(block, m, &nearest);
    for (int k = -1; k <= 1; k++) { /* the nearest f16 offset and its neighbours, the top of the range kept */
        uint16_t bits = k ? half_neighbour(nearest, k) : nearest, scale_bits = 0;
        float value, error;
        if ((bits & 0x7c00) == 0x7c00)
            continue;
        value = scaled_half_value(block, bits);
        error = half_scale_for_offset(&scale_bits, block, (top - value) / hi, value, hi);
        if (error < best) {
            best = error;
            *m_bits = bits;
            *d_bits = scale_bits;
        }
    }
    fit_codes(q, block->x, GROUP, scaled_half_value(block, *d_bits), scaled_half_value(block, *m_bits), &levels);
}
