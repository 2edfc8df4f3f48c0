/* prm_labels.h - the part of `arklet prm` that turns debates into labelled steps (debate_steps.h). */
#ifndef ARKLET_PRM_LABELS_H
#define ARKLET_PRM_LABELS_H

#include "args.h"
#include "example.h"
#include "load.h"
#include "progress.h"

/* --labels --mc-samples --mc-max-new --mc-threshold --mc-temp --plain --system --skip-bad */
extern const struct arg args_labels[];

/* Are the sources of --labels known ones? */
int labels_check(const struct args *args);
/* When the file holds debates (told by its first record) labels them into <output>/<name> and lets *path point to that,
 * written into `buffer`; else *path is the file itself. `config`: the settings, which must be those of the run that is
 * gone on with. Reports in one line on standard error and returns an exit code, or -1 to go on. */
int labels_prepare(const char **path, struct buffer *buffer, const char *file, const char *name, const char *config,
                   const struct example_format *format, const struct load *load, const struct args *args,
                   struct progress *progress);

#endif
