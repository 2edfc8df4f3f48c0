/* backward.c - the nine steps counted back, from 9 to 1, layer by layer from the last.
 *
 *     dx = dL/d(output of the layer) -> (9) down -> (8) swiglu -> (7) gate up -> (6) norm -> + dx
 *                                    -> (5) output -> (4) attention -> (3) rope -> (2) q k v -> (1) norm -> + dx
 *
 * What a step of the forward pass made and its backward step reads:
 *     saved[l] input of layer l     written before step 1      read by 1 (norm) and to compute the layer again
 *     h        normed input         (1)                        2 (adapters, weights)
 *     q, row_max, row_sum, mixed    (3) (4)                    4, 5
 *     q_raw, k_raw                  (2)                        3 (head norms)
 *     kept_u   A x of each adapter  (2) (5) (7) (9)            2, 5, 7, 9
 *     x_mid    residual stream      (5)                        6
 *     gate up act                   (7) (8)                    7, 8, 9
 * Only saved[l] survives the forward pass; the rest is computed again, layer by layer, on the way back (in full
 * training of small models the costly part of it is kept: struct kept_layer). Read next: backward_attention.c,
 * nn/linear.c. */
#include "backward_parts.h"

#include <assert.h>
#include <string.h>
#include "progress.h"
#include "rmsnorm.h"
#include "swiglu.h"

/* ---- One matrix of the layer ---- */

static struct layer_gradients *layer_gradients(const struct backward *b)
{
    return b->weights ? &b->weights->layers[b->f->layer_index] : NULL;
}

/* The adapter pair of one matrix; with dropout some rows at a time, from the masked input and through the mask. */
static void backward_pair(struct backward *b, enum target target, const float *dy, size_t dy_stride, float *dx,
                          size_t dx_stride, const float *x, size_t x_stride, size_t first, size_t n)
{
    const struct lora *lora = &b->adapter->loras[b->f->layer_index][target];
    float *d_a = b->d_params + (lora->a - b->adapter->params), *d_b_t = d_a + (lora->b_t - lora->a);
    const float *u = b->kept_u[target] + first * lora->rank_stride;
    size_t stride = forward_round16(lora->in), end = first + n;

    if (!b->f->dropout) {
        lora_backward(&b->exec, lora, d_a, d_b_t, dx, dx_stride, &b->pair, u, dy, dy_stride, x, x_stride, n);
        return;
    }
    for (; first < end; first += n) {
        struct dropout_mask mask = forward_mask(b->f, target, first);

        n = end - first < DROPPED_ROWS ? end - first : DROPPED_ROWS;
        dropout_apply(&b->exec, &mask, b->dropped, stride, x, x_stride, n, lora->in);
        memset(b->d_dropped, 0, n * stride * sizeof *b->d_dropped);
        lora_backward(&b->exec, lora, d_a, d_b_t, b->d_dropped, stride, &b->pair, u, dy, dy_stride, b->dropped, stride,
                      n);
        dropout_add(&b->exec, &mask, dx, dx_stride, b->d_dropped, stride, n, lora->in);
        u += n * lora->rank_stride;
        dy += n * dy_stride;
        dx += n * dx_stride;
        x += n * x_stride;
    }
}

/* Gradient of the adapter pair and of the weights of one matrix from dy; dx gets the pair's part. x is
 * the input as the forward pass read it, `first` the batch row of x's first row. */
static void backward_parameters(struct backward *b, enum target target, const float *dy, size_t dy_stride, float *dx,
                                size_t dx_stride, const float *x, size_t x_stride, size_t first, size_t n)
{
    const struct linear *linear = adapter_linear(b->f->layer, target);
    struct layer_gradients *g = layer_gradients(b);
    double clock = progress_now();

    if (b->adapter && b->adapter->loras[b->f->layer_index][target].rank)
        backward_pair(b, target, dy, dy_stride, dx, dx_stride, x, x_stride, first, n);
    if (g && g->weight[target])
        linear_backward_weight(&b->exec, g->weight[target], g->bias[target], linear->w.rows, linear->w.cols, dy,
                               dy_stride, x, x_stride, n);
    backward_lap(&clock, &b->times.lora);
}

