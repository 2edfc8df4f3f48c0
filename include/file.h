/* file.h - files: read-only mappings, whole-file reads, atomic writers, line readers, append streams.
 *
 * Errors name the file and end with the system's reason. "-" is standard input or output where stated. A read
 * that a signal interrupts (Ctrl-C at the keyboard) returns STATUS_STOPPED; writes are continued. Structs may be
 * copied or zeroed by nobody but their module once opened. */
#ifndef ARKLET_FILE_H
#define ARKLET_FILE_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"
#include "status.h"

/* A read-only mapping. data is NULL for an empty file. */
struct file_map {
    const uint8_t *data;
    size_t size;
};

/* Regular files only. A file that another process shortens while it is mapped kills the program (SIGBUS), as with
 * every mapping: model files are replaced by renaming, never rewritten in place. */
enum status file_map(struct file_map *map, const char *path, struct diag *diag);
void file_unmap(struct file_map *map); /* {0} is allowed; resets to {0} */
/* Tells the kernel that [offset, offset+length) of the mapping will not be read again; reading it all the same
 * gives the same bytes, slowly. */
void file_map_drop(const struct file_map *map, size_t offset, size_t length);

/* Appends the whole file ("-" is standard input) to buffer; a file longer than `limit` bytes (0: no limit) is an
 * error, STATUS_RANGE. */
enum status file_read(struct buffer *buffer, const char *path, size_t limit, struct diag *diag);
int file_exists(const char *path);
int file_is_folder(const char *path);
int file_is_regular(const char *path); /* not a folder, device or pipe: what was written can be read again */
enum status file_make_folder(const char *path, struct diag *diag); /* parents too; existing is fine */

/* Atomic replacement: bytes go to "<path>.tmp.<pid>", file_commit syncs and renames it over path,
 * file_abandon removes it. After a failed write every further call returns the same failure. A path that is a
 * symbolic link replaces the file it points to; one that is a device, pipe or folder is refused. */
struct file_writer {
    int fd;                 /* -1 when closed */
    char *path, *temporary; /* owned */
    uint8_t *buffer;        /* 1 MB */
    size_t buffered;
    uint64_t position; /* bytes written so far, those in the buffer included */
    enum status status;
    int error; /* errno of the first failure */
};

enum status file_create(struct file_writer *writer, const char *path, struct diag *diag);
enum status file_write(struct file_writer *writer, const void *bytes, size_t length, struct diag *diag);
/* On failure the temporary file is removed and the old file is as it was. Frees the writer either way. */
enum status file_commit(struct file_writer *writer, struct diag *diag);
void file_abandon(struct file_writer *writer); /* after commit or a failed create: no effect */
/* A whole file at once: create, write, commit. */
enum status file_save(const char *path, const void *bytes, size_t length, struct diag *diag);

/* Lines of a text file or of standard input ("-"), without newline or CR LF; constant memory apart
 * from the longest line. A last line without newline is delivered with `torn` set. */
#define FILE_LINE_MAX ((size_t)256 << 20) /* bytes; a device that never ends a line is an error, STATUS_RANGE */

struct file_lines {
    int fd;
    char *path;
    struct buffer pending;
    size_t start;    /* of the unread part of pending */
    size_t scanned;  /* bytes of the unread part known to hold no newline */
    uint64_t number; /* of the line last delivered, from 1 */
    uint64_t offset; /* byte offset of that line */
    uint64_t next_offset;
    int torn, at_end;
};

enum status file_lines_open(struct file_lines *lines, const char *path, struct diag *diag);
/* *line is valid (NUL-terminated, writable) until the next call; *line == NULL at the end of the file. A line may
 * hold NUL bytes: trust *length. */
enum status file_lines_next(struct file_lines *lines, char **line, size_t *length, struct diag *diag);
void file_lines_close(struct file_lines *lines);
/* Whole lines of a file, a torn last one not counted; 0 when there is no such file. */
enum status file_count_lines(uint64_t *n, const char *path, struct diag *diag);

/* Append-only stream of records ("-" is standard output). Opening for resume cuts a torn last line; opening without
 * empties the file. A record that cannot be written whole is cut off again where the file allows. */
struct file_stream {
    int fd;
    char *path;
    uint64_t end; /* bytes of whole records in a regular file */
    int regular;
    enum status status;
    int error; /* errno of the first failure */
};

enum status file_stream_open(struct file_stream *stream, const char *path, int resume, struct diag *diag);
/* Writes record and a newline with one write call where the system allows. */
enum status file_stream_record(struct file_stream *stream, const char *record, size_t length, struct diag *diag);
/* Cuts a regular file to its first `end` bytes, the end of a record. */
enum status file_stream_cut(struct file_stream *stream, uint64_t end, struct diag *diag);
enum status file_stream_close(struct file_stream *stream, struct diag *diag);

/* Tests: the n-th write, sync or rename from now on fails with ENOSPC (1 = the next; a failing write writes half of
 * its bytes first); 0 switches the fault off. */
void file_fail_at(size_t n);

#endif
