/* select.h - from debates to training traces: which turns a student learns from, in what form, and why not the others.
 *
 *   debate -> enough correct agents? -> candidates: correct, complete, self-contained, not said before
 *          -> rsft: the shortest | da: the shortest, then whatever differs most (k at most), weight 1 / k
 *             answer: the gold alone | sampled: as da, from the answers of round 0 alone
 *          -> spliced (on request): a wrong start, a self-check, the later right solution; no loss on the wrong part
 *
 * Kinds of traces: consensus (the agent was never wrong), corrective (it was, in an earlier round), spliced, answer,
 * sampled. All traces of a debate weigh 1 together. A debate's traces depend on its record alone, but for the bound on
 * spliced ones: before one is taken, they hold at most max_spliced of all bytes of completions so far. */
#ifndef ARKLET_SELECT_H
#define ARKLET_SELECT_H

#include <stdint.h>
#include "file_rewrite.h"
#include "progress.h"
#include "prompt.h"
#include "record.h"
#include "transcript.h"

enum select_strategy { SELECT_RSFT, SELECT_DA, SELECT_ANSWER, SELECT_SAMPLED };

#define SELECT_STRATEGIES "rsft|da|answer|sampled"

#define SELECT_DISTANCE 0.3 /* what is usual */
#define SELECT_SPLICED  0.15

struct select_options {
    enum select_strategy strategy;
    size_t k;                         /* traces of a debate at most (da, sampled) */
    size_t min_correct;               /* agents whose last turn is right; fewer: the debate is dropped */
    double distance;                  /* of steps.h: a trace that is closer than this to a taken one is not taken */
    int spliced;                      /* also splice */
    double max_spliced;               /* share of the completions' bytes */
    uint64_t budget;                  /* sampled: tokens of round 0 that count, agent by agent; 0: all */
    const char *match;                /* sampled: debates on the same questions in the same order (others may stand
                                         between); the budget of each is what that debate generated. NULL: none */
    const struct prompt_style *style; /* how questions are put to the student */
    struct record_options records;
    struct progress *progress;
    int (*stop)(void);
};

/* Why turns were left out: with the consensus, corrective and sampled traces these counts add up to all turns. */
enum select_reason {
    SELECT_WRONG,     /* turns: not correct */
    SELECT_TRUNCATED, /* ended by the token limit */
    SELECT_LEANS,     /* speaks of other solutions */
    SELECT_DUPLICATE, /* said before, word for word */
    SELECT_BARE,      /* an answer without reasoning, where there is reasoning to be had */
    SELECT_SIMILAR,   /* too close to what was taken */
    SELECT_SURPLUS,   /* enough were taken */
    SELECT_UNUSED,    /* not what the strategy reads: another round, beyond the budget */
    SELECT_DROPPED,   /* of a debate with too few right agents */
    SELECT_REASONS
};

extern const char *const select_reasons[SELECT_REASONS]; /* "wrong", "truncated", ... */

struct select_summary {
    uint64_t debates, turns;
    uint64_t few_correct, no_candidate;                        /* debates without traces */
    uint64_t kept;                                             /* debates with traces */
    uint64_t left_out[SELECT_REASONS];                         /* turns */
    uint64_t consensus, corrective, spliced, answers, sampled; /* traces, by kind */
    uint64_t splice_no_step, splice_bound; /* corrections that were not spliced: no first bad step found; the bound */
    uint64_t bytes, spliced_bytes;         /* of completions */
    uint64_t debate_tokens, first_tokens;  /* generated in all rounds, in round 0, as far as the records tell */
};

/* Reads debates from path and writes traces, in order. A shard with `spliced` reads what is before it, for the bound.
 */
enum status select_run(const struct select_options *options, const char *path, struct file_rewrite *out,
                       struct record_reader *reader, struct select_summary *summary, struct diag *diag);
int select_strategy_named(enum select_strategy *strategy, const char *name); /* 0: none of SELECT_STRATEGIES */

#endif
