/* x86_tile.h - the loops around the tiles of a quantised product: what all x86 tiers share.
 *
 * A tier supplies, for a class: `open`, which turns packed blocks of one panel into bytes and floats; `tile`, which
 * multiplies opened blocks by some tokens; and for the fewest tokens `packed`, a tile that reads packed blocks itself.
 * Classes with quite different packing open into the same four forms, so there are nine openers but only a few tiles.
 *
 *   for a group of tokens                                     at most GROUP_TOKENS
 *     for a segment of blocks                                 what fits the stage
 *       stage: gather the activations of the group            read by every panel, in the order the tile reads
 *       for each panel
 *         for a chunk of CHUNK_BLOCKS blocks
 *           open the chunk                                    read by every tile of the group
 *           for each tile of tokens: y += chunk x tile        accumulators come from and return to y, exactly
 *
 * Few tokens run through the same loops, but a packed tile takes a whole segment at once. Their segment is as a rule
 * the whole row, so the matrix is read from end to end.
 *
 * The stage is one record per tile and chunk, all operands of a tile's tokens at constant offsets from each other:
 *
 *   | q: T x 16 x 32 int8 | a: T x 16 f32 | b: T x 16 words | c: T x 16 words |            704 T bytes
 *
 *   form         a    b                     c
 *   PLAIN        d    start value (i32)     -           start = -offset * S
 *   MIN          d    ds (f32)              -
 *   HALVES       d    start of half 0       of half 1   PACK_6K
 *   HALVES_MIN   d    S0 (f32)              S1 (f32)    PACK_2K
 *   PAIRS        d    S0, S1 (int16)        -           both, in a tier that weighs in integers
 *
 * Scales are f32 [16] each: PLAIN ws | MIN ws wm | HALVES ws sc0 sc1 | HALVES_MIN ws sc0 sc1 wm m0 m1 (names as in
 * kernels.h); PAIRS has int16 [16][2] for all but ws and wm: ws sc0,sc0 sc1,sc1, then of 6K -32 sc0,-32 sc1, of 2K wm
 * m0,m1. Scales are opened, not the products with them: those belong to a token. */
#ifndef ARKLET_QUANT_X86_TILE_H
#define ARKLET_QUANT_X86_TILE_H

#include "kernels.h"
#include <string.h>

#define TILE_TOKENS  8                   /* most tokens of a tile */
#define CHUNK_BLOCKS 16                  /* a multiple of 8: whole super-blocks */
#define GROUP_TOKENS 96                  /* spreads the cost of opening; whole tiles of 8, 6 and 4 */
#define CHUNK_Q      (32 * CHUNK_BLOCKS) /* bytes of one token's codes in a record */
#define CHUNK_WORDS  (4 * CHUNK_BLOCKS)  /* and of its a, b or c */
#define CHUNK_BYTES  (CHUNK_Q + 3 * CHUNK_WORDS)
#define TILE_SCALES  6
#define AHEAD_BYTES  8192 /* how far ahead a panel that is read from end to end is fetched */

enum tile_form { FORM_PLAIN, FORM_MIN, FORM_HALVES, FORM_HALVES_MIN, FORM_PAIRS };

static inline enum tile_form form_of(enum pack_class class_)
{
    switch (class_) {
    case PACK_2K:
        return FORM_HALVES_MIN;
    case PACK_6K:
        return FORM_HALVES;
    case PACK_41:
    case PACK_51:
    case PACK_4K:
    case PACK_5K:
        return FORM_MIN;
    default:
        return FORM_PLAIN;
    }
}

/* ---- packed blocks ---- */

/* Code bytes of a block, blocks of a super-block, bytes of its scales, bytes of each block's own scales (pack.h). */
struct packed_bytes {
    size_t code, super_blocks, super, own;
};

#define PACKED_8                                                                                                       \
    {                                                                                                                  \
        512, 1, 0, 32                                                                                                  \
    }
#define PACKED_4                                                                                                       \
    {                                                                                                                  \
        256, 1, 0, 32                                                                                                  \
    }
