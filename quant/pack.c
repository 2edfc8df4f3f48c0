/* pack.c - shapes of packed matrices and the packing of panels; the layouts are drawn in pack.h.
 *
 *   storage rows of a panel              panel
 *   row 0   b0 b1 b2 ...                 codes of b0: 64-byte vectors, lane r = row r | codes of b1 | ...
 *   row 1   b0 b1 b2 ...         ->      scales of b0: arrays of sixteen              | ...
 *   row 15  b0 b1 b2 ...
 *
 * Packing only moves bits: no value is computed, so it is exact. pack_code.c and pack_code_k.c turn one
 * storage block of sixteen rows into codes and scales; here are the loops over blocks and panels. A matrix
 * whose rows do not fill its last panel has its missing lanes set to zero afterwards.
 * Next: pack_code.c, pack_code_k.c; pack_decode.c and pack_panel.c (the way back). */
#include <assert.h>
#include <string.h>
#include "pack_code.h"

const struct pack_info pack_infos[PACK_COUNT] = {
    {"F32", 0, 1, 0, 0, 4},    {"F16", 0, 1, 0, 0, 2},    {"BF16", 0, 1, 0, 0, 2},   {"8", 512, 1, 0, 32, 0},
    {"4", 256, 1, 0, 32, 0},   {"5", 320, 1, 0, 32, 0},   {"41", 256, 1, 0, 64, 0},  {"51", 320, 1, 0, 64, 0},
    {"4K", 256, 8, 64, 32, 0}, {"5K", 320, 8, 64, 32, 0}, {"6K", 384, 8, 32, 32, 0}, {"2K", 128, 8, 64, 64, 0},
};

static const struct source {
    enum dtype type;
    enum pack_class class_;
    pack_block *block; /* NULL: float */
} sources[] = {
    {DTYPE_F32, PACK_F32, NULL},
    {DTYPE_F16, PACK_F16, NULL},
    {DTYPE_BF16, PACK_BF16, NULL},
    {DTYPE_Q8_0, PACK_8, pack_block_q8_0},
    {DTYPE_IQ4_NL, PACK_8, pack_block_iq4_nl},
    {DTYPE_Q4_0, PACK_4, pack_block_q4_0},
    {DTYPE_Q5_0, PACK_5, pack_block_q5_0},
    {DTYPE_Q4_1, PACK_41, pack_block_q4_1},
    {DTYPE_Q5_1, PACK_51, pack_block_q5_1},
    {DTYPE_Q4_K, PACK_4K, pack_block_q4_k},
    {DTYPE_Q5_K, PACK_5K, pack_block_q5_k},
    {DTYPE_Q6_K, PACK_6K, pack_block_q6_k},
    {DTYPE_Q3_K, PACK_6K, pack_block_q3_k},
    {DTYPE_Q2_K, PACK_2K, pack_block_q2_k},
};

static const struct source *source_of(enum dtype type)
{
    size_t i = 0;
    while (i < sizeof sources / sizeof *sources && sources[i].type != type)
        i++;
    assert(i < sizeof sources / sizeof *sources);
    return &sources[i];
}

enum pack_class pack_class_of(enum dtype type)
{
    return source_of(type)->class_;
}

static size_t super_scale_bytes(const struct pack_info *info)
{
    return info->super_bytes + info->super_blocks * info->scale_bytes;
}

void pack_shape(struct pack *pack, enum dtype type, size_t rows, size_t cols)
{
    enum pack_class class_ = pack_class_of(type);
    const struct pack_info *info = &pack_infos[class_];
    size_t bytes = PACK_ROWS * cols * info->element_bytes;
    assert(info->element_bytes || cols % (PACK_BLOCK * info->super_blocks) == 0);
    pack->class_ = class_;
    pack->rows = rows;
    pack->cols = cols;
    pack->n_panels = rows / PACK_ROWS + (rows % PACK_ROWS != 0);
    pack->n_blocks = info->element_bytes ? 0 : cols / PACK_BLOCK;
    bytes += pack->n_blocks * info->code_bytes + pack->n_blocks / info->super_blocks * super_scale_bytes(info);
    pack->panel_bytes = (bytes + 63) / 64 * 64;
    pack->data = NULL;
}

size_t pack_bytes(const struct pack *pack)
{
    return pack->n_panels * pack->panel_bytes;
}

/* dst[k][r] = rows[r][k] for elements of four and two bytes, n_rows <= 16. dst was zeroed if n_rows < 16. */
static void interleave_4(uint8_t *dst, const uint8_t *src, size_t row_bytes, size_t n_rows, size_t cols)
{
    for (size_t k = 0; k < cols; k += 16) {
        size_t end = cols - k < 16 ? cols : k + 16;
        for (size_t r = 0; r < n_rows; r++)
            for (size_t i = k; i < end; i++)
                memcpy(dst + 64 * i + 4 * r, src + r * row_bytes + 4 * i, 4);
    }
}

