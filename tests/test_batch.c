/* test_batch.c - the engine: the same bits alone and in company, shared prefixes, limits, failures; the scorer. */
#include "test.h"
#include <math.h>
#include "arena.h"
#include "batch.h"
#include "kv.h"
#include "model.h"
#include "rng.h"
#include "score.h"

#define MODELS     "fixtures/models/"
#define N_REQUESTS 9
#define MAX_TOKENS 256

/* One request and what came of it. */
struct sample {
    int32_t prompt[MAX_TOKENS], tokens[MAX_TOKENS];
    float logprobs[MAX_TOKENS];
    size_t n_prompt, n_tokens, max_new, streamed;
    enum finish finish;
    struct sampling sampling;
    int finished;
    /* for the tests of callbacks */
    size_t stop_after; /* 0: never */
    struct engine *engine;
    struct sample *follower; /* submitted when this one finishes */
};

/* A model with its exec. */
struct host {
    struct model *model;
    struct exec exec;
    int failed;
};

static struct host host_open(const char *path, int threads, const char *kernels)
{
    struct host host = {NULL, {kernels_find(kernels), NULL}, 0};
    struct diag diag;

    host.failed = pool_create(&host.exec.pool, threads, &diag) || model_load(&host.model, path, &host.exec, 0, &diag);
    CHECK_MSG(!host.failed, "%s: %.300s", path, diag.message);
    return host;
}

static void host_close(struct host *host)
{
    model_free(host->model);
    pool_destroy(host->exec.pool);
}

static struct engine_options default_options(void)
{
    struct engine_options options = {MAX_TOKENS, 4, 64, 0, 0, DTYPE_F32, DTYPE_F32};

    return options;
}

static void random_ids(int32_t *ids, size_t n, uint64_t salt, int vocab_size)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)rng_below(rng_bits(5, RNG_TEST, salt, i, 0), (uint32_t)vocab_size);
}

static int on_token(void *user, int32_t token, float logprob)
{
    struct sample *s = user;

    s->tokens[s->streamed] = token;
    s->logprobs[s->streamed++] = logprob;
    return s->stop_after > 0 && s->streamed == s->stop_after;
}

static void submit(struct engine *engine, struct sample *s, const int32_t *eos, size_t n_eos);

static void on_finish(void *user, const struct generated *g)
{
    struct sample *s = user;

    s->finished++;
    s->finish = g->finish;
    s->n_tokens = g->n_tokens;
    CHECK(g->n_prompt == s->n_prompt && g->n_tokens == s->streamed);
    CHECK(memcmp(g->prompt, s->prompt, s->n_prompt * sizeof *s->prompt) == 0);
    CHECK(memcmp(g->tokens, s->tokens, s->n_tokens * sizeof *s->tokens) == 0);
    CHECK(memcmp(g->logprobs, s->logprobs, s->n_tokens * sizeof *s->logprobs) == 0);
    if (s->follower)
        submit(s->engine, s->follower, NULL, 0);
}

static struct request request_of(struct sample *s)
{
    struct request request;

    memset(&request, 0, sizeof request);
    request.prompt = s->prompt;
    request.n_prompt = s->n_prompt;
    request.max_new = s->max_new;
    request.sampling = s->sampling;
    request.on_token = on_token;
    request.on_finish = on_finish;
    request.user = s;
    return request;
}

static void submit(struct engine *engine, struct sample *s, const int32_t *eos, size_t n_eos)
{
    struct request request = request_of(s);
    struct diag diag;
    enum status status;

    s->n_tokens = s->streamed = 0;
    s->finished = 0;
    request.eos = eos;
    request.n_eos = n_eos;
    status = engine_submit(engine, &request, &diag);
    CHECK_MSG(!status, "%.300s", diag.message);
}

static struct engine *open_engine(const struct host *host, const struct engine_options *options)
{
    struct engine *engine = NULL;
    struct diag diag;

    CHECK_MSG(!engine_create(&engine, host->model, &host->exec, options, &diag), "%.300s", diag.message);
    return engine;
}

static void run(struct engine *engine)
{
    struct diag diag;

    CHECK_MSG(!engine_run(engine, NULL, &diag), "%.300s", diag.message);
    CHECK(engine_idle(engine));
}

