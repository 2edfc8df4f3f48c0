/* test_model.c - loading: both forms of every family agree, threads leave no trace, wrong files are named. */
#include <stdint.h>
#include <unistd.h>

#include "dtype.h"
#include "gguf.h"
#include "model_fixture.h"
#include "safetensors.h"

/* GGUFs hold Llama 3's scaling as divisors of the inverse frequencies, folders as its parameters; forming the middle
 * range through a divisor costs a few roundings. Measured: 1.1e-7. */
#define LLAMA3_FREQ_BOUND 5e-7

static char folder[64];

static const char *in_folder(const char *name)
{
    static char paths[4][256];
    static int turn;

    turn = (turn + 1) % 4;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

static struct exec no_threads(void)
{
    struct exec exec = {kernels_find(NULL), NULL};

    return exec;
}

/* ---- comparing two models ---- */

static void same_linear(const struct linear *a, const struct linear *b, const char *what, int layer)
{
    size_t cols = a->w.cols;
    float *x = malloc(cols * sizeof *x), *y = malloc(cols * sizeof *y);

    CHECK_MSG(a->w.rows == b->w.rows && cols == b->w.cols, "%s of layer %d", what, layer);
    for (size_t row = 0; row < a->w.rows && row < b->w.rows; row++) {
        pack_decode_row(&a->w, row, 0, cols, x);
        pack_decode_row(&b->w, row, 0, cols, y);
        CHECK_MSG(memcmp(x, y, cols * sizeof *x) == 0, "%s of layer %d, row %zu", what, layer, row);
    }
    CHECK_MSG(!a->bias == !b->bias, "bias of %s", what);
    if (a->bias && b->bias)
        CHECK_MSG(memcmp(a->bias, b->bias, a->w.rows * sizeof(float)) == 0, "bias of %s, layer %d", what, layer);
    free(x);
    free(y);
}

static void same_vector(const float *a, const float *b, size_t n, const char *what, int layer)
{
    CHECK_MSG(!a == !b, "%s of layer %d", what, layer);
    if (a && b)
        CHECK_MSG(memcmp(a, b, n * sizeof *a) == 0, "%s of layer %d", what, layer);
}

static void same_layer(const struct config *c, const struct layer *a, const struct layer *b, int i)
{
    size_t dim = (size_t)c->dim, head = (size_t)c->head_dim;

    same_linear(&a->attn_q, &b->attn_q, "attn_q", i);
    same_linear(&a->attn_k, &b->attn_k, "attn_k", i);
    same_linear(&a->attn_v, &b->attn_v, "attn_v", i);
    same_linear(&a->attn_output, &b->attn_output, "attn_output", i);
    same_linear(&a->ffn_gate, &b->ffn_gate, "ffn_gate", i);
    same_linear(&a->ffn_up, &b->ffn_up, "ffn_up", i);
    same_linear(&a->ffn_down, &b->ffn_down, "ffn_down", i);
    same_vector(a->attn_norm, b->attn_norm, dim, "attn_norm", i);
    same_vector(a->attn_q_norm, b->attn_q_norm, head, "attn_q_norm", i);
    same_vector(a->attn_k_norm, b->attn_k_norm, head, "attn_k_norm", i);
    same_vector(a->post_attn_norm, b->post_attn_norm, dim, "post_attn_norm", i);
    same_vector(a->ffn_norm, b->ffn_norm, dim, "ffn_norm", i);
    same_vector(a->post_ffn_norm, b->post_ffn_norm, dim, "post_ffn_norm", i);
    CHECK(a->window == b->window && a->rope == b->rope);
}

static void same_config(const struct config *a, const struct config *b)
{
    CHECK(a->arch == b->arch && a->n_layers == b->n_layers && a->dim == b->dim && a->ffn_dim == b->ffn_dim);
    CHECK(a->n_heads == b->n_heads && a->n_kv_heads == b->n_kv_heads && a->head_dim == b->head_dim);
    CHECK(a->vocab_size == b->vocab_size && a->ctx_len == b->ctx_len && a->rms_eps == b->rms_eps);
    CHECK(a->attn_scale == b->attn_scale && a->embd_scale == b->embd_scale && a->rope_pairs == b->rope_pairs);
    CHECK(a->rope_dim == b->rope_dim && a->rope_base[0] == b->rope_base[0] && a->rope_linear[0] == b->rope_linear[0]);
    CHECK(a->rope_base[1] == b->rope_base[1] && a->rope_linear[1] == b->rope_linear[1]);
    CHECK(a->window == b->window && a->window_pattern == b->window_pattern && a->tied == b->tied && a->gelu == b->gelu);
}

static void same_model(const struct model *a, const struct model *b)
{
    const struct config *c = &a->config;
    size_t dim = (size_t)c->dim;
    float *x = malloc(dim * sizeof *x), *y = malloc(dim * sizeof *y);

    same_config(c, &b->config);
    for (int i = 0; i < c->n_layers; i++)
        same_layer(c, &a->layers[i], &b->layers[i], i);
    same_vector(a->output_norm, b->output_norm, dim, "output_norm", -1);
    same_linear(&a->output, &b->output, "output", -1);
    for (int id = 0; id < c->vocab_size; id++) {
        model_embed(a, id, x);
        model_embed(b, id, y);
        CHECK_MSG(memcmp(x, y, dim * sizeof *x) == 0, "embedding of %d", id);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(!a->inv_freq[i] == !b->inv_freq[i]);
        for (int j = 0; a->inv_freq[i] && b->inv_freq[i] && j < c->rope_dim / 2; j++)
            CHECK_MSG(fabsf(a->inv_freq[i][j] - b->inv_freq[i][j]) <= LLAMA3_FREQ_BOUND * b->inv_freq[i][j],
                      "inv_freq %d %d: %.9g %.9g", i, j, (double)a->inv_freq[i][j], (double)b->inv_freq[i][j]);
    }
    free(x);
    free(y);
}

/* ---- good files ---- */

static void folder_and_gguf_agree(void)
{
    struct exec exec = no_threads();

    for (size_t i = 0; i < N_FIXTURES; i++) {
        struct model *gguf = fixture_load(fixture_names[i], "/model.gguf", &exec);
        struct model *hf = fixture_load(fixture_names[i], "", &exec);

        if (gguf && hf)
            same_model(gguf, hf);
        model_free(gguf);
        model_free(hf);
        CHECK(memory_live() == 0);
    }
}

static int same_bytes(const struct linear *a, const struct linear *b)
{
    return pack_bytes(&a->w) == pack_bytes(&b->w) && memcmp(a->w.data, b->w.data, pack_bytes(&a->w)) == 0;
}

static void threads_leave_no_trace(void)
{
    static const int counts[] = {1, 2, 3, 7};
    struct exec one = no_threads();
    struct diag diag;

    for (size_t i = 0; i < 4; i++) {
        struct exec many = one;
        CHECK(pool_create(&many.pool, counts[i], &diag) == STATUS_OK);
        struct model *a = fixture_load("llama", "", &one), *b = fixture_load("llama", "", &many);
        for (int j = 0; a && b && j < a->config.n_layers; j++) {
            CHECK(same_bytes(&a->layers[j].attn_q, &b->layers[j].attn_q));
            CHECK(same_bytes(&a->layers[j].ffn_down, &b->layers[j].ffn_down));
        }
        CHECK(a && b && same_bytes(&a->output, &b->output));
        model_free(a);
        model_free(b);
        pool_destroy(many.pool);
    }
}

static void windows_follow_the_pattern(void)
{
    struct exec exec = no_threads();
    struct model *m = fixture_load("gemma3", "", &exec);

    for (int i = 0; m && i < m->config.n_layers; i++) {
        CHECK(m->layers[i].window == (i == 5 ? 0 : 8) && m->layers[i].rope == (i != 5));
        CHECK(m->inv_freq[0] && m->inv_freq[1]);
    }
    model_free(m);
}

static void memory_is_stated(void)
{
    struct exec exec = no_threads();
    struct config config;
    struct diag diag = {0};
    struct model *m = NULL;
    size_t bytes = 0;

    CHECK(model_measure("fixtures/models/qwen3", &config, &bytes, &diag) == STATUS_OK && bytes > 10000);
    CHECK(config.n_layers == 3 && config.arch == ARCH_QWEN3);
    CHECK(model_load(&m, "fixtures/models/qwen3", &exec, bytes / 2, &diag) == STATUS_MEMORY && !m);
    CHECK_MSG(strstr(diag.message, "the memory limit is"), "%s", diag.message);
    CHECK(model_load(&m, "fixtures/models/qwen3", &exec, 2 * bytes, &diag) == STATUS_OK);
    CHECK(m && m->weight_bytes >= bytes && m->arena.used < m->weight_bytes + 65536);
    model_free(m);
    CHECK(memory_live() == 0);
}

/* ---- wrong GGUFs: a fixture with one thing changed ---- */

struct edit {
    const char *arch; /* whose fixture */
    const char *key;  /* dropped, or set to number / text */
    double number;    /* NAN: drop the key */
    const char *text;
    const char *tensor; /* dropped, or changed as `how` says */
    enum { DROP, RENAME, TRANSPOSE, FLATTEN, NOT_FINITE } how;
    const char *words; /* of the message */
};

static const uint8_t nan_bytes[4] = {0, 0, 0xc0, 0x7f};

static void copy_keys(struct gguf_writer *w, const struct gguf *from, const struct edit *edit)
{
    for (size_t i = 0; i < from->n_keys; i++)
        if (!edit->key || strcmp(from->keys[i].name, edit->key) != 0)
            gguf_put_key(w, &from->keys[i]);
    if (edit->key && edit->text)
        gguf_put_string(w, edit->key, edit->text, strlen(edit->text));
    else if (edit->key && edit->number == floor(edit->number))
        gguf_put_i32(w, edit->key, (int32_t)edit->number);
    else if (edit->key && !isnan(edit->number))
        gguf_put_f32(w, edit->key, (float)edit->number);
}

static int is_edited(const struct gguf_tensor *tensor, const struct edit *edit)
{
    return edit->tensor && strcmp(tensor->name, edit->tensor) == 0;
}

static void declare(struct gguf_writer *w, const struct gguf_tensor *t, const struct edit *edit)
{
    uint64_t dims[4] = {t->dims[0], t->dims[1], t->dims[2], t->dims[3]};
    int n_dims = t->n_dims;

    if (is_edited(t, edit) && edit->how == TRANSPOSE) {
        dims[0] = t->dims[1];
        dims[1] = t->dims[0];
    }
    if (is_edited(t, edit) && edit->how == FLATTEN) {
        dims[0] *= dims[1];
        n_dims = 1;
    }
    gguf_put_tensor(w, is_edited(t, edit) && edit->how == RENAME ? "blk.0.extra.weight" : t->name, t->type, n_dims,
                    dims);
}

static void write_edited(const char *path, const struct edit *edit)
{
    struct gguf_writer w = {0};
    struct gguf from;
    struct diag diag = {0};
    char source[256];

    snprintf(source, sizeof source, "fixtures/models/%s/model.gguf", edit->arch);
    CHECK_MSG(gguf_open(&from, source, GGUF_ALL, &diag) == STATUS_OK, "%s", diag.message);
    copy_keys(&w, &from, edit);
    for (size_t i = 0; i < from.n_tensors; i++)
        if (!is_edited(&from.tensors[i], edit) || edit->how != DROP)
            declare(&w, &from.tensors[i], edit);
    CHECK(gguf_write_begin(&w, path, &diag) == STATUS_OK);
    for (size_t i = 0; i < from.n_tensors; i++) {
        const struct gguf_tensor *t = &from.tensors[i];
        int edited = is_edited(t, edit);
        if (edited && edit->how == DROP)
            continue;
        size_t skip = edited && edit->how == NOT_FINITE ? 4 : 0; /* its last element becomes a NaN */
        CHECK(gguf_write_data(&w, t->data, t->bytes - skip, &diag) == STATUS_OK);
        CHECK(gguf_write_data(&w, nan_bytes, skip, &diag) == STATUS_OK);
    }
    CHECK(gguf_write_commit(&w, &diag) == STATUS_OK);
    gguf_close(&from);
}

static const struct edit edits[] = {
    {"llama", "general.architecture", 0, "falcon", NULL, DROP, "general.architecture: expected llama, qwen2"},
    {"llama", "general.architecture", NAN, NULL, NULL, DROP, "general.architecture: missing"},
    {"llama", "general.type", 0, "adapter", NULL, DROP, "general.type: expected model, found adapter"},
    {"llama", "llama.block_count", NAN, NULL, NULL, DROP, "llama.block_count: missing"},
    {"llama", "llama.block_count", 0, NULL, NULL, DROP, "llama.block_count: expected 1 to"},
    {"llama", "llama.block_count", 3, NULL, NULL, DROP, "tensor blk.2.attn_q.weight: missing"},
    {"llama", "llama.block_count", 1, NULL, NULL, DROP, "blk.1."},
    {"llama", "llama.block_count", 2000000000, NULL, NULL, DROP, "llama.block_count"},
    {"llama", "llama.block_count", 0, "two", NULL, DROP, "llama.block_count: expected an integer, found string"},
    {"llama", "llama.embedding_length", 48, NULL, NULL, DROP, "expected shape 48 x"},
    {"llama", "llama.embedding_length", 1073741824, NULL, NULL, DROP, "embedding length: expected 1 to"},
    {"llama", "llama.attention.head_count", 5, NULL, NULL, DROP, "expected kv heads that divide 5"},
    {"llama", "llama.attention.head_count", -6, NULL, NULL, DROP, "head_count: expected 0 to"},
    {"llama", "llama.attention.value_length", 3, NULL, NULL, DROP, "value_length: expected the key length"},
    {"llama", "llama.rope.dimension_count", 5, NULL, NULL, DROP, "even number of rope dimensions, found 5"},
    {"llama", "llama.rope.dimension_count", 600, NULL, NULL, DROP, "rope dimensions: expected 1 to"},
    {"llama", "llama.rope.freq_base", -1, NULL, NULL, DROP, "rope base"},
    {"llama", "llama.attention.layer_norm_rms_epsilon", NAN, NULL, NULL, DROP, "rms_epsilon: missing"},
    {"llama", "llama.attention.layer_norm_rms_epsilon", 7.5, NULL, NULL, DROP, "norm epsilon: expected 0 to 1"},
    {"llama", "llama.expert_count", 8, NULL, NULL, DROP, "llama.expert_count = 8 is not supported"},
    {"llama", "llama.final_logit_softcapping", 30, NULL, NULL, DROP, "final_logit_softcapping"},
    {"llama", "llama.rope.scaling.factor", 0.5, NULL, NULL, DROP, NULL},
    {"llama", "llama.attention.sliding_window", 9, NULL, NULL, DROP, NULL},
    {"llama", NULL, 0, NULL, "token_embd.weight", DROP, "tensor token_embd.weight: missing"},
    {"llama", NULL, 0, NULL, "output_norm.weight", DROP, "tensor output_norm.weight: missing"},
    {"llama", NULL, 0, NULL, "blk.1.attn_v.weight", DROP, "tensor blk.1.attn_v.weight: missing"},
    {"llama", NULL, 0, NULL, "blk.1.ffn_up.weight", TRANSPOSE, "blk.1.ffn_up.weight: expected shape 36 x 76, found 76"},
    {"llama", NULL, 0, NULL, "blk.1.ffn_up.weight", FLATTEN, "expected shape 36 x 76, found 2736"},
    {"llama", NULL, 0, NULL, "token_embd.weight", TRANSPOSE, "tensor token_embd.weight"},
    {"llama", NULL, 0, NULL, "blk.0.attn_k.weight", NOT_FINITE,
     "blk.0.attn_k.weight: row 11: found a number that is not"},
    {"llama", NULL, 0, NULL, "blk.0.ffn_norm.weight", NOT_FINITE, "blk.0.ffn_norm.weight: element 35"},
    {"llama", NULL, 0, NULL, "token_embd.weight", NOT_FINITE, "token_embd.weight: row 299"},
    {"qwen2", NULL, 0, NULL, "blk.0.attn_q.bias", DROP, "tensor blk.0.attn_q.bias: missing"},
    {"qwen2", NULL, 0, NULL, "blk.0.attn_q.bias", RENAME, "blk.0.attn_q.bias: missing"},
    {"qwen3", NULL, 0, NULL, "blk.0.attn_q_norm.weight", DROP, "tensor blk.0.attn_q_norm.weight: missing"},
    {"llama3", NULL, 0, NULL, "rope_freqs.weight", NOT_FINITE, "rope_freqs.weight: element 7: expected a positive"},
    {"llama3", "llama.rope.dimension_count", 8, NULL, NULL, DROP, "rope_freqs.weight: expected F32 [4]"},
    {"gemma3", NULL, 0, NULL, "blk.3.post_ffw_norm.weight", DROP, "tensor blk.3.post_ffw_norm.weight: missing"},
    {"gemma3", "gemma3.attention.sliding_window_pattern", 1, NULL, NULL, DROP, NULL},
    {"gemma3", "gemma3.rope.scaling.type", 0, "yarn", NULL, DROP, NULL},
    {"gemma3-linear", "gemma3.rope.scaling.type", 0, "yarn", NULL, DROP, "scaling yarn by 8 is not supported"},
    {"gemma3-linear", "gemma3.rope.scaling.type", 0, "none", NULL, DROP, NULL},
};

static void wrong_ggufs_are_named(void)
{
    struct exec exec = no_threads();
    const char *path = in_folder("edited.gguf");

    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        struct model *m = NULL;
        struct diag diag = {0};

        write_edited(path, &edits[i]);
        enum status status = model_load(&m, path, &exec, 0, &diag);
        if (edits[i].words)
            CHECK_MSG(status && !m && strstr(diag.message, edits[i].words), "edit %zu: %s", i, diag.message);
        else
            CHECK_MSG(status == STATUS_OK && m, "edit %zu: %s", i, diag.message);
        model_free(m);
        CHECK(memory_live() == 0);
    }
    unlink(path);
}

