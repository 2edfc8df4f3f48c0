/* test_pretokenize.c - every pre-tokeniser against the words that the published patterns give, and on hostile bytes.
 *
 * fixtures/golden/pretokenize.jsonl was made by tests/oracle/pretokenize_golden.py. */
#include "test.h"
#include "../src/model/pretokenize.h"
#include "file.h"
#include "json.h"
#include "tokenizer.h"

#define MAX_WORDS 4096

struct words {
    size_t lengths[MAX_WORDS];
    size_t n, total;
};

static int collect(void *context, const char *word, size_t length)
{
    struct words *words = context;

    (void)word;
    if (words->n < MAX_WORDS)
        words->lengths[words->n++] = length;
    words->total += length;
    return 0;
}

static void check_line(const struct json *line, uint64_t number)
{
    const struct json *text = json_get(line, "text"), *length = json_get(line, "lengths")->child;
    const char *pre = json_string(line, "pre", "");
    static struct words words;
    size_t i = 0;

    words.n = words.total = 0;
    CHECK_MSG(pretokenizer_find(pre, strlen(pre)) != NULL, "%s", pre);
    pretokenize(pretokenizer_find(pre, strlen(pre)), text->text, text->length, collect, &words);
    for (; length && i < words.n && (double)words.lengths[i] == length->number; i++)
        length = length->next;
    CHECK_MSG(!length && i == words.n, "line %llu: %s: word %zu differs", (unsigned long long)number, pre, i);
}

static void test_golden(void)
{
    struct file_lines lines;
    struct diag diag = {0};
    size_t length, count = 0;
    char *text;

    CHECK(file_lines_open(&lines, "fixtures/golden/pretokenize.jsonl", &diag) == STATUS_OK);
    while (!test_failed_here && file_lines_next(&lines, &text, &length, &diag) == STATUS_OK && text) {
        const struct json *root;
        struct arena arena;
        arena_init(&arena, "test", 0);
        CHECK(json_parse(&root, text, length, &arena, "golden", lines.number, NULL, &diag) == STATUS_OK);
        if (!test_failed_here)
            check_line(root, lines.number);
        arena_free(&arena);
        count++;
    }
    file_lines_close(&lines);
    CHECK_MSG(count == 240, "%zu lines", count);
}

/* Words cover any bytes without gap or overlap, whatever the pattern. */
static void test_cover(void)
{
    const char *names = pretokenizer_names();
    unsigned state = 5;

    while (*names) {
        size_t n = strcspn(names, " ");
        const struct pretokenizer *pre = pretokenizer_find(names, n);
        CHECK_MSG(pre != NULL, "%.*s", (int)n, names);
        for (int round = 0; pre && round < 200; round++) {
            static struct words words;
            char text[64];
            size_t length = (size_t)(round % 64);
            for (size_t i = 0; i < length; i++) {
                state = state * 1664525u + 1013904223u;
                text[i] = (char)(state >> 24);
            }
            words.n = words.total = 0;
            CHECK(pretokenize(pre, text, length, collect, &words) == 0);
            CHECK(words.total == length);
            for (size_t i = 0; i < words.n; i++)
                CHECK(words.lengths[i] > 0);
        }
        names += n + (names[n] == ' ');
    }
    CHECK(pretokenizer_find("", 0) == NULL && pretokenizer_find("qwen", 4) == NULL);
}

/* Long runs of one character, with a different one behind: no pattern may go over them again and again. */
static void test_long_runs(void)
{
    const char *names = pretokenizer_names();
    static const char *const units[] = {" ",        "\n",   "a",    "A",        "1",
                                        "!",        "'",    "\t",   "\xC3\xA9", "\xE4\xB8\xAD",
                                        "\xCC\x81", "\x01", "\xFF", " \n",      "\xE3\x80\x80"};
    size_t size = test_quick() ? 5000 : 60000;
    char *text = malloc(size + 8);

    while (*names) {
        size_t n = strcspn(names, " ");
        for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
            static struct words words;
            size_t unit = strlen(units[u]), length = 0;
            while (length + unit <= size) {
                memcpy(text + length, units[u], unit);
                length += unit;
            }
            memcpy(text + length, "\xE4\xB8\xAD", 3);
            words.n = words.total = 0;
            pretokenize(pretokenizer_find(names, n), text, length + 3, collect, &words);
            CHECK(words.total == length + 3);
        }
        names += n + (names[n] == ' ');
    }
    free(text);
}

static int stop_at_second(void *context, const char *word, size_t length)
{
    (void)word;
    (void)length;
    return ++*(int *)context == 2 ? 42 : 0;
}

static void test_stop(void)
{
    int calls = 0;

    CHECK(pretokenize(pretokenizer_find("falcon", 6), "one two three four", 18, stop_at_second, &calls) == 42);
    CHECK(calls == 2);
}

static void test_unicode_classes(void)
{
    static const struct {
        uint32_t code;
        unsigned mask;
    } known[] = {
        {'A', UNICODE_LU},    {'z', UNICODE_LL},     {'7', UNICODE_N},        {'!', UNICODE_P},
        {'$', UNICODE_S},     {0x1C5, UNICODE_LT},   {0x2B0, UNICODE_LM},     {0x4E2D, UNICODE_LO},
        {0x301, UNICODE_M},   {0xBD, UNICODE_N},     {0x20AC, UNICODE_S},     {0x10FFFF, UNICODE_C},
        {0x378, UNICODE_C},   {0xD800, UNICODE_C},   {0x1F600, UNICODE_S},    {0x323AF, UNICODE_LO},
        {0x323B0, UNICODE_C}, {0x110000, UNICODE_C}, {0xFFFFFFFF, UNICODE_C}, {0xFFFD, UNICODE_S},
    };
    struct unicode_run run = {0, 0, 0};
    unsigned spaces = 0;

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        CHECK_MSG(unicode_class(known[i].code, &run) == known[i].mask, "U+%04lX", (unsigned long)known[i].code);
    for (uint32_t code = 0; code < 0x110000; code++) {
        unsigned mask = unicode_class(code, &run) & ~(unsigned)UNICODE_SPACE;
        CHECK_MSG(mask && (mask & (mask - 1)) == 0, "U+%04lX has one category", (unsigned long)code);
        spaces += (unicode_class(code, &run) & UNICODE_SPACE) != 0;
    }
    CHECK(spaces == 25); /* PropList.txt */
}

int main(void)
{
    RUN(test_golden);
    RUN(test_cover);
    RUN(test_long_runs);
    RUN(test_stop);
    RUN(test_unicode_classes);
    return TEST_RESULT();
}
