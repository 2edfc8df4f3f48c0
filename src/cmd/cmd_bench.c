/* cmd_bench.c - arklet bench: speed of prompts and of decoding, as llama-bench measures them.
 *
 *   ppN        one prompt of N random tokens, logits of the last one
 *   tgN        N tokens one after the other from an almost empty context, logits of each
 *   tgN x B    the same for B sequences at once; the rate counts the tokens of all
 *   ... @ dD   after D tokens that are not timed (-d)
 *   --train    steps of training (bench_train.c)
 *
 * GB/s are the packed weights that a pass reads times passes a second, the share of the peak counts the products with
 * weights alone (two operations a weight and token), in int8 for quantised models and in f32 for float ones. The
 * limits themselves are measured in the same run (bench_machine.c). Sampling is not part of it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "args.h"
#include "bench.h"
#include "bench_train.h"
#include "cmd.h"
#include "load.h"
#include "progress.h"
#include "rng.h"
#include "terminal.h"

#define CHUNK    512 /* prompt tokens a pass */
#define LIST_MAX 16

static const struct arg own_flags[] = {
    {.name = "n-prompt",
     .alias = "-p",
     .kind = ARG_TEXT,
     .value = "N,...",
     .otherwise = "512",
     .help = "lengths of prompts; 0: no such test"},
    {.name = "n-gen",
     .alias = "-n",
     .kind = ARG_TEXT,
     .value = "N,...",
     .otherwise = "128",
     .help = "tokens to decode; 0: no such test"},
    {.name = "sequences",
     .alias = "-b",
     .kind = ARG_TEXT,
     .value = "N,...",
     .otherwise = "1,8,32",
     .help = "sequences decoded at once"},
    {.name = "n-depth",
     .alias = "-d",
     .kind = ARG_TEXT,
     .value = "N,...",
     .otherwise = "0",
     .help = "tokens in the cache before the test"},
    {.name = "repetitions",
     .alias = "-r",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "5",
     .low = 1,
     .high = 1000,
     .help = "repetitions of each test"},
    {.name = "output",
     .alias = "-o",
     .kind = ARG_CHOICE,
     .value = "FORMAT",
     .otherwise = "md",
     .choices = "md|csv|json",
     .help = "form of the table"},
    {.name = "no-limits", .kind = ARG_FLAG, .help = "do not measure the machine: no shares, 1 GB less memory"},
    {.name = NULL},
};

static const struct arg *const groups[] = {own_flags, bench_train_flags, args_model, args_common, NULL};

static const struct args_spec spec = {
    .command = "bench",
    .about = "Measures prompts (ppN), decoding (tgN, tgN x B) and, with --train, steps of training (sftN, grpo) in\n"
             "tokens per second, and which share of the memory bandwidth and of the arithmetic peak that is;\n"
             "both limits are measured in the same run. -v tells where the time went.",
    .groups = groups,
};

struct list {
    size_t values[LIST_MAX];
    size_t n;
};

struct bench {
    struct args args;
    struct load load;
    struct list prompts, gens, sequences, depths;
    size_t repetitions;
    size_t max_tokens, n_pages; /* what the largest test needs */
    struct kv *kv;
    struct forward *forward;
    float *logits;             /* [most sequences][logit stride] */
    int32_t *tokens;           /* [most tokens of a sequence or pass], random */
    struct kv_sequence *cache; /* [most sequences] */
    struct token_span *spans;  /* [most sequences] */
    double *rates;             /* [repetitions] */
    struct bench_row *rows;    /* in order of the table */
    size_t n_rows;
};

/* ---- flags ---- */

static int read_list(const struct args *args, const char *name, size_t low, struct list *list)
{
    const char *text = args_text(args, name);

    list->n = 0;
    for (;;) {
        char *end;
        long long value = strtoll(text, &end, 10);

        if (end == text || (*end && *end != ',') || value < (long long)low || value > 1 << 24 || list->n == LIST_MAX) {
            fprintf(stderr,
                    "arklet bench: --%s: expected up to %d whole numbers from %zu, with commas between them, found "
                    "'%s' (see arklet bench --help)\n",
                    name, LIST_MAX, low, args_text(args, name));
            return 2;
        }
        list->values[list->n++] = (size_t)value;
        if (!*end)
            return -1;
        text = end + 1;
    }
}

