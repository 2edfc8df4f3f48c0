/* x86_gemm.h - the loops around the register tiles of the float products: gemm_f32 and matmul_f of all x86 tiers.
 *
 * A tile is `rows` rows of c times `vecs` vectors of columns, held in registers while k runs:
 *
 *            b: vecs vectors                    vector v of step p:  b + p * b_row + v * lanes
 *   a: rows  c: rows x vecs vectors             element i of step p: a + i * a_row + p * a_col
 *
 * gemm_f32 walks c in blocks of rows, those in strips of columns (Goto and van de Geijn 2008, "Anatomy of
 * high-performance matrix multiplication"):
 *
 *   a few hundred steps of k at a time: | for each block of rows of c: a's part of them stays in the second-level cache
 *                                       |   for each strip of columns: b's part is copied into the first-level cache
 *                                       |     for each tile of rows
 *
 * A transposed a is copied too, tile by tile. Few rows read b where it is. matmul_f has rows = tokens and columns = the
 * rows of some panels, which are widened or copied into the block (a single one of floats is read where it is).
 * Accumulators go back to c between the parts of k, which is exact. */
#ifndef ARKLET_QUANT_X86_GEMM_H
#define ARKLET_QUANT_X86_GEMM_H

#include "kernels.h"
#include <string.h>

#define FLOAT_VECS  8             /* most vectors of a tile */
#define FLOAT_ROWS  12            /* most rows of a tile */
#define BLOCK_FLOAT (96 * 4 * 16) /* 24 KiB: of b, in the first-level cache */
#define DEPTH       256           /* most steps of k at once: then a tile's rows of a fit beside that block */
#define BLOCK_A     (64 * 1024)   /* 256 KiB: of a, in the second-level cache */
#define TURNED_ROWS 96            /* of a transposed a, which is copied: 96 KiB */
#define FETCH_DEPTH 192           /* longer rows of a would push each other out of the cache */
#define COPY_ROWS   24            /* rows of c from which copying b pays */

/* The operands of a tile. */
struct float_tile {
    float *c;
    const float *a, *b;
    size_t c_row, a_row, a_col, b_row, k;
    size_t last;    /* lanes of the last vector: 1..lanes */
    int accumulate; /* c is read, not begun at zero */
};

typedef void float_tile_kernel(const struct float_tile *tile);

struct float_tiles {
    size_t lanes;                                            /* floats of a vector */
    size_t vecs[3];                                          /* vectors of a strip for 1, 2, more rows of c */
    size_t rows[FLOAT_VECS + 1];                             /* most rows of a tile of v vectors */
    float_tile_kernel *tile[FLOAT_VECS + 1][FLOAT_ROWS + 1]; /* [vectors][rows] */
};

static inline size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Columns of a strip for m rows. */
static inline size_t strip_width(const struct float_tiles *tiles, size_t m)
{
    return tiles->lanes * tiles->vecs[m > 2 ? 2 : m - 1];
}

/* Rows of the next tile when m rows are left: tiles of about equal height. */
static inline size_t tile_rows(size_t most, size_t m)
{
    size_t n_tiles;

    if (m <= most)
        return m;
    n_tiles = (m + most - 1) / most;
    return (m + n_tiles - 1) / n_tiles;
}

/* The next part of k when `k` steps are left: parts of about equal depth, a block of b at most `width` wide. */
static inline size_t part_of(size_t k, size_t width)
{
    size_t most = smaller(DEPTH, BLOCK_FLOAT / width), n = (k + most - 1) / most;

    return n > 1 ? (k + n - 1) / n : k;
}

/* Asks the memory for what the next tile reads: short pieces, too far apart for hardware to foresee. */
static inline void fetch_rows(const struct float_tile *tile, size_t rows)
{
    size_t i, p;

    for (i = 0; i < rows; i++) {

        for (p = 0; p < tile->k && tile->a_col == 1 && tile->k <= FETCH_DEPTH; p += 16)
            __builtin_prefetch(tile->a + i * tile->a_row + p);
    }
}

/* All rows of c. */
static inline void float_rows(const struct float_tiles *tiles, struct float_tile tile, size_t vecs, size_t m)
{
    while (m > 0) {
        const struct float_tile now = tile;
        size_t rows = tile_rows(tiles->rows[vecs], m);

        tile.c += rows * tile.c_row;
        tile.a += rows * tile.a_row;
        m -= rows;
        fetch_rows(&tile, rows < m ? rows : m);
        tiles->tile[vecs][rows](&now);
    }
}

/* The same with a as copy_rows left it: [k][rows] of each tile behind that of the one before. */
static inline void float_rows_copied(const struct float_tiles *tiles, struct float_tile tile, size_t vecs, size_t most,
                                     size_t m)
{
    size_t rows;

    for (; m > 0; m -= rows) {
        rows = tile_rows(most, m);
        tile.a_row = 1;
        tile.a_col = rows;
        tiles->tile[vecs][rows](&tile);
        tile.c += rows * tile.c_row;
        tile.a += rows * tile.k;
    }
}

static inline int turned(const struct float_tile *tile)
{
    return tile->a_row == 1 && tile->a_col != 1;
}

/* m rows of a transposed a (a_row = 1) in tiles of at most `most` rows. Eight floats are moved at a time where they are
 * there: the next step overwrites what is too much, and `to` has room behind it. */
static inline void copy_rows(float *to, const struct float_tile *tile, size_t most, size_t m)
{
    size_t rows, p, i, first = 0;

    for (; m > 0; m -= rows, first += rows) {
        rows = tile_rows(most, m);
        for (p = 0; p < tile->k && rows <= 8 && m >= 8; p++, to += rows)
            memcpy(to, tile->a + p * tile->a_col + first, 8 * sizeof *to);
        for (; p < tile->k; p++)
            for (i = 0; i < rows; i++)
                *to++ = tile->a[p * tile->a_col + first + i];
    }
}

