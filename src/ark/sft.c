/* sft.c - supervised fine-tuning. One step, as a sentence: read a batch, pack it into micro-batches, for each run the
 * model forward, take the weighted loss through the head, go back; then clip and update. See sft_step.
 *
 *   records of epoch e:  i = 0, 1, 2 ...  ->  record rng_permute(seed, shuffle, e, i, n)
 *   micro-batch:         spans of consecutive examples of the batch, together at most backward.max_tokens tokens */
#include "sft.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "dataset.h"

struct sft {
    const struct sft_options *options;
    struct sft_result *result;
    struct trainer *trainer;
    struct dataset data, dev;
    struct example *examples; /* [batch] of the running step */
    size_t n_examples;
    struct train_span *spans;
    size_t *rows; /* of a micro-batch: rows with a target, [max_tokens] each */
    int32_t *targets;
    float *weights, *logprobs;
    double weight_sum; /* of the batch: divides the gradient */
    struct arena arena;
    struct train_run_options run;
};

/* ---- Data ---- */

#define RECORD "record"

static enum status check_record(void *context, const struct json *record, const char *where, struct arena *arena,
                                int *skip, struct diag *diag)
{
    (void)context;
    (void)arena;
    (void)skip;
    return example_check(record, where, diag);
}

/* Record i of a file as an example. */
static enum status read_example(struct sft *s, struct dataset *data, uint64_t i, struct example *example,
                                struct diag *diag)
{
    const struct json *record;
    enum status status = dataset_read(data, i, &record, diag);

    return status ? status : example_read(example, record, &s->options->format, data->where, diag);
}

/* The examples of a step, in shuffled order. Examples without a target are counted and dropped. */
static enum status read_batch(struct sft *s, uint64_t step, struct diag *diag)
{
    uint64_t at = step * s->options->batch, end = at + s->options->batch;
    uint64_t total = dataset_total(&s->data, s->options->epochs);
    enum status status = STATUS_OK;

    end = end < total ? end : total;
    s->n_examples = 0;
    s->weight_sum = 0;
    for (; at < end && !status; at++) {
        struct example *example = &s->examples[s->n_examples];
        uint64_t i = dataset_shuffled(&s->data, s->options->train.seed, at, 1);

        status = read_example(s, &s->data, i, example, diag);
        if (status)
            return status;
        s->result->truncated += (uint64_t)example->truncated;
        s->result->records++;
        if (example->n_trained) {
            s->weight_sum += example->weight;
            s->n_examples++;
        } else {
            s->result->skipped++;
        }
    }
    return status;
}

/* ---- A micro-batch ---- */

/* Examples [from, ...) that fit into one pass; returns the end of the range. */
static size_t pack_examples(struct sft *s, const struct example *examples, size_t from, size_t n, size_t *n_rows)
{
    size_t row = 0, end, i;

    *n_rows = 0;
    for (end = from; end < n && row + examples[end].tokens.count <= s->options->backward.max_tokens; end++) {
        const struct example *e = &examples[end];
        struct train_span span = {e->tokens.ids, e->tokens.count, -1};

        s->spans[end - from] = span;
        for (i = 1; i < e->tokens.count; i++) {
            if (e->weights[i] == 0)
                continue;
            s->rows[*n_rows] = row + i - 1;
            s->targets[*n_rows] = e->tokens.ids[i];
            s->weights[(*n_rows)++] = e->weights[i];
        }
        row += e->tokens.count;
    }
    return end;
}

/* Coefficient of each position: its share of the batch's loss. */
static void coefficients(void *context, size_t first, size_t n, const float *logprob, const float *entropy,
                         float *coefficient)
{
    const struct sft *s = context;
    size_t i;

    (void)logprob;
    (void)entropy;
    for (i = 0; i < n; i++)
        coefficient[i] = (float)((double)s->weights[first + i] / s->weight_sum);
}

/* Forward and loss of one micro-batch; backward too when training. Adds sum w nll to *loss. */
static enum status run_micro(struct sft *s, size_t n_spans, size_t n_rows, int train, double *loss, struct diag *diag)
{
    struct backward *b = s->trainer->backward;
    const float *hidden;
    size_t i;
    enum status status = backward_forward(b, s->spans, n_spans, &hidden, diag);

    if (!status)
        status = backward_loss(b, s->rows, s->targets, n_rows, s->logprobs, NULL, train ? coefficients : NULL, s,
                               train ? trainer_weights(s->trainer) : NULL, diag);
    if (status)
        return status;
    for (i = 0; i < n_rows; i++)
        *loss -= (double)s->weights[i] * (double)s->logprobs[i];
    return train ? trainer_pass(s->trainer, diag) : STATUS_OK;
}

/* The post-norms of gemma turn an overflow into zeros, and the loss into that of the bare embeddings. */
static enum status check_gradient(const struct sft *s, double loss, struct diag *diag)
{
    if (s->trainer->grad_norm > 0 || loss < 1e-3)
        return STATUS_OK;
    return diag_fail(diag, STATUS_NUMERIC, "the gradient is 0 at a loss of %g: the forward pass overflows", loss);
}

/* One step of fine-tuning. */
static enum status sft_step(void *context, struct diag *diag)
{
    struct sft *s = context;
    double loss = 0;
    size_t from, end, n_rows;
    enum status status = read_batch(s, s->trainer->step, diag);

