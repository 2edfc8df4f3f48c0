/* json_stream.h - the values of a JSON file one after the other, as text, at constant memory.
 *
 *   lines     {"a":1}\n{"a":2}\n            JSON Lines: a value a line, blank lines left out
 *   values    {\n "a": 1\n}\n{\n "a": 2\n}  values on several lines each (a file that begins with a line "{")
 *   array     [{"a":1}, {"a":2}]            one big array: its elements
 *   members   {"k": [1], "l": [2]}          one big object: its members, on request only
 *
 * The form is told by the first bytes. Only brackets, strings and separators are looked at: whether a value is JSON is
 * json_parse's business. Memory: the longest value. */
#ifndef ARKLET_JSON_STREAM_H
#define ARKLET_JSON_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"
#include "file.h"
#include "status.h"

enum json_stream_form { JSON_STREAM_LINES, JSON_STREAM_VALUES, JSON_STREAM_ARRAY, JSON_STREAM_MEMBERS };

/* Longer values are an error (STATUS_RANGE). */
#define JSON_STREAM_MAX FILE_LINE_MAX

struct json_stream {
    /* About the value last delivered. */
    uint64_t index;  /* 0-based; when there is none left, the number of values */
    uint64_t line;   /* of its first byte, from 1 */
    uint64_t offset; /* of its first byte */
    const char *key; /* JSON_STREAM_MEMBERS: the member's name with its quotes, valid as long as the text; else NULL */
    size_t key_length;
    enum json_stream_form form;
    uint64_t size; /* of a regular file; else 0 */
    char *path;

    /* The module's own. */
    int fd;
    struct buffer pending, key_text;
    size_t start, scanned; /* of the unread part of pending; bytes of it that were looked at */
    uint64_t next_line, next_offset, next_index;
    int depth, in_string, at_end, started, finished;
};

/* "-" is standard input. With `members` an object that is the file's one value is read as JSON_STREAM_MEMBERS. */
enum status json_stream_open(struct json_stream *stream, const char *path, int members, struct diag *diag);
/* *text is valid until the next call (*length bytes, no NUL behind them); NULL at the end. A failure
 * ends the stream. */
enum status json_stream_next(struct json_stream *stream, const char **text, size_t *length, struct diag *diag);
void json_stream_close(struct json_stream *stream);

#endif
