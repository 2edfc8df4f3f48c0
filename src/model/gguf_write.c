/* gguf_write.c - writes GGUF version 3: keys and infos are collected in memory, tensor bytes are streamed.
 *
 * Every tensor's offset follows from the declared sizes, so the header is complete before the first tensor is made, and
 * tensors of any size pass through in pieces. The bytes go to a temporary name; gguf_write_commit renames. */
#include "gguf.h"
#include <assert.h>
#include <string.h>

#define WRITE_ALIGNMENT 32

static void put_raw_u32(struct buffer *out, uint32_t value)
{
    buffer_append(out, &value, sizeof value);
}

static void put_raw_u64(struct buffer *out, uint64_t value)
{
    buffer_append(out, &value, sizeof value);
}

static void put_raw_string(struct buffer *out, const char *text, size_t length)
{
    put_raw_u64(out, length);
    buffer_append(out, text, length);
}

static void put_name(struct gguf_writer *writer, const char *name, enum gguf_type type)
{
    put_raw_string(&writer->keys, name, strlen(name));
    put_raw_u32(&writer->keys, type);
    writer->n_keys++;
}

void gguf_put_u32(struct gguf_writer *writer, const char *name, uint32_t value)
{
    put_name(writer, name, GGUF_U32);
    put_raw_u32(&writer->keys, value);
}

void gguf_put_i32(struct gguf_writer *writer, const char *name, int32_t value)
{
    put_name(writer, name, GGUF_I32);
    buffer_append(&writer->keys, &value, sizeof value);
}

void gguf_put_f32(struct gguf_writer *writer, const char *name, float value)
{
    put_name(writer, name, GGUF_F32);
    buffer_append(&writer->keys, &value, sizeof value);
}

void gguf_put_bool(struct gguf_writer *writer, const char *name, int value)
{
    put_name(writer, name, GGUF_BOOL);
    buffer_byte(&writer->keys, value != 0);
}

void gguf_put_string(struct gguf_writer *writer, const char *name, const char *text, size_t length)
{
    put_name(writer, name, GGUF_STRING);
    put_raw_string(&writer->keys, text, length);
}

