/* decode_k.c - f32 values of the K formats, 256 elements per block (drawn in blocks.h).
 *
 * Invariant: as decode.c. Each function walks the sub-blocks in element order; a sub-block's codes sit at a
 * fixed shift of consecutive bytes, so its inner loop is a load, a shift, a mask and the stated arithmetic. */
#include "blocks.h"

/* dst[l] = ds * q - ms for the 16 or 32 codes of one sub-block. */
static void scaled(float *dst, float ds, float ms, const uint8_t *q, size_t count)
{
    for (size_t l = 0; l < count; l++)
        dst[l] = ds * (float)q[l] - ms;
}

void decode_q4_k(float *dst, const uint8_t *src, size_t n)
{
    for (size_t i = 0; i < n; i += 256, src += 144) {
        float d = load_f16(src), dmin = load_f16(src + 2);
        uint8_t sc[8], m[8], q[32];
        scales_unpack(sc, m, src + Q4_K_SCALES);
        for (size_t s = 0; s < 8; s++) {
            const uint8_t *codes = src + Q4_K_CODES + 32 * (s / 2);
            int shift = s % 2 ? 4 : 0;
            for (size_t l = 0; l < 32; l++)
                q[l] = (uint8_t)(codes[l] >> shift & 15);
            scaled(dst + i + 32 * s, d * (float)sc[s], dmin * (float)m[s], q, 32);
        }
    }
}

void decode_q5_k(float *dst, const uint8_t *src, size_t n)
{
    for (size_t i = 0; i < n; i += 256, src += 176) {
        float d = load_f16(src), dmin = load_f16(src + 2);
        uint8_t sc[8], m[8], q[32];
        scales_unpack(sc, m, src + Q5_K_SCALES);
        for (size_t s = 0; s < 8; s++) {
            const uint8_t *codes = src + Q5_K_CODES + 32 * (s / 2), *high = src + Q5_K_HIGH;
            int shift = s % 2 ? 4 : 0;
            for (size_t l = 0; l < 32; l++)
                q[l] = (uint8_t)((codes[l] >> shift & 15) | (high[l] >> s & 1) << 4);
            scaled(dst + i + 32 * s, d * (float)sc[s], dmin * (float)m[s], q, 32);
        }
    }
}

void decode_q6_k(float *dst, const uint8_t *src, size_t n)
{
    for (size_t i = 0; i < n; i += 256, src += 210) {
        float d = load_f16(src + Q6_K_D);
        for (size_t s = 0; s < 8; s++) { /* thirty-two elements, two scales */
            const uint8_t *low = src + 64 * (s / 4) + 32 * (s % 2), *high = src + Q6_K_HIGH + 32 * (s / 4);
            const uint8_t *scales = src + Q6_K_SCALES + 2 * s;
            int low_shift = s % 4 >= 2 ? 4 : 0, high_shift = (int)(2 * (s % 4));
            float *out = dst + i + 32 * s, d0 = d * (float)(int8_t)scales[0], d1 = d * (float)(int8_t)scales[1];
            int8_t q[32];
            for (size_t l = 0; l < 32; l++)
                q[l] = (int8_t)(((low[l] >> low_shift & 15) | (high[l] >> high_shift & 3) << 4) - 32);
            for (size_t l = 0; l < 16; l++)
                out[l] = d0 * (float)q[l];
            for (size_t l = 16; l < 32; l++)
                out[l] = d1 * (float)q[l];
        }
    }
}

void decode_q3_k(float *dst, const uint8_t *src, size_t n)
{
    for (size_t i = 0; i < n; i += 256, src += 110) {
        float d = load_f16(src + Q3_K_D);
        int8_t sc[16];
        scales_unpack_q3(sc, src + Q3_K_SCALES);
        for (size_t s = 0; s < 8; s++) {
            const uint8_t *codes = src + Q3_K_CODES + 32 * (s / 4), *high = src;
            float *out = dst + i + 32 * s, d0 = d * (float)sc[2 * s], d1 = d * (float)sc[2 * s + 1];
            int shift = (int)(2 * (s % 4));
            int8_t q[32];
            for (size_t l = 0; l < 32; l++)
                q[l] = (int8_t)(((codes[l] >> shift & 3) | (high[l] >> s & 1) << 2) - 4);
            for (size_t l = 0; l < 16; l++)
                out[l] = d0 * (float)q[l];
            for (size_t l = 16; l < 32; l++)
                out[l] = d1 * (float)q[l];
        }
    }
}

void decode_q2_k(float *dst, const uint8_t *src, size_t n)
{
    for (size_t i = 0; i < n; i += 256, src += 84) {
        float d = load_f16(src + Q2_K_D), dmin = load_f16(src + Q2_K_D + 2);
        uint8_t q[32];
        for (size_t s = 0; s < 8; s++) {
            const uint8_t *codes = src + Q2_K_CODES + 32 * (s / 4), *scales = src + 2 * s;
            int shift = (int)(2 * (s % 4));
            for (size_t l = 0; l < 32; l++)
                q[l] = (uint8_t)(codes[l] >> shift & 3);
            for (size_t h = 0; h < 2; h++)
                scaled(dst + i + 32 * s + 16 * h, d * (float)(scales[h] & 15), dmin * (float)(scales[h] >> 4),
                       q + 16 * h, 16);
        }
    }
}
