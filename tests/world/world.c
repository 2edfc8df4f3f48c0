/* world.c - writes the world's files on standard output.
 *
 *   world questions split=test count=1000 seed=1
 *   world documents count=50000 seed=1 single=60 debate=30 critique=0 drill=10 depths=15,35,30,15,5
 *   world text count=2000 seed=1
 *   world turns debates=FILE questions=FILE seed=1 copies=1
 *
 * `documents` draws stories of the training split; the numbers behind the kinds are their shares in percent. `text` is
 * what a tokenizer is trained on: documents as plain text, and every number up to STORY_MAX_VALUE. `turns` makes debate
 * documents of the debates that a model held over such questions. right=50 trains on the right solutions in a debate's
 * prompt, too, with half the weight of the completion. The same arguments give the same bytes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "document.h"
#include "json.h"
#include "turns.h"

enum kind { KIND_SINGLE, KIND_DEBATE, KIND_CRITIQUE, KIND_DRILL, KIND_COUNT };

static const char *const kind_names[KIND_COUNT] = {"single", "debate", "critique", "drill"};

struct options {
    enum split split;
    long count, seed, weight, copies;
    int shares[KIND_COUNT];
    struct depths depths;
    int depths_given;
    const char *debates, *questions; /* paths */
};

/* Item numbers of different kinds of files never meet. */
enum { ITEMS_QUESTIONS, ITEMS_DOCUMENTS = 16, ITEMS_TEXT = 17 };

static uint64_t item(int file, long i)
{
    return (uint64_t)file << 40 | (uint64_t)i;
}

/* ---- Arguments ---- */

static int read_number(const char *text, long low, long high, long *value)
{
    char *end;

    errno = 0;
    *value = strtol(text, &end, 10);
    return end != text && *end == 0 && errno == 0 && *value >= low && *value <= high;
}

static int read_split(const char *text, enum split *split)
{
    int i;

    for (i = 0; i < SPLIT_COUNT; i++)
        if (strcmp(text, split_name((enum split)i)) == 0) {
            *split = (enum split)i;
            return 1;
        }
    return 0;
}

static int read_depths(const char *text, struct depths *depths)
{
    int n = 0, sum = 0;

    memset(depths, 0, sizeof *depths);
    while (n < MAX_DEPTH) {
        char *end;
        long weight = strtol(text, &end, 10);

        if (end == text || weight < 0 || weight > 1000000 || (*end && *end != ','))
            return 0;
        depths->weights[n++] = (int)weight;
        sum += (int)weight;
        if (!*end)
            return sum > 0;
        text = end + 1;
    }
    return 0;
}

static int read_option(struct options *o, const char *text)
{
    const char *value = strchr(text, '=');
    size_t length = value ? (size_t)(value - text) : 0;
    long share;
    int i;

    if (!value++)
        return 0;
    if (strncmp(text, "count=", 6) == 0)
        return read_number(value, 1, 1L << 30, &o->count);
    if (strncmp(text, "seed=", 5) == 0)
        return read_number(value, 0, 1L << 30, &o->seed);
    if (strncmp(text, "right=", 6) == 0)
        return read_number(value, 0, 100, &o->weight);
    if (strncmp(text, "copies=", 7) == 0)
        return read_number(value, 1, 100, &o->copies);
    if (strncmp(text, "debates=", 8) == 0)
        return o->debates = value, 1;
    if (strncmp(text, "questions=", 10) == 0)
        return o->questions = value, 1;
    if (strncmp(text, "split=", 6) == 0)
        return read_split(value, &o->split);
    if (strncmp(text, "depths=", 7) == 0)
        return o->depths_given = read_depths(value, &o->depths);
    for (i = 0; i < KIND_COUNT; i++)
        if (strlen(kind_names[i]) == length && strncmp(text, kind_names[i], length) == 0) {
            if (!read_number(value, 0, 100, &share))
                return 0;
            o->shares[i] = (int)share;
            return 1;
        }
    return 0;
}

/* ---- Files ---- */

static int fail(const char *what)
{
    fprintf(stderr, "world: %s\n", what);
    return 1;
}

static int put_line(const struct buffer *line)
{
    return !line->failed && fwrite(line->data, 1, line->length, stdout) == line->length && putchar('\n') != EOF;
}

static int write_questions(const struct options *o)
{
    struct seen seen = {0};
    struct buffer line = {0};
    struct depths depths = o->depths;
    char problem[96] = "cannot write the questions";
    int ok = 1;
    long i;

    if (!o->depths_given)
        split_depths(&depths, o->split);
    for (i = 0; i < o->count && ok; i++) {
        struct draw draw = {(uint64_t)o->seed, item(ITEMS_QUESTIONS + (int)o->split, i), 0};
        struct story story;
        char id[64];

        snprintf(id, sizeof id, "%s-%ld-%ld", split_name(o->split), o->seed, i);
        buffer_clear(&line);
        ok = document_story(&story, &draw, o->split, &depths, &seen);
        if (!ok)
            snprintf(problem, sizeof problem, "no further question of this split and depth after %ld of %ld", i,
                     o->count);
        ok = ok > 0;
        if (ok) {
            document_question(&line, &story, &draw, id);
            ok = put_line(&line);
        }
    }
    seen_free(&seen);
    buffer_free(&line);
    return ok ? 0 : fail(problem);
}

