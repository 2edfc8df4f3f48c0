/* naive_model.c - the weights of a loaded model as one array of doubles. */
#include <stdlib.h>
#include <string.h>
#include "naive.h"

size_t naive_out(const struct config *c, enum target target)
{
    switch (target) {
    case TARGET_Q:
        return (size_t)c->n_heads * (size_t)c->head_dim;
    case TARGET_K:
    case TARGET_V:
        return (size_t)c->n_kv_heads * (size_t)c->head_dim;
    case TARGET_GATE:
    case TARGET_UP:
        return (size_t)c->ffn_dim;
    default:
        return (size_t)c->dim;
    }
}

size_t naive_in(const struct config *c, enum target target)
{
    return target == TARGET_OUTPUT ? (size_t)c->n_heads * (size_t)c->head_dim
           : target == TARGET_DOWN ? (size_t)c->ffn_dim
                                   : (size_t)c->dim;
}

static double *room(struct naive_model *m, size_t n, size_t *offset)
{
    *offset = m->n_values;
    m->n_values += n;
    m->values = realloc(m->values, m->n_values * sizeof *m->values);
    return m->values + *offset;
}

static void put_vector(struct naive_model *m, size_t *offset, const float *x, size_t n)
{
    double *to;
    size_t i;

    *offset = NAIVE_NONE;
    if (!x)
        return;
    to = room(m, n, offset);
    for (i = 0; i < n; i++)
        to[i] = (double)x[i];
}

static void put_matrix(struct naive_model *m, size_t *offset, const struct pack *w)
{
    double *to = room(m, w->rows * w->cols, offset);
    float *row = malloc(w->cols * sizeof *row);
    size_t r, c;

    for (r = 0; r < w->rows; r++) {
        pack_decode_row(w, r, 0, w->cols, row);
        for (c = 0; c < w->cols; c++)
            to[r * w->cols + c] = (double)row[c];
    }
    free(row);
}

static void put_pair(struct naive_model *m, struct naive_layer *layer, int target, const struct lora *lora)
{
    double *to;
    size_t i, r;

    if (!lora->rank)
        return;
    m->rank = lora->rank;
    m->lora_scale = (double)lora->scale;
    put_vector(m, &layer->a[target], lora->a, lora->rank * lora->in);
    to = room(m, lora->out * lora->rank, &layer->b[target]);
    for (i = 0; i < lora->out; i++)
        for (r = 0; r < lora->rank; r++)
            to[i * lora->rank + r] = (double)lora->b_t[r * lora->out_stride + i];
}

static void put_layer(struct naive_model *m, int index, const struct model *model, const struct adapter *adapter)
{
    const struct layer *from = &model->layers[index];
    struct naive_layer *to = &m->layers[index];
    size_t dim = (size_t)model->config.dim, e = (size_t)model->config.head_dim;
    int t;

    m->window[index] = from->window;
    m->rope[index] = from->rope;
    put_vector(m, &to->attn_norm, from->attn_norm, dim);
    put_vector(m, &to->attn_q_norm, from->attn_q_norm, e);
    put_vector(m, &to->attn_k_norm, from->attn_k_norm, e);
    put_vector(m, &to->post_attn_norm, from->post_attn_norm, dim);
    put_vector(m, &to->ffn_norm, from->ffn_norm, dim);
    put_vector(m, &to->post_ffn_norm, from->post_ffn_norm, dim);
    for (t = 0; t < TARGET_COUNT; t++) {
        const struct linear *linear = adapter_linear(from, (enum target)t);

        put_matrix(m, &to->weight[t], &linear->w);
        put_vector(m, &to->bias[t], linear->bias, linear->w.rows);
        to->a[t] = to->b[t] = NAIVE_NONE;
        if (adapter)
            put_pair(m, to, t, &adapter->loras[index][t]);
    }
}

static void put_embedding(struct naive_model *m, const struct model *model)
{
    size_t dim = (size_t)model->config.dim, i;
    float *row = malloc(dim * sizeof *row);
    int v;

    if (model->config.tied)
        m->token_embd = m->output;
    for (v = 0; v < model->config.vocab_size && !model->config.tied; v++) {
        size_t offset;
        double *to = room(m, dim, &offset);

        if (v == 0)
            m->token_embd = offset;
        dtype_decode_row(model->embd_type, row,
                         model->embd_rows + (size_t)v * dim / dtype_info(model->embd_type)->block_len *
                                                dtype_info(model->embd_type)->block_bytes,
                         dim);
        for (i = 0; i < dim; i++)
            to[i] = (double)row[i];
    }
    free(row);
}

struct naive_model *naive_model(const struct model *model, const struct adapter *adapter)
{
    struct naive_model *m = calloc(1, sizeof *m);
    size_t n = (size_t)model->config.n_layers;
    int i;

    m->config = model->config;
    memcpy(m->inv_freq, model->inv_freq, sizeof m->inv_freq);
    m->layers = calloc(n, sizeof *m->layers);
    m->window = calloc(n, sizeof *m->window);
    m->rope = calloc(n, sizeof *m->rope);
    for (i = 0; i < model->config.n_layers; i++)
        put_layer(m, i, model, adapter);
    put_vector(m, &m->output_norm, model->output_norm, (size_t)model->config.dim);
    put_matrix(m, &m->output, &model->output.w);
    put_embedding(m, model);
    return m;
}

void naive_free(struct naive_model *m)
{
    free(m->layers);
    free(m->window);
    free(m->rope);
    free(m->values);
    free(m);
}
