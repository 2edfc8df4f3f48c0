/* hf_config.c - config.json of the families that arklet runs, as transformers writes it (4.x and 5.x forms).
 *
 * A missing or null key takes the default of the family's configuration class; a key of the wrong kind, or one that
 * would change the arithmetic in a way that is not implemented, is refused by its name. Rope comes in two forms:
 * rope_theta with rope_scaling, or rope_parameters (for gemma3 one set per kind of layer). */
#include "hf.h"
#include "json.h"
#include <math.h>
#include <string.h>

#define MAX_CONFIG_BYTES ((size_t)16 << 20)
#define MAX_INT          (1 << 30)

struct reader {
    const char *path; /* of config.json */
    const struct json *object;
    struct diag *diag;
    enum status status; /* of the first failure; later reads do nothing */
};

/* Defaults of the family's configuration class; 0: the key is mandatory. */
struct family {
    const char *architecture, *model_type; /* either names the family in config.json */
    enum arch arch;
    int nested;
    int head_dim, n_heads, n_kv_heads, vocab_size, ctx_len; /* head_dim 0: dim / heads; n_kv_heads 0: n_heads */
    float rope_theta;
    int tied;
};

static const struct family families[] = {
    {"LlamaForCausalLM", "llama", ARCH_LLAMA, 0, 0, 0, 0, 0, 2048, 10000, 0},
    {"LLaMAForCausalLM", "llama", ARCH_LLAMA, 0, 0, 0, 0, 0, 2048, 10000, 0},
    {"MistralForCausalLM", "mistral", ARCH_LLAMA, 0, 0, 0, 8, 0, 131072, 10000, 0},
    {"Qwen2ForCausalLM", "qwen2", ARCH_QWEN2, 0, 0, 0, 0, 0, 32768, 10000, 0},
    {"Qwen3ForCausalLM", "qwen3", ARCH_QWEN3, 0, 128, 0, 0, 0, 32768, 10000, 0},
    {"Gemma3ForCausalLM", "gemma3_text", ARCH_GEMMA3, 0, 256, 8, 4, 262208, 131072, 1e6f, 1},
    {"Gemma3ForConditionalGeneration", "gemma3", ARCH_GEMMA3, 1, 256, 8, 4, 262208, 131072, 1e6f, 1},
};

/* ---- typed members ---- */

/* NULL when the member is missing or null. */
static const struct json *member(const struct json *object, const char *key)
{
    const struct json *node = json_get(object, key);
    return node && node->type != JSON_NULL ? node : NULL;
}

static void wrong(struct reader *r, const char *key, const char *expected)
{
    if (!r->status) {
        r->status = diag_fail(r->diag, STATUS_FORMAT, "%s: key %s: expected %s", r->path, key, expected);
    }
}

static void unsupported(struct reader *r, const char *key, const char *what)
{
    if (!r->status) {
        r->status = diag_fail(r->diag, STATUS_UNSUPPORTED, "%s: key %s: %.80s is not supported", r->path, key, what);
    }
}

static int get_int(struct reader *r, const char *key, int otherwise)
{
    const struct json *node = member(r->object, key);
    if (!node && otherwise > 0) {
        return otherwise;
    }
    if (!node || node->type != JSON_NUMBER || !(node->number >= 1 && node->number <= MAX_INT) ||
        node->number != floor(node->number)) {
        wrong(r, key, node ? "an integer of 1 to 2^30" : "an integer, found nothing");
        return 1;
    }
    return (int)node->number;
}

static float get_float(struct reader *r, const struct json *object, const char *key, float otherwise)
{
    const struct json *node = member(object, key);
    if (!node) {
        return otherwise;
    }
    if (node->type != JSON_NUMBER || !isfinite((float)node->number)) {
        wrong(r, key, "a finite number");
        return otherwise;
    }
    return (float)node->number;
}

static int get_bool(struct reader *r, const char *key, int otherwise)
{
    const struct json *node = member(r->object, key);
    if (node && node->type != JSON_TRUE && node->type != JSON_FALSE) {
        wrong(r, key, "true or false");
    }
    return node ? node->type == JSON_TRUE : otherwise;
}

