/* vote.h - the majority of several answers to one question.
 *
 * Answers that mean the same (answer_same) are one choice; no answer is no vote. Ties go to the choice whose voters
 * have the higher mean log-probability, then to the one that came first. */
#ifndef ARKLET_VOTE_H
#define ARKLET_VOTE_H

#include <stddef.h>
#include "answer.h"

struct ballot {
    const char *answer; /* normalised; NULL: none */
    double logprob;     /* mean over the tokens of its text */
};

/* The first ballot of the winning choice, n when nobody has an answer. *count gets the winner's votes. */
size_t vote_majority(const struct answer_key *key, const struct ballot *ballots, size_t n, size_t *count);

#endif
