/* blocks.h - the bytes of one block of every quantised storage format; private to quant/.
 *
 * The formats are those of GGUF files (layouts as published with ggml; sources of the K formats: I. Kawrakow,
 * "k-quants", 2023; of IQ4_NL: the same, 2024). f16 d, m, dmin are little-endian halves; element i counts
 * along the row; [a..b] is a byte range. Nothing is aligned: a block may start at any byte.
 *
 *   32 elements
 *   Q8_0    34 B  d | i8 q[32]                                                   value d*q
 *   Q4_0    18 B  d | nibbles[16]                                                d*(q-8)
 *   Q4_1    20 B  d | m | nibbles[16]                                            d*q + m
 *   Q5_0    22 B  d | u32 high: bit i = bit 4 of element i | nibbles[16]         d*(q-16)
 *   Q5_1    24 B  d | m | u32 high | nibbles[16]                                 d*q + m
 *   IQ4_NL  18 B  d | nibbles[16]                                                d*iq4nl_values[q]
 *     nibbles: byte i holds element i in its low half and element i+16 in its high half
 *
 *   256 elements = 8 sub-blocks of 32 (Q4_K Q5_K) or 16 of 16 (Q2_K Q3_K Q6_K)
 *   Q4_K   144 B  d | dmin | scales[12] | nibbles[128]                           (d*sc)*q - dmin*m
 *   Q5_K   176 B  d | dmin | scales[12] | high[32] | nibbles[128]                (d*sc)*q - dmin*m
 *     nibbles: byte 32c+l holds element 64c+l (low) and 64c+32+l (high);
 *     high: bit s of byte l = bit 4 of element 32s+l; scales: see scales_unpack
 *   Q6_K   210 B  low[128] | high[64] | i8 sc[16] | d                            (d*sc)*(q-32)
 *     low: byte 64n+l = elements 128n+l (low half) and 128n+64+l (high half), l = 0..63;
 *     high: byte 32n+l = bits 4,5 of elements 128n+l, +32, +64, +96, lowest first
 *   Q3_K   110 B  high[32] | twos[64] | scales[12] | d                           (d*(sc-32))*(q-4)
 *     twos: byte 32n+l = bits 0,1 of elements 128n+l, +32, +64, +96, lowest first;
 *     high: bit s of byte l = bit 2 of element 32s+l; scales: see scales_unpack_q3
 *   Q2_K    84 B  u8 scales[16]: sc low half, m high half | twos[64] | d | dmin  (d*sc)*q - dmin*m
 *
 * d*sc (11 + 6 or 7 bits), times q (at most 5 bits) and dmin*m are exact in f32; the only rounding of a
 * decoded value is the addition of m or the subtraction of dmin*m. */
#ifndef ARKLET_QUANT_BLOCKS_H
#define ARKLET_QUANT_BLOCKS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "half.h"

/* Where the parts of a block begin. */
enum {
    Q8_0_CODES = 2,
    Q4_0_CODES = 2,
    Q4_1_CODES = 4,
    Q5_0_HIGH = 2,
    Q5_0_CODES = 6,
    Q5_1_HIGH = 4,
    Q5_1_CODES = 8,
    Q4_K_SCALES = 4,
    Q4_K_CODES = 16,
    Q5_K_SCALES = 4,
    Q5_K_HIGH = 16,
    Q5_K_CODES = 48,
    Q6_K_HIGH = 128,
    Q6_K_SCALES = 192,
    Q6_K_D = 208,
    Q3_K_CODES = 32,
    Q3_K_SCALES = 96,
    Q3_K_D = 108,
    Q2_K_CODES = 16,
    Q2_K_D = 80
};

/* dtype.c */
extern const int8_t iq4nl_values[16];

