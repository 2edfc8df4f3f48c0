/* source_gguf.c - a GGUF file as a model source: configuration from its keys, tensors as they are.
 *
 * Keys begin with the architecture's name ("qwen2.block_count"). Missing optional keys take the defaults that
 * formats.md states and the format's own tools use. What would change the arithmetic and is not implemented (experts,
 * soft-capping, YaRN, ...) is refused by the key's name, never ignored.
 *
 * gemma3: sqrt(dim) multiplies embeddings in f32, as llama.cpp does (transformers rounds it to the weights' type); the
 * model of 62 layers (27B) scales scores by 1/sqrt(dim / heads), the others by 1/sqrt(head_dim): the file does not
 * say (Gemma 3 report, 2025; llama.cpp src/models/gemma3.cpp). */
#include "source.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define GEMMA3_27B_LAYERS 62
#define MAX_INT           (1 << 30)

struct keys {
    const struct gguf *gguf;
    const char *arch;
    struct diag *diag;
    enum status status; /* of the first failure; later reads do nothing */
};

static const char *key_name(const struct keys *keys, char name[96], const char *suffix)
{
    snprintf(name, 96, "%s.%s", keys->arch, suffix);
    return name;
}

/* A positive integer; `otherwise` 0 makes the key mandatory. */
static int key_int(struct keys *keys, const char *suffix, int otherwise)
{
    char name[96];
    uint32_t value = (uint32_t)otherwise;
    if (keys->status) {
        return 0;
    }
    keys->status = gguf_u32(keys->gguf, key_name(keys, name, suffix), &value, keys->diag);
    if (!keys->status && !gguf_find(keys->gguf, name) && otherwise == 0) {
        keys->status = diag_fail(keys->diag, STATUS_FORMAT, "%s: key %s: missing", keys->gguf->path, name);
    }
    if (!keys->status && (value == 0 || value > MAX_INT)) {
        keys->status = diag_fail(keys->diag, STATUS_FORMAT, "%s: key %s: expected 1 to 2^30, found %u",
                                 keys->gguf->path, name, (unsigned)value);
    }
    return keys->status ? 0 : (int)value;
}

static float key_float(struct keys *keys, const char *suffix, float otherwise)
{
    char name[96];
    float value = otherwise;
    if (!keys->status) {
        keys->status = gguf_f32(keys->gguf, key_name(keys, name, suffix), &value, keys->diag);
    }
    return value;
}

/* Keys of features that are absent here: harmless when missing, 0 or `neutral`. */
static void refuse_features(struct keys *keys)
{
    static const struct {
        const char *suffix;
        float neutral;
    } features[] = {{"expert_count", 0},
                    {"attn_logit_softcapping", 0},
                    {"final_logit_softcapping", 0},
                    {"rope.scaling.attn_factor", 1},
                    {"residual_scale", 1},
                    {"logit_scale", 1},
                    {"embedding_scale", 1},
                    {"attention.clamp_kqv", 0},
                    {"rope.scaling.alpha", 0},
                    {"nextn_predict_layers", 0}};
    for (size_t i = 0; i < sizeof features / sizeof features[0] && !keys->status; i++) {
        float value = key_float(keys, features[i].suffix, features[i].neutral);
        if (value != 0 && value != features[i].neutral) {
            keys->status = diag_fail(keys->diag, STATUS_UNSUPPORTED, "%s: key %s.%s = %g is not supported",
                                     keys->gguf->path, keys->arch, features[i].suffix, (double)value);
        }
    }
    int causal = 1;
    char name[96];
    if (!keys->status) {
        keys->status = gguf_bool(keys->gguf, key_name(keys, name, "attention.causal"), &causal, keys->diag);
    }
    if (!keys->status && !causal) {
        keys->status = diag_fail(keys->diag, STATUS_UNSUPPORTED, "%s: key %s: only causal attention is supported",
                                 keys->gguf->path, name);
    }
}

