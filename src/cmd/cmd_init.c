/* cmd_init.c - arklet init: a model of a given shape with random weights. */
#include <stdio.h>
#include <string.h>
#include "args.h"
#include "cmd.h"
#include "load.h"
#include "model_init.h"
#include "terminal.h"

static const struct arg own_flags[] = {
    {.name = "tokenizer",
     .kind = ARG_TEXT,
     .value = "T",
     .help = "GGUF, tokenizer.json or its folder; default: that of CONFIG's folder"},
    {.name = "seed",
     .alias = "-s",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "0",
     .low = 0,
     .high = 9e15,
     .help = "of the weights"},
    {.name = "type",
     .kind = ARG_CHOICE,
     .value = "TYPE",
     .otherwise = "F32",
     .choices = "F32|F16|BF16",
     .help = "of the matrices; vectors are F32"},
    {.name = NULL},
};

static const struct arg *const groups[] = {own_flags, args_common, NULL};

static const struct args_spec spec = {
    .command = "init",
    .operands = "CONFIG OUT.gguf",
    .about = "Writes a model with random weights, to be trained with arklet sft --full. CONFIG is a config.json with\n"
             "transformers' names, or its folder: model_type (llama qwen2 qwen3 gemma3_text) or architectures, "
             "hidden_size,\n"
             "intermediate_size, num_hidden_layers, num_attention_heads, and where the default does not fit\n"
             "num_key_value_heads, head_dim, max_position_embeddings (the context), vocab_size (by default the\n"
             "tokenizer's), tie_word_embeddings, rms_norm_eps, rope_theta, initializer_range.\n"
             "Matrices and embeddings are normal with deviation initializer_range (0.02), norms 1, biases 0, as\n"
             "transformers initialises all four families. The same seed gives the same weights.",
    .min_operands = 2,
    .max_operands = 2,
    .groups = groups,
};

static void report(const char *out, const char *type, const struct model_init_report *r)
{
    const struct config *c = &r->config;

    fprintf(stderr,
            "%s: %s, %d layers, dim %d, ffn %d, heads %d/%d x %d, vocabulary %d%s, context %d: %.3fM parameters in %s, "
            "%.3fM of them embeddings%s\n",
            out, arch_name(c->arch), c->n_layers, c->dim, c->ffn_dim, c->n_heads, c->n_kv_heads, c->head_dim,
            c->vocab_size, c->tied ? " (tied head)" : "", c->ctx_len, (double)r->n_params / 1e6, type,
            (double)r->n_embedding / 1e6, r->has_tokenizer ? "" : "; no tokenizer");
}

static int init(const struct args *args, const struct load *load)
{
    const char *out = args->operands[1], *type = args_text(args, "type");
    struct progress progress;
    struct model_init_report counts;
    struct diag diag;
    struct model_init_options options = {.tokenizer = args_text(args, "tokenizer"),
                                         .seed = (uint64_t)args_int(args, "seed"),
                                         .type = dtype_by_name(type)->type,
                                         .pool = load->exec.pool,
                                         .stop = terminal_interrupted};

    terminal_prepare();
    terminal_progress(&progress, load->quiet);
    options.progress = &progress;
    if (model_init(args->operands[0], out, &options, &counts, &diag))
        return cmd_fail(&diag);
    if (!load->quiet)
        report(out, type, &counts);
    return 0;
}

int cmd_init(int argc, char **argv)
{
    struct args args;
    struct load load;
    int code = args_parse(&args, &spec, argc, argv);

    memset(&load, 0, sizeof load);
    if (code < 0)
        code = load_exec(&load, &args);
    if (code < 0)
        code = init(&args, &load);
    load_free(&load);
    args_free(&args);
    return code;
}
