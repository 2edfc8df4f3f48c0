/* gguf_tensors.c - the tensor infos of a GGUF part: shapes, types, places, all checked against the file's size.
 *
 * Tensors must lie one behind the other as the writers of the format place them; so none overlap. */
#include "gguf_read.h"
#include <inttypes.h>

static const char *foreign_type(uint32_t id)
{
    static const struct {
        uint32_t id;
        const char *name;
    } types[] = {{9, "Q8_1"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"},
                 {19, "IQ1_S"}, {21, "IQ3_S"}, {22, "IQ2_S"},   {23, "IQ4_XS"}, {29, "IQ1_M"},
                 {34, "TQ1_0"}, {35, "TQ2_0"}, {39, "MXFP4"},   {40, "NVFP4"}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].id == id) {
            return types[i].name;
        }
    }
    return "unknown";
}

static enum status read_dims(struct cursor *c, struct gguf_tensor *tensor)
{
    uint32_t n_dims;
    enum status status = cursor_u32(c, &n_dims, "a number of dimensions");
    if (status) {
        return status;
    }
    if (n_dims < 1 || n_dims > GGUF_MAX_DIMS) {
        return diag_fail(c->diag, STATUS_FORMAT, "%s: tensor %s: expected 1 to 4 dimensions, found %u", c->path,
                         tensor->name, (unsigned)n_dims);
    }
    tensor->n_dims = (int)n_dims;
    tensor->n_elements = 1;
    for (int i = 0; i < GGUF_MAX_DIMS; i++) {
        tensor->dims[i] = 1;
        if (i < tensor->n_dims && (status = cursor_u64(c, &tensor->dims[i], "a dimension"))) {
            return status;
        }
        if (tensor->dims[i] == 0 || tensor->dims[i] > (uint64_t)INT64_MAX / tensor->n_elements) {
            return diag_fail(c->diag, STATUS_FORMAT, "%s: tensor %s: dimension %d is %" PRIu64 ": zero or too large",
                             c->path, tensor->name, i, tensor->dims[i]);
        }
        tensor->n_elements *= tensor->dims[i];
    }
    return STATUS_OK;
}

static enum status read_tensor_type(struct cursor *c, struct gguf_tensor *tensor)
{
    uint32_t id;
    enum status status = cursor_u32(c, &id, "a tensor type");
    if (status) {
        return status;
    }
    const struct dtype_info *info = dtype_info(id);
    if (!info) {
        return diag_fail(c->diag, STATUS_UNSUPPORTED, "%s: tensor %s: type %u (%s) is not supported", c->path,
                         tensor->name, (unsigned)id, foreign_type(id));
    }
    if (tensor->dims[0] % info->block_len != 0) {
        return diag_fail(c->diag, STATUS_FORMAT,
                         "%s: tensor %s: expected rows of a multiple of %zu for %s, found %" PRIu64, c->path,
                         tensor->name, info->block_len, info->name, tensor->dims[0]);
    }
    uint64_t n_blocks = tensor->n_elements / info->block_len;
    if (n_blocks > c->size / info->block_bytes) {
        return diag_fail(c->diag, STATUS_FORMAT,
                         "%s: tensor %s: %" PRIu64 " elements of %s do not fit into a file of %zu bytes", c->path,
                         tensor->name, tensor->n_elements, info->name, c->size);
    }
    tensor->type = info->type;
    tensor->bytes = (size_t)n_blocks * info->block_bytes;
    return STATUS_OK;
}

/* One info. *expected is where the data of this tensor must start; it moves on to the next one. */
static enum status read_tensor(struct cursor *c, struct gguf_tensor *tensor, size_t alignment, uint64_t *expected,
                               struct arena *arena)
{
    uint64_t offset;
    enum status status = cursor_name(c, &tensor->name, GGUF_MAX_NAME, arena, "a tensor name");
    if (status || (status = read_dims(c, tensor)) || (status = read_tensor_type(c, tensor)) ||
        (status = cursor_u64(c, &offset, "a tensor offset"))) {
        return status;
    }
    if (offset != *expected) {
        return diag_fail(c->diag, STATUS_FORMAT, "%s: tensor %s: expected offset %" PRIu64 ", found %" PRIu64, c->path,
                         tensor->name, *expected, offset);
    }
    if (offset > c->size || tensor->bytes > c->size - offset) { /* keeps the sums below in range */
        return diag_fail(c->diag, STATUS_FORMAT,
                         "%s: tensor %s: %zu bytes at offset %" PRIu64 " end outside the file of %zu bytes", c->path,
                         tensor->name, tensor->bytes, offset, c->size);
    }
    *expected = (offset + tensor->bytes + alignment - 1) / alignment * alignment;
    return STATUS_OK;
}

/* The data begins at the next multiple of the alignment; only now is its place known. */
static enum status place_tensors(const struct part *part, struct gguf_tensor *tensors, uint64_t n)
{
    const struct cursor *c = &part->cursor;
    uint64_t at = (c->at + part->alignment - 1) / part->alignment * part->alignment;
    for (uint64_t i = 0; i < n; i++) {
        if (at > c->size || tensors[i].bytes > c->size - at) {
            return diag_fail(c->diag, STATUS_FORMAT,
                             "%s: tensor %s: expected %zu bytes at byte %" PRIu64 ", found the end of the file at %zu",
                             c->path, tensors[i].name, tensors[i].bytes, at, c->size);
        }
        tensors[i].data = c->data + at;
        at = (at + tensors[i].bytes + part->alignment - 1) / part->alignment * part->alignment;
    }
    return STATUS_OK;
}

enum status gguf_read_tensors(struct gguf *gguf, struct part *part, int index)
{
    struct cursor *c = &part->cursor;
    struct gguf_tensor *first = gguf->tensors + gguf->n_tensors;
    uint64_t expected = 0;
    for (uint64_t i = 0; i < part->n_tensors; i++) {
        struct gguf_tensor *tensor = &first[i];
        enum status status = read_tensor(c, tensor, part->alignment, &expected, &gguf->arena);
        if (status) {
            return status;
        }
        tensor->part = index;
        struct gguf_slot *slot = gguf_slot_of(gguf->tensor_slots, gguf->n_tensor_slots, tensor->name);
        if (slot->name) {
            return diag_fail(c->diag, STATUS_FORMAT, "%s: tensor %s: found twice", c->path, tensor->name);
        }
        *slot = (struct gguf_slot){tensor->name, gguf->n_tensors};
        gguf->n_tensors++;
    }
    return place_tensors(part, first, part->n_tensors);
}