/* dx [n][dx_stride] = sum over the targets of dy W. */
static void backward_input(struct backward *b, float *dx, size_t dx_stride, const struct linear_gradient *jobs,
                           size_t n_jobs, size_t n)
{
    double clock = progress_now();

    linear_backward(&b->exec, dx, dx_stride, jobs, n_jobs, n, b->linear_scratch);
    backward_lap(&clock, &b->times.dx);
}

static struct linear_gradient term(const struct linear *linear, const float *dy, size_t dy_stride)
{
    struct linear_gradient job = {linear, dy, dy_stride};

    return job;
}

/* dx += the norm's part, d overwritten; d_weight NULL unless wanted. */
static void backward_norm(struct backward *b, float *dx, float *d, const float *x, const float *weight, float *d_weight,
                          size_t n)
{
    const struct config *c = &b->model->config;

    if (d_weight)
        rmsnorm_backward_weight(&b->exec, d_weight, d, x, n, b->dim, (size_t)c->dim, c->rms_eps);
    rmsnorm_backward(&b->exec, dx, d, x, weight, n, b->dim, (size_t)c->dim, c->rms_eps);
}

/* The gradient that reaches a projection's output: dx itself, or dx through the post-norm (into d_h's rows). */
static const float *backward_post_norm(struct backward *b, const float *dx, const float *out, const float *weight,
                                       float *d_weight, float *scratch, size_t n)
{
    if (!weight)
        return dx;
    memcpy(scratch, dx, n * b->dim * sizeof *scratch);
    memset(b->d_h, 0, n * b->dim * sizeof *b->d_h);
    backward_norm(b, b->d_h, scratch, out, weight, d_weight, n);
    return b->d_h;
}

/* ---- Steps 9 to 6, for the rows [first, first + n) ---- */

static void recompute_ffn(struct backward *b, size_t first, size_t n)
{
    struct forward *f = b->f;
    const struct config *c = &b->model->config;
    const struct lora *down = b->adapter ? &b->adapter->loras[f->layer_index][TARGET_DOWN] : NULL;
    float *h = b->hidden + first * b->dim;

    forward_norm(f, h, b->x_mid + first * b->dim, f->layer->ffn_norm, NULL, n);
    if (!backward_kept(b, f->layer_index))
        forward_gate_up(f, h, first, n);
    swiglu_forward(&b->exec, b->act, f->gate, f->up, n, b->ffn_dim, (size_t)c->ffn_dim,
                   c->gelu ? ACTIVATION_GELU : ACTIVATION_SILU);
    if (f->layer->post_ffn_norm) { /* its backward needs the projection itself */
        float *gate = f->gate;

        f->gate = b->act;
        forward_down(f, b->out, b->d_act, NULL, first, n);
        f->gate = gate;
    } else if (down && down->rank) {
        forward_lora_down(f, TARGET_DOWN, down, b->kept_u[TARGET_DOWN] + first * down->rank_stride, b->act, b->ffn_dim,
                          first, n);
    }
}

static void backward_ffn(struct backward *b, size_t first, size_t n)
{
    struct forward *f = b->f;
    const struct config *c = &b->model->config;
    const struct layer *layer = f->layer;
    struct layer_gradients *g = layer_gradients(b);
    float *dx = b->d_hidden + first * b->dim, *h = b->hidden + first * b->dim;
    struct linear_gradient jobs[2];
    const float *dy;
    double clock = progress_now();

    recompute_ffn(b, first, n);
    backward_lap(&clock, &b->times.recompute);
    dy = backward_post_norm(b, dx, b->out, layer->post_ffn_norm, g ? g->post_ffn_norm : NULL, b->d_act, n);
    jobs[0] = term(&layer->ffn_down, dy, b->dim); /* (9) */
    backward_input(b, b->d_act, b->ffn_dim, jobs, 1, n);
    backward_parameters(b, TARGET_DOWN, dy, b->dim, b->d_act, b->ffn_dim, b->act, b->ffn_dim, first, n);
    clock = progress_now();
    swiglu_backward(&b->exec, f->gate, f->up, b->d_act, n, b->ffn_dim, (size_t)c->ffn_dim, /* (8) */
                    c->gelu ? ACTIVATION_GELU : ACTIVATION_SILU);
    backward_lap(&clock, &b->times.rest);
    jobs[0] = term(&layer->ffn_gate, f->gate, b->ffn_dim); /* (7) */
    jobs[1] = term(&layer->ffn_up, f->up, b->ffn_dim);
    backward_input(b, b->d_h, b->dim, jobs, 2, n);
    backward_parameters(b, TARGET_GATE, f->gate, b->ffn_dim, b->d_h, b->dim, h, b->dim, first, n);
    backward_parameters(b, TARGET_UP, f->up, b->ffn_dim, b->d_h, b->dim, h, b->dim, first, n);
    clock = progress_now();
    backward_norm(b, dx, b->d_h, b->x_mid + first * b->dim, layer->ffn_norm, g ? g->ffn_norm : NULL, n); /* (6) */
    backward_lap(&clock, &b->times.rest);
}

