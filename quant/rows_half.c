/* rows_half.c - f16 rows of the scalar tier, as half.h does them. The others: avx2_half.c, neon_float.c. */
#include "rows_half.h"
#include "half.h"

void rows_scalar_from_f16(float *y, const uint16_t *x, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++)
        y[i] = half_from_f16(x[i]);
}

void rows_scalar_to_f16(uint16_t *y, const float *x, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++)
        y[i] = half_to_f16(x[i]);
}
