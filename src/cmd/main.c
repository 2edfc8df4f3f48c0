/* main.c - finds the command and runs it. Adding one: cmd.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "terminal.h"

#define ARKLET_VERSION "0.1.0"

struct command {
    const char *name;
    const char *help;
    int (*run)(int argc, char **argv);
};

#define COMMAND_ENTRY(name, help) {#name, help, cmd_##name},
static const struct command commands[] = {COMMANDS(COMMAND_ENTRY){NULL, NULL, NULL}};

int cmd_fail(const struct diag *diag)
{
    fprintf(stderr, "arklet: %s\n", diag->message);
    return diag->status == STATUS_STOPPED ? 130 : 1;
}

static void print_help(FILE *out)
{
    fputs("arklet runs and trains language models on a CPU.\n\n"
          "Usage: arklet COMMAND [flags]\n"
          "       arklet COMMAND --help\n"
          "       arklet --version\n",
          out);
    if (commands[0].name)
        fputs("\nCommands:\n", out);
    for (const struct command *command = commands; command->name; command++)
        fprintf(out, "  %-12s %s\n", command->name, command->help);
}

/* Output that did not reach its reader is an error, also when it was still in the buffer of standard output. */
static int close_output(int code)
{
    int failed = ferror(stdout);

    if (fflush(stdout) == 0 && !failed)
        return code;
    fprintf(stderr, "arklet: standard output: cannot write: %s\n", strerror(errno));
    return code ? code : 1;
}

static int run_command(int argc, char **argv)
{
    for (const struct command *command = commands; command->name; command++)
        if (strcmp(argv[0], command->name) == 0)
            return command->run(argc, argv);
    fprintf(stderr, "arklet: unknown %s '%s' (see arklet --help)\n", argv[0][0] == '-' ? "flag" : "command", argv[0]);
    return 2;
}

int main(int argc, char **argv)
{
    terminal_prepare();
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return close_output(0);
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("arklet " ARKLET_VERSION);
        return close_output(0);
    }
    return close_output(run_command(argc - 1, argv + 1));
}
