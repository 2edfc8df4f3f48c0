/* avx2_f.c - float products in ymm registers, for the AVX2 and AVX-VNNI tiers; the loops are in x86_gemm.h.
 *
 * A tile of 6 rows x 2 vectors keeps twelve sums in registers; one or two rows take more vectors, to hide the latency
 * of fma. The last vector of a strip is masked. */
#include <immintrin.h>
#include "avx2.h"
#include "each.h"
#include "x86_gemm.h"

#define INLINE static inline __attribute__((always_inline))

#define LANES 8

INLINE __m256i first_lanes(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* Vector v of `vecs`; the mask, if there is one, belongs to the last. */
INLINE __m256 load(const float *p, int v, int vecs, int masked, __m256i last)
{
    return masked && v == vecs - 1 ? _mm256_maskload_ps(p + LANES * v, last) : _mm256_loadu_ps(p + LANES * v);
}

INLINE void store(float *p, int v, int vecs, int masked, __m256i last, __m256 value)
{
    if (masked && v == vecs - 1)
        _mm256_maskstore_ps(p + LANES * v, last, value);
    else
        _mm256_storeu_ps(p + LANES * v, value);
}

INLINE void float_tile(int rows, int vecs, int masked, struct float_tile t)
{
    const __m256i last = first_lanes(t.last);
    __m256 sum[FLOAT_ROWS][FLOAT_VECS], b[FLOAT_VECS], a;
    size_t p;

    EACH(i, rows, EACH(v, vecs, sum[i][v] = _mm256_setzero_ps()));
    if (t.accumulate)
        EACH(i, rows, EACH(v, vecs, sum[i][v] = load(t.c + i * t.c_row, v, vecs, masked, last)));
    for (p = 0; p < t.k; p++, t.a += t.a_col, t.b += t.b_row) {
        EACH(v, vecs, b[v] = load(t.b, v, vecs, masked, last));
        EACH(i, rows, a = _mm256_set1_ps(t.a[i * t.a_row]);
             EACH(v, vecs, sum[i][v] = _mm256_fmadd_ps(a, b[v], sum[i][v])));
    }
    EACH(i, rows, EACH(v, vecs, store(t.c + i * t.c_row, v, vecs, masked, last, sum[i][v])));
}

#define TILE(vecs, rows)                                                                                               \
    static void tile_##vecs##_##rows(const struct float_tile *tile)                                                    \
    {                                                                                                                  \
        if (tile->last == LANES) /* masked stores are slow on some processors */                                       \
            float_tile(rows, vecs, 0, *tile);                                                                          \
        else                                                                                                           \
            float_tile(rows, vecs, 1, *tile);                                                                          \
    }
#define TILES_2(vecs) TILE(vecs, 1) TILE(vecs, 2)
#define TILES_6(vecs) TILES_2(vecs) TILE(vecs, 3) TILE(vecs, 4) TILE(vecs, 5) TILE(vecs, 6)
#define NAMES_2(v)    NULL, tile_##v##_1, tile_##v##_2
#define NAMES_6(v)    NAMES_2(v), tile_##v##_3, tile_##v##_4, tile_##v##_5, tile_##v##_6

TILES_6(1)
TILE(1, 7)
TILE(1, 8)
TILES_6(2)
TILES_2(3)
TILES_2(4)
TILE(5, 1)
TILE(6, 1)
TILE(7, 1)
TILE(8, 1)

static const struct float_tiles tiles = {
    .lanes = LANES,
    .vecs = {8, 4, 2},
    .rows = {0, 8, 6, 2, 2, 1, 1, 1, 1},
    .tile = {{NULL},
             {NAMES_6(1), tile_1_7, tile_1_8},
             {NAMES_6(2)},
             {NAMES_2(3)},
             {NAMES_2(4)},
             {NULL, tile_5_1},
             {NULL, tile_6_1},
             {NULL, tile_7_1},
             {NULL, tile_8_1}},
};

void avx2_gemm_f32(float *c, size_t c_row, const float *a, size_t a_row, size_t a_col, const float *b, size_t b_row,
                   size_t m, size_t n, size_t k, int accumulate)
{
    gemm_tiles(&tiles, c, c_row, a, a_row, a_col, b, b_row, m, n, k, accumulate);
}

static void widen_f32(float *to, size_t width, const uint8_t *from, size_t k)
{
    size_t i;

    for (i = 0; i < k; i++, to += width) {
        __builtin_prefetch(from + 64 * (k + i));
        EACH(h, 2,
             _mm256_store_ps(to + 8 * h, _mm256_castsi256_ps(_mm256_load_si256((const __m256i *)from + 2 * i + h))));
    }
}

static void widen_f16(float *to, size_t width, const uint8_t *from, size_t k)
{
    size_t i;

    for (i = 0; i < k; i++, to += width) {
        __builtin_prefetch(from + 32 * (k + i));
        EACH(h, 2, _mm256_store_ps(to + 8 * h, _mm256_cvtph_ps(_mm_load_si128((const __m128i *)from + 2 * i + h))));
    }
}

static void widen_bf16(float *to, size_t width, const uint8_t *from, size_t k)
{
    size_t i;

    for (i = 0; i < k; i++, to += width) {
        __builtin_prefetch(from + 32 * (k + i));
        EACH(h, 2, __m256i wide = _mm256_cvtepu16_epi32(_mm_load_si128((const __m128i *)from + 2 * i + h));
             _mm256_store_ps(to + 8 * h, _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16))));
    }
}

#define MATMUL(name, bytes)                                                                                            \
    void avx2_matmul_##name(float *y, size_t y_stride, const struct pack *w, size_t panel, size_t n_panels,            \
                            const float *x, size_t x_stride, size_t n_tokens)                                          \
    {                                                                                                                  \
        matmul_tiles(&tiles, y, y_stride, w, panel, n_panels, x, x_stride, n_tokens, bytes, widen_##name);             \
    }

MATMUL(f32, 4)
MATMUL(f16, 2)
MATMUL(bf16, 2)

uint64_t avx2_peak_f32(uint64_t iterations)
{
    __m256 sum[12], a = _mm256_set1_ps(3), b = _mm256_set1_ps(5);
    uint64_t n;

    EACH12(i, 12, sum[i] = _mm256_setzero_ps());
    for (n = 0; n < iterations; n++)
        EACH12(i, 12, __asm__ volatile("vfmadd231ps %2, %1, %0" : "+x"(sum[i]) : "x"(a), "x"(b)));
    return iterations * 12 * 8 * 2;
}
