/* walk.h - what the walks share: numbers that are compared with a golden file or shown, and the student they walk with.
 *
 *   PROGRAM          compares every number with WALK_GOLDEN; a line per stop
 *   PROGRAM show     prints the stops and their numbers as well (make walk)
 *   PROGRAM golden   prints the golden file
 *   PROGRAM stops    prints its part of README.md's table of stops, which tests/check_walk.sh compares with it
 *
 * What a stop computes is the program's own. The student is a model of random weights (seed 1), rounded to Q4_0;
 * numbers are exact on every machine, since the arithmetic is. The including file defines WALK_GOLDEN and WALK_FIRST,
 * the number of its first stop, and the table `stops` with one function each. */
#ifndef ARKLET_TESTS_WALK_H
#define ARKLET_TESTS_WALK_H

#include <math.h>
#include <stdarg.h>
#include <unistd.h>

#include "model_fixture.h"
#include "model_init.h"
#include "quantize.h"

#define DEBATES  "fixtures/walk.jsonl"
#define MAX_TEXT 65536

struct stop {
    const char *file, *function, *what;
    void (*run)(void);
};

static const struct stop *walk_stops;

static struct walk {
    char folder[64];
    struct exec exec;
    struct model *model;
    struct arena arena;
    struct diag diag;
} w;

/* ---- Numbers, as lines "stop name value" ---- */

static int showing, making;
static size_t stop_now; /* from 1 */
static char golden[MAX_TEXT];

static void enter(size_t stop)
{
    stop_now = stop;
    if (showing)
        printf("\n%2zu  %s: %s\n    %s\n", stop, walk_stops[stop - WALK_FIRST].file,
               walk_stops[stop - WALK_FIRST].function, walk_stops[stop - WALK_FIRST].what);
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
        CHECK_MSG(strstr(golden, line) != NULL, "stop %zu: %s is %s, which is not in " WALK_GOLDEN, stop_now, name,
                  value);
}

static void read_golden(void)
{
    FILE *file = fopen(WALK_GOLDEN, "r");
    size_t n;

    golden[0] = '\n';
    n = file ? fread(golden + 1, 1, sizeof golden - 2, file) : 0;
    golden[n + 1] = 0;
    if (file)
        fclose(file);
}

#define DO(call) CHECK_MSG((call) == STATUS_OK, "%s: %s", #call, w.diag.message)

static const char *in_folder(const char *name)
{
    static char paths[8][128];
    static size_t next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof paths[0], "%s/%s", w.folder, name);
    return path;
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

static void walk_set_up(void)
{
    snprintf(w.folder, sizeof w.folder, "/tmp/test_walk.XXXXXX");
    CHECK(mkdtemp(w.folder) != NULL);
    w.exec.kernels = kernels_find(NULL);
    arena_init(&w.arena, "walk", 0);
    DO(pool_create(&w.exec.pool, 2, &w.diag));
    make_student();
}

static void walk_tear_down(void)
{
    char command[128];

    model_free(w.model);
    arena_free(&w.arena);
    pool_destroy(w.exec.pool);
    snprintf(command, sizeof command, "rm -rf %s", w.folder);
    CHECK(system(command) == 0);
}

static int walk_main(int argc, char **argv, const struct stop *stops, size_t n, void (*set_up)(void),
                     void (*tear_down)(void))
{
    const char *mode = argc > 1 ? argv[1] : "";

    walk_stops = stops;
    if (strcmp(mode, "stops") == 0) {
        for (size_t i = 0; i < n; i++)
            printf("| %zu | `%s` | `%s` | %s |\n", i + WALK_FIRST, stops[i].file, stops[i].function, stops[i].what);
        return 0;
    }
    showing = strcmp(mode, "show") == 0;
    making = strcmp(mode, "golden") == 0;
    read_golden();
    RUN(set_up);
    for (size_t i = 0; i < n; i++) {
        test_failed_here = 0;
        enter(i + WALK_FIRST);
        stops[i].run();
        test_failures += test_failed_here;
        if (test_failed_here)
            printf("FAIL stop %zu: %s\n", i + WALK_FIRST, test_message);
        else if (!making)
            printf("%sok stop %zu, %s\n", showing ? "    " : "", i + WALK_FIRST, stops[i].function);
    }
    RUN(tear_down);
    return TEST_RESULT();
}

#endif