static const char *get_text(struct reader *r, const struct json *object, const char *key, const char *otherwise)
{
    const struct json *node = member(object, key);
    if (node && node->type != JSON_STRING) {
        wrong(r, key, "a string");
        return otherwise;
    }
    return node ? node->text : otherwise;
}

/* ---- rope ---- */

/* One set of parameters; `scaling` and `theta` come from either form. */
static void read_rope(struct reader *r, const struct json *scaling, struct hf_config *hf, float *linear)
{
    const char *type = get_text(r, scaling, "rope_type", get_text(r, scaling, "type", "default"));
    float factor = get_float(r, scaling, "factor", 1);
    *linear = 1;
    if (strcmp(type, "default") == 0 || strcmp(type, "none") == 0) {
        return;
    }
    if (strcmp(type, "linear") == 0) {
        *linear = factor;
    } else if (strcmp(type, "llama3") == 0) {
        hf->llama3 = 1;
        hf->factor = factor;
        hf->low_freq_factor = get_float(r, scaling, "low_freq_factor", 0);
        hf->high_freq_factor = get_float(r, scaling, "high_freq_factor", 0);
        hf->original_ctx = get_float(r, scaling, "original_max_position_embeddings", 0);
        if (!(factor >= 1 && factor < 1e6f && hf->low_freq_factor > 0 && hf->high_freq_factor > hf->low_freq_factor &&
              hf->high_freq_factor < 1e6f && hf->original_ctx >= 1)) {
            wrong(r, "rope_scaling", "factor >= 1, 0 < low_freq_factor < high_freq_factor, an original context");
        }
    } else {
        unsupported(r, "rope_scaling", type);
    }
}

static void read_ropes(struct reader *r, struct config *c, struct hf_config *hf, const struct family *family)
{
    const struct json *both = member(r->object, "rope_parameters");
    const struct json *global = member(both, "full_attention"), *local = member(both, "sliding_attention");
    const struct json *scaling = global ? global : both ? both : member(r->object, "rope_scaling");
    if (scaling && scaling->type != JSON_OBJECT) {
        wrong(r, both ? "rope_parameters" : "rope_scaling", "an object");
        return;
    }
    c->rope_base[0] = get_float(r, r->object, "rope_theta", family->rope_theta);
    c->rope_base[0] = get_float(r, scaling, "rope_theta", c->rope_base[0]);
    read_rope(r, scaling, hf, &c->rope_linear[0]);
    c->rope_base[1] = c->rope_base[0];
    c->rope_linear[1] = c->rope_linear[0];
    if (c->arch == ARCH_GEMMA3) {
        c->rope_base[1] = get_float(r, r->object, "rope_local_base_freq", 10000);
        c->rope_base[1] = get_float(r, local, "rope_theta", c->rope_base[1]);
        read_rope(r, local, hf, &c->rope_linear[1]);
    }
    if (hf->llama3 && c->arch == ARCH_GEMMA3) {
        unsupported(r, "rope_parameters", "llama3 scaling in this family");
    }
    if (get_float(r, r->object, "partial_rotary_factor", 1) != 1 ||
        get_float(r, scaling, "partial_rotary_factor", 1) != 1) {
        unsupported(r, "partial_rotary_factor", "a value other than 1");
    }
}

enum status hf_set_rope(struct source *source, const struct hf_config *hf, struct diag *diag)
{
    enum status status = source_set_rope(source, diag);
    size_t n = (size_t)source->config.rope_dim / 2;
    if (status || !hf->llama3) {
        return status;
    }
    source->rope_factors = arena_array(&source->arena, n, sizeof *source->rope_factors);
    if (!source->rope_factors) {
        return diag_fail(diag, STATUS_MEMORY, "%s: no memory", source->path);
    }
    /* Llama 3.1's scaling (Meta, 2024; transformers modeling_rope_utils.py), in its order of f32 operations. */
    float low_wavelength = hf->original_ctx / hf->low_freq_factor;
    float high_wavelength = hf->original_ctx / hf->high_freq_factor;
    for (size_t i = 0; i < n; i++) {
        float freq = source->inv_freq[0][i], wavelength = 1.0f / freq * 6.283185307179586f;
        float smooth =
            (1.0f / wavelength * hf->original_ctx - hf->low_freq_factor) / (hf->high_freq_factor - hf->low_freq_factor);
        float factor = 1, scaled = freq;
        if (wavelength > low_wavelength) {
            factor = hf->factor;
            scaled = freq / hf->factor;
        } else if (!(wavelength < high_wavelength)) {
            factor = 1.0f / ((1.0f - smooth) / hf->factor + smooth);
            scaled = (1.0f - smooth) * freq / hf->factor + smooth * freq;
        }
        source->rope_factors[i] = factor;
        source->inv_freq[0][i] = scaled;
    }
    return STATUS_OK;
}

