/* example.h - training records as tokens with a loss weight each.
 *
 * Forms (formats.md, Traces): {prompt, completion, weight}, with strings or message lists; {messages}; {segments:
 * [{text, weight}]}, which are the whole text, or, beside a prompt of messages, the parts of its answer. Loss falls on
 * the completion, on assistant turns, on weighted segments alone:
 *
 *     tokens    BOS  p p p p p | c c c c EOS
 *     weights    0   0 0 0 0 0 | w w w w w      weight of predicting this token from those before it
 */
#ifndef ARKLET_EXAMPLE_H
#define ARKLET_EXAMPLE_H

#include <stddef.h>
#include <stdint.h>
#include "chat.h"
#include "json.h"
#include "status.h"
#include "tokenizer.h"

struct example {
    struct tokens tokens;
    float *weights; /* [tokens.count] */
    size_t weights_capacity;
    size_t n_trained; /* tokens with a weight other than 0 */
    double weight;    /* their sum */
    int truncated;
};

struct example_format {
    const struct tokenizer *tokenizer;
    const struct chat_template *chat; /* for message lists; NULL: they are an error */
    struct chat_options chat_options;
    size_t max_len; /* longer examples are cut at the end (truncated is set) */
};

/* Is it one of the forms? A cheap check for the time when the file is indexed. `where` is "file:line". */
enum status example_check(const struct json *record, const char *where, struct diag *diag);
/* *example is cleared first ({0} or used before). n_trained is 0 when nothing is left to train on: a weight of 0, or a
 * prompt that alone fills max_len. */
enum status example_read(struct example *example, const struct json *record, const struct example_format *format,
                         const char *where, struct diag *diag);
/* A prompt alone, a string or a list of messages (with the assistant's turn opened), as example_read tokenises it. */
enum status example_prompt(struct example *example, const struct json *prompt, const struct example_format *format,
                           const char *where, struct diag *diag);
void example_free(struct example *example);

#endif
