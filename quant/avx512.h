/* avx512.h - what avx512_f.c gives to the table in avx512.c. */
#ifndef ARKLET_QUANT_AVX512_H
#define ARKLET_QUANT_AVX512_H

#include "kernels.h"

matmul_f_kernel avx512_matmul_f32, avx512_matmul_f16, avx512_matmul_bf16;
gemm_f32_kernel avx512_gemm_f32;
peak_kernel avx512_peak_int8, avx512_peak_f32;

#endif
