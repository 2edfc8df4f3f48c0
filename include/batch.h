/* batch.h - the engine: many generations at once over one model (continuous batching).
 *
 *   submit -> waiting (in order) -> admitted: pages of the cache reserved -> prompt computed in chunks -> decoded one
 *             token a step together with all others -> finished: callback, its place goes to the next in the queue
 *
 * One step is one forward pass: the next token of every decoding sequence and up to `chunk` prompt tokens. By the
 * arithmetic contract a request's tokens and log-probabilities depend on its own prompt, sampling and adapters alone,
 * never on its neighbours, the chunk or the threads.
 *
 * Shared prefixes. A request that begins like another one (running, or finished and kept; same adapters) forks that
 * one's pages and computes only the rest; when the other is still computing the common part, the request waits for
 * it. So the agents of a question, or the samples of a group, pay their common prompt once. At least the last prompt
 * token is computed, for its logits.
 *
 * Memory. engine_create allocates everything but the requests themselves (8 bytes a token), and engine_plan states it.
 * A request's pages for its whole length are taken at admission, so a running sequence never fails for want of
 * memory. */
#ifndef ARKLET_BATCH_H
#define ARKLET_BATCH_H

#include <stddef.h>
#include <stdint.h>
#include "dtype.h"
#include "exec.h"
#include "sampler.h"
#include "status.h"

struct engine;
struct config;  /* model.h */
struct model;   /* model.h */
struct adapter; /* adapter.h */
struct forward; /* forward.h */

struct engine_options {
    size_t context;       /* longest sequence in positions (tokens fed) */
    size_t max_sequences; /* running at once, >= 1 */
    size_t chunk;         /* prompt tokens a step, >= 1 */
    size_t n_pages;       /* of the cache; 0: enough for max_sequences of `context` positions that share nothing.
                             With fewer, fewer requests run at once */
    size_t keep;          /* finished sequences whose pages stay for later prefixes while nobody needs them */
    enum dtype k_type, v_type;
};

/* Bytes that engine_create takes, beside the model. */
struct engine_plan {
    size_t n_pages;
    size_t kv_bytes;      /* the cache */
    size_t forward_bytes; /* workspace of a step */
    size_t logit_bytes;   /* logits and the samplers' scratch */
    size_t bytes;         /* the sum */
};

enum finish {
    FINISH_EOS,    /* a token of `eos` came (it is the last of the result) */
    FINISH_LENGTH, /* max_new tokens, or the end of the context */
    FINISH_STOP    /* on_token asked for it */
};

/* Handed to on_finish; the arrays are valid during the call. */
struct generated {
    const int32_t *prompt; /* [n_prompt], then tokens follow in place */
    const int32_t *tokens; /* [n_tokens] */
    const float *logprobs; /* [n_tokens] under the full distribution at temperature 1 */
    size_t n_prompt, n_tokens;
    enum finish finish;
};

/* Called for every token as it is chosen, in order; non-zero stops the request after this token. */
typedef int engine_token(void *user, int32_t token, float logprob);
typedef void engine_finish(void *user, const struct generated *generated);

/* Both callbacks may be NULL, and may submit. The random stream is sampling.stream; a choice's position is its index in
 * the sequence, prompt included. */
struct request {
    const int32_t *prompt; /* [n_prompt >= 1], copied */
    size_t n_prompt;
    size_t max_new; /* cut to what the context holds: context - n_prompt + 1 (the last token is not fed) */
    struct sampling sampling;
    const int32_t *eos; /* [n_eos] token ids that end the text; must live until the finish */
    size_t n_eos;
    const struct adapter *const *adapters; /* [n_adapters], summed; must live until the finish. See `keep` */
    size_t n_adapters;
    engine_token *on_token;
    engine_finish *on_finish;
    void *user;
};

struct engine_statistics {
    uint64_t requests, steps;
    uint64_t prompt_tokens;   /* of admitted requests = shared + computed, once their prompts are through */
    uint64_t shared_tokens;   /* taken from other sequences' pages */
    uint64_t computed_tokens; /* prompt tokens that went through the model */
    uint64_t decoded_tokens;  /* tokens chosen */
    uint64_t most_running;    /* sequences in one step */
    uint64_t most_pages;      /* pages of the cache held at once */
};

struct engine_plan engine_plan(const struct config *config, const struct exec *exec,
                               const struct engine_options *options);
/* The model and exec must outlive the engine. */
enum status engine_create(struct engine **engine, const struct model *model, const struct exec *exec,
                          const struct engine_options *options, struct diag *diag);
void engine_free(struct engine *engine); /* NULL is allowed; unfinished requests get no callback */

/* Queues a request. STATUS_RANGE: empty prompt, an id outside the vocabulary, a prompt longer than the context.
 * STATUS_MEMORY: it would not fit into the cache even alone. */
enum status engine_submit(struct engine *engine, const struct request *request, struct diag *diag);
/* One forward pass and its callbacks. STATUS_NUMERIC when a logit is not finite: the engine can only be freed then. */
enum status engine_step(struct engine *engine, struct diag *diag);
int engine_idle(const struct engine *engine); /* nothing waiting, nothing running */
/* Called after every step of an engine_run, to show that it lives; not 0 ends it with STATUS_STOPPED. */
struct engine_watch {
    int (*step)(void *context);
    void *context;
};
/* Steps until idle; watch may be NULL. After a failure the engine may still hold requests: engine_free alone is left.
 */
enum status engine_run(struct engine *engine, const struct engine_watch *watch, struct diag *diag);
/* Forgets kept prefixes: needed when weights or adapters have changed under the same address. */
void engine_forget(struct engine *engine);
struct engine_statistics engine_statistics(const struct engine *engine);

#endif
