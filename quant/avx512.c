/* avx512.c - the AVX-512 VNNI tier: one zmm register = sixteen output rows.
 *
 *   vpdpbusd  s, w, q{1to16}      s[r] += w[4r..4r+3] . q[0..3]     unsigned codes of 16 rows x one quad of a token
 *
 * A tile holds eight tokens: eight integer sums of the block and eight f32 accumulators, all in registers; the quads of
 * the tokens are broadcast by the multiply itself, from memory. Codes come from the opened chunk (x86_tile.h) in the
 * first-level cache. Per token and block: 8 vpdpbusd, one load of the start value, convert, multiply, fma. The tokens
 * of a quad follow one another, so that eight independent sums hide the latency.
 *
 * Sums of a PACK_6K half stay below 2^17, so their start values carry the bits of the float 1.5 * 2^23: the sum then is
 * a float without conversion, and sc * sum = fma(sc, float, -sc * 1.5 * 2^23) is exact. */
#include <immintrin.h>
#include "avx512.h"
#include "each.h"
#include "x86_tile.h"

#define INLINE static inline __attribute__((always_inline))

#define HALF_BIAS_BITS 0x4b400000 /* 1.5 * 2^23 as f32 */
#define HALF_BIAS      12582912.0f

/* Inline assembly because compilers of our range load the broadcast into a register first, and plain 512-bit loads run
 * at half the rate of loads that belong to an operation (measured on Sapphire Rapids). */
INLINE __m512i dot4(__m512i sum, __m512i codes, const uint8_t *quad)
{
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(codes), "m"(*(const uint8_t(*)[4])quad));
    return sum;
}

INLINE __m512i broadcast_int(const uint8_t *p)
{
    int32_t value;

    memcpy(&value, p, sizeof value);
    return _mm512_set1_epi32(value);
}

INLINE __m512 broadcast(const uint8_t *p)
{
    float value;

    memcpy(&value, p, sizeof value);
    return _mm512_set1_ps(value);
}

/* ---- opening ---- */

INLINE __m512i low_nibbles(__m512i v)
{
    return _mm512_and_si512(v, _mm512_set1_epi8(15));
}

INLINE __m512i high_nibbles(__m512i v)
{
    return low_nibbles(_mm512_srli_epi16(v, 4));
}

/* Left by n bits, right by -n. */
INLINE __m512i shifted(__m512i v, int n)
{
    return n > 0 ? _mm512_slli_epi16(v, (unsigned)n) : _mm512_srli_epi16(v, (unsigned)-n);
}

/* a | (b & mask) */
INLINE __m512i or_masked(__m512i a, __m512i b, int mask)
{
    return _mm512_ternarylogic_epi32(a, b, _mm512_set1_epi8((char)mask), 0xf8);
}

/* The codes of quad j: the low field, then what the class adds above it (pack.h). */
INLINE __m512i open_quad(enum pack_class class_, const uint8_t *codes, int j)
{
    const __m512i *in = (const __m512i *)codes;
    __m512i low;

    if (class_ == PACK_8)
        return _mm512_xor_si512(in[j], _mm512_set1_epi8(-128));
    if (class_ == PACK_2K)
        return _mm512_and_si512(_mm512_srli_epi16(in[j / 4], (unsigned)(2 * (j % 4))), _mm512_set1_epi8(3));
    low = j < 4 ? low_nibbles(in[j % 4]) : high_nibbles(in[j % 4]);
    if (class_ == PACK_5 || class_ == PACK_51 || class_ == PACK_5K)
        return or_masked(low, shifted(in[4], 4 - j), 16);
    if (class_ == PACK_6K)
        return or_masked(low, shifted(in[4 + j / 4], 4 - 2 * (j % 4)), 48);
    return low;
}

