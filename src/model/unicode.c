/* unicode.c - character classes by binary search in a table of runs.
 *
 *   unicode_runs:  | first << 8 | group | first << 8 | group | ...     a run ends where the next one begins
 *
 * Invariants: the first run begins at 0; firsts ascend. ASCII has a direct table, white space is added here (it is a
 * property, not a category). Leaves out: case mapping, normalisation. The table's maker is tests/oracle. */
#include "unicode.h"
#include <stddef.h>
#include "unicode_table.h"

#define N_RUNS (sizeof unicode_runs / sizeof unicode_runs[0])

/* White_Space beyond ASCII: PropList.txt of the Unicode character database. */
static int is_white_space(uint32_t code)
{
    return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

static void find_run(uint32_t code, struct unicode_run *run)
{
    size_t low = 0, high = N_RUNS;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (unicode_runs[middle] >> 8 <= code)
            low = middle;
        else
            high = middle;
    }
    run->first = unicode_runs[low] >> 8;
    run->end = high < N_RUNS ? unicode_runs[high] >> 8 : 0x110000;
    run->mask = 1u << (unicode_runs[low] & 0xFF);
}

unsigned unicode_class(uint32_t code, struct unicode_run *last)
{
    if (code < 128)
        return unicode_ascii[code];
    if (code > 0x10FFFF)
        return UNICODE_C;
    if (code < last->first || code >= last->end)
        find_run(code, last);
    return last->mask | (is_white_space(code) ? UNICODE_SPACE : 0);
}
