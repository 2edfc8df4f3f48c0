/* source_hf.c - a Hugging Face folder as a model source.
 *
 *   config.json                     hf_config.c
 *   model.safetensors               or model.safetensors.index.json, which names the files of each tensor
 *   tokenizer.json ...              the tokenizer's business
 *
 * Tensors get their GGUF names (hf_names.c) and stay in the files' mappings. The index is taken at its word only after
 * each of its tensors has been found in the file it names. */
#include "hf.h"
#include "json.h"
#include "safetensors.h"
#include <string.h>

#define MAX_INDEX_BYTES ((size_t)64 << 20)
#define MAX_FILES       65535

struct folder {
    struct source *source;
    struct hf_config hf;
    struct diag *diag;
    struct safetensors *files;
    size_t n_files;
    struct buffer path; /* scratch for paths */
};

static enum status no_memory(struct folder *f)
{
    return diag_fail(f->diag, STATUS_MEMORY, "%s: no memory", f->source->path);
}

/* "<folder>/<name>", valid until the next call; NULL without memory. */
static const char *path_in(struct folder *f, const char *name)
{
    buffer_clear(&f->path);
    buffer_format(&f->path, "%s/%s", f->source->path, name);
    return f->path.failed ? NULL : f->path.data;
}

static enum status open_file(struct folder *f, const char *name)
{
    const char *path = path_in(f, name);
    enum status status = path ? safetensors_open(&f->files[f->n_files], path, f->diag) : no_memory(f);
    f->n_files += status == STATUS_OK;
    return status;
}

/* ---- the index ---- */

static enum status bad_index(struct folder *f, const char *key, const char *what)
{
    return diag_fail(f->diag, STATUS_FORMAT, "%s/model.safetensors.index.json: weight_map: %.120s: %s", f->source->path,
                     key, what);
}

/* The opened file of that name; opened now when it is new. */
static enum status file_of_entry(struct folder *f, const struct json *entry, const char **names, size_t *index)
{
    if (entry->type != JSON_STRING || strchr(entry->text, '/') || entry->length == 0 || entry->text[0] == '.') {
        return bad_index(f, entry->key, "expected a file name without folders");
    }
    for (*index = 0; *index < f->n_files; ++*index) {
        if (strcmp(names[*index], entry->text) == 0) {
            return STATUS_OK;
        }
    }
    names[*index] = entry->text;
    return open_file(f, entry->text);
}

static enum status open_entries(struct folder *f, const struct json *map, struct arena *arena)
{
    size_t max_files = map->length < MAX_FILES ? map->length : MAX_FILES, index = 0;
    const char **names = arena_array(arena, max_files + 1, sizeof *names);
    f->files = arena_array(&f->source->arena, max_files + 1, sizeof *f->files);
    if (!names || !f->files) {
        return no_memory(f);
    }
    for (const struct json *entry = map->child; entry; entry = entry->next) {
        if (f->n_files == max_files + 1) {
            return bad_index(f, entry->key, "too many files");
        }
        enum status status = file_of_entry(f, entry, names, &index);
        if (status) {
            return status;
        }
        if (!safetensors_find(&f->files[index], entry->key)) {
            return bad_index(f, entry->key, "not in the file that is named for it");
        }
    }
    return STATUS_OK;
}

static enum status open_indexed(struct folder *f, const char *path)
{
    struct buffer text = {0};
    struct arena arena;
    const struct json *root = NULL;
    arena_init(&arena, "index", 0);
    enum status status = file_read(&text, path, MAX_INDEX_BYTES, f->diag);
    if (!status) {
        status = json_parse(&root, text.data ? text.data : "", text.length, &arena, path, 0, NULL, f->diag);
    }
    if (!status) {
        const struct json *map = json_get(root, "weight_map");
        status = map && map->type == JSON_OBJECT ? open_entries(f, map, &arena)
                                                 : bad_index(f, "the map", "expected an object");
    }
    arena_free(&arena);
    buffer_free(&text);
    return status;
}

static enum status open_files(struct folder *f)
{
    const char *path = path_in(f, "model.safetensors");
    if (!path) {
        return no_memory(f);
    }
    if (file_exists(path)) {
        f->files = arena_array(&f->source->arena, 1, sizeof *f->files);
        return f->files ? open_file(f, "model.safetensors") : no_memory(f);
    }
    path = path_in(f, "model.safetensors.index.json");
    if (!path) {
        return no_memory(f);
    }
    if (file_exists(path)) {
        char *kept = arena_text(&f->source->arena, path, strlen(path)); /* opening files reuses the buffer */
        return kept ? open_indexed(f, kept) : no_memory(f);
    }
    return diag_fail(f->diag, STATUS_IO,
                     "%s: expected model.safetensors or model.safetensors.index.json, found neither", f->source->path);
}

