/* trainer.h - what all learners share: gradients of micro-batches, one update a step, metrics, checkpoints.
 *
 *   for each step:  trainer_begin_step -> trainer_pass (once per micro-batch) ... -> trainer_end_step
 *
 * Trained are either an adapter's parameters or all weights of a float model. */
#ifndef ARKLET_TRAINER_H
#define ARKLET_TRAINER_H

#include <stddef.h>
#include <stdint.h>
#include "adapter.h"
#include "backward.h"
#include "batch.h"
#include "checkpoint.h"
#include "full.h"
#include "optim.h"
#include "status.h"

struct train_options {
    double lr;
    enum schedule schedule;
    double warmup; /* share of the steps */
    double clip;   /* largest gradient norm; 0: none */
    struct optim_options optim;
    uint64_t seed;
    uint64_t total_steps;
};

struct trainer {
    struct model *model;
    struct exec exec;
    struct adapter *adapter; /* one of these two is trained */
    struct full *full;
    struct train_options options;
    struct backward *backward;
    struct arena arena;
    float *params, *grads; /* [n_params]; params belong to adapter or full */
    size_t n_params;
    struct optim_tensor *tensors;
    size_t n_tensors;
    struct optim optim;
    struct layer_gradients *layers;
    struct weight_gradients weights;  /* views of grads in full training */
    uint64_t step;                    /* steps done; the learning rate follows them */
    uint64_t updates;                 /* of the parameters; the optimiser's bias correction follows them */
    uint64_t tokens;                  /* trained on so far */
    double learning_rate, grad_norm;  /* of the last step */
    double seconds;                   /* of all updates: norm, clipping, update, derived copies */
    const struct engine_watch *watch; /* called before every pass, too; NULL (as created): nothing is */
};

/* Bytes of gradients, moments and workspace, and what an adapter needs beside its parameters. */
size_t trainer_bytes(const struct config *config, const struct adapter *adapter, size_t n_params,
                     const struct backward_options *backward);
/* adapter or full is NULL. All objects outlive the trainer. */
enum status trainer_create(struct trainer **trainer, struct model *model, struct adapter *adapter, struct full *full,
                           const struct exec *exec, const struct train_options *options,
                           const struct backward_options *backward, struct diag *diag);
void trainer_free(struct trainer *trainer); /* NULL is allowed */

void trainer_begin_step(
    struct trainer *trainer); /* gradients to zero; from here to the step's end inputs are dropped */
/* Where backward_loss puts the head's gradient: NULL unless full training. */
const struct weight_gradients *trainer_weights(const struct trainer *trainer);
/* backward_run into the gradients. STATUS_STOPPED, and nothing done, when trainer->watch says so. */
enum status trainer_pass(struct trainer *trainer, struct diag *diag);
/* Norm, clipping, update, derived copies. STATUS_NUMERIC when the gradient is not finite (nothing is changed then) or
 * the updated parameters are not. */
enum status trainer_end_step(struct trainer *trainer, struct diag *diag);

/* A step without any gradient: counts it, changes nothing. */
void trainer_skip_step(struct trainer *trainer);

/* The trainer's part of a checkpoint: step, tokens, parameters, moments. */
void trainer_fill(const struct trainer *trainer, struct checkpoint *checkpoint);
/* After checkpoint_load into the arrays of trainer_fill. */
void trainer_restore(struct trainer *trainer, const struct checkpoint *checkpoint);
/* Derived copies after params were changed from outside. */
void trainer_refresh(struct trainer *trainer);

#endif
