/* inspect.h - private to arklet inspect: what is printed of each kind of file. */
#ifndef ARKLET_INSPECT_H
#define ARKLET_INSPECT_H

#include "args.h"
#include "load.h"

/* Each prints on standard output; a file that cannot be read is reported, and the exit code returned (0: done). */
int inspect_gguf(const char *path, int *is_model);
int inspect_safetensors(const char *path);
int inspect_folder(const char *path, int *is_model);
int inspect_records(const char *path);
/* What each use of the model would take in memory, by the same sums that the commands make before they start. */
int inspect_plan(const char *path, const struct args *args, const struct load *load);

#endif
