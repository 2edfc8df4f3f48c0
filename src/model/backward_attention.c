/* backward_attention.c - steps 4 and 3 backward.
 *
 * Two passes over (query, key) pairs, each with an owner per output element:
 *   queries: an item is a tile of query rows and a kv head; d_q of its rows sums over key blocks ascending.
 *   keys:    an item is the own keys of a span in one block and a kv head; d_k and d_v sum over the heads of the group,
 *            then over the queries that see the keys: the span's own, then those of the spans that continue it.
 * A span that continues a parent sees the parent's keys at positions 0 .. parent length - 1. */
#include "backward_parts.h"

#include <string.h>
#include "rmsnorm.h"

/* to [columns][rows] = from [rows][columns]^T, row strides given. */
static void transpose(float *to, size_t to_stride, const float *from, size_t from_stride, size_t rows, size_t columns)
{
    size_t i, j;

    for (i = 0; i < rows; i++)
        for (j = 0; j < columns; j++)
            to[j * to_stride + i] = from[i * from_stride + j];
}

/* Collects the rows of tokens [row, row + n) and heads [head, head + n_heads) into scratch: n * n_heads query rows. */
static struct attention_gradient gather(const struct backward *b, const struct backward_scratch *s, size_t row,
                                        size_t n, size_t head, size_t n_heads)
{
    const struct config *c = &b->model->config;
    size_t e = (size_t)c->head_dim, bytes = n_heads * e * sizeof(float), t, i;
    struct attention_gradient g = {.d_out = s->d_out, .delta = s->delta, .p = s->p, .ds = s->ds};

    for (t = 0; t < n; t++) {
        size_t at = (row + t) * b->q_dim + head * e, stat = (row + t) * (size_t)c->n_heads + head;

        memcpy(s->q + t * n_heads * e, b->f->q + at, bytes);
        memcpy(s->d_out + t * n_heads * e, b->d_mixed + at, bytes);
        memcpy(s->out + t * n_heads * e, b->f->mixed + at, bytes);
        for (i = 0; i < n_heads; i++) {
            s->max[t * n_heads + i] = b->row_max[stat + i];
            s->sum[t * n_heads + i] = b->row_sum[stat + i];
            s->position[t * n_heads + i] = b->f->position[row + t];
        }
    }
    g.forward.n_rows = n * n_heads;
    g.forward.head_dim = e;
    g.forward.window = (size_t)b->f->layer->window;
    g.forward.scale = c->attn_scale;
    g.forward.position = s->position;
    g.forward.q = s->q;
    g.forward.acc = s->out;
    g.forward.max = s->max;
    g.forward.sum = s->sum;
    attention_gradient_begin(&g, b->exec.kernels);
    return g;
}

/* Keys and values of a block, up to position `last`: k and v_t with keys in lanes, k_t with keys in rows. */
static size_t load_keys(const struct backward *b, const struct backward_scratch *s, const struct token_span *span,
                        int head, size_t block, size_t last)
{
    size_t e = (size_t)b->model->config.head_dim;
    size_t n = forward_load_block(b->f, span->sequence, head, block, last, s->k, s->v);

    transpose(s->v_t, ATTENTION_BLOCK, s->v, e, n, e);
    transpose(s->k_t, e, s->k, ATTENTION_BLOCK, e, n);
    return n;
}

/* ---- Queries ---- */

static void query_item(struct backward *b, const struct attention_item *item, const struct backward_scratch *s)
{
    size_t e = (size_t)b->model->config.head_dim, group = forward_group(&b->model->config), t, block, end;
    size_t first = b->f->position[item->token], last = first + item->n_tokens - 1, head = (size_t)item->head * group;
    struct attention_gradient g = gather(b, s, item->token, item->n_tokens, head, group);

    memset(s->d_q, 0, g.forward.n_rows * e * sizeof *s->d_q);
    attention_blocks(first, last, g.forward.window, &block, &end);
    for (; block < end; block++) {
        size_t n = load_keys(b, s, item->span, item->head, block, last);

        attention_backward_block(&g, b->exec.kernels, s->k, s->v_t, block * ATTENTION_BLOCK, n);
        b->exec.kernels->gemm_f32(s->d_q, e, s->ds, ATTENTION_BLOCK, 1, s->k_t, e, g.forward.n_rows, e, n, 1);
    }
    for (t = 0; t < item->n_tokens; t++)
        memcpy(b->d_q + (item->token + t) * b->q_dim + head * e, s->d_q + t * group * e, group * e * sizeof *s->d_q);
}

