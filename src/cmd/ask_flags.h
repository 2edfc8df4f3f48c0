/* ask_flags.h - what the commands that put questions to a model share: the questions' file, prompts, the engine. */
#ifndef ARKLET_ASK_FLAGS_H
#define ARKLET_ASK_FLAGS_H

#include "args.h"
#include "batch.h"
#include "load.h"
#include "prompt.h"
#include "question.h"

/* -f --kind --shard --no-gold --skip-bad --max-new --batch --chat-template --plain --system */
extern const struct arg args_ask[];

/* The functions report in one line on standard error and return an exit code, or -1 to go on. */
int ask_questions(struct question_options *options, const struct args *args);
/* The model's template, or --chat-template, or none (--plain, or a model without). `chat` backs style->chat. */
int ask_style(struct prompt_style *style, struct chat_template *chat, const struct load *load, const struct args *args);
/* An engine for the model: --batch sequences at once, contexts of load->context, limited by --mem-limit. */
int ask_engine(struct engine **engine, const struct load *load, const struct args *args, size_t context);
/* A context that holds a prompt of usual length and --max-new, when -c is not given. */
size_t ask_context(const struct load *load, const struct args *args);

#endif
