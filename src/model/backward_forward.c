/* backward_forward.c - training's forward pass and the loss through the head.
 *
 * Spans without parent run first, all together; then those that continue a parent, on a fork of its pages. The rows of
 * both stand under each other in `saved` and `hidden`. */
#include "backward_parts.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include "progress.h"
#include "sampler.h"
#include "swiglu.h"

void backward_dropout(struct backward *b, uint64_t seed, uint64_t step)
{
    if (!b->dropped)
        return;
    b->dropout = dropout_create((double)b->adapter->dropout, seed);
    b->dropping = b->dropout.threshold != 0;
    b->step = step;
    b->n_streams = 0;
}

void backward_dropout_end(struct backward *b)
{
    b->dropping = 0;
}

void backward_streams(struct backward *b)
{
    struct forward *f = b->f;
    size_t t;

    f->dropout = b->dropping ? &b->dropout : NULL;
    f->dropped = b->dropped;
    for (t = 0; f->dropout && t < f->n_tokens; t++)
        f->stream[t] = b->step << 32 | (b->first_stream + (uint64_t)(f->span[t] - b->spans));
}

/* The nine steps of a layer whose values are kept. */
static void keep_nine_steps(struct backward *b, const struct kept_layer *kept)
{
    struct forward *f = b->f;
    float *q = f->q, *mixed = f->mixed, *gate = f->gate, *up = f->up;
    size_t first, n;

    f->q = kept->q;
    f->mixed = kept->mixed;
    f->row_max = kept->row_max;
    f->row_sum = kept->row_sum;
    forward_attention_half(f);
    memcpy(kept->x_mid, f->x, f->n_tokens * b->dim * sizeof(float));
    for (first = 0; first < f->n_tokens; first += n) {
        float *x = f->x + first * b->dim;

        n = f->n_tokens - first < f->ffn_tokens ? f->n_tokens - first : f->ffn_tokens;
        forward_norm(f, f->h, x, f->layer->ffn_norm, NULL, n);
        f->gate = kept->gate + first * b->ffn_dim;
        f->up = kept->up + first * b->ffn_dim;
        forward_gate_up(f, f->h, first, n);
        swiglu_forward(&b->exec, gate, f->gate, f->up, n, b->ffn_dim, (size_t)b->model->config.ffn_dim,
                       b->model->config.gelu ? ACTIVATION_GELU : ACTIVATION_SILU);
        f->gate = gate;
        f->up = up;
        forward_down(f, f->h, f->h, x, first, n);
    }
    f->q = q;
    f->mixed = mixed;
    f->row_max = f->row_sum = NULL;
}

/* Runs the spans [from, to) and keeps each layer's input. */
static void run_wave(struct backward *b, size_t from, size_t to)
{
    struct forward *f = b->f;
    size_t row = b->first_row[from] * b->dim, layer_step = b->options.max_tokens * b->dim, bytes, s;
    int layer, n_layers = b->model->config.n_layers;

    if (from == to)
        return;
    forward_lay_out(f, b->spans + from, to - from);
    backward_streams(b);
    forward_embed(f);
    bytes = f->n_tokens * b->dim * sizeof(float);
    for (layer = 0; layer < n_layers; layer++) {
        memcpy(b->saved + (size_t)layer * layer_step + row, f->x, bytes);
        forward_layer(f, layer);
        if (backward_kept(b, layer))
            keep_nine_steps(b, backward_kept(b, layer));
        else
            forward_nine_steps(f);
    }
    memcpy(b->saved + (size_t)n_layers * layer_step + row, f->x, bytes);
    forward_norm(f, b->hidden + row, f->x, b->model->output_norm, NULL, f->n_tokens);
    for (s = from; s < to; s++)
        b->sequences[s].length += b->spans[s].n_tokens;
}

/* Room for the span's tokens, on a fork of its parent's pages. */
static enum status open_span(struct backward *b, size_t s, struct diag *diag)
{
    enum status status = STATUS_OK;

