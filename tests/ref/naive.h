/* naive.h - the model in the plainest C, over double and over double complex: the reference of the gradients.
 *
 * Forward operations exist twice, from one source (naive_forward.h): naive_x over double, naive_complex_x over double
 * complex. An analytic function f has df/dx = Im f(x + ih) / h with no difference taken (Squire and Trapp 1998, "Using
 * complex variables to estimate derivatives of real functions"), so with h = 1e-100 the derivative is exact to
 * rounding. Backward operations exist over double alone (naive_backward.c) and are checked against that; the program's
 * are then checked against both.
 *
 * Shapes as everywhere: T tokens, D dim, H heads, K kv heads, E head_dim, V vocab, R rank; rows have no padding. */
#ifndef ARKLET_NAIVE_H
#define ARKLET_NAIVE_H

#include <complex.h>
#include <stddef.h>
#include <stdint.h>
#include "adapter.h"
#include "model.h"

/* Attention of T tokens: q [T][H][E], k and v [T][K][E], out as q; sees[t * T + s]: token t sees token s. */
struct naive_attention {
    size_t n_tokens, n_heads, n_kv_heads, head_dim;
    double scale;
    const unsigned char *sees;
};

/* Where each weight of a model and each pair of its adapter begins in one array of numbers; NAIVE_NONE: not there. */
#define NAIVE_NONE ((size_t)-1)

struct naive_layer {
    size_t attn_norm, attn_q_norm, attn_k_norm, post_attn_norm, ffn_norm, post_ffn_norm;
    size_t weight[TARGET_COUNT], bias[TARGET_COUNT]; /* [out][in], [out] */
    size_t a[TARGET_COUNT], b[TARGET_COUNT];         /* [R][in], [out][R] */
};

struct naive_model {
    struct config config;
    const float *inv_freq[2];
    size_t rank;
    double lora_scale;
    struct naive_layer *layers; /* [n_layers]; window and rope of each below */
    int *window, *rope;
    size_t token_embd, output, output_norm; /* a tied head: output = token_embd */
    size_t n_values;
    double *values; /* [n_values] as the model has them */
};

/* Sequences one behind the other: each token's position, what it sees, and the loss sum_i weight_i * -log p(target_i |
 * row_i). */
struct naive_batch {
    size_t n_tokens, n_targets;
    const int32_t *tokens;
    const size_t *positions;
    const unsigned char *sees; /* [T][T], windows apart */
    const size_t *rows;
    const int32_t *targets;
    const double *weights;
    /* What element `element` of token `token` is multiplied by on its way into a pair; NULL: 1. */
    double (*keep)(const struct naive_batch *batch, size_t layer, enum target target, size_t token, size_t element);
};

/* The weights of a model, and of an adapter unless NULL. Freed by naive_free. */
struct naive_model *naive_model(const struct model *model, const struct adapter *adapter);
void naive_free(struct naive_model *naive);
/* Rows and columns of a target's matrix. */
size_t naive_out(const struct config *config, enum target target);
size_t naive_in(const struct config *config, enum target target);

#define NAIVE_FORWARD(number, NAME)                                                                                    \
    /* y [T][out] = W x + bias (NULL: none) */                                                                         \
    void NAME(linear)(number * y, const number *w, const number *bias, const number *x, size_t n_tokens, size_t out,   \
                      size_t in);                                                                                      \
    /* y [T][out] += scale * B (A x), a [R][in], b [out][R] */                                                         \
    void NAME(lora)(number * y, const number *a, const number *b, double scale, const number *x, size_t n_tokens,      \
                    size_t rank, size_t out, size_t in);                                                               \
    /* y = x / sqrt(mean x^2 + eps) * w, rows of n */                                                                  \
    void NAME(rmsnorm)(number * y, const number *x, const number *w, size_t n_rows, size_t n, double eps);             \
    /* Rotates one head of which the first rope_dim elements turn, in place. */                                        \
    void NAME(rope)(number * x, const double *angle, size_t rope_dim, int pairs);                                      \
    void NAME(attention)(number * out, const number *q, const number *k, const number *v,                              \
                         const struct naive_attention *shape);                                                         \
    number NAME(silu)(number x);                                                                                       \
    number NAME(gelu)(number x); /* tanh form */                                                                       \
    /* y = activation(gate) * up */                                                                                    \
    void NAME(swiglu)(number * y, const number *gate, const number *up, size_t n, int gelu);                           \
    number NAME(logprob)(const number *logits, size_t vocab, size_t target);                                           \
    /* The loss of the whole model with these values. */                                                               \
    number NAME(loss)(const struct naive_model *model, const number *values, const struct naive_batch *batch);

#define NAIVE_REAL(name)    naive_##name
#define NAIVE_COMPLEX(name) naive_complex_##name

NAIVE_FORWARD(double, NAIVE_REAL)
NAIVE_FORWARD(double complex, NAIVE_COMPLEX)

/* Backward: from dy, gradients are added to each d that is not NULL. */
void naive_linear_backward(double *dw, double *d_bias, double *dx, const double *w, const double *dy, const double *x,
                           size_t n_tokens, size_t out, size_t in);
void naive_lora_backward(double *d_a, double *d_b, double *dx, const double *a, const double *b, double scale,
                         const double *dy, const double *x, size_t n_tokens, size_t rank, size_t out, size_t in);
void naive_rmsnorm_backward(double *dw, double *dx, const double *w, const double *dy, const double *x, size_t n_rows,
                            size_t n, double eps);
void naive_rope_backward(double *d, const double *angle, size_t rope_dim, int pairs); /* in place */
void naive_attention_backward(double *dq, double *dk, double *dv, const double *q, const double *k, const double *v,
                              const double *d_out, const struct naive_attention *shape);
void naive_swiglu_backward(double *d_gate, double *d_up, const double *gate, const double *up, const double *dy,
                           size_t n, int gelu);
void naive_logprob_backward(double *d_logits, const double *logits, double d, size_t vocab, size_t target);

#endif
