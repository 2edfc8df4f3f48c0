/* safetensors.c - reads and writes the safetensors container.
 *
 * Reading: the header's length is checked against the file before the JSON is parsed, every tensor's shape against its
 * byte range, and all ranges, sorted, against each other: they cover the data exactly. Allocations are proportional to
 * the header, which lies in the file. */
#include "safetensors.h"
#include "json.h"
#include "rng.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_EXACT 9007199254740992.0 /* 2^53: integers up to here survive as double */
#define METADATA  "__metadata__"

struct safetensors_slot {
    const char *name;
    size_t index;
};

struct element_type {
    const char *name;
    size_t bytes;
    int dtype; /* enum dtype of a weight, or -1 */
};

static const struct element_type element_types[] = {
    {"F32", 4, DTYPE_F32}, {"F16", 2, DTYPE_F16}, {"BF16", 2, DTYPE_BF16}, {"F64", 8, -1},     {"I64", 8, -1},
    {"I32", 4, -1},        {"I16", 2, -1},        {"I8", 1, -1},           {"U64", 8, -1},     {"U32", 4, -1},
    {"U16", 2, -1},        {"U8", 1, -1},         {"BOOL", 1, -1},         {"F8_E4M3", 1, -1}, {"F8_E5M2", 1, -1}};

#define N_TYPES (sizeof element_types / sizeof element_types[0])

static enum status bad_tensor(const struct safetensors *file, const char *name, const char *what, struct diag *diag)
{
    return diag_fail(diag, STATUS_FORMAT, "%s: tensor %.200s: %s", file->path, name, what);
}

/* ---- reading ---- */

/* A non-negative integer that a double holds exactly. */
static int read_count(const struct json *node, uint64_t *value)
{
    if (!node || node->type != JSON_NUMBER || !(node->number >= 0 && node->number <= MAX_EXACT)) {
        return 0;
    }
    *value = (uint64_t)node->number;
    return (double)*value == node->number;
}

static enum status read_type(const struct safetensors *file, const struct json *node, struct safetensors_tensor *tensor,
                             size_t *element_bytes, struct diag *diag)
{
    const char *name = json_string(node, "dtype", NULL);
    if (!name) {
        return bad_tensor(file, tensor->name, "expected a dtype", diag);
    }
    for (size_t i = 0; i < N_TYPES; i++) {
        if (strcmp(element_types[i].name, name) == 0) {
            tensor->dtype_name = element_types[i].name;
            tensor->is_weight = element_types[i].dtype >= 0;
            tensor->type = tensor->is_weight ? (enum dtype)element_types[i].dtype : DTYPE_F32;
            *element_bytes = element_types[i].bytes;
            return STATUS_OK;
        }
    }
    return diag_fail(diag, STATUS_UNSUPPORTED, "%s: tensor %.200s: dtype %.40s is not supported", file->path,
                     tensor->name, name);
}

static enum status read_shape(const struct safetensors *file, const struct json *node,
                              struct safetensors_tensor *tensor, struct diag *diag)
{
    const struct json *shape = json_get(node, "shape");
    if (!shape || shape->type != JSON_ARRAY || shape->length > SAFETENSORS_MAX_DIMS) {
        return bad_tensor(file, tensor->name, "expected a shape of at most 8 dimensions", diag);
    }
    tensor->n_elements = 1;
    for (const struct json *dim = shape->child; dim; dim = dim->next) {
        uint64_t n;
        if (!read_count(dim, &n) || (n > 0 && tensor->n_elements > (uint64_t)INT64_MAX / n)) {
            return bad_tensor(file, tensor->name, "expected dimensions whose product fits 63 bits", diag);
        }
        tensor->dims[tensor->n_dims++] = n;
        tensor->n_elements *= n;
    }
    return STATUS_OK;
}

static enum status read_range(const struct safetensors *file, const struct json *node,
                              struct safetensors_tensor *tensor, size_t element_bytes, size_t start, struct diag *diag)
{
    const struct json *range = json_get(node, "data_offsets");
    uint64_t begin, end, size = file->map.size - start;
    if (!range || range->type != JSON_ARRAY || range->length != 2 || !read_count(range->child, &begin) ||
        !read_count(range->child->next, &end)) {
        return bad_tensor(file, tensor->name, "expected data_offsets [begin, end]", diag);
    }
    if (begin > end || end > size) {
        return diag_fail(diag, STATUS_FORMAT,
                         "%s: tensor %.200s: bytes %" PRIu64 " to %" PRIu64 " lie outside the %" PRIu64
                         " bytes of data",
                         file->path, tensor->name, begin, end, size);
    }
    if (tensor->n_elements > size / element_bytes || tensor->n_elements * element_bytes != end - begin) {
        return diag_fail(diag, STATUS_FORMAT,
                         "%s: tensor %.200s: %" PRIu64 " elements of %s do not take %" PRIu64 " bytes", file->path,
                         tensor->name, tensor->n_elements, tensor->dtype_name, end - begin);
    }
    tensor->data = file->map.data + start + begin;
    tensor->bytes = (size_t)(end - begin);
    return STATUS_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct safetensors_tensor *x = a, *y = b;
    if (x->data != y->data) {
        return x->data < y->data ? -1 : 1;
    }
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes; /* empty ones first */
}

