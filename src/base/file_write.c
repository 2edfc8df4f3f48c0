/* file_write.c - writing: atomic replacement of a file, and append-only streams of records.
 *
 *   writer: path.tmp.PID <- 1 MB buffer;  commit = flush, fsync, rename over path, fsync of the folder
 *   stream: each record and its newline in one write at the end of the file
 *
 * Invariants: `path` holds either its old content or all of the new one, whenever the program dies. A stream holds
 * whole lines, apart from the one being written when the program was killed, which the next resume cuts.
 * The first failure is kept (status, errno) and repeated by every later call.
 * Leaves out: locks. Two processes that write the same file are the user's mistake. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "file.h"
#include "file_system.h"

#define WRITER_SIZE ((size_t)1 << 20)
#define TAIL_SIZE   ((size_t)64 << 10) /* read at once when looking backwards for the last newline */

static size_t fail_countdown;

void file_fail_at(size_t n)
{
    fail_countdown = n;
}

static int fault_now(void)
{
    return fail_countdown && --fail_countdown == 0;
}

/* writev until all is out; returns 0 or an errno value. Modifies the parts. */
static int write_parts(int fd, struct iovec *parts, int n_parts)
{
    while (n_parts) {
        ssize_t n;
        if (fault_now()) {
            n = write(fd, parts->iov_base, parts->iov_len / 2);
            (void)n;
            return ENOSPC;
        }
        n = writev(fd, parts, n_parts);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        while (n_parts && (size_t)n >= parts->iov_len) {
            n -= (ssize_t)parts->iov_len;
            parts++;
            n_parts--;
        }
        if (n_parts) {
            parts->iov_base = (char *)parts->iov_base + n;
            parts->iov_len -= (size_t)n;
        }
    }
    return 0;
}

static int write_bytes(int fd, const void *bytes, size_t length)
{
    struct iovec part = {(void *)(uintptr_t)bytes, length};

    return length ? write_parts(fd, &part, 1) : 0;
}

/* ---- atomic writer ---- */

static enum status writer_fail(struct file_writer *writer, int error, struct diag *diag)
{
    if (!writer->error)
        writer->error = error;
    writer->status = file_error(diag, writer->path, "write", writer->error);
    return writer->status;
}

static void writer_free(struct file_writer *writer)
{
    if (writer->fd >= 0)
        close(writer->fd);
    memory_free(writer->path);
    memory_free(writer->temporary);
    memory_free(writer->buffer);
    writer->path = writer->temporary = NULL;
    writer->buffer = NULL;
    writer->fd = -1;
}

/* The file that will be replaced: links are followed, so that they stay links. */
static char *target_path(const char *path)
{
    char resolved[PATH_MAX];
    struct stat info;

    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode) && realpath(path, resolved))
        return file_copy_path(resolved);
    return file_copy_path(path);
}

static enum status writer_open(struct file_writer *writer, const char *path, struct diag *diag)
{
    size_t size = strlen(writer->path) + 32;
    struct stat info;
    int old = stat(writer->path, &info) == 0;

    if (old && !S_ISREG(info.st_mode))
        return diag_fail(diag, STATUS_IO, "%s: expected a regular file to replace, found a %s", path,
                         S_ISDIR(info.st_mode) ? "folder" : "device or pipe");
    writer->temporary = memory_alloc(size);
    writer->buffer = memory_alloc(WRITER_SIZE);
    if (!writer->temporary || !writer->buffer)
        return diag_fail(diag, STATUS_MEMORY, "%s: out of memory", path);
    snprintf(writer->temporary, size, "%s.tmp.%ld", writer->path, (long)getpid());
    writer->fd = open(writer->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (writer->fd < 0)
        return file_error(diag, path, "create", errno);
    if (old && fchmod(writer->fd, info.st_mode & 0777) != 0)
        return STATUS_OK; /* the new file keeps default permissions */
    return STATUS_OK;
}

enum status file_create(struct file_writer *writer, const char *path, struct diag *diag)
{
    memset(writer, 0, sizeof *writer);
    writer->fd = -1;
    writer->path = target_path(path);
    if (!writer->path)
        return writer->status = diag_fail(diag, STATUS_MEMORY, "%s: out of memory", path);
    writer->status = writer_open(writer, path, diag);
    if (writer->status)
        writer_free(writer);
    return writer->status;
}

static enum status writer_flush(struct file_writer *writer, struct diag *diag)
{
    int error = write_bytes(writer->fd, writer->buffer, writer->buffered);

    writer->buffered = 0;
    return error ? writer_fail(writer, error, diag) : STATUS_OK;
}

enum status file_write(struct file_writer *writer, const void *bytes, size_t length, struct diag *diag)
{
    int error;