/* k rows of n floats, from rows `stride` floats apart to rows of `width`; what stands behind them comes next. */
static inline void copy_strip(float *to, size_t width, const float *from, size_t stride, size_t k, size_t n)
{
    size_t p, i;

    for (p = 0; p < k; p++, to += width, from += stride) {
        __builtin_prefetch(from + n, 0, 2);
        for (i = 0; i + 8 <= n; i += 8)
            memcpy(to + i, from + i, 8 * sizeof *to);
        for (; i < n; i++)
            to[i] = from[i];
    }
}

/* One part of k and block of rows. */
static inline void gemm_block(const struct float_tiles *tiles, struct float_tile tile, size_t m, size_t n)
{
    float block[BLOCK_FLOAT] __attribute__((aligned(64))), rows[TURNED_ROWS * DEPTH + 8] __attribute__((aligned(64)));
    size_t strip = strip_width(tiles, m), copied = turned(&tile) && n >= 4 * strip,
           most = tiles->rows[strip / tiles->lanes];
    size_t j, width, vecs;
    const struct float_tile whole = tile;

    if (copied) {
        copy_rows(rows, &tile, most, m);
        tile.a = rows;
    }
    for (j = 0; j < n; j += width) {
        width = smaller(n - j, strip);
        vecs = (width + tiles->lanes - 1) / tiles->lanes;
        tile.c = whole.c + j;
        tile.b = block;
        tile.b_row = vecs * tiles->lanes;
        tile.last = (width - 1) % tiles->lanes + 1;
        if (tile.last < tiles->lanes)
            memset(block, 0, tile.k * tile.b_row * sizeof *block);
        copy_strip(block, tile.b_row, whole.b + j, whole.b_row, tile.k, width);
        if (copied && vecs * tiles->lanes == strip)
            float_rows_copied(tiles, tile, vecs, most, m);
        else
            float_rows(tiles, copied ? (tile.a = whole.a, tile) : tile, vecs, m);
        tile.a = copied ? rows : whole.a;
    }
}

/* Many rows of c: parts of k, blocks of rows. */
static inline void gemm_blocks(const struct float_tiles *tiles, struct float_tile tile, size_t m, size_t n, size_t k)
{
    const size_t width = strip_width(tiles, m);
    size_t i, p, rows;

    for (p = 0; p < k; p += tile.k, tile.accumulate = 1) {
        tile.k = part_of(k - p, width);
        for (i = 0; i < m; i += rows) {
            struct float_tile part = tile;

            rows = tile_rows(turned(&tile) ? TURNED_ROWS : BLOCK_A / tile.k, m - i);
            part.c += i * tile.c_row;
            part.a += i * tile.a_row + p * tile.a_col;
            part.b += p * tile.b_row;
            gemm_block(tiles, part, rows, n);
        }
    }
}

/* Arguments as gemm_f32_kernel. */
static inline void gemm_tiles(const struct float_tiles *tiles, float *c, size_t c_row, const float *a, size_t a_row,
                              size_t a_col, const float *b, size_t b_row, size_t m, size_t n, size_t k, int accumulate)
{
    struct float_tile tile = {c, a, b, c_row, a_row, a_col, b_row, k, 0, accumulate};
    size_t j, width;

    if (m >= COPY_ROWS && k * b_row > BLOCK_FLOAT) {
        gemm_blocks(tiles, tile, m, n, k);
        return;
    }
    for (j = 0; m > 0 && j < n; j += width) {
        width = smaller(n - j, strip_width(tiles, m));
        tile.c = c + j;
        tile.b = b + j;
        tile.last = (width - 1) % tiles->lanes + 1;
        float_rows(tiles, tile, (width + tiles->lanes - 1) / tiles->lanes, m);
    }
}

/* Rows [0, k) of a panel, each sixteen elements, to f32 rows `width` floats apart; asks the memory for the next k. */
typedef void widen_kernel(float *to, size_t width, const uint8_t *from, size_t k);

/* Arguments as matmul_f_kernel; element_bytes of the class. */
static inline void matmul_tiles(const struct float_tiles *tiles, float *y, size_t y_stride, const struct pack *w,
                                size_t panel, size_t n_panels, const float *x, size_t x_stride, size_t n_tokens,
                                size_t element_bytes, widen_kernel *widen)
{
    float block[BLOCK_FLOAT] __attribute__((aligned(64)));
    struct float_tile tile = {y, x, block, y_stride, x_stride, 1, 0, 0, tiles->lanes, 0};
    size_t p, i, k, n;

    for (p = 0; n_tokens > 0 && p < n_panels; p += n) {
        n = smaller(n_panels - p, strip_width(tiles, n_tokens) / PACK_ROWS);
        tile.c = y + PACK_ROWS * p;
        tile.b_row = PACK_ROWS * n;
        for (k = 0; k == 0 || k < w->cols; k += tile.k) {
            tile.k = part_of(w->cols - k, tile.b_row);
            if (n == 1 && element_bytes == sizeof(float)) /* as it is, a panel is such a block */
                tile.b = (const float *)(const void *)(w->data + (panel + p) * w->panel_bytes) + PACK_ROWS * k;
            for (i = 0; i < n && tile.b == block; i++)
                widen(block + PACK_ROWS * i, tile.b_row,
                      w->data + (panel + p + i) * w->panel_bytes + PACK_ROWS * k * element_bytes, tile.k);
            tile.a = x + k;
            tile.accumulate = k > 0;
            float_rows(tiles, tile, tile.b_row / tiles->lanes, n_tokens);
        }
    }
}

#endif
