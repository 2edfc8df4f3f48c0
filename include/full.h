/* full.h - all weights of a float model as trainable parameters.
 *
 *   params | token_embd [V][D] | layer 0: norms, matrices row-major, biases | ... | output_norm [D] | output [V][D] |
 *
 * (a tied head has no part of its own). The model computes from packed copies, which full_refresh renews after each
 * update; norms, biases and the embedding are read from params themselves. */
#ifndef ARKLET_FULL_H
#define ARKLET_FULL_H

#include <stddef.h>
#include "backward.h"
#include "model.h"
#include "optim.h"
#include "status.h"

struct full {
    struct model *model;
    float *params;
    size_t n_params;
    struct optim_tensor *tensors;
    char (*names)[64]; /* [n_tensors] GGUF names, "blk.0.attn_q.weight" */
    size_t n_tensors;
    struct arena arena;
};

/* Takes a model whose matrices are all F32, F16 or BF16 (STATUS_UNSUPPORTED else) and makes its weights point to the
 * parameters; the model must not be used after full_free. */
enum status full_create(struct full **full, struct model *model, struct diag *diag);
void full_free(struct full *full); /* NULL is allowed */
/* The packed copies from params. */
void full_refresh(struct full *full, const struct exec *exec);
/* Views of a gradient array (same layout as params) for backward_run; layers has room for n_layers. */
void full_gradients(const struct full *full, float *grads, struct layer_gradients *layers,
                    struct weight_gradients *weights);
/* Row `row` of the tensor of this GGUF name, or NULL. */
const float *full_row(const struct full *full, const char *name, size_t row);

#endif
