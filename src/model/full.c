/* full.c - full training: a float model's weights laid out as one parameter array. */
#include "full.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* One weight: where the model points to it, and what it is. Exactly one of vector, linear, embedding. */
struct weight {
    const char *name;
    const float **vector;
    struct linear *linear;
    size_t rows, cols;
    int matrix, decay;
};

#define LAYER_WEIGHTS 20

static void add_vector(struct weight *list, size_t *n, const char *name, const float **vector, size_t cols)
{
    struct weight w = {name, vector, NULL, 1, cols, 0, 0};

    if (*vector)
        list[(*n)++] = w;
}

static void add_linear(struct weight *list, size_t *n, const char *name, const char *bias_name, struct linear *linear)
{
    struct weight w = {name, NULL, linear, linear->w.rows, linear->w.cols, 1, 1};

    list[(*n)++] = w;
    add_vector(list, n, bias_name, &linear->bias, linear->w.rows);
}

static size_t layer_weights(struct layer *l, const struct config *c, struct weight *list)
{
    size_t n = 0, dim = (size_t)c->dim, e = (size_t)c->head_dim;

    add_vector(list, &n, "attn_norm.weight", &l->attn_norm, dim);
    add_linear(list, &n, "attn_q.weight", "attn_q.bias", &l->attn_q);
    add_linear(list, &n, "attn_k.weight", "attn_k.bias", &l->attn_k);
    add_linear(list, &n, "attn_v.weight", "attn_v.bias", &l->attn_v);
    add_vector(list, &n, "attn_q_norm.weight", &l->attn_q_norm, e);
    add_vector(list, &n, "attn_k_norm.weight", &l->attn_k_norm, e);
    add_linear(list, &n, "attn_output.weight", "attn_output.bias", &l->attn_output);
    add_vector(list, &n, "post_attention_norm.weight", &l->post_attn_norm, dim);
    add_vector(list, &n, "ffn_norm.weight", &l->ffn_norm, dim);
    add_linear(list, &n, "ffn_gate.weight", "ffn_gate.bias", &l->ffn_gate);
    add_linear(list, &n, "ffn_up.weight", "ffn_up.bias", &l->ffn_up);
    add_linear(list, &n, "ffn_down.weight", "ffn_down.bias", &l->ffn_down);
    add_vector(list, &n, "post_ffw_norm.weight", &l->post_ffn_norm, dim);
    assert(n <= LAYER_WEIGHTS);
    return n;
}

static int is_float(const struct pack *w)
{
    return w->class_ == PACK_F32 || w->class_ == PACK_F16 || w->class_ == PACK_BF16;
}

static enum status check_float(const struct model *model, struct diag *diag)
{
    int layer, t;

    for (layer = 0; layer < model->config.n_layers; layer++)
        for (t = 0; t < TARGET_COUNT; t++) {
            const struct linear *linear = adapter_linear(&model->layers[layer], (enum target)t);

            if (!is_float(&linear->w))
                return diag_fail(diag, STATUS_UNSUPPORTED,
                                 "%s: blk.%d.%s: full training needs float weights (F32 F16 BF16), found %s",
                                 model->path, layer, adapter_gguf_name((enum target)t),
                                 dtype_info(linear->stored)->name);
        }
    if (!is_float(&model->output.w))
        return diag_fail(diag, STATUS_UNSUPPORTED, "%s: output: full training needs float weights, found %s",
                         model->path, dtype_info(model->output.stored)->name);
    return STATUS_OK;
}

/* Reserves a tensor of the parameter array; returns its offset. */
static size_t reserve(struct full *full, const char *name, size_t rows, size_t cols, int matrix, int decay)
{
    struct optim_tensor tensor = {full->n_params, rows, cols, cols, matrix, decay, 0};

    snprintf(full->names[full->n_tensors], sizeof full->names[0], "%s", name);
    full->tensors[full->n_tensors++] = tensor;
    full->n_params += (rows * cols + 15) & ~(size_t)15;
    return tensor.offset;
}

/* Calls visit for every weight but the embedding, in the order of the parameters. */
typedef int visit_weight(struct full *full, struct weight *weight, const char *name);