/* rope.scaling.type is none, linear (also when missing) or yarn by a factor of 1, which changes nothing. */
static float rope_scaling(struct keys *keys)
{
    char name[96];
    const char *type = "linear";
    size_t length = strlen(type);
    float factor = key_float(keys, "rope.scaling.factor", key_float(keys, "rope.scale_linear", 0));
    if (!keys->status) {
        keys->status = gguf_string(keys->gguf, key_name(keys, name, "rope.scaling.type"), &type, &length, keys->diag);
    }
    factor = factor == 0 ? 1 : factor;
    if (keys->status || factor == 1 || (length == 4 && memcmp(type, "none", 4) == 0)) {
        return 1;
    }
    if (length != 6 || memcmp(type, "linear", 6) != 0) {
        keys->status = diag_fail(keys->diag, STATUS_UNSUPPORTED, "%s: key %s: scaling %.*s by %g is not supported",
                                 keys->gguf->path, name, (int)(length < 40 ? length : 40), type, (double)factor);
    }
    return factor;
}

/* sliding_window_pattern: a number, or one bool per layer (1 = local) that must repeat such a number. */
static int window_pattern(struct keys *keys, int n_layers)
{
    char name[96];
    const struct gguf_key *key = gguf_find(keys->gguf, key_name(keys, name, "attention.sliding_window_pattern"));
    if (!key || key->type != GGUF_ARRAY) {
        return key_int(keys, "attention.sliding_window_pattern", 6);
    }
    if (!keys->status) {
        keys->status = gguf_array(keys->gguf, name, GGUF_BOOL, &key, keys->diag);
    }
    if (keys->status) {
        return 0;
    }
    uint64_t pattern = 1;
    while (pattern <= key->count && gguf_element_int(key, pattern - 1) != 0) {
        pattern++;
    }
    int repeats = key->count >= (uint64_t)n_layers;
    for (uint64_t i = 0; i < (uint64_t)n_layers && repeats; i++) {
        repeats = (gguf_element_int(key, i) == 0) == ((i + 1) % pattern == 0);
    }
    if (!repeats) {
        keys->status = diag_fail(keys->diag, STATUS_UNSUPPORTED,
                                 "%s: key %s: expected a global layer after every so many local ones, for %d layers",
                                 keys->gguf->path, name, n_layers);
    }
    return (int)pattern;
}

/* gemma3 alternates local and global layers; in a llama file (Mistral) a window holds for every layer. Files of the
 * qwen families carry no window. */
static void read_window(struct keys *keys, struct config *c)
{
    char name[96];
    uint32_t window = 0;
    if (!keys->status) {
        keys->status = gguf_u32(keys->gguf, key_name(keys, name, "attention.sliding_window"), &window, keys->diag);
    }
    if (keys->status || window == 0) {
        return;
    }
    c->window = window > INT32_MAX ? INT32_MAX : (int)window;
    c->window_pattern = c->arch == ARCH_GEMMA3 ? window_pattern(keys, c->n_layers) : c->n_layers + 1;
    if (c->window_pattern == 1) { /* every layer is global */
        c->window = c->window_pattern = 0;
    }
}

static void read_gemma3(struct keys *keys, struct config *c)
{
    c->gelu = 1;
    c->embd_scale = sqrtf((float)c->dim);
    if (c->n_layers == GEMMA3_27B_LAYERS) {
        c->attn_scale = 1.0f / sqrtf((float)(c->dim / c->n_heads));
    }
    c->rope_base[1] = key_float(keys, "rope.local.freq_base", 10000.0f);
    c->rope_base[1] = key_float(keys, "rope.freq_base_swa", c->rope_base[1]);
    c->rope_linear[1] = 1;
}

