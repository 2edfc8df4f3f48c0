/* test_quantize.c - rewriting: exact conversions, types per tensor, threads, failures that leave the old file. */
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gguf.h"
#include "model_fixture.h"
#include "quantize.h"
#include "tokenizer.h"

static char folder[64];

static const char *in_folder(const char *name)
{
    static char paths[4][256];
    static int turn;

    turn = (turn + 1) % 4;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

static enum status quantize(const char *in, const char *out, const char *type, int pure, int threads, struct diag *diag)
{
    struct quantize_options options = {.type = quantize_type_find(type), .pure = pure};
    struct quantize_report report;

    CHECK(options.type != NULL);
    if (threads)
        CHECK(pool_create(&options.pool, threads, diag) == STATUS_OK);
    enum status status = quantize_model(in, out, &options, &report, diag);
    pool_destroy(options.pool);
    return status;
}

static uint8_t *read_bytes(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(4 << 20);

    *size = file ? fread(bytes, 1, 4 << 20, file) : 0;
    if (file)
        fclose(file);
    return bytes;
}

static int same_files(const char *a, const char *b)
{
    size_t n, m;
    uint8_t *x = read_bytes(a, &n), *y = read_bytes(b, &m);
    int same = n > 0 && n == m && memcmp(x, y, n) == 0;

    free(x);
    free(y);
    return same;
}

/* Every tensor of the fixture's GGUF is in the other file with the same bytes. */
static void same_tensors(const char *reference, const char *path)
{
    struct gguf a, b;
    struct diag diag = {0};

    CHECK_MSG(gguf_open(&a, reference, GGUF_ALL, &diag) == STATUS_OK, "%s", diag.message);
    CHECK_MSG(gguf_open(&b, path, GGUF_ALL, &diag) == STATUS_OK, "%s", diag.message);
    CHECK(a.n_tensors == b.n_tensors);
    for (size_t i = 0; i < a.n_tensors; i++) {
        const struct gguf_tensor *x = &a.tensors[i], *y = gguf_tensor(&b, x->name);
        CHECK_MSG(y && y->type == x->type && y->bytes == x->bytes && memcmp(x->data, y->data, x->bytes) == 0,
                  "%s: tensor %s", path, x->name);
    }
    gguf_close(&a);
    gguf_close(&b);
}

/* A folder converted to F32 has the very tensors that the reference converter made, and the same tokens. */
static void folders_become_ggufs(void)
{
    static const char text[] = "Once upon a time, 12 owls\n\nand <s> caf\xc3\xa9 \xe2\x96\x81.";

    for (size_t i = 0; i < N_FIXTURES; i++) {
        char source[256], reference[256];
        struct tokenizer *a = NULL, *b = NULL;
        struct tokens x = {0}, y = {0};
        struct diag diag = {0};

        snprintf(source, sizeof source, "fixtures/models/%s", fixture_names[i]);
        snprintf(reference, sizeof reference, "fixtures/models/%s/model.gguf", fixture_names[i]);
        CHECK_MSG(quantize(source, in_folder("f32.gguf"), "F32", 0, 0, &diag) == STATUS_OK, "%s", diag.message);
        same_tensors(reference, in_folder("f32.gguf"));
        CHECK(!tokenizer_load(&a, source, &diag));
        CHECK_MSG(!tokenizer_load(&b, in_folder("f32.gguf"), &diag), "%s", diag.message);
        if (a && b) {
            CHECK(!tokenizer_encode(a, text, sizeof text - 1, ENCODE_BOS, &x, &diag));
            CHECK(!tokenizer_encode(b, text, sizeof text - 1, ENCODE_BOS, &y, &diag));
            CHECK_MSG(x.count == y.count && memcmp(x.ids, y.ids, x.count * sizeof *x.ids) == 0, "%s", source);
            CHECK(tokenizer_eos(a) == tokenizer_eos(b) && tokenizer_bos(a) == tokenizer_bos(b));
            CHECK(tokenizer_vocab_size(a) <= tokenizer_vocab_size(b));
        }
        tokens_free(&x);
        tokens_free(&y);
        tokenizer_free(a);
        tokenizer_free(b);
        CHECK(memory_live() == 0);
    }
}

/* All of config survives a conversion, also what GGUF has no common key for. */
static void configs_survive(void)
{
    struct exec exec = {kernels_find(NULL), NULL};

    for (size_t i = 0; i < N_FIXTURES; i++) {
        char source[256];
        struct diag diag = {0};
        struct model *a = fixture_load(fixture_names[i], "", &exec), *b = NULL;

        snprintf(source, sizeof source, "fixtures/models/%s", fixture_names[i]);
        CHECK(quantize(source, in_folder("bf16.gguf"), "BF16", 0, 0, &diag) == STATUS_OK);
        CHECK_MSG(model_load(&b, in_folder("bf16.gguf"), &exec, 0, &diag) == STATUS_OK, "%s", diag.message);
        if (a && b)
            CHECK_MSG(memcmp(&a->config, &b->config, sizeof a->config) == 0, "%s", source);
        model_free(a);
        model_free(b);
    }
}

static void threads_leave_no_trace(void)
{
    static const char *const types[] = {"Q8_0", "Q4_0", "Q5_1", "F16", "Q4_K_M"};
    struct diag diag = {0};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        CHECK(!quantize("fixtures/models/qwen3", in_folder("one.gguf"), types[i], 0, 0, &diag));
        for (int threads = 2; threads <= 7; threads += 5) {
            CHECK(!quantize("fixtures/models/qwen3", in_folder("many.gguf"), types[i], 0, threads, &diag));
            CHECK_MSG(same_files(in_folder("one.gguf"), in_folder("many.gguf")), "%s", types[i]);
        }
    }
}