/* Sorted by place, each must begin where its predecessor ends, and the last one end with the file. */
static enum status check_cover(struct safetensors *file, size_t start, struct diag *diag)
{
    qsort(file->tensors, file->n_tensors, sizeof *file->tensors, by_place);
    const uint8_t *at = file->map.data + start;
    for (size_t i = 0; i < file->n_tensors; i++) {
        if (file->tensors[i].data != at) {
            return bad_tensor(file, file->tensors[i].name,
                              file->tensors[i].data < at ? "its bytes overlap another tensor's"
                                                         : "a gap lies before its bytes",
                              diag);
        }
        at += file->tensors[i].bytes;
    }
    size_t left = file->map.size - (size_t)(at - file->map.data);
    return left == 0
               ? STATUS_OK
               : diag_fail(diag, STATUS_FORMAT, "%s: %zu bytes after the last tensor belong to none", file->path, left);
}

static struct safetensors_slot *slot_of(const struct safetensors *file, const char *name)
{
    size_t i = (size_t)rng_hash(name) & (file->n_slots - 1);
    while (file->slots[i].name && strcmp(file->slots[i].name, name) != 0) {
        i = (i + 1) & (file->n_slots - 1);
    }
    return &file->slots[i];
}

static enum status index_names(struct safetensors *file, struct diag *diag)
{
    file->n_slots = 8;
    while (file->n_slots < 2 * file->n_tensors) {
        file->n_slots *= 2;
    }
    file->slots = arena_array(&file->arena, file->n_slots, sizeof *file->slots);
    if (!file->slots) {
        return diag_fail(diag, STATUS_MEMORY, "%s: no memory for %zu tensors", file->path, file->n_tensors);
    }
    memset(file->slots, 0, file->n_slots * sizeof *file->slots);
    for (size_t i = 0; i < file->n_tensors; i++) {
        struct safetensors_slot *slot = slot_of(file, file->tensors[i].name);
        if (slot->name) {
            return bad_tensor(file, file->tensors[i].name, "found twice", diag);
        }
        *slot = (struct safetensors_slot){file->tensors[i].name, i};
    }
    return STATUS_OK;
}

static enum status read_tensor(struct safetensors *file, const struct json *node, size_t start, struct diag *diag)
{
    struct safetensors_tensor *tensor = &file->tensors[file->n_tensors++];
    size_t element_bytes = 1;
    *tensor = (struct safetensors_tensor){.name = node->key};
    if (node->type != JSON_OBJECT) {
        return bad_tensor(file, node->key, "expected an object", diag);
    }
    enum status status = read_type(file, node, tensor, &element_bytes, diag);
    if (!status) {
        status = read_shape(file, node, tensor, diag);
    }
    return status ? status : read_range(file, node, tensor, element_bytes, start, diag);
}

static enum status read_header(struct safetensors *file, struct diag *diag)
{
    uint64_t length = 0;
    if (file->map.size >= 8) {
        memcpy(&length, file->map.data, sizeof length);
    }
    if (file->map.size < 10 || length < 2 || length > file->map.size - 8 || length > SAFETENSORS_MAX_HEADER) {
        return diag_fail(diag, STATUS_FORMAT,
                         "%s: byte 0: expected a header length of 2 to 100 MB inside the file, found %" PRIu64
                         " in a file of %zu bytes",
                         file->path, length, file->map.size);
    }
    const struct json *root;
    const char *text = (const char *)file->map.data + 8;
    size_t start = 8 + (size_t)length;
    enum status status = json_parse(&root, text, (size_t)length, &file->arena, file->path, 0, NULL, diag);
    if (status) {
        return status;
    }
    if (root->type != JSON_OBJECT) {
        return diag_fail(diag, STATUS_FORMAT, "%s: byte 8: expected a JSON object", file->path);
    }
    file->tensors = arena_array(&file->arena, root->length, sizeof *file->tensors);
    if (!file->tensors) {
        return diag_fail(diag, STATUS_MEMORY, "%s: no memory for %zu tensors", file->path, root->length);
    }
    for (const struct json *node = root->child; node && !status; node = node->next) {
        status = strcmp(node->key, METADATA) == 0 ? STATUS_OK : read_tensor(file, node, start, diag);
    }
    if (!status) {
        status = check_cover(file, start, diag);
    }
    return status ? status : index_names(file, diag);
}

