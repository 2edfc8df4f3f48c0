/* dropout.h - dropout of rows (Srivastava et al. 2014), inverted: what stays is multiplied by 1 / (1 - p).
 *
 * A mask is a pure function: element c of the row at `position` of sequence `stream`, as input of `matrix`, goes when
 * 16-bit lane c % 4 of rng(seed, RNG_DROPOUT, stream, matrix, position << 32 | c / 4) is below threshold = p * 65536.
 * Nothing is stored between the passes, and neither threads nor the packing of sequences leave a trace. */
#ifndef ARKLET_DROPOUT_H
#define ARKLET_DROPOUT_H

#include <stddef.h>
#include <stdint.h>
#include "exec.h"

struct dropout {
    uint64_t seed;
    uint32_t threshold; /* of 65536; 0: nothing goes */
    float scale;        /* 65536 / (65536 - threshold) */
};

/* Of T rows that a matrix reads. */
struct dropout_mask {
    const struct dropout *dropout;
    uint64_t matrix;
    const uint64_t *stream; /* [T] */
    const size_t *position; /* [T], below 2^32 */
};

/* p rounded to 1/65536, 0 <= p < 1. */
struct dropout dropout_create(double p, uint64_t seed);
/* y [T][y_stride] = x [T][x_stride] times mask and scale, n columns. */
void dropout_apply(const struct exec *exec, const struct dropout_mask *mask, float *y, size_t y_stride, const float *x,
                   size_t x_stride, size_t n_tokens, size_t n);
/* y += that: the way back, from the gradient of what was kept. */
void dropout_add(const struct exec *exec, const struct dropout_mask *mask, float *y, size_t y_stride, const float *x,
                 size_t x_stride, size_t n_tokens, size_t n);

#endif
