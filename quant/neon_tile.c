/* neon_tile.c - opening packed blocks, and the loops around the tiles of the Advanced SIMD tiers (neon_tile.h).
 *
 * Layouts are those of pack.h. Everything here runs once per block and group of tokens; the tiles do the rest. */
#include "neon_tile.h"
#include <string.h>

/* Low nibbles are quads 0..3, high ones quads 4..7. */
static void open_nibbles(struct neon_block *block, const uint8_t *codes)
{
    int j, g;

    for (j = 0; j < 4; j++)
        for (g = 0; g < 4; g++) {
            uint8x16_t v = vld1q_u8(codes + 64 * j + 16 * g);

            block->code[j][g] = vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15)));
            block->code[j + 4][g] = vreinterpretq_s8_u8(vshrq_n_u8(v, 4));
        }
}

/* Quad j's bits of `high`, moved to their place above the nibbles by a left shift (right where negative). */
static inline void add_high(struct neon_block *block, int j, int g, uint8x16_t high, int shift, uint8_t mask)
{
    uint8x16_t bits = vandq_u8(vshlq_u8(high, vdupq_n_s8((int8_t)shift)), vdupq_n_u8(mask));

    block->code[j][g] = vorrq_s8(block->code[j][g], vreinterpretq_s8_u8(bits));
}

/* Bit j of a byte of the fifth vector is bit 4 of quad j. */
static void open_fives(struct neon_block *block, const uint8_t *codes)
{
    int j, g;

    open_nibbles(block, codes);
    for (g = 0; g < 4; g++) {
        uint8x16_t high = vld1q_u8(codes + 256 + 16 * g);

        for (j = 0; j < 8; j++)
            add_high(block, j, g, high, 4 - j, 16);
    }
}

/* Bits 2i, 2i+1 of a byte of high vector v are bits 4, 5 of quad 4v + i. */
static void open_sixes(struct neon_block *block, const uint8_t *codes)
{
    int j, g;

    open_nibbles(block, codes);
    for (j = 0; j < 8; j++)
        for (g = 0; g < 4; g++)
            add_high(block, j, g, vld1q_u8(codes + 256 + 64 * (j / 4) + 16 * g), 4 - 2 * (j % 4), 48);
}

/* Bits 2i, 2i+1 of a byte of vector v are quad 4v + i. */
static void open_twos(struct neon_block *block, const uint8_t *codes)
{
    int j, g;

    for (j = 0; j < 8; j++)
        for (g = 0; g < 4; g++) {
            uint8x16_t v = vld1q_u8(codes + 64 * (j / 4) + 16 * g);

            v = vshlq_u8(v, vdupq_n_s8((int8_t)(-2 * (j % 4))));
            block->code[j][g] = vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(3)));
        }
}

/* f16 [16] -> f32. */
static void load_f16(float32x4_t out[4], const uint8_t *p)
{
    int g;

    for (g = 0; g < 4; g++)
        out[g] = vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p + 8 * g)));
}

/* Sixteen unsigned or signed bytes -> int32. */
static void load_u8(int32x4_t out[4], const uint8_t *p)
{
    uint8x16_t v = vld1q_u8(p);
    uint16x8_t low = vmovl_u8(vget_low_u8(v)), high = vmovl_u8(vget_high_u8(v));

    out[0] = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low)));
    out[1] = vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(low)));
    out[2] = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high)));
    out[3] = vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(high)));
}

static void load_s8(int32x4_t out[4], const uint8_t *p)
{
    int8x16_t v = vreinterpretq_s8_u8(vld1q_u8(p));
    int16x8_t low = vmovl_s8(vget_low_s8(v)), high = vmovl_s8(vget_high_s8(v));

    out[0] = vmovl_s16(vget_low_s16(low));
    out[1] = vmovl_s16(vget_high_s16(low));
    out[2] = vmovl_s16(vget_low_s16(high));
    out[3] = vmovl_s16(vget_high_s16(high));
}

/* super: d[16], dmin[16] in f16; own: sc[16], m[16] in u8. ws = d sc, wm = -(dmin m). */
static void open_scales_4k(struct neon_block *block, const uint8_t *super, const uint8_t *own)
{
    float32x4_t d[4], dmin[4];
    int32x4_t sc[4], m[4];
    int g;

    load_f16(d, super);
    load_f16(dmin, super + 32);
    load_u8(sc, own);
    load_u8(m, own + 16);
    for (g = 0; g < 4; g++) {
        block->ws[g] = vmulq_f32(d[g], vcvtq_f32_s32(sc[g]));
        block->wm[g] = vnegq_f32(vmulq_f32(dmin[g], vcvtq_f32_s32(m[g])));
    }
}

static void open_scales_6k(struct neon_block *block, const uint8_t *super, const uint8_t *own)
{
    load_f16(block->ws, super);
    load_s8(block->scale[0], own);
    load_s8(block->scale[1], own + 16);
}

