/* file_lines.c - the line reader.
 *
 *   pending: | delivered lines | current line \0 | unread: scanned, no newline | unread, not looked at |
 *                              ^ line            ^ start
 *
 * Invariants: every byte is looked at once for a newline and moved a bounded number of times on average (the
 * buffer grows by half), so that a file of one 100 MB line takes linear time.
 * Leaves out: decoding. A byte order mark is left to json_parse. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "file_system.h"

#define LINES_SIZE ((size_t)256 << 10) /* bytes asked for at once */

enum status file_lines_open(struct file_lines *lines, const char *path, struct diag *diag)
{
    enum status status;

    memset(lines, 0, sizeof *lines);
    lines->fd = -1;
    lines->path = file_copy_path(path);
    if (!lines->path)
        return diag_fail(diag, STATUS_MEMORY, "%s: out of memory", path);
    status = file_open_read(&lines->fd, path, diag);
    if (status)
        file_lines_close(lines);
    return status;
}

/* Drops what was delivered and reads some more behind the rest. */
static enum status lines_fill(struct file_lines *lines, struct diag *diag)
{
    struct buffer *pending = &lines->pending;
    ssize_t n;
    char *to;

    if (lines->start) {
        memmove(pending->data, pending->data + lines->start, pending->length - lines->start);
        pending->length -= lines->start;
        lines->start = 0;
    }
    to = buffer_reserve(pending, LINES_SIZE);
    if (!to)
        return diag_fail(diag, STATUS_MEMORY, "%s:%llu: out of memory for a line of more than %zu bytes", lines->path,
                         (unsigned long long)lines->number + 1, pending->length);
    n = read(lines->fd, to, LINES_SIZE);
    if (n < 0)
        return file_error(diag, lines->path, "read", errno);
    lines->at_end = n == 0;
    pending->length += (size_t)n;
    pending->data[pending->length] = 0;
    return STATUS_OK;
}

/* Hands out `length` bytes at start, of which the file holds `taken` including the line's end. */
static void lines_deliver(struct file_lines *lines, char **line, size_t *length, size_t taken)
{
    *line = lines->pending.data + lines->start;
    *length = taken;
    lines->start += taken;
    lines->scanned = 0;
    lines->number++;
    if (lines->torn)
        return;
    --*length;
    if (*length && (*line)[*length - 1] == '\r')
        --*length;
    (*line)[*length] = 0;
}

enum status file_lines_next(struct file_lines *lines, char **line, size_t *length, struct diag *diag)
{
    struct buffer *pending = &lines->pending;

    *line = NULL;
    *length = 0;
    lines->offset = lines->next_offset;
    for (;;) {
        size_t unread = pending->length - lines->start;
        char *from = unread ? pending->data + lines->start : NULL;
        char *end = unread > lines->scanned ? memchr(from + lines->scanned, '\n', unread - lines->scanned) : NULL;
        enum status status;

        if (end || (lines->at_end && unread)) {
            size_t taken = end ? (size_t)(end - from) + 1 : unread;
            lines->torn = !end;
            lines->next_offset += taken;
            lines_deliver(lines, line, length, taken);
            return STATUS_OK;
        }
        if (lines->at_end)
            return STATUS_OK;
        lines->scanned = unread;
        if (unread > FILE_LINE_MAX)
            return diag_fail(diag, STATUS_RANGE, "%s:%llu: expected a line of at most %zu MB, found a longer one",
                             lines->path, (unsigned long long)lines->number + 1, FILE_LINE_MAX >> 20);
        status = lines_fill(lines, diag);
        if (status)
            return status;
    }
}

void file_lines_close(struct file_lines *lines)
{
    file_close_read(lines->fd);
    memory_free(lines->path);
    buffer_free(&lines->pending);
    lines->fd = -1;
    lines->path = NULL;
}

enum status file_count_lines(uint64_t *n, const char *path, struct diag *diag)
{
    struct file_lines lines;
    enum status status;
    size_t length;
    char *line;

    *n = 0;
    if (!file_exists(path))
        return STATUS_OK;
    status = file_lines_open(&lines, path, diag);
    if (status)
        return status;
    while (!(status = file_lines_next(&lines, &line, &length, diag)) && line)
        *n += !lines.torn;
    file_lines_close(&lines);
    return status;
}
