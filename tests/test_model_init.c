/* test_model_init.c - random models of every family: they load, their weights have the stated distribution, the same
 * seed gives the same bytes for any number of threads; tokenizers of all forms; failures. */
#include <math.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gguf.h"
#include "model_fixture.h"
#include "model_init.h"
#include "tokenizer.h"

static char folder[64];

static const char *in_folder(const char *name)
{
    static char paths[8][256];
    static int turn;

    turn = (turn + 1) % 8;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

static const char *fixture(const char *name, const char *file)
{
    static char path[256];

    snprintf(path, sizeof path, "fixtures/models/%s%s", name, file);
    return path;
}

static enum status init(const char *config, const char *out, const char *tokenizer, uint64_t seed, enum dtype type,
                        int threads, struct diag *diag)
{
    struct model_init_options options = {.tokenizer = tokenizer, .seed = seed, .type = type};
    struct model_init_report report;

    if (threads)
        CHECK(pool_create(&options.pool, threads, diag) == STATUS_OK);
    enum status status = model_init(config, out, &options, &report, diag);
    pool_destroy(options.pool);
    return status;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    CHECK(file != NULL);
    if (file) {
        fputs(text, file);
        fclose(file);
    }
}

static int same_files(const char *a, const char *b)
{
    FILE *x = fopen(a, "rb"), *y = fopen(b, "rb");
    int same = x && y, c;

    do {
        c = same ? getc(x) : EOF;
        same = same && c == getc(y);
    } while (same && c != EOF);
    if (x)
        fclose(x);
    if (y)
        fclose(y);
    return same;
}

/* Weights of one model: vectors are 1 or 0, matrices normal. The bounds are five standard errors. */
static void check_weights(const char *path, double deviation)
{
    struct gguf gguf;
    struct diag diag;
    double sum = 0, square = 0, fourth = 0, n = 0;

    CHECK(gguf_open(&gguf, path, GGUF_ALL, &diag) == STATUS_OK);
    for (size_t i = 0; i < gguf.n_tensors; i++) {
        const struct gguf_tensor *t = &gguf.tensors[i];
        int is_norm = strstr(t->name, "norm.weight") != NULL, is_bias = strstr(t->name, ".bias") != NULL;
        CHECK(t->type == DTYPE_F32);
        for (uint64_t j = 0; j < t->n_elements && !strstr(t->name, "rope"); j++) {
            float value;
            memcpy(&value, t->data + j * sizeof value, sizeof value);
            if (is_norm || is_bias) {
                CHECK_MSG(value == (is_norm ? 1.0f : 0.0f), "%s: %g", t->name, (double)value);
            } else {
                sum += value;
                square += (double)value * value;
                fourth += pow(value, 4);
                n++;
            }
        }
    }
    square /= n;
    CHECK_MSG(fabs(sum / n) < 5 * deviation / sqrt(n), "mean %g", sum / n);
    CHECK_MSG(fabs(square / (deviation * deviation) - 1) < 5 * sqrt(2 / n), "variance %g", square);
    CHECK_MSG(fabs(fourth / n / (square * square) - 3) < 5 * sqrt(24 / n), "kurtosis %g", fourth / n / square / square);
    gguf_close(&gguf);
}

/* The model loads, has the fixture's shape, and its tokenizer gives the fixture's ids. */
static void check_model(const char *name, const char *path)
{
    struct exec exec = {kernels_find(NULL), NULL};
    struct model *model = NULL, *reference = fixture_load(name, "/model.gguf", &exec);
    struct tokens ids = {0}, wanted = {0};
    const char *text = "Ann has 12 apples. <s> \xC3\xA4";
    struct diag diag;

    CHECK_MSG(model_load(&model, path, &exec, 0, &diag) == STATUS_OK, "%s: %s", name, diag.message);
    if (model && reference) {
        struct config a = model->config, b = reference->config;
        CHECK_MSG(a.arch == b.arch && a.n_layers == b.n_layers && a.dim == b.dim && a.head_dim == b.head_dim &&
                      a.vocab_size == b.vocab_size && a.tied == b.tied && a.window == b.window &&
                      a.rope_base[0] == b.rope_base[0] && a.rope_linear[0] == b.rope_linear[0] &&
                      a.attn_scale == b.attn_scale && a.ctx_len == b.ctx_len,
                  "%s: another shape", name);
        CHECK(memcmp(model->inv_freq[0], reference->inv_freq[0], (size_t)a.rope_dim / 2 * sizeof(float)) == 0);
        CHECK(tokenizer_encode(model->tokenizer, text, strlen(text), ENCODE_BOS, &ids, &diag) == STATUS_OK);
        CHECK(tokenizer_encode(reference->tokenizer, text, strlen(text), ENCODE_BOS, &wanted, &diag) == STATUS_OK);
        CHECK_MSG(ids.count == wanted.count && memcmp(ids.ids, wanted.ids, ids.count * sizeof *ids.ids) == 0,
                  "%s: other ids", name);
    }
    tokens_free(&ids);
    tokens_free(&wanted);
    model_free(model);
    model_free(reference);
}

static void test_families(void)
{
    for (size_t i = 0; i < N_FIXTURES; i++) {
        const char *name = fixture_names[i], *out = in_folder("model.gguf"), *other = in_folder("other.gguf");
        struct diag diag;
        CHECK_MSG(init(fixture(name, ""), out, NULL, 7, DTYPE_F32, 0, &diag) == STATUS_OK, "%s", diag.message);
        check_weights(out, 0.02);
        check_model(name, out);
        /* The tokenizer of the GGUF, the configuration by itself. */
        char config[256];
        snprintf(config, sizeof config, "%s", fixture(name, "/config.json"));
        CHECK(init(config, other, fixture(name, "/model.gguf"), 7, DTYPE_F32, 3, &diag) == STATUS_OK);
        check_model(name, other);
    }
}

static void test_same_bytes(void)
{
    const char *config = "fixtures/models/qwen2", *first = in_folder("first.gguf");
    struct diag diag;

    mkdir(in_folder("b"), 0777);
    CHECK(init(config, first, NULL, 1, DTYPE_F16, 0, &diag) == STATUS_OK);
    for (int threads = 1; threads <= 3; threads += 2) {
        const char *again = in_folder("b/first.gguf");
        CHECK(init(config, again, NULL, 1, DTYPE_F16, threads, &diag) == STATUS_OK);
        CHECK(same_files(first, again));
        CHECK(init(config, again, NULL, 2, DTYPE_F16, threads, &diag) == STATUS_OK);
        CHECK(!same_files(first, again));
    }
}

/* Every type holds the same numbers, rounded; the first four of a row are those that the formulas of rng.c and of Box
 * and Muller give in another language's doubles. */
static void test_types(void)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    static const float wanted[4] = {0.00959064718f, 0.0380549096f, 0.0186671969f, -0.00748320716f};
    float values[3][56], rounded[56];
    uint8_t encoded[56 * 4];

    for (int i = 0; i < 3; i++) {
        const char *out = in_folder("typed.gguf");
        struct gguf gguf;
        struct diag diag;
        CHECK(init("fixtures/models/qwen2", out, NULL, 1, types[i], 2, &diag) == STATUS_OK);
        CHECK(gguf_open(&gguf, out, GGUF_ALL, &diag) == STATUS_OK);
        const struct gguf_tensor *t = gguf_tensor(&gguf, "blk.1.ffn_up.weight");
        CHECK(t && t->type == types[i] && t->dims[0] == 56);
        if (t)
            dtype_decode_row(t->type, values[i], t->data, 56);
        CHECK(gguf_tensor(&gguf, "blk.1.attn_q.bias")->type == DTYPE_F32);
        gguf_close(&gguf);
        dtype_encode_row(types[i], encoded, values[0], 56);
        dtype_decode_row(types[i], rounded, encoded, 56);
        CHECK(memcmp(rounded, values[i], sizeof rounded) == 0);
    }
    for (int i = 0; i < 4; i++)
        CHECK_MSG(values[0][i] == wanted[i], "element %d: %.9g", i, (double)values[0][i]);
}

