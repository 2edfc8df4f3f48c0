/* backward_create.c - the workspace of training: its size, its buffers. */
#include "backward_parts.h"

#include <string.h>
#include "progress.h"

/* Bytes that gate and up may take together on the way back, where their gradients need as much again: with the weights
 * brought to f32 once for each chunk, more would hardly be faster. */
#define FFN_BYTES ((size_t)5 << 20)

static size_t widest(const struct config *c)
{
    size_t q = (size_t)c->n_heads * (size_t)c->head_dim, n = (size_t)c->dim;

    n = q > n ? q : n;
    return (size_t)c->ffn_dim > n ? (size_t)c->ffn_dim : n;
}

static size_t pages_of(const struct backward_options *options)
{
    return kv_pages_for(options->max_tokens) + 2 * options->max_spans;
}

static int has_head_norms(const struct config *c)
{
    return c->arch == ARCH_QWEN3 || c->arch == ARCH_GEMMA3;
}

static int has_post_norms(const struct config *c)
{
    return c->arch == ARCH_GEMMA3;
}

/* Bytes of a kept layer. */
static size_t kept_bytes(const struct config *c, size_t max_tokens)
{
    size_t row = 2 * forward_round16((size_t)c->n_heads * (size_t)c->head_dim) + forward_round16((size_t)c->dim) +
                 2 * (size_t)c->n_heads + 2 * forward_round16((size_t)c->ffn_dim);

    return max_tokens * row * sizeof(float);
}

/* Layers that options->keep_bytes has room for. */
static size_t kept_layers(const struct config *c, const struct backward_options *o)
{
    size_t n = !has_head_norms(c) && !has_post_norms(c) ? o->keep_bytes / kept_bytes(c, o->max_tokens) : 0;

    return n < (size_t)c->n_layers ? n : (size_t)c->n_layers;
}

size_t backward_bytes(const struct config *c, const struct backward_options *o, size_t max_rank)
{
    size_t dim = forward_round16((size_t)c->dim), q = forward_round16((size_t)c->n_heads * (size_t)c->head_dim);
    size_t kv = forward_round16((size_t)c->n_kv_heads * (size_t)c->head_dim);
    size_t ffn = forward_round16((size_t)c->ffn_dim), vocab = forward_round16((size_t)c->vocab_size);
    size_t row = ((size_t)c->n_layers + 7) * dim + 3 * q + 3 * kv + 3 * (size_t)c->n_heads +
                 (TARGET_COUNT + 1) * forward_round16(max_rank) + (size_t)c->rope_dim;

    return forward_bytes_sized(c, o->max_tokens, FFN_BYTES) + o->max_tokens * row * sizeof(float) +
           2 * forward_ffn_tokens(c, o->max_tokens, FFN_BYTES) * ffn * sizeof(float) +
           widest(c) * forward_round16(max_rank) * sizeof(float) +
           2 * DROPPED_ROWS * forward_round16(widest(c)) * sizeof(float) +
           (max_rank ? 0 : kept_layers(c, o) * kept_bytes(c, o->max_tokens)) +
           o->head_rows * (vocab + 2 * dim) * sizeof(float) + pages_of(o) * kv_page_bytes(c, o->k_type, o->v_type);
}

/* n floats, 64-byte aligned; clears *ok when memory is exhausted. */
static float *floats(struct backward *b, size_t n, int *ok)
{
    float *block = arena_array(&b->arena, n, sizeof(float));

    *ok = *ok && block;
    return block;
}

static int scratch_create(struct backward *b, struct backward_scratch *s)
{
    size_t e = (size_t)b->model->config.head_dim;
    int ok = 1;

    s->p = floats(b, ATTENTION_TILE * ATTENTION_BLOCK, &ok);
    s->ds = floats(b, ATTENTION_TILE * ATTENTION_BLOCK, &ok);
    s->k = floats(b, ATTENTION_BLOCK * e, &ok);
    s->v_t = floats(b, ATTENTION_BLOCK * e, &ok);
    s->k_t = floats(b, ATTENTION_BLOCK * e, &ok);
    s->v = floats(b, ATTENTION_BLOCK * e, &ok);
    s->d_k = floats(b, ATTENTION_BLOCK * e, &ok);
    s->d_v = floats(b, ATTENTION_BLOCK * e, &ok);
    return ok;
}

