/* backward_attention.c - steps 4 and 3 backward.
 *
 * (query, key) pairs are visited key block by key block; every output element has an owner who sums in a fixed order:
 *   d_q        of a row and head: over key blocks ascending
 *   d_k, d_v   of a block: over the heads of the group, then over the queries that see the keys: the span's own, then
 *              those of the spans that continue it
 * A span that continues a parent sees the parent's keys at positions 0 .. parent length - 1; a family is a span without
 * parent and those that continue it. Where there are enough families and kv heads for all threads, an item is one of
 * each and computes probabilities once for all three gradients. Else the items are smaller: query tiles for d_q, then
 * key blocks for d_k and d_v. Both ways give the same bits. */
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

/* Rows [row, end) of one query head against the loaded keys. d_q and d_k, d_v as far as wanted. */
static void head_gradient(struct backward *b, const struct backward_scratch *s, const struct attention_keys *keys,
                          size_t head, size_t row, size_t end, int queries, int own_keys)
{
    const struct config *c = &b->model->config;
    size_t at = row * b->q_dim + head * (size_t)c->head_dim, stat = row * (size_t)c->n_heads + head;
    struct attention_gradient g = {.n_rows = end - row, .head_dim = (size_t)c->head_dim, .scale = c->attn_scale};

    g.window = (size_t)b->f->layer->window;
    g.position = b->f->position + row;
    g.stride = b->q_dim;
    g.q = b->f->q + at;
    g.d_out = b->d_mixed + at;
    g.n_heads = (size_t)c->n_heads;
    g.max = b->row_max + stat;
    g.sum = b->row_sum + stat;
    g.delta = b->delta + stat;
    g.d_q = queries ? b->d_q + at : NULL;
    g.d_k = own_keys ? s->d_k : NULL;
    g.d_v = own_keys ? s->d_v : NULL;
    g.p = s->p;
    g.ds = s->ds;
    attention_backward_block(&g, b->exec.kernels, keys);
}

/* Keys and values of a block, up to position `last`. */
static struct attention_keys load_keys(const struct backward *b, const struct backward_scratch *s,
                                       const struct token_span *span, int head, size_t block, size_t last)
{
    size_t e = (size_t)b->model->config.head_dim;
    size_t n = forward_load_block(b->f, span->sequence, head, block, last, s->k, s->v);
    struct attention_keys keys = {s->k, s->v_t, s->k_t, block * ATTENTION_BLOCK, n};

    transpose(s->v_t, ATTENTION_BLOCK, s->v, e, n, e);
    transpose(s->k_t, e, s->k, ATTENTION_BLOCK, e, n);
    return keys;
}

/* The first of the rows [row, end) that may see a block at `start`. */
static size_t first_query(const struct backward *b, size_t row, size_t end, size_t start)
{
    size_t before = b->f->position[row] < start ? start - b->f->position[row] : 0;

    return before < end - row ? row + before : end;
}

/* ---- The own keys of a span in one block ---- */

/* d_k and d_v of the block, and with `queries` the part of the block in d_q of the rows that see it. */
static void block_gradient(struct backward *b, const struct backward_scratch *s, size_t span, int head, size_t block,
                           int queries)
{
    size_t e = (size_t)b->model->config.head_dim, group = forward_group(&b->model->config), start, i, j;
    size_t row = b->first_row[span], end = b->first_row[span + 1], own = b->f->position[row];
    size_t last = own + (end - row) - 1;
    struct attention_keys keys = load_keys(b, s, &b->spans[span], head, block, last);

    start = keys.start;
    memset(s->d_k, 0, ATTENTION_BLOCK * e * sizeof *s->d_k);
    memset(s->d_v, 0, ATTENTION_BLOCK * e * sizeof *s->d_v);
    for (i = 0; i < group; i++) {
        size_t q_head = (size_t)head * group + i, query = first_query(b, row, end, start);

        if (query < end)
            head_gradient(b, s, &keys, q_head, query, end, queries, 1);
        for (j = span + 1; j < b->n_spans; j++) /* a block that holds keys of both: d_q takes it from the child */
            if (b->parent[j] == (int)span)
                head_gradient(b, s, &keys, q_head, b->first_row[j], b->first_row[j + 1],
                              queries && last >= start + ATTENTION_BLOCK - 1, 1);
    }
    for (i = start < own ? own : start; i <= last && i < start + ATTENTION_BLOCK; i++) {
        size_t to = (row + i - own) * b->kv_dim + (size_t)head * e;

        memcpy(b->d_k + to, s->d_k + (i - start) * e, e * sizeof(float));
        memcpy(b->d_v + to, s->d_v + (i - start) * e, e * sizeof(float));
    }
}

