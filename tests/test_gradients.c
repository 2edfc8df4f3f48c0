/* test_gradients.c - every derivative, twice: the naive operations over double against complex steps, then the
 * program's f32 operations and its whole backward pass against the naive ones. */
#include <math.h>
#include "attention.h"
#include "backward.h"
#include "full.h"
#include "half.h"
#include "lora.h"
#include "model_fixture.h"
#include "ref/naive.h"
#include "rmsnorm.h"
#include "rng.h"
#include "rope.h"
#include "swiglu.h"

/* Of the largest derivative: sums of some dozens of rounded doubles. Measured: 2.7e-16. */
#define STEP_BOUND 1e-12
/* f32 operations against double, of the largest derivative; measured: products 3.3e-7, with rows of quantised types
 * 3.2e-7, low-rank pairs 4.6e-7, norms 2.7e-7, rotation 6.5e-8, activations 1.1e-7, attention over 150 keys 4e-7. An
 * operation that is wrong is wrong by 1e-2 or more. */
#define OP_BOUND 2e-6
/* The whole backward pass along a direction, of |gradient| |direction|, and the loss: f32 over up to 7 layers.
 * Measured: 3.8e-7 and 5e-8. */
#define MODEL_BOUND 5e-6

static double uniform(uint64_t stream, uint64_t i)
{
    return 2 * rng_unit(rng_bits(7, RNG_TEST, stream, i, 0)) - 1;
}

/* ---- The naive operations: each as a function of one array z, L = sum dy y ---- */

#define T        5
#define OUT      4
#define IN       6
#define RANK     3
#define HEADS    4
#define KV_HEADS 2
#define E        6
#define MAX_Z    300
#define SCALE    0.7

struct op {
    const char *name;
    size_t n_inputs, n_outputs;
    void (*forward)(double complex *y, const double complex *z);
    void (*backward)(double *dz, const double *z, const double *dy);
};

static unsigned char sees[T * T];
static const double angles[E / 2] = {0.3, 1.7, -2.2};

static const struct naive_attention attention_shape = {T, HEADS, KV_HEADS, E, 0.4, sees};

#define Q_SIZE  (T * HEADS * E)
#define KV_SIZE (T * KV_HEADS * E)

/* z = W, bias, x */
static void linear_f(double complex *y, const double complex *z)
{
    naive_complex_linear(y, z, z + OUT * IN, z + OUT * IN + OUT, T, OUT, IN);
}

static void linear_b(double *dz, const double *z, const double *dy)
{
    naive_linear_backward(dz, dz + OUT * IN, dz + OUT * IN + OUT, z, dy, z + OUT * IN + OUT, T, OUT, IN);
}

/* z = A, B, x */
static void lora_f(double complex *y, const double complex *z)
{
    memset(y, 0, T * OUT * sizeof *y);
    naive_complex_lora(y, z, z + RANK * IN, SCALE, z + RANK * IN + OUT * RANK, T, RANK, OUT, IN);
}

static void lora_b(double *dz, const double *z, const double *dy)
{
    size_t b = RANK * IN, x = b + OUT * RANK;

    naive_lora_backward(dz, dz + b, dz + x, z, z + b, SCALE, dy, z + x, T, RANK, OUT, IN);
}

/* z = w, x */
static void rmsnorm_f(double complex *y, const double complex *z)
{
    naive_complex_rmsnorm(y, z + IN, z, T, IN, 1e-3);
}

static void rmsnorm_b(double *dz, const double *z, const double *dy)
{
    naive_rmsnorm_backward(dz, dz + IN, z, dy, z + IN, T, IN, 1e-3);
}

static void rope_pairs_f(double complex *y, const double complex *z)
{
    memcpy(y, z, (E + 2) * sizeof *y);
    naive_complex_rope(y, angles, E, 1);
}

static void rope_pairs_b(double *dz, const double *z, const double *dy)
{
    (void)z;
    memcpy(dz, dy, (E + 2) * sizeof *dz);
    naive_rope_backward(dz, angles, E, 1);
}

static void rope_halves_f(double complex *y, const double complex *z)
{
    memcpy(y, z, (E + 2) * sizeof *y);
    naive_complex_rope(y, angles, E, 0);
}

static void rope_halves_b(double *dz, const double *z, const double *dy)
{
    (void)z;
    memcpy(dz, dy, (E + 2) * sizeof *dz);
    naive_rope_backward(dz, angles, E, 0);
}

/* z = q, k, v */
static void attention_f(double complex *y, const double complex *z)
{
    naive_complex_attention(y, z, z + Q_SIZE, z + Q_SIZE + KV_SIZE, &attention_shape);
}

