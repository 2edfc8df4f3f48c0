/* test_reward.c - the golden numbers of method.md section 4 and hand-computed rows of every mode and credit. */
#include "reward.h"
#include <math.h>
#include "test.h"

/* The table is printed with six decimals. */
#define PRINTED 1e-6

static struct reward_step steps0[] = {{4, 4, 0}, {8, 3, 0}, {11, 2, 0}};
static struct reward_step steps1[] = {{5, 5, 0}, {10, 4, 0}};
static struct reward_step steps2[] = {{2, 2, 0}, {5, 2, 0}, {9, 3, 0}, {11, 1, 0}};
static const struct reward_sample group[3] = {{12, 3, steps0, 0, 0}, {11, 2, steps1, 1, 0}, {12, 4, steps2, 0, 0}};
static const struct reward_pure pure = {0.1, 1, 0.001};

static void score_all(void)
{
    static const double logits[9][2] = {{-1, 1},  {0, .5},   {.3, -.2}, {-.5, 1.5}, {-1.2, 1.2},
                                        {.2, .1}, {-.4, .9}, {-2, 2},   {-.1, .4}};
    struct reward_step *at[9] = {&steps0[0], &steps0[1], &steps0[2], &steps1[0], &steps1[1],
                                 &steps2[0], &steps2[1], &steps2[2], &steps2[3]};
    int i;

    for (i = 0; i < 9; i++)
        at[i]->score = reward_score(logits[i][0], logits[i][1]);
}

static void near_all(const double *got, const double *want, size_t n, const char *what)
{
    size_t i;

    for (i = 0; i < n; i++)
        CHECK_MSG(fabs(got[i] - want[i]) <= PRINTED, "%s[%zu]: %.7f, expected %.6f", what, i, got[i], want[i]);
}

static void returns_of(double returns[3])
{
    double r[4];
    size_t i;

    for (i = 0; i < 3; i++)
        returns[i] = reward_softmin(r, &group[i], pure.temperature);
}

static void test_scores_and_returns(void)
{
    static const double s[] = {.761594, .244919, -.244919}, r0[] = {.000032, .001813, -.243095};
    static const double r2[] = {-.047379, .001082, .000036, .012172}, want[] = {-.241250, .785177, -.034088};
    static const double baselines[] = {.032656, -.011472, .023649};
    double got[4], returns[3], b[3];
    size_t i;

    score_all();
    for (i = 0; i < 3; i++)
        got[i] = steps0[i].score;
    near_all(got, s, 3, "s");
    reward_softmin(got, &group[0], 0.1);
    near_all(got, r0, 3, "r of sample 0");
    reward_softmin(got, &group[2], 0.1);
    near_all(got, r2, 4, "r of sample 2");
    returns_of(returns);
    near_all(returns, want, 3, "R");
    for (i = 0; i < 3; i++)
        b[i] = reward_token_baseline(group, returns, 3, i);
    near_all(b, baselines, 3, "b");
}

static void pure_advantages(double *const rows[3])
{
    double returns[3], steps[4], delta[12];
    size_t i, t;

    score_all();
    returns_of(returns);
    for (t = 0; t < 12; t++)
        delta[t] = (t % 2 ? -0.01 : 0.01) * (double)(t + 1);
    for (i = 0; i < 3; i++) {
        reward_pure_steps(steps, &pure, group, returns, 3, i);
        reward_pure_tokens(rows[i], steps, &pure, &group[i], delta);
    }
}

static void test_pure(void)
{
    static const double steps_want[] = {-.130592, -.096155, -.808407};
    static const double a0[] = {-1.035094, -1.035084, -1.035104, -1.035074, 0,         -0.904472,
                                -0.904532, -0.904462, 0,         -0.808297, -0.808397, 0};
    static const double a1[] = {1.888368, 1.888378, 1.888358, 1.888388, 1.888348, 0,
                                1.318621, 1.318691, 1.318611, 1.318701, 0};
    static const double a2[] = {-0.723220, -0.723210, 0,         -0.628523, -0.628563, 0,
                                -0.582358, -0.582288, -0.582368, 0,         -0.511467, 0};
    static const double first[] = {-0.922839, 1.564891, -0.657449};
    double advantages[3][12], *rows[3] = {advantages[0], advantages[1], advantages[2]}, returns[3], steps[4], mean, sd,
                              got[3];
    size_t i;

    pure_advantages(rows);
    returns_of(returns);
    reward_pure_steps(steps, &pure, group, returns, 3, 0);
    near_all(steps, steps_want, 3, "r' of sample 0");
    near_all(rows[0], a0, 12, "A0");
    near_all(rows[1], a1, 11, "A1");
    near_all(rows[2], a2, 12, "A2");
    reward_whiten(rows, group, 3, &mean, &sd);
    CHECK_MSG(fabs(mean - 0.049383) <= PRINTED && fabs(sd - 1.175153) <= PRINTED, "mu %.6f sd %.6f", mean, sd);
    for (i = 0; i < 3; i++)
        got[i] = rows[i][0];
    near_all(got, first, 3, "whitened");
    CHECK(rows[0][4] == 0 && rows[1][10] == 0 && rows[2][11] == 0);
}

