/* document.h - records of the world: questions with their solutions, and documents to train on.
 *
 *   question   {"v":1,"id","question","answer"}                 as GSM8K: the answer ends in "#### n"
 *   single     {"v":1,"id","prompt","completion"}               the prompt as src/ark/prompt.c puts it to a plain model
 *   debate     the same: the prompt holds solutions of several agents, right and wrong; the completion is right. Or as
 *              {"v":1,"id","segments":[{"text","weight"}]}, where the right ones of the prompt are trained on, too
 *   critique   the same: the completion first says of each other solution where it goes wrong
 *   drill      {"v":1,"id","segments"}: sums; only the results are trained on
 *
 * The splits are disjoint by the hash of a question (story_hash), whatever the seeds: no two splits can share one. */
#ifndef ARKLET_WORLD_DOCUMENT_H
#define ARKLET_WORLD_DOCUMENT_H

#include "prompt.h"
#include "solution.h"
#include "status.h"

enum split { SPLIT_TRAIN, SPLIT_DEV, SPLIT_TEST, SPLIT_DEEP, SPLIT_FORM, SPLIT_COUNT };

#define MAX_DEPTH 8

struct depths {
    int weights[MAX_DEPTH]; /* [k]: of stories with k + 1 steps */
};

/* Numbers met before: the hashes of a file's questions. */
struct seen {
    uint64_t *slots;
    size_t room, count;
};

/* Returns 0 when hash was there already; -1 without memory. */
int seen_add(struct seen *seen, uint64_t hash);
void seen_free(struct seen *seen);

const char *split_name(enum split split);
/* The usual mix of depths: 2 to 5 steps, or 6 in the deeper test. */
void split_depths(struct depths *depths, enum split split);

/* Draws the story of item `item` of a split: one that belongs to it and, where seen is given, was not drawn before. 0:
 * after very many tries there was none; -1: out of memory. */
int document_story(struct story *story, struct draw *draw, enum split split, const struct depths *depths,
                   struct seen *seen);

void document_question(struct buffer *out, const struct story *story, struct draw *draw, const char *id);
enum status document_single(struct buffer *out, const struct story *story, struct draw *draw, const char *id,
                            struct arena *arena, struct diag *diag);
/* Solutions of 3 to 5 agents, as of one round; weight: see document_debate_put. */
enum status document_debate(struct buffer *out, const struct story *story, struct draw *draw, int critique, int weight,
                            const char *id, struct arena *arena, struct diag *diag);
/* A solution in a debate's prompt. */
struct peer {
    const char *text; /* ends in NUL */
    int right;
};

/* Appends a debate to a record's beginning, and ends the record. The prompt holds the peers' texts in turn. `weight` is
 * that of the right peers' tokens in percent of the completion's: above 0 the record consists of segments. */
void document_debate_put(struct buffer *out, const struct prompt *prompt, const struct peer *peers, int n_peers,
                         int weight, const struct buffer *completion);
void document_drill(struct buffer *out, struct draw *draw, const char *id);

#endif
