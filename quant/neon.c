/* neon.c - the tier of AArch64 cores without dot-product instructions (Cortex-A72, Raspberry Pi 4).
 *
 * Bytes are multiplied into 16-bit partial sums (smull, smlal), which hold a whole chain of products of the short
 * codes without overflow, |q| <= 127 on the other side:
 *
 *   codes to 15, 31   8 quads    8 x 31 x 127 = 31496      4, 41, 4K, 5, 51, 5K and 2K
 *   codes to 63       4 quads    4 x 63 x 127 = 32004      6K, whose sums are per half anyway
 *   signed bytes      2 quads    2 x 128 x 127 = 32512     8: widened (sadalp) after every second quad
 *
 *   quad of rows 4g .. 4g+3   r0 r0 r0 r0 r1 r1 r1 r1 | r2 r2 r2 r2 r3 r3 r3 r3      bytes
 *   partial sums              [t][g][0]               | [t][g][1]                    8 x int16, two rows each
 *   saddlp, addp              r0 r1 r2 r3                                            int32, as neon_tile.h wants
 *
 *   registers of a wide tile   partial sums 2 tokens x 8, quads of activations 2, codes 2..4          of 32
 *
 * Instructions per multiply-add, opening included, counted under an emulator with 32 tokens (gcc 12): 8 0.345, 4 0.294,
 * 4K 0.287, 6K 0.357; the multiplies alone would be 0.125.
 *
 * Loops, opening and floats: neon_tile.c, neon_float.c. */
#include "each.h"
#include "neon_tile.h"

/* Quad j of an activation row in all four lanes. */
NEON_INLINE int8x16_t quad(const int8_t *q, int j)
{
    return vreinterpretq_s8_s32(vld1q_dup_s32((const int32_t *)(const void *)q + j));
}

/* Quad j of rows 4g .. 4g+3 of a block whose codes are short: products into the 16-bit partial sums. All steps are
 * written out, since the partial sums must stay in registers. */
#define SHORT_GROUP(j, g)                                                                                              \
    code = vld1q_s8(codes + 64 * (j) + 16 * (g));                                                                      \
    for (t = 0; t < n_tokens; t++) {                                                                                   \
        part[t][g][0] = vmlal_s8(part[t][g][0], vget_low_s8(code), vget_low_s8(xv[t]));                                \
        part[t][g][1] = vmlal_high_s8(part[t][g][1], code, xv[t]);                                                     \
    }

#define SHORT_QUAD(j)                                                                                                  \
    for (t = 0; t < n_tokens; t++)                                                                                     \
        xv[t] = quad(q + t * q_stride, j);                                                                             \
    SHORT_GROUP(j, 0)                                                                                                  \
    SHORT_GROUP(j, 1)                                                                                                  \
    SHORT_GROUP(j, 2)                                                                                                  \
    SHORT_GROUP(j, 3)

/* sum = `quads` quads (8 or 4) from codes and q on. Counts are constants in every use. */
NEON_INLINE void dot_short(int32x4_t sum[][4], const int8_t *codes, const int8_t *q, size_t q_stride, int quads,
                           size_t n_tokens)
{
    int16x8_t part[NEON_WIDTH][4][2];
    int8x16_t xv[NEON_WIDTH], code;
    size_t t;
    int g;

    for (t = 0; t < n_tokens; t++)
        for (g = 0; g < 4; g++)
            part[t][g][0] = part[t][g][1] = vdupq_n_s16(0);
    SHORT_QUAD(0)
    SHORT_QUAD(1)
    SHORT_QUAD(2)
    SHORT_QUAD(3)
    if (quads == 8) {
        if (n_tokens > 1)
            NEON_FENCE;
        SHORT_QUAD(4)
        SHORT_QUAD(5)
        SHORT_QUAD(6)
        SHORT_QUAD(7)
    }
    for (t = 0; t < n_tokens; t++)
        for (g = 0; g < 4; g++)
            sum[t][g] = vpaddq_s32(vpaddlq_s16(part[t][g][0]), vpaddlq_s16(part[t][g][1]));
}

/* Quads j and j + 1 of rows 4g .. 4g+3 of a block of signed bytes: two products fit 16 bits, then they are widened. */
#define BYTE_GROUP(j, g)                                                                                               \
    c0 = vld1q_s8(codes + 64 * (j) + 16 * (g));                                                                        \
    c1 = vld1q_s8(codes + 64 * (j) + 64 + 16 * (g));                                                                   \
    for (t = 0; t < n_tokens; t++) {                                                                                   \
        int16x8_t low = vmull_s8(vget_low_s8(c0), vget_low_s8(x0[t])), high = vmull_high_s8(c0, x0[t]);                \
        wide[t][g][0] = vpadalq_s16(wide[t][g][0], vmlal_s8(low, vget_low_s8(c1), vget_low_s8(x1[t])));                \
        wide[t][g][1] = vpadalq_s16(wide[t][g][1], vmlal_high_s8(high, c1, x1[t]));                                    \
    }

