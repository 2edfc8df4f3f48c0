/* debate_summary.c - what debates came to, counted record by record. */
#include <stdio.h>
#include <string.h>
#include "debate.h"

static const struct transcript_turn *turn_at(const struct transcript *t, size_t agent, size_t round)
{
    const struct transcript_turn *turn = transcript_last(t, agent, round);

    return turn && turn->round == round ? turn : NULL;
}

void debate_count(struct debate_summary *s, const struct transcript *t)
{
    const struct transcript_turn *first;
    size_t r, a, i, votes;

    s->questions++;
    for (i = 0; i < t->n_turns; i++)
        s->tokens += t->turns[i].tokens > 0 ? (uint64_t)t->turns[i].tokens : 0;
    if (!t->question.has_gold || !t->n_turns)
        return;
    s->with_gold++;
    if (t->n_rounds > s->rounds) /* one held elsewhere may have more than are told apart */
        s->rounds = t->n_rounds < DEBATE_MAX_ROUNDS ? t->n_rounds : DEBATE_MAX_ROUNDS;
    s->turns += t->n_agents;
    first = transcript_vote(t, 0, &votes);
    s->vote_first += first && answer_correct(&t->question.key, first->answer);
    s->vote_last += t->vote_correct == 1;
    for (r = 0; r < DEBATE_MAX_ROUNDS; r++)
        for (a = 0; a < t->n_agents; a++) {
            const struct transcript_turn *last = transcript_last(t, a, r), *now = turn_at(t, a, r);
            const struct transcript_turn *before = r && now ? transcript_last(t, a, r - 1) : NULL;

            s->right_per_round[r] += last && last->correct == 1;
            s->wrong_to_right += before && before->correct == 0 && now->correct == 1;
            s->right_to_wrong += before && before->correct == 1 && now->correct == 0;
        }
}

enum status debate_recount(struct debate_summary *s, const char *path, struct diag *diag)
{
    struct debate_summary all = *s;
    struct transcript transcript;
    struct record_reader reader;
    const struct record *record;
    enum status status = record_open(&reader, path, NULL, diag);

    all.questions = all.with_gold = all.rounds = all.turns = all.tokens = 0;
    all.vote_first = all.vote_last = all.wrong_to_right = all.right_to_wrong = 0;
    memset(all.right_per_round, 0, sizeof all.right_per_round);
    while (!status && !(status = record_next(&reader, &record, diag)) && record) {
        status = transcript_read(&transcript, record, &reader.arena, diag);
        if (!status)
            debate_count(&all, &transcript);
    }
    record_close(&reader);
    if (!status)
        *s = all;
    return status;
}

static void put_share(struct buffer *out, const char *name, uint64_t hits, uint64_t n)
{
    if (n)
        buffer_format(out, "%s %.4f %llu\n", name, (double)hits / (double)n, (unsigned long long)n);
}

static void put_number(struct buffer *out, const char *name, uint64_t n)
{
    buffer_format(out, "%s %llu\n", name, (unsigned long long)n);
}

void debate_put(struct buffer *out, const struct debate_summary *s)
{
    uint64_t prompt = 0, computed = 0;
    char name[40];
    size_t r;

    put_number(out, "questions", s->questions);
    for (r = 0; r < s->rounds; r++) {
        snprintf(name, sizeof name, r ? "mean_agent_round_%zu" : "single", r);
        put_share(out, name, s->right_per_round[r], s->turns);
    }
    put_share(out, "vote_first_round", s->vote_first, s->with_gold);
    put_share(out, "vote", s->vote_last, s->with_gold);
    put_number(out, "wrong_to_right", s->wrong_to_right);
    put_number(out, "right_to_wrong", s->right_to_wrong);
    put_number(out, "tokens", s->tokens);
    for (r = 0; r <= DEBATE_MAX_ROUNDS; r++) {
        prompt += s->prompt_tokens[r];
        computed += s->computed[r];
        if (!s->prompt_tokens[r])
            continue;
        snprintf(name, sizeof name, r < DEBATE_MAX_ROUNDS ? "prefill_round_%zu" : "prefill_aggregation", r);
        buffer_format(out, "%s %llu of %llu\n", name, (unsigned long long)s->computed[r],
                      (unsigned long long)s->prompt_tokens[r]);
    }
    put_number(out, "prompt_tokens_computed", computed);
    put_number(out, "prompt_tokens_shared", prompt - computed);
    buffer_format(out, "seconds %.1f\n", s->seconds);
}
