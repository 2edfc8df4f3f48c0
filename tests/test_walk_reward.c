/* test_walk_reward.c - the way from a debate's turns to a reward model and a reinforced adapter, stop by stop (walk.h).
 *
 * It goes on where test_walk.c ends. Labels come from the same debate; reward model and policy are fresh adapters on
 * the same student; three samples of one prompt make a group. Losses and advantages are also worked out by hand. */
#define WALK_GOLDEN "fixtures/golden/walk_reward.txt"
#define WALK_FIRST  13
#include "walk.h"

#include "grpo.h"
#include "json.h"
#include "prm.h"
#include "prm_loss.h"
#include "record.h"
#include "reward.h"
#include "rollout.h"
#include "step_labels.h"

#define CONTEXT 128
#define GROUP   3
#define MAX_NEW 8
#define RATE    0.01

static struct {
    struct adapter *prm, *policy;
    struct trainer *judge, *learner;
    struct train_options train;
    struct backward_options backward;
    struct prm_example example;
    double score; /* of the example's last step */
    struct rollout rollouts[GROUP];
    double *advantages[GROUP];
    struct engine *engine;
} s;

static void set_up(void)
{
    struct adapter_shape shape = {.rank = 4, .alpha = 8, .targets = TARGET_ALL};

    walk_set_up();
    s.backward = (struct backward_options){.max_tokens = CONTEXT, .max_spans = 1, .head_rows = 16};
    s.backward.k_type = s.backward.v_type = DTYPE_F16;
    s.train = (struct train_options){.lr = RATE, .schedule = SCHEDULE_CONSTANT, .clip = 1, .seed = 1, .total_steps = 1};
    s.train.optim = (struct optim_options){.beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
    DO(adapter_create(&s.policy, w.model, &shape, &w.diag));
    adapter_init(s.policy, 1);
    shape.score = 1;
    DO(adapter_create(&s.prm, w.model, &shape, &w.diag));
    adapter_init(s.prm, 2);
    DO(trainer_create(&s.learner, w.model, s.policy, NULL, &w.exec, &s.train, &s.backward, &w.diag));
    DO(trainer_create(&s.judge, w.model, s.prm, NULL, &w.exec, &s.train, &s.backward, &w.diag));
}

static void tear_down(void)
{
    engine_free(s.engine);
    prm_example_free(&s.example);
    trainer_free(s.learner);
    trainer_free(s.judge);
    adapter_free(s.policy);
    adapter_free(s.prm);
    walk_tear_down();
}

/* ---- The stops ---- */

static void stop_labels(void)
{
    const unsigned sources = STEP_LABELS_DEBATE | STEP_LABELS_EQUATION;
    struct record_options options = {0};
    struct record_reader reader;
    const struct record *record = NULL;
    struct transcript transcript;
    struct labelled_turn *turns;
    size_t n = 0;

    DO(record_open(&reader, DEBATES, &options, &w.diag));
    DO(record_next(&reader, &record, &w.diag));
    if (!record)
        return;
    DO(transcript_read(&transcript, record, &reader.arena, &w.diag));
    DO(step_labels_turns(&turns, &n, &transcript, &reader.arena, &w.diag));
    note("turns", "%zu", n);
    for (size_t i = 0; i < n; i++) {
        char name[32], labels[32] = "";
        DO(step_labels_judge(&turns[i], &transcript, sources, 0, &reader.arena, &w.diag));
        for (size_t k = 0; k < turns[i].n_steps && k < sizeof labels - 1; k++)
            labels[k] = turns[i].labels[k] == STEP_UNKNOWN ? '?' : turns[i].labels[k] ? '+' : '-';
        snprintf(name, sizeof name, "round_%zu_agent_%zu", (size_t)turns[i].turn->round, (size_t)turns[i].turn->agent);
        note(name, "%s", labels);
    }
    record_close(&reader);
}

static void stop_example(void)
{
    static const char text[] = "{\"prompt\":\"Ann has 12 apples. She gives 5 to Ben and buys 4 more.\\n\\n\","
                               "\"completions\":[\"12 - 5 = 7.\",\"7 + 4 = 12.\"],\"labels\":[1,0]}";
    struct example_format format = {.tokenizer = w.model->tokenizer, .max_len = CONTEXT};
    const struct json *json;
    struct stepwise steps;

    DO(json_parse(&json, text, sizeof text - 1, &w.arena, "walk", 1, NULL, &w.diag));
    DO(stepwise_read(&steps, json, &w.arena, "walk:1", &w.diag));
    DO(prm_example_read(&s.example, &steps, &format, "walk:1", &w.diag));
    note("tokens", "%zu", s.example.text.tokens.count);
    note("prompt_tokens", "%zu", s.example.n_prompt);
    note("step_ends", "%zu %zu", s.example.ends[0], s.example.ends[1]);
}

static void stop_prm_loss(void)
{
    struct train_span span = {s.example.text.tokens.ids, s.example.text.tokens.count, -1};
    const float *hidden;
    double logits[2][2], slopes[2][2] = {{0}}, loss, hand = 0;

    trainer_begin_step(s.judge);
    DO(backward_forward(s.judge->backward, &span, 1, &hidden, &w.diag));
    for (size_t k = 0; k < 2; k++) {
        prm_logits(s.prm, hidden + s.example.ends[k] * backward_stride(s.judge->backward), logits[k]);
        note(k ? "score_of_step_2" : "score_of_step_1", "%.9g", reward_score(logits[k][0], logits[k][1]));
        hand += log(1 + exp(logits[k][!s.example.labels[k]] - logits[k][s.example.labels[k]])) / 2;
    }
    s.score = reward_score(logits[1][0], logits[1][1]);
    loss = prm_cross_entropy(slopes[0], logits[0], s.example.labels, NULL, 2, 1);
    note("loss", "%.9g", loss);
    note("slope_of_the_wrong_step", "%.9g %.9g", slopes[1][0], slopes[1][1]);
    CHECK_MSG(fabs(loss - hand) < 1e-12, "%.17g, by hand %.17g", loss, hand);
}

static void stop_rollout(void)
{
    struct engine_options options = {.context = CONTEXT, .max_sequences = GROUP, .chunk = 64, .keep = GROUP};
    struct rollout_prompt prompt = {s.example.text.tokens.ids, s.example.n_prompt};
    const struct adapter *adapters[1] = {s.policy};
    struct request like = {.max_new = MAX_NEW, .adapters = adapters, .n_adapters = 1};

    options.k_type = options.v_type = DTYPE_F16;
    like.sampling = (struct sampling){.temperature = 1, .top_p = 1, .seed = 1};
    DO(engine_create(&s.engine, w.model, &w.exec, &options, &w.diag));
    DO(rollout_run(s.engine, &prompt, 1, GROUP, &like, NULL, s.rollouts, &w.arena, &w.diag));
    for (size_t i = 0; i < GROUP; i++) {
        char name[32];
        snprintf(name, sizeof name, "sample_%zu", i + 1);
        note(name, "%zu tokens, first %ld at %.9g", s.rollouts[i].n_tokens, (long)s.rollouts[i].tokens[0],
             (double)s.rollouts[i].logprobs[0]);
    }
}

/* The first sample counts as right; each is one step with the score of the example's. By hand: with one step its reward
 * is its score, and the baseline is the others' rewards over the others' tokens. */
static void stop_advantage(void)
{
    struct reward_pad options = {.credit = CREDIT_SOFTMIN, .temperature = 0.1, .lambda_v = 1, .lambda_p = 0.3};
    struct reward_sample samples[GROUP];
    struct reward_step steps[GROUP];
    double scratch[GROUP], all = 0;

    for (size_t i = 0; i < GROUP; i++) {
        size_t n = s.rollouts[i].n_tokens;
        steps[i] = (struct reward_step){n - 1, n - 1, i ? s.score : -s.score};
        samples[i] = (struct reward_sample){.n_tokens = n, .n_steps = 1, .steps = &steps[i], .correct = i == 0};
        s.advantages[i] = arena_array(&w.arena, n, sizeof **s.advantages);
        all += (double)n;
    }
    reward_pad(s.advantages, &options, samples, GROUP, scratch);
    for (size_t i = 0; i < GROUP; i++) {
        char name[40];
        double own = (double)samples[i].n_tokens, others = 0, hand;
        for (size_t j = 0; j < GROUP; j++)
            others += j == i ? 0 : steps[j].score;
        hand = ((i == 0) - 1.0 / GROUP) + 0.3 * (steps[i].score - others / (all - own) * own);
        snprintf(name, sizeof name, "advantage_of_sample_%zu_first_token", i + 1);
        note(name, "%.9g", s.advantages[i][0]);
        CHECK_MSG(fabs(s.advantages[i][0] - hand) < 1e-12, "%.17g, by hand %.17g", s.advantages[i][0], hand);
    }
}

static size_t sample_now;

static struct grpo_term term_of(size_t i, size_t t, float logp)
{
    struct grpo_objective objective = {.clip_eps = 0.2, .clip_eps_high = 0.2, .n_samples = GROUP, .max_new = MAX_NEW};
    struct grpo_token token = {.logp = (double)logp, .old = (double)s.rollouts[i].logprobs[t], .reference = NAN};

    objective.loss = GRPO_LOSS_CONSTANT;
    token.log_ratio = token.logp - token.old;
    token.advantage = s.advantages[i][t];
    token.length = s.rollouts[i].n_tokens;
    return grpo_token_loss(&objective, &token);
}

static void coefficients(void *context, size_t first, size_t n, const float *logprob, const float *entropy, float *c)
{
    (void)context;
    (void)entropy;
    for (size_t t = 0; t < n; t++)
        c[t] = (float)-term_of(sample_now, first + t, logprob[t]).slope;
}

/* Log-probabilities of sample i under the learner, and with `learn` its part of the gradient. */
static void pass(size_t i, int learn, float *logprobs)
{
    const struct rollout *r = &s.rollouts[i];
    size_t n_prompt = s.example.n_prompt, rows[MAX_NEW];
    int32_t ids[CONTEXT];
    struct train_span span = {ids, n_prompt + r->n_tokens, -1};
    const float *hidden;

    memcpy(ids, s.example.text.tokens.ids, n_prompt * sizeof *ids);
    memcpy(ids + n_prompt, r->tokens, r->n_tokens * sizeof *ids);
    for (size_t t = 0; t < r->n_tokens; t++)
        rows[t] = n_prompt - 1 + t;
    sample_now = i;
    DO(backward_forward(s.learner->backward, &span, 1, &hidden, &w.diag));
    DO(backward_loss(s.learner->backward, rows, r->tokens, r->n_tokens, logprobs, NULL, learn ? coefficients : NULL,
                     NULL, NULL, &w.diag));
    if (learn)
        DO(trainer_pass(s.learner, &w.diag));
}

static void stop_policy_loss(void)
{
    double loss = 0, first = 0, ratio = 0;
    float logprobs[MAX_NEW];

    trainer_begin_step(s.learner);
    for (size_t i = 0; i < GROUP; i++) {
        const struct rollout *r = &s.rollouts[i];
        pass(i, 1, logprobs);
        CHECK_MSG(memcmp(logprobs, r->logprobs, r->n_tokens * sizeof *logprobs) == 0,
                  "sample %zu: the sampler's log-probabilities are not the trainer's", i + 1);
        for (size_t t = 0; t < r->n_tokens; t++) {
            loss += term_of(i, t, logprobs[t]).loss;
            ratio = fmax(ratio, exp((double)logprobs[t] - (double)r->logprobs[t]));
        }
        first = i ? first : term_of(0, 0, logprobs[0]).slope;
    }
    note("largest_ratio", "%.9g", ratio);
    note("loss", "%.9g", loss);
    note("slope_of_the_first_token", "%.9g", first);
    CHECK_MSG(fabs(first + s.advantages[0][0] / (GROUP * MAX_NEW)) < 1e-15, "%.17g", first);
}

static void stop_update(void)
{
    float logprobs[MAX_NEW];
    double after = 0;

    note("gradient_norm", "%.9g", optim_norm(&w.exec, s.learner->grads, s.learner->n_params));
    DO(trainer_end_step(s.learner, &w.diag));
    for (size_t i = 0; i < GROUP; i++) {
        pass(i, 0, logprobs);
        for (size_t t = 0; t < s.rollouts[i].n_tokens; t++)
            after += s.advantages[i][t] * ((double)logprobs[t] - (double)s.rollouts[i].logprobs[t]);
        if (i == 0)
            note("first_token_of_the_right_sample", "%.9g, was %.9g", (double)logprobs[0],
                 (double)s.rollouts[0].logprobs[0]);
    }
    note("advantage_times_change", "%.9g", after);
    CHECK_MSG(after > 0, "the update made what was better less likely: %g", after);
}

static const struct stop stops[] = {
    {"src/ark/step_labels.c", "step_labels_judge", "steps of turns get labels: where a wrong one departs", stop_labels},
    {"src/ark/prm_example.c", "prm_example_read", "labelled steps become tokens and the ends to be scored",
     stop_example},
    {"src/ark/prm_loss.c", "prm_cross_entropy", "the reward model's loss on two logits a step", stop_prm_loss},
    {"src/ark/rollout.c", "rollout_run", "a group of samples with the log-probability of every token", stop_rollout},
    {"src/ark/reward.c", "reward_pad", "answers and step scores become an advantage a token", stop_advantage},
    {"src/ark/grpo_loss.c", "grpo_token_loss", "the clipped loss: on fresh samples every ratio is 1", stop_policy_loss},
    {"src/ark/trainer.c", "trainer_end_step", "the policy moves: what was better becomes likelier", stop_update},
};

int main(int argc, char **argv)
{
    return walk_main(argc, argv, stops, sizeof stops / sizeof *stops, set_up, tear_down);
}
