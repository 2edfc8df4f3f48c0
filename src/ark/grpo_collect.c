/* grpo_collect.c - the groups of a step: samples, answer checks, step scores, advantages. */
#include <math.h>
#include <string.h>
#include "grpo_parts.h"
#include "rng.h"
#include "step_tokens.h"

/* ---- Sampling ---- */

static enum status take_prompt(struct grpo *g, uint64_t position, struct grpo_group *group,
                               struct rollout_prompt *prompt, struct diag *diag)
{
    uint64_t n = g->tasks->n;
    const int32_t *ids;
    enum status status;

    group->task = rng_permute(g->options->train.seed, RNG_SHUFFLE, position / n, position % n, n);
    status = g->tasks->prompt(g->tasks->context, group->task, &ids, &group->n_prompt, diag);
    if (status)
        return status;
    group->prompt = arena_array(&g->step_arena, group->n_prompt + 1, sizeof *group->prompt);
    group->samples = arena_array(&g->step_arena, g->options->group, sizeof *group->samples);
    if (!group->prompt || !group->samples)
        return diag_fail(diag, STATUS_MEMORY, "grpo: out of memory for a group");
    memset(group->samples, 0, g->options->group * sizeof *group->samples);
    memcpy(group->prompt, ids, group->n_prompt * sizeof *ids);
    prompt->ids = group->prompt;
    prompt->n = group->n_prompt;
    return STATUS_OK;
}

/* Rollouts of n groups from shuffled position `position` on. */
static enum status sample_groups(struct grpo *g, struct grpo_group *groups, size_t n, uint64_t position,
                                 struct diag *diag)
{
    size_t size = g->options->group, i, j;
    struct rollout_prompt *prompts = arena_array(&g->step_arena, n, sizeof *prompts);
    struct rollout *rollouts = arena_array(&g->step_arena, n * size, sizeof *rollouts);
    struct request like = {.max_new = g->options->max_new};
    enum status status = STATUS_OK;

    if (!prompts || !rollouts)
        return diag_fail(diag, STATUS_MEMORY, "grpo: out of memory for rollouts");
    for (i = 0; i < n && !status; i++)
        status = take_prompt(g, position + i, &groups[i], &prompts[i], diag);
    like.sampling.temperature = (float)g->options->temperature;
    like.sampling.top_p = 1;
    like.sampling.seed = g->options->train.seed;
    like.sampling.stream = position * size;
    like.eos = g->eos.ids;
    like.n_eos = g->eos.count;
    like.adapters = g->adapters;
    like.n_adapters = 1;
    engine_forget(g->engine); /* the policy has changed since the last step */
    if (!status)
        status = rollout_run(g->engine, prompts, n, size, &like, g->trainer->watch, rollouts, &g->step_arena, diag);
    for (i = 0; i < n && !status; i++)
        for (j = 0; j < size; j++)
            groups[i].samples[j].rollout = rollouts[i * size + j];
    return status;
}

/* ---- Judging: answer check, step scores ---- */

static enum status find_steps(struct grpo *g, struct grpo_sample *sample, struct diag *diag)
{
    struct rollout *r = &sample->rollout;
    struct step_end *ends = arena_array(&g->step_arena, r->n_tokens + 1, sizeof *ends);
    size_t k;

    if (!ends)
        return diag_fail(diag, STATUS_MEMORY, "grpo: out of memory for steps");
    sample->n_steps = r->n_tokens ? step_tokens(g->options->tokenizer, r->tokens, r->n_tokens, ends, r->n_tokens) : 0;
    sample->steps = arena_array(&g->step_arena, sample->n_steps + 1, sizeof *sample->steps);
    sample->advantage = arena_array(&g->step_arena, r->n_tokens + 1, sizeof *sample->advantage);
    if (!sample->steps || !sample->advantage)
        return diag_fail(diag, STATUS_MEMORY, "grpo: out of memory for steps");
    for (k = 0; k < sample->n_steps; k++) {
        sample->steps[k].end = ends[k].end;
        sample->steps[k].count = ends[k].count;
        sample->steps[k].score = 0;
    }
    return STATUS_OK;
}

/* One sample as a text for the reward model. */
static enum status as_text(struct grpo *g, const struct grpo_group *group, const struct grpo_sample *sample,
                           struct step_scores *text, struct diag *diag)
{
    size_t n = group->n_prompt + sample->rollout.n_tokens, k;
    int32_t *ids = arena_array(&g->step_arena, n, sizeof *ids);
    size_t *ends = arena_array(&g->step_arena, sample->n_steps + 1, sizeof *ends);

    text->scores = arena_array(&g->step_arena, sample->n_steps + 1, sizeof *text->scores);
    if (!ids || !ends || !text->scores)
        return diag_fail(diag, STATUS_MEMORY, "grpo: out of memory for step scores");
    memcpy(ids, group->prompt, group->n_prompt * sizeof *ids);
    memcpy(ids + group->n_prompt, sample->rollout.tokens, sample->rollout.n_tokens * sizeof *ids);
    for (k = 0; k < sample->n_steps; k++)
        ends[k] = group->n_prompt + sample->steps[k].end;
    text->ids = ids;
    text->n_tokens = n;
    text->ends = ends;
    text->n_steps = sample->n_steps;
    text->n_prompt = group->n_prompt;
    return STATUS_OK;
}

