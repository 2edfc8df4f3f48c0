/* linear.c - batched matrix products: cuts outputs into panels for the threads and tokens into chunks for the cache.
 *
 *   items of the parallel region:   | job 0: panels 0 .. P0-1 | job 1: panels 0 .. P1-1 | ...
 *
 * A worker that owns some panels of a job walks the tokens in chunks whose input stays in its second-level cache,
 * and for each chunk its panels. Neither cut touches the order inside one output. */
#include "linear.h"

#include <assert.h>
#include <string.h>

/* Input bytes of one token chunk: with the panel of weights it meets, well inside a 1 MB second-level cache. Larger
 * chunks were slower (Sapphire Rapids: 512 KB by 5 to 10 %). */
#define CHUNK_BYTES ((size_t)112 << 10)
/* The least of a chunk of quantised rows, however long they are: opening a panel's codes is shared by so many tokens
 * (Zen 3, rows of 8192: 15 % faster than chunks of 8). */
#define CHUNK_TOKENS 96

static size_t round16(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

/* int8 codes, two f32 and five i32 per block of 32. */
static size_t quantized_row_bytes(size_t cols)
{
    return (cols + 31) / 32 * (32 + 2 * sizeof(float) + 5 * sizeof(int32_t));
}

size_t linear_input_bytes(size_t max_tokens, size_t max_cols)
{
    return max_tokens * quantized_row_bytes(max_cols) + 6 * 64;
}

int linear_input_create(struct linear_input *input, struct arena *arena, size_t max_tokens, size_t max_cols)
{
    size_t blocks = (max_cols + 31) / 32 * max_tokens;

    memset(input, 0, sizeof *input);
    input->q.q = arena_array(arena, blocks, 32);
    input->q.d = arena_array(arena, blocks, sizeof(float));
    input->q.ds = arena_array(arena, blocks, sizeof(float));
    input->q.neg8 = arena_array(arena, blocks, sizeof(int32_t));
    input->q.neg16 = arena_array(arena, blocks, sizeof(int32_t));
    input->q.neg128 = arena_array(arena, blocks, sizeof(int32_t));
    input->q.neg32 = arena_array(arena, blocks, 2 * sizeof(int32_t));
    return input->q.q && input->q.d && input->q.ds && input->q.neg8 && input->q.neg16 && input->q.neg128 &&
           input->q.neg32;
}

void linear_input_set(struct linear_input *input, const float *x, size_t x_stride, size_t n_tokens, size_t cols)
{
    input->x = x;
    input->x_stride = x_stride;
    input->n_tokens = n_tokens;
    input->cols = cols;
    input->quantized = 0;
}

struct quantize_work {
    const struct kernels *kernels;
    struct linear_input *input;
};

static void quantize_rows(void *context, size_t begin, size_t end, int worker)
{
    const struct quantize_work *work = context;
    const struct linear_input *input = work->input;
    size_t t;

    (void)worker;
    for (t = begin; t < end; t++)
        work->kernels->rows->quantize(&input->q, t, input->x + t * input->x_stride, input->cols);
}

static void linear_quantize(const struct exec *exec, struct linear_input *input)
{
    struct quantize_work work;

    work.kernels = exec->kernels;
    work.input = input;
    input->q.n_blocks = (input->cols + 31) / 32;
    pool_run(exec->pool, quantize_rows, &work, input->n_tokens, 4);
    input->quantized = 1;
}

struct matmul_work {
    const struct kernels *kernels;
    const struct linear_job *jobs;
    size_t n_jobs;
    const struct linear_input *input;
};

/* Bias and residual of the outputs [row, row + n) of one token. */
static void finish_row(const struct linear_job *job, const struct row_kernels *rows, size_t token, size_t row, size_t n)
{
    float *y = job->y + token * job->y_stride + row;

    if (job->linear->bias)
        rows->add(y, job->linear->bias + row, n);
    if (job->residual)
        rows->add(job->residual + token * job->y_stride + row, y, n);
}

/* Panels [begin, end) of one job times the tokens [token, token + n). */
static void multiply_panels(const struct matmul_work *work, const struct linear_job *job, size_t begin, size_t end,
                            size_t token, size_t n)
{
    const struct pack *w = &job->linear->w;
    const struct linear_input *in = work->input;
    float *y = job->y + token * job->y_stride + begin * PACK_ROWS;
    size_t row = begin * PACK_ROWS, last = end * PACK_ROWS < w->rows ? end * PACK_ROWS : w->rows, t;

    if (work->kernels->matmul_q[w->class_])
        work->kernels->matmul_q[w->class_](y, job->y_stride, w, begin, end - begin, &in->q, token, n);
    else
        work->kernels->matmul_f[w->class_](y, job->y_stride, w, begin, end - begin, in->x + token * in->x_stride,
                                           in->x_stride, n);
    if (job->linear->bias || job->residual)
        for (t = token; t < token + n; t++)
            finish_row(job, work->kernels->rows, t, row, last - row);
}

static void multiply(void *context, size_t begin, size_t end, int worker)
{
    const struct matmul_work *work = context;
    const struct linear_input *in = work->input;
    size_t row_bytes = in->quantized ? quantized_row_bytes(in->cols) : in->cols * sizeof(float);
    size_t chunk = (CHUNK_BYTES / row_bytes + 1 + 7) & ~(size_t)7;
    size_t first = 0, i, token;

    (void)worker;
    if (in->quantized && chunk < CHUNK_TOKENS)
        chunk = CHUNK_TOKENS;
    for (i = 0; i < work->n_jobs && first < end; i++) {
        size_t n_panels = work->jobs[i].linear->w.n_panels;
        size_t from = begin > first ? begin - first : 0;
        size_t to = end - first < n_panels ? end - first : n_panels;

        for (token = 0; from < to && token < in->n_tokens; token += chunk)
            multiply_panels(work, &work->jobs[i], from, to, token,
                            in->n_tokens - token < chunk ? in->n_tokens - token : chunk);
        first += n_panels;
    }
}

void linear_forward(const struct exec *exec, const struct linear_job *jobs, size_t n_jobs, struct linear_input *input)
{
    struct matmul_work work;
    size_t n_panels = 0, workers = (size_t)pool_size(exec->pool), grain, i;

    work.kernels = exec->kernels;
    work.jobs = jobs;
    work.n_jobs = n_jobs;
    work.input = input;
    for (i = 0; i < n_jobs; i++) {
        assert(jobs[i].linear->w.cols == input->cols && jobs[i].y_stride >= round16(jobs[i].linear->w.rows));
        n_panels += jobs[i].linear->w.n_panels;
        if (exec->kernels->matmul_q[jobs[i].linear->w.class_] && !input->quantized)
            linear_quantize(exec, input);
    }
    grain = n_panels / (workers * 8) + 1;
    pool_run(exec->pool, multiply, &work, n_panels, grain);
}

/* ---- Backward ----
 *
 * y = W x, so dx = W^T dy: dx[t][c] = sum over rows r of dy[t][r] W[r][c]. An owner takes a range of columns c for all
 * tokens and walks the rows in slabs of SLAB; a slab of its columns in f32 is [SLAB][columns] and stays in the
 * second-level cache while all tokens use it. */

#define SLAB         256 /* a multiple of PACK_ROWS */
#define COLUMNS_MOST 128

struct backward_work {
    const struct exec *exec;
    float *dx;
    size_t dx_stride, n_tokens;
    const struct linear_gradient *jobs;
    size_t n_jobs, grain; /* columns, or tokens, of an owner */
    float *const *scratch;
};

/* Items that the slowest of n_workers does when they take pieces of `grain` in turns. */
static size_t turns_of(size_t n, size_t grain, size_t n_workers)
{
    size_t pieces = (n + grain - 1) / grain;

    return (pieces + n_workers - 1) / n_workers * grain;
}

/* The largest grain <= most, a multiple of `unit`, at which n items take hardly longer (1/16) than at the best. */
static size_t even_grain(size_t n, size_t unit, size_t most, size_t n_workers)
{
    size_t grain, least = turns_of(n, unit, n_workers);

    for (grain = unit; grain <= most; grain += unit)
        least = turns_of(n, grain, n_workers) < least ? turns_of(n, grain, n_workers) : least;
    for (grain = most / unit * unit; grain > unit && turns_of(n, grain, n_workers) > least + least / 16; grain -= unit)
        ;
    return grain;
}

size_t linear_backward_scratch(void)
{
    return SLAB * COLUMNS_MOST;
}

static void backward_columns_of(const struct backward_work *work, const struct linear_gradient *job, size_t col,
                                size_t n, float *slab)
{
    const int added = job > work->jobs; /* to the jobs before */
    const struct kernels *kernels = work->exec->kernels;
    const struct pack *w = &job->linear->w;
    size_t row, i, n_rows;

    for (row = 0; row < w->rows; row += n_rows) {
        n_rows = w->rows - row < SLAB ? w->rows - row : SLAB;
        for (i = 0; i < n_rows; i += PACK_ROWS)
            kernels->gradients->decode_panel(w, (row + i) / PACK_ROWS, col, n, slab + i * n, n);
        kernels->gemm_f32(work->dx + col, work->dx_stride, job->dy + row, job->dy_stride, 1, slab, n, work->n_tokens, n,
                          n_rows, added || row > 0);
    }
}

static void backward_ranges(void *context, size_t begin, size_t end, int worker)
{
    const struct backward_work *work = context;
    size_t cols = work->jobs[0].linear->w.cols, range, i;

    for (range = begin; range < end; range++) {
        size_t col = range * work->grain, n = cols - col < work->grain ? cols - col : work->grain;

        for (i = 0; i < work->n_jobs; i++)
            backward_columns_of(work, &work->jobs[i], col, n, work->scratch[worker]);
    }
}

/* Where the values stand row-major an owner takes some tokens instead: nothing is to be shared. */
#define TOKENS_UNIT 6
#define TOKENS_MOST 192

static void backward_tokens(void *context, size_t begin, size_t end, int worker)
{
    const struct backward_work *work = context;
    size_t first = begin * work->grain, last = end * work->grain < work->n_tokens ? end * work->grain : work->n_tokens,
           i;

    (void)worker;
    for (i = 0; i < work->n_jobs; i++) {
        const struct linear_gradient *job = &work->jobs[i];
        const struct linear *linear = job->linear;

        work->exec->kernels->gemm_f32(work->dx + first * work->dx_stride, work->dx_stride,
                                      job->dy + first * job->dy_stride, job->dy_stride, 1, linear->rows, linear->w.cols,
                                      last - first, linear->w.cols, linear->w.rows, i > 0);
    }
}

void linear_backward(const struct exec *exec, float *dx, size_t dx_stride, const struct linear_gradient *jobs,
                     size_t n_jobs, size_t n_tokens, float *const *scratch)
{
    size_t cols = jobs[0].linear->w.cols, workers = (size_t)pool_size(exec->pool), row_major = 0;
    struct backward_work work = {exec, dx, dx_stride, n_tokens, jobs, n_jobs, 0, scratch};

    while (row_major < n_jobs && jobs[row_major].linear->rows)
        row_major++;
    if (row_major == n_jobs) {
        work.grain = even_grain(n_tokens, TOKENS_UNIT, TOKENS_MOST, workers);
        pool_run(exec->pool, backward_tokens, &work, (n_tokens + work.grain - 1) / work.grain, 1);
    } else {
        work.grain = even_grain(cols, PACK_BLOCK, COLUMNS_MOST, workers);
        pool_run(exec->pool, backward_ranges, &work, (cols + work.grain - 1) / work.grain, 1);
    }
}

/* dW[r][c] = sum over tokens t of dy[t][r] x[t][c]. An owner takes some rows of dW. */
#define WEIGHT_ROWS_UNIT 6
#define WEIGHT_ROWS_MOST 96

struct weight_work {
    const struct exec *exec;
    float *dw, *d_bias;
    size_t rows, cols, grain;
    const float *dy, *x;
    size_t dy_stride, x_stride, n_tokens;
};

static void weight_rows(void *context, size_t begin, size_t end, int worker)
{
    const struct weight_work *w = context;
    size_t row = begin * w->grain, last = end * w->grain < w->rows ? end * w->grain : w->rows, t;

    (void)worker;
    w->exec->kernels->gemm_f32(w->dw + row * w->cols, w->cols, w->dy + row, 1, w->dy_stride, w->x, w->x_stride,
                               last - row, w->cols, w->n_tokens, 1);
    for (t = 0; w->d_bias && t < w->n_tokens; t++)
        w->exec->kernels->rows->add(w->d_bias + row, w->dy + t * w->dy_stride + row, last - row);
}

void linear_backward_weight(const struct exec *exec, float *dw, float *d_bias, size_t rows, size_t cols,
                            const float *dy, size_t dy_stride, const float *x, size_t x_stride, size_t n_tokens)
{
    size_t grain = even_grain(rows, WEIGHT_ROWS_UNIT, WEIGHT_ROWS_MOST, (size_t)pool_size(exec->pool));
    struct weight_work work = {exec, dw, d_bias, rows, cols, grain, dy, x, dy_stride, x_stride, n_tokens};

    pool_run(exec->pool, weight_rows, &work, (rows + grain - 1) / grain, 1);
}
