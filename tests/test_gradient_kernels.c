/* test_gradient_kernels.c - the row kernels of training and the decoding of packed panels: every tier against the
 * scalar one bit for bit, the scalar one against double. Rows end at an unmapped page, and the bytes before them are
 * watched.
 */
#include <math.h>
#include <sys/mman.h>
#include <unistd.h>
#include "gradients.h"
#include "kernels.h"
#include "rng.h"
#include "test.h"

/* Of the largest term of a value, in units of 2^-24: a few roundings and two elementary functions of an ulp or two.
 * Measured: silu 3.4, gelu 2.4, exp_scale 2.0, softmax 1.7, adamw 1.9. */
#define VALUE_BOUND 8.0
/* Of the sum of magnitudes: 16 partial sums of up to 56 terms. Measured: 4e-8. */
#define SUM_BOUND 1e-6
/* The same in double. Measured: 2e-16. */
#define SQUARE_BOUND 1e-14

static const size_t lengths[] = {0, 1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 127, 172, 896};

#define N_LENGTHS (sizeof lengths / sizeof *lengths)
#define N_MAX     896
#define N_ROWS    4
#define MARGIN    64 /* watched bytes before a row */

/* ---- Rows behind which nothing is mapped ---- */

static uint8_t *regions[N_ROWS];
static size_t region_bytes;

static void regions_create(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int i;

    region_bytes = (N_MAX * sizeof(float) + MARGIN + page - 1) / page * page;
    for (i = 0; i < N_ROWS; i++) {
        uint8_t *map = mmap(NULL, region_bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (map == MAP_FAILED || mprotect(map + region_bytes, page, PROT_NONE) != 0)
            abort();
        regions[i] = map;
    }
}

static float *row_at(int i, size_t n)
{
    return (float *)(void *)(regions[i] + region_bytes - n * sizeof(float));
}

/* Mostly in -4..4; sometimes zero, minus zero, tiny or denormal. */
static float value_of(uint64_t stream, uint64_t i)
{
    uint64_t bits = rng_bits(11, RNG_TEST, stream, i, 0);
    float x = (float)(8 * rng_unit(bits) - 4);

    switch (bits % 32) {
    case 0:
        return 0;
    case 1:
        return -0.0f;
    case 2:
        return x * 0x1p-102f;
    case 3:
        return x * 0x1p-136f;
    default:
        return x;
    }
}

/* ---- The kernels as one kind of thing: up to four rows, of which the first n_out are written ---- */

static const struct adamw_step adamw_step = {0.75f, 0.1f, 0.001f, 0.9999f, 2e-3f, 31.6f, 1e-8f};

struct kernel {
    const char *name;
    int n_rows, n_out;
    double (*run)(const struct gradient_kernels *k, float *const *rows, size_t n);
    /* The value of row `row` at i and the magnitude its error is relative to, in double; NULL: a sum. */
    double (*expected)(float *const *rows, int row, size_t i, double *magnitude);
};

static double run_fma(const struct gradient_kernels *k, float *const *r, size_t n)
{
    k->fma(r[0], r[1], r[2], n);
    return 0;
}

static double want_fma(float *const *r, int row, size_t i, double *magnitude)
{
    (void)row;
    *magnitude = fabs((double)r[0][i]) + fabs((double)r[1][i] * (double)r[2][i]);
    return (double)r[0][i] + (double)r[1][i] * (double)r[2][i];
}

static double run_silu(const struct gradient_kernels *k, float *const *r, size_t n)
{
    k->silu_backward(r[0], r[1], r[2], n);
    return 0;
}

static double run_gelu(const struct gradient_kernels *k, float *const *r, size_t n)
{
    k->gelu_backward(r[0], r[1], r[2], n);
    return 0;
}

static double want_silu(float *const *r, int row, size_t i, double *magnitude)
{
    double x = (double)r[0][i], up = (double)r[1][i], d = (double)r[2][i], s = 1 / (1 + exp(-x));

    *magnitude = fabs(row ? d * x * s : d * up * s * (1 + fabs(x) * (1 - s)));
    return row ? d * x * s : d * up * s * (1 + x * (1 - s));
}

static double want_gelu(float *const *r, int row, size_t i, double *magnitude)
{
    const double c = 0.79788456080286535588;
    double x = (double)r[0][i], up = (double)r[1][i], d = (double)r[2][i], u = c * (x + 0.044715 * x * x * x);
    double t = tanh(u), left = 0.5 * (1 + t), right = 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x);

    /* exp(2 u) turns the rounding of u into a relative error of 2 u ulp */
    *magnitude = fabs(row ? d * x * left : d * up * (left + fabs(right))) * (1 + 2 * fabs(u));
    return row ? d * x * left : d * up * (left + right);
}

