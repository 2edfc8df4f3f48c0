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
#include "resume.h"
#include "transcript.h"

#define DEBATE_MAX_ROUNDS 16
#define DEBATE_MAX_AGENTS 64

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
    const char *model_name, *lora; /* for the record; lora NULL: none */
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
    int aggregate_llm;  /* the vote's answer comes from one more call of agent 0, which reads the last answers */
    int evaluation;     /* records are evaluations too: output, prediction, correct, tokens of the common answer */
    const char *model_name;
    struct progress *progress;
    int (*stop)(void);
};

/* What debates came to. The upper half is a sum over records (debate_count), the lower one over the work of a call. */
struct debate_summary {
    uint64_t questions, with_gold;
    size_t rounds;                               /* of the longest debate */
    uint64_t right_per_round[DEBATE_MAX_ROUNDS]; /* agents' last word after each round: debates that ended carry over */
    uint64_t turns;                              /* agents of questions with gold */
    uint64_t vote_first, vote_last;              /* majority of round 0, and the common answer at the end */
    uint64_t wrong_to_right, right_to_wrong;     /* turns of successive rounds */
    uint64_t tokens;                             /* generated */

    uint64_t prompt_tokens[DEBATE_MAX_ROUNDS + 1]; /* by round; behind the last one, of the aggregation */
    uint64_t computed[DEBATE_MAX_ROUNDS + 1];      /* of these, not taken from a shared prefix */
    uint64_t shortened;                            /* prompts whose solutions or context were cut to fit */
    uint64_t decoded;
    double seconds;
};

/* Reads questions until their end, appends records to out in the questions' order, but for those that `resume` holds.
 * The summary's upper half covers the records of this call. */
enum status debate_run(const struct debate_options *options, struct question_reader *questions, struct resume *resume,
                       struct file_stream *out, struct debate_summary *summary, struct diag *diag);

/* Adds a record to the upper half of the summary. */
void debate_count(struct debate_summary *summary, const struct transcript *transcript);
/* The upper half of the summary anew, from all records of a file. */
enum status debate_recount(struct debate_summary *summary, const char *path, struct diag *diag);
/* "name value n" lines. */
void debate_put(struct buffer *out, const struct debate_summary *summary);

#endif
