/* kv.c - the paged key/value cache. Bytes of one (layer, kv head) slice of a page, E = head_dim, B = ceil(E / 32):
 *
 *   f32, f16   | K [E][16] | V [16][E] | pad to 64 |
 *   q8_0       | K codes i8 [E][16] | K scales f16 [B][16] | V codes i8 [16][E] | V scales f16 [16][B] | pad |
 *
 * and a page is its slices [layer][kv head]. Invariants: count[p] = sequences that hold page p; a page on the free
 * list has count 0; a sequence holds exactly the pages that cover its reserved positions. */
#include "kv.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include "arena.h"
#include "half.h"

struct kv {
    struct arena arena;
    enum dtype type[2]; /* of K and V */
    size_t n_heads, head_dim;
    size_t k_bytes, slice_bytes, page_bytes;
    uint8_t *data;
    int32_t *count, *free_list;
    size_t n_pages, n_free;
};

static size_t side_bytes(size_t head_dim, enum dtype type)
{
    size_t elements = KV_PAGE * head_dim;

    if (type == DTYPE_F32)
        return 4 * elements;
    if (type == DTYPE_F16)
        return 2 * elements;
    return elements + KV_PAGE * 2 * ((head_dim + 31) / 32);
}

static size_t round64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static size_t slice_bytes_of(size_t head_dim, enum dtype k_type, enum dtype v_type)
{
    return round64(side_bytes(head_dim, k_type)) + round64(side_bytes(head_dim, v_type));
}

size_t kv_page_bytes(const struct config *config, enum dtype k_type, enum dtype v_type)
{
    return (size_t)config->n_layers * (size_t)config->n_kv_heads *
           slice_bytes_of((size_t)config->head_dim, k_type, v_type);
}

size_t kv_pages_for(size_t positions)
{
    return (positions + KV_PAGE - 1) / KV_PAGE;
}

enum status kv_create(struct kv **out, const struct config *config, enum dtype k_type, enum dtype v_type,
                      size_t n_pages, struct diag *diag)
{
    struct kv *kv = memory_alloc(sizeof *kv);
    size_t i;

    *out = NULL;
    if (!kv)
        return diag_fail(diag, STATUS_MEMORY, "kv cache: out of memory");
    memset(kv, 0, sizeof *kv);
    arena_init(&kv->arena, "kv", 0);
    kv->type[0] = k_type;
    kv->type[1] = v_type;
    kv->n_heads = (size_t)config->n_kv_heads;
    kv->head_dim = (size_t)config->head_dim;
    kv->k_bytes = round64(side_bytes(kv->head_dim, k_type));
    kv->slice_bytes = slice_bytes_of(kv->head_dim, k_type, v_type);
    kv->page_bytes = kv_page_bytes(config, k_type, v_type);
    kv->n_pages = kv->n_free = n_pages;
    kv->data = arena_array(&kv->arena, n_pages, kv->page_bytes);
    kv->count = arena_array(&kv->arena, n_pages, sizeof *kv->count);
    kv->free_list = arena_array(&kv->arena, n_pages, sizeof *kv->free_list);
    if (!kv->data || !kv->count || !kv->free_list || n_pages > INT32_MAX) {
        kv_free(kv);
        return diag_fail(diag, STATUS_MEMORY, "kv cache: cannot allocate %zu pages of %zu bytes", n_pages,
                         kv_page_bytes(config, k_type, v_type));
    }
    for (i = 0; i < n_pages; i++)
        kv->free_list[i] = (int32_t)(n_pages - 1 - i);
    *out = kv;
    return STATUS_OK;
}

void kv_free(struct kv *kv)
{
    if (!kv)
        return;
    arena_free(&kv->arena);
    memory_free(kv);
}

size_t kv_pages_free(const struct kv *kv)
{
    return kv->n_free;
}

static int32_t page_take(struct kv *kv)
{
    int32_t page = kv->free_list[--kv->n_free];

    kv->count[page] = 1;
    return page;
}

static void page_drop(struct kv *kv, int32_t page)
{
    assert(kv->count[page] > 0);
    if (--kv->count[page] == 0)
        kv->free_list[kv->n_free++] = page;
}

