/* forward.c - the forward pass: nine numbered steps a layer (backward.c counts them back from 9 to 1).
 *
 *     x [T][D] -> (1) norm -> (2) q k v -> (3) rope, store k v -> (4) attention -> (5) output, residual ->
 *                 (6) norm -> (7) gate up -> (8) swiglu -> (9) down, residual -> x
 *
 * T tokens of all spans stand under each other; only steps 3 and 4 (forward_attention.c) look at which sequence a row
 * belongs to. Invariant: every output element is computed by one owner in a fixed order, so batch composition,
 * chunking and threads leave no trace in the bits.
 *
 * Left out: how the batch is chosen (batch.c), sampling (sampler.c). Read next: nn/linear.c, nn/attention.c. */
#include "forward_parts.h"

#include <assert.h>
#include <string.h>
#include "progress.h"
#include "rmsnorm.h"
#include "rope.h"
#include "swiglu.h"

/* Adds the time since *clock to *total and restarts the clock. */
static void lap(double *clock, double *total)
{
    double now = progress_now();

    *total += now - *clock;
    *clock = now;
}

/* The embedding and the rope angles of rows [begin, end). */
static void embed_rows(void *context, size_t begin, size_t end, int worker)
{
    struct forward *f = context;
    size_t half = (size_t)f->model->config.rope_dim / 2, t;
    int i;

    (void)worker;
    for (t = begin; t < end; t++) {
        float *row = f->x + t * f->dim;

        model_embed(f->model, f->token[t], row);
        memset(row + f->model->config.dim, 0, (f->dim - (size_t)f->model->config.dim) * sizeof *row);
        for (i = 0; i < 2; i++)
            if (f->model->inv_freq[i])
                rope_angles(f->cos[i] + t * half, f->sin[i] + t * half, f->model->inv_freq[i], half, f->position[t]);
    }
}

void forward_embed(struct forward *f)
{
    pool_run(f->exec.pool, embed_rows, f, f->n_tokens, 8);
}

/* ---- A matrix of the layer, with the adapters of each row's span ---- */

/* One product of the layer: y = W x (+ adapters); residual += y when given. */
struct product {
    enum target target;
    float *y;
    size_t y_stride;
    float *residual;
};

struct dropout_mask forward_mask(const struct forward *f, enum target target, size_t first)
{
    struct dropout_mask mask = {f->dropout, (uint64_t)f->layer_index * TARGET_COUNT + (uint64_t)target,
                                f->stream + first, f->position + first};

    return mask;
}

void forward_lora_down(struct forward *f, enum target target, const struct lora *lora, float *u, const float *x,
                       size_t x_stride, size_t first, size_t n)
{
    size_t stride = forward_round16(lora->in), end = first + n;

    if (!f->dropout) {
        lora_down(&f->exec, lora, u, x, x_stride, n);
        return;
    }
    for (; first < end; first += n, x += n * x_stride, u += n * lora->rank_stride) {
        struct dropout_mask mask = forward_mask(f, target, first);

        n = end - first < DROPPED_ROWS ? end - first : DROPPED_ROWS;
        dropout_apply(&f->exec, &mask, f->dropped, stride, x, x_stride, n, lora->in);
        lora_down(&f->exec, lora, u, f->dropped, stride, n);
    }
}

/* Rows [row, row + n) of the batch through one pair; y and x address row `row - first` of their buffers. Training keeps
 * u of every row; inference reuses a small buffer, some rows at a time. */
static void adapt_rows(struct forward *f, const struct lora *lora, const struct product *p, size_t first, size_t row,
                       size_t n)
{
    const struct linear_input *in = &f->input;
    size_t step = f->kept_u[p->target] ? n : LORA_FLOATS / lora->rank_stride, end = row + n;

    for (; row < end; row += step) {
        float *u = f->kept_u[p->target] ? f->kept_u[p->target] + row * lora->rank_stride : f->lora_u;

        n = end - row < step ? end - row : step;
        forward_lora_down(f, p->target, lora, u, in->x + (row - first) * in->x_stride, in->x_stride, row, n);
        lora_up(&f->exec, lora, p->y + (row - first) * p->y_stride, p->y_stride, u, n);
    }
}

