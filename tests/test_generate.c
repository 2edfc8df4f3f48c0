/* test_generate.c - streamed text: pieces add up, stop strings cut exactly, the ends of a generation. */
#include "test.h"
#include "arena.h"
#include "generate.h"
#include "model.h"
#include "rng.h"
#include "utf8.h"

#define MODEL "fixtures/models/qwen3/model.gguf"
#define SPM   "fixtures/models/llama/model.gguf"

/* A model, its engine, and what a generation delivered. */
struct scene {
    struct exec exec;
    struct model *model;
    struct engine *engine;
    struct buffer streamed;
    size_t n_pieces, stop_after_pieces; /* 0: never */
    size_t ends[512];                   /* of the pieces, in streamed */
};

static int scene_open(struct scene *scene, const char *path)
{
    struct engine_options options = {200, 2, 32, 0, 1, DTYPE_F32, DTYPE_F32};
    struct diag diag = {STATUS_OK, ""};
    int failed;

    memset(scene, 0, sizeof *scene);
    scene->exec.kernels = kernels_find(NULL);
    failed = model_load(&scene->model, path, &scene->exec, 0, &diag) ||
             engine_create(&scene->engine, scene->model, &scene->exec, &options, &diag);
    CHECK_MSG(!failed && scene->model->tokenizer, "%s: %.300s", path, diag.message);
    return !failed && scene->model->tokenizer;
}

static void scene_close(struct scene *scene)
{
    engine_free(scene->engine);
    model_free(scene->model);
    buffer_free(&scene->streamed);
}

static int on_text(void *user, const char *text, size_t length)
{
    struct scene *scene = user;

    CHECK(length > 0);
    buffer_append(&scene->streamed, text, length);
    scene->ends[scene->n_pieces % 512] = scene->streamed.length;
    return ++scene->n_pieces == scene->stop_after_pieces;
}

/* Generates from `prompt`; the generation must be freed. */
static void generate(struct scene *scene, struct generation *generation, const char *prompt, size_t max_new,
                     const char *const *stops, size_t n_stops)
{
    struct generate_options options;
    struct tokens ids = {0};
    struct diag diag = {STATUS_OK, ""};

    memset(&options, 0, sizeof options);
    options.max_new = max_new;
    options.sampling = (struct sampling){1.2f, 0, 0.98f, 0, 4, 0};
    options.stops = stops;
    options.n_stops = n_stops;
    options.keep_space = 1;
    options.on_text = on_text;
    options.user = scene;
    buffer_clear(&scene->streamed);
    scene->n_pieces = 0;
    CHECK(!generate_prompt(scene->model->tokenizer, prompt, strlen(prompt), 0, &ids, &diag));
    CHECK_MSG(
        !generation_begin(generation, scene->engine, scene->model->tokenizer, ids.ids, ids.count, &options, &diag),
        "%.300s", diag.message);
    CHECK_MSG(!engine_run(scene->engine, NULL, &diag), "%.300s", diag.message);
    CHECK(generation->done && !generation->failed);
    CHECK(scene->streamed.length == generation->text.length &&
          (scene->streamed.length == 0 ||
           memcmp(scene->streamed.data, generation->text.data, scene->streamed.length) == 0));
    tokens_free(&ids);
}

/* No piece ends inside a valid sequence of several bytes. */
static int pieces_are_whole(const struct scene *scene)
{
    size_t at = 0, piece = 0, several = 0;

    while (at < scene->streamed.length) {
        uint32_t code;
        int valid = 1;
        size_t n = utf8_decode(scene->streamed.data + at, scene->streamed.length - at, &code, &valid);

        while (piece < scene->n_pieces && scene->ends[piece] <= at)
            piece++;
        if (piece < scene->n_pieces && scene->ends[piece] < at + n)
            return 0;
        several += valid && n > 1;
        at += n;
    }
    return several > 0;
}

static void test_pieces_add_up_to_the_text(void)
{
    static const char *const models[] = {MODEL, SPM};

    for (size_t m = 0; m < 2; m++) {
        struct scene scene;
        struct generation g;

        if (!scene_open(&scene, models[m])) {
            scene_close(&scene);
            return;
        }
        generate(&scene, &g, "Ann has", 190, NULL, 0);
        CHECK(g.finish == FINISH_LENGTH && g.n_tokens == 190 && g.stopped_by == -1 && g.logprob < 0);
        CHECK(scene.n_pieces > 20 && pieces_are_whole(&scene));
        generation_free(&g);
        scene_close(&scene);
    }
}

/* What comes out when `stop` ends the text: everything before its first occurrence. */
static size_t first_occurrence(const struct buffer *text, const char *stop)
{
    size_t n = strlen(stop);

    for (size_t at = 0; at + n <= text->length; at++)
        if (memcmp(text->data + at, stop, n) == 0)
            return at;
    return text->length;
}

static void check_stop(struct scene *scene, const struct buffer *whole, const char *const *stops, size_t n_stops)
{
    struct generation g;
    size_t cut = whole->length;

    for (size_t i = 0; i < n_stops; i++) {
        size_t at = first_occurrence(whole, stops[i]);

        cut = at < cut ? at : cut;
    }
    generate(scene, &g, "Ann has", 120, stops, n_stops);
    CHECK_MSG(g.text.length == cut && memcmp(g.text.data, whole->data, cut) == 0, "stop '%.20s': %zu bytes, not %zu",
              stops[0], g.text.length, cut);
    if (cut < whole->length) {
        CHECK(g.finish == FINISH_STOP && g.stopped_by >= 0 && g.n_tokens <= 120);
        CHECK(first_occurrence(whole, stops[g.stopped_by]) == cut);
    } else {
        CHECK(g.finish == FINISH_LENGTH && g.stopped_by == -1);
    }
    generation_free(&g);
}

