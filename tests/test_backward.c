/* test_backward.c - gradients of the whole model: against differences of the loss, same bits, log-probabilities. */
#include "backward.h"
#include "model_fixture.h"
#include "rng.h"
#include "sampler.h"

/* Central differences of an f32 loss of about 75 with a step of 2e-3: rounding alone is 75 * 1e-7 / 2e-3 = 4e-3 of a
 * derivative of 1, curvature up to 4e-2 (gemma3). Measured: at most 0.043. Exact checks are in test_gradients. */
#define DIFFERENCE_BOUND 0.08

#define N_IDS  123
#define N_LOSS 60

struct setup {
    struct exec exec;
    struct model *model;
    struct adapter *adapter;
    struct backward *backward;
    int32_t ids[N_IDS], targets[N_LOSS];
    size_t rows[N_LOSS];
    struct train_span spans[3];
    float logprobs[N_LOSS];
};

/* Three sequences; with `shared` the second and third continue the first. */
static int set_up(struct setup *s, const char *name, const struct kernels *kernels, int threads, int shared,
                  enum dtype cache, float dropout)
{
    struct adapter_shape shape = {.rank = 4, .alpha = 8, .targets = TARGET_ALL};
    struct backward_options options = {.max_tokens = 256, .max_spans = 8, .head_rows = 16};
    struct train_span spans[3] = {{s->ids, 70, -1}, {s->ids + 70, 23, -1}, {s->ids + 93, 30, -1}};
    struct diag diag;
    size_t i;

    memset(s, 0, sizeof *s);
    s->exec.kernels = kernels;
    if (pool_create(&s->exec.pool, threads, &diag) || !(s->model = fixture_load(name, "/model.gguf", &s->exec)))
        return 0;
    options.k_type = options.v_type = cache;
    if (adapter_create(&s->adapter, s->model, &shape, &diag))
        return 0;
    s->adapter->dropout = dropout;
    if (backward_create(&s->backward, s->model, s->adapter, &s->exec, &options, &diag))
        return 0;
    adapter_init(s->adapter, 1);
    for (i = 0; i < s->adapter->n_params; i++)
        s->adapter->params[i] += 0.3f * ((float)rng_unit(rng_bits(3, RNG_TEST, i, 0, 0)) - 0.5f);
    adapter_refresh(s->adapter);
    for (i = 0; i < N_IDS; i++)
        s->ids[i] = (int32_t)((i * 7919 + 13) % 300);
    for (i = 0; i < N_LOSS; i++) {
        s->rows[i] = 40 + i;
        s->targets[i] = (int32_t)(i * 31 % 300);
    }
    spans[1].parent = spans[2].parent = shared ? 0 : -1;
    memcpy(s->spans, spans, sizeof spans);
    return 1;
}

static void tear_down(struct setup *s)
{
    backward_free(s->backward);
    adapter_free(s->adapter);
    model_free(s->model);
    pool_destroy(s->exec.pool);
}

static double weight_of(size_t i)
{
    return 0.1 * (double)(1 + i % 3);
}

static void weights(void *context, size_t first, size_t n, const float *logprob, const float *entropy, float *c)
{
    size_t i;

    (void)context;
    (void)logprob;
    (void)entropy;
    for (i = 0; i < n; i++)
        c[i] = (float)weight_of(first + i);
}

/* The loss; its gradient too when grads is given. */
static double loss_of(struct setup *s, float *grads)
{
    const float *hidden;
    struct diag diag;
    double loss = 0;
    size_t i;

    CHECK(backward_forward(s->backward, s->spans, 3, &hidden, &diag) == STATUS_OK);
    CHECK(backward_loss(s->backward, s->rows, s->targets, N_LOSS, s->logprobs, NULL, weights, NULL, NULL, &diag) ==
          STATUS_OK);
    for (i = 0; i < N_LOSS; i++)
        loss -= weight_of(i) * (double)s->logprobs[i];
    if (grads)
        backward_run(s->backward, grads, NULL);
    return loss;
}

