/* bench_machine.c - what the machine could do at most, and what a model asks of it. */
#include <stdio.h>
#include <string.h>
#include "arena.h"
#include "bench.h"
#include "dtype.h"
#include "peak.h"
#include "progress.h"

#define READ_BYTES  ((size_t)1 << 30)
#define READ_ITEM   ((size_t)1 << 22)
#define REPEATS     3    /* the best counts */
#define LONG_ENOUGH 0.05 /* seconds of a peak loop */

/* ---- reading ---- */

static void fill_items(void *context, size_t begin, size_t end, int worker)
{
    (void)worker;
    memset((char *)context + begin * READ_ITEM, 1, (end - begin) * READ_ITEM);
}

static void read_items(void *context, size_t begin, size_t end, int worker)
{
    (void)worker;
    peak_read((const char *)context + begin * READ_ITEM, (end - begin) * READ_ITEM);
}

static double measure_read(const struct exec *exec)
{
    struct arena arena;
    void *data;
    double best = 0;

    arena_init(&arena, "bench", 0);
    data = arena_alloc(&arena, READ_BYTES);
    if (data) {
        pool_run(exec->pool, fill_items, data, READ_BYTES / READ_ITEM, 1); /* pages that exist */
        for (int i = 0; i < REPEATS; i++) {
            double started = progress_now(), rate;

            pool_run(exec->pool, read_items, data, READ_BYTES / READ_ITEM, 1);
            rate = (double)READ_BYTES / (progress_now() - started);
            best = rate > best ? rate : best;
        }
    }
    arena_free(&arena);
    return best;
}

/* ---- multiplying ---- */

struct peak_work {
    uint64_t (*loop)(const struct kernels *kernels, uint64_t iterations);
    const struct kernels *kernels;
    uint64_t iterations;
    uint64_t ops[256]; /* of each thread's item */
};

static void peak_items(void *context, size_t begin, size_t end, int worker)
{
    struct peak_work *work = context;

    (void)worker;
    for (size_t i = begin; i < end; i++)
        work->ops[i] = work->loop(work->kernels, work->iterations);
}

/* Operations a second of one run, one item for each thread; *seconds gets its time. */
static double peak_once(struct peak_work *work, const struct exec *exec, double *seconds)
{
    size_t n = (size_t)pool_size(exec->pool);
    double started = progress_now(), ops = 0;

    pool_run(exec->pool, peak_items, work, n, 1);
    *seconds = progress_now() - started;
    for (size_t i = 0; i < n; i++)
        ops += (double)work->ops[i];
    return *seconds > 0 ? ops / *seconds : 0;
}

static double measure_peak(const struct exec *exec, uint64_t (*loop)(const struct kernels *, uint64_t))
{
    struct peak_work work = {loop, exec->kernels, 1 << 16, {0}};
    double seconds = 0, best = 0;

    while (peak_once(&work, exec, &seconds) > 0 && seconds < LONG_ENOUGH)
        work.iterations *= 2;
    for (int i = 0; i < REPEATS && work.ops[0] > 0; i++) {
        double rate = peak_once(&work, exec, &seconds);

        best = rate > best ? rate : best;
    }
    return best;
}

struct bench_machine bench_measure_machine(const struct exec *exec)
{
    struct bench_machine machine;

    machine.int8 = measure_peak(exec, peak_int8_ops);
    machine.float32 = measure_peak(exec, peak_f32_ops);
    machine.read = measure_read(exec);
    return machine;
}

/* ---- the model ---- */

static double weights_of(const struct linear *linear)
{
    return (double)linear->w.rows * (double)linear->w.cols;
}

static double layer_weights(const struct layer *layer)
{
    return weights_of(&layer->attn_q) + weights_of(&layer->attn_k) + weights_of(&layer->attn_v) +
           weights_of(&layer->attn_output) + weights_of(&layer->ffn_gate) + weights_of(&layer->ffn_up) +
           weights_of(&layer->ffn_down);
}

struct bench_model bench_describe(const struct model *model)
{
    struct bench_model b;
    const struct linear *sample = &model->layers[0].ffn_gate; /* the type that most weights have */
    double weights = 0;

    memset(&b, 0, sizeof b);
    for (int i = 0; i < model->config.n_layers; i++)
        weights += layer_weights(&model->layers[i]);
    b.pass_bytes = model->weight_bytes;
    b.layer_ops = 2 * weights;
    b.head_ops = 2 * weights_of(&model->output);
    b.params = (size_t)(weights + weights_of(&model->output) * (model->config.tied ? 1 : 2));
    b.quantised = !pack_infos[sample->w.class_].element_bytes;
    snprintf(b.name, sizeof b.name, "%s %s", arch_name(model->config.arch), dtype_info(sample->stored)->name);
    return b;
}
