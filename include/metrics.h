/* metrics.h - metrics.csv: a header, then one row a step, with TRL's column names.
 *
 * Rows are appended and flushed, so the file can be watched; resuming cuts it after the row of the checkpoint's step.
 */
#ifndef ARKLET_METRICS_H
#define ARKLET_METRICS_H

#include <stdint.h>
#include "file.h"
#include "status.h"

struct metrics {
    struct file_stream stream;
    struct buffer row;
};

/* columns: the header line, "step,loss,learning_rate". keep: rows of an existing file to keep (0: start anew). */
enum status metrics_open(struct metrics *metrics, const char *path, const char *columns, uint64_t keep,
                         struct diag *diag);
void metrics_integer(struct metrics *metrics, uint64_t value);
void metrics_number(struct metrics *metrics, double value); /* %.6g; NaN is written as an empty field */
enum status metrics_end_row(struct metrics *metrics, struct diag *diag);
enum status metrics_close(struct metrics *metrics, struct diag *diag);

/* The n-th field of a row, up to a comma or the end; "" when it has none. */
const char *metrics_field(const char *row, size_t n);
/* Which field a header's column is; beyond the last one when there is no such column. */
size_t metrics_column(const char *header, const char *name);

#endif