/* Compares the gradient along a random direction of one target's pairs with a central difference. */
static void check_direction(struct setup *s, const float *grads, const float *base, int target, const char *name)
{
    const double step = 2e-3;
    struct adapter *a = s->adapter;
    float *direction = calloc(a->n_params, sizeof *direction);
    double analytic = 0, plus, minus;
    size_t layer, i;

    for (layer = 0; layer < a->n_layers; layer++) {
        const struct lora *l = &a->loras[layer][target];
        size_t at = (size_t)(l->a - a->params), in_a = l->rank * l->in, n = in_a + l->rank * l->out_stride;

        for (i = 0; i < n; i++) /* not the padding of b_t */
            if (i < in_a || (i - in_a) % l->out_stride < l->out)
                direction[at + i] = (float)rng_unit(rng_bits(9, RNG_TEST, at + i, 0, 0)) - 0.5f;
    }
    for (i = 0; i < a->n_params; i++)
        analytic += (double)grads[i] * (double)direction[i];
    for (i = 0; i < a->n_params; i++)
        a->params[i] = base[i] + (float)step * direction[i];
    adapter_refresh(a);
    plus = loss_of(s, NULL);
    for (i = 0; i < a->n_params; i++)
        a->params[i] = base[i] - (float)step * direction[i];
    adapter_refresh(a);
    minus = loss_of(s, NULL);
    CHECK_MSG(fabs(analytic - (plus - minus) / (2 * step)) < DIFFERENCE_BOUND, "%s %s: gradient %.5f, difference %.5f",
              name, adapter_peft_name((enum target)target), analytic, (plus - minus) / (2 * step));
    free(direction);
}

static void check_family(const char *name, int shared)
{
    struct setup s;
    float *grads, *base;
    int target;

    if (!set_up(&s, name, kernels_find(NULL), 2, shared, DTYPE_F32, 0)) {
        CHECK_MSG(0, "%s: no setup", name);
        return;
    }
    grads = calloc(s.adapter->n_params, sizeof *grads);
    base = malloc(s.adapter->n_params * sizeof *base);
    memcpy(base, s.adapter->params, s.adapter->n_params * sizeof *base);
    loss_of(&s, grads);
    for (target = 0; target < TARGET_COUNT; target++)
        check_direction(&s, grads, base, target, name);
    free(grads);
    free(base);
    tear_down(&s);
}

static void test_differences(void)
{
    size_t f;

    for (f = 0; f < N_FIXTURES; f++)
        check_family(fixture_names[f], 0);
}

static void test_differences_shared_prompt(void)
{
    size_t f;

    for (f = 0; f < N_FIXTURES; f++)
        check_family(fixture_names[f], 1);
}

/* Gradients of all threads and tiers have the same bits. */
static void check_same_bits(float dropout)
{
    static const int threads[] = {1, 2, 3, 7};
    float *want = NULL;
    size_t t, bytes = 0;

    for (t = 0; t < 4; t++) {
        struct setup s;
        const struct kernels *kernels = kernels_at(t) ? kernels_at(t) : kernels_at(0);
        float *grads;

        if (!set_up(&s, "gemma3", kernels, threads[t], 1, DTYPE_F16, dropout)) {
            CHECK(0);
            return;
        }
        bytes = s.adapter->n_params * sizeof *grads;
        grads = calloc(1, bytes);
        backward_dropout(s.backward, 1, 1);
        loss_of(&s, grads);
        if (want)
            CHECK_MSG(memcmp(grads, want, bytes) == 0, "%d threads, %s", threads[t], s.exec.kernels->name);
        if (want)
            free(grads);
        else
            want = grads;
        tear_down(&s);
    }
    free(want);
}

static void test_same_bits(void)
{
    check_same_bits(0);
    check_same_bits(0.25f);
}

