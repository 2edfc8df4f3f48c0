/* test_rows.c - the row kernels: every tier against the scalar one bit for bit, the scalar one against double, the
 * order of the sums against a literal reading of kernels.h, and the facts of quantised rows.
 *
 * Rows end at an unmapped page, and the bytes before them are watched: no kernel may touch anything outside its row. */
#include "elementary.h"
#include "half.h"
#include "kernels.h"
#include "test.h"
#include <math.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static const size_t lengths[] = {0, 1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 127, 172, 896};

#define N_LENGTHS (sizeof lengths / sizeof *lengths)
#define N_MAX     896
#define ROW_BYTES (2 * N_MAX * sizeof(float)) /* the longest row: both halves of a rotated head */

/* ---- memory ---- */

enum { ROW_Y, ROW_X, ROW_W, ROW_Z, N_ROWS };

/* Four regions of ROW_BYTES and more, each with an unmapped page behind it. */
static uint8_t *regions[N_ROWS];
static size_t region_bytes;

static void regions_create(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int i;
    region_bytes = (ROW_BYTES + page - 1) / page * page;
    for (i = 0; i < N_ROWS; i++) {
        uint8_t *map = mmap(NULL, region_bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map == MAP_FAILED || mprotect(map + region_bytes, page, PROT_NONE) != 0)
            abort();
        regions[i] = map;
    }
}

/* The last `bytes` bytes of region i. */
static void *row_at(int i, size_t bytes)
{
    return regions[i] + region_bytes - bytes;
}

/* ---- numbers ---- */

static uint64_t random_state = 88172645463325252u;

static uint32_t random_u32(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32);
}

/* Mostly in -4 .. 4; sometimes zero, minus zero, tiny or denormal. */
static float random_float(void)
{
    float x = (float)(int32_t)random_u32() * 0x1p-29f;
    switch (random_u32() % 32) {
    case 0:
        return 0;
    case 1:
        return -0.0f;
    case 2:
        return x * 0x1p-60f;
    case 3:
        return x * 0x1p-136f;
    default:
        return x;
    }
}

/* ---- the kernels as one kind of thing ---- */

struct row {
    float *y; /* in and out */
    const float *x, *w;
    size_t n;
    float result; /* of a sum */
};

/* One kernel. Sizes are bytes per element of y, x, w. expected gives y[i] in double from the old contents, and the
 * magnitude that its error bound, in units of 2^-24, is relative to. */
struct kernel {
    const char *name;
    size_t y, x, w;
    void (*run)(const struct row_kernels *k, struct row *row);
    double (*expected)(const struct row *row, size_t i, double *magnitude);
    double bound;
};

static void run_sum(const struct row_kernels *k, struct row *row)
{
    row->result = k->sum(row->x, row->n);
}

static void run_dot(const struct row_kernels *k, struct row *row)
{
    row->result = k->dot(row->x, row->w, row->n);
}

static void run_max(const struct row_kernels *k, struct row *row)
{
    row->result = row->n ? k->max(row->x, row->n) : 0;
}

static void run_scale_max(const struct row_kernels *k, struct row *row)
{
    row->result = row->n ? k->scale_max(row->y, 1.7f, row->n) : 0;
}

static void run_finite(const struct row_kernels *k, struct row *row)
{
    row->result = (float)k->finite(row->x, row->n);
}

static void run_add(const struct row_kernels *k, struct row *row)
{
    k->add(row->y, row->x, row->n);
}

static double expected_add(const struct row *row, size_t i, double *magnitude)
{
    return *magnitude = (double)row->y[i] + row->x[i];
}

static void run_mul(const struct row_kernels *k, struct row *row)
{
    k->mul(row->y, row->x, row->n);
}

static double expected_mul(const struct row *row, size_t i, double *magnitude)
{
    return *magnitude = (double)row->y[i] * row->x[i];
}

static void run_scale(const struct row_kernels *k, struct row *row)
{
    k->scale(row->y, 1.7f, row->n);
}

