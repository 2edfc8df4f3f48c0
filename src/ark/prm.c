/* prm.c - training of the process reward model. One step, as a sentence: read a batch of labelled solutions, run the
 * model forward, take the two-class loss (and the contrast) at the step ends, go back; then clip and update. */
#include "prm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "dataset.h"
#include "prm_loss.h"

struct prm {
    const struct prm_options *options;
    struct prm_result *result;
    struct adapter *adapter;
    struct trainer *trainer;
    struct dataset data, dev;
    struct prm_example *examples; /* [batch] */
    size_t n_examples, n_labelled;
    struct train_span *spans;
    size_t dim, room;                        /* room: labelled positions of a micro-batch */
    size_t *rows;                            /* [room] hidden row of each labelled position */
    int *labels, *groups;                    /* [room] */
    double *logits, *d_logits;               /* [room][2] */
    double *features, *d_features, *scratch; /* [room][dim] twice; contrast only */
    struct arena arena;
    struct train_run_options run;
    double correct; /* of the running step */
};

/* ---- Data ---- */

#define RECORD "record with a labelled step"

static enum status check_record(void *context, const struct json *record, const char *where, struct arena *arena,
                                int *skip, struct diag *diag)
{
    struct stepwise steps;
    enum status status = stepwise_read(&steps, record, arena, where, diag);

    (void)context;
    *skip = !status && !steps.labelled;
    return status;
}

static enum status read_example(struct prm *p, struct dataset *data, uint64_t i, struct prm_example *example,
                                struct diag *diag)
{
    const struct json *record;
    struct stepwise steps;
    enum status status = dataset_read(data, i, &record, diag);

    if (!status)
        status = stepwise_read(&steps, record, &data->arena, data->where, diag);
    return status ? status : prm_example_read(example, &steps, &p->options->format, data->where, diag);
}

static size_t labelled(const struct prm_example *e)
{
    size_t k, n = 0;

    for (k = 0; k < e->n_steps; k++)
        n += e->labels[k] != STEP_UNKNOWN;
    return n;
}

/* With a contrast the solutions of a question, which stand together in the file, stay together in a batch. */
static enum status read_batch(struct prm *p, uint64_t step, struct diag *diag)
{
    uint64_t at = step * p->options->batch, end = at + p->options->batch;
    uint64_t total = dataset_total(&p->data, p->options->epochs);
    uint64_t block = p->options->contrast == PRM_CONTRAST_NONE ? 1 : p->options->batch;
    enum status status = STATUS_OK;

    end = end < total ? end : total;
    p->n_examples = p->n_labelled = 0;
    for (; at < end && !status; at++) {
        struct prm_example *example = &p->examples[p->n_examples];
        uint64_t i = dataset_shuffled(&p->data, p->options->train.seed, at, block);

        status = read_example(p, &p->data, i, example, diag);
        if (status)
            return status;
        p->result->records++;
        p->result->truncated += (uint64_t)example->text.truncated;
        p->n_labelled += labelled(example);
        p->n_examples += labelled(example) > 0;
    }
    return status;
}

/* ---- A micro-batch ---- */

/* Examples [from, ...) of one pass: spans, and the labelled positions; returns the end of the range. */
static size_t pack_examples(struct prm *p, size_t from, size_t *n_positions)
{
    size_t row = 0, end, k, n = 0;

    for (end = from; end < p->n_examples; end++) {
        const struct prm_example *e = &p->examples[end];
        struct train_span span = {e->text.tokens.ids, e->text.tokens.count, -1};

        if (row + e->text.tokens.count > p->options->backward.max_tokens)
            break;
        p->spans[end - from] = span;
        for (k = 0; k < e->n_steps; k++) {
            if (e->labels[k] == STEP_UNKNOWN)
                continue;
            p->rows[n] = row + e->ends[k];
            p->labels[n] = e->labels[k];
            p->groups[n++] = (int)(e->question >> 33);
        }
        row += e->text.tokens.count;
    }
    *n_positions = n;
    return end;
}

/* Loss at the positions, gradient into d_logits (and d_features). */
static double losses(struct prm *p, size_t n, double share)
{
    const struct prm_options *o = p->options;
    double loss;

    memset(p->d_logits, 0, 2 * n * sizeof *p->d_logits);
    loss = prm_cross_entropy(p->d_logits, p->logits, p->labels, NULL, n, share) * share;
    if (o->contrast == PRM_CONTRAST_INFONCE)
        loss += share * o->contrast_weight *
                prm_infonce(p->d_logits, p->logits, p->labels, p->groups, n, o->tau, share * o->contrast_weight);
    if (o->contrast == PRM_CONTRAST_SUPCON) {
        memset(p->d_features, 0, n * p->dim * sizeof *p->d_features);
        loss += share * o->contrast_weight *
                prm_supcon(p->d_features, p->features, p->labels, p->groups, n, p->dim, o->tau,
                           share * o->contrast_weight, p->scratch);
    }
    return loss;
}

