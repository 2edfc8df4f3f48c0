/* progress.h - one live line per long stage on standard error's behalf: the caller supplies the sink.
 *
 * The module formats; src/cmd gives the function that prints (nothing below src/cmd prints). */
#ifndef ARKLET_PROGRESS_H
#define ARKLET_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

/* Receives a line without newline. `final` is set for the last line of a stage. */
typedef void progress_sink(void *context, const char *line, int final);

/* Set sink, context and interval, and `before` after progress_begin; the rest belongs to the module. A NULL sink is
 * silent. */
struct progress {
    const char *stage; /* "debate", "sft" */
    const char *unit;  /* of the rate: "tok/s" */
    progress_sink *sink;
    void *context;
    double interval; /* seconds between lines: 0.1 on a terminal, 5 otherwise */
    uint64_t before; /* of the items done: by earlier runs, which took none of this one's time */
    double started, last;
};

double progress_now(void); /* monotonic seconds */
void progress_begin(struct progress *progress, const char *stage, const char *unit);
/* done of total items (total 0, or less than done: unknown), `work` units of this run for the rate, note e.g. "loss
 * 1.234". The time left is told once an item of this run is done. */
void progress_update(struct progress *progress, uint64_t done, uint64_t total, double work, const char *note);
void progress_end(struct progress *progress, uint64_t done, uint64_t total, double work, const char *note);

#endif