static void query_items(void *context, size_t begin, size_t end, int worker)
{
    struct backward *b = context;

    for (; begin < end; begin++)
        query_item(b, &b->f->items[begin], &b->scratch[worker]);
}

/* ---- Keys ---- */

/* The queries of one span (rows from its position on) against the keys of a block, for one head. */
static void keys_from_span(struct backward *b, const struct backward_scratch *s, size_t span, size_t head, size_t start,
                           size_t n_keys)
{
    const struct kernels *kernels = b->exec.kernels;
    size_t e = (size_t)b->model->config.head_dim, row = b->first_row[span], end = b->first_row[span + 1], n;
    size_t window = (size_t)b->f->layer->window;

    if (b->f->position[row] < start) /* queries before the block see nothing of it */
        row = start - b->f->position[row] < end - row ? row + (start - b->f->position[row]) : end;
    for (; row < end; row += n) {
        struct attention_gradient g;

        if (window && b->f->position[row] >= start + ATTENTION_BLOCK + window)
            return;
        n = end - row < ATTENTION_ROWS ? end - row : ATTENTION_ROWS;
        g = gather(b, s, row, n, head, 1);
        attention_backward_block(&g, kernels, s->k, s->v_t, start, n_keys);
        kernels->gemm_f32(s->d_k, e, s->ds, 1, ATTENTION_BLOCK, s->q, e, ATTENTION_BLOCK, e, n, 1);
        kernels->gemm_f32(s->d_v, e, s->p, 1, ATTENTION_BLOCK, s->d_out, e, ATTENTION_BLOCK, e, n, 1);
    }
}

static void key_item(struct backward *b, const struct key_item *item, const struct backward_scratch *s)
{
    size_t e = (size_t)b->model->config.head_dim, group = forward_group(&b->model->config), i, j;
    size_t row = b->first_row[item->span], end = b->first_row[item->span + 1], start = item->block * ATTENTION_BLOCK;
    size_t own = b->f->position[row], last = own + (end - row) - 1;
    size_t n_keys = load_keys(b, s, &b->spans[item->span], item->head, item->block, last);

    memset(s->d_k, 0, ATTENTION_BLOCK * e * sizeof *s->d_k);
    memset(s->d_v, 0, ATTENTION_BLOCK * e * sizeof *s->d_v);
    for (i = 0; i < group; i++) {
        keys_from_span(b, s, item->span, (size_t)item->head * group + i, start, n_keys);
        for (j = item->span + 1; j < b->n_spans; j++)
            if (b->parent[j] == (int)item->span)
                keys_from_span(b, s, j, (size_t)item->head * group + i, start, n_keys);
    }
    for (i = start < own ? own : start; i <= last && i < start + ATTENTION_BLOCK; i++) {
        size_t to = (row + i - own) * b->kv_dim + (size_t)item->head * e;

        memcpy(b->d_k + to, s->d_k + (i - start) * e, e * sizeof(float));
        memcpy(b->d_v + to, s->d_v + (i - start) * e, e * sizeof(float));
    }
}

static void key_items(void *context, size_t begin, size_t end, int worker)
{
    struct backward *b = context;

    for (; begin < end; begin++)
        key_item(b, &b->key_items[begin], &b->scratch[worker]);
}

