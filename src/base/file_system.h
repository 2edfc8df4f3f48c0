/* file_system.h - what file.c, file_lines.c and file_write.c share: messages and interruptible calls. */
#ifndef ARKLET_FILE_SYSTEM_H
#define ARKLET_FILE_SYSTEM_H

#include <stddef.h>
#include "status.h"

/* "<path>: cannot <verb>: <errno text>", STATUS_IO (STATUS_STOPPED for EINTR, STATUS_MEMORY for ENOMEM). */
enum status file_error(struct diag *diag, const char *path, const char *verb, int error);
/* Opens for reading; "-" gives descriptor 0. STATUS_IO for folders. */
enum status file_open_read(int *fd, const char *path, struct diag *diag);
void file_close_read(int fd); /* descriptor 0 stays open; -1 is allowed */
char *file_copy_path(const char *path);

#endif
