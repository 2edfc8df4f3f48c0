/* distill_learn.c - the stages that learn: fine-tuning and reinforcement. The reward model: distill_prm.c. */
#include <math.h>
#include <string.h>

#include "adapter_file.h"
#include "distill_parts.h"
#include "file.h"
#include "grpo_questions.h"
#include "model.h"
#include "sft.h"

/* ---- What learners share ---- */

enum status distill_run_folder(struct distill *d, struct train_run_options *run, const char *name, struct diag *diag)
{
    const struct distill_options *o = d->options;
    const char *checkpoint = distill_path(d, "%s/checkpoint", name);

    run->output = distill_path(d, "%s", name);
    run->config = o->config;
    run->save_every = o->save_every;
    run->resume = 1;
    run->progress = o->progress;
    run->stop = o->stop;
    return run->output && checkpoint ? file_make_folder(checkpoint, diag) : distill_no_memory(diag);
}

struct example_format distill_format(const struct distill *d)
{
    struct example_format format = {.tokenizer = d->style.tokenizer, .chat = d->style.chat};

    format.chat_options = d->style.chat_options;
    format.max_len = d->options->max_len < d->lengths.most ? d->options->max_len : d->lengths.most;
    return format;
}

struct backward_options distill_backward(const struct distill_options *o, size_t max_tokens, size_t head_rows)
{
    struct backward_options backward = {.max_tokens = max_tokens, .head_rows = head_rows};

    backward.k_type = o->k_type;
    backward.v_type = o->v_type;
    return backward;
}

struct train_options distill_train(const struct distill *d, double lr)
{
    struct train_options train = d->options->train;

    train.lr = lr;
    train.seed = d->options->sampling.seed;
    return train;
}

enum status distill_fresh(struct distill *d, struct adapter **adapter, int score, struct diag *diag)
{
    struct adapter_shape shape = d->options->shape;
    enum status status;

    shape.score = score;
    status = adapter_create(adapter, d->model, &shape, diag);
    if (status)
        return status;
    adapter_init(*adapter, d->options->sampling.seed);
    (*adapter)->dropout = (float)d->options->lora_dropout;
    return STATUS_OK;
}

int distill_is_empty(const char *path)
{
    struct file_lines lines;
    char *line = NULL;
    size_t length;

    if (!file_exists(path) || file_lines_open(&lines, path, NULL))
        return 1;
    if (file_lines_next(&lines, &line, &length, NULL))
        line = NULL;
    file_lines_close(&lines);
    return line == NULL;
}

static void put_columns(const char *head, const char *last, const char *const *columns, struct buffer *result)
{
    for (; *columns; columns++) {
        const char *value = metrics_field(last, metrics_column(head, *columns));
        size_t digits = strcspn(value, ",");

        if (digits && strspn(value, "+-.0123456789e") >= digits)
            buffer_format(result, ",\"%s\":%.*s", *columns, (int)digits, value);
    }
}

void distill_put_metrics(struct distill *d, const char *name, const char *const *columns, struct buffer *result)
{
    const char *path = distill_path(d, "%s/metrics.csv", name);
    struct buffer head = {0}, last = {0};
    struct file_lines lines;
    char *line;
    size_t length;

    if (!path || !file_exists(path) || file_lines_open(&lines, path, NULL))
        return;
    while (!file_lines_next(&lines, &line, &length, NULL) && line) {
        struct buffer *row = lines.number == 1 ? &head : &last;

        buffer_clear(row);
        buffer_append(row, line, length);
    }
    file_lines_close(&lines);
    if (head.data && last.data)
        put_columns(head.data, last.data, columns, result);
    result->failed |= head.failed || last.failed;
    buffer_free(&head);
    buffer_free(&last);
}

/* ---- sft ---- */

static enum status run_sft(struct distill *d, const char *traces, const char *name, struct sft_result *r,
                           struct diag *diag)
{
    const struct distill_options *o = d->options;
    struct sft_options options = {.data = traces, .epochs = o->epochs, .batch = o->records};
    struct adapter *adapter = NULL;
    enum status status = distill_run_folder(d, &options.run, name, diag);

    if (!status)
        status = distill_fresh(d, &adapter, 0, diag);
    options.format = distill_format(d);
    options.backward = distill_backward(o, options.format.max_len, BACKWARD_HEAD_ROWS);
    options.train = distill_train(d, o->train.lr);
    if (!status)
        status = sft_run(d->model, adapter, NULL, &d->exec, &options, r, diag);
    if (!status)
        status = adapter_save(adapter, d->model, options.run.output, diag);
    adapter_free(adapter);
    return status;
}

enum status distill_fine_tune(struct distill *d, enum distill_row row, struct buffer *result, struct diag *diag)
{
    static const char *const columns[] = {"step", "loss", "num_tokens", NULL};
    const char *name = distill_row_name(row), *traces = distill_path(d, "traces/%s.jsonl", name);
    struct sft_result r = {0};
    enum status status = traces ? STATUS_OK : distill_no_memory(diag);

    if (!status && distill_is_empty(traces)) {
        distill_put_left_out(result, "no trace was selected from the debates");
        distill_say(d, "distill: warning: %s is left out: no trace was selected from the debates", name);
        return STATUS_OK;
    }
    if (!status)
        status = distill_use(d, d->options->student, diag);
    if (!status)
        status = run_sft(d, traces, name, &r, diag);
    distill_put_metrics(d, name, columns, result);
    return status;
}

/* ---- grpo ---- */