INLINE __m512 halves(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

INLINE __m512 unsigned_bytes(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

INLINE __m512 signed_bytes(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

INLINE __m512 negative(__m512 v)
{
    return _mm512_xor_ps(v, _mm512_set1_ps(-0.0f));
}

/* super: f16 arrays of the super-block; own: bytes of the block (pack.h). */
INLINE void open_scales(enum pack_class class_, struct opened_block *out, struct packed_block in)
{
    const uint8_t *super = in.super, *own = in.own;
    __m512 d = halves(super);

    switch (class_) {
    case PACK_41:
    case PACK_51:
        _mm512_store_ps(out->scale[1], halves(super + 32));
        break;
    case PACK_4K:
    case PACK_5K:
        d = _mm512_mul_ps(d, unsigned_bytes(own));
        _mm512_store_ps(out->scale[1], negative(_mm512_mul_ps(halves(super + 32), unsigned_bytes(own + 16))));
        break;
    case PACK_6K:
        _mm512_store_ps(out->scale[1], signed_bytes(own));
        _mm512_store_ps(out->scale[2], signed_bytes(own + 16));
        break;
    case PACK_2K:
        _mm512_store_ps(out->scale[1], unsigned_bytes(own));
        _mm512_store_ps(out->scale[2], unsigned_bytes(own + 16));
        _mm512_store_ps(out->scale[3], negative(halves(super + 32)));
        _mm512_store_ps(out->scale[4], unsigned_bytes(own + 32));
        _mm512_store_ps(out->scale[5], unsigned_bytes(own + 48));
        break;
    default:
        break;
    }
    _mm512_store_ps(out->scale[0], d);
}

/* ---- tiles ---- */

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

INLINE __m512i codes_at(struct operand block, int j)
{
    return block.is_packed ? open_quad(block.class_, block.codes, j) : _mm512_load_si512(block.w->code[j]);
}

/* Sums of quads [first, first + n) of T tokens, begun at sum. */
INLINE void dot_quads(__m512i *sum, struct operand block, struct tokens x, int first, int n)
{
    __m512i codes;

    EACH(j, n, codes = codes_at(block, first + j);
         EACH(t, x.T, sum[t] = dot4(sum[t], codes, q_of(x, t) + 4 * (first + j))));
}

/* As dot_quads over the whole block. Few tokens do not hide the latency of one chain each, so they run two. */
INLINE void dot_block(__m512i *sum, struct operand block, struct tokens x)
{
    __m512i other[TILE_TOKENS];

    if (x.T > 3) {
        dot_quads(sum, block, x, 0, 8);
        return;
    }
    EACH(t, x.T, other[t] = _mm512_setzero_si512());
    dot_quads(sum, block, x, 0, 4);
    dot_quads(other, block, x, 4, 4);
    EACH(t, x.T, sum[t] = _mm512_add_epi32(sum[t], other[t]));
}

/* One block of PLAIN and MIN onto the accumulators; record as x86_tile.h draws it. */
INLINE void add_block(__m512 *acc, struct operand block, struct tokens x, int has_min)
{
    const struct opened_block *w = block.w;
    __m512 ws = _mm512_load_ps(w->scale[0]), wm = _mm512_load_ps(w->scale[has_min]);
    __m512i sum[TILE_TOKENS];

    EACH(t, x.T, sum[t] = has_min ? _mm512_setzero_si512() : broadcast_int(b_of(x, t)));
    dot_block(sum, block, x);
    EACH(t, x.T,
         acc[t] = _mm512_fmadd_ps(_mm512_mul_ps(ws, broadcast(a_of(x, t))), _mm512_cvtepi32_ps(sum[t]), acc[t]));
    if (has_min)
        EACH(t, x.T, acc[t] = _mm512_fmadd_ps(wm, broadcast(b_of(x, t)), acc[t]));
}

INLINE void add_halves(__m512 *acc, struct operand block, struct tokens x)
{
    const struct opened_block *w = block.w;
    __m512 ws = _mm512_load_ps(w->scale[0]), sc0 = _mm512_load_ps(w->scale[1]), sc1 = _mm512_load_ps(w->scale[2]);
    __m512 unbias0 = _mm512_mul_ps(sc0, _mm512_set1_ps(-HALF_BIAS));
    __m512 unbias1 = _mm512_mul_ps(sc1, _mm512_set1_ps(-HALF_BIAS));
    __m512i sum[TILE_TOKENS];
    __m512 isum[TILE_TOKENS];

    EACH(t, x.T, sum[t] = broadcast_int(b_of(x, t)));
    dot_quads(sum, block, x, 0, 4);
    EACH(t, x.T, isum[t] = _mm512_fmadd_ps(sc0, _mm512_castsi512_ps(sum[t]), unbias0));
    EACH(t, x.T, sum[t] = broadcast_int(c_of(x, t)));
    dot_quads(sum, block, x, 4, 4);
    EACH(t, x.T, isum[t] = _mm512_add_ps(isum[t], _mm512_fmadd_ps(sc1, _mm512_castsi512_ps(sum[t]), unbias1)));
    EACH(t, x.T, acc[t] = _mm512_fmadd_ps(_mm512_mul_ps(ws, broadcast(a_of(x, t))), isum[t], acc[t]));
}

/* m0 * s0 + m1 * s1: integers below 2^24, so exact. */
INLINE __m512 weigh_halves(const float *m0, __m512 s0, const float *m1, __m512 s1)
{
    return _mm512_fmadd_ps(_mm512_load_ps(m0), s0, _mm512_mul_ps(_mm512_load_ps(m1), s1));
}

INLINE void add_halves_min(__m512 *acc, struct operand block, struct tokens x)
{
    const struct opened_block *w = block.w;
    __m512i sum0[TILE_TOKENS], sum1[TILE_TOKENS];
    __m512 as, isum, min;

    EACH(t, x.T, sum0[t] = sum1[t] = _mm512_setzero_si512());
    dot_quads(sum0, block, x, 0, 4);
    dot_quads(sum1, block, x, 4, 4);
    EACH(t, x.T, as = broadcast(a_of(x, t));
         isum = weigh_halves(w->scale[1], _mm512_cvtepi32_ps(sum0[t]), w->scale[2], _mm512_cvtepi32_ps(sum1[t]));
         min = weigh_halves(w->scale[4], broadcast(b_of(x, t)), w->scale[5], broadcast(c_of(x, t)));
         acc[t] = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_load_ps(w->scale[0]), as), isum, acc[t]);
         acc[t] = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_load_ps(w->scale[3]), as), min, acc[t]));
}

