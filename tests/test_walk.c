/* test_walk.c - the way from a line of a debate to an updated adapter, stop by stop, with the numbers of each (walk.h).
 *
 * The last stop compares the adapter with that of sft_run, byte for byte. Two stops are also done by hand, in the order
 * that design and headers promise. test_walk_reward.c goes on. */
#define WALK_GOLDEN "fixtures/golden/walk.txt"
#define WALK_FIRST  1
#include "walk.h"

#include "adapter_file.h"
#include "file.h"
#include "gguf.h"
#include "half.h"
#include "prompt.h"
#include "select.h"
#include "sft.h"

#define CONTEXT 512
#define RATE    0.01

static struct {
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
} s;

static double norm_of(const float *x, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
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
    struct sft_options *o = &s.options;

    o->run.config = "";
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
    walk_set_up();
    set_options();
}

static void tear_down(void)
{
    example_free(&s.example);
    trainer_free(s.trainer);
    adapter_free(s.adapter);
    walk_tear_down();
}

/* ---- The stops ---- */

static void stop_transcript(void)
{
    struct record_options options = {0};
    struct record_reader reader;
    const struct record *record = NULL;
    struct transcript t;
    size_t right = 0;

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

    DO(record_open(&reader, in_folder("traces.jsonl"), &options, &w.diag));
    DO(record_next(&reader, &record, &w.diag));
    if (!record)
        return;
    DO(example_read(&s.example, record->json, &s.options.format, "traces.jsonl:1", &w.diag));
    record_close(&reader);
    note("tokens", "%zu", s.example.tokens.count);
    note("trained_tokens", "%zu", s.example.n_trained);
    note("weight", "%.9g", s.example.weight);
    for (size_t i = 1; i < s.example.tokens.count; i++) {
        if (s.example.weights[i] == 0)
            continue;
        s.rows[s.n_rows] = i - 1;
        s.weights[s.n_rows] = s.example.weights[i];
        s.targets[s.n_rows++] = s.example.tokens.ids[i];
    }
    note("first_trained_id", "%ld", (long)s.targets[0]);
    note("last_trained_id", "%ld", (long)s.targets[s.n_rows - 1]); /* EOS */
}

/* The whole step as the program does it, with an adapter of its own that the last stop compares. */
static void stop_step(void)
{
    struct adapter *adapter = fresh_adapter();
    struct sft_result result;
    char data[128];

    snprintf(data, sizeof data, "%s", in_folder("traces.jsonl"));
    s.options.data = data;
    s.options.run.output = in_folder("run");
    DO(file_make_folder(in_folder("run/checkpoint"), &w.diag));
    DO(sft_run(w.model, adapter, NULL, &w.exec, &s.options, &result, &w.diag));
    DO(adapter_save(adapter, w.model, in_folder("run"), &w.diag));
    adapter_free(adapter);
    s.loss = result.loss;
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

    model_embed(w.model, s.targets[0], x);
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

    s.adapter = fresh_adapter();
    DO(trainer_create(&s.trainer, w.model, s.adapter, NULL, &w.exec, &s.options.train, &s.options.backward, &w.diag));
    s.span = (struct train_span){s.example.tokens.ids, s.example.tokens.count, -1};
    trainer_begin_step(s.trainer);
    DO(backward_forward(s.trainer->backward, &s.span, 1, &s.hidden, &w.diag));
    const float *row = s.hidden + s.rows[0] * backward_stride(s.trainer->backward);
    note("hidden_before_the_completion", "%.9g %.9g %.9g", (double)row[0], (double)row[1], (double)row[dim - 1]);
    note("norm_of_that_row", "%.9g", norm_of(row, dim));
}

static void coefficients(void *context, size_t first, size_t n, const float *logprob, const float *entropy, float *c)
{
    (void)context;
    (void)logprob;
    (void)entropy;
    for (size_t i = 0; i < n; i++)
        c[i] = (float)((double)s.weights[first + i] / s.example.weight);
}

