/* answer.c - the kinds of answers: from a text to a prediction, from a prediction to right or wrong.
 *
 *   text -> visible part -> plain signs -> find_number | find_choice | find_math -> normal form
 *
 * Spans and summaries are taken as they are (no plain signs): their measures define their own normal forms.
 * Where to read next: answer_find.c (markers), answer_number.c, answer_choice.c, answer_math.c, answer_span.c, rouge.c.
 */
#include "answer_parts.h"
#include "rouge.h"

static const char *const names[] = {"number", "math", "choice", "span", "summary"};

const char *answer_kind_name(enum answer_kind kind)
{
    return names[kind];
}

int answer_kind_named(enum answer_kind *kind, const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) {
            *kind = (enum answer_kind)i;
            return 1;
        }
    return 0;
}

static enum status no_memory(struct diag *diag)
{
    return diag_fail(diag, STATUS_MEMORY, "out of memory for an answer");
}

/* Moves the buffer's text into the arena and frees the buffer. */
static enum status keep(const char **text, struct buffer *buffer, int found, struct arena *arena, struct diag *diag)
{
    int failed = buffer->failed;

    *text = NULL;
    if (found && !failed) {
        *text = arena_text(arena, buffer->data ? buffer->data : "", buffer->length);
        failed = !*text;
    }
    buffer_free(buffer);
    return failed ? no_memory(diag) : STATUS_OK;
}

/* ---- golds ---- */

enum status answer_gold(const char **gold, enum answer_kind kind, const char *text, size_t length, struct arena *arena,
                        struct diag *diag)
{
    struct slice trimmed = answer_trim(answer_slice(text, 0, length));
    struct answer_key any = {ANSWER_CHOICE, NULL, 0, NULL, 0};
    struct buffer plain = {0}, out = {0};

    if (kind == ANSWER_SPAN || kind == ANSWER_SUMMARY) {
        buffer_append(&out, trimmed.text, trimmed.length);
        return keep(gold, &out, 1, arena, diag);
    }
    answer_plain(&plain, trimmed.text, trimmed.length);
    trimmed = answer_slice(plain.data ? plain.data : "", 0, plain.length);
    if (kind == ANSWER_MATH)
        answer_latex_clean(&out, trimmed);
    else if (kind == ANSWER_NUMBER)
        answer_number_of(&out, trimmed);
    else if (!answer_find_choice(&out, &any, trimmed, 0))
        buffer_append(&out, trimmed.text, trimmed.length);
    out.failed |= plain.failed;
    buffer_free(&plain);
    return keep(gold, &out, 1, arena, diag);
}

/* ---- predictions ---- */

/* What a span answer says: behind the last "answer is", else everything. */
static int find_span(struct buffer *out, struct slice text)
{
    struct slice content;
    size_t before = text.length;

    text = answer_trim(text);
    before = text.length;
    if (answer_find_boxed(&content, text) == MARK_FOUND) {
        buffer_append(out, content.text, content.length);
        return 1;
    }
    if (answer_find_phrase(&content, text, &before, 0) == MARK_FOUND)
        text = answer_trim(answer_slice(content.text, 0, answer_sentence_end(content, 0)));
    buffer_append(out, text.text, text.length);
    return text.length > 0;
}

enum status answer_extract(const char **prediction, const struct answer_key *key, const char *text, size_t length,
                           int cut, struct arena *arena, struct diag *diag)
{
    struct buffer plain = {0}, out = {0};
    struct slice t;
    int found;

    answer_visible(&text, &length);
    t = answer_slice(text, 0, length);
    if (key->kind == ANSWER_SUMMARY) {
        t = answer_trim(t);
        buffer_append(&out, t.text, t.length);
        return keep(prediction, &out, t.length > 0, arena, diag);
    }
    if (key->kind == ANSWER_SPAN) {
        found = find_span(&out, t);
        return keep(prediction, &out, found, arena, diag);
    }
    answer_plain(&plain, text, length);
    t = answer_slice(plain.data ? plain.data : "", 0, plain.length);
    if (key->kind == ANSWER_CHOICE)
        found = answer_find_choice(&out, key, t, cut);
    else if (key->kind == ANSWER_MATH)
        found = answer_find_math(&out, t, cut);
    else
        found = answer_find_number(&out, t, cut);
    out.failed |= plain.failed;
    buffer_free(&plain);
    return keep(prediction, &out, found, arena, diag);
}

