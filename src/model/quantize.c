/* quantize.c - the rewriting: tensor by tensor, slab by slab, rows in parallel.
 *
 *   source row (any type) -> check -> f32 -> encode -> slab of whole rows -> file
 *
 * Each row has one owner and each encoder looks at one row alone, so the bytes do not depend on the schedule. The
 * source stays mapped while the output grows under a temporary name; so input and output may be the same file, and a
 * full disk leaves the old one as it was. Memory: one slab and one f32 row per thread. */
#include "model_pack.h"
#include "quantize_parts.h"
#include <string.h>

#define SLAB_BYTES           ((size_t)8 << 20)
#define ROW_GRAIN            8
#define MAX_WORKERS          256
#define QUANTIZATION_VERSION 2 /* ggml's number for the present block formats */
#define NO_ROW               SIZE_MAX

struct quantizer {
    struct source source;
    struct gguf_writer writer;
    const char *out;
    const struct quantize_options *options;
    struct quantize_report *report;
    struct diag *diag;
    enum dtype *types; /* of each tensor of the source */
    uint8_t *slab;
    float *rows; /* one of max_cols per worker */
    size_t max_cols;
    uint64_t done; /* elements */
};

/* The rows [first, first + n) of one tensor. */
struct slab_job {
    const struct quantizer *quantizer;
    const struct source_tensor *tensor;
    enum dtype type;
    size_t first, src_bytes, dst_bytes;
    size_t bad_row[MAX_WORKERS]; /* lowest row that is not finite, before or after */
};

static enum status no_memory(struct quantizer *q)
{
    return diag_fail(q->diag, STATUS_MEMORY, "%s: no memory to quantise", q->source.path);
}

/* ---- rows ---- */

static void encode_row(const struct slab_job *job, size_t row, uint8_t *dst, float *scratch, size_t *bad_row)
{
    const struct source_tensor *t = job->tensor;
    size_t n = (size_t)t->dims[0];
    size_t from = t->permute_heads ? source_permuted_row(row, (size_t)t->dims[1], t->permute_heads) : row;
    const uint8_t *src = t->data + from * job->src_bytes;
    const struct quantize_options *options = job->quantizer->options;
    int finite = row_is_finite(t->type, src, n);
    if (finite && t->type == job->type && !options->adjust) {
        memcpy(dst, src, job->dst_bytes);
    } else if (finite) {
        dtype_decode_row(t->type, scratch, src, n);
        if (options->adjust) {
            options->adjust(options->adjust_context, t->name, row, scratch, n);
        }
        dtype_encode_row(job->type, dst, scratch, n);
        finite = row_is_finite(job->type, dst, n); /* F16 ends at 65504 */
    }
    if (!finite && row < *bad_row) {
        *bad_row = row;
    }
}

static void slab_work(void *context, size_t begin, size_t end, int worker)
{
    struct slab_job *job = context;
    const struct quantizer *q = job->quantizer;
    for (size_t i = begin; i < end; i++) {
        encode_row(job, job->first + i, q->slab + i * job->dst_bytes, q->rows + (size_t)worker * q->max_cols,
                   &job->bad_row[worker]);
    }
}

static enum status check_slab(struct quantizer *q, const struct slab_job *job)
{
    size_t bad = NO_ROW;
    for (int i = 0; i < MAX_WORKERS; i++) {
        bad = job->bad_row[i] < bad ? job->bad_row[i] : bad;
    }
    if (bad == NO_ROW) {
        return STATUS_OK;
    }
    return diag_fail(q->diag, STATUS_NUMERIC, "%s: tensor %s: row %zu: found a number that is not finite in %s",
                     q->source.path, job->tensor->file_name, bad, dtype_info((uint32_t)job->type)->name);
}

static void show_progress(struct quantizer *q, const struct source_tensor *tensor, size_t n_rows)
{
    q->done += n_rows * tensor->dims[0];
    if (q->options->progress) {
        progress_update(q->options->progress, q->done, q->report->n_elements, (double)q->done / 1e6, tensor->name);
    }
}