#define PACKED_5                                                                                                       \
    {                                                                                                                  \
        320, 1, 0, 32                                                                                                  \
    }
#define PACKED_41                                                                                                      \
    {                                                                                                                  \
        256, 1, 0, 64                                                                                                  \
    }
#define PACKED_51                                                                                                      \
    {                                                                                                                  \
        320, 1, 0, 64                                                                                                  \
    }
#define PACKED_4K                                                                                                      \
    {                                                                                                                  \
        256, 8, 64, 32                                                                                                 \
    }
#define PACKED_5K                                                                                                      \
    {                                                                                                                  \
        320, 8, 64, 32                                                                                                 \
    }
#define PACKED_6K                                                                                                      \
    {                                                                                                                  \
        384, 8, 32, 32                                                                                                 \
    }
#define PACKED_2K                                                                                                      \
    {                                                                                                                  \
        128, 8, 64, 64                                                                                                 \
    }

/* Blocks [block, block + n) of a panel; `ahead` bytes after each is what will be read next. */
struct packed_run {
    const struct pack *w;
    const uint8_t *panel;
    size_t block, n, ahead;
};

struct packed_block {
    const uint8_t *codes, *super, *own;
};

/* The i-th block of the run; also asks the memory for the codes ahead and for the scales of the next panel. */
static inline struct packed_block packed_block(const struct packed_run *run, struct packed_bytes bytes, size_t i)
{
    const size_t block = run->block + i, super = block / bytes.super_blocks;
    const size_t step = bytes.super + bytes.super_blocks * bytes.own;
    struct packed_block at;
    size_t j;

    at.codes = run->panel + block * bytes.code;
    at.super = run->panel + run->w->n_blocks * bytes.code + super * step;
    at.own = at.super + bytes.super + block % bytes.super_blocks * bytes.own;
    for (j = 0; j < bytes.code; j += 64)
        __builtin_prefetch(at.codes + run->ahead + j);
    __builtin_prefetch(at.own + run->w->panel_bytes);
    return at;
}

/* One block of a panel, opened. Codes are as pack.h numbers them: vector j = quad j, lane r = row r. */
struct opened_block {
    uint8_t code[8][64];
    float scale[TILE_SCALES][PACK_ROWS];
} __attribute__((aligned(64)));

/* ---- what a tier supplies ---- */

/* Opens a run of at most CHUNK_BLOCKS blocks. */
typedef void open_kernel(struct opened_block *out, const struct packed_run *run);

/* Rows y[t * y_stride + 0..15] of the tile's tokens, continued from y or begun at zero. A packed tile takes a run of
 * any length and one record per chunk of it. */
typedef void tile_kernel(float *y, size_t y_stride, const struct opened_block *w, size_t n_blocks,
                         const uint8_t *record, int begin);
typedef void packed_kernel(float *y, size_t y_stride, const struct packed_run *run, const uint8_t *records, int begin);

/* tile[T - 1] takes T tokens, T <= tokens, as packed[T - 1] does; half_bias is added to the start values of HALVES. */
struct tile_set {
    enum tile_form form;
    int32_t half_bias;
    open_kernel *open;
    size_t tokens, packed_tokens;
    tile_kernel *const *tile;
    packed_kernel *const *packed;
};

/* Tokens of a tile when n tokens are cut into tiles of equal size, the last one perhaps smaller. */
static inline size_t tile_tokens(const struct tile_set *set, size_t n)
{
    size_t n_tiles = (n + set->tokens - 1) / set->tokens;

    return (n + n_tiles - 1) / n_tiles;
}

/* ---- the stage ---- */

/* The copies are of constant size for a whole chunk: a short one is rare. */
static inline void stage_copy(uint8_t *to, const void *from, size_t n, size_t block_bytes)
{
    if (n == CHUNK_BLOCKS)
        memcpy(to, from, CHUNK_BLOCKS * block_bytes);
    else
        memcpy(to, from, n * block_bytes);
}

