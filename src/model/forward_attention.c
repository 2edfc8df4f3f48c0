/* forward_attention.c - the parts of the pass that know sequences: row tables, step 3 (rope, store) and step 4. */
#include "forward_parts.h"

#include <assert.h>
#include <string.h>

void forward_lay_out(struct forward *f, const struct token_span *spans, size_t n_spans)
{
    size_t row = 0, s, t, n;
    int head;

    f->n_items = 0;
    f->any_adapters = 0;
    for (s = 0; s < n_spans; s++) {
        f->any_adapters |= spans[s].n_adapters > 0;
        for (t = 0; t < spans[s].n_tokens; t++, row++) {
            assert(row < f->max_tokens);
            f->token[row] = spans[s].tokens[t];
            f->position[row] = spans[s].sequence->length + t;
            f->span[row] = &spans[s];
        }
        for (t = 0; t < spans[s].n_tokens; t += n) {
            n = spans[s].n_tokens - t < f->tile_tokens ? spans[s].n_tokens - t : f->tile_tokens;
            for (head = 0; head < f->model->config.n_kv_heads; head++) {
                struct attention_item *item = &f->items[f->n_items++];

                item->span = &spans[s];
                item->token = row - spans[s].n_tokens + t;
                item->n_tokens = n;
                item->head = head;
            }
        }
    }
    f->n_tokens = row;
}

/* ---- Step 3: head norms, rotation, and k and v into the cache ---- */

static void rotate_head(const struct forward *f, float *head, const float *weight, size_t t)
{
    const struct config *c = &f->model->config;
    const struct row_kernels *rows = f->exec.kernels->rows;
    size_t half = (size_t)c->rope_dim / 2;
    const float *cosines = f->cos[f->layer->rope] + t * half, *sines = f->sin[f->layer->rope] + t * half;

    if (weight)
        rows->rmsnorm(head, head, weight, (size_t)c->head_dim, c->rms_eps);
    if (c->rope_pairs)
        rows->rope_pairs(head, cosines, sines, half);
    else
        rows->rope_halves(head, cosines, sines, half);
}

static void rope_rows(void *context, size_t begin, size_t end, int worker)
{
    struct forward *f = context;
    const struct config *c = &f->model->config;
    size_t e = (size_t)c->head_dim, t;
    int i;

    (void)worker;
    for (t = begin; t < end; t++) {
        if (f->q_raw) {
            memcpy(f->q_raw + t * f->q_dim, f->q + t * f->q_dim, f->q_dim * sizeof(float));
            memcpy(f->k_raw + t * f->kv_dim, f->k + t * f->kv_dim, f->kv_dim * sizeof(float));
        }
        for (i = 0; i < c->n_heads; i++)
            rotate_head(f, f->q + t * f->q_dim + (size_t)i * e, f->layer->attn_q_norm, t);
        for (i = 0; i < c->n_kv_heads; i++) {
            float *k = f->k + t * f->kv_dim + (size_t)i * e, *v = f->v + t * f->kv_dim + (size_t)i * e;

            rotate_head(f, k, f->layer->attn_k_norm, t);
            kv_store(f->kv, f->exec.kernels->rows, f->span[t]->sequence, f->layer_index, i, f->position[t], k, v);
        }
    }
}

void forward_rope(struct forward *f)
{
    pool_run(f->exec.pool, rope_rows, f, f->n_tokens, 4);
}

/* ---- Step 4: attention ---- */

size_t forward_load_block(const struct forward *f, const struct kv_sequence *sequence, int head, size_t block,
                          size_t last, float *k, float *v)
{
    const size_t pages = ATTENTION_BLOCK / KV_PAGE;
    const struct row_kernels *rows = f->exec.kernels->rows;
    size_t e = (size_t)f->model->config.head_dim, i;

    for (i = 0; i < pages && (block * pages + i) * KV_PAGE <= last; i++) {
        kv_load_k(f->kv, rows, sequence, f->layer_index, head, block * pages + i, k + i * KV_PAGE, ATTENTION_BLOCK);
        kv_load_v(f->kv, rows, sequence, f->layer_index, head, block * pages + i, v + i * KV_PAGE * e);
    }
    return i * KV_PAGE;
}

/* Maximum and sum of each (token, head) of an item, for the backward pass. */
static void keep_softmax(struct forward *f, const struct attention_item *item, const struct attention *a)
{
    size_t group = forward_group(&f->model->config), n_heads = (size_t)f->model->config.n_heads, t, i;

    for (t = 0; t < item->n_tokens; t++)
        for (i = 0; i < group; i++) {
            size_t at = (item->token + t) * n_heads + (size_t)item->head * group + i;

            f->row_max[at] = a->max[t * group + i];
            f->row_sum[at] = a->sum[t * group + i];
        }
}

static void attend(struct forward *f, const struct attention_item *item, const struct attention_scratch *s)
{
    const struct config *c = &f->model->config;
    size_t e = (size_t)c->head_dim, group = forward_group(c), row_bytes = group * e * sizeof(float), t, i, block, end;
    size_t first = f->position[item->token], last = first + item->n_tokens - 1;
    size_t column = (size_t)item->head * group * e; /* of the group's heads in a row of q */
    struct attention a = {.n_rows = item->n_tokens * group, .head_dim = e, .window = (size_t)f->layer->window};

    a.scale = c->attn_scale;
    a.position = s->position;
    a.q = s->q;
    a.acc = s->acc;
    a.max = s->max;
    a.sum = s->sum;
    a.scores = s->scores;
    for (t = 0; t < item->n_tokens; t++) {
        memcpy(s->q + t * group * e, f->q + (item->token + t) * f->q_dim + column, row_bytes);
        for (i = 0; i < group; i++)
            s->position[t * group + i] = first + t;
    }
    attention_begin(&a);
    attention_blocks(first, last, a.window, &block, &end);
    for (; block < end; block++) {
        size_t n_keys = forward_load_block(f, item->span->sequence, item->head, block, last, s->k, s->v);

        attention_block(&a, f->exec.kernels, s->k, s->v, block * ATTENTION_BLOCK, n_keys);
    }
    attention_end(&a, f->exec.kernels);
    for (t = 0; t < item->n_tokens; t++)
        memcpy(f->mixed + (item->token + t) * f->q_dim + column, s->acc + t * group * e, row_bytes);
    if (f->row_max)
        keep_softmax(f, item, &a);
}

static void attention_items(void *context, size_t begin, size_t end, int worker)
{
    struct forward *f = context;
    size_t i;

    for (i = begin; i < end; i++)
        attend(f, &f->items[i], &f->scratch[worker]);
}

void forward_attention(struct forward *f)
{
    pool_run(f->exec.pool, attention_items, f, f->n_items, 1);
}