static inline uint16_t load_u16(const uint8_t *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static inline uint32_t load_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static inline void store_u16(uint8_t *bytes, uint16_t value)
{
    memcpy(bytes, &value, sizeof value);
}

static inline void store_u32(uint8_t *bytes, uint32_t value)
{
    memcpy(bytes, &value, sizeof value);
}

static inline float load_f16(const uint8_t *bytes)
{
    return half_from_f16(load_u16(bytes));
}

/* Q4_K, Q5_K: eight 6-bit scales and minima in 12 bytes, j = 0..3:
 *   byte j    sc[j]    (6) | upper 2 bits of sc[j+4]
 *   byte 4+j  m[j]     (6) | upper 2 bits of m[j+4]
 *   byte 8+j  lower 4 bits of sc[j+4] | lower 4 bits of m[j+4] */
static inline void scales_unpack(uint8_t sc[8], uint8_t m[8], const uint8_t *packed)
{
    uint32_t first = load_u32(packed), second = load_u32(packed + 4), third = load_u32(packed + 8);
    store_u32(sc, first & 0x3f3f3f3fu);
    store_u32(m, second & 0x3f3f3f3fu);
    store_u32(sc + 4, (third & 0x0f0f0f0fu) | ((first >> 2) & 0x30303030u));
    store_u32(m + 4, ((third >> 4) & 0x0f0f0f0fu) | ((second >> 2) & 0x30303030u));
}

static inline void scales_pack(uint8_t *packed, const uint8_t sc[8], const uint8_t m[8])
{
    uint32_t sc_high = load_u32(sc + 4), m_high = load_u32(m + 4);
    store_u32(packed, load_u32(sc) | ((sc_high & 0x30303030u) << 2));
    store_u32(packed + 4, load_u32(m) | ((m_high & 0x30303030u) << 2));
    store_u32(packed + 8, (sc_high & 0x0f0f0f0fu) | ((m_high & 0x0f0f0f0fu) << 4));
}

/* Q3_K: sixteen 6-bit scales in 12 bytes: bytes 0..7 hold the lower 4 bits of sc[i] and sc[i+8], bytes 8+j
 * (j = 0..3) the upper 2 bits of sc[j], sc[j+4], sc[j+8], sc[j+12], lowest first. sc is biased by 32: the
 * result is -32..31. */
static inline void scales_unpack_q3(int8_t sc[16], const uint8_t *packed)
{
    for (int i = 0; i < 16; i++) {
        int low = i < 8 ? packed[i] & 15 : packed[i - 8] >> 4;
        int high = (packed[8 + i % 4] >> (2 * (i / 4))) & 3;
        sc[i] = (int8_t)((low | high << 4) - 32);
    }
}

static inline void scales_pack_q3(uint8_t *packed, const int8_t sc[16])
{
    memset(packed, 0, 12);
    for (int i = 0; i < 16; i++) {
        int biased = sc[i] + 32;
        packed[i % 8] = (uint8_t)(packed[i % 8] | (biased & 15) << (i < 8 ? 0 : 4));
        packed[8 + i % 4] = (uint8_t)(packed[8 + i % 4] | (biased >> 4) << (2 * (i / 4)));
    }
}

/* Rows of n elements, n a multiple of the block. decode.c, decode_k.c */
void decode_q8_0(float *dst, const uint8_t *src, size_t n);
void decode_q4_0(float *dst, const uint8_t *src, size_t n);
void decode_q4_1(float *dst, const uint8_t *src, size_t n);
void decode_q5_0(float *dst, const uint8_t *src, size_t n);
void decode_q5_1(float *dst, const uint8_t *src, size_t n);
void decode_iq4_nl(float *dst, const uint8_t *src, size_t n);
void decode_q2_k(float *dst, const uint8_t *src, size_t n);
void decode_q3_k(float *dst, const uint8_t *src, size_t n);
void decode_q4_k(float *dst, const uint8_t *src, size_t n);
void decode_q5_k(float *dst, const uint8_t *src, size_t n);
void decode_q6_k(float *dst, const uint8_t *src, size_t n);

/* Finite input. encode.c, encode_k.c */
void encode_q8_0(uint8_t *dst, const float *src, size_t n);
void encode_q4_0(uint8_t *dst, const float *src, size_t n);
void encode_q4_1(uint8_t *dst, const float *src, size_t n);
void encode_q5_0(uint8_t *dst, const float *src, size_t n);
void encode_q5_1(uint8_t *dst, const float *src, size_t n);
void encode_iq4_nl(uint8_t *dst, const float *src, size_t n);
void encode_q2_k(uint8_t *dst, const float *src, size_t n);
void encode_q3_k(uint8_t *dst, const float *src, size_t n);
void encode_q4_k(uint8_t *dst, const float *src, size_t n);
void encode_q5_k(uint8_t *dst, const float *src, size_t n);
void encode_q6_k(uint8_t *dst, const float *src, size_t n);

#endif