static size_t largest(const struct list *list)
{
    size_t max = 0;

    for (size_t i = 0; i < list->n; i++)
        max = list->values[i] > max ? list->values[i] : max;
    return max;
}

static int read_flags(struct bench *b)
{
    int code = read_list(&b->args, "n-prompt", 0, &b->prompts);
    size_t prompt, decoding, most_sequences;

    code = code < 0 ? read_list(&b->args, "n-gen", 0, &b->gens) : code;
    code = code < 0 ? read_list(&b->args, "sequences", 1, &b->sequences) : code;
    code = code < 0 ? read_list(&b->args, "n-depth", 0, &b->depths) : code;
    if (code >= 0)
        return code;
    b->repetitions = (size_t)args_int(&b->args, "repetitions");
    most_sequences = largest(&b->sequences);
    prompt = kv_pages_for(largest(&b->prompts) + largest(&b->depths));
    decoding = kv_pages_for(largest(&b->gens) + largest(&b->depths)) * most_sequences;
    b->n_pages = prompt > decoding ? prompt : decoding;
    b->n_pages += b->n_pages == 0;
    b->max_tokens = most_sequences > CHUNK ? most_sequences : CHUNK;
    return -1;
}

/* ---- what a test runs on ---- */

static size_t work_bytes(const void *user, size_t context)
{
    const struct bench *b = user;
    const struct config *c = &b->load.model->config;

    (void)context;
    return b->n_pages * kv_page_bytes(c, b->load.k_type, b->load.v_type) + forward_bytes(c, b->max_tokens) +
           largest(&b->sequences) * (size_t)c->vocab_size * sizeof(float);
}

static enum status create(struct bench *b, struct diag *diag)
{
    const struct config *c = &b->load.model->config;
    size_t sequences = largest(&b->sequences), n = largest(&b->prompts) + largest(&b->gens) + largest(&b->depths) + 1;
    enum status status = kv_create(&b->kv, c, b->load.k_type, b->load.v_type, b->n_pages, diag);

    if (!status)
        status = forward_create(&b->forward, b->load.model, b->kv, &b->load.exec, b->max_tokens, diag);
    if (status)
        return status;
    b->logits = arena_array(&b->args.arena, sequences, forward_logit_stride(b->forward) * sizeof *b->logits);
    b->tokens = arena_array(&b->args.arena, n, sizeof *b->tokens);
    b->cache = arena_array(&b->args.arena, sequences, sizeof *b->cache);
    b->spans = arena_array(&b->args.arena, sequences, sizeof *b->spans);
    b->rates = arena_array(&b->args.arena, b->repetitions, sizeof *b->rates);
    if (!b->logits || !b->tokens || !b->cache || !b->spans || !b->rates)
        return diag_fail(diag, STATUS_MEMORY, "out of memory for %zu sequences", sequences);
    for (size_t i = 0; i < n; i++)
        b->tokens[i] = (int32_t)rng_below(rng_bits(0, RNG_TEST, i, 0, 0), (uint32_t)c->vocab_size);
    return STATUS_OK;
}

static void destroy(struct bench *b)
{
    forward_free(b->forward);
    kv_free(b->kv);
    load_free(&b->load);
    args_free(&b->args);
}

/* ---- tests ---- */

/* n tokens of sequence 0 in passes of CHUNK; the last token's logits when asked for. */
static void feed(struct bench *b, size_t n, int with_logits)
{
    const float *hidden;

    for (size_t done = 0, length; done < n; done += length) {
        size_t last;

        length = n - done < CHUNK ? n - done : CHUNK;
        last = length - 1;
        forward_run(b->forward, &(struct token_span){&b->cache[0], b->tokens + done, length, NULL, 0}, 1, &hidden);
        if (with_logits && done + length == n)
            forward_logits(b->forward, hidden, &last, 1, b->logits);
    }
}