/* neg32 of one half (it lies in pairs) with the bias of HALVES added. */
static inline void stage_starts(uint8_t *to, const int32_t *neg32, size_t n, int32_t bias)
{
    size_t i;

    for (i = 0; i < n; i++) {
        int32_t value = neg32[2 * i] + bias;

        memcpy(to + 4 * i, &value, sizeof value);
    }
}

/* The sum of one half, S = -neg32 / 32. */
static inline void stage_sums(uint8_t *to, const int32_t *neg32, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        float value = (float)(neg32[2 * i] / -32);

        memcpy(to + 4 * i, &value, sizeof value);
    }
}

/* Both sums as int16: at most 16 * 127 in size. */
static inline void stage_pairs(uint8_t *to, const int32_t *neg32, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        int16_t pair[2] = {(int16_t)(neg32[2 * i] / -32), (int16_t)(neg32[2 * i + 1] / -32)};

        memcpy(to + 4 * i, pair, sizeof pair);
    }
}

/* Token t of the T of a record; `at` is its first block in the arrays of x. */
static inline void stage_token(uint8_t *record, size_t T, size_t t, const struct tile_set *set, const struct qrows *x,
                               const int32_t *start, size_t at, size_t n)
{
    uint8_t *a = record + T * CHUNK_Q + t * CHUNK_WORDS, *b = a + T * CHUNK_WORDS, *c = b + T * CHUNK_WORDS;

    stage_copy(record + t * CHUNK_Q, x->q + 32 * at, n, 32);
    stage_copy(a, x->d + at, n, 4);
    switch (set->form) {
    case FORM_PLAIN:
        stage_copy(b, start + at, n, 4);
        break;
    case FORM_MIN:
        stage_copy(b, x->ds + at, n, 4);
        break;
    case FORM_HALVES:
        stage_starts(b, x->neg32 + 2 * at, n, set->half_bias);
        stage_starts(c, x->neg32 + 2 * at + 1, n, set->half_bias);
        break;
    case FORM_HALVES_MIN:
        stage_sums(b, x->neg32 + 2 * at, n);
        stage_sums(c, x->neg32 + 2 * at + 1, n);
        break;
    case FORM_PAIRS:
        stage_pairs(b, x->neg32 + 2 * at, n);
        break;
    }
}

static inline size_t chunks_of(size_t n_blocks)
{
    return (n_blocks + CHUNK_BLOCKS - 1) / CHUNK_BLOCKS;
}

/* The record of the tile of T tokens that begins with token `first` of the group, for chunk `chunk` of n_chunks. */
static inline size_t record_at(size_t first, size_t T, size_t chunk, size_t n_chunks)
{
    return (first * n_chunks + T * chunk) * CHUNK_BYTES;
}

/* Tokens [token, token + n_tokens), blocks [block, block + n): tile after tile, in each chunk after chunk. */
static inline void stage_group(uint8_t *stage, const struct tile_set *set, const struct qrows *x, const int32_t *start,
                               size_t token, size_t n_tokens, size_t block, size_t n)
{
    size_t size = tile_tokens(set, n_tokens), first, t, i;

    for (first = 0; first < n_tokens; first += size) {
        size_t T = n_tokens - first < size ? n_tokens - first : size;

        for (t = 0; t < T; t++)
            for (i = 0; i < n; i += CHUNK_BLOCKS)
                stage_token(stage + record_at(first, T, i / CHUNK_BLOCKS, chunks_of(n)), T, t, set, x, start,
                            (token + first + t) * x->n_blocks + block + i, n - i < CHUNK_BLOCKS ? n - i : CHUNK_BLOCKS);
    }
}

/* ---- the loops ---- */

/* Asks for the outputs of a tile before they are needed: each row's line is far from the others, which no hardware
 * foresees, and the tile writes to all of them. */
static inline void fetch_outputs(float *y, size_t y_stride, size_t n_tokens)
{
    size_t t;

    for (t = 0; t < n_tokens; t++)
        __builtin_prefetch(y + t * y_stride, 1);
}

