/* cmd_perplexity.c - arklet perplexity: exp of the mean negative log-probability of a text, as llama-perplexity
 * defines it.
 *
 *   text without its final newline -> ids with BOS where the vocabulary adds it -> windows of N, no overlap
 *
 *     window   BOS t1 ... t[N/2] | t[N/2+1] ... t[N-1]       the first token gives way to BOS where the vocabulary
 *              context           | scored                    adds it; what is left after the last window is ignored
 */
#include <stdio.h>
#include <string.h>
#include "args.h"
#include "cmd.h"
#include "load.h"
#include "perplexity.h"

static const struct arg own_flags[] = {
    {.name = "file",
     .alias = "-f",
     .kind = ARG_TEXT,
     .value = "FILE",
     .required = 1,
     .help = "the text (-: standard input); one final newline is dropped"},
    {.name = NULL},
};

static const struct arg *const groups[] = {own_flags, args_model, args_common, NULL};

static const struct args_spec spec = {
    .command = "perplexity",
    .about = "Prints PPL = X. The text is cut into windows of -c tokens (512 unless stated); of each, the tokens of\n"
             "the second half are scored. A text of fewer than two windows is an error.",
    .groups = groups,
};

int cmd_perplexity(int argc, char **argv)
{
    struct args args;
    struct load load;
    double value;
    int code = args_parse(&args, &spec, argc, argv);

    memset(&load, 0, sizeof load);
    if (code < 0)
        code = load_model(&load, &args, PERPLEXITY_WINDOW);
    if (code < 0)
        code = perplexity_measure(&load, "perplexity", args_text(&args, "file"), load.context, &value);
    if (code < 0)
        printf("PPL = %.4f\n", value);
    load_free(&load);
    args_free(&args);
    return code < 0 ? 0 : code;
}
