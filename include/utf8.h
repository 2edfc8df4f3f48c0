/* utf8.h - decoding and encoding of UTF-8 with strict validity (no surrogates, no overlong forms). */
#ifndef ARKLET_UTF8_H
#define ARKLET_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Decodes one code point at text (length >= 1 bytes available). Returns the bytes consumed (1..4) and sets
 * *valid = 1; an invalid or truncated sequence gives *code = 0xFFFD, consumes 1 byte and sets *valid = 0. */
size_t utf8_decode(const char *text, size_t length, uint32_t *code, int *valid);
/* Writes 1..4 bytes and returns their number (code must be a scalar value). */
size_t utf8_encode(char *out, uint32_t code);
/* Length of the longest prefix that does not end inside a multi-byte sequence (streaming output). */
size_t utf8_whole_prefix(const char *text, size_t length);

#endif
