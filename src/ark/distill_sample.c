/* distill_sample.c - transcripts worth reading: a question that the student got wrong before and right after its
 * training, and an agent that corrected itself in a debate, with the step that changed.
 *
 *   wrong   ... | Ann has 54 - 8 = 46. <- wrong      | #### 46      the first step that the right text does not have
 *   right   ... | Ann has 54 + 8 = 62. <- corrected  | #### 62      the first one that the wrong text does not have
 *
 * Of all pairs the first is taken whose right text says, step by step, what the question's own solution says (where it
 * has one: an answer may be right by luck) and that differ in a single place; else the best there is. Steps are those
 * of steps.h. */
#include <string.h>

#include "distill_parts.h"
#include "file.h"
#include "record.h"
#include "steps.h"
#include "transcript.h"

#define MAX_STEPS  32
#define BEST_WORTH 4 /* of worth() */

struct solution {
    const char *text;
    size_t n, begin[MAX_STEPS], end[MAX_STEPS];
};

static void split(struct solution *s, const char *text)
{
    size_t from = 0;

    s->text = text;
    for (s->n = 0; s->n < MAX_STEPS; s->n++)
        if (!steps_next(&s->begin[s->n], &s->end[s->n], text, strlen(text), &from))
            return;
}

static int has_step(const struct solution *s, const char *text, size_t length)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->end[i] - s->begin[i] == length && memcmp(s->text + s->begin[i], text, length) == 0)
            return 1;
    return 0;
}

/* The first step of `s` that `other` does not have; n: none. */
static size_t own_step(const struct solution *s, const struct solution *other)
{
    size_t i = 0;

    while (i < s->n && has_step(other, s->text + s->begin[i], s->end[i] - s->begin[i]))
        i++;
    return i;
}

/* How good a pair is to read: 0, no difference in a step; 1, some; one more for as many steps in both, the same up to
 * one that is neither the first nor the answer; two more when the reference has all steps of the right text. */
static int worth(const char *wrong, const char *right, const char *reference)
{
    struct solution a, b, r;
    size_t i, k;
    int value = 1;

    split(&a, wrong);
    split(&b, right);
    i = own_step(&a, &b);
    k = own_step(&b, &a);
    if (i + 1 >= a.n || k + 1 >= b.n)
        return 0;
    value += a.n == b.n && i == k && i > 0;
    split(&r, reference);
    return value + 2 * (own_step(&b, &r) == b.n);
}

/* The text step by step, indented, with a mark behind the first step that `other` does not have. */
static void put_steps(struct buffer *out, const char *text, const char *other, const char *mark)
{
    struct solution s, o;
    size_t marked;

    split(&s, text);
    split(&o, other);
    marked = own_step(&s, &o);
    for (size_t i = 0; i < s.n; i++)
        buffer_format(out, "      %.*s%s%s\n", (int)(s.end[i] - s.begin[i]), s.text + s.begin[i],
                      i == marked ? "      <-- " : "", i == marked ? mark : "");
}

static void put_question(struct buffer *out, const char *question)
{
    buffer_text(out, "    ");
    for (; *question; question++) /* long questions are the terminal's to wrap */
        buffer_byte(out, *question == '\n' ? ' ' : *question);
    buffer_text(out, "\n\n");
}

/* ---- Before and after ---- */

static int text_of(const struct record *record, const char **text)
{
    *text = json_string(record->json, "output", NULL);
    return *text != NULL;
}

static enum status keep_text(struct distill *d, const char **kept, const char *text, struct diag *diag)
{
    *kept = arena_text(&d->arena, text, strlen(text));
    return *kept ? STATUS_OK : distill_no_memory(diag);
}

/* The pair of one question, when it is better than what there is. */
static enum status take(struct distill *d, struct distill_sample *best, const struct record *a, const struct record *b,
                        const char *reference, struct diag *diag)
{
    const char *question = json_string(a->json, "question", NULL), *wrong, *right;
    enum status status;
    int value;

    if (!question || strcmp(a->id, b->id) != 0 || !text_of(a, &wrong) || !text_of(b, &right) ||
        json_bool(a->json, "correct", 1) || !json_bool(b->json, "correct", 0))
        return STATUS_OK;
    value = worth(wrong, right, reference);
    if (value <= best->worth)
        return STATUS_OK;
    best->worth = value;
    status = keep_text(d, &best->id, a->id, diag);
    if (!status)
        status = keep_text(d, &best->question, question, diag);
    if (!status)
        status = keep_text(d, &best->wrong, wrong, diag);
    return status ? status : keep_text(d, &best->right, right, diag);
}