/* Gradients of the head and of the hidden rows. */
static void head_backward(struct prm *p, const float *hidden, size_t stride, size_t n)
{
    float *d_hidden = backward_d_hidden(p->trainer->backward);
    float *d_weight = p->trainer->grads + (p->adapter->score_weight - p->adapter->params);
    float *d_bias = p->trainer->grads + (p->adapter->score_bias - p->adapter->params);
    size_t i, c, e;

    for (i = 0; i < n; i++) {
        const float *h = hidden + p->rows[i] * stride;
        float *d = d_hidden + p->rows[i] * stride;

        for (c = 0; c < 2; c++) {
            float g = (float)p->d_logits[2 * i + c];

            d_bias[c] += g;
            for (e = 0; e < p->dim; e++) {
                d_weight[c * p->dim + e] = fmaf(g, h[e], d_weight[c * p->dim + e]);
                d[e] = fmaf(g, p->adapter->score_weight[c * p->dim + e], d[e]);
            }
        }
        for (e = 0; p->options->contrast == PRM_CONTRAST_SUPCON && e < p->dim; e++)
            d[e] += (float)p->d_features[i * p->dim + e];
    }
}

/* Forward and losses of one micro-batch that holds `share` of the batch's positions; backward too when training. */
static enum status run_micro(struct prm *p, size_t n_spans, size_t n, double share, int train, double *loss,
                             struct diag *diag)
{
    struct backward *b = p->trainer->backward;
    const float *hidden;
    size_t stride = backward_stride(b), i, e;
    enum status status = backward_forward(b, p->spans, n_spans, &hidden, diag);

    if (status)
        return status;
    for (i = 0; i < n; i++) {
        prm_logits(p->adapter, hidden + p->rows[i] * stride, p->logits + 2 * i);
        p->correct += (p->logits[2 * i + 1] > p->logits[2 * i]) == p->labels[i];
        if (!isfinite(p->logits[2 * i]) || !isfinite(p->logits[2 * i + 1]))
            return diag_fail(diag, STATUS_NUMERIC, "expected finite step scores");
        for (e = 0; p->features && e < p->dim; e++)
            p->features[i * p->dim + e] = (double)hidden[p->rows[i] * stride + e];
    }
    *loss += losses(p, n, share);
    if (!train)
        return STATUS_OK;
    head_backward(p, hidden, stride, n);
    return trainer_pass(p->trainer, diag);
}

/* One step of the reward model. */
static enum status prm_step(void *context, struct diag *diag)
{
    struct prm *p = context;
    double loss = 0;
    size_t from, end, n;
    enum status status = read_batch(p, p->trainer->step, diag);

    p->correct = 0;
    trainer_begin_step(p->trainer);
    for (from = 0; from < p->n_examples && !status; from = end) {
        end = pack_examples(p, from, &n);
        status = run_micro(p, end - from, n, (double)n / (double)p->n_labelled, 1, &loss, diag);
    }
    if (!status && p->n_labelled == 0)
        trainer_skip_step(p->trainer);
    else if (!status)
        status = trainer_end_step(p->trainer, diag);
    for (from = 0; from < p->n_examples; from++)
        p->trainer->tokens += p->examples[from].text.tokens.count;
    if (p->n_labelled) {
        p->result->loss = loss;
        p->result->accuracy = p->correct / (double)p->n_labelled;
    }
    return status;
}

/* Mean loss over the dev file's labelled positions. */
static enum status evaluate(void *context, double *mean, struct diag *diag)
{
    struct prm *p = context;
    double loss = 0, total = 0;
    uint64_t at = 0;
    enum status status = STATUS_OK;

    while (at < p->dev.n && !status) {
        size_t from, end, n;

        for (p->n_examples = 0; p->n_examples < p->options->batch && at < p->dev.n && !status; at++) {
            status = read_example(p, &p->dev, at, &p->examples[p->n_examples], diag);
            p->n_examples += !status && labelled(&p->examples[p->n_examples]) > 0;
        }
        for (from = 0; from < p->n_examples && !status; from = end) {
            end = pack_examples(p, from, &n);
            total += (double)n;
            status = run_micro(p, end - from, n, (double)n, 0, &loss, diag);
        }
    }
    if (!status && total == 0)
        return diag_fail(diag, STATUS_FORMAT, "%s: no step has a label within %zu tokens (--max-len)", p->options->dev,
                         p->options->format.max_len);
    *mean = loss / total;
    return status;
}