    if (b->parent[s] >= 0)
        status = kv_fork(b->kv, &b->sequences[s], &b->sequences[b->parent[s]], b->sequences[b->parent[s]].length, diag);
    return status ? status : kv_reserve(b->kv, &b->sequences[s], b->spans[s].n_tokens, diag);
}

static enum status open_wave(struct backward *b, size_t from, size_t to, struct diag *diag)
{
    enum status status = STATUS_OK;

    for (; from < to && !status; from++)
        status = open_span(b, from, diag);
    return status;
}

/* Takes over the caller's spans; returns the number of those without parent. */
static size_t take_spans(struct backward *b, const struct train_span *spans, size_t n_spans)
{
    size_t s, first = n_spans;

    assert(n_spans <= b->options.max_spans);
    for (s = 0; s < b->options.max_spans; s++)
        kv_release(b->kv, &b->sequences[s]);
    b->n_spans = n_spans;
    b->n_tokens = 0;
    for (s = 0; s < n_spans; s++) {
        struct token_span span = {&b->sequences[s], spans[s].tokens, spans[s].n_tokens, b->adapters,
                                  b->adapter != NULL};

        if (spans[s].parent >= 0 && first == n_spans)
            first = s;
        assert((spans[s].parent >= 0) == (s >= first) && spans[s].parent < (int)first);
        b->spans[s] = span;
        b->parent[s] = spans[s].parent;
        b->first_row[s] = b->n_tokens;
        b->n_tokens += spans[s].n_tokens;
    }
    b->first_row[n_spans] = b->n_tokens;
    assert(b->n_tokens <= b->options.max_tokens);
    return first;
}

/* A residual stream too large to be squared would come out of the norm as zeros: finite, and wrong. */
static enum status check_rows(const struct backward *b, struct diag *diag)
{
    const float *x = b->saved + (size_t)b->model->config.n_layers * b->options.max_tokens * b->dim;
    size_t t;

    for (t = 0; t < b->n_tokens; t++, x += b->dim)
        if (!isfinite(b->exec.kernels->rows->dot(x, x, b->dim)))
            return diag_fail(diag, STATUS_NUMERIC, "token %zu: the hidden state overflows", t);
    return STATUS_OK;
}

enum status backward_forward(struct backward *b, const struct train_span *spans, size_t n_spans, const float **hidden,
                             struct diag *diag)
{
    double clock = progress_now();
    size_t first = take_spans(b, spans, n_spans);
    enum status status = open_wave(b, 0, first, diag);

    b->first_stream = b->n_streams;
    b->n_streams += n_spans;
    if (!status) {
        run_wave(b, 0, first);
        status = open_wave(b, first, n_spans, diag);
    }
    if (status)
        return status;
    run_wave(b, first, n_spans);
    memset(b->d_hidden, 0, b->n_tokens * b->dim * sizeof *b->d_hidden);
    *hidden = b->hidden;
    backward_lap(&clock, &b->times.forward);
    return check_rows(b, diag);
}

/* ---- The loss: -log softmax(logits)[target], its gradient coefficient * (softmax - onehot) ---- */

struct loss_work {
    struct backward *b;
    const int32_t *targets;
    float *logprob, *entropy, *logsumexp;
    const float *coefficient;
};

static void loss_rows(void *context, size_t begin, size_t end, int worker)
{
    const struct loss_work *w = context;
    const struct row_kernels *rows = w->b->exec.kernels->rows;
    size_t n = (size_t)w->b->model->config.vocab_size, stride = forward_logit_stride(w->b->f), i;

    (void)worker;
    for (i = begin; i < end; i++) {
        float *logits = w->b->logits + i * stride;

        if (w->b->inverse_temperature != 1.0f)
            rows->scale(logits, w->b->inverse_temperature, n);
        w->logsumexp[i] = rows->finite(logits, n) ? sampler_logsumexp(rows, logits, n, rows->max(logits, n)) : NAN;
        w->logprob[i] = logits[w->targets[i]] - w->logsumexp[i];
        if (w->entropy)
            w->entropy[i] = w->logsumexp[i] - w->b->exec.kernels->gradients->expectation(logits, w->logsumexp[i], n);
    }
}

