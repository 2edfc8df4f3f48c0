/* grpo_parts.h - what sampling (grpo_collect.c) and learning (grpo.c) share. */
#ifndef ARKLET_GRPO_PARTS_H
#define ARKLET_GRPO_PARTS_H

#include "grpo.h"
#include "rollout.h"
#include "score.h"

struct grpo_sample {
    struct rollout rollout;
    struct reward_step *steps;
    size_t n_steps;
    double *advantage; /* [n_tokens] */
    float *reference;  /* [n_tokens] log-probabilities of the base, or NULL */
    double returned;   /* R: sum of step rewards */
    double ratio_log;  /* sum of logp - old over the tokens (mode grpo) */
    int correct, masked;
};

struct grpo_group {
    uint64_t task;
    int32_t *prompt;
    size_t n_prompt;
    struct grpo_sample *samples; /* [group] */
};

struct grpo {
    const struct grpo_options *options;
    const struct grpo_tasks *tasks;
    struct grpo_result *result;
    struct adapter *policy;
    const struct adapter *adapters[1];
    struct engine *engine;
    struct step_scorer *scorer; /* NULL without a reward model */
    struct scorer *reference;   /* NULL unless the KL is used */
    struct trainer *trainer;
    struct grpo_group *groups; /* [prompts] with signal */
    size_t n_groups, n_sampled, n_silent;
    struct arena arena, step_arena;
    struct tokens eos;
    /* a micro-batch: spans, and the positions of its loss */
    struct train_span *spans;
    size_t *rows;
    int32_t *targets;
    struct grpo_sample **owner; /* of each position */
    size_t *index;              /* token index in its sample */
    float *logprobs, *entropies;
    struct grpo_objective objective; /* of the running update */
    /* sums of the running step, for metrics */
    double reward, reward_deviation, prm_reward, right, kl, entropy, length, truncated, clipped, n_positions, loss;
    int renew; /* the first update at a temperature other than 1: its log-probabilities are the old ones */
};

/* Groups with signal for a step, at most `prompts` of them, judged and with their advantages. */
enum status grpo_collect(struct grpo *g, uint64_t step, struct diag *diag);

/* The old log-probabilities of a group at the sampling temperature, by a pass through the trainer (masked samples
 * keep theirs). */
enum status grpo_renew_old(struct grpo *g, struct grpo_group *group, struct diag *diag);

#endif
