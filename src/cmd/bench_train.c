/* bench_train.c - arklet bench --train: steps of fine-tuning and of reinforcement on random tokens.
 *
 *   sftN        one step on N tokens, loss on the last half; everything of a step is timed: forward, loss through the
 *               head, back, clipping, update. A fresh adapter of --rank on all seven matrices, or with --full all
 *               weights of a float model and the loss on all tokens (fullN)
 *   ... x B     B such sequences a step, --micro-tokens of them at once
 *   grpo        rollouts of --prompts x --group samples of --max-new tokens on prompts of --prompt-tokens, then one
 *               update on them all; the rate counts sampled tokens
 *
 * The share of the peak counts the products with weights that a step computes (forward, again on the way back, gradient
 * of the input; the head at positions with loss; two operations a weight and token) against the f32 peak, also where
 * the forward products are of int8. In full training it counts forward and both gradients, whatever is computed again.
 * Rewards are made up, and no reward model is asked. */
#include "bench_train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "batch.h"
#include "progress.h"
#include "rng.h"
#include "rollout.h"
#include "terminal.h"
#include "train_flags.h"
#include "trainer.h"

#define LENGTHS 16 /* of --train-tokens */

const struct arg bench_train_flags[] = {
    {.name = "train", .kind = ARG_FLAG, .help = "training steps too: rows sft256 and grpo"},
    {.name = "full", .kind = ARG_FLAG, .help = "all weights of a float model instead of an adapter: full256"},
    {.name = "train-tokens",
     .kind = ARG_TEXT,
     .value = "N,...",
     .otherwise = "256",
     .help = "lengths of the sequences to train on; 0: no such test"},
    {.name = "train-sequences",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "1",
     .low = 1,
     .high = 4096,
     .help = "sequences of a training step"},
    {.name = "micro-tokens",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "0",
     .low = 0,
     .high = 1048576,
     .help = "tokens of a training pass (0: one sequence)"},
    {.name = "rank",
     .kind = ARG_INT,
     .value = "R",
     .otherwise = "8",
     .low = 1,
     .high = 65536,
     .help = "of the adapter"},
    {.name = "prompts",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "8",
     .low = 0,
     .high = 4096,
     .help = "prompts of a grpo step; 0: no such test"},
    {.name = "group",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "8",
     .low = 1,
     .high = 4096,
     .help = "samples of a prompt"},
    {.name = "max-new",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "128",
     .low = 1,
     .high = 1 << 20,
     .help = "tokens of a sample"},
    {.name = "prompt-tokens",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "100",
     .low = 1,
     .high = 1 << 20,
     .help = "tokens of a prompt"},
    {.name = NULL},
};

struct training {
    const struct args *args;
    const struct load *load;
    const struct bench_model *model;
    const struct bench_machine *machine;
    struct adapter *adapter; /* one of the two */
    struct full *full;
    struct trainer *trainer;
    struct engine *engine; /* of the grpo row */
    struct arena arena, rollouts;
    int32_t *tokens; /* random */
    size_t n_tokens;
    struct train_span *spans;
    size_t *rows;
    int32_t *targets;
    float *logprobs;
    size_t n_trained; /* positions with loss in a step */
    double ops;       /* of the products with weights in a step */
    double sampling;  /* seconds of the counted repetitions */
};

/* ---- flags ---- */

/* The lengths of --train-tokens; 0 when the text is no such list. */
static int read_lengths(const struct args *args, size_t *lengths, size_t *n)
{
    const char *at = args_text(args, "train-tokens");

    for (*n = 0; *n < LENGTHS; at++) {
        size_t value = 0;
        int digits;

        for (digits = 0; *at >= '0' && *at <= '9' && digits < 7; digits++)
            value = value * 10 + (size_t)(*at++ - '0');
        if (digits == 0 || (value == 1) || (*at && *at != ','))
            return 0;
        lengths[(*n)++] = value;
        if (!*at)
            return 1;
    }
    return 0;
}

