/* backward_parts.h - the inside of the backward pass, shared by backward*.c. */
#ifndef ARKLET_BACKWARD_PARTS_H
#define ARKLET_BACKWARD_PARTS_H

#include "backward.h"
#include "forward_parts.h"

/* One item of the gradient of k and v: the own keys of a span in one block, for one kv head. */
struct key_item {
    size_t span, block;
    int head;
};

/* What the forward pass of a layer left for the way back, with buffers of its own. */
struct kept_layer {
    float *q, *mixed, *x_mid; /* [T][q_dim] twice, [T][dim] */
    float *row_max, *row_sum; /* [T][n_heads] */
    float *gate, *up;         /* [T][ffn_dim] */
};

struct backward_scratch {     /* of one worker, for attention */
    float *p, *ds;            /* [ATTENTION_TILE][ATTENTION_BLOCK] */
    float *k, *v_t, *k_t, *v; /* [E][BLOCK] twice, [BLOCK][E] twice */
    float *d_k, *d_v;         /* [BLOCK][E] */
};

struct backward {
    const struct model *model;
    struct adapter *adapter;
    struct forward *f;
    struct kv *kv;
    struct arena arena;
    struct backward_options options;
    struct exec exec;
    size_t dim, q_dim, kv_dim, ffn_dim; /* strides, as in f */

    struct token_span *spans;        /* [n_spans] of this step */
    struct kv_sequence *sequences;   /* [max_spans] */
    const struct adapter **adapters; /* [1] */
    int *parent;                     /* [n_spans] */
    size_t *first_row;               /* [n_spans + 1] */
    size_t n_spans, n_tokens;

    float *saved;    /* [n_layers + 1][T][dim]: input of each layer, and of the output norm */
    float *hidden;   /* [T][dim] */
    float *d_hidden; /* [T][dim]; then dx, the gradient of the residual stream */
    float *h;        /* [T][dim] normed input of step 2 (of step 7: hidden, which is free on the way back) */
    float *x_mid;    /* [T][dim] residual stream after step 5 */
    float *out;      /* [T][dim] a projection's output before its post-norm; d_h where there is none */
    float *d_h;      /* [T][dim] */
    float *d_q, *d_k, *d_v, *d_mixed; /* [T][q_dim], [T][kv_dim] twice, [T][q_dim] */
    float *act, *d_act;               /* [ffn_tokens][ffn_dim]; d_act is also scratch for dim columns */
    float *q_raw, *k_raw, *row_max, *row_sum, *kept_u[TARGET_COUNT];
    float *delta;            /* [T][n_heads] d_mixed . mixed of each head */
    struct kept_layer *kept; /* [n_kept] of the last layers */
    size_t n_kept;
    struct lora_scratch pair;               /* of the widest matrix */
    struct dropout dropout;                 /* of the adapter's inputs; threshold 0: none */
    int dropping;                           /* 1 between backward_dropout and backward_dropout_end */
    uint64_t step, first_stream, n_streams; /* streams of the running spans, and of the step so far */
    float *dropped, *d_dropped;             /* [DROPPED_ROWS][widest input]; NULL without dropout */
    struct key_item *key_items;
    size_t n_key_items;
    float *minus_sin[2];              /* [T][rope_dim / 2] */
    float *logits;                    /* [head_rows][vocab] */
    float *gathered;                  /* [head_rows][dim] hidden rows of a chunk, then their gradient */
    float *chunk_d;                   /* [head_rows][dim] */
    float **linear_scratch;           /* [threads] */
    struct backward_scratch *scratch; /* [threads] */

    float inverse_temperature; /* of the loss */
    float *d_params;           /* of the running backward_run */
    const struct weight_gradients *weights;
    struct backward_times times;
};

/* The kept layer of this index, or NULL. */
const struct kept_layer *backward_kept(const struct backward *b, int layer);
/* Step 4 backward: d_mixed -> d_q, d_k, d_v (of the rotated q and k). */
void backward_attention(struct backward *b);
/* Step 3 backward: d_q, d_k rotated back and through the head norms. */
void backward_rope(struct backward *b);

/* Gives the rows of the laid-out batch their dropout streams, or none. */
void backward_streams(struct backward *b);
int backward_buffers(struct backward *b);
void backward_lap(double *clock, double *total);

#endif
