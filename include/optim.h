/* optim.h - parameter updates: AdamW and Muon, gradient norm and clipping, learning-rate schedules.
 *
 * Parameters, gradients and moments are four arrays of one layout; a table of tensors says which part is a matrix. */
#ifndef ARKLET_OPTIM_H
#define ARKLET_OPTIM_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"
#include "exec.h"

enum optim_kind { OPTIM_ADAMW, OPTIM_MUON };
enum schedule { SCHEDULE_COSINE, SCHEDULE_CONSTANT, SCHEDULE_LINEAR };

/* rows x cols at params + offset, rows `stride` floats apart. */
struct optim_tensor {
    size_t offset, rows, cols, stride;
    int matrix; /* Muon's part: a weight matrix, not an embedding, norm or bias */
    int decay;  /* weight decay applies */
    int turned; /* the array holds the transpose of the weight (B of an adapter) */
};

struct optim_options {
    enum optim_kind kind;
    float beta1, beta2, eps; /* AdamW: 0.9 0.999 1e-8 */
    float momentum;          /* Muon: 0.95, Nesterov */
    float weight_decay;
    float adam_ratio; /* Muon: learning rate of the parameters left to AdamW, relative to the matrices' */
};

struct optim {
    struct optim_options options;
    struct exec exec;
    const struct optim_tensor *tensors; /* [n_tensors] */
    size_t n_tensors, n_params;
    float *m, *v;    /* [n_params], zero at first */
    float **scratch; /* [threads] of Newton-Schulz */
};

/* Allocates moments and scratch in arena; 0 when it is exhausted. tensors must outlive the optimiser. */
int optim_create(struct optim *optim, const struct optim_options *options, const struct exec *exec,
                 const struct optim_tensor *tensors, size_t n_tensors, size_t n_params, struct arena *arena);

/* Euclidean norm over all gradients, in double: sums of 4096 elements, added in order. */
double optim_norm(const struct exec *exec, const float *grads, size_t n);
/* min(1, clip / (norm + 1e-6)) as torch's clip_grad_norm_; clip <= 0: 1. */
float optim_clip(double norm, double clip);

/* One update with step number t (from 1). Gradients are multiplied by grad_scale first.
 * AdamW: gradients.h. Muon (Jordan et al. 2024): m = momentum m + g, u = NS5(g + momentum m), five Newton-Schulz steps
 * X <- a X + (b A + c A^2) X with A = X X^T and (a, b, c) = (3.4445, -4.7750, 2.0315) from X = G / |G|, then
 * w = w (1 - lr decay) - lr sqrt(max(1, outputs / inputs)) u; the other parameters by AdamW. */
void optim_step(struct optim *optim, float *params, const float *grads, float lr, uint64_t t, float grad_scale);

/* Factor of the peak learning rate in step (0-based) of total, as transformers' get_cosine_schedule_with_warmup: step /
 * warm in the first warm = ceil(warmup * total) steps (so the very first is 0), then cosine or linear to 0, or
 * constant.
 */
double optim_schedule(enum schedule schedule, double warmup, uint64_t step, uint64_t total);

#endif
