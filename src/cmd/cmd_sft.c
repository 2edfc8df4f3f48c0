/* cmd_sft.c - arklet sft: fine-tuning on records, as a LoRA adapter or of all weights (--full). */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "adapter_file.h"
#include "args.h"
#include "cmd.h"
#include "file.h"
#include "load.h"
#include "memory_plan.h"
#include "quantize.h"
#include "sft.h"
#include "terminal.h"
#include "train_flags.h"

static const struct arg own_flags[] = {
    {.name = "file",
     .alias = "-f",
     .kind = ARG_TEXT,
     .value = "JSONL",
     .required = 1,
     .help = "records: prompt and completion, messages, or segments"},
    {.name = "output", .alias = "-o", .kind = ARG_TEXT, .value = "DIR", .required = 1, .help = "run folder"},
    {.name = "full", .kind = ARG_FLAG, .help = "train all weights of a float model; writes model.gguf"},
    {.name = "epochs",
     .kind = ARG_FLOAT,
     .value = "N",
     .otherwise = "1",
     .low = 0,
     .high = 1e6,
     .help = "passes over the data"},
    {.name = "batch",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "8",
     .low = 1,
     .high = 65536,
     .help = "records a step"},
    {.name = "max-len",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "1024",
     .low = 2,
     .high = 1048576,
     .help = "tokens of a record; longer ones are cut, and counted"},
    {.name = "micro-tokens",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "0",
     .low = 0,
     .high = 1048576,
     .help = "tokens that go through the model at once (0: max-len)"},
    {.name = "patience",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "0",
     .low = 0,
     .high = 1e9,
     .help = "stop after so many evaluations without improvement (0: never)"},
    {.name = "chat-template",
     .kind = ARG_TEXT,
     .value = "NAME",
     .help = "for records with messages; default: the model's"},
    {.name = NULL},
};

static const struct arg *const groups[] = {own_flags, args_train, args_model, args_common, NULL};

static const struct args_spec spec = {
    .command = "sft",
    .about =
        "Fine-tunes a model on records (JSON Lines): {prompt, completion}, {messages} or {segments}. The loss is "
        "taken\n"
        "on completions, answers and weighted segments alone. The run folder gets the adapter (as a PEFT folder and\n"
        "as adapter.gguf), or with --full model.gguf, and metrics.csv, config.txt, checkpoint/. With --dev the\n"
        "parameters that were best there are kept. A run that was stopped goes on with --resume, to the same bytes.",
    .groups = groups,
};

struct sft_command {
    struct args args;
    struct load load;
    struct adapter *adapter;
    struct full *full;
    struct chat_template chat;
    struct sft_options options;
    struct buffer config;
    struct progress progress;
};

/* Flags that exclude each other. */
static int check_flags(const struct args *args)
{
    size_t n = args_count(args, "lora");
    const char *problem = NULL;

    if (n && args_flag(args, "full"))
        problem = "--full trains the weights: merge the adapter first (arklet merge), or leave --full away";
    else if (args_flag(args, "full") && args_float(args, "lora-dropout") > 0)
        problem = "--lora-dropout: --full trains no adapter";
    else if (n > 1)
        problem = "--lora: one adapter can be trained further, not several";
    if (!problem)
        return -1;
    fprintf(stderr, "arklet sft: %s\n", problem);
    return 2;
}

/* What is trained: a fresh adapter, the one of --lora, or the model itself. */
static int prepare_parameters(struct sft_command *c)
{
    struct adapter_shape shape;
    struct diag diag;
    int code;

    if (args_flag(&c->args, "full"))
        return full_create(&c->full, c->load.model, &diag) ? cmd_fail(&diag) : -1;
    if (c->load.n_adapters == 1) {
        c->adapter = c->load.loaded[0];
        if (args_is_given(&c->args, "lora-dropout"))
            c->adapter->dropout = (float)args_float(&c->args, "lora-dropout");
        return train_no_shape(&c->args);
    }
    code = train_shape(&shape, &c->args);
    if (code >= 0)
        return code;
    if (adapter_create(&c->adapter, c->load.model, &shape, &diag))
        return cmd_fail(&diag);
    c->adapter->dropout = (float)args_float(&c->args, "lora-dropout");
    adapter_init(c->adapter, (uint64_t)args_int(&c->args, "seed"));
    return -1;
}

static int prepare_options(struct sft_command *c)
{
    struct sft_options *o = &c->options;
    const struct args *args = &c->args;
    size_t micro = (size_t)args_int(args, "micro-tokens");

    o->data = args_text(args, "file");
    o->dev = args_text(args, "dev");
    o->epochs = args_float(args, "epochs");
    o->batch = (size_t)args_int(args, "batch");
    o->backward.max_tokens = micro > o->format.max_len ? micro : o->format.max_len;
    o->backward.head_rows = BACKWARD_HEAD_ROWS;
    o->backward.k_type = c->load.k_type;
    o->backward.v_type = c->load.v_type;
    o->backward.keep_bytes = c->full ? TRAIN_KEEP : 0;
    train_options(&o->train, args);
    return train_run_flags(&o->run, args, &c->config, &c->progress);
}

