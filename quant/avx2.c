/* avx2.c - the AVX2 tier (with FMA and F16C): int8 products by vpmaddubsw.
 *
 *   vpmaddubsw  p, u, s     p[i] = u[2i] * s[2i] + u[2i+1] * s[2i+1]     unsigned x signed bytes, saturating int16
 *
 * Pairs stay in int16 as long as no sum can leave it, and only then widen: with activations of at most 127 in size and
 * codes of b bits a pair is at most 2 * (2^b - 1) * 127, so int16 holds
 *
 *   4 bits: 3810, eight quads     5 bits: 7874, four     6 bits: 16002, two     8 bits: 2 * 128 * 127 = 32512, one
 *
 * where signed 8-bit codes enter as |code| with the sign moved to the activation. (Opening them to int16 for vpmaddwd,
 * or keeping |code| in the opened block, gained nothing on a Zen 3.) Everything else is x86_ymm.h. */
#define SIGNED_CODES       1
#define WEIGH_INTEGERS     1
#define ADD_HALVES         add_pairs
#define YMM_TOKENS(class_) ((class_) == PACK_8 ? 2 : 4) /* measured: signs and magnitudes need registers too */
#include "x86_ymm.h"
#include "avx2.h"

/* Quads whose pairs an int16 can sum. */
INLINE int quads_in_int16(enum pack_class class_)
{
    switch (class_) {
    case PACK_6K:
        return 2;
    case PACK_5:
    case PACK_51:
    case PACK_5K:
        return 4;
    default:
        return 8;
    }
}

/* The empty statement keeps additions in the order written: gcc would turn a chain of them into a tree whose leaves do
 * not fit into the registers. */
INLINE __m256i in_order(__m256i sum)
{
    __asm__("" : "+x"(sum));
    return sum;
}

/* What widens a pair of int16 sums multiplies them too: by 1, or by the scales of a half-block's rows. */
struct weights {
    __m256i of[2];
};

INLINE struct weights no_weights(void)
{
    return (struct weights){{_mm256_set1_epi16(1), _mm256_set1_epi16(1)}};
}

INLINE __m256i pair_at(const struct opened_block *w, int i, int h)
{
    return _mm256_load_si256((const __m256i *)(w->scale[i] + 8 * h));
}

INLINE void widen_add(__m256i *sum, __m256i pair, __m256i weight)
{
    *sum = in_order(_mm256_add_epi32(*sum, _mm256_madd_epi16(pair, weight)));
}

/* Quads [first, first + n) whose pairs one int16 holds. */
INLINE void dot_pairs(__m256i (*sum)[2], struct operand block, struct tokens x, int first, int n,
                      struct weights weights)
{
    __m256i pair[TILE_TOKENS][2], quad;
    int j;

    EACH4(t, x.T, quad = broadcast_int(q_of(x, t) + 4 * first);
          pair[t][0] = _mm256_maddubs_epi16(codes_at(block, first, 0), quad);
          pair[t][1] = _mm256_maddubs_epi16(codes_at(block, first, 1), quad));
    for (j = first + 1; j < first + n; j++)
        EACH4(t, x.T, quad = broadcast_int(q_of(x, t) + 4 * j);
              pair[t][0] = in_order(_mm256_add_epi16(pair[t][0], _mm256_maddubs_epi16(codes_at(block, j, 0), quad)));
              pair[t][1] = in_order(_mm256_add_epi16(pair[t][1], _mm256_maddubs_epi16(codes_at(block, j, 1), quad))));
    EACH4(t, x.T, widen_add(&sum[t][0], pair[t][0], weights.of[0]); widen_add(&sum[t][1], pair[t][1], weights.of[1]));
}

INLINE void dot_weighted(__m256i (*sum)[2], struct operand block, struct tokens x, int first, int n,
                         struct weights weights)
{
    const int most = quads_in_int16(block.class_), step = most < n ? most : n;
    int j;

    for (j = first; j < first + n; j += step)
        dot_pairs(sum, block, x, j, step, weights);
}