static void attention_b(double *dz, const double *z, const double *dy)
{
    size_t k = Q_SIZE, v = k + KV_SIZE;

    naive_attention_backward(dz, dz + k, dz + v, z, z + k, z + v, dy, &attention_shape);
}

/* z = gate, up */
static void silu_f(double complex *y, const double complex *z)
{
    naive_complex_swiglu(y, z, z + 40, 40, 0);
}

static void silu_b(double *dz, const double *z, const double *dy)
{
    naive_swiglu_backward(dz, dz + 40, z, z + 40, dy, 40, 0);
}

static void gelu_f(double complex *y, const double complex *z)
{
    naive_complex_swiglu(y, z, z + 40, 40, 1);
}

static void gelu_b(double *dz, const double *z, const double *dy)
{
    naive_swiglu_backward(dz, dz + 40, z, z + 40, dy, 40, 1);
}

static void logprob_f(double complex *y, const double complex *z)
{
    y[0] = naive_complex_logprob(z, 30, 11);
}

static void logprob_b(double *dz, const double *z, const double *dy)
{
    naive_logprob_backward(dz, z, dy[0], 30, 11);
}

static const struct op ops[] = {
    {"linear", OUT *IN + OUT + T *IN, T *OUT, linear_f, linear_b},
    {"lora", RANK *IN + OUT *RANK + T *IN, T *OUT, lora_f, lora_b},
    {"rmsnorm", IN + T *IN, T *IN, rmsnorm_f, rmsnorm_b},
    {"rope pairs", E + 2, E + 2, rope_pairs_f, rope_pairs_b},
    {"rope halves", E + 2, E + 2, rope_halves_f, rope_halves_b},
    {"attention", Q_SIZE + 2 * KV_SIZE, Q_SIZE, attention_f, attention_b},
    {"silu", 80, 40, silu_f, silu_b},
    {"gelu", 80, 40, gelu_f, gelu_b},
    {"logprob", 30, 1, logprob_f, logprob_b},
};

