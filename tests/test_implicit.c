/* test_implicit.c - the implicit reward model: its first loss, what it learns, and its steps' rewards. */
#include <math.h>
#include <unistd.h>

#include "implicit.h"
#include "model_fixture.h"
#include "score.h"

#define BETA 0.5

/* Step scores are tanh in double of sums in double: rounding alone, measured 3e-16. */
#define SUM_TOLERANCE 1e-12

static struct diag diag;
static char folder[64] = "/tmp/arklet_implicit_XXXXXX", data[96];
static struct exec exec;
static struct model *model;
static struct adapter *adapter;
static struct prm_options options;

/* Sums of small numbers, right and off by one; two records of unknown correctness, one that is too long. */
static void write_data(void)
{
    FILE *file = fopen(data, "wb");
    int i;

    CHECK(file != NULL);
    for (i = 0; file && i < 8; i++)
        fprintf(
            file,
            "{\"prompt\":\"%d + %d?\\n\\n\",\"completions\":[\"It is %d + %d.\",\"#### %d\"],\"labels\":[true,%s]}\n",
            i / 2, i / 2, i / 2, i / 2, i / 2 * 2 + i % 2, i % 2 ? "false" : "true");
    for (i = 0; file && i < 2; i++)
        fprintf(file, "{\"prompt\":\"Q\",\"completions\":[\"a\",\"b\"],\"labels\":[true,null]}\n");
    if (file) {
        fprintf(file, "{\"prompt\":\"Q\",\"completions\":[\"");
        for (i = 0; i < 300; i++)
            fprintf(file, "word %d ", i);
        fprintf(file, "\"],\"correct\":false}\n");
        fclose(file);
    }
}

static void set_up(void)
{
    struct adapter_shape shape = {.rank = 4, .alpha = 8};
    char path[96];
    int t;

    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/checkpoint", folder);
    CHECK(file_make_folder(path, &diag) == STATUS_OK);
    snprintf(data, sizeof data, "%s/data.jsonl", folder);
    write_data();
    exec.kernels = kernels_find(NULL);
    CHECK(pool_create(&exec.pool, 2, &diag) == STATUS_OK);
    model = fixture_load("qwen3", "/model.gguf", &exec);
    for (t = 0; t < TARGET_COUNT; t++)
        shape.targets |= 1u << t;
    CHECK_MSG(adapter_create(&adapter, model, &shape, &diag) == STATUS_OK, "%s", diag.message);
    adapter_init(adapter, 1);
    options.data = data;
    options.run.output = folder;
    options.run.config = "";
    options.batch = 4;
    options.format.tokenizer = model->tokenizer;
    options.format.max_len = 128;
    options.backward.max_tokens = 128;
    options.backward.k_type = options.backward.v_type = DTYPE_F32;
    options.train.clip = 1;
    options.train.schedule = SCHEDULE_CONSTANT;
    options.train.optim.beta1 = 0.9f;
    options.train.optim.beta2 = 0.999f;
    options.train.optim.eps = 1e-8f;
    options.train.lr = 3e-3;
}

/* Of the records eleven minus two are known, one is too long: nine in an epoch, the long one left out. The first loss
 * is log 2, for the adapter is the model itself; then every solution is told from its twin. */
static void learns(void)
{
    struct prm_result result;

    options.epochs = 1.0 / 3; /* one step of at most four */
    CHECK_MSG(implicit_run(model, adapter, &exec, &options, BETA, &result, &diag) == STATUS_OK, "%s", diag.message);
    CHECK(result.steps == 1 && result.records == 3);
    CHECK_MSG(result.loss == log(2), "%.17g", result.loss);
    adapter_init(adapter, 1);
    options.epochs = 30;
    CHECK_MSG(implicit_run(model, adapter, &exec, &options, BETA, &result, &diag) == STATUS_OK, "%s", diag.message);
    CHECK_MSG(result.records == 270 && result.truncated == 30, "%d %d", (int)result.records, (int)result.truncated);
    CHECK_MSG(result.loss < 0.1 && result.accuracy == 1, "loss %g accuracy %g", result.loss, result.accuracy);
}