/* ---- families ---- */

static void read_activation(struct reader *r, struct config *c)
{
    const char *key = c->arch == ARCH_GEMMA3 ? "hidden_activation" : "hidden_act";
    const char *wanted = c->arch == ARCH_GEMMA3 ? "gelu_pytorch_tanh" : "silu";
    const char *name = get_text(r, r->object, key, wanted);
    if (strcmp(name, wanted) != 0) {
        unsupported(r, key, name);
    }
    c->gelu = c->arch == ARCH_GEMMA3;
}

/* layer_types repeats "so many sliding, then one full"; other patterns cannot be expressed. */
static int pattern_of_types(struct reader *r, const struct json *types, int n_layers)
{
    int pattern = n_layers + 1, i = 0;
    if (types->type != JSON_ARRAY || types->length != (size_t)n_layers) {
        wrong(r, "layer_types", "one string per layer");
        return 1;
    }
    for (const struct json *type = types->child; type; type = type->next, i++) {
        int full = type->type == JSON_STRING && strcmp(type->text, "full_attention") == 0;
        int sliding = type->type == JSON_STRING && strcmp(type->text, "sliding_attention") == 0;
        if (full && pattern > n_layers) {
            pattern = i + 1;
        }
        if ((!full && !sliding) || full != ((i + 1) % pattern == 0)) {
            unsupported(r, "layer_types", full || sliding ? "this order of layers" : "another kind of layer");
            return 1;
        }
    }
    return pattern;
}

static void read_window(struct reader *r, struct config *c, const struct family *family)
{
    const struct json *types = member(r->object, "layer_types");
    int pattern = types ? pattern_of_types(r, types, c->n_layers) : 0;
    if (c->arch == ARCH_GEMMA3) {
        c->window = get_int(r, "sliding_window", 4096);
        c->window_pattern =
            pattern ? pattern : get_int(r, "sliding_window_pattern", get_int(r, "_sliding_window_pattern", 6));
    } else if (strcmp(family->architecture, "MistralForCausalLM") == 0) {
        c->window = member(r->object, "sliding_window") ? get_int(r, "sliding_window", 0) : 0;
        c->window_pattern = c->window ? c->n_layers + 1 : 0; /* every layer slides */
    } else if (pattern > 1 || (!pattern && get_bool(r, "use_sliding_window", 0) &&
                               get_int(r, "max_window_layers", 28) < c->n_layers)) {
        unsupported(r, "use_sliding_window", "a sliding window in this family");
    }
    if (c->window_pattern == 1) {
        c->window = c->window_pattern = 0; /* all layers are global */
    }
}

static void read_gemma3(struct reader *r, struct config *c)
{
    float scalar = get_float(r, r->object, "query_pre_attn_scalar", 256);
    c->attn_scale = scalar > 0 ? 1.0f / sqrtf(scalar) : 0;
    c->embd_scale = sqrtf((float)c->dim);
    if (member(r->object, "attn_logit_softcapping")) {
        unsupported(r, "attn_logit_softcapping", "soft-capping");
    }
    if (member(r->object, "final_logit_softcapping")) {
        unsupported(r, "final_logit_softcapping", "soft-capping");
    }
    if (get_bool(r, "use_bidirectional_attention", 0)) {
        unsupported(r, "use_bidirectional_attention", "true");
    }
}

