/* score.c - log-probabilities of given tokens.
 *
 *     tokens     t0 t1 ... t[from-1] t[from] ... t[n-1]
 *     fed        t0 t1 ............................. t[n-2]      in chunks; the last token is never fed
 *     position   from-1 ... n-2 give the logits for t[from] ... t[n-1], SCORE_LOGIT_ROWS rows at a time
 *
 * Each text starts with an empty cache. What it leaves out: which texts, which boundaries (src/cmd). */
#include "score.h"
#include <assert.h>
#include <math.h>
#include <string.h>
#include "arena.h"
#include "forward.h"
#include "sampler.h"

struct scorer {
    const struct model *model;
    struct exec exec;
    struct score_options options;
    struct kv *kv;
    struct forward *forward;
    struct arena arena;
    float inverse_temperature;
    float *logits; /* [SCORE_LOGIT_ROWS][logit stride] */
    size_t rows[SCORE_LOGIT_ROWS];
};

size_t score_bytes(const struct config *config, const struct score_options *options)
{
    size_t vocabulary = ((size_t)config->vocab_size + 15) / 16 * 16;

    return kv_pages_for(options->context) * kv_page_bytes(config, options->k_type, options->v_type) +
           forward_bytes(config, options->chunk) + SCORE_LOGIT_ROWS * vocabulary * sizeof(float);
}

enum status score_create(struct scorer **scorer, const struct model *model, const struct exec *exec,
                         const struct score_options *options, struct diag *diag)
{
    struct scorer *s = memory_alloc(sizeof *s);
    enum status status;

    *scorer = NULL;
    assert(options->context >= 1 && options->chunk >= 1);
    if (!s)
        return diag_fail(diag, STATUS_MEMORY, "scoring: out of memory");
    memset(s, 0, sizeof *s);
    s->model = model;
    s->exec = *exec;
    s->options = *options;
    s->inverse_temperature = options->temperature > 0 ? 1 / options->temperature : 1.0f;
    arena_init(&s->arena, "score", 0);
    status = kv_create(&s->kv, &model->config, options->k_type, options->v_type, kv_pages_for(options->context), diag);
    if (!status)
        status = forward_create(&s->forward, model, s->kv, exec, options->chunk, diag);
    if (!status) {
        s->logits = arena_array(&s->arena, SCORE_LOGIT_ROWS, forward_logit_stride(s->forward) * sizeof *s->logits);
        status = s->logits ? STATUS_OK : diag_fail(diag, STATUS_MEMORY, "scoring: out of memory for the logits");
    }
    if (status) {
        score_free(s);
        return status;
    }
    *scorer = s;
    return STATUS_OK;
}

void score_free(struct scorer *scorer)
{
    if (!scorer)
        return;
    forward_free(scorer->forward);
    kv_free(scorer->kv);
    arena_free(&scorer->arena);
    memory_free(scorer);
}

struct row_work {
    const struct scorer *scorer;
    const int32_t *targets; /* of the rows */
    float *logprobs;
};

static void score_rows(void *context, size_t begin, size_t end, int worker)
{
    const struct row_work *work = context;
    const struct scorer *s = work->scorer;
    size_t stride = forward_logit_stride(s->forward);

    (void)worker;
    for (size_t row = begin; row < end; row++) {
        if (s->inverse_temperature != 1.0f)
            s->exec.kernels->rows->scale(s->logits + row * stride, s->inverse_temperature,
                                         (size_t)s->model->config.vocab_size);
        work->logprobs[row] = sampler_logprob(s->exec.kernels->rows, s->logits + row * stride,
                                              (size_t)s->model->config.vocab_size, work->targets[row]);
    }
}

/* Rows [row, row + n) of hidden stand for targets[0..n): their log-probabilities, a group of rows at a time. */
static void score_chunk(struct scorer *s, const float *hidden, size_t row, size_t n, const int32_t *targets,
                        float *logprobs)
{
    for (size_t begin = 0; begin < n; begin += SCORE_LOGIT_ROWS) {
        size_t rows = n - begin < SCORE_LOGIT_ROWS ? n - begin : SCORE_LOGIT_ROWS;
        struct row_work work = {s, targets + begin, logprobs + begin};

        for (size_t i = 0; i < rows; i++)
            s->rows[i] = row + begin + i;
        forward_logits(s->forward, hidden, s->rows, rows, s->logits);
        pool_run(s->exec.pool, score_rows, &work, rows, 1);
    }
}

static enum status check_tokens(const struct scorer *s, const int32_t *tokens, size_t n, struct diag *diag)
{
    if (n > s->options.context)
        return diag_fail(diag, STATUS_RANGE, "the text has %zu tokens, the context holds %zu", n, s->options.context);
    for (size_t i = 0; i < n; i++) {
        if (tokens[i] < 0 || tokens[i] >= s->model->config.vocab_size) {
            return diag_fail(diag, STATUS_RANGE, "token %zu: expected an id of 0..%d, found %ld", i,
                             s->model->config.vocab_size - 1, (long)tokens[i]);
        }
    }
    return STATUS_OK;
}

enum status score_tokens(struct scorer *scorer, const int32_t *tokens, size_t n, size_t from,
                         const struct adapter *const *adapters, size_t n_adapters, float *logprobs, struct diag *diag)
{
    struct kv_sequence sequence = {0};
    enum status status = check_tokens(scorer, tokens, n, diag);

    assert(from >= 1 && from <= n);
    if (!status)
        status = kv_reserve(scorer->kv, &sequence, n - 1, diag);
    for (size_t begin = 0, length; !status && begin + 1 < n && from < n; begin += length) {
        const float *hidden;
        size_t first; /* position of the chunk whose logits count */

        length = n - 1 - begin < scorer->options.chunk ? n - 1 - begin : scorer->options.chunk;
        forward_run(scorer->forward, &(struct token_span){&sequence, tokens + begin, length, adapters, n_adapters}, 1,
                    &hidden);
        first = begin + 1 >= from ? begin : from - 1;
        if (first < begin + length) {
            score_chunk(scorer, hidden, first - begin, begin + length - first, tokens + first + 1,
                        logprobs + (first + 1 - from));
        }
    }
    kv_release(scorer->kv, &sequence);
    for (size_t i = from; !status && i < n; i++)
        if (!isfinite(logprobs[i - from]))
            status = diag_fail(diag, STATUS_NUMERIC, "a logit at position %zu is not finite", i);
    return status;
}
