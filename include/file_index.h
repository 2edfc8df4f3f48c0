/* file_index.h - the lines of a text file in any order, at constant memory: an index of offsets on disk.
 *
 *   index file = | u64 offset, u64 line number | per line that is not blank | u64 end of the last line, u64 0 |
 *
 * The index is mapped, not loaded, so a file of any size costs no more memory than a small one. */
#ifndef ARKLET_FILE_INDEX_H
#define ARKLET_FILE_INDEX_H

#include <stdint.h>
#include "file.h"

/* Looks at a line while the index is built; a failure ends the building. Return STATUS_OK with *skip set to leave the
 * line out. */
typedef enum status file_index_check(void *context, const char *line, size_t length, uint64_t number, int *skip,
                                     struct diag *diag);

struct file_index {
    char *path;
    int fd;
    struct file_map map;
    uint64_t n_lines;
    uint64_t hash; /* of all indexed lines: tells whether a file is the one seen before */
};

/* Reads `path` once and writes its index to index_path (replaced atomically). check may be NULL. */
enum status file_index_open(struct file_index *index, const char *path, const char *index_path, file_index_check *check,
                            void *context, struct diag *diag);
void file_index_close(struct file_index *index); /* {0} with fd -1, or after open */
/* Line i (0-based among the indexed ones) replaces the buffer's content; *number is its line number in the file. */
enum status file_index_line(const struct file_index *index, uint64_t i, struct buffer *line, uint64_t *number,
                            struct diag *diag);

#endif