static double run_exp_scale(const struct gradient_kernels *k, float *const *r, size_t n)
{
    k->exp_scale(r[0], 0.75f, 1.5f, -0.375f, n);
    return 0;
}

static double want_exp_scale(float *const *r, int row, size_t i, double *magnitude)
{
    double y = -0.375 * exp((double)(0.75f * r[0][i] - 1.5f));

    (void)row;
    *magnitude = fabs(y);
    return y;
}

static double run_softmax(const struct gradient_kernels *k, float *const *r, size_t n)
{
    k->softmax_backward(r[0], r[1], 0.625f, 0.25f, n);
    return 0;
}

static double want_softmax(float *const *r, int row, size_t i, double *magnitude)
{
    double dp = (double)r[0][i], p = (double)r[1][i];

    (void)row;
    *magnitude = fabs(p * (fabs(dp) + 0.625) * 0.25);
    return p * (dp - 0.625) * 0.25;
}

static double run_flush(const struct gradient_kernels *k, float *const *r, size_t n)
{
    k->flush(r[0], n);
    return 0;
}

static double want_flush(float *const *r, int row, size_t i, double *magnitude)
{
    (void)row;
    *magnitude = 0;
    return fabsf(r[0][i]) < GRADIENT_TINY ? 0 : (double)r[0][i];
}

/* rows: w, m, v, g. v is made positive. */
static double run_adamw(const struct gradient_kernels *k, float *const *r, size_t n)
{
    k->adamw(r[0], r[1], r[2], r[3], &adamw_step, n);
    return 0;
}

static double flushed(double x)
{
    return fabs(x) < (double)GRADIENT_TINY ? 0 : x;
}

static double want_adamw(float *const *r, int row, size_t i, double *magnitude)
{
    const struct adamw_step *s = &adamw_step;
    double g = flushed((double)r[3][i] * (double)s->grad_scale), m0 = (double)r[1][i], v0 = (double)r[2][i];
    double m = flushed(m0 + (double)s->one_minus_beta1 * (g - m0));
    double v = flushed(v0 + (double)s->one_minus_beta2 * (g * g - v0)), update;

    *magnitude = row == 1 ? fabs(m0) + fabs(g) : v0 + g * g;
    if (row)
        return row == 1 ? m : v;
    update = (double)s->step / (sqrt(v) * (double)s->root + (double)s->eps);
    *magnitude = fabs((double)r[0][i]) + update * (fabs(m0) + fabs(g));
    return (double)r[0][i] * (double)s->decay - update * m;
}

static double run_expectation(const struct gradient_kernels *k, float *const *r, size_t n)
{
    return (double)k->expectation(r[0], 0.5f, n);
}

static double run_square_sum(const struct gradient_kernels *k, float *const *r, size_t n)
{
    return k->square_sum(r[0], n);
}

static const struct kernel kernels[] = {
    {"fma", 3, 1, run_fma, want_fma},
    {"silu_backward", 3, 2, run_silu, want_silu},
    {"gelu_backward", 3, 2, run_gelu, want_gelu},
    {"exp_scale", 1, 1, run_exp_scale, want_exp_scale},
    {"softmax_backward", 2, 1, run_softmax, want_softmax},
    {"flush", 1, 1, run_flush, want_flush},
    {"adamw", 4, 3, run_adamw, want_adamw},
    {"expectation", 1, 0, run_expectation, NULL},
    {"square_sum", 1, 0, run_square_sum, NULL},
};

#define N_KERNELS (sizeof kernels / sizeof *kernels)

/* The i-th gradient table of this host, scalar first, each once; NULL past the end. */
static const struct gradient_kernels *tables_at(size_t i, const char **name)
{
    size_t j, k;

    for (j = 0; kernels_at(j); j++) {
        for (k = 0; k < j && kernels_at(k)->gradients != kernels_at(j)->gradients; k++)
            ;
        if (k < j)
            continue;
        *name = kernels_at(j)->name;
        if (i-- == 0)
            return kernels_at(j)->gradients;
    }
    return NULL;
}

static void fill(const struct kernel *kernel, float *const *rows, size_t n, uint64_t round)
{
    int row;
    size_t i;

    for (row = 0; row < kernel->n_rows; row++)
        for (i = 0; i < n; i++)
            rows[row][i] = value_of(round * 8 + (uint64_t)row, i);
    for (i = 0; kernel->run == run_adamw && i < n; i++)
        rows[2][i] = fabsf(rows[2][i]);
}

