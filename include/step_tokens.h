/* step_tokens.h - where the steps of a solution end among its tokens.
 *
 *   "a\n\nb" EOS  ->  tokens  a | \n\n | b | EOS       ends {1, 3}, counts {1, 1}
 *
 * A step ends at the token that completes a blank line (a newline, white space, a newline) after some text, and the
 * last one at the final token (EOS, or whatever the token limit left). The same rule serves training of the reward
 * model, scoring and reinforcement. */
#ifndef ARKLET_STEP_TOKENS_H
#define ARKLET_STEP_TOKENS_H

#include <stddef.h>
#include <stdint.h>
#include "tokenizer.h"

struct step_end {
    size_t end;   /* index of the token whose hidden state is scored */
    size_t count; /* tokens of the step before it (with it, when a last step has no EOS) */
};

/* Fills at most `room` entries, returns the number of steps (may exceed room). */
size_t step_tokens(const struct tokenizer *tokenizer, const int32_t *ids, size_t n, struct step_end *steps,
                   size_t room);

#endif
