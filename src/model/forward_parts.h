/* forward_parts.h - the inside of the forward pass, shared by forward*.c and backward*.c.
 *
 * T tokens of all spans stand under each other; row strides are dimensions rounded up to 16 floats. */
#ifndef ARKLET_FORWARD_PARTS_H
#define ARKLET_FORWARD_PARTS_H

#include "adapter.h"
#include "attention.h"
#include "dropout.h"
#include "forward.h"
#include "linear.h"

/* Query rows of one attention work item: tokens of a tile times the heads of a group. */
#define TILE_ROWS   128
#define TILE_TOKENS 32
/* Bytes that gate and up may take together; more tokens go through steps 7 to 9 in chunks. */
#define FORWARD_FFN_BYTES ((size_t)16 << 20)
/* Rows whose adapter inputs are masked at once. */
#define DROPPED_ROWS 64
/* Floats of the buffer for u = A x of adapters: this is also the largest rank. */
#define LORA_FLOATS ((size_t)1 << 16)

/* One attention item: rows [token, token + n_tokens) of the batch, all of one span, and one kv head. */
struct attention_item {
    const struct token_span *span;
    size_t token, n_tokens;
    int head;
};

struct attention_scratch { /* of one worker */
    float *q, *acc, *max, *sum, *scores, *k, *v;
    size_t *position;
};

struct forward {
    const struct model *model;
    struct kv *kv;
    struct exec exec;
    struct arena arena;
    size_t max_tokens, ffn_tokens, tile_tokens;
    size_t dim, q_dim, kv_dim, ffn_dim; /* strides: multiples of 16 */
    size_t n_tokens;                    /* of the running batch */
    float *x, *h;                       /* [T][dim]: residual stream; normed input, or a step's output */
    float *q, *k, *v, *mixed;           /* [T][q_dim], [T][kv_dim] twice, [T][q_dim] */
    float *gate, *up;                   /* [ffn_tokens][ffn_dim] */
    float *cos[2], *sin[2];             /* [T][rope_dim / 2] for the global and the local rope */
    int32_t *token;                     /* [T] */
    size_t *position;                   /* [T] */
    const struct token_span **span;     /* [T] the span each row belongs to */
    struct attention_item *items;
    size_t n_items;
    int any_adapters;
    struct linear_input input;
    struct attention_scratch *scratch; /* [threads] */
    struct forward_times times;
    const struct layer *layer; /* of the running step, for the workers */
    int layer_index;

    float *lora_u; /* [LORA_FLOATS] */

    /* Training: NULL in inference. */
    float *kept_u[TARGET_COUNT];   /* [T][rank stride]: u of each target of the running layer */
    float *row_max, *row_sum;      /* [T][n_heads] of step 4 */
    float *q_raw, *k_raw;          /* [T][q_dim], [T][kv_dim] before the head norms */
    const struct dropout *dropout; /* of the adapters' inputs */
    uint64_t *stream;              /* [T] for its masks: which sequence a row belongs to */
    float *dropped;                /* [DROPPED_ROWS][widest input] */
};

size_t forward_round16(size_t n);
/* forward_create and forward_bytes with other bytes for gate and up. */
enum status forward_create_sized(struct forward **forward, const struct model *model, struct kv *kv,
                                 const struct exec *exec, size_t max_tokens, size_t ffn_bytes, struct diag *diag);
size_t forward_bytes_sized(const struct config *config, size_t max_tokens, size_t ffn_bytes);
/* Tokens that go through steps 7 to 9 at once. */
size_t forward_ffn_tokens(const struct config *config, size_t max_tokens, size_t ffn_bytes);
size_t forward_group(const struct config *config); /* query heads per kv head */

/* Tables of the batch: token, position, span of each row, attention items. */
void forward_lay_out(struct forward *f, const struct token_span *spans, size_t n_spans);
/* Embeddings into x, rope angles. */
void forward_embed(struct forward *f);

/* Steps of the layer that forward_layer named; each takes what the one before left in f. */
void forward_layer(struct forward *f, int index);
void forward_norm(struct forward *f, float *y, const float *x, const float *weight, float *residual, size_t n_tokens);
void forward_qkv(struct forward *f, const float *h); /* (2) h -> q k v */
void forward_rope(struct forward *f);                /* (3) and k, v into the cache */
void forward_attention(struct forward *f);           /* (4) q, cache -> mixed */
/* u [n] = scale * A x, x through dropout, of batch rows [first, first + n). */
void forward_lora_down(struct forward *f, enum target target, const struct lora *lora, float *u, const float *x,
                       size_t x_stride, size_t first, size_t n);
/* The mask of the running layer's `target` for the rows from `first`. */
struct dropout_mask forward_mask(const struct forward *f, enum target target, size_t first);
/* (5) mixed -> out; residual += out, or through the post-norm: normed = norm(out), residual += normed (normed may be
 * out). */
void forward_output(struct forward *f, float *out, float *normed, float *residual);
/* (7) h [n] -> gate, up; h is batch rows [first, first + n) */
void forward_gate_up(struct forward *f, const float *h, size_t first, size_t n);
void forward_swiglu(struct forward *f, size_t n); /* (8) gate, up -> gate */
/* (9) gate -> out, like step 5; residual NULL: not added */
void forward_down(struct forward *f, float *out, float *normed, float *residual, size_t first, size_t n);
/* Steps 1 to 5 on x; all of them. */
void forward_attention_half(struct forward *f);
void forward_nine_steps(struct forward *f);

/* Key block `block` (ATTENTION_BLOCK keys) of a sequence into k [E][BLOCK], v [BLOCK][E] up to position `last`; returns
 * the number of keys, a multiple of 16. */
size_t forward_load_block(const struct forward *f, const struct kv_sequence *sequence, int head, size_t block,
                          size_t last, float *k, float *v);

#endif
