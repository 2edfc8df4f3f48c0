/* encode_fit.h - the searches that all encoders share: a scale, or a scale and an offset, for one group of
 * elements, minimising the plain squared error; private to quant/.
 *
 * A group of n elements (16 or 32) is stored as codes q of a few bits and x = d*q (signed) or x = d*q + m
 * (affine). For given codes the best d, m are a linear least-squares problem; for given d, m the best codes are
 * the nearest ones. Alternating the two is Lloyd's iteration (S. Lloyd, 1957, "Least squares quantization in
 * PCM"); it stops at a local minimum, so it is started from the best of a grid of scales. All sums have a fixed
 * order: the encoded bytes do not depend on compiler or CPU. */
#ifndef ARKLET_QUANT_ENCODE_FIT_H
#define ARKLET_QUANT_ENCODE_FIT_H

#include "blocks.h"

/* One storage block, multiplied by a power of two so that its largest magnitude is near 1: squares neither
 * overflow nor vanish, whatever the source. */
struct scaled {
    float x[256];
    float up, down; /* source = x * up, x = source * down; up * down = 1 */
};

/* Loads n elements. 0 when every |element| <= 2^-25: then nothing but zeros can be stored, since the least
 * positive f16 is 2^-24. Asserts that the input is finite. */
int scaled_load(struct scaled *block, const float *src, size_t n);
/* The f16 nearest to the scale d (in units of block->x), saturating at +-65504, and its value in those units. */
float scaled_half(const struct scaled *block, float d, uint16_t *bits);
/* As scaled_half, but not noticeably below d: among denormal f16 numbers the nearest may be, or be zero, and codes
 * times it would not reach their element. Costs nothing among normal numbers, where it is scaled_half. */
float scaled_half_covering(const struct scaled *block, float d, uint16_t *bits);
float scaled_half_value(const struct scaled *block, uint16_t bits);

/* The levels a code can take. */
struct levels {
    float lo, hi;  /* uniform: integers lo..hi */
    int nonlinear; /* the sixteen of iq4nl_values instead */
};

/* Sums over a group with its nearest codes q. */
struct moments {
    float qx, qq, q;
};

void fit_codes(float *q, const float *x, size_t n, float d, float m, const struct levels *levels);
void fit_moments(struct moments *sums, const float *x, size_t n, float d, float m, const struct levels *levels);
/* The squared error: sum of (x - m - d*q)^2. */
float fit_error(const float *x, size_t n, float d, float m, const struct levels *levels);

/* Signed: grid of `steps` factors from..to of the scale that just covers the group, both signs where `both`.
 * Returns the best scale after one least-squares step. */
struct grid {
    float from, to;
    int steps, both;
};

float fit_signed(const float *x, size_t n, const struct levels *levels, const struct grid *grid);

/* Affine: the range [min, max] of the group cut at either end by 0..steps-1 times `cut` of its width (the first
 * candidate widens it by one cut). m_limit: m <= 0 is demanded if set. */
struct affine_grid {
    float cut;
    int steps, m_limit;
};

void fit_affine(float *d, float *m, const float *x, size_t n, float hi, const struct affine_grid *grid);

/* Lloyd's iteration with d and m rounded to f16, then the neighbouring f16 numbers; for blocks of 32. */
uint16_t fit_half_signed(float *q, const struct scaled *block, float d, const struct levels *levels);
void fit_half_affine(uint16_t *d_bits, uint16_t *m_bits, float *q, const struct scaled *block, float d, float m,
                     float hi);

#endif