/* n tokens of each of the first `sequences` sequences, one at a time. */
static void decode(struct bench *b, size_t n, size_t sequences)
{
    const float *hidden;

    for (size_t i = 0; i < n; i++) {
        for (size_t s = 0; s < sequences; s++)
            b->spans[s] = (struct token_span){&b->cache[s], b->tokens + i, 1, NULL, 0};
        forward_run(b->forward, b->spans, sequences, &hidden);
        forward_logits(b->forward, hidden, NULL, sequences, b->logits);
    }
}

/* Sequences with `depth` tokens and room for n more: the first is computed, the others share it. */
static enum status open_sequences(struct bench *b, const struct bench_row *row, size_t n, struct diag *diag)
{
    enum status status = kv_reserve(b->kv, &b->cache[0], row->depth, diag);

    if (!status)
        feed(b, row->depth, 0);
    for (size_t s = 1; !status && s < row->n_seq; s++)
        status = kv_fork(b->kv, &b->cache[s], &b->cache[0], row->depth, diag);
    for (size_t s = 0; !status && s < row->n_seq; s++)
        status = kv_reserve(b->kv, &b->cache[s], n, diag);
    return status;
}

static void close_sequences(struct bench *b, const struct bench_row *row)
{
    for (size_t s = 0; s < row->n_seq; s++)
        kv_release(b->kv, &b->cache[s]);
}

static void add_times(struct forward_times *sum, const struct forward_times *before, const struct forward_times *after)
{
    sum->norm += after->norm - before->norm;
    sum->linear += after->linear - before->linear;
    sum->rope += after->rope - before->rope;
    sum->attention += after->attention - before->attention;
    sum->swiglu += after->swiglu - before->swiglu;
    sum->head += after->head - before->head;
}

/* One repetition; *rate gets tokens per second. n_prompt 0 means decoding. */
static enum status repeat(struct bench *b, struct bench_row *row, double *rate, struct diag *diag)
{
    size_t n = row->n_prompt ? row->n_prompt : row->n_gen;
    struct forward_times before;
    double started, seconds;
    enum status status = open_sequences(b, row, n, diag);

    if (!status) {
        struct forward_times after;

        before = forward_times(b->forward);
        started = progress_now();
        if (row->n_prompt)
            feed(b, n, 1);
        else
            decode(b, n, row->n_seq);
        seconds = progress_now() - started;
        after = forward_times(b->forward);
        add_times(&row->times, &before, &after);
        row->seconds += seconds;
        *rate = (double)(n * row->n_seq) / seconds;
    }
    close_sequences(b, row);
    return status;
}

/* Mean and deviation, and the shares of the machine's limits. */
static void conclude(struct bench *b, struct bench_row *row, const struct bench_model *model,
                     const struct bench_machine *machine)
{
    double n = (double)b->repetitions, squares = 0, peak = model->quantised ? machine->int8 : machine->float32;
    size_t per_pass = !row->n_prompt ? row->n_seq : row->n_prompt < CHUNK ? row->n_prompt : CHUNK;
    double tokens = (double)(row->n_prompt ? row->n_prompt : row->n_gen * row->n_seq);
    double heads = row->n_prompt ? 1 / (double)row->n_prompt : 1; /* a token */

    row->avg_ts = 0;
    for (size_t i = 0; i < b->repetitions; i++)
        row->avg_ts += b->rates[i] / n;
    for (size_t i = 0; i < b->repetitions; i++)
        squares += (b->rates[i] - row->avg_ts) * (b->rates[i] - row->avg_ts);
    row->stddev_ts = b->repetitions > 1 ? sqrt(squares / (n - 1)) : 0;
    row->gbps = (double)model->pass_bytes * row->avg_ts / (double)per_pass / 1e9;
    row->bandwidth_share = machine->read > 0 ? row->gbps * 1e9 / machine->read : -1;
    row->peak_share = peak > 0 ? (model->layer_ops + heads * model->head_ops) * row->avg_ts / peak : -1;
    row->linear_share =
        peak > 0 && row->times.linear > 0 ? model->layer_ops * tokens * n / row->times.linear / peak : -1;
}

static enum status run_test(struct bench *b, struct bench_row *row, struct diag *diag)
{
    struct bench_row warm = *row;
    double rate;
    enum status status;