static double expected_scale(const struct row *row, size_t i, double *magnitude)
{
    return *magnitude = (double)row->y[i] * 1.7f;
}

static void run_axpy(const struct row_kernels *k, struct row *row)
{
    k->axpy(row->y, -0.3f, row->x, row->n);
}

static double expected_axpy(const struct row *row, size_t i, double *magnitude)
{
    return *magnitude = -0.3f * (double)row->x[i] + row->y[i];
}

#define EPS 1e-6f

static void run_rmsnorm(const struct row_kernels *k, struct row *row)
{
    row->result = k->rmsnorm(row->y, row->x, row->w, row->n ? row->n : 1, EPS);
}

static void run_rmsnorm_plain(const struct row_kernels *k, struct row *row)
{
    row->result = k->rmsnorm(row->y, row->x, NULL, row->n ? row->n : 1, EPS);
}

static double expected_rmsnorm_plain(const struct row *row, size_t i, double *magnitude)
{
    double square = 0;
    size_t j;
    for (j = 0; j < row->n; j++)
        square += (double)row->x[j] * row->x[j];
    return *magnitude = row->x[i] / sqrt(square / (double)row->n + EPS);
}

static double expected_rmsnorm(const struct row *row, size_t i, double *magnitude)
{
    double y = expected_rmsnorm_plain(row, i, magnitude) * row->w[i];
    return *magnitude = y;
}

static void run_rope_pairs(const struct row_kernels *k, struct row *row)
{
    k->rope_pairs(row->y, row->x, row->w, row->n);
}

/* x holds cosines and w sines, of whatever angle: the formula is linear in them. */
static double rotated(double u, double v, double c, double s, int second, double *magnitude)
{
    *magnitude = second ? fabs(u * s) + fabs(v * c) : fabs(u * c) + fabs(v * s);
    return second ? u * s + v * c : u * c - v * s;
}

static double expected_rope_pairs(const struct row *row, size_t i, double *magnitude)
{
    size_t p = i / 2;
    return rotated(row->y[2 * p], row->y[2 * p + 1], row->x[p], row->w[p], i % 2, magnitude);
}

static void run_rope_halves(const struct row_kernels *k, struct row *row)
{
    k->rope_halves(row->y, row->x, row->w, row->n);
}

static double expected_rope_halves(const struct row *row, size_t i, double *magnitude)
{
    size_t p = i % row->n;
    return rotated(row->y[p], row->y[p + row->n], row->x[p], row->w[p], i >= row->n, magnitude);
}

static void run_silu_mul(const struct row_kernels *k, struct row *row)
{
    k->silu_mul(row->y, row->x, row->w, row->n);
}

static double expected_silu_mul(const struct row *row, size_t i, double *magnitude)
{
    return *magnitude = row->x[i] / (1 + exp(-(double)row->x[i])) * row->w[i];
}

static void run_gelu_mul(const struct row_kernels *k, struct row *row)
{
    k->gelu_mul(row->y, row->x, row->w, row->n);
}

static double expected_gelu_mul(const struct row *row, size_t i, double *magnitude)
{
    double x = row->x[i], u = 0.79788456080286536 * (x + 0.044715 * x * x * x);
    return *magnitude = x / (1 + exp(-2 * u)) * row->w[i];
}

static void run_tanh_scale(const struct row_kernels *k, struct row *row)
{
    k->tanh_scale(row->y, 3, row->n);
}

static double expected_tanh_scale(const struct row *row, size_t i, double *magnitude)
{
    return *magnitude = 3 * tanh(row->y[i] / 3.0);
}

static void run_exp_sum(const struct row_kernels *k, struct row *row)
{
    row->result = k->exp_sum(row->y, row->x, 3.5f, row->n);
}

static void run_exp_sum_only(const struct row_kernels *k, struct row *row)
{
    row->result = k->exp_sum_only(row->x, 3.5f, row->n);
}

/* The rounding of x - max is one of the exponent. */
static double expected_exp_sum(const struct row *row, size_t i, double *magnitude)
{
    double x = (double)row->x[i] - 3.5f, y = exp(x);
    *magnitude = y * (1 + fabs(x) / 2);
    return y;
}