INLINE void add_operand(__m512 *acc, struct operand block, struct tokens x)
{
    const enum tile_form form = form_of(block.class_);

    if (form == FORM_HALVES)
        add_halves(acc, block, x);
    else if (form == FORM_HALVES_MIN)
        add_halves_min(acc, block, x);
    else
        add_block(acc, block, x, form == FORM_MIN);
}

/* A masked load of no lanes is the zero that sums begin with. */
INLINE void load_sums(__m512 *acc, int T, const float *y, size_t y_stride, int begin)
{
    const __mmask16 known = begin ? 0 : 0xffff;

    EACH(t, T, acc[t] = _mm512_maskz_loadu_ps(known, y + t * y_stride));
}

INLINE void store_sums(const __m512 *acc, int T, float *y, size_t y_stride)
{
    EACH(t, T, _mm512_storeu_ps(y + t * y_stride, acc[t]));
}

/* class_ stands for all classes of its form. */
INLINE void tile(enum pack_class class_, int T, float *y, size_t y_stride, const struct opened_block *w,
                 size_t n_blocks, const uint8_t *record, int begin)
{
    __m512 acc[TILE_TOKENS];
    size_t i;

    load_sums(acc, T, y, y_stride, begin);
    for (i = 0; i < n_blocks; i++)
        add_operand(acc, (struct operand){class_, 0, &w[i], NULL}, tokens_at(record, T, i));
    store_sums(acc, T, y, y_stride);
}

