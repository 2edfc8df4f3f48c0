/* json_write.c - JSON fragments into a buffer.
 *
 * Invariants: what is written is valid UTF-8 on one line, and json_parse reads it back: strings to the same bytes
 * (apart from invalid UTF-8, which becomes U+FFFD), integers below 2^53 exactly, other numbers to the same f32.
 * Leaves out: brackets and commas, which the caller writes in the order of its record. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "utf8.h"

static void put_control(struct buffer *out, int byte)
{
    static const char names[] = "\"\"\\\\b\bf\fn\nr\rt\t"; /* pairs: letter, byte */

    for (const char *pair = names; *pair; pair += 2)
        if (pair[1] == byte) {
            buffer_byte(out, '\\');
            buffer_byte(out, pair[0]);
            return;
        }
    buffer_format(out, "\\u%04x", (unsigned)byte);
}

static int is_plain(int byte)
{
    return byte >= 32 && byte < 127 && byte != '"' && byte != '\\';
}

void json_put_string(struct buffer *out, const char *text, size_t length)
{
    buffer_byte(out, '"');
    for (size_t i = 0, n; i < length; i += n) {
        uint32_t code;
        int valid;
        for (n = 0; i + n < length && is_plain((unsigned char)text[i + n]);)
            n++;
        if (n) {
            buffer_append(out, text + i, n);
            continue;
        }
        n = utf8_decode(text + i, length - i, &code, &valid);
        if (!valid)
            buffer_text(out, "\xEF\xBF\xBD");
        else if (code < 32 || code == '"' || code == '\\')
            put_control(out, (int)code);
        else
            buffer_append(out, text + i, n);
    }
    buffer_byte(out, '"');
}

void json_put_text(struct buffer *out, const char *text)
{
    if (text)
        json_put_string(out, text, strlen(text));
    else
        buffer_text(out, "null");
}

void json_put_member(struct buffer *out, const char *name, const char *text)
{
    buffer_format(out, ",\"%s\":", name);
    json_put_text(out, text);
}

static void put_scalar(struct buffer *out, const struct json *value)
{
    static const char *const words[] = {"null", "false", "true"};

    if (value->type == JSON_STRING)
        json_put_string(out, value->text, value->length);
    else if (value->type == JSON_NUMBER)
        buffer_text(out, value->text);
    else if (value->type == JSON_ARRAY || value->type == JSON_OBJECT) /* an empty one */
        buffer_text(out, value->type == JSON_ARRAY ? "[]" : "{}");
    else
        buffer_text(out, words[value->type]);
}

void json_put(struct buffer *out, const struct json *value)
{
    const struct json *open[JSON_MAX_DEPTH]; /* the arrays and objects that are being written */
    size_t depth = 0;

    for (;;) {
        if (depth && open[depth - 1]->type == JSON_OBJECT) {
            json_put_text(out, value->key);
            buffer_byte(out, ':');
        }
        if ((value->type == JSON_ARRAY || value->type == JSON_OBJECT) && value->child && depth < JSON_MAX_DEPTH) {
            buffer_byte(out, value->type == JSON_ARRAY ? '[' : '{');
            open[depth++] = value;
            value = value->child;
            continue;
        }
        put_scalar(out, value);
        while (depth && !value->next) { /* the last of what is open */
            value = open[--depth];
            buffer_byte(out, value->type == JSON_ARRAY ? ']' : '}');
        }
        if (!depth)
            return;
        value = value->next;
        buffer_byte(out, ',');
    }
}

void json_put_number(struct buffer *out, double value)
{
    char text[40];
    int digits = 1;

    if (!isfinite(value)) {
        buffer_text(out, "null");
        return;
    }
    if (value == floor(value) && fabs(value) < 0x1p53) {
        buffer_format(out, "%.0f", value);
        return;
    }
    do
        snprintf(text, sizeof text, "%.*g", digits, value);
    while (++digits <= 9 && (fabs(value) > FLT_MAX || (float)strtod(text, NULL) != (float)value));
    buffer_text(out, text);
}
