/* buffer.c - a byte buffer that grows; declared in arena.h.
 *
 *   data: | length bytes of content | NUL | unused | ...capacity
 *
 * Invariants: capacity > length once data exists; `failed` is sticky and the content before it stays valid. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "arena.h"

char *buffer_reserve(struct buffer *buffer, size_t extra)
{
    size_t need, capacity;
    char *data;

    if (buffer->failed)
        return NULL;
    if (extra >= SIZE_MAX / 2 - buffer->length) {
        buffer->failed = 1;
        return NULL;
    }
    need = buffer->length + extra + 1;
    if (need > buffer->capacity) {
        capacity = buffer->capacity + buffer->capacity / 2;
        capacity = capacity < need ? need : capacity;
        capacity = capacity < 64 ? 64 : capacity;
        data = memory_grow(buffer->data, capacity);
        if (!data) {
            buffer->failed = 1;
            return NULL;
        }
        data[buffer->length] = 0;
        buffer->data = data;
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->length;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
    char *to = buffer_reserve(buffer, length);

    if (!to)
        return;
    if (length)
        memcpy(to, bytes, length);
    to[length] = 0;
    buffer->length += length;
}

void buffer_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_byte(struct buffer *buffer, int byte)
{
    char one = (char)byte;

    buffer_append(buffer, &one, 1);
}

void buffer_format(struct buffer *buffer, const char *format, ...)
{
    va_list list, again;
    int length;
    char *to;

    va_start(list, format);
    va_copy(again, list);
    length = vsnprintf(NULL, 0, format, list);
    to = length < 0 ? NULL : buffer_reserve(buffer, (size_t)length);
    if (length < 0)
        buffer->failed = 1;
    if (to) {
        vsnprintf(to, (size_t)length + 1, format, again);
        buffer->length += (size_t)length;
    }
    va_end(again);
    va_end(list);
}

void buffer_clear(struct buffer *buffer)
{
    buffer->length = 0;
    if (buffer->data)
        buffer->data[0] = 0;
}

void buffer_free(struct buffer *buffer)
{
    memory_free(buffer->data);
    memset(buffer, 0, sizeof *buffer);
}
