/* reward.h - from step scores and answer checks to an advantage per token (method.md section 3).
 *
 * A group is G samples of one prompt. Sample i has L response tokens (EOS included) and K steps; step k ends at token
 * end[k], the separator or EOS that follows its count[k] own tokens:
 *
 *     token   0 1 2 3 | 4 | 5 6 7 | 8 | 9 10 | 11          end = {4, 8, 11}   count = {4, 3, 2}   L = 12
 *             step 0    sep step 1  sep step 2  EOS
 *
 * Everything here is arithmetic on small arrays in double; no model is involved. */
#ifndef ARKLET_REWARD_H
#define ARKLET_REWARD_H

#include <stddef.h>

struct reward_step {
    size_t end;   /* token index of its separator or EOS */
    size_t count; /* its own tokens */
    double score; /* PRM: tanh((l1 - l0) / 2), in -1..1 */
};

struct reward_sample {
    size_t n_tokens; /* L */
    size_t n_steps;
    const struct reward_step *steps; /* ends ascend */
    int correct;                     /* answer check c */
    int truncated;                   /* cut by the token limit */
};

enum reward_credit { CREDIT_SOFTMIN, CREDIT_VPPO, CREDIT_SUM, CREDIT_OUTCOME };

/* What is usual: of softmin, of the answer check, of the step rewards. */
#define REWARD_TEMPERATURE 0.1
#define REWARD_LAMBDA_V    1
#define REWARD_LAMBDA_P    0.3

/* Score of a step from the two-class head: softmax(l)[1] - softmax(l)[0]. */
double reward_score(double l0, double l1);

/* r[k] = w_k s_k with w = softmax(-s / temperature) (PURE, arXiv 2504.15275, eq. 5); returns their sum R. */
double reward_softmin(double *r, const struct reward_sample *sample, double temperature);

/* Mode `pure` (PURE's published form). Step rewards minus the group's token baseline, the answer check on the last step
 * times lambda: r' per step, then per token
 *   rho_t = [t is a step's end] r' - beta * delta_t     advantage_t = sum over u >= t of rho_u, 0 at separators and EOS
 * delta_t = log pi_old - log pi_ref. scratch: K doubles of the longest sample. */
struct reward_pure {
    double temperature, lambda, beta; /* beta: 0.001 */
};

/* Baseline b of sample i: sum of the others' R over the sum of their tokens. R [G]. */
double reward_token_baseline(const struct reward_sample *samples, const double *returns, size_t n, size_t i);
/* r' [K] of sample i. returns [G] = R of each sample. */
void reward_pure_steps(double *steps, const struct reward_pure *options, const struct reward_sample *samples,
                       const double *returns, size_t n, size_t i);
/* advantage [L] of one sample from its r'. delta [L] or NULL (then 0). */
void reward_pure_tokens(double *advantage, const double *steps, const struct reward_pure *options,
                        const struct reward_sample *sample, const double *delta);
/* Whitens the advantages of a batch, sample after sample: mean and variance as method.md states; separators stay 0.
 * Reports mean and standard deviation. */
void reward_whiten(double *const *advantages, const struct reward_sample *samples, size_t n, double *mean,
                   double *deviation);

/* Mode `pad`, the default: A_t = lambda_v (c - mean c) + lambda_p (G_t - b (L - t)), where G_t is the sum of step
 * rewards at or after t, by the credit rule:
 *   softmin  r = w s as above                sum      r = s
 *   outcome  no step rewards (lambda_p = 0)
 *   vppo     (arXiv 2601.18984) the PRM only finds the first error, the first step with score < wrong_below: in a wrong
 *            sample, tokens before that step have advantage 0, from it on lambda_v (c - mean c); right samples keep
 *            theirs whole
 * A truncated sample counts as wrong. */
struct reward_pad {
    enum reward_credit credit;
    double temperature, lambda_v, lambda_p;
    double wrong_below; /* 0; where wrong steps are rare a PRM's scores seldom are: see fitted_f1 in step_metrics.h */
};

/* Are step rewards part of the reward under this rule? */
int reward_uses_steps(enum reward_credit credit);
/* Step rewards r [K] of a sample by the rule, softmin's or the scores themselves; returns their sum. */
double reward_steps(double *r, const struct reward_pad *options, const struct reward_sample *sample);
/* advantages[i] has room for samples[i].n_tokens. scratch [sum of all K]. */
void reward_pad(double *const *advantages, const struct reward_pad *options, const struct reward_sample *samples,
                size_t n, double *scratch);

/* Mean score of a sample's steps, 0 without any: the reward of mode `grpo`. */
double reward_mean(const struct reward_sample *sample);
/* Mode `grpo` (the paper's equations): the group's z-score of the mean step score, the same for all tokens of a sample;
 * deviation over G with divisor G - 1 as torch.std, plus 1e-4. */
void reward_grpo(double *advantage_of_sample, const struct reward_sample *samples, size_t n);

#endif