struct reinforcing {
    struct grpo_questions questions;
    struct grpo_options options;
    struct adapter *policy, *prm;
};

static enum status read_tasks(struct distill *d, struct reinforcing *r, int with_prm, struct diag *diag)
{
    struct grpo_questions *q = &r->questions;
    struct engine_options rollouts, dev;
    enum status status;

    distill_reinforcing(d, &d->model->config, d->model->weight_bytes, with_prm, &rollouts, &dev);
    q->style = d->style;
    q->max_new = d->options->max_new;
    q->longest = d->lengths.most > q->max_new ? d->lengths.most - q->max_new : 1;
    status = grpo_questions_read(q, &q->train, d->train, d->options->kind, diag);
    if (!status && d->dev)
        status = grpo_questions_read(q, &q->dev, d->dev, d->options->kind, diag);
    if (!status && q->train.n_dropped)
        distill_say(d, "distill: warning: %zu questions are too long for the context and were left out",
                    q->train.n_dropped);
    r->options.max_sequences = rollouts.max_sequences;
    if (!status && q->dev.n)
        status = engine_create(&q->dev_engine, d->model, &d->exec, &dev, diag);
    return status;
}

/* The policy: DA's adapter, or a fresh one. */
static enum status load_adapters(struct distill *d, struct reinforcing *r, enum distill_row row, struct diag *diag)
{
    enum status status = row == ROW_DA_PAD ? distill_adapter(d, &r->policy, distill_row_name(ROW_DA), diag)
                                           : distill_fresh(d, &r->policy, 0, diag);

    if (!status && row != ROW_RL)
        status = distill_adapter(d, &r->prm, "prm", diag);
    if (!status)
        r->policy->dropout = 0; /* the ratio of on-policy updates is exactly 1 */
    r->questions.policy = r->policy;
    return status;
}

static void fill_options(struct distill *d, struct reinforcing *r)
{
    const struct distill_options *o = d->options;
    struct grpo_options *g = &r->options;
    size_t a = r->questions.train.longest, b = r->questions.dev.longest;

    g->mode = GRPO_PAD;
    g->pad.credit = r->prm ? CREDIT_SOFTMIN : CREDIT_OUTCOME;
    g->pad.temperature = REWARD_TEMPERATURE;
    g->pad.lambda_v = REWARD_LAMBDA_V;
    g->pad.lambda_p = o->lambda_p;
    g->group = o->group;
    g->prompts = o->prompts;
    g->max_new = o->max_new;
    g->temperature = o->rl_temperature;
    g->clip_eps = GRPO_CLIP_EPS;
    g->clip_eps_high = GRPO_CLIP_EPS_HIGH;
    g->updates_per_rollout = 1;
    g->resample = GRPO_RESAMPLE;
    g->run.total_steps = o->rl_steps;
    g->run.eval_every = o->eval_every;
    g->run.data_hash = r->questions.train.hash ^ r->questions.dev.hash * 3;
    g->tokenizer = d->style.tokenizer;
    g->prm = r->prm;
    g->context = (a > b ? a : b) + o->max_new;
    g->backward = distill_backward(o, distill_pass(g->context), BACKWARD_HEAD_ROWS);
    g->train = distill_train(d, o->rl_lr);
}

static enum status run_grpo(struct distill *d, struct reinforcing *r, enum distill_row row, struct grpo_result *result,
                            struct diag *diag)
{
    struct grpo_tasks tasks;
    enum status status = distill_run_folder(d, &r->options.run, distill_row_name(row), diag);

    if (!status)
        status = read_tasks(d, r, row != ROW_RL, diag);
    if (!status)
        status = load_adapters(d, r, row, diag);
    if (status)
        return status;
    fill_options(d, r);
    tasks = grpo_questions_tasks(&r->questions);
    status = grpo_run(d->model, r->policy, &d->exec, &tasks, &r->options, result, diag);
    return status ? status : adapter_save(r->policy, d->model, r->options.run.output, diag);
}

/* Why a row cannot be reinforced; NULL: it can. */
static const char *obstacle(struct distill *d, enum distill_row row)
{
    if (row == ROW_DA_PAD && distill_left_out(d, ROW_DA))
        return "there is no adapter of da to start from";
    if (row != ROW_RL && json_get(distill_result(d, "prm"), "left_out"))
        return "there is no reward model";
    return NULL;
}

enum status distill_reinforce(struct distill *d, enum distill_row row, struct buffer *result, struct diag *diag)
{
    static const char *const columns[] = {
        "step", "reward", "rewards/answer/mean", "kl", "entropy", "completions/mean_length", "num_tokens", NULL};
    const char *reason = obstacle(d, row);
    struct reinforcing r = {0};
    struct grpo_result g = {0};
    enum status status;

    if (reason) {
        distill_put_left_out(result, reason);
        distill_say(d, "distill: warning: %s is left out: %s", distill_row_name(row), reason);
        return STATUS_OK;
    }
    status = distill_use(d, d->options->student, diag);
    if (!status)
        status = run_grpo(d, &r, row, &g, diag);
    engine_free(r.questions.dev_engine);
    grpo_questions_free(&r.questions);
    adapter_free(r.policy);
    adapter_free(r.prm);
    distill_put_metrics(d, distill_row_name(row), columns, result);
    if (!isnan(g.best))
        buffer_format(result, ",\"dev_accuracy\":%.6g,\"best_step\":%llu", g.best, (unsigned long long)g.best_step);
    return status;
}
