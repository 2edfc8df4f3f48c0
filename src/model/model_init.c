/* model_init.c - the random model: plans its tensors, puts keys and tokenizer, draws the weights row by row.
 *
 *   config.json -> struct config -> tensors | token_embd | blk.0 norms, matrices, biases | ... | output_norm | output |
 *
 * Each row has one owner and each element is a function of (seed, name, index), so the bytes do not depend on threads.
 * The list of a layer's tensors is that of model.c, which checks it when the file is loaded. */
#include "model_init.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "elementary.h"
#include "hf.h"
#include "quantize_parts.h"
#include "rng.h"
#include "tokenizer.h"

#define SLAB_BYTES    ((size_t)4 << 20)
#define ROW_GRAIN     4
#define LAYER_TENSORS 20
#define TWO_PI        6.283185307179586

enum fill { FILL_NORMAL, FILL_ONE, FILL_ZERO };

struct tensor {
    char name[GGUF_MAX_NAME + 1];
    size_t rows, cols; /* rows 1: a vector */
    enum fill fill;
};

struct init {
    struct source source; /* config, name and arena alone */
    struct hf_config hf;
    struct gguf_writer writer;
    const struct model_init_options *options;
    struct model_init_report *report;
    const char *out;
    const char *tokenizer; /* path, NULL: none */
    size_t n_tokens;       /* of the tokenizer */
    struct tensor *tensors;
    size_t n_tensors;
    uint8_t *slab;
    float *rows; /* one of max_cols per worker */
    size_t max_cols;
    uint64_t done;
    struct diag *diag;
};

static enum status no_memory(struct init *init)
{
    return diag_fail(init->diag, STATUS_MEMORY, "%s: no memory for a new model", init->out);
}

/* ---- tensors ---- */

static void add(struct init *init, int layer, const char *suffix, size_t rows, size_t cols, enum fill fill)
{
    struct tensor *t = &init->tensors[init->n_tensors++];

    if (layer >= 0)
        snprintf(t->name, sizeof t->name, "blk.%d.%s", layer, suffix);
    else
        snprintf(t->name, sizeof t->name, "%s", suffix);
    t->rows = rows;
    t->cols = cols;
    t->fill = fill;
    init->max_cols = cols > init->max_cols ? cols : init->max_cols;
    init->report->n_params += (uint64_t)rows * cols;
}

static void add_linear(struct init *init, int layer, const char *name, size_t rows, size_t cols, int bias)
{
    char suffix[32];

    snprintf(suffix, sizeof suffix, "%s.weight", name);
    add(init, layer, suffix, rows, cols, FILL_NORMAL);
    snprintf(suffix, sizeof suffix, "%s.bias", name);
    if (bias)
        add(init, layer, suffix, 1, rows, FILL_ZERO);
}

static void add_layer(struct init *init, int layer)
{
    const struct config *c = &init->source.config;
    size_t dim = (size_t)c->dim, ffn = (size_t)c->ffn_dim, e = (size_t)c->head_dim;
    size_t q = (size_t)c->n_heads * e, kv = (size_t)c->n_kv_heads * e;
    int bias = init->hf.attention_bias, qkv_bias = c->arch == ARCH_QWEN2 ? 1 : bias, mlp_bias = init->hf.mlp_bias;

    add(init, layer, "attn_norm.weight", 1, dim, FILL_ONE);
    add_linear(init, layer, "attn_q", q, dim, qkv_bias);
    add_linear(init, layer, "attn_k", kv, dim, qkv_bias);
    add_linear(init, layer, "attn_v", kv, dim, qkv_bias);
    if (c->arch == ARCH_QWEN3 || c->arch == ARCH_GEMMA3) {
        add(init, layer, "attn_q_norm.weight", 1, e, FILL_ONE);
        add(init, layer, "attn_k_norm.weight", 1, e, FILL_ONE);
    }
    add_linear(init, layer, "attn_output", dim, q, c->arch == ARCH_QWEN2 ? 0 : bias);
    if (c->arch == ARCH_GEMMA3)
        add(init, layer, "post_attention_norm.weight", 1, dim, FILL_ONE);
    add(init, layer, "ffn_norm.weight", 1, dim, FILL_ONE);
    add_linear(init, layer, "ffn_gate", ffn, dim, mlp_bias);
    add_linear(init, layer, "ffn_up", ffn, dim, mlp_bias);
    add_linear(init, layer, "ffn_down", dim, ffn, mlp_bias);
    if (c->arch == ARCH_GEMMA3)
        add(init, layer, "post_ffw_norm.weight", 1, dim, FILL_ONE);
}