static enum status put_document(struct buffer *out, const struct options *o, long i, int file, struct arena *arena,
                                struct diag *diag)
{
    struct draw draw = {(uint64_t)o->seed, item(file, i), 0};
    enum kind kind = (enum kind)draw_weighted(&draw, o->shares, KIND_COUNT);
    struct story story;
    char id[64];

    snprintf(id, sizeof id, "%s-%ld-%ld", kind_names[kind], o->seed, i);
    if (kind != KIND_DRILL)
        document_story(&story, &draw, SPLIT_TRAIN, &o->depths, NULL);
    switch (kind) {
    case KIND_SINGLE:
        return document_single(out, &story, &draw, id, arena, diag);
    case KIND_DEBATE:
    case KIND_CRITIQUE:
        return document_debate(out, &story, &draw, kind == KIND_CRITIQUE, (int)o->weight, id, arena, diag);
    default:
        document_drill(out, &draw, id);
        return STATUS_OK;
    }
}

static int write_documents(const struct options *o)
{
    struct buffer line = {0};
    struct arena arena;
    struct diag diag = {STATUS_IO, "cannot write the documents"};
    int ok = 1;
    long i;

    arena_init(&arena, "document", 0);
    for (i = 0; i < o->count && ok; i++) {
        struct arena_mark mark = arena_mark(&arena);

        buffer_clear(&line);
        ok = put_document(&line, o, i, ITEMS_DOCUMENTS, &arena, &diag) == STATUS_OK && put_line(&line);
        arena_release(&arena, mark);
    }
    arena_free(&arena);
    buffer_free(&line);
    return ok ? 0 : fail(diag.message);
}

/* The texts of a record's prompt and completion. */
static int put_texts(const struct buffer *record, struct arena *arena)
{
    const struct json *json;

    if (record->failed || json_parse(&json, record->data, record->length, arena, "record", 1, NULL, NULL))
        return 0;
    return printf("%s%s\n", json_string(json, "prompt", ""), json_string(json, "completion", "")) >= 0;
}

static int write_text(const struct options *o)
{
    struct buffer line = {0};
    struct arena arena;
    struct diag diag = {STATUS_IO, "cannot write the text"};
    int ok = 1, number;
    long i;

    arena_init(&arena, "document", 0);
    for (i = 0; i < o->count && ok; i++) {
        struct arena_mark mark = arena_mark(&arena);

        buffer_clear(&line);
        ok = put_document(&line, o, i, ITEMS_TEXT, &arena, &diag) == STATUS_OK && put_texts(&line, &arena);
        for (number = 0; number <= STORY_MAX_VALUE && i % 8 == 0; number++)
            ok = printf(" %d", number) >= 0 && ok;
        for (number = 0; story_word(number) && i % 8 == 0; number++)
            ok = printf("\n%s %s", story_word(number), story_word(number)) >= 0 && ok;
        ok = putchar('\n') != EOF && ok;
        arena_release(&arena, mark);
    }
    arena_free(&arena);
    buffer_free(&line);
    return ok ? 0 : fail(diag.message);
}

static int write_turns(const struct options *o)
{
    struct diag diag;

    if (!o->debates || !o->questions) {
        fputs("world: turns needs debates=FILE questions=FILE\n", stderr);
        return 2;
    }
    if (turns_convert(o->debates, o->questions, (uint64_t)o->seed, (int)o->weight, (int)o->copies, put_line, &diag))
        return fail(diag.message);
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = {SPLIT_TRAIN, 1000, 0, 0, 1, {60, 30, 2, 8}, {{15, 30, 30, 15, 10}}, 0, NULL, NULL};
    int i, code, shares = 0;

    for (i = 2; i < argc; i++)
        if (!read_option(&o, argv[i])) {
            fprintf(stderr,
                    "world: expected count=N seed=N right=0..100 copies=N split=train|dev|test|deep|form "
                    "depths=N,N,... or a kind's "
                    "share single|debate|critique|drill=0..100, found '%s'\n",
                    argv[i]);
            return 2;
        }
    for (i = 0; i < KIND_COUNT; i++)
        shares += o.shares[i];
    if (shares == 0) {
        fputs("world: expected a share above 0 of a kind, found none\n", stderr);
        return 2;
    }
    if (argc > 1 && strcmp(argv[1], "questions") == 0) {
        code = write_questions(&o);
    } else if (argc > 1 && strcmp(argv[1], "documents") == 0) {
        code = write_documents(&o);
    } else if (argc > 1 && strcmp(argv[1], "text") == 0) {
        code = write_text(&o);
    } else if (argc > 1 && strcmp(argv[1], "turns") == 0) {
        code = write_turns(&o);
    } else {
        fputs("usage: world questions|documents|text|turns [name=value ...]\n", stderr);
        return 2;
    }
    return fflush(stdout) == 0 ? code : fail("standard output: cannot write");
}
