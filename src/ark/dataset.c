/* dataset.c - an indexed file of records, read in a shuffled order; see dataset.h.
 *
 * Invariant: every epoch visits each record once, whatever the block. */
#include "dataset.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "rng.h"

struct checking {
    struct dataset *dataset;
    const char *path;
    dataset_check *check;
    void *context;
};

static enum status check_line(void *context, const char *line, size_t length, uint64_t number, int *skip,
                              struct diag *diag)
{
    struct checking *c = context;
    struct dataset *d = c->dataset;
    struct arena_mark mark = arena_mark(&d->arena);
    const struct json *record;
    enum status status = json_parse(&record, line, length, &d->arena, c->path, number, NULL, diag);

    snprintf(d->where, sizeof d->where, "%.280s:%llu", c->path, (unsigned long long)number);
    if (!status)
        status = c->check(c->context, record, d->where, &d->arena, skip, diag);
    arena_release(&d->arena, mark);
    return status;
}

enum status dataset_open(struct dataset *d, const char *path, const char *folder, const char *name, const char *what,
                         dataset_check *check, void *context, struct diag *diag)
{
    struct checking checking = {d, path, check, context};
    struct buffer index_path = {0};
    enum status status;

    memset(d, 0, sizeof *d);
    d->index.fd = -1;
    arena_init(&d->arena, "record", 0);
    buffer_format(&index_path, "%s/checkpoint/%s", folder, name);
    status = index_path.failed ? diag_fail(diag, STATUS_MEMORY, "%s: out of memory", path)
                               : file_index_open(&d->index, path, index_path.data, check_line, &checking, diag);
    buffer_free(&index_path);
    if (!status && d->index.n_lines == 0)
        status = diag_fail(diag, STATUS_FORMAT, "%s: expected at least one %s, found none", path, what);
    if (status) {
        dataset_close(d);
        return status;
    }
    d->n = d->index.n_lines;
    d->hash = d->index.hash;
    d->mark = arena_mark(&d->arena);
    return STATUS_OK;
}

void dataset_close(struct dataset *d)
{
    if (d->index.path || d->index.fd > 0)
        file_index_close(&d->index);
    buffer_free(&d->line);
    arena_free(&d->arena);
    memset(d, 0, sizeof *d);
    d->index.fd = -1;
}

enum status dataset_read(struct dataset *d, uint64_t i, const struct json **record, struct diag *diag)
{
    uint64_t number;
    enum status status;

    arena_release(&d->arena, d->mark);
    status = file_index_line(&d->index, i, &d->line, &number, diag);
    if (status)
        return status;
    snprintf(d->where, sizeof d->where, "%.280s:%llu", d->index.path, (unsigned long long)number);
    return json_parse(record, d->line.data, d->line.length, &d->arena, d->index.path, number, NULL, diag);
}

uint64_t dataset_total(const struct dataset *d, double epochs)
{
    double n = ceil((double)d->n * epochs);

    return n < 1 ? 1 : (uint64_t)n;
}

/* Whole blocks change places; the rest that fills no block stays at the end. */
uint64_t dataset_shuffled(const struct dataset *d, uint64_t seed, uint64_t at, uint64_t block)
{
    uint64_t epoch = at / d->n, i = at % d->n, n_blocks = d->n / block;

    if (i >= n_blocks * block)
        return i;
    return rng_permute(seed, RNG_SHUFFLE, epoch, i / block, n_blocks) * block + i % block;
}