static void loss_gradient_rows(void *context, size_t begin, size_t end, int worker)
{
    const struct loss_work *w = context;
    size_t n = (size_t)w->b->model->config.vocab_size, stride = forward_logit_stride(w->b->f), i;

    (void)worker;
    for (i = begin; i < end; i++) {
        float *logits = w->b->logits + i * stride, coefficient = w->coefficient[i] * w->b->inverse_temperature;

        w->b->exec.kernels->gradients->exp_scale(logits, 1, w->logsumexp[i], coefficient, n);
        logits[w->targets[i]] -= coefficient;
    }
}

/* Gradient of the chunk's hidden rows, from logits that hold the gradient of the logits. */
static void chunk_backward(struct backward *b, const size_t *rows, size_t n, const struct weight_gradients *weights)
{
    struct linear_gradient job = {&b->model->output, b->logits, forward_logit_stride(b->f)};
    const struct pack *w = &b->model->output.w;
    size_t i;

    if (weights && weights->output)
        linear_backward_weight(&b->exec, weights->output, NULL, w->rows, w->cols, b->logits, job.dy_stride, b->gathered,
                               b->dim, n);
    linear_backward(&b->exec, b->chunk_d, b->dim, &job, 1, n, b->linear_scratch);
    for (i = 0; i < n; i++)
        b->exec.kernels->rows->add(b->d_hidden + rows[i] * b->dim, b->chunk_d + i * b->dim, w->cols);
}

#define HEAD_ROWS_MAX 256 /* of a chunk: bounds the arrays on the stack */

static enum status loss_chunk(struct backward *b, const size_t *rows, size_t first, size_t n, struct loss_work *work,
                              loss_coefficients *coefficients, void *context, const struct weight_gradients *weights,
                              struct diag *diag)
{
    float logsumexp[HEAD_ROWS_MAX], coefficient[HEAD_ROWS_MAX];
    size_t i;

    for (i = 0; i < n; i++)
        memcpy(b->gathered + i * b->dim, b->hidden + rows[i] * b->dim, b->dim * sizeof(float));
    forward_logits(b->f, b->gathered, NULL, n, b->logits);
    work->logsumexp = logsumexp;
    work->coefficient = coefficient;
    pool_run(b->exec.pool, loss_rows, work, n, 1);
    for (i = 0; i < n; i++)
        if (!isfinite(work->logprob[i]))
            return diag_fail(diag, STATUS_NUMERIC, "loss: position %zu: expected a finite log-probability, found %g",
                             first + i, (double)work->logprob[i]);
    if (!coefficients)
        return STATUS_OK;
    coefficients(context, first, n, work->logprob, work->entropy, coefficient);
    pool_run(b->exec.pool, loss_gradient_rows, work, n, 1);
    chunk_backward(b, rows, n, weights);
    return STATUS_OK;
}

void backward_set_temperature(struct backward *b, float temperature)
{
    b->inverse_temperature = 1 / temperature;
}

enum status backward_loss(struct backward *b, const size_t *rows, const int32_t *targets, size_t n, float *logprob,
                          float *entropy, loss_coefficients *coefficients, void *context,
                          const struct weight_gradients *weights, struct diag *diag)
{
    double clock = progress_now();
    size_t step = b->options.head_rows, i;
    enum status status = STATUS_OK;

    assert(step <= HEAD_ROWS_MAX);
    for (i = 0; i < n && !status; i += step) {
        struct loss_work work = {.b = b, .targets = targets + i, .logprob = logprob + i};

        work.entropy = entropy ? entropy + i : NULL;
        status = loss_chunk(b, rows + i, i, n - i < step ? n - i : step, &work, coefficients, context, weights, diag);
    }
    backward_lap(&clock, &b->times.head);
    return status;
}