static double mean_loss(void)
{
    double sum = 0;

    for (size_t i = 0; i < s.n_rows; i++)
        sum -= (double)s.weights[i] * (double)s.logprobs[i];
    return sum / s.example.weight;
}

static void stop_loss(void)
{
    struct backward *b = s.trainer->backward;

    DO(backward_loss(b, s.rows, s.targets, s.n_rows, s.logprobs, NULL, coefficients, NULL, NULL, &w.diag));
    note("logprob_of_the_first_token", "%.9g", (double)s.logprobs[0]);
    note("loss", "%.9g", mean_loss());
    CHECK_MSG(mean_loss() == s.loss, "sft_run: %.17g, here %.17g", s.loss, mean_loss());
    note("norm_of_d_hidden", "%.9g", norm_of(backward_d_hidden(b), s.example.tokens.count * backward_stride(b)));
}

static void stop_back(void)
{
    DO(trainer_pass(s.trainer, &w.diag));
    note("gradient_norm", "%.9g", optim_norm(&w.exec, s.trainer->grads, s.trainer->n_params));
}

static void stop_pairs(void)
{
    char name[64];

    for (size_t layer = 0; layer < s.adapter->n_layers; layer++)
        for (int t = 0; t < TARGET_COUNT; t++) {
            const struct lora *lora = &s.adapter->loras[layer][t];
            const float *d_a = s.trainer->grads + (lora->a - s.adapter->params), *d_b = d_a + (lora->b_t - lora->a);
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
    const struct lora *lora = &s.adapter->loras[0][TARGET_Q];

    note("clip_factor", "%.9g", (double)optim_clip(optim_norm(&w.exec, s.trainer->grads, s.trainer->n_params), 1));
    note("B_before", "%.9g", (double)lora->b_t[0]);
    DO(trainer_end_step(s.trainer, &w.diag));
    note("learning_rate", "%.9g", s.trainer->learning_rate);
    note("B_after", "%.9g", (double)lora->b_t[0]);
    DO(backward_forward(s.trainer->backward, &s.span, 1, &s.hidden, &w.diag));
    DO(backward_loss(s.trainer->backward, s.rows, s.targets, s.n_rows, s.logprobs, NULL, NULL, NULL, NULL, &w.diag));
    note("loss_after", "%.9g", mean_loss());
    CHECK_MSG(mean_loss() < s.loss, "loss %g, before %g", mean_loss(), s.loss);
}

static void stop_adapter(void)
{
    static const char *const files[] = {"adapter_model.safetensors", "adapter.gguf"};
    char path[64];

    DO(adapter_save(s.adapter, w.model, in_folder("walked"), &w.diag));
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

static const struct stop stops[] = {
    {"src/ark/transcript_read.c", "transcript_read", "a line of a debate becomes turns: who said what, who was right",
     stop_transcript},
    {"src/ark/select.c", "select_run", "right turns become traces: a prompt, a completion, a weight", stop_select},
    {"src/ark/example.c", "example_read", "a trace becomes tokens with a loss weight each", stop_example},
    {"src/ark/sft.c", "sft_step", "a step in one sentence; the stops below are its parts", stop_step},
    {"quant/scalar.c", "add_block", "a quantised product, in plain C (the formula: `include/kernels.h`)", stop_product},
    {"src/model/forward.c", "forward_nine_steps", "nine numbered steps a layer", stop_forward},
    {"src/model/backward_forward.c", "backward_loss", "the loss through the head, in chunks of positions", stop_loss},
    {"src/model/backward.c", "backward_run", "the nine steps back, from 9 to 1", stop_back},
    {"src/nn/lora.c", "lora_backward", "gradients of A and B", stop_pairs},
    {"src/nn/linear.c", "linear_backward", "the gradient through quantised weights", stop_linear},
    {"src/nn/optim.c", "optim_step", "clipping and AdamW, the updated adapter", stop_update},
    {"src/model/adapter_write.c", "adapter_save", "the adapter on disk, as PEFT folder and GGUF", stop_adapter},
};

int main(int argc, char **argv)
{
    return walk_main(argc, argv, stops, sizeof stops / sizeof *stops, set_up, tear_down);
}
