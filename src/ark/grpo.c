/* grpo.c - reinforcement learning. One step, as a sentence: sample groups, check and score them, turn that into an
 * advantage per token, run the samples forward on their shared prompts, take the policy loss through the head, go back,
 * update. See grpo_step.
 *
 *   tasks of step s:  positions [s W, (s + 1) W) of the shuffled order, W = prompts x (1 + resample); groups without
 *                     signal are replaced from the rest of the window. So a step is a function of its number alone. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "generate.h"
#include "grpo_parts.h"

/* ---- The policy loss ---- */

static double response_tokens(const struct grpo *g)
{
    double n = 0;
    size_t i, j;

    for (i = 0; i < g->n_groups; i++)
        for (j = 0; j < g->options->group; j++)
            n += g->groups[i].samples[j].masked ? 0 : (double)g->groups[i].samples[j].rollout.n_tokens;
    return n > 0 ? n : 1;
}

static struct grpo_objective objective_of(const struct grpo *g)
{
    const struct grpo_options *o = g->options;
    struct grpo_objective objective = {o->loss, o->clip_eps, o->clip_eps_high, o->kl_beta, o->kl_corrected, 0, 0, 0};

    if (o->mode != GRPO_PAD)
        objective.clip_eps_high = o->clip_eps;
    if (o->mode == GRPO_PURE) { /* its KL is part of the reward */
        objective.loss = GRPO_LOSS_SAMPLE;
        objective.kl_beta = 0;
    } else if (o->mode == GRPO_GRPO) {
        objective.loss = GRPO_LOSS_SEQUENCE;
    }
    objective.n_samples = (double)(g->n_groups * o->group);
    objective.max_new = (double)o->max_new;
    objective.n_tokens = response_tokens(g);
    return objective;
}

/* Coefficients of a chunk: minus the derivative of the loss with respect to each log-probability. */
static void coefficients(void *context, size_t first, size_t n, const float *logprob, const float *entropy,
                         float *coefficient)
{
    struct grpo *g = context;
    size_t i;

    for (i = 0; i < n; i++) {
        const struct grpo_sample *s = g->owner[first + i];
        size_t t = g->index[first + i];
        struct grpo_token token = {(double)logprob[i], 0, NAN, s->ratio_log, s->advantage[t], s->rollout.n_tokens};
        struct grpo_term term;

        if (g->renew)
            s->rollout.logprobs[t] = logprob[i];
        token.old = (double)s->rollout.logprobs[t];
        if (g->objective.loss != GRPO_LOSS_SEQUENCE)
            token.log_ratio = token.logp - token.old;
        if (s->reference)
            token.reference = (double)s->reference[t];
        term = grpo_token_loss(&g->objective, &token);
        g->loss += term.loss;
        g->kl += term.kl;
        g->clipped += term.clipped;
        g->entropy += (double)entropy[i];
        g->n_positions++;
        coefficient[i] = (float)-term.slope;
    }
}

/* Spans and loss positions of a group's samples [*from, ...) behind their prompt; 0 when not even one fits. */
static size_t pack_samples(struct grpo *g, struct grpo_group *group, size_t *from, size_t *n_spans)
{
    struct train_span prompt = {group->prompt, group->n_prompt, -1};
    size_t row = group->n_prompt, n = 0, t;

    g->spans[0] = prompt;
    *n_spans = 1;
    for (; *from < g->options->group; (*from)++) {
        struct grpo_sample *s = &group->samples[*from];
        struct train_span span = {s->rollout.tokens, s->rollout.n_tokens, 0};

        if (s->masked || s->rollout.n_tokens == 0)
            continue;
        if (row + s->rollout.n_tokens > g->options->backward.max_tokens)
            break;
        for (t = 0; t < s->rollout.n_tokens; t++, n++) {
            g->rows[n] = t == 0 ? group->n_prompt - 1 : row + t - 1;
            g->targets[n] = s->rollout.tokens[t];
            g->owner[n] = s;
            g->index[n] = t;
        }
        g->spans[(*n_spans)++] = span;
        row += s->rollout.n_tokens;
    }
    g->trainer->tokens += row;
    return n;
}

/* Sequence ratios of mode grpo, from a first pass without gradient. */
static void sum_ratios(struct grpo *g, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        g->owner[i]->ratio_log = 0;
    for (i = 0; i < n && !g->renew; i++)
        g->owner[i]->ratio_log += (double)g->logprobs[i] - (double)g->owner[i]->rollout.logprobs[g->index[i]];
}

static enum status train_group(struct grpo *g, struct grpo_group *group, struct diag *diag)
{
    struct backward *b = g->trainer->backward;
    enum status status = STATUS_OK;
    size_t from = 0, n_spans, n;
    const float *hidden;

