/* turns.c - documents from debates. */
#include "turns.h"

#include <string.h>
#include "answer.h"
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

/* The agents' turns of a round; 0 when it is of no use: no further round is held over answers that agree. */
static size_t round_turns(const struct transcript *t, size_t round, struct prompt_solution *solutions,
                          struct peer *peers)
{
    const char *first = NULL;
    size_t n = 0, agree = 0, i;

    for (i = 0; i < t->n_turns && n < MAX_AGENTS; i++) {
        const struct transcript_turn *turn = &t->turns[i];

        if (turn->round != round)
            continue;
        solutions[n].text = turn->text;
        solutions[n].length = turn->length;
        peers[n].text = turn->text;
        peers[n].right = turn->correct == 1;
        if (n++ == 0)
            first = turn->answer;
        agree += first && turn->answer && answer_same(&t->question.key, first, turn->answer);
    }
    return agree == n ? 0 : n;
}

static void shuffle(struct prompt_solution *solutions, struct peer *peers, size_t n, struct draw *draw)
{
    size_t i;

    for (i = n; i-- > 1;) {
        size_t k = (size_t)draw_below(draw, (int)i + 1);
        struct prompt_solution solution = solutions[i];
        struct peer peer = peers[i];

        solutions[i] = solutions[k];
        peers[i] = peers[k];
        solutions[k] = solution;
        peers[k] = peer;
    }
}

/* Adds the document of one of a round's agents to `lines`, or nothing. */
static enum status put_turn(struct buffer *lines, const struct transcript *t, size_t round, const char *solution,
                            int weight, int shuffled, struct draw *draw, struct arena *arena, struct diag *diag)
{
    const struct prompt_style style = {0};
    const struct buffer completion = {.data = (char *)solution, .length = strlen(solution)};
    struct prompt_solution solutions[MAX_AGENTS];
    struct peer peers[MAX_AGENTS];
    struct prompt prompt;
    size_t n = round_turns(t, round, solutions, peers);
    enum status status;

    if (n == 0)
        return STATUS_OK;
    if (shuffled)
        shuffle(solutions, peers, n, draw);
    status = prompt_revise(&prompt, &style, &t->question, solutions, n, (size_t)draw_below(draw, (int)n), arena, diag);
    if (status)
        return status;
    if (lines->length)
        buffer_text(lines, "\n");
    buffer_text(lines, "{\"v\":1,\"id\":");
    question_put_id(lines, &t->question);
    document_debate_put(lines, &prompt, peers, (int)n, weight, &completion);
    return lines->failed ? diag_fail(diag, STATUS_MEMORY, "out of memory for a document") : STATUS_OK;
}

enum status turns_convert(const char *debates, const char *questions, uint64_t seed, int weight, int copies,
                          int (*put_line)(const struct buffer *line), struct diag *diag)
{
    const struct record_options options = {0};
    struct record_reader in, gold;
    const struct record *record = NULL;
    struct buffer lines = {0};
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
        size_t round;
        int copy;

        buffer_clear(&lines);
        status = transcript_read(&transcript, record, &in.arena, diag);
        if (!status)
            status = find_solution(&gold, &transcript, &solution, diag);
        for (copy = 0; copy < copies; copy++)
            for (round = 0; !status && round < transcript.n_rounds; round++)
                status = put_turn(&lines, &transcript, round, solution, weight, copy > 0, &draw, &in.arena, diag);
        if (!status && lines.length && !put_line(&lines))
            status = diag_fail(diag, STATUS_IO, "cannot write the documents");
    }
    record_close(&in);
    record_close(&gold);
    buffer_free(&lines);
    return status;
}
