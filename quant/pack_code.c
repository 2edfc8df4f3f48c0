/* pack_code.c - packing of the storage formats with 32 elements per block.
 *
 * Q4_0's sixteen nibble bytes are four words, and word j of row r is lane r of vector lo[j] as it stands
 * (low nibbles: columns 4j.., high nibbles: columns 16 + 4j.. = quad j+4): packing is a transposition of
 * words. Q8_0 likewise with eight words. Only the fifth bits of Q5_0 and Q5_1 need their bits moved. */
#include "pack_code.h"

static void interleave_words(uint8_t *codes, size_t n_words, const uint8_t *const rows[PACK_ROWS], size_t offset)
{
    for (size_t r = 0; r < PACK_ROWS; r++)
        for (size_t j = 0; j < n_words; j++)
            memcpy(codes + 64 * j + 4 * r, rows[r] + offset + 4 * j, 4);
}

/* The word of fifth bits has element 4j+b at bit 4j+b; byte b of the vector wants it at bit j: every fourth
 * bit is compressed into a byte, four times. */
static void interleave_fifth_bits(uint8_t *vector, const uint8_t *const rows[PACK_ROWS], size_t offset)
{
    struct lanes word, high = {{0}};
    gather_words(&word, 1, rows, offset);
    for (uint32_t b = 0; b < 4; b++)
        for (size_t r = 0; r < PACK_ROWS; r++) {
            uint32_t x = word.lane[r] >> b & 0x11111111u;
            x = (x | x >> 3) & 0x03030303u;
            x = (x | x >> 6) & 0x000f000fu;
            x = (x | x >> 12) & 0xffu;
            high.lane[r] |= x << (8 * b);
        }
    store_lanes(vector, &high);
}

void pack_block_q8_0(uint8_t *codes, uint8_t *scales, const uint8_t *const rows[PACK_ROWS])
{
    gather_halves(scales, rows, 0);
    interleave_words(codes, 8, rows, Q8_0_CODES);
}

void pack_block_iq4_nl(uint8_t *codes, uint8_t *scales, const uint8_t *const rows[PACK_ROWS])
{
    gather_halves(scales, rows, 0);
    for (size_t r = 0; r < PACK_ROWS; r++)
        for (size_t i = 0; i < 16; i++) {
            uint8_t *byte = codes + i / 4 * 64 + 4 * r + i % 4, code = rows[r][2 + i];
            byte[0] = (uint8_t)iq4nl_values[code & 15];
            byte[256] = (uint8_t)iq4nl_values[code >> 4]; /* four quads on */
        }
}

void pack_block_q4_0(uint8_t *codes, uint8_t *scales, const uint8_t *const rows[PACK_ROWS])
{
    gather_halves(scales, rows, 0);
    interleave_words(codes, 4, rows, Q4_0_CODES);
}

void pack_block_q4_1(uint8_t *codes, uint8_t *scales, const uint8_t *const rows[PACK_ROWS])
{
    gather_halves(scales, rows, 0);
    gather_halves(scales + 32, rows, 2);
    interleave_words(codes, 4, rows, Q4_1_CODES);
}

void pack_block_q5_0(uint8_t *codes, uint8_t *scales, const uint8_t *const rows[PACK_ROWS])
{
    gather_halves(scales, rows, 0);
    interleave_words(codes, 4, rows, Q5_0_CODES);
    interleave_fifth_bits(codes + 256, rows, Q5_0_HIGH);
}

void pack_block_q5_1(uint8_t *codes, uint8_t *scales, const uint8_t *const rows[PACK_ROWS])
{
    gather_halves(scales, rows, 0);
    gather_halves(scales + 32, rows, 2);
    interleave_words(codes, 4, rows, Q5_1_CODES);
    interleave_fifth_bits(codes + 256, rows, Q5_1_HIGH);
}
