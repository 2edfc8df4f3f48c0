/* score.h - log-probabilities of given tokens: what `logprobs` and `perplexity` print, at constant memory.
 *
 * The tokens go through the model in chunks, and the head in groups of SCORE_LOGIT_ROWS positions, so that a vocabulary
 * of 150,000 never costs more than 19 MB however long the text. Bit-equal to what the engine reports for the same
 * tokens and to what the trainer computes. */
#ifndef ARKLET_SCORE_H
#define ARKLET_SCORE_H

#include <stddef.h>
#include <stdint.h>
#include "dtype.h"
#include "exec.h"
#include "status.h"

#define SCORE_LOGIT_ROWS 32

struct scorer;
struct config;  /* model.h */
struct model;   /* model.h */
struct adapter; /* adapter.h */
struct forward; /* forward.h */

struct score_options {
    size_t context; /* longest text in tokens */
    size_t chunk;   /* tokens a forward pass, >= 1 */
    enum dtype k_type, v_type;
    float temperature; /* of the distribution; 0 stands for 1 */
};

/* Bytes that score_create takes, beside the model. */
size_t score_bytes(const struct config *config, const struct score_options *options);
enum status score_create(struct scorer **scorer, const struct model *model, const struct exec *exec,
                         const struct score_options *options, struct diag *diag);
void score_free(struct scorer *scorer); /* NULL is allowed */

/* logprobs[i - from] = natural log p(tokens[i] | tokens[0..i)) over the whole vocabulary at temperature 1, for
 * from <= i < n, 1 <= from <= n. STATUS_RANGE: an id outside the vocabulary, n above the context. STATUS_NUMERIC:
 * a logit is not finite. */
enum status score_tokens(struct scorer *scorer, const int32_t *tokens, size_t n, size_t from,
                         const struct adapter *const *adapters, size_t n_adapters, float *logprobs, struct diag *diag);

#endif
