/* distill.h - the whole loop in a run folder: debate, select, fine-tune, train the reward model, reinforce, evaluate.
 *
 *   questions -> split -> debate -> traces -> adapters (answer self sampled rsft da) -> prm -> adapters (rl pad da-pad)
 *             -> evaluation of every row on every test set -> summary
 *
 *   <folder>/questions/{train,dev,test,ood1..}.jsonl   debate.jsonl  samples.jsonl  self-samples.jsonl
 *            traces/<row>.jsonl
 *            <row>/, prm/          run folders of the learners (sft.h, prm.h, grpo.h) with their metrics.csv
 *            eval/<row>.<set>.jsonl, .vote.jsonl       stages/<stage>.json: what a complete stage came to
 *            config.txt  summary.txt  summary.md  summary.json
 *
 * A stage whose file is in stages/ is skipped; one that was interrupted goes on from its own streams and checkpoints. A
 * row that cannot be made (no debate had enough right agents) is left out, with the reason in the summary. One model is
 * in memory at a time: teacher and student take turns, and are one when their paths are. */
#ifndef ARKLET_DISTILL_H
#define ARKLET_DISTILL_H

#include <stddef.h>
#include <stdint.h>
#include "adapter.h"
#include "progress.h"
#include "sampler.h"
#include "status.h"
#include "trainer.h"

/* method.md section 5. */
enum distill_row {
    ROW_BASE,        /* the student as it is */
    ROW_TEACHER,     /* the teacher alone; only when it is another model */
    ROW_DEBATE,      /* the teacher's agents: mean agent and vote */
    ROW_SELF_DEBATE, /* the student's agents; as ROW_SELF only when the teacher is another model */
    ROW_ANSWER,      /* SFT on answers alone; from here on rows that are trained */
    ROW_SELF,        /* SFT on the student's own right samples, as many as the teacher's: self-training */
    ROW_SAMPLED,     /* SFT on the teacher's right samples without debate, at the debate's cost in tokens */
    ROW_RSFT,        /* SFT on one right trace a question */
    ROW_DA,          /* SFT on up to k different right traces */
    ROW_RL,          /* reinforcement by the answer check alone */
    ROW_PAD,         /* reinforcement with the reward model */
    ROW_DA_PAD,      /* DA, then PAD */
    DISTILL_ROWS
};

#define DISTILL_MAX_SETS 8 /* test and out-of-distribution sets */

const char *distill_row_name(enum distill_row row);  /* "base", "da-pad" */
const char *distill_row_about(enum distill_row row); /* a few words */
int distill_row_named(enum distill_row *row, const char *name, size_t length);

struct distill_options {
    const char *folder;
    const char *config; /* "name = value" lines that must agree to go on with a run */
    const char *questions;
    const char *dev, *test; /* files, or NULL: shares of the questions */
    double dev_share, test_share;
    const char *ood[DISTILL_MAX_SETS]; /* further test sets */
    size_t n_ood;
    const char *kind; /* of all questions, or NULL */
    int skip_bad;
    unsigned rows; /* bits 1 << enum distill_row: what to make */

    const char *student, *teacher; /* model files; may be the same */
    const char *chat_template, *system;
    int plain;
    size_t context; /* 0: what prompts of usual length take */
    enum dtype k_type, v_type;
    size_t mem_limit; /* bytes; 0: none */

    size_t agents, rounds, window;
    size_t max_new, batch;    /* tokens of an answer; sequences that decode together */
    struct sampling sampling; /* of debates and votes, with the seed of everything */
    size_t votes;             /* samples of a question in evaluations; 1: greedy answers alone */
    int votes_untrained;      /* these of the untrained models alone */

    size_t k, min_correct; /* select.h */
    int spliced;
    unsigned labels; /* sources of the reward model's labels (step_labels.h) */

    struct adapter_shape shape;
    double lora_dropout;        /* of SFT and the reward model */
    struct train_options train; /* of SFT; the others have a learning rate of their own */
    double epochs, prm_epochs, prm_lr, rl_lr, rl_temperature;
    size_t records, max_len; /* a step; tokens of a record */
    uint64_t save_every, eval_every, rl_steps;
    size_t group, prompts;
    double lambda_p;

    struct progress *progress;
    void (*say)(void *context, const char *line); /* a line for the user: stages, plan, warnings */
    void *context_of_say;
    int (*stop)(void);
};

/* What each stage takes in memory, told through `say`. STATUS_MEMORY when one passes mem_limit even with a single
 * sequence. */
enum status distill_plan(const struct distill_options *options, const struct exec *exec, struct diag *diag);
/* The loop. *text gets the summary table (the caller frees the buffer). STATUS_STOPPED when stop() said so: the same
 * call goes on. */
enum status distill_run(const struct distill_options *options, const struct exec *exec, struct buffer *text,
                        struct diag *diag);
/* What is there to be tried next. */
struct distill_next {
    const char *row; /* the best trained row, with the example's question and wrong answer in try/; NULL: none */
    int chat;        /* the question is a prompt of the chat template */
    int prm;         /* there is a reward model */
};
/* What a complete run came to, for somebody who sees it for the first time: a table in words, a question before and
 * after, an agent that corrects itself, where the time went, where the files are; appended to *text. */
enum status distill_story(const struct distill_options *options, const struct exec *exec, struct buffer *text,
                          struct distill_next *next, struct diag *diag);

#endif
