/* dataset.h - the training records of a file in any order, at constant memory: an index on disk, one record parsed.
 *
 *   position of training: 0, 1, 2 ...  ->  epoch e = at / n, i = at % n  ->  record permute(seed, e, i)
 *
 * Shuffled singly, or in blocks of consecutive records whose order is shuffled: what stands together in the file (the
 * solutions of one question) then stays together in a batch. */
#ifndef ARKLET_DATASET_H
#define ARKLET_DATASET_H

#include <stdint.h>
#include "arena.h"
#include "file_index.h"
#include "json.h"
#include "status.h"

/* Is the record one to train on? Called once a record while the index is built; *skip leaves it out. `where` is
 * "file:line", arena is released afterwards. */
typedef enum status dataset_check(void *context, const struct json *record, const char *where, struct arena *arena,
                                  int *skip, struct diag *diag);

struct dataset {
    uint64_t n;         /* records */
    uint64_t hash;      /* of the file's indexed lines */
    char where[320];    /* of the record last read */
    struct arena arena; /* of the record last read; callers may take memory that lives as long */

    /* The module's own. */
    struct file_index index;
    struct buffer line;
    struct arena_mark mark;
};

/* Indexes `path` into <folder>/checkpoint/<name>. No record left is STATUS_FORMAT: "expected at least one <what>, found
 * none". */
enum status dataset_open(struct dataset *dataset, const char *path, const char *folder, const char *name,
                         const char *what, dataset_check *check, void *context, struct diag *diag);
void dataset_close(struct dataset *dataset); /* {0} is allowed, and after a failed open */
/* Record i of the index; *record is valid until the next call. */
enum status dataset_read(struct dataset *dataset, uint64_t i, const struct json **record, struct diag *diag);
/* Records of so many epochs, at least 1. */
uint64_t dataset_total(const struct dataset *dataset, double epochs);
/* Which record is at a position of training; block: 1, or the records that stay together. */
uint64_t dataset_shuffled(const struct dataset *dataset, uint64_t seed, uint64_t at, uint64_t block);

#endif
