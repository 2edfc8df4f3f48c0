/* peak.h - what the machine could do at most: loops that only multiply or only read, for the shares that benches print.
 *
 * Each returns the number of operations (a multiply and an add count as two) or bytes it has done; the caller takes the
 * time, with as many threads as it likes, and divides. The int8 loop of a tier uses that tier's best instruction for
 * int8 products from registers alone: vpdpbusd, or vpmaddubsw + vpmaddwd + vpaddd, or NEON's. */
#ifndef ARKLET_PEAK_H
#define ARKLET_PEAK_H

#include "kernels.h"

/* 0 for a tier that has no such loop (scalar). */
uint64_t peak_int8_ops(const struct kernels *kernels, uint64_t iterations);
uint64_t peak_f32_ops(const struct kernels *kernels, uint64_t iterations);

/* Reads data from end to end; 64-byte aligned. */
uint64_t peak_read(const void *data, size_t bytes);

#endif
