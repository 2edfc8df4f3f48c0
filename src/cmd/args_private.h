/* args_private.h - what args.c, args_config.c and args_help.c share. */
#ifndef ARKLET_ARGS_PRIVATE_H
#define ARKLET_ARGS_PRIVATE_H

#include "args.h"

struct args_given {
    const struct arg *arg;
    const char *text;
    int from_config;
};

/* By name without dashes, or, with `dashed`, by any spelling. NULL when there is none. */
const struct arg *args_find(const struct args_spec *spec, const char *name, size_t length, int dashed);
/* 1 when text is a value for arg. `expected` becomes what would be one. */
int args_check(const struct arg *arg, const char *text, char *expected, size_t size);
/* These two demand the whole text and return 0 when it is no number. */
int args_parse_int(const char *text, int64_t *value);
int args_parse_float(const char *text, double *value);
/* Says so and returns the exit code. */
int args_out_of_memory(void);
/* Appends an entry; text must live as long as args. Returns -1, or the exit code. */
int args_add(struct args *args, const struct arg *arg, const char *text, int from_config);
/* The value that counts: the command line's, the configuration's, the default, or NULL. */
const char *args_value(const struct args *args, const struct arg *arg);
/* Returns -1, or the exit code after one line on standard error. */
int args_read_config(struct args *args, const char *path);

#endif