/* ---- tensors ---- */

static enum status add_tensor(struct folder *f, const struct safetensors_tensor *from, int part)
{
    char name[GGUF_MAX_NAME + 1];
    struct source_tensor tensor = {.part = part, .data = from->data, .bytes = from->bytes};
    enum hf_name kind = hf_tensor_name(&f->source->config, &f->hf, from->name, name, &tensor);
    if (kind == HF_NAME_IGNORED) {
        return STATUS_OK;
    }
    const char *path = f->files[part].path;
    if (kind == HF_NAME_UNKNOWN) {
        return diag_fail(f->diag, STATUS_FORMAT, "%s: tensor %.200s: not expected in a %s model of %d layers", path,
                         from->name, arch_name(f->source->config.arch), f->source->config.n_layers);
    }
    if (!from->is_weight) {
        return diag_fail(f->diag, STATUS_UNSUPPORTED, "%s: tensor %.200s: expected F32, F16 or BF16, found %s", path,
                         from->name, from->dtype_name);
    }
    if (from->n_dims < 1 || from->n_dims > 2 || from->n_elements == 0) {
        return diag_fail(f->diag, STATUS_FORMAT, "%s: tensor %.200s: expected a vector or matrix, found %d dimensions",
                         path, from->name, from->n_dims);
    }
    tensor.name = arena_text(&f->source->arena, name, strlen(name));
    tensor.file_name = arena_text(&f->source->arena, from->name, strlen(from->name));
    if (!tensor.name || !tensor.file_name) {
        return no_memory(f);
    }
    tensor.type = from->type;
    tensor.n_dims = from->n_dims;
    for (int i = 0; i < GGUF_MAX_DIMS; i++) {
        tensor.dims[i] = i < from->n_dims ? from->dims[from->n_dims - 1 - i] : 1;
    }
    return source_add(f->source, &tensor, f->diag);
}

static enum status add_tensors(struct folder *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n_files; i++) {
        n += f->files[i].n_tensors;
    }
    enum status status = source_reserve(f->source, n, f->diag);
    for (size_t i = 0; i < f->n_files && !status; i++) {
        for (size_t j = 0; j < f->files[i].n_tensors && !status; j++) {
            status = add_tensor(f, &f->files[i].tensors[j], (int)i);
        }
    }
    return status;
}

/* Biases are there exactly when the configuration says so. */
static enum status check_biases(struct folder *f)
{
    static const char *const names[] = {"attn_q",   "attn_k", "attn_v",   "attn_output",
                                        "ffn_gate", "ffn_up", "ffn_down", NULL};
    int qwen2 = f->source->config.arch == ARCH_QWEN2;
    for (int layer = 0; layer < f->source->config.n_layers; layer++) {
        for (int i = 0; names[i]; i++) {
            struct buffer *name = &f->path;
            buffer_clear(name);
            buffer_format(name, "blk.%d.%s.bias", layer, names[i]);
            if (name->failed) {
                return no_memory(f);
            }
            int wanted = i >= 4 ? f->hf.mlp_bias : qwen2 ? i < 3 : f->hf.attention_bias;
            int found = source_find(f->source, name->data) != NULL;
            if (found != wanted) {
                return diag_fail(f->diag, STATUS_FORMAT, "%s: tensor %s: %s", f->source->path, name->data,
                                 wanted ? "missing" : "not expected: config.json announces no such bias");
            }
        }
    }
    return STATUS_OK;
}

/* The mappings pass from the files to the source. */
static enum status take_maps(struct folder *f)
{
    struct source *source = f->source;
    source->maps = arena_array(&source->arena, f->n_files, sizeof *source->maps);
    if (!source->maps) {
        return no_memory(f);
    }
    for (size_t i = 0; i < f->n_files; i++) {
        source->maps[i] = f->files[i].map;
        memset(&f->files[i].map, 0, sizeof f->files[i].map);
    }
    source->n_maps = (int)f->n_files;
    return STATUS_OK;
}

enum status source_open_folder(struct source *source, struct diag *diag)
{
    struct folder f = {.source = source, .diag = diag};
    const char *path = path_in(&f, "config.json");
    enum status status = path ? hf_read_config(source, path, &f.hf, diag) : no_memory(&f);
    if (!status) {
        status = open_files(&f);
    }
    if (!status) {
        status = add_tensors(&f);
    }
    if (!status) {
        status = check_biases(&f);
    }
    if (!status) {
        status = hf_set_rope(source, &f.hf, diag);
    }
    if (!status) {
        status = take_maps(&f);
    }
    for (size_t i = 0; i < f.n_files; i++) {
        safetensors_close(&f.files[i]);
    }
    buffer_free(&f.path);
    return status;
}
