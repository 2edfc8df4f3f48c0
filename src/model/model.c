/* model.c - loading: binds a source's tensors to the layers, checks every shape, packs them one after the other.
 *
 *   source (GGUF or folder) -> bind: find, check type and shape, plan -> allocate -> pack / decode -> release mapping
 *
 * A table says which tensors a layer has, of what shape, in which families; so a missing tensor, a wrong shape and a
 * tensor that nobody asked for are all found before a weight is touched, and the memory that loading needs is known
 * before any is taken. At no time are there two whole copies of the weights: a tensor's file pages are released as soon
 * as it is packed. An untied embedding is never packed; its rows are decoded from the file when they are asked for. */
#include "model_pack.h"
#include "pool.h"
#include "tokenizer.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define ANY          0xfu
#define FAMILY(arch) (1u << (arch))

enum extent { ONE, DIM, FFN, Q_DIM, KV_DIM, HEAD_DIM };

/* One tensor of a layer: a matrix fills a struct linear, a vector a const float pointer. */
struct slot {
    const char *name;
    size_t offset; /* in struct layer */
    enum extent rows, cols;
    unsigned required, allowed; /* sets of families */
};

#define MATRIX(field, rows, cols)                                                                                      \
    {                                                                                                                  \
#field ".weight", offsetof(struct layer, field), rows, cols, ANY, ANY                                          \
    }
#define BIAS(field, rows, families)                                                                                    \
    {                                                                                                                  \
#field ".bias", offsetof(struct layer, field) + offsetof(struct linear, bias), ONE, rows, families, ANY        \
    }
#define NORMS  (FAMILY(ARCH_QWEN3) | FAMILY(ARCH_GEMMA3))
#define GEMMA3 FAMILY(ARCH_GEMMA3)
#define QWEN2  FAMILY(ARCH_QWEN2)

static const struct slot matrices[] = {
    MATRIX(attn_q, Q_DIM, DIM),      MATRIX(attn_k, KV_DIM, DIM), MATRIX(attn_v, KV_DIM, DIM),
    MATRIX(attn_output, DIM, Q_DIM), MATRIX(ffn_gate, FFN, DIM),  MATRIX(ffn_up, FFN, DIM),
    MATRIX(ffn_down, DIM, FFN),
};

static const struct slot vectors[] = {
    {"attn_norm.weight", offsetof(struct layer, attn_norm), ONE, DIM, ANY, ANY},
    {"attn_q_norm.weight", offsetof(struct layer, attn_q_norm), ONE, HEAD_DIM, NORMS, NORMS},
    {"attn_k_norm.weight", offsetof(struct layer, attn_k_norm), ONE, HEAD_DIM, NORMS, NORMS},
    {"post_attention_norm.weight", offsetof(struct layer, post_attn_norm), ONE, DIM, GEMMA3, GEMMA3},
    {"ffn_norm.weight", offsetof(struct layer, ffn_norm), ONE, DIM, ANY, ANY},
    {"post_ffw_norm.weight", offsetof(struct layer, post_ffn_norm), ONE, DIM, GEMMA3, GEMMA3},
    BIAS(attn_q, Q_DIM, QWEN2),
    BIAS(attn_k, KV_DIM, QWEN2),
    BIAS(attn_v, KV_DIM, QWEN2),
    BIAS(attn_output, DIM, 0),
    BIAS(ffn_gate, FFN, 0),
    BIAS(ffn_up, FFN, 0),
    BIAS(ffn_down, DIM, 0),
};

struct loader {
    struct source *source;
    struct model *model;
    const struct exec *exec;
    struct diag *diag;
    size_t need;      /* bytes of packed weights and vectors */
    size_t max_row;   /* bytes of the longest row that is permuted */
    uint8_t *scratch; /* PACK_ROWS x max_row per worker */
};

static size_t extent_of(const struct config *c, enum extent extent)
{
    switch (extent) {
    case DIM:
        return (size_t)c->dim;
    case FFN:
        return (size_t)c->ffn_dim;
    case Q_DIM:
        return (size_t)c->n_heads * (size_t)c->head_dim;
    case KV_DIM:
        return (size_t)c->n_kv_heads * (size_t)c->head_dim;
    case HEAD_DIM:
        return (size_t)c->head_dim;
    default:
        return 1;
    }
}

/* ---- finding and checking ---- */

static const char *shape_text(const struct source_tensor *tensor, char text[96])
{
    size_t n = 0;
    for (int i = 0; i < tensor->n_dims; i++) {
        n += (size_t)snprintf(text + n, 96 - n, "%s%llu", i ? " x " : "", (unsigned long long)tensor->dims[i]);
    }
    return text;
}

