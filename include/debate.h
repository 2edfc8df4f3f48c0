/* debate.h - several agents answer a question, read each other, and answer again.
 *
 * Rounds are synchronous: round r reads round r - 1 alone. All questions of a window and all their agents decode
 * together. A record (formats.md, Debates) holds every turn of every agent. The agents' parsed answers are voted on;
 * ties go to the answer whose turns have the higher mean token log-probability (then to the one that came first). */
#ifndef ARKLET_DEBATE_H
#define ARKLET_DEBATE_H

#include <stddef.h>
#include <stdint.h>
#include "batch.h"
#include "file.h"
#include "progress.h"
#include "prompt.h"
#include "question.h"

/* A model that speaks: several agents may share one. */
struct debate_speaker {
    struct engine *engine;
    const struct model *model;
    size_t context; /* of the engine */
};

struct debate_agent {
    const struct debate_speaker *speaker;
    struct prompt_style style; /* its tokenizer and template are the speaker's; system is its persona */
    const struct adapter *const *adapters;
    size_t n_adapters;
    float temperature;
};

struct debate_options {
    const struct debate_agent *agents; /* [n_agents] */
    size_t n_agents, rounds;           /* rounds >= 1, the first included */
    size_t max_new;
    float top_p, min_p;
    int top_k;
    uint64_t seed;
    size_t window;      /* questions at once */
    int early_stop;     /* a question ends when all its parsed answers agree */
    int skip_unanimous; /* questions whose first round agrees have no further rounds (early_stop for round 0 alone) */
    int aggregate_llm;  /* the vote's answer comes from one more call of agent 0 */
    const char *model_name;
    uint64_t skip; /* questions already in the output: passed over */
    struct progress *progress;
    int (*stop)(void);
};

/* Sums over the questions of this call. */
struct debate_summary {
    uint64_t questions, with_gold;
    uint64_t right_per_round[16],
        turns_per_round[16];                 /* agents' last word after each round (ended debates carry over) */
    uint64_t vote_first, vote_last;          /* majority of round 0 and of the end */
    uint64_t wrong_to_right, right_to_wrong; /* turns of successive rounds */
    uint64_t shortened;                      /* prompts whose solutions were cut to fit the context */
    uint64_t tokens;                         /* generated */
    double seconds;
};

#define DEBATE_MAX_ROUNDS 16
#define DEBATE_MAX_AGENTS 64

/* Reads questions until their end, appends records to out in the questions' order. */
enum status debate_run(const struct debate_options *options, struct question_reader *questions, struct file_stream *out,
                       struct debate_summary *summary, struct diag *diag);

#endif