static enum status begin(struct safetensors *file, const char *name, struct diag *diag)
{
    memset(file, 0, sizeof *file);
    arena_init(&file->arena, "safetensors", 0);
    file->path = arena_text(&file->arena, name, strlen(name));
    return file->path ? STATUS_OK : diag_fail(diag, STATUS_MEMORY, "%s: no memory", name);
}

enum status safetensors_open(struct safetensors *file, const char *path, struct diag *diag)
{
    enum status status = begin(file, path, diag);
    if (!status) {
        status = file_map(&file->map, path, diag);
    }
    if (!status) {
        status = read_header(file, diag);
    }
    if (status) {
        safetensors_close(file);
    }
    return status;
}

enum status safetensors_parse(struct safetensors *file, const void *bytes, size_t size, const char *name,
                              struct diag *diag)
{
    enum status status = begin(file, name, diag);
    file->map = (struct file_map){bytes, size};
    file->borrowed = 1;
    if (!status) {
        status = read_header(file, diag);
    }
    if (status) {
        safetensors_close(file);
    }
    return status;
}

void safetensors_close(struct safetensors *file)
{
    if (!file->borrowed) {
        file_unmap(&file->map);
    }
    arena_free(&file->arena);
    memset(file, 0, sizeof *file);
}

const struct safetensors_tensor *safetensors_find(const struct safetensors *file, const char *name)
{
    if (file->n_tensors == 0) {
        return NULL;
    }
    const struct safetensors_slot *slot = slot_of(file, name);
    return slot->name ? &file->tensors[slot->index] : NULL;
}

/* ---- writing ---- */

static const struct element_type *type_of(enum dtype type)
{
    for (size_t i = 0; i < N_TYPES; i++) {
        if (element_types[i].dtype == (int)type) {
            return &element_types[i];
        }
    }
    return NULL;
}

void safetensors_put(struct safetensors_writer *writer, const char *name, enum dtype type, int n_dims,
                     const uint64_t *dims)
{
    const struct element_type *element = type_of(type);
    struct buffer *out = &writer->header;
    assert(element && n_dims <= SAFETENSORS_MAX_DIMS);
    if (out->length == 0) {
        buffer_text(out, "{\"" METADATA "\":{\"format\":\"pt\"}");
    }
    uint64_t bytes = element->bytes;
    buffer_byte(out, ',');
    json_put_text(out, name);
    buffer_format(out, ":{\"dtype\":\"%s\",\"shape\":[", element->name);
    for (int i = 0; i < n_dims; i++) {
        buffer_format(out, "%s%" PRIu64, i ? "," : "", dims[i]);
        bytes *= dims[i];
    }
    buffer_format(out, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", writer->data_end, writer->data_end + bytes);
    writer->data_end += bytes;
}

enum status safetensors_write_begin(struct safetensors_writer *writer, const char *path, struct diag *diag)
{
    if (writer->header.length == 0) {
        buffer_text(&writer->header, "{\"" METADATA "\":{\"format\":\"pt\"}");
    }
    buffer_byte(&writer->header, '}');
    while (writer->header.length % 8 != 0 && !writer->header.failed) {
        buffer_byte(&writer->header, ' ');
    }
    if (writer->header.failed) {
        return diag_fail(diag, STATUS_MEMORY, "%s: no memory for the header", path);
    }
    uint64_t length = writer->header.length;
    enum status status = file_create(&writer->file, path, diag);
    if (status || (status = file_write(&writer->file, &length, sizeof length, diag))) {
        return status;
    }
    writer->data_start = sizeof length + length;
    return file_write(&writer->file, writer->header.data, writer->header.length, diag);
}

enum status safetensors_write_data(struct safetensors_writer *writer, const void *bytes, size_t length,
                                   struct diag *diag)
{
    return file_write(&writer->file, bytes, length, diag);
}

enum status safetensors_write_commit(struct safetensors_writer *writer, struct diag *diag)
{
    assert(writer->file.position == writer->data_start + writer->data_end);
    enum status status = file_commit(&writer->file, diag);
    safetensors_write_abandon(writer);
    return status;
}

void safetensors_write_abandon(struct safetensors_writer *writer)
{
    if (writer->file.path) {
        file_abandon(&writer->file);
    }
    buffer_free(&writer->header);
    memset(writer, 0, sizeof *writer);
}