/* ---- types per tensor: a made-up model whose rows divide by 256, or by 32 alone ---- */

#define LAYERS 16

static void declare(struct gguf_writer *w, const char *name, uint64_t cols, uint64_t rows)
{
    uint64_t dims[2] = {cols, rows};

    gguf_put_tensor(w, name, DTYPE_F32, rows == 1 ? 1 : 2, dims);
}

static void write_model(const char *path, uint32_t dim, uint32_t ffn, int tied, struct diag *diag)
{
    static const char *const names[] = {"attn_norm", "attn_q",   "attn_k", "attn_v",  "attn_output",
                                        "ffn_norm",  "ffn_gate", "ffn_up", "ffn_down"};
    struct gguf_writer w = {0};
    static float zeros[65536];
    char name[64];

    gguf_put_string(&w, "general.architecture", "llama", 5);
    gguf_put_u32(&w, "llama.block_count", LAYERS);
    gguf_put_u32(&w, "llama.context_length", 64);
    gguf_put_u32(&w, "llama.embedding_length", dim);
    gguf_put_u32(&w, "llama.feed_forward_length", ffn);
    gguf_put_u32(&w, "llama.attention.head_count", 8);
    gguf_put_u32(&w, "llama.attention.head_count_kv", 2);
    gguf_put_f32(&w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    gguf_put_u32(&w, "general.alignment", 32);
    gguf_put_u32(&w, "general.file_type", 0);
    declare(&w, "token_embd.weight", dim, 20);
    for (int layer = 0; layer < LAYERS; layer++)
        for (int i = 0; i < 9; i++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", layer, names[i]);
            uint64_t cols = i == 8 ? ffn : dim, kv = dim / 4;
            uint64_t rows = i == 0 || i == 5 ? 1 : i == 2 || i == 3 ? kv : i == 6 || i == 7 ? ffn : dim;
            declare(&w, name, cols, rows);
        }
    declare(&w, "output_norm.weight", dim, 1);
    if (!tied)
        declare(&w, "output.weight", dim, 20);
    CHECK(!gguf_write_begin(&w, path, diag));
    while (w.current < w.n_tensors) {
        size_t n = w.current_left < sizeof zeros ? (size_t)w.current_left : sizeof zeros;
        CHECK(!gguf_write_data(&w, zeros, n, diag));
    }
    CHECK(!gguf_write_commit(&w, diag));
}

static const char *type_in(const struct gguf *gguf, const char *name)
{
    const struct gguf_tensor *tensor = gguf_tensor(gguf, name);

    return tensor ? dtype_info((uint32_t)tensor->type)->name : "none";
}

struct expected {
    const char *type;
    int pure;
    uint32_t file_type;
    const char *head, *embd, *q, *v0, *v2, *v4, *v6, *down0, *down2, *down4, *down6;
};

/* As llama-quantize chooses for 16 layers, 4 heads to a kv head: layers 0, 1, 14, 15 and every third from 4 get more.
 */
static const struct expected expected_types[] = {
    {"Q4_K_M", 0, 15, "Q6_K", "Q4_K", "Q4_K", "Q6_K", "Q4_K", "Q6_K", "Q4_K", "Q6_K", "Q4_K", "Q6_K", "Q4_K"},
    {"q4_k", 1, 15, "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K"},
    {"Q4_K_S", 0, 14, "Q6_K", "Q4_K", "Q4_K", "Q5_K", "Q5_K", "Q4_K", "Q4_K", "Q5_K", "Q4_K", "Q4_K", "Q4_K"},
    {"Q5_K_M", 0, 17, "Q6_K", "Q5_K", "Q5_K", "Q6_K", "Q5_K", "Q6_K", "Q5_K", "Q6_K", "Q5_K", "Q6_K", "Q5_K"},
    {"Q4_0", 0, 2, "Q6_K", "Q4_0", "Q4_0", "Q4_0", "Q4_0", "Q4_0", "Q4_0", "Q4_0", "Q4_0", "Q4_0", "Q4_0"},
    {"Q8_0", 0, 7, "Q8_0", "Q8_0", "Q8_0", "Q8_0", "Q8_0", "Q8_0", "Q8_0", "Q8_0", "Q8_0", "Q8_0", "Q8_0"},
    {"Q3_K_M", 0, 12, "Q6_K", "Q3_K", "Q3_K", "Q5_K", "Q4_K", "Q4_K", "Q4_K", "Q5_K", "Q4_K", "Q4_K", "Q4_K"},
    {"Q2_K", 0, 10, "Q6_K", "Q2_K", "Q2_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q3_K", "Q3_K", "Q3_K", "Q3_K"},
};

static void check_types(const struct expected *e)
{
    struct gguf g;
    struct diag diag = {0};
    uint32_t file_type = 99, version = 0;

    CHECK_MSG(!quantize(in_folder("base.gguf"), in_folder("out.gguf"), e->type, e->pure, 2, &diag), "%s", diag.message);
    CHECK(!gguf_open(&g, in_folder("out.gguf"), GGUF_ALL, &diag));
    CHECK(!gguf_u32(&g, "general.file_type", &file_type, &diag) && file_type == e->file_type);
    CHECK(!gguf_u32(&g, "general.quantization_version", &version, &diag) && version == 2);
    CHECK(!gguf_find(&g, "general.alignment"));
    const char *const got[] = {type_in(&g, "output.weight"),         type_in(&g, "token_embd.weight"),
                               type_in(&g, "blk.3.attn_q.weight"),   type_in(&g, "blk.0.attn_v.weight"),
                               type_in(&g, "blk.2.attn_v.weight"),   type_in(&g, "blk.4.attn_v.weight"),
                               type_in(&g, "blk.6.attn_v.weight"),   type_in(&g, "blk.0.ffn_down.weight"),
                               type_in(&g, "blk.2.ffn_down.weight"), type_in(&g, "blk.4.ffn_down.weight"),
                               type_in(&g, "blk.6.ffn_down.weight")};
    const char *const want[] = {e->head, e->embd,  e->q,     e->v0,    e->v2,   e->v4,
                                e->v6,   e->down0, e->down2, e->down4, e->down6};
    for (size_t i = 0; i < sizeof got / sizeof got[0]; i++)
        CHECK_MSG(strcmp(got[i], want[i]) == 0, "%s: place %zu: %s, expected %s", e->type, i, got[i], want[i]);
    CHECK(strcmp(type_in(&g, "blk.0.attn_norm.weight"), "F32") == 0);
    gguf_close(&g);
}

static void types_are_chosen_per_tensor(void)
{
    struct diag diag = {0};

    write_model(in_folder("base.gguf"), 256, 256, 0, &diag);
    for (size_t i = 0; i < sizeof expected_types / sizeof expected_types[0]; i++)
        check_types(&expected_types[i]);
}

static void rows_that_do_not_divide_fall_back(void)
{
    static const struct {
        const char *type, *q, *down, *head; /* rows of 64, of 40, and the tied embedding's of 64 */
    } cases[] = {{"Q4_K_S", "Q5_0", "F16", "Q8_0"}, {"Q5_K_S", "Q5_1", "F16", "Q8_0"},
                 {"Q6_K", "Q8_0", "F16", "Q8_0"},   {"Q2_K", "Q4_0", "F16", "Q8_0"},
                 {"Q8_0", "Q8_0", "F16", "Q8_0"},   {"BF16", "BF16", "BF16", "BF16"}};
    struct diag diag = {0};

    write_model(in_folder("base.gguf"), 64, 40, 1, &diag);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gguf g;
        CHECK_MSG(!quantize(in_folder("base.gguf"), in_folder("out.gguf"), cases[i].type, 0, 0, &diag), "%s",
                  diag.message);
        CHECK(!gguf_open(&g, in_folder("out.gguf"), GGUF_ALL, &diag));
        CHECK_MSG(!strcmp(type_in(&g, "blk.9.attn_q.weight"), cases[i].q), "%s", cases[i].type);
        CHECK_MSG(!strcmp(type_in(&g, "blk.9.ffn_down.weight"), cases[i].down), "%s", cases[i].type);
        CHECK_MSG(!strcmp(type_in(&g, "token_embd.weight"), cases[i].head), "%s", cases[i].type);
        gguf_close(&g);
    }
}