/* Masks belong to seed and step, are off outside of a training step, and then leave no trace. */
static void test_dropout_steps(void)
{
    struct setup plain, s;
    double without, first, again, other_step, other_seed, after;

    if (!set_up(&plain, "qwen3", kernels_find(NULL), 2, 0, DTYPE_F16, 0) ||
        !set_up(&s, "qwen3", kernels_find(NULL), 2, 0, DTYPE_F16, 0.5f)) {
        CHECK(0);
        return;
    }
    without = loss_of(&plain, NULL);
    CHECK(loss_of(&s, NULL) == without);
    backward_dropout(s.backward, 1, 7);
    first = loss_of(&s, NULL);
    backward_dropout(s.backward, 1, 7);
    again = loss_of(&s, NULL);
    backward_dropout(s.backward, 1, 8);
    other_step = loss_of(&s, NULL);
    backward_dropout(s.backward, 2, 7);
    other_seed = loss_of(&s, NULL);
    backward_dropout_end(s.backward);
    after = loss_of(&s, NULL);
    CHECK(first == again && after == without);
    CHECK(first != without && first != other_step && first != other_seed && other_step != other_seed);
    tear_down(&s);
    tear_down(&plain);
}

/* The same sequences in one pass or in several of the same step: the same masks. */
static void test_dropout_packing(void)
{
    struct setup s;
    float *whole, *parts;
    size_t i, n;
    const float *hidden;
    struct diag diag;

    if (!set_up(&s, "llama", kernels_find(NULL), 2, 0, DTYPE_F16, 0.25f)) {
        CHECK(0);
        return;
    }
    n = backward_stride(s.backward);
    whole = malloc(N_IDS * n * sizeof *whole);
    parts = malloc(N_IDS * n * sizeof *parts);
    backward_dropout(s.backward, 1, 7);
    CHECK(backward_forward(s.backward, s.spans, 3, &hidden, &diag) == STATUS_OK);
    memcpy(whole, hidden, N_IDS * n * sizeof *whole);
    backward_dropout(s.backward, 1, 7);
    CHECK(backward_forward(s.backward, s.spans, 2, &hidden, &diag) == STATUS_OK);
    memcpy(parts, hidden, 93 * n * sizeof *parts);
    CHECK(backward_forward(s.backward, s.spans + 2, 1, &hidden, &diag) == STATUS_OK);
    memcpy(parts + 93 * n, hidden, 30 * n * sizeof *parts);
    for (i = 0; i < N_IDS * n && whole[i] == parts[i]; i++)
        ;
    CHECK_MSG(i == N_IDS * n, "row %zu differs", i / n);
    free(whole);
    free(parts);
    tear_down(&s);
}

/* What the trainer computes is what the sampler reports, bit for bit: log-probabilities of one sequence by both. */
static void test_trainer_is_sampler(void)
{
    size_t f, i;

    for (f = 0; f < N_FIXTURES; f++) {
        struct setup s;
        float *logits;
        size_t stride;

        if (!set_up(&s, fixture_names[f], kernels_find(NULL), 2, 0, DTYPE_F16, 0)) {
            CHECK(0);
            return;
        }
        memset(s.adapter->params, 0, s.adapter->n_params * sizeof(float)); /* fixture_logits has no adapter */
        adapter_refresh(s.adapter);
        loss_of(&s, NULL);
        logits = fixture_logits(s.model, &s.exec, DTYPE_F16, s.ids, 70, 11);
        stride = ((size_t)s.model->config.vocab_size + 15) / 16 * 16;
        for (i = 0; i < N_LOSS && s.rows[i] < 70; i++) {
            float want = sampler_logprob(s.exec.kernels->rows, logits + s.rows[i] * stride,
                                         (size_t)s.model->config.vocab_size, s.targets[i]);

            CHECK_MSG(memcmp(&want, &s.logprobs[i], sizeof want) == 0, "%s: row %zu: %.9g, not %.9g", fixture_names[f],
                      s.rows[i], (double)s.logprobs[i], (double)want);
        }
        free(logits);
        tear_down(&s);
    }
}

int main(void)
{
    RUN(test_differences);
    RUN(test_differences_shared_prompt);
    RUN(test_same_bits);
    RUN(test_dropout_steps);
    RUN(test_dropout_packing);
    RUN(test_trainer_is_sampler);
    return TEST_RESULT();
}
