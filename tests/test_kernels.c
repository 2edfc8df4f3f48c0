/* test_kernels.c - products of every tier against the scalar tier, bit for bit, and the scalar tier against double.
 *
 * Operands lie directly before unmapped pages, so that reading or writing one element too far ends the program. Weights
 * are random bytes (every code, extreme ones included); activations reach +-127; scales go from denormal to huge. */
#include "kernels.h"
#include "dtype.h"
#include "peak.h"
#include "test.h"
#include <math.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- memory that ends at an unmapped page ---- */

#define GUARDED_MAX 64

static struct {
    void *map[GUARDED_MAX];
    size_t bytes[GUARDED_MAX];
    int n;
} guarded;

/* Zeroed, rounded up to a multiple of `align` bytes, whose last byte is the last of a page. */
static void *guarded_alloc(size_t bytes, size_t align)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (bytes + align - 1) / align * align;
    size_t total = (size + page - 1) / page * page + 2 * page;
    uint8_t *map = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED || guarded.n == GUARDED_MAX || mprotect(map, page, PROT_NONE) != 0 ||
        mprotect(map + total - page, page, PROT_NONE) != 0)
        abort();
    guarded.map[guarded.n] = map;
    guarded.bytes[guarded.n++] = total;
    return map + total - page - size;
}

static void guarded_free_all(void)
{
    while (guarded.n > 0) {
        guarded.n--;
        munmap(guarded.map[guarded.n], guarded.bytes[guarded.n]);
    }
}

/* ---- random operands ---- */

static uint64_t random_state = 1;

static uint32_t random_u32(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32);
}

static size_t random_below(size_t n)
{
    return random_u32() % n;
}

/* In (-1, 1), sometimes zero, denormal or huge. */
static float random_float(void)
{
    float x = (float)(int32_t)random_u32() * 0x1p-31f;

    switch (random_below(24)) {
    case 0:
        return 0;
    case 1:
        return x * 0x1p-130f;
    case 2:
        return x * 0x1p40f;
    default:
        return x;
    }
}

/* A finite f16: the exponent is not all ones. */
static uint16_t random_f16(void)
{
    uint16_t bits = (uint16_t)random_u32();

    if (random_below(2))
        bits = (uint16_t)((bits & 0x8fff) | 0x2000); /* mostly of ordinary size */
    return (bits & 0x7c00) == 0x7c00 ? bits ^ 0x4000 : bits;
}

