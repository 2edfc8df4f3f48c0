/* batch.c - the engine's life and its step.
 *
 * A step, in this order: waiting requests enter (batch_admit.c); every sequence with one token left to feed feeds it,
 * the others share `chunk` prompt tokens in order of admission; one forward pass; each sequence that has fed its last
 * token gets the next one from its own logits, in parallel over sequences; callbacks, one sequence after the other in
 * the order of the pass; finished ones leave.
 *
 * Invariants: see batch_parts.h. Callbacks may submit: that does not touch `live`, which changes only at the step's
 * ends. What it leaves out: text (generate.h), scoring given tokens (score.h). */
#include "batch.h"
#include <assert.h>
#include <stdint.h>
#include <string.h>
#include "batch_parts.h"

/* ---- life ---- */

static size_t round16(size_t n)
{
    return (n + 15) / 16 * 16;
}

static size_t logit_rows(const struct engine_options *options)
{
    return options->max_sequences < ENGINE_LOGIT_ROWS ? options->max_sequences : ENGINE_LOGIT_ROWS;
}

struct engine_plan engine_plan(const struct config *config, const struct exec *exec,
                               const struct engine_options *options)
{
    struct engine_plan plan;
    size_t vocabulary = round16((size_t)config->vocab_size);

    plan.n_pages = options->n_pages ? options->n_pages : options->max_sequences * kv_pages_for(options->context);
    plan.kv_bytes = plan.n_pages * kv_page_bytes(config, options->k_type, options->v_type);
    plan.forward_bytes = forward_bytes(config, options->max_sequences + options->chunk);
    plan.logit_bytes = logit_rows(options) * vocabulary * sizeof(float) +
                       (size_t)pool_size(exec->pool) * vocabulary * sizeof(struct candidate);
    plan.bytes = plan.kv_bytes + plan.forward_bytes + plan.logit_bytes;
    return plan;
}

/* All tables of the engine; 0 when memory is exhausted. */
static int create_tables(struct engine *e)
{
    size_t n = e->options.max_sequences, workers = (size_t)pool_size(e->exec.pool);

    e->live = arena_array(&e->arena, n, sizeof *e->live);
    e->kept = arena_array(&e->arena, e->options.keep, sizeof *e->kept);
    e->spans = arena_array(&e->arena, n, sizeof *e->spans);
    e->asks = arena_array(&e->arena, n, sizeof *e->asks);
    e->rows = arena_array(&e->arena, n, sizeof *e->rows);
    e->chosen = arena_array(&e->arena, n, sizeof *e->chosen);
    e->logprobs = arena_array(&e->arena, n, sizeof *e->logprobs);
    e->logits = arena_array(&e->arena, logit_rows(&e->options), forward_logit_stride(e->forward) * sizeof *e->logits);
    e->scratch = arena_array(&e->arena, workers, (size_t)e->model->config.vocab_size * sizeof *e->scratch);
    return e->live && e->kept && e->spans && e->asks && e->rows && e->chosen && e->logprobs && e->logits && e->scratch;
}

enum status engine_create(struct engine **engine, const struct model *model, const struct exec *exec,
                          const struct engine_options *options, struct diag *diag)
{
    struct engine *e = memory_alloc(sizeof *e);
    enum status status;

    *engine = NULL;
    assert(options->max_sequences >= 1 && options->chunk >= 1 && options->context >= 1);
    if (!e)
        return diag_fail(diag, STATUS_MEMORY, "engine: out of memory");
    memset(e, 0, sizeof *e);
    e->model = model;
    e->exec = *exec;
    e->options = *options;
    e->options.n_pages = engine_plan(&model->config, exec, options).n_pages;
    e->queue_end = &e->queue;
    arena_init(&e->arena, "engine", 0);
    status = kv_create(&e->kv, &model->config, options->k_type, options->v_type, e->options.n_pages, diag);
    if (!status)
        status = forward_create(&e->forward, model, e->kv, exec, options->max_sequences + options->chunk, diag);
    if (!status && !create_tables(e)) {
        status = diag_fail(diag, STATUS_MEMORY, "engine: out of memory for the logits of %zu sequences",
                           options->max_sequences);
    }
    if (status) {
        engine_free(e);
        return status;
    }
    *engine = e;
    return STATUS_OK;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    engine_forget(engine);
    while (engine->n_live > 0)
        batch_sequence_free(engine, engine->live[--engine->n_live]);
    while (engine->queue) {
        struct sequence *first = engine->queue;

        engine->queue = first->next;
        batch_sequence_free(engine, first);
    }
    forward_free(engine->forward);
    kv_free(engine->kv);
    arena_free(&engine->arena);
    memory_free(engine);
}

/* ---- the queue ---- */

