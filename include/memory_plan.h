/* memory_plan.h - what a use of a model takes in memory, computed before it begins: one set of sums for the commands,
 * distill and inspect.
 *
 *   total = weights   of the model or models, as they are loaded
 *         + work      adapters, gradients, moments, caches, workspaces
 *         + aside     tokenizer, program
 *
 * The learners' sums take the options that their run will get, and look at what decides about memory alone: so they can
 * be made from a model's header. Sums are upper bounds: a cache counts in full, whatever its sequences share. */
#ifndef ARKLET_MEMORY_PLAN_H
#define ARKLET_MEMORY_PLAN_H

#include <stddef.h>
#include "adapter.h"
#include "batch.h"
#include "grpo.h"
#include "prm.h"
#include "sft.h"
#include "tokenizer.h"

struct memory_plan {
    size_t weights, work, aside; /* bytes */
    size_t least;                /* work counts as so much at least: see memory_plan_loading */
};

size_t memory_plan_total(const struct memory_plan *plan);
int memory_plan_fits(const struct memory_plan *plan, size_t limit); /* limit 0: none, everything does */
/* "412.3 MB = weights 265.3 + work 120.0 + tokenizer, program 27.0", the total right-aligned in `width` places. */
void memory_plan_text(char *text, size_t size, const struct memory_plan *plan, int width);

/* Beside weights and work: the program, and the tokenizer unless it is NULL. */
size_t memory_plan_aside(const struct tokenizer *tokenizer);
/* What reading a tokenizer (or NULL) takes beside it, before the work begins: the two are never there at once. */
size_t memory_plan_loading(const struct tokenizer *tokenizer);
/* An adapter, with the copy that it computes with. */
size_t memory_plan_adapter(const struct config *config, const struct adapter_shape *shape);

/* Fine-tuning of an adapter of this shape, or, shape NULL, of all n_params weights. The adapter is included. */
size_t memory_plan_sft(const struct config *config, const struct sft_options *options,
                       const struct adapter_shape *shape, size_t n_params);
/* A reward model, implicit when the shape has no score head: training, and scoring a dev file in the end. */
size_t memory_plan_prm(const struct config *config, const struct prm_options *options,
                       const struct adapter_shape *shape);

/* What reinforcement holds at once. */
struct memory_plan_grpo {
    const struct grpo_options *options; /* max_sequences is not looked at: see rollouts */
    const struct adapter_shape *policy;
    const struct adapter_shape *prm;     /* NULL: no reward model; without score head: an implicit one */
    const struct config *judge;          /* of the reward model's base; NULL: the policy's */
    size_t tasks;                        /* bytes of the questions in memory */
    struct engine_options rollouts, dev; /* dev.max_sequences 0: no dev questions */
};

/* max_sequences of the engines, the larger one's first, is halved until everything fits into `limit` (0: none) beside
 * so many other bytes, or both are 1. */
size_t memory_plan_grpo(struct memory_plan_grpo *plan, const struct config *config, const struct exec *exec,
                        size_t beside, size_t limit);

#endif
