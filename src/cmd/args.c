/* args.c - parsing of flags, and lookups of their values.
 *
 *   given: | command line, left to right | configuration, line by line |
 *
 * Invariants: what is in `given` is valid for its flag. Of several entries for one flag the last of the command line
 * counts, else the last of the configuration; a list is all of the command line's, else all of the configuration's.
 * Leaves out: the configuration file (args_config.c); shared flags and the help text (args_help.c). */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "args_private.h"

static int usage_error(const struct args *args, const char *flag, const char *problem, const char *found)
{
    fprintf(stderr, "arklet %s: %s: %s%s%s%s (see arklet %s --help)\n", args->spec->command, flag, problem,
            found ? ", found '" : "", found ? found : "", found ? "'" : "", args->spec->command);
    return 2;
}

/* ---- tables ---- */

static int is_alias(const char *aliases, const char *spelling, size_t length)
{
    while (aliases && *aliases) {
        size_t n = strcspn(aliases, " ");
        if (n == length && memcmp(aliases, spelling, n) == 0)
            return 1;
        aliases += n + (aliases[n] == ' ');
    }
    return 0;
}

const struct arg *args_find(const struct args_spec *spec, const char *name, size_t length, int dashed)
{
    for (const struct arg *const *group = spec->groups; *group; group++)
        for (const struct arg *arg = *group; arg->name; arg++) {
            size_t n = strlen(arg->name);
            if (!dashed && n == length && memcmp(arg->name, name, n) == 0)
                return arg;
            if (dashed && length == n + 2 && memcmp(name, "--", 2) == 0 && memcmp(arg->name, name + 2, n) == 0)
                return arg;
            if (dashed && is_alias(arg->alias, name, length))
                return arg;
        }
    return NULL;
}

static const struct arg *known_arg(const struct args *args, const char *name)
{
    const struct arg *arg = args_find(args->spec, name, strlen(name), 0);

    assert(arg);
    return arg;
}

void args_optional(struct arg *copy, size_t room, const struct arg *table)
{
    size_t n = 0;

    do {
        assert(n < room);
        copy[n] = table[n];
        copy[n].required = 0;
    } while (table[n++].name);
}

static struct arg *find_copied(struct arg *copy, const char *name)
{
    while (copy->name && strcmp(copy->name, name) != 0)
        copy++;
    assert(copy->name);
    return copy;
}

void args_remove(struct arg *copy, const char *name)
{
    for (copy = find_copied(copy, name); copy->name; copy++)
        copy[0] = copy[1];
}

void args_redefine(struct arg *copy, const char *name, const char *otherwise, const char *help)
{
    copy = find_copied(copy, name);
    copy->otherwise = otherwise;
    copy->help = help;
}

/* ---- values ---- */

int args_parse_int(const char *text, int64_t *value)
{
    char *end;
    long long v;

    errno = 0;
    v = strtoll(text, &end, 10);
    *value = v;
    return *text && !strchr(" \t\n\v\f\r", *text) && !*end && !errno;
}

int args_parse_float(const char *text, double *value)
{
    char *end;

    errno = 0;
    *value = strtod(text, &end);
    return *text && !strchr(" \t\n\v\f\r", *text) && !*end && isfinite(*value) && !strpbrk(text, "xX");
}

static int is_choice(const char *choices, const char *text)
{
    size_t length = strlen(text);

    while (*choices) {
        size_t n = strcspn(choices, "|");
        if (n == length && memcmp(choices, text, n) == 0)
            return 1;
        choices += n + (choices[n] == '|');
    }
    return 0;
}

static int parse_flag(const char *text, int *value)
{
    *value = strcmp(text, "true") == 0;
    return *value || strcmp(text, "false") == 0;
}

