/* gguf_read.h - shared by the files of the GGUF reader: the cursor, name tables, the sections' readers. */
#ifndef ARKLET_GGUF_READ_H
#define ARKLET_GGUF_READ_H

#include "gguf.h"

#define GGUF_MIN_KEY_BYTES    14 /* length, one byte of name, type, one byte of value */
#define GGUF_MIN_TENSOR_BYTES 33 /* length, one byte of name, n_dims, one dimension, type, offset */

struct gguf_slot {
    const char *name; /* NULL: free */
    size_t index;
};

/* A position in one part. */
struct cursor {
    const char *path;
    const uint8_t *data;
    size_t size, at;
    struct diag *diag;
};

struct part {
    char *path;
    struct cursor cursor; /* behind the keys, then behind the infos */
    uint64_t n_tensors;
    size_t alignment;
};

enum status cursor_u32(struct cursor *c, uint32_t *value, const char *what);
enum status cursor_u64(struct cursor *c, uint64_t *value, const char *what);
/* Steps over one string; its bytes are at *text. */
enum status cursor_string(struct cursor *c, const char **text, size_t *length, const char *what);
/* A name of 1..limit bytes without NUL, copied. */
enum status cursor_name(struct cursor *c, const char **name, size_t limit, struct arena *arena, const char *what);

/* An empty table for n_names names; the slot that holds `name` or the free one where it belongs. */
struct gguf_slot *gguf_slots_new(struct arena *arena, size_t n_names, size_t *n_slots);
struct gguf_slot *gguf_slot_of(struct gguf_slot *slots, size_t n_slots, const char *name);

/* Fills the key table of `owner` (the whole file's, or a later part's temporary one). */
enum status gguf_read_keys(struct gguf *owner, struct arena *arena, struct cursor *c, uint64_t n_keys);
/* Appends the part's tensors to gguf->tensors, which has room for them. */
enum status gguf_read_tensors(struct gguf *gguf, struct part *part, int index);

#endif
