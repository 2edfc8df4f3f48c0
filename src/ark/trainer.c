/* trainer.c - gradients, updates, state: the part that fine-tuning, reward models and reinforcement share. */
#include "trainer.h"

#include <math.h>
#include <string.h>
#include "progress.h"

/* Each pair of an adapter is two matrices; the score head is a matrix and a vector. */
static size_t adapter_tensors(const struct adapter *adapter, struct optim_tensor *tensors)
{
    size_t layer, n = 0;
    int t;

    for (layer = 0; layer < adapter->n_layers; layer++)
        for (t = 0; t < TARGET_COUNT; t++) {
            const struct lora *lora = &adapter->loras[layer][t];
            struct optim_tensor a = {(size_t)(lora->a - adapter->params), lora->rank, lora->in, lora->in, 1, 1, 0};
            struct optim_tensor b = {
                (size_t)(lora->b_t - adapter->params), lora->rank, lora->out, lora->out_stride, 1, 1, 1};

            if (!lora->rank)
                continue;
            tensors[n++] = a;
            tensors[n++] = b;
        }
    if (adapter->score_weight) {
        size_t at = (size_t)(adapter->score_weight - adapter->params);
        size_t dim = (size_t)(adapter->score_bias - adapter->score_weight) / 2;
        struct optim_tensor weight = {at, 2, dim, dim, 0, 1, 0}, bias = {at + 2 * dim, 1, 2, 2, 0, 0, 0};

        tensors[n++] = weight;
        tensors[n++] = bias;
    }
    return n;
}

size_t trainer_bytes(const struct config *config, const struct adapter *adapter, size_t n_params,
                     const struct backward_options *backward)
{
    return 3 * n_params * sizeof(float) + (adapter ? adapter_copy_bytes(config, &adapter->shape) : 0) +
           backward_bytes(config, backward, adapter ? adapter->shape.rank : 0);
}

static int build(struct trainer *t)
{
    if (t->adapter) {
        t->tensors = arena_array(&t->arena, t->adapter->n_layers * TARGET_COUNT * 2 + 2, sizeof *t->tensors);
        if (!t->tensors)
            return 0;
        t->n_tensors = adapter_tensors(t->adapter, t->tensors);
        t->params = t->adapter->params;
        t->n_params = t->adapter->n_params;
    } else {
        t->tensors = t->full->tensors;
        t->n_tensors = t->full->n_tensors;
        t->params = t->full->params;
        t->n_params = t->full->n_params;
    }
    t->grads = arena_array(&t->arena, t->n_params, sizeof(float));
    if (!t->grads ||
        !optim_create(&t->optim, &t->options.optim, &t->exec, t->tensors, t->n_tensors, t->n_params, &t->arena))
        return 0;
    if (t->full) {
        t->layers = arena_array(&t->arena, (size_t)t->model->config.n_layers, sizeof *t->layers);
        if (!t->layers)
            return 0;
        full_gradients(t->full, t->grads, t->layers, &t->weights);
    }
    return 1;
}

enum status trainer_create(struct trainer **out, struct model *model, struct adapter *adapter, struct full *full,
                           const struct exec *exec, const struct train_options *options,
                           const struct backward_options *backward, struct diag *diag)
{
    struct trainer *t = memory_alloc(sizeof *t);
    enum status status = STATUS_OK;

    *out = NULL;
    if (!t)
        return diag_fail(diag, STATUS_MEMORY, "training: out of memory");
    memset(t, 0, sizeof *t);
    arena_init(&t->arena, "trainer", 0);
    t->model = model;
    t->exec = *exec;
    t->adapter = adapter;
    t->full = full;
    t->options = *options;
    if (!build(t))
        status = diag_fail(diag, STATUS_MEMORY, "training: out of memory for gradients and moments");
    if (!status)
        status = backward_create(&t->backward, model, adapter, exec, backward, diag);
    if (status) {
        trainer_free(t);
        return status;
    }
    *out = t;
    return STATUS_OK;
}

void trainer_free(struct trainer *trainer)
{
    if (!trainer)
        return;
    backward_free(trainer->backward);
    arena_free(&trainer->arena);
    memory_free(trainer);
}

void trainer_begin_step(struct trainer *trainer)
{
    memset(trainer->grads, 0, trainer->n_params * sizeof *trainer->grads);
    backward_dropout(trainer->backward, trainer->options.seed, trainer->step);
}

const struct weight_gradients *trainer_weights(const struct trainer *trainer)
{
    return trainer->full ? &trainer->weights : NULL;
}

enum status trainer_pass(struct trainer *trainer, struct diag *diag)
{
    if (trainer->watch && trainer->watch->step(trainer->watch->context))
        return diag_fail(diag, STATUS_STOPPED, "interrupted");
    backward_run(trainer->backward, trainer->adapter ? trainer->grads : NULL, trainer_weights(trainer));
    return STATUS_OK;
}

void trainer_refresh(struct trainer *trainer)
{
    if (trainer->adapter)
        adapter_refresh(trainer->adapter);
    else
        full_refresh(trainer->full, &trainer->exec);
}

enum status trainer_end_step(struct trainer *trainer, struct diag *diag)
{
    const struct train_options *o = &trainer->options;
    double factor = optim_schedule(o->schedule, o->warmup, trainer->step, o->total_steps), started = progress_now();

    backward_dropout_end(trainer->backward);
    trainer->learning_rate = o->lr * factor;
    trainer->grad_norm = optim_norm(&trainer->exec, trainer->grads, trainer->n_params);
    if (!isfinite(trainer->grad_norm))
        return diag_fail(diag, STATUS_NUMERIC,
                         "expected a finite gradient, found a norm of %g (a smaller --lr may help)",
                         trainer->grad_norm);
    optim_step(&trainer->optim, trainer->params, trainer->grads, (float)trainer->learning_rate, trainer->updates + 1,
               optim_clip(trainer->grad_norm, o->clip));
    if (!isfinite(optim_norm(&trainer->exec, trainer->params, trainer->n_params)))
        return diag_fail(diag, STATUS_NUMERIC, "the update made parameters infinite (a smaller --lr may help)");
    trainer->step++;
    trainer->updates++;
    trainer_refresh(trainer);
    trainer->seconds += progress_now() - started;
    return STATUS_OK;
}

void trainer_skip_step(struct trainer *trainer)
{
    backward_dropout_end(trainer->backward);
    trainer->step++;
    trainer->grad_norm = trainer->learning_rate = 0; /* nothing was updated */
}

void trainer_fill(const struct trainer *trainer, struct checkpoint *checkpoint)
{
    checkpoint->step = trainer->step;
    checkpoint->updates = trainer->updates;
    checkpoint->tokens = trainer->tokens;
    checkpoint->n_params = trainer->n_params;
    checkpoint->params = trainer->params;
    checkpoint->m = trainer->optim.m;
    checkpoint->v = trainer->optim.v;
}

void trainer_restore(struct trainer *trainer, const struct checkpoint *checkpoint)
{
    trainer->step = checkpoint->step;
    trainer->updates = checkpoint->updates;
    trainer->tokens = checkpoint->tokens;
    trainer_refresh(trainer);
}
