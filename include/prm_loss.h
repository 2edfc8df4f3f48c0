/* prm_loss.h - losses of the process reward model on labelled step ends, with their gradients.
 *
 * A position has two logits (l0 wrong, l1 right), a label 0 or 1, and a feature vector (its hidden state). Arithmetic
 * in double on the few positions of a batch. */
#ifndef ARKLET_PRM_LOSS_H
#define ARKLET_PRM_LOSS_H

#include <stddef.h>

/* Mean cross-entropy of n positions; d_logits [n][2] += scale * gradient. weight [n] or NULL (1 each): the mean is
 * sum w ce / sum w. */
double prm_cross_entropy(double *d_logits, const double *logits, const int *labels, const double *weights, size_t n,
                         double scale);

/* Supervised contrastive loss (Khosla et al. 2020, eq. 2) on normalised features z = x / |x| with s_ij = z_i.z_j / tau
 * clamped to +-85: L_i = -(1/|P_i|) sum_{j in P_i} (s_ij - log sum_{k != i} exp s_ik), P_i = other positions of the
 * same group and label; only positions of the same group are compared (group NULL: one group). Mean over anchors whose
 * P_i is not empty; 0 without any. d_features [n][dim] += scale * gradient. scratch: n * dim + n doubles. */
double prm_supcon(double *d_features, const double *features, const int *labels, const int *groups, size_t n,
                  size_t dim, double tau, double scale, double *scratch);

/* InfoNCE on sigmoid scores (van den Oord et al. 2018, eq. 4): for each positive position i of a group with negatives
 * -log( e^{sig(R_i)/tau} / (e^{sig(R_i)/tau} + sum over negatives j of e^{sig(R_j)/tau}) ), R = l1 - l0. Mean over
 * those positives; 0 without any. d_logits [n][2] += scale * gradient. */
double prm_infonce(double *d_logits, const double *logits, const int *labels, const int *groups, size_t n, double tau,
                   double scale);

#endif
