/* record_flags.h - the flags of commands that read records, and the warnings about what was read. */
#ifndef ARKLET_RECORD_FLAGS_H
#define ARKLET_RECORD_FLAGS_H

#include "args.h"
#include "record.h"

extern const struct arg args_records[]; /* --shard --skip-bad */

/* Reports in one line on standard error and returns an exit code, or -1 to go on. */
int record_flags(struct record_options *options, const struct args *args);
/* Warnings on standard error: skipped records (also when quiet), bytes that were no UTF-8. */
void record_warn(const struct record_reader *reader, int quiet);

#endif
