/* distill_command.h - the command distill, and commands that are distill with something before and after it. */
#ifndef ARKLET_DISTILL_COMMAND_H
#define ARKLET_DISTILL_COMMAND_H

#include "arena.h"
#include "args.h"
#include "args_private.h"
#include "distill.h"
#include "load.h"
#include "progress.h"

struct distill_command;

struct distill_kind {
    const char *command, *about;
    const struct arg *flags;                         /* of its own, in front of distill's; may be NULL */
    int (*prepare)(struct distill_command *command); /* more flags, once the line is read; -1 or an exit code */
    /* What is printed in the end, in place of the summary that is in *text. */
    enum status (*finish)(struct distill_command *command, struct buffer *text, struct diag *diag);
};

#define DISTILL_COPIED_FLAGS 32

struct distill_command {
    const struct distill_kind *kind;
    struct arg model_flags[DISTILL_COPIED_FLAGS], sampling_flags[DISTILL_COPIED_FLAGS];
    const struct arg *groups[8];
    struct args_spec spec;
    struct args args;
    struct load load;
    struct distill_options options;
    struct buffer config;
    struct progress progress;
};

int distill_command(int argc, char **argv, const struct distill_kind *kind);

#endif