static double largest(const double *x, size_t n)
{
    double most = 0;
    size_t i;

    for (i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    return most;
}

static double worst_step;

static void check_op(const struct op *op)
{
    static double complex zc[MAX_Z], y[MAX_Z];
    static double z[MAX_Z], dz[MAX_Z], dy[MAX_Z];
    const double h = 1e-100;
    size_t i, o;

    for (i = 0; i < op->n_inputs; i++)
        zc[i] = z[i] = 2 * uniform(1, i);
    for (o = 0; o < op->n_outputs; o++)
        dy[o] = uniform(2, o);
    memset(dz, 0, sizeof dz);
    op->backward(dz, z, dy);
    for (i = 0; i < op->n_inputs; i++) {
        double step = 0;

        zc[i] = z[i] + h * I;
        op->forward(y, zc);
        zc[i] = z[i];
        for (o = 0; o < op->n_outputs; o++)
            step += dy[o] * cimag(y[o]) / h;
        worst_step = fmax(worst_step, fabs(step - dz[i]) / largest(dz, op->n_inputs));
        CHECK_MSG(fabs(step - dz[i]) <= STEP_BOUND * largest(dz, op->n_inputs), "%s: input %zu: %.17g, step %.17g",
                  op->name, i, dz[i], step);
    }
}

static void test_naive_operations_by_complex_step(void)
{
    size_t i, t, s;

    for (t = 0; t < T; t++) /* two sequences, the second with a window of 2 */
        for (s = 0; s <= t; s++)
            sees[t * T + s] = t < 2 ? 1 : s >= 2 && s + 2 > t;
    for (i = 0; i < sizeof ops / sizeof *ops; i++)
        check_op(&ops[i]);
}

/* ---- The program's operations against the naive ones ---- */

static struct exec exec;
static double worst[16]; /* of each operation below; shown with MEASURE=1 */

static struct arena arena; /* emptied after each test */

static void *memory(size_t n, size_t size)
{
    void *block = arena_array(&arena, n, size);

    if (!block)
        abort();
    return block;
}

static float *floats(size_t n)
{
    return memory(n, sizeof(float));
}

static double *doubles(size_t n)
{
    return memory(n, sizeof(double));
}

/* rows x cols random floats at `stride`, zero behind cols; a copy in doubles without the padding. */
static float *random_rows(double **copy, size_t rows, size_t cols, size_t stride, uint64_t stream)
{
    float *x = floats(rows * stride);
    size_t r, c;

    *copy = doubles(rows * cols);
    for (r = 0; r < rows; r++)
        for (c = 0; c < cols; c++)
            (*copy)[r * cols + c] = (double)(x[r * stride + c] = (float)uniform(stream, r * cols + c));
    return x;
}

static void compare(const char *what, const float *got, size_t stride, const double *want, size_t rows, size_t cols,
                    int measure)
{
    double most = largest(want, rows * cols), error = 0;
    size_t r, c;

    for (r = 0; r < rows; r++)
        for (c = 0; c < cols; c++)
            error = fmax(error, fabs((double)got[r * stride + c] - want[r * cols + c]));
    worst[measure] = fmax(worst[measure], error / most);
    CHECK_MSG(error <= OP_BOUND * most, "%s: %.3g of the largest away", what, error / most);
}

static size_t round16(size_t n)
{
    return (n + 15) / 16 * 16;
}

/* dx of two matrices at once, dw and d_bias of the first, for each storage type. */
static void check_linear(enum dtype type, size_t rows, size_t cols, size_t n_tokens)
{
    const struct dtype_info *info = dtype_info((uint32_t)type);
    size_t dy_stride = round16(rows), x_stride = round16(cols), row_bytes = cols / info->block_len * info->block_bytes,
           r, i;
    double *w, *dy, *x, *dx = doubles(n_tokens * cols), *dw = doubles(rows * cols);
    double *d_bias = doubles(rows);
    float *wf = random_rows(&w, rows, cols, cols, 3), *dyf = random_rows(&dy, n_tokens, rows, dy_stride, 4);
    float *xf = random_rows(&x, n_tokens, cols, x_stride, 5), *dxf = floats(n_tokens * x_stride);
    float *dwf = floats(rows * cols), *d_bias_f = floats(round16(rows)), *scratch[2];
    uint8_t *stored = memory(rows, row_bytes), *packed;
    struct linear linear = {.stored = type};
    struct linear_gradient jobs[2] = {{&linear, dyf, dy_stride}, {&linear, dyf, dy_stride}};

    for (r = 0; r < rows; r++)
        dtype_encode_row(type, stored + r * row_bytes, wf + r * cols, cols);
    pack_shape(&linear.w, type, rows, cols);
    packed = memory(pack_bytes(&linear.w), 1);
    pack_panels(&linear.w, packed, type, stored, 0, linear.w.n_panels);
    linear.w.data = packed;
    for (r = 0; r < rows; r++) { /* the weights that the file holds, exactly */
        dtype_decode_row(type, wf, stored + r * row_bytes, cols);
        for (i = 0; i < cols; i++)
            w[r * cols + i] = (double)wf[i];
    }
    for (i = 0; i < 2; i++)
        scratch[i] = floats(linear_backward_scratch());
    linear_backward(&exec, dxf, x_stride, jobs, 2, n_tokens, scratch);
    naive_linear_backward(NULL, NULL, dx, w, dy, x, n_tokens, rows, cols);
    naive_linear_backward(dw, d_bias, dx, w, dy, x, n_tokens, rows, cols);
    linear_backward_weight(&exec, dwf, d_bias_f, rows, cols, dyf, dy_stride, xf, x_stride, n_tokens);
    compare(info->name, dxf, x_stride, dx, n_tokens, cols, info->block_len == 1 ? 0 : 1);
    compare("dw", dwf, cols, dw, rows, cols, 0);
    compare("d_bias", d_bias_f, rows, d_bias, 1, rows, 0);
}

static void test_linear(void)
{
    static const enum dtype types[] = {DTYPE_F32,  DTYPE_F16,  DTYPE_BF16, DTYPE_Q8_0,  DTYPE_Q4_0,
                                       DTYPE_Q4_1, DTYPE_Q5_0, DTYPE_Q5_1, DTYPE_Q4_K,  DTYPE_Q5_K,
                                       DTYPE_Q6_K, DTYPE_Q2_K, DTYPE_Q3_K, DTYPE_IQ4_NL};
    size_t i;

    for (i = 0; i < sizeof types / sizeof *types; i++)
        check_linear(types[i], 50, 512, 19);
    for (i = 0; i < 3; i++) /* no block divides these */
        check_linear(types[i], 33, 29, 3);
    check_linear(DTYPE_F32, 1, 1, 1);
    arena_free(&arena);
}

/* A pair over float rows: y, then all gradients. */
static void check_lora(size_t rank, size_t in, size_t out, size_t n_tokens)
{
    struct lora l = {rank, in, out, round16(rank), round16(out), 1.7f, NULL, NULL, NULL};
    size_t x_stride = round16(in), y_stride = round16(out), i, r;
    double *a, *b_t, *x, *dy, *b = doubles(out * rank), *y = doubles(n_tokens * out);
    double *d_a = doubles(rank * in), *d_b = doubles(out * rank), *dx = doubles(n_tokens * in);
    float *xf = random_rows(&x, n_tokens, in, x_stride, 6), *dyf = random_rows(&dy, n_tokens, out, y_stride, 7);
    struct lora_scratch scratch = {floats(n_tokens * l.rank_stride), floats(out * l.rank_stride)};
    float *u = floats(n_tokens * l.rank_stride), *yf = floats(n_tokens * y_stride);
    float *d_af = floats(rank * in), *d_bf = floats(rank * l.out_stride), *dxf = floats(n_tokens * x_stride);
    float *d_b_rows = floats(out * rank);

    l.a = random_rows(&a, rank, in, in, 8);
    l.b_t = random_rows(&b_t, rank, out, l.out_stride, 9);
    l.a_t = floats(in * l.rank_stride);
    for (i = 0; i < out; i++)
        for (r = 0; r < rank; r++)
            b[i * rank + r] = b_t[r * out + i];
    lora_refresh(&l);
    lora_down(&exec, &l, u, xf, x_stride, n_tokens);
    lora_up(&exec, &l, yf, y_stride, u, n_tokens);
    lora_backward(&exec, &l, d_af, d_bf, dxf, x_stride, &scratch, u, dyf, y_stride, xf, x_stride, n_tokens);
    naive_lora(y, a, b, (double)l.scale, x, n_tokens, rank, out, in);
    naive_lora_backward(d_a, d_b, dx, a, b, (double)l.scale, dy, x, n_tokens, rank, out, in);
    for (i = 0; i < out; i++)
        for (r = 0; r < rank; r++)
            d_b_rows[i * rank + r] = d_bf[r * l.out_stride + i];
    compare("lora y", yf, y_stride, y, n_tokens, out, 2);
    compare("lora d_a", d_af, in, d_a, rank, in, 2);
    compare("lora d_b", d_b_rows, rank, d_b, out, rank, 2);
    compare("lora dx", dxf, x_stride, dx, n_tokens, in, 2);
}

static void test_lora(void)
{
    check_lora(8, 130, 70, 21);
    check_lora(3, 36, 12, 5);
    check_lora(17, 33, 300, 9);
    check_lora(1, 1, 1, 1);
    arena_free(&arena);
}

static void test_rmsnorm(void)
{
    static const size_t sizes[] = {1, 6, 16, 36, 257};
    size_t i, n_tokens = 13;

    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i], stride = round16(n), t;
        double *x, *w, *dy, *dw = doubles(n), *dx = doubles(n_tokens * n);
        float *xf = random_rows(&x, n_tokens, n, stride, 10), *wf = random_rows(&w, 1, n, stride, 11);
        float *dyf = random_rows(&dy, n_tokens, n, stride, 12), *dwf = floats(stride), *dxf = floats(n_tokens * stride);
        float *rows = floats(n_tokens * stride);

        memcpy(rows, dyf, n_tokens * stride * sizeof *rows);
        naive_rmsnorm_backward(dw, dx, w, dy, x, n_tokens, n, (double)1e-5f);
        rmsnorm_backward_weight(&exec, dwf, dyf, xf, n_tokens, stride, n, 1e-5f);
        rmsnorm_backward(&exec, dxf, dyf, xf, wf, n_tokens, stride, n, 1e-5f);
        for (t = 0; t < n_tokens; t++)
            rmsnorm_backward_row(exec.kernels->rows, rows + t * stride, xf + t * stride, wf, n, 1e-5f);
        compare("rmsnorm dw", dwf, stride, dw, 1, n, 3);
        if (n > 1) { /* one element: the derivative is eps itself, a difference of nearly equal numbers */
            compare("rmsnorm dx", dxf, stride, dx, n_tokens, n, 3);
            compare("rmsnorm row", rows, stride, dx, n_tokens, n, 3);
        }
        arena_free(&arena);
    }
}

