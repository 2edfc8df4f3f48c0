/* distill_plan.c - what the stages take in memory, from the models' headers, their tokenizers and the questions, before
 * any weights are loaded.
 *
 * Leaves out what grows with the questions in memory: 4 bytes a prompt token in reinforcement. */
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "distill_parts.h"
#include "model.h"
#include "pool.h"
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
        p->d.aside = distill_aside(model.tokenizer);
    p->d.lengths = p->lengths;
    tokenizer_free(model.tokenizer);
    buffer_free(&name);
    return status;
}

/* Of an engine with as many sequences as fit, as ask_open_engine makes it. */
static size_t engine_bytes(const struct plan *p, size_t context, size_t beside)
{
    struct engine_options options = distill_engine_options(p->options, &p->lengths, context);

    return ask_fit_engine(&p->config, p->exec, &options, beside, distill_limit(&p->d));
}

static size_t learner_bytes(const struct plan *p, size_t max_tokens, size_t head_rows)
{
    const struct distill_options *o = p->options;
    struct backward_options backward = distill_backward(o, max_tokens, head_rows);
    struct adapter adapter = {.shape = o->shape};
    size_t n = adapter_count(&p->config, &o->shape);

    backward.max_spans = o->records < max_tokens ? o->records : max_tokens;
    return trainer_bytes(&p->config, &adapter, n, &o->train, &backward, pool_size(p->exec->pool)) +
           2 * n * sizeof(float);
}

static enum status tell(const struct plan *p, const char *stage, size_t work, struct diag *diag)
{
    const struct distill_options *o = p->options;
    double megabyte = 1048576.0, all = (double)(p->weights + work + p->d.aside) / megabyte;
    char line[160];

    snprintf(line, sizeof line, "distill: %-28s %9.1f MB = weights %.1f + work %.1f + tokenizer, program %.1f", stage,
             all, (double)p->weights / megabyte, (double)work / megabyte, (double)p->d.aside / megabyte);
    if (o->say)
        o->say(o->context_of_say, line);
    if (o->mem_limit && p->weights + work + p->d.aside > o->mem_limit)
        return diag_fail(diag, STATUS_MEMORY,
                         "%s takes %.1f MB, more than the limit of %.1f MB; a smaller -c, "
                         "--max-len or --max-new would take less",
                         stage, all, (double)o->mem_limit / megabyte);
    return STATUS_OK;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* An adapter in memory, with the copy it computes with. */
static size_t adapter_bytes(const struct plan *p)
{
    const struct adapter_shape *shape = &p->options->shape;

    return adapter_count(&p->config, shape) * sizeof(float) + adapter_copy_bytes(&p->config, shape);
}

/* Labels come before training: the larger of the two. */
static size_t reward_model_bytes(const struct plan *p, size_t max_len)
{
    const struct distill_options *o = p->options;
    size_t training = learner_bytes(p, max_len, 1);

    return o->labels & STEP_LABELS_MC
               ? larger(training, engine_bytes(p, distill_label_context(o, &p->lengths), p->weights))
               : training;
}

size_t distill_reinforcing(const struct distill *d, const struct config *config, size_t weights,
                           struct engine_options *rollouts, struct engine_options *dev)
{
    const struct distill_options *o = d->options;
    struct plan p = {.options = o, .exec = &d->exec, .config = *config, .lengths = d->lengths, .weights = weights};
    size_t context = d->lengths.solve, all = learner_bytes(&p, distill_pass(context), BACKWARD_HEAD_ROWS);

    *rollouts = *dev = distill_engine_options(o, &d->lengths, context);
    rollouts->max_sequences = o->batch < o->prompts * o->group ? o->batch : o->prompts * o->group;
    all += adapter_bytes(&p) + step_scorer_bytes(config, context, o->k_type, o->v_type);
    all += ask_fit_engine(config, p.exec, rollouts, weights + all, distill_limit(d));
    return all + ask_fit_engine(config, p.exec, dev, weights + all, distill_limit(d));
}

static enum status tell_student(const struct plan *p, struct diag *diag)
{
    const struct distill_options *o = p->options;
    struct engine_options rollouts, dev;
    size_t max_len = o->max_len < p->lengths.most ? o->max_len : p->lengths.most;
    size_t longest = distill_wants(&p->d, ROW_SELF_DEBATE) ? p->lengths.debate : p->lengths.solve;
    enum status status = tell(p, "fine-tuning", learner_bytes(p, max_len, BACKWARD_HEAD_ROWS), diag);

    if (!status)
        status = tell(p, "reward model", reward_model_bytes(p, max_len), diag);
    if (!status)
        status = tell(p, "reinforcement", distill_reinforcing(&p->d, &p->config, p->weights, &rollouts, &dev), diag);
    return status ? status
                  : tell(p, "evaluation", adapter_bytes(p) + engine_bytes(p, longest, p->weights + adapter_bytes(p)),
                         diag);
}

enum status distill_plan(const struct distill_options *o, const struct exec *exec, struct diag *diag)
{
    struct plan p = {.d = {.options = o, .exec = *exec}, .options = o, .exec = exec};
    enum status status;

    arena_init(&p.d.arena, "plan", 0);
    status = measure(&p, o->teacher, diag);
    if (!status)
        status = tell(&p, "debates, teacher", engine_bytes(&p, p.lengths.debate, p.weights), diag);
    if (!status)
        status = measure(&p, o->student, diag);
    if (!status)
        status = tell_student(&p, diag);
    arena_free(&p.d.arena);
    return status;
}