static uint16_t random_bf16(void)
{
    float x = random_float();
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static const enum dtype class_types[PACK_COUNT] = {
    [PACK_F32] = DTYPE_F32, [PACK_F16] = DTYPE_F16, [PACK_BF16] = DTYPE_BF16, [PACK_8] = DTYPE_Q8_0,
    [PACK_4] = DTYPE_Q4_0,  [PACK_5] = DTYPE_Q5_0,  [PACK_41] = DTYPE_Q4_1,   [PACK_51] = DTYPE_Q5_1,
    [PACK_4K] = DTYPE_Q4_K, [PACK_5K] = DTYPE_Q5_K, [PACK_6K] = DTYPE_Q6_K,   [PACK_2K] = DTYPE_Q2_K,
};

/* Blocks that a row of the class must have a multiple of. */
static size_t block_step(enum pack_class class_)
{
    return pack_infos[class_].super_blocks;
}

static void random_codes(uint8_t *p, size_t n, int extreme)
{
    size_t i;

    for (i = 0; i < n; i++)
        p[i] = extreme ? (random_below(2) ? 0x80 : 0xff) : (uint8_t)random_u32();
}

/* f16 arrays first, then bytes: the scale region of one super-block. The classes without bytes have f16 alone. */
static void random_scales(uint8_t *p, const struct pack_info *info)
{
    size_t halves = (info->super_blocks == 1 ? info->scale_bytes + info->super_bytes : info->super_bytes) / 2, i;
    size_t bytes = info->super_bytes + info->super_blocks * info->scale_bytes;

    for (i = 0; i < halves; i++) {
        uint16_t bits = random_f16();

        memcpy(p + 2 * i, &bits, sizeof bits);
    }
    random_codes(p + 2 * halves, bytes - 2 * halves, random_below(4) == 0);
}

static void fill_quantized(const struct pack *w, uint8_t *data)
{
    const struct pack_info *info = &pack_infos[w->class_];
    size_t super = info->super_bytes + info->super_blocks * info->scale_bytes, p, i;

    for (p = 0; p < w->n_panels; p++) {
        uint8_t *panel = data + p * w->panel_bytes;

        for (i = 0; i < w->n_blocks; i++)
            random_codes(panel + i * info->code_bytes, info->code_bytes, random_below(4) == 0);
        for (i = 0; i < w->n_blocks / info->super_blocks; i++)
            random_scales(panel + w->n_blocks * info->code_bytes + i * super, info);
    }
}

static void fill_float(const struct pack *w, uint8_t *data)
{
    size_t n = w->n_panels * w->cols * PACK_ROWS, i;

    for (i = 0; i < n; i++) {
        size_t panel = i / (w->cols * PACK_ROWS), at = i % (w->cols * PACK_ROWS);
        uint8_t *p = data + panel * w->panel_bytes + at * pack_infos[w->class_].element_bytes;
        float value = random_float();
        uint16_t bits = w->class_ == PACK_F16 ? random_f16() : random_bf16();

        if (w->class_ == PACK_F32)
            memcpy(p, &value, sizeof value);
        else
            memcpy(p, &bits, sizeof bits);
    }
}

/* A matrix of whole panels filled with random bits. */
static struct pack random_pack(enum pack_class class_, size_t n_panels, size_t cols)
{
    struct pack w;
    uint8_t *data;

    pack_shape(&w, class_types[class_], PACK_ROWS * n_panels, cols);
    data = guarded_alloc(pack_bytes(&w), 64);
    if (pack_infos[class_].element_bytes)
        fill_float(&w, data);
    else
        fill_quantized(&w, data);
    w.data = data;
    return w;
}

/* One block of codes: zeros, extremes or anything in -127..127; writes the sums of its halves. */
static void random_block(int8_t *q, int32_t sum[2])
{
    size_t kind = random_below(6), i;

    sum[0] = sum[1] = 0;
    for (i = 0; i < 32; i++) {
        q[i] = (int8_t)((int)random_below(255) - 127);
        if (kind < 2)
            q[i] = kind == 0 ? 127 : -127;
        if (kind == 2)
            q[i] = random_below(2) ? 127 : -127;
        if (kind == 3 && random_below(2))
            q[i] = 0;
        sum[i / 16] += q[i];
    }
}

static struct qrows random_qrows(size_t n_tokens, size_t n_blocks)
{
    struct qrows x;
    size_t n = n_tokens * n_blocks, i;

    x.n_blocks = n_blocks;
    x.q = guarded_alloc(32 * n, 32);
    x.d = guarded_alloc(4 * n, 4);
    x.ds = guarded_alloc(4 * n, 4);
    x.neg8 = guarded_alloc(4 * n, 4);
    x.neg16 = guarded_alloc(4 * n, 4);
    x.neg128 = guarded_alloc(4 * n, 4);
    x.neg32 = guarded_alloc(8 * n, 4);
    for (i = 0; i < n; i++) {
        int32_t half[2], sum;

        random_block(x.q + 32 * i, half);
        sum = half[0] + half[1];
        x.d[i] = fabsf(random_float());
        x.ds[i] = x.d[i] * (float)sum;
        x.neg8[i] = -8 * sum;
        x.neg16[i] = -16 * sum;
        x.neg128[i] = -128 * sum;
        x.neg32[2 * i] = -32 * half[0];
        x.neg32[2 * i + 1] = -32 * half[1];
    }
    return x;
}

static float *random_floats(size_t n)
{
    float *x = guarded_alloc(n * sizeof *x, 4);
    size_t i;

    for (i = 0; i < n; i++)
        x[i] = random_float();
    return x;
}

/* ---- one product by one tier ---- */

struct output {
    float *y;
    size_t stride, n_tokens, n_panels;
};

#define SENTINEL 12345.0f

/* n_tokens rows of n_panels panels, each followed by a gap of 16 that must stay as it is, except the last one, which
 * ends at the unmapped page. */
static struct output output_create(size_t n_panels, size_t n_tokens)
{
    struct output out;
    size_t n, i;

    out.stride = PACK_ROWS * (n_panels + 1);
    out.n_tokens = n_tokens;
    out.n_panels = n_panels;
    n = out.stride * n_tokens - PACK_ROWS;
    out.y = guarded_alloc(n * sizeof *out.y, 64);
    for (i = 0; i < n; i++)
        out.y[i] = SENTINEL;
    return out;
}

static size_t output_bytes(const struct output *out)
{
    return (out->stride * out->n_tokens - PACK_ROWS) * sizeof *out->y;
}

/* What a case varies; token and panel are where the product starts. */
struct shape {
    size_t n_panels, cols, n_tokens, panel, token;
};

static void check_quantized(enum pack_class class_, struct shape s)
{
    const struct kernels *scalar = kernels_find("scalar"), *k;
    struct pack w = random_pack(class_, s.panel + s.n_panels, s.cols);
    struct qrows x = random_qrows(s.token + s.n_tokens, w.n_blocks);
    struct output expect = output_create(s.n_panels, s.n_tokens), got = output_create(s.n_panels, s.n_tokens);
    size_t i;

    scalar->matmul_q[class_](expect.y, expect.stride, &w, s.panel, s.n_panels, &x, s.token, s.n_tokens);
    for (i = 1; (k = kernels_at(i)) != NULL; i++) {
        k->matmul_q[class_](got.y, got.stride, &w, s.panel, s.n_panels, &x, s.token, s.n_tokens);
        CHECK_MSG(memcmp(got.y, expect.y, output_bytes(&got)) == 0,
                  "%s, class %s: %zu panels from %zu, %zu columns, %zu tokens from %zu", k->name,
                  pack_infos[class_].name, s.n_panels, s.panel, s.cols, s.n_tokens, s.token);
    }
    guarded_free_all();
}

static void check_float(enum pack_class class_, struct shape s)
{
    const struct kernels *scalar = kernels_find("scalar"), *k;
    struct pack w = random_pack(class_, s.panel + s.n_panels, s.cols);
    size_t x_stride = (s.cols + 15) / 16 * 16, i;
    float *x = random_floats(x_stride * (s.n_tokens - 1) + s.cols);
    struct output expect = output_create(s.n_panels, s.n_tokens), got = output_create(s.n_panels, s.n_tokens);

    scalar->matmul_f[class_](expect.y, expect.stride, &w, s.panel, s.n_panels, x, x_stride, s.n_tokens);
    for (i = 1; (k = kernels_at(i)) != NULL; i++) {
        k->matmul_f[class_](got.y, got.stride, &w, s.panel, s.n_panels, x, x_stride, s.n_tokens);
        CHECK_MSG(memcmp(got.y, expect.y, output_bytes(&got)) == 0,
                  "%s, class %s: %zu panels from %zu, %zu columns, %zu tokens", k->name, pack_infos[class_].name,
                  s.n_panels, s.panel, s.cols, s.n_tokens);
    }
    guarded_free_all();
}

/* ---- the tests ---- */

static void test_tables(void)
{
    const struct kernels *k, *last = NULL;
    size_t i, c;

    CHECK(kernels_find("no such tier") == NULL);
    CHECK(kernels_at(0) == kernels_find("scalar"));
    for (i = 0; (k = kernels_at(i)) != NULL; i++, last = k) {
        CHECK(kernels_find(k->name) == k);
        CHECK(k->gemm_f32 && k->rows && k->gradients);
        for (c = 0; c < PACK_COUNT; c++) {
            int is_float = pack_infos[c].element_bytes != 0;

            CHECK_MSG((k->matmul_q[c] == NULL) == is_float, "%s %s", k->name, pack_infos[c].name);
            CHECK_MSG((k->matmul_f[c] == NULL) == !is_float, "%s %s", k->name, pack_infos[c].name);
        }
    }
    CHECK(kernels_find(NULL) == last);
}

/* Every class with every number of tokens up to 20, and a few blocks. */
static void test_quantized_tokens(void)
{
    enum pack_class c;
    size_t tokens, step = test_quick() ? 3 : 1;

    for (c = PACK_8; c < PACK_COUNT; c++)
        for (tokens = 1; tokens <= 20; tokens += step) {
            struct shape s = {1 + random_below(3), 0, tokens, random_below(2), random_below(3)};

            s.cols = 32 * block_step(c) * (1 + random_below(block_step(c) == 1 ? 9 : 2));
            check_quantized(c, s);
        }
}

/* Around the chunks, groups and segments of the loops: {blocks, tokens}. K classes round the blocks up. */
static void test_quantized_edges(void)
{
    static const size_t edges[][2] = {{1, 1},  {2, 5},  {15, 8}, {16, 9},   {17, 2},  {33, 1},  {40, 3},
                                      {3, 95}, {3, 96}, {1, 97}, {17, 193}, {200, 8}, {391, 4}, {1600, 1}};
    enum pack_class c;
    size_t i, n = sizeof edges / sizeof *edges;

    for (c = PACK_8; c < PACK_COUNT; c++)
        for (i = test_quick() ? random_below(2) : 0; i < n; i += test_quick() ? 2 : 1) {
            size_t blocks = (edges[i][0] + block_step(c) - 1) / block_step(c) * block_step(c);
            struct shape s = {1, 32 * blocks, edges[i][1], 0, 0};

            check_quantized(c, s);
        }
}

static void test_float_products(void)
{
    static const size_t cols[] = {1, 2, 3, 31, 64, 95, 96, 97, 193, 500};
    enum pack_class c;
    size_t tokens;

    for (c = PACK_F32; c <= PACK_BF16; c++)
        for (tokens = 1; tokens <= 20; tokens += test_quick() ? 3 : 1) {
            struct shape s = {1 + random_below(9), cols[random_below(10)], tokens, random_below(2), 0};

            check_float(c, s);
        }
}

/* A random product; every extent may be zero, a may be transposed, c has a gap. */
static void check_gemm(size_t m, size_t n, size_t k, int transposed, int accumulate)
{
    const struct kernels *tier;
    size_t c_row = n + random_below(5), b_row = n + random_below(5);
    size_t a_row = transposed ? 1 : k + random_below(5), a_col = transposed ? m + random_below(5) : 1;
    size_t c_n = m ? (m - 1) * c_row + n : 0, a_n = m && k ? (m - 1) * a_row + (k - 1) * a_col + 1 : 0;
    const float *a = random_floats(a_n), *b = random_floats(k ? (k - 1) * b_row + n : 0), *c = random_floats(c_n);
    float *expect = guarded_alloc(c_n * sizeof *c, 4), *got = guarded_alloc(c_n * sizeof *c, 4);
    size_t i;

    memcpy(expect, c, c_n * sizeof *c);
    kernels_find("scalar")->gemm_f32(expect, c_row, a, a_row, a_col, b, b_row, m, n, k, accumulate);
    for (i = 1; (tier = kernels_at(i)) != NULL; i++) {
        memcpy(got, c, c_n * sizeof *c);
        tier->gemm_f32(got, c_row, a, a_row, a_col, b, b_row, m, n, k, accumulate);
        CHECK_MSG(memcmp(got, expect, c_n * sizeof *c) == 0, "%s: m %zu n %zu k %zu%s%s", tier->name, m, n, k,
                  transposed ? " transposed" : "", accumulate ? " accumulate" : "");
    }
    guarded_free_all();
}

static void test_gemm(void)
{
    size_t m, i;

    for (m = 0; m <= 26; m++)
        for (i = 0; i < (test_quick() ? 2 : 12); i++)
            check_gemm(m, random_below(150), random_below(i % 4 ? 40 : 300), (int)random_below(2),
                       (int)random_below(2));
    check_gemm(7, 16, 64, 0, 0);
    check_gemm(7, 64, 16, 0, 1);
    check_gemm(65, 130, 200, 1, 1);
    check_gemm(100, 70, 300, 1, 1); /* more rows, columns and steps than a block holds, transposed and not */
    check_gemm(200, 39, 520, 1, 0);
    check_gemm(300, 72, 330, 0, 1);
    check_gemm(1030, 23, 70, 0, 1);
    check_gemm(3, 0, 5, 0, 0);
    check_gemm(3, 5, 0, 0, 0);
    check_gemm(30, 5, 0, 0, 0);
}

/* Measured: 0.04 of the bound below, 32 roundings of the largest sum that could arise. */
#define ORACLE_BOUND 0x1p-23

/* The scalar tier against sums in double of decoded weights. */
static void test_scalar_oracle(void)
{
    const struct kernels *scalar = kernels_find("scalar");
    static float row[512];
    enum pack_class c;

    for (c = PACK_8; c < PACK_COUNT; c++) {
        struct pack w = random_pack(c, 2, 512);
        struct qrows x = random_qrows(2, w.n_blocks);
        struct output out = output_create(2, 2);
        size_t t, r, k;

        scalar->matmul_q[c](out.y, out.stride, &w, 0, 2, &x, 0, 2);
        for (t = 0; t < 2; t++)
            for (r = 0; r < 32; r++) {
                double sum = 0, largest = 0, error;

                pack_decode_row(&w, r, 0, 512, row);
                for (k = 0; k < 512; k++) {
                    sum += (double)row[k] * x.q[t * 512 + k] * x.d[t * 16 + k / 32];
                    largest += fabs((double)row[k] * x.q[t * 512 + k] * x.d[t * 16 + k / 32]);
                }
                error = fabs(out.y[t * out.stride + r] - sum);
                CHECK_MSG(error <= (largest * 32 + 0x1p-120) * ORACLE_BOUND, "class %s: %g, not %g", pack_infos[c].name,
                          (double)out.y[t * out.stride + r], sum);
            }
        guarded_free_all();
    }
}

/* The missing rows of a last panel come out as zero, not as minus zero or rubbish. */
static void test_padding_rows(void)
{
    enum pack_class c;
    const struct kernels *k;
    size_t i, t, r;

    for (c = 0; c < PACK_COUNT; c++) {
        struct pack w;
        uint8_t *data, stored[5 * 1200];
        float source[5 * 256], *x = random_floats(3 * 256);
        struct qrows q = random_qrows(3, 8);
        struct output out = output_create(1, 3);
        const struct dtype_info *info = dtype_info(class_types[c]);

        for (i = 0; i < 5 * 256; i++)
            source[i] = (float)(int32_t)random_u32() * 0x1p-31f;
        for (r = 0; r < 5; r++)
            dtype_encode_row(class_types[c], stored + r * (256 / info->block_len * info->block_bytes), source + r * 256,
                             256);
        pack_shape(&w, class_types[c], 5, 256);
        data = guarded_alloc(pack_bytes(&w), 64);
        pack_panels(&w, data, class_types[c], stored, 0, 1);
        w.data = data;
        for (i = 0; (k = kernels_at(i)) != NULL; i++) {
            if (k->matmul_q[c])
                k->matmul_q[c](out.y, out.stride, &w, 0, 1, &q, 0, 3);
            else
                k->matmul_f[c](out.y, out.stride, &w, 0, 1, x, 256, 3);
            for (t = 0; t < 3; t++)
                for (r = 5; r < 16; r++) {
                    static const float zero = 0;

                    CHECK_MSG(memcmp(&out.y[t * out.stride + r], &zero, sizeof zero) == 0, "%s, class %s", k->name,
                              pack_infos[c].name);
                }
        }
        guarded_free_all();
    }
}

static void test_peaks(void)
{
    const struct kernels *k;
    static uint8_t data[1024];
    size_t i;

    for (i = 0; (k = kernels_at(i)) != NULL; i++) {
        CHECK_MSG(peak_int8_ops(k, 10) == 10 * peak_int8_ops(k, 1), "%s", k->name);
        CHECK_MSG(peak_f32_ops(k, 10) == 10 * peak_f32_ops(k, 1), "%s", k->name);
        CHECK_MSG(i == 0 || (peak_int8_ops(k, 1) > 0 && peak_f32_ops(k, 1) > 0), "%s", k->name);
    }
    CHECK(peak_read(data, sizeof data) == sizeof data);
}

int main(void)
{
    RUN(test_tables);
    RUN(test_scalar_oracle);
    RUN(test_quantized_tokens);
    RUN(test_quantized_edges);
    RUN(test_float_products);
    RUN(test_gemm);
    RUN(test_padding_rows);
    RUN(test_peaks);
    return TEST_RESULT();
}
