/* dtype.h - storage formats of tensors on disk: geometry, decoding, encoding.
 *
 * Numbers are GGML's type ids, so a GGUF's u32 is an enum dtype after dtype_info has accepted it.
 * Rows are the innermost dimension; a row's length must divide by block_len. */
#ifndef ARKLET_DTYPE_H
#define ARKLET_DTYPE_H

#include <stddef.h>
#include <stdint.h>

enum dtype {
    DTYPE_F32 = 0,
    DTYPE_F16 = 1,
    DTYPE_Q4_0 = 2,
    DTYPE_Q4_1 = 3,
    DTYPE_Q5_0 = 6,
    DTYPE_Q5_1 = 7,
    DTYPE_Q8_0 = 8,
    DTYPE_Q2_K = 10,
    DTYPE_Q3_K = 11,
    DTYPE_Q4_K = 12,
    DTYPE_Q5_K = 13,
    DTYPE_Q6_K = 14,
    DTYPE_IQ4_NL = 20,
    DTYPE_I8 = 24, /* integer types: recognised and sized, not decoded */
    DTYPE_I16 = 25,
    DTYPE_I32 = 26,
    DTYPE_I64 = 27,
    DTYPE_F64 = 28,
    DTYPE_BF16 = 30
};

struct dtype_info {
    enum dtype type;
    const char *name;   /* "Q4_K", as llama.cpp prints it */
    size_t block_len;   /* elements per block: 1, 32 or 256 */
    size_t block_bytes; /* bytes per block */
    int is_weight;      /* decode_row and encode_row work */
};

/* NULL for an id or name that arklet does not know. Names compare without case. */
const struct dtype_info *dtype_info(uint32_t id);
const struct dtype_info *dtype_by_name(const char *name);

/* dst[0..n) = the exact values of the stored row (one f32 rounding where value = d*q - m needs it).
 * n divides by block_len, type is a weight type; src needs no alignment. */
void dtype_decode_row(enum dtype type, float *dst, const void *src, size_t n);

/* Encodes src[0..n) with the least squared error that a bounded search finds (below that of llama.cpp's reference
 * quantiser: tests/oracle/quant_rms.py); the same bytes on every compiler and CPU. Finite input is a contract of
 * the quantised types. Their scales saturate at the largest f16; F16 and BF16 round to nearest even, so a value
 * beyond their range becomes infinite and it is the caller who looks for that. dst needs no alignment. */
void dtype_encode_row(enum dtype type, void *dst, const float *src, size_t n);

#endif
