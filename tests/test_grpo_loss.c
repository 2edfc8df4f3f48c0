/* test_grpo_loss.c - the policy loss of a token: TRL's losses and gradients, the derivative, on-policy ratios.
 *
 * fixtures/golden/grpo_loss.jsonl: batches with TRL's own loss, gradient, KL and share of clipped tokens
 * (tests/oracle/trl_golden.py, which calls the loss of TRL's GRPOTrainer on the log-probabilities given there). */
#include <math.h>

#include "grpo.h"
#include "record.h"
#include "test.h"

/* Both sides compute in double from inputs of twelve digits: measured 3e-12. */
#define GOLDEN_TOLERANCE 1e-9

/* Central differences with h = 1e-5 of a smooth function of size 1: measured 4e-10. */
#define DIFFERENCE_TOLERANCE 1e-8

static struct diag diag;

/* A sample's lists, walked together. */
struct lists {
    const struct json *logp, *old, *reference, *advantage, *gradient;
};

static struct lists lists_of(const struct json *sample)
{
    struct lists l = {json_get(sample, "logp")->child, json_get(sample, "old")->child,
                      json_get(sample, "reference")->child, json_get(sample, "advantage")->child,
                      json_get(sample, "gradient")->child};

    return l;
}

static int advance(struct lists *l)
{
    l->logp = l->logp->next;
    l->old = l->old->next;
    l->reference = l->reference->next;
    l->advantage = l->advantage->next;
    l->gradient = l->gradient->next;
    return l->logp && l->old && l->reference && l->advantage && l->gradient;
}

/* What a batch's tokens add up to. */
struct sums {
    double loss, kl, clipped, tokens, worst;
};

static void add_sample(struct sums *sums, const struct grpo_objective *o, const struct json *sample)
{
    size_t n = json_get(sample, "logp")->length;
    int masked = json_bool(sample, "masked", 0);
    struct lists l = lists_of(sample);

    do {
        struct grpo_token token = {l.logp->number, l.old->number, l.reference->number, 0, l.advantage->number, n};
        double want = l.gradient->number;
        struct grpo_term term;

        token.log_ratio = token.logp - token.old;
        if (o->kl_beta == 0)
            token.reference = NAN;
        term = grpo_token_loss(o, &token);
        if (masked) {
            CHECK_MSG(want == 0, "a gradient of %g on a masked token", want);
            continue;
        }
        sums->worst = fmax(sums->worst, fabs(term.slope - want));
        sums->loss += term.loss;
        sums->kl += term.kl;
        sums->clipped += term.clipped;
        sums->tokens++;
    } while (advance(&l));
}

static struct grpo_objective objective_of(const struct json *batch)
{
    static const char *const names[] = {"constant", "sample", "dapo"};
    const struct json *samples = json_get(batch, "samples"), *sample;
    struct grpo_objective o = {0};
    size_t i;

    for (i = 0; i < 3; i++)
        if (strcmp(json_string(batch, "loss", ""), names[i]) == 0)
            o.loss = (enum grpo_loss)i;
    o.clip_eps = json_number(batch, "clip_eps", NAN);
    o.clip_eps_high = json_number(batch, "clip_eps_high", NAN);
    o.kl_beta = json_number(batch, "kl_beta", NAN);
    o.kl_corrected = json_bool(batch, "kl_corrected", 0);
    o.max_new = json_number(batch, "max_new", NAN);
    o.n_samples = (double)samples->length;
    for (sample = samples->child; sample; sample = sample->next)
        if (!json_bool(sample, "masked", 0))
            o.n_tokens += (double)json_get(sample, "logp")->length;
    return o;
}

static void near(const char *what, double got, double want, const struct json *batch)
{
    CHECK_MSG(fabs(got - want) <= GOLDEN_TOLERANCE, "%s: %s: expected %.12g, found %.12g",
              json_string(batch, "loss", ""), what, want, got);
}

static void check_batch(const struct json *batch, double *worst)
{
    struct grpo_objective o = objective_of(batch);
    const struct json *sample;
    struct sums sums = {0};

    for (sample = json_get(batch, "samples")->child; sample; sample = sample->next)
        add_sample(&sums, &o, sample);
    near("loss", sums.loss, json_number(batch, "value", NAN), batch);
    near("kl", sums.kl / sums.tokens, json_number(batch, "kl", NAN), batch);
    /* TRL keeps this one in float32 */
    CHECK_MSG(fabs(sums.clipped / sums.tokens - json_number(batch, "clipped", NAN)) < 1e-6, "%g of %g tokens clipped",
              sums.clipped, sums.tokens);
    near("largest difference of a gradient", sums.worst, 0, batch);
    *worst = fmax(*worst, fmax(sums.worst, fabs(sums.loss - json_number(batch, "value", NAN))));
}

