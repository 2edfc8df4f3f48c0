/* file_rewrite.h - the output of a filter, made again: what is already in the file is kept, the rest is written.
 *
 *   in the file   | r0 | r1 | r2 (torn)        the filter makes   r0, r1, r2, r3 ...
 *                 | r0 | r1 | r2 | r3 ...      r0 and r1 are compared and kept, r2 and r3 appended
 *
 * So a run that was killed goes on where it stopped, and loses no record on the way. A record that differs from the
 * file's (another input, other options) and everything behind it are replaced: in the end the file holds exactly what
 * an uninterrupted run would have written. Devices, pipes and "-" are just written. */
#ifndef ARKLET_FILE_REWRITE_H
#define ARKLET_FILE_REWRITE_H

#include <stdint.h>
#include "file.h"

struct file_rewrite {
    struct file_stream stream;
    struct file_lines old; /* what is compared; fd -1 when there is nothing left */
    int comparing;
    uint64_t n_kept, n_written;
};

enum status file_rewrite_open(struct file_rewrite *output, const char *path, struct diag *diag);
enum status file_rewrite_record(struct file_rewrite *output, const char *record, size_t length, struct diag *diag);
/* complete: all records were made, so whatever the file has behind them is cut off. */
enum status file_rewrite_close(struct file_rewrite *output, int complete, struct diag *diag);

#endif