static void test_rope(void)
{
    enum { half = 11 };
    float inv_freq[half], c[half], s[half], minus[half];
    double angle[half], *d;
    int pairs;
    size_t i;

    rope_frequencies(inv_freq, 1e4f, 1, NULL, 2 * half);
    rope_angles(c, s, inv_freq, half, 71);
    for (i = 0; i < half; i++) {
        angle[i] = (double)(71.0f * inv_freq[i]);
        minus[i] = -s[i];
    }
    for (pairs = 0; pairs < 2; pairs++) {
        float *x = random_rows(&d, 1, 2 * half, 2 * half, 13);

        if (pairs)
            exec.kernels->rows->rope_pairs(x, c, minus, half);
        else
            exec.kernels->rows->rope_halves(x, c, minus, half);
        naive_rope_backward(d, angle, 2 * half, pairs);
        compare("rope", x, 2 * half, d, 1, 2 * half, 4);
        arena_free(&arena);
    }
}

static void test_swiglu(void)
{
    size_t n = 77, stride = round16(n), n_tokens = 7, i;
    int gelu;

    for (gelu = 0; gelu < 2; gelu++) {
        double *gate, *up, *dy, *d_gate = doubles(n_tokens * n), *d_up = doubles(n_tokens * n);
        float *gf = random_rows(&gate, n_tokens, n, stride, 14), *uf = random_rows(&up, n_tokens, n, stride, 15);
        float *dyf = random_rows(&dy, n_tokens, n, stride, 16);

        for (i = 0; i < n_tokens * n; i++) { /* gates in -8..8 */
            size_t at = i / n * stride + i % n;

            gf[at] *= 8;
            gate[i] = (double)gf[at];
        }
        naive_swiglu_backward(d_gate, d_up, gate, up, dy, n_tokens * n, gelu);
        swiglu_backward(&exec, gf, uf, dyf, n_tokens, stride, n, gelu ? ACTIVATION_GELU : ACTIVATION_SILU);
        compare("d_gate", gf, stride, d_gate, n_tokens, n, 5);
        compare("d_up", uf, stride, d_up, n_tokens, n, 5);
        arena_free(&arena);
    }
}