static void extra_tensors_are_named(void)
{
    static const struct edit llama = {"llama", NULL, 0, NULL, NULL, DROP, NULL};
    struct gguf_writer w = {0};
    struct gguf from;
    struct exec exec = no_threads();
    struct model *m = NULL;
    struct diag diag = {0};
    static const uint64_t dims[1] = {6};
    static const float values[6];

    CHECK(gguf_open(&from, "fixtures/models/llama/model.gguf", GGUF_ALL, &diag) == STATUS_OK);
    copy_keys(&w, &from, &llama);
    gguf_put_tensor(&w, "blk.0.attn_q_norm.weight", DTYPE_F32, 1, dims); /* a llama has none */
    for (size_t i = 0; i < from.n_tensors; i++)
        declare(&w, &from.tensors[i], &llama);
    CHECK(!gguf_write_begin(&w, in_folder("x.gguf"), &diag) && !gguf_write_data(&w, values, 24, &diag));
    for (size_t i = 0; i < from.n_tensors; i++)
        CHECK(!gguf_write_data(&w, from.tensors[i].data, from.tensors[i].bytes, &diag));
    CHECK(!gguf_write_commit(&w, &diag));
    gguf_close(&from);
    CHECK(model_load(&m, in_folder("x.gguf"), &exec, 0, &diag) == STATUS_FORMAT && !m);
    CHECK_MSG(strstr(diag.message, "blk.0.attn_q_norm.weight: not expected in a llama"), "%s", diag.message);
    unlink(in_folder("x.gguf"));
}

