/* ask.h - a window of prompts through the engine: token ids in, text out, in order.
 *
 * Everything in a window decodes together; results do not depend on the window or on the order of finishing. */
#ifndef ARKLET_ASK_H
#define ARKLET_ASK_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"
#include "batch.h"
#include "model.h"
#include "status.h"
#include "tokenizer.h"

struct ask {
    /* in */
    const int32_t *prompt; /* [n_prompt] */
    size_t n_prompt;
    size_t max_new;
    struct sampling sampling; /* with its stream */
    const struct adapter *const *adapters;
    size_t n_adapters;
    /* out, in the arena of ask_run */
    const char *text; /* without EOS; NUL-terminated */
    size_t length;
    size_t n_tokens; /* EOS included */
    double logprob;  /* mean over the tokens; 0 without any */
    int truncated;   /* ended by the token limit */
};

/* Bytes of an engine that with `beside` other bytes fits into mem_limit (0: none): options->max_sequences is halved
 * until it does, or is 1. */
size_t ask_fit_engine(const struct config *config, const struct exec *exec, struct engine_options *options,
                      size_t beside, size_t mem_limit);
/* Such an engine beside the model's weights and so many other bytes. STATUS_MEMORY when not even one sequence fits. */
enum status ask_open_engine(struct engine **engine, const struct model *model, const struct exec *exec,
                            struct engine_options *options, size_t aside, size_t mem_limit, struct diag *diag);

/* A prompt in the engine, among others that come and go; must not move until `done`. */
struct asking {
    struct ask *ask;
    const struct tokenizer *tokenizer;
    struct arena *arena; /* of the text */
    int done, failed;    /* failed: no memory for the text */
};

/* Submits asking->ask; the engine's steps make it done. eos (generate_eos) must live until then. */
enum status ask_begin(struct asking *asking, struct engine *engine, const struct tokens *eos, struct diag *diag);
/* Submits all, runs the engine until it is idle (watch: see engine_run). STATUS_RANGE when a prompt does not fit into
 * the engine's context. After a failure the engine may still hold prompts: it is good for engine_free alone. */
enum status ask_run(struct engine *engine, const struct tokenizer *tokenizer, struct ask *asks, size_t n,
                    const struct engine_watch *watch, struct arena *arena, struct diag *diag);

#endif