int bench_train_check(const struct args *args)
{
    size_t lengths[LENGTHS], n;

    if (read_lengths(args, lengths, &n))
        return -1;
    fprintf(stderr,
            "arklet bench: --train-tokens: expected up to %d whole numbers, 0 or from 2, with commas between them, "
            "found '%s' (see arklet bench --help)\n",
            LENGTHS, args_text(args, "train-tokens"));
    return 2;
}

static size_t flag(const struct training *t, const char *name)
{
    return (size_t)args_int(t->args, name);
}

/* ---- what a test runs on ---- */

static enum status create_trainer(struct training *t, size_t max_tokens, size_t max_spans, struct diag *diag)
{
    struct adapter_shape shape = {.rank = flag(t, "rank"), .alpha = 16, .targets = TARGET_ALL};
    struct train_options options = {.lr = 1e-4, .schedule = SCHEDULE_CONSTANT, .clip = 1, .total_steps = 1000};
    struct backward_options backward = {max_tokens,      max_spans,       BACKWARD_HEAD_ROWS,
                                        t->load->k_type, t->load->v_type, TRAIN_KEEP};
    enum status status = STATUS_OK;

    options.optim.beta1 = 0.9f;
    options.optim.beta2 = 0.999f;
    options.optim.eps = 1e-8f;
    if (!t->adapter && !t->full) {
        if (args_flag(t->args, "full"))
            status = full_create(&t->full, t->load->model, diag);
        else
            status = adapter_create(&t->adapter, t->load->model, &shape, diag);
        if (!status && t->adapter)
            adapter_init(t->adapter, 0);
    }
    if (!status)
        status =
            trainer_create(&t->trainer, t->load->model, t->adapter, t->full, &t->load->exec, &options, &backward, diag);
    return status;
}

static enum status allocate(struct training *t, size_t n_tokens, size_t n_spans, struct diag *diag)
{
    t->n_tokens = n_tokens;
    t->tokens = arena_array(&t->arena, n_tokens, sizeof *t->tokens);
    t->rows = arena_array(&t->arena, n_tokens, sizeof *t->rows);
    t->targets = arena_array(&t->arena, n_tokens, sizeof *t->targets);
    t->logprobs = arena_array(&t->arena, n_tokens, sizeof *t->logprobs);
    t->spans = arena_array(&t->arena, n_spans, sizeof *t->spans);
    if (!t->tokens || !t->rows || !t->targets || !t->logprobs || !t->spans)
        return diag_fail(diag, STATUS_MEMORY, "out of memory for %zu tokens", n_tokens);
    for (size_t i = 0; i < n_tokens; i++)
        t->tokens[i] = (int32_t)rng_below(rng_bits(0, RNG_TEST, i, 1, 0), (uint32_t)t->load->model->config.vocab_size);
    return STATUS_OK;
}

static void release(struct training *t)
{
    trainer_free(t->trainer);
    engine_free(t->engine);
    t->trainer = NULL;
    t->engine = NULL;
    arena_free(&t->arena);
    arena_free(&t->rollouts);
}

/* ---- a step of fine-tuning ---- */

static void same_coefficients(void *context, size_t first, size_t n, const float *logprob, const float *entropy,
                              float *coefficient)
{
    const struct training *t = context;

    (void)first;
    (void)logprob;
    (void)entropy;
    for (size_t i = 0; i < n; i++)
        coefficient[i] = 1 / (float)t->n_trained;
}

/* Forward, loss at the n listed rows, back. */
static enum status run_pass(struct training *t, size_t n_spans, size_t n, loss_coefficients *coefficients,
                            struct diag *diag)
{
    const float *hidden;
    enum status status = backward_forward(t->trainer->backward, t->spans, n_spans, &hidden, diag);

    if (!status)
        status = backward_loss(t->trainer->backward, t->rows, t->targets, n, t->logprobs, NULL, coefficients, t,
                               trainer_weights(t->trainer), diag);
    return status ? status : trainer_pass(t->trainer, diag);
}