/* One quad of signed bytes, whose pairs an int16 cannot sum. */
INLINE void dot_signed(__m256i (*sum)[2], struct operand block, struct tokens x, int j)
{
    const __m256i low = codes_at(block, j, 0), high = codes_at(block, j, 1);
    const __m256i low_size = _mm256_abs_epi8(low), high_size = _mm256_abs_epi8(high);
    const struct weights one = no_weights();
    __m256i quad;

    EACH4(t, x.T, quad = broadcast_int(q_of(x, t) + 4 * j);
          widen_add(&sum[t][0], _mm256_maddubs_epi16(low_size, _mm256_sign_epi8(quad, low)), one.of[0]);
          widen_add(&sum[t][1], _mm256_maddubs_epi16(high_size, _mm256_sign_epi8(quad, high)), one.of[1]));
}

INLINE void dot_quads(__m256i (*sum)[2], struct operand block, struct tokens x, int first, int n)
{
    int j;

    if (block.class_ != PACK_8) {
        dot_weighted(sum, block, x, first, n, no_weights());
        return;
    }
    for (j = first; j < first + n; j++)
        dot_signed(sum, block, x, j);
}

/* The block's whole integer sum sc0 * sum0 + sc1 * sum1, exactly: each half's pairs are widened by its scales, and a
 * third product of pairs takes the offset of 6K away, (-32 sc0, -32 sc1) . (S0, S1). */
INLINE void add_pairs(__m256 (*acc)[2], struct operand block, struct tokens x, int has_min)
{
    const struct opened_block *w = block.w;
    __m256i sum[TILE_TOKENS][2];

    EACH4(t, x.T,
          EACH4(h, 2,
                sum[t][h] =
                    has_min ? _mm256_setzero_si256() : _mm256_madd_epi16(pair_at(w, 3, h), broadcast_int(b_of(x, t)))));
    dot_weighted(sum, block, x, 0, 4, (struct weights){{pair_at(w, 1, 0), pair_at(w, 1, 1)}});
    dot_weighted(sum, block, x, 4, 4, (struct weights){{pair_at(w, 2, 0), pair_at(w, 2, 1)}});
    EACH4(t, x.T, EACH4(h, 2, add_scaled(&acc[t][h], w, a_of(x, t), _mm256_cvtepi32_ps(sum[t][h]), h)));
    if (has_min)
        EACH4(t, x.T,
              EACH4(h, 2, __m256i min = _mm256_madd_epi16(pair_at(w, 4, h), broadcast_int(b_of(x, t)));
                    acc[t][h] = _mm256_fmadd_ps(_mm256_mul_ps(scale_at(w, 3, h), broadcast(a_of(x, t))),
                                                _mm256_cvtepi32_ps(min), acc[t][h])));
}

/* The loop that the shares of this tier refer to: vpmaddubsw + vpmaddwd + vpaddd from registers alone. */
static uint64_t peak_int8(uint64_t iterations)
{
    __m256i sum[8], codes = _mm256_set1_epi8(3), q = _mm256_set1_epi8(5), ones = _mm256_set1_epi16(1), pair;
    uint64_t n;

    EACH(i, 8, sum[i] = _mm256_setzero_si256());
    for (n = 0; n < iterations; n++)
        EACH(i, 8,
             __asm__ volatile("vpmaddubsw %3, %2, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"
                              : "+x"(sum[i]), "=&x"(pair)
                              : "x"(codes), "x"(q), "x"(ones)));
    return iterations * 8 * 32 * 2;
}

extern const struct row_kernels rows_avx2;
extern const struct gradient_kernels gradients_avx2;
extern const struct kernels kernels_avx2;

const struct kernels kernels_avx2 = {
    .name = "avx2",
    .matmul_q = MATMUL_TABLE,
    .matmul_f = {[PACK_F32] = avx2_matmul_f32, [PACK_F16] = avx2_matmul_f16, [PACK_BF16] = avx2_matmul_bf16},
    .gemm_f32 = avx2_gemm_f32,
    .rows = &rows_avx2,
    .gradients = &gradients_avx2,
    .peak_int8 = peak_int8,
    .peak_f32 = avx2_peak_f32,
};
