/* backward.h - training: the forward pass with what it takes to go back, the loss through the head, the way back.
 *
 *   backward_forward   tokens -> hidden rows; keeps each layer's input (the rest is computed again on the way back)
 *   backward_loss      hidden rows with a target -> log-probabilities -> gradient of those rows; chunk by chunk
 *   backward_run       gradient of the hidden rows -> gradients of adapter and weights
 *
 * The forward pass is the engine's, step for step, so a log-probability here is the sampler's, bit for bit. Rounding
 * of activations to int8 and of K and V to the cache's type counts as the identity on the way back (straight-through
 * estimator, Bengio et al. 2013). */
#ifndef ARKLET_BACKWARD_H
#define ARKLET_BACKWARD_H

#include <stddef.h>
#include <stdint.h>
#include "adapter.h"
#include "exec.h"
#include "model.h"
#include "status.h"

struct backward;

/* A run of tokens. parent -1: it starts a sequence. parent >= 0: it continues after the whole span `parent` (an earlier
 * one without parent), which it shares with other spans: a group's prompt is run once. Spans without parent come
 * first. */
struct train_span {
    const int32_t *tokens;
    size_t n_tokens;
    int parent;
};

/* Where gradients of weights go (full training), each with the shape of its weight, row-major; NULL: not wanted. */
struct layer_gradients {
    float *attn_norm, *attn_q_norm, *attn_k_norm, *post_attn_norm, *ffn_norm, *post_ffn_norm;
    float *weight[TARGET_COUNT], *bias[TARGET_COUNT];
};

struct weight_gradients {
    struct layer_gradients *layers; /* [n_layers] */
    float *token_embd;              /* [vocab_size][dim] */
    float *output;                  /* [vocab_size][dim]; equal to token_embd when tied */
    float *output_norm;
};

/* 10 MB of logits for a vocabulary of 150k. Twice as many save about 1 % of a step's time. */
#define BACKWARD_HEAD_ROWS 16

struct backward_options {
    size_t max_tokens, max_spans; /* of a step */
    size_t head_rows;             /* positions whose logits exist at once */
    enum dtype k_type, v_type;
    /* Full training: bytes for what the forward pass computed in the last layers, which then need not be computed
     * again. The bits do not depend on it. Models with head norms or post-norms keep nothing. */
    size_t keep_bytes;
};

/* Bytes of the workspace, the adapter and its gradients not included; max_rank 0: full training. */
size_t backward_bytes(const struct config *config, const struct backward_options *options, size_t max_rank);
/* adapter NULL: none. The model, adapter and exec outlive the object. */
enum status backward_create(struct backward **backward, const struct model *model, struct adapter *adapter,
                            const struct exec *exec, const struct backward_options *options, struct diag *diag);
void backward_free(struct backward *backward);

/* Runs all spans; STATUS_NUMERIC when a row overflows. *hidden [T][backward_stride] are the rows after the output norm,
 * in span order, valid until the next call; the gradient rows of backward_d_hidden are set to zero. */
enum status backward_forward(struct backward *backward, const struct train_span *spans, size_t n_spans,
                             const float **hidden, struct diag *diag);
size_t backward_stride(const struct backward *backward);
float *backward_d_hidden(struct backward *backward); /* [T][stride], dL/d hidden */

/* Dropout of the adapter's inputs (adapter->dropout) in all passes until backward_dropout_end: the masks of training
 * step `step`, in which the n-th span is stream step << 32 | n. Without it nothing is dropped. */
void backward_dropout(struct backward *backward, uint64_t seed, uint64_t step);
void backward_dropout_end(struct backward *backward);

/* Log-probabilities and gradients of softmax(logits / temperature) from now on; 1 at first. */
void backward_set_temperature(struct backward *backward, float temperature);

/* Called for each chunk with the log-probabilities of positions [first, first + n) of the list: fills coefficient[i] =
 * -dL/d logprob[i] (for a weighted negative log-likelihood: the weight). entropy is NULL unless asked for. */
typedef void loss_coefficients(void *context, size_t first, size_t n, const float *logprob, const float *entropy,
                               float *coefficient);

/* Rows rows[i] predict targets[i], i < n. Fills logprob [n] (and entropy [n] unless NULL), then adds the gradient
 * coefficient * (softmax - onehot) through the head to d_hidden (and to `weights` unless NULL). coefficients NULL: only
 * the log-probabilities. STATUS_NUMERIC when a logit is not finite. */
enum status backward_loss(struct backward *backward, const size_t *rows, const int32_t *targets, size_t n,
                          float *logprob, float *entropy, loss_coefficients *coefficients, void *context,
                          const struct weight_gradients *weights, struct diag *diag);

/* From d_hidden: adds to d_params (the adapter's layout, or NULL) and to weights (or NULL). */
void backward_run(struct backward *backward, float *d_params, const struct weight_gradients *weights);

/* Wall seconds since creation, by kind. */
struct backward_times {
    double forward, recompute, head, dx, lora, attention, rest;
};

struct backward_times backward_times(const struct backward *backward);

#endif