static void read_heads(struct keys *keys, struct config *c)
{
    c->n_heads = key_int(keys, "attention.head_count", 0);
    c->n_kv_heads = key_int(keys, "attention.head_count_kv", c->n_heads);
    int divides = c->n_heads > 0 && c->dim % c->n_heads == 0;
    c->head_dim = key_int(keys, "attention.key_length", divides ? c->dim / c->n_heads : 0);
    int value_length = key_int(keys, "attention.value_length", divides ? c->dim / c->n_heads : c->head_dim);
    if (!keys->status && value_length != c->head_dim) {
        keys->status = diag_fail(keys->diag, STATUS_UNSUPPORTED,
                                 "%s: key %s.attention.value_length: expected the key length %d, found %d",
                                 keys->gguf->path, keys->arch, c->head_dim, value_length);
    }
}

static enum status read_config(struct keys *keys, struct config *c)
{
    c->n_layers = key_int(keys, "block_count", 0);
    c->dim = key_int(keys, "embedding_length", 0);
    c->ffn_dim = key_int(keys, "feed_forward_length", 0);
    c->ctx_len = key_int(keys, "context_length", 0);
    read_heads(keys, c);
    c->rope_dim = key_int(keys, "rope.dimension_count", c->head_dim);
    c->rope_pairs = c->arch == ARCH_LLAMA;
    c->rope_base[0] = c->rope_base[1] = key_float(keys, "rope.freq_base", 10000.0f);
    c->rope_linear[0] = c->rope_linear[1] = rope_scaling(keys);
    c->embd_scale = 1;
    refuse_features(keys);
    char name[96];
    if (!keys->status && !gguf_find(keys->gguf, key_name(keys, name, "attention.layer_norm_rms_epsilon"))) {
        keys->status = diag_fail(keys->diag, STATUS_FORMAT, "%s: key %s: missing", keys->gguf->path, name);
    }
    c->rms_eps = key_float(keys, "attention.layer_norm_rms_epsilon", 0);
    if (keys->status) {
        return keys->status;
    }
    c->attn_scale = 1.0f / sqrtf((float)c->head_dim);
    if (c->arch == ARCH_GEMMA3) {
        read_gemma3(keys, c);
    }
    if (c->arch == ARCH_GEMMA3 || c->arch == ARCH_LLAMA) {
        read_window(keys, c);
    }
    float scale = key_float(keys, "attention.scale", 0);
    c->attn_scale = scale == 0 ? c->attn_scale : scale;
    return keys->status;
}

static enum status read_arch(const struct gguf *gguf, enum arch *arch, struct diag *diag)
{
    const char *text = NULL, *type = "model";
    size_t length = 0, type_length = 5;
    enum status status = gguf_string(gguf, "general.architecture", &text, &length, diag);
    if (status || (status = gguf_string(gguf, "general.type", &type, &type_length, diag))) {
        return status;
    }
    if (!text) {
        return diag_fail(diag, STATUS_FORMAT, "%s: key general.architecture: missing", gguf->path);
    }
    if (type_length != 5 || memcmp(type, "model", 5) != 0) {
        return diag_fail(diag, STATUS_FORMAT, "%s: key general.type: expected model, found %.*s", gguf->path,
                         (int)(type_length < 40 ? type_length : 40), type);
    }
    for (int i = 0; i < ARCH_COUNT; i++) {
        if (strlen(arch_name((enum arch)i)) == length && memcmp(arch_name((enum arch)i), text, length) == 0) {
            *arch = (enum arch)i;
            return STATUS_OK;
        }
    }
    return diag_fail(diag, STATUS_UNSUPPORTED,
                     "%s: key general.architecture: expected llama, qwen2, qwen3 or gemma3, found %.*s", gguf->path,
                     (int)(length < 60 ? length : 60), text);
}

static enum status add_tensors(struct source *source, struct diag *diag)
{
    const struct gguf *gguf = &source->gguf;
    enum status status = source_reserve(source, gguf->n_tensors, diag);
    for (size_t i = 0; i < gguf->n_tensors && !status; i++) {
        const struct gguf_tensor *t = &gguf->tensors[i];
        struct source_tensor tensor = {.name = t->name, .file_name = t->name, .type = t->type, .n_dims = t->n_dims};
        memcpy(tensor.dims, t->dims, sizeof tensor.dims);
        tensor.data = t->data;
        tensor.bytes = t->bytes;
        tensor.part = t->part;
        status = source_add(source, &tensor, diag);
    }
    return status;
}

