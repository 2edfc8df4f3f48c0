/* elementary.h - exp, log, tanh, sigmoid, silu, gelu, pow, sin, cos: our own polynomials.
 *
 * Each is a fixed sequence of IEEE operations and fmaf, so every compiler, tier and vector width gives the same bits
 * (libm does not). The f32 functions have no data-dependent branch, only selects, so loops over them vectorise.
 * Selects that look at magnitudes compare normal numbers, and no intermediate value is denormal where it counts:
 * the CPU's denormal flags change no result for normal inputs.
 *
 * Errors are in ulp of the result against a correctly rounded reference, as tests/test_elementary.c measures and
 * bounds them. NaN in, NaN out. The two f32 polynomials are minimax fits made by tests/oracle/elementary.py; the
 * double ones are Taylor series, long enough for their reduced ranges. */
#ifndef ARKLET_ELEMENTARY_H
#define ARKLET_ELEMENTARY_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#include "half.h"

/* Below, exp(x) would be denormal: it is 0. Above, it is infinite. */
#define ELEMENTARY_EXP_LOW  (-0x1.5d589ep+6f) /* -126 ln 2, rounded up: -87.33654 */
#define ELEMENTARY_EXP_HIGH 0x1.62e42ep+6f    /* the last float whose exp is finite: 88.72283 */

/* ln 2 as the sum of two floats. */
#define ELEMENTARY_LN2_HIGH 0x1.62e43p-1f
#define ELEMENTARY_LN2_LOW  (-0x1.05c61p-29f)

/* exp(r) - 1 for |r| <= ln(2)/2, as r + r^2 q(r): relative error of the polynomial 1.4e-8. */
static inline float elementary_expm1_reduced(float r)
{
    float q = 0x1.6d98d2p-10f;
    q = fmaf(q, r, 0x1.1227d6p-7f);
    q = fmaf(q, r, 0x1.555488p-5f);
    q = fmaf(q, r, 0x1.5554bp-3f);
    q = fmaf(q, r, 0.5f);
    return fmaf(r * r, q, r);
}

/* x = n ln 2 + r with integer n and |r| <= ln(2)/2 (|x| < 2^21). *power gets n << 23, to be added to the bits of
 * a float that 2^n shall multiply. Adding 1.5 * 2^23 leaves n, rounded to even, in the low bits of the sum. */
static inline float elementary_reduce_ln2(float x, uint32_t *power)
{
    float shifted = fmaf(x, 0x1.715476p+0f, 0x1.8p+23f), n = shifted - 0x1.8p+23f;
    *power = half_float_bits(shifted) << 23;
    return fmaf(n, -ELEMENTARY_LN2_LOW, fmaf(n, -ELEMENTARY_LN2_HIGH, x));
}

/* 1.02 ulp. Exactly 0 below ELEMENTARY_EXP_LOW, so no result is denormal; infinite above ELEMENTARY_EXP_HIGH. */
static inline float elementary_exp(float x)
{
    uint32_t power;
    float r = elementary_reduce_ln2(x, &power);
    float y = half_float_of_bits(half_float_bits(1 + elementary_expm1_reduced(r)) + power);
    y = x < ELEMENTARY_EXP_LOW ? 0 : y;
    return x <= ELEMENTARY_EXP_HIGH ? y : x + half_float_of_bits(0x7f800000u);
}

/* 0.91 ulp, denormals included. log(0) is -infinity, log of a negative number is NaN.
 * x = 2^e (1 + f) with 1 + f in sqrt(1/2) .. sqrt(2); log(1 + f) = f + f^2 q(f). */