/* ---- in place, again, and when it fails ---- */

static void in_place_and_again(void)
{
    struct exec exec = {kernels_find(NULL), NULL};
    const char *path = in_folder("same.gguf");
    struct diag diag = {0};
    struct model *m = NULL;

    CHECK(!quantize("fixtures/models/llama", path, "F16", 0, 0, &diag));
    CHECK(!quantize(path, in_folder("q8.gguf"), "Q8_0", 0, 0, &diag));
    CHECK(!quantize(path, path, "Q8_0", 0, 0, &diag)); /* input is output */
    CHECK(same_files(path, in_folder("q8.gguf")));
    CHECK(!quantize(path, in_folder("again.gguf"), "Q8_0", 0, 0, &diag)); /* the same type copies */
    CHECK(same_files(path, in_folder("again.gguf")));
    CHECK(!quantize(path, in_folder("again.gguf"), "Q4_0", 0, 0, &diag)); /* from quantised weights */
    CHECK_MSG(!model_load(&m, in_folder("again.gguf"), &exec, 0, &diag) && m->tokenizer, "%s", diag.message);
    model_free(m);
}

static void failures_leave_the_old_file(void)
{
    const char *path = in_folder("old.gguf");
    struct diag diag = {0};
    enum status status = STATUS_IO;
    struct stat info;
    size_t n = 0;
    FILE *file = fopen(path, "wb");

    CHECK(file && fputs("old", file) >= 0);
    fclose(file);
    while (status == STATUS_IO && n < 100) {
        file_fail_at(++n);
        status = quantize("fixtures/models/qwen2", path, "Q4_1", 0, 0, &diag);
        file_fail_at(0);
        CHECK(status == STATUS_OK || (stat(path, &info) == 0 && info.st_size == 3 && diag.message[0]));
        CHECK(memory_live() == 0);
    }
    CHECK(status == STATUS_OK && n > 1);
    for (n = 1, status = STATUS_MEMORY; status == STATUS_MEMORY && n < 1000; n++) {
        memory_fail_at(n);
        status = quantize("fixtures/models/qwen2/model.gguf", path, "Q4_1", 0, 0, &diag);
        memory_fail_at(0);
        CHECK(memory_live() == 0);
    }
    CHECK_MSG(status == STATUS_OK && n > 10, "%zu", n);
}