static void list_key_items(struct backward *b)
{
    size_t s;
    int head;

    b->n_key_items = 0;
    for (s = 0; s < b->n_spans; s++) {
        size_t first = b->f->position[b->first_row[s]], last = first + b->spans[s].n_tokens - 1, block;

        for (block = first / ATTENTION_BLOCK; block <= last / ATTENTION_BLOCK; block++)
            for (head = 0; head < b->model->config.n_kv_heads; head++) {
                struct key_item item = {s, block, head};

                b->key_items[b->n_key_items++] = item;
            }
    }
}

/* Step 4: with P the probabilities, see attention.h for dS; d_q = dS K, d_k = dS^T Q, d_v = P^T d_out. */
void backward_attention(struct backward *b)
{
    list_key_items(b);
    pool_run(b->exec.pool, query_items, b, b->f->n_items, 1);
    pool_run(b->exec.pool, key_items, b, b->n_key_items, 1);
}

/* ---- Step 3: the rotation is orthogonal, so its transpose is the rotation by the opposite angle ---- */

static void unrotate_rows(void *context, size_t begin, size_t end, int worker)
{
    const struct backward *b = context;
    const struct config *c = &b->model->config;
    const struct row_kernels *rows = b->exec.kernels->rows;
    size_t half = (size_t)c->rope_dim / 2, e = (size_t)c->head_dim, t, i;
    size_t n_heads = (size_t)c->n_heads, n_kv_heads = (size_t)c->n_kv_heads;

    (void)worker;
    for (t = begin; t < end; t++) {
        const float *cosines = b->f->cos[b->f->layer->rope] + t * half;
        const float *sines = b->minus_sin[b->f->layer->rope] + t * half;

        for (i = 0; i < n_heads + n_kv_heads; i++) {
            float *d = i < n_heads ? b->d_q + t * b->q_dim + i * e : b->d_k + t * b->kv_dim + (i - n_heads) * e;

            if (c->rope_pairs)
                rows->rope_pairs(d, cosines, sines, half);
            else
                rows->rope_halves(d, cosines, sines, half);
        }
    }
}

/* The per-head norms of qwen3 and gemma3, from the rows before them. */
static void unnorm_rows(void *context, size_t begin, size_t end, int worker)
{
    const struct backward *b = context;
    const struct config *c = &b->model->config;
    const struct row_kernels *rows = b->exec.kernels->rows;
    size_t e = (size_t)c->head_dim, t, at;
    int i;

    (void)worker;
    for (t = begin; t < end; t++) {
        for (i = 0; i < c->n_heads; i++) {
            at = t * b->q_dim + (size_t)i * e;
            rmsnorm_backward_row(rows, b->d_q + at, b->q_raw + at, b->f->layer->attn_q_norm, e, c->rms_eps);
        }
        for (i = 0; i < c->n_kv_heads; i++) {
            at = t * b->kv_dim + (size_t)i * e;
            rmsnorm_backward_row(rows, b->d_k + at, b->k_raw + at, b->f->layer->attn_k_norm, e, c->rms_eps);
        }
    }
}

void backward_rope(struct backward *b)
{
    const struct config *c = &b->model->config;
    struct layer_gradients *g = b->weights ? &b->weights->layers[b->f->layer_index] : NULL;
    size_t e = (size_t)c->head_dim, t;

    pool_run(b->exec.pool, unrotate_rows, b, b->n_tokens, 4);
    if (!b->f->layer->attn_q_norm)
        return;
    for (t = 0; g && g->attn_q_norm && t < b->n_tokens; t++) { /* heads of a token as rows of stride e */
        rmsnorm_backward_weight(&b->exec, g->attn_q_norm, b->d_q + t * b->q_dim, b->q_raw + t * b->q_dim,
                                (size_t)c->n_heads, e, e, c->rms_eps);
        rmsnorm_backward_weight(&b->exec, g->attn_k_norm, b->d_k + t * b->kv_dim, b->k_raw + t * b->kv_dim,
                                (size_t)c->n_kv_heads, e, e, c->rms_eps);
    }
    pool_run(b->exec.pool, unnorm_rows, b, b->n_tokens, 4);
}
