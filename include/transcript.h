/* transcript.h - a debate as a record: the question, every turn of every agent, the vote.
 *
 *   {v, id, question, context, gold, kind, model, agents, rounds, temperature, seed,
 *    turns: [{round, agent, text, answer, correct, finish, tokens, logprob}], vote: {answer, count, correct}}
 *
 * What is not known is null: correct without a gold; finish, tokens, logprob, model, temperature and seed of debates
 * held elsewhere. The one writer and reader of these records. */
#ifndef ARKLET_TRANSCRIPT_H
#define ARKLET_TRANSCRIPT_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"
#include "question.h"
#include "record.h"
#include "status.h"

#define TRANSCRIPT_UNKNOWN    (-1)
#define TRANSCRIPT_MAX_AGENTS 256 /* a record with more is an error */
#define TRANSCRIPT_MAX_ROUNDS 4096
#define TRANSCRIPT_MAX_TURNS  65536

enum turn_finish { TURN_UNKNOWN, TURN_STOPPED, TURN_TRUNCATED };

struct transcript_turn {
    size_t round, agent; /* from 0 */
    const char *text;
    size_t length;
    const char *answer; /* normalised; NULL: none */
    int correct;        /* 1, 0, TRANSCRIPT_UNKNOWN */
    enum turn_finish finish;
    int64_t tokens; /* generated; TRANSCRIPT_UNKNOWN */
    double logprob; /* mean of the tokens'; NaN: not known */
};

struct transcript {
    struct question question; /* its record is the transcript's own */
    const char *model;        /* NULL: not known */
    size_t n_agents, n_rounds;
    double temperature; /* NaN: not known */
    int has_seed;
    uint64_t seed;
    struct transcript_turn *turns;
    size_t n_turns;   /* by round, then agent; an agent may speak several times in a round, or not at all */
    const char *vote; /* the common answer; NULL: none */
    size_t votes;     /* agents that gave it */
    int vote_correct;
};

/* Appends the record as one line without newline. */
void transcript_put(struct buffer *out, const struct transcript *transcript);

/* "gold":null, a text, or a list when several answers are right. */
void transcript_put_gold(struct buffer *out, const struct answer_key *key);
/* Strings stay in the record, arrays and golds go to arena. Needed: question, and round, agent and text of every turn.
 * A missing kind is number; missing answers, correctness and vote are worked out from text and gold. STATUS_FORMAT
 * names the record's line and the field. */
enum status transcript_read(struct transcript *transcript, const struct record *record, struct arena *arena,
                            struct diag *diag);
/* Does a record look like a debate (it has turns)? */
int transcript_is(const struct json *record);

/* The agent's last turn in rounds 0..round; NULL: it has not spoken. */
const struct transcript_turn *transcript_last(const struct transcript *transcript, size_t agent, size_t round);
/* Majority over the agents' last turns in rounds 0..round: the turn whose answer won, NULL without any answer; *count
 * agents gave it. Ties go to the higher mean token log-probability, then to the lower agent. */
const struct transcript_turn *transcript_vote(const struct transcript *transcript, size_t round, size_t *count);
/* Answer and correctness of a turn from its text. Memory of the answer from arena; fails only for memory. */
enum status transcript_grade(struct transcript_turn *turn, const struct question *question, struct arena *arena,
                             struct diag *diag);

#endif