static void drop_rows(const struct quantizer *q, const struct source_tensor *t, size_t first, size_t n, size_t bytes)
{
    const struct file_map *map = &q->source.maps[t->part];
    if (!t->permute_heads) {
        file_map_drop(map, (size_t)(t->data - map->data) + first * bytes, n * bytes);
    }
}

static enum status write_matrix(struct quantizer *q, const struct source_tensor *tensor, enum dtype type)
{
    const struct dtype_info *info = dtype_info((uint32_t)type);
    size_t n_rows = (size_t)(tensor->n_dims == 1 ? 1 : tensor->dims[1] * tensor->dims[2] * tensor->dims[3]);
    struct slab_job job = {.quantizer = q, .tensor = tensor, .type = type};
    job.src_bytes = tensor_row_bytes(tensor);
    job.dst_bytes = (size_t)tensor->dims[0] / info->block_len * info->block_bytes;
    size_t slab_rows = SLAB_BYTES / job.dst_bytes + 1;
    enum status status = STATUS_OK;
    for (size_t row = 0; row < n_rows && !status; row += slab_rows) {
        size_t n = n_rows - row < slab_rows ? n_rows - row : slab_rows;
        job.first = row;
        for (int i = 0; i < MAX_WORKERS; i++) {
            job.bad_row[i] = NO_ROW;
        }
        pool_run(q->options->pool, slab_work, &job, n, ROW_GRAIN);
        status = check_slab(q, &job);
        if (!status) {
            status = gguf_write_data(&q->writer, q->slab, n * job.dst_bytes, q->diag);
        }
        drop_rows(q, tensor, row, n, job.src_bytes);
        show_progress(q, tensor, n);
        if (!status && q->options->stop && q->options->stop()) {
            status = diag_fail(q->diag, STATUS_STOPPED, "%s: stopped; nothing was written", q->out);
        }
    }
    return status;
}

/* A folder's vector: permuted or raised as its family wants, in F32. */
static enum status write_vector(struct quantizer *q, const struct source_tensor *tensor)
{
    enum status status = decode_vector(&q->source, tensor, q->rows, q->diag);
    if (!status && q->options->adjust) {
        q->options->adjust(q->options->adjust_context, tensor->name, 0, q->rows, (size_t)tensor->dims[0]);
    }
    if (!status) {
        status = gguf_write_data(&q->writer, q->rows, (size_t)tensor->dims[0] * sizeof(float), q->diag);
    }
    show_progress(q, tensor, 1);
    return status;
}

/* ---- the file ---- */

static int is_folder_vector(const struct quantizer *q, const struct source_tensor *tensor)
{
    return !q->source.is_gguf && tensor->n_dims == 1;
}

static enum status choose_types(struct quantizer *q)
{
    struct source *source = &q->source;
    size_t dst_bytes = 1;
    q->types = arena_array(&source->arena, source->n_tensors, sizeof *q->types);
    if (!q->types) {
        return no_memory(q);
    }
    for (size_t i = 0; i < source->n_tensors; i++) {
        const struct source_tensor *t = &source->tensors[i];
        int fell_back;
        q->types[i] = quantize_choose(q->options->type, q->options->pure, &source->config, t, &fell_back);
        q->types[i] = is_folder_vector(q, t) ? DTYPE_F32 : q->types[i];
        const struct dtype_info *info = dtype_info((uint32_t)q->types[i]);
        size_t row_bytes = (size_t)t->dims[0] / info->block_len * info->block_bytes;
        dst_bytes = row_bytes > dst_bytes ? row_bytes : dst_bytes;
        q->max_cols = t->dims[0] > q->max_cols ? (size_t)t->dims[0] : q->max_cols;
        uint64_t n = t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3];
        q->report->n_fallbacks += (size_t)fell_back;
        q->report->n_elements += n;
        q->report->bytes_in += t->bytes;
        q->report->bytes_out += n / info->block_len * info->block_bytes;
    }
    q->report->n_tensors = source->n_tensors;
    q->slab = arena_alloc(&source->arena, SLAB_BYTES + dst_bytes);
    q->rows = arena_array(&source->arena, q->max_cols, (size_t)pool_size(q->options->pool) * sizeof(float));
    return q->slab && q->rows ? STATUS_OK : no_memory(q);
}

