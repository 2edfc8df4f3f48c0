/* cmd_perplexity.c - arklet perplexity: exp of the mean negative log-probability of a text, as llama-perplexity
 * defines it.
 *
 *   text without its final newline -> ids with BOS where the vocabulary adds it -> windows of N, no overlap
 *
 *     window   BOS t1 ... t[N/2] | t[N/2+1] ... t[N-1]       the first token gives way to BOS where the vocabulary
 *              context           | scored                    adds it; what is left after the last window is ignored
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "args.h"
#include "cmd.h"
#include "elementary.h"
#include "file.h"
#include "load.h"
#include "score.h"
#include "terminal.h"
#include "tokenizer.h"

#define DEFAULT_WINDOW 512 /* llama-perplexity's */
#define CHUNK          512

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

struct perplexity {
    struct args args;
    struct load load;
    struct scorer *scorer;
    struct tokens ids;
    float *logprobs; /* [window] */
};

static struct score_options score_options_of(const struct perplexity *p, size_t window)
{
    struct score_options options = {window, window < CHUNK ? window : CHUNK, p->load.k_type, p->load.v_type, 1};

    return options;
}

static size_t work_bytes(const void *user, size_t window)
{
    const struct perplexity *p = user;
    struct score_options options = score_options_of(p, window);

    return score_bytes(&p->load.model->config, &options);
}

static int encode_file(struct perplexity *p)
{
    const char *path = args_text(&p->args, "file");
    struct buffer text = {0};
    struct diag diag;
    enum status status = file_read(&text, path, 0, &diag);

    if (!status) {
        size_t length = text.length > 0 && text.data[text.length - 1] == '\n' ? text.length - 1 : text.length;

        status =
            tokenizer_encode(p->load.model->tokenizer, text.data ? text.data : "", length, ENCODE_BOS, &p->ids, &diag);
    }
    buffer_free(&text);
    return status ? cmd_fail(&diag) : -1;
}

static int check_windows(const struct perplexity *p)
{
    size_t window = p->load.context;

    if (window < 3) {
        fprintf(stderr, "arklet perplexity: -c: expected at least 3, found %zu (see arklet perplexity --help)\n",
                window);
        return 2;
    }
    if (p->ids.count < 2 * window) {
        fprintf(stderr, "arklet: %s: expected at least two windows of %zu tokens, found %zu tokens\n",
                args_text(&p->args, "file"), window, p->ids.count);
        return 1;
    }
    return -1;
}

/* All windows; *sum gets the negative log-probabilities, in order, in double. */
static int score_windows(struct perplexity *p, double *sum, size_t *scored)
{
    const struct tokenizer *tokenizer = p->load.model->tokenizer;
    size_t window = p->load.context, n = p->ids.count / window, from = window / 2 + 1;
    struct progress progress;
    struct diag diag;
    char note[64] = "";

    terminal_progress(&progress, p->load.quiet);
    progress_begin(&progress, "perplexity", "tok/s");
    for (size_t i = 0; i < n; i++) {
        int32_t *ids = p->ids.ids + i * window;

        if (tokenizer_adds_bos(tokenizer))
            ids[0] = tokenizer_bos(tokenizer);
        if (score_tokens(p->scorer, ids, window, from, p->load.adapters, p->load.n_adapters, p->logprobs, &diag))
            return cmd_fail(&diag);
        for (size_t k = 0; k < window - from; k++)
            *sum -= (double)p->logprobs[k];
        *scored += window - from;
        if (terminal_interrupted())
            return 130;
        snprintf(note, sizeof note, "PPL so far %.4f", exp(*sum / (double)*scored));
        progress_update(&progress, i + 1, n, (double)((i + 1) * window), note);
    }
    progress_end(&progress, n, n, (double)(n * window), note);
    return -1;
}

static int run_command(struct perplexity *p)
{
    struct score_options options;
    struct diag diag;
    double sum = 0;
    size_t scored = 0;
    int code = load_model(&p->load, &p->args, DEFAULT_WINDOW);

    if (code < 0 && !p->load.model->tokenizer) {
        fprintf(stderr, "arklet: %s: the model has no tokenizer\n", args_text(&p->args, "model"));
        code = 1;
    }
    if (code < 0)
        code = encode_file(p);
    if (code < 0)
        code = check_windows(p);
    if (code < 0)
        code = load_check_memory(&p->load, p->load.context, work_bytes, p);
    if (code >= 0)
        return code;
    options = score_options_of(p, p->load.context);
    p->logprobs = arena_array(&p->args.arena, p->load.context, sizeof *p->logprobs);
    if (!p->logprobs) {
        diag_fail(&diag, STATUS_MEMORY, "out of memory for a window of %zu tokens", p->load.context);
        return cmd_fail(&diag);
    }
    if (score_create(&p->scorer, p->load.model, &p->load.exec, &options, &diag))
        return cmd_fail(&diag);
    code = score_windows(p, &sum, &scored);
    if (code < 0)
        printf("PPL = %.4f\n", exp(sum / (double)scored));
    return code;
}

int cmd_perplexity(int argc, char **argv)
{
    struct perplexity p;
    int code;

    memset(&p, 0, sizeof p);
    code = args_parse(&p.args, &spec, argc, argv);
    if (code < 0)
        code = run_command(&p);
    score_free(p.scorer);
    tokens_free(&p.ids);
    load_free(&p.load);
    args_free(&p.args);
    return code < 0 ? 0 : code;
}
