/* decode.c - f32 values of the formats with 32 elements per block (drawn in blocks.h).
 *
 * Invariant: a value is formed by the very operations stated there, so it has the same bits as
 * pack_decode_row gives for the packed form. The loops have constant counts and vectorise.
 * Left out: the formats of 256 elements, which are in decode_k.c. */
#include "blocks.h"

void decode_q8_0(float *dst, const uint8_t *src, size_t n)
{
    for (size_t i = 0; i < n; i += 32, src += 34) {
        float d = load_f16(src);
        for (size_t l = 0; l < 32; l++)
            dst[i + l] = d * (float)(int8_t)src[Q8_0_CODES + l];
    }
}

void decode_q4_0(float *dst, const uint8_t *src, size_t n)
{
    for (size_t i = 0; i < n; i += 32, src += 18) {
        float d = load_f16(src);
        for (size_t l = 0; l < 16; l++)
            dst[i + l] = d * (float)((src[Q4_0_CODES + l] & 15) - 8);
        for (size_t l = 0; l < 16; l++)
            dst[i + 16 + l] = d * (float)((src[Q4_0_CODES + l] >> 4) - 8);
    }
}

void decode_q4_1(float *dst, const uint8_t *src, size_t n)
{
    for (size_t i = 0; i < n; i += 32, src += 20) {
        float d = load_f16(src), m = load_f16(src + 2);
        for (size_t l = 0; l < 16; l++)
            dst[i + l] = d * (float)(src[Q4_1_CODES + l] & 15) + m;
        for (size_t l = 0; l < 16; l++)
            dst[i + 16 + l] = d * (float)(src[Q4_1_CODES + l] >> 4) + m;
    }
}

/* The 5-bit codes of one block. */
static void join_five(uint8_t q[32], const uint8_t *codes, uint32_t high)
{
    for (uint32_t l = 0; l < 16; l++) {
        q[l] = (uint8_t)((codes[l] & 15) | (high >> l & 1) << 4);
        q[l + 16] = (uint8_t)(codes[l] >> 4 | (high >> (l + 16) & 1) << 4);
    }
}

void decode_q5_0(float *dst, const uint8_t *src, size_t n)
{
    for (size_t i = 0; i < n; i += 32, src += 22) {
        float d = load_f16(src);
        uint8_t q[32];
        join_five(q, src + Q5_0_CODES, load_u32(src + Q5_0_HIGH));
        for (size_t l = 0; l < 32; l++)
            dst[i + l] = d * (float)(q[l] - 16);
    }
}

void decode_q5_1(float *dst, const uint8_t *src, size_t n)
{
    for (size_t i = 0; i < n; i += 32, src += 24) {
        float d = load_f16(src), m = load_f16(src + 2);
        uint8_t q[32];
        join_five(q, src + Q5_1_CODES, load_u32(src + Q5_1_HIGH));
        for (size_t l = 0; l < 32; l++)
            dst[i + l] = d * (float)q[l] + m;
    }
}

void decode_iq4_nl(float *dst, const uint8_t *src, size_t n)
{
    for (size_t i = 0; i < n; i += 32, src += 18) {
        float d = load_f16(src);
        for (size_t l = 0; l < 16; l++) {
            dst[i + l] = d * (float)iq4nl_values[src[2 + l] & 15];
            dst[i + 16 + l] = d * (float)iq4nl_values[src[2 + l] >> 4];
        }
    }
}
