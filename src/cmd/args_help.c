/* args_help.c - the flags that commands share, and the text of --help. */
#include <stdio.h>
#include <string.h>

#include "args.h"

#define HELP_COLUMN 30 /* where the explanations start */
#define HELP_WIDTH  70 /* and how wide they are */

const struct arg args_model[] = {
    {.name = "model",
     .alias = "-m",
     .kind = ARG_TEXT,
     .value = "PATH",
     .required = 1,
     .help = "GGUF file (the first of a split one) or Hugging Face folder"},
    {.name = "ctx-size",
     .alias = "-c",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "0",
     .low = 0,
     .high = 1 << 24,
     .help = "context in tokens; 0: as trained"},
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
    {.name = "lora",
     .kind = ARG_LIST,
     .value = "PATH[:SCALE]",
     .help = "adapter to apply: PEFT folder or GGUF; repeatable"},
    {.name = NULL},
};

const struct arg args_sampling[] = {
    {.name = "temp",
     .alias = "--temperature",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0.8",
     .low = 0,
     .high = 1000,
     .help = "temperature; 0: the most probable token, the lowest id on a tie"},
    {.name = "top-k",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "40",
     .low = 0,
     .high = 1 << 30,
     .help = "keep the N most probable tokens; 0: all"},
    {.name = "top-p",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0.95",
     .low = 0,
     .high = 1,
     .help = "keep the fewest tokens whose probabilities reach X; 1: all"},
    {.name = "min-p",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0.05",
     .low = 0,
     .high = 1,
     .help = "keep tokens of at least X times the largest probability; 0: all"},
    {.name = "seed",
     .alias = "-s",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "0",
     .help = "random seed; the same seed gives the same text"},
    {.name = NULL},
};

const struct arg args_common[] = {
    {.name = "threads",
     .alias = "-t",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "0",
     .low = 0,
     .high = 256,
     .help = "threads; 0: one per CPU. Results do not depend on it"},
    {.name = "kernels",
     .kind = ARG_TEXT,
     .value = "NAME",
     .help = "instruction-set tier instead of the best; results do not depend on it"},
    {.name = "mem-limit",
     .kind = ARG_TEXT,
     .value = "SIZE",
     .help = "refuse to start when more memory would be needed: 512M, 2G"},
    {.name = "quiet", .alias = "-q", .kind = ARG_FLAG, .help = "no progress, no notes"},
    {.name = "verbose", .alias = "-v", .kind = ARG_FLAG, .help = "more on standard error"},
    {.name = "config",
     .kind = ARG_TEXT,
     .value = "FILE",
     .help = "read flags from lines name = value; the command line wins"},
    {.name = "help", .alias = "-h", .kind = ARG_FLAG, .help = "show this"},
    {.name = NULL},
};

/* Words of text from the column that out has reached, broken before HELP_WIDTH is passed. */
static void wrap(struct buffer *out, const char *text)
{
    size_t used = 0;

    while (*text) {
        size_t n = strcspn(text, " ");
        if (used && used + 1 + n > HELP_WIDTH) {
            buffer_format(out, "\n%*s", HELP_COLUMN, "");
            used = 0;
        }
        if (used)
            buffer_byte(out, ' ');
        buffer_append(out, text, n);
        used += n + (used > 0);
        text += n + strspn(text + n, " ");
    }
    buffer_byte(out, '\n');
}

static void help_flag(const struct arg *arg, struct buffer *out)
{
    size_t start = out->length, width;
    struct buffer text = {0};

    buffer_text(out, "  ");
    for (const char *alias = arg->alias; alias && *alias;) {
        size_t n = strcspn(alias, " ");
        buffer_append(out, alias, n);
        buffer_text(out, ", ");
        alias += n + (alias[n] == ' ');
    }
    buffer_format(out, "--%s%s%s", arg->name, arg->value ? " " : "", arg->value ? arg->value : "");
    width = out->length - start;
    if (width + 2 > HELP_COLUMN) {
        buffer_byte(out, '\n');
        width = 0;
    }
    buffer_format(out, "%*s", (int)(HELP_COLUMN - width), "");
    buffer_text(&text, arg->help);
    if (arg->choices)
        buffer_format(&text, ": %s", arg->choices);
    if (arg->otherwise)
        buffer_format(&text, " (default %s)", arg->otherwise);
    else if (arg->required)
        buffer_text(&text, " (required)");
    wrap(out, text.data ? text.data : "");
    buffer_free(&text);
}

void args_write_help(const struct args_spec *spec, struct buffer *out)
{
    buffer_format(out, "Usage: arklet %s [flags]%s%s\n", spec->command, spec->operands ? " " : "",
                  spec->operands ? spec->operands : "");
    if (spec->about)
        buffer_format(out, "\n%s\n", spec->about);
    buffer_text(out, "\nFlags:\n");
    for (const struct arg *const *group = spec->groups; *group; group++)
        for (const struct arg *arg = *group; arg->name; arg++)
            help_flag(arg, out);
}
