/* generate.c - tokens to streamed text, with stop strings.
 *
 *     text   | delivered ......... | waiting: may begin a stop string | held by the decoder |
 *                                  ^ delivered                        ^ text.length
 *
 * Invariant: no stop string begins before `delivered`, so a search starts there. A chosen end-of-text token adds no
 * text. What it leaves out: chat templates (chat.h), printing. */
#include "generate.h"
#include <string.h>

/* The earliest stop string in text[from..length): its place, or length. */
static size_t find_stop(const struct generation *g, size_t from, int *which)
{
    size_t length = g->text.length, best = length;

    *which = -1;
    for (size_t i = 0; i < g->options.n_stops; i++) {
        size_t n = strlen(g->options.stops[i]);

        for (size_t at = from; at + n <= length && at < best; at++) {
            if (memcmp(g->text.data + at, g->options.stops[i], n) == 0) {
                best = at;
                *which = (int)i;
            }
        }
    }
    return best;
}

/* Bytes at the end of the text that are the beginning of a stop string. */
static size_t undecided(const struct generation *g)
{
    size_t longest = 0, waiting = g->text.length - g->delivered;

    for (size_t i = 0; i < g->options.n_stops; i++) {
        size_t n = strlen(g->options.stops[i]) - 1;

        n = n < waiting ? n : waiting;
        while (n > longest && memcmp(g->text.data + g->text.length - n, g->options.stops[i], n) != 0)
            n--;
        longest = n > longest ? n : longest;
    }
    return longest;
}

/* Hands out text up to `end`; non-zero when the receiver wants no more. */
static int deliver(struct generation *g, size_t end)
{
    size_t begin = g->delivered;

    g->delivered = end;
    if (!g->options.on_text || end == begin)
        return 0;
    return g->options.on_text(g->options.user, g->text.data + begin, end - begin);
}

/* New text is in the buffer: cuts at a stop string or hands out what is decided. Non-zero ends the generation. */
static int advance(struct generation *g, int at_end)
{
    size_t stop;

    if (g->text.length == g->delivered)
        return 0;
    stop = find_stop(g, g->delivered, &g->stopped_by);
    if (g->stopped_by >= 0) {
        g->text.length = stop;
        g->text.data[stop] = 0;
        deliver(g, stop);
        return 1;
    }
    return deliver(g, g->text.length - (at_end ? 0 : undecided(g)));
}

static int is_eos(const struct generation *g, int32_t token)
{
    size_t i = 0;

    while (i < g->options.n_eos && g->options.eos[i] != token)
        i++;
    return i < g->options.n_eos;
}

static int on_token(void *user, int32_t token, float logprob)
{
    struct generation *g = user;

    g->n_tokens++;
    g->logprob += (double)logprob;
    if (is_eos(g, token))
        return 0;
    decoder_put(&g->decoder, token, &g->text);
    g->failed |= g->text.failed;
    return advance(g, 0) || g->failed;
}

static void on_finish(void *user, const struct generated *generated)
{
    struct generation *g = user;

    if (g->stopped_by < 0) {
        decoder_end(&g->decoder, &g->text);
        g->failed |= g->text.failed;
        advance(g, 1);
    }
    g->finish = g->stopped_by >= 0 ? FINISH_STOP : generated->finish;
    g->done = 1;
}

enum status generation_begin(struct generation *generation, struct engine *engine, const struct tokenizer *tokenizer,
                             const int32_t *ids, size_t n, const struct generate_options *options, struct diag *diag)
{
    struct request request;

    memset(generation, 0, sizeof *generation);
    memset(&request, 0, sizeof request);
    generation->tokenizer = tokenizer;
    generation->options = *options;
    generation->stopped_by = -1;
    generation->n_prompt = n;
    decoder_begin(&generation->decoder, tokenizer, options->keep_space ? DECODE_CONTINUE : 0);
    request.prompt = ids;
    request.n_prompt = n;
    request.max_new = options->max_new;
    request.sampling = options->sampling;
    request.eos = options->eos;
    request.n_eos = options->n_eos;
    request.adapters = options->adapters;
    request.n_adapters = options->n_adapters;
    request.on_token = on_token;
    request.on_finish = on_finish;
    request.user = generation;
    return engine_submit(engine, &request, diag);
}

void generation_free(struct generation *generation)
{
    buffer_free(&generation->text);
}

enum status generate_eos(const struct tokenizer *tokenizer, struct tokens *out, struct diag *diag)
{
    size_t n = tokenizer_vocab_size(tokenizer);

    for (size_t id = 0; id < n; id++)
        if (tokenizer_is_eog(tokenizer, (int32_t)id))
            tokens_append(out, (int32_t)id);
    return out->failed ? diag_fail(diag, STATUS_MEMORY, "out of memory for end-of-text ids") : STATUS_OK;
}

enum status generate_prompt(const struct tokenizer *tokenizer, const char *text, size_t length, unsigned flags,
                            struct tokens *out, struct diag *diag)
{
    size_t before = out->count;
    enum status status = tokenizer_encode(tokenizer, text, length, flags | ENCODE_BOS, out, diag);

    if (!status && out->count == before) {
        int32_t bos = tokenizer_bos(tokenizer), start = bos != TOKEN_NONE ? bos : tokenizer_eos(tokenizer);

        if (start == TOKEN_NONE)
            return diag_fail(diag, STATUS_RANGE, "the prompt is empty and the vocabulary has no token to start with");
        tokens_append(out, start);
        status = out->failed ? diag_fail(diag, STATUS_MEMORY, "out of memory for the prompt's ids") : STATUS_OK;
    }
    return status;
}
