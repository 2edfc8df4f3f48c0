/* scalar.c - the scalar tier: every product in plain C, the readable specification that all other tiers equal bit for
 * bit.
 *
 * A quantised product opens one block (16 rows x 32 columns, pack.h) of a panel into plain numbers and then serves
 * every token with it. All classes come to the same three steps per output (kernels.h):
 *
 *   isum = scale[0] * sum(code * q, columns 0..15) + scale[1] * sum(code * q, columns 16..31)      int32, exact
 *   acc  = fmaf(ws * as, (float)isum, acc)
 *   acc  = the minimum's fmaf, for the classes that have one
 *
 * where code has its offset taken off already and scale is 1 for classes without a scale per sixteen. y itself holds
 * the accumulators. Left out: any speed beyond what the compiler finds; padding rows are computed like the others
 * (their scales are zero, so they come out as zero). */
#include "half.h"
#include "kernels.h"
#include <math.h>
#include <string.h>

/* One opened block. int16 holds every code of every class and lets compilers vectorise the sum. */
struct block {
    int16_t code[PACK_ROWS][PACK_BLOCK];
    int32_t scale[PACK_ROWS][2];
    float ws[PACK_ROWS];       /* weight scale */
    float wm[PACK_ROWS];       /* weight minimum, times ds; 2K: -dmin */
    int32_t min[PACK_ROWS][2]; /* 2K: the integer minima of the halves */
};

enum minimum { MIN_NONE, MIN_SUM, MIN_HALVES };

/* How a class stores its block. */
struct layout {
    int low_bits;     /* width of the first field of a code: 8, 4 or 2 */
    int high_bits;    /* width of the second one: 0, 1 or 2 */
    int offset;       /* taken off the unsigned code */
    enum minimum min; /* which form of minimum */
    void (*open_scales)(struct block *block, const uint8_t *super, const uint8_t *own);
};

static float f16_at(const uint8_t *p, int i)
{
    uint16_t bits;

    memcpy(&bits, p + 2 * i, sizeof bits);
    return half_from_f16(bits);
}

/* f16 d[16], and m[16] where the class has minima (else those bytes belong to the next block, so are not read). */
static void scales_d(struct block *block, const uint8_t *super, const uint8_t *own)
{
    int r;

    (void)own;
    for (r = 0; r < PACK_ROWS; r++)
        block->ws[r] = f16_at(super, r);
}

static void scales_dm(struct block *block, const uint8_t *super, const uint8_t *own)
{
    int r;

    scales_d(block, super, own);
    for (r = 0; r < PACK_ROWS; r++)
        block->wm[r] = f16_at(super, 16 + r);
}

/* super: f16 d[16], dmin[16]; own: u8 sc[16], m[16]. */
static void scales_4k(struct block *block, const uint8_t *super, const uint8_t *own)
{
    int r;

    for (r = 0; r < PACK_ROWS; r++) {
        block->ws[r] = f16_at(super, r) * (float)own[r];
        block->wm[r] = -(f16_at(super, 16 + r) * (float)own[16 + r]);
    }
}

/* super: f16 d[16]; own: i8 sc[2][16]. */
static void scales_6k(struct block *block, const uint8_t *super, const uint8_t *own)
{
    int r;

    for (r = 0; r < PACK_ROWS; r++) {
        block->ws[r] = f16_at(super, r);
        block->scale[r][0] = (int8_t)own[r];
        block->scale[r][1] = (int8_t)own[16 + r];
    }
}

/* super: f16 d[16], dmin[16]; own: u8 sc[2][16], m[2][16]. */
static void scales_2k(struct block *block, const uint8_t *super, const uint8_t *own)
{
    int r;

    for (r = 0; r < PACK_ROWS; r++) {
        block->ws[r] = f16_at(super, r);
        block->wm[r] = -f16_at(super, 16 + r);
        block->scale[r][0] = own[r];
        block->scale[r][1] = own[16 + r];
        block->min[r][0] = own[32 + r];
        block->min[r][1] = own[48 + r];
    }
}

