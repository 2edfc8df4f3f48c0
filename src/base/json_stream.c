/* json_stream.c - finds where the values of a JSON file begin and end.
 *
 *   pending: | delivered | current value | unread: scanned | unread, not looked at |
 *                        ^ text          ^ start
 *
 * Invariants: every byte is looked at once, outside strings one by one, inside by memchr; the buffer moves its rest
 * only when it is refilled, so that a file that is one long line takes linear time.
 * Leaves out: whether a value is well formed (json.c). */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file_system.h"
#include "json_stream.h"

#define STREAM_CHUNK ((size_t)256 << 10) /* bytes asked for at once */

/* ---- bytes ---- */

/* Drops what was consumed and reads some more behind the rest; at the end of the file sets at_end. */
static enum status stream_fill(struct json_stream *s, struct diag *diag)
{
    struct buffer *pending = &s->pending;
    ssize_t n;
    char *to;

    if (s->start) {
        memmove(pending->data, pending->data + s->start, pending->length - s->start);
        pending->length -= s->start;
        s->start = 0;
    }
    if (pending->length > JSON_STREAM_MAX)
        return diag_fail(diag, STATUS_RANGE, "%s:%llu: expected a record of at most %zu MB, found a longer one",
                         s->path, (unsigned long long)s->next_line, JSON_STREAM_MAX >> 20);
    to = buffer_reserve(pending, STREAM_CHUNK);
    if (!to)
        return diag_fail(diag, STATUS_MEMORY, "%s:%llu: out of memory for a record of more than %zu bytes", s->path,
                         (unsigned long long)s->next_line, pending->length);
    n = read(s->fd, to, STREAM_CHUNK);
    if (n < 0)
        return file_error(diag, s->path, "read", errno);
    s->at_end = n == 0;
    pending->length += (size_t)n;
    pending->data[pending->length] = 0;
    return STATUS_OK;
}

static const char *unread(const struct json_stream *s)
{
    return s->pending.data + s->start;
}

static size_t n_unread(const struct json_stream *s)
{
    return s->pending.length - s->start;
}

static size_t count_lines(const char *text, size_t length)
{
    const char *end = text + length;
    size_t n = 0;

    while (text < end && (text = memchr(text, '\n', (size_t)(end - text))) != NULL) {
        text++;
        n++;
    }
    return n;
}

/* The next n bytes have been read. */
static void consume(struct json_stream *s, size_t n)
{
    s->next_line += count_lines(unread(s), n);
    s->next_offset += n;
    s->start += n;
    s->scanned = 0;
}

static int is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* The next byte that is no white space stays unread; *byte is -1 at the end of the file. */
static enum status peek(struct json_stream *s, int *byte, struct diag *diag)
{
    for (;;) {
        size_t n = 0, left = n_unread(s);
        enum status status;

        while (n < left && is_space(unread(s)[n]))
            n++;
        if (n)
            consume(s, n);
        if (n < left) {
            *byte = (unsigned char)*unread(s);
            return STATUS_OK;
        }
        if (s->at_end) {
            *byte = -1;
            return STATUS_OK;
        }
        status = stream_fill(s, diag);
        if (status)
            return status;
    }
}

/* ---- values ---- */

/* Looks on from `scanned` to the end of the value that starts at the first unread byte; 0 when more bytes are needed.
 * In a string the scan stands behind its opening quote. */
static int scan_value(struct json_stream *s)
{
    const char *text = unread(s);
    size_t i = s->scanned, n = n_unread(s);

    while (i < n) {
        if (s->in_string) {
            const char *quote = memchr(text + i, '"', n - i);
            size_t at = quote ? (size_t)(quote - text) : n, slashes = 0;

            while (at - slashes > 0 && text[at - slashes - 1] == '\\')
                slashes++;
            if (!quote) { /* look at a backslash that is cut from its character again */
                i = n - slashes > i ? n - slashes : i;
                s->scanned = i;
                return 0;
            }
            i = at + 1;
            s->in_string = slashes % 2 == 1;
            if (!s->in_string && s->depth == 0)
                break;
            continue;
        }
        if (text[i] == '"') {
            s->in_string = 1;
        } else if (text[i] == '{' || text[i] == '[') {
            s->depth++;
        } else if (text[i] == '}' || text[i] == ']') {
            if (s->depth == 0)
                break;
            if (--s->depth == 0) {
                i++;
                break;
            }
        } else if (s->depth == 0 && i && (is_space(text[i]) || text[i] == ',' || text[i] == ':')) {
            break;
        }
        i++;
        if (i == n) {
            s->scanned = i;
            return 0;
        }
    }
    s->scanned = i;
    return i > 0 && s->depth == 0 && !s->in_string;
}