/* `length` tokens in each of `sequences` sequences, `at_once` of them a pass. */
static enum status sft_step(struct training *t, size_t length, size_t sequences, size_t at_once, struct diag *diag)
{
    size_t first = t->full ? 1 : length / 2, done, s, i;
    enum status status = STATUS_OK;

    t->n_trained = sequences * (length - first);
    trainer_begin_step(t->trainer);
    for (done = 0; done < sequences && !status; done += at_once) {
        size_t n = 0, count = sequences - done < at_once ? sequences - done : at_once;

        for (s = 0; s < count; s++) {
            struct train_span span = {t->tokens + (done + s) * length, length, -1};

            t->spans[s] = span;
            for (i = first; i < length; i++, n++) {
                t->rows[n] = s * length + i - 1;
                t->targets[n] = span.tokens[i];
            }
        }
        status = run_pass(t, count, n, same_coefficients, diag);
    }
    return status ? status : trainer_end_step(t->trainer, diag);
}

/* Operations of the products with weights: a token's through the layers forward, again (all but `down`), and as the
 * gradient of the input; in full training forward and both gradients. */
static double step_ops(const struct training *t, double tokens, double trained)
{
    const struct config *c = &t->load->model->config;
    double down = 2.0 * c->n_layers * (double)c->dim * (double)c->ffn_dim;

    if (args_flag(t->args, "full"))
        return 3 * (tokens * t->model->layer_ops + trained * t->model->head_ops);
    return tokens * (3 * t->model->layer_ops - down) + trained * 2 * t->model->head_ops;
}

/* ---- a step of reinforcement ---- */

/* Advantages of both signs, so that the gradient is not that of imitation. */
static void signed_coefficients(void *context, size_t first, size_t n, const float *logprob, const float *entropy,
                                float *coefficient)
{
    same_coefficients(context, first, n, logprob, entropy, coefficient);
    for (size_t i = 0; i < n; i++)
        coefficient[i] *= (first + i) / 64 % 2 ? -1.0f : 1.0f;
}

static enum status sample(struct training *t, size_t prompts, struct rollout *rollouts, struct diag *diag)
{
    const struct adapter *adapters[1] = {t->adapter};
    size_t length = flag(t, "prompt-tokens");
    struct rollout_prompt *list = arena_array(&t->rollouts, prompts, sizeof *list);
    struct request like = {.max_new = flag(t, "max-new"), .n_adapters = t->adapter ? 1 : 0, .adapters = adapters};

    if (!list)
        return diag_fail(diag, STATUS_MEMORY, "out of memory for %zu prompts", prompts);
    like.sampling.temperature = 1;
    like.sampling.top_p = 1;
    for (size_t i = 0; i < prompts; i++) {
        list[i].ids = t->tokens + i * length;
        list[i].n = length;
    }
    engine_forget(t->engine);
    return rollout_run(t->engine, list, prompts, flag(t, "group"), &like, NULL, rollouts, &t->rollouts, diag);
}

/* A prompt's samples behind it in one pass. */
static enum status learn_group(struct training *t, const int32_t *prompt, const struct rollout *rollouts,
                               struct diag *diag)
{
    size_t length = flag(t, "prompt-tokens"), group = flag(t, "group"), n = 0, row = length, i, j;

    t->spans[0] = (struct train_span){prompt, length, -1};
    for (i = 0; i < group; i++) {
        t->spans[i + 1] = (struct train_span){rollouts[i].tokens, rollouts[i].n_tokens, 0};
        for (j = 0; j < rollouts[i].n_tokens; j++, n++) {
            t->rows[n] = j == 0 ? length - 1 : row + j - 1;
            t->targets[n] = rollouts[i].tokens[j];
        }
        row += rollouts[i].n_tokens;
    }
    return run_pass(t, group + 1, n, signed_coefficients, diag);
}

static enum status grpo_step(struct training *t, size_t prompts, struct diag *diag)
{
    size_t group = flag(t, "group"), length = flag(t, "prompt-tokens"), i;
    struct arena_mark mark = arena_mark(&t->rollouts);
    struct rollout *rollouts = arena_array(&t->rollouts, prompts * group, sizeof *rollouts);
    double started = progress_now();
    enum status status =
        rollouts ? sample(t, prompts, rollouts, diag) : diag_fail(diag, STATUS_MEMORY, "out of memory");