static enum status check_request(const struct engine *engine, const struct request *request, struct diag *diag)
{
    if (request->n_prompt == 0)
        return diag_fail(diag, STATUS_RANGE, "the prompt is empty: expected at least one token");
    if (request->n_prompt > engine->options.context) {
        return diag_fail(diag, STATUS_RANGE, "the prompt has %zu tokens, the context holds %zu", request->n_prompt,
                         engine->options.context);
    }
    for (size_t i = 0; i < request->n_prompt; i++) {
        if (request->prompt[i] < 0 || request->prompt[i] >= engine->model->config.vocab_size) {
            return diag_fail(diag, STATUS_RANGE, "token %zu of the prompt: expected an id of 0..%d, found %ld", i,
                             engine->model->config.vocab_size - 1, (long)request->prompt[i]);
        }
    }
    return STATUS_OK;
}

/* One block: the sequence, its tokens, its log-probabilities. */
static struct sequence *sequence_create(const struct request *request, size_t max_new)
{
    size_t n = request->n_prompt + max_new;
    struct sequence *s = memory_alloc(sizeof *s + n * sizeof *s->tokens + max_new * sizeof *s->logprobs);

    if (!s)
        return NULL;
    memset(s, 0, sizeof *s);
    s->request = *request;
    s->request.max_new = max_new;
    s->logprobs = (float *)(void *)(s + 1);
    s->tokens = (int32_t *)(void *)(s->logprobs + max_new);
    memcpy(s->tokens, request->prompt, request->n_prompt * sizeof *s->tokens);
    s->request.prompt = s->tokens;
    s->n_tokens = request->n_prompt;
    s->positions = request->n_prompt + (max_new > 0 ? max_new - 1 : 0);
    return s;
}

enum status engine_submit(struct engine *engine, const struct request *request, struct diag *diag)
{
    enum status status = check_request(engine, request, diag);
    size_t room, needed;
    struct sequence *s;

    if (status)
        return status;
    room = engine->options.context - request->n_prompt + 1;
    s = sequence_create(request, request->max_new < room ? request->max_new : room);
    if (!s)
        return diag_fail(diag, STATUS_MEMORY, "engine: out of memory for a request of %zu tokens", request->n_prompt);
    needed = kv_pages_for(s->positions);
    if (needed > engine->options.n_pages) {
        status = diag_fail(diag, STATUS_MEMORY, "a request of %zu positions needs %zu pages, the cache has %zu",
                           s->positions, needed, engine->options.n_pages);
        memory_free(s);
        return status;
    }
    s->id = ++engine->last_id;
    *engine->queue_end = s;
    engine->queue_end = &s->next;
    engine->statistics.requests++;
    return STATUS_OK;
}

/* ---- finishing ---- */

static void report(const struct sequence *s, enum finish finish)
{
    struct generated generated;

    if (!s->request.on_finish)
        return;
    generated.prompt = s->tokens;
    generated.tokens = s->tokens + s->request.n_prompt;
    generated.logprobs = s->logprobs;
    generated.n_prompt = s->request.n_prompt;
    generated.n_tokens = s->n_tokens - s->request.n_prompt;
    generated.finish = finish;
    s->request.on_finish(s->request.user, &generated);
}

static void finish(struct sequence *s, enum finish why)
{
    s->finished = 1;
    s->finish = why;
}

/* Finished sequences leave `live`, then report. A callback may submit; it cannot change `live`. */
static void remove_finished(struct engine *engine)
{
    size_t kept = 0, left = 0;

    for (size_t i = 0; i < engine->n_live; i++) {
        struct sequence *s = engine->live[i];

        if (s->finished)
            engine->asks[left++] = s;
        else
            engine->live[kept++] = s;
    }
    engine->n_live = kept;
    for (size_t i = 0; i < left; i++) {
        report(engine->asks[i], engine->asks[i]->finish);
        batch_retire(engine, engine->asks[i]);
    }
}

/* Requests for no token end before they run. */
static void remove_empty(struct engine *engine)
{
    struct sequence **link = &engine->queue;

    while (*link) {
        struct sequence *s = *link;

        if (s->request.max_new > 0) {
            link = &s->next;
            continue;
        }
        *link = s->next;
        if (engine->queue_end == &s->next)
            engine->queue_end = link;
        report(s, FINISH_LENGTH);
        batch_sequence_free(engine, s);
    }
}

/* ---- a step ---- */

struct step {
    size_t n_spans, n_rows, n_asks;
};

static void add_span(struct engine *engine, struct step *step, struct sequence *s, size_t n)
{
    struct token_span *span = &engine->spans[step->n_spans++];
    size_t prompt_left = s->kv.length < s->request.n_prompt ? s->request.n_prompt - s->kv.length : 0;

    span->sequence = &s->kv;
    span->tokens = s->tokens + s->kv.length;
    span->n_tokens = n;
    span->adapters = s->request.adapters;
    span->n_adapters = s->request.n_adapters;
    step->n_rows += n;
    engine->statistics.computed_tokens += n < prompt_left ? n : prompt_left;
    if (s->kv.length + n == s->n_tokens) {
        engine->rows[step->n_asks] = step->n_rows - 1;
        engine->asks[step->n_asks++] = s;
    }
}