static struct memory_plan plan_of(const struct sft_command *c)
{
    const struct adapter *a = c->adapter;

    return load_plan(&c->load, memory_plan_sft(&c->load.model->config, &c->options, a ? &a->shape : NULL,
                                               a ? a->n_params : c->full->n_params));
}

static int plan_memory(struct sft_command *c)
{
    struct memory_plan plan = plan_of(c);
    char what[64];

    if (!memory_plan_fits(&plan, c->load.mem_limit)) {
        c->options.backward.keep_bytes = 0; /* slower, to the same bits */
        plan = plan_of(c);
    }
    snprintf(what, sizeof what, "%zu parameters in training; ", c->adapter ? c->adapter->n_params : c->full->n_params);
    return load_check_plan(&c->load, "sft", what, &plan, "a smaller --max-len, --rank or model would fit");
}

/* The trained rows in place of the model file's. */
static void trained_row(void *context, const char *name, size_t row, float *values, size_t n)
{
    const float *trained = full_row(context, name, row);

    if (trained)
        memcpy(values, trained, n * sizeof *values);
}

static enum status write_result(const struct sft_command *c, struct diag *diag)
{
    struct quantize_options options = {.type = quantize_type_find("F32"), .pool = c->load.exec.pool};
    struct quantize_report report;
    struct buffer path = {0};
    enum status status;

    if (c->adapter)
        return adapter_save(c->adapter, c->load.model, c->options.run.output, diag);
    options.adjust = trained_row;
    options.adjust_context = c->full;
    buffer_format(&path, "%s/model.gguf", c->options.run.output);
    status = path.failed ? diag_fail(diag, STATUS_MEMORY, "out of memory")
                         : quantize_model(args_text(&c->args, "model"), path.data, &options, &report, diag);
    buffer_free(&path);
    return status;
}

static void print_summary(const struct sft_command *c, const struct sft_result *r)
{
    const struct backward_times *t = &r->times;

    if (!train_print_steps(&c->args, r->steps, r->records > 0))
        return;
    printf("loss %.6f\n", r->loss);
    if (!isnan(r->dev_loss))
        printf("dev_loss %.6f\nbest_step %llu\n", r->dev_loss, (unsigned long long)r->best_step);
    printf("records %llu\ntruncated %llu\ntokens %llu\n", (unsigned long long)r->records,
           (unsigned long long)r->truncated, (unsigned long long)r->tokens);
    if (r->truncated)
        fprintf(stderr, "arklet sft: warning: %llu records were longer than %zu tokens and were cut (--max-len)\n",
                (unsigned long long)r->truncated, c->options.format.max_len);
    if (r->skipped)
        fprintf(stderr, "arklet sft: warning: %llu records had nothing to train on and were left out\n",
                (unsigned long long)r->skipped);
    if (c->load.verbose)
        fprintf(stderr,
                "seconds: %.2f in all; forward %.2f, recomputation %.2f, head %.2f, dX %.2f, adapters %.2f, "
                "attention backward %.2f, rest backward %.2f\n",
                r->seconds, t->forward, t->recompute, t->head, t->dx, t->lora, t->attention, t->rest);
}

static int train(struct sft_command *c)
{
    struct sft_result result;
    struct diag diag;
    enum status status, written = STATUS_OK;

    terminal_prepare();
    terminal_progress(&c->progress, c->load.quiet);
    progress_begin(&c->progress, "sft", "tok/s");
    status = sft_run(c->load.model, c->adapter, c->full, &c->load.exec, &c->options, &result, &diag);
    progress_end(&c->progress, result.steps, result.steps, (double)result.tokens, status ? "stopped" : "done");
    /* What was learnt before the numbers failed is written too; an interrupted run has its checkpoint. */
    if (!status || (status == STATUS_NUMERIC && result.steps))
        written = write_result(c, status ? NULL : &diag);
    if (status || written)
        return cmd_fail(&diag);
    print_summary(c, &result);
    return 0;
}

int cmd_sft(int argc, char **argv)
{
    struct sft_command c;
    int code;

    memset(&c, 0, sizeof c);
    code = args_parse(&c.args, &spec, argc, argv);
    if (code < 0)
        code = check_flags(&c.args);
    if (code < 0)
        code = load_model(&c.load, &c.args, 0);
    if (code < 0)
        code = prepare_parameters(&c);
    if (code < 0)
        code = train_format(&c.options.format, &c.chat, &c.load, &c.args);
    if (code < 0)
        code = prepare_options(&c);
    if (code < 0)
        code = plan_memory(&c);
    if (code < 0)
        code = train_folder(&c.args, c.options.run.output);
    if (code < 0)
        code = train(&c);
    if (c.adapter && !c.load.n_adapters)
        adapter_free(c.adapter);
    buffer_free(&c.config);
    load_free(&c.load);
    full_free(c.full);
    args_free(&c.args);
    return code;
}
