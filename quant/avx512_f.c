/* avx512_f.c - the AVX-512 tier's float products, and its peak loops.
 *
 * One zmm register holds sixteen columns of c; a tile of up to 6 rows x 4 vectors keeps 24 sums in registers, fed by
 * one broadcast per row and one load per vector and step. The loops around it are in x86_gemm.h. */
#include <immintrin.h>
#include "avx512.h"
#include "each.h"
#include "x86_gemm.h"

#define INLINE static inline __attribute__((always_inline))

#define LANES 16

/* Lanes of vector v of `vecs`: all, or those of the last one. */
INLINE __mmask16 lanes_of(int v, int vecs, __mmask16 last)
{
    return v == vecs - 1 ? last : (__mmask16)0xffff;
}

/* A masked load of no lanes is the zero that sums begin with. */
INLINE void float_tile(int rows, int vecs, struct float_tile t)
{
    const __mmask16 last = (__mmask16)((1u << t.last) - 1), known = t.accumulate ? 0xffff : 0;
    __m512 sum[FLOAT_ROWS][FLOAT_VECS], b[FLOAT_VECS], a;
    size_t p;

    EACH12(i, rows, float *c = t.c + i * t.c_row;
           EACH(v, vecs, sum[i][v] = _mm512_maskz_loadu_ps(lanes_of(v, vecs, last) & known, c + LANES * v)));
    for (p = 0; p < t.k; p++, t.a += t.a_col, t.b += t.b_row) {
        EACH(v, vecs, b[v] = _mm512_maskz_loadu_ps(lanes_of(v, vecs, last), t.b + LANES * v));
        EACH12(i, rows, a = _mm512_set1_ps(t.a[i * t.a_row]);
               EACH(v, vecs, sum[i][v] = _mm512_fmadd_ps(a, b[v], sum[i][v])));
    }
    EACH12(i, rows, float *c = t.c + i * t.c_row;
           EACH(v, vecs, _mm512_mask_storeu_ps(c + LANES * v, lanes_of(v, vecs, last), sum[i][v])));
}

#define TILE(vecs, rows)                                                                                               \
    static void tile_##vecs##_##rows(const struct float_tile *tile)                                                    \
    {                                                                                                                  \
        float_tile(rows, vecs, *tile);                                                                                 \
    }
#define TILES_6(vecs)  TILE(vecs, 1) TILE(vecs, 2) TILE(vecs, 3) TILE(vecs, 4) TILE(vecs, 5) TILE(vecs, 6)
#define TILES_8(vecs)  TILES_6(vecs) TILE(vecs, 7) TILE(vecs, 8)
#define TILES_12(vecs) TILES_8(vecs) TILE(vecs, 9) TILE(vecs, 10) TILE(vecs, 11) TILE(vecs, 12)
#define NAMES_6(v)     NULL, tile_##v##_1, tile_##v##_2, tile_##v##_3, tile_##v##_4, tile_##v##_5, tile_##v##_6
#define NAMES_8(v)     NAMES_6(v), tile_##v##_7, tile_##v##_8
#define NAMES_12(v)    NAMES_8(v), tile_##v##_9, tile_##v##_10, tile_##v##_11, tile_##v##_12

TILES_12(1)
TILES_12(2)
TILES_8(3)
TILES_6(4)
TILE(5, 1)
TILE(6, 1)
TILE(7, 1)
TILE(8, 1)

static const struct float_tiles tiles = {
    .lanes = LANES,
    .vecs = {8, 4, 4},
    .rows = {0, 12, 12, 8, 6, 1, 1, 1, 1},
    .tile = {{NULL},
             {NAMES_12(1)},
             {NAMES_12(2)},
             {NAMES_8(3)},
             {NAMES_6(4)},
             {NULL, tile_5_1},
             {NULL, tile_6_1},
             {NULL, tile_7_1},
             {NULL, tile_8_1}},
};

void avx512_gemm_f32(float *c, size_t c_row, const float *a, size_t a_row, size_t a_col, const float *b, size_t b_row,
                     size_t m, size_t n, size_t k, int accumulate)
{
    gemm_tiles(&tiles, c, c_row, a, a_row, a_col, b, b_row, m, n, k, accumulate);
}

static void widen_f32(float *to, size_t width, const uint8_t *from, size_t k)
{
    size_t i;

    for (i = 0; i < k; i++) {
        __builtin_prefetch(from + 64 * (k + i));
        _mm512_store_ps(to + i * width, _mm512_load_ps(from + 64 * i));
    }
}

static void widen_f16(float *to, size_t width, const uint8_t *from, size_t k)
{
    size_t i;

    for (i = 0; i < k; i++) {
        __builtin_prefetch(from + 32 * (k + i));
        _mm512_store_ps(to + i * width, _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(from + 32 * i))));
    }
}

static void widen_bf16(float *to, size_t width, const uint8_t *from, size_t k)
{
    size_t i;

    for (i = 0; i < k; i++) {
        __m512i wide = _mm512_cvtepu16_epi32(_mm256_load_si256((const __m256i *)(from + 32 * i)));

        __builtin_prefetch(from + 32 * (k + i));
        _mm512_store_si512(to + i * width, _mm512_slli_epi32(wide, 16));
    }
}

#define MATMUL(name, bytes)                                                                                            \
    void avx512_matmul_##name(float *y, size_t y_stride, const struct pack *w, size_t panel, size_t n_panels,          \
                              const float *x, size_t x_stride, size_t n_tokens)                                        \
    {                                                                                                                  \
        matmul_tiles(&tiles, y, y_stride, w, panel, n_panels, x, x_stride, n_tokens, bytes, widen_##name);             \
    }

MATMUL(f32, 4)
MATMUL(f16, 2)
MATMUL(bf16, 2)

/* Twelve independent sums, as instructions that the compiler cannot fold. */
uint64_t avx512_peak_int8(uint64_t iterations)
{
    __m512i sum[12], codes = _mm512_set1_epi8(3), q = _mm512_set1_epi8(5);
    uint64_t n;

    EACH12(i, 12, sum[i] = _mm512_setzero_si512());
    for (n = 0; n < iterations; n++)
        EACH12(i, 12, __asm__ volatile("vpdpbusd %2, %1, %0" : "+v"(sum[i]) : "v"(codes), "v"(q)));
    return iterations * 12 * 64 * 2;
}

uint64_t avx512_peak_f32(uint64_t iterations)
{
    __m512 sum[12], a = _mm512_set1_ps(3), b = _mm512_set1_ps(5);
    uint64_t n;

    EACH12(i, 12, sum[i] = _mm512_setzero_ps());
    for (n = 0; n < iterations; n++)
        EACH12(i, 12, __asm__ volatile("vfmadd231ps %2, %1, %0" : "+v"(sum[i]) : "v"(a), "v"(b)));
    return iterations * 12 * 16 * 2;
}
