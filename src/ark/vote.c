/* vote.c - majority votes. Quadratic in the ballots, of which there are few. */
#include "vote.h"

size_t vote_majority(const struct answer_key *key, const struct ballot *ballots, size_t n, size_t *count)
{
    size_t best = n;
    double best_logprob = 0;

    *count = 0;
    for (size_t i = 0; i < n; i++) {
        double logprob = 0;
        size_t votes = 0;

        for (size_t j = 0; ballots[i].answer && j < n; j++)
            if (answer_same(key, ballots[i].answer, ballots[j].answer)) {
                logprob += ballots[j].logprob;
                votes++;
            }
        if (votes && (votes > *count || (votes == *count && logprob / (double)votes > best_logprob))) {
            best = i;
            best_logprob = logprob / (double)votes;
            *count = votes;
        }
    }
    return best;
}
