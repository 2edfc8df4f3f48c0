/* each.h - loops that every compiler unrolls completely: EACH(i, n, statement) repeats the statement for i = 0 .. n
 * - 1.
 *
 * i is a constant in each copy, so arrays indexed by it live in registers and it may be an instruction's immediate. n
 * is a constant after inlining, at most 8 (EACH4: 4, EACH12: 12); copies beyond it vanish. (Pragmas for this differ
 * between compilers.) The macros nest, with different names for i, but each copy is compiled before it vanishes: use
 * the smallest that fits, and a plain loop where i indexes nothing but memory. */
#ifndef ARKLET_QUANT_EACH_H
#define ARKLET_QUANT_EACH_H

#define EACH_COPY(i, number, n, ...)                                                                                   \
    if ((n) > number) {                                                                                                \
        enum { i = number };                                                                                           \
        __VA_ARGS__;                                                                                                   \
    }
#define EACH_BELOW_4(i, n, ...)                                                                                        \
    EACH_COPY(i, 0, n, __VA_ARGS__)                                                                                    \
    EACH_COPY(i, 1, n, __VA_ARGS__)                                                                                    \
    EACH_COPY(i, 2, n, __VA_ARGS__)                                                                                    \
    EACH_COPY(i, 3, n, __VA_ARGS__)
#define EACH_BELOW_8(i, n, ...)                                                                                        \
    EACH_BELOW_4(i, n, __VA_ARGS__)                                                                                    \
    EACH_COPY(i, 4, n, __VA_ARGS__)                                                                                    \
    EACH_COPY(i, 5, n, __VA_ARGS__)                                                                                    \
    EACH_COPY(i, 6, n, __VA_ARGS__)                                                                                    \
    EACH_COPY(i, 7, n, __VA_ARGS__)

#define EACH4(i, n, ...)                                                                                               \
    do {                                                                                                               \
        EACH_BELOW_4(i, n, __VA_ARGS__)                                                                                \
    } while (0)
#define EACH(i, n, ...)                                                                                                \
    do {                                                                                                               \
        EACH_BELOW_8(i, n, __VA_ARGS__)                                                                                \
    } while (0)
#define EACH12(i, n, ...)                                                                                              \
    do {                                                                                                               \
        EACH_BELOW_8(i, n, __VA_ARGS__)                                                                                \
        EACH_COPY(i, 8, n, __VA_ARGS__)                                                                                \
        EACH_COPY(i, 9, n, __VA_ARGS__)                                                                                \
        EACH_COPY(i, 10, n, __VA_ARGS__)                                                                               \
        EACH_COPY(i, 11, n, __VA_ARGS__)                                                                               \
    } while (0)

#endif