/* ---- scales that are not finite ---- */

static void poke(const char *path, long at, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "r+b");

    CHECK(file && fseek(file, at, SEEK_SET) == 0 && fwrite(bytes, 1, n, file) == n);
    if (file)
        fclose(file);
}

/* Sets the f16 at `offset` of the last block of row 200 of a tensor, and loads. */
static void poke_scale(const char *type, size_t offset, uint16_t bits, int refused)
{
    static const char name[] = "blk.3.ffn_up.weight";
    struct exec exec = {kernels_find(NULL), NULL};
    struct gguf g;
    struct diag diag = {0};
    struct model *m = NULL;
    long at = 0;

    CHECK(!quantize(in_folder("base.gguf"), in_folder("out.gguf"), type, 1, 0, &diag));
    CHECK(!gguf_open(&g, in_folder("out.gguf"), GGUF_ALL, &diag));
    const struct gguf_tensor *t = gguf_tensor(&g, name);
    if (t) {
        size_t row = t->bytes / 256, block = dtype_info((uint32_t)t->type)->block_bytes;
        at = (long)((size_t)(t->data - g.maps[0].data) + 201 * row - block + offset);
    }
    gguf_close(&g);
    poke(in_folder("out.gguf"), at, &bits, sizeof bits);
    enum status status = model_load(&m, in_folder("out.gguf"), &exec, 0, &diag);
    if (refused)
        CHECK_MSG(status == STATUS_NUMERIC && strstr(diag.message, "blk.3.ffn_up.weight: row 200"), "%s %zu: %s", type,
                  offset, diag.message);
    else
        CHECK_MSG(status == STATUS_OK, "%s %zu: %s", type, offset, diag.message);
    model_free(m);
}

