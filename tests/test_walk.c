/* test_walk.c - the way from a line of a debate to an updated adapter, stop by stop, with the numbers of each.
 *
 *   test_walk          compares every number with fixtures/golden/walk.txt; a line per stop
 *   test_walk show     prints the stops and their numbers as well (make walk)
 *   test_walk golden   prints fixtures/golden/walk.txt
 *   test_walk stops    prints README.md's table of stops, which tests/check_walk.sh compares with it
 *
 * What a stop computes is the program's own: the last one compares the adapter with that of sft_run, byte for byte. Two
 * stops are also done by hand, in the order that design and headers promise. The student is a model of random weights
 * (seed 1), rounded to Q4_0; numbers are exact on every machine, since the arithmetic is. */
#include <math.h>
#include <stdarg.h>
#include <unistd.h>

#include "adapter_file.h"
#include "file.h"
#include "gguf.h"
#include "half.h"
#include "model_fixture.h"
#include "model_init.h"
#include "prompt.h"
#include "quantize.h"
#include "select.h"
#include "sft.h"

#define DEBATES  "fixtures/walk.jsonl"
#define GOLDEN   "fixtures/golden/walk.txt"
#define CONTEXT  512
#define RATE     0.01
#define MAX_TEXT 65536

static const struct stop {
    const char *file, *function, *what;
} stops[] = {
    {"src/ark/transcript_read.c", "transcript_read", "a line of a debate becomes turns: who said what, who was right"},
    {"src/ark/select.c", "select_run", "right turns become traces: a prompt, a completion, a weight"},
    {"src/ark/example.c", "example_read", "a trace becomes tokens with a loss weight each"},
    {"src/ark/sft.c", "sft_step", "a step in one sentence; the stops below are its parts"},
    {"quant/scalar.c", "add_block", "a quantised product, in plain C (the formula: `include/kernels.h`)"},
    {"src/model/forward.c", "forward_nine_steps", "nine numbered steps a layer"},
    {"src/model/backward_forward.c", "backward_loss", "the loss through the head, in chunks of positions"},
    {"src/model/backward.c", "backward_run", "the nine steps back, from 9 to 1"},
    {"src/nn/lora.c", "lora_backward", "gradients of A and B"},
    {"src/nn/linear.c", "linear_backward", "the gradient through quantised weights"},
    {"src/nn/optim.c", "optim_step", "clipping and AdamW, the updated adapter"},
    {"src/model/adapter_write.c", "adapter_save", "the adapter on disk, as PEFT folder and GGUF"},
};

#define N_STOPS (sizeof stops / sizeof *stops)

/* ---- Numbers, as lines "stop name value" ---- */

static int showing, making;
static size_t stop_now; /* from 1 */
static char golden[MAX_TEXT];

static void enter(size_t stop)
{
    stop_now = stop;
    if (showing)
        printf("\n%2zu  %s: %s\n    %s\n", stop, stops[stop - 1].file, stops[stop - 1].function, stops[stop - 1].what);
}

static void note(const char *name, const char *format, ...)
{
    char value[128], line[256];
    va_list list;

    va_start(list, format);
    vsnprintf(value, sizeof value, format, list);
    va_end(list);
    snprintf(line, sizeof line, "\n%zu %s %s\n", stop_now, name, value);
    if (showing)
        printf("      %-34s %s\n", name, value);
    if (making)
        printf("%s", line + 1);
    else
        CHECK_MSG(strstr(golden, line) != NULL, "stop %zu: %s is %s, which is not in " GOLDEN, stop_now, name, value);
}

static void read_golden(void)
{
    FILE *file = fopen(GOLDEN, "r");
    size_t n;

    golden[0] = '\n';
    n = file ? fread(golden + 1, 1, sizeof golden - 2, file) : 0;
    golden[n + 1] = 0;
    if (file)
        fclose(file);
}

/* ---- What all stops share ---- */

static struct walk {
    char folder[64];
    struct exec exec;
    struct model *model;
    struct adapter *adapter;
    struct trainer *trainer;
    struct sft_options options;
    struct example example;
    struct train_span span;
    size_t rows[CONTEXT], n_rows;
    int32_t targets[CONTEXT];
    float weights[CONTEXT], logprobs[CONTEXT];
    const float *hidden;
    double loss;
    struct arena arena;
    struct diag diag;
} w;