/* ---- Steps 5 to 1, for all rows ---- */

/* Computes steps 1 to 5 again from saved[l]. */
static void recompute_attention(struct backward *b, const float *input)
{
    struct forward *f = b->f;
    size_t bytes = b->n_tokens * b->dim * sizeof(float);

    memcpy(f->x, input, bytes);
    forward_norm(f, b->h, f->x, f->layer->attn_norm, NULL, b->n_tokens);
    forward_qkv(f, b->h);
    forward_rope(f);
    forward_attention(f);
    forward_output(f, b->out, f->h, f->x);
    memcpy(b->x_mid, f->x, bytes);
}

static void backward_attention_half(struct backward *b, const float *input)
{
    struct forward *f = b->f;
    const struct layer *layer = f->layer;
    struct layer_gradients *g = layer_gradients(b);
    size_t n = b->n_tokens;
    struct linear_gradient jobs[3];
    const float *dy;
    double clock;

    if (layer->post_attn_norm) /* steps 6 to 9 have used `out` */
        forward_output(f, b->out, f->h, f->x);
    dy = backward_post_norm(b, b->d_hidden, b->out, layer->post_attn_norm, g ? g->post_attn_norm : NULL, f->h, n);
    jobs[0] = term(&layer->attn_output, dy, b->dim); /* (5) */
    backward_input(b, b->d_mixed, b->q_dim, jobs, 1, n);
    backward_parameters(b, TARGET_OUTPUT, dy, b->dim, b->d_mixed, b->q_dim, f->mixed, b->q_dim, 0, n);
    clock = progress_now();
    backward_attention(b); /* (4) */
    backward_rope(b);      /* (3) */
    backward_lap(&clock, &b->times.attention);
    jobs[0] = term(&layer->attn_q, b->d_q, b->q_dim); /* (2) */
    jobs[1] = term(&layer->attn_k, b->d_k, b->kv_dim);
    jobs[2] = term(&layer->attn_v, b->d_v, b->kv_dim);
    backward_input(b, b->d_h, b->dim, jobs, 3, n);
    backward_parameters(b, TARGET_Q, b->d_q, b->q_dim, b->d_h, b->dim, b->h, b->dim, 0, n);
    backward_parameters(b, TARGET_K, b->d_k, b->kv_dim, b->d_h, b->dim, b->h, b->dim, 0, n);
    backward_parameters(b, TARGET_V, b->d_v, b->kv_dim, b->d_h, b->dim, b->h, b->dim, 0, n);
    clock = progress_now();
    backward_norm(b, b->d_hidden, b->d_h, input, layer->attn_norm, g ? g->attn_norm : NULL, n); /* (1) */
    backward_lap(&clock, &b->times.rest);
}

/* ---- The whole way ---- */

/* The rows of all spans again, at the positions they had; sequences keep their pages. */
static void rewind_spans(struct backward *b)
{
    const struct config *c = &b->model->config;
    size_t s, i, half = (size_t)c->rope_dim / 2;
    int rope;

    for (s = 0; s < b->n_spans; s++)
        b->sequences[s].length -= b->spans[s].n_tokens;
    forward_lay_out(b->f, b->spans, b->n_spans);
    backward_streams(b);
    forward_embed(b->f);
    for (s = 0; s < b->n_spans; s++)
        b->sequences[s].length += b->spans[s].n_tokens;
    for (rope = 0; rope < 2; rope++)
        for (i = 0; b->model->inv_freq[rope] && i < b->n_tokens * half; i++)
            b->minus_sin[rope][i] = -b->f->sin[rope][i];
}

