/* avx2.c - the AVX2 tier (with FMA and F16C): int8 products by vpmaddubsw.
 *
 *   vpmaddubsw  p, u, s     p[i] = u[2i] * s[2i] + u[2i+1] * s[2i+1]     unsigned x signed bytes, saturating int16
 *
 * Pairs stay in int16 as long as no sum can leave it, and only then widen: with activations of at most 127 in size and
 * codes of b bits a pair is at most 2 * (2^b - 1) * 127, so int16 holds
 *
 *   4 bits: 3810, eight quads     5 bits: 7874, four     6 bits: 16002, two     8 bits: 2 * 128 * 127 = 32512, one
 *
 * where signed 8-bit codes enter as |code| with the sign moved to the activation. Everything else is x86_ymm.h. */
#define SIGNED_CODES       1
#define YMM_TOKENS(class_) ((class_) == PACK_8 ? 2 : 4) /* measured: signs and magnitudes need registers too */
#include "x86_ymm.h"
#include "avx2.h"

/* Quads whose pairs an int16 can sum. */
INLINE int quads_in_int16(enum pack_class class_)
{
    switch (class_) {
    case PACK_8:
        return 1;
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

/* The pairs of quad j of one token, half h of the rows. */
INLINE __m256i pairs(struct operand block, int j, int h, __m256i quad)
{
    __m256i codes = codes_at(block, j, h);

    if (block.class_ == PACK_8)
        return _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(quad, codes));
    return _mm256_maddubs_epi16(codes, quad);
}

/* The empty statement keeps additions in the order written: gcc would turn a chain of them into a tree whose leaves do
 * not fit into the registers. */
INLINE __m256i in_order(__m256i sum)
{
    __asm__("" : "+x"(sum));
    return sum;
}

INLINE void widen_add(__m256i *sum, __m256i pair)
{
    *sum = in_order(_mm256_add_epi32(*sum, _mm256_madd_epi16(pair, _mm256_set1_epi16(1))));
}

/* Quads [first, first + n) whose pairs one int16 holds. */
INLINE void dot_pairs(__m256i (*sum)[2], struct operand block, struct tokens x, int first, int n)
{
    __m256i pair[TILE_TOKENS][2], quad;
    int j;

    EACH4(t, x.T, quad = broadcast_int(q_of(x, t) + 4 * first); pair[t][0] = pairs(block, first, 0, quad);
          pair[t][1] = pairs(block, first, 1, quad));
    for (j = first + 1; j < first + n; j++)
        EACH4(t, x.T, quad = broadcast_int(q_of(x, t) + 4 * j);
              pair[t][0] = in_order(_mm256_add_epi16(pair[t][0], pairs(block, j, 0, quad)));
              pair[t][1] = in_order(_mm256_add_epi16(pair[t][1], pairs(block, j, 1, quad))));
    EACH4(t, x.T, widen_add(&sum[t][0], pair[t][0]); widen_add(&sum[t][1], pair[t][1]));
}

/* The same for one quad, token after token, so that no pair waits in a register. */
INLINE void dot_single(__m256i (*sum)[2], struct operand block, struct tokens x, int j)
{
    __m256i quad;

    EACH4(t, x.T, quad = broadcast_int(q_of(x, t) + 4 * j); widen_add(&sum[t][0], pairs(block, j, 0, quad));
          widen_add(&sum[t][1], pairs(block, j, 1, quad)));
}

INLINE void dot_quads(__m256i (*sum)[2], struct operand block, struct tokens x, int first, int n)
{
    const int most = quads_in_int16(block.class_), step = most < n ? most : n;
    int j;

    for (j = first; j < first + n; j += step)
        if (step == 1)
            dot_single(sum, block, x, j);
        else
            dot_pairs(sum, block, x, j, step);
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
