/* test_sft.c - fine-tuning runs: learning, the same bits however they are cut, resuming, refusals, early stopping. */
#include <math.h>
#include <unistd.h>
#include "adapter_file.h"
#include "file.h"
#include "model_fixture.h"
#include "sft.h"

static const char three_records[] =
    "{\"prompt\": \"Ann has 12 apples.\", \"completion\": \" The answer is 7.\"}\n"
    "{\"prompt\": \"Ben has 3 books.\", \"completion\": \" The answer is 4.\", \"weight\": 0.5}\n"
    "\n"
    "{\"segments\": [{\"text\": \"She gives 5\", \"weight\": 0}, {\"text\": \" Step 1: 12 - 5 = 7.\", \"weight\": "
    "2}]}\n";

/* ---- Files ---- */

static char folder[64];

/* Valid for the next seven calls. */
static const char *in_folder(const char *name)
{
    static char paths[8][256];
    static int next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static const char *write_text(const char *name, const char *text)
{
    const char *path = in_folder(name);
    FILE *file = fopen(path, "w");

    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
    return path;
}

static struct buffer bytes_of(const char *path)
{
    struct buffer bytes = {0};
    struct diag diag = {0};

    CHECK_MSG(file_read(&bytes, path, 0, &diag) == STATUS_OK, "%s", diag.message);
    return bytes;
}

static int same_file(const char *a, const char *b)
{
    struct buffer x = bytes_of(a), y = bytes_of(b);
    int same = x.length == y.length && x.data && y.data && memcmp(x.data, y.data, x.length) == 0;

    buffer_free(&x);
    buffer_free(&y);
    return same;
}

/* metrics.csv without its last column, step_time. */
static struct buffer metrics_of(const char *run)
{
    char path[256];
    struct buffer all, out = {0};
    char *line, *end;

    snprintf(path, sizeof path, "%s/metrics.csv", run);
    all = bytes_of(path);
    for (line = all.data; line && *line; line = end + 1) {
        end = strchr(line, '\n');
        if (!end)
            break;
        *end = 0;
        buffer_append(&out, line, (size_t)(strrchr(line, ',') - line));
        buffer_byte(&out, '\n');
    }
    buffer_free(&all);
    return out;
}

static void check_same_run(const char *a, const char *b, const char *what)
{
    static const char *const files[] = {"adapter_model.safetensors", "adapter.gguf", "adapter_config.json",
                                        "checkpoint/state.bin"};
    struct buffer x = metrics_of(a), y = metrics_of(b);
    char pa[256], pb[256];
    size_t i;

    CHECK_MSG(x.length == y.length && x.length && memcmp(x.data, y.data, x.length) == 0, "%s: metrics.csv differs",
              what);
    buffer_free(&x);
    buffer_free(&y);
    for (i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(pa, sizeof pa, "%s/%s", a, files[i]);
        snprintf(pb, sizeof pb, "%s/%s", b, files[i]);
        CHECK_MSG(same_file(pa, pb), "%s: %s differs", what, files[i]);
    }
}

/* ---- A run ---- */

struct setup {
    struct exec exec;
    struct model *model;
    struct sft_options options;
    char data[256], dev[256];
    struct sft_result result;
    struct diag diag;
    struct adapter *adapter; /* of the last run */
};

static void set_up(struct setup *s, const char *name, int threads)
{
    struct sft_options *o = &s->options;

    memset(s, 0, sizeof *s);
    s->exec.kernels = kernels_find(NULL);
    CHECK(pool_create(&s->exec.pool, threads, &s->diag) == STATUS_OK);
    s->model = fixture_load(name, "/model.gguf", &s->exec);
    snprintf(s->data, sizeof s->data, "%s/data.jsonl", folder);
    snprintf(s->dev, sizeof s->dev, "%s/dev.jsonl", folder);
    o->data = s->data;
    o->run.config = "";
    o->epochs = 6;
    o->batch = 2;
    o->run.save_every = 2;
    o->format.max_len = 64;
    o->format.tokenizer = s->model ? s->model->tokenizer : NULL;
    o->backward.max_tokens = 96;
    o->backward.head_rows = 16;
    o->backward.k_type = o->backward.v_type = DTYPE_F16;
    o->train.lr = 5e-3;
    o->train.schedule = SCHEDULE_COSINE;
    o->train.warmup = 0.1;
    o->train.clip = 1;
    o->train.optim.beta1 = 0.9f;
    o->train.optim.beta2 = 0.999f;
    o->train.optim.eps = 1e-8f;
    o->train.seed = 1;
}

static void tear_down(struct setup *s)
{
    adapter_free(s->adapter);
    model_free(s->model);
    pool_destroy(s->exec.pool);
}

/* Runs into folder/`output` from a fresh adapter and saves it there; the status of the first thing that failed. */
static enum status run(struct setup *s, const char *output, int resume)
{
    struct adapter_shape shape = {.rank = 4, .alpha = 8, .targets = TARGET_ALL};
    char path[256];
    enum status status;

    snprintf(path, sizeof path, "%s/%s/checkpoint", folder, output);
    CHECK(file_make_folder(path, &s->diag) == STATUS_OK);
    snprintf(path, sizeof path, "%s/%s", folder, output);
    s->options.run.output = path;
    s->options.run.resume = resume;
    adapter_free(s->adapter);
    CHECK(adapter_create(&s->adapter, s->model, &shape, &s->diag) == STATUS_OK);
    adapter_init(s->adapter, 3);
    s->diag.message[0] = 0;
    status = sft_run(s->model, s->adapter, NULL, &s->exec, &s->options, &s->result, &s->diag);
    if (!status)
        status = adapter_save(s->adapter, s->model, path, &s->diag);
    return status;
}

static void expect_failure(struct setup *s, enum status got, enum status want, const char *words)
{
    CHECK_MSG(got == want && strstr(s->diag.message, words), "expected status %d and '%s', found %d and '%s'", want,
              words, got, s->diag.message);
}

/* ---- Learning ---- */

/* The random head, normed rows against 300 random embeddings, cannot give each token more than a certain probability:
 * no rank and no rate goes below 0.347 (the gradient vanishes there). Measured: 0.3473. All weights: 3e-4. */
#define OVERFIT_BOUND      0.36
#define OVERFIT_FULL_BOUND 0.01

static void test_overfits_one_transcript(void)
{
    struct setup s;
    struct full *full = NULL;

    write_text("data.jsonl",
               "{\"prompt\": \"Ann has 12 apples and gives 5 to Ben.\", \"completion\": \" 12 - 5 = 7. The "
               "answer is 7.\"}\n");
    set_up(&s, "qwen2", 2);
    s.options.epochs = 150;
    s.options.batch = 1;
    s.options.train.lr = 0.01;
    CHECK_MSG(run(&s, "overfit", 0) == STATUS_OK, "%s", s.diag.message);
    CHECK_MSG(s.result.loss < OVERFIT_BOUND, "loss %.4g", s.result.loss);
    CHECK(full_create(&full, s.model, &s.diag) == STATUS_OK);
    s.options.run.output = in_folder("overfit");
    CHECK_MSG(sft_run(s.model, NULL, full, &s.exec, &s.options, &s.result, &s.diag) == STATUS_OK, "%s", s.diag.message);
    CHECK_MSG(s.result.loss < OVERFIT_FULL_BOUND, "all weights: loss %.4g", s.result.loss);
    full_free(full);
    tear_down(&s);
}

static void test_muon_learns(void)
{
    struct setup s;
    double first;

    write_text("data.jsonl", three_records);
    set_up(&s, "gemma3", 2);
    s.options.train.optim.kind = OPTIM_MUON;
    s.options.train.optim.momentum = 0.95f;
    s.options.train.optim.adam_ratio = 0.25f;
    s.options.batch = 3;
    s.options.epochs = 1;
    CHECK(run(&s, "muon1", 0) == STATUS_OK);
    first = s.result.loss;
    s.options.epochs = 20;
    CHECK(run(&s, "muon", 0) == STATUS_OK);
    CHECK_MSG(s.result.loss < 0.8 * first, "loss %.4g, first %.4g", s.result.loss, first);
    tear_down(&s);
}

/* ---- Same bits ---- */

static void test_threads_leave_no_trace(void)
{
    static const char *const names[] = {"threads1", "threads2", "threads3"};
    struct setup s;
    int t;

    write_text("data.jsonl", three_records);
    for (t = 0; t < 3; t++) {
        set_up(&s, "gemma3", t + 1);
        CHECK_MSG(run(&s, names[t], 0) == STATUS_OK, "%s", s.diag.message);
        tear_down(&s);
        if (t) {
            char other[256];

            snprintf(other, sizeof other, "%s", in_folder(names[t]));
            check_same_run(in_folder(names[0]), other, names[t]);
        }
    }
}

/* The n-th write, sync or rename fails, for each n in turn; what is resumed ends as if nothing had happened. (SIGKILL
 * at random moments: tests/check_sft.sh.) */
static void test_resumes_after_any_failed_write(void)
{
    struct setup s;
    enum status status = STATUS_IO;
    size_t n, step = test_quick() ? 7 : 1;

    write_text("data.jsonl", three_records);
    write_text("dev.jsonl", three_records);
    set_up(&s, "qwen2", 1);
    s.options.dev = s.dev;
    s.options.run.eval_every = 3;
    CHECK_MSG(run(&s, "whole", 0) == STATUS_OK, "%s", s.diag.message);
    for (n = 1; status && n < 500; n += step) {
        char what[64];

        snprintf(what, sizeof what, "write %zu failed", n);
        file_fail_at(n);
        status = run(&s, "torn", 0);
        file_fail_at(0);
        if (!status)
            break;
        expect_failure(&s, status, STATUS_IO, "No space left");
        CHECK_MSG(run(&s, "torn", 1) == STATUS_OK, "%s: %s", what, s.diag.message);
        check_same_run(in_folder("whole"), in_folder("torn"), what);
    }
    CHECK_MSG(!status && n > 20, "%zu writes", n);
    tear_down(&s);
}

/* A run of a longer plan that stopped at its checkpoint, resumed with other settings of speed. */
static void test_stopped_run_goes_on(void)
{
    struct setup s;

    write_text("data.jsonl", three_records);
    set_up(&s, "llama", 1);
    CHECK(run(&s, "straight", 0) == STATUS_OK);
    s.options.train.lr = 1e30; /* ends the run in step 4 or before, as a crash would */
    CHECK(run(&s, "late", 0) == STATUS_NUMERIC);
    s.options.train.lr = 5e-3;
    CHECK(run(&s, "late", 0) == STATUS_OK); /* not resumed: starts anew over the old state */
    check_same_run(in_folder("straight"), in_folder("late"), "started anew");
    CHECK(run(&s, "late", 1) == STATUS_OK); /* nothing is left to do */
    check_same_run(in_folder("straight"), in_folder("late"), "finished, resumed");
    tear_down(&s);
}

/* ---- Refusals ---- */

static void test_other_runs_are_refused(void)
{
    struct setup s, other;

    write_text("data.jsonl", three_records);
    set_up(&s, "qwen3", 1);
    s.options.run.config = "lr = 0.005\nrank = 4\n";
    CHECK(run(&s, "mine", 0) == STATUS_OK);
    s.options.run.config = "lr = 0.006\nrank = 4\n";
    expect_failure(&s, run(&s, "mine", 1), STATUS_FORMAT, "started with 'lr = 0.005', not 'lr = 0.006'");
    s.options.run.config = "lr = 0.005\nrank = 4\n";
    write_text("other.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}\n");
    s.options.data = in_folder("other.jsonl");
    expect_failure(&s, run(&s, "mine", 1), STATUS_FORMAT, "other data");
    tear_down(&s);
    set_up(&other, "llama3", 1);
    other.options.run.config = "lr = 0.005\nrank = 4\n";
    expect_failure(&other, run(&other, "mine", 1), STATUS_FORMAT, "another base model");
    tear_down(&other);
}

static void test_damaged_checkpoints_are_refused(void)
{
    struct setup s;
    struct buffer state;
    char path[256];
    size_t i, step;

    write_text("data.jsonl", three_records);
    set_up(&s, "qwen3", 1);
    s.options.epochs = 1;
    CHECK(run(&s, "damaged", 0) == STATUS_OK);
    snprintf(path, sizeof path, "%s", in_folder("damaged/checkpoint/state.bin"));
    state = bytes_of(path);
    step = state.length / 16 + 1;
    for (i = 0; i < state.length; i += i < 96 ? 16 : step) { /* cut, then one bit changed */
        FILE *file = fopen(path, "wb");

        CHECK(file && fwrite(state.data, 1, i, file) == i && fclose(file) == 0);
        expect_failure(&s, run(&s, "damaged", 1), STATUS_FORMAT, "state.bin");
        state.data[i] ^= 4;
        file = fopen(path, "wb");
        CHECK(file && fwrite(state.data, 1, state.length, file) == state.length && fclose(file) == 0);
        expect_failure(&s, run(&s, "damaged", 1), STATUS_FORMAT, "state.bin");
        state.data[i] ^= 4;
    }
    buffer_free(&state);
    tear_down(&s);
}

struct bad_record {
    const char *text, *words;
};

static void test_bad_records_are_refused(void)
{
    static const struct bad_record bad[] = {
        {"", "expected at least one record, found none"},
        {"\n \n", "expected at least one record, found none"},
        {"{\"prompt\": \"a\"}\n", ":1: \"completion\": expected a string"},
        {"{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"completion\": \"b\"}\n", ":2: \"prompt\": expected"},
        {"{\"prompt\": \"a\", \"completion\": 3}\n", "found a number"},
        {"{\"prompt\": \"a\", \"completion\": \"b\", \"weight\": -1}\n", "\"weight\": expected 0..1e+06, found -1"},
        {"{\"prompt\": \"a\", \"completion\": \"b\", \"weight\": 1e300}\n", "\"weight\": expected"},
        {"{\"prompt\": \"a\", \"completion\": \"b\", \"weight\": \"1\"}\n", "expected a number, found a string"},
        {"{\"messages\": []}\n", "at least one message"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}\n", "answer of the assistant"},
        {"{\"segments\": [{\"text\": \"x\", \"weight\": 0}]}\n", "weight to train on"},
        {"{\"prompt\": \"a\", \"completion\": \"b\"\n", ":1: "},
        {"[1]\n", "expected an object, found an array"},
        {"{\"question\": \"x\"}\n", "found none of them"},
    };
    struct setup s;
    size_t i;

    set_up(&s, "qwen2", 1);
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_text("data.jsonl", bad[i].text);
        expect_failure(&s, run(&s, "bad", 0), STATUS_FORMAT, bad[i].words);
    }
    tear_down(&s);
}