    if (writer->status)
        return writer_fail(writer, writer->error, diag);
    writer->position += length;
    if (writer->buffered + length > WRITER_SIZE && writer_flush(writer, diag))
        return writer->status;
    if (length >= WRITER_SIZE) {
        error = write_bytes(writer->fd, bytes, length);
        return error ? writer_fail(writer, error, diag) : STATUS_OK;
    }
    if (length)
        memcpy(writer->buffer + writer->buffered, bytes, length);
    writer->buffered += length;
    return STATUS_OK;
}

/* A new name survives a power failure only when its folder is synced too; some file systems refuse that. */
static void sync_folder_of(char *path)
{
    char *slash = strrchr(path, '/');
    int fd;

    if (slash)
        slash[slash == path] = 0;
    fd = open(slash ? path : ".", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

static int sync_and_rename(struct file_writer *writer)
{
    int fd = writer->fd;

    if (fault_now())
        return ENOSPC;
    if (fsync(fd) != 0 && errno != EINVAL)
        return errno;
    writer->fd = -1;
    if (close(fd) != 0)
        return errno;
    if (fault_now())
        return ENOSPC;
    return rename(writer->temporary, writer->path) == 0 ? 0 : errno;
}

enum status file_commit(struct file_writer *writer, struct diag *diag)
{
    int error;

    if (writer->status) {
        enum status status = writer->path ? writer_fail(writer, writer->error, diag) : writer->status;
        file_abandon(writer);
        return status;
    }
    if (!writer_flush(writer, diag) && (error = sync_and_rename(writer)) != 0)
        writer_fail(writer, error, diag);
    if (writer->status) {
        file_abandon(writer);
        return writer->status;
    }
    sync_folder_of(writer->path);
    writer_free(writer);
    return STATUS_OK;
}

void file_abandon(struct file_writer *writer)
{
    if (!writer->temporary)
        return;
    unlink(writer->temporary);
    writer_free(writer);
}

enum status file_save(const char *path, const void *bytes, size_t length, struct diag *diag)
{
    struct file_writer writer;
    enum status status = file_create(&writer, path, diag);

    if (status)
        return status;
    status = file_write(&writer, bytes, length, diag);
    if (!status)
        status = file_commit(&writer, diag);
    file_abandon(&writer);
    return status;
}

/* ---- streams ---- */

/* Offset just behind the last newline of the file, 0 when there is none; -1 with errno on failure. */
static off_t last_line_end(int fd, off_t size)
{
    char tail[TAIL_SIZE];

    while (size > 0) {
        size_t want = size < (off_t)sizeof tail ? (size_t)size : sizeof tail;
        ssize_t n = pread(fd, tail, want, size - (off_t)want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n != (ssize_t)want)
            return -1;
        while (n > 0 && tail[n - 1] != '\n')
            n--;
        if (n > 0)
            return size - (off_t)want + n;
        size -= (off_t)want;
    }
    return 0;
}

static enum status stream_prepare(struct file_stream *stream, int resume, struct diag *diag)
{
    struct stat info;
    off_t end;

    if (fstat(stream->fd, &info) != 0)
        return file_error(diag, stream->path, "read", errno);
    stream->regular = S_ISREG(info.st_mode);
    if (!stream->regular || stream->fd == STDOUT_FILENO)
        return STATUS_OK;
    end = resume ? last_line_end(stream->fd, info.st_size) : 0;
    if (end < 0)
        return file_error(diag, stream->path, "read", errno);
    if (end != info.st_size && ftruncate(stream->fd, end) != 0)
        return file_error(diag, stream->path, "shorten", errno);
    stream->end = (uint64_t)end;
    return STATUS_OK;
}

/* What is there already is read for its last line. A pipe is not: opened for reading, too, it would not wait for a
 * reader, and what was written before one came would be lost. */
static int stream_open(const char *path)
{
    int pipe = file_exists(path) && !file_is_regular(path);

    return open(path, (pipe ? O_WRONLY : O_RDWR) | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

enum status file_stream_open(struct file_stream *stream, const char *path, int resume, struct diag *diag)
{
    memset(stream, 0, sizeof *stream);
    stream->fd = -1;
    stream->path = file_copy_path(path);
    if (!stream->path)
        return stream->status = diag_fail(diag, STATUS_MEMORY, "%s: out of memory", path);
    if (strcmp(path, "-") == 0)
        stream->fd = STDOUT_FILENO;
    else
        stream->fd = stream_open(path);
    if (stream->fd < 0)
        stream->status = file_error(diag, path, "open", errno);
    else
        stream->status = stream_prepare(stream, resume, diag);
    if (stream->status)
        file_stream_close(stream, NULL);
    return stream->status;
}

static enum status stream_fail(struct file_stream *stream, int error, struct diag *diag)
{
    if (!stream->error)
        stream->error = error;
    return stream->status = file_error(diag, stream->path ? stream->path : "stream", "write", stream->error);
}

enum status file_stream_record(struct file_stream *stream, const char *record, size_t length, struct diag *diag)
{
    char newline[] = "\n";
    struct iovec parts[2] = {{(void *)(uintptr_t)record, length}, {newline, 1}};
    int error;

    if (stream->status)
        return stream_fail(stream, stream->error, diag);
    error = length ? write_parts(stream->fd, parts, 2) : write_parts(stream->fd, parts + 1, 1);
    if (!error) {
        stream->end += length + 1;
        return STATUS_OK;
    }
    if (stream->regular && stream->fd != STDOUT_FILENO && ftruncate(stream->fd, (off_t)stream->end) != 0)
        return stream_fail(stream, error, diag); /* the torn line stays for the next resume to cut */
    return stream_fail(stream, error, diag);
}

enum status file_stream_cut(struct file_stream *stream, uint64_t end, struct diag *diag)
{
    if (ftruncate(stream->fd, (off_t)end) != 0)
        return stream_fail(stream, errno, diag);
    stream->end = end;
    return STATUS_OK;
}

enum status file_stream_close(struct file_stream *stream, struct diag *diag)
{
    if (stream->fd >= 0 && !stream->status && stream->regular) {
        int error = fault_now() ? ENOSPC : fsync(stream->fd) == 0 || errno == EINVAL ? 0 : errno;
        if (error)
            stream_fail(stream, error, diag);
    } else if (stream->status && stream->error) {
        stream_fail(stream, stream->error, diag);
    }
    if (stream->fd > STDOUT_FILENO)
        close(stream->fd);
    memory_free(stream->path);
    stream->path = NULL;
    stream->fd = -1;
    return stream->status;
}
