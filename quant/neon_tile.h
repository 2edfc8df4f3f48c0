/* neon_tile.h - what the two Advanced SIMD tiers share: opening packed blocks, the loops around the tiles, and the last
 * steps of a block. A tier adds the integer dot products (neon.c by widening multiplies, neondot.c by sdot).
 *
 * A chunk of a panel's blocks is opened once for a group of tokens: codes become one signed byte each, scales become
 * f32 or int32. Then tiles of a few tokens run over the chunk; y holds the f32 accumulators between chunks.
 *
 *   block   code[8][4] : vector j, register g = quad j of rows 4g .. 4g+3, one row per 32-bit lane
 *   tile    sum[T][4]  : token t, register g = int32 sums of rows 4g .. 4g+3
 *
 * Unsigned codes of 4, 5 and 6 bits fit signed bytes; their offset is in the start value of the sums (neg8, neg16,
 * neg32 of struct qrows). PACK_8 is read in place. */
#ifndef ARKLET_QUANT_NEON_TILE_H
#define ARKLET_QUANT_NEON_TILE_H

#include <arm_neon.h>
#include "kernels.h"

/* For the bodies of tiles: a form or count passed as a constant must be one in the code, or sums leave the registers.
 */
#define NEON_INLINE static inline __attribute__((always_inline))

/* Keeps loads behind it: all 32 registers are in use, and the compiler's scheduler would fetch early and spill. */
#define NEON_FENCE __asm__ volatile("" ::: "memory")

#define NEON_GROUP 32 /* tokens that share an opened chunk: their activations stay in the first-level cache */
#define NEON_CHUNK 8  /* blocks of a chunk: a super-block */
#define NEON_WIDTH 4  /* the widest tile */

/* What a block's sums need beside the codes. */
enum neon_form {
    NEON_PLAIN,      /* 8 */
    NEON_OFFSET,     /* 4, 5: a start value */
    NEON_MIN,        /* 41, 51, 4K, 5K: a minimum */
    NEON_HALVES,     /* 6K: an integer scale and a start value for each half */
    NEON_HALVES_MIN, /* 2K: an integer scale and minimum for each half */
    NEON_FORMS
};

struct neon_block {
    int8x16_t code[8][4];
    float32x4_t ws[4];     /* weight scale */
    float32x4_t wm[4];     /* MIN: minimum, times ds. HALVES_MIN: -dmin */
    int32x4_t scale[2][4]; /* HALVES: integer scale of each half */
    int32x4_t min[2][4];   /* HALVES_MIN: integer minimum of each half */
    const int8_t *codes;   /* 8 x 64 bytes: code, or the packed bytes themselves */
};

/* n_tokens rows of y, y_stride apart, continued by n_blocks blocks. The activations of token t and block b are those at
 * index at + t * x->n_blocks + b; start values alike. */
struct neon_tile {
    float *y;
    size_t y_stride, n_tokens;
    const struct neon_block *w;
    size_t n_blocks;
    const struct qrows *x;
    size_t at;
    const int32_t *start; /* OFFSET: neg8 or neg16 */
};

/* What a tier does for a form: tiles of `width` tokens, of 2 and of 1. */
struct neon_tiles {
    size_t width;
    void (*run)(const struct neon_tile *tile);
};

/* matmul_q of kernels.h. */
void neon_matmul_q(const struct neon_tiles tiles[NEON_FORMS], float *y, size_t y_stride, const struct pack *w,
                   size_t panel, size_t n_panels, const struct qrows *x, size_t token, size_t n_tokens);

/* The float products are the same in both tiers (neon_float.c). */
matmul_f_kernel neon_matmul_f32, neon_matmul_f16, neon_matmul_bf16;
gemm_f32_kernel neon_gemm_f32;
peak_kernel neon_peak_f32;

/* The accumulators of a tile, from and to y. Here and below n_tokens and form are constants in every use. */
NEON_INLINE void neon_load(float32x4_t acc[][4], const struct neon_tile *tile, size_t n_tokens)
{
    size_t t;
    int g;

    for (t = 0; t < n_tokens; t++)
        for (g = 0; g < 4; g++)
            acc[t][g] = vld1q_f32(tile->y + t * tile->y_stride + 4 * g);
}

NEON_INLINE void neon_store(const struct neon_tile *tile, float32x4_t acc[][4], size_t n_tokens)
{
    size_t t;
    int g;

    for (t = 0; t < n_tokens; t++)
        for (g = 0; g < 4; g++)
            vst1q_f32(tile->y + t * tile->y_stride + 4 * g, acc[t][g]);
}

/* The floating-point steps of block w for the token whose activations are at `at`, in the order of kernels.h; isum is
 * final. */
NEON_INLINE void neon_finish(float32x4_t acc[4], const int32x4_t isum[4], const struct neon_block *w,
                             const struct qrows *x, size_t at, enum neon_form form)
{
    float as = x->d[at];
    int g;

    for (g = 0; g < 4; g++)
        acc[g] = vfmaq_f32(acc[g], vmulq_n_f32(w->ws[g], as), vcvtq_f32_s32(isum[g]));
    if (form == NEON_MIN) {
        float ds = x->ds[at];

        for (g = 0; g < 4; g++)
            acc[g] = vfmaq_n_f32(acc[g], w->wm[g], ds);
    } else if (form == NEON_HALVES_MIN) {
        int32_t s0 = -x->neg32[2 * at] / 32, s1 = -x->neg32[2 * at + 1] / 32;

        for (g = 0; g < 4; g++) {
            int32x4_t m = vmlaq_n_s32(vmulq_n_s32(w->min[0][g], s0), w->min[1][g], s1);

            acc[g] = vfmaq_f32(acc[g], vmulq_n_f32(w->wm[g], as), vcvtq_f32_s32(m));
        }
    }
}

#endif