/* One panel times the staged tokens; y addresses the first of them. */
static inline void panel_product(float *y, size_t y_stride, const struct tile_set *set, struct packed_run run,
                                 const uint8_t *stage, size_t n_tokens)
{
    struct opened_block opened[CHUNK_BLOCKS];
    const size_t size = tile_tokens(set, n_tokens), n_chunks = chunks_of(run.n), end = run.block + run.n;
    size_t chunk, t;

    if (n_tokens <= set->packed_tokens) {
        set->packed[n_tokens - 1](y, y_stride, &run, stage, run.block == 0);
        return;
    }
    for (chunk = 0; chunk < n_chunks; chunk++, run.block += run.n) {
        run.n = end - run.block < CHUNK_BLOCKS ? end - run.block : CHUNK_BLOCKS;
        set->open(opened, &run);
        for (t = 0; t < n_tokens; t += size) {
            size_t T = n_tokens - t < size ? n_tokens - t : size;

            fetch_outputs(y + (t + T) * y_stride, y_stride, n_tokens - t - T < size ? n_tokens - t - T : size);
            set->tile[T - 1](y + t * y_stride, y_stride, opened, run.n, stage + record_at(t, T, chunk, n_chunks),
                             run.block == 0);
        }
    }
}

/* The next group of the tokens that are left: groups of about equal size, whole tiles where possible. */
static inline size_t group_tokens(size_t left)
{
    size_t n_groups = (left + GROUP_TOKENS - 1) / GROUP_TOKENS;
    size_t size = (left + n_groups - 1) / n_groups;
    size_t whole = (size + TILE_TOKENS - 1) / TILE_TOKENS * TILE_TOKENS;

    return whole < left ? whole : left;
}

/* The whole product; arguments as matmul_q_kernel, start as TILE_MATMUL says. */
static inline void tile_matmul(float *y, size_t y_stride, const struct pack *w, size_t panel, size_t n_panels,
                               const struct qrows *x, size_t token, size_t n_tokens, const struct tile_set *set,
                               const int32_t *start)
{
    uint8_t stage[GROUP_TOKENS * CHUNK_BYTES] __attribute__((aligned(64)));
    struct packed_run run = {w, NULL, 0, 0, 0};
    size_t t, p, n, capacity;

    for (t = 0; t < n_tokens; t += n) {
        n = group_tokens(n_tokens - t);
        capacity = GROUP_TOKENS / n * CHUNK_BLOCKS;
        for (run.block = 0; run.block < w->n_blocks; run.block += run.n) {
            run.n = w->n_blocks - run.block < capacity ? w->n_blocks - run.block : capacity;
            run.ahead = run.n == w->n_blocks ? AHEAD_BYTES : w->panel_bytes;
            stage_group(stage, set, x, start, token + t, n, run.block, run.n);
            for (p = 0; p < n_panels; p++) {
                run.panel = w->data + (panel + p) * w->panel_bytes;
                panel_product(y + t * y_stride + PACK_ROWS * p, y_stride, set, run, stage, n);
            }
        }
    }
}

/* Defines matmul_CLASS from a tile_set and the start values (NULL where the form has none). */
#define TILE_MATMUL(class_, set, start)                                                                                \
    static void matmul_##class_(float *y, size_t y_stride, const struct pack *w, size_t panel, size_t n_panels,        \
                                const struct qrows *x, size_t token, size_t n_tokens)                                  \
    {                                                                                                                  \
        tile_matmul(y, y_stride, w, panel, n_panels, x, token, n_tokens, &set, start);                                 \
    }

#define MATMUL_TABLE                                                                                                   \
    {                                                                                                                  \
        [PACK_8] = matmul_8, [PACK_4] = matmul_4, [PACK_5] = matmul_5, [PACK_41] = matmul_41, [PACK_51] = matmul_51,   \
        [PACK_4K] = matmul_4K, [PACK_5K] = matmul_5K, [PACK_6K] = matmul_6K, [PACK_2K] = matmul_2K                     \
    }

#endif
