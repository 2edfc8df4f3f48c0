/* forward.h - the model's forward pass over a batch of spans, and the head.
 *
 * A span is a run of consecutive tokens of one sequence; the tokens continue at sequence->length. A batch may mix
 * prompts, chunks of prompts and single decode steps of many sequences: by the arithmetic contract no row's result
 * depends on its neighbours, on the chunking or on the threads. */
#ifndef ARKLET_FORWARD_H
#define ARKLET_FORWARD_H

#include <stddef.h>
#include <stdint.h>
#include "exec.h"
#include "kv.h"
#include "model.h"
#include "status.h"

struct adapter; /* LoRA weights, adapter.h */

struct token_span {
    struct kv_sequence *sequence; /* room reserved for n_tokens by the caller; length grows by n_tokens */
    const int32_t *tokens;
    size_t n_tokens;
    const struct adapter *const *adapters; /* n_adapters of them, summed; may be NULL */
    size_t n_adapters;
};

struct forward;

/* Workspace for at most max_tokens tokens a call. Its size is forward_bytes. */
size_t forward_bytes(const struct config *config, size_t max_tokens);
enum status forward_create(struct forward **forward, const struct model *model, struct kv *kv, const struct exec *exec,
                           size_t max_tokens, struct diag *diag);
void forward_free(struct forward *forward);

/* Runs all layers and the output norm. *hidden is [sum of n_tokens][forward_stride()], in span order, valid until the
 * next call. Contract: token ids are in range, positions stay below the context that the caller allows. */
void forward_run(struct forward *forward, const struct token_span *spans, size_t n_spans, const float **hidden);
/* Floats from one row of hidden to the next: dim rounded up to 16. */
size_t forward_stride(const struct forward *forward);

/* logits[i][0..vocab_size) = head(hidden row rows[i]), i < n; rows NULL means 0..n-1. The stride of logits is
 * vocab_size rounded up to 16 floats, base 64-byte aligned. n <= max_tokens. */
void forward_logits(struct forward *forward, const float *hidden, const size_t *rows, size_t n, float *logits);
size_t forward_logit_stride(const struct forward *forward);

/* Seconds spent per kind of work since creation (wall time of the calling thread). */
struct forward_times {
    double norm;      /* steps 1 and 6, the output norm, the embedding */
    double linear;    /* the matrix products of steps 2, 5, 7, 9, with the rounding of their inputs */
    double rope;      /* step 3 and storing k and v */
    double attention; /* step 4 */
    double swiglu;    /* step 8 */
    double head;      /* forward_logits */
};

struct forward_times forward_times(const struct forward *forward);

#endif