/* What the question's record says of its solution; "" where it says nothing. The questions stand in the order of the
 * records about them; `id` is what the question must be. */
static enum status next_reference(struct record_reader *questions, const char **reference, const char *id,
                                  struct diag *diag)
{
    const struct record *question;
    enum status status = record_next(questions, &question, diag);

    *reference = "";
    if (!status && question && strcmp(question->id, id) == 0)
        *reference = json_string(question->json, "answer", "");
    return status;
}

enum status distill_sample_answers(struct distill *d, struct distill_sample *best, enum distill_row row,
                                   const struct distill_set *set, struct diag *diag)
{
    const char *before = distill_answers(d, ROW_BASE, set, 0), *after = distill_answers(d, row, set, 0);
    struct record_reader readers[3] = {{.stream.fd = -1}, {.stream.fd = -1}, {.stream.fd = -1}};
    const struct record *a, *b = NULL;
    const char *reference;
    enum status status;

    memset(best, 0, sizeof *best);
    if (!before || !after)
        return distill_no_memory(diag);
    if (!file_exists(before) || !file_exists(after))
        return STATUS_OK;
    status = record_open(&readers[0], before, NULL, diag);
    if (!status)
        status = record_open(&readers[1], after, NULL, diag);
    if (!status)
        status = record_open(&readers[2], set->path, NULL, diag);
    while (!status && best->worth < BEST_WORTH) {
        status = record_next(&readers[0], &a, diag);
        if (!status && a)
            status = record_next(&readers[1], &b, diag);
        if (status || !a || !b)
            break;
        status = next_reference(&readers[2], &reference, a->id, diag);
        if (!status)
            status = take(d, best, a, b, reference, diag);
    }
    for (int i = 0; i < 3; i++)
        record_close(&readers[i]);
    return status;
}

void distill_sample_put(struct buffer *out, const struct distill_sample *sample, const char *before, const char *after)
{
    put_question(out, sample->question);
    buffer_format(out, "    %s:\n", before);
    put_steps(out, sample->wrong, sample->right, "the first wrong step");
    buffer_format(out, "\n    %s:\n", after);
    put_steps(out, sample->right, sample->wrong, "corrected");
}

/* ---- A correction in a debate ---- */

/* The best agent of a debate: wrong in the first round, right in the end. */
static enum status take_turns(struct distill *d, struct distill_sample *best, const struct transcript *t,
                              const char *reference, struct diag *diag)
{
    enum status status = STATUS_OK;

    for (size_t agent = 0; agent < t->n_agents && !status; agent++) {
        const struct transcript_turn *first = transcript_last(t, agent, 0),
                                     *last = transcript_last(t, agent, t->n_rounds ? t->n_rounds - 1 : 0);
        int value =
            first && last && first->correct == 0 && last->correct == 1 ? worth(first->text, last->text, reference) : 0;

        if (value <= best->worth)
            continue;
        best->worth = value;
        best->agent = agent;
        status = keep_text(d, &best->id, t->question.id, diag);
        if (!status)
            status = keep_text(d, &best->question, t->question.text, diag);
        if (!status)
            status = keep_text(d, &best->wrong, first->text, diag);
        if (!status)
            status = keep_text(d, &best->right, last->text, diag);
    }
    return status;
}

enum status distill_sample_debate(struct distill *d, struct distill_sample *best, struct diag *diag)
{
    const char *path = distill_path(d, "debate.jsonl"), *reference;
    struct record_reader reader = {.stream.fd = -1}, questions = {.stream.fd = -1};
    struct transcript transcript;
    const struct record *record;
    enum status status;

    memset(best, 0, sizeof *best);
    if (!path)
        return distill_no_memory(diag);
    if (!file_exists(path))
        return STATUS_OK;
    status = record_open(&reader, path, NULL, diag);
    if (!status)
        status = record_open(&questions, d->train, NULL, diag);
    while (!status && best->worth < BEST_WORTH && !(status = record_next(&reader, &record, diag)) && record) {
        status = next_reference(&questions, &reference, record->id, diag);
        if (!status)
            status = transcript_read(&transcript, record, &reader.arena, diag);
        if (!status)
            status = take_turns(d, best, &transcript, reference, diag);
    }
    record_close(&questions);
    record_close(&reader);
    return status;
}