/* ---- wrong folders: config.json of a fixture with one text replaced ---- */

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 65536);

    CHECK(file && fread(text, 1, 65535, file) > 0);
    if (file)
        fclose(file);
    return text;
}

static void write_text(const char *path, const char *a, size_t n, const char *b, const char *c)
{
    FILE *file = fopen(path, "wb");

    CHECK(file && fwrite(a, 1, n, file) == n && fputs(b, file) >= 0 && fputs(c, file) >= 0);
    if (file)
        fclose(file);
}

struct config_edit {
    const char *arch, *from, *to, *words; /* words NULL: loads */
};

static const struct config_edit config_edits[] = {
    {"llama", "\"LlamaForCausalLM\"", "\"FalconForCausalLM\"", "key architectures: expected Llama"},
    {"llama", "\"LlamaForCausalLM\"", "\"MistralForCausalLM\"", NULL},
    {"llama", "\"hidden_size\": 36", "\"hidden_size\": \"36\"", "key hidden_size: expected an integer"},
    {"llama", "\"hidden_size\": 36", "\"hidden_siz\": 36", "key hidden_size: expected an integer, found nothing"},
    {"llama", "\"hidden_size\": 36", "\"hidden_size\": 36.5", "key hidden_size"},
    {"llama", "\"hidden_size\": 36", "\"hidden_size\": 1e300", "key hidden_size"},
    {"llama", "\"hidden_size\": 36", "\"hidden_size\": 48", "expected shape 48 x"},
    {"llama", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "model.layers.1."},
    {"llama", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "blk.2."},
    {"llama", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1000000000", "number of layers"},
    {"llama", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 4", "expected kv heads that divide"},
    {"llama", "\"vocab_size\": 300", "\"vocab_size\": 301", "expected shape 36 x 301, found 36 x 300"},
    {"llama", "\"hidden_act\": \"silu\"", "\"hidden_act\": \"relu\"", "key hidden_act: relu is not supported"},
    {"llama", "\"attention_bias\": false", "\"attention_bias\": true", "blk.0.attn_q.bias: missing"},
    {"llama", "\"attention_bias\": false", "\"attention_bias\": 1", "key attention_bias: expected true or false"},
    {"llama", "\"mlp_bias\": false", "\"mlp_bias\": true", "blk.0.ffn_gate.bias: missing"},
    {"llama", "\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4}",
     "yarn is not supported"},
    {"llama", "\"rope_scaling\": null", "\"rope_scaling\": 4", "key rope_scaling: expected an object"},
    {"llama", "\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}", NULL},
    {"llama", "\"rope_scaling\": null", "\"quantization_config\": {}", "key quantization_config"},
    {"llama", "\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": true", "key rms_norm_eps: expected a finite number"},
    {"llama", "\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true", NULL}, /* lm_head is ignored */
    {"llama3", "\"low_freq_factor\": 1.0", "\"low_freq_factor\": 9.0", "0 < low_freq_factor < high_freq_factor"},
    {"llama3", "\"factor\": 4.0", "\"factor\": 0", "factor >= 1"},
    {"llama3", "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false", "tensor output.weight: missing"},
    {"qwen2", "\"use_sliding_window\": false", "\"use_sliding_window\": true", NULL}, /* from layer 28 on */
    {"qwen2", "\"max_window_layers\": 28", "\"max_window_layers\": 1, \"use_sliding_window\": true", NULL},
    {"gemma3", "\"attn_logit_softcapping\": null", "\"attn_logit_softcapping\": 50.0", "attn_logit_softcapping"},
    {"gemma3", "\"sliding_window_pattern\": 6", "\"sliding_window_pattern\": 0", "sliding_window_pattern"},
    {"gemma3", "\"sliding_window_pattern\": 6", "\"sliding_window_pattern\": 1", NULL},
    {"gemma3", "\"hidden_activation\": \"gelu_pytorch_tanh\"", "\"hidden_activation\": \"gelu\"", "hidden_activation"},
    {"gemma3-linear", "\"full_attention\",\n", "\"sliding_attention\",\n", NULL},
    {"gemma3-linear", "\"full_attention\",\n", "\"chunked_attention\",\n", "another kind of layer"},
    {"gemma3-linear", "  \"sliding_attention\",\n  \"full_attention\"",
     "  \"full_attention\",\n  \"sliding_attention\"", NULL},
};

static void link_tensors(const char *arch)
{
    static const char *const names[] = {"model.safetensors",
                                        "model.safetensors.index.json",
                                        "model-00001-of-00004.safetensors",
                                        "model-00002-of-00004.safetensors",
                                        "model-00003-of-00004.safetensors",
                                        "model-00004-of-00004.safetensors"};
    char here[1024], target[1400];

    CHECK(getcwd(here, sizeof here) != NULL);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        unlink(in_folder(names[i]));
        snprintf(target, sizeof target, "%s/fixtures/models/%s/%s", here, arch, names[i]);
        if (access(target, R_OK) == 0)
            CHECK(symlink(target, in_folder(names[i])) == 0);
    }
}

static void unlink_tensors(void)
{
    link_tensors("none");
    unlink(in_folder("config.json"));
}

static void wrong_configs_are_named(void)
{
    struct exec exec = no_threads();
    char path[256];

    for (size_t i = 0; i < sizeof config_edits / sizeof config_edits[0]; i++) {
        const struct config_edit *edit = &config_edits[i];
        struct model *m = NULL;
        struct diag diag = {0};

        snprintf(path, sizeof path, "fixtures/models/%s/config.json", edit->arch);
        char *text = read_text(path), *at = strstr(text, edit->from);
        size_t n = at ? (size_t)(at - text) : strlen(text);
        write_text(in_folder("config.json"), text, n, at ? edit->to : "", at ? at + strlen(edit->from) : "");
        link_tensors(edit->arch);
        enum status status = model_load(&m, folder, &exec, 0, &diag);
        if (edit->words)
            CHECK_MSG(status && !m && strstr(diag.message, edit->words), "edit %zu: %s", i, diag.message);
        else
            CHECK_MSG(status == STATUS_OK && m, "edit %zu: %s", i, diag.message);
        model_free(m);
        free(text);
        CHECK(memory_live() == 0);
    }
    unlink_tensors();
}

static void expect_index(const char *index, const char *words)
{
    struct exec exec = no_threads();
    struct model *m = NULL;
    struct diag diag = {0};

    unlink(in_folder("model.safetensors.index.json"));
    write_text(in_folder("model.safetensors.index.json"), "", 0, index, "");
    CHECK(model_load(&m, folder, &exec, 0, &diag) != STATUS_OK && !m);
    CHECK_MSG(strstr(diag.message, words), "%s", diag.message);
    CHECK(memory_live() == 0);
}

static void wrong_indexes_are_named(void)
{
    char *config = read_text("fixtures/models/llama3/config.json");
    struct exec exec = no_threads();
    struct model *m = NULL;
    struct diag diag = {0};

    write_text(in_folder("config.json"), config, strlen(config), "", "");
    free(config);
    CHECK(model_load(&m, folder, &exec, 0, &diag) == STATUS_IO && strstr(diag.message, "found neither"));
    link_tensors("llama3");
    expect_index("[]", "weight_map");
    expect_index("{\"weight_map\": {\"a\": \"../model.safetensors\"}}", "expected a file name without folders");
    expect_index("{\"weight_map\": {\"a\": 7}}", "expected a file name");
    expect_index("{\"weight_map\": {\"a\": \"nowhere.safetensors\"}}", "nowhere.safetensors");
    expect_index("{\"weight_map\": {\"a\": \"model-00001-of-00004.safetensors\"}}", "a: not in the file");
    expect_index("{\"weight_map\": {}}", "missing");
    expect_index("{\"weight_map\": ", "expected");
    CHECK(model_load(&m, in_folder("nothing"), &exec, 0, &diag) == STATUS_IO && !m);
    unlink_tensors();
}

/* ---- folders that no fixture is: biases, a text model inside a larger one ---- */

/* The fixture's tensors under new names ("model." becomes prefix), with extra F32 vectors 0, 1, 2, ... */
static void copy_tensors(const char *arch, const char *prefix, const char *const *extra, const uint64_t *sizes)
{
    struct safetensors_writer w = {0};
    struct safetensors from;
    struct diag diag = {0};
    char path[256], name[256];

    snprintf(path, sizeof path, "fixtures/models/%s/model.safetensors", arch);
    CHECK_MSG(!safetensors_open(&from, path, &diag), "%s", diag.message);
    for (size_t i = 0; i < from.n_tensors; i++) {
        const struct safetensors_tensor *t = &from.tensors[i];
        int inner = strncmp(t->name, "model.", 6) == 0;
        snprintf(name, sizeof name, "%s%s", inner ? prefix : "", t->name + (inner ? 6 : 0));
        safetensors_put(&w, name, t->type, t->n_dims, t->dims);
    }
    for (size_t i = 0; extra[i]; i++)
        safetensors_put(&w, extra[i], DTYPE_F32, 1, &sizes[i]);
    CHECK(!safetensors_write_begin(&w, in_folder("model.safetensors"), &diag));
    for (size_t i = 0; i < from.n_tensors; i++)
        CHECK(!safetensors_write_data(&w, from.tensors[i].data, from.tensors[i].bytes, &diag));
    for (size_t i = 0; extra[i]; i++)
        for (uint64_t j = 0; j < sizes[i]; j++) {
            float value = (float)j;
            CHECK(!safetensors_write_data(&w, &value, sizeof value, &diag));
        }
    CHECK(!safetensors_write_commit(&w, &diag));
    safetensors_close(&from);
}

static struct model *load_folder(void)
{
    struct exec exec = no_threads();
    struct model *m = NULL;
    struct diag diag = {0};

    CHECK_MSG(model_load(&m, folder, &exec, 0, &diag) == STATUS_OK, "%s", diag.message);
    return m;
}

/* llama with attention_bias: 6 heads of 6, 2 kv heads; q and k biases follow their rows into pairs order. */
static void biases_follow_their_rows(void)
{
    static const char *const extra[] = {"model.layers.0.self_attn.q_proj.bias",
                                        "model.layers.0.self_attn.k_proj.bias",
                                        "model.layers.0.self_attn.v_proj.bias",
                                        "model.layers.0.self_attn.o_proj.bias",
                                        "model.layers.1.self_attn.q_proj.bias",
                                        "model.layers.1.self_attn.k_proj.bias",
                                        "model.layers.1.self_attn.v_proj.bias",
                                        "model.layers.1.self_attn.o_proj.bias",
                                        NULL};
    static const uint64_t sizes[] = {36, 12, 12, 36, 36, 12, 12, 36};
    char *text = read_text("fixtures/models/llama/config.json"), *at = strstr(text, "\"attention_bias\": false");

    CHECK(at != NULL);
    write_text(in_folder("config.json"), text, (size_t)(at - text), "\"attention_bias\": true", at + 23);
    copy_tensors("llama", "model.", extra, sizes);
    struct model *m = load_folder();
    for (int row = 0; m && row < 36; row++) {
        int head = row / 6, pair = row % 6 / 2, half = row % 2;
        CHECK(m->layers[1].attn_q.bias[row] == (float)(head * 6 + half * 3 + pair));
        CHECK(row >= 12 || m->layers[0].attn_k.bias[row] == (float)(head * 6 + half * 3 + pair));
        CHECK(row >= 12 || m->layers[0].attn_v.bias[row] == (float)row);
        CHECK(m->layers[0].attn_output.bias[row] == (float)row);
    }
    CHECK(m && !m->layers[0].ffn_up.bias && !m->output.bias);
    model_free(m);
    free(text);
    unlink_tensors();
}

static void text_models_inside_others(void)
{
    static const char *const prefixes[] = {"language_model.model.", "model.language_model."};
    static const char *const extra[] = {"vision_tower.patch.weight", "multi_modal_projector.norm.weight", NULL};
    static const uint64_t sizes[] = {3, 2};
    struct exec exec = no_threads();
    struct model *plain = fixture_load("gemma3", "", &exec);
    char *text = read_text("fixtures/models/gemma3/config.json"), *outer = calloc(1, 65536);
    char *at = strstr(text, "\"Gemma3ForCausalLM\"");

    CHECK(at != NULL);
    memcpy(at, "\"Gemma3TextInnerLM\"", 19); /* the inner name is not looked at */
    snprintf(outer, 65536, "{\"architectures\": [\"Gemma3ForConditionalGeneration\"], \"text_config\": %s}", text);
    write_text(in_folder("config.json"), outer, strlen(outer), "", "");
    for (int i = 0; i < 2; i++) {
        copy_tensors("gemma3", prefixes[i], extra, sizes);
        struct model *m = load_folder();
        if (m && plain)
            same_model(m, plain);
        model_free(m);
    }
    model_free(plain);
    free(text);
    free(outer);
    unlink_tensors();
}

/* ---- failing memory, damaged headers ---- */

static void load_without_memory(const char *path)
{
    struct exec exec = no_threads();
    enum status status = STATUS_MEMORY;
    size_t n = 0;

    while (status == STATUS_MEMORY && n < 2000) {
        struct model *m = NULL;
        struct diag diag = {0};

        memory_fail_at(++n);
        status = model_load(&m, path, &exec, 0, &diag);
        memory_fail_at(0);
        CHECK_MSG(status == STATUS_OK || (status == STATUS_MEMORY && !m && diag.message[0]), "%zu: %s", n,
                  diag.message);
        model_free(m);
        CHECK(memory_live() == 0);
    }
    CHECK_MSG(status == STATUS_OK && n > 5, "%zu allocations", n);
}

static void allocations_fail(void)
{
    char *config = read_text("fixtures/models/llama3/config.json");

    load_without_memory("fixtures/models/llama/model.gguf");
    write_text(in_folder("config.json"), config, strlen(config), "", "");
    link_tensors("llama3"); /* four files and an index, no tokenizer */
    load_without_memory(folder);
    unlink_tensors();
    free(config);
}

/* Single bytes of a real header changed: loads or is refused, and never touches what is not there. */
static void damaged_headers(void)
{
    struct exec exec = no_threads();
    const char *path = in_folder("damaged.gguf");
    FILE *file = fopen("fixtures/models/qwen3/model.gguf", "rb");
    uint8_t *bytes = malloc(1 << 20);
    size_t size = file ? fread(bytes, 1, 1 << 20, file) : 0, refused = 0, header;
    struct gguf gguf;
    struct diag diag = {0};

    if (file)
        fclose(file);
    CHECK(gguf_parse(&gguf, bytes, size, "header", GGUF_ALL, &diag) == STATUS_OK);
    header = gguf.n_tensors ? (size_t)(gguf.tensors[0].data - bytes) : 0;
    gguf_close(&gguf);
    for (size_t at = 0; at < header; at += test_quick() ? 211 : 13) {
        struct model *m = NULL;
        uint8_t old = bytes[at];

        bytes[at] ^= (uint8_t)(1u << (at % 8));
        file = fopen(path, "wb");
        CHECK(file && fwrite(bytes, 1, size, file) == size);
        fclose(file);
        bytes[at] = old;
        refused += model_load(&m, path, &exec, 0, &diag) != STATUS_OK;
        model_free(m);
        CHECK(memory_live() == 0);
    }
    CHECK_MSG(refused > 5, "%zu refused", refused);
    free(bytes);
    unlink(path);
}

int main(void)
{
    snprintf(folder, sizeof folder, "/tmp/arklet-model-XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    RUN(folder_and_gguf_agree);
    RUN(threads_leave_no_trace);
    RUN(windows_follow_the_pattern);
    RUN(memory_is_stated);
    RUN(wrong_ggufs_are_named);
    RUN(extra_tensors_are_named);
    RUN(wrong_configs_are_named);
    RUN(wrong_indexes_are_named);
    RUN(biases_follow_their_rows);
    RUN(text_models_inside_others);
    RUN(allocations_fail);
    RUN(damaged_headers);
    rmdir(folder);
    return TEST_RESULT();
}
