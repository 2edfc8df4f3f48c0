/* encode_k.c - encoders of the K formats: the search's result written as bytes (drawn in blocks.h).
 *
 * Window and grid sizes were chosen by measurement (tests/oracle/quant_rms.py): the next larger ones gained less
 * than 1.5 % of RMS error at two to three times the time. Next: encode_super.c for the search. */
#include "encode_super.h"

/* Codes of Q4_K's nibbles: byte 32c+l = elements 64c+l and 64c+32+l. */
static void put_nibbles(uint8_t *dst, const int q[256])
{
    for (size_t i = 0; i < 128; i++) {
        const int *low = q + i / 32 * 64 + i % 32;
        dst[i] = (uint8_t)((low[0] & 15) | (low[32] & 15) << 4);
    }
}

/* Two bits from `shift` of every code: byte 32n+l = elements 128n+l, +32, +64, +96. */
static void put_twos(uint8_t *dst, const int q[256], int shift)
{
    for (size_t i = 0; i < 64; i++) {
        const int *first = q + i / 32 * 128 + i % 32;
        int byte = 0;
        for (int k = 0; k < 4; k++)
            byte |= (first[32 * k] >> shift & 3) << (2 * k);
        dst[i] = (uint8_t)byte;
    }
}

/* One bit from `shift` of every code: bit s of byte l = element 32s+l. */
static void put_ones(uint8_t *dst, const int q[256], int shift)
{
    for (size_t l = 0; l < 32; l++) {
        int byte = 0;
        for (int s = 0; s < 8; s++)
            byte |= (q[32 * s + (int)l] >> shift & 1) << s;
        dst[l] = (uint8_t)byte;
    }
}

static void add_to_codes(struct super_block *block, int offset)
{
    for (size_t i = 0; i < 256; i++)
        block->q[i] += offset;
}

/* d, dmin and the packed 6-bit scales of Q4_K and Q5_K. */
static void put_head(uint8_t *dst, const struct super_block *block)
{
    uint8_t sc[8], m[8];
    for (size_t g = 0; g < 8; g++) {
        sc[g] = (uint8_t)block->sc[g];
        m[g] = (uint8_t)block->m[g];
    }
    store_u16(dst, block->d);
    store_u16(dst + 2, block->dmin);
    scales_pack(dst + Q4_K_SCALES, sc, m);
}

void encode_q4_k(uint8_t *dst, const float *src, size_t n)
{
    static const struct super_format format = {32, {0, 15, 0}, 0, 63, 1, 2, {0, 0, 0, 0}, {0.03f, 4, 1}};
    for (size_t i = 0; i < n; i += 256, dst += 144) {
        struct super_block block;
        super_encode_affine(&block, src + i, &format);
        put_head(dst, &block);
        put_nibbles(dst + Q4_K_CODES, block.q);
    }
}

void encode_q5_k(uint8_t *dst, const float *src, size_t n)
{
    static const struct super_format format = {32, {0, 31, 0}, 0, 63, 1, 2, {0, 0, 0, 0}, {0.02f, 4, 1}};
    for (size_t i = 0; i < n; i += 256, dst += 176) {
        struct super_block block;
        super_encode_affine(&block, src + i, &format);
        put_head(dst, &block);
        put_ones(dst + Q5_K_HIGH, block.q, 4);
        put_nibbles(dst + Q5_K_CODES, block.q);
    }
}

void encode_q2_k(uint8_t *dst, const float *src, size_t n)
{
    static const struct super_format format = {16, {0, 3, 0}, 0, 15, 1, 3, {0, 0, 0, 0}, {0.08f, 5, 1}};
    for (size_t i = 0; i < n; i += 256, dst += 84) {
        struct super_block block;
        super_encode_affine(&block, src + i, &format);
        for (size_t g = 0; g < 16; g++)
            dst[g] = (uint8_t)(block.sc[g] | block.m[g] << 4);
        put_twos(dst + Q2_K_CODES, block.q, 0);
        store_u16(dst + Q2_K_D, block.d);
        store_u16(dst + Q2_K_D + 2, block.dmin);
    }
}

void encode_q6_k(uint8_t *dst, const float *src, size_t n)
{
    static const struct super_format format = {16, {-32, 31, 0}, -128, 127, 8, 1, {0.9f, 1.03f, 4, 0}, {0, 0, 0}};
    for (size_t i = 0; i < n; i += 256, dst += 210) {
        struct super_block block;
        super_encode_signed(&block, src + i, &format);
        add_to_codes(&block, 32);
        for (size_t k = 0; k < 2; k++) { /* low nibbles: elements 128k+l and 128k+64+l in byte 64k+l */
            const int *q = block.q + 128 * k;
            for (size_t l = 0; l < 64; l++)
                dst[64 * k + l] = (uint8_t)((q[l] & 15) | (q[l + 64] & 15) << 4);
        }
        put_twos(dst + Q6_K_HIGH, block.q, 4);
        for (size_t g = 0; g < 16; g++)
            dst[Q6_K_SCALES + g] = (uint8_t)block.sc[g];
        store_u16(dst + Q6_K_D, block.d);
    }
}

void encode_q3_k(uint8_t *dst, const float *src, size_t n)
{
    static const struct super_format format = {16, {-4, 3, 0}, -32, 31, 2, 2, {0.6f, 1.1f, 8, 1}, {0, 0, 0}};
    for (size_t i = 0; i < n; i += 256, dst += 110) {
        struct super_block block;
        int8_t sc[16];
        super_encode_signed(&block, src + i, &format);
        add_to_codes(&block, 4);
        for (size_t g = 0; g < 16; g++)
            sc[g] = (int8_t)block.sc[g];
        put_ones(dst, block.q, 2);
        put_twos(dst + Q3_K_CODES, block.q, 0);
        scales_pack_q3(dst + Q3_K_SCALES, sc);
        store_u16(dst + Q3_K_D, block.d);
    }
}
