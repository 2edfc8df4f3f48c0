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
#include "memory_plan.h"

#define MEGABYTE 1048576.0
/* The commands' defaults. */
#define RUN_CHUNK      512
#define DEBATE_BATCH   32
#define DEBATE_MAX_NEW 512
#define TRAIN_RANK     8
#define TRAIN_MAX_LEN  1024
#define TRAIN_BATCH    8
#define GRPO_GROUP     8
#define GRPO_PROMPTS   8
#define GRPO_BATCH     64
#define GRPO_MAX_NEW   256
#define GRPO_PROMPT    256 /* tokens of the longest prompt: what a question of several sentences takes */
#define GRPO_MICRO     1024

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

struct planning {
    const struct config *config;
    const struct exec *exec;
    enum dtype k_type, v_type;
    size_t context, weights, aside, least;
};

static void plan_line(const struct planning *p, const char *use, size_t work, const char *what)
{
    struct memory_plan plan = {p->weights, work, p->aside, p->least};
    char sum[128];

    memory_plan_text(sum, sizeof sum, &plan, 9);
    printf("  %-7s %s  (%s)\n", use, sum, what);
}

static enum dtype cache_type(const struct args *args, const char *name)
{
    return dtype_by_name(args_text(args, name))->type; /* the flag's choices are types */
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static struct engine_options engine_of(const struct planning *p, size_t sequences, size_t context, size_t chunk)
{
    struct engine_options options = {.context = context, .max_sequences = sequences, .chunk = chunk};

    options.k_type = p->k_type;
    options.v_type = p->v_type;
    return options;
}

static void plan_engine(const struct planning *p, const char *use, const struct engine_options *options)
{
    struct engine_plan plan = engine_plan(p->config, p->exec, options);
    char what[128];

    snprintf(what, sizeof what, "%zu x %zu positions: cache %.1f MB of %s keys, %s values", options->max_sequences,
             options->context, (double)plan.kv_bytes / MEGABYTE, dtype_info(p->k_type)->name,
             dtype_info(p->v_type)->name);
    plan_line(p, use, plan.bytes, what);
}

static struct backward_options backward_of(const struct planning *p, size_t max_tokens, size_t head_rows)
{
    struct backward_options backward = {.max_tokens = max_tokens, .head_rows = head_rows};

    backward.k_type = p->k_type;
    backward.v_type = p->v_type;
    return backward;
}

static void plan_training(const struct planning *p)
{
    struct adapter_shape shape = {.rank = TRAIN_RANK, .targets = TARGET_ALL};
    size_t n = adapter_count(p->config, &shape), max_len = smaller(p->context, TRAIN_MAX_LEN);
    struct sft_options sft = {.batch = TRAIN_BATCH, .format = {.max_len = max_len}};
    struct prm_options prm = {.batch = TRAIN_BATCH, .format = {.max_len = max_len}};
    char what[128];

    snprintf(what, sizeof what, "LoRA of rank %d on all matrices, %.2fM parameters; records of %zu tokens", TRAIN_RANK,
             (double)n / 1e6, max_len);
    sft.backward = backward_of(p, max_len, BACKWARD_HEAD_ROWS);
    plan_line(p, "sft", memory_plan_sft(p->config, &sft, &shape, n), what);
    shape.score = 1;
    prm.backward = backward_of(p, max_len, 1);
    plan_line(p, "prm", memory_plan_prm(p->config, &prm, &shape), "the same, with a score head");
}

static void plan_grpo(const struct planning *p)
{
    struct adapter_shape policy = {.rank = TRAIN_RANK, .targets = TARGET_ALL}, prm = policy;
    struct grpo_options options = {.group = GRPO_GROUP, .prompts = GRPO_PROMPTS, .resample = GRPO_RESAMPLE};
    struct memory_plan_grpo plan = {.options = &options, .policy = &policy, .prm = &prm};
    char what[128];

    prm.score = 1;
    options.context = smaller(p->context, GRPO_PROMPT + GRPO_MAX_NEW);
    options.max_new = smaller(options.context, GRPO_MAX_NEW);
    options.backward = backward_of(p, options.context > GRPO_MICRO ? options.context : GRPO_MICRO, BACKWARD_HEAD_ROWS);
    plan.rollouts = engine_of(p, GRPO_BATCH, options.context, 256);
    snprintf(what, sizeof what,
             "the same with a reward model of its kind; %d x %d samples of %zu tokens, %zu with prompt", GRPO_PROMPTS,
             GRPO_GROUP, options.max_new, options.context);
    plan_line(p, "grpo", memory_plan_grpo(&plan, p->config, p->exec, 0, 0), what);
}

/* A model without a tokenizer is fine. */
static void plan_tokenizer(struct planning *p, const char *path)
{
    struct tokenizer *tokenizer = NULL;
    struct diag diag;

    if (tokenizer_load(&tokenizer, path, &diag))
        tokenizer = NULL;
    p->aside = memory_plan_aside(tokenizer);
    p->least = memory_plan_loading(tokenizer);
    tokenizer_free(tokenizer);
}

int inspect_plan(const char *path, const struct args *args, const struct load *load)
{
    struct config config;
    struct planning p = {.config = &config, .exec = &load->exec};
    struct engine_options run, debate;
    struct diag diag;
    size_t trained;

    if (model_measure(path, &config, &p.weights, &diag)) {
        fprintf(stderr, "arklet: note: no memory plan: %s\n", diag.message);
        return 0;
    }
    trained = (size_t)config.ctx_len;
    p.context = args_int(args, "ctx-size") > 0 ? (size_t)args_int(args, "ctx-size") : trained;
    p.k_type = cache_type(args, "cache-type-k");
    p.v_type = cache_type(args, "cache-type-v");
    plan_tokenizer(&p, path);
    run = engine_of(&p, 1, p.context, smaller(p.context, RUN_CHUNK));
    debate = engine_of(&p, DEBATE_BATCH, p.context, 256);
    if (args_int(args, "ctx-size") == 0) /* as ask_context */
        debate.context = smaller(trained, 4096 + DEBATE_MAX_NEW);
    printf("\nmemory (%s, %d layers, context %zu of %d):\n", arch_name(config.arch), config.n_layers, p.context,
           config.ctx_len);
    plan_engine(&p, "run", &run);
    plan_engine(&p, "debate", &debate);
    plan_training(&p);
    plan_grpo(&p);
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
