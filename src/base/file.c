/* file.c - reading: mappings and whole files; folders.
 *
 * Invariants: no descriptor outlives a call; a mapping needs none.
 * Leaves out: lines (file_lines.c) and everything that writes bytes (file_write.c). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "file_system.h"

#define READ_SIZE ((size_t)1 << 20) /* bytes asked for at once where the size is unknown */

enum status file_error(struct diag *diag, const char *path, const char *verb, int error)
{
    enum status status = error == EINTR ? STATUS_STOPPED : error == ENOMEM ? STATUS_MEMORY : STATUS_IO;

    return diag_fail(diag, status, "%s: cannot %s: %s", path, verb, strerror(error));
}

char *file_copy_path(const char *path)
{
    size_t size = strlen(path) + 1;
    char *copy = memory_alloc(size);

    return copy ? memcpy(copy, path, size) : NULL;
}

enum status file_open_read(int *fd, const char *path, struct diag *diag)
{
    struct stat info;

    if (strcmp(path, "-") == 0) {
        *fd = STDIN_FILENO;
        return STATUS_OK;
    }
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0)
        return file_error(diag, path, "open", errno);
    if (fstat(*fd, &info) == 0 && S_ISDIR(info.st_mode)) {
        file_close_read(*fd);
        *fd = -1;
        return diag_fail(diag, STATUS_IO, "%s: expected a file, found a folder", path);
    }
    return STATUS_OK;
}

void file_close_read(int fd)
{
    if (fd > STDIN_FILENO)
        close(fd);
}

static enum status map_descriptor(struct file_map *map, int fd, const char *path, struct diag *diag)
{
    struct stat info;
    void *data;

    if (fstat(fd, &info) != 0)
        return file_error(diag, path, "read", errno);
    if (!S_ISREG(info.st_mode))
        return diag_fail(diag, STATUS_IO, "%s: expected a regular file, found a device or pipe", path);
    if (info.st_size == 0)
        return STATUS_OK;
    data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return file_error(diag, path, "map", errno);
    map->data = data;
    map->size = (size_t)info.st_size;
    return STATUS_OK;
}

enum status file_map(struct file_map *map, const char *path, struct diag *diag)
{
    enum status status;
    int fd;

    memset(map, 0, sizeof *map);
    status = file_open_read(&fd, path, diag);
    if (status)
        return status;
    status = map_descriptor(map, fd, path, diag);
    file_close_read(fd);
    return status;
}

void file_unmap(struct file_map *map)
{
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->size);
    memset(map, 0, sizeof *map);
}

void file_map_drop(const struct file_map *map, size_t offset, size_t length)
{
#ifdef MADV_DONTNEED
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t begin, end;

    if (offset > map->size || length > map->size - offset)
        return;
    begin = (offset + page - 1) / page * page; /* pages shared with a neighbour stay */
    end = offset + length == map->size ? map->size : (offset + length) / page * page;
    if (begin < end)
        madvise((void *)(uintptr_t)(map->data + begin), end - begin, MADV_DONTNEED);
#else
    (void)map, (void)offset, (void)length;
#endif
}

static enum status read_all(struct buffer *buffer, int fd, const char *path, size_t limit, struct diag *diag)
{
    size_t before = buffer->length, want = READ_SIZE;
    struct stat info;

    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0)
        want = (size_t)info.st_size + 1; /* one more, to see the end without growing */
    if (limit && want > limit)
        want = limit + 1;
    for (;;) {
        char *to = buffer_reserve(buffer, want);
        ssize_t n;
        if (!to)
            return diag_fail(diag, STATUS_MEMORY, "%s: out of memory reading %zu bytes", path, want);
        n = read(fd, to, want);
        if (n < 0)
            return file_error(diag, path, "read", errno);
        if (n == 0)
            return STATUS_OK;
        buffer->length += (size_t)n;
        buffer->data[buffer->length] = 0;
        if (limit && buffer->length - before > limit)
            return diag_fail(diag, STATUS_RANGE, "%s: expected at most %zu bytes, found more", path, limit);
        want = want > (size_t)n ? want - (size_t)n : READ_SIZE;
    }
}

enum status file_read(struct buffer *buffer, const char *path, size_t limit, struct diag *diag)
{
    enum status status;
    int fd;

    status = file_open_read(&fd, path, diag);
    if (status)
        return status;
    status = read_all(buffer, fd, path, limit, diag);
    file_close_read(fd);
    return status;
}

int file_exists(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0;
}

int file_is_folder(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

int file_is_regular(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

enum status file_make_folder(const char *path, struct diag *diag)
{
    char *copy = file_copy_path(path);
    int error = 0;

    if (!copy)
        return diag_fail(diag, STATUS_MEMORY, "%s: out of memory", path);
    for (char *p = copy; !error && *p; p++) {
        if (p == copy || (p[0] != '/' && p[1] != 0))
            continue; /* not the end of a component */
        char kept = p[0] == '/' ? '/' : 0;
        if (kept)
            *p = 0;
        int failed = mkdir(copy, 0777) != 0 ? errno : 0;
        if (failed && !file_is_folder(copy))
            error = failed;
        if (kept)
            *p = kept;
    }
    if (!error && !file_is_folder(path))
        error = mkdir(path, 0777) == 0 ? 0 : errno;
    memory_free(copy);
    return error ? file_error(diag, path, "create folder", error) : STATUS_OK;
}
