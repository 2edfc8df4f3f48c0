/* file_index.c - an index of line offsets; see file_index.h for the bytes. */
#include "file_index.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "file_system.h"
#include "rng.h"

struct entry {
    uint64_t offset, number;
};

static int blank(const char *line, size_t length)
{
    size_t i;

    for (i = 0; i < length; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return 0;
    return 1;
}

static enum status index_lines(struct file_index *index, struct file_lines *lines, struct file_writer *writer,
                               file_index_check *check, void *context, struct diag *diag)
{
    struct entry entry = {0, 0};
    enum status status;
    char *line;
    size_t length;

    index->hash = 0xCBF29CE484222325u;
    while (!(status = file_lines_next(lines, &line, &length, diag)) && line) {
        int skip = blank(line, length);

        if (!skip && check)
            status = check(context, line, length, lines->number, &skip, diag);
        if (status)
            return status;
        if (skip)
            continue;
        entry.offset = lines->offset;
        entry.number = lines->number;
        index->hash = rng_hash_bytes(rng_hash_bytes(index->hash, line, length), "\n", 1);
        index->n_lines++;
        if ((status = file_write(writer, &entry, sizeof entry, diag)))
            return status;
        entry.offset += length; /* the sentinel, should this be the last */
    }
    entry.number = 0;
    return status ? status : file_write(writer, &entry, sizeof entry, diag);
}

enum status file_index_open(struct file_index *index, const char *path, const char *index_path, file_index_check *check,
                            void *context, struct diag *diag)
{
    struct file_lines lines;
    struct file_writer writer;
    enum status status;

    memset(index, 0, sizeof *index);
    index->fd = -1;
    if (!(index->path = file_copy_path(path)))
        return diag_fail(diag, STATUS_MEMORY, "%s: out of memory", path);
    status = file_lines_open(&lines, path, diag);
    if (!status) {
        status = file_create(&writer, index_path, diag);
        if (!status)
            status = index_lines(index, &lines, &writer, check, context, diag);
        if (!status)
            status = file_commit(&writer, diag);
        file_abandon(&writer);
        file_lines_close(&lines);
    }
    if (!status)
        status = file_map(&index->map, index_path, diag);
    if (!status)
        status = file_open_read(&index->fd, path, diag);
    if (status)
        file_index_close(index);
    return status;
}

void file_index_close(struct file_index *index)
{
    if (index->fd >= 0)
        file_close_read(index->fd);
    file_unmap(&index->map);
    memory_free(index->path);
    memset(index, 0, sizeof *index);
    index->fd = -1;
}

static struct entry entry_at(const struct file_index *index, uint64_t i)
{
    struct entry entry;

    memcpy(&entry, index->map.data + i * sizeof entry, sizeof entry);
    return entry;
}

enum status file_index_line(const struct file_index *index, uint64_t i, struct buffer *line, uint64_t *number,
                            struct diag *diag)
{
    struct entry at = entry_at(index, i);
    uint64_t left = entry_at(index, i + 1).offset - at.offset;
    char chunk[1 << 16];
    char *newline;

    *number = at.number;
    buffer_clear(line);
    while (left > 0) {
        ssize_t n = pread(index->fd, chunk, left < sizeof chunk ? left : sizeof chunk, (off_t)at.offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? file_error(diag, index->path, "read", errno)
                         : diag_fail(diag, STATUS_IO, "%s:%llu: the file has become shorter while it was in use",
                                     index->path, (unsigned long long)at.number);
        buffer_append(line, chunk, (size_t)n);
        at.offset += (uint64_t)n;
        left -= (uint64_t)n;
    }
    if (line->failed)
        return diag_fail(diag, STATUS_MEMORY, "%s:%llu: out of memory for the line", index->path,
                         (unsigned long long)at.number);
    newline = line->data ? memchr(line->data, '\n', line->length) : NULL; /* blank lines may follow before the next */
    if (newline) {
        line->length = (size_t)(newline - line->data);
        *newline = 0;
    }
    return STATUS_OK;
}