/* Makes the forward steps keep what the way back reads (or stops that). */
static void keep(struct backward *b, int on)
{
    int i;

    b->f->q_raw = on ? b->q_raw : NULL;
    b->f->k_raw = on ? b->k_raw : NULL;
    b->f->row_max = on ? b->row_max : NULL;
    b->f->row_sum = on ? b->row_sum : NULL;
    for (i = 0; i < TARGET_COUNT; i++)
        b->f->kept_u[i] = on ? b->kept_u[i] : NULL;
}

/* Embedding gradient: each owner takes some columns and adds the tokens' rows in order. */
#define COLUMNS 64

static void embedding_columns(void *context, size_t begin, size_t end, int worker)
{
    const struct backward *b = context;
    size_t dim = (size_t)b->model->config.dim, c = begin * COLUMNS, t;
    size_t n = (end * COLUMNS < dim ? end * COLUMNS : dim) - c;

    (void)worker;
    for (t = 0; t < b->n_tokens; t++)
        b->exec.kernels->rows->axpy(b->weights->token_embd + (size_t)b->f->token[t] * dim + c,
                                    b->model->config.embd_scale, b->d_hidden + t * b->dim + c, n);
}

/* The buffers that a layer's values lie in: those of all layers, or its own where they are kept. */
struct places {
    float *q, *mixed, *x_mid, *row_max, *row_sum;
};

static struct places exchange_places(struct backward *b, const struct places *new_places)
{
    struct places old = {b->f->q, b->f->mixed, b->x_mid, b->row_max, b->row_sum};

    b->f->q = new_places->q;
    b->f->mixed = new_places->mixed;
    b->x_mid = new_places->x_mid;
    b->row_max = new_places->row_max;
    b->row_sum = new_places->row_sum;
    return old;
}

/* A layer back: its values again where they were not kept, then steps 9 to 1. */
static void backward_layer(struct backward *b, int layer)
{
    const float *input = b->saved + (size_t)layer * b->options.max_tokens * b->dim;
    const struct kept_layer *kept = backward_kept(b, layer);
    size_t first, n = b->n_tokens, step = b->f->ffn_tokens;
    float *gate = b->f->gate, *up = b->f->up;
    struct places places;
    double clock = progress_now();

    forward_layer(b->f, layer);
    if (kept) {
        struct places own = {kept->q, kept->mixed, kept->x_mid, kept->row_max, kept->row_sum};

        places = exchange_places(b, &own);
        forward_norm(b->f, b->h, input, b->f->layer->attn_norm, NULL, n);
    } else {
        recompute_attention(b, input);
    }
    backward_lap(&clock, &b->times.recompute);
    for (first = 0; first < n; first += step) {
        b->f->gate = kept ? kept->gate + first * b->ffn_dim : gate;
        b->f->up = kept ? kept->up + first * b->ffn_dim : up;
        backward_ffn(b, first, n - first < step ? n - first : step);
    }
    b->f->gate = gate;
    b->f->up = up;
    backward_attention_half(b, input);
    if (kept)
        exchange_places(b, &places);
}

void backward_run(struct backward *b, float *d_params, const struct weight_gradients *weights)
{
    const struct config *c = &b->model->config;
    size_t step = b->n_tokens * b->dim, n = b->n_tokens;
    double clock = progress_now();
    int layer;

    b->d_params = d_params;
    b->weights = weights;
    rewind_spans(b);
    keep(b, 1);
    memcpy(b->h, b->d_hidden, step * sizeof(float));
    memset(b->d_hidden, 0, step * sizeof(float));
    backward_norm(b, b->d_hidden, b->h, b->saved + (size_t)c->n_layers * b->options.max_tokens * b->dim,
                  b->model->output_norm, weights ? weights->output_norm : NULL, n);
    backward_lap(&clock, &b->times.rest);
    for (layer = c->n_layers - 1; layer >= 0; layer--)
        backward_layer(b, layer);
    if (weights && weights->token_embd)
        pool_run(b->exec.pool, embedding_columns, b, ((size_t)c->dim + COLUMNS - 1) / COLUMNS, 1);
    keep(b, 0);
}