static void check_tiers(const struct kernel *kernel, size_t n, uint64_t round)
{
    static float want[N_ROWS][N_MAX];
    const struct gradient_kernels *table;
    float *rows[N_ROWS];
    const char *name;
    double first = 0, value;
    size_t t, i;
    int row;

    for (row = 0; row < N_ROWS; row++)
        rows[row] = row_at(row, n);
    for (t = 0; (table = tables_at(t, &name)) != NULL; t++) {
        for (row = 0; row < N_ROWS; row++)
            memset((uint8_t *)rows[row] - MARGIN, 0xa5, MARGIN);
        fill(kernel, rows, n, round);
        value = kernel->run(table, rows, n);
        for (row = 0; row < kernel->n_rows; row++) {
            if (t == 0)
                memcpy(want[row], rows[row], n * sizeof(float));
            CHECK_MSG(memcmp(want[row], rows[row], n * sizeof(float)) == 0, "%s of %s, n = %zu", kernel->name, name, n);
            for (i = 0; i < MARGIN; i++)
                CHECK_MSG(((uint8_t *)rows[row] - MARGIN)[i] == 0xa5, "%s of %s writes before its row, n = %zu",
                          kernel->name, name, n);
        }
        first = t ? first : value;
        CHECK_MSG(memcmp(&first, &value, sizeof value) == 0, "%s of %s, n = %zu", kernel->name, name, n);
    }
}

static void test_tiers(void)
{
    size_t k, i;
    uint64_t round, n_rounds = test_quick() ? 2 : 6;

    for (k = 0; k < N_KERNELS; k++)
        for (i = 0; i < N_LENGTHS; i++)
            for (round = 0; round < n_rounds; round++)
                check_tiers(&kernels[k], lengths[i], round);
}

static void test_values(void)
{
    const struct gradient_kernels *scalar = kernels_at(0)->gradients;
    static float before[N_ROWS][N_MAX], after[N_ROWS][N_MAX];
    float *const in[N_ROWS] = {before[0], before[1], before[2], before[3]};
    float *const out[N_ROWS] = {after[0], after[1], after[2], after[3]};
    double magnitude;
    size_t k, i;
    int row;

    for (k = 0; k < N_KERNELS; k++) {
        double worst = 0;

        if (!kernels[k].expected)
            continue;
        fill(&kernels[k], in, N_MAX, 77);
        memcpy(after, before, sizeof after);
        kernels[k].run(scalar, out, N_MAX);
        for (row = 0; row < kernels[k].n_rows; row++)
            for (i = 0; i < N_MAX; i++) {
                double want = row < kernels[k].n_out ? kernels[k].expected(in, row, i, &magnitude) : (double)in[row][i];
                double bound = row < kernels[k].n_out ? VALUE_BOUND * (magnitude * 0x1p-24 + 0x1p-149) : 0;

                if (row < kernels[k].n_out && magnitude > 0x1p-100)
                    worst = fmax(worst, fabs((double)out[row][i] - want) / magnitude * 0x1p24);
                CHECK_MSG(fabs((double)out[row][i] - want) <= bound, "%s: row %d of %g: %.9g, not %.9g",
                          kernels[k].name, row, (double)in[0][i], (double)out[row][i], want);
            }
        if (getenv("MEASURE"))
            printf("# %s: %.2f\n", kernels[k].name, worst);
    }
}

/* Sums, and their order as gradients.h states it. */
static void test_sums(void)
{
    const struct gradient_kernels *scalar = kernels_at(0)->gradients;
    static float x[N_MAX];
    size_t i, n;

    for (n = 0; n <= N_MAX; n += n < 40 ? 1 : 107) {
        double square = 0, mean = 0, size = 0, partial[16] = {0}, exact;

        for (i = 0; i < n; i++) {
            x[i] = value_of(5, i);
            exact = exp((double)(x[i] - 0.5f)) * (double)x[i];
            square += (double)x[i] * (double)x[i];
            partial[i % 16] = fma((double)x[i], (double)x[i], partial[i % 16]);
            mean += exact;
            size += fabs(exact);
        }
        for (i = 8; i; i /= 2) {
            size_t l;

            for (l = 0; l < i; l++)
                partial[l] += partial[l + i];
        }
        exact = scalar->square_sum(x, n);
        CHECK_MSG(fabs(exact - square) <= SQUARE_BOUND * square, "n = %zu: %.17g, not %.17g", n, exact, square);
        CHECK_MSG(memcmp(&exact, &partial[0], sizeof exact) == 0 || n == 0, "n = %zu: another order", n);
        exact = (double)scalar->expectation(x, 0.5f, n);
        CHECK_MSG(fabs(exact - mean) <= SUM_BOUND * size, "n = %zu: %.9g, not %.9g", n, exact, mean);
    }
}

