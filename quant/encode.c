/* encode.c - encoders of the formats with 32 elements per block: squared error minimised over scales.
 *
 *   criterion   min over f16 d (and m), codes q  of  sum (x - d*q - m)^2
 *
 * Every format takes the best of a grid of scales around the one that just covers the block, refined by
 * least squares (encode_fit.h); both signs of d where the levels are not symmetric. The grids were chosen by
 * measurement (tests/oracle/quant_rms.py): wider or finer ones gained less than 0.7 % of RMS error on Gaussian, Laplace
 * and real weights. Blocks that round to nothing get d = m = 0. Left out: importance weights. */
#include "encode_fit.h"

static void put_nibbles(uint8_t *dst, const uint8_t q[32])
{
    for (size_t l = 0; l < 16; l++)
        dst[l] = (uint8_t)((q[l] & 15) | (q[l + 16] & 15) << 4);
}

static void put_fifth_bits(uint8_t *dst, const uint8_t q[32])
{
    uint32_t high = 0;
    for (uint32_t l = 0; l < 32; l++)
        high |= (uint32_t)(q[l] >> 4) << l;
    store_u32(dst, high);
}

/* d and codes (plus offset) of one block x = d*q. */
static uint16_t encode_signed(uint8_t codes[32], const float *src, const struct levels *levels, const struct grid *grid,
                              int offset)
{
    struct scaled block;
    float q[32] = {0};
    uint16_t bits = 0;
    if (scaled_load(&block, src, 32)) {
        float d = fit_signed(block.x, 32, levels, grid);
        bits = fit_half_signed(q, &block, d, levels);
    }
    for (size_t l = 0; l < 32; l++)
        codes[l] = (uint8_t)((int)q[l] + offset);
    return bits;
}

void encode_q8_0(uint8_t *dst, const float *src, size_t n)
{
    static const struct levels levels = {-127, 127, 0};
    static const struct grid grid = {0.995f, 1.05f, 16, 0};
    for (size_t i = 0; i < n; i += 32, dst += 34)
        store_u16(dst, encode_signed(dst + Q8_0_CODES, src + i, &levels, &grid, 0));
}

void encode_q4_0(uint8_t *dst, const float *src, size_t n)
{
    static const struct levels levels = {-8, 7, 0};
    static const struct grid grid = {0.7f, 1.1f, 12, 1};
    for (size_t i = 0; i < n; i += 32, dst += 18) {
        uint8_t q[32];
        store_u16(dst, encode_signed(q, src + i, &levels, &grid, 8));
        put_nibbles(dst + Q4_0_CODES, q);
    }
}

void encode_q5_0(uint8_t *dst, const float *src, size_t n)
{
    static const struct levels levels = {-16, 15, 0};
    static const struct grid grid = {0.8f, 1.15f, 16, 1};
    for (size_t i = 0; i < n; i += 32, dst += 22) {
        uint8_t q[32];
        store_u16(dst, encode_signed(q, src + i, &levels, &grid, 16));
        put_fifth_bits(dst + Q5_0_HIGH, q);
        put_nibbles(dst + Q5_0_CODES, q);
    }
}

/* A code of IQ4_NL is the index of its level. */
void encode_iq4_nl(uint8_t *dst, const float *src, size_t n)
{
    static const struct levels levels = {-127, 113, 1};
    static const struct grid grid = {0.75f, 1.2f, 12, 1};
    for (size_t i = 0; i < n; i += 32, dst += 18) {
        uint8_t q[32];
        store_u16(dst, encode_signed(q, src + i, &levels, &grid, 0));
        for (size_t l = 0; l < 32; l++) {
            uint8_t index = 0;
            while (index < 15 && iq4nl_values[index] < (int8_t)q[l])
                index++;
            q[l] = index;
        }
        put_nibbles(dst + 2, q);
    }
}

/* d, m at dst and the codes of one block x = d*q + m, q = 0..hi. */
static void encode_affine(uint8_t *dst, uint8_t codes[32], const float *src, float hi)
{
    const struct affine_grid grid = {hi > 15 ? 0.01f : 0.02f, 4, 0};
    struct scaled block;
    float q[32] = {0}, d, m;
    uint16_t d_bits = 0, m_bits = 0;
    if (scaled_load(&block, src, 32)) {
        fit_affine(&d, &m, block.x, 32, hi, &grid);
        fit_half_affine(&d_bits, &m_bits, q, &block, d, m, hi);
    }
    store_u16(dst, d_bits);
    store_u16(dst + 2, m_bits);
    for (size_t l = 0; l < 32; l++)
        codes[l] = (uint8_t)q[l];
}

void encode_q4_1(uint8_t *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i += 32, dst += 20) {
        uint8_t q[32];
        encode_affine(dst, q, src + i, 15);
        put_nibbles(dst + Q4_1_CODES, q);
    }
}

void encode_q5_1(uint8_t *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i += 32, dst += 24) {
        uint8_t q[32];
        encode_affine(dst, q, src + i, 31);
        put_fifth_bits(dst + Q5_1_HIGH, q);
        put_nibbles(dst + Q5_1_CODES, q);
    }
}