static void run_from_f16(const struct row_kernels *k, struct row *row)
{
    k->from_f16(row->y, (const uint16_t *)(const void *)row->x, row->n);
}

static void run_to_f16(const struct row_kernels *k, struct row *row)
{
    k->to_f16((uint16_t *)(void *)row->y, row->x, row->n);
}

static void run_from_bf16(const struct row_kernels *k, struct row *row)
{
    k->from_bf16(row->y, (const uint16_t *)(const void *)row->x, row->n);
}

static void run_to_bf16(const struct row_kernels *k, struct row *row)
{
    k->to_bf16((uint16_t *)(void *)row->y, row->x, row->n);
}

/* Bounds in units of 2^-24 of the magnitude: one rounding is 1; silu's, gelu's (17 ulp to -4) and tanh's errors are
 * those of elementary.h, twice their ulp, plus the products. rmsnorm's dot product has n / 16 + 4 roundings, of which
 * the root halves the effect. Measured, over all lengths: rmsnorm 7.0, silu_mul 4.2, gelu_mul 27, tanh_scale 5.2,
 * exp_sum 2.0, others 1. */
static const struct kernel kernels[] = {
    {"sum", 0, 4, 0, run_sum, NULL, 0},
    {"dot", 0, 4, 4, run_dot, NULL, 0},
    {"max", 0, 4, 0, run_max, NULL, 0},
    {"finite", 0, 4, 0, run_finite, NULL, 0},
    {"add", 4, 4, 0, run_add, expected_add, 1},
    {"mul", 4, 4, 0, run_mul, expected_mul, 1},
    {"scale", 4, 0, 0, run_scale, expected_scale, 1},
    {"scale_max", 4, 0, 0, run_scale_max, expected_scale, 1},
    {"axpy", 4, 4, 0, run_axpy, expected_axpy, 1},
    {"rmsnorm", 4, 4, 4, run_rmsnorm, expected_rmsnorm, 12},
    {"rmsnorm_plain", 4, 4, 0, run_rmsnorm_plain, expected_rmsnorm_plain, 12},
    {"rope_pairs", 8, 4, 4, run_rope_pairs, expected_rope_pairs, 2},
    {"rope_halves", 8, 4, 4, run_rope_halves, expected_rope_halves, 2},
    {"silu_mul", 4, 4, 4, run_silu_mul, expected_silu_mul, 5.5},
    {"gelu_mul", 4, 4, 4, run_gelu_mul, expected_gelu_mul, 35},
    {"tanh_scale", 4, 0, 0, run_tanh_scale, expected_tanh_scale, 6.8},
    {"exp_sum", 4, 4, 0, run_exp_sum, expected_exp_sum, 2.3},
    {"exp_sum_only", 0, 4, 0, run_exp_sum_only, NULL, 0},
    {"from_f16", 4, 2, 0, run_from_f16, NULL, 0},
    {"to_f16", 2, 4, 0, run_to_f16, NULL, 0},
    {"from_bf16", 4, 2, 0, run_from_bf16, NULL, 0},
    {"to_bf16", 2, 4, 0, run_to_bf16, NULL, 0},
};

#define N_KERNELS (sizeof kernels / sizeof *kernels)

/* ---- running them ---- */

static float saved[N_ROWS][ROW_BYTES / sizeof(float)];

/* Random rows of n elements at the ends of the regions; saved keeps a copy of the regions' contents. */
static void fill_rows(const struct kernel *kernel, size_t n, struct row *row)
{
    size_t i;
    int r;
    for (r = 0; r < N_ROWS; r++) {
        for (i = 0; i < ROW_BYTES / sizeof(float); i++)
            saved[r][i] = random_float();
        memcpy(row_at(r, ROW_BYTES), saved[r], ROW_BYTES);
    }
    row->n = n;
    row->y = row_at(ROW_Y, kernel->y * (n ? n : 1));
    row->x = row_at(ROW_X, kernel->x * (n ? n : 1));
    row->w = row_at(ROW_W, kernel->w * (n ? n : 1));
    row->result = 0;
}