/* Logits that are all very low: the padding of the last step must not become infinity times zero. */
static void test_expectation_of_low_logits(void)
{
    const struct gradient_kernels *table;
    const char *name;
    float x[5];
    size_t t, i;

    for (i = 0; i < 5; i++)
        x[i] = -200.0f - (float)i;
    for (t = 0; (table = tables_at(t, &name)) != NULL; t++)
        CHECK_MSG(isfinite(table->expectation(x, -199.5f, 5)), "%s", name);
}

/* ---- Decoding of packed rows ---- */

/* A panel's rows n + 3 apart: the values of pack_decode_row, and nothing between or behind the rows is touched. */
static void check_panel(const struct pack *pack, size_t panel, size_t col, size_t n,
                        const struct gradient_kernels *table, const char *name)
{
    size_t stride = n + 3, r, i, size = PACK_ROWS * stride + 16;
    float *got = malloc(size * sizeof *got), *want = malloc((n + 1) * sizeof *want);

    memset(got, 0x55, size * sizeof *got);
    table->decode_panel(pack, panel, col, n, got, stride);
    for (r = 0; r < PACK_ROWS; r++) {
        size_t gap = r + 1 < PACK_ROWS ? 3 : 19;

        if (panel * PACK_ROWS + r < pack->rows) {
            pack_decode_row(pack, panel * PACK_ROWS + r, col, n, want);
            CHECK_MSG(memcmp(want, got + r * stride, n * sizeof *want) == 0,
                      "class %s of %s: row %zu, columns %zu + %zu", pack_infos[pack->class_].name, name,
                      panel * PACK_ROWS + r, col, n);
        }
        for (i = 0; i < gap * sizeof *got; i++)
            CHECK(((uint8_t *)(got + r * stride + n))[i] == 0x55);
    }
    free(got);
    free(want);
}

static void check_decoding(enum dtype type, size_t rows, size_t cols)
{
    size_t bytes = cols / dtype_info((uint32_t)type)->block_len * dtype_info((uint32_t)type)->block_bytes, r, col, i, t;
    size_t step = pack_infos[pack_class_of(type)].element_bytes ? 13 : PACK_BLOCK, n;
    uint8_t *stored = malloc(rows * bytes), *packed;
    float *row = malloc(cols * sizeof *row);
    const struct gradient_kernels *table;
    const char *name;
    struct pack pack;

    for (r = 0; r < rows; r++) {
        for (i = 0; i < cols; i++)
            row[i] = value_of(40 + r, i);
        dtype_encode_row(type, stored + r * bytes, row, cols);
    }
    pack_shape(&pack, type, rows, cols);
    packed = malloc(pack_bytes(&pack));
    pack_panels(&pack, packed, type, stored, 0, pack.n_panels);
    pack.data = packed;
    for (t = 0; (table = tables_at(t, &name)) != NULL; t++)
        for (r = 0; r < rows; r += PACK_ROWS)
            for (col = 0; col < cols; col += 3 * step) {
                n = cols - col < 5 * step * (t + 1) ? cols - col : 5 * step * (t + 1);
                check_panel(&pack, r / PACK_ROWS, col, n, table, name);
            }
    free(stored);
    free(packed);
    free(row);
}

static void test_decode_panel(void)
{
    static const enum dtype types[] = {DTYPE_F32,  DTYPE_F16,  DTYPE_BF16, DTYPE_Q8_0,  DTYPE_Q4_0,
                                       DTYPE_Q4_1, DTYPE_Q5_0, DTYPE_Q5_1, DTYPE_Q4_K,  DTYPE_Q5_K,
                                       DTYPE_Q6_K, DTYPE_Q2_K, DTYPE_Q3_K, DTYPE_IQ4_NL};
    unsigned seen = 0;
    size_t i;

    for (i = 0; i < sizeof types / sizeof *types; i++) {
        seen |= 1u << pack_class_of(types[i]);
        check_decoding(types[i], 33, 768);
    }
    CHECK(seen == (1u << PACK_COUNT) - 1);
    for (i = 0; i < 3; i++)
        check_decoding(types[i], 17, 61);
}

int main(void)
{
    regions_create();
    RUN(test_tiers);
    RUN(test_values);
    RUN(test_sums);
    RUN(test_expectation_of_low_logits);
    RUN(test_decode_panel);
    return TEST_RESULT();
}