static enum status plan(struct init *init)
{
    const struct config *c = &init->source.config;
    struct arena *arena = &init->source.arena;
    size_t dim = (size_t)c->dim, vocab = (size_t)c->vocab_size;

    init->tensors = arena_array(arena, (size_t)c->n_layers * LAYER_TENSORS + 3, sizeof *init->tensors);
    if (!init->tensors)
        return no_memory(init);
    add(init, -1, "token_embd.weight", vocab, dim, FILL_NORMAL);
    for (int layer = 0; layer < c->n_layers; layer++)
        add_layer(init, layer);
    add(init, -1, "output_norm.weight", 1, dim, FILL_ONE);
    if (!c->tied)
        add(init, -1, "output.weight", vocab, dim, FILL_NORMAL);
    init->report->n_tensors = init->n_tensors;
    init->report->n_embedding = (uint64_t)vocab * dim * (c->tied ? 1 : 2);
    init->slab = arena_alloc(arena, SLAB_BYTES + init->max_cols * sizeof(float));
    init->rows = arena_array(arena, (size_t)pool_size(init->options->pool) * init->max_cols, sizeof *init->rows);
    return init->slab && init->rows ? STATUS_OK : no_memory(init);
}

/* ---- weights ---- */

/* Element `index` of a tensor: half of a pair of normal deviates (Box and Muller, 1958). */
static double normal(uint64_t seed, uint64_t tensor, uint64_t index)
{
    double radius = 1 - rng_unit(rng_bits(seed, RNG_INIT, tensor, index / 2, 0)); /* never 0 */
    double angle = TWO_PI * rng_unit(rng_bits(seed, RNG_INIT, tensor, index / 2, 1));

    return sqrt(-2 * elementary_log_f64(radius)) * (index % 2 ? elementary_sin(angle) : elementary_cos(angle));
}

/* Some rows of one tensor. */
struct slab {
    const struct init *init;
    const struct tensor *tensor;
    enum dtype type;
    size_t first, row_bytes;
    uint64_t hash;
};

static void fill_rows(void *context, size_t begin, size_t end, int worker)
{
    const struct slab *slab = context;
    const struct init *init = slab->init;
    const struct tensor *t = slab->tensor;
    float *row = init->rows + (size_t)worker * init->max_cols;

    for (size_t r = begin; r < end; r++) {
        uint64_t first = (uint64_t)(slab->first + r) * t->cols;
        for (size_t i = 0; i < t->cols; i++) {
            double value = t->fill == FILL_NORMAL
                               ? normal(init->options->seed, slab->hash, first + i) * (double)init->hf.initializer_range
                               : t->fill == FILL_ONE;
            row[i] = (float)value;
        }
        dtype_encode_row(slab->type, init->slab + r * slab->row_bytes, row, t->cols);
    }
}

static enum dtype type_of(const struct init *init, const struct tensor *t)
{
    return t->rows == 1 && t->fill != FILL_NORMAL ? DTYPE_F32 : init->options->type;
}

static enum status write_tensor(struct init *init, const struct tensor *t)
{
    const struct model_init_options *o = init->options;
    struct slab slab = {.init = init, .tensor = t, .type = type_of(init, t), .hash = rng_hash(t->name)};
    enum status status = STATUS_OK;