static inline float elementary_log(float x)
{
    uint32_t bits = half_float_bits(x), denormal = bits < 0x00800000u;
    /* The bits of a denormal, as an integer, are its value times 2^149. */
    uint32_t normal = denormal ? half_float_bits((float)(int32_t)(bits & 0x7fffffu)) : bits;
    uint32_t excess = normal - 0x3f3504f3u; /* over the bits of sqrt(1/2) */
    float e = (float)(((int32_t)(excess & 0xff800000u) >> 23) - (denormal ? 149 : 0));
    float f = half_float_of_bits((excess & 0x7fffffu) + 0x3f3504f3u) - 1;
    float q = -0x1.407c18p-4f, y;
    q = fmaf(q, f, 0x1.0a523ep-3f);
    q = fmaf(q, f, -0x1.0e7fa2p-3f);
    q = fmaf(q, f, 0x1.2211f4p-3f);
    q = fmaf(q, f, -0x1.5432f4p-3f);
    q = fmaf(q, f, 0x1.99a964p-3f);
    q = fmaf(q, f, -0x1.0003f8p-2f);
    q = fmaf(q, f, 0x1.555544p-2f);
    q = fmaf(q, f, -0x1.fffff8p-2f);
    y = fmaf(e, ELEMENTARY_LN2_HIGH, fmaf(f * f, q, fmaf(e, ELEMENTARY_LN2_LOW, f)));
    y = bits >= 0x7f800000u ? half_float_of_bits(bits <= 0x7f800000u ? 0x7f800000u : 0x7fc00000u) : y;
    return (bits & 0x7fffffffu) == 0 ? half_float_of_bits(0xff800000u) : y;
}

/* 2.4 ulp: E / (E + 2) with E = exp(2|x|) - 1 = 2^n (exp(r) - 1) + (2^n - 1), and the sign of x. */
static inline float elementary_tanh(float x)
{
    uint32_t bits = half_float_bits(x), sign = bits & 0x80000000u, power;
    float twice = 2 * half_float_of_bits(bits ^ sign);
    float clamped = twice > 20 ? 20 : twice; /* tanh(10) rounds to 1 */
    float r = elementary_reduce_ln2(clamped, &power);
    float scale = half_float_of_bits(0x3f800000u + power);
    float e = fmaf(scale, elementary_expm1_reduced(r), scale - 1);
    float y = half_float_of_bits(half_float_bits(e / (e + 2)) | sign);
    return twice < 0x1p-12f ? x : y; /* the next term, x^3 / 3, is below a tenth of an ulp */
}

/* 1 / (1 + exp(-x)): 2.2 ulp; 0 where it would be denormal. */
static inline float elementary_sigmoid(float x)
{
    float y = 1 / (1 + elementary_exp(-x));
    return x < ELEMENTARY_EXP_LOW ? 0 : y;
}

/* x sigmoid(x): 2.2 ulp; -0 below -88.73, where it would be above -2.7e-37. */
static inline float elementary_silu(float x)
{
    return x / (1 + elementary_exp(-x));
}

/* sigmoid(x), and *complement = sigmoid(-x) = 1 - sigmoid(x) without its cancellation: 2.3 ulp each. */
static inline float elementary_sigmoid_pair(float x, float *complement)
{
    float e = elementary_exp(x < 0 ? x : -x), large = 1 / (1 + e), small = e * large;
    *complement = x < 0 ? large : small;
    return x < 0 ? small : large;
}

/* The derivative of silu, s (1 + x (1 - s)) with s = sigmoid(x); absolute error below 2.3e-7. */
static inline float elementary_silu_grad(float x)
{
    float rest, s = elementary_sigmoid_pair(x, &rest);
    return s * fmaf(x, rest, 1);
}

/* 2u of x/2 (1 + tanh u), u = sqrt(2/pi) (x + 0.044715 x^3) (Hendrycks and Gimpel 2016, section 2). */
static inline float elementary_gelu_twice_u(float x)
{
    return x * fmaf(0x1.2444f2p-4f, x * x, 0x1.988454p+0f);
}

/* GELU in its tanh form, which equals x sigmoid(2u): 2.5 ulp above -1. Below, the rounding of the exponent grows with
 * it: 17 ulp to -4, 180 ulp to -10 (of 1e-36); absolute error below 4.2e-8 for negative x. */
static inline float elementary_gelu(float x)
{
    return x / (1 + elementary_exp(-elementary_gelu_twice_u(x)));
}

/* The derivative of gelu, s + x s (1 - s) (2u)' with s = sigmoid(2u); absolute error below 2.4e-7. Constant beyond
 * +-12.
 */
static inline float elementary_gelu_grad(float x)
{
    float low = x < -12 ? -12 : x, c = low > 12 ? 12 : low;
    float rest, s = elementary_sigmoid_pair(elementary_gelu_twice_u(c), &rest);
    float slope = fmaf(3 * 0x1.2444f2p-4f, c * c, 0x1.988454p+0f);
    return s * fmaf(c * rest, slope, 1);
}