static void losses_of_trl(void)
{
    struct record_reader reader;
    const struct record *record;
    enum status status = record_open(&reader, "fixtures/golden/grpo_loss.jsonl", NULL, &diag);
    double worst = 0;

    while (!status && (status = record_next(&reader, &record, &diag)) == STATUS_OK && record)
        check_batch(record->json, &worst);
    CHECK_MSG(status == STATUS_OK, "%s", diag.message);
    CHECK_MSG(reader.n_records == 15, "%llu batches", (unsigned long long)reader.n_records);
    CHECK_MSG(worst > 0 && worst <= GOLDEN_TOLERANCE, "off by %g", worst);
    record_close(&reader);
}

/* The clip rows of method.md section 4. */
static void clip_rows(void)
{
    static const double rows[4][4] = {
        {-1, -1, .5, -.5}, {-.7, -1, .5, -.6}, {-1.4, -1, -.5, .4}, {-.7, -1, -.5, .674929}};
    struct grpo_objective o = {GRPO_LOSS_CONSTANT, 0.2, 0.2, 0, 0, 1, 1, 1};
    size_t i;

    for (i = 0; i < 4; i++) {
        struct grpo_token token = {rows[i][0], rows[i][1], NAN, rows[i][0] - rows[i][1], rows[i][2], 1};
        struct grpo_term term = grpo_token_loss(&o, &token);

        CHECK_MSG(fabs(term.loss - rows[i][3]) < 1e-6, "row %zu: %g, not %g", i, term.loss, rows[i][3]);
        CHECK(term.clipped == (i == 1 || i == 2) && (term.slope == 0) == term.clipped);
    }
}

/* The loss of a token, its log-probability moved by h. */
static double moved(const struct grpo_objective *o, struct grpo_token token, double h)
{
    token.logp += h;
    token.log_ratio += h;
    return grpo_token_loss(o, &token).loss;
}

static void slopes(void)
{
    static const double logps[] = {-0.05, -0.9, -1.1, -1.9}; /* old -1: ratios 2.6, 1.1, 0.9, 0.41 */
    size_t n;

    for (n = 0; n < 48; n++) {
        size_t i = n % 4, sign = n / 4 % 2, corrected = n / 8 % 2, loss = n / 16;
        struct grpo_objective o = {(enum grpo_loss)loss, 0.2, 0.28, 0.3, (int)corrected, 3, 7, 5};
        struct grpo_token token = {logps[i], -1, -0.7, logps[i] + 1, sign ? -0.8 : 0.8, 4};
        double want = (moved(&o, token, 1e-5) - moved(&o, token, -1e-5)) / 2e-5;

        CHECK_MSG(fabs(grpo_token_loss(&o, &token).slope - want) < DIFFERENCE_TOLERANCE,
                  "loss %zu, ratio %zu, sign %zu: %.10f, not %.10f", loss, i, sign, grpo_token_loss(&o, &token).slope,
                  want);
    }
}

/* Mode grpo: a sample's tokens share one ratio; their losses add up to one surrogate, and each has its whole slope. */
static void one_ratio_for_a_sequence(void)
{
    struct grpo_objective o = {GRPO_LOSS_SEQUENCE, 0.2, 0.2, 0, 0, 2, 9, 9};
    struct grpo_token token = {-1, -1.05, NAN, 0.15, 0.8, 3}; /* three tokens that differ by 0.05 each */
    struct grpo_term term = grpo_token_loss(&o, &token);

    CHECK(fabs(3 * term.loss + exp(0.15) * 0.8 / 2) < 1e-15 && fabs(term.slope + exp(0.15) * 0.8 / 2) < 1e-15);
    token.log_ratio = 0.3;
    term = grpo_token_loss(&o, &token);
    CHECK(term.clipped && term.slope == 0 && fabs(3 * term.loss + 1.2 * 0.8 / 2) < 1e-15);
}

/* The sampler's log-probabilities are the trainer's, bit for bit: the ratio is then exactly 1. */
static void on_policy_is_exact(void)
{
    struct grpo_objective o = {GRPO_LOSS_CONSTANT, 0, 0, 0, 0, 1, 1, 1};
    struct grpo_token token = {-1.25, -1.25, NAN, 0, 0.375, 1};
    struct grpo_term term = grpo_token_loss(&o, &token);

    CHECK(term.loss == -0.375 && term.slope == -0.375 && !term.clipped);
}

int main(void)
{
    RUN(losses_of_trl);
    RUN(clip_rows);
    RUN(slopes);
    RUN(one_ratio_for_a_sequence);
    RUN(on_policy_is_exact);
    return TEST_RESULT();
}
