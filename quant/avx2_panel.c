/* avx2_panel.c - panel_values.h for all x86 tiers: transpositions of eight rows in ymm registers. */
#include <immintrin.h>
#include "each.h"
#include "panel_values.h"

#define INLINE static inline __attribute__((always_inline))

/* Lane l of vector j becomes lane j of vector l, eight of each. */
INLINE void turn(__m256i v[8])
{
    __m256i pair[8], four[8];

    EACH4(i, 4, pair[2 * i] = _mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
          pair[2 * i + 1] = _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]));
    EACH4(i, 2, four[4 * i] = _mm256_unpacklo_epi64(pair[4 * i], pair[4 * i + 2]);
          four[4 * i + 1] = _mm256_unpackhi_epi64(pair[4 * i], pair[4 * i + 2]);
          four[4 * i + 2] = _mm256_unpacklo_epi64(pair[4 * i + 1], pair[4 * i + 3]);
          four[4 * i + 3] = _mm256_unpackhi_epi64(pair[4 * i + 1], pair[4 * i + 3]));
    EACH4(i, 4, v[i] = _mm256_permute2x128_si256(four[i], four[i + 4], 0x20);
          v[i + 4] = _mm256_permute2x128_si256(four[i], four[i + 4], 0x31));
}

/* Sixteen codes of one row. */
INLINE void put(float *dst, __m128i q, const struct panel_block *block, int half, size_t row)
{
    __m256 scale = _mm256_broadcast_ss(&block->scale[half][row]);
    __m256 a = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)), scale);
    __m256 b = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(q, 8))), scale);

    if (block->has_minimum) {
        __m256 minimum = _mm256_broadcast_ss(&block->minimum[half][row]);

        a = _mm256_add_ps(a, minimum);
        b = _mm256_add_ps(b, minimum);
    }
    _mm256_storeu_ps(dst, a);
    _mm256_storeu_ps(dst + 8, b);
}

static void codes(float *dst, size_t stride, const struct panel_block *block)
{
    const __m256i offset = _mm256_set1_epi8((char)block->offset);
    size_t first, r;

    for (first = 0; first < PACK_ROWS; first += 8) {
        __m256i v[8];

        EACH(j, 8, v[j] = _mm256_loadu_si256((const __m256i *)(const void *)(block->quads[j].lane + first)));
        turn(v);
        for (r = 0; r < 8; r++) {
            __m256i q = _mm256_sub_epi8(v[r], offset);

            put(dst + (first + r) * stride, _mm256_castsi256_si128(q), block, 0, first + r);
            put(dst + (first + r) * stride + 16, _mm256_extracti128_si256(q, 1), block, 1, first + r);
        }
    }
}

static void floats(float *dst, size_t stride, float steps[PANEL_STEPS][PACK_ROWS])
{
    size_t first;

    for (first = 0; first < PACK_ROWS; first += 8) {
        __m256i v[8];

        EACH(k, 8, v[k] = _mm256_loadu_si256((const __m256i *)(const void *)(steps[k] + first)));
        turn(v);
        EACH(r, 8, _mm256_storeu_si256((__m256i *)(void *)(dst + (first + r) * stride), v[r]));
    }
}

const struct panel_values panel_values_avx2 = {codes, floats};