/* Two samples of three and two tokens, one step each: scores 0.5 (right) and -0.5 (wrong). */
static void pad_pair(enum reward_credit credit, double a[3], double b[2])
{
    static const struct reward_step right[] = {{2, 2, 0.5}}, wrong[] = {{1, 1, -0.5}};
    const struct reward_sample pair[2] = {{3, 1, right, 1, 0}, {2, 1, wrong, 0, 0}};
    struct reward_pad options = {credit, 0.1, 1, 0.3, 0};
    double *rows[2], scratch[2];

    rows[0] = a;
    rows[1] = b;
    reward_pad(rows, &options, pair, 2, scratch);
}

/* By hand: c - mean = +-1/2. Step part with one step: r = s, so G_t = s for every token; b_0 = -0.5 / 2, b_1 = 0.5 / 3.
 */
static void test_pad_credits(void)
{
    static const double want_a[] = {.5 + .3 * (.5 + .25 * 3), .5 + .3 * (.5 + .25 * 2), .5 + .3 * (.5 + .25)};
    static const double want_b[] = {-.5 + .3 * (-.5 - .5 / 3 * 2), -.5 + .3 * (-.5 - .5 / 3)};
    static const double whole_a[] = {.5, .5, .5}, whole_b[] = {-.5, -.5};
    double a[3], b[2];

    pad_pair(CREDIT_SOFTMIN, a, b);
    near_all(a, want_a, 3, "softmin right");
    near_all(b, want_b, 2, "softmin wrong");
    pad_pair(CREDIT_SUM, a, b);
    near_all(a, want_a, 3, "sum right");
    pad_pair(CREDIT_OUTCOME, a, b);
    near_all(a, whole_a, 3, "outcome right");
    near_all(b, whole_b, 2, "outcome wrong");
    pad_pair(CREDIT_VPPO, a, b);
    near_all(b, whole_b, 2, "vppo wrong");
}

/* A wrong sample whose second step is the first bad one: its first step's tokens are not blamed. */
static void test_vppo_prefix(void)
{
    static const struct reward_step good[] = {{1, 1, 0.9}}, mixed[] = {{1, 1, 0.8}, {3, 1, -0.2}, {5, 1, 0.9}};
    const struct reward_sample pair[2] = {{2, 1, good, 1, 0}, {6, 3, mixed, 0, 0}};
    static const double want[] = {0, 0, -.5, -.5, -.5, -.5}, all[] = {-.5, -.5, -.5, -.5, -.5, -.5};
    struct reward_pad options = {CREDIT_VPPO, 0.1, 1, 0.3, 0};
    double a[2], b[6], *rows[2], scratch[4];

    rows[0] = a;
    rows[1] = b;
    reward_pad(rows, &options, pair, 2, scratch);
    near_all(b, want, 6, "vppo");
    options.wrong_below = 0.85; /* now its first step is bad, too */
    reward_pad(rows, &options, pair, 2, scratch);
    near_all(b, all, 6, "vppo, another threshold");
}

static void test_grpo_mode(void)
{
    double got[3], mean, sd;

    score_all();
    reward_grpo(got, group, 3);
    mean = (got[0] + got[1] + got[2]) / 3;
    sd = sqrt((got[0] * got[0] + got[1] * got[1] + got[2] * got[2]) / 2);
    CHECK_MSG(fabs(mean) < 1e-12 && fabs(sd - 1) < 1e-3, "mean %g, deviation %g", mean, sd);
    CHECK(got[1] > got[2] && got[2] > got[0]); /* mean scores .797624 .407666 .253865 */
}

static void test_truncated_is_wrong(void)
{
    static const struct reward_step step[] = {{1, 1, 0}};
    struct reward_sample pair[2] = {{2, 1, step, 1, 0}, {2, 1, step, 1, 1}};
    struct reward_pad options = {CREDIT_OUTCOME, 0.1, 1, 0.3, 0};
    double a[2], b[2], *rows[2], scratch[2];

    rows[0] = a;
    rows[1] = b;
    reward_pad(rows, &options, pair, 2, scratch);
    CHECK(a[0] == 0.5 && b[0] == -0.5);
    pair[1].truncated = 0;
    reward_pad(rows, &options, pair, 2, scratch);
    CHECK(a[0] == 0 && a[1] == 0 && b[0] == 0 && b[1] == 0);
}

int main(void)
{
    RUN(test_scores_and_returns);
    RUN(test_pure);
    RUN(test_pad_credits);
    RUN(test_vppo_prefix);
    RUN(test_grpo_mode);
    RUN(test_truncated_is_wrong);
    return TEST_RESULT();
}
