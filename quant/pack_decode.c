/* pack_decode.c - values of one row out of a packed matrix: embedding rows, adapters. (pack_panel.c: sixteen rows.)
 *
 * The four bytes of a quad are moved as one word, so a block becomes 32 adjacent codes in at most 12 moves. Invariant:
 * the bits are those of dtype_decode_row on the storage row: codes come out as the same integers, scales as the same
 * f16, and the value is formed by the same operations (blocks.h). */
#include <assert.h>
#include "blocks.h"
#include "pack.h"

/* bytes [4 n] = this row's quads of n vectors. `lane` addresses the row's byte 0 in vector 0. */
static inline void gather(uint8_t *bytes, const uint8_t *lane, size_t n)
{
    for (size_t i = 0; i < n; i++)
        memcpy(bytes + 4 * i, lane + 64 * i, 4);
}

/* The 32 codes of one block of nibbles, without their offset. */
static inline void nibbles(int8_t q[32], const uint8_t *lane)
{
    uint8_t bytes[16];
    gather(bytes, lane, 4);
    for (size_t i = 0; i < 16; i++) {
        q[i] = (int8_t)(bytes[i] & 15);
        q[i + 16] = (int8_t)(bytes[i] >> 4);
    }
}

/* fields[4j + b] = bits of quad j's field in byte b, shifted to `place`: fields of `width` bits, 8 / width quads to a
 * vector. */
static inline void take_fields(uint8_t fields[32], const uint8_t *lane, size_t width, int place)
{
    size_t per_vector = 8 / width;
    uint32_t mask = width == 1 ? 0x01010101u : 0x03030303u;
    for (size_t j = 0; j < 8; j++)
        store_u32(fields + 4 * j, (load_u32(lane + j / per_vector * 64) >> (width * (j % per_vector)) & mask) << place);
}

static inline void add_fields(int8_t q[32], const uint8_t *lane, size_t width, int place)
{
    uint8_t fields[32];
    take_fields(fields, lane, width, place);
    for (size_t i = 0; i < 32; i++)
        q[i] = (int8_t)(q[i] + fields[i]);
}

static inline void unpack_codes(enum pack_class class_, int8_t q[32], const uint8_t *lane)
{
    int offset = class_ == PACK_4 ? 8 : class_ == PACK_5 ? 16 : class_ == PACK_6K ? 32 : 0;
    if (class_ == PACK_8)
        gather((uint8_t *)q, lane, 8);
    else if (class_ == PACK_2K)
        take_fields((uint8_t *)q, lane, 2, 0);
    else
        nibbles(q, lane);
    if (class_ == PACK_5 || class_ == PACK_51 || class_ == PACK_5K)
        add_fields(q, lane + 256, 1, 4);
    if (class_ == PACK_6K)
        add_fields(q, lane + 256, 2, 4);
    for (size_t i = 0; i < 32; i++)
        q[i] = (int8_t)(q[i] - offset);
}

/* dst[i] = d*q, d*q + m, or d*q - m. */
static inline void put(float *dst, const int8_t *q, size_t n, float d)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = d * (float)q[i];
}

static inline void put_plus(float *dst, const int8_t *q, size_t n, float d, float m)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = d * (float)q[i] + m;
}

static inline void put_minus(float *dst, const int8_t *q, size_t n, float d, float m)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = d * (float)q[i] - m;
}

/* `super`: the scales of block b's super-block; `own`: of the block itself. */
static inline void scale_block(enum pack_class class_, float *dst, const int8_t q[32], const uint8_t *super,
                               const uint8_t *own, size_t r)
{
    float d = load_f16((pack_infos[class_].super_bytes ? super : own) + 2 * r);
    switch (class_) {
    case PACK_41:
    case PACK_51:
        put_plus(dst, q, 32, d, load_f16(own + 32 + 2 * r));
        break;
    case PACK_4K:
    case PACK_5K:
        put_minus(dst, q, 32, d * (float)own[r], load_f16(super + 32 + 2 * r) * (float)own[16 + r]);
        break;
    case PACK_6K:
        for (size_t h = 0; h < 2; h++)
            put(dst + 16 * h, q + 16 * h, 16, d * (float)(int8_t)own[16 * h + r]);
        break;
    case PACK_2K:
        for (size_t h = 0; h < 2; h++)
            put_minus(dst + 16 * h, q + 16 * h, 16, d * (float)own[16 * h + r],
                      load_f16(super + 32 + 2 * r) * (float)own[32 + 16 * h + r]);
        break;
    default: /* PACK_8, PACK_4, PACK_5 */
        put(dst, q, 32, d);
    }
}

static void decode_float(const struct pack *pack, const uint8_t *panel, size_t r, size_t col, size_t n, float *dst)
{
    for (size_t k = 0; k < n; k++) {
        size_t element = (col + k) * PACK_ROWS + r;
        if (pack->class_ == PACK_F32)
            memcpy(dst + k, panel + 4 * element, 4);
        else if (pack->class_ == PACK_F16)
            dst[k] = load_f16(panel + 2 * element);
        else
            dst[k] = half_from_bf16(load_u16(panel + 2 * element));
    }
}

/* All blocks of one class, so that the compiler makes a loop of each. */
static inline void decode_blocks(enum pack_class class_, const struct pack *pack, const uint8_t *panel, size_t r,
                                 size_t col, size_t n, float *dst)
{
    const struct pack_info *info = &pack_infos[class_];
    const uint8_t *scales = panel + pack->n_blocks * info->code_bytes;
    size_t super_stride = info->super_bytes + info->super_blocks * info->scale_bytes;
    for (size_t b = col / PACK_BLOCK; b < (col + n) / PACK_BLOCK; b++, dst += PACK_BLOCK) {
        const uint8_t *super = scales + b / info->super_blocks * super_stride;
        const uint8_t *own = super + info->super_bytes + b % info->super_blocks * info->scale_bytes;
        int8_t q[32];
        unpack_codes(class_, q, panel + b * info->code_bytes + 4 * r);
        scale_block(class_, dst, q, super, own, r);
    }
}

void pack_decode_row(const struct pack *pack, size_t row, size_t col, size_t n, float *dst)
{
    const uint8_t *panel = pack->data + row / PACK_ROWS * pack->panel_bytes;
    size_t r = row % PACK_ROWS;
    assert(row < pack->rows && col <= pack->cols && n <= pack->cols - col);
    if (pack_infos[pack->class_].element_bytes) {
        decode_float(pack, panel, r, col, n, dst);
        return;
    }
    assert(col % PACK_BLOCK == 0 && n % PACK_BLOCK == 0);
    if (pack->class_ == PACK_4)
        decode_blocks(PACK_4, pack, panel, r, col, n, dst);
    else if (pack->class_ == PACK_8)
        decode_blocks(PACK_8, pack, panel, r, col, n, dst);
    else if (pack->class_ == PACK_4K)
        decode_blocks(PACK_4K, pack, panel, r, col, n, dst);
    else if (pack->class_ == PACK_6K)
        decode_blocks(PACK_6K, pack, panel, r, col, n, dst);
    else
        decode_blocks(pack->class_, pack, panel, r, col, n, dst);
}