/* The tensor of that name with dims [cols][rows] (rows 1: a vector); *tensor NULL when it is missing and may be. */
static enum status find_tensor(struct loader *l, const char *name, size_t rows, size_t cols, int required,
                               struct source_tensor **tensor)
{
    struct source_tensor *t = source_find(l->source, name);
    *tensor = t;
    if (!t) {
        return required ? diag_fail(l->diag, STATUS_FORMAT, "%s: tensor %s: missing", l->source->path, name)
                        : STATUS_OK;
    }
    if (t->dims[0] != cols || t->dims[1] != rows || t->dims[2] != 1 || t->dims[3] != 1) {
        struct source_tensor wanted = {.n_dims = rows == 1 ? 1 : 2, .dims = {cols, rows, 1, 1}};
        char expected[96], found[96];
        return diag_fail(l->diag, STATUS_FORMAT, "%s: tensor %s: expected shape %s, found %s", l->source->path,
                         t->file_name, shape_text(&wanted, expected), shape_text(t, found));
    }
    const struct dtype_info *info = dtype_info((uint32_t)t->type);
    if (!info->is_weight) {
        return diag_fail(l->diag, STATUS_UNSUPPORTED, "%s: tensor %s: type %s cannot hold weights", l->source->path,
                         t->file_name, info->name);
    }
    if (t->permute_heads && tensor_row_bytes(t) > l->max_row) {
        l->max_row = tensor_row_bytes(t);
    }
    return STATUS_OK;
}

static enum status plan_matrix(struct loader *l, const char *name, size_t rows, size_t cols, struct linear *linear)
{
    struct source_tensor *t;
    enum status status = find_tensor(l, name, rows, cols, 1, &t);
    if (!status) {
        pack_shape(&linear->w, t->type, rows, cols);
        linear->stored = t->type;
        l->need += pack_bytes(&linear->w);
    }
    return status;
}

static enum status plan_vector(struct loader *l, const char *name, size_t n, int required, int allowed)
{
    struct source_tensor *t;
    if (!allowed) {
        return STATUS_OK; /* if it exists, it stays unused and is refused as such */
    }
    enum status status = find_tensor(l, name, 1, n, required, &t);
    if (!status && t) {
        l->need += (n * sizeof(float) + 63) & ~(size_t)63;
    }
    return status;
}

static const char *layer_name(char name[GGUF_MAX_NAME + 1], int layer, const char *suffix)
{
    snprintf(name, GGUF_MAX_NAME + 1, "blk.%d.%s", layer, suffix);
    return name;
}

static enum status plan_layer(struct loader *l, int index)
{
    const struct config *c = &l->model->config;
    char name[GGUF_MAX_NAME + 1], *layer = (char *)&l->model->layers[index];
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof matrices / sizeof matrices[0] && !status; i++) {
        const struct slot *s = &matrices[i];
        status = plan_matrix(l, layer_name(name, index, s->name), extent_of(c, s->rows), extent_of(c, s->cols),
                             (struct linear *)(void *)(layer + s->offset));
    }
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0] && !status; i++) {
        const struct slot *s = &vectors[i];
        status = plan_vector(l, layer_name(name, index, s->name), extent_of(c, s->cols),
                             (s->required & FAMILY(c->arch)) != 0, (s->allowed & FAMILY(c->arch)) != 0);
    }
    return status;
}

/* Every tensor must have been asked for; a few old ones carry nothing that is used. */
static enum status refuse_extra(struct loader *l)
{
    for (size_t i = 0; i < l->source->n_tensors; i++) {
        const struct source_tensor *t = &l->source->tensors[i];
        if (!t->used && !strstr(t->name, "rotary_emb.inv_freq") && !strstr(t->name, "attn_rot_embd")) {
            return diag_fail(l->diag, STATUS_FORMAT, "%s: tensor %s: not expected in a %s model of %d layers",
                             l->source->path, t->file_name, arch_name(l->model->config.arch),
                             l->model->config.n_layers);
        }
    }
    return STATUS_OK;
}

/* Binds everything, so that whatever is wrong with names and shapes is found first. */
static enum status plan(struct loader *l)
{
    struct model *m = l->model;
    const struct config *c = &m->config;
    size_t dim = (size_t)c->dim, vocab = (size_t)c->vocab_size;
    enum status status = STATUS_OK;
    for (int i = 0; i < c->n_layers && !status; i++) {
        status = plan_layer(l, i);
    }
    if (status || (status = plan_vector(l, "output_norm.weight", dim, 1, 1)) ||
        (status = plan_matrix(l, c->tied ? "token_embd.weight" : "output.weight", vocab, dim, &m->output)) ||
        (status = plan_vector(l, "output.bias", vocab, 0, 1))) {
        return status;
    }
    struct source_tensor *embd;
    status = find_tensor(l, "token_embd.weight", vocab, dim, 1, &embd);
    return status ? status : refuse_extra(l);
}

