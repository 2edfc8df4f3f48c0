/* adapter.c - LoRA adapters in memory: layout, initial values, derived copies. Files: adapter_file.c. */
#include "adapter.h"

#include <math.h>
#include <string.h>
#include "rng.h"

static const char *const peft_names[TARGET_COUNT] = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                     "gate_proj", "up_proj", "down_proj"};
static const char *const gguf_names[TARGET_COUNT] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                                     "ffn_gate", "ffn_up", "ffn_down"};

const char *adapter_peft_name(enum target target)
{
    return peft_names[target];
}

const char *adapter_gguf_name(enum target target)
{
    return gguf_names[target];
}

const struct linear *adapter_linear(const struct layer *layer, enum target target)
{
    switch (target) {
    case TARGET_Q:
        return &layer->attn_q;
    case TARGET_K:
        return &layer->attn_k;
    case TARGET_V:
        return &layer->attn_v;
    case TARGET_OUTPUT:
        return &layer->attn_output;
    case TARGET_GATE:
        return &layer->ffn_gate;
    case TARGET_UP:
        return &layer->ffn_up;
    default:
        return &layer->ffn_down;
    }
}

static size_t round16(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

static float scale_of(const struct adapter_shape *shape)
{
    return shape->rslora ? shape->alpha / sqrtf((float)shape->rank) : shape->alpha / (float)shape->rank;
}

static enum status check_rank(const struct model *model, const struct adapter_shape *shape, struct diag *diag)
{
    const struct pack *smallest = NULL;
    size_t most = 0;
    int t, which = 0;

    if (shape->rank == 0)
        return diag_fail(diag, STATUS_RANGE, "adapter: expected a rank of at least 1, found 0");
    for (t = 0; t < TARGET_COUNT; t++) {
        const struct pack *w = &adapter_linear(&model->layers[0], (enum target)t)->w;
        size_t side = w->rows < w->cols ? w->rows : w->cols;

        if (!(shape->targets >> t & 1) || (smallest && side >= most))
            continue;
        smallest = w;
        most = side;
        which = t;
    }
    if (smallest && shape->rank > most)
        return diag_fail(diag, STATUS_RANGE, "adapter: expected a rank of at most %zu (%s is %zu x %zu), found %zu",
                         most, peft_names[which], smallest->rows, smallest->cols, shape->rank);
    return STATUS_OK;
}

/* Shapes of one pair; returns the number of parameters. */
static size_t shape_pair(struct lora *lora, const struct pack *w, const struct adapter_shape *shape)
{
    lora->rank = shape->rank;
    lora->in = w->cols;
    lora->out = w->rows;
    lora->rank_stride = round16(lora->rank);
    lora->out_stride = round16(lora->out);
    lora->scale = scale_of(shape);
    return lora->rank * (lora->in + lora->out_stride);
}

/* Sums over the target matrices of a layer. */
static void target_sides(const struct config *c, unsigned targets, size_t *in, size_t *out)
{
    size_t dim = (size_t)c->dim, ffn = (size_t)c->ffn_dim, q = (size_t)c->n_heads * (size_t)c->head_dim;
    size_t kv = (size_t)c->n_kv_heads * (size_t)c->head_dim;
    const size_t sides[TARGET_COUNT][2] = {{dim, q},   {dim, kv},  {dim, kv}, {q, dim},
                                           {dim, ffn}, {dim, ffn}, {ffn, dim}}; /* in, out; in the targets' order */

    *in = *out = 0;
    for (int t = 0; t < TARGET_COUNT; t++)
        if (targets >> t & 1) {
            *in += sides[t][0];
            *out += round16(sides[t][1]);
        }
}

size_t adapter_count(const struct config *c, const struct adapter_shape *shape)
{
    size_t in, out;

    target_sides(c, shape->targets, &in, &out);
    return shape->rank * (in + out) * (size_t)c->n_layers + (shape->score ? 2 * (size_t)c->dim + 2 : 0);
}

size_t adapter_copy_bytes(const struct config *c, const struct adapter_shape *shape)
{
    size_t in, out;

    target_sides(c, shape->targets, &in, &out);
    return in * round16(shape->rank) * (size_t)c->n_layers * sizeof(float);
}

/* Points the pairs into params and allocates the transposed copies of A. */
static int place_pairs(struct adapter *adapter)
{
    float *next = adapter->params;
    size_t layer;
    int t;

    for (layer = 0; layer < adapter->n_layers; layer++)
        for (t = 0; t < TARGET_COUNT; t++) {
            struct lora *lora = &adapter->loras[layer][t];

            if (!lora->rank)
                continue;
            lora->a = next;
            lora->b_t = next + lora->rank * lora->in;
            next = lora->b_t + lora->rank * lora->out_stride;
            lora->a_t = arena_array(&adapter->arena, lora->in * lora->rank_stride, sizeof(float));
            if (!lora->a_t)
                return 0;
        }
    if (adapter->shape.score) {
        adapter->score_weight = next;
        adapter->score_bias = adapter->params + adapter->n_params - 2;
    }
    return 1;
}

static int allocate(struct adapter *adapter, const struct model *model)
{
    size_t layer;
    int t;

    adapter->loras = arena_array(&adapter->arena, adapter->n_layers, sizeof *adapter->loras);
    if (!adapter->loras)
        return 0;
    for (layer = 0; layer < adapter->n_layers; layer++)
        for (t = 0; t < TARGET_COUNT; t++)
            if (adapter->shape.targets >> t & 1)
                adapter->n_params +=
                    shape_pair(&adapter->loras[layer][t], &adapter_linear(&model->layers[layer], (enum target)t)->w,
                               &adapter->shape);
    if (adapter->shape.score)
        adapter->n_params += 2 * (size_t)model->config.dim + 2;
    adapter->params = arena_array(&adapter->arena, adapter->n_params, sizeof(float));
    return adapter->params && place_pairs(adapter);
}

enum status adapter_create(struct adapter **out, const struct model *model, const struct adapter_shape *shape,
                           struct diag *diag)
{
    enum status status = check_rank(model, shape, diag);
    struct adapter *adapter;

    *out = NULL;
    if (status)
        return status;
    adapter = memory_alloc(sizeof *adapter);
    if (!adapter)
        return diag_fail(diag, STATUS_MEMORY, "adapter: out of memory");
    memset(adapter, 0, sizeof *adapter);
    arena_init(&adapter->arena, "adapter", 0);
    adapter->shape = *shape;
    adapter->strength = 1;
    adapter->n_layers = (size_t)model->config.n_layers;
    adapter->max_rank_stride = round16(shape->rank);
    if (!allocate(adapter, model)) {
        adapter_free(adapter);
        return diag_fail(diag, STATUS_MEMORY, "adapter: out of memory for rank %zu", shape->rank);
    }
    *out = adapter;
    return STATUS_OK;
}

void adapter_free(struct adapter *adapter)
{
    if (!adapter)
        return;
    arena_free(&adapter->arena);
    memory_free(adapter);
}

/* x[0..n) uniform in +-bound, indexed so that no value depends on another. */
static void fill_uniform(float *x, size_t n, float bound, uint64_t seed, uint64_t tensor)
{
    size_t i;

    for (i = 0; i < n; i++)
        x[i] = (float)(2 * rng_unit(rng_bits(seed, RNG_INIT, tensor, i, 0)) - 1) * bound;
}

void adapter_init(struct adapter *adapter, uint64_t seed)
{
    size_t layer;
    int t;

    memset(adapter->params, 0, adapter->n_params * sizeof *adapter->params);
    for (layer = 0; layer < adapter->n_layers; layer++)
        for (t = 0; t < TARGET_COUNT; t++) {
            const struct lora *lora = &adapter->loras[layer][t];

            if (lora->rank)
                fill_uniform(lora->a, lora->rank * lora->in, 1 / sqrtf((float)lora->in), seed,
                             layer * TARGET_COUNT + (uint64_t)t);
        }
    if (adapter->score_weight) {
        size_t n = (size_t)(adapter->score_bias - adapter->score_weight);

        fill_uniform(adapter->score_weight, n, 1 / sqrtf((float)n / 2), seed, adapter->n_layers * TARGET_COUNT);
    }
    adapter_refresh(adapter);
}

void adapter_refresh(struct adapter *adapter)
{
    size_t layer;
    int t;

    for (layer = 0; layer < adapter->n_layers; layer++)
        for (t = 0; t < TARGET_COUNT; t++) {
            struct lora *lora = &adapter->loras[layer][t];

            if (!lora->rank)
                continue;
            lora->scale = scale_of(&adapter->shape) * adapter->strength;
            lora_refresh(lora);
        }
}
