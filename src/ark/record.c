/* record.c - reads records, names them, and reports on them.
 *
 *   shard I of N of a file of S bytes: | begin = S (I-1) / N ... end = S I / N |
 *   a record belongs to the shard in which its first byte lies, so the shards' records concatenate to the file's
 *
 * Invariants: records are counted from the start of the file in every shard, so that ids by index do not depend on the
 * sharding; records outside the shard are not parsed.
 * Leaves out: what is inside a record (question.c, example.c, ...). */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "record.h"

/* ---- messages ---- */

enum status record_fail(const struct record *record, enum status status, struct diag *diag, const char *format, ...)
{
    char message[400];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return diag_fail(diag, status, "%s:%llu: %s", record->path, (unsigned long long)record->line, message);
}

const char *record_type_name(const struct json *value)
{
    static const char *const names[] = {"null", "false", "true", "a number", "a string", "an array", "an object"};

    return value ? names[value->type] : "nothing";
}

enum status record_expected(const struct record *record, const char *key, const char *expected, struct diag *diag)
{
    return record_fail(record, STATUS_FORMAT, diag, "\"%s\": expected %s, found %s", key, expected,
                       record_type_name(json_get(record->json, key)));
}

enum status record_at(const struct record *record, enum status status, struct diag *diag)
{
    struct diag inner;

    if (!status || !diag)
        return status;
    inner = *diag;
    return record_fail(record, status, diag, "%s", inner.message);
}

/* ---- fields ---- */

enum status record_string(const struct record *record, const char *key, const struct json **value, struct diag *diag)
{
    *value = json_get(record->json, key);
    if (*value && (*value)->type == JSON_STRING)
        return STATUS_OK;
    return record_expected(record, key, "a string", diag);
}

enum status record_list(const struct record *record, const char *key, const struct json **value, struct diag *diag)
{
    *value = json_get(record->json, key);
    if (*value && (*value)->type == JSON_ARRAY)
        return STATUS_OK;
    return record_expected(record, key, "an array", diag);
}

/* ---- ids ---- */

/* "<file stem>:<index>"; of "-" the stem is "stdin". */
static char *id_by_index(struct record_reader *reader, uint64_t index)
{
    const char *path = reader->stream.path, *slash = strrchr(path, '/'), *stem = slash ? slash + 1 : path, *dot;
    size_t length, room;
    char *id;

    stem = strcmp(stem, "-") == 0 ? "stdin" : stem;
    dot = strrchr(stem, '.');
    length = dot && dot > stem ? (size_t)(dot - stem) : strlen(stem);
    room = length + 24;
    id = arena_alloc(&reader->arena, room);
    if (id)
        snprintf(id, room, "%.*s:%llu", (int)length, stem, (unsigned long long)index);
    return id;
}

static enum status set_id(struct record_reader *reader, struct record *record, struct diag *diag)
{
    static const char *const keys[] = {"id", "_id", "ID", "idx", "uuid", "unique_id"};

    record->id = NULL;
    record->id_is_number = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !record->id; i++) {
        const struct json *value = json_get(record->json, keys[i]);

        if (!value || (value->type != JSON_STRING && value->type != JSON_NUMBER) || value->length == 0)
            continue;
        record->id = value->text;
        record->id_is_number = value->type == JSON_NUMBER;
    }
    if (!record->id)
        record->id = id_by_index(reader, record->index);
    return record->id ? STATUS_OK : record_fail(record, STATUS_MEMORY, diag, "out of memory");
}

void record_put_id(struct buffer *out, const struct record *record)
{
    if (record->id_is_number)
        buffer_text(out, record->id);
    else
        json_put_text(out, record->id);
}

/* ---- the file ---- */

enum status record_open(struct record_reader *reader, const char *path, const struct record_options *options,
                        struct diag *diag)
{
    uint64_t size, shard, n;
    enum status status;