void gguf_put_array(struct gguf_writer *writer, const char *name, enum gguf_type element, const void *data,
                    uint64_t count)
{
    static const size_t sizes[GGUF_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    assert(sizes[element] > 0);
    put_name(writer, name, GGUF_ARRAY);
    put_raw_u32(&writer->keys, element);
    put_raw_u64(&writer->keys, count);
    buffer_append(&writer->keys, data, (size_t)count * sizes[element]);
}

void gguf_put_strings(struct gguf_writer *writer, const char *name, uint64_t count)
{
    put_name(writer, name, GGUF_ARRAY);
    put_raw_u32(&writer->keys, GGUF_STRING);
    put_raw_u64(&writer->keys, count);
}

void gguf_put_strings_element(struct gguf_writer *writer, const char *text, size_t length)
{
    put_raw_string(&writer->keys, text, length);
}

void gguf_put_key(struct gguf_writer *writer, const struct gguf_key *key)
{
    put_name(writer, key->name, key->type);
    if (key->type == GGUF_ARRAY) {
        put_raw_u32(&writer->keys, key->element);
        put_raw_u64(&writer->keys, key->count);
    }
    buffer_append(&writer->keys, key->data, key->bytes);
}

static size_t writer_alignment(const struct gguf_writer *writer)
{
    return writer->alignment ? writer->alignment : WRITE_ALIGNMENT;
}

static uint64_t align_up(const struct gguf_writer *writer, uint64_t value)
{
    size_t alignment = writer_alignment(writer);
    return (value + alignment - 1) / alignment * alignment;
}

void gguf_put_tensor(struct gguf_writer *writer, const char *name, enum dtype type, int n_dims, const uint64_t *dims)
{
    const struct dtype_info *info = dtype_info((uint32_t)type);
    assert(info && n_dims >= 1 && n_dims <= GGUF_MAX_DIMS && dims[0] % info->block_len == 0);
    assert(strlen(name) <= GGUF_MAX_NAME);
    put_raw_string(&writer->infos, name, strlen(name));
    put_raw_u32(&writer->infos, (uint32_t)n_dims);
    uint64_t bytes = info->block_bytes;
    for (int i = 0; i < n_dims; i++) {
        put_raw_u64(&writer->infos, dims[i]);
        bytes *= i == 0 ? dims[i] / info->block_len : dims[i];
    }
    put_raw_u32(&writer->infos, (uint32_t)type);
    put_raw_u64(&writer->infos, writer->data_end);
    put_raw_u64(&writer->sizes, bytes);
    writer->data_end = align_up(writer, writer->data_end + bytes);
    writer->n_tensors++;
}

static enum status write_padding(struct gguf_writer *writer, struct diag *diag)
{
    static const uint8_t zeros[256];
    uint64_t left = align_up(writer, writer->file.position) - writer->file.position;
    enum status status = STATUS_OK;
    while (left > 0 && !status) {
        size_t n = left < sizeof zeros ? (size_t)left : sizeof zeros;
        status = file_write(&writer->file, zeros, n, diag);
        left -= n;
    }
    return status;
}

static uint64_t tensor_size(const struct gguf_writer *writer, uint64_t i)
{
    uint64_t size;
    memcpy(&size, writer->sizes.data + i * sizeof size, sizeof size);
    return size;
}

enum status gguf_write_begin(struct gguf_writer *writer, const char *path, struct diag *diag)
{
    if (writer->keys.failed || writer->infos.failed || writer->sizes.failed) {
        return diag_fail(diag, STATUS_MEMORY, "%s: no memory for the header", path);
    }
    enum status status = file_create(&writer->file, path, diag);
    if (status) {
        return status;
    }
    const uint32_t version = 3;
    const uint64_t counts[2] = {writer->n_tensors, writer->n_keys};
    if ((status = file_write(&writer->file, "GGUF", 4, diag)) ||
        (status = file_write(&writer->file, &version, sizeof version, diag)) ||
        (status = file_write(&writer->file, counts, sizeof counts, diag)) ||
        (status = file_write(&writer->file, writer->keys.data, writer->keys.length, diag)) ||
        (status = file_write(&writer->file, writer->infos.data, writer->infos.length, diag)) ||
        (status = write_padding(writer, diag))) {
        return status;
    }
    writer->current_left = writer->n_tensors ? tensor_size(writer, 0) : 0;
    return STATUS_OK;
}

enum status gguf_write_data(struct gguf_writer *writer, const void *bytes, size_t length, struct diag *diag)
{
    const uint8_t *from = bytes;
    enum status status = STATUS_OK;
    while (length > 0 && !status) {
        assert(writer->current < writer->n_tensors);
        size_t n = length < writer->current_left ? length : (size_t)writer->current_left;
        status = file_write(&writer->file, from, n, diag);
        from += n;
        length -= n;
        writer->current_left -= n;
        if (!status && writer->current_left == 0) {
            status = write_padding(writer, diag);
            writer->current++;
            writer->current_left = writer->current < writer->n_tensors ? tensor_size(writer, writer->current) : 0;
        }
    }
    return status;
}

enum status gguf_write_commit(struct gguf_writer *writer, struct diag *diag)
{
    assert(writer->current == writer->n_tensors);
    enum status status = file_commit(&writer->file, diag);
    gguf_write_abandon(writer);
    return status;
}

void gguf_write_abandon(struct gguf_writer *writer)
{
    if (writer->file.path) {
        file_abandon(&writer->file);
    }
    buffer_free(&writer->keys);
    buffer_free(&writer->infos);
    buffer_free(&writer->sizes);
    memset(writer, 0, sizeof *writer);
}