static void read_sizes(struct reader *r, struct config *c, const struct family *family)
{
    c->n_layers = get_int(r, "num_hidden_layers", 0);
    c->dim = get_int(r, "hidden_size", 0);
    c->ffn_dim = get_int(r, "intermediate_size", 0);
    c->n_heads = get_int(r, "num_attention_heads", family->n_heads);
    c->n_kv_heads = get_int(r, "num_key_value_heads", family->n_kv_heads ? family->n_kv_heads : c->n_heads);
    c->vocab_size = get_int(r, "vocab_size", c->vocab_size ? c->vocab_size : family->vocab_size);
    c->ctx_len = get_int(r, "max_position_embeddings", family->ctx_len);
    int head_dim = family->head_dim;
    if (!head_dim && c->n_heads > 0 && c->dim % c->n_heads == 0) {
        head_dim = c->dim / c->n_heads;
    }
    c->head_dim = c->rope_dim = get_int(r, "head_dim", head_dim);
    c->rms_eps = get_float(r, r->object, "rms_norm_eps", 1e-6f);
    c->attn_scale = 1.0f / sqrtf((float)c->head_dim);
    c->embd_scale = 1;
}

static void read_family(struct reader *r, struct config *c, struct hf_config *hf, const struct family *family)
{
    c->arch = family->arch;
    c->rope_pairs = c->arch == ARCH_LLAMA;
    read_sizes(r, c, family);
    read_activation(r, c);
    read_ropes(r, c, hf, family);
    read_window(r, c, family);
    c->tied = get_bool(r, "tie_word_embeddings", family->tied);
    hf->attention_bias = get_bool(r, "attention_bias", 0);
    hf->mlp_bias = get_bool(r, "mlp_bias", 0);
    hf->initializer_range = get_float(r, r->object, "initializer_range", 0.02f);
    if (c->arch == ARCH_GEMMA3) {
        read_gemma3(r, c);
    }
    if (member(r->object, "quantization_config")) {
        unsupported(r, "quantization_config", "a quantised folder");
    }
}

/* By "architectures"; a configuration without them by "model_type". */
static const struct family *find_family(struct reader *r)
{
    const struct json *list = member(r->object, "architectures");
    int listed = list && list->type == JSON_ARRAY && list->child && list->child->type == JSON_STRING;
    const char *name = listed ? list->child->text : json_string(r->object, "model_type", NULL);
    for (size_t i = 0; name && i < sizeof families / sizeof families[0]; i++) {
        if (strcmp(listed ? families[i].architecture : families[i].model_type, name) == 0) {
            return &families[i];
        }
    }
    r->status = diag_fail(r->diag, STATUS_UNSUPPORTED,
                          "%s: key architectures: expected Llama, Mistral, Qwen2, Qwen3 or Gemma3 ForCausalLM, or "
                          "without it a model_type of llama, mistral, qwen2, qwen3 or gemma3_text, found %.80s",
                          r->path, name ? name : "neither");
    return NULL;
}

static void read_root(struct reader *r, struct source *source, struct hf_config *hf)
{
    if (r->object->type != JSON_OBJECT) {
        r->status = diag_fail(r->diag, STATUS_FORMAT, "%s: expected a JSON object", r->path);
        return;
    }
    const struct family *family = find_family(r);
    if (!family) {
        return;
    }
    hf->nested = family->nested;
    if (family->nested) {
        r->object = member(r->object, "text_config");
        if (!r->object || r->object->type != JSON_OBJECT) {
            r->status = diag_fail(r->diag, STATUS_FORMAT, "%s: key text_config: expected an object", r->path);
            return;
        }
    }
    read_family(r, &source->config, hf, family);
}

enum status hf_read_config(struct source *source, const char *path, struct hf_config *hf, struct diag *diag)
{
    struct buffer text = {0};
    struct arena arena;
    struct reader r = {.path = path, .diag = diag};
    memset(hf, 0, sizeof *hf);
    arena_init(&arena, "config", 0);
    r.status = file_read(&text, path, MAX_CONFIG_BYTES, diag);
    if (!r.status) {
        r.status = json_parse(&r.object, text.data ? text.data : "", text.length, &arena, path, 0, NULL, diag);
    }
    if (!r.status) {
        read_root(&r, source, hf);
    }
    if (!r.status) {
        r.status = source_check_config(&source->config, path, diag);
    }
    arena_free(&arena);
    buffer_free(&text);
    return r.status;
}
