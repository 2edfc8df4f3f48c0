/* resume.h - what an output file already holds, when a run is continued.
 *
 *   output    q1 q2 q3 <torn line: cut by file_stream_open>
 *   input     q1 q2 q3 q4 ...      the first three are passed over, each compared by its id
 *
 * A record of another question than the one that is due means that the output belongs to other input, one of another
 * model that it is another run's: errors, before anything is appended. */
#ifndef ARKLET_RESUME_H
#define ARKLET_RESUME_H

#include <stdint.h>
#include "arena.h"
#include "file.h"
#include "status.h"

struct resume {
    struct file_lines lines;
    struct arena arena;
    uint64_t n;        /* records passed over */
    const char *model; /* set after resume_open: what their "model" must be, where they have one; NULL: anything */
    int open;
};

/* After file_stream_open(out). Pipes, devices and standard output hold nothing. */
enum status resume_open(struct resume *resume, const struct file_stream *out, struct diag *diag);
/* Does the output hold the record of this id, the next one due? After the first *held of 0 all are 0. */
enum status resume_next(struct resume *resume, const char *id, int *held, struct diag *diag);
/* At the input's end: STATUS_FORMAT when the output has more records than the input. */
enum status resume_end(struct resume *resume, struct diag *diag);
void resume_close(struct resume *resume); /* {0} is allowed */

#endif