static void restore_rows(void)
{
    int r;
    for (r = 0; r < N_ROWS; r++)
        memcpy(row_at(r, ROW_BYTES), saved[r], ROW_BYTES);
}

/* Whether everything but the n elements of y is as it was. */
static int rest_untouched(const struct kernel *kernel, size_t n)
{
    size_t row = kernel->y * n;
    return memcmp(row_at(ROW_Y, ROW_BYTES), saved[ROW_Y], ROW_BYTES - row) == 0 &&
           memcmp(row_at(ROW_X, ROW_BYTES), saved[ROW_X], ROW_BYTES) == 0 &&
           memcmp(row_at(ROW_W, ROW_BYTES), saved[ROW_W], ROW_BYTES) == 0;
}

/* The row kernels of tier i, NULL past the end; scalar first. */
static const struct row_kernels *rows_at(size_t i)
{
    const struct kernels *tier = kernels_at(i);
    return tier ? tier->rows : NULL;
}

static void check_tiers(const struct kernel *kernel, size_t n)
{
    static uint8_t scalar[ROW_BYTES];
    const struct row_kernels *k;
    float result = 0;
    struct row row;
    size_t i, written = n || strncmp(kernel->name, "rmsnorm", 7) != 0 ? n : 1;
    fill_rows(kernel, n, &row);
    for (i = 0; (k = rows_at(i)) != NULL; i++) {
        restore_rows();
        kernel->run(k, &row);
        if (i == 0) {
            memcpy(scalar, row_at(ROW_Y, ROW_BYTES), ROW_BYTES);
            result = row.result;
        }
        CHECK_MSG(memcmp(row_at(ROW_Y, ROW_BYTES), scalar, ROW_BYTES) == 0 &&
                      memcmp(&row.result, &result, sizeof result) == 0,
                  "%s of %s differs, n = %zu", kernel->name, k->name, n);
        CHECK_MSG(rest_untouched(kernel, written), "%s of %s writes outside, n = %zu", kernel->name, k->name, n);
    }
}

static void test_tiers(void)
{
    size_t i, j, repeat, n_repeats = test_quick() ? 2 : 20;
    for (i = 0; i < N_KERNELS; i++)
        for (j = 0; j < N_LENGTHS; j++)
            for (repeat = 0; repeat < n_repeats; repeat++)
                check_tiers(&kernels[i], lengths[j]);
}

static void check_values(const struct kernel *kernel, size_t n, double *worst)
{
    static float y[ROW_BYTES / sizeof(float)];
    struct row row;
    size_t i, n_outputs = kernel->y / 4 * n;
    fill_rows(kernel, n, &row);
    kernel->run(rows_at(0), &row);
    memcpy(y, row.y, n_outputs * sizeof *y);
    restore_rows();
    for (i = 0; i < n_outputs; i++) {
        double magnitude, expected = kernel->expected(&row, i, &magnitude);
        double error = fmax(fabs(y[i] - expected) - 0x1p-145, 0) / (0x1p-24 * fabs(magnitude) + 1e-300);
        *worst = fmax(*worst, error);
        CHECK_MSG(error <= kernel->bound, "%s: y[%zu] = %.9g, expected %.9g, n = %zu", kernel->name, i, (double)y[i],
                  expected, n);
    }
}

static void test_values(void)
{
    size_t i, j;
    for (i = 0; i < N_KERNELS; i++) {
        double worst = 0;
        for (j = 0; j < N_LENGTHS && kernels[i].expected; j++)
            check_values(&kernels[i], lengths[j], &worst);
        if (getenv("VERBOSE"))
            printf("%s: %g\n", kernels[i].name, worst);
    }
}

/* ---- sums: the order of kernels.h ---- */

static float tree(float p[16])
{
    int width, l;
    for (width = 8; width > 0; width /= 2)
        for (l = 0; l < width; l++)
            p[l] = p[l] + p[l + width];
    return p[0];
}

