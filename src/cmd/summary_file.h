/* summary_file.h - the summary beside a file of records: "runs/eval.jsonl" -> "runs/eval.summary.json". */
#ifndef ARKLET_SUMMARY_FILE_H
#define ARKLET_SUMMARY_FILE_H

#include "args.h"
#include "status.h"

/* Can records written there be read again, and a summary stand beside them? Not standard output, a device, a pipe. */
int summary_possible(const char *records);
/* {"v":1,<members>,"config":"name = value lines"}; the file is replaced atomically. */
enum status summary_write(const char *records, const struct buffer *members, const struct args *args,
                          struct diag *diag);

/* Before records are added: were those that are there, by the summary beside them, made by the same model and flags?
 * STATUS_RANGE names the first difference. Without a summary there is nothing to tell it by. */
enum status summary_check(const char *records, const struct args *args, struct diag *diag);

#endif
