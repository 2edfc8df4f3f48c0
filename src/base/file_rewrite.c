/* file_rewrite.c - compares an output with what is already in its file; see file_rewrite.h. */
#include <string.h>
#include <unistd.h>

#include "file_rewrite.h"
#include "file_system.h"

static void stop_comparing(struct file_rewrite *output)
{
    if (output->comparing)
        file_lines_close(&output->old);
    output->comparing = 0;
}

enum status file_rewrite_open(struct file_rewrite *output, const char *path, struct diag *diag)
{
    enum status status;

    memset(output, 0, sizeof *output);
    output->old.fd = -1;
    status = file_stream_open(&output->stream, path, 1, diag);
    if (status || !output->stream.regular || output->stream.fd == STDOUT_FILENO || output->stream.end == 0)
        return status;
    status = file_lines_open(&output->old, path, diag);
    output->comparing = !status;
    if (status)
        file_stream_close(&output->stream, NULL);
    return status;
}

/* The next record of the file: is it this one? At the first that is not, the file is cut before it. */
static enum status compare(struct file_rewrite *output, const char *record, size_t length, int *same, struct diag *diag)
{
    char *line;
    size_t found;
    uint64_t cut;
    enum status status = file_lines_next(&output->old, &line, &found, diag);

    *same = !status && line && found == length && memcmp(line, record, length) == 0;
    if (status || *same)
        return status;
    cut = line ? output->old.offset : output->stream.end;
    stop_comparing(output);
    return cut < output->stream.end ? file_stream_cut(&output->stream, cut, diag) : STATUS_OK;
}

enum status file_rewrite_record(struct file_rewrite *output, const char *record, size_t length, struct diag *diag)
{
    int same = 0;
    enum status status = output->comparing ? compare(output, record, length, &same, diag) : STATUS_OK;

    output->n_kept += (uint64_t)same;
    if (status || same)
        return status;
    output->n_written++;
    return file_stream_record(&output->stream, record, length, diag);
}

enum status file_rewrite_close(struct file_rewrite *output, int complete, struct diag *diag)
{
    uint64_t end = output->comparing ? output->old.next_offset : output->stream.end;
    enum status status = STATUS_OK, closed;

    stop_comparing(output);
    if (complete && end < output->stream.end)
        status = file_stream_cut(&output->stream, end, diag);
    closed = file_stream_close(&output->stream, status ? NULL : diag);
    return status ? status : closed;
}