    memset(reader, 0, sizeof *reader);
    reader->stream.fd = -1;
    arena_init(&reader->arena, "record", 0);
    if (options)
        reader->options = *options;
    shard = reader->options.shard ? reader->options.shard : 1;
    n = reader->options.n_shards ? reader->options.n_shards : 1;
    status = json_stream_open(&reader->stream, path, reader->options.members, diag);
    if (status)
        return status;
    size = reader->stream.size;
    if (n > 1 && !size && reader->stream.pending.length) {
        record_close(reader);
        return diag_fail(diag, STATUS_UNSUPPORTED, "%s: a shard needs a regular file, whose size is known", path);
    }
    /* S (I-1) / N without overflow: the quotient's part, then the remainder's. */
    reader->begin = size / n * (shard - 1) + size % n * (shard - 1) / n;
    reader->end = n == 1 || shard == n ? UINT64_MAX : size / n * shard + size % n * shard / n;
    reader->mark = arena_mark(&reader->arena);
    return STATUS_OK;
}

/* Records of a later version may mean something else. Foreign ones have no "v", or one that is no number. */
static enum status check_version(const struct record *record, struct diag *diag)
{
    const struct json *v = json_get(record->json, "v");

    if (!v || v->type != JSON_NUMBER || v->number == 1)
        return STATUS_OK;
    return record_fail(record, STATUS_UNSUPPORTED, diag, "\"v\": expected records of version 1, found %s", v->text);
}

static enum status parse_record(struct record_reader *reader, const char *text, size_t length, struct diag *diag)
{
    struct record *record = &reader->record;
    const struct json *key;
    size_t bad = 0, bad_key = 0;
    enum status status;

    record->path = reader->stream.path;
    record->line = reader->stream.line;
    record->index = reader->stream.index;
    record->key = NULL;
    status = json_parse(&record->json, text, length, &reader->arena, record->path, record->line, &bad, diag);
    if (!status && reader->stream.key) {
        status = json_parse(&key, reader->stream.key, reader->stream.key_length, &reader->arena, record->path,
                            record->line, &bad_key, diag);
        record->key = status ? NULL : key->text;
    } else if (!status && record->json->type != JSON_OBJECT) {
        status =
            record_fail(record, STATUS_FORMAT, diag, "expected an object, found %s", record_type_name(record->json));
    }
    if (!status && !reader->stream.key)
        status = check_version(record, diag);
    if (!status)
        status = set_id(reader, record, diag);
    if (!status)
        reader->bad_utf8 += bad + bad_key;
    return status;
}

enum status record_next(struct record_reader *reader, const struct record **record, struct diag *diag)
{
    *record = NULL;
    for (;;) {
        const char *text;
        size_t length;
        enum status status = json_stream_next(&reader->stream, &text, &length, diag);

        if (status || !text || reader->stream.offset >= reader->end)
            return status;
        if (reader->stream.offset < reader->begin)
            continue;
        arena_release(&reader->arena, reader->mark);
        status = parse_record(reader, text, length, diag);
        if (!status) {
            reader->n_records++;
            *record = &reader->record;
            return STATUS_OK;
        }
        status = record_skip(reader, status, diag);
        if (status)
            return status;
    }
}

enum status record_skip(struct record_reader *reader, enum status status, struct diag *diag)
{
    int its_fault = status == STATUS_FORMAT || status == STATUS_RANGE || status == STATUS_UNSUPPORTED;

    if (!reader->options.skip_bad || !its_fault)
        return status;
    if (reader->n_skipped++ == 0 && diag)
        reader->first_skip = *diag;
    return STATUS_OK;
}

uint64_t record_count(const struct record_reader *reader)
{
    const struct json_stream *whole = &reader->stream;
    struct json_stream stream;
    struct diag diag;
    const char *text;
    size_t length;
    uint64_t n = 0;
    enum status status;

    if (!whole->size || strcmp(whole->path, "-") == 0 ||
        json_stream_open(&stream, whole->path, reader->options.members, &diag))
        return 0;
    while (!(status = json_stream_next(&stream, &text, &length, &diag)) && text && stream.offset < reader->end)
        n += stream.offset >= reader->begin;
    json_stream_close(&stream);
    return status ? 0 : n;
}

void record_close(struct record_reader *reader)
{
    json_stream_close(&reader->stream);
    arena_free(&reader->arena);
}
