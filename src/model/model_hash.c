/* model_hash.c - a fingerprint of a model's weights, for checkpoints: is this the base that the run began with? */
#include <string.h>
#include "adapter.h"
#include "model.h"

/* Eight bytes a step; length divides by 8 or the rest is taken as one short word. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t length)
{
    const unsigned char *p = bytes;
    uint64_t word;
    size_t i;

    for (i = 0; i < length; i += 8) {
        word = 0;
        memcpy(&word, p + i, length - i < 8 ? length - i : 8);
        hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 29;
    }
    return hash;
}

static uint64_t hash_linear(uint64_t hash, const struct linear *linear)
{
    uint64_t shape[3] = {(uint64_t)linear->w.class_, linear->w.rows, linear->w.cols};

    hash = hash_bytes(hash, shape, sizeof shape);
    hash = hash_bytes(hash, linear->w.data, pack_bytes(&linear->w));
    return linear->bias ? hash_bytes(hash, linear->bias, linear->w.rows * sizeof(float)) : hash;
}

static uint64_t hash_vector(uint64_t hash, const float *vector, int n)
{
    return vector ? hash_bytes(hash, vector, (size_t)n * sizeof *vector) : hash;
}

uint64_t model_hash(const struct model *model)
{
    const struct config *c = &model->config;
    uint64_t hash = (uint64_t)c->arch + 1;
    int i, t;

    for (i = 0; i < c->n_layers; i++) {
        const struct layer *layer = &model->layers[i];

        for (t = 0; t < TARGET_COUNT; t++)
            hash = hash_linear(hash, adapter_linear(layer, (enum target)t));
        hash = hash_vector(hash, layer->attn_norm, c->dim);
        hash = hash_vector(hash, layer->attn_q_norm, c->head_dim);
        hash = hash_vector(hash, layer->attn_k_norm, c->head_dim);
        hash = hash_vector(hash, layer->post_attn_norm, c->dim);
        hash = hash_vector(hash, layer->ffn_norm, c->dim);
        hash = hash_vector(hash, layer->post_ffn_norm, c->dim);
    }
    hash = hash_vector(hash, model->output_norm, c->dim);
    hash = hash_linear(hash, &model->output);
    if (model->embd_rows)
        hash = hash_bytes(hash, model->embd_rows,
                          (size_t)c->vocab_size * (size_t)c->dim / dtype_info(model->embd_type)->block_len *
                              dtype_info(model->embd_type)->block_bytes);
    return hash;
}