/* Room in the sequence's page table. */
static enum status table_reserve(struct kv_sequence *sequence, size_t n_pages, struct diag *diag)
{
    size_t capacity = sequence->capacity ? sequence->capacity : 8;
    int32_t *pages;

    if (n_pages <= sequence->capacity)
        return STATUS_OK;
    while (capacity < n_pages)
        capacity *= 2;
    pages = memory_grow(sequence->pages, capacity * sizeof *pages);
    if (!pages)
        return diag_fail(diag, STATUS_MEMORY, "kv cache: out of memory for a page table of %zu", capacity);
    sequence->pages = pages;
    sequence->capacity = capacity;
    return STATUS_OK;
}

enum status kv_reserve(struct kv *kv, struct kv_sequence *sequence, size_t n, struct diag *diag)
{
    size_t needed = kv_pages_for(sequence->length + n);
    size_t writes_at = sequence->length / KV_PAGE; /* the page that the next position goes to */
    int copies = n > 0 && writes_at < sequence->n_pages && kv->count[sequence->pages[writes_at]] > 1;
    size_t fresh = (needed > sequence->n_pages ? needed - sequence->n_pages : 0) + (size_t)copies;
    enum status status;

    if (fresh > kv->n_free)
        return diag_fail(diag, STATUS_MEMORY, "kv cache: %zu pages needed, %zu of %zu free", fresh, kv->n_free,
                         kv->n_pages);
    status = table_reserve(sequence, needed, diag);
    if (status)
        return status;
    if (copies) {
        int32_t old = sequence->pages[writes_at], page = page_take(kv);

        memcpy(kv->data + (size_t)page * kv->page_bytes, kv->data + (size_t)old * kv->page_bytes, kv->page_bytes);
        page_drop(kv, old);
        sequence->pages[writes_at] = page;
    }
    while (sequence->n_pages < needed)
        sequence->pages[sequence->n_pages++] = page_take(kv);
    return STATUS_OK;
}

enum status kv_fork(struct kv *kv, struct kv_sequence *dst, const struct kv_sequence *src, size_t length,
                    struct diag *diag)
{
    size_t n_pages = kv_pages_for(length), i;
    enum status status = table_reserve(dst, n_pages, diag);

    assert(dst->n_pages == 0 && length <= src->length);
    if (status)
        return status;
    for (i = 0; i < n_pages; i++) {
        dst->pages[i] = src->pages[i];
        kv->count[src->pages[i]]++;
    }
    dst->n_pages = n_pages;
    dst->length = length;
    return STATUS_OK;
}

void kv_truncate(struct kv *kv, struct kv_sequence *sequence, size_t length)
{
    size_t keep = kv_pages_for(length);

    assert(length <= sequence->length);
    while (sequence->n_pages > keep)
        page_drop(kv, sequence->pages[--sequence->n_pages]);
    sequence->length = length;
}

void kv_release(struct kv *kv, struct kv_sequence *sequence)
{
    while (sequence->n_pages)
        page_drop(kv, sequence->pages[--sequence->n_pages]);
    memory_free(sequence->pages);
    memset(sequence, 0, sizeof *sequence);
}

/* The K (side 0) or V (side 1) part of a slice. */
static uint8_t *side(const struct kv *kv, const struct kv_sequence *sequence, size_t page, int layer, int head,
                     int which)
{
    assert(page < sequence->n_pages);
    return kv->data + (size_t)sequence->pages[page] * kv->page_bytes +
           ((size_t)layer * kv->n_heads + (size_t)head) * kv->slice_bytes + (which ? kv->k_bytes : 0);
}

/* One block of n <= 32 values to q8_0: codes at stride `step`, returns the f16 scale. */
static uint16_t store_q8(int8_t *codes, size_t step, const float *x, size_t n)
{
    float max = 0, inverse, d;
    uint16_t scale;
    size_t i;

    for (i = 0; i < n; i++)
        max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
    scale = half_to_f16(max / 127.0f);
    d = half_from_f16(scale);
    inverse = d > 0 ? 1.0f / d : 0.0f;
    for (i = 0; i < n; i++) {
        float code = rintf(x[i] * inverse); /* may pass 127 where f16 rounded the scale down */

        codes[i * step] = (int8_t)(code > 127 ? 127 : code < -127 ? -127 : code);
    }
    return scale;
}