/* The adapters of rows [first, first + input.n_tokens), run by run of rows that share them. */
static void adapt(struct forward *f, const struct product *p, size_t first)
{
    size_t row = first, end = first + f->input.n_tokens, n, i;

    for (; row < end; row += n) {
        const struct token_span *span = f->span[row];

        for (n = 1; row + n < end && f->span[row + n]->adapters == span->adapters; n++)
            ;
        for (i = 0; i < span->n_adapters; i++) {
            const struct lora *lora = &span->adapters[i]->loras[f->layer_index][p->target];

            if (lora->rank)
                adapt_rows(f, lora, p, first, row, n);
        }
    }
}

struct residual_work {
    struct forward *f;
    const struct product *product;
    size_t n;
};

static void residual_rows(void *context, size_t begin, size_t end, int worker)
{
    const struct residual_work *w = context;
    size_t t;

    (void)worker;
    for (t = begin; t < end; t++)
        w->f->exec.kernels->rows->add(w->product->residual + t * w->product->y_stride,
                                      w->product->y + t * w->product->y_stride, w->n);
}

/* The products of rows [first, ...) that f->input holds. */
static void multiply(struct forward *f, const struct product *products, size_t n, size_t first)
{
    struct linear_job jobs[3];
    size_t i;

    assert(n <= 3);
    for (i = 0; i < n; i++) {
        jobs[i].linear = adapter_linear(f->layer, products[i].target);
        jobs[i].y = products[i].y;
        jobs[i].y_stride = products[i].y_stride;
        jobs[i].residual = f->any_adapters ? NULL : products[i].residual;
    }
    linear_forward(&f->exec, jobs, n, &f->input);
    for (i = 0; f->any_adapters && i < n; i++) {
        struct residual_work work = {f, &products[i], jobs[i].linear->w.rows};

        adapt(f, &products[i], first);
        if (products[i].residual)
            pool_run(f->exec.pool, residual_rows, &work, f->input.n_tokens, 8);
    }
}

/* ---- The nine steps ---- */

void forward_layer(struct forward *f, int index)
{
    f->layer_index = index;
    f->layer = &f->model->layers[index];
}

void forward_norm(struct forward *f, float *y, const float *x, const float *weight, float *residual, size_t n_tokens)
{
    const struct config *c = &f->model->config;

    rmsnorm_forward(&f->exec, y, x, weight, residual, n_tokens, f->dim, (size_t)c->dim, c->rms_eps);
}

void forward_qkv(struct forward *f, const float *h)
{
    struct product products[3] = {
        {TARGET_Q, f->q, f->q_dim, NULL}, {TARGET_K, f->k, f->kv_dim, NULL}, {TARGET_V, f->v, f->kv_dim, NULL}};

    linear_input_set(&f->input, h, f->dim, f->n_tokens, (size_t)f->model->config.dim);
    multiply(f, products, 3, 0);
}

void forward_output(struct forward *f, float *out, float *normed, float *residual)
{
    const struct config *c = &f->model->config;
    struct product product = {TARGET_OUTPUT, out, f->dim, f->layer->post_attn_norm ? NULL : residual};

    linear_input_set(&f->input, f->mixed, f->q_dim, f->n_tokens, (size_t)c->n_heads * (size_t)c->head_dim);
    multiply(f, &product, 1, 0);
    if (f->layer->post_attn_norm)
        forward_norm(f, normed, out, f->layer->post_attn_norm, residual, f->n_tokens);
}

void forward_gate_up(struct forward *f, const float *h, size_t first, size_t n)
{
    struct product products[2] = {{TARGET_GATE, f->gate, f->ffn_dim, NULL}, {TARGET_UP, f->up, f->ffn_dim, NULL}};

    linear_input_set(&f->input, h, f->dim, n, (size_t)f->model->config.dim);
    multiply(f, products, 2, first);
}