#define SHAPE                                                                                                          \
    "\"hidden_size\": 32, \"intermediate_size\": 48, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "           \
    "\"max_position_embeddings\": 64"

/* vocab_size: the tokenizer's, more with unused tokens, never fewer; without a tokenizer it must be given. */
static void test_vocabulary(void)
{
    const char *config = in_folder("config.json"), *out = in_folder("v.gguf"),
               *gguf_path = "fixtures/models/llama/model.gguf";
    struct exec exec = {kernels_find(NULL), NULL};
    struct model *model = NULL;
    struct diag diag;

    write_text(config, "{\"model_type\": \"llama\", " SHAPE "}");
    CHECK(init(config, out, gguf_path, 1, DTYPE_F32, 0, &diag) == STATUS_OK);
    CHECK(model_load(&model, out, &exec, 0, &diag) == STATUS_OK && model->config.vocab_size == 300);
    model_free(model);
    CHECK(init(config, out, NULL, 1, DTYPE_F32, 0, &diag) == STATUS_FORMAT && strstr(diag.message, "vocab_size"));

    write_text(config, "{\"model_type\": \"qwen3\", \"vocab_size\": 310, " SHAPE "}");
    for (int form = 0; form < 3; form++) {
        const char *tokenizer = form == 0 ? gguf_path : form == 1 ? "fixtures/models/llama" : NULL;
        CHECK_MSG(init(config, out, tokenizer, 1, DTYPE_F32, 0, &diag) == STATUS_OK, "%s", diag.message);
        CHECK_MSG(model_load(&model, out, &exec, 0, &diag) == STATUS_OK, "%s", diag.message);
        CHECK(model && model->config.vocab_size == 310 && model->config.arch == ARCH_QWEN3);
        CHECK((model->tokenizer != NULL) == (form < 2));
        if (form < 2) {
            CHECK(tokenizer_vocab_size(model->tokenizer) == 310);
            CHECK(tokenizer_type(model->tokenizer, 309) == TOKEN_UNUSED &&
                  tokenizer_type(model->tokenizer, 299) != TOKEN_UNUSED);
        }
        model_free(model);
    }
    write_text(config, "{\"model_type\": \"llama\", \"vocab_size\": 299, " SHAPE "}");
    CHECK(init(config, out, gguf_path, 1, DTYPE_F32, 0, &diag) == STATUS_FORMAT && strstr(diag.message, "300"));
}

