/* train_run.c - the loop around a learner. A run is a function of its configuration, base, data and step alone, so a
 * checkpoint taken after any step leads to the same bytes. */
#include "train_run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct run {
    struct trainer *trainer;
    const struct train_run_options *options;
    const struct train_hooks *hooks;
    struct metrics metrics;
    struct arena arena;
    char *state_path;
    float *best_params; /* NULL without evaluation */
    double best, value; /* best: NaN before the first evaluation; value: of the last one */
    uint64_t base_hash; /* of the model before it is trained */
    uint64_t best_step, first_step, tokens_before, saved_step; /* first, before: when this run took up the work */
};

/* ---- State ---- */

static void fill_checkpoint(const struct run *run, struct checkpoint *c)
{
    memset(c, 0, sizeof *c);
    trainer_fill(run->trainer, c);
    c->config = run->options->config;
    c->base_hash = run->base_hash;
    c->data_hash = run->options->data_hash;
    c->best = run->best;
    c->best_step = run->best_step;
    c->best_params = run->best_params;
}

static enum status save(struct run *run, struct diag *diag)
{
    struct checkpoint c;

    fill_checkpoint(run, &c);
    run->saved_step = c.step;
    return checkpoint_save(run->state_path, &c, diag);
}

static enum status load(struct run *run, struct diag *diag)
{
    struct checkpoint c;
    enum status status;

    fill_checkpoint(run, &c);
    status = checkpoint_load(run->state_path, &c, diag);
    if (status)
        return status;
    trainer_restore(run->trainer, &c);
    run->best = c.best;
    run->best_step = c.best_step;
    run->saved_step = c.step;
    return STATUS_OK;
}

/* Takes up the state of an earlier run, if there is one and it is wanted. Else the start is saved, before metrics.csv
 * is emptied: a state in the folder always belongs to this run. */
static enum status take_up(struct run *run, struct diag *diag)
{
    return run->options->resume && file_exists(run->state_path) ? load(run, diag) : save(run, diag);
}

/* A row for each step done. */
static enum status open_metrics(struct run *run, struct diag *diag)
{
    struct buffer path = {0}, columns = {0};
    enum status status;

    buffer_format(&path, "%s/metrics.csv", run->options->output);
    buffer_format(&columns, "step,%s,learning_rate,grad_norm,num_tokens,eval_loss,step_time", run->hooks->columns);
    status = path.failed || columns.failed
                 ? diag_fail(diag, STATUS_MEMORY, "metrics: out of memory")
                 : metrics_open(&run->metrics, path.data, columns.data, run->trainer->step, diag);
    buffer_free(&path);
    buffer_free(&columns);
    return status;
}

static enum status write_row(struct run *run, double seconds, int evaluated, struct diag *diag)
{
    metrics_integer(&run->metrics, run->trainer->step);
    run->hooks->row(run->hooks->context, &run->metrics);
    metrics_number(&run->metrics, run->trainer->learning_rate);
    metrics_number(&run->metrics, run->trainer->grad_norm);
    metrics_integer(&run->metrics, run->trainer->tokens);
    metrics_number(&run->metrics, evaluated ? run->value : NAN);
    metrics_number(&run->metrics, seconds);
    return metrics_end_row(&run->metrics, diag);
}

/* ---- The loop ---- */

/* Patience is at its end: known from the state alone, so a resumed run stops where the first one did. */
static int exhausted(const struct run *run)
{
    uint64_t every = run->options->eval_every, patience = run->options->patience;

    return patience && every && !isnan(run->best) && (run->trainer->step - run->best_step) / every >= patience;
}

/* Evaluates and remembers the best parameters. */
static enum status judge(struct run *run, struct diag *diag)
{
    enum status status = run->hooks->evaluate(run->hooks->context, &run->value, diag);

    if (status)
        return status;
    if (isnan(run->best) || run->value < run->best) {
        run->best = run->value;
        run->best_step = run->trainer->step;
        memcpy(run->best_params, run->trainer->params, run->trainer->n_params * sizeof(float));
    }
    return STATUS_OK;
}

static void show(const struct run *run)
{
    char note[96] = "the first step";

    if (!run->options->progress)
        return;
    if (run->trainer->step > run->first_step)
        run->hooks->note(run->hooks->context, note, sizeof note);
    progress_update(run->options->progress, run->trainer->step, run->options->total_steps,
                    (double)(run->trainer->tokens - run->tokens_before), note);
}

