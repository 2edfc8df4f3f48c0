/* prompt.h - how questions are put to a model: alone, or with the solutions of a debate's last round.
 *
 * A model with a chat template gets one user message (and a system message where one is asked for); a model without
 * gets plain text that ends where the solution begins. In both, all agents of a question share the text up to the tail:
 *
 *   question | instructions | Solution 1 ... | Solution 2 ... | Solution n ... | tail: which of them is yours, what to
 * do
 *
 * so that a round's prompts cost one prefix and n tails. */
#ifndef ARKLET_PROMPT_H
#define ARKLET_PROMPT_H

#include <stddef.h>
#include "arena.h"
#include "chat.h"
#include "model.h"
#include "question.h"
#include "status.h"
#include "tokenizer.h"

struct prompt_style {
    const struct tokenizer *tokenizer;
    const struct chat_template *chat; /* NULL: plain text */
    struct chat_options chat_options;
    const char *system; /* system message or persona, NULL: none */
    int critique;       /* debate: first name the first wrong step of each other solution */
};

/* The style for a model: the template of `name`, else the model's own, else plain text (also when `plain` says so).
 * `chat` backs style->chat. STATUS_UNSUPPORTED: a model without a tokenizer, an unknown template. */
enum status prompt_style_open(struct prompt_style *style, struct chat_template *chat, const struct model *model,
                              const char *name, int plain, const char *system, struct diag *diag);

/* A prompt in the form that traces store: text, or messages. */
struct prompt {
    const char *text; /* plain, or the user message's content */
    size_t length;
    const char *system; /* of a chat; NULL: none */
    int is_chat;
};

/* An agent's earlier solution. */
struct prompt_solution {
    const char *text;
    size_t length;
};

/* The question alone. Memory from arena; STATUS_MEMORY. */
enum status prompt_solve(struct prompt *prompt, const struct prompt_style *style, const struct question *question,
                         struct arena *arena, struct diag *diag);
/* The question and the n solutions of the last round, for agent `agent` (0-based: solution agent is its own). */
enum status prompt_revise(struct prompt *prompt, const struct prompt_style *style, const struct question *question,
                          const struct prompt_solution *solutions, size_t n, size_t agent, struct arena *arena,
                          struct diag *diag);
/* The question and n solutions, for one call that states the common answer (--aggregate llm). */
enum status prompt_aggregate(struct prompt *prompt, const struct prompt_style *style, const struct question *question,
                             const struct prompt_solution *solutions, size_t n, struct arena *arena, struct diag *diag);

/* Appends the token ids, BOS and the opened assistant turn included. */
enum status prompt_tokens(const struct prompt *prompt, const struct prompt_style *style, struct tokens *tokens,
                          struct diag *diag);
/* prompt_solve and prompt_tokens in at most `room` tokens: a context that is too long loses its beginning (*cut is set
 * then, else left alone). STATUS_RANGE when the rest is still too long. */
enum status prompt_solve_tokens(struct prompt *prompt, const struct prompt_style *style,
                                const struct question *question, size_t room, struct tokens *tokens, int *cut,
                                struct arena *arena, struct diag *diag);
/* A context without so much of its beginning that `excess` of a prompt's `count` tokens go with it; NULL when nothing
 * is left. */
const char *prompt_cut(const char *context, size_t excess, size_t count);
/* As JSON: a string, or a list of messages. */
void prompt_put(struct buffer *out, const struct prompt *prompt);
/* A completion in the same form: a string, or a list with one assistant message. */
void prompt_put_completion(struct buffer *out, const struct prompt *prompt, const char *text, size_t length);
/* Appends a completion that is nothing but the answer, in the form that the prompt's instructions ask for. */
void prompt_put_answer(struct buffer *out, enum answer_kind kind, const char *answer);

#endif