/* Requests of mixed lengths; several share beginnings, two are equal up to their random stream. */
static void make_samples(struct sample *samples, int vocab_size)
{
    static const size_t lengths[N_REQUESTS] = {1, 5, 16, 17, 33, 70, 70, 64, 90};
    static const size_t new_tokens[N_REQUESTS] = {40, 12, 1, 20, 7, 25, 25, 30, 16};

    memset(samples, 0, N_REQUESTS * sizeof *samples);
    for (size_t i = 0; i < N_REQUESTS; i++) {
        samples[i].n_prompt = lengths[i];
        samples[i].max_new = new_tokens[i];
        random_ids(samples[i].prompt, lengths[i], i == 6 ? 5 : i == 7 ? 4 : i, vocab_size);
        samples[i].sampling = (struct sampling){i % 3 ? 0.9f : 0.0f, i % 2 ? 40 : 0, 0.95f, 0.02f, 17, i};
    }
    memcpy(samples[8].prompt, samples[7].prompt, 50 * sizeof *samples[8].prompt);
}

/* Runs all samples in one engine and compares with `expected`. */
static void check_company(const struct host *host, const struct engine_options *options, const struct sample *expected,
                          const char *what)
{
    static struct sample samples[N_REQUESTS];
    struct engine *engine = open_engine(host, options);
    struct engine_statistics s;

    if (!engine)
        return;
    make_samples(samples, host->model->config.vocab_size);
    for (size_t i = 0; i < N_REQUESTS; i++)
        submit(engine, &samples[i], NULL, 0);
    run(engine);
    for (size_t i = 0; i < N_REQUESTS; i++) {
        CHECK_MSG(samples[i].finished == 1 && samples[i].n_tokens == expected[i].n_tokens &&
                      memcmp(samples[i].tokens, expected[i].tokens, samples[i].n_tokens * sizeof(int32_t)) == 0 &&
                      memcmp(samples[i].logprobs, expected[i].logprobs, samples[i].n_tokens * sizeof(float)) == 0,
                  "%s: request %zu, %zu sequences, chunk %zu, %zu pages, keep %zu", what, i, options->max_sequences,
                  options->chunk, options->n_pages, options->keep);
    }
    s = engine_statistics(engine);
    CHECK(s.prompt_tokens == s.shared_tokens + s.computed_tokens);
    CHECK(s.most_running <= options->max_sequences);
    engine_free(engine);
}

/* Each sample in an engine of its own, on one thread of the scalar tier. */
static void run_alone(const char *path, struct sample *samples, enum dtype k_type, enum dtype v_type)
{
    struct host host = host_open(path, 1, "scalar");
    struct engine_options options = default_options();

    options.max_sequences = 1;
    options.k_type = k_type;
    options.v_type = v_type;
    if (!host.failed) {
        make_samples(samples, host.model->config.vocab_size);
        for (size_t i = 0; i < N_REQUESTS; i++) {
            struct engine *engine = open_engine(&host, &options);

            if (engine) {
                submit(engine, &samples[i], NULL, 0);
                run(engine);
                CHECK(samples[i].finish == FINISH_LENGTH && samples[i].n_tokens == samples[i].max_new);
            }
            engine_free(engine);
        }
    }
    host_close(&host);
}

static void check_threads(const char *path, const struct sample *expected, enum dtype k_type, enum dtype v_type,
                          int threads)
{
    static const size_t chunks[] = {1, 7, 64};
    static const size_t sequences[] = {1, 3, 16};
    struct host host = host_open(path, threads, NULL);

    for (size_t i = 0; !host.failed && i < 3; i++) {
        for (size_t j = 0; j < 3; j++) {
            struct engine_options options = default_options();

            options.chunk = chunks[i];
            options.max_sequences = sequences[j];
            options.keep = (i + j) % 3;
            options.n_pages = j == 2 ? 16 : 0; /* too few for all: some wait */
            options.k_type = k_type;
            options.v_type = v_type;
            check_company(&host, &options, expected, path);
        }
    }
    host_close(&host);
}

static void check_model(const char *path, enum dtype k_type, enum dtype v_type, const int *threads, size_t n)
{
    static struct sample expected[N_REQUESTS];

    run_alone(path, expected, k_type, v_type);
    for (size_t i = 0; i < n; i++)
        check_threads(path, expected, k_type, v_type, threads[i]);
}

