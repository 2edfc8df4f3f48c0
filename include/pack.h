/* pack.h - compute layouts: sixteen output rows interleaved, the form that every matmul tile reads.
 *
 * A matrix [rows][cols] (row = output, cols = summed index) is cut into panels of 16 rows; a missing row
 * of the last panel is zero. Inside a panel, columns go in blocks of 32. A "quad" is four consecutive
 * columns of one row in one 32-bit lane; quad j of a block holds columns 4j..4j+3, j = 0..7; a "vector"
 * is 64 bytes = the same quad position of rows 0..15 (lane r = row r, byte b = column 4j+b).
 *
 *   panel = | code region: n_blocks x code_bytes | scale region: per super-block | pad to 64 |
 *
 *   class    code vectors of one block (64 B each)                     scale region
 *   PACK_8   q[8]: signed byte, vector j = quad j            512 B     per block: f16 d[16]
 *   PACK_4   lo[4]: low nibble = quad j, high = quad j+4     256 B     per block: f16 d[16]            value d*(q-8)
 *   PACK_5   lo[4] as above, then hi[1]: bit j of byte [r][b]
 *            = bit 4 of column 4j+b                          320 B     per block: f16 d[16]            value d*(q-16)
 *   PACK_41  as PACK_4                                       256 B     per block: f16 d[16], f16 m[16] value d*q + m
 *   PACK_51  as PACK_5                                       320 B     per block: f16 d[16], f16 m[16] value d*q + m
 *   PACK_4K  as PACK_4                                       256 B     per 256 columns: f16 d[16], f16 dmin[16],
 *                                                                      then per block: u8 sc[16], u8 m[16]
 *                                                                      value (d*sc)*q - dmin*m
 *   PACK_5K  as PACK_5                                       320 B     as PACK_4K
 *   PACK_6K  lo[4], then hi[2]: bits 2i,2i+1 of byte [r][b]
 *            of hi[v] = bits 4,5 of column 4(4v+i)+b         384 B     per 256 columns: f16 d[16],
 *                                                                      then per block: i8 sc[2][16] (half h =
 *                                                                      columns 16h..16h+15); value (d*sc)*(q-32)
 *   PACK_2K  q[2]: bits 2i,2i+1 of byte [r][b] of q[v]
 *            = column 4(4v+i)+b                              128 B     per 256 columns: f16 d[16], f16 dmin[16],
 *                                                                      then per block: u8 sc[2][16], u8 m[2][16]
 *                                                                      value (d*sc)*q - dmin*m
 *   PACK_F32, PACK_F16, PACK_BF16: element [k][r], k = 0..cols-1, r = 0..15; no blocks, no scales, any cols.
 *
 * Storage types: Q8_0 and IQ4_NL -> PACK_8 (the latter through its table), Q4_0 -> 4, Q5_0 -> 5, Q4_1 -> 41,
 * Q5_1 -> 51, Q4_K -> 4K, Q5_K -> 5K, Q6_K and Q3_K -> 6K (Q3_K: code q3 - 4 + 32, scale sc - 32), Q2_K -> 2K.
 * All exact. */
#ifndef ARKLET_PACK_H
#define ARKLET_PACK_H

#include <stddef.h>
#include <stdint.h>
#include "dtype.h"

enum pack_class {
    PACK_F32,
    PACK_F16,
    PACK_BF16,
    PACK_8,
    PACK_4,
    PACK_5,
    PACK_41,
    PACK_51,
    PACK_4K,
    PACK_5K,
    PACK_6K,
    PACK_2K,
    PACK_COUNT
};

#define PACK_ROWS  16 /* rows of a panel */
#define PACK_BLOCK 32 /* columns of a block */

struct pack_info {
    const char *name;     /* "4K" */
    size_t code_bytes;    /* of a block; 0 for the float classes */
    size_t super_blocks;  /* blocks that share the super scales: 1 or 8 */
    size_t super_bytes;   /* scale bytes at the start of a super-block */
    size_t scale_bytes;   /* scale bytes per block after them */
    size_t element_bytes; /* float classes: 4 or 2; else 0 */
};

extern const struct pack_info pack_infos[PACK_COUNT];

/* A packed matrix. data is 64-byte aligned and owned by whoever allocated it. */
struct pack {
    enum pack_class class_;
    size_t rows, cols;
    size_t n_panels;    /* ceil(rows / 16) */
    size_t n_blocks;    /* cols / 32 for quantised classes */
    size_t panel_bytes; /* multiple of 64 */
    const uint8_t *data;
};

enum pack_class pack_class_of(enum dtype type);
/* Fills all fields but data (data = NULL). */
void pack_shape(struct pack *pack, enum dtype type, size_t rows, size_t cols);
size_t pack_bytes(const struct pack *pack); /* n_panels * panel_bytes */

/* Packs panels [panel_begin, panel_end) of `type` rows that lie contiguously at src (row 0 of the matrix first)
 * into dst (the whole matrix's buffer). */
void pack_panels(const struct pack *pack, void *dst, enum dtype type, const void *src, size_t panel_begin,
                 size_t panel_end);

/* dst[0..n) = columns [col, col+n) of one row, with the values that dtype_decode_row gives. For quantised
 * classes col and n divide by 32. */
void pack_decode_row(const struct pack *pack, size_t row, size_t col, size_t n, float *dst);

#endif