#define DO(call) CHECK_MSG((call) == STATUS_OK, "%s: %s", #call, w.diag.message)

static const char *in_folder(const char *name)
{
    static char paths[8][128];
    static size_t next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof paths[0], "%s/%s", w.folder, name);
    return path;
}

static double norm_of(const float *x, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* Random weights, rounded to Q4_0. */
static void make_student(void)
{
    static const char config[] =
        "{\"model_type\": \"qwen3\", \"hidden_size\": 64, \"intermediate_size\": 128, \"num_hidden_layers\": 2, "
        "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"head_dim\": 16, \"max_position_embeddings\": 512, "
        "\"initializer_range\": 0.1, \"tie_word_embeddings\": true}";
    struct model_init_options init = {
        .tokenizer = "fixtures/models/qwen2/model.gguf", .seed = 1, .type = DTYPE_F32, .pool = w.exec.pool};
    struct quantize_options quantize = {.type = quantize_type_find("Q4_0"), .pure = 1, .pool = w.exec.pool};
    struct model_init_report init_report;
    struct quantize_report quantize_report;
    FILE *file = fopen(in_folder("config.json"), "w");

    CHECK(file && fputs(config, file) >= 0 && fclose(file) == 0);
    DO(model_init(in_folder("config.json"), in_folder("float.gguf"), &init, &init_report, &w.diag));
    DO(quantize_model(in_folder("float.gguf"), in_folder("student.gguf"), &quantize, &quantize_report, &w.diag));
    DO(model_load(&w.model, in_folder("student.gguf"), &w.exec, 0, &w.diag));
}

static struct adapter *fresh_adapter(void)
{
    struct adapter_shape shape = {.rank = 4, .alpha = 8, .targets = TARGET_ALL};
    struct adapter *adapter = NULL;

    DO(adapter_create(&adapter, w.model, &shape, &w.diag));
    adapter_init(adapter, 1);
    return adapter;
}

static void set_options(void)
{
    struct sft_options *o = &w.options;

    o->config = "";
    o->epochs = 1;
    o->batch = 1;
    o->format.tokenizer = w.model->tokenizer;
    o->format.max_len = CONTEXT;
    o->backward =
        (struct backward_options){.max_tokens = CONTEXT, .max_spans = 1, .head_rows = 16, .k_type = DTYPE_F16};
    o->backward.v_type = DTYPE_F16;
    o->train.lr = RATE;
    o->train.schedule = SCHEDULE_CONSTANT;
    o->train.clip = 1;
    o->train.optim = (struct optim_options){.beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
    o->train.seed = 1;
    o->train.total_steps = 1;
}

static void set_up(void)
{
    snprintf(w.folder, sizeof w.folder, "/tmp/test_walk.XXXXXX");
    CHECK(mkdtemp(w.folder) != NULL);
    w.exec.kernels = kernels_find(NULL);
    arena_init(&w.arena, "walk", 0);
    DO(pool_create(&w.exec.pool, 2, &w.diag));
    make_student();
    set_options();
}

static void tear_down(void)
{
    char command[128];

    example_free(&w.example);
    trainer_free(w.trainer);
    adapter_free(w.adapter);
    model_free(w.model);
    arena_free(&w.arena);
    pool_destroy(w.exec.pool);
    snprintf(command, sizeof command, "rm -rf %s", w.folder);
    CHECK(system(command) == 0);
}

/* ---- The stops ---- */

static void stop_transcript(void)
{
    struct record_options options = {0};
    struct record_reader reader;
    const struct record *record = NULL;
    struct transcript t;
    size_t right = 0;

    enter(1);
    DO(record_open(&reader, DEBATES, &options, &w.diag));
    DO(record_next(&reader, &record, &w.diag));
    if (!record)
        return;
    DO(transcript_read(&t, record, &reader.arena, &w.diag));
    for (size_t i = 0; i < t.n_turns; i++)
        right += t.turns[i].correct == 1;
    note("agents", "%zu", t.n_agents);
    note("rounds", "%zu", t.n_rounds);
    note("turns", "%zu", t.n_turns);
    note("right_turns", "%zu", right);
    note("vote", "%s by %zu", t.vote ? t.vote : "none", t.votes);
    note("answer_of_agent_2", "%s then %s", t.turns[2].answer, t.turns[5].answer);
    record_close(&reader);
}

static void stop_select(void)
{
    struct select_options options = {.strategy = SELECT_DA, .k = 1, .min_correct = 2};
    struct chat_template chat;
    struct prompt_style style;
    struct record_reader reader;
    struct select_summary summary;
    struct file_rewrite out;

    enter(2);
    memset(&style, 0, sizeof style);
    DO(prompt_style_open(&style, &chat, w.model, NULL, 1, NULL, &w.diag));
    options.style = &style;
    DO(file_rewrite_open(&out, in_folder("traces.jsonl"), &w.diag));
    DO(select_run(&options, DEBATES, &out, &reader, &summary, &w.diag));
    record_close(&reader);
    DO(file_rewrite_close(&out, 1, &w.diag));
    note("traces", "%zu", (size_t)(summary.consensus + summary.corrective));
    note("turns_wrong", "%zu", (size_t)summary.left_out[SELECT_WRONG]);
    note("turns_duplicate", "%zu", (size_t)summary.left_out[SELECT_DUPLICATE]);
    note("bytes_of_completions", "%zu", (size_t)summary.bytes);
}

static void stop_example(void)
{
    struct record_options options = {0};
    struct record_reader reader;
    const struct record *record = NULL;

    enter(3);
    DO(record_open(&reader, in_folder("traces.jsonl"), &options, &w.diag));
    DO(record_next(&reader, &record, &w.diag));
    if (!record)
        return;
    DO(example_read(&w.example, record->json, &w.options.format, "traces.jsonl:1", &w.diag));
    record_close(&reader);
    note("tokens", "%zu", w.example.tokens.count);
    note("trained_tokens", "%zu", w.example.n_trained);
    note("weight", "%.9g", w.example.weight);
    for (size_t i = 1; i < w.example.tokens.count; i++) {
        if (w.example.weights[i] == 0)
            continue;
        w.rows[w.n_rows] = i - 1;
        w.weights[w.n_rows] = w.example.weights[i];
        w.targets[w.n_rows++] = w.example.tokens.ids[i];
    }
    note("first_trained_id", "%ld", (long)w.targets[0]);
    note("last_trained_id", "%ld", (long)w.targets[w.n_rows - 1]); /* EOS */
}

/* The whole step as the program does it, with an adapter of its own that the last stop compares. */
static void stop_step(void)
{
    struct adapter *adapter = fresh_adapter();
    struct sft_result result;
    char data[128];

    enter(4);
    snprintf(data, sizeof data, "%s", in_folder("traces.jsonl"));
    w.options.data = data;
    w.options.output = in_folder("run");
    DO(file_make_folder(in_folder("run/checkpoint"), &w.diag));
    DO(sft_run(w.model, adapter, NULL, &w.exec, &w.options, &result, &w.diag));
    DO(adapter_save(adapter, w.model, in_folder("run"), &w.diag));
    adapter_free(adapter);
    w.loss = result.loss;
    note("steps", "%zu", (size_t)result.steps);
    note("loss", "%.9g", result.loss);
}

/* Row 0 of the first layer's q times one row of activations, by hand from the bytes of the file and by the kernels. */
static void stop_product(void)
{
    const struct linear *q = &w.model->layers[0].attn_q;
    size_t n = (size_t)w.model->config.dim, blocks = n / 32;
    float *x = arena_array(&w.arena, n, sizeof *x), *y = arena_array(&w.arena, q->w.rows, sizeof *y), acc = 0;
    struct linear_input input;
    struct linear_job job = {q, y, q->w.rows, NULL};
    struct exec scalar = {kernels_find("scalar"), w.exec.pool};
    struct gguf gguf;
    const struct gguf_tensor *tensor;

    enter(5);
    model_embed(w.model, w.targets[0], x);
    CHECK(linear_input_create(&input, &w.arena, 1, n));
    linear_input_set(&input, x, n, 1, n);
    linear_forward(&scalar, &job, 1, &input);
    DO(gguf_open(&gguf, in_folder("student.gguf"), GGUF_ALL, &w.diag));
    tensor = gguf_tensor(&gguf, "blk.0.attn_q.weight");
    CHECK(tensor && tensor->type == DTYPE_Q4_0);
    for (size_t b = 0; tensor && b < blocks; b++) {
        const uint8_t *block = tensor->data + b * 18; /* f16 scale, sixteen bytes of two codes */
        int32_t sum = 0;
        for (int i = 0; i < 16; i++)
            sum += ((block[2 + i] & 15) - 8) * input.q.q[b * 32 + (size_t)i] +
                   ((block[2 + i] >> 4) - 8) * input.q.q[b * 32 + 16 + (size_t)i];
        acc = fmaf(half_from_f16((uint16_t)(block[0] | block[1] << 8)) * input.q.d[b], (float)sum, acc);
        note(b ? "integer_sum_of_block_1" : "integer_sum_of_block_0", "%d", (int)sum);
    }
    gguf_close(&gguf);
    note("activation_scale_of_block_0", "%.9g", (double)input.q.d[0]);
    note("product", "%.9g", (double)acc);
    CHECK_MSG(y[0] == acc, "scalar tier: %.9g, by hand %.9g", (double)y[0], (double)acc);
    linear_input_set(&input, x, n, 1, n);
    linear_forward(&w.exec, &job, 1, &input);
    CHECK_MSG(y[0] == acc, "%s tier: %.9g, by hand %.9g", w.exec.kernels->name, (double)y[0], (double)acc);
}

static void stop_forward(void)
{
    size_t dim = (size_t)w.model->config.dim;

    enter(6);
    w.adapter = fresh_adapter();
    DO(trainer_create(&w.trainer, w.model, w.adapter, NULL, &w.exec, &w.options.train, &w.options.backward, &w.diag));
    w.span = (struct train_span){w.example.tokens.ids, w.example.tokens.count, -1};
    trainer_begin_step(w.trainer);
    DO(backward_forward(w.trainer->backward, &w.span, 1, &w.hidden, &w.diag));
    const float *row = w.hidden + w.rows[0] * backward_stride(w.trainer->backward);
    note("hidden_before_the_completion", "%.9g %.9g %.9g", (double)row[0], (double)row[1], (double)row[dim - 1]);
    note("norm_of_that_row", "%.9g", norm_of(row, dim));
}

static void coefficients(void *context, size_t first, size_t n, const float *logprob, const float *entropy, float *c)
{
    (void)context;
    (void)logprob;
    (void)entropy;
    for (size_t i = 0; i < n; i++)
        c[i] = (float)((double)w.weights[first + i] / w.example.weight);
}

static double mean_loss(void)
{
    double sum = 0;

    for (size_t i = 0; i < w.n_rows; i++)
        sum -= (double)w.weights[i] * (double)w.logprobs[i];
    return sum / w.example.weight;
}

static void stop_loss(void)
{
    struct backward *b = w.trainer->backward;

    enter(7);
    DO(backward_loss(b, w.rows, w.targets, w.n_rows, w.logprobs, NULL, coefficients, NULL, NULL, &w.diag));
    note("logprob_of_the_first_token", "%.9g", (double)w.logprobs[0]);
    note("loss", "%.9g", mean_loss());
    CHECK_MSG(mean_loss() == w.loss, "sft_run: %.17g, here %.17g", w.loss, mean_loss());
    note("norm_of_d_hidden", "%.9g", norm_of(backward_d_hidden(b), w.example.tokens.count * backward_stride(b)));
}

static void stop_back(void)
{
    enter(8);
    trainer_pass(w.trainer);
    note("gradient_norm", "%.9g", optim_norm(&w.exec, w.trainer->grads, w.trainer->n_params));
}

static void stop_pairs(void)
{
    char name[64];

    enter(9);
    for (size_t layer = 0; layer < w.adapter->n_layers; layer++)
        for (int t = 0; t < TARGET_COUNT; t++) {
            const struct lora *lora = &w.adapter->loras[layer][t];
            const float *d_a = w.trainer->grads + (lora->a - w.adapter->params), *d_b = d_a + (lora->b_t - lora->a);
            snprintf(name, sizeof name, "norm_of_dB_%zu_%s", layer, adapter_peft_name((enum target)t));
            note(name, "%.9g", norm_of(d_b, lora->rank * lora->out_stride));
            CHECK_MSG(norm_of(d_a, lora->rank * lora->in) == 0, "dA of %s while B is 0", name);
        }
}

/* dX = dY W with dY = 1, 2, 3, ... by hand, output rows ascending, and by the program. */
static void stop_linear(void)
{
    const struct linear *q = &w.model->layers[0].attn_q;
    size_t rows = q->w.rows, n = q->w.cols;
    float *dy = arena_array(&w.arena, rows, sizeof *dy), *dx = arena_array(&w.arena, n, sizeof *dx);
    float *hand = arena_array(&w.arena, n, sizeof *hand), *row = arena_array(&w.arena, n, sizeof *row);
    float *scratch[2] = {arena_array(&w.arena, linear_backward_scratch(), sizeof(float)),
                         arena_array(&w.arena, linear_backward_scratch(), sizeof(float))};
    struct linear_gradient job = {q, dy, rows};

    enter(10);
    for (size_t r = 0; r < rows; r++) {
        dy[r] = (float)(r + 1);
        pack_decode_row(&q->w, r, 0, n, row);
        for (size_t c = 0; c < n; c++)
            hand[c] = fmaf(dy[r], row[c], hand[c]);
    }
    linear_backward(&w.exec, dx, n, &job, 1, 1, scratch);
    note("dX", "%.9g %.9g %.9g", (double)dx[0], (double)dx[1], (double)dx[n - 1]);
    CHECK(memcmp(dx, hand, n * sizeof *dx) == 0);
}

static void stop_update(void)
{
    const struct lora *lora = &w.adapter->loras[0][TARGET_Q];

    enter(11);
    note("clip_factor", "%.9g", (double)optim_clip(optim_norm(&w.exec, w.trainer->grads, w.trainer->n_params), 1));
    note("B_before", "%.9g", (double)lora->b_t[0]);
    DO(trainer_end_step(w.trainer, &w.diag));
    note("learning_rate", "%.9g", w.trainer->learning_rate);
    note("B_after", "%.9g", (double)lora->b_t[0]);
    DO(backward_forward(w.trainer->backward, &w.span, 1, &w.hidden, &w.diag));
    DO(backward_loss(w.trainer->backward, w.rows, w.targets, w.n_rows, w.logprobs, NULL, NULL, NULL, NULL, &w.diag));
    note("loss_after", "%.9g", mean_loss());
    CHECK_MSG(mean_loss() < w.loss, "loss %g, before %g", mean_loss(), w.loss);
}

static void stop_adapter(void)
{
    static const char *const files[] = {"adapter_model.safetensors", "adapter.gguf"};
    char path[64];

    enter(12);
    DO(adapter_save(w.adapter, w.model, in_folder("walked"), &w.diag));
    for (int i = 0; i < 2; i++) {
        struct buffer ours = {0}, programs = {0};
        snprintf(path, sizeof path, "walked/%s", files[i]);
        DO(file_read(&ours, in_folder(path), 0, &w.diag));
        snprintf(path, sizeof path, "run/%s", files[i]);
        DO(file_read(&programs, in_folder(path), 0, &w.diag));
        CHECK_MSG(ours.length == programs.length && memcmp(ours.data, programs.data, ours.length) == 0,
                  "%s is not what sft_run made", files[i]);
        note(files[i], "%zu bytes", ours.length);
        buffer_free(&ours);
        buffer_free(&programs);
    }
}

static void (*const steps[])(void) = {stop_transcript, stop_select,  stop_example, stop_step,
                                      stop_product,    stop_forward, stop_loss,    stop_back,
                                      stop_pairs,      stop_linear,  stop_update,  stop_adapter};

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";

    if (strcmp(mode, "stops") == 0) {
        for (size_t i = 0; i < N_STOPS; i++)
            printf("| %zu | `%s` | `%s` | %s |\n", i + 1, stops[i].file, stops[i].function, stops[i].what);
        return 0;
    }
    showing = strcmp(mode, "show") == 0;
    making = strcmp(mode, "golden") == 0;
    read_golden();
    RUN(set_up);
    for (size_t i = 0; i < N_STOPS; i++) {
        test_failed_here = 0;
        steps[i]();
        test_failures += test_failed_here;
        if (test_failed_here)
            printf("FAIL stop %zu: %s\n", i + 1, test_message);
        else if (!making)
            printf("%sok stop %zu, %s\n", showing ? "    " : "", i + 1, stops[i].function);
    }
    RUN(tear_down);
    return TEST_RESULT();
}
