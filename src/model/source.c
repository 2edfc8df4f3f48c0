/* source.c - what GGUF files and folders have in common: the tensor table, checks of the configuration, rope.
 *
 * Not here: reading either kind (source_gguf.c, source_hf.c), packing (model_pack.c). */
#include "source.h"
#include "rng.h"
#include "rope.h"
#include <string.h>

struct source_slot {
    const char *name;
    size_t index;
};

const char *arch_name(enum arch arch)
{
    static const char *const names[ARCH_COUNT] = {"llama", "qwen2", "qwen3", "gemma3"};
    return (unsigned)arch < ARCH_COUNT ? names[arch] : "unknown";
}

/* ---- tensors ---- */

static struct source_slot *slot_of(const struct source *source, const char *name)
{
    size_t i = (size_t)rng_hash(name) & (source->n_slots - 1);
    while (source->slots[i].name && strcmp(source->slots[i].name, name) != 0) {
        i = (i + 1) & (source->n_slots - 1);
    }
    return &source->slots[i];
}

enum status source_reserve(struct source *source, size_t n_tensors, struct diag *diag)
{
    source->n_slots = 8;
    while (source->n_slots < 2 * n_tensors) {
        source->n_slots *= 2;
    }
    source->tensors = arena_array(&source->arena, n_tensors, sizeof *source->tensors);
    source->slots = arena_array(&source->arena, source->n_slots, sizeof *source->slots);
    if (!source->tensors || !source->slots) {
        return diag_fail(diag, STATUS_MEMORY, "%s: no memory for %zu tensors", source->path, n_tensors);
    }
    memset(source->slots, 0, source->n_slots * sizeof *source->slots);
    return STATUS_OK;
}

enum status source_add(struct source *source, const struct source_tensor *tensor, struct diag *diag)
{
    struct source_slot *slot = slot_of(source, tensor->name);
    if (slot->name) {
        return diag_fail(diag, STATUS_FORMAT, "%s: tensor %s: found twice", source->path, tensor->file_name);
    }
    *slot = (struct source_slot){tensor->name, source->n_tensors};
    source->tensors[source->n_tensors++] = *tensor;
    return STATUS_OK;
}

struct source_tensor *source_find(struct source *source, const char *name)
{
    struct source_slot *slot = source->n_tensors ? slot_of(source, name) : NULL;
    if (!slot || !slot->name) {
        return NULL;
    }
    source->tensors[slot->index].used = 1;
    return &source->tensors[slot->index];
}

/*   halves order of a head: a0 a1 a2 .. b0 b1 b2 ..        pairs order: a0 b0 a1 b1 a2 b2 ..  */
size_t source_permuted_row(size_t row, size_t rows, int heads)
{
    size_t head_dim = rows / (size_t)heads, e = row % head_dim;
    return row - e + e / 2 + e % 2 * (head_dim / 2);
}

/* ---- configuration ---- */

static enum status check_int(const char *where, const char *what, int value, int high, struct diag *diag)
{
    if (value >= 1 && value <= high) {
        return STATUS_OK;
    }
    return diag_fail(diag, STATUS_FORMAT, "%s: %s: expected 1 to %d, found %d", where, what, high, value);
}

static enum status check_sizes(const struct config *c, const char *where, struct diag *diag)
{
    const struct {
        const char *what;
        int value, high;
    } sizes[] = {
        {"number of layers", c->n_layers, 4096},        {"embedding length", c->dim, 1 << 20},
        {"feed-forward length", c->ffn_dim, 1 << 24},   {"number of heads", c->n_heads, 1 << 14},
        {"number of kv heads", c->n_kv_heads, 1 << 14}, {"head length", c->head_dim, 1 << 14},
        {"vocabulary size", c->vocab_size, 1 << 24},    {"context length", c->ctx_len, INT32_MAX},
        {"rope dimensions", c->rope_dim, c->head_dim},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        enum status status = check_int(where, sizes[i].what, sizes[i].value, sizes[i].high, diag);
        if (status) {
            return status;
        }
    }
    if (c->n_heads * (int64_t)c->head_dim > 1 << 24) {
        return diag_fail(diag, STATUS_FORMAT, "%s: %d heads of %d elements are too many", where, c->n_heads,
                         c->head_dim);
    }
    return STATUS_OK;
}

