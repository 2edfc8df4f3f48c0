/* turns.c - documents from debates. */
#include "turns.h"

#include <string.h>
#include "prompt.h"
#include "transcript.h"

#define MAX_AGENTS 16

/* The solution that the question's record holds as its answer. */
static enum status find_solution(struct record_reader *questions, const struct transcript *t, const char **solution,
                                 struct diag *diag)
{
    const struct record *record;
    enum status status;

    *solution = NULL;
    while (!*solution) {
        status = record_next(questions, &record, diag);
        if (status)
            return status;
        if (!record)
            return record_fail(t->question.record, STATUS_FORMAT, diag, "no question of the id %s is left in %s",
                               t->question.id, questions->stream.path);
        if (strcmp(json_string(record->json, "question", ""), t->question.text) == 0)
            *solution = json_string(record->json, "answer", "");
    }
    return STATUS_OK;
}

/* How many of the first round's turns there are in `solutions`; 0 when the debate is of no use. */
static size_t first_round(const struct transcript *t, struct prompt_solution *solutions)
{
    size_t n = 0, right = 0, i;

    for (i = 0; i < t->n_turns && n < MAX_AGENTS; i++) {
        const struct transcript_turn *turn = &t->turns[i];

        if (turn->round > 0)
            continue;
        solutions[n].text = turn->text;
        solutions[n++].length = turn->length;
        right += turn->correct == 1;
    }
    return right == n ? 0 : n;
}

static enum status put_turn(struct buffer *line, const struct transcript *t, const char *solution, struct draw *draw,
                            struct arena *arena, struct diag *diag)
{
    const struct prompt_style style = {0};
    struct prompt_solution solutions[MAX_AGENTS];
    struct prompt prompt;
    size_t n = first_round(t, solutions);
    enum status status;

    buffer_clear(line);
    if (n == 0)
        return STATUS_OK;
    status = prompt_revise(&prompt, &style, &t->question, solutions, n, (size_t)draw_below(draw, (int)n), arena, diag);
    if (status)
        return status;
    buffer_text(line, "{\"v\":1,\"id\":");
    question_put_id(line, &t->question);
    buffer_text(line, ",\"prompt\":");
    prompt_put(line, &prompt);
    buffer_text(line, ",\"completion\":");
    json_put_string(line, solution, strlen(solution));
    buffer_text(line, "}");
    return line->failed ? diag_fail(diag, STATUS_MEMORY, "out of memory for a document") : STATUS_OK;
}

enum status turns_convert(const char *debates, const char *questions, uint64_t seed,
                          int (*put_line)(const struct buffer *line), struct diag *diag)
{
    const struct record_options options = {0};
    struct record_reader in, gold;
    const struct record *record = NULL;
    struct buffer line = {0};
    enum status status;

    memset(&in, 0, sizeof in);
    memset(&gold, 0, sizeof gold);
    in.stream.fd = gold.stream.fd = -1;
    status = record_open(&in, debates, &options, diag);
    if (!status)
        status = record_open(&gold, questions, &options, diag);
    while (!status && !(status = record_next(&in, &record, diag)) && record) {
        struct draw draw = {seed, record->index, 0};
        struct transcript transcript;
        const char *solution = NULL;

        status = transcript_read(&transcript, record, &in.arena, diag);
        if (!status)
            status = find_solution(&gold, &transcript, &solution, diag);
        if (!status)
            status = put_turn(&line, &transcript, solution, &draw, &in.arena, diag);
        if (!status && line.length && !put_line(&line))
            status = diag_fail(diag, STATUS_IO, "cannot write the documents");
    }
    record_close(&in);
    record_close(&gold);
    buffer_free(&line);
    return status;
}