/* E values of one position; element e at index e * step, block b's scale at index b * scale_step of the scales. */
static void store_side(uint8_t *out, enum dtype type, const struct row_kernels *rows, const float *x, size_t head_dim,
                       size_t slot, int is_v)
{
    size_t step = is_v ? 1 : KV_PAGE, first = is_v ? slot * head_dim : slot, e;

    if (type == DTYPE_F32) {
        for (e = 0; e < head_dim; e++)
            ((float *)(void *)out)[first + e * step] = x[e];
    } else if (type == DTYPE_F16 && is_v) {
        rows->to_f16((uint16_t *)(void *)out + first, x, head_dim);
    } else if (type == DTYPE_F16) {
        uint16_t half[32];
        size_t n;

        for (e = 0; e < head_dim; e += n) {
            n = head_dim - e < 32 ? head_dim - e : 32;
            rows->to_f16(half, x + e, n);
            for (size_t i = 0; i < n; i++)
                ((uint16_t *)(void *)out)[first + (e + i) * step] = half[i];
        }
    } else {
        size_t blocks = (head_dim + 31) / 32, b;
        uint16_t *scales = (uint16_t *)(void *)(out + KV_PAGE * head_dim);

        for (b = 0; b < blocks; b++) {
            size_t n = head_dim - 32 * b < 32 ? head_dim - 32 * b : 32;

            scales[is_v ? slot * blocks + b : b * KV_PAGE + slot] =
                store_q8((int8_t *)out + first + 32 * b * step, step, x + 32 * b, n);
        }
    }
}

void kv_store(struct kv *kv, const struct row_kernels *rows, const struct kv_sequence *sequence, int layer, int head,
              size_t position, const float *k, const float *v)
{
    size_t page = position / KV_PAGE, slot = position % KV_PAGE;

    store_side(side(kv, sequence, page, layer, head, 0), kv->type[0], rows, k, kv->head_dim, slot, 0);
    store_side(side(kv, sequence, page, layer, head, 1), kv->type[1], rows, v, kv->head_dim, slot, 1);
}

void kv_load_k(const struct kv *kv, const struct row_kernels *rows, const struct kv_sequence *sequence, int layer,
               int head, size_t page, float *k, size_t k_stride)
{
    const uint8_t *in = side(kv, sequence, page, layer, head, 0);
    const uint16_t *scales = (const uint16_t *)(const void *)(in + KV_PAGE * kv->head_dim);
    size_t e, i;

    for (e = 0; e < kv->head_dim; e++) {
        float *row = k + e * k_stride;

        if (kv->type[0] == DTYPE_F32)
            memcpy(row, (const float *)(const void *)in + e * KV_PAGE, KV_PAGE * sizeof *row);
        else if (kv->type[0] == DTYPE_F16)
            rows->from_f16(row, (const uint16_t *)(const void *)in + e * KV_PAGE, KV_PAGE);
        else
            for (i = 0; i < KV_PAGE; i++)
                row[i] = half_from_f16(scales[e / 32 * KV_PAGE + i]) * (float)((const int8_t *)in)[e * KV_PAGE + i];
    }
}

void kv_load_v(const struct kv *kv, const struct row_kernels *rows, const struct kv_sequence *sequence, int layer,
               int head, size_t page, float *v)
{
    const uint8_t *in = side(kv, sequence, page, layer, head, 1);
    size_t n = KV_PAGE * kv->head_dim, blocks = (kv->head_dim + 31) / 32, i, e;
    const uint16_t *scales = (const uint16_t *)(const void *)(in + n);

    if (kv->type[1] == DTYPE_F32)
        memcpy(v, in, n * sizeof *v);
    else if (kv->type[1] == DTYPE_F16)
        rows->from_f16(v, (const uint16_t *)(const void *)in, n);
    else
        for (i = 0; i < KV_PAGE; i++)
            for (e = 0; e < kv->head_dim; e++)
                v[i * kv->head_dim + e] =
                    half_from_f16(scales[i * blocks + e / 32]) * (float)((const int8_t *)in)[i * kv->head_dim + e];
}