static void interleave_2(uint8_t *dst, const uint8_t *src, size_t row_bytes, size_t n_rows, size_t cols)
{
    for (size_t k = 0; k < cols; k += 32) {
        size_t end = cols - k < 32 ? cols : k + 32;
        for (size_t r = 0; r < n_rows; r++)
            for (size_t i = k; i < end; i++)
                memcpy(dst + 32 * i + 2 * r, src + r * row_bytes + 2 * i, 2);
    }
}

/* Sets lanes n_rows..15 of consecutive sixteen-lane vectors to zero. */
static void clear_lanes(uint8_t *vectors, size_t bytes, size_t lane_bytes, size_t n_rows)
{
    for (size_t i = 0; i < bytes; i += PACK_ROWS * lane_bytes)
        memset(vectors + i + n_rows * lane_bytes, 0, (PACK_ROWS - n_rows) * lane_bytes);
}

static void clear_missing_rows(const struct pack *pack, uint8_t *panel, size_t n_rows)
{
    const struct pack_info *info = &pack_infos[pack->class_];
    uint8_t *scales = panel + pack->n_blocks * info->code_bytes;
    size_t block_scales = info->super_blocks * info->scale_bytes;
    clear_lanes(panel, pack->n_blocks * info->code_bytes, 4, n_rows);
    for (size_t b = 0; b < pack->n_blocks; b += info->super_blocks) {
        clear_lanes(scales, info->super_bytes, 2, n_rows);
        clear_lanes(scales + info->super_bytes, block_scales, info->super_bytes ? 1 : 2, n_rows);
        scales += info->super_bytes + block_scales;
    }
}

static void pack_quantised(const struct pack *pack, uint8_t *panel, const struct source *source, const uint8_t *src,
                           size_t row_bytes, size_t n_rows)
{
    const struct pack_info *info = &pack_infos[pack->class_];
    size_t block_bytes = dtype_info((uint32_t)source->type)->block_bytes, scale_bytes = super_scale_bytes(info);
    uint8_t *codes = panel, *scales = panel + pack->n_blocks * info->code_bytes;
    const uint8_t *rows[PACK_ROWS];
    for (size_t r = 0; r < PACK_ROWS; r++) /* a missing row reads the last one; its lanes are cleared below */
        rows[r] = src + (r < n_rows ? r : n_rows - 1) * row_bytes;
    for (size_t b = 0; b < pack->n_blocks; b += info->super_blocks) {
        source->block(codes, scales, rows);
        codes += info->super_blocks * info->code_bytes;
        scales += scale_bytes;
        for (size_t r = 0; r < PACK_ROWS; r++)
            rows[r] += block_bytes;
    }
    memset(scales, 0, (size_t)(panel + pack->panel_bytes - scales));
    if (n_rows < PACK_ROWS)
        clear_missing_rows(pack, panel, n_rows);
}

static void pack_float(const struct pack *pack, uint8_t *panel, const uint8_t *src, size_t row_bytes, size_t n_rows)
{
    size_t bytes = PACK_ROWS * row_bytes;
    if (n_rows < PACK_ROWS)
        memset(panel, 0, bytes);
    if (pack_infos[pack->class_].element_bytes == 4)
        interleave_4(panel, src, row_bytes, n_rows, pack->cols);
    else
        interleave_2(panel, src, row_bytes, n_rows, pack->cols);
    memset(panel + bytes, 0, pack->panel_bytes - bytes);
}

void pack_panels(const struct pack *pack, void *dst, enum dtype type, const void *src, size_t panel_begin,
                 size_t panel_end)
{
    const struct source *source = source_of(type);
    const struct dtype_info *info = dtype_info((uint32_t)type);
    size_t row_bytes = pack->cols / info->block_len * info->block_bytes;
    assert(source->class_ == pack->class_ && panel_end <= pack->n_panels);
    for (size_t p = panel_begin; p < panel_end; p++) {
        size_t first = p * PACK_ROWS, n_rows = pack->rows - first < PACK_ROWS ? pack->rows - first : PACK_ROWS;
        uint8_t *panel = (uint8_t *)dst + p * pack->panel_bytes;
        const uint8_t *rows = (const uint8_t *)src + first * row_bytes;
        if (source->block)
            pack_quantised(pack, panel, source, rows, row_bytes, n_rows);
        else
            pack_float(pack, panel, rows, row_bytes, n_rows);
    }
}
