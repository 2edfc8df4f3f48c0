/* grpo_loss.c - the loss of one token: clipped surrogate and KL estimate, with derivatives; formulas in grpo.h. */
#include <math.h>
#include "grpo.h"

static double divisor(const struct grpo_objective *o, const struct grpo_token *token)
{
    switch (o->loss) {
    case GRPO_LOSS_SAMPLE:
        return o->n_samples * (double)token->length;
    case GRPO_LOSS_DAPO:
        return o->n_tokens;
    case GRPO_LOSS_SEQUENCE:
        return o->n_samples;
    default:
        return o->n_samples * o->max_new;
    }
}

/* d/dx exp(x) is the ratio itself, and log_ratio grows with logp at slope 1, alone or in its sample's sum. */
static double surrogate(const struct grpo_objective *o, const struct grpo_token *token, struct grpo_term *term)
{
    double ratio = exp(token->log_ratio), low = 1 - o->clip_eps, high = 1 + o->clip_eps_high;
    double bound = ratio < low ? low : ratio > high ? high : ratio;

    term->clipped = bound * token->advantage < ratio * token->advantage;
    term->slope = term->clipped ? 0 : -ratio * token->advantage;
    return term->clipped ? -bound * token->advantage : -ratio * token->advantage;
}

/* Adds the KL's part: the estimate, and its derivative, d exp(ref - logp) / d logp being -exp(ref - logp). */
static void add_kl(const struct grpo_objective *o, const struct grpo_token *token, struct grpo_term *term)
{
    double difference = token->reference - token->logp, slope = 1 - exp(difference), ratio;

    if (isnan(difference))
        return;
    term->kl = exp(difference) - difference - 1;
    if (o->kl_corrected) {
        ratio = exp(token->logp - token->old);
        slope = ratio * (slope + term->kl);
        term->kl *= ratio;
    }
    term->loss += o->kl_beta * term->kl;
    term->slope += o->kl_beta * slope;
}

struct grpo_term grpo_token_loss(const struct grpo_objective *objective, const struct grpo_token *token)
{
    struct grpo_term term = {0};
    double norm = divisor(objective, token);

    term.loss = surrogate(objective, token, &term);
    if (objective->loss == GRPO_LOSS_SEQUENCE) /* the sample's one surrogate, in equal parts */
        term.loss /= (double)token->length;
    add_kl(objective, token, &term);
    term.loss /= norm;
    term.slope /= norm;
    return term;
}
