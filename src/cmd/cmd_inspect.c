/* cmd_inspect.c - arklet inspect: what is in a file, and what running it would take in memory. */
#include <stdio.h>
#include <string.h>
#include "adapter.h"
#include "batch.h"
#include "cmd.h"
#include "file.h"
#include "gguf.h"
#include "inspect.h"
#include "kv.h"
#include "trainer.h"

#define MEGABYTE    1048576.0
#define RUN_CHUNK   512 /* as cmd_run.c */
#define MANY        32  /* sequences decoded together */
#define SFT_RANK    8   /* sft's defaults: --rank, --max-len, --batch */
#define SFT_MAX_LEN 1024
#define SFT_BATCH   8

static const struct arg own_flags[] = {
    {.name = "ctx-size",
     .alias = "-c",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "0",
     .low = 0,
     .high = 1 << 24,
     .help = "context of the memory plan; 0: as trained"},
    {.name = "cache-type-k",
     .alias = "-ctk",
     .kind = ARG_CHOICE,
     .value = "TYPE",
     .otherwise = "f16",
     .choices = "f16|f32|q8_0",
     .help = "type of the cached keys"},
    {.name = "cache-type-v",
     .alias = "-ctv",
     .kind = ARG_CHOICE,
     .value = "TYPE",
     .otherwise = "f16",
     .choices = "f16|f32|q8_0",
     .help = "type of the cached values"},
    {.name = NULL},
};

static const struct arg *const groups[] = {own_flags, args_common, NULL};

static const struct args_spec spec = {
    .command = "inspect",
    .operands = "FILE",
    .about =
        "Prints what is in a GGUF, a safetensors file, a Hugging Face or PEFT folder (metadata, tensors, number of\n"
        "parameters, memory that each use takes) or a file of records (how many of each kind).",
    .min_operands = 1,
    .max_operands = 1,
    .groups = groups,
};

/* ---- the memory plan ---- */

static void plan_line(const char *use, size_t weights, size_t work, const char *what)
{
    printf("  %-10s %9.1f MB = weights %.1f + %.1f  %s\n", use, (double)(weights + work) / MEGABYTE,
           (double)weights / MEGABYTE, (double)work / MEGABYTE, what);
}

static enum dtype cache_type(const struct args *args, const char *name)
{
    return dtype_by_name(args_text(args, name))->type; /* the flag's choices are types */
}

static void plan_run(const struct config *c, const struct args *args, const struct load *load, size_t weights,
                     size_t context, size_t sequences)
{
    char what[128];
    struct engine_options options;
    memset(&options, 0, sizeof options);
    options.context = context;
    options.max_sequences = sequences;
    options.chunk = context < RUN_CHUNK ? context : RUN_CHUNK;
    options.k_type = cache_type(args, "cache-type-k");
    options.v_type = cache_type(args, "cache-type-v");
    struct engine_plan plan = engine_plan(c, &load->exec, &options);
    snprintf(what, sizeof what, "%zu x %zu positions: cache %.1f MB (%s keys, %s values), workspace %.1f MB", sequences,
             context, (double)plan.kv_bytes / MEGABYTE, args_text(args, "cache-type-k"),
             args_text(args, "cache-type-v"), (double)(plan.bytes - plan.kv_bytes) / MEGABYTE);
    plan_line(sequences == 1 ? "run" : "run, many", weights, plan.bytes, what);
}

static void plan_sft(const struct config *c, const struct args *args, const struct load *load, size_t weights,
                     size_t context)
{
    char what[128];
    struct adapter_shape shape = {.rank = SFT_RANK, .targets = TARGET_ALL};
    size_t n = adapter_count(c, &shape), max_len = context < SFT_MAX_LEN ? context : SFT_MAX_LEN;
    struct adapter adapter;
    struct train_options train;
    struct backward_options backward = {.max_tokens = max_len, .head_rows = BACKWARD_HEAD_ROWS};
    memset(&adapter, 0, sizeof adapter);
    memset(&train, 0, sizeof train);
    adapter.shape = shape;
    backward.max_spans = max_len < SFT_BATCH ? max_len : SFT_BATCH;
    backward.k_type = cache_type(args, "cache-type-k");
    backward.v_type = cache_type(args, "cache-type-v");
    size_t work = trainer_bytes(c, &adapter, n, &train, &backward, pool_size(load->exec.pool)) + n * sizeof(float);
    snprintf(what, sizeof what, "LoRA of rank %d on all matrices (%.2fM parameters), %zu tokens a record", SFT_RANK,
             (double)n / 1e6, max_len);
    plan_line("sft", weights, work, what);
}

int inspect_plan(const char *path, const struct args *args, const struct load *load)
{
    struct config config;
    struct diag diag;
    size_t weights;
    if (model_measure(path, &config, &weights, &diag)) {
        fprintf(stderr, "arklet: note: no memory plan: %s\n", diag.message);
        return 0;
    }
    size_t context = args_int(args, "ctx-size") > 0 ? (size_t)args_int(args, "ctx-size") : (size_t)config.ctx_len;
    printf("\nmemory (%s, %d layers, context %zu of %d):\n", arch_name(config.arch), config.n_layers, context,
           config.ctx_len);
    plan_run(&config, args, load, weights, context, 1);
    plan_run(&config, args, load, weights, context, MANY);
    plan_sft(&config, args, load, weights, context);
    return 0;
}

/* ---- what it is ---- */

static int ends_with(const char *text, const char *ending)
{
    size_t n = strlen(text), m = strlen(ending);
    return n >= m && strcmp(text + n - m, ending) == 0;
}

static int inspect(const struct args *args, const struct load *load)
{
    const char *path = args->operands[0];
    int is_model = 0, code;
    if (file_is_folder(path)) {
        code = inspect_folder(path, &is_model);
    } else if (gguf_is_file(path) || ends_with(path, ".gguf")) {
        code = inspect_gguf(path, &is_model);
    } else if (ends_with(path, ".safetensors")) {
        code = inspect_safetensors(path);
    } else {
        code = inspect_records(path);
    }
    return code == 0 && is_model ? inspect_plan(path, args, load) : code;
}

int cmd_inspect(int argc, char **argv)
{
    struct args args;
    struct load load;
    memset(&load, 0, sizeof load);
    int code = args_parse(&args, &spec, argc, argv);
    if (code < 0) {
        code = load_exec(&load, &args);
    }
    if (code < 0) {
        code = inspect(&args, &load);
    }
    load_free(&load);
    args_free(&args);
    return code;
}
