/* train_flags.h - the flags that sft, prm and grpo share, and what they mean. */
#ifndef ARKLET_TRAIN_FLAGS_H
#define ARKLET_TRAIN_FLAGS_H

#include "adapter.h"
#include "args.h"
#include "example.h"
#include "load.h"
#include "train_run.h"

/* --rank --alpha --rslora --targets --lora-dropout --optim --lr ... (args.h tables). */
extern const struct arg args_train[];

#define TRAIN_KEEP ((size_t)64 << 20) /* backward_options.keep_bytes of full training */

/* The functions report in one line on standard error and return an exit code, or -1 to go on. */
int train_shape(struct adapter_shape *shape, const struct args *args);
int train_no_shape(const struct args *args); /* refuses these flags: an adapter that is there has its shape */
void train_options(struct train_options *options, const struct args *args);
/* What the flags say of the run; its configuration is in `config`, which must outlive it and which the caller frees. */
int train_run_flags(struct train_run_options *run, const struct args *args, struct buffer *config,
                    struct progress *progress);

/* How records become tokens: the model's chat template or --chat-template, --max-len cut to the context. `chat` backs
 * format->chat. */
int train_format(struct example_format *format, struct chat_template *chat, const struct load *load,
                 const struct args *args);

/* Prints the steps; 0, and a note, when a resumed run was complete already, so that there is nothing else to tell. */
int train_print_steps(const struct args *args, uint64_t steps, int worked);

/* The effective configuration into <folder>/config.txt, after making the folder and its checkpoint/. */
int train_folder(const struct args *args, const char *folder);
/* The lines of the configuration that must agree to resume: all but those that do not change the result (threads,
 * kernels, output, resume, save-every, verbosity, memory). by_content: without the names of the model and the data
 * either, which the run tells apart by their content. The caller frees. */
void train_config(const struct args *args, int by_content, struct buffer *out);

#endif