static int visit_all(struct full *full, visit_weight *visit)
{
    struct model *m = full->model;
    struct weight list[LAYER_WEIGHTS], last[2];
    char name[64];
    size_t n, i;
    int layer;

    for (layer = 0; layer < m->config.n_layers; layer++) {
        n = layer_weights(&m->layers[layer], &m->config, list);
        for (i = 0; i < n; i++) {
            snprintf(name, sizeof name, "blk.%d.%s", layer, list[i].name);
            if (!visit(full, &list[i], name))
                return 0;
        }
    }
    n = 0;
    add_vector(last, &n, "output_norm.weight", &m->output_norm, (size_t)m->config.dim);
    if (!visit(full, &last[0], last[0].name))
        return 0;
    if (m->config.tied)
        return 1;
    n = 0;
    add_linear(last, &n, "output.weight", "output.bias", &m->output);
    last[0].matrix = 0; /* the head is left to AdamW, as Muon's authors do */
    return visit(full, &last[0], last[0].name);
}

static int measure(struct full *full, struct weight *w, const char *name)
{
    reserve(full, name, w->rows, w->cols, w->matrix, w->decay);
    return 1;
}

static void unpack(const struct pack *w, float *to)
{
    size_t r;

    for (r = 0; r < w->rows; r++)
        pack_decode_row(w, r, 0, w->cols, to + r * w->cols);
}

/* The linear gets a packed F32 copy of its own, with the values of `from`. */
static int own_pack(struct full *full, struct linear *linear, const float *from)
{
    size_t rows = linear->w.rows, cols = linear->w.cols;
    void *data;

    pack_shape(&linear->w, DTYPE_F32, rows, cols);
    linear->rows = from;
    linear->w.data = data = arena_alloc(&full->arena, pack_bytes(&linear->w));
    linear->stored = DTYPE_F32;
    if (data)
        pack_panels(&linear->w, data, DTYPE_F32, from, 0, linear->w.n_panels);
    return data != NULL;
}

/* Copies a weight's value to its place and points the model there. Runs in the order of `measure`. */
static int adopt(struct full *full, struct weight *w, const char *name)
{
    float *to = full->params + full->tensors[full->n_tensors++].offset;

    (void)name;
    if (w->vector) {
        memcpy(to, *w->vector, w->cols * sizeof *to);
        *w->vector = to;
        return 1;
    }
    unpack(&w->linear->w, to);
    return own_pack(full, w->linear, to);
}

static int adopt_embedding(struct full *full)
{
    struct model *m = full->model;
    size_t dim = (size_t)m->config.dim, v;
    float *to = full->params + full->tensors[full->n_tensors++].offset;

    if (m->config.tied) {
        unpack(&m->output.w, to);
        return own_pack(full, &m->output, to);
    }
    for (v = 0; v < (size_t)m->config.vocab_size; v++)
        dtype_decode_row(m->embd_type, to + v * dim, m->embd_rows + v * dim * dtype_info(m->embd_type)->block_bytes,
                         dim);
    m->embd_rows = (const uint8_t *)to;
    m->embd_type = DTYPE_F32;
    return 1;
}

static int build(struct full *full)
{
    const struct config *c = &full->model->config;
    size_t most = (size_t)c->n_layers * LAYER_WEIGHTS + 4;

    full->tensors = arena_array(&full->arena, most, sizeof *full->tensors);
    full->names = arena_array(&full->arena, most, sizeof *full->names);
    if (!full->tensors || !full->names)
        return 0;
    reserve(full, "token_embd.weight", (size_t)c->vocab_size, (size_t)c->dim, 0, 1);
    visit_all(full, measure);
    full->params = arena_array(&full->arena, full->n_params, sizeof(float));
    full->n_tensors = 0;
    return full->params && adopt_embedding(full) && visit_all(full, adopt);
}

enum status full_create(struct full **out, struct model *model, struct diag *diag)
{
    enum status status = check_float(model, diag);
    struct full *full;

