/* kernel_bench.c - speed of the products of each tier beside what the machine could do at most, one thread.
 *
 *   kernel_bench [-k TIER] [-c CLASS] [-r ROWS] [-n COLS] [-g] [-d MEGABYTES]
 *
 * Default: every tier, every class, M = 1 4 8 16 64 512 tokens, a matrix of 1024 x 2048. -g: gemm_f32 instead.
 * -d: one token and M = 4 from main memory instead (matrices of that many megabytes together), in GB/s beside a loop
 * that only reads. Each figure is a median over short slices, with a slice of the peak loop (or of reading) before and
 * after each, so that a change of clock or a busy neighbour hits both; "share" is the median of the quotients. "best"
 * are the ninetieth percentiles, for machines that others use too: they empty the caches, which no peak loop feels.
 *
 * Built by hand (this file, libarklet.a, -lpthread -lm): it prints no verdict, so it is not a test. */
#include "kernels.h"
#include "peak.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define SLICES     31
#define SLICE_TIME 3e-4 /* seconds */

/* Time that this thread has run: other programs' turns do not count. */
static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* The value that `percent` of the n are below. */
static double percentile(double *x, int n, int percent)
{
    qsort(x, (size_t)n, sizeof *x, compare);
    return x[n * percent / 100];
}

static void *allocate(size_t bytes)
{
    void *p = NULL;

    if (posix_memalign(&p, 2 << 20, bytes ? bytes : 64) != 0)
        abort();
    madvise(p, bytes, MADV_HUGEPAGE); /* as arenas do */
    memset(p, 0, bytes);
    return p;
}

/* Something to time: does `rounds` of it, returns operations or bytes. */
struct work {
    const struct kernels *kernels;
    struct pack w[64];
    size_t n_matrices, m, n, k; /* gemm: m x n x k */
    struct qrows x;
    float *xf, *y, *b;
    const uint8_t *memory;
    size_t memory_bytes;
    int is_gemm;
};

static double run(const struct work *work, uint64_t rounds)
{
    const struct pack *w = &work->w[0];
    uint64_t i;

    for (i = 0; i < rounds; i++) {
        w = &work->w[i % (work->n_matrices ? work->n_matrices : 1)];
        if (work->is_gemm)
            work->kernels->gemm_f32(work->y, work->n, work->xf, work->k, 1, work->b, work->n, work->m, work->n, work->k,
                                    0);
        else if (work->kernels->matmul_q[w->class_])
            work->kernels->matmul_q[w->class_](work->y, w->n_panels * 16, w, 0, w->n_panels, &work->x, 0, work->m);
        else
            work->kernels->matmul_f[w->class_](work->y, w->n_panels * 16, w, 0, w->n_panels, work->xf, w->cols,
                                               work->m);
    }
    if (work->is_gemm)
        return 2.0 * (double)work->m * (double)work->n * (double)work->k * (double)rounds;
    if (work->memory)
        return (double)pack_bytes(w) * (double)rounds;
    return 2.0 * (double)w->n_panels * 16 * (double)w->cols * (double)work->m * (double)rounds;
}

static int is_float(const struct work *work)
{
    return work->is_gemm || work->kernels->matmul_f[work->w[0].class_] != NULL;
}

/* Operations (or bytes) per second of one slice of the yardstick. */
static double yardstick(const struct work *work, uint64_t rounds)
{
    double start = now(), done;

    if (work->memory)
        done = (double)peak_read(work->memory + work->memory_bytes / 16 * (rounds % 16), work->memory_bytes / 16);
    else
        done = (double)(is_float(work) ? peak_f32_ops(work->kernels, rounds) : peak_int8_ops(work->kernels, rounds));
    return done / (now() - start);
}

static void measure(const struct work *work, const char *what)
{
    double rate[SLICES], peak[SLICES], share[SLICES], start = now(), before;
    uint64_t rounds, peak_rounds;
    int i;

    run(work, 1);
    start = now();
    run(work, 1);
    rounds = (uint64_t)(SLICE_TIME / (now() - start)) + 1;
    if (work->memory && rounds < work->n_matrices / 8)
        rounds = work->n_matrices / 8;
    start = now();
    yardstick(work, 1000);
    peak_rounds = (uint64_t)(1000 * SLICE_TIME / (now() - start)) + 1;
    before = yardstick(work, peak_rounds);
    for (i = 0; i < SLICES; i++) {
        double done, after;

        start = now();
        done = run(work, rounds);
        rate[i] = done / (now() - start);
        after = yardstick(work, peak_rounds);
        peak[i] = (before + after) / 2;
        share[i] = rate[i] / peak[i];
        before = after;
    }
    printf("%-8s %-24s %8.1f %8.1f %7.1f %% %8.1f %8.1f %7.1f %%\n", work->kernels->name, what,
           percentile(rate, SLICES, 50) * 1e-9, percentile(peak, SLICES, 50) * 1e-9,
           100 * percentile(share, SLICES, 50), percentile(rate, SLICES, 90) * 1e-9,
           percentile(peak, SLICES, 90) * 1e-9, 100 * percentile(rate, SLICES, 90) / percentile(peak, SLICES, 90));
    fflush(stdout);
}

static const enum dtype class_types[PACK_COUNT] = {
    [PACK_F32] = DTYPE_F32, [PACK_F16] = DTYPE_F16, [PACK_BF16] = DTYPE_BF16, [PACK_8] = DTYPE_Q8_0,
    [PACK_4] = DTYPE_Q4_0,  [PACK_5] = DTYPE_Q5_0,  [PACK_41] = DTYPE_Q4_1,   [PACK_51] = DTYPE_Q5_1,
    [PACK_4K] = DTYPE_Q4_K, [PACK_5K] = DTYPE_Q5_K, [PACK_6K] = DTYPE_Q6_K,   [PACK_2K] = DTYPE_Q2_K,
};

