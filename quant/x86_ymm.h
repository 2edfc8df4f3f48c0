/* x86_ymm.h - tiles and openers in ymm registers: all of the AVX2 and AVX-VNNI tiers but the dot product itself.
 *
 * Sixteen output rows are two ymm registers, h = 0 and 1. A tile holds the integer sums of its tokens, two registers
 * each, while the quads of a block run; f32 accumulators are touched once per block. The including file defines
 *
 *   SIGNED_CODES         1: dot_quads takes signed 8-bit codes as they are; 0: with the top bit flipped
 *   YMM_TOKENS(class)    tokens of a tile, at most 4
 *   WEIGH_INTEGERS       1: 6K and 2K are of the form PAIRS
 *   ADD_HALVES           add_halves, or the function of the including file that takes its place
 *   dot_quads(sum, block, x, first, n)
 *       sum[t][h] += quads [first, first + n) of token t of x
 *
 * macros and an inline function rather than data and a pointer, because a tile must be one straight run of
 * instructions. The loops around the tiles are in x86_tile.h. */
#ifndef ARKLET_QUANT_X86_YMM_H
#define ARKLET_QUANT_X86_YMM_H

#include <immintrin.h>
#include "each.h"
#include "x86_tile.h"

#define INLINE static inline __attribute__((always_inline))

/* A block as the tile meets it: its scales opened, its codes opened too or still packed. */
struct operand {
    enum pack_class class_;
    int is_packed;
    const struct opened_block *w;
    const uint8_t *codes; /* when packed */
};

/* The operands of a tile's T tokens in one block: a record of x86_tile.h, moved on to the block. */
struct tokens {
    int T;
    const uint8_t *q, *a;
};

INLINE struct tokens tokens_at(const uint8_t *record, int T, size_t i)
{
    return (struct tokens){T, record + 32 * i, record + (size_t)T * CHUNK_Q + 4 * i};
}

INLINE const uint8_t *q_of(struct tokens x, int t)
{
    return x.q + CHUNK_Q * t;
}

INLINE const uint8_t *a_of(struct tokens x, int t)
{
    return x.a + CHUNK_WORDS * t;
}

INLINE const uint8_t *b_of(struct tokens x, int t)
{
    return x.a + CHUNK_WORDS * (x.T + t);
}

INLINE const uint8_t *c_of(struct tokens x, int t)
{
    return x.a + CHUNK_WORDS * (2 * x.T + t);
}

INLINE void dot_quads(__m256i (*sum)[2], struct operand block, struct tokens x, int first, int n);
INLINE void ADD_HALVES(__m256 (*acc)[2], struct operand block, struct tokens x, int has_min);

INLINE __m256i broadcast_int(const uint8_t *p)
{
    int32_t value;

    memcpy(&value, p, sizeof value);
    return _mm256_set1_epi32(value);
}

INLINE __m256 broadcast(const uint8_t *p)
{
    float value;

    memcpy(&value, p, sizeof value);
    return _mm256_set1_ps(value);
}

INLINE __m256 scale_at(const struct opened_block *w, int i, int h)
{
    return _mm256_load_ps(w->scale[i] + 8 * h);
}

/* ---- opening ---- */

/* Left by n bits, right by -n. */
INLINE __m256i shifted(__m256i v, int n)
{
    return n > 0 ? _mm256_slli_epi16(v, n) : _mm256_srli_epi16(v, -n);
}

INLINE __m256i masked(__m256i v, int mask)
{
    return _mm256_and_si256(v, _mm256_set1_epi8((char)mask));
}

/* The codes of quad j, half h: the low field, then what the class adds above it (pack.h). */
INLINE __m256i open_quad(enum pack_class class_, const __m256i *in, int j, int h)
{
    __m256i low;

    if (class_ == PACK_8)
        return SIGNED_CODES ? in[2 * j + h] : _mm256_xor_si256(in[2 * j + h], _mm256_set1_epi8(-128));
    if (class_ == PACK_2K)
        return masked(shifted(in[2 * (j / 4) + h], -2 * (j % 4)), 3);
    low = masked(shifted(in[2 * (j % 4) + h], j < 4 ? 0 : -4), 15);
    if (class_ == PACK_5 || class_ == PACK_51 || class_ == PACK_5K)
        return _mm256_or_si256(low, masked(shifted(in[8 + h], 4 - j), 16));
    if (class_ == PACK_6K)
        return _mm256_or_si256(low, masked(shifted(in[8 + 2 * (j / 4) + h], 4 - 2 * (j % 4)), 48));
    return low;
}