static void test_sum_order(void)
{
    static float e[N_MAX];
    const struct row_kernels *k;
    size_t i, j, l;
    struct row row;
    for (j = 0; j < N_LENGTHS; j++) {
        float sums[16] = {0}, dots[16] = {0}, exps[16] = {0}, sum, dot, exp;
        fill_rows(&kernels[1], lengths[j], &row);
        for (l = 0; l < row.n; l++) {
            sums[l % 16] = sums[l % 16] + row.x[l];
            dots[l % 16] = fmaf(row.x[l], row.w[l], dots[l % 16]);
            exps[l % 16] = exps[l % 16] + elementary_exp(row.x[l] - 3);
        }
        sum = tree(sums);
        dot = tree(dots);
        exp = tree(exps);
        for (i = 0; (k = rows_at(i)) != NULL; i++) {
            float a = k->sum(row.x, row.n), b = k->dot(row.x, row.w, row.n), c = k->exp_sum(e, row.x, 3, row.n);
            float d = k->exp_sum_only(row.x, 3, row.n);
            CHECK_MSG(memcmp(&a, &sum, 4) == 0, "sum of %s, n = %zu", k->name, row.n);
            CHECK_MSG(memcmp(&b, &dot, 4) == 0, "dot of %s, n = %zu", k->name, row.n);
            CHECK_MSG(memcmp(&c, &exp, 4) == 0 && memcmp(&d, &exp, 4) == 0, "exp_sum of %s, n = %zu", k->name, row.n);
        }
    }
}

/* The same call with the output over an input. */
static void test_in_place(void)
{
    static float apart[N_MAX], over[N_MAX];
    const struct row_kernels *k;
    struct row row;
    size_t i, j;
    for (j = 1; j < N_LENGTHS; j++) {
        size_t n = lengths[j], bytes = n * sizeof(float);
        fill_rows(&kernels[1], n, &row);
        for (i = 0; (k = rows_at(i)) != NULL; i++) {
            k->rmsnorm(apart, row.x, row.w, n, EPS);
            memcpy(over, row.x, bytes);
            k->rmsnorm(over, over, row.w, n, EPS);
            CHECK_MSG(memcmp(apart, over, bytes) == 0, "rmsnorm of %s in place, n = %zu", k->name, n);
            k->exp_sum(apart, row.x, 2, n);
            memcpy(over, row.x, bytes);
            k->exp_sum(over, over, 2, n);
            CHECK_MSG(memcmp(apart, over, bytes) == 0, "exp_sum of %s in place, n = %zu", k->name, n);
            k->silu_mul(apart, row.x, row.w, n);
            memcpy(over, row.x, bytes);
            k->silu_mul(over, over, row.w, n);
            CHECK_MSG(memcmp(apart, over, bytes) == 0, "silu_mul of %s over gate, n = %zu", k->name, n);
            k->gelu_mul(apart, row.x, row.w, n);
            memcpy(over, row.w, bytes);
            k->gelu_mul(over, row.x, over, n);
            CHECK_MSG(memcmp(apart, over, bytes) == 0, "gelu_mul of %s over up, n = %zu", k->name, n);
        }
    }
}

/* ---- special values ---- */

static void test_max(void)
{
    static float x[100];
    const struct row_kernels *k;
    size_t i, n, at;
    for (i = 0; (k = rows_at(i)) != NULL; i++)
        for (n = 1; n <= 100; n++)
            for (at = 0; at < n; at++) {
                size_t l;
                for (l = 0; l < n; l++)
                    x[l] = l % 3 ? -HUGE_VALF : -1e30f - (float)l * 1e28f;
                x[at] = at % 2 ? 0.5f : -1e-30f;
                CHECK_MSG(k->max(x, n) == x[at], "%s: n = %zu, at %zu", k->name, n, at);
                for (l = 0; l < n; l++)
                    x[l] = -HUGE_VALF;
                CHECK_MSG(k->max(x, n) == -HUGE_VALF, "%s: all -inf, n = %zu", k->name, n);
            }
}

