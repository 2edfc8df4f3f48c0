/* grpo.h - reinforcement of a LoRA policy: groups of samples, advantages from answers and step scores, one update.
 *
 *   prompts -> rollout (G samples each) -> answer check c, step scores s -> advantage per token (reward.h)
 *           -> loss through the head -> back -> update
 *
 * Modes (method.md section 3):
 *   pad   -sum A log pi / (B max_new): strictly on-policy, no division by the deviation (Dr. GRPO, arXiv 2503.20783)
 *   pure  PURE's form: whitened advantages, mean over each sample's tokens, clip, KL inside the reward
 *   grpo  the paper's equations: one advantage per sample, ratio of whole sequences
 * The reference policy is the same base with the adapter off. */
#ifndef ARKLET_GRPO_H
#define ARKLET_GRPO_H

#include <stddef.h>
#include <stdint.h>
#include "batch.h"
#include "prm.h"
#include "reward.h"
#include "train_run.h"

enum grpo_mode { GRPO_PAD, GRPO_PURE, GRPO_GRPO };
/* What the sum over a batch of B samples is divided by:
 *   constant  B max_new                                                    (Dr. GRPO, arXiv 2503.20783)
 *   sample    B and each sample's own tokens                               (GRPO, arXiv 2402.03300)
 *   dapo      the response tokens of the batch, masked samples left out    (DAPO, arXiv 2503.14476)
 *   sequence  B; one surrogate a sample, its ratio that of the whole text  (mode grpo) */
enum grpo_loss { GRPO_LOSS_CONSTANT, GRPO_LOSS_SAMPLE, GRPO_LOSS_DAPO, GRPO_LOSS_SEQUENCE };
enum grpo_truncated { TRUNCATED_MASK, TRUNCATED_PENALISE, TRUNCATED_KEEP };

/* Where questions come from. */
struct grpo_tasks {
    void *context;
    uint64_t n; /* questions; they are taken in a shuffled order, epoch after epoch */
    /* Token ids of question i's prompt, valid until the next call. */
    enum status (*prompt)(void *context, uint64_t i, const int32_t **ids, size_t *n, struct diag *diag);
    /* Is this completion (EOS included) right? */
    enum status (*grade)(void *context, uint64_t i, const int32_t *ids, size_t n, int *correct, struct diag *diag);
    /* Accuracy on held-out questions in 0..1, higher is better; NULL: none. */
    enum status (*evaluate)(void *context, double *accuracy, struct diag *diag);
};

/* What is usual (DAPO, arXiv 2503.14476, for the clip). */
#define GRPO_CLIP_EPS      0.2
#define GRPO_CLIP_EPS_HIGH 0.28
#define GRPO_RESAMPLE      2

struct grpo_options {
    enum grpo_mode mode;
    enum grpo_loss loss;
    enum grpo_truncated truncated;
    struct reward_pad pad;   /* credit, temperature, lambda_v, lambda_p */
    struct reward_pure pure; /* mode pure */
    size_t group, prompts;   /* samples per prompt, prompts per step */
    size_t max_new;
    double temperature; /* of sampling, and of the distribution whose log-probabilities the loss takes */
    double kl_beta;     /* 0: off; k3 estimator against the base */
    int kl_corrected;   /* see struct grpo_objective */
    double clip_eps, clip_eps_high;
    size_t updates_per_rollout;
    size_t resample; /* groups without signal are replaced up to so many times per step */
    const struct tokenizer *tokenizer;
    const struct adapter *prm;     /* reward model, or NULL (answer check alone) */
    const struct model *prm_model; /* its base, with the policy's vocabulary; NULL: the policy's own */
    double prm_beta;               /* of an implicit one (implicit.h); 0: it has a head */
    size_t context;                /* longest prompt + completion */
    size_t max_sequences;          /* that run at once in the engine */
    struct backward_options backward;
    struct train_options train;   /* total_steps is that of run */
    struct train_run_options run; /* judge_start is set */
};

struct grpo_result {
    uint64_t steps, best_step, tokens;
    double reward, accuracy; /* of the last step: mean reward, share of right samples */
    double best;             /* dev accuracy of the kept parameters; NaN without */
    double seconds;
    struct engine_statistics engine;
    double rollout_seconds, score_seconds, train_seconds;
};

/* The policy loss of a batch, a sum over the tokens of its samples that are not masked. */
struct grpo_objective {
    enum grpo_loss loss;
    double clip_eps, clip_eps_high; /* the ratio's clip: [1 - clip_eps, 1 + clip_eps_high] */
    double kl_beta;                 /* of the KL to the reference; 0: none */
    int kl_corrected;               /* k3 times the ratio */
    double n_samples, max_new;      /* B, masked samples counted */
    double n_tokens;                /* response tokens of the batch, masked samples left out */
};

struct grpo_token {
    double logp, old, reference; /* reference NaN: none, no KL */
    double log_ratio;            /* logp - old, or its sum over the sample's tokens (sequence) */
    double advantage;
    size_t length; /* tokens of its sample */
};

struct grpo_term {
    double loss, slope; /* the token's part of the batch's loss; d loss / d logp */
    double kl;          /* the KL's estimate at this token, 0 without reference */
    int clipped;        /* the clip holds: no gradient of the surrogate */
};

/* (-min(q A, clip(q) A) + beta k3) / divisor, with q = exp(log_ratio) and, of KL(pi || ref) at a sampled token, the
 * estimate k3 = exp(ref - logp) - (ref - logp) - 1 (Schulman 2020), times q when it is corrected: only then is the
 * expected gradient that of the KL itself, on fresh samples too (arXiv 2512.02556). */
struct grpo_term grpo_token_loss(const struct grpo_objective *objective, const struct grpo_token *token);

/* Trains the policy in place and leaves the kept parameters there (the best on dev when there is an evaluation; the
 * start is one of them). Writes metrics.csv and checkpoint/ into the run folder; the caller writes the adapter.
 * STATUS_RANGE: a prompt and a sample do not fit into a pass; STATUS_NUMERIC, STATUS_STOPPED: see train_run.h. */
enum status grpo_run(struct model *model, struct adapter *policy, const struct exec *exec,
                     const struct grpo_tasks *tasks, const struct grpo_options *options, struct grpo_result *result,
                     struct diag *diag);

#endif
