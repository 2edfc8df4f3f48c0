/* cpu.h - what this processor can do. The only operating-system question that quant/ asks. */
#ifndef ARKLET_CPU_H
#define ARKLET_CPU_H

struct cpu_features {
    int avx2;    /* AVX2 + FMA + F16C and the OS saves ymm */
    int avxvnni; /* AVX-VNNI (ymm vpdpbusd), with avx2 */
    int avx512;  /* AVX-512 F, BW, VL, DQ, VNNI, and the OS saves zmm */
    int neon;    /* AArch64 Advanced SIMD */
    int dotprod; /* AArch64 sdot */
};

struct cpu_features cpu_features(void);

#endif
