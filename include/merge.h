/* merge.h - adapters folded into the weights: W + scale B A, for quantize_model's adjust hook. */
#ifndef ARKLET_MERGE_H
#define ARKLET_MERGE_H

#include <stddef.h>
#include "adapter.h"

struct merge {
    const struct adapter *const *adapters; /* [n_adapters], added in order */
    size_t n_adapters;
};

/* A quantize_adjust whose context is a struct merge: values[c] = fmaf(scale * B[row][r], A[r][c], values[c]), r
 * ascending. */
void merge_row(void *context, const char *name, size_t row, float *values, size_t n);

#endif