static void test_options_of_config(void)
{
    const char *config = in_folder("config.json"), *out = in_folder("o.gguf");
    struct gguf gguf;
    struct diag diag;

    write_text(config,
               "{\"model_type\": \"llama\", \"vocab_size\": 900, \"initializer_range\": 0.5, \"attention_bias\": "
               "true, \"mlp_bias\": true, \"tie_word_embeddings\": true, " SHAPE "}");
    CHECK(init(config, out, NULL, 3, DTYPE_F32, 0, &diag) == STATUS_OK);
    check_weights(out, 0.5);
    CHECK(gguf_open(&gguf, out, GGUF_ALL, &diag) == STATUS_OK);
    CHECK(gguf_tensor(&gguf, "blk.0.attn_output.bias") && gguf_tensor(&gguf, "blk.1.ffn_down.bias") &&
          !gguf_tensor(&gguf, "output.weight"));
    gguf_close(&gguf);
}

static void refuse(const char *text, const char *word)
{
    const char *config = in_folder("config.json"), *out = in_folder("none.gguf");
    struct diag diag = {0};

    write_text(config, text);
    CHECK(init(config, out, NULL, 0, DTYPE_F32, 0, &diag) != STATUS_OK);
    CHECK_MSG(strstr(diag.message, word) != NULL, "'%s' without '%s'", diag.message, word);
    CHECK(access(out, F_OK) != 0);
}

static void test_bad_configs(void)
{
    struct diag diag;

    refuse("{", "config.json:1");
    refuse("[]", "object");
    refuse("{" SHAPE "}", "architectures");
    refuse("{\"model_type\": \"mamba\", " SHAPE "}", "mamba");
    refuse("{\"model_type\": \"llama\", \"vocab_size\": 10, \"hidden_size\": 0}", "num_hidden_layers");
    refuse("{\"model_type\": \"llama\", \"vocab_size\": -3, " SHAPE "}", "vocab_size");
    refuse("{\"model_type\": \"llama\", \"vocab_size\": 9, \"num_key_value_heads\": 3, " SHAPE "}", "kv heads");
    refuse("{\"model_type\": \"llama\", \"vocab_size\": 9, \"initializer_range\": -1, " SHAPE "}", "initializer_range");
    CHECK(init(in_folder("no.json"), in_folder("none.gguf"), NULL, 0, DTYPE_F32, 0, &diag) == STATUS_IO);
    CHECK(init("fixtures/models/llama", in_folder("none/none.gguf"), NULL, 0, DTYPE_F32, 0, &diag) == STATUS_IO);
    CHECK(init("fixtures/models/llama", in_folder("none.gguf"), in_folder("no.gguf"), 0, DTYPE_F32, 0, &diag) ==
          STATUS_IO);
}

/* The n-th allocation or write fails until the work succeeds; nothing is left behind. */
static void test_broken_machine(void)
{
    for (int kind = 0; kind < 2; kind++) {
        const char *out = in_folder("f.gguf");
        size_t live = memory_live(), n = 0;
        enum status status;
        do {
            struct diag diag;
            unlink(out);
            (kind ? file_fail_at : memory_fail_at)(++n);
            status = init("fixtures/models/qwen3", out, NULL, 0, DTYPE_F32, 0, &diag);
            memory_fail_at(0);
            file_fail_at(0);
            CHECK(memory_live() == live && (access(out, F_OK) == 0) == (status == STATUS_OK));
        } while (status && n < 5000);
        CHECK(status == STATUS_OK && n > (kind ? 1 : 20));
    }
}

int main(void)
{
    char command[128];

    snprintf(folder, sizeof folder, "/tmp/test_model_init.XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    RUN(test_families);
    RUN(test_same_bytes);
    RUN(test_types);
    RUN(test_vocabulary);
    RUN(test_options_of_config);
    RUN(test_bad_configs);
    RUN(test_broken_machine);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) == 0 ? TEST_RESULT() : 1;
}