static void scales_are_checked(void)
{
    static const struct {
        const char *type;
        size_t scale, minimum; /* offsets in a block; 0 for the latter: none */
    } types[] = {{"Q8_0", 0, 0},   {"Q4_0", 0, 0}, {"Q4_1", 0, 2}, {"Q5_0", 0, 0},   {"Q5_1", 0, 2},   {"Q2_K", 80, 82},
                 {"Q3_K", 108, 0}, {"Q4_K", 0, 2}, {"Q5_K", 0, 2}, {"Q6_K", 208, 0}, {"IQ4_NL", 0, 0}, {"F16", 0, 0}};
    struct diag diag = {0};

    write_model(in_folder("base.gguf"), 256, 256, 0, &diag);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        poke_scale(types[i].type, types[i].scale, 0x7bff, 0); /* the largest number */
        poke_scale(types[i].type, types[i].scale, 0xfc00, 1); /* minus infinity */
        if (types[i].minimum)
            poke_scale(types[i].type, types[i].minimum, 0x7e01, 1); /* NaN */
    }
    poke_scale("BF16", 0, 0x7f7f, 0);
    poke_scale("BF16", 0, 0x7f80, 1);
}

static int stop_now(void)
{
    return 1;
}

static void stops_when_told(void)
{
    struct quantize_options options = {.type = quantize_type_find("Q8_0"), .stop = stop_now};
    struct quantize_report report;
    struct diag diag = {0};

    CHECK(quantize_model("fixtures/models/qwen2", in_folder("never.gguf"), &options, &report, &diag) == STATUS_STOPPED);
    CHECK(access(in_folder("never.gguf"), F_OK) != 0);
}

/* A weight beyond F16's range is named, not turned into infinity. */
static void overflow_is_named(void)
{
    struct gguf_writer w = {0};
    struct gguf from;
    struct diag diag = {0};
    float huge = 1e6f;

    CHECK(!gguf_open(&from, "fixtures/models/llama/model.gguf", GGUF_ALL, &diag));
    for (size_t i = 0; i < from.n_keys; i++)
        gguf_put_key(&w, &from.keys[i]);
    for (size_t i = 0; i < from.n_tensors; i++)
        gguf_put_tensor(&w, from.tensors[i].name, from.tensors[i].type, from.tensors[i].n_dims, from.tensors[i].dims);
    CHECK(!gguf_write_begin(&w, in_folder("huge.gguf"), &diag));
    for (size_t i = 0; i < from.n_tensors; i++) {
        const struct gguf_tensor *t = &from.tensors[i];
        size_t head = strcmp(t->name, "blk.1.ffn_up.weight") == 0 ? 36 * 4 * 5 : 0; /* row 5, element 0 */
        CHECK(!gguf_write_data(&w, t->data, head, &diag) && !gguf_write_data(&w, &huge, head ? 4 : 0, &diag));
        head += head ? 4 : 0;
        CHECK(!gguf_write_data(&w, t->data + head, t->bytes - head, &diag));
    }
    CHECK(!gguf_write_commit(&w, &diag));
    gguf_close(&from);
    CHECK(quantize(in_folder("huge.gguf"), in_folder("never.gguf"), "F16", 0, 0, &diag) == STATUS_NUMERIC);
    CHECK_MSG(strstr(diag.message, "blk.1.ffn_up.weight: row 5: found a number that is not finite in F16"), "%s",
              diag.message);
    CHECK(quantize(in_folder("huge.gguf"), in_folder("fine.gguf"), "BF16", 0, 0, &diag) == STATUS_OK);
}

static void unknown_types(void)
{
    const char *name = quantize_type_names();

    CHECK(!quantize_type_find("Q9_9") && !quantize_type_find("") && !quantize_type_find("Q4_K_") &&
          !quantize_type_find("IQ2_XXS"));
    while (*name) {
        char one[16];
        size_t n = strcspn(name, " ");
        snprintf(one, sizeof one, "%.*s", (int)n, name);
        CHECK_MSG(quantize_type_find(one), "%s", one);
        name += n + (name[n] == ' ');
    }
}

int main(void)
{
    static const char *const made[] = {"f32.gguf",  "bf16.gguf", "one.gguf",   "many.gguf", "base.gguf", "out.gguf",
                                       "same.gguf", "q8.gguf",   "again.gguf", "old.gguf",  "huge.gguf", "fine.gguf"};

    snprintf(folder, sizeof folder, "/tmp/arklet-quantize-XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    RUN(folders_become_ggufs);
    RUN(configs_survive);
    RUN(threads_leave_no_trace);
    RUN(types_are_chosen_per_tensor);
    RUN(rows_that_do_not_divide_fall_back);
    RUN(in_place_and_again);
    RUN(failures_leave_the_old_file);
    RUN(scales_are_checked);
    RUN(stops_when_told);
    RUN(overflow_is_named);
    RUN(unknown_types);
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
        unlink(in_folder(made[i]));
    CHECK(rmdir(folder) == 0);
    return TEST_RESULT();
}
