/* train_flags.c - shared training flags. */
#include "train_flags.h"

#include <stdio.h>
#include <string.h>
#include "cmd.h"
#include "file.h"
#include "terminal.h"

const struct arg args_train[] = {
    {.name = "rank",
     .kind = ARG_INT,
     .value = "R",
     .otherwise = "8",
     .low = 0,
     .high = 65536,
     .help = "rank of the adapter"},
    {.name = "alpha",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "16",
     .low = 0,
     .high = 1e6,
     .help = "scale is alpha / rank"},
    {.name = "rslora", .kind = ARG_FLAG, .help = "scale is alpha / sqrt(rank)"},
    {.name = "targets",
     .kind = ARG_TEXT,
     .value = "LIST",
     .otherwise = "all",
     .help = "matrices with an adapter: all, or q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"},
    {.name = "lora-dropout",
     .kind = ARG_FLOAT,
     .value = "P",
     .otherwise = "0",
     .low = 0,
     .high = 0.99,
     .help = "dropout of the adapter's input, in training steps alone"},
    {.name = "optim",
     .kind = ARG_CHOICE,
     .value = "NAME",
     .otherwise = "adamw",
     .choices = "adamw|muon",
     .help = "optimiser"},
    {.name = "lr",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0.0002",
     .low = 0,
     .high = 100,
     .help = "peak learning rate"},
    {.name = "adam-ratio",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0.25",
     .low = 0,
     .high = 1000,
     .help = "muon: learning rate of embeddings, norms and biases, relative to --lr"},
    {.name = "schedule",
     .kind = ARG_CHOICE,
     .value = "NAME",
     .otherwise = "cosine",
     .choices = "cosine|linear|constant",
     .help = "learning rate after the warm-up"},
    {.name = "warmup",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0.03",
     .low = 0,
     .high = 1,
     .help = "share of the steps that warm up"},
    {.name = "weight-decay",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0",
     .low = 0,
     .high = 10,
     .help = "decoupled weight decay"},
    {.name = "beta1",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0.9",
     .low = 0,
     .high = 0.9999,
     .help = "adamw: decay of the mean"},
    {.name = "beta2",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0.999",
     .low = 0,
     .high = 0.999999,
     .help = "adamw: decay of the square"},
    {.name = "clip",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "1.0",
     .low = 0,
     .high = 1e9,
     .help = "largest gradient norm (0: none)"},
    {.name = "seed",
     .alias = "-s",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "0",
     .low = 0,
     .high = 9e15,
     .help = "of everything random"},
    {.name = "save-every",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "100",
     .low = 0,
     .high = 1e12,
     .help = "steps between checkpoints (0: only at the end)"},
    {.name = "resume", .kind = ARG_FLAG, .help = "go on from the run folder's checkpoint"},
    {.name = "eval-every",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "0",
     .low = 0,
     .high = 1e12,
     .help = "steps between evaluations on --dev (0: at the end)"},
    {.name = "dev", .kind = ARG_TEXT, .value = "FILE", .help = "records to choose the best parameters by"},
    {.name = NULL},
};

static int bad_targets(const struct args *args, const char *text)
{
    fprintf(stderr,
            "arklet %s: --targets: expected all or a list of q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj, "
            "found '%s'\n",
            args->spec->command, text);
    return 2;
}

static int read_targets(unsigned *targets, const struct args *args)
{
    const char *text = args_text(args, "targets"), *at = text;
    int t;

    *targets = 0;
    if (strcmp(text, "all") == 0 || strcmp(text, "all-linear") == 0) {
        *targets = TARGET_ALL;
        return -1;
    }
    while (*at) {
        size_t n = strcspn(at, ",");

        for (t = 0; t < TARGET_COUNT; t++)
            if (strlen(adapter_peft_name((enum target)t)) == n && memcmp(adapter_peft_name((enum target)t), at, n) == 0)
                break;
        if (t == TARGET_COUNT)
            return bad_targets(args, text);
        *targets |= 1u << t;
        at += n + (at[n] == ',');
    }
    return *targets ? -1 : bad_targets(args, text);
}

int train_shape(struct adapter_shape *shape, const struct args *args)
{
    memset(shape, 0, sizeof *shape);
    shape->rank = (size_t)args_int(args, "rank");
    shape->alpha = (float)args_float(args, "alpha");
    shape->rslora = args_flag(args, "rslora");
    return read_targets(&shape->targets, args);
}

int train_no_shape(const struct args *args)
{
    static const char *const flags[] = {"rank", "alpha", "rslora", "targets"};
    size_t i;

    for (i = 0; i < sizeof flags / sizeof *flags; i++)
        if (args_is_given(args, flags[i])) {
            fprintf(stderr, "arklet %s: --%s: the adapter of --lora has its own\n", args->spec->command, flags[i]);
            return 2;
        }
    return -1;
}

