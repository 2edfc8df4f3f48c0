/* chat.h - dialogues as the prompts that instruction-tuned models were trained on.
 *
 * A model file brings a template in the Jinja language. Its family is recognised by markers in its text (the family's
 * turn tokens); a template of no known family is an error, never a guess. A recognised one is then followed to the
 * letter: templates of one family differ in default system messages, trimming, dates. Families can also be named,
 * for files without a template. */
#ifndef ARKLET_CHAT_H
#define ARKLET_CHAT_H

#include <stddef.h>
#include "arena.h"
#include "status.h"
#include "tokenizer.h"

struct chat_family;

/* The text is the caller's and must outlive this. */
struct chat_template {
    const struct chat_family *family;
    const char *text;
    size_t length;
};

struct chat_message {
    const char *role; /* "system", "user", "assistant" */
    const char *content;
    size_t length;
};

struct chat_options {
    const char *bos, *eos; /* text of the vocabulary's tokens; NULL means "" */
    const char *date;      /* "26 Jul 2024": today, for templates that state it; NULL: the date of their default, so
                              that a prompt does not change from day to day */
    int no_thinking;       /* reasoning models answer at once (Qwen3's enable_thinking = false) */
};

/* A rendered dialogue: text, cut into parts that are template and parts that are content. */
struct chat_prompt {
    struct buffer text;
    struct segment *segments; /* they point into text; valid until the next change of it */
    size_t n_segments, capacity;
};

/* By the template's own text (the file's chat_template), which is also parsed. STATUS_UNSUPPORTED: no known family,
 * or a construct that is not known, with its line. */
enum status chat_recognise(struct chat_template *chat, const char *text, size_t length, struct diag *diag);
/* By name (--chat-template NAME); an unknown name is an error that lists the known ones. */
enum status chat_named(struct chat_template *chat, const char *name, struct diag *diag);
const char *chat_name(const struct chat_template *chat); /* of the family */

/* *prompt is {0} or used before, and is cleared first. add_generation_prompt opens the assistant's turn. Messages that
 * the template refuses (roles that do not alternate, a system message where the family has none) are STATUS_RANGE. */
enum status chat_render(const struct chat_template *chat, const struct chat_message *messages, size_t n,
                        int add_generation_prompt, const struct chat_options *options, struct chat_prompt *prompt,
                        struct diag *diag);
void chat_prompt_free(struct chat_prompt *prompt);

#endif