void forward_swiglu(struct forward *f, size_t n)
{
    swiglu_forward(&f->exec, f->gate, f->gate, f->up, n, f->ffn_dim, (size_t)f->model->config.ffn_dim,
                   f->model->config.gelu ? ACTIVATION_GELU : ACTIVATION_SILU);
}

void forward_down(struct forward *f, float *out, float *normed, float *residual, size_t first, size_t n)
{
    struct product product = {TARGET_DOWN, out, f->dim, f->layer->post_ffn_norm ? NULL : residual};

    linear_input_set(&f->input, f->gate, f->ffn_dim, n, (size_t)f->model->config.ffn_dim);
    multiply(f, &product, 1, first);
    if (f->layer->post_ffn_norm)
        forward_norm(f, normed, out, f->layer->post_ffn_norm, residual, n);
}

void forward_attention_half(struct forward *f)
{
    double clock = progress_now();

    forward_norm(f, f->h, f->x, f->layer->attn_norm, NULL, f->n_tokens); /* (1) */
    lap(&clock, &f->times.norm);
    forward_qkv(f, f->h); /* (2) */
    lap(&clock, &f->times.linear);
    forward_rope(f); /* (3) */
    lap(&clock, &f->times.rope);
    forward_attention(f); /* (4) */
    lap(&clock, &f->times.attention);
    forward_output(f, f->h, f->h, f->x); /* (5) */
    lap(&clock, &f->times.linear);
}

/* Steps 6 to 9 for the rows [first, first + n). */
static void ffn_half(struct forward *f, size_t first, size_t n)
{
    float *x = f->x + first * f->dim;
    double clock = progress_now();

    forward_norm(f, f->h, x, f->layer->ffn_norm, NULL, n); /* (6) */
    lap(&clock, &f->times.norm);
    forward_gate_up(f, f->h, first, n); /* (7) */
    lap(&clock, &f->times.linear);
    forward_swiglu(f, n); /* (8) */
    lap(&clock, &f->times.swiglu);
    forward_down(f, f->h, f->h, x, first, n); /* (9) */
    lap(&clock, &f->times.linear);
}

void forward_nine_steps(struct forward *f)
{
    size_t t;

    forward_attention_half(f);
    for (t = 0; t < f->n_tokens; t += f->ffn_tokens)
        ffn_half(f, t, f->n_tokens - t < f->ffn_tokens ? f->n_tokens - t : f->ffn_tokens);
}

void forward_run(struct forward *f, const struct token_span *spans, size_t n_spans, const float **hidden)
{
    double clock = progress_now();
    size_t s;
    int i;

    forward_lay_out(f, spans, n_spans);
    forward_embed(f);
    lap(&clock, &f->times.norm);
    for (i = 0; i < f->model->config.n_layers; i++) {
        forward_layer(f, i);
        forward_nine_steps(f);
    }
    clock = progress_now();
    forward_norm(f, f->h, f->x, f->model->output_norm, NULL, f->n_tokens);
    lap(&clock, &f->times.norm);
    for (s = 0; s < n_spans; s++)
        spans[s].sequence->length += spans[s].n_tokens;
    *hidden = f->h;
}

void forward_logits(struct forward *f, const float *hidden, const size_t *rows, size_t n, float *logits)
{
    struct linear_job head = {&f->model->output, logits, forward_logit_stride(f), NULL};
    double clock = progress_now();
    size_t i;

    assert(n <= f->max_tokens);
    for (i = 0; rows && i < n; i++) /* gathered into x, which is free between runs */
        memcpy(f->x + i * f->dim, hidden + rows[i] * f->dim, f->dim * sizeof(float));
    linear_input_set(&f->input, rows ? f->x : hidden, f->dim, n, (size_t)f->model->config.dim);
    linear_forward(&f->exec, &head, 1, &f->input);
    lap(&clock, &f->times.head);
}