static void span_blocks(const struct backward *b, size_t span, size_t *begin, size_t *end)
{
    size_t first = b->f->position[b->first_row[span]];

    *begin = first / ATTENTION_BLOCK;
    *end = (first + b->spans[span].n_tokens - 1) / ATTENTION_BLOCK + 1;
}

static void key_items(void *context, size_t begin, size_t end, int worker)
{
    struct backward *b = context;

    for (; begin < end; begin++) {
        const struct key_item *item = &b->key_items[begin];

        block_gradient(b, &b->scratch[worker], item->span, item->head, item->block, 0);
    }
}

static void list_key_items(struct backward *b)
{
    size_t s, block, end;
    int head;

    b->n_key_items = 0;
    for (s = 0; s < b->n_spans; s++)
        for (span_blocks(b, s, &block, &end); block < end; block++)
            for (head = 0; head < b->model->config.n_kv_heads; head++) {
                struct key_item item = {s, block, head};

                b->key_items[b->n_key_items++] = item;
            }
}

/* ---- Query tiles ---- */

static void query_item(struct backward *b, const struct attention_item *item, const struct backward_scratch *s)
{
    size_t group = forward_group(&b->model->config), block, end, i;
    size_t first = b->f->position[item->token], last = first + item->n_tokens - 1;

    attention_blocks(first, last, (size_t)b->f->layer->window, &block, &end);
    for (; block < end; block++) {
        struct attention_keys keys = load_keys(b, s, item->span, item->head, block, last);

        for (i = 0; i < group; i++)
            head_gradient(b, s, &keys, (size_t)item->head * group + i, item->token, item->token + item->n_tokens, 1, 0);
    }
}

static void query_items(void *context, size_t begin, size_t end, int worker)
{
    struct backward *b = context;

    for (; begin < end; begin++)
        query_item(b, &b->f->items[begin], &b->scratch[worker]);
}

/* ---- Families ---- */

/* All of a family for one kv head: the blocks of the first span, then those of each that continues it. */
static void family(struct backward *b, size_t span, int head, const struct backward_scratch *s)
{
    size_t block, end, j;

    for (span_blocks(b, span, &block, &end); block < end; block++)
        block_gradient(b, s, span, head, block, 1);
    for (j = span + 1; j < b->n_spans; j++)
        if (b->parent[j] == (int)span)
            for (span_blocks(b, j, &block, &end); block < end; block++)
                block_gradient(b, s, j, head, block, 1);
}

static void families(void *context, size_t begin, size_t end, int worker)
{
    struct backward *b = context;
    size_t heads = (size_t)b->model->config.n_kv_heads;

    for (; begin < end; begin++)
        family(b, begin / heads, (int)(begin % heads), &b->scratch[worker]);
}

static void delta_rows(void *context, size_t begin, size_t end, int worker)
{
    const struct backward *b = context;
    const struct config *c = &b->model->config;

    (void)worker;
    for (; begin < end; begin++)
        attention_deltas(b->exec.kernels, b->delta + begin * (size_t)c->n_heads, b->d_mixed + begin * b->q_dim,
                         b->f->mixed + begin * b->q_dim, (size_t)c->n_heads, (size_t)c->head_dim);
}

#define ROUNDS 4 /* of items for each thread, unless the items divide evenly */

/* Step 4: with P the probabilities, see attention.h for dS; d_q = dS K, d_k = dS^T Q, d_v = P^T d_out. */
void backward_attention(struct backward *b)
{
    size_t n = 0, workers = (size_t)pool_size(b->exec.pool);

    while (n < b->n_spans && b->parent[n] < 0)
        n++;
    n *= (size_t)b->model->config.n_kv_heads;
    pool_run(b->exec.pool, delta_rows, b, b->n_tokens, 8);
    memset(b->d_q, 0, b->n_tokens * b->q_dim * sizeof *b->d_q);
    if (n % workers == 0 || n >= ROUNDS * workers) {
        pool_run(b->exec.pool, families, b, n, 1);
        return;
    }
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
