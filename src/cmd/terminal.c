/* terminal.c - signals and the progress line. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "terminal.h"

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

void terminal_prepare(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt;
    action.sa_flags = (int)SA_RESETHAND; /* the second one kills; no SA_RESTART, so that a blocking read returns */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
#ifdef SIGXFSZ
    signal(SIGXFSZ, SIG_IGN);
#endif
}

int terminal_interrupted(void)
{
    return interrupted;
}

static void rewrite_line(void *context, const char *line, int final)
{
    (void)context;
    fprintf(stderr, "\r%s\033[K%s", line, final ? "\n" : "");
    fflush(stderr);
}

static void plain_line(void *context, const char *line, int final)
{
    (void)context;
    (void) final;
    fprintf(stderr, "%s\n", line);
}

void terminal_progress(struct progress *progress, int quiet)
{
    int live = isatty(STDERR_FILENO);

    memset(progress, 0, sizeof *progress);
    progress->interval = live ? 0.1 : 5;
    progress->sink = quiet ? NULL : live ? rewrite_line : plain_line;
}
