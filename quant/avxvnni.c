/* avxvnni.c - the AVX-VNNI tier: laptops that have vpdpbusd in ymm registers and no AVX-512.
 *
 * All but the dot product is the AVX2 tier's (x86_ymm.h); float products, row kernels and gradients are its very own.
 */
#define SIGNED_CODES       0
#define WEIGH_INTEGERS     0
#define ADD_HALVES         add_halves
#define YMM_TOKENS(class_) 4
#include "x86_ymm.h"
#include "avx2.h"

INLINE void add_quad(__m256i *sum, struct operand block, const uint8_t *q, int j)
{
    __m256i quad = broadcast_int(q + 4 * j);

    sum[0] = _mm256_dpbusd_avx_epi32(sum[0], codes_at(block, j, 0), quad);
    sum[1] = _mm256_dpbusd_avx_epi32(sum[1], codes_at(block, j, 1), quad);
}

/* One token has only two sums, so its quads take turns between two pairs, to hide the latency; n is even. */
INLINE void dot_quads(__m256i (*sum)[2], struct operand block, struct tokens x, int first, int n)
{
    __m256i other[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    int j;

    if (x.T > 1) {
        for (j = first; j < first + n; j++)
            EACH4(t, x.T, add_quad(sum[t], block, q_of(x, t), j));
        return;
    }
    for (j = first; j < first + n; j += 2) {
        add_quad(sum[0], block, q_of(x, 0), j);
        add_quad(other, block, q_of(x, 0), j + 1);
    }
    sum[0][0] = _mm256_add_epi32(sum[0][0], other[0]);
    sum[0][1] = _mm256_add_epi32(sum[0][1], other[1]);
}

static uint64_t peak_int8(uint64_t iterations)
{
    __m256i sum[12], codes = _mm256_set1_epi8(3), q = _mm256_set1_epi8(5);
    uint64_t n;

    EACH12(i, 12, sum[i] = _mm256_setzero_si256());
    for (n = 0; n < iterations; n++)
        EACH12(i, 12, __asm__ volatile("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum[i]) : "x"(codes), "x"(q)));
    return iterations * 12 * 32 * 2;
}

extern const struct row_kernels rows_avx2;
extern const struct gradient_kernels gradients_avx2;
extern const struct kernels kernels_avxvnni;

const struct kernels kernels_avxvnni = {
    .name = "avxvnni",
    .matmul_q = MATMUL_TABLE,
    .matmul_f = {[PACK_F32] = avx2_matmul_f32, [PACK_F16] = avx2_matmul_f16, [PACK_BF16] = avx2_matmul_bf16},
    .gemm_f32 = avx2_gemm_f32,
    .rows = &rows_avx2,
    .gradients = &gradients_avx2,
    .peak_int8 = peak_int8,
    .peak_f32 = avx2_peak_f32,
};
