/* reward.c - advantages from step scores; formulas in reward.h. */
#include "reward.h"

#include <math.h>

double reward_score(double l0, double l1)
{
    return tanh((l1 - l0) / 2);
}

double reward_softmin(double *r, const struct reward_sample *sample, double temperature)
{
    double lowest = 0, total = 0, sum = 0;
    size_t k;

    for (k = 0; k < sample->n_steps; k++)
        lowest = k == 0 || sample->steps[k].score < lowest ? sample->steps[k].score : lowest;
    for (k = 0; k < sample->n_steps; k++) {
        r[k] = exp((lowest - sample->steps[k].score) / temperature);
        total += r[k];
    }
    for (k = 0; k < sample->n_steps; k++) {
        r[k] = r[k] / total * sample->steps[k].score;
        sum += r[k];
    }
    return sum;
}

double reward_token_baseline(const struct reward_sample *samples, const double *returns, size_t n, size_t i)
{
    double reward = 0, tokens = 0;
    size_t j;

    for (j = 0; j < n; j++)
        if (j != i) {
            reward += returns[j];
            tokens += (double)samples[j].n_tokens;
        }
    return tokens > 0 ? reward / tokens : 0;
}

static double check_of(const struct reward_sample *sample)
{
    return sample->correct && !sample->truncated ? 1 : 0;
}

/* Mean answer check of all samples, or of all but one (skip < n). */
static double mean_check(const struct reward_sample *samples, size_t n, size_t skip)
{
    double sum = 0;
    size_t j, count = 0;

    for (j = 0; j < n; j++)
        if (j != skip) {
            sum += check_of(&samples[j]);
            count++;
        }
    return count ? sum / (double)count : 0;
}

void reward_pure_steps(double *steps, const struct reward_pure *options, const struct reward_sample *samples,
                       const double *returns, size_t n, size_t i)
{
    const struct reward_sample *sample = &samples[i];
    double baseline = reward_token_baseline(samples, returns, n, i);
    size_t k;

    reward_softmin(steps, sample, options->temperature);
    for (k = 0; k < sample->n_steps; k++)
        steps[k] -= baseline * (double)sample->steps[k].count;
    if (sample->n_steps)
        steps[sample->n_steps - 1] += options->lambda * (check_of(sample) - mean_check(samples, n, i));
}

void reward_pure_tokens(double *advantage, const double *steps, const struct reward_pure *options,
                        const struct reward_sample *sample, const double *delta)
{
    size_t t, k = sample->n_steps;
    double sum = 0;

    for (t = sample->n_tokens; t-- > 0;) {
        if (delta)
            sum -= options->beta * delta[t];
        if (k > 0 && sample->steps[k - 1].end == t) {
            sum += steps[--k];
            advantage[t] = 0;
        } else {
            advantage[t] = sum;
        }
    }
}

void reward_whiten(double *const *advantages, const struct reward_sample *samples, size_t n, double *mean,
                   double *deviation)
{
    double sum = 0, square = 0, count = 0;
    size_t i, t, k;

    for (i = 0; i < n; i++) {
        count += (double)(samples[i].n_tokens - samples[i].n_steps);
        for (t = 0; t < samples[i].n_tokens; t++)
            sum += advantages[i][t];
    }
    *mean = count > 0 ? sum / count : 0;
    for (i = 0; i < n; i++)
        for (t = 0; t < samples[i].n_tokens; t++)
            square += (advantages[i][t] - *mean) * (advantages[i][t] - *mean);
    *deviation = sqrt(fmax(count > 0 ? square / count : 0, 1e-8));
    for (i = 0; i < n; i++) {
        for (t = 0; t < samples[i].n_tokens; t++)
            advantages[i][t] = (advantages[i][t] - *mean) / *deviation;
        for (k = 0; k < samples[i].n_steps; k++)
            advantages[i][samples[i].steps[k].end] = 0;
    }
}

/* ---- Mode pad ---- */

int reward_uses_steps(enum reward_credit credit)
{
    return credit == CREDIT_SOFTMIN || credit == CREDIT_SUM;
}

double reward_steps(double *r, const struct reward_pad *options, const struct reward_sample *sample)
{
    double sum = 0;
    size_t k;

    if (options->credit == CREDIT_SOFTMIN)
        return reward_softmin(r, sample, options->temperature);
    for (k = 0; k < sample->n_steps; k++) {
        r[k] = sample->steps[k].score;
        sum += r[k];
    }
    return sum;
}

/* First token that a wrong sample is blamed for under vppo: the start of its first step that the PRM calls wrong. */
static size_t blame_from(const struct reward_sample *sample, double wrong_below)
{
    size_t k;

    for (k = 0; k < sample->n_steps; k++)
        if (sample->steps[k].score < wrong_below)
            return k == 0 ? 0 : sample->steps[k - 1].end + 1;
    return 0; /* the PRM sees no error in a wrong sample: all of it is blamed */
}

void reward_pad(double *const *advantages, const struct reward_pad *options, const struct reward_sample *samples,
                size_t n, double *scratch)
{
    double mean = mean_check(samples, n, n), *r = scratch;
    size_t i, j, t, k;

    for (i = 0; i < n; i++) {
        double value = options->lambda_v * (check_of(&samples[i]) - mean);
        size_t from = options->credit == CREDIT_VPPO && !check_of(&samples[i])
                          ? blame_from(&samples[i], options->wrong_below)
                          : 0;

        for (t = 0; t < samples[i].n_tokens; t++)
            advantages[i][t] = t >= from ? value : 0;
    }
    for (i = 0; reward_uses_steps(options->credit) && i < n; i++) {
        const struct reward_sample *s = &samples[i];
        double others = 0, tokens = 0, baseline, tail = 0;

        for (j = 0; j < n; j++)
            if (j != i) {
                others += reward_steps(r, options, &samples[j]);
                tokens += (double)samples[j].n_tokens;
            }
        baseline = tokens > 0 ? others / tokens : 0;
        reward_steps(r, options, s);
        for (t = s->n_tokens, k = s->n_steps; t-- > 0;) {
            if (k > 0 && s->steps[k - 1].end == t)
                tail += r[--k];
            advantages[i][t] += options->lambda_p * (tail - baseline * (double)(s->n_tokens - t));
        }
    }
}

double reward_mean(const struct reward_sample *sample)
{
    double sum = 0;
    size_t k;

    for (k = 0; k < sample->n_steps; k++)
        sum += sample->steps[k].score;
    return sample->n_steps ? sum / (double)sample->n_steps : 0;
}

void reward_grpo(double *advantage_of_sample, const struct reward_sample *samples, size_t n)
{
    double mean = 0, square = 0, deviation;
    size_t i;

    for (i = 0; i < n; i++) {
        advantage_of_sample[i] = reward_mean(&samples[i]);
        mean += advantage_of_sample[i] / (double)n;
    }
    for (i = 0; i < n; i++)
        square += (advantage_of_sample[i] - mean) * (advantage_of_sample[i] - mean);
    deviation = n > 1 ? sqrt(square / (double)(n - 1)) : 0;
    for (i = 0; i < n; i++)
        advantage_of_sample[i] = (advantage_of_sample[i] - mean) / (deviation + 1e-4);
}
