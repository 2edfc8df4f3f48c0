/* distill_plan.c - what the stages take in memory, from the models' headers, before anything is loaded.
 *
 * Leaves out what grows with the questions in memory: 4 bytes a prompt token in reinforcement. */
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "distill_parts.h"
#include "model.h"
#include "pool.h"
#include "prm.h"

struct plan {
    const struct distill_options *options;
    const struct exec *exec;
    struct config config;
    size_t weights, context;
};

static enum status measure(struct plan *p, const char *path, struct diag *diag)
{
    enum status status = model_measure(path, &p->config, &p->weights, diag);

    p->context = distill_context(p->options, status ? 0 : (size_t)p->config.ctx_len);
    return status;
}

/* Of an engine with as many sequences as fit, as ask_open_engine makes it. */
static size_t engine_bytes(const struct plan *p, size_t beside)
{
    struct engine_options options = distill_engine_options(p->options, p->context);

    return ask_fit_engine(&p->config, p->exec, &options, beside, p->options->mem_limit);
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
    double megabyte = 1048576.0, all = (double)(p->weights + work) / megabyte;
    char line[160];

    snprintf(line, sizeof line, "distill: %-28s %9.1f MB = weights %.1f + work %.1f", stage, all,
             (double)p->weights / megabyte, (double)work / megabyte);
    if (o->say)
        o->say(o->context_of_say, line);
    if (o->mem_limit && p->weights + work > o->mem_limit)
        return diag_fail(diag, STATUS_MEMORY,
                         "%s takes %.1f MB, more than the limit of %.1f MB; a smaller -c, "
                         "--max-len or --max-new would take less",
                         stage, all, (double)o->mem_limit / megabyte);
    return STATUS_OK;
}

enum status distill_plan(const struct distill_options *o, const struct exec *exec, struct diag *diag)
{
    struct plan p = {.options = o, .exec = exec};
    size_t max_len, rl;
    enum status status = measure(&p, o->teacher, diag);

    if (!status)
        status = tell(&p, "debates, teacher", engine_bytes(&p, p.weights), diag);
    if (!status)
        status = measure(&p, o->student, diag);
    max_len = status || o->max_len < p.context ? o->max_len : p.context;
    if (!status)
        status = tell(&p, "fine-tuning", learner_bytes(&p, max_len, BACKWARD_HEAD_ROWS), diag);
    if (!status)
        status = tell(&p, "reward model", learner_bytes(&p, max_len, 1), diag);
    if (!status) {
        rl = learner_bytes(&p, p.context > 1024 ? p.context : 1024, BACKWARD_HEAD_ROWS) +
             step_scorer_bytes(&p.config, 1024, o->k_type, o->v_type);
        /* the engine of the rollouts and that of the dev questions */
        status = tell(&p, "reinforcement", rl + 2 * engine_bytes(&p, p.weights + rl), diag);
    }
    return status ? status : tell(&p, "evaluation", engine_bytes(&p, p.weights), diag);
}
