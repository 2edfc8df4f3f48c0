/* pack_panel.c - the values of a panel's sixteen rows: what the backward pass multiplies with.
 *
 * Compiled once per vector width under the name PACK_DECODE_PANEL. A block of columns goes through two steps:
 *
 *   codes, scales   lane r of vector j = codes of columns 4j .. 4j+3 of row r, one byte each    sixteen rows at once
 *   values          PANEL_VALUES (panel_values.h): row r, column c = scale[r] * code (+ minimum[r])
 *
 * Invariant: the bits are those of pack_decode_row: the same integers, the same operations. */
#include <assert.h>
#include "blocks.h"
#include "pack.h"
#include "panel_values.h"

#define INLINE static inline __attribute__((always_inline))

void PACK_DECODE_PANEL(const struct pack *pack, size_t panel, size_t col, size_t n, float *dst, size_t stride);

/* ---- Codes ---- */

/* quad = the bits `mask` of each byte from bit `shift` on, or those added at bit `place` of what the bytes hold. */
static inline void take(struct lanes *quad, const uint8_t *vector, size_t shift, uint32_t mask)
{
    for (size_t r = 0; r < PACK_ROWS; r++)
        quad->lane[r] = load_u32(vector + 4 * r) >> shift & mask;
}

static inline void take_high(struct lanes *quad, const uint8_t *vector, size_t shift, uint32_t mask, size_t place)
{
    for (size_t r = 0; r < PACK_ROWS; r++)
        quad->lane[r] |= (load_u32(vector + 4 * r) >> shift & mask) << place;
}

/* quads[j] = the codes of quad j without their offset. */
INLINE void open_codes(enum pack_class class_, struct lanes quads[8], const uint8_t *codes)
{
    if (class_ == PACK_8) {
        memcpy(quads, codes, 8 * sizeof *quads);
        return;
    }
    for (size_t j = 0; class_ == PACK_2K && j < 8; j++)
        take(&quads[j], codes + 64 * (j / 4), 2 * (j % 4), 0x03030303u);
    for (size_t j = 0; class_ != PACK_2K && j < 4; j++) {
        take(&quads[j], codes + 64 * j, 0, 0x0f0f0f0fu);
        take(&quads[j + 4], codes + 64 * j, 4, 0x0f0f0f0fu);
    }
    for (size_t j = 0; (class_ == PACK_5 || class_ == PACK_51 || class_ == PACK_5K) && j < 8; j++)
        take_high(&quads[j], codes + 256, j, 0x01010101u, 4);
    for (size_t j = 0; class_ == PACK_6K && j < 8; j++)
        take_high(&quads[j], codes + 256 + 64 * (j / 4), 2 * (j % 4), 0x03030303u, 4);
}

/* ---- Scales ---- */

static inline void halves_to_float(float out[PACK_ROWS], const uint8_t *halves)
{
    for (size_t r = 0; r < PACK_ROWS; r++)
        out[r] = load_f16(halves + 2 * r);
}

static inline int has_minimum(enum pack_class class_)
{
    return class_ == PACK_41 || class_ == PACK_51 || class_ == PACK_4K || class_ == PACK_5K || class_ == PACK_2K;
}

/* `super`: the scales of the block's super-block; `own`: of the block itself. */
static inline void open_scales(enum pack_class class_, struct panel_block *s, const uint8_t *super, const uint8_t *own)
{
    float d[PACK_ROWS], m[PACK_ROWS] = {0};
    halves_to_float(d, pack_infos[class_].super_bytes ? super : own);
    if (has_minimum(class_))
        halves_to_float(m, (pack_infos[class_].super_bytes ? super : own) + 32);
    for (size_t h = 0; h < 2; h++)
        for (size_t r = 0; r < PACK_ROWS; r++) {
            float scale = d[r], minimum = m[r];
            if (class_ == PACK_4K || class_ == PACK_5K) {
                scale = d[r] * (float)own[r];
                minimum = -(m[r] * (float)own[16 + r]);
            } else if (class_ == PACK_6K) {
                scale = d[r] * (float)(int8_t)own[16 * h + r];
            } else if (class_ == PACK_2K) {
                scale = d[r] * (float)own[16 * h + r];
                minimum = -(m[r] * (float)own[32 + 16 * h + r]);
            }
            s->scale[h][r] = scale;
            s->minimum[h][r] = minimum;
        }
}

