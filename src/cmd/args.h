/* args.h - flags of the commands: tables, strict parsing, a configuration file, help.
 *
 * A command lists its flags in tables (its own and shared groups) and calls args_parse; afterwards values are
 * looked up by the flag's name without dashes. A value comes from the command line, else from --config FILE
 * (lines "name = value"), else from the table. Everything is checked during args_parse, so lookups cannot fail;
 * looking up a name that is in no table is a bug and asserts. */
#ifndef ARKLET_ARGS_H
#define ARKLET_ARGS_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"

enum arg_kind {
    ARG_FLAG,   /* present or not; "--name=false" undoes a configuration file's "name = true" */
    ARG_INT,    /* whole number in low..high */
    ARG_FLOAT,  /* finite number in low..high */
    ARG_TEXT,   /* any text */
    ARG_CHOICE, /* one of the words in choices */
    ARG_LIST    /* text, repeatable */
};

/* A default that is a constant of the library, as text. */
#define ARGS_TEXT(constant) ARGS_QUOTE(constant)
#define ARGS_QUOTE(text)    #text

struct arg {
    const char *name;  /* "threads": the flag is --threads, the configuration's line threads = N */
    const char *alias; /* other spellings with their dashes, space separated: "-t", "-n --n-predict"; or NULL */
    enum arg_kind kind;
    const char *value;     /* what the help calls it: "N", "FILE"; NULL for ARG_FLAG */
    const char *otherwise; /* default as text; NULL: none */
    double low, high;      /* ARG_INT and ARG_FLOAT; both 0: any */
    const char *choices;   /* ARG_CHOICE: "f16|f32|q8_0" */
    int required;
    const char *help; /* one line */
};

/* What a command says about itself. Tables end with an entry whose name is NULL; groups end with NULL. */
struct args_spec {
    const char *command;  /* "run" */
    const char *operands; /* of the usage line: "IN OUT TYPE"; or NULL */
    const char *about;    /* paragraphs for --help, lines broken by hand */
    int min_operands, max_operands;
    const struct arg *const *groups;
};

/* Flags that several commands share, in the order in which help shows them. */
extern const struct arg args_model[];    /* -m -c -ctk -ctv --lora */
extern const struct arg args_sampling[]; /* --temp --top-k --top-p --min-p -s */
extern const struct arg args_common[];   /* -t --kernels --mem-limit -q -v --config --help */

/* A copy of a table (room: its end included) in which nothing is required: for commands that need the flags in some of
 * their uses only. */
void args_optional(struct arg *copy, size_t room, const struct arg *table);
/* Takes a flag out of such a copy, because another table of the command has it; or changes its default and help. */
void args_remove(struct arg *copy, const char *name);
void args_redefine(struct arg *copy, const char *name, const char *otherwise, const char *help);

struct args_given;

struct args {
    const struct args_spec *spec;
    struct arena arena;
    struct args_given *given; /* in order of appearance: the command line's, then the configuration's */
    size_t n_given, room;
    const char **operands;
    int n_operands;
};

/* argv[0] is the command's name. Returns -1 when the command is to go on; else the exit code: 0 after --help, 2 after
 * a usage error or 1 after an unreadable configuration, which was reported in one line. args_free in every case. */
int args_parse(struct args *args, const struct args_spec *spec, int argc, char **argv);
void args_free(struct args *args);

int args_is_given(const struct args *args, const char *name); /* on the command line or in the configuration */
int args_flag(const struct args *args, const char *name);
int64_t args_int(const struct args *args, const char *name);
double args_float(const struct args *args, const char *name);
const char *args_text(const struct args *args, const char *name); /* also ARG_CHOICE; NULL: none */
size_t args_count(const struct args *args, const char *name);     /* of an ARG_LIST */
const char *args_item(const struct args *args, const char *name, size_t i);

/* Appends the effective configuration, "name = value" lines that --config reads back. */
void args_write_config(const struct args *args, struct buffer *out);
/* As printed by --help. */
void args_write_help(const struct args_spec *spec, struct buffer *out);

#endif