static void test_neighbours_leave_no_trace(void)
{
    static const int threads[] = {3, 1, 2, 7};

    check_model(MODELS "qwen3/model.gguf", DTYPE_F16, DTYPE_F16, threads, test_quick() ? 1 : 4);
}

static void test_neighbours_leave_no_trace_in_8_bits(void)
{
    static const int threads = 2;

    check_model(MODELS "llama/model.gguf", DTYPE_Q8_0, DTYPE_Q8_0, &threads, 1);
}

static void test_neighbours_leave_no_trace_with_windows(void)
{
    static const int threads = 2;

    check_model(MODELS "gemma3/model.gguf", DTYPE_F32, DTYPE_F16, &threads, 1);
}

/* A group of samples of one prompt pays it once, and the last token once more for each other sample. */
static void test_a_group_pays_its_prompt_once(void)
{
    static struct sample samples[8];
    struct host host = host_open(MODELS "qwen2/model.gguf", 2, NULL);
    struct engine_options options = default_options();
    struct engine *engine;
    struct engine_statistics s;

    if (host.failed)
        return;
    options.max_sequences = 8;
    options.chunk = 40;
    engine = open_engine(&host, &options);
    memset(samples, 0, sizeof samples);
    for (size_t i = 0; engine && i < 8; i++) {
        samples[i].n_prompt = 100;
        samples[i].max_new = 5;
        samples[i].sampling = (struct sampling){1, 0, 1, 0, 1, i};
        random_ids(samples[i].prompt, 100, 77, host.model->config.vocab_size);
        submit(engine, &samples[i], NULL, 0);
    }
    run(engine);
    s = engine_statistics(engine);
    CHECK(s.requests == 8 && s.prompt_tokens == 800);
    CHECK_MSG(s.computed_tokens == 100 + 7, "%llu", (unsigned long long)s.computed_tokens);
    CHECK(s.shared_tokens == 7 * 99 && s.decoded_tokens == 40 && s.most_running == 8);
    /* 100 positions are 6 whole pages and a part: 6 shared, 1 for each sequence's part (100 + 4 <= 112) */
    CHECK_MSG(s.most_pages == 6 + 8, "%llu pages", (unsigned long long)s.most_pages);
    engine_free(engine);
    host_close(&host);
}

/* Debaters: a long common beginning, a short tail each. */
static void test_agents_pay_the_common_part_once(void)
{
    static struct sample samples[5];
    struct host host = host_open(MODELS "llama3/model.gguf", 1, NULL);
    struct engine_options options = default_options();
    struct engine *engine;
    struct engine_statistics s;

    if (host.failed)
        return;
    options.max_sequences = 5;
    engine = open_engine(&host, &options);
    memset(samples, 0, sizeof samples);
    for (size_t i = 0; engine && i < 5; i++) {
        samples[i].n_prompt = 160;
        samples[i].max_new = 3;
        random_ids(samples[i].prompt, 150, 3, host.model->config.vocab_size);
        random_ids(samples[i].prompt + 150, 10, 100 + i, host.model->config.vocab_size);
        samples[i].prompt[150] = (int32_t)i;
        submit(engine, &samples[i], NULL, 0);
    }
    run(engine);
    s = engine_statistics(engine);
    CHECK_MSG(s.computed_tokens == 160 + 4 * 10, "%llu", (unsigned long long)s.computed_tokens);
    CHECK(s.shared_tokens == 4 * 150);
    engine_free(engine);
    host_close(&host);
}