/* A GGUF's own keys, but for those that speak of the file and not of the model. */
static void copy_keys(struct quantizer *q)
{
    static const char *const dropped[] = {"general.alignment", "general.file_type", "general.quantization_version",
                                          "split.no",          "split.count",       "split.tensors.count"};
    const struct gguf *gguf = &q->source.gguf;
    for (size_t i = 0; i < gguf->n_keys; i++) {
        int drop = 0;
        for (size_t j = 0; j < sizeof dropped / sizeof dropped[0]; j++) {
            drop |= strcmp(gguf->keys[i].name, dropped[j]) == 0;
        }
        if (!drop) {
            gguf_put_key(&q->writer, &gguf->keys[i]);
        }
    }
}

static enum status put_header(struct quantizer *q)
{
    struct source *source = &q->source;
    enum status status = STATUS_OK;
    if (source->is_gguf) {
        copy_keys(q);
    } else {
        status = quantize_put_metadata(&q->writer, source, q->diag);
    }
    gguf_put_u32(&q->writer, "general.quantization_version", QUANTIZATION_VERSION);
    gguf_put_u32(&q->writer, "general.file_type", quantize_file_type(q->options->type));
    if (!source->is_gguf && source->rope_factors) {
        uint64_t n = (uint64_t)source->config.rope_dim / 2;
        gguf_put_tensor(&q->writer, "rope_freqs.weight", DTYPE_F32, 1, &n);
    }
    for (size_t i = 0; i < source->n_tensors; i++) {
        const struct source_tensor *t = &source->tensors[i];
        gguf_put_tensor(&q->writer, t->name, q->types[i], t->n_dims, t->dims);
    }
    return status;
}

static enum status write_tensors(struct quantizer *q)
{
    struct source *source = &q->source;
    enum status status = STATUS_OK;
    if (!source->is_gguf && source->rope_factors) {
        status = gguf_write_data(&q->writer, source->rope_factors, (size_t)source->config.rope_dim / 2 * sizeof(float),
                                 q->diag);
    }
    for (size_t i = 0; i < source->n_tensors && !status; i++) {
        const struct source_tensor *t = &source->tensors[i];
        status = is_folder_vector(q, t) ? write_vector(q, t) : write_matrix(q, t, q->types[i]);
    }
    return status;
}

static enum status rewrite(struct quantizer *q)
{
    size_t weight_bytes;
    enum status status = source_check_tensors(&q->source, &weight_bytes, q->diag);
    if (status || (status = choose_types(q)) || (status = put_header(q)) ||
        (status = gguf_write_begin(&q->writer, q->out, q->diag))) {
        return status;
    }
    if (q->options->progress) {
        progress_begin(q->options->progress, "quantize", "M weights/s");
    }
    if ((status = write_tensors(q))) {
        return status;
    }
    if (q->options->progress) {
        progress_end(q->options->progress, q->done, q->done, (double)q->done / 1e6, "");
    }
    return gguf_write_commit(&q->writer, q->diag);
}

enum status quantize_model(const char *in, const char *out, const struct quantize_options *options,
                           struct quantize_report *report, struct diag *diag)
{
    struct quantizer q = {.out = out, .options = options, .report = report, .diag = diag};
    memset(report, 0, sizeof *report);
    enum status status = source_open(&q.source, in, diag);
    if (status) {
        return status;
    }
    status = rewrite(&q);
    gguf_write_abandon(&q.writer);
    source_close(&q.source);
    return status;
}
