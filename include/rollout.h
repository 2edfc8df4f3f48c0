/* rollout.h - groups of samples from the policy: each prompt answered G times, all in one batch of the engine.
 *
 * The prompt of a group is computed once (the engine shares prefixes). Every sample keeps the log-probability of each
 * of its tokens at temperature 1 under the full distribution, which is what the trainer computes, bit for bit. */
#ifndef ARKLET_ROLLOUT_H
#define ARKLET_ROLLOUT_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"
#include "batch.h"
#include "status.h"

struct rollout_prompt {
    const int32_t *ids;
    size_t n;
};

struct rollout {
    int32_t *tokens; /* [n_tokens] the completion, EOS included when it came */
    float *logprobs; /* [n_tokens] */
    size_t n_tokens;
    int truncated; /* ended by the token limit */
};

/* rollouts [n_prompts][group], memory from arena. like: what all requests share; sample j of prompt i draws from stream
 * like->sampling.stream + i * group + j. watch: see engine_run. STATUS_RANGE when a prompt is longer than the engine's
 * context. */
enum status rollout_run(struct engine *engine, const struct rollout_prompt *prompts, size_t n_prompts, size_t group,
                        const struct request *like, const struct engine_watch *watch, struct rollout *rollouts,
                        struct arena *arena, struct diag *diag);

#endif
