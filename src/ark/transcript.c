/* transcript.c - writing debate records, and the vote over their turns. Reading: transcript_read.c.
 *
 * Invariant: a record is one line; what transcript_read makes of it, written again, is the same line. */
#include "transcript.h"

#include <assert.h>
#include <math.h>
#include "vote.h"

/* ---- writing ---- */

static void put_truth(struct buffer *out, const char *name, int truth)
{
    buffer_format(out, "\"%s\":%s", name, truth == TRANSCRIPT_UNKNOWN ? "null" : truth ? "true" : "false");
}

static void put_count(struct buffer *out, const char *name, int64_t value)
{
    if (value == TRANSCRIPT_UNKNOWN)
        buffer_format(out, "\"%s\":null", name);
    else
        buffer_format(out, "\"%s\":%lld", name, (long long)value);
}

static void put_measure(struct buffer *out, const char *name, double value)
{
    if (isnan(value))
        buffer_format(out, "\"%s\":null", name);
    else
        buffer_format(out, "\"%s\":%.6g", name, value);
}

void transcript_put_gold(struct buffer *out, const struct answer_key *key)
{
    size_t i;

    buffer_text(out, "\"gold\":");
    if (key->n_golds < 2) {
        json_put_text(out, key->n_golds ? key->golds[0] : NULL);
        return;
    }
    for (i = 0; i < key->n_golds; i++) {
        buffer_byte(out, i ? ',' : '[');
        json_put_text(out, key->golds[i]);
    }
    buffer_byte(out, ']');
}

static void put_turn(struct buffer *out, const struct transcript_turn *turn)
{
    static const char *const finishes[] = {"null", "\"stop\"", "\"length\""};

    buffer_format(out, "{\"round\":%zu,\"agent\":%zu,\"text\":", turn->round, turn->agent);
    json_put_string(out, turn->text, turn->length);
    json_put_member(out, "answer", turn->answer);
    buffer_byte(out, ',');
    put_truth(out, "correct", turn->correct);
    buffer_format(out, ",\"finish\":%s,", finishes[turn->finish]);
    put_count(out, "tokens", turn->tokens);
    buffer_byte(out, ',');
    put_measure(out, "logprob", turn->logprob);
    buffer_byte(out, '}');
}

static void put_header(struct buffer *out, const struct transcript *t)
{
    const struct question *q = &t->question;

    buffer_text(out, "{\"v\":1,\"id\":");
    question_put_id(out, q);
    json_put_member(out, "question", q->text);
    if (q->context)
        json_put_member(out, "context", q->context);
    buffer_byte(out, ',');
    transcript_put_gold(out, &q->key);
    json_put_member(out, "kind", answer_kind_name(q->key.kind));
    json_put_member(out, "model", t->model);
    buffer_format(out, ",\"agents\":%zu,\"rounds\":%zu,", t->n_agents, t->n_rounds);
    put_measure(out, "temperature", t->temperature);
    buffer_byte(out, ',');
    if (t->has_seed)
        buffer_format(out, "\"seed\":%llu", (unsigned long long)t->seed);
    else
        buffer_text(out, "\"seed\":null");
}

void transcript_put(struct buffer *out, const struct transcript *t)
{
    size_t i;

    put_header(out, t);
    buffer_text(out, ",\"turns\":[");
    for (i = 0; i < t->n_turns; i++) {
        buffer_text(out, i ? "," : "");
        put_turn(out, &t->turns[i]);
    }
    buffer_text(out, "],\"vote\":{\"answer\":");
    json_put_text(out, t->vote);
    buffer_byte(out, ',');
    put_count(out, "count", (int64_t)t->votes);
    buffer_byte(out, ',');
    put_truth(out, "correct", t->vote_correct);
    buffer_text(out, "}}");
}

/* ---- answers and votes ---- */

enum status transcript_grade(struct transcript_turn *turn, const struct question *question, struct arena *arena,
                             struct diag *diag)
{
    enum status status = answer_extract(&turn->answer, &question->key, turn->text, turn->length,
                                        turn->finish == TURN_TRUNCATED, arena, diag);

    turn->correct = question->has_gold ? answer_correct(&question->key, turn->answer) : TRANSCRIPT_UNKNOWN;
    return status;
}

const struct transcript_turn *transcript_last(const struct transcript *t, size_t agent, size_t round)
{
    const struct transcript_turn *last = NULL;
    size_t i;

    for (i = 0; i < t->n_turns; i++)
        if (t->turns[i].agent == agent && t->turns[i].round <= round)
            last = &t->turns[i];
    return last;
}

const struct transcript_turn *transcript_vote(const struct transcript *t, size_t round, size_t *count)
{
    const struct transcript_turn *last[TRANSCRIPT_MAX_AGENTS] = {NULL};
    struct ballot ballots[TRANSCRIPT_MAX_AGENTS] = {{NULL, 0}};
    size_t i, winner;

    assert(t->n_agents <= TRANSCRIPT_MAX_AGENTS);
    for (i = 0; i < t->n_turns; i++)
        if (t->turns[i].round <= round)
            last[t->turns[i].agent] = &t->turns[i];
    for (i = 0; i < t->n_agents; i++) {
        ballots[i].answer = last[i] ? last[i]->answer : NULL;
        ballots[i].logprob = last[i] && !isnan(last[i]->logprob) ? last[i]->logprob : 0;
    }
    winner = vote_majority(&t->question.key, ballots, t->n_agents, count);
    return winner < t->n_agents ? last[winner] : NULL;
}
