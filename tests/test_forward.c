/* test_forward.c - the forward pass: golden logits of every family, and the arithmetic contract. */
#include "model_fixture.h"

/* Largest difference over largest |logit|. Float weights and an f32 cache; measured at most 3e-6. */
#define GOLDEN_TOLERANCE 1e-4

static void golden_logits(const char *file)
{
    struct exec exec = {kernels_find(NULL), NULL};
    size_t f, i, j;

    for (f = 0; f < N_FIXTURES; f++) {
        struct golden golden = {0};
        struct model *model = fixture_load(fixture_names[f], file, &exec);
        float *logits;
        double worst = 0, largest = 0;
        size_t stride;

        CHECK_MSG(golden_read(&golden, fixture_names[f]), "golden file of %s", fixture_names[f]);
        if (test_failed_here)
            return;
        stride = (golden.vocab + 15) / 16 * 16;
        logits = fixture_logits(model, &exec, DTYPE_F32, golden.ids, golden.n_ids, 32);
        for (i = 0; i < golden.n_positions; i++)
            for (j = 0; j < golden.vocab; j++) {
                double want = golden.logits[i * golden.vocab + j];
                double difference = fabs(logits[golden.position[i] * stride + j] - want);

                worst = difference > worst || isnan(difference) ? difference : worst;
                largest = fabs(want) > largest ? fabs(want) : largest;
            }
        CHECK_MSG(worst <= GOLDEN_TOLERANCE * largest, "%s%s: off by %.3g of %.3g", fixture_names[f], file, worst,
                  largest);
        if (getenv("VERBOSE"))
            fprintf(stderr, "%s%s %.3g\n", fixture_names[f], file, worst / largest);
        free(logits);
        free(golden.logits);
        model_free(model);
    }
}

static void test_golden_logits_gguf(void)
{
    golden_logits("/model.gguf");
}

static void test_golden_logits_folder(void)
{
    golden_logits("");
}

/* The same bits for every tier, thread count, chunking and cache type, each varied against the scalar tier's one chunk.
 */
#define N_IDS 70

static void check_bits(const char *name, const struct model *model, enum dtype cache, const int32_t *ids)
{
    static const size_t chunks[] = {1, 7, 64};
    static const int threads[] = {1, 2, 3, 7};
    struct exec exec = {kernels_at(0), NULL};
    size_t bytes = N_IDS * (((size_t)model->config.vocab_size + 15) / 16 * 16) * sizeof(float), t;
    float *want = fixture_logits(model, &exec, cache, ids, N_IDS, N_IDS), *got;

    for (t = 0; t < (test_quick() ? 2 : 4); t++) {
        size_t chunk = chunks[(t + (size_t)cache) % 3];
        struct diag diag;

        exec.kernels = kernels_at((t + (size_t)cache) % 4) ? kernels_at((t + (size_t)cache) % 4) : kernels_at(0);
        CHECK(pool_create(&exec.pool, threads[t], &diag) == STATUS_OK);
        got = fixture_logits(model, &exec, cache, ids, N_IDS, chunk);
        CHECK_MSG(memcmp(got, want, bytes) == 0, "%s: cache %d, %d threads, chunk %zu, %s", name, (int)cache,
                  threads[t], chunk, exec.kernels->name);
        free(got);
        pool_destroy(exec.pool);
    }
    free(want);
}

static void test_same_bits(void)
{
    static const enum dtype caches[] = {DTYPE_F32, DTYPE_F16, DTYPE_Q8_0};
    struct exec exec = {kernels_at(0), NULL};
    int32_t ids[N_IDS];
    size_t f, cache, i;

    for (i = 0; i < N_IDS; i++)
        ids[i] = (int32_t)(i * 7919 % 300);
    for (f = 0; f < N_FIXTURES; f++) {
        struct model *model = fixture_load(fixture_names[f], "/model.gguf", &exec);

        for (cache = 0; model && cache < 3; cache++)
            check_bits(fixture_names[f], model, caches[cache], ids);
        model_free(model);
    }
}

int main(void)
{
    RUN(test_golden_logits_gguf);
    RUN(test_golden_logits_folder);
    RUN(test_same_bits);
    return TEST_RESULT();
}