/* Buffers of one row per token. */
static int row_buffers(struct backward *b)
{
    const struct config *c = &b->model->config;
    size_t t = b->options.max_tokens, rank = b->adapter ? b->adapter->max_rank_stride : 16, i;
    int ok = 1;

    b->saved = floats(b, ((size_t)c->n_layers + 1) * t * b->dim, &ok);
    b->hidden = floats(b, t * b->dim, &ok);
    b->d_hidden = floats(b, t * b->dim, &ok);
    b->h = floats(b, t * b->dim, &ok);
    b->x_mid = floats(b, t * b->dim, &ok);
    b->d_h = floats(b, t * b->dim, &ok);
    b->out = has_post_norms(c) ? floats(b, t * b->dim, &ok) : b->d_h;
    b->d_q = floats(b, t * b->q_dim, &ok);
    b->d_k = floats(b, t * b->kv_dim, &ok);
    b->d_v = floats(b, t * b->kv_dim, &ok);
    b->d_mixed = floats(b, t * b->q_dim, &ok);
    b->q_raw = has_head_norms(c) ? floats(b, t * b->q_dim, &ok) : NULL;
    b->k_raw = has_head_norms(c) ? floats(b, t * b->kv_dim, &ok) : NULL;
    b->row_max = floats(b, t * (size_t)c->n_heads, &ok);
    b->row_sum = floats(b, t * (size_t)c->n_heads, &ok);
    b->delta = floats(b, t * (size_t)c->n_heads, &ok);
    for (i = 0; i < TARGET_COUNT; i++)
        b->kept_u[i] = floats(b, t * rank, &ok);
    b->pair.du = floats(b, t * rank, &ok);
    b->pair.b = floats(b, b->adapter ? widest(c) * rank : 0, &ok);
    if (b->adapter && b->adapter->dropout > 0) {
        b->dropped = floats(b, DROPPED_ROWS * forward_round16(widest(c)), &ok);
        b->d_dropped = floats(b, DROPPED_ROWS * forward_round16(widest(c)), &ok);
        b->f->stream = arena_array(&b->arena, t, sizeof *b->f->stream);
        ok = ok && b->f->stream;
    }
    for (i = 0; i < 2; i++)
        b->minus_sin[i] = floats(b, t * (size_t)c->rope_dim / 2, &ok);
    return ok;
}

static int kept_create(struct backward *b)
{
    const struct config *c = &b->model->config;
    size_t t = b->options.max_tokens, i;
    int ok = 1;

    b->n_kept = b->adapter ? 0 : kept_layers(c, &b->options);
    b->kept = arena_array(&b->arena, b->n_kept, sizeof *b->kept);
    for (i = 0; b->kept && i < b->n_kept; i++) {
        struct kept_layer *kept = &b->kept[i];

        kept->q = floats(b, t * b->q_dim, &ok);
        kept->mixed = floats(b, t * b->q_dim, &ok);
        kept->x_mid = floats(b, t * b->dim, &ok);
        kept->row_max = floats(b, t * (size_t)c->n_heads, &ok);
        kept->row_sum = floats(b, t * (size_t)c->n_heads, &ok);
        kept->gate = floats(b, t * b->ffn_dim, &ok);
        kept->up = floats(b, t * b->ffn_dim, &ok);
    }
    return ok && b->kept;
}

const struct kept_layer *backward_kept(const struct backward *b, int layer)
{
    size_t first = (size_t)b->model->config.n_layers - b->n_kept;

    return (size_t)layer < first || b->parent[b->n_spans - 1] >= 0 ? NULL : &b->kept[(size_t)layer - first];
}

