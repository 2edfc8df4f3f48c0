/* unicode.h - the character classes that pre-tokenisers ask for, as bit masks (private to src/model). */
#ifndef ARKLET_UNICODE_H
#define ARKLET_UNICODE_H

#include <stdint.h>

/* General categories; a code point has exactly one of the first eleven bits. */
enum unicode_mask {
    UNICODE_C = 1 << 0,
    UNICODE_LU = 1 << 1,
    UNICODE_LL = 1 << 2,
    UNICODE_LT = 1 << 3,
    UNICODE_LM = 1 << 4,
    UNICODE_LO = 1 << 5,
    UNICODE_M = 1 << 6,
    UNICODE_N = 1 << 7,
    UNICODE_P = 1 << 8,
    UNICODE_S = 1 << 9,
    UNICODE_Z = 1 << 10,
    UNICODE_SPACE = 1 << 11, /* the property White_Space: what \s matches */
    UNICODE_L = UNICODE_LU | UNICODE_LL | UNICODE_LT | UNICODE_LM | UNICODE_LO
};

/* The run of equal classes found last: text mostly stays inside one. Start from {0}: an empty run. */
struct unicode_run {
    uint32_t first, end;
    unsigned mask;
};

/* The mask of a code point (any value; beyond 10FFFF it is UNICODE_C). */
unsigned unicode_class(uint32_t code, struct unicode_run *last);

#endif