static enum status score_group(struct grpo *g, struct grpo_group *group, struct diag *diag)
{
    size_t size = g->options->group, j, k;
    struct step_scores *texts = arena_array(&g->step_arena, size, sizeof *texts);
    double began = progress_now();
    enum status status = texts ? STATUS_OK : diag_fail(diag, STATUS_MEMORY, "grpo: out of memory for step scores");

    for (j = 0; j < size && !status; j++)
        status = as_text(g, group, &group->samples[j], &texts[j], diag);
    if (!status)
        status = step_scorer_run(g->scorer, texts, size, diag);
    for (j = 0; j < size && !status; j++)
        for (k = 0; k < group->samples[j].n_steps; k++)
            group->samples[j].steps[k].score = texts[j].scores[k];
    g->result->score_seconds += progress_now() - began;
    return status;
}

static enum status judge_group(struct grpo *g, struct grpo_group *group, struct diag *diag)
{
    enum status status = STATUS_OK;
    size_t j;

    for (j = 0; j < g->options->group && !status; j++) {
        struct grpo_sample *s = &group->samples[j];

        status = find_steps(g, s, diag);
        if (!status)
            status = g->tasks->grade(g->tasks->context, group->task, s->rollout.tokens, s->rollout.n_tokens,
                                     &s->correct, diag);
        s->masked = s->rollout.truncated && g->options->truncated == TRUNCATED_MASK;
    }
    return status || !g->scorer ? status : score_group(g, group, diag);
}

/* ---- Advantages ---- */

static struct reward_sample as_reward(const struct grpo *g, const struct grpo_sample *s)
{
    struct reward_sample r = {s->rollout.n_tokens, s->n_steps, s->steps, s->correct, 0};

    r.truncated = s->rollout.truncated && g->options->truncated != TRUNCATED_KEEP;
    return r;
}

static void pure_group(struct grpo *g, struct grpo_group *group, const struct reward_sample *samples, double *scratch,
                       double *delta)
{
    const struct reward_pure *o = &g->options->pure;
    double *returns = scratch;
    size_t n = g->options->group, i, t;

    for (i = 0; i < n; i++)
        returns[i] = reward_softmin(scratch + n, &samples[i], o->temperature);
    for (i = 0; i < n; i++) {
        struct grpo_sample *s = &group->samples[i];

        for (t = 0; s->reference && t < s->rollout.n_tokens; t++)
            delta[t] = (double)s->rollout.logprobs[t] - (double)s->reference[t];
        reward_pure_steps(scratch + n, o, samples, returns, n, i);
        reward_pure_tokens(s->advantage, scratch + n, o, &samples[i], s->reference ? delta : NULL);
    }
}

/* What the reward model gives a sample, and with what weight it is part of the reward. Credits that make no reward of
 * it show the softmin, with weight 0. */
static double step_return(const struct grpo_options *o, const struct reward_sample *sample, double *scratch)
{
    if (o->mode == GRPO_GRPO)
        return reward_mean(sample);
    return o->mode == GRPO_PAD && reward_uses_steps(o->pad.credit)
               ? reward_steps(scratch, &o->pad, sample)
               : reward_softmin(scratch, sample, o->pad.temperature);
}

static double step_weight(const struct grpo_options *o)
{
    if (o->mode != GRPO_PAD)
        return 1;
    return reward_uses_steps(o->pad.credit) ? o->pad.lambda_p : 0;
}

/* Advantages of one group by mode; whitening of mode pure follows over the whole batch. */
static enum status advantages_of(struct grpo *g, struct grpo_group *group, struct diag *diag)
{
    size_t n = g->options->group, most = 1, longest = 1, i, t;
    struct reward_sample *samples = arena_array(&g->step_arena, n, sizeof *samples);
    double **rows = arena_array(&g->step_arena, n, sizeof *rows), *scratch, *delta;

    for (i = 0; samples && rows && i < n; i++) {
        samples[i] = as_reward(g, &group->samples[i]);
        rows[i] = group->samples[i].advantage;
        most = samples[i].n_steps > most ? samples[i].n_steps : most;
        longest = samples[i].n_tokens > longest ? samples[i].n_tokens : longest;
    }
    scratch = arena_array(&g->step_arena, n + most * n, sizeof *scratch);
    delta = arena_array(&g->step_arena, longest, sizeof *delta);
    if (!samples || !rows || !scratch || !delta)
        return diag_fail(diag, STATUS_MEMORY, "grpo: out of memory for advantages");
    for (i = 0; i < n; i++)
        group->samples[i].returned = step_return(g->options, &samples[i], scratch);
    if (g->options->mode == GRPO_PAD) {
        reward_pad(rows, &g->options->pad, samples, n, scratch);
    } else if (g->options->mode == GRPO_PURE) {
        pure_group(g, group, samples, scratch, delta);
    } else {
        reward_grpo(scratch, samples, n);
        for (i = 0; i < n; i++)
            for (t = 0; t < samples[i].n_tokens; t++)
                rows[i][t] = scratch[i];
    }
    return STATUS_OK;
}