INLINE __m256i codes_at(struct operand block, int j, int h)
{
    if (block.is_packed)
        return open_quad(block.class_, (const __m256i *)block.codes, j, h);
    return _mm256_load_si256((const __m256i *)(block.w->code[j] + 32 * h));
}

INLINE __m256 halves(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

INLINE __m256 unsigned_bytes(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}

INLINE __m256 signed_bytes(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}

INLINE __m256 negative(__m256 v)
{
    return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f));
}

INLINE void set_scale(struct opened_block *out, int i, int h, __m256 v)
{
    _mm256_store_ps(out->scale[i] + 8 * h, v);
}

/* Two integers of 16 bits to a lane. */
INLINE void set_pair(struct opened_block *out, int i, int h, __m256i low, __m256i high)
{
    const __m256i pair = _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xaa);

    _mm256_store_ps(out->scale[i] + 8 * h, _mm256_castsi256_ps(pair));
}

INLINE __m256i times_minus_32(__m256i v)
{
    return _mm256_slli_epi32(_mm256_sub_epi32(_mm256_setzero_si256(), v), 5);
}

INLINE __m256i eight_bytes(const uint8_t *p, int is_signed)
{
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)p);

    return is_signed ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes);
}

/* What PAIRS keeps besides ws. */
INLINE void open_pairs(enum pack_class class_, struct opened_block *out, struct packed_block in, int h)
{
    const int is_signed = class_ == PACK_6K;
    const uint8_t *b = in.own + 8 * h;
    const __m256i sc0 = eight_bytes(b, is_signed), sc1 = eight_bytes(b + 16, is_signed);

    set_pair(out, 1, h, sc0, sc0);
    set_pair(out, 2, h, sc1, sc1);
    if (class_ == PACK_6K) {
        set_pair(out, 3, h, times_minus_32(sc0), times_minus_32(sc1));
    } else {
        set_scale(out, 3, h, negative(halves(in.super + 32 + 16 * h)));
        set_pair(out, 4, h, eight_bytes(b + 32, 0), eight_bytes(b + 48, 0));
    }
}

/* Rows 8h..8h+7; the bytes are drawn in pack.h. */
INLINE void open_scales_half(enum pack_class class_, struct opened_block *out, struct packed_block in, int h)
{
    const uint8_t *d = in.super + 16 * h, *m = in.super + 32 + 16 * h, *b = in.own + 8 * h;

    switch (class_) {
    case PACK_41:
    case PACK_51:
        set_scale(out, 1, h, halves(m));
        break;
    case PACK_4K:
    case PACK_5K:
        set_scale(out, 0, h, _mm256_mul_ps(halves(d), unsigned_bytes(b)));
        set_scale(out, 1, h, negative(_mm256_mul_ps(halves(m), unsigned_bytes(b + 16))));
        return;
    case PACK_6K:
        if (WEIGH_INTEGERS) {
            open_pairs(class_, out, in, h);
            break;
        }
        set_scale(out, 1, h, signed_bytes(b));
        set_scale(out, 2, h, signed_bytes(b + 16));
        break;
    case PACK_2K:
        if (WEIGH_INTEGERS) {
            open_pairs(class_, out, in, h);
            break;
        }
        set_scale(out, 1, h, unsigned_bytes(b));
        set_scale(out, 2, h, unsigned_bytes(b + 16));
        set_scale(out, 3, h, negative(halves(m)));
        set_scale(out, 4, h, unsigned_bytes(b + 32));
        set_scale(out, 5, h, unsigned_bytes(b + 48));
        break;
    default:
        break;
    }
    set_scale(out, 0, h, halves(d));
}

INLINE void open_scales(enum pack_class class_, struct opened_block *out, struct packed_block in)
{
    open_scales_half(class_, out, in, 0);
    open_scales_half(class_, out, in, 1);
}

/* ---- tiles ---- */

/* ws * as * isum onto the accumulator, for half h of one token. */
INLINE void add_scaled(__m256 *acc, const struct opened_block *w, const uint8_t *a, __m256 isum, int h)
{
    *acc = _mm256_fmadd_ps(_mm256_mul_ps(scale_at(w, 0, h), broadcast(a)), isum, *acc);
}

/* The start values of PLAIN: signed codes have no offset. */
INLINE __m256i start_at(struct operand block, const uint8_t *b)
{
    return SIGNED_CODES && block.class_ == PACK_8 ? _mm256_setzero_si256() : broadcast_int(b);
}

