/* args_config.c - the configuration file: flags as lines, in both directions.
 *
 *   # comment
 *   temp = 0.7
 *   stop = "text in quotes is a JSON string"
 *
 * Invariants: reading what args_write_config wrote gives every flag the value it had. */
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "args_private.h"
#include "file.h"
#include "json.h"

#define CONFIG_LIMIT ((size_t)1 << 20) /* bytes of a configuration file */

static char *trim(char *text)
{
    size_t n;

    text += strspn(text, " \t\r");
    for (n = strlen(text); n && strchr(" \t\r", text[n - 1]); n--)
        text[n - 1] = 0;
    return text;
}

static int config_error(const char *path, size_t line, const char *problem, const char *found)
{
    fprintf(stderr, "arklet: %s:%zu: %s, found '%s'\n", path, line, problem, found);
    return 2;
}

/* "name = value"; a value in double quotes is a JSON string. */
static int config_line(struct args *args, const char *path, size_t number, char *text)
{
    char *equals = strchr(text, '='), *value, expected[160];
    const struct arg *arg;
    const struct json *quoted;

    if (!equals)
        return config_error(path, number, "expected name = value", text);
    *equals = 0;
    value = trim(equals + 1);
    text = trim(text);
    arg = args_find(args->spec, text, strlen(text), 0);
    if (!arg || strcmp(text, "config") == 0 || strcmp(text, "help") == 0)
        return config_error(path, number, "expected the name of a flag of this command", text);
    if (*value == '"') {
        struct diag diag;
        if (json_parse(&quoted, value, strlen(value), &args->arena, path, number, NULL, &diag) ||
            quoted->type != JSON_STRING)
            return config_error(path, number, "expected text in double quotes", value);
        value = (char *)(uintptr_t)quoted->text;
    }
    if (!args_check(arg, value, expected, sizeof expected))
        return config_error(path, number, expected, value);
    return args_add(args, arg, value, 1);
}

int args_read_config(struct args *args, const char *path)
{
    struct buffer content = {0};
    struct diag diag;
    char *line, *next;
    int code = -1;

    if (file_read(&content, path, CONFIG_LIMIT, &diag)) {
        fprintf(stderr, "arklet: %s\n", diag.message);
        buffer_free(&content);
        return 1;
    }
    line = arena_text(&args->arena, content.data ? content.data : "", content.length);
    buffer_free(&content);
    if (!line)
        return args_out_of_memory();
    for (size_t number = 1; line && code < 0; number++, line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        line = trim(line);
        if (*line && *line != '#')
            code = config_line(args, path, number, line);
    }
    return code;
}

/* Text that would not survive a line of its own, or would read as something else. */
static int needs_quotes(const char *text)
{
    size_t n = strlen(text);

    if (!n || strchr(" \t\"#", text[0]) || strchr(" \t", text[n - 1]))
        return 1;
    for (; *text; text++)
        if ((unsigned char)*text < 32)
            return 1;
    return 0;
}

static void write_value(struct buffer *out, const char *name, const char *text)
{
    buffer_format(out, "%s = ", name);
    if (needs_quotes(text))
        json_put_text(out, text);
    else
        buffer_text(out, text);
    buffer_byte(out, '\n');
}

void args_write_config(const struct args *args, struct buffer *out)
{
    for (const struct arg *const *group = args->spec->groups; *group; group++)
        for (const struct arg *arg = *group; arg->name; arg++) {
            const char *text = args_value(args, arg);
            if (strcmp(arg->name, "config") == 0 || strcmp(arg->name, "help") == 0)
                continue;
            if (arg->kind == ARG_LIST)
                for (size_t i = 0; i < args_count(args, arg->name); i++)
                    write_value(out, arg->name, args_item(args, arg->name, i));
            else if (arg->kind == ARG_FLAG)
                write_value(out, arg->name, text ? text : "false");
            else if (text)
                write_value(out, arg->name, text);
        }
}