/* The blocks [first, first + n) of the run, all of one chunk. */
INLINE void packed_chunk(enum pack_class class_, struct packed_bytes bytes, int T, __m512 *acc,
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
    __m512 acc[TILE_TOKENS];
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

        EACH(j, 8, _mm512_store_si512(out[i].code[j], open_quad(class_, in.codes, j)));
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
    TILE(class_, 5)                                                                                                    \
    TILE(class_, 6)                                                                                                    \
    TILE(class_, 7)                                                                                                    \
    TILE(class_, 8)                                                                                                    \
    static tile_kernel *const tiles_##class_[] = {tile_##class_##_1, tile_##class_##_2, tile_##class_##_3,             \
                                                  tile_##class_##_4, tile_##class_##_5, tile_##class_##_6,             \
                                                  tile_##class_##_7, tile_##class_##_8};

TILES(8)
TILES(41)
TILES(6K)
TILES(2K)

#define PACKED_TILE(class_, T)                                                                                         \
    static void packed_##class_##_##T(float *y, size_t y_stride, const struct packed_run *run, const uint8_t *record,  \
                                      int begin)                                                                       \
    {                                                                                                                  \
        packed_tile(PACK_##class_, (struct packed_bytes)PACKED_##class_, T, y, y_stride, run, record, begin);          \
    }
/* The product of one class; `like` names the class whose tiles serve its form. */
#define PRODUCT(class_, form, like, start)                                                                             \
    static void open_##class_(struct opened_block *out, const struct packed_run *run)                                  \
    {                                                                                                                  \
        open_run(PACK_##class_, (struct packed_bytes)PACKED_##class_, out, run);                                       \
    }                                                                                                                  \
    PACKED_TILE(class_, 1)                                                                                             \
    PACKED_TILE(class_, 2)                                                                                             \
    PACKED_TILE(class_, 3)                                                                                             \
    PACKED_TILE(class_, 4)                                                                                             \
    static packed_kernel *const packed_##class_[] = {packed_##class_##_1, packed_##class_##_2, packed_##class_##_3,    \
                                                     packed_##class_##_4};                                             \
    static const struct tile_set set_##class_ = {form, HALF_BIAS_BITS, open_##class_,  8,                              \
                                                 4,    tiles_##like,   packed_##class_};                               \
    TILE_MATMUL(class_, set_##class_, start)

PRODUCT(8, FORM_PLAIN, 8, x->neg128)
PRODUCT(4, FORM_PLAIN, 8, x->neg8)
PRODUCT(5, FORM_PLAIN, 8, x->neg16)
PRODUCT(41, FORM_MIN, 41, NULL)
PRODUCT(51, FORM_MIN, 41, NULL)
PRODUCT(4K, FORM_MIN, 41, NULL)
PRODUCT(5K, FORM_MIN, 41, NULL)
PRODUCT(6K, FORM_HALVES, 6K, NULL)
PRODUCT(2K, FORM_HALVES_MIN, 2K, NULL)

extern const struct row_kernels rows_avx512;
extern const struct gradient_kernels gradients_avx512;
extern const struct kernels kernels_avx512;

const struct kernels kernels_avx512 = {
    .name = "avx512",
    .matmul_q = MATMUL_TABLE,
    .matmul_f = {[PACK_F32] = avx512_matmul_f32, [PACK_F16] = avx512_matmul_f16, [PACK_BF16] = avx512_matmul_bf16},
    .gemm_f32 = avx512_gemm_f32,
    .rows = &rows_avx512,
    .gradients = &gradients_avx512,
    .peak_int8 = avx512_peak_int8,
    .peak_f32 = avx512_peak_f32,
};
