/* generate.h - one text from the engine: tokens become text as they come, stop strings end it.
 *
 *   token -> decoder (whole UTF-8 sequences) -> text so far -> stop strings -> on_text
 *
 * Text that might be the beginning of a stop string waits until it is decided; a stop string itself and what follows
 * it never come out. Any number of generations run in one engine. */
#ifndef ARKLET_GENERATE_H
#define ARKLET_GENERATE_H

#include <stddef.h>
#include <stdint.h>
#include "batch.h"
#include "tokenizer.h"

/* text[0..length) is new; non-zero ends the generation (FINISH_STOP). */
typedef int generate_text(void *user, const char *text, size_t length);

struct generate_options {
    size_t max_new;
    struct sampling sampling;
    const char *const *stops; /* [n_stops] NUL-terminated, not empty; must live until the end */
    size_t n_stops;
    const int32_t *eos; /* [n_eos], see generate_eos; must live until the end */
    size_t n_eos;
    const struct adapter *const *adapters; /* [n_adapters]; must live until the end */
    size_t n_adapters;
    int keep_space;         /* 1: the text continues another, its first word keeps its space (see tokenizer.h) */
    generate_text *on_text; /* or NULL: only collected */
    void *user;
};

/* Filled while the engine steps; must not move until `done`. Free with generation_free. */
struct generation {
    const struct tokenizer *tokenizer;
    struct generate_options options;
    struct decoder decoder;
    struct buffer text; /* all of it; what a stop string cut off is removed */
    size_t delivered;   /* bytes of text handed to on_text */
    int done, failed;   /* failed: no memory for the text */
    enum finish finish;
    int stopped_by; /* index of the stop string, -1: none */
    size_t n_prompt, n_tokens;
    double logprob; /* sum over the chosen tokens, EOS included */
};

/* Submits prompt ids[0..n) (copied). Errors as engine_submit. */
enum status generation_begin(struct generation *generation, struct engine *engine, const struct tokenizer *tokenizer,
                             const int32_t *ids, size_t n, const struct generate_options *options, struct diag *diag);
void generation_free(struct generation *generation);

/* Appends the ids that end a text (tokenizer_is_eog). STATUS_MEMORY. */
enum status generate_eos(const struct tokenizer *tokenizer, struct tokens *out, struct diag *diag);
/* Appends the ids of a plain prompt: BOS as the vocabulary says, BOS (else EOS) alone for an empty one. `flags` are
 * encode_flags beside ENCODE_BOS. STATUS_RANGE when the vocabulary has neither for an empty prompt. */
enum status generate_prompt(const struct tokenizer *tokenizer, const char *text, size_t length, unsigned flags,
                            struct tokens *out, struct diag *diag);

#endif