int args_check(const struct arg *arg, const char *text, char *expected, size_t size)
{
    int ranged = arg->low < arg->high, flag, good = 1;
    int64_t whole = 0;
    double real = 0;

    if (arg->kind == ARG_INT)
        good = args_parse_int(text, &whole) && (!ranged || ((double)whole >= arg->low && (double)whole <= arg->high));
    else if (arg->kind == ARG_FLOAT)
        good = args_parse_float(text, &real) && (!ranged || (real >= arg->low && real <= arg->high));
    else if (arg->kind == ARG_CHOICE)
        good = is_choice(arg->choices, text);
    else if (arg->kind == ARG_FLAG)
        good = parse_flag(text, &flag);
    if (arg->kind == ARG_CHOICE)
        snprintf(expected, size, "expected one of %s", arg->choices);
    else if (arg->kind == ARG_FLAG)
        snprintf(expected, size, "expected true or false");
    else if (ranged)
        snprintf(expected, size, "expected a %snumber from %.15g to %.15g", arg->kind == ARG_INT ? "whole " : "",
                 arg->low, arg->high);
    else
        snprintf(expected, size, "expected a %snumber", arg->kind == ARG_INT ? "whole " : "");
    return good;
}

/* ---- collecting ---- */

int args_out_of_memory(void)
{
    fprintf(stderr, "arklet: out of memory\n");
    return 1;
}

int args_add(struct args *args, const struct arg *arg, const char *text, int from_config)
{
    if (args->n_given == args->room) {
        size_t room = args->room ? args->room * 2 : 32;
        struct args_given *given = arena_array(&args->arena, room, sizeof *given);
        if (!given)
            return args_out_of_memory();
        if (args->n_given)
            memcpy(given, args->given, args->n_given * sizeof *given);
        args->given = given;
        args->room = room;
    }
    args->given[args->n_given++] = (struct args_given){arg, text, from_config};
    return -1;
}

/* Flags of programs that use a GPU: accepted, so that scripts written for them run. */
static int skip_gpu_flag(int argc, char **argv, int *i)
{
    static const char with_value[] = "-ngl --gpu-layers --n-gpu-layers -mg --main-gpu -sm --split-mode -ts "
                                     "--tensor-split -dev --device";
    static const char alone[] = "-nkvo --no-kv-offload --mlock --no-mmap -fa --flash-attn";
    const char *flag = argv[*i];
    size_t length = strcspn(flag, "=");
    int takes = is_alias(with_value, flag, length) && !flag[length];

    if (!is_alias(with_value, flag, length) && !is_alias(alone, flag, length))
        return 0;
    if (*i + 1 < argc && (strcmp(flag, "-fa") == 0 || strcmp(flag, "--flash-attn") == 0))
        takes = is_choice("on|off|auto|0|1", argv[*i + 1]);
    fprintf(stderr, "arklet: note: %s has no meaning on a CPU; ignored\n", flag);
    if (takes && *i + 1 < argc)
        ++*i;
    return 1;
}

static int parse_option(struct args *args, int argc, char **argv, int *i)
{
    char *flag = argv[*i];
    size_t length = strcspn(flag, "=");
    const struct arg *arg = args_find(args->spec, flag, length, 1);
    const char *text;
    char expected[160];

    if (!arg && skip_gpu_flag(argc, argv, i))
        return -1;
    if (!arg)
        return usage_error(args, flag, "unknown flag", NULL);
    if (flag[length] == '=')
        text = flag + length + 1;
    else if (arg->kind == ARG_FLAG)
        text = "true";
    else if (*i + 1 < argc)
        text = argv[++*i];
    else
        return usage_error(args, flag, "expected a value behind it", NULL);
    if (!args_check(arg, text, expected, sizeof expected))
        return usage_error(args, flag, expected, text);
    return args_add(args, arg, text, 0);
}

static int parse_command_line(struct args *args, int argc, char **argv)
{
    int code, only_operands = 0;

    args->operands = arena_array(&args->arena, (size_t)argc, sizeof *args->operands);
    if (!args->operands)
        return args_out_of_memory();
    for (int i = 1; i < argc; i++) {
        if (only_operands || argv[i][0] != '-' || !argv[i][1]) {
            args->operands[args->n_operands++] = argv[i];
            continue;
        }
        only_operands = strcmp(argv[i], "--") == 0;
        code = only_operands ? -1 : parse_option(args, argc, argv, &i);
        if (code >= 0)
            return code;
    }
    if (args->n_operands > args->spec->max_operands)
        return usage_error(args, args->operands[args->spec->max_operands], "unexpected argument", NULL);
    return -1;
}

