/* terminal.h - what the terminal does to a command (Ctrl-C, closed pipes) and the progress line on it. */
#ifndef ARKLET_TERMINAL_H
#define ARKLET_TERMINAL_H

#include "progress.h"

/* The first Ctrl-C (or SIGTERM) makes terminal_interrupted() true and interrupts a blocking read; the second one
 * kills the program. Writing to a closed pipe or beyond a file-size limit becomes an error of the write. */
void terminal_prepare(void);
/* Commands that work for long poll this between steps and then finish what they write: STATUS_STOPPED. */
int terminal_interrupted(void);

/* Prepares *progress to show one line on standard error, rewritten in place on a terminal, a plain line every few
 * seconds elsewhere. `quiet` shows nothing. */
void terminal_progress(struct progress *progress, int quiet);

#endif