static void test_finite(void)
{
    static float x[70];
    const float bad[] = {HUGE_VALF, -HUGE_VALF, half_float_of_bits(0x7fc00000u), half_float_of_bits(0xff800001u)};
    const struct row_kernels *k;
    size_t i, n, at;
    for (i = 0; (k = rows_at(i)) != NULL; i++) {
        CHECK(k->finite(x, 0));
        for (n = 1; n <= 70; n++)
            for (at = 0; at < n; at++) {
                x[at] = at % 2 ? -3.4e38f : 1e-45f;
                CHECK_MSG(k->finite(x, n), "%s: n = %zu", k->name, n);
                x[at] = bad[(at + n) % 4];
                CHECK_MSG(!k->finite(x, n), "%s: n = %zu, at %zu", k->name, n, at);
                x[at] = 1;
            }
    }
}

/* A masked key has score -inf: its weight is 0 and adds nothing. */
static void test_exp_sum_masked(void)
{
    static float x[40], y[40];
    const struct row_kernels *k;
    size_t i, l;
    for (i = 0; (k = rows_at(i)) != NULL; i++) {
        for (l = 0; l < 40; l++)
            x[l] = l % 4 ? -HUGE_VALF : 2;
        CHECK_MSG(k->exp_sum(y, x, 2, 40) == 10 && k->exp_sum_only(x, 2, 40) == 10, "%s", k->name);
        for (l = 0; l < 40; l++)
            CHECK_MSG(y[l] == (l % 4 ? 0 : 1), "%s", k->name);
    }
}

/* All 65536 halves; floats of every exponent and every kind of rounding. */
static void test_halves(void)
{
    static uint16_t h[65536], back[65536];
    static float f[65536];
    const struct row_kernels *k;
    size_t i;
    uint32_t l, round;
    for (i = 0; (k = rows_at(i)) != NULL; i++) {
        for (l = 0; l < 65536; l++)
            h[l] = (uint16_t)l;
        k->from_f16(f, h, 65536);
        for (l = 0; l < 65536; l++)
            CHECK_MSG(half_float_bits(f[l]) == half_float_bits(half_from_f16(h[l])), "%s: from_f16 %#x", k->name, l);
        k->from_bf16(f, h, 65536);
        for (l = 0; l < 65536; l++)
            CHECK_MSG(half_float_bits(f[l]) == half_float_bits(half_from_bf16(h[l])), "%s: from_bf16 %#x", k->name, l);
        for (round = 0; round < 4; round++) {
            static const uint32_t low[] = {0x0fff, 0x1000, 0x8000, 0x7fff};
            for (l = 0; l < 65536; l++)
                f[l] = half_float_of_bits(l << 16 | low[round]);
            k->to_f16(back, f, 65536);
            for (l = 0; l < 65536; l++)
                CHECK_MSG(back[l] == half_to_f16(f[l]), "%s: to_f16 %#x", k->name, half_float_bits(f[l]));
            k->to_bf16(back, f, 65536);
            for (l = 0; l < 65536; l++)
                CHECK_MSG(back[l] == half_to_bf16(f[l]), "%s: to_bf16 %#x", k->name, half_float_bits(f[l]));
        }
    }
}

/* ---- quantised rows ---- */

#define Q_TOKENS 3
#define Q_BLOCKS (N_MAX / 32)

static int8_t q[Q_TOKENS * N_MAX];
static float q_d[Q_TOKENS * Q_BLOCKS], q_ds[Q_TOKENS * Q_BLOCKS];
static int32_t q_neg[3][Q_TOKENS * Q_BLOCKS], q_neg32[Q_TOKENS * 2 * Q_BLOCKS];

static struct qrows q_rows(size_t n)
{
    struct qrows rows = {(n + 31) / 32, q, q_d, q_ds, q_neg[0], q_neg[1], q_neg[2], q_neg32};
    memset(q, 99, sizeof q);
    memset(q_d, 99, sizeof q_d);
    memset(q_ds, 99, sizeof q_ds);
    memset(q_neg, 99, sizeof q_neg);
    memset(q_neg32, 99, sizeof q_neg32);
    return rows;
}

