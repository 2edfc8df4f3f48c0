/* cmd_merge.c - arklet merge: an adapter folded into the weights; arklet export: an adapter in another form. */
#include <stdio.h>
#include <string.h>
#include "adapter_file.h"
#include "args.h"
#include "cmd.h"
#include "load.h"
#include "merge.h"
#include "perplexity.h"
#include "quantize.h"
#include "terminal.h"

static const struct arg merge_flags[] = {
    {.name = "output", .alias = "-o", .kind = ARG_TEXT, .value = "GGUF", .required = 1, .help = "the merged model"},
    {.name = "pure", .kind = ARG_FLAG, .help = "one format for all matrices, as in quantize"},
    {.name = "ppl",
     .kind = ARG_TEXT,
     .value = "FILE",
     .help = "print the perplexity of this text with the adapters apart and merged (-c: 512)"},
    {.name = NULL},
};

static const struct arg *const merge_groups[] = {merge_flags, args_model, args_common, NULL};

static const struct args_spec merge_spec = {
    .command = "merge",
    .operands = "[TYPE]",
    .about = "Writes the model with the adapters of --lora added to its weights, in TYPE (default F16; see quantize).\n"
             "A quantised TYPE rounds the sum once more; --ppl tells what that costs:\n"
             "  PPL apart = X      the model as it is, the adapters beside it\n"
             "  PPL merged = Y     the new file\n"
             "  change = +Z %      of Y over X",
    .max_operands = 1,
    .groups = merge_groups,
};

static const struct arg export_flags[] = {
    {.name = "output",
     .alias = "-o",
     .kind = ARG_TEXT,
     .value = "PATH",
     .required = 1,
     .help = "NAME.gguf for llama.cpp, else a PEFT folder"},
    {.name = NULL},
};

static const struct arg *const export_groups[] = {export_flags, args_model, args_common, NULL};

static const struct args_spec export_spec = {
    .command = "export",
    .about = "Writes the adapter of --lora as a PEFT folder or as a GGUF for llama.cpp.",
    .groups = export_groups,
};

static int need_adapters(const struct load *load, const char *command, size_t most)
{
    if (load->n_adapters >= 1 && load->n_adapters <= most)
        return -1;
    fprintf(stderr, "arklet %s: expected --lora %s, found %zu\n", command, most == 1 ? "once" : "at least once",
            load->n_adapters);
    return 2;
}

static int merge(const struct args *args, const struct load *load, const struct quantize_type *type)
{
    struct merge context = {load->adapters, load->n_adapters};
    struct quantize_options options = {.type = type, .pure = args_flag(args, "pure"), .pool = load->exec.pool};
    struct quantize_report report;
    struct progress progress;
    struct diag diag;

    terminal_prepare();
    terminal_progress(&progress, load->quiet);
    options.progress = &progress;
    options.stop = terminal_interrupted;
    options.adjust = merge_row;
    options.adjust_context = &context;
    if (quantize_model(args_text(args, "model"), args_text(args, "output"), &options, &report, &diag))
        return cmd_fail(&diag);
    if (!load->quiet)
        fprintf(stderr, "%s: %zu tensors, %.1f MB\n", args_text(args, "output"), report.n_tensors,
                (double)report.bytes_out / 1e6);
    return 0;
}

/* The perplexity of `text` under the merged file. */
static int measure_merged(const struct args *args, const struct load *load, size_t window, double *value)
{
    struct load merged = *load;
    struct diag diag;
    int code;

    merged.model = NULL;
    merged.n_adapters = 0;
    if (model_load(&merged.model, args_text(args, "output"), &load->exec, load->mem_limit, &diag))
        return cmd_fail(&diag);
    code = perplexity_measure(&merged, "merge", args_text(args, "ppl"), window, value);
    model_free(merged.model);
    return code;
}

static int merge_and_measure(const struct args *args, const struct load *load, const struct quantize_type *type)
{
    const char *text = args_text(args, "ppl");
    size_t window =
        args_int(args, "ctx-size") == 0 && load->context > PERPLEXITY_WINDOW ? PERPLEXITY_WINDOW : load->context;
    double apart = 0, merged = 0;
    int code = text ? perplexity_measure(load, "merge", text, window, &apart) : -1;

    if (code < 0)
        code = merge(args, load, type);
    if (code || !text)
        return code;
    code = measure_merged(args, load, window, &merged);
    if (code >= 0)
        return code;
    printf("PPL apart = %.4f\nPPL merged = %.4f\nchange = %+.3f %%\n", apart, merged, 100 * (merged / apart - 1));
    return 0;
}

int cmd_merge(int argc, char **argv)
{
    struct args args;
    struct load load;
    int code = args_parse(&args, &merge_spec, argc, argv);
    const char *name = code < 0 && args.n_operands ? args.operands[0] : "F16";
    const struct quantize_type *type = quantize_type_find(name);

    memset(&load, 0, sizeof load);
    if (code < 0 && !type) {
        fprintf(stderr, "arklet merge: expected a type of %s, found '%s'\n", quantize_type_names(), name);
        code = 2;
    }
    if (code < 0)
        code = load_model(&load, &args, 0);
    if (code < 0)
        code = need_adapters(&load, "merge", 64);
    if (code < 0)
        code = merge_and_measure(&args, &load, type);
    load_free(&load);
    args_free(&args);
    return code;
}

int cmd_export(int argc, char **argv)
{
    struct args args;
    struct load load;
    struct diag diag;
    int code = args_parse(&args, &export_spec, argc, argv);

    memset(&load, 0, sizeof load);
    if (code < 0)
        code = load_model(&load, &args, 0);
    if (code < 0)
        code = need_adapters(&load, "export", 1);
    if (code < 0)
        code = adapter_export(load.loaded[0], load.model, args_text(&args, "output"), &diag) ? cmd_fail(&diag) : 0;
    load_free(&load);
    args_free(&args);
    return code;
}