/* M query rows at the positions first, first + 1, ... against keys 0 .. first + M - 1, block by block as the whole pass
 * does it, with a window or without. */
static void check_attention(size_t first, size_t m, size_t window)
{
    size_t e = 12, n = first + m, blocks = (n + ATTENTION_BLOCK - 1) / ATTENTION_BLOCK,
           padded = blocks * ATTENTION_BLOCK, t, s, i;
    double *q, *k, *v, *d_out, *dq = doubles(n * e), *dk = doubles(n * e), *dv = doubles(n * e);
    float *qf = random_rows(&q, n, e, e, 17), *kf = random_rows(&k, n, e, e, 18), *vf = random_rows(&v, n, e, e, 19);
    float *d_out_f = random_rows(&d_out, n, e, e, 20), *k_lanes = floats(padded * e), *v_rows = floats(padded * e);
    float *v_lanes = floats(padded * e), *k_rows = floats(padded * e), *dqf = floats(n * e), *dkf = floats(padded * e);
    float *dvf = floats(padded * e), *scores = floats(m * ATTENTION_BLOCK), *max = floats(m), *sum = floats(m);
    float *p = floats(ATTENTION_TILE * ATTENTION_BLOCK), *ds = floats(ATTENTION_TILE * ATTENTION_BLOCK);
    float *acc = floats(m * e), *delta = floats(m);
    size_t *position = memory(m, sizeof *position), begin, end;
    unsigned char *visible = memory(n * n, 1);
    struct naive_attention shape = {n, 1, 1, e, (double)0.9f, visible};
    struct attention a = {m, e, window, 0.9f, position, qf + first * e, acc, max, sum, scores};
    struct attention_gradient g = {m, e,   window, 0.9f,  position,        e,    qf + first * e, d_out_f + first * e,
                                   1, max, sum,    delta, dqf + first * e, NULL, NULL,           p,
                                   ds};

    for (t = 0; t < n; t++) /* rows before `first` have no gradient: they see only themselves */
        for (s = 0; s <= t; s++)
            visible[t * n + s] = t < first ? s == t : window == 0 || t - s < window;
    memset(d_out, 0, first * e * sizeof *d_out);
    for (t = 0; t < m; t++)
        position[t] = first + t;
    for (s = 0; s < n; s++)
        for (i = 0; i < e; i++) {
            size_t lane = s / ATTENTION_BLOCK * ATTENTION_BLOCK * e + i * ATTENTION_BLOCK + s % ATTENTION_BLOCK;

            k_lanes[lane] = k_rows[s * e + i] = kf[s * e + i];
            v_lanes[lane] = v_rows[s * e + i] = vf[s * e + i];
        }
    attention_blocks(first, n - 1, window, &begin, &end);
    attention_begin(&a);
    for (i = begin; i < end; i++)
        attention_block(&a, exec.kernels, k_lanes + i * ATTENTION_BLOCK * e, v_rows + i * ATTENTION_BLOCK * e,
                        i * ATTENTION_BLOCK, ATTENTION_BLOCK);
    attention_end(&a, exec.kernels);
    for (t = 0; t < m; t++)
        attention_deltas(exec.kernels, delta + t, g.d_out + t * e, acc + t * e, 1, e);
    for (i = begin; i < end; i++) {
        size_t at = i * ATTENTION_BLOCK * e;
        struct attention_keys keys = {k_lanes + at, v_lanes + at, k_rows + at, i * ATTENTION_BLOCK, ATTENTION_BLOCK};

        g.d_k = dkf + at;
        g.d_v = dvf + at;
        attention_backward_block(&g, exec.kernels, &keys);
    }
    naive_attention_backward(dq, dk, dv, q, k, v, d_out, &shape);
    compare("attention dq", dqf + first * e, e, dq + first * e, m, e, 6);
    compare("attention dk", dkf, e, dk, n, e, 6);
    compare("attention dv", dvf, e, dv, n, e, 6);
}