    trainer_begin_step(s->trainer);
    for (from = 0; from < s->n_examples && !status; from = end) {
        end = pack_examples(s, s->examples, from, s->n_examples, &n_rows);
        status = run_micro(s, end - from, n_rows, 1, &loss, diag);
    }
    if (!status && s->n_examples == 0)
        trainer_skip_step(s->trainer);
    else if (!status)
        status = trainer_end_step(s->trainer, diag);
    for (from = 0; from < s->n_examples; from++)
        s->trainer->tokens += s->examples[from].tokens.count;
    if (s->n_examples)
        s->result->loss = loss / s->weight_sum;
    if (!status && s->n_examples)
        status = check_gradient(s, s->result->loss, diag);
    return status;
}

/* ---- Evaluation on the dev file: sum w nll / sum w over all of it ---- */

static enum status evaluate(void *context, double *mean, struct diag *diag)
{
    struct sft *s = context;
    double loss = 0, weight = 0;
    uint64_t at = 0;
    enum status status = STATUS_OK;

    while (at < s->dev.n && !status) {
        size_t n = 0, from, end, n_rows;

        for (; n < s->options->batch && at < s->dev.n && !status; at++) {
            status = read_example(s, &s->dev, at, &s->examples[n], diag);
            if (!status && s->examples[n].n_trained)
                weight += s->examples[n++].weight;
        }
        for (from = 0; from < n && !status; from = end) {
            end = pack_examples(s, s->examples, from, n, &n_rows);
            status = run_micro(s, end - from, n_rows, 0, &loss, diag);
        }
    }
    if (!status && weight == 0)
        return diag_fail(diag, STATUS_FORMAT, "%s: no record has anything to evaluate on within %zu tokens (--max-len)",
                         s->options->dev, s->options->format.max_len);
    *mean = loss / weight;
    return status;
}

/* ---- What the loop asks for ---- */

static void write_row(void *context, struct metrics *metrics)
{
    const struct sft *s = context;

    metrics_number(metrics, (double)(s->trainer->step * s->options->batch) / (double)s->data.n);
    metrics_number(metrics, s->result->loss);
}

static void write_note(void *context, char *text, size_t size)
{
    const struct sft *s = context;

    snprintf(text, size, "loss %.4f", s->result->loss);
}

/* ---- The run ---- */

static int allocate(struct sft *s)
{
    size_t t = s->options->backward.max_tokens, batch = s->options->batch;

    s->examples = arena_array(&s->arena, batch, sizeof *s->examples);
    s->spans = arena_array(&s->arena, batch, sizeof *s->spans);
    s->rows = arena_array(&s->arena, t, sizeof *s->rows);
    s->targets = arena_array(&s->arena, t, sizeof *s->targets);
    s->weights = arena_array(&s->arena, t, sizeof *s->weights);
    s->logprobs = arena_array(&s->arena, t, sizeof *s->logprobs);
    return s->examples && s->spans && s->rows && s->targets && s->weights && s->logprobs;
}

static enum status open_run(struct sft *s, struct model *model, struct adapter *adapter, struct full *full,
                            const struct exec *exec, struct diag *diag)
{
    const struct sft_options *o = s->options;
    struct train_options train = o->train;
    struct backward_options backward = o->backward;
    enum status status = dataset_open(&s->data, o->data, o->run.output, "index.bin", RECORD, check_record, NULL, diag);

    if (!status && o->dev)
        status = dataset_open(&s->dev, o->dev, o->run.output, "dev_index.bin", RECORD, check_record, NULL, diag);
    if (status)
        return status;
    s->run = o->run;
    s->run.data_hash = s->data.hash ^ s->dev.hash * 3;
    s->run.total_steps = (dataset_total(&s->data, o->epochs) + o->batch - 1) / o->batch;
    train.total_steps = s->run.total_steps;
    backward.max_spans = o->batch < backward.max_tokens ? o->batch : backward.max_tokens;
    if (!allocate(s))
        return diag_fail(diag, STATUS_MEMORY, "sft: out of memory for a batch of %zu", o->batch);
    return trainer_create(&s->trainer, model, adapter, full, exec, &train, &backward, diag);
}

static enum status train(struct sft *s, struct diag *diag)
{
    const struct sft_options *o = s->options;
    struct train_hooks hooks = {s, sft_step, o->dev ? evaluate : NULL, "epoch,loss", write_row, write_note};
    struct train_run_result result;
    enum status status;

    status = train_run(s->trainer, &s->run, &hooks, &result, diag);
    if (!status && s->trainer->tokens == 0)
        status = diag_fail(diag, STATUS_FORMAT, "%s: no record has anything to train on within %zu tokens (--max-len)",
                           o->data, o->format.max_len);
    s->result->steps = s->trainer->step;
    s->result->tokens = s->trainer->tokens;
    s->result->best_step = result.best_step;
    s->result->dev_loss = result.best;
    s->result->seconds = result.seconds;
    s->result->times = backward_times(s->trainer->backward);
    return status;
}

static void close_run(struct sft *s)
{
    size_t i;

    for (i = 0; s->examples && i < s->options->batch; i++)
        example_free(&s->examples[i]);
    trainer_free(s->trainer);
    dataset_close(&s->data);
    dataset_close(&s->dev);
    arena_free(&s->arena);
}

enum status sft_run(struct model *model, struct adapter *adapter, struct full *full, const struct exec *exec,
                    const struct sft_options *options, struct sft_result *result, struct diag *diag)
{
    struct sft s = {.options = options, .result = result};
    enum status status;

    memset(result, 0, sizeof *result);
    arena_init(&s.arena, "sft", 0);
    status = open_run(&s, model, adapter, full, exec, diag);
    if (!status)
        status = train(&s, diag);
    close_run(&s);
    return status;
}
