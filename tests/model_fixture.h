/* model_fixture.h - what tests of the model layer share: loading a fixture, running token ids, golden logits. */
#ifndef ARKLET_MODEL_FIXTURE_H
#define ARKLET_MODEL_FIXTURE_H

#include <math.h>
#include "forward.h"
#include "test.h"

static const char *const fixture_names[] = {"llama", "llama3", "qwen2", "qwen3", "gemma3", "gemma3-linear"};
#define N_FIXTURES (sizeof fixture_names / sizeof fixture_names[0])

static inline struct model *fixture_load(const char *name, const char *file, const struct exec *exec)
{
    struct model *model = NULL;
    struct diag diag = {0};
    char path[256];

    snprintf(path, sizeof path, "fixtures/models/%s%s", name, file);
    if (model_load(&model, path, exec, 0, &diag))
        CHECK_MSG(0, "%s", diag.message);
    return model;
}

struct golden {
    size_t n_ids, n_positions, vocab;
    int32_t ids[64];
    size_t position[16];
    float *logits; /* [n_positions][vocab], from malloc */
};

/* 0 when the file is not as fixtures/README.md draws it. */
static inline int golden_read(struct golden *golden, const char *name)
{
    char path[256], line[512];
    FILE *file;
    size_t i, j;
    int ok;

    snprintf(path, sizeof path, "fixtures/golden/%s.logits", name);
    file = fopen(path, "r");
    if (!file)
        return 0;
    while (fscanf(file, "#%511[^\n] ", line) == 1)
        ;
    ok = fscanf(file, " ids %zu", &golden->n_ids) == 1 && golden->n_ids <= 64;
    for (i = 0; ok && i < golden->n_ids; i++)
        ok = fscanf(file, "%d", &golden->ids[i]) == 1;
    ok = ok && fscanf(file, " logits %zu %zu", &golden->n_positions, &golden->vocab) == 2 && golden->n_positions <= 16;
    golden->logits = ok ? malloc(golden->n_positions * golden->vocab * sizeof(float)) : NULL;
    for (i = 0; ok && i < golden->n_positions; i++) {
        ok = fscanf(file, " position %zu", &golden->position[i]) == 1;
        for (j = 0; ok && j < golden->vocab; j++)
            ok = fscanf(file, "%f", &golden->logits[i * golden->vocab + j]) == 1;
    }
    fclose(file);
    return ok;
}

/* Logits of every position: ids through a fresh cache in chunks of `chunk` tokens. [n][stride] from malloc. */
static inline float *fixture_logits(const struct model *model, const struct exec *exec, enum dtype cache,
                                    const int32_t *ids, size_t n, size_t chunk)
{
    size_t vocab = ((size_t)model->config.vocab_size + 15) / 16 * 16, at, step;
    struct kv_sequence sequence = {0};
    struct forward *forward = NULL;
    struct diag diag = {0};
    struct kv *kv = NULL;
    struct arena arena;
    float *logits, *chunk_logits, *all = malloc(n * vocab * sizeof *all);

    arena_init(&arena, "test", 0);
    chunk_logits = arena_array(&arena, chunk * vocab, sizeof *chunk_logits);
    CHECK(kv_create(&kv, &model->config, cache, cache, kv_pages_for(n) + 1, &diag) == STATUS_OK);
    CHECK(forward_create(&forward, model, kv, exec, chunk, &diag) == STATUS_OK);
    for (at = 0; at < n && forward; at += step) {
        struct token_span span = {&sequence, ids + at, 0, NULL, 0};
        const float *hidden;

        step = n - at < chunk ? n - at : chunk;
        span.n_tokens = step;
        CHECK(kv_reserve(kv, &sequence, step, &diag) == STATUS_OK);
        forward_run(forward, &span, 1, &hidden);
        forward_logits(forward, hidden, NULL, step, chunk_logits);
        memcpy(all + at * vocab, chunk_logits, step * vocab * sizeof *all);
    }
    logits = all;
    kv_release(kv, &sequence);
    forward_free(forward);
    kv_free(kv);
    arena_free(&arena);
    return logits;
}

#endif