static void test_attention(void)
{
    check_attention(0, 1, 0);
    check_attention(0, 64, 0);
    check_attention(0, 65, 0);
    check_attention(130, 20, 0);
    check_attention(0, 150, 8);
    check_attention(60, 70, 64);
    check_attention(63, 70, 65);
    arena_free(&arena);
}

/* ---- The whole model ---- */

#define MAX_TOKENS 123

struct whole {
    struct model *model;
    struct adapter *adapter;
    struct full *full;
    struct backward *backward;
    struct naive_model *naive;
    struct naive_batch batch;
    struct train_span spans[3];
    int32_t ids[MAX_TOKENS], targets[MAX_TOKENS];
    size_t positions[MAX_TOKENS], rows[MAX_TOKENS];
    double weights[MAX_TOKENS];
    unsigned char sees[MAX_TOKENS * MAX_TOKENS];
    float logprobs[MAX_TOKENS];
};

/* Three sequences of 70, 23 and 30 tokens, or the last two as continuations of the first. */
static void lay_out(struct whole *w, int shared)
{
    static const size_t lengths[3] = {70, 23, 30};
    size_t first = 0, i, t, s;

    for (i = 0; i < MAX_TOKENS; i++)
        w->ids[i] = (int32_t)(rng_bits(5, RNG_TEST, i, 0, 0) % 300);
    for (i = 0; i < 3; i++) {
        struct train_span span = {w->ids + first, lengths[i], shared && i ? 0 : -1};

        w->spans[i] = span;
        for (t = first; t < first + lengths[i]; t++) {
            w->positions[t] = t - first + (span.parent == 0 ? lengths[0] : 0);
            for (s = first; s <= t; s++)
                w->sees[t * MAX_TOKENS + s] = 1;
            for (s = 0; span.parent == 0 && s < lengths[0]; s++)
                w->sees[t * MAX_TOKENS + s] = 1;
        }
        first += lengths[i];
    }
    w->batch.n_tokens = MAX_TOKENS;
    w->batch.tokens = w->ids;
    w->batch.positions = w->positions;
    w->batch.sees = w->sees;
    for (t = 40; t < 110; t += 2) { /* rows of all three */
        w->rows[w->batch.n_targets] = t;
        w->targets[w->batch.n_targets] = (int32_t)(rng_bits(6, RNG_TEST, t, 0, 0) % 300);
        w->weights[w->batch.n_targets++] = 0.125 * (double)(t % 5);
    }
    w->batch.rows = w->rows;
    w->batch.targets = w->targets;
    w->batch.weights = w->weights;
}

/* ---- Dropout, as dropout.h and backward.h describe it ---- */

#define DROPOUT      0.3
#define DROPOUT_SEED 11
#define DROPOUT_STEP 5

static double keep(const struct naive_batch *batch, size_t layer, enum target target, size_t token, size_t element)
{
    uint64_t threshold = (uint64_t)(DROPOUT * 65536 + 0.5), stream = (uint64_t)DROPOUT_STEP << 32;
    uint64_t lane;

    stream |= token < 70 ? 0 : token < 93 ? 1 : 2; /* the spans of lay_out */
    lane = rng_bits(DROPOUT_SEED, RNG_DROPOUT, stream, layer * TARGET_COUNT + (size_t)target,
                    (uint64_t)batch->positions[token] << 32 | element / 4) >>
           16 * (element % 4);
    return (lane & 0xffff) < threshold ? 0 : 65536.0 / (65536.0 - (double)threshold);
}

static int whole_create(struct whole *w, const char *name, int shared, int full, int dropout)
{
    struct adapter_shape shape = {.rank = 3, .alpha = 5, .targets = TARGET_ALL};
    struct backward_options options = {.max_tokens = 128, .max_spans = 4, .head_rows = 16};
    struct diag diag = {0};
    size_t i;

    memset(w, 0, sizeof *w);
    options.k_type = options.v_type = DTYPE_F32;
    lay_out(w, shared);
    if (!(w->model = fixture_load(name, "/model.gguf", &exec)) ||
        (full ? full_create(&w->full, w->model, &diag) : adapter_create(&w->adapter, w->model, &shape, &diag))) {
        CHECK_MSG(0, "%s: %s", name, diag.message);
        return 0;
    }
    if (dropout)
        w->adapter->dropout = (float)DROPOUT;
    if (backward_create(&w->backward, w->model, w->adapter, &exec, &options, &diag)) {
        CHECK_MSG(0, "%s: %s", name, diag.message);
        return 0;
    }
    if (w->adapter) {
        adapter_init(w->adapter, 1);
        for (i = 0; i < w->adapter->n_params; i++)
            w->adapter->params[i] += 0.2f * (float)uniform(21, i);
        for (i = 0; i < w->adapter->n_layers * TARGET_COUNT; i++) { /* the padding of b_t is zero */
            struct lora *l = &w->adapter->loras[i / TARGET_COUNT][i % TARGET_COUNT];
            size_t r;

            for (r = 0; r < l->rank; r++)
                memset(l->b_t + r * l->out_stride + l->out, 0, (l->out_stride - l->out) * sizeof *l->b_t);
        }
        adapter_refresh(w->adapter);
    }
    w->naive = naive_model(w->model, w->adapter);
    if (dropout) {
        w->batch.keep = keep;
        backward_dropout(w->backward, DROPOUT_SEED, DROPOUT_STEP);
    }
    return 1;
}