/* The steps' rewards add up to beta times the log-ratio of all tokens behind the prompt. */
static void step_rewards(void)
{
    static const char record[] =
        "{\"prompt\":\"3 + 3?\\n\\n\",\"completions\":[\"It is 3 + 3.\",\"#### 6\"],\"labels\":[1,1]}";
    const struct adapter *adapters[1];
    struct score_options scoring = {.context = 128, .chunk = 32, .k_type = DTYPE_F32, .v_type = DTYPE_F32};
    struct arena arena;
    struct stepwise steps;
    const struct json *json;
    struct prm_example e = {0};
    struct step_scorer *scorer;
    struct scorer *plain;
    float with[128], without[128];
    double scores[2], sum = 0;
    struct step_scores text = {.scores = scores};
    size_t n, i;

    arena_init(&arena, "test", 0);
    adapters[0] = adapter;
    CHECK(json_parse(&json, record, sizeof record - 1, &arena, "test", 1, NULL, &diag) == STATUS_OK);
    CHECK(stepwise_read(&steps, json, &arena, "test:1", &diag) == STATUS_OK);
    CHECK(prm_example_read(&e, &steps, &options.format, "test:1", &diag) == STATUS_OK);
    text.ids = e.text.tokens.ids;
    text.n_tokens = n = e.text.tokens.count;
    text.ends = e.ends;
    text.n_steps = e.n_steps;
    text.n_prompt = e.n_prompt;
    CHECK(step_scorer_create(&scorer, model, adapter, BETA, &exec, 128, DTYPE_F32, DTYPE_F32, &diag) == STATUS_OK);
    CHECK(step_scorer_run(scorer, &text, 1, &diag) == STATUS_OK);
    CHECK(score_create(&plain, model, &exec, &scoring, &diag) == STATUS_OK);
    CHECK(score_tokens(plain, text.ids, n, e.n_prompt, adapters, 1, with, &diag) == STATUS_OK);
    CHECK(score_tokens(plain, text.ids, n, e.n_prompt, NULL, 0, without, &diag) == STATUS_OK);
    for (i = 0; i < n - e.n_prompt; i++)
        sum += BETA * ((double)with[i] - (double)without[i]);
    CHECK_MSG(e.n_steps == 2 &&
                  fabs(2 * atanh(scores[0]) + 2 * atanh(scores[1]) - sum) < SUM_TOLERANCE * fabs(sum) + SUM_TOLERANCE,
              "%g %g against %g", scores[0], scores[1], sum);
    CHECK(sum > 1 && scores[1] > 0); /* it was trained as right */
    score_free(plain);
    step_scorer_free(scorer);
    prm_example_free(&e);
    arena_free(&arena);
}

static void mark(void)
{
    char path[128];
    double beta;
    FILE *file;

    CHECK(implicit_load(folder, &beta, &diag) == STATUS_OK && beta == 0);
    CHECK(implicit_save(folder, 0.05, &diag) == STATUS_OK);
    CHECK(implicit_load(folder, &beta, &diag) == STATUS_OK && beta == 0.05);
    snprintf(path, sizeof path, "%s/implicit_prm.json", folder);
    file = fopen(path, "wb");
    CHECK(file && fputs("{\"beta\":-1}", file) >= 0);
    if (file)
        fclose(file);
    CHECK(implicit_load(folder, &beta, &diag) == STATUS_FORMAT && strstr(diag.message, "\"beta\": expected"));
}

int main(void)
{
    char command[128];

    set_up();
    RUN(learns);
    RUN(step_rewards);
    RUN(mark);
    adapter_free(adapter);
    model_free(model);
    pool_destroy(exec.pool);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0)
        return 1;
    return TEST_RESULT();
}
