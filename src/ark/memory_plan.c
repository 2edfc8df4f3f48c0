/* memory_plan.c - sums of what the modules say that they take.
 *
 * Invariant: nothing here is larger than it must be for the longest records and sequences that the options allow, and
 * nothing that grows with them is missing. What is of a fixed size stands in PROGRAM_BYTES. */
#include "memory_plan.h"

#include <stdio.h>
#include "score.h"

#define PROGRAM_BYTES ((size_t)6 << 20) /* code, stacks, and what every reader, writer and stage has of its own */
#define MEGABYTE      1048576.0
#define TOKEN_BYTES   24 /* of a sample: id, log-probability, advantage, reference */

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

size_t memory_plan_total(const struct memory_plan *plan)
{
    return plan->weights + larger(plan->work, plan->least) + plan->aside;
}

int memory_plan_fits(const struct memory_plan *plan, size_t limit)
{
    return !limit || memory_plan_total(plan) <= limit;
}

void memory_plan_text(char *text, size_t size, const struct memory_plan *plan, int width)
{
    snprintf(text, size, "%*.1f MB = weights %.1f + work %.1f + tokenizer, program %.1f", width,
             (double)memory_plan_total(plan) / MEGABYTE, (double)plan->weights / MEGABYTE,
             (double)larger(plan->work, plan->least) / MEGABYTE, (double)plan->aside / MEGABYTE);
}

size_t memory_plan_aside(const struct tokenizer *tokenizer)
{
    return PROGRAM_BYTES + (tokenizer ? tokenizer_bytes(tokenizer) : 0);
}

/* The file's pages, the pieces and merges as they stand there, the index of pieces while it grows: measured 1.9 times
 * what stays, for Qwen2.5's 152k pieces. */
size_t memory_plan_loading(const struct tokenizer *tokenizer)
{
    return tokenizer ? 2 * tokenizer_bytes(tokenizer) : 0;
}

size_t memory_plan_adapter(const struct config *config, const struct adapter_shape *shape)
{
    return adapter_count(config, shape) * sizeof(float) + adapter_copy_bytes(config, shape);
}

/* A trainer with the parameters that it trains, and those that were best on a dev file. */
static size_t learner_bytes(const struct config *config, const struct adapter_shape *shape, size_t n_params,
                            const struct backward_options *backward, int evaluates)
{
    struct adapter adapter = {0};

    if (shape)
        adapter.shape = *shape;
    return trainer_bytes(config, shape ? &adapter : NULL, n_params, backward) +
           n_params * sizeof(float) * (evaluates ? 2 : 1);
}

/* Records of a batch are spans of a pass. */
static struct backward_options with_records(const struct backward_options *options, size_t batch)
{
    struct backward_options backward = *options;

    backward.max_spans = batch < backward.max_tokens ? batch : backward.max_tokens;
    return backward;
}

size_t memory_plan_sft(const struct config *config, const struct sft_options *options,
                       const struct adapter_shape *shape, size_t n_params)
{
    struct backward_options backward = with_records(&options->backward, options->batch);

    return learner_bytes(config, shape, n_params, &backward, options->dev != NULL);
}

size_t memory_plan_prm(const struct config *config, const struct prm_options *options,
                       const struct adapter_shape *shape)
{
    struct backward_options backward = with_records(&options->backward, options->batch);
    size_t tokens = options->format.max_len, n = adapter_count(config, shape), training, scoring;

    if (!shape->score)
        backward.head_rows = SCORE_LOGIT_ROWS;
    training = learner_bytes(config, shape, n, &backward, options->dev != NULL);
    scoring = step_scorer_bytes(config, shape->score, tokens, backward.k_type, backward.v_type);
    if (!shape->score) /* the model alone, its scorer beside the trainer */
        return training + scoring;
    return options->dev ? larger(training, memory_plan_adapter(config, shape) + scoring) : training;
}

/* Everything but the engines. */
static size_t reinforcing_bytes(const struct memory_plan_grpo *plan, const struct config *config)
{
    const struct grpo_options *o = plan->options;
    const struct config *judge = plan->judge ? plan->judge : config;
    struct backward_options backward = o->backward;
    struct score_options reference = {o->context, 256, backward.k_type, backward.v_type, 0};
    size_t n = adapter_count(config, plan->policy), samples = o->prompts * (1 + o->resample) * o->group, all;

    backward.max_spans = o->group + 1;
    all = learner_bytes(config, plan->policy, n, &backward, plan->dev.max_sequences > 0);
    all += plan->tasks + samples * o->max_new * TOKEN_BYTES;
    if (plan->prm)
        all += memory_plan_adapter(judge, plan->prm) +
               step_scorer_bytes(judge, plan->prm->score, o->context, backward.k_type, backward.v_type);
    if (o->kl_beta > 0 || (o->mode == GRPO_PURE && o->pure.beta > 0))
        all += score_bytes(config, &reference);
    return all;
}

static size_t engine_bytes(const struct config *config, const struct exec *exec, const struct engine_options *options)
{
    return options->max_sequences ? engine_plan(config, exec, options).bytes : 0;
}

size_t memory_plan_grpo(struct memory_plan_grpo *plan, const struct config *config, const struct exec *exec,
                        size_t beside, size_t limit)
{
    size_t rest = reinforcing_bytes(plan, config), all;

    for (;;) {
        struct engine_options *most =
            plan->dev.max_sequences > plan->rollouts.max_sequences ? &plan->dev : &plan->rollouts;

        all = rest + engine_bytes(config, exec, &plan->rollouts) + engine_bytes(config, exec, &plan->dev);
        if (!limit || beside + all <= limit || most->max_sequences <= 1)
            return all;
        most->max_sequences /= 2;
    }
}