static void whole_free(struct whole *w)
{
    naive_free(w->naive);
    backward_free(w->backward);
    adapter_free(w->adapter);
    full_free(w->full);
    model_free(w->model);
}

static void coefficients(void *context, size_t first, size_t n, const float *logprob, const float *entropy, float *c)
{
    const struct whole *w = context;
    size_t i;

    (void)logprob;
    (void)entropy;
    for (i = 0; i < n; i++)
        c[i] = (float)w->weights[first + i];
}

/* Adds the gradients; checks the loss against the naive one. */
static void run(struct whole *w, const char *name, float *d_params, const struct weight_gradients *weights)
{
    const float *hidden;
    struct diag diag;
    double loss = 0, want = naive_loss(w->naive, w->naive->values, &w->batch);
    size_t i;

    CHECK(backward_forward(w->backward, w->spans, 3, &hidden, &diag) == STATUS_OK);
    CHECK(backward_loss(w->backward, w->rows, w->targets, w->batch.n_targets, w->logprobs, NULL, coefficients, w,
                        weights, &diag) == STATUS_OK);
    backward_run(w->backward, d_params, weights);
    for (i = 0; i < w->batch.n_targets; i++)
        loss -= w->weights[i] * (double)w->logprobs[i];
    worst[8] = fmax(worst[8], fabs(loss / want - 1));
    CHECK_MSG(fabs(loss / want - 1) <= MODEL_BOUND, "%s: loss %.9g, not %.9g", name, loss, want);
}

/* One direction through the values: the derivative of the naive loss by complex step against gradient . direction. */
struct direction {
    double complex *values;
    double dot, norm, length;
};

static struct direction direction_begin(const struct whole *w)
{
    struct direction d = {malloc(w->naive->n_values * sizeof *d.values), 0, 0, 0};
    size_t i;

    for (i = 0; i < w->naive->n_values; i++)
        d.values[i] = w->naive->values[i];
    return d;
}

#define STEP 1e-100

static void direction_add(struct direction *d, size_t at, float gradient)
{
    double by = uniform(22, at);

    d->values[at] += STEP * by * I;
    d->dot += (double)gradient * by;
    d->norm += (double)gradient * (double)gradient;
    d->length += by * by;
}

static void direction_end(struct direction *d, const struct whole *w, const char *name, const char *what)
{
    double want = cimag(naive_complex_loss(w->naive, d->values, &w->batch)) / STEP, scale = sqrt(d->norm * d->length);

    worst[7] = fmax(worst[7], fabs(d->dot - want) / scale);
    CHECK_MSG(scale > 0 && fabs(d->dot - want) <= MODEL_BOUND * scale, "%s: %s: %.9g, step %.9g (of %.3g)", name, what,
              d->dot, want, scale);
    free(d->values);
}

static void add_pair(struct direction *d, const struct whole *w, const float *grads, size_t layer, int target)
{
    const struct lora *l = &w->adapter->loras[layer][target];
    const struct naive_layer *n = &w->naive->layers[layer];
    size_t i, r;

    for (i = 0; i < l->rank * l->in; i++)
        direction_add(d, n->a[target] + i, grads[(size_t)(l->a - w->adapter->params) + i]);
    for (i = 0; i < l->out; i++)
        for (r = 0; r < l->rank; r++)
            direction_add(d, n->b[target] + i * l->rank + r,
                          grads[(size_t)(l->b_t - w->adapter->params) + r * l->out_stride + i]);
}

/* Each target over all layers: one step for each (for all together when time is short). */
static void check_adapter(const char *name, int shared, int dropout)
{
    struct whole w;
    float *grads;
    size_t layer;
    int t;

    if (!whole_create(&w, name, shared, 0, dropout))
        return;
    grads = calloc(w.adapter->n_params, sizeof *grads);
    run(&w, name, grads, NULL);
    for (t = 0; t < TARGET_COUNT; t++) {
        struct direction d = direction_begin(&w);

        do
            for (layer = 0; layer < w.adapter->n_layers; layer++)
                add_pair(&d, &w, grads, layer, t);
        while (test_quick() && ++t < TARGET_COUNT);
        direction_end(&d, &w, name, t < TARGET_COUNT ? adapter_peft_name((enum target)t) : "all targets");
    }
    free(grads);
    whole_free(&w);
}