/* The next turn of a dialogue starts from the kept pages of the last one, answer included; after engine_forget not. */
static void test_kept_prefixes(void)
{
    static struct sample first, second;
    struct host host = host_open(MODELS "qwen3/model.gguf", 1, NULL);
    struct engine_options options = default_options();
    struct engine *engine;
    struct engine_statistics s;

    if (host.failed)
        return;
    options.max_sequences = 1;
    options.keep = 1;
    engine = open_engine(&host, &options);
    for (int forget = 0; engine && forget < 2; forget++) {
        uint64_t computed = engine_statistics(engine).computed_tokens;

        memset(&first, 0, sizeof first);
        memset(&second, 0, sizeof second);
        first.n_prompt = 40;
        first.max_new = 30;
        random_ids(first.prompt, 40, 8 + (uint64_t)forget, host.model->config.vocab_size);
        submit(engine, &first, NULL, 0);
        run(engine);
        memcpy(second.prompt, first.prompt, 40 * sizeof *first.prompt);
        memcpy(second.prompt + 40, first.tokens, 30 * sizeof *first.tokens);
        random_ids(second.prompt + 70, 10, 9, host.model->config.vocab_size);
        second.n_prompt = 80;
        second.max_new = MAX_TOKENS; /* the whole cache: the kept pages must give way */
        if (forget)
            engine_forget(engine);
        submit(engine, &second, NULL, 0);
        run(engine);
        CHECK(second.n_tokens == MAX_TOKENS - 80 + 1);
        s = engine_statistics(engine);
        /* the last of the 30 tokens was chosen but never fed */
        CHECK_MSG(s.computed_tokens - computed == (forget ? 40 + 80 : 40 + 11), "forget %d: %llu", forget,
                  (unsigned long long)(s.computed_tokens - computed));
    }
    engine_free(engine);
    host_close(&host);
}

static void test_finish_reasons(void)
{
    static struct sample a, b, c;
    struct host host = host_open(MODELS "qwen3/model.gguf", 1, NULL);
    struct engine_options options = default_options();
    struct engine *engine;

    if (host.failed)
        return;
    options.max_sequences = 2;
    engine = open_engine(&host, &options);
    memset(&a, 0, sizeof a);
    a.n_prompt = 10;
    a.max_new = 20;
    random_ids(a.prompt, 10, 1, host.model->config.vocab_size);
    c = b = a;
    submit(engine, &a, NULL, 0);
    run(engine);
    CHECK(a.finish == FINISH_LENGTH && a.n_tokens == 20);
    b.stop_after = 3;
    submit(engine, &b, NULL, 0);
    run(engine);
    CHECK(b.finish == FINISH_STOP && b.n_tokens == 3);
    c.max_new = 0;
    submit(engine, &c, NULL, 0);
    run(engine);
    CHECK(c.finished == 1 && c.finish == FINISH_LENGTH && c.n_tokens == 0);
    { /* the text ends where the fifth token first came, and that is its last one */
        const int32_t eos[2] = {-1, a.tokens[4]};
        size_t i = 0;
        while (a.tokens[i] != a.tokens[4])
            i++;
        c.max_new = 20;
        submit(engine, &c, eos, 2);
        run(engine);
        CHECK(c.finish == FINISH_EOS && c.n_tokens == i + 1 && c.tokens[i] == a.tokens[4]);
    }
    engine_free(engine);
    host_close(&host);
}

/* A callback may submit: a chain of requests runs in one engine_run. */
static void test_callbacks_may_submit(void)
{
    static struct sample chain[6];
    struct host host = host_open(MODELS "qwen3/model.gguf", 1, NULL);
    struct engine_options options = default_options();
    struct engine *engine;

    if (host.failed)
        return;
    options.max_sequences = 1;
    engine = open_engine(&host, &options);
    memset(chain, 0, sizeof chain);
    for (size_t i = 0; i < 6; i++) {
        chain[i].n_prompt = 5 + i;
        chain[i].max_new = i; /* the first finishes before it runs */
        chain[i].engine = engine;
        chain[i].follower = i < 5 ? &chain[i + 1] : NULL;
        random_ids(chain[i].prompt, chain[i].n_prompt, i, host.model->config.vocab_size);
    }
    submit(engine, &chain[0], NULL, 0);
    run(engine);
    for (size_t i = 0; i < 6; i++)
        CHECK(chain[i].finished == 1 && chain[i].n_tokens == i);
    engine_free(engine);
    host_close(&host);
}

static void test_bad_requests(void)
{
    static struct sample s;
    struct host host = host_open(MODELS "qwen3/model.gguf", 1, NULL);
    struct engine_options options = default_options();
    struct engine *engine;
    struct request request;
    struct diag diag;

    if (host.failed)
        return;
    options.context = 64;
    options.n_pages = 3;
    engine = open_engine(&host, &options);
    memset(&s, 0, sizeof s);
    s.max_new = 1;
    request = request_of(&s);
    CHECK(engine_submit(engine, &request, &diag) == STATUS_RANGE && strstr(diag.message, "empty"));
    request.n_prompt = 65;
    CHECK(engine_submit(engine, &request, &diag) == STATUS_RANGE && strstr(diag.message, "65"));
    request.n_prompt = 64;
    CHECK(engine_submit(engine, &request, &diag) == STATUS_MEMORY && strstr(diag.message, "4 pages"));
    request.n_prompt = 2;
    s.prompt[1] = host.model->config.vocab_size;
    CHECK(engine_submit(engine, &request, &diag) == STATUS_RANGE && strstr(diag.message, "token 1"));
    s.prompt[1] = -1;
    CHECK(engine_submit(engine, &request, &diag) == STATUS_RANGE);
    CHECK(engine_idle(engine));
    engine_free(engine);
    host_close(&host);
}

