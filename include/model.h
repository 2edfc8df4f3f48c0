/* model.h - a loaded transformer: its configuration and its packed weights.
 *
 * A decoder layer is nine steps (design.md section 5): (1) norm, (2) q k v, (3) rope, (4) attention, (5) output and
 * residual, (6) norm, (7) gate and up, (8) swiglu, (9) down and residual. The families differ by data: a pointer that
 * is NULL is a step that the family lacks.
 *
 *   family   biases  q/k norm  post-norms  rope     activation  embedding scale
 *   llama    -       -         -           pairs    silu        1
 *   qwen2    q k v   -         -           halves   silu        1
 *   qwen3    -       per head  -           halves   silu        1
 *   gemma3   -       per head  both        halves   gelu        sqrt(dim)   local and global layers alternate
 */
#ifndef ARKLET_MODEL_H
#define ARKLET_MODEL_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"
#include "exec.h"
#include "file.h"
#include "linear.h"
#include "status.h"

enum arch { ARCH_LLAMA, ARCH_QWEN2, ARCH_QWEN3, ARCH_GEMMA3, ARCH_COUNT };

struct config {
    enum arch arch;
    int n_layers, dim, ffn_dim, n_heads, n_kv_heads, head_dim, vocab_size;
    int ctx_len; /* trained length */
    float rms_eps;
    float attn_scale;     /* of scores: 1/sqrt(head_dim) unless the family says otherwise */
    float embd_scale;     /* 1, or gemma's sqrt(dim) (rounded as the family does) */
    int rope_pairs;       /* 1: adjacent pairs rotate (llama GGUF order), 0: halves */
    int rope_dim;         /* elements of a head that rotate (even, <= head_dim) */
    float rope_base[2];   /* [0] global layers, [1] local layers (gemma3) */
    float rope_linear[2]; /* positions are divided by this (linear scaling); 1 when none */
    int window;           /* keys a local layer sees, itself included; 0: no local layers */
    int window_pattern;   /* layer i is global when (i + 1) % pattern == 0; 0: all global */
    int tied;             /* the head is the embedding matrix */
    int gelu;             /* 1: gelu (tanh form), 0: silu */
};

struct layer {
    const float *attn_norm; /* [dim] */
    struct linear attn_q;   /* [n_heads * head_dim][dim] */
    struct linear attn_k;   /* [n_kv_heads * head_dim][dim] */
    struct linear attn_v;
    const float *attn_q_norm, *attn_k_norm; /* [head_dim] or NULL */
    struct linear attn_output;              /* [dim][n_heads * head_dim] */
    const float *post_attn_norm;            /* [dim] or NULL: before the residual of step 5 */
    const float *ffn_norm;                  /* [dim] */
    struct linear ffn_gate, ffn_up;         /* [ffn_dim][dim] */
    struct linear ffn_down;                 /* [dim][ffn_dim] */
    const float *post_ffn_norm;             /* [dim] or NULL: before the residual of step 9 */
    int window;                             /* 0: sees all keys before it */
    int rope;                               /* index into model.inv_freq: 0 global, 1 local */
};

struct tokenizer;

struct model {
    struct config config;
    char *path;
    char *name;               /* general.name or the folder's name */
    struct layer *layers;     /* [n_layers] */
    const float *output_norm; /* [dim] */
    struct linear output;     /* [vocab_size][dim]; when tied this is the embedding too */
    /* An untied embedding stays in the file's mapping and is decoded row by row. */
    const uint8_t *embd_rows; /* NULL when tied */
    enum dtype embd_type;
    const float *inv_freq[2]; /* [rope_dim / 2] angles per position, scaling folded in; [1] NULL without local layers */
    struct tokenizer *tokenizer; /* NULL: a model without one (ids only) */
    char *chat_template;         /* the file's template text, or NULL */
    size_t weight_bytes;         /* packed weights and f32 vectors in memory */
    struct arena arena;          /* everything above */
    struct file_map *maps;       /* still mapped while embd_rows needs them */
    size_t n_maps;
};

/* Loads a GGUF (split files are joined) or a Hugging Face folder; packs tensor by tensor with exec's threads, releasing
 * the mapping behind it. mem_limit 0: none. Every tensor's type and shape is checked against the configuration;
 * non-finite norm, bias and float weights are refused. On failure *model is NULL and nothing stays allocated. */
enum status model_load(struct model **model, const char *path, const struct exec *exec, size_t mem_limit,
                       struct diag *diag);
void model_free(struct model *model); /* NULL is allowed */
/* The checks of model_load and what its weights would take in memory, without loading them. */
enum status model_measure(const char *path, struct config *config, size_t *weight_bytes, struct diag *diag);

/* dst[0..dim) = the embedding of token id (0 <= id < vocab_size), times embd_scale. */
void model_embed(const struct model *model, int32_t id, float *dst);

/* A hash of shapes, types and weight bytes: the same for the same weights, whatever file or folder they came from. */
uint64_t model_hash(const struct model *model);

const char *arch_name(enum arch arch);

#endif
