/* inspect_print.c - arklet inspect: metadata, tensors and records as text. */
#include <stdio.h>
#include <string.h>
#include "cmd.h"
#include "file.h"
#include "gguf.h"
#include "inspect.h"
#include "json.h"
#include "record.h"
#include "safetensors.h"
#include "utf8.h"

#define TEXT_SHOWN  72 /* bytes of a string */
#define ITEMS_SHOWN 6  /* elements of an array */
#define MAX_CONFIG  ((size_t)16 << 20)

/* ---- values ---- */

/* As a JSON string, cut at TEXT_SHOWN bytes. */
static void put_text(struct buffer *out, const char *text, size_t length)
{
    size_t shown = length <= TEXT_SHOWN ? length : utf8_whole_prefix(text, TEXT_SHOWN);
    json_put_string(out, text, shown);
    if (shown < length) {
        buffer_format(out, "... (%zu bytes)", length);
    }
}

static void put_number(struct buffer *out, const struct gguf_key *key, uint64_t i)
{
    if (key->element == GGUF_F32 || key->element == GGUF_F64) {
        buffer_format(out, "%.7g", gguf_element_number(key, i));
    } else if (key->element == GGUF_BOOL) {
        buffer_text(out, gguf_element_int(key, i) ? "true" : "false");
    } else {
        buffer_format(out, "%lld", (long long)gguf_element_int(key, i));
    }
}

static void put_value(struct buffer *out, const struct gguf_key *key)
{
    struct gguf_strings strings = gguf_strings(key);
    int is_array = key->type == GGUF_ARRAY;
    uint64_t shown = key->count < ITEMS_SHOWN ? key->count : ITEMS_SHOWN;
    buffer_text(out, is_array ? "[" : "");
    for (uint64_t i = 0; i < shown; i++) {
        const char *text;
        size_t length;
        buffer_text(out, i ? ", " : "");
        if (gguf_strings_next(&strings, &text, &length)) {
            put_text(out, text, length);
        } else {
            put_number(out, key, i);
        }
    }
    buffer_text(out, shown < key->count ? ", ..." : "");
    if (is_array) {
        buffer_format(out, "] (%llu)", (unsigned long long)key->count);
    }
}

/* A name as it may be shown: control bytes of a hostile file do not reach the terminal. */
static const char *clean(const char *name, char shown[256])
{
    size_t n = 0;
    for (; name[n] && n < 255; n++) {
        unsigned char byte = (unsigned char)name[n];
        shown[n] = (char)(byte < 32 || byte == 127 ? '?' : byte);
    }
    shown[n] = 0;
    return shown;
}

static void print_buffer(struct buffer *out)
{
    if (out->data) {
        fputs(out->data, stdout);
    }
    buffer_clear(out);
}

/* ---- tensors ---- */

/* Bytes and elements of each storage type that was met, for the last lines. */
struct totals {
    struct {
        const char *type;
        uint64_t n, bytes;
    } types[40];
    size_t n_types;
    uint64_t n_elements, n_tensors;
};

static void add(struct totals *totals, const char *type, uint64_t n_elements, uint64_t bytes)
{
    size_t i = 0;
    while (i < totals->n_types && strcmp(totals->types[i].type, type) != 0) {
        i++;
    }
    totals->n_elements += n_elements;
    totals->n_tensors++;
    if (i == sizeof totals->types / sizeof totals->types[0]) {
        return;
    }
    totals->n_types += i == totals->n_types;
    totals->types[i].type = type;
    totals->types[i].n++;
    totals->types[i].bytes += bytes;
}

static void print_tensor(const char *name, const char *type, const uint64_t *dims, int n_dims, uint64_t bytes)
{
    char shape[160] = "", shown[256];
    size_t n = 0;
    for (int i = 0; i < n_dims; i++) {
        n += (size_t)snprintf(shape + n, sizeof shape - n, "%s%llu", i ? " x " : "", (unsigned long long)dims[i]);
    }
    printf("  %-48s %-7s %-24s %12llu\n", clean(name, shown), type, shape, (unsigned long long)bytes);
}