static void test_adapter_gradients(void)
{
    size_t f;

    for (f = 0; f < N_FIXTURES; f++)
        check_adapter(fixture_names[f], 0, 0);
}

static void test_adapter_gradients_shared_prompt(void)
{
    size_t f;

    for (f = 0; f < N_FIXTURES; f++)
        check_adapter(fixture_names[f], 1, 0);
}

static void test_adapter_gradients_dropout(void)
{
    size_t f;

    for (f = 0; f < N_FIXTURES; f++)
        check_adapter(fixture_names[f], (int)f % 2, 1);
}

static void add_values(struct direction *d, size_t at, const float *gradient, size_t n)
{
    size_t i;

    for (i = 0; gradient && at != NAIVE_NONE && i < n; i++)
        direction_add(d, at + i, gradient[i]);
}

/* All weights in three directions: vectors, matrices, embedding and head. */
static void check_full(const char *name, int shared)
{
    struct whole w;
    struct layer_gradients layers[8];
    struct weight_gradients weights;
    struct direction vectors, matrices, ends;
    const struct config *c;
    float *grads;
    size_t l, dim, e;
    int t;

    if (!whole_create(&w, name, shared, 1, 0))
        return;
    c = &w.model->config;
    dim = (size_t)c->dim;
    e = (size_t)c->head_dim;
    grads = calloc(w.full->n_params, sizeof *grads);
    full_gradients(w.full, grads, layers, &weights);
    run(&w, name, NULL, &weights);
    vectors = direction_begin(&w);
    matrices = direction_begin(&w);
    ends = direction_begin(&w);
    for (l = 0; l < (size_t)c->n_layers; l++) {
        const struct naive_layer *n = &w.naive->layers[l];

        add_values(&vectors, n->attn_norm, layers[l].attn_norm, dim);
        add_values(&vectors, n->attn_q_norm, layers[l].attn_q_norm, e);
        add_values(&vectors, n->attn_k_norm, layers[l].attn_k_norm, e);
        add_values(&vectors, n->post_attn_norm, layers[l].post_attn_norm, dim);
        add_values(&vectors, n->ffn_norm, layers[l].ffn_norm, dim);
        add_values(&vectors, n->post_ffn_norm, layers[l].post_ffn_norm, dim);
        for (t = 0; t < TARGET_COUNT; t++) {
            size_t out = naive_out(c, (enum target)t);

            add_values(&vectors, n->bias[t], layers[l].bias[t], out);
            add_values(&matrices, n->weight[t], layers[l].weight[t], out * naive_in(c, (enum target)t));
        }
    }
    add_values(&vectors, w.naive->output_norm, weights.output_norm, dim);
    add_values(&ends, w.naive->token_embd, weights.token_embd, (size_t)c->vocab_size * dim);
    if (!c->tied)
        add_values(&ends, w.naive->output, weights.output, (size_t)c->vocab_size * dim);
    direction_end(&vectors, &w, name, "norms and biases");
    direction_end(&matrices, &w, name, "matrices");
    direction_end(&ends, &w, name, "embedding and head");
    free(grads);
    whole_free(&w);
}

static void test_full_gradients(void)
{
    size_t f;

    for (f = 0; f < N_FIXTURES; f++)
        check_full(fixture_names[f], (int)f % 2);
}

int main(void)
{
    static const char *const names[] = {"linear",    "quantised linear",    "lora",      "rmsnorm", "rope", "swiglu",
                                        "attention", "whole backward pass", "whole loss"};
    struct diag diag;
    size_t i;

    arena_init(&arena, "test", 0);
    exec.kernels = kernels_find(NULL);
    if (pool_create(&exec.pool, 2, &diag))
        return 1;
    RUN(test_naive_operations_by_complex_step);
    RUN(test_linear);
    RUN(test_lora);
    RUN(test_rmsnorm);
    RUN(test_rope);
    RUN(test_swiglu);
    RUN(test_attention);
    RUN(test_adapter_gradients);
    RUN(test_adapter_gradients_shared_prompt);
    RUN(test_adapter_gradients_dropout);
    RUN(test_full_gradients);
    if (getenv("MEASURE"))
        printf("# complex steps: %.1e\n", worst_step);
    for (i = 0; getenv("MEASURE") && i < sizeof names / sizeof *names; i++)
        printf("# %s: %.1e\n", names[i], worst[i]);
    pool_destroy(exec.pool);
    return TEST_RESULT();
}
