/* avx2_half.c - f16 rows by F16C, for the AVX2 and the AVX-512 tiers: eight at a time, the rest by half.h. The
 * instructions round to nearest even, keep denormals whatever the CPU's flags, and make NaN quiet, as half.h does. */
#include <immintrin.h>
#include "half.h"
#include "rows_half.h"

void rows_avx2_from_f16(float *y, const uint16_t *x, size_t n)
{
    size_t i;
    for (i = 0; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(x + i))));
    for (; i < n; i++)
        y[i] = half_from_f16(x[i]);
}

void rows_avx2_to_f16(uint16_t *y, const float *x, size_t n)
{
    size_t i;
    for (i = 0; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(void *)(y + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    for (; i < n; i++)
        y[i] = half_to_f16(x[i]);
}

void rows_avx512_from_f16(float *y, const uint16_t *x, size_t n)
{
    rows_avx2_from_f16(y, x, n);
}

void rows_avx512_to_f16(uint16_t *y, const float *x, size_t n)
{
    rows_avx2_to_f16(y, x, n);
}