static void print_totals(const struct totals *totals)
{
    uint64_t bytes = 0;
    printf("\n%llu tensors, %.3fM parameters:", (unsigned long long)totals->n_tensors,
           (double)totals->n_elements / 1e6);
    for (size_t i = 0; i < totals->n_types; i++) {
        printf("%s %llu %s (%.1f MB)", i ? "," : "", (unsigned long long)totals->types[i].n, totals->types[i].type,
               (double)totals->types[i].bytes / 1048576.0);
        bytes += totals->types[i].bytes;
    }
    printf("; %.2f bits a parameter\n", totals->n_elements ? 8.0 * (double)bytes / (double)totals->n_elements : 0.0);
}

int inspect_gguf(const char *path, int *is_model)
{
    struct gguf gguf;
    struct diag diag;
    struct totals totals;
    struct buffer line = {0};
    char shown[256];
    memset(&totals, 0, sizeof totals);
    if (gguf_open(&gguf, path, GGUF_ALL, &diag)) {
        return cmd_fail(&diag);
    }
    printf("%s: GGUF version %u, %zu keys, %zu tensors", path, (unsigned)gguf.version, gguf.n_keys, gguf.n_tensors);
    printf(gguf.n_maps > 1 ? ", %d parts\n\nmetadata:\n" : "\n\nmetadata:\n", gguf.n_maps);
    for (size_t i = 0; i < gguf.n_keys; i++) {
        buffer_format(&line, "  %-46s %-6s ", clean(gguf.keys[i].name, shown), gguf_type_name(gguf.keys[i].element));
        put_value(&line, &gguf.keys[i]);
        buffer_byte(&line, '\n');
        print_buffer(&line);
    }
    printf("\ntensors:\n");
    for (size_t i = 0; i < gguf.n_tensors; i++) {
        const struct gguf_tensor *t = &gguf.tensors[i];
        const char *type = dtype_info((uint32_t)t->type)->name;
        print_tensor(t->name, type, t->dims, t->n_dims, t->bytes);
        add(&totals, type, t->n_elements, t->bytes);
    }
    print_totals(&totals);
    const char *kind = "model";
    size_t length = 5;
    *is_model = gguf.n_tensors > 0 && !gguf_string(&gguf, "general.type", &kind, &length, &diag) && length == 5 &&
                memcmp(kind, "model", 5) == 0;
    buffer_free(&line);
    gguf_close(&gguf);
    return 0;
}

static int print_file(const char *path, struct totals *totals)
{
    struct safetensors file;
    struct diag diag;
    if (safetensors_open(&file, path, &diag)) {
        return cmd_fail(&diag);
    }
    printf("\n%s: %zu tensors\n", path, file.n_tensors);
    for (size_t i = 0; i < file.n_tensors; i++) {
        const struct safetensors_tensor *t = &file.tensors[i];
        print_tensor(t->name, t->dtype_name, t->dims, t->n_dims, t->bytes);
        add(totals, t->dtype_name, t->n_elements, t->bytes);
    }
    safetensors_close(&file);
    return 0;
}

int inspect_safetensors(const char *path)
{
    struct totals totals;
    memset(&totals, 0, sizeof totals);
    int code = print_file(path, &totals);
    if (code == 0) {
        print_totals(&totals);
    }
    return code;
}

/* ---- folders ---- */

static void put_json(struct buffer *out, const struct json *value)
{
    switch (value->type) {
    case JSON_STRING:
        put_text(out, value->text, value->length);
        break;
    case JSON_NUMBER:
        buffer_text(out, value->text);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        buffer_text(out, value->type == JSON_TRUE ? "true" : "false");
        break;
    case JSON_NULL:
        buffer_text(out, "null");
        break;
    default:
        buffer_format(out, value->type == JSON_ARRAY ? "[...] (%zu)" : "{...} (%zu)", value->length);
    }
}

/* The members of a JSON file's object, one a line; nested ones are counted. 0 also when there is no such file. */
static int print_config(const char *folder, const char *name)
{
    struct buffer path = {0}, text = {0}, line = {0};
    struct arena arena;
    struct diag diag;
    const struct json *root = NULL;
    enum status status = STATUS_OK;
    char shown[256];
    arena_init(&arena, "config", 0);
    buffer_format(&path, "%s/%s", folder, name);
    if (path.data && file_exists(path.data)) {
        status = file_read(&text, path.data, MAX_CONFIG, &diag);
        if (!status) {
            status = json_parse(&root, text.data ? text.data : "", text.length, &arena, path.data, 0, NULL, &diag);
        }
        if (!status) {
            printf("\n%s:\n", name);
        }
    }
    for (const struct json *e = root ? root->child : NULL; e && !status; e = e->next) {
        buffer_format(&line, "  %-32s ", e->key ? clean(e->key, shown) : "");
        put_json(&line, e);
        buffer_byte(&line, '\n');
        print_buffer(&line);
    }
    arena_free(&arena);
    buffer_free(&path);
    buffer_free(&text);
    buffer_free(&line);
    return status ? cmd_fail(&diag) : 0;
}