    slab.row_bytes = t->cols * dtype_info(slab.type)->block_bytes;
    for (size_t rows = SLAB_BYTES / slab.row_bytes + 1; slab.first < t->rows && !status; slab.first += rows) {
        rows = t->rows - slab.first < rows ? t->rows - slab.first : rows;
        pool_run(o->pool, fill_rows, &slab, rows, ROW_GRAIN);
        status = gguf_write_data(&init->writer, init->slab, rows * slab.row_bytes, init->diag);
        init->done += (uint64_t)rows * t->cols;
        if (o->progress)
            progress_update(o->progress, init->done, init->report->n_params, (double)init->done / 1e6, t->name);
        if (!status && o->stop && o->stop())
            status = diag_fail(init->diag, STATUS_STOPPED, "%s: stopped; nothing was written", init->out);
    }
    return status;
}

/* ---- tokenizer ---- */

static int names_gguf(const char *path)
{
    return !file_is_folder(path) && gguf_is_file(path);
}

/* The arrays with an element per token, with unused tokens up to the embedding's rows. */
static void pad_key(struct init *init, const struct gguf_key *key)
{
    size_t n = (size_t)init->source.config.vocab_size;
    struct gguf_strings strings = gguf_strings(key);
    const char *text;
    char pad[32];
    size_t length, i = 0;

    gguf_put_strings(&init->writer, key->name, n);
    for (; i < key->count && gguf_strings_next(&strings, &text, &length); i++)
        gguf_put_strings_element(&init->writer, text, length);
    for (; i < n; i++)
        gguf_put_strings_element(&init->writer, pad, (size_t)snprintf(pad, sizeof pad, "[PAD%zu]", i));
}

static enum status pad_numbers(struct init *init, const struct gguf_key *key)
{
    size_t n = (size_t)init->source.config.vocab_size;
    int scores = strcmp(key->name, "tokenizer.ggml.scores") == 0;
    int32_t *numbers = arena_array(&init->source.arena, n, sizeof *numbers);

    if (!numbers)
        return no_memory(init);
    for (size_t i = 0; i < n; i++) {
        float score = scores && i < key->count ? (float)gguf_element_number(key, i) : 0;
        numbers[i] = i < key->count ? (int32_t)gguf_element_int(key, i) : TOKEN_UNUSED;
        if (scores)
            memcpy(&numbers[i], &score, sizeof score);
    }
    gguf_put_array(&init->writer, key->name, scores ? GGUF_F32 : GGUF_I32, numbers, n);
    return STATUS_OK;
}

/* A GGUF's own keys. */
static enum status copy_tokenizer(struct init *init)
{
    struct gguf gguf;
    enum status status = gguf_open(&gguf, init->tokenizer, GGUF_KEYS, init->diag);

    if (status)
        return status;
    for (size_t i = 0; i < gguf.n_keys && !status; i++) {
        const struct gguf_key *key = &gguf.keys[i];
        int short_list = init->n_tokens < (size_t)init->source.config.vocab_size;
        if (strncmp(key->name, "tokenizer.", strlen("tokenizer.")) != 0)
            continue;
        if (short_list && strcmp(key->name, "tokenizer.ggml.tokens") == 0)
            pad_key(init, key);
        else if (short_list && (strcmp(key->name, "tokenizer.ggml.scores") == 0 ||
                                strcmp(key->name, "tokenizer.ggml.token_type") == 0))
            status = pad_numbers(init, key);
        else
            gguf_put_key(&init->writer, key);
    }
    gguf_close(&gguf);
    return status;
}

/* Finds the tokenizer and counts its tokens. */
static enum status open_tokenizer(struct init *init, const char *config)
{
    struct tokenizer *tokenizer = NULL;
    enum status status = STATUS_OK;

    init->tokenizer = init->options->tokenizer;
    if (init->tokenizer)
        status = tokenizer_load(&tokenizer, init->tokenizer, init->diag);
    else if (file_is_folder(config))
        status = tokenizer_from_hf(&tokenizer, config, init->diag);
    if (status)
        return status;
    if (tokenizer && !init->tokenizer)
        init->tokenizer = config;
    if (tokenizer)
        init->n_tokens = tokenizer_vocab_size(tokenizer);
    init->report->has_tokenizer = tokenizer != NULL;
    tokenizer_free(tokenizer);
    return STATUS_OK;
}

static enum status put_tokenizer(struct init *init)
{
    size_t vocab = (size_t)init->source.config.vocab_size;

