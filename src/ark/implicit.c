/* implicit.c - training of the implicit reward model. One step, as a sentence: read a batch of right and wrong
 * solutions, take the log-probabilities of their tokens under the model alone and with the adapter, weigh every token
 * of a solution by how far sigmoid(r) is from its label, go back; then clip and update. */
#include "implicit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "dataset.h"
#include "file.h"
#include "score.h"

struct solution {
    struct prm_example example;
    int correct;
    double reference; /* sum of the log-probabilities of its tokens under the model alone */
    size_t first, n;  /* its positions in the pass */
    double slope;     /* -dL/d logprob of each of its tokens */
};

struct implicit {
    const struct prm_options *options;
    struct prm_result *result;
    double beta;
    struct trainer *trainer;
    struct scorer *scorer;
    struct dataset data, dev;
    struct solution *solutions; /* [batch] */
    size_t n_solutions;
    struct train_span *spans;
    size_t *rows;     /* [max_tokens] of a pass: the row that predicts a token */
    int32_t *targets; /* the token */
    size_t *owner;    /* the solution */
    float *logprobs;
    struct arena arena;
    struct train_run_options run;
    double right; /* of the running step */
};

/* ---- Data ---- */

#define RECORD "solution known to be right or wrong"

/* Right, wrong, or not known: what the record says, else what its labels say. */
static int correctness(const struct stepwise *steps)
{
    size_t k;

    if (steps->correct != STEP_UNKNOWN)
        return steps->correct;
    if (stepwise_first_error(steps) < steps->n_steps)
        return 0;
    for (k = 0; k < steps->n_steps && steps->labels[k] == 1; k++)
        ;
    return k == steps->n_steps ? 1 : STEP_UNKNOWN;
}

static enum status check_record(void *context, const struct json *record, const char *where, struct arena *arena,
                                int *skip, struct diag *diag)
{
    struct stepwise steps;
    enum status status = stepwise_read(&steps, record, arena, where, diag);

    (void)context;
    *skip = !status && correctness(&steps) == STEP_UNKNOWN;
    return status;
}

/* A solution that was cut is left out: what decides whether it is right may be missing. */
static enum status read_solution(struct implicit *m, struct dataset *data, uint64_t i, struct diag *diag)
{
    struct solution *s = &m->solutions[m->n_solutions];
    const struct json *record;
    struct stepwise steps;
    enum status status = dataset_read(data, i, &record, diag);

    if (!status)
        status = stepwise_read(&steps, record, &data->arena, data->where, diag);
    if (!status)
        status = prm_example_read(&s->example, &steps, &m->options->format, data->where, diag);
    if (status)
        return status;
    s->correct = correctness(&steps);
    m->n_solutions += !s->example.text.truncated;
    return STATUS_OK;
}

static enum status read_batch(struct implicit *m, uint64_t step, struct diag *diag)
{
    uint64_t at = step * m->options->batch, end = at + m->options->batch;
    uint64_t total = dataset_total(&m->data, m->options->epochs);
    enum status status = STATUS_OK;

    end = end < total ? end : total;
    m->n_solutions = 0;
    for (; at < end && !status; at++) {
        size_t had = m->n_solutions;

        status = read_solution(m, &m->data, dataset_shuffled(&m->data, m->options->train.seed, at, 1), diag);
        m->result->records++;
        m->result->truncated += m->n_solutions == had;
    }
    return status;
}

/* ---- A pass ---- */

static enum status measure_reference(struct implicit *m, struct solution *s, struct diag *diag)
{
    const struct tokens *tokens = &s->example.text.tokens;
    size_t from = s->example.n_prompt, i;
    enum status status = score_tokens(m->scorer, tokens->ids, tokens->count, from, NULL, 0, m->logprobs, diag);

    s->reference = 0;
    for (i = from; i < tokens->count && !status; i++)
        s->reference += (double)m->logprobs[i - from];
    return status;
}

/* Solutions [from, ...) of one pass; returns the end of the range. */
static size_t pack(struct implicit *m, size_t from, size_t *n_positions)
{
    size_t row = 0, end, i;

    *n_positions = 0;
    for (end = from; end < m->n_solutions; end++) {
        struct solution *s = &m->solutions[end];
        const struct tokens *tokens = &s->example.text.tokens;
        struct train_span span = {tokens->ids, tokens->count, -1};

        if (row + tokens->count > m->options->backward.max_tokens)
            break;
        m->spans[end - from] = span;
        s->first = *n_positions;
        for (i = s->example.n_prompt; i < tokens->count; i++) {
            m->rows[*n_positions] = row + i - 1;
            m->targets[*n_positions] = tokens->ids[i];
            m->owner[(*n_positions)++] = end;
        }
        s->n = *n_positions - s->first;
        row += tokens->count;
    }
    return end;
}

