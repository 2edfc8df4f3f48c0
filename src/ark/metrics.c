/* metrics.c - rows of metrics.csv. */
#include "metrics.h"

#include <math.h>
#include <string.h>

/* Bytes of the header and `rows` rows; *found of them are there. */
static size_t length_of(const struct file_map *map, uint64_t rows, uint64_t *found)
{
    const uint8_t *end = map->data, *last = map->data + map->size;

    for (*found = 0; *found <= rows && end < last; ++*found) {
        const uint8_t *newline = memchr(end, '\n', (size_t)(last - end));

        if (!newline)
            break;
        end = newline + 1;
    }
    return (size_t)(end - map->data);
}

/* Copies the header and the first `keep` rows of path into a fresh file of that name. */
static enum status cut(const char *path, uint64_t keep, struct diag *diag)
{
    struct file_writer writer;
    struct file_map map;
    enum status status = file_map(&map, path, diag);
    uint64_t lines;
    size_t length;

    if (status)
        return status;
    length = length_of(&map, keep, &lines);
    if (lines <= keep)
        status = diag_fail(diag, STATUS_FORMAT, "%s: expected the %llu rows of the checkpoint's steps, found %llu",
                           path, (unsigned long long)keep, (unsigned long long)(lines ? lines - 1 : 0));
    if (!status)
        status = file_create(&writer, path, diag);
    if (!status) {
        status = file_write(&writer, map.data, length, diag);
        if (!status)
            status = file_commit(&writer, diag);
        file_abandon(&writer);
    }
    file_unmap(&map);
    return status;
}

enum status metrics_open(struct metrics *metrics, const char *path, const char *columns, uint64_t keep,
                         struct diag *diag)
{
    enum status status = keep ? cut(path, keep, diag) : STATUS_OK;

    memset(metrics, 0, sizeof *metrics);
    if (!status)
        status = file_stream_open(&metrics->stream, path, keep != 0, diag);
    if (status || keep)
        return status;
    buffer_text(&metrics->row, columns);
    return metrics_end_row(metrics, diag);
}

static void separate(struct metrics *metrics)
{
    if (metrics->row.length)
        buffer_byte(&metrics->row, ',');
}

void metrics_integer(struct metrics *metrics, uint64_t value)
{
    separate(metrics);
    buffer_format(&metrics->row, "%llu", (unsigned long long)value);
}

void metrics_number(struct metrics *metrics, double value)
{
    separate(metrics);
    if (!isnan(value))
        buffer_format(&metrics->row, "%.6g", value);
}

enum status metrics_end_row(struct metrics *metrics, struct diag *diag)
{
    enum status status;

    if (metrics->row.failed)
        return diag_fail(diag, STATUS_MEMORY, "metrics: out of memory");
    status = file_stream_record(&metrics->stream, metrics->row.data, metrics->row.length, diag);
    buffer_clear(&metrics->row);
    return status;
}

enum status metrics_close(struct metrics *metrics, struct diag *diag)
{
    buffer_free(&metrics->row);
    return file_stream_close(&metrics->stream, diag);
}

const char *metrics_field(const char *row, size_t n)
{
    while (n-- && *row) {
        row += strcspn(row, ",");
        row += *row == ',';
    }
    return row;
}

size_t metrics_column(const char *header, const char *name)
{
    size_t n = 0, length = strlen(name);
    const char *field;

    while (*(field = metrics_field(header, n)) && (strncmp(field, name, length) != 0 || !strchr(",", field[length])))
        n++;
    return n;
}