    warm.n_gen = row->n_gen ? 1 : 0;
    status = repeat(b, &warm, &rate, diag); /* first touch of pages and caches */
    for (size_t i = 0; !status && i < b->repetitions; i++) {
        if (terminal_interrupted())
            return diag_fail(diag, STATUS_STOPPED, "interrupted");
        status = repeat(b, row, &b->rates[i], diag);
    }
    return status;
}

static void add_row(struct bench *b, size_t n_prompt, size_t n_gen, size_t n_seq, size_t depth)
{
    struct bench_row *row = &b->rows[b->n_rows];
    int used;

    if (n_prompt + n_gen == 0)
        return;
    memset(row, 0, sizeof *row);
    row->n_prompt = n_prompt;
    row->n_gen = n_gen;
    row->n_seq = n_seq;
    row->depth = depth;
    used = snprintf(row->test, sizeof row->test, "%s%zu", n_prompt ? "pp" : "tg", n_prompt + n_gen);
    if (n_seq > 1)
        used += snprintf(row->test + used, sizeof row->test - (size_t)used, " x %zu", n_seq);
    if (depth > 0)
        snprintf(row->test + used, sizeof row->test - (size_t)used, " @ d%zu", depth);
    b->n_rows++;
}

static enum status list_tests(struct bench *b, struct diag *diag)
{
    size_t n = b->depths.n * (b->prompts.n + b->gens.n * b->sequences.n) + BENCH_TRAIN_ROWS;

    b->rows = arena_array(&b->args.arena, n, sizeof *b->rows);
    if (!b->rows)
        return diag_fail(diag, STATUS_MEMORY, "out of memory for %zu tests", n);
    for (size_t d = 0; d < b->depths.n; d++) {
        for (size_t i = 0; i < b->prompts.n; i++)
            add_row(b, b->prompts.values[i], 0, 1, b->depths.values[d]);
        for (size_t i = 0; i < b->gens.n * b->sequences.n; i++) {
            add_row(b, 0, b->gens.values[i / b->sequences.n], b->sequences.values[i % b->sequences.n],
                    b->depths.values[d]);
        }
    }
    return STATUS_OK;
}

static int run_command(struct bench *b)
{
    struct bench_model model;
    struct bench_machine machine = {0};
    int limits = !args_flag(&b->args, "no-limits");
    struct diag diag;
    int code = read_flags(b);

    code = code < 0 ? bench_train_check(&b->args) : code;
    code = code < 0 ? load_model(&b->load, &b->args, 0) : code;
    code = code < 0 ? load_check_memory(&b->load, b->n_pages * KV_PAGE, work_bytes, b) : code;
    if (code >= 0)
        return code;
    if (limits)
        machine = bench_measure_machine(&b->load.exec);
    model = bench_describe(b->load.model);
    if (limits && !b->load.quiet) {
        fprintf(stderr, "machine: reads %.1f GB/s, int8 %.0f GOPS, f32 %.0f GFLOPS (%d threads, %s kernels)\n",
                machine.read / 1e9, machine.int8 / 1e9, machine.float32 / 1e9, pool_size(b->load.exec.pool),
                b->load.exec.kernels->name);
    }
    if (list_tests(b, &diag) || create(b, &diag))
        return cmd_fail(&diag);
    for (size_t i = 0; i < b->n_rows; i++) {
        if (run_test(b, &b->rows[i], &diag))
            return cmd_fail(&diag);
        conclude(b, &b->rows[i], &model, &machine);
        if (b->load.verbose)
            bench_print_times(&b->rows[i]);
    }
    if (bench_train(&b->args, &b->load, &model, &machine, b->rows, &b->n_rows, &diag))
        return cmd_fail(&diag);
    bench_print(args_text(&b->args, "output"), &model, &b->load.exec, b->rows, b->n_rows);
    return -1;
}

int cmd_bench(int argc, char **argv)
{
    struct bench b;
    int code;

    memset(&b, 0, sizeof b);
    code = args_parse(&b.args, &spec, argc, argv);
    if (code < 0)
        code = run_command(&b);
    destroy(&b);
    return code < 0 ? 0 : code;
}
