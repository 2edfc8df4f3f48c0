/* avx2.h - what avx2_f.c gives to the tables in avx2.c and avxvnni.c. */
#ifndef ARKLET_QUANT_AVX2_H
#define ARKLET_QUANT_AVX2_H

#include "kernels.h"

matmul_f_kernel avx2_matmul_f32, avx2_matmul_f16, avx2_matmul_bf16;
gemm_f32_kernel avx2_gemm_f32;
peak_kernel avx2_peak_f32;

#endif