/* Substrings of the text at every place and of many lengths, with and without a last byte that never comes. */
static void test_stop_strings_cut_exactly(void)
{
    struct scene scene;
    struct generation g;
    struct buffer whole = {0};

    if (scene_open(&scene, MODEL)) {
        size_t cases = test_quick() ? 12 : 120;

        generate(&scene, &g, "Ann has", 120, NULL, 0);
        buffer_append(&whole, g.text.data, g.text.length);
        generation_free(&g);
        for (size_t i = 0; i < cases && whole.length > 40; i++) {
            uint64_t bits = rng_bits(1, RNG_TEST, i, 0, 0);
            char one[40], two[40];
            const char *stops[2] = {one, two};
            size_t n = 1 + rng_below(bits, 12), at = whole.length - n - i * (whole.length - n) / cases;

            snprintf(one, sizeof one, "%.*s%s", (int)n, whole.data + at, i % 3 == 2 ? "\x01\x02" : "");
            snprintf(two, sizeof two, "%.3s", whole.data + at / 2);
            if (strlen(one) > 0 && strlen(two) > 0) /* the text may hold NUL bytes */
                check_stop(&scene, &whole, stops, 1 + i % 2);
        }
    }
    buffer_free(&whole);
    scene_close(&scene);
}

static void test_the_receiver_may_stop(void)
{
    struct scene scene;
    struct generation g;

    if (scene_open(&scene, MODEL)) {
        scene.stop_after_pieces = 5;
        generate(&scene, &g, "Ann has", 120, NULL, 0);
        CHECK(g.finish == FINISH_STOP && g.stopped_by == -1 && g.n_tokens < 120 && g.n_tokens >= 5);
        CHECK(scene.n_pieces <= 6); /* what the decoder still held may follow */
        generation_free(&g);
    }
    scene_close(&scene);
}

/* An end-of-text token adds no text and ends the generation. */
static void test_end_of_text(void)
{
    struct scene scene;
    struct generation g;
    struct generate_options options;
    struct tokens eos = {0};
    struct diag diag;
    const int32_t prompt[] = {5, 6, 7};

    if (scene_open(&scene, MODEL)) {
        int32_t every[300]; /* every token ends the text: the first one does */

        CHECK(!generate_eos(scene.model->tokenizer, &eos, &diag) && eos.count >= 1);
        for (size_t i = 0; i < eos.count; i++)
            CHECK(tokenizer_is_eog(scene.model->tokenizer, eos.ids[i]));
        for (int32_t i = 0; i < 300; i++)
            every[i] = i;
        memset(&options, 0, sizeof options);
        options.max_new = 10;
        options.eos = every;
        options.n_eos = 300;
        CHECK(!generation_begin(&g, scene.engine, scene.model->tokenizer, prompt, 3, &options, &diag));
        CHECK(!engine_run(scene.engine, NULL, &diag));
        CHECK(g.done && g.finish == FINISH_EOS && g.n_tokens == 1 && g.text.length == 0);
        generation_free(&g);
    }
    tokens_free(&eos);
    scene_close(&scene);
}

static void test_prompts(void)
{
    struct scene scene;
    struct tokens ids = {0};
    struct diag diag;
    static const char *const models[] = {MODEL, SPM};

    for (size_t m = 0; m < 2; m++) {
        if (scene_open(&scene, models[m])) {
            const struct tokenizer *t = scene.model->tokenizer;

            ids.count = 0;
            CHECK(!generate_prompt(t, "", 0, 0, &ids, &diag));
            CHECK(ids.count == 1 && (ids.ids[0] == tokenizer_bos(t) || ids.ids[0] == tokenizer_eos(t)));
            CHECK(!generate_prompt(t, "x", 1, 0, &ids, &diag));
            CHECK(ids.count >= 2 && (ids.ids[1] == tokenizer_bos(t)) == tokenizer_adds_bos(t));
        }
        scene_close(&scene);
    }
    tokens_free(&ids);
}

/* SentencePiece: the first word loses its space at the start of a text, and keeps it when it continues one. */
static void test_the_first_space(void)
{
    struct scene scene;
    struct generation g;
    struct generate_options options;
    struct diag diag;

    if (scene_open(&scene, SPM)) {
        const int32_t start[] = {1};
        struct buffer text[2] = {{0}, {0}};

        for (int keep = 0; keep < 2; keep++) {
            memset(&options, 0, sizeof options);
            options.max_new = 40;
            options.sampling = (struct sampling){1, 0, 1, 0, 8, 0};
            options.keep_space = keep;
            CHECK(!generation_begin(&g, scene.engine, scene.model->tokenizer, start, 1, &options, &diag));
            CHECK(!engine_run(scene.engine, NULL, &diag));
            buffer_append(&text[keep], g.text.data, g.text.length);
            generation_free(&g);
        }
        if (text[1].length > 0 && text[1].data[0] == ' ')
            CHECK(text[0].length + 1 == text[1].length);
        else
            CHECK(text[0].length == text[1].length);
        buffer_free(&text[0]);
        buffer_free(&text[1]);
    }
    scene_close(&scene);
}

int main(void)
{
    RUN(test_pieces_add_up_to_the_text);
    RUN(test_stop_strings_cut_exactly);
    RUN(test_the_receiver_may_stop);
    RUN(test_end_of_text);
    RUN(test_prompts);
    RUN(test_the_first_space);
    return TEST_RESULT();
}
