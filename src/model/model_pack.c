/* model_pack.c - packs one tensor at a time: check, permute where needed, interleave, release the mapping.
 *
 * Work items are panels of 16 rows; each has one owner, so any schedule gives the same bytes. Every source byte is read
 * once: a panel's rows are checked while they are in cache, right before they are packed. The first bad row wins the
 * error message whatever the schedule: each worker keeps the lowest it met. */
#include "model_pack.h"
#include "half.h"
#include <string.h>

#define GRAIN_BYTES  ((size_t)256 << 10)
#define MAX_WORKERS  256
#define NO_ROW       SIZE_MAX
#define F16_EXPONENT 0x7c00u

struct pack_job {
    size_t first_panel; /* of the slice in work */
    const struct source_tensor *tensor;
    const struct pack *pack; /* NULL: check alone */
    uint8_t *dst, *scratch;
    size_t row_bytes, n_rows;
    size_t bad_row[MAX_WORKERS];
};

size_t tensor_row_bytes(const struct source_tensor *tensor)
{
    const struct dtype_info *info = dtype_info((uint32_t)tensor->type);
    return (size_t)tensor->dims[0] / info->block_len * info->block_bytes;
}

/* ---- finite? ---- */

/* Largest exponent field among n 16-bit floats: infinite or NaN when it is all ones. */
static int finite_16(const uint8_t *src, size_t n, uint32_t exponent)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, src + 2 * i, sizeof bits);
        bad |= (bits & exponent) == exponent;
    }
    return !bad;
}

static int finite_32(const uint8_t *src, size_t n)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, src + 4 * i, sizeof bits);
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return !bad;
}

/* Where a block's one or two f16 scales lie (ggml's block layouts; they are adjacent). */
static size_t scale_offset(enum dtype type, size_t *n_scales)
{
    *n_scales =
        type == DTYPE_Q4_1 || type == DTYPE_Q5_1 || type == DTYPE_Q4_K || type == DTYPE_Q5_K || type == DTYPE_Q2_K ? 2
                                                                                                                   : 1;
    switch (type) {
    case DTYPE_Q2_K:
        return 80;
    case DTYPE_Q3_K:
        return 108;
    case DTYPE_Q6_K:
        return 208;
    default:
        return 0;
    }
}

int row_is_finite(enum dtype type, const uint8_t *src, size_t n)
{
    if (type == DTYPE_F32) {
        return finite_32(src, n);
    }
    if (type == DTYPE_F16 || type == DTYPE_BF16) {
        return finite_16(src, n, type == DTYPE_F16 ? F16_EXPONENT : 0x7f80u);
    }
    const struct dtype_info *info = dtype_info((uint32_t)type);
    size_t n_scales, offset = scale_offset(type, &n_scales);
    uint32_t bad = 0;
    for (size_t i = 0; i < n / info->block_len; i++) {
        uint16_t bits[2] = {0, 0};
        memcpy(bits, src + i * info->block_bytes + offset, n_scales * sizeof bits[0]);
        bad |= (bits[0] & F16_EXPONENT) == F16_EXPONENT;
        bad |= (bits[1] & F16_EXPONENT) == F16_EXPONENT;
    }
    return !bad;
}

/* ---- rows ---- */

void copy_rows(const struct source_tensor *tensor, uint8_t *dst, size_t row, size_t count)
{
    size_t bytes = tensor_row_bytes(tensor), rows = (size_t)tensor->dims[1];
    for (size_t i = 0; i < count; i++) {
        size_t from = tensor->permute_heads ? source_permuted_row(row + i, rows, tensor->permute_heads) : row + i;
        memcpy(dst + i * bytes, tensor->data + from * bytes, bytes);
    }
}

static void check_rows(struct pack_job *job, const uint8_t *rows, size_t row, size_t count, int worker)
{
    for (size_t i = 0; i < count; i++) {
        if (!row_is_finite(job->tensor->type, rows + i * job->row_bytes, (size_t)job->tensor->dims[0]) &&
            row + i < job->bad_row[worker]) {
            job->bad_row[worker] = row + i;
        }
    }
}

static void pack_permuted(struct pack_job *job, size_t panel, size_t count, int worker)
{
    uint8_t *rows = job->scratch + (size_t)worker * PACK_ROWS * job->row_bytes;
    struct pack one = *job->pack;
    one.rows = count;
    one.n_panels = 1;
    copy_rows(job->tensor, rows, panel * PACK_ROWS, count);
    pack_panels(&one, job->dst + panel * one.panel_bytes, job->tensor->type, rows, 0, 1);
}