static enum status torn(struct json_stream *s, const char *expected, struct diag *diag)
{
    s->finished = 1;
    return diag_fail(diag, STATUS_FORMAT, "%s:%llu: expected %s, found the end of the file", s->path,
                     (unsigned long long)s->next_line, expected);
}

/* The length of the value that starts at the first unread byte; it stays unread. */
static enum status find_value(struct json_stream *s, size_t *length, struct diag *diag)
{
    s->scanned = 0;
    s->depth = s->in_string = 0;
    while (!scan_value(s)) {
        enum status status;

        if (s->at_end && s->depth == 0 && !s->in_string && n_unread(s))
            break;
        if (s->at_end)
            return torn(s, "the end of a record", diag);
        status = stream_fill(s, diag);
        if (status)
            return status;
    }
    *length = s->scanned;
    return STATUS_OK;
}

static enum status unexpected(struct json_stream *s, const char *expected, int byte, struct diag *diag)
{
    if (byte < 0)
        return torn(s, expected, diag);
    s->finished = 1;
    return diag_fail(diag, STATUS_FORMAT, "%s:%llu: expected %s, found '%c'", s->path, (unsigned long long)s->next_line,
                     expected, byte);
}

/* A member's name; kept aside, for the value may move the buffer. */
static enum status take_key(struct json_stream *s, struct buffer *key, struct diag *diag)
{
    size_t length;
    int byte;
    enum status status = peek(s, &byte, diag);

    if (!status && byte != '"')
        return unexpected(s, "a member's name", byte, diag);
    if (!status)
        status = find_value(s, &length, diag);
    if (status)
        return status;
    buffer_clear(key);
    buffer_append(key, unread(s), length);
    consume(s, length);
    status = peek(s, &byte, diag);
    if (!status && byte != ':')
        return unexpected(s, "':'", byte, diag);
    if (!status)
        consume(s, 1);
    return status ? status : key->failed ? diag_fail(diag, STATUS_MEMORY, "%s: out of memory", s->path) : STATUS_OK;
}

/* Before an element or member: the opening bracket, a comma, or the closing bracket (then finished is set). */
static enum status next_element(struct json_stream *s, struct diag *diag)
{
    int close = s->form == JSON_STREAM_ARRAY ? ']' : '}', byte, first = !s->started;
    enum status status;

    if (first) {
        consume(s, 1); /* the opening bracket, seen by stream_form */
        s->started = 1;
    }
    status = peek(s, &byte, diag);
    if (status)
        return status;
    if (byte == close) {
        consume(s, 1);
        s->finished = 1;
        status = peek(s, &byte, diag);
        return status || byte < 0 ? status : unexpected(s, "the end of the file", byte, diag);
    }
    if (!first && byte != ',')
        return unexpected(s, close == ']' ? "',' or ']'" : "',' or '}'", byte, diag);
    if (!first)
        consume(s, 1);
    return STATUS_OK;
}

static enum status next_value(struct json_stream *s, const char **text, size_t *length, struct diag *diag)
{
    enum status status = STATUS_OK;
    int byte;

    if (s->form != JSON_STREAM_VALUES)
        status = next_element(s, diag);
    if (!status && s->form == JSON_STREAM_MEMBERS && !s->finished)
        status = take_key(s, &s->key_text, diag);
    if (!status && !s->finished)
        status = peek(s, &byte, diag);
    if (status || s->finished)
        return status;
    if (byte < 0 && s->form == JSON_STREAM_VALUES) {
        s->finished = 1;
        return STATUS_OK;
    }
    if (byte < 0 || strchr(",:]}", byte))
        return unexpected(s, "a value", byte, diag);
    s->line = s->next_line;
    s->offset = s->next_offset;
    status = find_value(s, length, diag);
    if (status)
        return status;
    *text = unread(s);
    s->key = s->form == JSON_STREAM_MEMBERS ? s->key_text.data : NULL;
    s->key_length = s->key_text.length;
    consume(s, *length);
    return STATUS_OK;
}

