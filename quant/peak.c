/* peak.c - the tier's peak loops by its table, and the loop that only reads. See peak.h. */
#include "peak.h"
#include <string.h>

uint64_t peak_int8_ops(const struct kernels *kernels, uint64_t iterations)
{
    return kernels->peak_int8 ? kernels->peak_int8(iterations) : 0;
}

uint64_t peak_f32_ops(const struct kernels *kernels, uint64_t iterations)
{
    return kernels->peak_f32 ? kernels->peak_f32(iterations) : 0;
}

/* One word of every cache line: the memory delivers whole lines anyway. The empty statement at the end makes the
 * compiler believe that the sum is used. */
uint64_t peak_read(const void *data, size_t bytes)
{
    const uint8_t *p = data, *end = p + bytes / 64 * 64;
    uint64_t sum = 0, word;

    for (; p < end; p += 64) {
        memcpy(&word, p, sizeof word);
        sum += word;
    }
    __asm__ volatile("" : : "r"(sum));
    return bytes / 64 * 64;
}