INLINE void add_block(__m256 (*acc)[2], struct operand block, struct tokens x, int has_min)
{
    const struct opened_block *w = block.w;
    __m256i sum[TILE_TOKENS][2];

    EACH4(t, x.T, sum[t][0] = sum[t][1] = has_min ? _mm256_setzero_si256() : start_at(block, b_of(x, t)));
    dot_quads(sum, block, x, 0, 8);
    EACH4(t, x.T, add_scaled(&acc[t][0], w, a_of(x, t), _mm256_cvtepi32_ps(sum[t][0]), 0);
          add_scaled(&acc[t][1], w, a_of(x, t), _mm256_cvtepi32_ps(sum[t][1]), 1));
    if (has_min)
        EACH4(t, x.T, acc[t][0] = _mm256_fmadd_ps(scale_at(w, 1, 0), broadcast(b_of(x, t)), acc[t][0]);
              acc[t][1] = _mm256_fmadd_ps(scale_at(w, 1, 1), broadcast(b_of(x, t)), acc[t][1]));
}

/* scale[i] * s0 + scale[i + 1] * s1: integers below 2^24, so exact. */
INLINE __m256 weigh(const struct opened_block *w, int i, int h, __m256 s0, __m256 s1)
{
    return _mm256_fmadd_ps(scale_at(w, i, h), s0, _mm256_mul_ps(scale_at(w, i + 1, h), s1));
}

/* With has_min PACK_2K, else PACK_6K. */
INLINE void add_halves(__m256 (*acc)[2], struct operand block, struct tokens x, int has_min)
{
    const struct opened_block *w = block.w;
    __m256i sum0[TILE_TOKENS][2], sum1[TILE_TOKENS][2];
    __m256 min, wm;

    EACH4(t, x.T, sum0[t][0] = sum0[t][1] = has_min ? _mm256_setzero_si256() : broadcast_int(b_of(x, t)));
    dot_quads(sum0, block, x, 0, 4);
    EACH4(t, x.T, sum1[t][0] = sum1[t][1] = has_min ? _mm256_setzero_si256() : broadcast_int(c_of(x, t)));
    dot_quads(sum1, block, x, 4, 4);
    EACH4(t, x.T,
          EACH4(
              h, 2,
              add_scaled(&acc[t][h], w, a_of(x, t),
                         weigh(w, 1, h, _mm256_cvtepi32_ps(sum0[t][h]), _mm256_cvtepi32_ps(sum1[t][h])), h);
              if (has_min) {
                  min = weigh(w, 4, h, broadcast(b_of(x, t)), broadcast(c_of(x, t)));
                  wm = _mm256_mul_ps(scale_at(w, 3, h), broadcast(a_of(x, t)));
                  acc[t][h] = _mm256_fmadd_ps(wm, min, acc[t][h]);
              }));
}

INLINE void add_operand(__m256 (*acc)[2], struct operand block, struct tokens x)
{
    const enum tile_form form = form_of(block.class_);

    if (form == FORM_HALVES || form == FORM_HALVES_MIN)
        ADD_HALVES(acc, block, x, form == FORM_HALVES_MIN);
    else
        add_block(acc, block, x, form == FORM_MIN);
}

/* A masked load of no lanes is the zero that sums begin with. */
INLINE void load_sums(__m256 (*acc)[2], int T, const float *y, size_t y_stride, int begin)
{
    const __m256i known = _mm256_set1_epi32(begin ? 0 : -1);

    EACH4(t, T, acc[t][0] = _mm256_maskload_ps(y + t * y_stride, known);
          acc[t][1] = _mm256_maskload_ps(y + t * y_stride + 8, known));
}

INLINE void store_sums(__m256 (*acc)[2], int T, float *y, size_t y_stride)
{
    EACH4(t, T, _mm256_storeu_ps(y + t * y_stride, acc[t][0]); _mm256_storeu_ps(y + t * y_stride + 8, acc[t][1]));
}

/* class_ stands for all classes of its form and width. */
INLINE void tile(enum pack_class class_, int T, float *y, size_t y_stride, const struct opened_block *w,
                 size_t n_blocks, const uint8_t *record, int begin)
{
    __m256 acc[TILE_TOKENS][2];
    size_t i;

    load_sums(acc, T, y, y_stride, begin);
    for (i = 0; i < n_blocks; i++)
        add_operand(acc, (struct operand){class_, 0, &w[i], NULL}, tokens_at(record, T, i));
    store_sums(acc, T, y, y_stride);
}