static void make_weights(struct work *work, enum pack_class c, size_t rows, size_t cols, size_t megabytes)
{
    size_t i, j, bytes;
    uint8_t *data;

    pack_shape(&work->w[0], class_types[c], rows, cols);
    bytes = pack_bytes(&work->w[0]);
    work->n_matrices = megabytes * 1000000 / bytes + 1;
    if (work->n_matrices > 64)
        work->n_matrices = 64;
    data = allocate(bytes * work->n_matrices);
    for (i = 0; i < bytes * work->n_matrices; i++)
        data[i] = (uint8_t)(i * 7 & 0x3b); /* as f16, as bytes and as f32: small and finite */
    for (j = 0; j < work->n_matrices; j++) {
        work->w[j] = work->w[0];
        work->w[j].data = data + j * bytes;
    }
    work->memory = megabytes ? data : NULL;
    work->memory_bytes = bytes * work->n_matrices;
}

static void make_tokens(struct work *work, size_t tokens, size_t cols)
{
    size_t n = tokens * (cols / 32), i;

    work->x.n_blocks = cols / 32;
    work->x.q = allocate(32 * n);
    work->x.d = allocate(4 * n);
    work->x.ds = allocate(4 * n);
    work->x.neg8 = allocate(4 * n);
    work->x.neg16 = allocate(4 * n);
    work->x.neg128 = allocate(4 * n);
    work->x.neg32 = allocate(8 * n);
    work->xf = allocate(4 * tokens * cols);
    for (i = 0; i < 32 * n; i++)
        work->x.q[i] = (int8_t)(i % 251 % 127);
    for (i = 0; i < n; i++)
        work->x.d[i] = 1;
    for (i = 0; i < tokens * cols; i++)
        work->xf[i] = 1;
}

static void free_tokens(struct work *work)
{
    free(work->x.q);
    free(work->x.d);
    free(work->x.ds);
    free(work->x.neg8);
    free(work->x.neg16);
    free(work->x.neg128);
    free(work->x.neg32);
    free(work->xf);
}

static void bench_class(const struct kernels *kernels, enum pack_class c, size_t rows, size_t cols, size_t megabytes)
{
    static const size_t tokens[] = {1, 4, 8, 16, 64, 512};
    static struct work work;
    char what[64];
    size_t i;

    memset(&work, 0, sizeof work);
    work.kernels = kernels;
    make_weights(&work, c, rows, cols, megabytes);
    make_tokens(&work, 512, cols);
    work.y = allocate(512 * ((rows + 15) / 16 * 16) * 4);
    for (i = 0; i < (megabytes ? 2 : 6); i++) {
        work.m = tokens[i];
        snprintf(what, sizeof what, "%s M=%zu", pack_infos[c].name, work.m);
        measure(&work, what);
    }
    free((void *)(uintptr_t)work.w[0].data);
    free_tokens(&work);
    free(work.y);
}

static void bench_gemm(const struct kernels *kernels)
{
    static const size_t shapes[][3] = {{256, 256, 256}, {512, 896, 896}, {7, 16, 64}, {7, 64, 16},  {64, 64, 64},
                                       {256, 8, 896},   {256, 896, 8},   {1, 64, 64}, {1, 512, 64}, {14, 512, 64}};
    static struct work work;
    char what[64];
    size_t i;

    memset(&work, 0, sizeof work);
    work.kernels = kernels;
    work.is_gemm = 1;
    work.xf = allocate(4 << 20);
    work.b = allocate(4 << 20);
    work.y = allocate(4 << 20);
    for (i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        work.m = shapes[i][0];
        work.n = shapes[i][1];
        work.k = shapes[i][2];
        snprintf(what, sizeof what, "gemm %zux%zux%zu", work.m, work.n, work.k);
        measure(&work, what);
    }
    free(work.xf);
    free(work.b);
    free(work.y);
}

int main(int argc, char **argv)
{
    const char *tier = NULL, *only = NULL;
    size_t rows = 1024, cols = 2048, megabytes = 0, i, c;
    const struct kernels *kernels;
    int gemm = 0, a;

    for (a = 1; a < argc; a++) {
        const char *value = a + 1 < argc ? argv[a + 1] : "";

        if (strcmp(argv[a], "-g") == 0)
            gemm = 1;
        else if (strcmp(argv[a], "-k") == 0)
            tier = value, a++;
        else if (strcmp(argv[a], "-c") == 0)
            only = value, a++;
        else if (strcmp(argv[a], "-r") == 0)
            rows = (size_t)strtoul(value, NULL, 10), a++;
        else if (strcmp(argv[a], "-n") == 0)
            cols = (size_t)strtoul(value, NULL, 10), a++;
        else if (strcmp(argv[a], "-d") == 0)
            megabytes = (size_t)strtoul(value, NULL, 10), a++;
        else
            return 2;
    }
    printf("%-8s %-24s %8s %8s %9s %8s %8s %9s\n", "tier", "what", megabytes ? "GB/s" : "GOPS", "peak", "share", "best",
           "peak", "share");
    for (i = 0; (kernels = kernels_at(i)) != NULL; i++) {
        if (tier ? strcmp(tier, kernels->name) != 0 : i == 0)
            continue;
        if (gemm)
            bench_gemm(kernels);
        for (c = 0; c < PACK_COUNT && !gemm; c++)
            if (!only || strcmp(only, pack_infos[c].name) == 0)
                bench_class(kernels, (enum pack_class)c, rows, cols, megabytes);
    }
    return 0;
}
