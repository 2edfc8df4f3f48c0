/* cmd_run.h - what cmd_run.c (flags, plain prompts, ids) and cmd_run_chat.c (dialogues) share. */
#ifndef ARKLET_CMD_RUN_H
#define ARKLET_CMD_RUN_H

#include "args.h"
#include "generate.h"
#include "load.h"

struct run {
    struct args args;
    struct load load;
    struct engine *engine;
    struct tokens eos;
    const char **stops; /* [n_stops] in args' arena */
    size_t n_stops;
    struct sampling sampling;
    size_t max_new;
    int to_terminal; /* standard output is one */
};

/* All functions return an exit code, or -1: go on. */

/* The engine, for sequences of at most `positions` tokens (cut to the context). */
int run_create_engine(struct run *run, size_t positions);
/* Completes ids[0..n), streams the text to standard output, and appends it to `answer` (or NULL). */
int run_complete(struct run *run, const int32_t *ids, size_t n, int keep_space, struct buffer *answer);
/* The text of -p or -f; *given 0 when there is neither. */
int run_read_prompt(struct run *run, struct buffer *prompt, int *given);
int run_chat(struct run *run);

#endif