/* ---- all of it ---- */

int args_parse(struct args *args, const struct args_spec *spec, int argc, char **argv)
{
    int code;

    memset(args, 0, sizeof *args);
    args->spec = spec;
    arena_init(&args->arena, "flags", 0);
    code = parse_command_line(args, argc, argv);
    if (code >= 0)
        return code;
    if (args_find(spec, "help", 4, 0) && args_flag(args, "help")) {
        struct buffer text = {0};
        args_write_help(spec, &text);
        fputs(text.data ? text.data : "", stdout);
        buffer_free(&text);
        return 0;
    }
    if (args_find(spec, "config", 6, 0) && args_text(args, "config")) {
        code = args_read_config(args, args_text(args, "config"));
        if (code >= 0)
            return code;
    }
    if (args->n_operands < spec->min_operands)
        return usage_error(args, spec->operands, "expected more arguments", NULL);
    for (const struct arg *const *group = spec->groups; *group; group++)
        for (const struct arg *arg = *group; arg->name; arg++)
            if (arg->required && !args_is_given(args, arg->name)) {
                char flag[64];
                snprintf(flag, sizeof flag, "--%s%s%s", arg->name, arg->alias ? " or " : "",
                         arg->alias ? arg->alias : "");
                return usage_error(args, flag, "this flag is required", NULL);
            }
    return -1;
}

void args_free(struct args *args)
{
    arena_free(&args->arena);
    memset(args, 0, sizeof *args);
}

/* ---- lookups ---- */

const char *args_value(const struct args *args, const struct arg *arg)
{
    const struct args_given *found = NULL;

    for (const struct args_given *given = args->given; given < args->given + args->n_given; given++)
        if (given->arg == arg && (!given->from_config || !found || found->from_config))
            found = given;
    return found ? found->text : arg->otherwise;
}

int args_is_given(const struct args *args, const char *name)
{
    const struct arg *arg = known_arg(args, name);

    for (size_t i = 0; i < args->n_given; i++)
        if (args->given[i].arg == arg)
            return 1;
    return 0;
}

int args_flag(const struct args *args, const char *name)
{
    const char *text = args_value(args, known_arg(args, name));

    return text && strcmp(text, "true") == 0;
}

int64_t args_int(const struct args *args, const char *name)
{
    const char *text = args_value(args, known_arg(args, name));
    int64_t value = 0;

    if (text && !args_parse_int(text, &value))
        assert(!"the default of a flag is a number");
    return value;
}

double args_float(const struct args *args, const char *name)
{
    const char *text = args_value(args, known_arg(args, name));
    double value = 0;

    if (text && !args_parse_float(text, &value))
        assert(!"the default of a flag is a number");
    return value;
}

const char *args_text(const struct args *args, const char *name)
{
    return args_value(args, known_arg(args, name));
}

/* Does entry i belong to the list? Not when it is the configuration's and the command line has its own. */
static int in_list(const struct args *args, const struct arg *arg, size_t i)
{
    if (args->given[i].arg != arg)
        return 0;
    for (size_t j = 0; args->given[i].from_config && j < args->n_given; j++)
        if (args->given[j].arg == arg && !args->given[j].from_config)
            return 0;
    return 1;
}

const char *args_item(const struct args *args, const char *name, size_t i)
{
    const struct arg *arg = known_arg(args, name);

    for (size_t j = 0; j < args->n_given; j++)
        if (in_list(args, arg, j) && i-- == 0)
            return args->given[j].text;
    return NULL;
}

size_t args_count(const struct args *args, const char *name)
{
    size_t n = 0;

    while (args_item(args, name, n))
        n++;
    return n;
}