    t->sampling += progress_now() - started;
    t->n_trained = prompts * group * flag(t, "max-new");
    trainer_begin_step(t->trainer);
    for (i = 0; i < prompts && !status; i++)
        status = learn_group(t, t->tokens + i * length, rollouts + i * group, diag);
    arena_release(&t->rollouts, mark);
    return status ? status : trainer_end_step(t->trainer, diag);
}

/* ---- rows ---- */

static void print_parts(const struct training *t, const struct bench_row *row, const struct backward_times *before,
                        double optimiser)
{
    struct backward_times after = backward_times(t->trainer->backward);
    double scale = row->seconds > 0 ? 100 / row->seconds : 0, dx = after.dx - before->dx;
    double known = after.forward - before->forward + after.recompute - before->recompute + dx + after.lora -
                   before->lora + after.head - before->head + after.attention - before->attention + after.rest -
                   before->rest + optimiser + t->sampling;
    double dx_ops = t->model->layer_ops * row->avg_ts * row->seconds;

    fprintf(stderr,
            "%s: forward %.1f %%, recomputation %.1f %%, dX products %.1f %%, %s %.1f %%, attention backward %.1f %%, "
            "head %.1f %%, optimiser %.1f %%, norms and gate backward %.1f %%, sampling %.1f %%, other %.1f %%",
            row->test, (after.forward - before->forward) * scale, (after.recompute - before->recompute) * scale,
            dx * scale, t->full ? "dW products" : "LoRA products", (after.lora - before->lora) * scale,
            (after.attention - before->attention) * scale, (after.head - before->head) * scale, optimiser * scale,
            (after.rest - before->rest) * scale, t->sampling * scale, (row->seconds - known) * scale);
    if (row->n_gen == 0 && dx > 0 && t->machine->float32 > 0) {
        fprintf(stderr, "; dX at %.1f %% of the f32 peak", 100 * dx_ops / dx / t->machine->float32);
        if (t->full)
            fprintf(stderr, ", dW at %.1f %%", 100 * dx_ops / (after.lora - before->lora) / t->machine->float32);
    }
    fputc('\n', stderr);
}

/* One repetition of the row's test; the seconds of the whole step. */
static enum status repeat(struct training *t, const struct bench_row *row, size_t at_once, double *seconds,
                          struct diag *diag)
{
    double started = progress_now();
    enum status status;

    if (terminal_interrupted())
        return diag_fail(diag, STATUS_STOPPED, "interrupted");
    status = row->n_gen ? grpo_step(t, row->n_seq / flag(t, "group"), diag)
                        : sft_step(t, row->n_prompt, row->n_seq, at_once, diag);
    *seconds = progress_now() - started;
    return status;
}

/* Warm-up, repetitions, mean and deviation. */
static enum status measure(struct training *t, struct bench_row *row, size_t at_once, struct diag *diag)
{
    size_t n = flag(t, "repetitions"), i;
    double tokens = (double)((row->n_gen ? row->n_gen : row->n_prompt) * row->n_seq), sum = 0, squares = 0, seconds;
    struct backward_times before;
    struct bench_row warm = *row;
    enum status status;
    double optimiser;

    warm.n_seq = row->n_gen ? flag(t, "group") : at_once < row->n_seq ? at_once : row->n_seq;
    status = repeat(t, &warm, at_once, &seconds, diag);
    before = backward_times(t->trainer->backward);
    optimiser = t->trainer->seconds;
    t->sampling = 0;
    for (i = 0; i < n && !status; i++) {
        status = repeat(t, row, at_once, &seconds, diag);
        row->seconds += seconds;
        sum += tokens / seconds;
        squares += tokens / seconds * tokens / seconds;
    }
    row->avg_ts = sum / (double)n;
    row->stddev_ts = n > 1 ? sqrt(fmax(0, squares - sum * row->avg_ts) / (double)(n - 1)) : 0;
    row->gbps = 0;
    row->bandwidth_share = row->linear_share = -1;
    row->peak_share = t->machine->float32 > 0 ? t->ops * row->avg_ts / tokens / t->machine->float32 : -1;
    if (!status && t->load->verbose)
        print_parts(t, row, &before, t->trainer->seconds - optimiser);
    return status;
}