/* ---- Values ---- */

/* The columns [col, col + n) of one class, so that the compiler makes a loop of each. */
INLINE void decode_blocks(enum pack_class class_, const struct pack *pack, const uint8_t *panel, size_t col, size_t n,
                          float *dst, size_t stride)
{
    const struct pack_info *info = &pack_infos[class_];
    const uint8_t *scales = panel + pack->n_blocks * info->code_bytes;
    size_t super_stride = info->super_bytes + info->super_blocks * info->scale_bytes;
    struct panel_block block;
    block.offset = class_ == PACK_4 ? 8 : class_ == PACK_5 ? 16 : class_ == PACK_6K ? 32 : 0;
    block.has_minimum = has_minimum(class_);
    for (size_t b = col / PACK_BLOCK; b < (col + n) / PACK_BLOCK; b++, dst += PACK_BLOCK) {
        const uint8_t *super = scales + b / info->super_blocks * super_stride;
        open_codes(class_, block.quads, panel + b * info->code_bytes);
        open_scales(class_, &block, super, super + info->super_bytes + b % info->super_blocks * info->scale_bytes);
        PANEL_VALUES.codes(dst, stride, &block);
    }
}

/* n floats from element `at` of the panel on. */
static void widen(float *to, const struct pack *pack, const uint8_t *panel, size_t at, size_t n)
{
    if (pack->class_ == PACK_F32)
        memcpy(to, panel + 4 * at, n * sizeof *to);
    else if (pack->class_ == PACK_F16)
        for (size_t i = 0; i < n; i++)
            to[i] = load_f16(panel + 2 * (at + i));
    else
        for (size_t i = 0; i < n; i++)
            to[i] = half_from_bf16(load_u16(panel + 2 * (at + i)));
}

static void decode_float(const struct pack *pack, const uint8_t *panel, size_t col, size_t n, float *dst, size_t stride)
{
    float steps[PANEL_STEPS][PACK_ROWS];
    size_t done, k, r;
    for (done = 0; done + PANEL_STEPS <= n; done += PANEL_STEPS) {
        widen(steps[0], pack, panel, (col + done) * PACK_ROWS, PANEL_STEPS * PACK_ROWS);
        PANEL_VALUES.floats(dst + done, stride, steps);
    }
    widen(steps[0], pack, panel, (col + done) * PACK_ROWS, (n - done) * PACK_ROWS);
    for (r = 0; r < PACK_ROWS; r++)
        for (k = 0; k < n - done; k++)
            dst[r * stride + done + k] = steps[k][r];
}

#define CASE(name)                                                                                                     \
    case name:                                                                                                         \
        decode_blocks(name, pack, data, col, n, dst, stride);                                                          \
        break

void PACK_DECODE_PANEL(const struct pack *pack, size_t panel, size_t col, size_t n, float *dst, size_t stride)
{
    const uint8_t *data = pack->data + panel * pack->panel_bytes;
    assert(panel < pack->n_panels && col <= pack->cols && n <= pack->cols - col && n <= stride);
    if (pack_infos[pack->class_].element_bytes) {
        decode_float(pack, data, col, n, dst, stride);
        return;
    }
    assert(col % PACK_BLOCK == 0 && n % PACK_BLOCK == 0);
    switch (pack->class_) {
        CASE(PACK_8);
        CASE(PACK_4);
        CASE(PACK_5);
        CASE(PACK_41);
        CASE(PACK_51);
        CASE(PACK_4K);
        CASE(PACK_5K);
        CASE(PACK_6K);
    default:
        CASE(PACK_2K);
    }
}
