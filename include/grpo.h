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
#include "progress.h"
#include "reward.h"
#include "trainer.h"

enum grpo_mode { GRPO_PAD, GRPO_PURE, GRPO_GRPO };
enum grpo_loss { GRPO_LOSS_CONSTANT /* divides by B x max_new */, GRPO_LOSS_DAPO /* by the batch's response tokens */ };
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

struct grpo_options {
    enum grpo_mode mode;
    enum grpo_loss loss;
    enum grpo_truncated truncated;
    struct reward_pad pad;   /* credit, temperature, lambda_v, lambda_p */
    struct reward_pure pure; /* mode pure */
    size_t group, prompts;   /* samples per prompt, prompts per step */
    size_t max_new;
    double temperature; /* of sampling; log-probabilities are taken at 1 */
    double kl_beta;     /* 0: off; k3 estimator against the base */
    double clip_eps, clip_eps_high;
    size_t updates_per_rollout;
    size_t resample; /* groups without signal are replaced up to so many times per step */
    uint64_t total_steps, save_every, eval_every, patience;
    const char *output, *config;
    uint64_t data_hash;
    int resume;
    const struct tokenizer *tokenizer;
    const struct adapter *prm; /* reward model on the same base, or NULL (answer check alone) */
    double prm_beta;           /* of an implicit one (implicit.h); 0: it has a head */
    size_t context;            /* longest prompt + completion */
    size_t max_sequences;      /* that run at once in the engine */
    struct backward_options backward;
    struct train_options train;
    struct progress *progress;
    int (*stop)(void);
};

struct grpo_result {
    uint64_t steps, best_step, tokens;
    double reward, accuracy; /* of the last step: mean reward, share of right samples */
    double best;             /* dev accuracy of the kept parameters; NaN without */
    double seconds;
    struct engine_statistics engine;
    double rollout_seconds, score_seconds, train_seconds;
};

/* Surrogate loss of one token and its derivative: -min(q A, clip(q, 1 - low, 1 + high) A), q = exp(logp - old). Returns
 * the loss; *slope = d loss / d logp; *clipped is 1 where the clip holds. */
double grpo_clip(double logp, double old, double advantage, double low, double high, double *slope, int *clipped);
/* k3 estimate of KL(pi || ref) at a sampled token (Schulman 2020): exp(ref - logp) - (ref - logp) - 1; *slope = d / d
 * logp. */
double grpo_k3(double logp, double reference, double *slope);

/* Trains the adapter in place. */
enum status grpo_run(struct model *model, struct adapter *policy, const struct exec *exec,
                     const struct grpo_tasks *tasks, const struct grpo_options *options, struct grpo_result *result,
                     struct diag *diag);

#endif
