/* distill_plan.c - what the stages of the wanted rows take in memory, from the models' headers, their tokenizers and
 * the questions, before any weights are loaded.
 *
 * Leaves out what grows with the questions in memory: 4 bytes a prompt token in reinforcement. */
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "distill_parts.h"
#include "memory_plan.h"
#include "model.h"
#include "prm.h"
#include "step_labels.h"

struct plan {
    struct distill d; /* as the run will have it: no model yet */
    const struct distill_options *options;
    const struct exec *exec;
    struct config config;
    struct distill_lengths lengths;
    size_t weights;
};

static enum status measure(struct plan *p, const char *path, struct diag *diag)
{
    const struct distill_options *o = p->options;
    struct model model = {0}; /* what prompts take of one */
    struct chat_template chat;
    struct prompt_style style;
    struct buffer name = {0};
    enum status status = model_measure(path, &p->config, &p->weights, diag);

    buffer_text(&name, path);
    model.path = name.data;
    if (!status)
        status = name.failed ? distill_no_memory(diag) : tokenizer_load(&model.tokenizer, path, diag);
    if (!status)
        status = prompt_style_open(&style, &chat, &model, o->chat_template, o->plain, o->system, diag);
    if (!status)
        status = distill_measure_lengths(&p->d, &p->lengths, &style, (size_t)p->config.ctx_len, diag);
    if (!status)
        p->d.aside = memory_plan_aside(model.tokenizer);
    p->d.lengths = p->lengths;
    tokenizer_free(model.tokenizer);
    buffer_free(&name);
    return status;
}

/* Of an engine with as many sequences as fit, as ask_open_engine makes it. */
static size_t engine_bytes(const struct plan *p, size_t context, size_t beside)
{
    struct engine_options options = distill_engine_options(p->options, &p->lengths, context);

    return ask_fit_engine(&p->config, p->exec, &options, p->weights + beside, distill_limit(&p->d));
}

static enum status tell(const struct plan *p, const char *stage, size_t work, struct diag *diag)
{
    const struct distill_options *o = p->options;
    struct memory_plan plan = {p->weights, work, p->d.aside, 0};
    char line[192], sum[128];

    memory_plan_text(sum, sizeof sum, &plan, 9);
    snprintf(line, sizeof line, "distill: %-28s %s", stage, sum);
    if (o->say)
        o->say(o->context_of_say, line);
    if (memory_plan_fits(&plan, o->mem_limit))
        return STATUS_OK;
    return diag_fail(diag, STATUS_MEMORY,
                     "%s takes %.1f MB, more than the limit of %.1f MB; a smaller -c, --max-len or --max-new would "
                     "take less",
                     stage, (double)memory_plan_total(&plan) / 1048576.0, (double)o->mem_limit / 1048576.0);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t fine_tuning_bytes(const struct plan *p, size_t max_len)
{
    const struct distill_options *o = p->options;
    struct sft_options options = {.batch = o->records, .train = o->train};

    options.backward = distill_backward(o, max_len, BACKWARD_HEAD_ROWS);
    return memory_plan_sft(&p->config, &options, &o->shape, adapter_count(&p->config, &o->shape));
}

/* Labels come before training, measuring after it: the largest of them. */
static size_t reward_model_bytes(const struct plan *p, size_t max_len)
{
    const struct distill_options *o = p->options;
    struct prm_options options = {.batch = o->records, .train = o->train, .format = {.max_len = max_len}};
    struct adapter_shape shape = o->shape;
    size_t training, scoring;

    shape.score = 1;
    options.backward = distill_backward(o, max_len, 1);
    training = memory_plan_prm(&p->config, &options, &shape);
    scoring = memory_plan_adapter(&p->config, &shape) + step_scorer_bytes(&p->config, 1, max_len, o->k_type, o->v_type);
    training = larger(training, scoring);
    return o->labels & STEP_LABELS_MC ? larger(training, engine_bytes(p, distill_label_context(o, &p->lengths), 0))
                                      : training;
}

size_t distill_reinforcing(const struct distill *d, const struct config *config, size_t weights, int with_prm,
                           struct engine_options *rollouts, struct engine_options *dev)
{
    const struct distill_options *o = d->options;
    struct adapter_shape prm = o->shape;
    struct grpo_options options = {.group = o->group, .prompts = o->prompts, .max_new = o->max_new};
    struct memory_plan_grpo plan = {.options = &options, .policy = &o->shape, .prm = with_prm ? &prm : NULL};
    size_t all;

