/* pack_code_k.c - packing of the K storage formats: 256 elements of sixteen rows become eight packed blocks.
 *
 * A storage block holds codes as fields of a few bits: element 32s + 4j + b (sub-block s, quad j, byte b) is
 * a field of byte b of a word whose index depends on j and whose shift depends on s. A packed vector wants
 * the fields of one sub-block together. So each packed word is a few (word >> shift & mask) << place, done
 * for sixteen rows at a time. Q3_K is widened to Q6_K's codes: q - 4 + 32, scale without its bias. */
#include "pack_code.h"

#define NIBBLES 0x0f0f0f0fu
#define TWOS    0x03030303u
#define ONES    0x01010101u

/* A packed block of nibbles from the eight words of one 32-byte run: low halves (shift 0) or high (4). */
static void put_nibbles(uint8_t *codes, const struct lanes words[8], int shift)
{
    for (size_t j = 0; j < 4; j++) {
        struct lanes lo;
        for (size_t r = 0; r < PACK_ROWS; r++)
            lo.lane[r] = (words[j].lane[r] >> shift & NIBBLES) | (words[j + 4].lane[r] >> shift & NIBBLES) << 4;
        store_lanes(codes + 64 * j, &lo);
    }
}

/* Fifth bits of sub-block s: bit s of every byte, quad j to bit j. */
static void put_ones(uint8_t *vector, const struct lanes words[8], size_t s)
{
    struct lanes hi = {{0}};
    for (size_t j = 0; j < 8; j++)
        for (size_t r = 0; r < PACK_ROWS; r++)
            hi.lane[r] |= (words[j].lane[r] >> s & ONES) << j;
    store_lanes(vector, &hi);
}

/* Two-bit fields at `shift` of every byte: quad 4v + i to bits 2i, 2i+1 of vector v. */
static void put_twos(uint8_t *vectors, const struct lanes words[8], int shift)
{
    for (size_t v = 0; v < 2; v++) {
        struct lanes twos = {{0}};
        for (size_t i = 0; i < 4; i++)
            for (size_t r = 0; r < PACK_ROWS; r++)
                twos.lane[r] |= (words[4 * v + i].lane[r] >> shift & TWOS) << (2 * i);
        store_lanes(vectors + 64 * v, &twos);
    }
}

/* Q4_K and Q5_K: d, dmin, then sc[16], m[16] per sub-block. */
static void put_scales_and_minima(uint8_t *scales, const uint8_t *const rows[PACK_ROWS])
{
    gather_halves(scales, rows, 0);
    gather_halves(scales + 32, rows, 2);
    for (size_t r = 0; r < PACK_ROWS; r++) {
        uint8_t sc[8], m[8];
        scales_unpack(sc, m, rows[r] + Q4_K_SCALES);
        for (size_t s = 0; s < 8; s++) {
            scales[64 + 32 * s + r] = sc[s];
            scales[64 + 32 * s + 16 + r] = m[s];
        }
    }
}

void pack_block_q4_k(uint8_t *codes, uint8_t *scales, const uint8_t *const rows[PACK_ROWS])
{
    put_scales_and_minima(scales, rows);
    for (size_t c = 0; c < 4; c++, codes += 512) {
        struct lanes words[8];
        gather_words(words, 8, rows, Q4_K_CODES + 32 * c);
        put_nibbles(codes, words, 0);
        put_nibbles(codes + 256, words, 4);
    }
}

void pack_block_q5_k(uint8_t *codes, uint8_t *scales, const uint8_t *const rows[PACK_ROWS])
{
    struct lanes high[8];
    put_scales_and_minima(scales, rows);
    gather_words(high, 8, rows, Q5_K_HIGH);
    for (size_t c = 0; c < 4; c++, codes += 640) {
        struct lanes words[8];
        gather_words(words, 8, rows, Q5_K_CODES + 32 * c);
        put_nibbles(codes, words, 0);
        put_ones(codes + 256, high, 2 * c);
        put_nibbles(codes + 320, words, 4);
        put_ones(codes + 576, high, 2 * c + 1);
    }
}

void pack_block_q6_k(uint8_t *codes, uint8_t *scales, const uint8_t *const rows[PACK_ROWS])
{
    gather_halves(scales, rows, Q6_K_D);
    for (size_t r = 0; r < PACK_ROWS; r++)
        for (size_t i = 0; i < 16; i++)
            scales[32 + 16 * i + r] = rows[r][Q6_K_SCALES + i];
    for (size_t n = 0; n < 2; n++) {
        struct lanes low[16], high[8];
        gather_words(low, 16, rows, 64 * n);
        gather_words(high, 8, rows, Q6_K_HIGH + 32 * n);
        for (size_t t = 0; t < 4; t++, codes += 384) {
            put_nibbles(codes, low + 8 * (t % 2), t < 2 ? 0 : 4);
            put_twos(codes + 256, high, (int)(2 * t));
        }
    }
}

/* One sub-block of Q3_K: q in 0..7 from its two-bit and one-bit fields, plus 28, split as PACK_6K wants it. */
static void put_q3(uint8_t *codes, const struct lanes twos[8], const struct lanes high[8], size_t s)
{
    struct lanes low[8], top[8];
    for (size_t j = 0; j < 8; j++)
        for (size_t r = 0; r < PACK_ROWS; r++) {
            uint32_t two = twos[j].lane[r] >> (2 * (s % 4)) & TWOS, one = high[j].lane[r] >> s & ONES;
            uint32_t code = (two | one << 2) + 28 * ONES; /* bytes stay below 36: no carry between them */
            low[j].lane[r] = code & NIBBLES;
            top[j].lane[r] = code >> 4 & TWOS;
        }
    put_nibbles(codes, low, 0);
    put_twos(codes + 256, top, 0);
}

void pack_block_q3_k(uint8_t *codes, uint8_t *scales, const uint8_t *const rows[PACK_ROWS])
{
    struct lanes high[8], twos[8];
    gather_halves(scales, rows, Q3_K_D);
    for (size_t r = 0; r < PACK_ROWS; r++) {
        int8_t sc[16];
        scales_unpack_q3(sc, rows[r] + Q3_K_SCALES);
        for (size_t i = 0; i < 16; i++)
            scales[32 + 16 * i + r] = (uint8_t)sc[i];
    }
    gather_words(high, 8, rows, 0);
    for (size_t s = 0; s < 8; s++, codes += 384) {
        if (s % 4 == 0)
            gather_words(twos, 8, rows, Q3_K_CODES + 8 * s);
        put_q3(codes, twos, high, s);
    }
}

void pack_block_q2_k(uint8_t *codes, uint8_t *scales, const uint8_t *const rows[PACK_ROWS])
{
    struct lanes twos[8];
    gather_halves(scales, rows, Q2_K_D);
    gather_halves(scales + 32, rows, Q2_K_D + 2);
    for (size_t r = 0; r < PACK_ROWS; r++)
        for (size_t i = 0; i < 16; i++) {
            uint8_t *block = scales + 64 + i / 2 * 64 + i % 2 * 16 + r;
            block[0] = rows[r][i] & 15;
            block[32] = rows[r][i] >> 4;
        }
    for (size_t s = 0; s < 8; s++, codes += 128) {
        if (s % 4 == 0)
            gather_words(twos, 8, rows, Q2_K_CODES + 8 * s);
        put_twos(codes, twos, (int)(2 * (s % 4)));
    }
}
