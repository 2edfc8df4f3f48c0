/* neondot.c - the tier of AArch64 cores with dot-product instructions (Cortex-A76 and later, Raspberry Pi 5).
 *
 * sdot by lane does the layout's own operation: four products per 32-bit lane, sixteen a register, with the four
 * activations of a quad broadcast from a lane. Per token and block of 16 x 32: 32 sdot on 2 activation registers.
 *
 *   registers of a wide tile   sums 4 tokens x 4, activations 4 (half a block each), codes 2, and what is left for the
 *                              16 accumulators, most of which wait in memory while the sums are made
 *
 * Instructions per multiply-add, opening included, counted under an emulator with 32 tokens (gcc 12): 8 0.148, 4 0.154,
 * 4K 0.164, 6K 0.213; sdot alone would be 0.0625.
 *
 * Loops, opening and floats: neon_tile.c, neon_float.c. */
#include "each.h"
#include "neon_tile.h"

/* Adds quad 4 h + j of the block to the sums of n_tokens tokens; xv[t] holds their quads 4 h .. 4 h + 3. */
#define DOT_QUAD(j)                                                                                                    \
    for (g = 0; g < 4; g++) {                                                                                          \
        int8x16_t code = vld1q_s8(codes + 64 * (j) + 16 * g);                                                          \
        for (t = 0; t < n_tokens; t++)                                                                                 \
            sum[t][g] = vdotq_laneq_s32(sum[t][g], code, xv[t], j);                                                    \
    }

/* Adds half h of a block to sum. n_tokens is a constant in every use. */
NEON_INLINE void dot_half(int32x4_t sum[][4], const int8_t *codes, const int8_t *q, size_t q_stride, int h,
                          size_t n_tokens)
{
    int8x16_t xv[NEON_WIDTH];
    size_t t;
    int g;

    codes += 256 * h;
    for (t = 0; t < n_tokens; t++)
        xv[t] = vld1q_s8(q + t * q_stride + 16 * h);
    DOT_QUAD(0)
    DOT_QUAD(1)
    DOT_QUAD(2)
    DOT_QUAD(3)
}

NEON_INLINE void run_sum(const struct neon_tile *tile, size_t n_tokens, enum neon_form form)
{
    const struct qrows *x = tile->x;
    size_t n_blocks = x->n_blocks, b, t;
    float32x4_t acc[NEON_WIDTH][4];
    int g;

    neon_load(acc, tile, n_tokens);
    for (b = 0; b < tile->n_blocks; b++) {
        const struct neon_block *w = tile->w + b;
        size_t at = tile->at + b;
        int32x4_t sum[NEON_WIDTH][4];

        for (t = 0; t < n_tokens; t++)
            for (g = 0; g < 4; g++)
                sum[t][g] = vdupq_n_s32(form == NEON_OFFSET ? tile->start[at + t * n_blocks] : 0);
        dot_half(sum, w->codes, x->q + at * PACK_BLOCK, n_blocks * PACK_BLOCK, 0, n_tokens);
        if (n_tokens > 2)
            NEON_FENCE;
        dot_half(sum, w->codes, x->q + at * PACK_BLOCK, n_blocks * PACK_BLOCK, 1, n_tokens);
        if (n_tokens > 2)
            NEON_FENCE;
        for (t = 0; t < n_tokens; t++)
            neon_finish(acc[t], sum[t], w, x, at + t * n_blocks, form);
    }
    neon_store(tile, acc, n_tokens);
}

/* Half sums times their integer scales. 6K starts each from its offset, -32 S of the half. */
NEON_INLINE void run_halves(const struct neon_tile *tile, size_t n_tokens, enum neon_form form)
{
    const struct qrows *x = tile->x;
    size_t n_blocks = x->n_blocks, b, t;
    float32x4_t acc[NEON_WIDTH][4];
    int h, g;

    neon_load(acc, tile, n_tokens);
    for (b = 0; b < tile->n_blocks; b++) {
        const struct neon_block *w = tile->w + b;
        size_t at = tile->at + b;
        int32x4_t sum[2][NEON_WIDTH][4];

        for (h = 0; h < 2; h++) {
            for (t = 0; t < n_tokens; t++)
                for (g = 0; g < 4; g++)
                    sum[h][t][g] = vdupq_n_s32(form == NEON_HALVES ? x->neg32[2 * (at + t * n_blocks) + (size_t)h] : 0);
            dot_half(sum[h], w->codes, x->q + at * PACK_BLOCK, n_blocks * PACK_BLOCK, h, n_tokens);
        }
        for (t = 0; t < n_tokens; t++) {
            for (g = 0; g < 4; g++)
                sum[0][t][g] = vmlaq_s32(vmulq_s32(sum[0][t][g], w->scale[0][g]), sum[1][t][g], w->scale[1][g]);
            neon_finish(acc[t], sum[0][t], w, x, at + t * n_blocks, form);
        }
    }
    neon_store(tile, acc, n_tokens);
}

