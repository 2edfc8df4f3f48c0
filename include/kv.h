/* kv.h - the paged key/value cache: many sequences, shared prefixes, three element types.
 *
 * A page holds KV_PAGE = 16 consecutive positions of one sequence for all layers and kv heads. Sequences point to
 * pages; pages are counted, so a fork shares them, and the page that a sequence appends to is copied first when it is
 * shared. One (layer, kv head) slice of a page is, with E = head_dim,
 *
 *     K [E][16]   key element e of the 16 positions side by side: scores run with keys in lanes
 *     V [16][E]   value row of each position
 *
 * in f32, f16, or q8_0 (int8 in blocks of up to 32 along e of one position, f16 scale d = max|x| / 127, all scales
 * after the codes). K is stored after rope. What attention reads is the rounded value, in training too. */
#ifndef ARKLET_KV_H
#define ARKLET_KV_H

#include <stddef.h>
#include <stdint.h>
#include "dtype.h"
#include "kernels.h"
#include "model.h"
#include "status.h"

#define KV_PAGE 16

struct kv;

/* A sequence's pages. Start from {0}; free with kv_release. */
struct kv_sequence {
    int32_t *pages;
    size_t n_pages, capacity;
    size_t length; /* positions filled */
};

/* Bytes of one page; k_type and v_type in F32, F16, Q8_0. */
size_t kv_page_bytes(const struct config *config, enum dtype k_type, enum dtype v_type);
/* A cache of n_pages pages, all allocated now (memory untouched until used). */
enum status kv_create(struct kv **kv, const struct config *config, enum dtype k_type, enum dtype v_type, size_t n_pages,
                      struct diag *diag);
void kv_free(struct kv *kv);
size_t kv_pages_free(const struct kv *kv);
size_t kv_pages_for(size_t positions); /* ceil(positions / KV_PAGE) */

/* Makes room for n more positions after sequence->length (a shared last page is copied). STATUS_MEMORY when pages run
 * out: the sequence is unchanged. Does not change length; forward does, when it has written the positions. */
enum status kv_reserve(struct kv *kv, struct kv_sequence *sequence, size_t n, struct diag *diag);
/* dst (empty) becomes the first `length` positions of src, sharing its pages. */
enum status kv_fork(struct kv *kv, struct kv_sequence *dst, const struct kv_sequence *src, size_t length,
                    struct diag *diag);
void kv_truncate(struct kv *kv, struct kv_sequence *sequence, size_t length);
void kv_release(struct kv *kv, struct kv_sequence *sequence);

/* Stores one position of one kv head (k, v: [E] floats), rounded to the cache types. */
void kv_store(struct kv *kv, const struct row_kernels *rows, const struct kv_sequence *sequence, int layer, int head,
              size_t position, const float *k, const float *v);
/* The 16 keys (values) of page index `page` of the sequence as f32: k [E][k_stride] from column 0 of k, v [16][E]. */
void kv_load_k(const struct kv *kv, const struct row_kernels *rows, const struct kv_sequence *sequence, int layer,
               int head, size_t page, float *k, size_t k_stride);
void kv_load_v(const struct kv *kv, const struct row_kernels *rows, const struct kv_sequence *sequence, int layer,
               int head, size_t page, float *v);

#endif