    prm.score = 1;
    options.resample = GRPO_RESAMPLE;
    options.context = d->lengths.solve;
    options.backward = distill_backward(o, distill_pass(options.context), BACKWARD_HEAD_ROWS);
    options.train = o->train;
    plan.rollouts = plan.dev = distill_engine_options(o, &d->lengths, options.context);
    if (plan.rollouts.max_sequences > o->prompts * o->group)
        plan.rollouts.max_sequences = o->prompts * o->group;
    all = memory_plan_grpo(&plan, config, &d->exec, weights, distill_limit(d));
    *rollouts = plan.rollouts;
    *dev = plan.dev;
    return all;
}

static int wants_any(const struct plan *p, enum distill_row first, enum distill_row last)
{
    for (int row = (int)first; row <= (int)last; row++)
        if (distill_wants(&p->d, (enum distill_row)row))
            return 1;
    return 0;
}

static enum status tell_teacher(const struct plan *p, struct diag *diag)
{
    if (distill_needs_debate(&p->d) || distill_wants(&p->d, ROW_DEBATE))
        return tell(p, "debates, teacher", engine_bytes(p, p->lengths.debate, 0), diag);
    if (distill_wants(&p->d, ROW_TEACHER))
        return tell(p, "evaluation, teacher", engine_bytes(p, p->lengths.solve, 0), diag);
    return STATUS_OK;
}

static enum status tell_student(const struct plan *p, struct diag *diag)
{
    const struct distill_options *o = p->options;
    struct engine_options rollouts, dev;
    size_t max_len = o->max_len < p->lengths.most ? o->max_len : p->lengths.most;
    size_t longest = distill_wants(&p->d, ROW_SELF_DEBATE) ? p->lengths.debate : p->lengths.solve;
    size_t adapter = wants_any(p, ROW_ANSWER, ROW_DA_PAD) ? memory_plan_adapter(&p->config, &o->shape) : 0;
    int reward = wants_any(p, ROW_PAD, ROW_DA_PAD);
    enum status status = STATUS_OK;

    if (wants_any(p, ROW_ANSWER, ROW_DA))
        status = tell(p, "fine-tuning", fine_tuning_bytes(p, max_len), diag);
    if (!status && reward)
        status = tell(p, "reward model", reward_model_bytes(p, max_len), diag);
    if (!status && wants_any(p, ROW_RL, ROW_DA_PAD))
        status =
            tell(p, "reinforcement", distill_reinforcing(&p->d, &p->config, p->weights, reward, &rollouts, &dev), diag);
    if (!status && (adapter || distill_wants(&p->d, ROW_BASE) || distill_wants(&p->d, ROW_SELF_DEBATE)))
        status = tell(p, "evaluation", adapter + engine_bytes(p, longest, adapter), diag);
    return status;
}

enum status distill_plan(const struct distill_options *o, const struct exec *exec, struct diag *diag)
{
    struct plan p = {.d = {.options = o, .exec = *exec}, .options = o, .exec = exec};
    enum status status;

    arena_init(&p.d.arena, "plan", 0);
    status = measure(&p, o->teacher, diag);
    if (!status)
        status = tell_teacher(&p, diag);
    if (!status)
        status = measure(&p, o->student, diag);
    if (!status)
        status = tell_student(&p, diag);
    arena_free(&p.d.arena);
    return status;
}
