/* model_pack.h - from a source's tensors to packed matrices and f32 vectors. Private to loading. */
#ifndef ARKLET_MODEL_PACK_H
#define ARKLET_MODEL_PACK_H

#include "exec.h"
#include "source.h"

/* Packs a tensor into dst (pack_bytes(pack) long) with exec's threads, checks that its floats and scales are finite,
 * and releases the tensor's part of the mapping. scratch: PACK_ROWS rows of the tensor per worker, for permuted ones.
 */
enum status pack_tensor(const struct source *source, const struct source_tensor *tensor, const struct pack *pack,
                        uint8_t *dst, uint8_t *scratch, const struct exec *exec, struct diag *diag);
/* The finite check alone, of a tensor that stays in its mapping. */
enum status check_tensor(const struct source *source, const struct source_tensor *tensor, const struct exec *exec,
                         struct diag *diag);
/* dst[0..dims[0]) = the vector's values in f32, checked. */
enum status decode_vector(const struct source *source, const struct source_tensor *tensor, float *dst,
                          struct diag *diag);

size_t tensor_row_bytes(const struct source_tensor *tensor);
/* 1 when every float, or every scale of a quantised row, of n elements at src is finite. */
int row_is_finite(enum dtype type, const uint8_t *src, size_t n);
/* Copies `count` rows from `row` on, in the wanted order (undoing permute_heads). */
void copy_rows(const struct source_tensor *tensor, uint8_t *dst, size_t row, size_t count);

#endif
