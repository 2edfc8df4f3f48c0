/* prm_example.c - labelled steps as tokens, and the head on hidden rows. */
#include <string.h>
#include "prm.h"
#include "rng.h"
#include "step_tokens.h"

/* Appends a step without blank lines inside it and without white space around it. */
static void put_step(struct buffer *out, const char *text, size_t length)
{
    size_t i, newlines = 0;

    while (length && strchr(" \t\r\n", text[length - 1]))
        length--;
    for (i = 0; i < length && strchr("\r\n", text[i]); i++)
        ;
    for (; i < length; i++) {
        newlines = text[i] == '\n' ? newlines + 1 : strchr(" \t\r", text[i]) ? newlines : 0;
        if (newlines < 2)
            buffer_byte(out, text[i]);
    }
}

static enum status reserve(struct prm_example *e, size_t n, const char *where, struct diag *diag)
{
    size_t *ends;
    int *labels;

    if (n <= e->room)
        return STATUS_OK;
    ends = memory_grow(e->ends, n * sizeof *ends);
    e->ends = ends ? ends : e->ends;
    labels = memory_grow(e->labels, n * sizeof *labels);
    e->labels = labels ? labels : e->labels;
    if (!ends || !labels)
        return diag_fail(diag, STATUS_MEMORY, "%s: out of memory for %zu steps", where, n);
    e->room = n;
    return STATUS_OK;
}

/* Ends of the steps among the completion's tokens, which begin at `from`. */
static enum status place_ends(struct prm_example *e, const struct stepwise *steps, size_t from,
                              const struct example_format *format, const char *where, struct diag *diag)
{
    struct tokens *tokens = &e->text.tokens;
    struct step_end *found = memory_alloc((steps->n_steps + 1) * sizeof *found);
    size_t n, i;

    if (!found)
        return diag_fail(diag, STATUS_MEMORY, "%s: out of memory for %zu steps", where, steps->n_steps);
    n = step_tokens(format->tokenizer, tokens->ids + from, tokens->count - from, found, steps->n_steps + 1);
    for (i = 0; n == steps->n_steps && i < n; i++) {
        e->ends[i] = from + found[i].end;
        e->labels[i] = steps->labels[i];
    }
    memory_free(found);
    e->n_steps = steps->n_steps;
    if (n == steps->n_steps)
        return STATUS_OK;
    return diag_fail(diag, STATUS_FORMAT, "%s: expected %zu steps with text, found %zu", where, steps->n_steps, n);
}

/* Cuts at max_len: ends beyond it are gone. */
static void truncate(struct prm_example *e, size_t max_len)
{
    size_t i;

    e->text.truncated = e->text.tokens.count > max_len;
    if (!e->text.truncated)
        return;
    e->text.tokens.count = max_len;
    for (i = 0; i < e->n_steps; i++)
        if (e->ends[i] >= max_len) {
            e->ends[i] = SIZE_MAX;
            e->labels[i] = STEP_UNKNOWN;
        }
}

enum status prm_example_read(struct prm_example *e, const struct stepwise *steps, const struct example_format *format,
                             const char *where, struct diag *diag)
{
    struct buffer text = {0};
    size_t from, i;
    int32_t eos = tokenizer_eos(format->tokenizer);
    enum status status = example_prompt(&e->text, steps->prompt, format, where, diag);

    if (!status)
        status = reserve(e, steps->n_steps, where, diag);
    if (status)
        return status;
    from = e->n_prompt = e->text.tokens.count;
    e->question = 0xCBF29CE484222325u;
    for (i = 0; i < from; i++)
        e->question = rng_bits(e->question, RNG_SELECT, (uint64_t)e->text.tokens.ids[i], 0, 0);
    buffer_text(&text, steps->after_prompt);
    for (i = 0; i < steps->n_steps; i++) {
        buffer_text(&text, i ? "\n\n" : "");
        put_step(&text, steps->steps[i]->text, steps->steps[i]->length);
    }
    status = text.failed
                 ? diag_fail(diag, STATUS_MEMORY, "%s: out of memory", where)
                 : tokenizer_encode(format->tokenizer, text.data, text.length, ENCODE_CONTINUE, &e->text.tokens, diag);
    buffer_free(&text);
    if (!status && eos != TOKEN_NONE)
        tokens_append(&e->text.tokens, eos);
    if (!status && e->text.tokens.failed)
        status = diag_fail(diag, STATUS_MEMORY, "%s: out of memory for the tokens", where);
    if (!status)
        status = place_ends(e, steps, from, format, where, diag);
    if (!status)
        truncate(e, format->max_len);
    return status;
}

void prm_example_free(struct prm_example *e)
{
    example_free(&e->text);
    memory_free(e->ends);
    memory_free(e->labels);
    memset(e, 0, sizeof *e);
}

void prm_logits(const struct adapter *adapter, const float *hidden, double logits[2])
{
    size_t dim = (size_t)(adapter->score_bias - adapter->score_weight) / 2, c, i;

    for (c = 0; c < 2; c++) {
        logits[c] = (double)adapter->score_bias[c];
        for (i = 0; i < dim; i++)
            logits[c] += (double)adapter->score_weight[c * dim + i] * (double)hidden[i];
    }
}
