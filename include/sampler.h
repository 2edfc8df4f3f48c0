/* sampler.h - from logits to a token and its log-probability.
 *
 * Filters run in the order top-k, top-p, min-p, then temperature (formats.md, `run`); temperature 0 is arg-max, lowest
 * id on a tie. The random number of a choice is rng(seed, RNG_SAMPLE, stream, position): a sequence's text depends on
 * its own logits, seed and stream alone, never on its neighbours.
 *
 * The filters are those of Fan et al. 2018 (top-k), Holtzman et al. 2020 (top-p: the smallest set of most probable
 * tokens whose probability reaches p, the token that reaches it included) and Nguyen et al. 2024 (min-p: at least
 * min_p times the probability of the best). Each sees what the one before left; the best token always stays. */
#ifndef ARKLET_SAMPLER_H
#define ARKLET_SAMPLER_H

#include <stddef.h>
#include <stdint.h>
#include "kernels.h"

struct sampling {
    float temperature; /* >= 0 */
    int top_k;         /* <= 0: off */
    float top_p;       /* >= 1: off */
    float min_p;       /* <= 0: off */
    uint64_t seed;
    uint64_t stream; /* which sequence this is, for the random stream */
};

struct candidate {
    float logit;
    int32_t id;
};

/* Chooses from logits[0..n), n >= 1, for the token at `position` (its index in the sequence). scratch: n candidates.
 * *logprob (may be NULL) gets the natural log-probability of the choice under the full distribution at temperature 1
 * (what the trainer computes). Returns -1 when a logit is not finite. Thread safe. */
int32_t sampler_choose(const struct sampling *sampling, const struct row_kernels *rows, const float *logits, size_t n,
                       uint64_t position, struct candidate *scratch, float *logprob);
/* log-probability of id at temperature 1: logits[id] - (max + log(sum exp(logits - max))), the trainer's own order:
 * the sum by 16 partials (kernels.h), everything in f32. NaN when a logit is NaN. */
float sampler_logprob(const struct row_kernels *rows, const float *logits, size_t n, int32_t id);

/* max + log(sum exp(logits - max)), what a log-probability subtracts; max = the largest logit. */
float sampler_logsumexp(const struct row_kernels *rows, const float *logits, size_t n, float max);

#endif