    while (from < g->options->group && !status) {
        size_t before = from;

        n = pack_samples(g, group, &from, &n_spans);
        if (n == 0 && from == before)
            return diag_fail(diag, STATUS_RANGE,
                             "grpo: a prompt of %zu tokens and a sample do not fit into %zu at once", group->n_prompt,
                             g->options->backward.max_tokens);
        if (n == 0)
            break;
        status = backward_forward(b, g->spans, n_spans, &hidden, diag);
        if (!status && g->options->mode == GRPO_GRPO) {
            status = backward_loss(b, g->rows, g->targets, n, g->logprobs, NULL, NULL, NULL, NULL, diag);
            sum_ratios(g, n);
        }
        if (!status)
            status = backward_loss(b, g->rows, g->targets, n, g->logprobs, g->entropies, coefficients, g, NULL, diag);
        if (!status)
            status = trainer_pass(g->trainer, diag);
    }
    return status;
}

/* The sampler's log-probabilities are those at temperature 1. Mode pure wants them at the sampling temperature before
 * the first update: its KL is part of the reward. */
enum status grpo_renew_old(struct grpo *g, struct grpo_group *group, struct diag *diag)
{
    struct backward *b = g->trainer->backward;
    enum status status = STATUS_OK;
    size_t from = 0, n_spans, n, i;
    uint64_t tokens = g->trainer->tokens;
    const float *hidden;

    while (from < g->options->group && !status && (n = pack_samples(g, group, &from, &n_spans)) > 0) {
        status = backward_forward(b, g->spans, n_spans, &hidden, diag);
        if (!status)
            status = backward_loss(b, g->rows, g->targets, n, g->logprobs, NULL, NULL, NULL, NULL, diag);
        for (i = 0; i < n && !status; i++)
            g->owner[i]->rollout.logprobs[g->index[i]] = g->logprobs[i];
    }
    g->trainer->tokens = tokens;
    return status;
}

static void clear_sums(struct grpo *g)
{
    g->reward = g->reward_deviation = g->prm_reward = g->right = g->kl = g->entropy = g->length = g->truncated = 0;
    g->clipped = g->n_positions = g->loss = 0;
}

static enum status update(struct grpo *g, struct diag *diag)
{
    enum status status = STATUS_OK;
    size_t i;

    trainer_begin_step(g->trainer);
    g->objective = objective_of(g);
    g->loss = 0; /* of the last update */
    for (i = 0; i < g->n_groups && !status; i++)
        status = train_group(g, &g->groups[i], diag);
    return status ? status : trainer_end_step(g->trainer, diag);
}

/* One step of reinforcement. */
static enum status grpo_step(void *context, struct diag *diag)
{
    struct grpo *g = context;
    const struct engine_watch *watch = g->trainer->watch;
    size_t updates = g->options->updates_per_rollout, u;
    uint64_t step = g->trainer->step;
    double began;
    enum status status;

    arena_free(&g->step_arena);
    arena_init(&g->step_arena, "grpo step", 0);
    clear_sums(g);
    status = grpo_collect(g, step, diag);
    began = progress_now();
    if (!status && g->n_groups == 0)
        trainer_skip_step(g->trainer);
    for (u = 0; u < updates && g->n_groups && !status; u++) {
        g->trainer->step = step;                   /* all updates of a step share its learning rate and number */
        g->trainer->watch = u == 0 ? watch : NULL; /* what is begun must end */
        g->renew = u == 0 && g->options->temperature != 1;
        status = update(g, diag);
    }
    g->trainer->watch = watch;
    g->result->train_seconds += progress_now() - began;
    if (g->n_sampled) {
        g->result->reward = g->reward / (double)g->n_sampled;
        g->result->accuracy = g->right / (double)(g->n_sampled * g->options->group);
    }
    return status;
}

/* ---- What the loop asks for ---- */

#define COLUMNS                                                                                                        \
    "loss,reward,reward_std,rewards/answer/mean,rewards/prm/mean,kl,entropy,completions/mean_length,"                  \
    "completions/clipped_ratio,frac_reward_zero_std,clip_ratio/region_mean"

static void write_row(void *context, struct metrics *metrics)
{
    const struct grpo *g = context;
    double groups = (double)g->n_sampled, samples = groups * (double)g->options->group;

    metrics_number(metrics, g->n_positions ? g->loss : NAN);
    metrics_number(metrics, g->reward / groups);
    metrics_number(metrics, g->reward_deviation / groups);
    metrics_number(metrics, g->right / samples);
    metrics_number(metrics, g->scorer ? g->prm_reward / samples : NAN);
    metrics_number(metrics, g->reference && g->n_positions ? g->kl / g->n_positions : NAN);
    metrics_number(metrics, g->n_positions ? g->entropy / g->n_positions : NAN);
    metrics_number(metrics, g->length / samples);
    metrics_number(metrics, g->truncated / samples);
    metrics_number(metrics, (double)g->n_silent / groups);
    metrics_number(metrics, g->n_positions ? g->clipped / g->n_positions : NAN);
}

