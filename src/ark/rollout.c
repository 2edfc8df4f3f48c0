/* rollout.c - sampling of groups. */
#include "rollout.h"

#include <string.h>

struct target {
    struct rollout *rollout;
    struct arena *arena;
    int failed;
};

static void finish(void *user, const struct generated *generated)
{
    struct target *target = user;
    struct rollout *r = target->rollout;
    size_t n = generated->n_tokens;

    r->tokens = arena_array(target->arena, n + 1, sizeof *r->tokens);
    r->logprobs = arena_array(target->arena, n + 1, sizeof *r->logprobs);
    target->failed = !r->tokens || !r->logprobs;
    if (target->failed)
        return;
    memcpy(r->tokens, generated->tokens, n * sizeof *r->tokens);
    memcpy(r->logprobs, generated->logprobs, n * sizeof *r->logprobs);
    r->n_tokens = n;
    r->truncated = generated->finish != FINISH_EOS;
}

enum status rollout_run(struct engine *engine, const struct rollout_prompt *prompts, size_t n_prompts, size_t group,
                        const struct request *like, const struct engine_watch *watch, struct rollout *rollouts,
                        struct arena *arena, struct diag *diag)
{
    size_t n = n_prompts * group, i;
    struct target *targets = arena_array(arena, n, sizeof *targets);
    enum status status = targets ? STATUS_OK : diag_fail(diag, STATUS_MEMORY, "rollouts: out of memory");

    for (i = 0; i < n && !status; i++) {
        struct request request = *like;

        targets[i].rollout = &rollouts[i];
        targets[i].arena = arena;
        targets[i].failed = 0;
        request.prompt = prompts[i / group].ids;
        request.n_prompt = prompts[i / group].n;
        request.sampling.stream += i;
        request.on_finish = finish;
        request.user = &targets[i];
        status = engine_submit(engine, &request, diag);
    }
    if (!status)
        status = engine_run(engine, watch, diag);
    for (i = 0; i < n && !status; i++)
        if (targets[i].failed)
            status = diag_fail(diag, STATUS_MEMORY, "rollouts: out of memory for the tokens");
    return status;
}