int backward_buffers(struct backward *b)
{
    const struct config *c = &b->model->config;
    size_t threads = (size_t)pool_size(b->exec.pool), i, n;
    int ok = row_buffers(b) && kept_create(b);

    b->act = floats(b, b->f->ffn_tokens * b->ffn_dim, &ok);
    b->d_act = floats(b, b->f->ffn_tokens * (b->ffn_dim > b->dim ? b->ffn_dim : b->dim), &ok);
    b->logits = floats(b, b->options.head_rows * forward_round16((size_t)c->vocab_size), &ok);
    b->gathered = floats(b, b->options.head_rows * b->dim, &ok);
    b->chunk_d = floats(b, b->options.head_rows * b->dim, &ok);
    b->spans = arena_array(&b->arena, b->options.max_spans, sizeof *b->spans);
    b->sequences = arena_array(&b->arena, b->options.max_spans, sizeof *b->sequences);
    b->parent = arena_array(&b->arena, b->options.max_spans, sizeof *b->parent);
    b->first_row = arena_array(&b->arena, b->options.max_spans + 1, sizeof *b->first_row);
    b->adapters = arena_array(&b->arena, 1, sizeof *b->adapters);
    b->key_items = arena_array(
        &b->arena, (b->options.max_tokens / ATTENTION_BLOCK + 2 * b->options.max_spans) * (size_t)c->n_kv_heads,
        sizeof *b->key_items);
    b->linear_scratch = arena_array(&b->arena, threads, sizeof *b->linear_scratch);
    b->scratch = arena_array(&b->arena, threads, sizeof *b->scratch);
    if (!ok || !b->spans || !b->sequences || !b->parent || !b->first_row || !b->adapters || !b->key_items ||
        !b->linear_scratch || !b->scratch)
        return 0;
    b->adapters[0] = b->adapter;
    n = linear_backward_scratch();
    for (i = 0; i < threads; i++) {
        b->linear_scratch[i] = floats(b, n, &ok);
        ok = ok && scratch_create(b, &b->scratch[i]);
    }
    return ok;
}

enum status backward_create(struct backward **out, const struct model *model, struct adapter *adapter,
                            const struct exec *exec, const struct backward_options *options, struct diag *diag)
{
    struct backward *b = memory_alloc(sizeof *b);
    enum status status;

    *out = NULL;
    if (!b)
        return diag_fail(diag, STATUS_MEMORY, "training: out of memory");
    memset(b, 0, sizeof *b);
    arena_init(&b->arena, "training", 0);
    b->model = model;
    b->adapter = adapter;
    b->exec = *exec;
    b->options = *options;
    b->inverse_temperature = 1;
    if (b->options.head_rows > options->max_tokens)
        b->options.head_rows = options->max_tokens;
    status = kv_create(&b->kv, &model->config, options->k_type, options->v_type, pages_of(options), diag);
    if (!status)
        status = forward_create_sized(&b->f, model, b->kv, exec, options->max_tokens, FFN_BYTES, diag);
    if (!status) {
        b->dim = b->f->dim;
        b->q_dim = b->f->q_dim;
        b->kv_dim = b->f->kv_dim;
        b->ffn_dim = b->f->ffn_dim;
        if (!backward_buffers(b))
            status = diag_fail(diag, STATUS_MEMORY, "training: out of memory for %zu tokens a step (%zu MB)",
                               options->max_tokens,
                               backward_bytes(&model->config, options, adapter ? adapter->shape.rank : 0) >> 20);
    }
    if (status) {
        backward_free(b);
        return status;
    }
    *out = b;
    return STATUS_OK;
}

void backward_free(struct backward *b)
{
    size_t i;

    if (!b)
        return;
    for (i = 0; b->sequences && i < b->options.max_spans; i++)
        kv_release(b->kv, &b->sequences[i]);
    forward_free(b->f);
    kv_free(b->kv);
    arena_free(&b->arena);
    memory_free(b);
}

size_t backward_stride(const struct backward *b)
{
    return b->dim;
}

float *backward_d_hidden(struct backward *b)
{
    return b->d_hidden;
}

struct backward_times backward_times(const struct backward *b)
{
    return b->times;
}

void backward_lap(double *clock, double *total)
{
    double now = progress_now();

    *total += now - *clock;
    *clock = now;
}