enum status source_check_config(const struct config *c, const char *where, struct diag *diag)
{
    enum status status = check_sizes(c, where, diag);
    if (status) {
        return status;
    }
    if (c->n_heads % c->n_kv_heads != 0) {
        return diag_fail(diag, STATUS_FORMAT, "%s: expected kv heads that divide %d heads, found %d", where, c->n_heads,
                         c->n_kv_heads);
    }
    if (c->rope_dim % 2 != 0) {
        return diag_fail(diag, STATUS_FORMAT, "%s: expected an even number of rope dimensions, found %d", where,
                         c->rope_dim);
    }
    if (!(c->rms_eps >= 0 && c->rms_eps < 1)) {
        return diag_fail(diag, STATUS_FORMAT, "%s: norm epsilon: expected 0 to 1, found %g", where, (double)c->rms_eps);
    }
    for (int i = 0; i < 2; i++) {
        if (!(c->rope_base[i] > 0 && c->rope_base[i] < 1e30f) || !(c->rope_linear[i] > 0 && c->rope_linear[i] < 1e9f)) {
            return diag_fail(diag, STATUS_FORMAT, "%s: rope base and scaling: expected positive numbers, found %g, %g",
                             where, (double)c->rope_base[i], (double)c->rope_linear[i]);
        }
    }
    if (c->window < 0 || c->window_pattern < 0 || (c->window > 0) != (c->window_pattern > 0)) {
        return diag_fail(diag, STATUS_FORMAT, "%s: sliding window %d with pattern %d is not possible", where, c->window,
                         c->window_pattern);
    }
    if (!(c->attn_scale > 0 && c->attn_scale < 1e9f)) {
        return diag_fail(diag, STATUS_FORMAT, "%s: attention scale: expected a positive number, found %g", where,
                         (double)c->attn_scale);
    }
    return STATUS_OK;
}

enum status source_set_rope(struct source *source, struct diag *diag)
{
    const struct config *c = &source->config;
    int n = c->arch == ARCH_GEMMA3 && c->window > 0 ? 2 : 1;
    for (int i = 0; i < n; i++) {
        source->inv_freq[i] = arena_array(&source->arena, (size_t)c->rope_dim / 2, sizeof(float));
        if (!source->inv_freq[i]) {
            return diag_fail(diag, STATUS_MEMORY, "%s: no memory", source->path);
        }
        rope_frequencies(source->inv_freq[i], c->rope_base[i], c->rope_linear[i], i == 0 ? source->rope_factors : NULL,
                         (size_t)c->rope_dim);
    }
    return STATUS_OK;
}

/* ---- opening ---- */

char *source_name_of_path(struct arena *arena, const char *path)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') {
        end--;
    }
    size_t start = end;
    while (start > 0 && path[start - 1] != '/') {
        start--;
    }
    if (end - start > 5 && memcmp(path + end - 5, ".gguf", 5) == 0) {
        end -= 5;
    }
    return arena_text(arena, path + start, end - start);
}

enum status source_open(struct source *source, const char *path, struct diag *diag)
{
    memset(source, 0, sizeof *source);
    arena_init(&source->arena, "source", 0);
    source->path = arena_text(&source->arena, path, strlen(path));
    source->name = source_name_of_path(&source->arena, path);
    enum status status = STATUS_OK;
    if (!source->path || !source->name) {
        status = diag_fail(diag, STATUS_MEMORY, "%s: no memory", path);
    } else if (file_is_folder(path)) {
        status = source_open_folder(source, diag);
    } else {
        source->is_gguf = 1;
        status = source_open_gguf(source, diag);
    }
    if (status) {
        source_close(source);
    }
    return status;
}

void source_close(struct source *source)
{
    for (int i = 0; i < source->n_maps; i++) {
        file_unmap(&source->maps[i]);
    }
    if (source->is_gguf) {
        gguf_close(&source->gguf);
    }
    arena_free(&source->arena);
    memset(source, 0, sizeof *source);
}

struct file_map source_take_map(struct source *source, int part)
{
    struct file_map map = source->maps[part];
    memset(&source->maps[part], 0, sizeof map);
    return map;
}