/* ---- loading ---- */

static enum status no_memory(struct loader *l)
{
    return diag_fail(l->diag, STATUS_MEMORY, "%s: no memory for %zu MB of weights", l->source->path, l->need >> 20);
}

static enum status load_matrix(struct loader *l, const char *name, struct linear *linear)
{
    struct source_tensor *t = source_find(l->source, name);
    uint8_t *data = arena_alloc(&l->model->arena, pack_bytes(&linear->w));
    if (!data) {
        return no_memory(l);
    }
    linear->w.data = data;
    return pack_tensor(l->source, t, &linear->w, data, l->scratch, l->exec, l->diag);
}

static enum status load_vector(struct loader *l, const char *name, int allowed, const float **vector)
{
    struct source_tensor *t = allowed ? source_find(l->source, name) : NULL;
    if (!t) {
        return STATUS_OK;
    }
    float *data = arena_array(&l->model->arena, (size_t)t->dims[0], sizeof *data);
    if (!data) {
        return no_memory(l);
    }
    *vector = data;
    return decode_vector(l->source, t, data, l->diag);
}

static enum status load_layer(struct loader *l, int index)
{
    char name[GGUF_MAX_NAME + 1], *layer = (char *)&l->model->layers[index];
    unsigned family = FAMILY(l->model->config.arch);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof matrices / sizeof matrices[0] && !status; i++) {
        status = load_matrix(l, layer_name(name, index, matrices[i].name),
                             (struct linear *)(void *)(layer + matrices[i].offset));
    }
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0] && !status; i++) {
        status = load_vector(l, layer_name(name, index, vectors[i].name), (vectors[i].allowed & family) != 0,
                             (const float **)(void *)(layer + vectors[i].offset));
    }
    return status;
}

/* The embedding's mapping passes to the model; the others end with the source. */
static enum status keep_embedding(struct loader *l)
{
    struct model *m = l->model;
    struct source_tensor *t = source_find(l->source, "token_embd.weight");
    enum status status = check_tensor(l->source, t, l->exec, l->diag);
    if (status) {
        return status;
    }
    m->maps = arena_array(&m->arena, 1, sizeof *m->maps);
    if (!m->maps) {
        return no_memory(l);
    }
    m->maps[0] = source_take_map(l->source, t->part);
    m->n_maps = 1;
    m->embd_rows = t->data;
    m->embd_type = t->type;
    return STATUS_OK;
}

static enum status load_weights(struct loader *l)
{
    struct model *m = l->model;
    enum status status = STATUS_OK;
    for (int i = 0; i < m->config.n_layers && !status; i++) {
        status = load_layer(l, i);
    }
    if (status || (status = load_vector(l, "output_norm.weight", 1, &m->output_norm)) ||
        (status = load_matrix(l, m->config.tied ? "token_embd.weight" : "output.weight", &m->output)) ||
        (status = load_vector(l, "output.bias", 1, &m->output.bias))) {
        return status;
    }
    m->weight_bytes = l->need;
    return m->config.tied ? STATUS_OK : keep_embedding(l);
}

/* Windows and rope of each layer, from the pattern. */
static void set_layers(struct model *m)
{
    const struct config *c = &m->config;
    for (int i = 0; i < c->n_layers; i++) {
        int local = c->window > 0 && (i + 1) % c->window_pattern != 0;
        m->layers[i].window = local ? c->window : 0;
        m->layers[i].rope = local && c->arch == ARCH_GEMMA3;
    }
}

static enum status load_rope(struct loader *l)
{
    struct model *m = l->model;
    size_t n = (size_t)m->config.rope_dim / 2;
    for (int i = 0; i < 2 && l->source->inv_freq[i]; i++) {
        float *copy = arena_array(&m->arena, n, sizeof *copy);
        if (!copy) {
            return no_memory(l);
        }
        memcpy(copy, l->source->inv_freq[i], n * sizeof *copy);
        m->inv_freq[i] = copy;
    }
    return STATUS_OK;
}

