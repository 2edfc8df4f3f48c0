/* test.h - the whole test framework: RUN(test) prints one line per test, CHECK records a failure.
 *
 * A test program's main lists its tests: int main(void) { RUN(test_a); RUN(test_b); return TEST_RESULT(); }
 * tests/run.sh counts the "ok" and "FAIL" lines of all programs. */
#ifndef ARKLET_TEST_H
#define ARKLET_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int test_failures, test_failed_here;
static char test_message[1024];

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition) && !test_failed_here) {                                                                       \
            test_failed_here = 1;                                                                                      \
            snprintf(test_message, sizeof test_message, "%s:%d: %s", __FILE__, __LINE__, #condition);                  \
        }                                                                                                              \
    } while (0)

/* As CHECK, with a formatted reason. */
#define CHECK_MSG(condition, ...)                                                                                      \
    do {                                                                                                               \
        if (!(condition) && !test_failed_here) {                                                                       \
            int test_n_ = snprintf(test_message, sizeof test_message, "%s:%d: ", __FILE__, __LINE__);                  \
            test_failed_here = 1;                                                                                      \
            snprintf(test_message + test_n_, sizeof test_message - (size_t)test_n_, __VA_ARGS__);                      \
        }                                                                                                              \
    } while (0)

#define RUN(test)                                                                                                      \
    do {                                                                                                               \
        test_failed_here = 0;                                                                                          \
        test();                                                                                                        \
        if (test_failed_here) {                                                                                        \
            test_failures++;                                                                                           \
            printf("FAIL %s: %s\n", #test, test_message);                                                              \
        } else {                                                                                                       \
            printf("ok %s\n", #test);                                                                                  \
        }                                                                                                              \
        fflush(stdout);                                                                                                \
    } while (0)

#define TEST_RESULT() (test_failures ? 1 : 0)

/* QUICK is set under valgrind and emulators: tests then take fewer random cases, never fewer kinds of case. */
static inline int test_quick(void)
{
    const char *quick = getenv("QUICK");
    return quick && *quick && *quick != '0';
}

#endif