static int watch_step(void *context)
{
    const struct run *run = context;

    show(run);
    return run->options->stop && run->options->stop();
}

/* Saves what the last whole step left. A run that may be resumed as it was called is so by the same command. */
static enum status interrupt(struct run *run, struct diag *diag)
{
    const struct train_run_options *o = run->options;
    enum status status = save(run, diag);

    return status ? status
                  : diag_fail(diag, STATUS_STOPPED, "interrupted after step %llu of %llu; %s goes on",
                              (unsigned long long)run->trainer->step, (unsigned long long)o->total_steps,
                              o->resume ? "the same command" : "--resume");
}

/* One step with all that follows it. */
static enum status advance(struct run *run, struct diag *diag)
{
    const struct train_run_options *o = run->options;
    uint64_t next = run->trainer->step + 1;
    int last = next == o->total_steps;
    int due = run->hooks->evaluate && (last || (o->eval_every && next % o->eval_every == 0));
    double began = progress_now();
    uint64_t tokens = run->trainer->tokens;
    struct diag inner;
    enum status status = run->hooks->step(run->hooks->context, &inner);

    if (status == STATUS_STOPPED) {
        run->trainer->tokens = tokens;
        return interrupt(run, diag);
    }
    if (!status && due)
        status = judge(run, &inner);
    if (status == STATUS_NUMERIC)
        return diag_fail(diag, status, "step %llu: %s; the state after step %llu is kept", (unsigned long long)next,
                         inner.message, (unsigned long long)run->saved_step);
    if (status)
        return diag_fail(diag, status, "%s", inner.message);
    status = write_row(run, progress_now() - began, due, diag);
    if (!status && (last || exhausted(run) || (o->save_every && next % o->save_every == 0)))
        status = save(run, diag);
    if (status)
        return status;
    show(run);
    return o->stop && o->stop() ? interrupt(run, diag) : STATUS_OK;
}

static enum status prepare(struct run *run, struct diag *diag)
{
    struct buffer path = {0};
    enum status status = STATUS_OK;

    buffer_format(&path, "%s/checkpoint/state.bin", run->options->output);
    run->state_path = path.failed ? NULL : arena_text(&run->arena, path.data, path.length);
    buffer_free(&path);
    if (run->hooks->evaluate)
        run->best_params = arena_array(&run->arena, run->trainer->n_params, sizeof(float));
    if (!run->state_path || (run->hooks->evaluate && !run->best_params))
        status = diag_fail(diag, STATUS_MEMORY, "training: out of memory");
    if (!status)
        status = take_up(run, diag);
    if (!status)
        status = open_metrics(run, diag);
    return status;
}

/* The best parameters into the trainer. */
static void keep_best(struct run *run)
{
    if (isnan(run->best) || run->best_step == run->trainer->step)
        return;
    memcpy(run->trainer->params, run->best_params, run->trainer->n_params * sizeof(float));
    trainer_refresh(run->trainer);
}

enum status train_run(struct trainer *trainer, const struct train_run_options *options, const struct train_hooks *hooks,
                      struct train_run_result *result, struct diag *diag)
{
    struct run run = {.trainer = trainer, .options = options, .hooks = hooks, .best = NAN, .value = NAN};
    const struct engine_watch watch = {watch_step, &run};
    double started = progress_now();
    enum status status, closed;

    arena_init(&run.arena, "run", 0);
    run.base_hash = model_hash(trainer->model);
    trainer->watch = &watch;
    status = prepare(&run, diag);
    if (!status) {
        run.first_step = trainer->step;
        run.tokens_before = trainer->tokens;
        if (options->progress)
            options->progress->before = run.first_step;
        if (options->judge_start && hooks->evaluate && trainer->step == 0)
            status = judge(&run, diag);
        while (trainer->step < options->total_steps && !exhausted(&run) && !status)
            status = advance(&run, diag);
        closed = metrics_close(&run.metrics, status ? NULL : diag);
        status = status ? status : closed;
    }
    if (status == STATUS_NUMERIC) /* back to what is on disk */
        load(&run, NULL);
    if (!status || status == STATUS_NUMERIC || status == STATUS_STOPPED)
        keep_best(&run);
    trainer->watch = NULL;
    result->best = run.best;
    result->best_step = run.best_step;
    result->seconds = progress_now() - started;
    arena_free(&run.arena);
    return status;
}