/* ---- lines ---- */

static enum status next_line(struct json_stream *s, const char **text, size_t *length, struct diag *diag)
{
    for (;;) {
        size_t left = n_unread(s), n;
        const char *from = left ? unread(s) : "";
        const char *end = left > s->scanned ? memchr(from + s->scanned, '\n', left - s->scanned) : NULL;
        enum status status;

        if (!end && !s->at_end) {
            s->scanned = left;
            status = stream_fill(s, diag);
            if (status)
                return status;
            continue;
        }
        if (!left) {
            s->finished = 1;
            return STATUS_OK;
        }
        n = end ? (size_t)(end - from) : left;
        s->line = s->next_line;
        s->offset = s->next_offset;
        *text = from;
        for (*length = n; *length && is_space(from[*length - 1]);)
            --*length; /* and all of a blank line */
        s->start += n + (end != NULL);
        s->next_offset += n + (end != NULL);
        s->next_line++;
        s->scanned = 0;
        if (*length)
            return STATUS_OK;
        *text = NULL;
    }
}

/* ---- the file ---- */

static enum status skip_byte_order_mark(struct json_stream *s, struct diag *diag)
{
    while (n_unread(s) < 3 && !s->at_end) {
        enum status status = stream_fill(s, diag);

        if (status)
            return status;
    }
    if (n_unread(s) >= 3 && memcmp(unread(s), "\xEF\xBB\xBF", 3) == 0)
        consume(s, 3);
    return STATUS_OK;
}

/* Is the first line nothing but "{"? */
static enum status opens_alone(struct json_stream *s, int *alone, struct diag *diag)
{
    for (size_t i = 1;; i++) {
        if (i >= n_unread(s)) {
            enum status status = s->at_end ? STATUS_OK : stream_fill(s, diag);

            if (status)
                return status;
            if (i >= n_unread(s)) {
                *alone = 0;
                return STATUS_OK;
            }
        }
        if (!is_space(unread(s)[i]) || unread(s)[i] == '\n') {
            *alone = unread(s)[i] == '\n';
            return STATUS_OK;
        }
    }
}

static enum status stream_form(struct json_stream *s, int members, struct diag *diag)
{
    int byte, alone = 0;
    enum status status = skip_byte_order_mark(s, diag);

    if (!status)
        status = peek(s, &byte, diag);
    if (status)
        return status;
    s->form = JSON_STREAM_LINES;
    if (byte == '[') {
        s->form = JSON_STREAM_ARRAY;
    } else if (byte == '{' && members) {
        s->form = JSON_STREAM_MEMBERS;
    } else if (byte == '{') {
        status = opens_alone(s, &alone, diag);
        s->form = alone ? JSON_STREAM_VALUES : JSON_STREAM_LINES;
    }
    return status;
}

enum status json_stream_open(struct json_stream *stream, const char *path, int members, struct diag *diag)
{
    struct stat info;
    enum status status;

    memset(stream, 0, sizeof *stream);
    stream->fd = -1;
    stream->next_line = 1;
    stream->path = file_copy_path(path);
    if (!stream->path)
        return diag_fail(diag, STATUS_MEMORY, "%s: out of memory", path);
    status = file_open_read(&stream->fd, path, diag);
    if (!status && fstat(stream->fd, &info) == 0 && S_ISREG(info.st_mode))
        stream->size = (uint64_t)info.st_size;
    if (!status)
        status = stream_form(stream, members, diag);
    if (status)
        json_stream_close(stream);
    return status;
}

enum status json_stream_next(struct json_stream *stream, const char **text, size_t *length, struct diag *diag)
{
    enum status status = STATUS_OK;

    *text = NULL;
    *length = 0;
    stream->key = NULL;
    stream->key_length = 0;
    stream->index = stream->next_index;
    if (!stream->finished)
        status = stream->form == JSON_STREAM_LINES ? next_line(stream, text, length, diag)
                                                   : next_value(stream, text, length, diag);
    if (status)
        stream->finished = 1;
    else if (*text)
        stream->next_index++;
    return status;
}

void json_stream_close(struct json_stream *stream)
{
    file_close_read(stream->fd);
    memory_free(stream->path);
    buffer_free(&stream->pending);
    buffer_free(&stream->key_text);
    stream->fd = -1;
    stream->path = NULL;
}
