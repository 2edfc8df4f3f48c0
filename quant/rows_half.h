/* rows_half.h - the conversions between f16 and f32 rows, which compilers do not vectorise well: each tier brings its
 * own, rows_<tier>_from_f16 and rows_<tier>_to_f16. The results are those of half.h. Private to quant/. */
#ifndef ARKLET_QUANT_ROWS_HALF_H
#define ARKLET_QUANT_ROWS_HALF_H

#include <stddef.h>
#include <stdint.h>

typedef void from_f16_kernel(float *y, const uint16_t *x, size_t n);
typedef void to_f16_kernel(uint16_t *y, const float *x, size_t n);

from_f16_kernel rows_scalar_from_f16, rows_avx2_from_f16, rows_avx512_from_f16, rows_neon_from_f16;
to_f16_kernel rows_scalar_to_f16, rows_avx2_to_f16, rows_avx512_to_f16, rows_neon_to_f16;

#endif
