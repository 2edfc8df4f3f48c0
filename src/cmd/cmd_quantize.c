/* cmd_quantize.c - arklet quantize: rewrites a model's weights in another storage format. */
#include <stdio.h>
#include <string.h>
#include "args.h"
#include "cmd.h"
#include "load.h"
#include "quantize.h"
#include "terminal.h"

static const struct arg own_flags[] = {
    {.name = "pure", .kind = ARG_FLAG, .help = "one format for all matrices, no mixture"},
    {.name = NULL},
};

static const struct arg *const groups[] = {own_flags, args_common, NULL};

static const struct args_spec spec = {
    .command = "quantize",
    .operands = "IN OUT TYPE",
    .about =
        "Rewrites a GGUF or a Hugging Face folder as a GGUF of another type (OUT may be IN itself):\n"
        "  F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ4_NL\n"
        "Types are chosen per tensor as llama-quantize does; vectors keep their floats.",
    .min_operands = 3,
    .max_operands = 3,
    .groups = groups,
};

static int quantize(const struct args *args, const struct load *load, const struct quantize_type *type)
{
    struct progress progress;
    struct quantize_report report;
    struct diag diag;
    const char *in = args->operands[0], *out = args->operands[1];
    struct quantize_options options = {.type = type, .pure = args_flag(args, "pure"), .pool = load->exec.pool};
    terminal_prepare();
    terminal_progress(&progress, load->quiet);
    options.progress = &progress;
    options.stop = terminal_interrupted;
    if (quantize_model(in, out, &options, &report, &diag)) {
        return cmd_fail(&diag);
    }
    if (!load->quiet) {
        fprintf(stderr, "%s: %zu tensors, %.1f MB -> %.1f MB (%.2f bits a weight)", out, report.n_tensors,
                (double)report.bytes_in / 1e6, (double)report.bytes_out / 1e6,
                8.0 * (double)report.bytes_out / (double)report.n_elements);
        if (report.n_fallbacks) {
            fprintf(stderr, "; %zu have rows that the type cannot hold and fell back", report.n_fallbacks);
        }
        fprintf(stderr, "\n");
    }
    return 0;
}

int cmd_quantize(int argc, char **argv)
{
    struct args args;
    struct load load;
    memset(&load, 0, sizeof load);
    int code = args_parse(&args, &spec, argc, argv);
    const struct quantize_type *type = code < 0 ? quantize_type_find(args.operands[2]) : NULL;
    if (code < 0 && !type) {
        fprintf(stderr, "arklet quantize: expected a type of %s, found '%s'\n", quantize_type_names(),
                args.operands[2]);
        code = 2;
    }
    if (code < 0) {
        code = load_exec(&load, &args);
    }
    if (code < 0) {
        code = quantize(&args, &load, type);
    }
    load_free(&load);
    args_free(&args);
    return code;
}