/* Longer than max_len: cut and counted; a prompt that alone is longer teaches nothing. */
static void test_long_records_are_cut(void)
{
    struct setup s;

    write_text("data.jsonl",
               "{\"prompt\": \"a\", \"completion\": \"one two three four five six seven eight nine ten eleven\"}\n"
               "{\"prompt\": \"a\", \"completion\": \"b\"}\n"
               "{\"prompt\": \"one two three four five six seven eight nine ten eleven\", \"completion\": \"b\"}\n"
               "{\"prompt\": \"a\", \"completion\": \"b\", \"weight\": 0}\n");
    set_up(&s, "qwen2", 1);
    s.options.format.max_len = 12;
    s.options.epochs = 1;
    s.options.batch = 1;
    CHECK_MSG(run(&s, "long", 0) == STATUS_OK, "%s", s.diag.message);
    CHECK(s.result.records == 4 && s.result.truncated == 2 && s.result.skipped == 2);
    write_text("data.jsonl",
               "{\"prompt\": \"one two three four five six seven eight nine ten eleven\", \"completion\": \"b\"}\n");
    expect_failure(&s, run(&s, "long", 0), STATUS_FORMAT, "no record has anything to train on");
    tear_down(&s);
}

/* ---- Explosion ---- */

static void test_explosion_is_reported(void)
{
    static const char *const families[] = {"qwen2", "gemma3", "llama"};
    struct setup s;
    size_t f, i;

    write_text("data.jsonl", three_records);
    for (f = 0; f < 3; f++) {
        set_up(&s, families[f], 2);
        s.options.train.lr = 1e30;
        s.options.train.warmup = 0;
        s.options.run.save_every = 1;
        expect_failure(&s, run(&s, "explodes", 0), STATUS_NUMERIC, "step ");
        CHECK_MSG(strstr(s.diag.message, "is kept") && !strstr(strstr(s.diag.message, "step ") + 1, "step 1:"), "%s",
                  s.diag.message);
        for (i = 0; i < s.adapter->n_params; i++)
            CHECK(isfinite(s.adapter->params[i]));
        expect_failure(&s, run(&s, "explodes", 1), STATUS_NUMERIC, "step "); /* the checkpoint is whole */
        tear_down(&s);
    }
}