    *out = NULL;
    if (status)
        return status;
    full = memory_alloc(sizeof *full);
    if (!full)
        return diag_fail(diag, STATUS_MEMORY, "full training: out of memory");
    memset(full, 0, sizeof *full);
    arena_init(&full->arena, "parameters", 0);
    full->model = model;
    if (!build(full)) {
        full_free(full);
        return diag_fail(diag, STATUS_MEMORY, "full training: out of memory for %zu parameters", full->n_params);
    }
    *out = full;
    return STATUS_OK;
}

void full_free(struct full *full)
{
    if (!full)
        return;
    arena_free(&full->arena);
    memory_free(full);
}

/* ---- Packed copies ---- */

struct pack_work {
    const struct pack *pack;
    const float *from;
};

static void pack_work(void *context, size_t begin, size_t end, int worker)
{
    const struct pack_work *w = context;

    (void)worker;
    pack_panels(w->pack, (void *)(uintptr_t)w->pack->data, DTYPE_F32, w->from, begin, end);
}

static void repack(const struct exec *exec, const struct pack *pack, const float *from)
{
    struct pack_work work = {pack, from};

    pool_run(exec->pool, pack_work, &work, pack->n_panels, 8);
}

static const float *tensor_of(const struct full *full, const char *name)
{
    return full_row(full, name, 0);
}

void full_refresh(struct full *full, const struct exec *exec)
{
    struct model *m = full->model;
    char name[64];
    int layer, t;

    for (layer = 0; layer < m->config.n_layers; layer++)
        for (t = 0; t < TARGET_COUNT; t++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", layer, adapter_gguf_name((enum target)t));
            repack(exec, &adapter_linear(&m->layers[layer], (enum target)t)->w, tensor_of(full, name));
        }
    repack(exec, &m->output.w, tensor_of(full, m->config.tied ? "token_embd.weight" : "output.weight"));
}

const float *full_row(const struct full *full, const char *name, size_t row)
{
    size_t i;

    for (i = 0; i < full->n_tensors; i++)
        if (strcmp(full->names[i], name) == 0)
            return full->params + full->tensors[i].offset + row * full->tensors[i].stride;
    return NULL;
}

/* The gradient of the weight of this name, NULL when the model has none. */
static float *gradient_of(const struct full *full, float *grads, int layer, const char *suffix)
{
    const float *at;
    char name[64];

    snprintf(name, sizeof name, "blk.%d.%s", layer, suffix);
    at = tensor_of(full, name);
    return at ? grads + (at - full->params) : NULL;
}

void full_gradients(const struct full *full, float *grads, struct layer_gradients *layers,
                    struct weight_gradients *weights)
{
    const struct config *c = &full->model->config;
    char suffix[48];
    int layer, t;

    for (layer = 0; layer < c->n_layers; layer++) {
        struct layer_gradients *g = &layers[layer];

        g->attn_norm = gradient_of(full, grads, layer, "attn_norm.weight");
        g->attn_q_norm = gradient_of(full, grads, layer, "attn_q_norm.weight");
        g->attn_k_norm = gradient_of(full, grads, layer, "attn_k_norm.weight");
        g->post_attn_norm = gradient_of(full, grads, layer, "post_attention_norm.weight");
        g->ffn_norm = gradient_of(full, grads, layer, "ffn_norm.weight");
        g->post_ffn_norm = gradient_of(full, grads, layer, "post_ffw_norm.weight");
        for (t = 0; t < TARGET_COUNT; t++) {
            snprintf(suffix, sizeof suffix, "%s.weight", adapter_gguf_name((enum target)t));
            g->weight[t] = gradient_of(full, grads, layer, suffix);
            snprintf(suffix, sizeof suffix, "%s.bias", adapter_gguf_name((enum target)t));
            g->bias[t] = gradient_of(full, grads, layer, suffix);
        }
    }
    weights->layers = layers;
    weights->token_embd = grads + (tensor_of(full, "token_embd.weight") - full->params);
    weights->output = c->tied ? weights->token_embd : grads + (tensor_of(full, "output.weight") - full->params);
    weights->output_norm = grads + (tensor_of(full, "output_norm.weight") - full->params);
}