void train_options(struct train_options *options, const struct args *args)
{
    const char *schedule = args_text(args, "schedule");

    memset(options, 0, sizeof *options);
    options->lr = args_float(args, "lr");
    options->schedule = *schedule == 'l' ? SCHEDULE_LINEAR : schedule[2] == 's' ? SCHEDULE_COSINE : SCHEDULE_CONSTANT;
    options->warmup = args_float(args, "warmup");
    options->clip = args_float(args, "clip");
    options->seed = (uint64_t)args_int(args, "seed");
    options->optim.kind = *args_text(args, "optim") == 'm' ? OPTIM_MUON : OPTIM_ADAMW;
    options->optim.beta1 = (float)args_float(args, "beta1");
    options->optim.beta2 = (float)args_float(args, "beta2");
    options->optim.eps = 1e-8f;
    options->optim.momentum = 0.95f;
    options->optim.weight_decay = (float)args_float(args, "weight-decay");
    options->optim.adam_ratio = (float)args_float(args, "adam-ratio");
}

int train_format(struct example_format *format, struct chat_template *chat, const struct load *load,
                 const struct args *args)
{
    const struct tokenizer *tokenizer = load->model->tokenizer;
    const char *name = args_text(args, "chat-template"), *text;
    struct diag diag;
    size_t length;

    if (!tokenizer) {
        fprintf(stderr, "arklet %s: %s: the model has no tokenizer\n", args->spec->command, load->model->path);
        return 1;
    }
    format->tokenizer = tokenizer;
    text = tokenizer_chat_template(tokenizer);
    if (name && chat_named(chat, name, &diag))
        return cmd_fail(&diag);
    /* A template that is not recognised matters only to records with messages, which then say so. */
    if (name || (text && !chat_recognise(chat, text, strlen(text), &diag)))
        format->chat = chat;
    format->chat_options.bos = tokenizer_piece(tokenizer, tokenizer_bos(tokenizer), &length);
    format->chat_options.eos = tokenizer_piece(tokenizer, tokenizer_eos(tokenizer), &length);
    format->max_len = (size_t)args_int(args, "max-len");
    if (format->max_len > load->context) {
        if (args_is_given(args, "max-len"))
            fprintf(stderr, "arklet %s: warning: --max-len %zu is cut to the context of %zu tokens\n",
                    args->spec->command, format->max_len, load->context);
        format->max_len = load->context;
    }
    return -1;
}

int train_run_flags(struct train_run_options *run, const struct args *args, struct buffer *config,
                    struct progress *progress)
{
    train_config(args, 1, config);
    run->output = args_text(args, "output");
    run->config = config->data;
    run->save_every = (uint64_t)args_int(args, "save-every");
    run->eval_every = (uint64_t)args_int(args, "eval-every");
    run->patience = (uint64_t)args_int(args, "patience");
    run->resume = args_flag(args, "resume");
    run->progress = progress;
    run->stop = terminal_interrupted;
    if (config->failed)
        fprintf(stderr, "arklet %s: out of memory\n", args->spec->command);
    return config->failed ? 1 : -1;
}

static enum status write_config(const struct args *args, const char *folder, struct diag *diag)
{
    struct buffer text = {0}, path = {0};
    enum status status;

    buffer_format(&path, "%s/config.txt", folder);
    args_write_config(args, &text);
    if (text.failed || path.failed)
        status = diag_fail(diag, STATUS_MEMORY, "%s: out of memory", folder);
    else
        status = file_save(path.data, text.data, text.length, diag);
    buffer_free(&text);
    buffer_free(&path);
    return status;
}

int train_print_steps(const struct args *args, uint64_t steps, int worked)
{
    printf("steps %llu\n", (unsigned long long)steps);
    if (!worked && !args_flag(args, "quiet"))
        fprintf(stderr, "arklet %s: the run was complete: nothing was left to do\n", args->spec->command);
    return worked;
}

int train_folder(const struct args *args, const char *folder)
{
    struct buffer path = {0};
    struct diag diag;
    enum status status;
    int resumes;

    buffer_format(&path, "%s/checkpoint", folder);
    status =
        path.failed ? diag_fail(&diag, STATUS_MEMORY, "%s: out of memory", folder) : file_make_folder(path.data, &diag);
    buffer_text(&path, "/state.bin");
    resumes = args_flag(args, "resume") && !path.failed && file_exists(path.data);
    buffer_free(&path);
    if (!status && !resumes) /* config.txt tells how the run was started */
        status = write_config(args, folder, &diag);
    return status ? cmd_fail(&diag) : -1;
}

/* Settings that leave the result as it is; the last three name what a checkpoint knows by content. */
static int is_free(const char *line, size_t length, int by_content)
{
    static const char *const names[] = {"threads", "kernels", "output",    "resume", "save-every", "quiet",
                                        "verbose", "config",  "mem-limit", "model",  "file",       "dev"};
    size_t i, n = strcspn(line, " ="), n_names = sizeof names / sizeof *names - (by_content ? 0 : 3);

    for (i = 0; i < n_names; i++)
        if (n <= length && strlen(names[i]) == n && memcmp(names[i], line, n) == 0)
            return 1;
    return 0;
}

void train_config(const struct args *args, int by_content, struct buffer *out)
{
    struct buffer text = {0};
    const char *line;

    args_write_config(args, &text);
    for (line = text.data ? text.data : ""; *line;) {
        size_t n = strcspn(line, "\n");

        n += line[n] == '\n';
        if (!is_free(line, n, by_content))
            buffer_append(out, line, n);
        line += n;
    }
    out->failed |= text.failed;
    buffer_byte(out, 0);
    buffer_free(&text);
}