#define BYTE_QUADS(j)                                                                                                  \
    for (t = 0; t < n_tokens; t++) {                                                                                   \
        x0[t] = quad(q + t * q_stride, j);                                                                             \
        x1[t] = quad(q + t * q_stride, (j) + 1);                                                                       \
    }                                                                                                                  \
    BYTE_GROUP(j, 0)                                                                                                   \
    BYTE_GROUP(j, 1)                                                                                                   \
    BYTE_GROUP(j, 2)                                                                                                   \
    BYTE_GROUP(j, 3)

/* sum = the whole block of signed bytes. */
NEON_INLINE void dot_bytes(int32x4_t sum[][4], const int8_t *codes, const int8_t *q, size_t q_stride, size_t n_tokens)
{
    int32x4_t wide[NEON_WIDTH][4][2];
    int8x16_t x0[NEON_WIDTH], x1[NEON_WIDTH], c0, c1;
    size_t t;
    int g;

    for (t = 0; t < n_tokens; t++)
        for (g = 0; g < 4; g++)
            wide[t][g][0] = wide[t][g][1] = vdupq_n_s32(0);
    BYTE_QUADS(0)
    NEON_FENCE;
    BYTE_QUADS(2)
    NEON_FENCE;
    BYTE_QUADS(4)
    NEON_FENCE;
    BYTE_QUADS(6)
    NEON_FENCE;
    for (t = 0; t < n_tokens; t++)
        for (g = 0; g < 4; g++)
            sum[t][g] = vpaddq_s32(wide[t][g][0], wide[t][g][1]);
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

        if (form == NEON_PLAIN)
            dot_bytes(sum, w->codes, x->q + at * PACK_BLOCK, n_blocks * PACK_BLOCK, n_tokens);
        else
            dot_short(sum, w->codes, x->q + at * PACK_BLOCK, n_blocks * PACK_BLOCK, 8, n_tokens);
        if (n_tokens > 1)
            NEON_FENCE;
        for (t = 0; t < n_tokens; t++) {
            for (g = 0; g < 4 && form == NEON_OFFSET; g++)
                sum[t][g] = vaddq_s32(sum[t][g], vdupq_n_s32(tile->start[at + t * n_blocks]));
            neon_finish(acc[t], sum[t], w, x, at + t * n_blocks, form);
        }
    }
    neon_store(tile, acc, n_tokens);
}

/* Half sums times their integer scales; 6K's carry their offset, -32 S of the half. */
NEON_INLINE void run_halves(const struct neon_tile *tile, size_t n_tokens, enum neon_form form)
{
    const struct qrows *x = tile->x;
    size_t n_blocks = x->n_blocks, b, t;
    float32x4_t acc[NEON_WIDTH][4];
    size_t h;
    int g;

    neon_load(acc, tile, n_tokens);
    for (b = 0; b < tile->n_blocks; b++) {
        const struct neon_block *w = tile->w + b;
        size_t at = tile->at + b;
        const int8_t *q = x->q + at * PACK_BLOCK;
        int32x4_t sum[2][NEON_WIDTH][4];

        dot_short(sum[0], w->codes, q, n_blocks * PACK_BLOCK, 4, n_tokens);
        NEON_FENCE;
        dot_short(sum[1], w->codes + 256, q + 16, n_blocks * PACK_BLOCK, 4, n_tokens);
        NEON_FENCE;
        for (t = 0; t < n_tokens && form == NEON_HALVES; t++)
            for (g = 0; g < 4; g++)
                for (h = 0; h < 2; h++)
                    sum[h][t][g] = vaddq_s32(sum[h][t][g], vdupq_n_s32(x->neg32[2 * (at + t * n_blocks) + h]));
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
    else
        run_sum(tile, 2, NEON_PLAIN);
}

static void run_offset(const struct neon_tile *tile)
{
    if (tile->n_tokens == 1)
        run_sum(tile, 1, NEON_OFFSET);
    else
        run_sum(tile, 2, NEON_OFFSET);
}

static void run_min(const struct neon_tile *tile)
{
    if (tile->n_tokens == 1)
        run_sum(tile, 1, NEON_MIN);
    else
        run_sum(tile, 2, NEON_MIN);
}

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
    static const struct neon_tiles tiles[NEON_FORMS] = {[NEON_PLAIN] = {2, run_plain},
                                                        [NEON_OFFSET] = {2, run_offset},
                                                        [NEON_MIN] = {2, run_min},
                                                        [NEON_HALVES] = {2, run_6k},
                                                        [NEON_HALVES_MIN] = {2, run_2k}};

    neon_matmul_q(tiles, y, y_stride, w, panel, n_panels, x, token, n_tokens);
}

/* Twelve independent sums, as instructions that the compiler cannot fold. */
static uint64_t peak_int8(uint64_t iterations)
{
    int16x8_t sum[12];
    int8x16_t codes = vdupq_n_s8(3), q = vdupq_n_s8(5);
    uint64_t n;

    EACH12(i, 12, sum[i] = vdupq_n_s16(0));
    for (n = 0; n < iterations; n++)
        EACH12(i, 12, __asm__ volatile("smlal %0.8h, %1.8b, %2.8b" : "+w"(sum[i]) : "w"(codes), "w"(q)));
    return iterations * 12 * 8 * 2;
}

extern const struct row_kernels rows_neon;
extern const struct gradient_kernels gradients_neon;
extern const struct kernels kernels_neon;

const struct kernels kernels_neon = {
    .name = "neon",
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