/* One block as kernels.h says it, literally. */
static int block_right(const struct qrows *rows, size_t block, const float *x, size_t n)
{
    float m = 0, d, padded[32] = {0};
    int32_t sum[2] = {0, 0};
    size_t i;
    memcpy(padded, x, n * sizeof *x);
    for (i = 0; i < 32; i++)
        m = fmaxf(m, fabsf(padded[i]));
    d = m < 0x1p-100f ? 0 : m / 127;
    for (i = 0; i < 32; i++) {
        int expected = m < 0x1p-100f ? 0 : (int)rintf(padded[i] * (127 / m));
        if (rows->q[32 * block + i] != expected || expected < -127 || expected > 127)
            return 0;
        sum[i / 16] += expected;
    }
    return rows->d[block] == d && rows->ds[block] == d * (float)(sum[0] + sum[1]) &&
           rows->neg8[block] == -8 * (sum[0] + sum[1]) && rows->neg16[block] == -16 * (sum[0] + sum[1]) &&
           rows->neg128[block] == -128 * (sum[0] + sum[1]) && rows->neg32[2 * block] == -32 * sum[0] &&
           rows->neg32[2 * block + 1] == -32 * sum[1];
}

static void check_quantize(const float *x, size_t n)
{
    const struct row_kernels *k;
    size_t i, b;
    for (i = 0; (k = rows_at(i)) != NULL; i++) {
        struct qrows rows = q_rows(n);
        k->quantize(&rows, 1, x, n);
        for (b = 0; b < rows.n_blocks; b++)
            CHECK_MSG(block_right(&rows, rows.n_blocks + b, x + 32 * b, n - 32 * b < 32 ? n - 32 * b : 32),
                      "%s: n = %zu, block %zu", k->name, n, b);
        for (b = 0; b < rows.n_blocks; b++) /* the rows before and behind */
            CHECK_MSG(rows.q[32 * b] == 99 && rows.q[32 * (2 * rows.n_blocks + b)] == 99, "%s: n = %zu", k->name, n);
    }
}

static void test_quantize(void)
{
    size_t i, j, repeat, n_repeats = test_quick() ? 3 : 50;
    for (j = 1; j < N_LENGTHS; j++)
        for (repeat = 0; repeat < n_repeats; repeat++) {
            float *x = row_at(ROW_X, lengths[j] * sizeof(float)), power = ldexpf(1, (int)(random_u32() % 160) - 110);
            for (i = 0; i < lengths[j]; i++)
                x[i] = random_float() * power;
            check_quantize(x, lengths[j]);
        }
}

static void test_quantize_edges(void)
{
    static const float maxima[] = {0, 0x1p-149f, 0x1.fffffep-101f, 0x1p-100f, 0x1.000002p-100f, 1, 127, 3.4e38f};
    float x[32];
    size_t m, i;
    for (m = 0; m < sizeof maxima / sizeof *maxima; m++) {
        for (i = 0; i < 32; i++)
            x[i] = i == 5 ? -maxima[m] : maxima[m] * ((float)i / 64);
        check_quantize(x, 32);
        for (i = 0; i < 32; i++) /* ties: m = 127, so that q = x */
            x[i] = i == 0 ? 127 : (float)i - 16.5f;
        check_quantize(x, 32);
        for (i = 0; i < 32; i++) /* the largest sums */
            x[i] = m % 2 ? maxima[m] : -maxima[m];
        check_quantize(x, 32);
    }
}

int main(void)
{
    regions_create();
    RUN(test_tiers);
    RUN(test_values);
    RUN(test_sum_order);
    RUN(test_in_place);
    RUN(test_max);
    RUN(test_finite);
    RUN(test_exp_sum_masked);
    RUN(test_halves);
    RUN(test_quantize);
    RUN(test_quantize_edges);
    return TEST_RESULT();
}