/* The whole context can be used: n_prompt + max_new - 1 positions, the last token is not fed. */
static void test_the_context_is_the_limit(void)
{
    static struct sample s;
    struct host host = host_open(MODELS "qwen3/model.gguf", 1, NULL);
    struct engine_options options = default_options();
    struct engine *engine;

    if (host.failed)
        return;
    options.context = 33;
    engine = open_engine(&host, &options);
    for (size_t n = 32; engine && n <= 33; n++) {
        memset(&s, 0, sizeof s);
        s.n_prompt = n;
        s.max_new = 1000;
        random_ids(s.prompt, n, 1, host.model->config.vocab_size);
        submit(engine, &s, NULL, 0);
        run(engine);
        CHECK(s.finish == FINISH_LENGTH && s.n_tokens == 34 - n);
    }
    engine_free(engine);
    host_close(&host);
}

static void test_non_finite_logits_stop_the_engine(void)
{
    static struct sample s;
    struct host host = host_open(MODELS "qwen3/model.gguf", 1, NULL);
    struct engine_options options = default_options();
    struct engine *engine;
    struct request request;
    struct diag diag;

    if (host.failed)
        return;
    ((float *)(uintptr_t)host.model->output_norm)[0] = INFINITY;
    engine = open_engine(&host, &options);
    memset(&s, 0, sizeof s);
    s.n_prompt = 3;
    s.max_new = 2;
    request = request_of(&s);
    CHECK(!engine_submit(engine, &request, &diag));
    CHECK(engine_run(engine, NULL, &diag) == STATUS_NUMERIC && strstr(diag.message, "not finite"));
    engine_free(engine);
    host_close(&host);
}

/* The n-th allocation fails, for n = 1 until the scenario succeeds; nothing leaks. */
static void test_allocation_failures(void)
{
    static struct sample samples[3];
    struct host host = host_open(MODELS "qwen3/model.gguf", 1, NULL);
    struct engine_options options = default_options();
    size_t live = memory_live(), n = 0, failures = 0;
    int done = 0;

    if (host.failed)
        return;
    options.keep = 2;
    while (!done && n < 1000) {
        struct engine *engine = NULL;
        struct diag diag = {STATUS_OK, ""};
        enum status status;

        memory_fail_at(++n);
        status = engine_create(&engine, host.model, &host.exec, &options, &diag);
        for (size_t i = 0; !status && i < 3; i++) {
            struct request request;

            memset(&samples[i], 0, sizeof samples[i]);
            samples[i].n_prompt = 40;
            samples[i].max_new = 20;
            request = request_of(&samples[i]);
            status = engine_submit(engine, &request, &diag);
        }
        if (!status)
            status = engine_run(engine, NULL, &diag);
        memory_fail_at(0);
        CHECK(!status || (status == STATUS_MEMORY && diag.message[0]));
        failures += status != STATUS_OK;
        done = !status;
        engine_free(engine);
        CHECK_MSG(memory_live() == live, "allocation %zu: %zu blocks leaked", n, memory_live() - live);
    }
    CHECK(done && failures > 10);
    host_close(&host);
}

/* engine_plan states what engine_create takes: the arena's own figures agree within the tables' rounding. */
static void test_the_plan(void)
{
    struct host host = host_open(MODELS "qwen3/model.gguf", 2, NULL);
    struct engine_options options = default_options();
    struct engine_plan plan;

    if (host.failed)
        return;
    plan = engine_plan(&host.model->config, &host.exec, &options);
    CHECK(plan.n_pages == 4 * MAX_TOKENS / KV_PAGE);
    CHECK(plan.kv_bytes == plan.n_pages * kv_page_bytes(&host.model->config, DTYPE_F32, DTYPE_F32));
    CHECK(plan.bytes == plan.kv_bytes + plan.forward_bytes + plan.logit_bytes);
    CHECK(plan.logit_bytes == 304 * (4 * sizeof(float) + 2 * sizeof(struct candidate)));
    options.n_pages = 10;
    CHECK(engine_plan(&host.model->config, &host.exec, &options).n_pages == 10);
    host_close(&host);
}

