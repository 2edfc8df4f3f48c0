/* perplexity.c - measuring the perplexity of a text, window by window; see cmd_perplexity.c for what is scored. */
#include "perplexity.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "cmd.h"
#include "file.h"
#include "score.h"
#include "terminal.h"
#include "tokenizer.h"

#define CHUNK 512

struct perplexity {
    const struct load *load;
    const char *command, *path;
    size_t window;
    struct scorer *scorer;
    struct tokens ids;
    float *logprobs; /* [window] */
};

static struct score_options score_options_of(const struct perplexity *p, size_t window)
{
    struct score_options options = {window, window < CHUNK ? window : CHUNK, p->load->k_type, p->load->v_type, 1};

    return options;
}

static size_t work_bytes(const void *user, size_t window)
{
    const struct perplexity *p = user;
    struct score_options options = score_options_of(p, window);

    return score_bytes(&p->load->model->config, &options);
}

static int encode_file(struct perplexity *p)
{
    struct buffer text = {0};
    struct diag diag;
    enum status status = file_read(&text, p->path, 0, &diag);

    if (!status) {
        size_t length = text.length > 0 && text.data[text.length - 1] == '\n' ? text.length - 1 : text.length;

        status =
            tokenizer_encode(p->load->model->tokenizer, text.data ? text.data : "", length, ENCODE_BOS, &p->ids, &diag);
    }
    buffer_free(&text);
    return status ? cmd_fail(&diag) : -1;
}

static int check_windows(const struct perplexity *p)
{
    if (p->window < 3) {
        fprintf(stderr, "arklet %s: -c: expected at least 3, found %zu (see arklet %s --help)\n", p->command, p->window,
                p->command);
        return 2;
    }
    if (p->ids.count < 2 * p->window) {
        fprintf(stderr, "arklet: %s: expected at least two windows of %zu tokens, found %zu tokens\n", p->path,
                p->window, p->ids.count);
        return 1;
    }
    return -1;
}

/* All windows; *sum gets the negative log-probabilities, in order, in double. */
static int score_windows(struct perplexity *p, double *sum, size_t *scored)
{
    const struct tokenizer *tokenizer = p->load->model->tokenizer;
    size_t window = p->window, n = p->ids.count / window, from = window / 2 + 1;
    struct progress progress;
    struct diag diag;
    char note[64] = "";

    terminal_progress(&progress, p->load->quiet);
    progress_begin(&progress, "perplexity", "tok/s");
    for (size_t i = 0; i < n; i++) {
        int32_t *ids = p->ids.ids + i * window;

        if (tokenizer_adds_bos(tokenizer))
            ids[0] = tokenizer_bos(tokenizer);
        if (score_tokens(p->scorer, ids, window, from, p->load->adapters, p->load->n_adapters, p->logprobs, &diag))
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

static int measure(struct perplexity *p, double *value)
{
    struct score_options options = score_options_of(p, p->window);
    struct diag diag;
    double sum = 0;
    size_t scored = 0;
    int code = encode_file(p);

    if (code < 0)
        code = check_windows(p);
    if (code < 0)
        code = load_check_memory(p->load, p->window, work_bytes, p);
    if (code >= 0)
        return code;
    p->logprobs = memory_alloc(p->window * sizeof *p->logprobs);
    if (!p->logprobs) {
        diag_fail(&diag, STATUS_MEMORY, "out of memory for a window of %zu tokens", p->window);
        return cmd_fail(&diag);
    }
    if (score_create(&p->scorer, p->load->model, &p->load->exec, &options, &diag))
        return cmd_fail(&diag);
    code = score_windows(p, &sum, &scored);
    *value = exp(sum / (double)scored);
    return code;
}

int perplexity_measure(const struct load *load, const char *command, const char *path, size_t window, double *value)
{
    struct perplexity p = {.load = load, .command = command, .path = path, .window = window};
    int code;

    if (!load->model->tokenizer) {
        fprintf(stderr, "arklet: %s: the model has no tokenizer\n", load->model->path);
        return 1;
    }
    code = measure(&p, value);
    score_free(p.scorer);
    memory_free(p.logprobs);
    tokens_free(&p.ids);
    return code;
}