/* Which tokens go through the model: one of each sequence that has one left, then `chunk` of prompts. */
static struct step lay_out(struct engine *engine)
{
    struct step step = {0, 0, 0};
    size_t budget = engine->options.chunk;

    for (size_t i = 0; i < engine->n_live; i++)
        if (engine->live[i]->n_tokens - engine->live[i]->kv.length == 1)
            add_span(engine, &step, engine->live[i], 1);
    for (size_t i = 0; i < engine->n_live && budget > 0; i++) {
        struct sequence *s = engine->live[i];
        size_t left = s->n_tokens - s->kv.length, n = left < budget ? left : budget;

        if (left > 1) {
            add_span(engine, &step, s, n);
            budget -= n;
        }
    }
    return step;
}

struct choice_work {
    struct engine *engine;
    size_t first; /* ask of logit row 0 */
};

static void choose_rows(void *context, size_t begin, size_t end, int worker)
{
    struct choice_work *work = context;
    struct engine *e = work->engine;
    size_t n = (size_t)e->model->config.vocab_size, stride = forward_logit_stride(e->forward);

    for (size_t row = begin; row < end; row++) {
        size_t i = work->first + row;
        const struct sequence *s = e->asks[i];

        e->chosen[i] = sampler_choose(&s->request.sampling, e->exec.kernels->rows, e->logits + row * stride, n,
                                      s->n_tokens, e->scratch + (size_t)worker * n, &e->logprobs[i]);
    }
}

/* The next token of every ask. */
static void choose(struct engine *engine, const struct step *step, const float *hidden)
{
    size_t n = logit_rows(&engine->options);

    for (size_t first = 0; first < step->n_asks; first += n) {
        struct choice_work work = {engine, first};
        size_t rows = step->n_asks - first < n ? step->n_asks - first : n;

        forward_logits(engine->forward, hidden, engine->rows + first, rows, engine->logits);
        pool_run(engine->exec.pool, choose_rows, &work, rows, 1);
    }
}

static int is_eos(const struct request *request, int32_t token)
{
    for (size_t i = 0; i < request->n_eos; i++)
        if (request->eos[i] == token)
            return 1;
    return 0;
}

static void deliver(struct sequence *s, int32_t token, float logprob)
{
    size_t n = s->n_tokens - s->request.n_prompt;
    int stop;

    s->logprobs[n] = logprob;
    s->tokens[s->n_tokens++] = token;
    stop = s->request.on_token && s->request.on_token(s->request.user, token, logprob);
    if (is_eos(&s->request, token))
        finish(s, FINISH_EOS);
    else if (stop)
        finish(s, FINISH_STOP);
    else if (n + 1 == s->request.max_new)
        finish(s, FINISH_LENGTH);
}

enum status engine_step(struct engine *engine, struct diag *diag)
{
    struct engine_statistics *statistics = &engine->statistics;
    const float *hidden;
    struct step step;
    enum status status;

    remove_empty(engine);
    status = batch_admit(engine, diag);
    if (status || engine->n_live == 0)
        return status;
    step = lay_out(engine);
    forward_run(engine->forward, engine->spans, step.n_spans, &hidden);
    choose(engine, &step, hidden);
    statistics->steps++;
    statistics->decoded_tokens += step.n_asks;
    statistics->most_running = step.n_spans > statistics->most_running ? step.n_spans : statistics->most_running;
    for (size_t i = 0; i < step.n_asks; i++) {
        const struct sequence *s = engine->asks[i];

        if (engine->chosen[i] < 0) {
            return diag_fail(diag, STATUS_NUMERIC, "request %llu: a logit at position %zu is not finite",
                             (unsigned long long)s->id, s->n_tokens);
        }
    }
    for (size_t i = 0; i < step.n_asks; i++)
        deliver(engine->asks[i], engine->chosen[i], engine->logprobs[i]);
    remove_finished(engine);
    return STATUS_OK;
}

int engine_idle(const struct engine *engine)
{
    return !engine->queue && engine->n_live == 0;
}

enum status engine_run(struct engine *engine, const struct engine_watch *watch, struct diag *diag)
{
    enum status status = STATUS_OK;

    while (!status && !engine_idle(engine)) {
        status = engine_step(engine, diag);
        if (!status && watch && watch->step(watch->context))
            status = diag_fail(diag, STATUS_STOPPED, "interrupted");
    }
    return status;
}

struct engine_statistics engine_statistics(const struct engine *engine)
{
    return engine->statistics;
}
