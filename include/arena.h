/* arena.h - memory with named lifetimes; the only module that calls malloc.
 *
 * An arena hands out 64-byte aligned blocks and frees them all at once, or back to a mark. Memory of
 * an arena is zeroed when first handed out after arena_init, NOT after arena_release: what a release
 * gives back is kept and reused as it is, so that a step which repeats costs no system call and no page
 * faults. Growing buffers (text, tables) use memory_*. Not thread safe: one owner. */
#ifndef ARKLET_ARENA_H
#define ARKLET_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
    const char *name;           /* for messages: "weights", "kv", "step" */
    struct arena_chunk *chunks; /* of small allocations, newest first */
    struct arena_chunk *blocks; /* allocations of 1 MB and more, newest first */
    struct arena_chunk *spares; /* released, to be reused */
    size_t used;                /* bytes handed out, including alignment; spares do not count */
    size_t peak;                /* largest `used` so far */
    size_t limit;               /* 0: none; else arena_alloc fails beyond it */
};

struct arena_mark {
    struct arena_chunk *chunk, *block;
    size_t chunk_used;
    size_t used;
};

void arena_init(struct arena *arena, const char *name, size_t limit);
/* 64-byte aligned block of `size` bytes (size 0 gives a valid, unusable pointer), or NULL when memory
 * or the limit is exhausted. Blocks of at least 1 MB are mapped on their own, with huge pages advised. */
void *arena_alloc(struct arena *arena, size_t size);
/* As arena_alloc for count * size, NULL on overflow of the product. */
void *arena_array(struct arena *arena, size_t count, size_t size);
/* A NUL-terminated copy of text[0..length). */
char *arena_text(struct arena *arena, const char *text, size_t length);
struct arena_mark arena_mark(const struct arena *arena);
/* Marks nest: releasing to one invalidates the marks taken after it. */
void arena_release(struct arena *arena, struct arena_mark mark);
void arena_free(struct arena *arena); /* everything; the arena can be used again */

/* malloc, realloc, free for buffers that grow; memory is not zeroed. NULL on failure; memory_grow then leaves
 * the old block as it was (NULL as old block allocates). These may be called from any thread. */
void *memory_alloc(size_t size);
void *memory_grow(void *block, size_t size);
void memory_free(void *block);
/* Gives what was freed back to the system, where the C library keeps it and can be asked to (glibc). Between parts of
 * work that take memory of different sizes. */
void memory_trim(void);

/* Tests: let the n-th allocation from now on fail (1 = the next); 0 switches the fault off.
 * memory_live() is the number of blocks and chunks not yet freed (0 at a clean exit). */
void memory_fail_at(size_t n);
size_t memory_live(void);

/* A byte buffer that grows. Start from {0}. Once an append has failed, `failed` is set, later appends
 * do nothing, and the content so far stays valid: check `failed` once at the end. data is always
 * NUL-terminated after the first successful append. */
struct buffer {
    char *data;
    size_t length;
    size_t capacity;
    int failed;
};

/* At least `extra` writable bytes behind the content (then buffer->length may be advanced by as many), or NULL
 * with `failed` set. The caller keeps data[length] = 0 after advancing. */
char *buffer_reserve(struct buffer *buffer, size_t extra);
void buffer_append(struct buffer *buffer, const void *bytes, size_t length);
void buffer_text(struct buffer *buffer, const char *text);
void buffer_byte(struct buffer *buffer, int byte);
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void buffer_format(struct buffer *buffer, const char *format, ...);
void buffer_clear(struct buffer *buffer); /* length 0, memory and failed flag kept */
void buffer_free(struct buffer *buffer);

#endif