/* ---- the scorer ---- */

/* What the engine reports while it generates is what the scorer computes afterwards, in any chunking. */
static void test_scores_are_the_engines(void)
{
    static const size_t chunks[] = {1, 7, 40, 64, 256};
    static struct sample samples[N_REQUESTS];
    const char *path = MODELS "llama3/model.gguf";
    struct host host;
    struct diag diag;

    run_alone(path, samples, DTYPE_F16, DTYPE_F16);
    host = host_open(path, 3, NULL);
    for (size_t k = 0; !host.failed && k < sizeof chunks / sizeof *chunks; k++) {
        struct score_options options = {MAX_TOKENS, chunks[k], DTYPE_F16, DTYPE_F16, 1};
        struct scorer *scorer = NULL;

        CHECK(!score_create(&scorer, host.model, &host.exec, &options, &diag));
        for (size_t i = 0; scorer && i < N_REQUESTS; i++) {
            const struct sample *s = &samples[i];
            size_t n = s->n_prompt + s->n_tokens;
            int32_t ids[MAX_TOKENS];
            float found[MAX_TOKENS];

            memcpy(ids, s->prompt, s->n_prompt * sizeof *ids);
            memcpy(ids + s->n_prompt, s->tokens, s->n_tokens * sizeof *ids);
            CHECK(!score_tokens(scorer, ids, n, s->n_prompt, NULL, 0, found, &diag));
            CHECK_MSG(memcmp(found, s->logprobs, s->n_tokens * sizeof *found) == 0, "request %zu, chunk %zu", i,
                      chunks[k]);
        }
        score_free(scorer);
    }
    host_close(&host);
}

static void test_scorer_limits(void)
{
    struct host host = host_open(MODELS "qwen2/model.gguf", 1, NULL);
    struct score_options options = {20, 8, DTYPE_F32, DTYPE_F32, 1};
    struct scorer *scorer = NULL;
    struct diag diag;
    int32_t ids[21] = {0};
    float found[21] = {0};

    if (host.failed)
        return;
    CHECK(!score_create(&scorer, host.model, &host.exec, &options, &diag));
    CHECK(score_tokens(scorer, ids, 21, 1, NULL, 0, found, &diag) == STATUS_RANGE && strstr(diag.message, "21"));
    CHECK(!score_tokens(scorer, ids, 20, 1, NULL, 0, found, &diag));
    CHECK(!score_tokens(scorer, ids, 20, 20, NULL, 0, NULL, &diag)); /* nothing to score */
    CHECK(!score_tokens(scorer, ids, 1, 1, NULL, 0, NULL, &diag));
    ids[3] = 100000;
    CHECK(score_tokens(scorer, ids, 20, 1, NULL, 0, found, &diag) == STATUS_RANGE && strstr(diag.message, "token 3"));
    ids[3] = 0;
    ((float *)(uintptr_t)host.model->output_norm)[0] = NAN;
    CHECK(score_tokens(scorer, ids, 20, 5, NULL, 0, found, &diag) == STATUS_NUMERIC);
    score_free(scorer);
    host_close(&host);
}

int main(void)
{
    RUN(test_neighbours_leave_no_trace);
    RUN(test_neighbours_leave_no_trace_in_8_bits);
    RUN(test_neighbours_leave_no_trace_with_windows);
    RUN(test_a_group_pays_its_prompt_once);
    RUN(test_agents_pay_the_common_part_once);
    RUN(test_kept_prefixes);
    RUN(test_finish_reasons);
    RUN(test_callbacks_may_submit);
    RUN(test_bad_requests);
    RUN(test_the_context_is_the_limit);
    RUN(test_non_finite_logits_stop_the_engine);
    RUN(test_allocation_failures);
    RUN(test_the_plan);
    RUN(test_scores_are_the_engines);
    RUN(test_scorer_limits);
    return TEST_RESULT();
}