    if (!init->tokenizer) {
        gguf_put_string(&init->writer, "tokenizer.ggml.model", "no_vocab", strlen("no_vocab"));
        return STATUS_OK;
    }
    return names_gguf(init->tokenizer) ? copy_tokenizer(init)
                                       : quantize_put_tokenizer(&init->writer, init->tokenizer, vocab, init->diag);
}

/* ---- the file ---- */

static enum status read_config(struct init *init, const char *config)
{
    struct source *source = &init->source;
    struct buffer path = {0};
    enum status status;

    buffer_format(&path, file_is_folder(config) ? "%s/config.json" : "%s", config);
    source->path = path.failed ? NULL : arena_text(&source->arena, path.data, path.length);
    source->name = source_name_of_path(&source->arena, init->out);
    buffer_free(&path);
    if (!source->path || !source->name)
        return no_memory(init);
    source->config.vocab_size = (int)init->n_tokens;
    status = hf_read_config(source, source->path, &init->hf, init->diag);
    if (!status && init->n_tokens > (size_t)source->config.vocab_size)
        return diag_fail(init->diag, STATUS_FORMAT,
                         "%s: key vocab_size: expected the tokenizer's %zu tokens or more, found %d", source->path,
                         init->n_tokens, source->config.vocab_size);
    if (!status && !(init->hf.initializer_range >= 0 && init->hf.initializer_range <= 1000))
        return diag_fail(init->diag, STATUS_FORMAT, "%s: key initializer_range: expected 0 to 1000, found %g",
                         source->path, (double)init->hf.initializer_range);
    init->report->config = source->config;
    return status ? status : hf_set_rope(source, &init->hf, init->diag);
}

static enum status put_header(struct init *init)
{
    const struct source *source = &init->source;
    const struct quantize_type *type = quantize_type_find(dtype_info(init->options->type)->name);
    uint64_t n_factors = (uint64_t)source->config.rope_dim / 2;
    enum status status;

    quantize_put_config(&init->writer, source);
    status = put_tokenizer(init);
    gguf_put_u32(&init->writer, "general.file_type", quantize_file_type(type));
    if (source->rope_factors)
        gguf_put_tensor(&init->writer, "rope_freqs.weight", DTYPE_F32, 1, &n_factors);
    for (size_t i = 0; i < init->n_tensors; i++) {
        const struct tensor *t = &init->tensors[i];
        uint64_t dims[2] = {t->cols, t->rows};
        gguf_put_tensor(&init->writer, t->name, type_of(init, t), t->rows == 1 && t->fill != FILL_NORMAL ? 1 : 2, dims);
    }
    return status ? status : gguf_write_begin(&init->writer, init->out, init->diag);
}

static enum status write_tensors(struct init *init)
{
    const struct source *source = &init->source;
    struct progress *progress = init->options->progress;
    enum status status = STATUS_OK;

    if (progress)
        progress_begin(progress, "init", "M weights/s");
    if (source->rope_factors)
        status = gguf_write_data(&init->writer, source->rope_factors,
                                 (size_t)source->config.rope_dim / 2 * sizeof(float), init->diag);
    for (size_t i = 0; i < init->n_tensors && !status; i++)
        status = write_tensor(init, &init->tensors[i]);
    if (!status && progress)
        progress_end(progress, init->done, init->done, (double)init->done / 1e6, "");
    return status ? status : gguf_write_commit(&init->writer, init->diag);
}

enum status model_init(const char *config, const char *out, const struct model_init_options *options,
                       struct model_init_report *report, struct diag *diag)
{
    struct init init = {.options = options, .report = report, .out = out, .diag = diag};
    enum status status;

    memset(report, 0, sizeof *report);
    arena_init(&init.source.arena, "new model", 0);
    status = open_tokenizer(&init, config);
    status = status ? status : read_config(&init, config);
    status = status ? status : plan(&init);
    status = status ? status : put_header(&init);
    status = status ? status : write_tensors(&init);
    gguf_write_abandon(&init.writer);
    arena_free(&init.source.arena);
    return status;
}
