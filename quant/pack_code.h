/* pack_code.h - one storage block of sixteen rows turned into packed codes and scales; private to quant/.
 *
 * rows[r] points at the block of row r. codes and scales receive the code vectors and scale arrays of as many
 * packed blocks as the storage block covers (one for 32 elements, eight for 256), drawn in pack.h. */
#ifndef ARKLET_QUANT_PACK_CODE_H
#define ARKLET_QUANT_PACK_CODE_H

#include "blocks.h"
#include "pack.h"

typedef void pack_block(uint8_t *codes, uint8_t *scales, const uint8_t *const rows[PACK_ROWS]);

pack_block pack_block_q8_0, pack_block_iq4_nl, pack_block_q4_0, pack_block_q4_1, pack_block_q5_0, pack_block_q5_1;
pack_block pack_block_q2_k, pack_block_q3_k, pack_block_q4_k, pack_block_q5_k, pack_block_q6_k;

/* A vector as sixteen 32-bit lanes. Loops over its lanes become SIMD code. */
struct lanes {
    uint32_t lane[PACK_ROWS];
};

/* words[j].lane[r] = the j-th 32-bit word at rows[r] + offset. */
static inline void gather_words(struct lanes *words, size_t n_words, const uint8_t *const rows[PACK_ROWS],
                                size_t offset)
{
    for (size_t r = 0; r < PACK_ROWS; r++)
        for (size_t j = 0; j < n_words; j++)
            words[j].lane[r] = load_u32(rows[r] + offset + 4 * j);
}

/* halves[r] = the f16 at rows[r] + offset. */
static inline void gather_halves(uint8_t *halves, const uint8_t *const rows[PACK_ROWS], size_t offset)
{
    for (size_t r = 0; r < PACK_ROWS; r++)
        memcpy(halves + 2 * r, rows[r] + offset, 2);
}

static inline void store_lanes(uint8_t *vector, const struct lanes *lanes)
{
    memcpy(vector, lanes->lane, 64);
}

#endif