static void write_note(void *context, char *text, size_t size)
{
    const struct grpo *g = context;

    snprintf(text, size, "reward %.3f, right %.3f", g->result->reward, g->result->accuracy);
}

/* The loop wants a number that falls. */
static enum status evaluate(void *context, double *value, struct diag *diag)
{
    struct grpo *g = context;
    double accuracy;
    enum status status = g->tasks->evaluate(g->tasks->context, &accuracy, diag);

    *value = 1 - accuracy;
    return status;
}

/* ---- The run ---- */

static int allocate(struct grpo *g)
{
    size_t room = g->options->backward.max_tokens + 1;

    g->groups = arena_array(&g->arena, g->options->prompts, sizeof *g->groups);
    g->spans = arena_array(&g->arena, g->options->group + 1, sizeof *g->spans);
    g->rows = arena_array(&g->arena, room, sizeof *g->rows);
    g->targets = arena_array(&g->arena, room, sizeof *g->targets);
    g->owner = arena_array(&g->arena, room, sizeof *g->owner);
    g->index = arena_array(&g->arena, room, sizeof *g->index);
    g->logprobs = arena_array(&g->arena, room, sizeof *g->logprobs);
    g->entropies = arena_array(&g->arena, room, sizeof *g->entropies);
    return g->groups && g->spans && g->rows && g->targets && g->owner && g->index && g->logprobs && g->entropies;
}

static enum status open_run(struct grpo *g, struct model *model, const struct exec *exec, struct diag *diag)
{
    const struct grpo_options *o = g->options;
    struct backward_options backward = o->backward;
    struct train_options train = o->train;
    struct engine_options engine = {o->context, o->max_sequences, 256, 0, 0, backward.k_type, backward.v_type};
    struct score_options score = {o->context, 256, backward.k_type, backward.v_type, (float)o->temperature};
    const struct model *judge = o->prm_model ? o->prm_model : model;
    enum status status;

    backward.max_spans = o->group + 1;
    train.total_steps = o->run.total_steps;
    if (!allocate(g))
        return diag_fail(diag, STATUS_MEMORY, "grpo: out of memory");
    status = generate_eos(o->tokenizer, &g->eos, diag);
    if (!status)
        status = engine_create(&g->engine, model, exec, &engine, diag);
    if (!status && o->prm)
        status = step_scorer_create(&g->scorer, judge, o->prm, o->prm_beta, exec, o->context, backward.k_type,
                                    backward.v_type, diag);
    if (!status && (o->kl_beta > 0 || (o->mode == GRPO_PURE && o->pure.beta > 0)))
        status = score_create(&g->reference, model, exec, &score, diag);
    if (!status)
        status = trainer_create(&g->trainer, model, g->policy, NULL, exec, &train, &backward, diag);
    if (!status)
        backward_set_temperature(g->trainer->backward, (float)o->temperature);
    return status;
}

static enum status run(struct grpo *g, struct diag *diag)
{
    const struct grpo_options *o = g->options;
    struct train_hooks hooks = {g, grpo_step, g->tasks->evaluate ? evaluate : NULL, COLUMNS, write_row, write_note};
    struct train_run_options options = o->run;
    struct train_run_result result;
    enum status status;

    options.judge_start = 1;
    status = train_run(g->trainer, &options, &hooks, &result, diag);
    g->result->steps = g->trainer->step;
    g->result->tokens = g->trainer->tokens;
    g->result->best_step = result.best_step;
    g->result->best = 1 - result.best;
    g->result->seconds = result.seconds;
    g->result->engine = engine_statistics(g->engine);
    return status;
}

enum status grpo_run(struct model *model, struct adapter *policy, const struct exec *exec,
                     const struct grpo_tasks *tasks, const struct grpo_options *options, struct grpo_result *result,
                     struct diag *diag)
{
    struct grpo g = {.options = options, .tasks = tasks, .result = result, .policy = policy};
    enum status status;

    memset(result, 0, sizeof *result);
    g.adapters[0] = policy;
    arena_init(&g.arena, "grpo", 0);
    arena_init(&g.step_arena, "grpo step", 0);
    status = open_run(&g, model, exec, diag);
    if (!status)
        status = run(&g, diag);
    trainer_free(g.trainer);
    score_free(g.reference);
    step_scorer_free(g.scorer);
    engine_free(g.engine);
    tokens_free(&g.eos);
    arena_free(&g.step_arena);
    arena_free(&g.arena);
    return status;
}
