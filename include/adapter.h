/* adapter.h - a LoRA adapter: low-rank pairs for the matrices of a model, and optionally a score head (PRM).
 *
 * All parameters stand in one array, so that gradients and moments are arrays of the same layout:
 *
 *   params | layer 0: q.a q.b_t k.a k.b_t v... output... gate... up... down... | layer 1: ... | score W [2][D], b [2] |
 *
 * a [R][in], b_t [R][out rounded up to 16] (lora.h); a matrix that is not a target takes no room. */
#ifndef ARKLET_ADAPTER_H
#define ARKLET_ADAPTER_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"
#include "lora.h"
#include "model.h"
#include "status.h"

enum target { TARGET_Q, TARGET_K, TARGET_V, TARGET_OUTPUT, TARGET_GATE, TARGET_UP, TARGET_DOWN, TARGET_COUNT };

#define TARGET_ALL ((1u << TARGET_COUNT) - 1)

struct adapter_shape {
    size_t rank;
    float alpha;
    int rslora;       /* scale alpha / sqrt(rank) instead of alpha / rank */
    unsigned targets; /* bits 1 << enum target */
    int score;        /* with a two-class score head */
};

struct adapter {
    struct adapter_shape shape;
    float strength; /* --lora FILE:SCALE: multiplies the scale; 1 in training */
    float dropout;  /* of the input of A, in training only */
    char *base;     /* base_model_name_or_path, or NULL */
    size_t n_layers;
    struct lora (*loras)[TARGET_COUNT]; /* [n_layers]; rank 0: no such pair */
    float *score_weight, *score_bias;   /* [2][D], [2] or NULL */
    float *params;
    size_t n_params;
    size_t max_rank_stride;
    struct arena arena;
};

/* The matrix of a layer that a target names. */
const struct linear *adapter_linear(const struct layer *layer, enum target target);
/* PEFT's module name ("q_proj", ...) and GGUF's tensor name ("attn_q", ...). */
const char *adapter_peft_name(enum target target);
const char *adapter_gguf_name(enum target target);

/* Parameters of an adapter of this shape, before there is a model. */
size_t adapter_count(const struct config *config, const struct adapter_shape *shape);
/* Bytes of an adapter beside its parameters. */
size_t adapter_copy_bytes(const struct config *config, const struct adapter_shape *shape);
/* All parameters zero. STATUS_RANGE for a rank of 0 or above a target matrix's smaller side. */
enum status adapter_create(struct adapter **adapter, const struct model *model, const struct adapter_shape *shape,
                           struct diag *diag);
void adapter_free(struct adapter *adapter); /* NULL is allowed */
/* A uniform in +-1/sqrt(in), B = 0 (PEFT's default); the score head uniform in +-1/sqrt(D), bias 0. */
void adapter_init(struct adapter *adapter, uint64_t seed);
/* After params changed: renews the transposed copies and folds strength into the scales. */
void adapter_refresh(struct adapter *adapter);

#endif