/* The blocks [first, first + n) of the run, all of one chunk. */
INLINE void packed_chunk(enum pack_class class_, struct packed_bytes bytes, int T, __m256 (*acc)[2],
                         const struct packed_run *run, size_t first, size_t n, const uint8_t *record)
{
    size_t i;

    for (i = 0; i < n; i++) {
        const struct packed_block in = packed_block(run, bytes, first + i);
        struct opened_block scales; /* only they are opened here; they stay in registers */

        open_scales(class_, &scales, in);
        add_operand(acc, (struct operand){class_, 1, &scales, in.codes}, tokens_at(record, T, i));
    }
}

INLINE void packed_tile(enum pack_class class_, struct packed_bytes bytes, int T, float *y, size_t y_stride,
                        const struct packed_run *run, const uint8_t *record, int begin)
{
    __m256 acc[TILE_TOKENS][2];
    size_t i;

    load_sums(acc, T, y, y_stride, begin);
    for (i = 0; i < run->n; i += CHUNK_BLOCKS, record += (size_t)T * CHUNK_BYTES)
        packed_chunk(class_, bytes, T, acc, run, i, run->n - i < CHUNK_BLOCKS ? run->n - i : CHUNK_BLOCKS, record);
    store_sums(acc, T, y, y_stride);
}

INLINE void open_run(enum pack_class class_, struct packed_bytes bytes, struct opened_block *out,
                     const struct packed_run *run)
{
    size_t i;

    for (i = 0; i < run->n; i++) {
        const struct packed_block in = packed_block(run, bytes, i);
        const __m256i *codes = (const __m256i *)in.codes;
        __m256i *to = (__m256i *)out[i].code;

        EACH(j, 8, _mm256_store_si256(to + 2 * j, open_quad(class_, codes, j, 0));
             _mm256_store_si256(to + 2 * j + 1, open_quad(class_, codes, j, 1)));
        open_scales(class_, &out[i], in);
    }
}

#define TILE(class_, T)                                                                                                \
    static void tile_##class_##_##T(float *y, size_t y_stride, const struct opened_block *w, size_t n_blocks,          \
                                    const uint8_t *record, int begin)                                                  \
    {                                                                                                                  \
        tile(PACK_##class_, T, y, y_stride, w, n_blocks, record, begin);                                               \
    }
#define TILES(class_)                                                                                                  \
    TILE(class_, 1)                                                                                                    \
    TILE(class_, 2)                                                                                                    \
    TILE(class_, 3)                                                                                                    \
    TILE(class_, 4)                                                                                                    \
    static tile_kernel *const tiles_##class_[] = {tile_##class_##_1, tile_##class_##_2, tile_##class_##_3,             \
                                                  tile_##class_##_4};

TILES(8)
TILES(4)
TILES(5)
TILES(41)
TILES(51)
TILES(6K)
TILES(2K)

#define PACKED_TILE(class_, T)                                                                                         \
    static void packed_##class_##_##T(float *y, size_t y_stride, const struct packed_run *run, const uint8_t *record,  \
                                      int begin)                                                                       \
    {                                                                                                                  \
        packed_tile(PACK_##class_, (struct packed_bytes)PACKED_##class_, T, y, y_stride, run, record, begin);          \
    }
/* The product of one class; `like` names the class whose tiles serve its form and width. */
#define PRODUCT(class_, form, like, start)                                                                             \
    static void open_##class_(struct opened_block *out, const struct packed_run *run)                                  \
    {                                                                                                                  \
        open_run(PACK_##class_, (struct packed_bytes)PACKED_##class_, out, run);                                       \
    }                                                                                                                  \
    PACKED_TILE(class_, 1)                                                                                             \
    PACKED_TILE(class_, 2)                                                                                             \
    static packed_kernel *const packed_##class_[] = {packed_##class_##_1, packed_##class_##_2};                        \
    static const struct tile_set set_##class_ = {                                                                      \
        form, 0, open_##class_, YMM_TOKENS(PACK_##class_), 2, tiles_##like, packed_##class_};                          \
    TILE_MATMUL(class_, set_##class_, start)

PRODUCT(8, FORM_PLAIN, 8, x->neg128)
PRODUCT(4, FORM_PLAIN, 4, x->neg8)
PRODUCT(5, FORM_PLAIN, 5, x->neg16)
PRODUCT(41, FORM_MIN, 41, NULL)
PRODUCT(51, FORM_MIN, 51, NULL)
PRODUCT(4K, FORM_MIN, 41, NULL)
PRODUCT(5K, FORM_MIN, 51, NULL)
PRODUCT(6K, WEIGH_INTEGERS ? FORM_PAIRS : FORM_HALVES, 6K, NULL)
PRODUCT(2K, WEIGH_INTEGERS ? FORM_PAIRS : FORM_HALVES_MIN, 2K, NULL)

#endif
