/* perplexity.h - the perplexity of a text under a loaded model and its adapters, for the commands that print one. */
#ifndef ARKLET_CMD_PERPLEXITY_H
#define ARKLET_CMD_PERPLEXITY_H

#include <stddef.h>
#include "load.h"

#define PERPLEXITY_WINDOW 512 /* llama-perplexity's default */

/* exp of the mean negative log-probability of the file's text in windows of `window` tokens, as cmd_perplexity.c draws
 * them. Returns -1, or the exit code of a failure that was reported. */
int perplexity_measure(const struct load *load, const char *command, const char *path, size_t window, double *value);

#endif