/* ---- equality ---- */

static int same_number(const char *a, const char *b)
{
    struct answer_number x, y;

    return answer_number_read(&x, a) && answer_number_read(&y, b) && answer_number_same(&x, &y);
}

static int same_span(const char *a, const char *b)
{
    struct buffer x = {0}, y = {0};
    int same;

    answer_span_normalise(&x, a, strlen(a));
    answer_span_normalise(&y, b, strlen(b));
    same = !x.failed && !y.failed && strcmp(x.data, y.data) == 0;
    buffer_free(&x);
    buffer_free(&y);
    return same;
}

int answer_same(const struct answer_key *key, const char *a, const char *b)
{
    if (!a || !b)
        return 0;
    if (strcmp(a, b) == 0)
        return 1;
    switch (key->kind) {
    case ANSWER_NUMBER:
        return same_number(a, b) || answer_math_same(a, b);
    case ANSWER_MATH:
        return answer_math_same(a, b);
    case ANSWER_CHOICE:
        return 0;
    default:
        return same_span(a, b);
    }
}

int answer_correct(const struct answer_key *key, const char *prediction)
{
    for (size_t i = 0; i < key->n_golds; i++)
        if (answer_same(key, prediction, key->golds[i]))
            return 1;
    return 0;
}

/* ---- grades ---- */

/* The best of the golds, as SQuAD's script does. */
static enum status grade_span(struct answer_grade *grade, const struct answer_key *key, struct diag *diag)
{
    struct buffer prediction = {0}, gold = {0};
    int failed = 0;

    answer_span_normalise(&prediction, grade->prediction, strlen(grade->prediction));
    for (size_t i = 0; i < key->n_golds && !failed; i++) {
        double f1;

        buffer_clear(&gold);
        answer_span_normalise(&gold, key->golds[i], strlen(key->golds[i]));
        failed = prediction.failed || gold.failed;
        f1 = failed ? -1 : answer_span_f1(prediction.data, gold.data);
        failed |= f1 < 0;
        grade->f1 = f1 > grade->f1 ? f1 : grade->f1;
        if (!failed && strcmp(prediction.data, gold.data) == 0)
            grade->em = 1;
    }
    buffer_free(&prediction);
    buffer_free(&gold);
    grade->correct = grade->em > 0;
    grade->score = grade->f1;
    return failed ? no_memory(diag) : STATUS_OK;
}

static enum status grade_summary(struct answer_grade *grade, const struct answer_key *key, struct diag *diag)
{
    enum status status = STATUS_OK;

    for (size_t i = 0; i < key->n_golds && !status; i++) {
        struct rouge r;

        status =
            rouge_score(&r, grade->prediction, strlen(grade->prediction), key->golds[i], strlen(key->golds[i]), diag);
        grade->rouge1 = r.rouge1 > grade->rouge1 ? r.rouge1 : grade->rouge1;
        grade->rouge2 = r.rouge2 > grade->rouge2 ? r.rouge2 : grade->rouge2;
        grade->rougeL = r.rougeL > grade->rougeL ? r.rougeL : grade->rougeL;
    }
    grade->correct = answer_correct(key, grade->prediction);
    grade->score = grade->rougeL;
    return status;
}

enum status answer_grade(struct answer_grade *grade, const struct answer_key *key, const char *text, size_t length,
                         int cut, struct arena *arena, struct diag *diag)
{
    enum status status;

    memset(grade, 0, sizeof *grade);
    status = answer_extract(&grade->prediction, key, text, length, cut, arena, diag);
    if (status || !grade->prediction)
        return status;
    if (key->kind == ANSWER_SPAN)
        return grade_span(grade, key, diag);
    if (key->kind == ANSWER_SUMMARY)
        return grade_summary(grade, key, diag);
    grade->correct = answer_correct(key, grade->prediction);
    grade->score = grade->correct;
    return STATUS_OK;
}