static void open_scales_2k(struct neon_block *block, const uint8_t *super, const uint8_t *own)
{
    int g;

    load_f16(block->ws, super);
    load_f16(block->wm, super + 32);
    for (g = 0; g < 4; g++)
        block->wm[g] = vnegq_f32(block->wm[g]);
    load_u8(block->scale[0], own);
    load_u8(block->scale[1], own + 16);
    load_u8(block->min[0], own + 32);
    load_u8(block->min[1], own + 48);
}

static void open_codes(struct neon_block *block, enum pack_class class_, const uint8_t *codes)
{
    block->codes = (const int8_t *)block->code;
    switch (class_) {
    case PACK_4:
    case PACK_41:
    case PACK_4K:
        open_nibbles(block, codes);
        break;
    case PACK_5:
    case PACK_51:
    case PACK_5K:
        open_fives(block, codes);
        break;
    case PACK_6K:
        open_sixes(block, codes);
        break;
    case PACK_2K:
        open_twos(block, codes);
        break;
    default:
        block->codes = (const int8_t *)codes;
        break;
    }
}

static void open_scales(struct neon_block *block, enum pack_class class_, const uint8_t *super, const uint8_t *own)
{
    switch (class_) {
    case PACK_4K:
    case PACK_5K:
        open_scales_4k(block, super, own);
        break;
    case PACK_6K:
        open_scales_6k(block, super, own);
        break;
    case PACK_2K:
        open_scales_2k(block, super, own);
        break;
    case PACK_41:
    case PACK_51:
        load_f16(block->wm, super + 32);
        load_f16(block->ws, super);
        break;
    default:
        load_f16(block->ws, super);
        break;
    }
}

static void open_block(struct neon_block *block, const struct pack *w, size_t panel, size_t i)
{
    const struct pack_info *info = &pack_infos[w->class_];
    const uint8_t *data = w->data + panel * w->panel_bytes;
    size_t super_size = info->super_bytes + info->super_blocks * info->scale_bytes;
    const uint8_t *super = data + w->n_blocks * info->code_bytes + i / info->super_blocks * super_size;

    open_codes(block, w->class_, data + i * info->code_bytes);
    open_scales(block, w->class_, super, super + info->super_bytes + i % info->super_blocks * info->scale_bytes);
}

static enum neon_form form_of(enum pack_class class_)
{
    switch (class_) {
    case PACK_4:
    case PACK_5:
        return NEON_OFFSET;
    case PACK_41:
    case PACK_51:
    case PACK_4K:
    case PACK_5K:
        return NEON_MIN;
    case PACK_6K:
        return NEON_HALVES;
    case PACK_2K:
        return NEON_HALVES_MIN;
    default:
        return NEON_PLAIN;
    }
}

/* The chunk in tile->w times a group of tokens, of which tile holds the first. */
static void multiply_chunk(const struct neon_tiles *tiles, struct neon_tile tile, size_t n_tokens)
{
    size_t left;

    for (left = n_tokens; left > 0; left -= tile.n_tokens) {
        tile.n_tokens = left >= tiles->width ? tiles->width : left >= 2 ? 2 : 1;
        tiles->run(&tile);
        tile.y += tile.n_tokens * tile.y_stride;
        tile.at += tile.n_tokens * tile.x->n_blocks;
    }
}

/* One panel times a group of tokens, begun at zero. */
static void multiply_panel(const struct neon_tiles *tiles, struct neon_tile tile, const struct pack *w, size_t panel,
                           size_t n_tokens)
{
    struct neon_block chunk[NEON_CHUNK];
    size_t first, i, t;

    for (t = 0; t < n_tokens; t++)
        memset(tile.y + t * tile.y_stride, 0, PACK_ROWS * sizeof *tile.y);
    tile.w = chunk;
    for (first = 0; first < w->n_blocks; first += NEON_CHUNK) {
        tile.n_blocks = w->n_blocks - first < NEON_CHUNK ? w->n_blocks - first : NEON_CHUNK;
        for (i = 0; i < tile.n_blocks; i++)
            open_block(&chunk[i], w, panel, first + i);
        multiply_chunk(tiles, tile, n_tokens);
        tile.at += tile.n_blocks;
    }
}

void neon_matmul_q(const struct neon_tiles tiles[NEON_FORMS], float *y, size_t y_stride, const struct pack *w,
                   size_t panel, size_t n_panels, const struct qrows *x, size_t token, size_t n_tokens)
{
    struct neon_tile tile = {.y_stride = y_stride, .x = x};
    size_t p, t;

    tile.start = w->class_ == PACK_4 ? x->neg8 : x->neg16;
    for (p = 0; p < n_panels; p++)
        for (t = 0; t < n_tokens; t += NEON_GROUP) {
            tile.y = y + t * y_stride + PACK_ROWS * p;
            tile.at = (token + t) * w->n_blocks;
            multiply_panel(&tiles[form_of(w->class_)], tile, w, panel + p,
                           n_tokens - t < NEON_GROUP ? n_tokens - t : NEON_GROUP);
        }
}