static enum status load_tokenizer(struct loader *l)
{
    struct model *m = l->model;
    enum status status = l->source->is_gguf ? tokenizer_from_gguf(&m->tokenizer, &l->source->gguf, l->diag)
                                            : tokenizer_from_hf(&m->tokenizer, l->source->path, l->diag);
    if (status || !m->tokenizer) {
        return status;
    }
    if (tokenizer_vocab_size(m->tokenizer) > (size_t)m->config.vocab_size) {
        return diag_fail(l->diag, STATUS_FORMAT, "%s: the tokenizer has %zu tokens, the embedding only %d rows",
                         l->source->path, tokenizer_vocab_size(m->tokenizer), m->config.vocab_size);
    }
    const char *template = tokenizer_chat_template(m->tokenizer);
    if (template && !(m->chat_template = arena_text(&m->arena, template, strlen(template)))) {
        return no_memory(l);
    }
    return STATUS_OK;
}

static enum status check_limit(struct loader *l, size_t mem_limit)
{
    l->need += (size_t)l->model->config.n_layers * sizeof(struct layer);
    if (mem_limit == 0 || l->need <= mem_limit) {
        return STATUS_OK;
    }
    return diag_fail(l->diag, STATUS_MEMORY, "%s: the weights need %.1f MB, the memory limit is %.1f MB",
                     l->source->path, (double)l->need / 1048576.0, (double)mem_limit / 1048576.0);
}

static enum status load(struct loader *l, size_t mem_limit)
{
    struct model *m = l->model;
    m->config = l->source->config;
    m->path = arena_text(&m->arena, l->source->path, strlen(l->source->path));
    m->name = arena_text(&m->arena, l->source->name, strlen(l->source->name));
    m->layers = arena_array(&m->arena, (size_t)m->config.n_layers, sizeof *m->layers);
    if (!m->path || !m->name || !m->layers) {
        return no_memory(l);
    }
    memset(m->layers, 0, (size_t)m->config.n_layers * sizeof *m->layers);
    set_layers(m);
    enum status status = plan(l);
    if (status || (status = check_limit(l, mem_limit))) {
        return status;
    }
    if (l->max_row) {
        l->scratch = arena_array(&l->source->arena, (size_t)pool_size(l->exec->pool), PACK_ROWS * l->max_row);
        if (!l->scratch) {
            return no_memory(l);
        }
    }
    if ((status = load_rope(l)) || (status = load_tokenizer(l))) {
        return status;
    }
    return load_weights(l);
}

enum status model_load(struct model **model, const char *path, const struct exec *exec, size_t mem_limit,
                       struct diag *diag)
{
    struct source source;
    struct loader l = {.source = &source, .exec = exec, .diag = diag};
    *model = NULL;
    enum status status = source_open(&source, path, diag);
    if (status) {
        return status;
    }
    l.model = memory_alloc(sizeof *l.model);
    if (l.model) {
        memset(l.model, 0, sizeof *l.model);
        arena_init(&l.model->arena, "weights", 0);
        status = load(&l, mem_limit);
    } else {
        status = no_memory(&l);
    }
    source_close(&source);
    if (status) {
        model_free(l.model);
        return status;
    }
    *model = l.model;
    return STATUS_OK;
}

enum status source_check_tensors(struct source *source, size_t *weight_bytes, struct diag *diag)
{
    struct model model = {.config = source->config};
    struct loader l = {.source = source, .model = &model, .diag = diag};
    model.layers = arena_array(&source->arena, (size_t)model.config.n_layers, sizeof *model.layers);
    if (!model.layers) {
        return no_memory(&l);
    }
    memset(model.layers, 0, (size_t)model.config.n_layers * sizeof *model.layers);
    enum status status = plan(&l);
    *weight_bytes = l.need;
    return status;
}

enum status model_measure(const char *path, struct config *config, size_t *weight_bytes, struct diag *diag)
{
    struct source source;
    enum status status = source_open(&source, path, diag);
    if (status) {
        return status;
    }
    status = source_check_tensors(&source, weight_bytes, diag);
    *config = source.config;
    source_close(&source);
    return status;
}

void model_free(struct model *model)
{
    if (!model) {
        return;
    }
    for (size_t i = 0; i < model->n_maps; i++) {
        file_unmap(&model->maps[i]);
    }
    tokenizer_free(model->tokenizer);
    arena_free(&model->arena);
    memory_free(model);
}

void model_embed(const struct model *model, int32_t id, float *dst)
{
    size_t dim = (size_t)model->config.dim, row = (size_t)id;
    if (model->embd_rows) {
        const struct dtype_info *info = dtype_info((uint32_t)model->embd_type);
        size_t row_bytes = dim / info->block_len * info->block_bytes;
        dtype_decode_row(model->embd_type, dst, model->embd_rows + row * row_bytes, dim);
    } else {
        pack_decode_row(&model->output.w, row, 0, dim, dst);
    }
    for (size_t i = 0; i < dim && model->config.embd_scale != 1; i++) {
        dst[i] *= model->config.embd_scale;
    }
}