static void pack_work(void *context, size_t begin, size_t end, int worker)
{
    struct pack_job *job = context;
    for (size_t i = begin; i < end; i++) {
        size_t panel = job->first_panel + i, row = panel * PACK_ROWS, left = job->n_rows - row;
        size_t count = left < PACK_ROWS ? left : PACK_ROWS;
        check_rows(job, job->tensor->data + row * job->row_bytes, row, count, worker);
        if (!job->pack) {
            continue;
        }
        if (job->tensor->permute_heads) {
            pack_permuted(job, panel, count, worker);
        } else {
            pack_panels(job->pack, job->dst, job->tensor->type, job->tensor->data, panel, panel + 1);
        }
    }
}

/* Bytes of a tensor that are packed before their mapping is dropped: so much of the file is in memory beside the packed
 * weights, however large the tensor. */
#define SLICE_BYTES ((size_t)16 << 20)

static void drop_mapping(const struct source *source, const struct source_tensor *tensor, size_t offset, size_t bytes)
{
    const struct file_map *map = &source->maps[tensor->part];
    file_map_drop(map, (size_t)(tensor->data - map->data) + offset, bytes);
}

static enum status run_job(const struct source *source, struct pack_job *job, const struct exec *exec,
                           struct diag *diag)
{
    size_t n_panels = (job->n_rows + PACK_ROWS - 1) / PACK_ROWS;
    size_t grain = GRAIN_BYTES / (PACK_ROWS * job->row_bytes + 1) + 1;
    size_t slice = SLICE_BYTES / (PACK_ROWS * job->row_bytes + 1) + 1;
    for (int i = 0; i < MAX_WORKERS; i++) {
        job->bad_row[i] = NO_ROW;
    }
    for (job->first_panel = 0; job->first_panel < n_panels; job->first_panel += slice) {
        size_t left = n_panels - job->first_panel;
        pool_run(exec->pool, pack_work, job, left < slice ? left : slice, grain);
        if (left > slice && !job->tensor->permute_heads) { /* permuted rows come from anywhere in the tensor */
            drop_mapping(source, job->tensor, job->first_panel * PACK_ROWS * job->row_bytes,
                         slice * PACK_ROWS * job->row_bytes);
        }
    }
    drop_mapping(source, job->tensor, 0, job->tensor->bytes);
    size_t bad = NO_ROW;
    for (int i = 0; i < MAX_WORKERS; i++) {
        bad = job->bad_row[i] < bad ? job->bad_row[i] : bad;
    }
    if (bad != NO_ROW) {
        return diag_fail(diag, STATUS_NUMERIC, "%s: tensor %s: row %zu: found a number that is not finite",
                         source->path, job->tensor->file_name, bad);
    }
    return STATUS_OK;
}

enum status pack_tensor(const struct source *source, const struct source_tensor *tensor, const struct pack *pack,
                        uint8_t *dst, uint8_t *scratch, const struct exec *exec, struct diag *diag)
{
    struct pack_job job = {.tensor = tensor, .pack = pack, .dst = dst, .scratch = scratch};
    job.row_bytes = tensor_row_bytes(tensor);
    job.n_rows = pack->rows;
    return run_job(source, &job, exec, diag);
}

enum status check_tensor(const struct source *source, const struct source_tensor *tensor, const struct exec *exec,
                         struct diag *diag)
{
    struct pack_job job = {.tensor = tensor, .row_bytes = tensor_row_bytes(tensor), .n_rows = (size_t)tensor->dims[1]};
    return run_job(source, &job, exec, diag);
}

enum status decode_vector(const struct source *source, const struct source_tensor *tensor, float *dst,
                          struct diag *diag)
{
    size_t n = (size_t)tensor->dims[0], size = dtype_info((uint32_t)tensor->type)->block_bytes;
    if (tensor->permute_heads) { /* a bias: its elements are the matrix's rows; float types alone get here */
        for (size_t i = 0; i < n; i++) {
            size_t from = source_permuted_row(i, n, tensor->permute_heads);
            dtype_decode_row(tensor->type, dst + i, tensor->data + from * size, 1);
        }
    } else {
        dtype_decode_row(tensor->type, dst, tensor->data, n);
    }
    for (size_t i = 0; i < n; i++) {
        if ((half_float_bits(dst[i]) & 0x7f800000u) == 0x7f800000u) {
            return diag_fail(diag, STATUS_NUMERIC, "%s: tensor %s: element %zu: found a number that is not finite",
                             source->path, tensor->file_name, i);
        }
        if (tensor->add_one) {
            dst[i] += 1.0f;
        }
    }
    return STATUS_OK;
}