/* The vocabulary's size is that of the embedding; a tokenizer may name fewer tokens (padding rows), not more. */
static enum status read_vocabulary(struct source *source, struct diag *diag)
{
    const struct gguf *gguf = &source->gguf;
    const struct gguf_tensor *embd = gguf_tensor(gguf, "token_embd.weight");
    if (!embd) {
        return diag_fail(diag, STATUS_FORMAT, "%s: tensor token_embd.weight: missing", source->path);
    }
    const struct gguf_key *tokens;
    enum status status = gguf_array(gguf, "tokenizer.ggml.tokens", GGUF_STRING, &tokens, diag);
    if (status) {
        return status;
    }
    if (embd->dims[1] > INT32_MAX || (tokens && tokens->count > embd->dims[1])) {
        return diag_fail(diag, STATUS_FORMAT, "%s: tensor token_embd.weight: expected at least %llu rows, found %llu",
                         source->path, tokens ? (unsigned long long)tokens->count : 1ULL,
                         (unsigned long long)embd->dims[1]);
    }
    source->config.vocab_size = (int)embd->dims[1];
    source->config.tied = gguf_tensor(gguf, "output.weight") == NULL;
    return STATUS_OK;
}

/* Llama 3's factors per frequency, when the file has them. */
static enum status read_rope(struct source *source, struct diag *diag)
{
    const struct source_tensor *t = source_find(source, "rope_freqs.weight");
    size_t n = (size_t)source->config.rope_dim / 2;
    if (!t) {
        return source_set_rope(source, diag);
    }
    if (t->type != DTYPE_F32 || t->dims[0] != n || t->bytes != n * sizeof(float)) {
        return diag_fail(diag, STATUS_FORMAT, "%s: tensor %s: expected F32 [%zu], found %s [%llu]", source->path,
                         t->name, n, dtype_info(t->type)->name, (unsigned long long)t->dims[0]);
    }
    float *factors = arena_array(&source->arena, n, sizeof *factors);
    if (!factors) {
        return diag_fail(diag, STATUS_MEMORY, "%s: no memory", source->path);
    }
    memcpy(factors, t->data, t->bytes);
    for (size_t i = 0; i < n; i++) {
        if (!(factors[i] > 0 && factors[i] < 1e9f)) {
            return diag_fail(diag, STATUS_NUMERIC, "%s: tensor %s: element %zu: expected a positive number, found %g",
                             source->path, t->name, i, (double)factors[i]);
        }
    }
    source->rope_factors = factors;
    return source_set_rope(source, diag);
}

static enum status read_name(struct source *source, struct diag *diag)
{
    const char *name = NULL;
    size_t length = 0;
    enum status status = gguf_string(&source->gguf, "general.name", &name, &length, diag);
    if (status || !name) {
        return status;
    }
    source->name = arena_text(&source->arena, name, length);
    return source->name ? STATUS_OK : diag_fail(diag, STATUS_MEMORY, "%s: no memory", source->path);
}

enum status source_open_gguf(struct source *source, struct diag *diag)
{
    struct gguf *gguf = &source->gguf;
    enum status status = gguf_open(gguf, source->path, GGUF_ALL, diag);
    if (status) {
        return status;
    }
    struct config *c = &source->config;
    if ((status = read_arch(gguf, &c->arch, diag))) {
        return status;
    }
    struct keys keys = {gguf, arch_name(c->arch), diag, STATUS_OK};
    if ((status = read_config(&keys, c)) || (status = read_vocabulary(source, diag)) ||
        (status = source_check_config(c, source->path, diag)) || (status = add_tensors(source, diag)) ||
        (status = read_rope(source, diag)) || (status = read_name(source, diag))) {
        return status;
    }
    source->maps = gguf->maps; /* unmapped by the source from now on */
    source->n_maps = gguf->n_maps;
    gguf->n_maps = 0;
    return STATUS_OK;
}