/* Loss of a solution, and the slope that its tokens share: r' = beta for each, dL/dr = sigmoid(r) - y. */
static double judge(struct implicit *m, struct solution *s)
{
    double sum = 0, r, x;
    size_t i;

    for (i = s->first; i < s->first + s->n; i++)
        sum += (double)m->logprobs[i];
    r = m->beta * (sum - s->reference);
    m->right += (r > 0) == s->correct;
    s->slope = m->beta * (s->correct - 1 / (1 + exp(-r))) / (double)m->n_solutions;
    x = s->correct ? -r : r;
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static void slopes(void *context, size_t first, size_t n, const float *logprob, const float *entropy,
                   float *coefficient)
{
    const struct implicit *m = context;
    size_t i;

    (void)logprob;
    (void)entropy;
    for (i = 0; i < n; i++)
        coefficient[i] = (float)m->solutions[m->owner[first + i]].slope;
}

/* The head is run twice when training: the slope of a token is known when its solution's last one is. */
static enum status run_pass(struct implicit *m, size_t from, size_t end, size_t n, int train, double *loss,
                            struct diag *diag)
{
    struct backward *b = m->trainer->backward;
    const float *hidden;
    enum status status = STATUS_OK;
    size_t i;

    for (i = from; i < end && !status; i++)
        status = measure_reference(m, &m->solutions[i], diag);
    if (!status)
        status = backward_forward(b, m->spans, end - from, &hidden, diag);
    if (!status)
        status = backward_loss(b, m->rows, m->targets, n, m->logprobs, NULL, NULL, NULL, NULL, diag);
    for (i = from; i < end && !status; i++)
        *loss += judge(m, &m->solutions[i]);
    if (status || !train)
        return status;
    status = backward_loss(b, m->rows, m->targets, n, m->logprobs, NULL, slopes, m, NULL, diag);
    return status ? status : trainer_pass(m->trainer, diag);
}

static enum status run_batch(struct implicit *m, int train, double *loss, struct diag *diag)
{
    size_t from, end, n;
    enum status status = STATUS_OK;

    for (from = 0; from < m->n_solutions && !status; from = end) {
        end = pack(m, from, &n);
        status = run_pass(m, from, end, n, train, loss, diag);
    }
    return status;
}

/* One step of the implicit reward model. */
static enum status implicit_step(void *context, struct diag *diag)
{
    struct implicit *m = context;
    double loss = 0;
    size_t i;
    enum status status = read_batch(m, m->trainer->step, diag);

    m->right = 0;
    trainer_begin_step(m->trainer);
    if (!status)
        status = run_batch(m, 1, &loss, diag);
    if (!status && m->n_solutions == 0)
        trainer_skip_step(m->trainer);
    else if (!status)
        status = trainer_end_step(m->trainer, diag);
    for (i = 0; i < m->n_solutions; i++)
        m->trainer->tokens += m->solutions[i].example.text.tokens.count;
    if (m->n_solutions) {
        m->result->loss = loss / (double)m->n_solutions;
        m->result->accuracy = m->right / (double)m->n_solutions;
    }
    return status;
}

/* Mean loss over the dev file's solutions. */
static enum status evaluate(void *context, double *mean, struct diag *diag)
{
    struct implicit *m = context;
    double loss = 0;
    uint64_t at = 0, n = 0;
    enum status status = STATUS_OK;

    while (at < m->dev.n && !status) {
        for (m->n_solutions = 0; m->n_solutions < m->options->batch && at < m->dev.n && !status; at++)
            status = read_solution(m, &m->dev, at, diag);
        n += m->n_solutions;
        if (!status)
            status = run_batch(m, 0, &loss, diag);
    }
    if (!status && n == 0)
        return diag_fail(diag, STATUS_FORMAT, "%s: no solution fits into %zu tokens (--max-len)", m->options->dev,
                         m->options->format.max_len);
    *mean = loss / (double)n;
    return status;
}

/* ---- The run ---- */

static void write_row(void *context, struct metrics *metrics)
{
    const struct implicit *m = context;

    metrics_number(metrics, (double)(m->trainer->step * m->options->batch) / (double)m->data.n);
    metrics_number(metrics, m->result->loss);
    metrics_number(metrics, m->result->accuracy);
}

static void write_note(void *context, char *text, size_t size)
{
    const struct implicit *m = context;

    snprintf(text, size, "loss %.4f, accuracy %.3f", m->result->loss, m->result->accuracy);
}

static int allocate(struct implicit *m)
{
    size_t batch = m->options->batch, room = m->options->backward.max_tokens;

    m->solutions = arena_array(&m->arena, batch, sizeof *m->solutions);
    m->spans = arena_array(&m->arena, batch, sizeof *m->spans);
    m->rows = arena_array(&m->arena, room, sizeof *m->rows);
    m->targets = arena_array(&m->arena, room, sizeof *m->targets);
    m->owner = arena_array(&m->arena, room, sizeof *m->owner);
    m->logprobs = arena_array(&m->arena, room, sizeof *m->logprobs);
    return m->solutions && m->spans && m->rows && m->targets && m->owner && m->logprobs;
}

static enum status open_run(struct implicit *m, struct model *model, struct adapter *adapter, const struct exec *exec,
                            struct diag *diag)
{
    const struct prm_options *o = m->options;
    struct train_options train = o->train;
    struct backward_options backward = o->backward;
    struct score_options scoring = {.context = o->format.max_len};
    enum status status = dataset_open(&m->data, o->data, o->run.output, "index.bin", RECORD, check_record, NULL, diag);

    if (!status && o->dev)
        status = dataset_open(&m->dev, o->dev, o->run.output, "dev_index.bin", RECORD, check_record, NULL, diag);
    if (status)
        return status;
    m->run = o->run;
    m->run.data_hash = m->data.hash ^ m->dev.hash * 3;
    m->run.total_steps = (dataset_total(&m->data, o->epochs) + o->batch - 1) / o->batch;
    train.total_steps = m->run.total_steps;
    backward.max_spans = o->batch < backward.max_tokens ? o->batch : backward.max_tokens;
    backward.head_rows = SCORE_LOGIT_ROWS;
    scoring.chunk = scoring.context < 512 ? scoring.context : 512;
    scoring.k_type = backward.k_type;
    scoring.v_type = backward.v_type;
    if (!allocate(m))
        return diag_fail(diag, STATUS_MEMORY, "prm: out of memory for a batch of %zu", o->batch);
    status = score_create(&m->scorer, model, exec, &scoring, diag);
    return status ? status : trainer_create(&m->trainer, model, adapter, NULL, exec, &train, &backward, diag);
}

static enum status train(struct implicit *m, struct diag *diag)
{
    const struct prm_options *o = m->options;
    struct train_hooks hooks = {m,         implicit_step, o->dev ? evaluate : NULL, "epoch,loss,accuracy",
                                write_row, write_note};
    struct train_run_result result;
    enum status status;

    status = train_run(m->trainer, &m->run, &hooks, &result, diag);
    if (!status && m->trainer->tokens == 0)
        status = diag_fail(diag, STATUS_FORMAT, "%s: no solution fits into %zu tokens (--max-len)", o->data,
                           o->format.max_len);
    m->result->steps = m->trainer->step;
    m->result->tokens = m->trainer->tokens;
    m->result->best_step = result.best_step;
    m->result->dev_loss = result.best;
    m->result->seconds = result.seconds;
    return status;
}

enum status implicit_run(struct model *model, struct adapter *adapter, const struct exec *exec,
                         const struct prm_options *options, double beta, struct prm_result *result, struct diag *diag)
{
    struct implicit m = {.options = options, .result = result, .beta = beta};
    enum status status;
    size_t i;

    memset(result, 0, sizeof *result);
    arena_init(&m.arena, "prm", 0);
    status = open_run(&m, model, adapter, exec, diag);
    if (!status)
        status = train(&m, diag);
    for (i = 0; m.solutions && i < options->batch; i++)
        prm_example_free(&m.solutions[i].example);
    trainer_free(m.trainer);
    score_free(m.scorer);
    dataset_close(&m.data);
    dataset_close(&m.dev);
    arena_free(&m.arena);
    return status;
}

/* ---- The mark of such a model ---- */

static enum status mark_path(struct buffer *path, const char *folder, struct diag *diag)
{
    buffer_format(path, "%s/implicit_prm.json", folder);
    return path->failed ? diag_fail(diag, STATUS_MEMORY, "%s: out of memory", folder) : STATUS_OK;
}

enum status implicit_save(const char *folder, double beta, struct diag *diag)
{
    struct buffer path = {0}, text = {0};
    enum status status = mark_path(&path, folder, diag);

    buffer_format(&text, "{\"v\":1,\"beta\":%.17g}\n", beta);
    if (!status)
        status = text.failed ? diag_fail(diag, STATUS_MEMORY, "%s: out of memory", folder)
                             : file_save(path.data, text.data, text.length, diag);
    buffer_free(&path);
    buffer_free(&text);
    return status;
}

enum status implicit_load(const char *folder, double *beta, struct diag *diag)
{
    struct buffer path = {0}, text = {0};
    struct arena arena;
    const struct json *json;
    enum status status = mark_path(&path, folder, diag);

    *beta = 0;
    arena_init(&arena, "mark", 0);
    if (!status && file_exists(path.data)) {
        status = file_read(&text, path.data, 65536, diag);
        if (!status)
            status = json_parse(&json, text.data ? text.data : "", text.length, &arena, path.data, 1, NULL, diag);
        if (!status)
            *beta = json_number(json, "beta", 0);
        if (!status && !(*beta > 0 && *beta <= 1000))
            status = diag_fail(diag, STATUS_FORMAT, "%s: \"beta\": expected a number in 0..1000, found %g", path.data,
                               *beta);
    }
    arena_free(&arena);
    buffer_free(&path);
    buffer_free(&text);
    return status;
}
