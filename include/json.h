/* json.h - a strict JSON reader (RFC 8259) into a flat node table, and a writer.
 *
 * The reader never recurses, bounds depth and size, and accepts any UTF-8; invalid UTF-8 in strings
 * becomes U+FFFD and is counted. Strings are unescaped once, into the document's arena. A leading byte order
 * mark is ignored; a number too large for a double is an error, so every number is finite. */
#ifndef ARKLET_JSON_H
#define ARKLET_JSON_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"
#include "status.h"

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_type type;
    const char *key;  /* member name inside an object, else NULL; NUL-terminated UTF-8 */
    const char *text; /* string content, or a number's source text; NUL-terminated */
    size_t length;    /* bytes of text (a string may contain NUL), members of array/object */
    double number;
    const struct json *child; /* first element or member */
    const struct json *next;  /* next sibling */
};

#define JSON_MAX_DEPTH 256

/* Parses exactly one value (white space around it is fine). `name` and `line` (of the text's first byte; 0 counts
 * as 1) only label errors: "<name>:<line>: column C: expected ..., found ...", columns in bytes from 1. *bad_utf8,
 * when given, gets the number of replaced bytes. Everything lives in arena; text may be freed afterwards. On failure
 * *root is NULL (STATUS_FORMAT, STATUS_MEMORY), and the arena keeps what was allocated: release to a mark. */
enum status json_parse(const struct json **root, const char *text, size_t length, struct arena *arena, const char *name,
                       uint64_t line, size_t *bad_utf8, struct diag *diag);

/* Lookups that never fail: NULL object, missing key or other type gives NULL or the default. Of several members
 * with one name the last counts. Time linear in the number of members. */
const struct json *json_get(const struct json *object, const char *key);
const char *json_string(const struct json *object, const char *key, const char *otherwise);
double json_number(const struct json *object, const char *key, double otherwise);
int json_bool(const struct json *object, const char *key, int otherwise);

/* Writing: JSON fragments appended to a buffer. Invalid UTF-8 becomes U+FFFD; control bytes escaped. */
void json_put_string(struct buffer *out, const char *text, size_t length);
void json_put_text(struct buffer *out, const char *text);                     /* NULL: null */
void json_put_member(struct buffer *out, const char *name, const char *text); /* ,"name": and the text */
/* A parsed value as it stood: numbers in their source text, members in their order. A member of an object is its value
 * here, without the name. */
void json_put(struct buffer *out, const struct json *value);
/* Integers below 2^53 in full, else the fewest digits, at most 9, that give back the same f32; non-finite numbers
 * become null. */
void json_put_number(struct buffer *out, double value);

#endif