/* Double precision, scalar: rope tables (once per position), losses, random normals. No fma: plain IEEE. */

static inline uint64_t elementary_double_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline double elementary_double_of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Relative error 1.6 x 2^-53; exactly 0 below -708.39, infinite above 709.78. */
static inline double elementary_exp_f64(double x)
{
    double shifted = x * 0x1.71547652b82fep+0 + 0x1.8p+52, n = shifted - 0x1.8p+52;
    double r = x - n * 0x1.62e42feep-1 - n * 0x1.a39ef35793c76p-33, sum = 1;
    int i;
    if (x < -0x1.6232bdd7abcd2p+9)
        return 0;
    if (!(x <= 0x1.62e42fefa39efp+9))
        return x + elementary_double_of_bits((uint64_t)0x7ff << 52);
    for (i = 13; i > 1; i--) /* 1 + r/2 (1 + r/3 (1 + ...)) */
        sum = 1 + r / i * sum;
    return elementary_double_of_bits(elementary_double_bits(1 + r * sum) + (elementary_double_bits(shifted) << 52));
}

/* Relative error 1.4 x 2^-53 for x > 0, denormals excepted (they count as 0). With s = f / (2 + f), log(1 + f) = 2
 * atanh(s) = f - s (f - R), R = 2 s^2 / 3 + 2 s^4 / 5 + ... */
static inline double elementary_log_f64(double x)
{
    uint64_t bits = elementary_double_bits(x), excess = bits - 0x3fe6a09e667f3bcd; /* over the bits of sqrt(1/2) */
    double e = (double)((int64_t)(excess & 0xfff0000000000000) >> 52);
    double f = elementary_double_of_bits((excess & 0x000fffffffffffff) + 0x3fe6a09e667f3bcd) - 1;
    double s = f / (2 + f), z = s * s, tail = 0;
    int k;
    if (bits << 1 < (uint64_t)0x001 << 53)
        return -elementary_double_of_bits((uint64_t)0x7ff << 52);
    if (bits >= (uint64_t)0x7ff << 52)
        return bits == (uint64_t)0x7ff << 52 ? x : elementary_double_of_bits((uint64_t)0x7ff8 << 48);
    for (k = 23; k > 1; k -= 2)
        tail = z * (2.0 / k + tail);
    return e * 0x1.62e42feep-1 + (f - (s * (f - tail) - e * 0x1.a39ef35793c76p-33));
}

/* base^exponent for base > 0. Relative error about 2e-16 (1 + |exponent ln base|): the rounding to f32 that follows
 * is then the correct one but for ties nearly hit. */
static inline double elementary_pow(double base, double exponent)
{
    return elementary_exp_f64(exponent * elementary_log_f64(base));
}

/* sin(x + quarter pi/2): the reduced argument r in +-pi/4, then one of the two series, then the sign. pi/2 is split
 * into 30 + 30 + 53 bits, so the first two products are exact for |x| < 1.3e7. */
static inline double elementary_sin_quarter(double x, uint64_t quarter)
{
    double shifted = x * 0x1.45f306dc9c883p-1 + 0x1.8p+52, n = shifted - 0x1.8p+52;
    double r = x - n * 0x1.921fb54p+0 - n * 0x1.10b46118p-30 - n * 0x1.313198a2e037p-61;
    double z = r * r, sum = 1;
    int i;
    quarter += elementary_double_bits(shifted);
    /* sin: r (1 - z/(2 3) (1 - z/(4 5) (...))) to r^17; cos: 1 - z/(1 2) (1 - z/(3 4) (...)) to r^16 */
    for (i = quarter & 1 ? 15 : 16; i > 2; i -= 2)
        sum = 1 - z / (i * (i + 1)) * sum;
    sum = quarter & 1 ? 1 - z / 2 * sum : r - r * (z / 6 * sum);
    return quarter & 2 ? -sum : sum;
}

/* Absolute error below 2e-16 for |x| <= 1e6 (usable to 1e7), relative below 4e-16 for floats near multiples of pi/2. */
static inline double elementary_sin(double x)
{
    return elementary_sin_quarter(x, 0);
}

static inline double elementary_cos(double x)
{
    return elementary_sin_quarter(x, 1);
}

#endif