/* The files that an index names, each once. */
static int print_indexed(const char *folder, const char *index, struct totals *totals)
{
    struct buffer text = {0}, path = {0};
    struct arena arena;
    struct diag diag;
    const struct json *root = NULL;
    int code = 0;
    arena_init(&arena, "index", 0);
    if (file_read(&text, index, (size_t)64 << 20, &diag) ||
        json_parse(&root, text.data ? text.data : "", text.length, &arena, index, 0, NULL, &diag)) {
        code = cmd_fail(&diag);
    }
    const struct json *map = json_get(root, "weight_map");
    for (const struct json *e = map ? map->child : NULL; e && code == 0; e = e->next) {
        const struct json *earlier = map->child;
        while (earlier != e && (earlier->type != JSON_STRING || strcmp(earlier->text, e->text ? e->text : "") != 0)) {
            earlier = earlier->next;
        }
        if (earlier == e && e->type == JSON_STRING) {
            buffer_clear(&path);
            buffer_format(&path, "%s/%s", folder, e->text);
            code = print_file(path.data, totals);
        }
    }
    arena_free(&arena);
    buffer_free(&text);
    buffer_free(&path);
    return code;
}

int inspect_folder(const char *folder, int *is_model)
{
    static const char *const configs[] = {"config.json", "adapter_config.json"};
    static const char *const files[] = {"model.safetensors", "model.safetensors.index.json",
                                        "adapter_model.safetensors"};
    struct buffer path = {0};
    struct totals totals;
    int code = 0;
    memset(&totals, 0, sizeof totals);
    printf("%s: a folder\n", folder);
    for (size_t i = 0; i < 2 && code == 0; i++) {
        code = print_config(folder, configs[i]);
    }
    for (size_t i = 0; i < 3 && code == 0; i++) {
        buffer_clear(&path);
        buffer_format(&path, "%s/%s", folder, files[i]);
        if (!path.data || !file_exists(path.data) || (i == 1 && totals.n_tensors > 0)) {
            continue;
        }
        code = i == 1 ? print_indexed(folder, path.data, &totals) : print_file(path.data, &totals);
        *is_model |= i < 2;
    }
    if (code == 0) {
        print_totals(&totals);
    }
    buffer_free(&path);
    return code;
}

/* ---- records ---- */

/* What kind of record an object is, by its members: the most telling first. */
static size_t kind_of(const struct json *record)
{
    static const char *const telling[] = {"turns", "prediction", "completions", "completion", "messages", "segments"};
    for (size_t i = 0; i < sizeof telling / sizeof telling[0]; i++) {
        if (json_get(record, telling[i])) {
            return i;
        }
    }
    return json_get(record, "question") || json_get(record, "problem") || json_get(record, "query") ||
                   json_get(record, "prompt") || json_get(record, "Question")
               ? 6
               : 7;
}

int inspect_records(const char *path)
{
    static const char *const kinds[] = {"debates",  "evaluations", "stepwise records", "traces",
                                        "messages", "segments",    "questions",        "other objects"};
    struct record_reader reader;
    struct record_options options;
    const struct record *record = NULL;
    struct diag diag;
    uint64_t counts[8] = {0};
    memset(&options, 0, sizeof options);
    enum status status = record_open(&reader, path, &options, &diag);
    while (!status && !(status = record_next(&reader, &record, &diag)) && record) {
        counts[kind_of(record->json)]++;
    }
    if (!status) {
        printf("%s: %llu records\n", path, (unsigned long long)reader.n_records);
    }
    for (size_t i = 0; i < 8 && !status; i++) {
        if (counts[i]) {
            printf("  %-18s %llu\n", kinds[i], (unsigned long long)counts[i]);
        }
    }
    record_close(&reader);
    return status ? cmd_fail(&diag) : 0;
}
