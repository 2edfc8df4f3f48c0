/* grpo_loss.c - the loss of one token: clipped surrogate and KL estimate, with derivatives. */
#include <math.h>
#include "grpo.h"

double grpo_clip(double logp, double old, double advantage, double low, double high, double *slope, int *clipped)
{
    double ratio = exp(logp - old), bound = ratio < 1 - low ? 1 - low : ratio > 1 + high ? 1 + high : ratio;

    *clipped = bound * advantage < ratio * advantage;
    *slope = *clipped ? 0 : -ratio * advantage;
    return *clipped ? -bound * advantage : -ratio * advantage;
}

double grpo_k3(double logp, double reference, double *slope)
{
    double difference = reference - logp, ratio = exp(difference);

    *slope = 1 - ratio;
    return ratio - difference - 1;
}