/* ---- The run ---- */

static void write_row(void *context, struct metrics *metrics)
{
    const struct prm *p = context;

    metrics_number(metrics, (double)(p->trainer->step * p->options->batch) / (double)p->data.n);
    metrics_number(metrics, p->result->loss);
    metrics_number(metrics, p->result->accuracy);
}

static void write_note(void *context, char *text, size_t size)
{
    const struct prm *p = context;

    snprintf(text, size, "loss %.4f, accuracy %.3f", p->result->loss, p->result->accuracy);
}

static int allocate(struct prm *p)
{
    size_t batch = p->options->batch, room = p->options->backward.max_tokens;
    int supcon = p->options->contrast == PRM_CONTRAST_SUPCON;

    p->examples = arena_array(&p->arena, batch, sizeof *p->examples);
    p->spans = arena_array(&p->arena, batch, sizeof *p->spans);
    p->rows = arena_array(&p->arena, room, sizeof *p->rows);
    p->labels = arena_array(&p->arena, room, sizeof *p->labels);
    p->groups = arena_array(&p->arena, room, sizeof *p->groups);
    p->logits = arena_array(&p->arena, room, 2 * sizeof *p->logits);
    p->d_logits = arena_array(&p->arena, room, 2 * sizeof *p->d_logits);
    if (supcon) { /* memory of the contrast is touched only as far as there are labelled positions */
        p->features = arena_array(&p->arena, room, p->dim * sizeof *p->features);
        p->d_features = arena_array(&p->arena, room, p->dim * sizeof *p->d_features);
        p->scratch = arena_array(&p->arena, room, (p->dim + 1) * sizeof *p->scratch);
    }
    return p->examples && p->spans && p->rows && p->labels && p->groups && p->logits && p->d_logits &&
           (!supcon || (p->features && p->d_features && p->scratch));
}

static enum status open_run(struct prm *p, struct model *model, const struct exec *exec, struct diag *diag)
{
    const struct prm_options *o = p->options;
    struct train_options train = o->train;
    struct backward_options backward = o->backward;
    enum status status = dataset_open(&p->data, o->data, o->run.output, "index.bin", RECORD, check_record, NULL, diag);

    if (!status && o->dev)
        status = dataset_open(&p->dev, o->dev, o->run.output, "dev_index.bin", RECORD, check_record, NULL, diag);
    if (status)
        return status;
    p->run = o->run;
    p->run.data_hash = p->data.hash ^ p->dev.hash * 3;
    p->run.total_steps = (dataset_total(&p->data, o->epochs) + o->batch - 1) / o->batch;
    train.total_steps = p->run.total_steps;
    backward.max_spans = o->batch < backward.max_tokens ? o->batch : backward.max_tokens;
    if (!allocate(p))
        return diag_fail(diag, STATUS_MEMORY, "prm: out of memory for a batch of %zu", o->batch);
    return trainer_create(&p->trainer, model, p->adapter, NULL, exec, &train, &backward, diag);
}

static enum status train(struct prm *p, struct diag *diag)
{
    const struct prm_options *o = p->options;
    struct train_hooks hooks = {p, prm_step, o->dev ? evaluate : NULL, "epoch,loss,accuracy", write_row, write_note};
    struct train_run_result result;
    enum status status;

    status = train_run(p->trainer, &p->run, &hooks, &result, diag);
    if (!status && p->trainer->tokens == 0)
        status = diag_fail(diag, STATUS_FORMAT, "%s: no step has a label within %zu tokens (--max-len)",
                           p->options->data, p->options->format.max_len);
    p->result->steps = p->trainer->step;
    p->result->tokens = p->trainer->tokens;
    p->result->best_step = result.best_step;
    p->result->dev_loss = result.best;
    p->result->seconds = result.seconds;
    return status;
}

enum status prm_run(struct model *model, struct adapter *adapter, const struct exec *exec,
                    const struct prm_options *options, struct prm_result *result, struct diag *diag)
{
    struct prm p = {.options = options, .result = result, .adapter = adapter, .dim = (size_t)model->config.dim};
    enum status status;
    size_t i;

    memset(result, 0, sizeof *result);
    arena_init(&p.arena, "prm", 0);
    status = open_run(&p, model, exec, diag);
    if (!status)
        status = train(&p, diag);
    for (i = 0; p.examples && i < options->batch; i++)
        prm_example_free(&p.examples[i]);
    trainer_free(p.trainer);
    dataset_close(&p.data);
    dataset_close(&p.dev);
    arena_free(&p.arena);
    return status;
}