static const struct layout layouts[PACK_COUNT] = {
    [PACK_8] = {8, 0, 0, MIN_NONE, scales_d},     [PACK_4] = {4, 0, 8, MIN_NONE, scales_d},
    [PACK_5] = {4, 1, 16, MIN_NONE, scales_d},    [PACK_41] = {4, 0, 0, MIN_SUM, scales_dm},
    [PACK_51] = {4, 1, 0, MIN_SUM, scales_dm},    [PACK_4K] = {4, 0, 0, MIN_SUM, scales_4k},
    [PACK_5K] = {4, 1, 0, MIN_SUM, scales_4k},    [PACK_6K] = {4, 2, 32, MIN_NONE, scales_6k},
    [PACK_2K] = {2, 0, 0, MIN_HALVES, scales_2k},
};

/* The code of row r, column 4j + b: its fields lie in the low vectors and in the high ones (pack.h). */
static int code_at(const struct layout *layout, const uint8_t *codes, int r, int j, int b)
{
    int byte = 4 * r + b; /* inside a vector */
    int code, v;

    switch (layout->low_bits) {
    case 8:
        return (int8_t)codes[64 * j + byte];
    case 4:
        code = codes[64 * (j % 4) + byte] >> 4 * (j / 4) & 15;
        break;
    default:
        code = codes[64 * (j / 4) + byte] >> 2 * (j % 4) & 3;
        break;
    }
    v = layout->high_bits == 2 ? j / 4 : 0; /* the high vector that holds quad j */
    if (layout->high_bits == 1)
        code |= (codes[64 * 4 + byte] >> j & 1) << 4;
    else if (layout->high_bits == 2)
        code |= (codes[64 * (4 + v) + byte] >> 2 * (j % 4) & 3) << 4;
    return code - layout->offset;
}

static void open_block(struct block *block, const struct pack *w, size_t panel, size_t i)
{
    const struct pack_info *info = &pack_infos[w->class_];
    const struct layout *layout = &layouts[w->class_];
    const uint8_t *data = w->data + panel * w->panel_bytes;
    const uint8_t *codes = data + i * info->code_bytes;
    const uint8_t *super = data + w->n_blocks * info->code_bytes +
                           i / info->super_blocks * (info->super_bytes + info->super_blocks * info->scale_bytes);
    int r, j, b;

    for (r = 0; r < PACK_ROWS; r++) {
        block->scale[r][0] = block->scale[r][1] = 1;
        for (j = 0; j < PACK_BLOCK / 4; j++)
            for (b = 0; b < 4; b++)
                block->code[r][4 * j + b] = (int16_t)code_at(layout, codes, r, j, b);
    }
    layout->open_scales(block, super, super + info->super_bytes + i % info->super_blocks * info->scale_bytes);
}

static int32_t dot16(const int16_t *code, const int8_t *q)
{
    int32_t sum = 0;
    int i;

    for (i = 0; i < 16; i++)
        sum += code[i] * q[i];
    return sum;
}

/* Adds block i of token t to its sixteen accumulators. */
static void add_block(float *acc, const struct block *block, enum minimum min, const struct qrows *x, size_t t,
                      size_t i)
{
    size_t at = t * x->n_blocks + i;
    const int8_t *q = x->q + at * PACK_BLOCK;
    int r;

    for (r = 0; r < PACK_ROWS; r++) {
        int32_t isum =
            block->scale[r][0] * dot16(block->code[r], q) + block->scale[r][1] * dot16(block->code[r] + 16, q + 16);

        acc[r] = fmaf(block->ws[r] * x->d[at], (float)isum, acc[r]);
        if (min == MIN_SUM) {
            acc[r] = fmaf(block->wm[r], x->ds[at], acc[r]);
        } else if (min == MIN_HALVES) {
            int32_t sum0 = -x->neg32[2 * at] / 32, sum1 = -x->neg32[2 * at + 1] / 32;

            acc[r] = fmaf(block->wm[r] * x->d[at], (float)(block->min[r][0] * sum0 + block->min[r][1] * sum1), acc[r]);
        }
    }
}