static void run_plain(const struct neon_tile *tile)
{
    if (tile->n_tokens == 1)
        run_sum(tile, 1, NEON_PLAIN);
    else if (tile->n_tokens == 2)
        run_sum(tile, 2, NEON_PLAIN);
    else
        run_sum(tile, 4, NEON_PLAIN);
}

static void run_offset(const struct neon_tile *tile)
{
    if (tile->n_tokens == 1)
        run_sum(tile, 1, NEON_OFFSET);
    else if (tile->n_tokens == 2)
        run_sum(tile, 2, NEON_OFFSET);
    else
        run_sum(tile, 4, NEON_OFFSET);
}

static void run_min(const struct neon_tile *tile)
{
    if (tile->n_tokens == 1)
        run_sum(tile, 1, NEON_MIN);
    else if (tile->n_tokens == 2)
        run_sum(tile, 2, NEON_MIN);
    else
        run_sum(tile, 4, NEON_MIN);
}

/* Two tokens: the sums of both halves stay in registers. */
static void run_6k(const struct neon_tile *tile)
{
    if (tile->n_tokens == 1)
        run_halves(tile, 1, NEON_HALVES);
    else
        run_halves(tile, 2, NEON_HALVES);
}

static void run_2k(const struct neon_tile *tile)
{
    if (tile->n_tokens == 1)
        run_halves(tile, 1, NEON_HALVES_MIN);
    else
        run_halves(tile, 2, NEON_HALVES_MIN);
}

static void matmul_q(float *y, size_t y_stride, const struct pack *w, size_t panel, size_t n_panels,
                     const struct qrows *x, size_t token, size_t n_tokens)
{
    static const struct neon_tiles tiles[NEON_FORMS] = {[NEON_PLAIN] = {4, run_plain},
                                                        [NEON_OFFSET] = {4, run_offset},
                                                        [NEON_MIN] = {4, run_min},
                                                        [NEON_HALVES] = {2, run_6k},
                                                        [NEON_HALVES_MIN] = {2, run_2k}};

    neon_matmul_q(tiles, y, y_stride, w, panel, n_panels, x, token, n_tokens);
}

/* Twelve independent sums, as instructions that the compiler cannot fold. */
static uint64_t peak_int8(uint64_t iterations)
{
    int32x4_t sum[12];
    int8x16_t codes = vdupq_n_s8(3), q = vdupq_n_s8(5);
    uint64_t n;

    EACH12(i, 12, sum[i] = vdupq_n_s32(0));
    for (n = 0; n < iterations; n++)
        EACH12(i, 12, __asm__ volatile("sdot %0.4s, %1.16b, %2.16b" : "+w"(sum[i]) : "w"(codes), "w"(q)));
    return iterations * 12 * 16 * 2;
}

extern const struct row_kernels rows_neon;
extern const struct gradient_kernels gradients_neon;
extern const struct kernels kernels_neondot;

const struct kernels kernels_neondot = {
    .name = "neondot",
    .matmul_q = {[PACK_8] = matmul_q,
                 [PACK_4] = matmul_q,
                 [PACK_5] = matmul_q,
                 [PACK_41] = matmul_q,
                 [PACK_51] = matmul_q,
                 [PACK_4K] = matmul_q,
                 [PACK_5K] = matmul_q,
                 [PACK_6K] = matmul_q,
                 [PACK_2K] = matmul_q},
    .matmul_f = {[PACK_F32] = neon_matmul_f32, [PACK_F16] = neon_matmul_f16, [PACK_BF16] = neon_matmul_bf16},
    .gemm_f32 = neon_gemm_f32,
    .rows = &rows_neon,
    .gradients = &gradients_neon,
    .peak_int8 = peak_int8,
    .peak_f32 = neon_peak_f32,
};