static int has_signal(const struct grpo *g, const struct grpo_group *group)
{
    size_t i, t;

    for (i = 0; i < g->options->group; i++)
        for (t = 0; !group->samples[i].masked && t < group->samples[i].rollout.n_tokens; t++)
            if (fabs(group->samples[i].advantage[t]) > 1e-12)
                return 1;
    return 0;
}

/* Log-probabilities of the base for a group's samples. */
static enum status refer(struct grpo *g, struct grpo_group *group, struct diag *diag)
{
    enum status status = STATUS_OK;
    size_t j;

    for (j = 0; g->reference && j < g->options->group && !status; j++) {
        struct grpo_sample *s = &group->samples[j];
        size_t n = group->n_prompt + s->rollout.n_tokens;
        int32_t *ids = arena_array(&g->step_arena, n, sizeof *ids);

        s->reference = arena_array(&g->step_arena, s->rollout.n_tokens + 1, sizeof *s->reference);
        if (!ids || !s->reference)
            return diag_fail(diag, STATUS_MEMORY, "grpo: out of memory for the reference");
        memcpy(ids, group->prompt, group->n_prompt * sizeof *ids);
        memcpy(ids + group->n_prompt, s->rollout.tokens, s->rollout.n_tokens * sizeof *ids);
        if (s->rollout.n_tokens)
            status = score_tokens(g->reference, ids, n, group->n_prompt, NULL, 0, s->reference, diag);
    }
    return status;
}

static void count_group(struct grpo *g, const struct grpo_group *group)
{
    const struct grpo_options *o = g->options;
    double mean = 0, square = 0;
    size_t j;

    for (j = 0; j < o->group; j++) {
        const struct grpo_sample *s = &group->samples[j];
        double c = s->correct && !s->rollout.truncated, reward = o->mode == GRPO_GRPO ? 0 : o->pad.lambda_v * c;

        reward += g->scorer ? step_weight(o) * s->returned : 0;
        mean += reward / (double)o->group;
        square += reward * reward / (double)o->group;
        g->right += c;
        g->prm_reward += s->returned;
        g->length += (double)s->rollout.n_tokens;
        g->truncated += s->rollout.truncated;
    }
    g->reward += mean;
    g->reward_deviation += sqrt(fmax(square - mean * mean, 0));
}

static void whiten_batch(struct grpo *g, struct diag *diag, enum status *status)
{
    size_t n = g->n_groups * g->options->group, i;
    struct reward_sample *samples = arena_array(&g->step_arena, n + 1, sizeof *samples);
    double **rows = arena_array(&g->step_arena, n + 1, sizeof *rows), mean, deviation;

    if (!samples || !rows) {
        *status = diag_fail(diag, STATUS_MEMORY, "grpo: out of memory for advantages");
        return;
    }
    for (i = 0; i < n; i++) {
        struct grpo_sample *s = &g->groups[i / g->options->group].samples[i % g->options->group];

        samples[i] = as_reward(g, s);
        rows[i] = s->advantage;
    }
    reward_whiten(rows, samples, n, &mean, &deviation);
}

/* Groups with signal for this step, at most `prompts` of them. */
enum status grpo_collect(struct grpo *g, uint64_t step, struct diag *diag)
{
    const struct grpo_options *o = g->options;
    uint64_t position = step * o->prompts * (1 + o->resample), end = position + o->prompts * (1 + o->resample);
    double began = progress_now();
    enum status status = STATUS_OK;

    g->n_groups = g->n_sampled = g->n_silent = 0;
    while (g->n_groups < o->prompts && position < end && !status) {
        size_t n = o->prompts - g->n_groups, i, kept = g->n_groups;

        n = end - position < n ? (size_t)(end - position) : n;
        status = sample_groups(g, g->groups + kept, n, position, diag);
        g->result->rollout_seconds += progress_now() - began;
        position += n;
        for (i = 0; i < n && !status; i++) {
            struct grpo_group group = g->groups[kept + i];

            status = judge_group(g, &group, diag);
            if (!status)
                status = refer(g, &group, diag);
            if (!status && g->reference && o->mode == GRPO_PURE && o->temperature != 1)
                status = grpo_renew_old(g, &group, diag);
            if (!status)
                status = advantages_of(g, &group, diag);
            if (status)
                break;
            count_group(g, &group);
            g->n_sampled++;
            if (has_signal(g, &group))
                g->groups[g->n_groups++] = group;
            else
                g->n_silent++;
        }
        began = progress_now();
    }
    if (!status && o->mode == GRPO_PURE)
        whiten_batch(g, diag, &status);
    return status;
}
