/* model_init.h - a model of a given shape with random weights, as an ordinary GGUF: where training from nothing begins.
 *
 * The initialisation is that of transformers' PreTrainedModel for all families: matrices and embeddings normal with
 * mean 0 and deviation initializer_range (0.02 unless the configuration says otherwise), norms 1, biases 0. An element
 * depends on the seed, the tensor's name and its index alone (rng.h, RNG_INIT). */
#ifndef ARKLET_MODEL_INIT_H
#define ARKLET_MODEL_INIT_H

#include <stdint.h>
#include "dtype.h"
#include "model.h"
#include "pool.h"
#include "progress.h"
#include "status.h"

struct model_init_options {
    const char *tokenizer; /* GGUF, Hugging Face folder or tokenizer.json; NULL: that of CONFIG's folder, or none */
    uint64_t seed;
    enum dtype type; /* of matrices: DTYPE_F32, DTYPE_F16 or DTYPE_BF16; vectors are F32 */
    struct pool *pool;
    struct progress *progress; /* may be NULL */
    int (*stop)(void);         /* may be NULL; not 0 ends the work with STATUS_STOPPED */
};

struct model_init_report {
    struct config config;
    size_t n_tensors;
    uint64_t n_params, n_embedding; /* of these in the embedding and, where it is its own, the head */
    int has_tokenizer;
};

/* `config` is a config.json or its folder: the keys are transformers', vocab_size is by default the tokenizer's. Ids
 * beyond the tokenizer's become unused tokens. `out` appears only when it is whole. */
enum status model_init(const char *config, const char *out, const struct model_init_options *options,
                       struct model_init_report *report, struct diag *diag);

#endif