/* ---- Dev and early stopping ---- */

/* The dev records contradict the training records, so the dev loss soon rises. */
static void test_best_parameters_are_kept(void)
{
    struct setup s;
    float *best;
    size_t bytes;
    uint64_t best_step;
    double dev_loss;

    write_text("data.jsonl", "{\"prompt\": \"Ann\", \"completion\": \" has 12 apples.\"}\n");
    write_text("dev.jsonl", "{\"prompt\": \"Ann\", \"completion\": \" has 12 books, then Ben gives\"}\n");
    set_up(&s, "qwen3", 2);
    s.options.dev = s.dev;
    s.options.epochs = 80;
    s.options.batch = 1;
    s.options.run.eval_every = 2;
    s.options.run.patience = 3;
    s.options.train.lr = 0.01;
    s.options.train.schedule = SCHEDULE_CONSTANT;
    s.options.train.warmup = 0;
    CHECK_MSG(run(&s, "early", 0) == STATUS_OK, "%s", s.diag.message);
    best_step = s.result.best_step;
    dev_loss = s.result.dev_loss;
    CHECK_MSG(best_step > 0 && best_step % 2 == 0 && s.result.steps == best_step + 6 && s.result.steps < 80,
              "best %llu, %llu steps", (unsigned long long)best_step, (unsigned long long)s.result.steps);
    bytes = s.adapter->n_params * sizeof *best;
    best = malloc(bytes);
    memcpy(best, s.adapter->params, bytes);
    CHECK_MSG(run(&s, "early", 1) == STATUS_OK, "%s", s.diag.message); /* a resumed run does not go on past the stop */
    CHECK(s.result.steps == best_step + 6 && memcmp(best, s.adapter->params, bytes) == 0);
    s.options.dev = NULL; /* the same run, ended at the best step, has the same parameters */
    s.options.epochs = (double)best_step;
    CHECK(run(&s, "plain", 0) == STATUS_OK && s.result.steps == best_step);
    CHECK(memcmp(best, s.adapter->params, bytes) == 0);
    CHECK(isfinite(dev_loss));
    free(best);
    tear_down(&s);
}

static void remove_all(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK(system(command) == 0);
}

int main(void)
{
    const char *where = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%.40s/arklet-sft-XXXXXX", where && *where ? where : "/tmp");
    if (!mkdtemp(folder))
        return 1;
    RUN(test_overfits_one_transcript);
    RUN(test_muon_learns);
    RUN(test_threads_leave_no_trace);
    RUN(test_resumes_after_any_failed_write);
    RUN(test_stopped_run_goes_on);
    RUN(test_other_runs_are_refused);
    RUN(test_damaged_checkpoints_are_refused);
    RUN(test_bad_records_are_refused);
    RUN(test_long_records_are_cut);
    RUN(test_explosion_is_reported);
    RUN(test_best_parameters_are_kept);
    remove_all();
    return TEST_RESULT();
}