static enum status sft_row(struct training *t, size_t length, struct bench_row *row, struct diag *diag)
{
    size_t sequences = flag(t, "train-sequences"), at_once = flag(t, "micro-tokens") / length;
    enum status status;
    int used;

    at_once = at_once < 1 ? 1 : at_once < sequences ? at_once : sequences;
    memset(row, 0, sizeof *row);
    row->n_prompt = length;
    row->n_seq = sequences;
    used = snprintf(row->test, sizeof row->test, "%s%zu", args_flag(t->args, "full") ? "full" : "sft", length);
    if (sequences > 1)
        snprintf(row->test + used, sizeof row->test - (size_t)used, " x %zu", sequences);
    status = create_trainer(t, at_once * length, at_once, diag);
    if (!status)
        status = allocate(t, sequences * length, at_once, diag);
    t->ops = step_ops(t, (double)(sequences * length),
                      (double)(sequences * (length - (args_flag(t->args, "full") ? 1 : length / 2))));
    return status ? status : measure(t, row, 0 + at_once, diag);
}

static enum status grpo_row(struct training *t, struct bench_row *row, struct diag *diag)
{
    size_t prompts = flag(t, "prompts"), group = flag(t, "group"), length = flag(t, "prompt-tokens");
    size_t max_new = flag(t, "max-new"), samples = prompts * group;
    struct engine_options options = {length + max_new, samples, 256, 0, 0, t->load->k_type, t->load->v_type};
    double tokens = (double)(prompts * length + samples * max_new);
    enum status status;

    memset(row, 0, sizeof *row);
    row->n_prompt = length;
    row->n_gen = max_new;
    row->n_seq = samples;
    snprintf(row->test, sizeof row->test, "grpo");
    status = create_trainer(t, length + group * max_new, group + 1, diag);
    if (!status)
        status = engine_create(&t->engine, t->load->model, &t->load->exec, &options, diag);
    if (!status)
        status = allocate(t, length * prompts + group * max_new, group + 1, diag);
    t->ops = step_ops(t, tokens, (double)(samples * max_new)) + tokens * t->model->layer_ops +
             (double)(samples * max_new) * t->model->head_ops;
    if (!status)
        status = measure(t, row, 0, diag);
    if (!status && !t->load->quiet)
        fprintf(
            stderr,
            "grpo: %.3f samples/s (%zu prompts of %zu tokens x %zu samples of %zu tokens); rollouts alone %.1f tok/s\n",
            row->avg_ts / (double)max_new, prompts, length, group, max_new,
            (double)(flag(t, "repetitions") * samples * max_new) / t->sampling);
    return status;
}

enum status bench_train(const struct args *args, const struct load *load, const struct bench_model *model,
                        const struct bench_machine *machine, struct bench_row *rows, size_t *n_rows, struct diag *diag)
{
    struct training t = {.args = args, .load = load, .model = model, .machine = machine};
    size_t lengths[LENGTHS], n, i;
    enum status status = STATUS_OK;

    if (!args_flag(args, "train"))
        return STATUS_OK;
    arena_init(&t.arena, "bench training", 0);
    arena_init(&t.rollouts, "bench rollouts", 0);
    read_lengths(args, lengths, &n);
    for (i = 0; i < n && !status; i++)
        if (lengths[i] > 0) {
            status = sft_row(&t, lengths[i], &rows[(*n_rows)++], diag);
            release(&t);
        }
    if (!status && flag(&t, "prompts") > 0) {
        status = grpo_row(&t, &rows[(*n_rows)++], diag);
        release(&t);
    }
    adapter_free(t.adapter);
    full_free(t.full);
    return status;
}