static void matmul_q(float *y, size_t y_stride, const struct pack *w, size_t panel, size_t n_panels,
                     const struct qrows *x, size_t token, size_t n_tokens)
{
    struct block block;
    size_t p, i, t;

    memset(&block, 0, sizeof block);
    for (p = 0; p < n_panels; p++) {
        for (t = 0; t < n_tokens; t++)
            memset(y + t * y_stride + PACK_ROWS * p, 0, PACK_ROWS * sizeof *y);
        for (i = 0; i < w->n_blocks; i++) {
            open_block(&block, w, panel + p, i);
            for (t = 0; t < n_tokens; t++)
                add_block(y + t * y_stride + PACK_ROWS * p, &block, layouts[w->class_].min, x, token + t, i);
        }
    }
}

/* Element [k][r] of a float panel. */
static float weight_at(enum pack_class class_, const uint8_t *panel, size_t k, int r)
{
    size_t at = k * PACK_ROWS + (size_t)r;
    uint16_t bits;
    float value;

    if (class_ == PACK_F32) {
        memcpy(&value, panel + 4 * at, sizeof value);
        return value;
    }
    memcpy(&bits, panel + 2 * at, sizeof bits);
    return class_ == PACK_F16 ? half_from_f16(bits) : half_from_bf16(bits);
}

static void matmul_f(float *y, size_t y_stride, const struct pack *w, size_t panel, size_t n_panels, const float *x,
                     size_t x_stride, size_t n_tokens)
{
    float row[PACK_ROWS];
    size_t p, k, t;
    int r;

    for (p = 0; p < n_panels; p++) {
        for (t = 0; t < n_tokens; t++)
            memset(y + t * y_stride + PACK_ROWS * p, 0, PACK_ROWS * sizeof *y);
        for (k = 0; k < w->cols; k++) {
            for (r = 0; r < PACK_ROWS; r++)
                row[r] = weight_at(w->class_, w->data + (panel + p) * w->panel_bytes, k, r);
            for (t = 0; t < n_tokens; t++) {
                float *acc = y + t * y_stride + PACK_ROWS * p;

                for (r = 0; r < PACK_ROWS; r++)
                    acc[r] = fmaf(row[r], x[t * x_stride + k], acc[r]);
            }
        }
    }
}

static void gemm_f32(float *c, size_t c_row, const float *a, size_t a_row, size_t a_col, const float *b, size_t b_row,
                     size_t m, size_t n, size_t k, int accumulate)
{
    size_t i, j, p;

    for (i = 0; i < m; i++) {
        for (j = 0; j < n && !accumulate; j++)
            c[i * c_row + j] = 0;
        for (p = 0; p < k; p++)
            for (j = 0; j < n; j++)
                c[i * c_row + j] = fmaf(a[i * a_row + p * a_col], b[p * b_row + j], c[i * c_row + j]);
    }
}

extern const struct row_kernels rows_scalar;
extern const struct gradient_kernels gradients_scalar;
extern const struct kernels kernels_scalar;

const struct kernels kernels_scalar = {
    .name = "scalar",
    .matmul_q = {[PACK_8] = matmul_q,
                 [PACK_4] = matmul_q,
                 [PACK_5] = matmul_q,
                 [PACK_41] = matmul_q,
                 [PACK_51] = matmul_q,
                 [PACK_4K] = matmul_q,
                 [PACK_5K] = matmul_q,
                 [PACK_6K] = matmul_q,
                 [PACK_2K] = matmul_q},
    .matmul_f = {[PACK_F32] = matmul_f, [PACK_F16] = matmul_f, [PACK_BF16] = matmul_f},
    .gemm_f32 = gemm_f32,
    .rows = &rows_scalar,
    .gradients = &gradients_scalar,
};
