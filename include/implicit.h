/* implicit.h - the implicit process reward model (Yuan et al. 2024, arXiv 2412.01981): trained on whole solutions that
 * are right or wrong, it yields a reward for every step.
 *
 *   r(solution) = beta sum_t (log pi_phi(token t) - log pi_ref(token t))   pi_ref: the model, pi_phi: with the LoRA
 *   r(step)     = the same sum over the step's tokens
 *   loss        = -y log sigmoid(r) - (1 - y) log sigmoid(-r), mean over the solutions of a step of training
 *
 * The log-probabilities of pi_ref are those of the trainer bit for bit, so before the first update r is exactly 0. */
#ifndef ARKLET_IMPLICIT_H
#define ARKLET_IMPLICIT_H

#include "prm.h"

/* Trains an adapter without score head; options as for prm_run (contrast and its weights are not looked at). Solutions
 * of unknown correctness, and those longer than format.max_len, are left out. result->accuracy: share of solutions
 * with r > 0 that are right, or r <= 0 that are wrong. */
enum status implicit_run(struct model *model, struct adapter *adapter, const struct exec *exec,
                         const struct prm_options *options, double beta, struct prm_result *result, struct diag *diag);

/* beta stands in <folder>/implicit_prm.json, which tells such an adapter from any other. *beta is 0 without it. */
enum status implicit_save(const char *folder, double beta, struct diag *diag);
enum status implicit_load(const char *folder, double *beta, struct diag *diag);

#endif
