/* arena.c - every byte of dynamic memory: arenas, plain blocks, the growing byte buffer.
 *
 *   chunks -> [chunk: | used ..... | free |] -> [older chunk] -> ...     small allocations, bumped 64 bytes at a time
 *   blocks -> [one allocation >= 1 MB, mapped] -> ...                    large allocations, one mapping each
 *   spares -> chunks and blocks given back by arena_release, kept for the next round
 *
 * Invariants: a chunk is on exactly one list; both live lists are newest first, so that releasing to a mark pops
 * from their fronts; `used` is the sum of the rounded sizes handed out. An arena that repeats the same requests
 * after each release asks the system for nothing. A request that no spare fits frees the spares of its kind, so what an
 * arena holds stays within a small multiple of its peak.
 * Leaves out: freeing one allocation of an arena, and thread safety of one arena. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISON
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ARENA_POISON
#endif
#ifdef ARENA_POISON
#include <sanitizer/asan_interface.h>
#endif

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

#define ALIGNMENT   64
#define CHUNK_FIRST ((size_t)16 << 10) /* payload of an arena's first chunk; doubled up to CHUNK_LAST */
#define CHUNK_LAST  ((size_t)1 << 20)
#define BLOCK_SIZE  ((size_t)1 << 20) /* from here on, a mapping of its own */
#define HUGE_PAGE   ((size_t)2 << 20)
#ifdef ARENA_POISON
#define RED_ZONE ALIGNMENT /* unreadable bytes behind each allocation, uncounted: the sanitizer sees overruns */
#else
#define RED_ZONE 0
#endif

struct arena_chunk {
    struct arena_chunk *next;
    uint8_t *base; /* 64-byte aligned; 2 MB aligned when it is a block of at least that size */
    size_t size, used;
    int is_block;
};

/* Faults and the leak count are for tests; atomic because several threads may hold buffers. */
static size_t fail_countdown, live_count;

void memory_fail_at(size_t n)
{
    __atomic_store_n(&fail_countdown, n, __ATOMIC_SEQ_CST);
}

size_t memory_live(void)
{
    return __atomic_load_n(&live_count, __ATOMIC_SEQ_CST);
}

void memory_trim(void)
{
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

static int fault_now(void)
{
    size_t n = __atomic_load_n(&fail_countdown, __ATOMIC_RELAXED);

    while (n && !__atomic_compare_exchange_n(&fail_countdown, &n, n - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        ;
    return n == 1;
}

static void count_live(int change)
{
    __atomic_fetch_add(&live_count, (size_t)change, __ATOMIC_RELAXED);
}

static void poison(const void *start, size_t size, int forbid)
{
#ifdef ARENA_POISON
    if (forbid)
        ASAN_POISON_MEMORY_REGION(start, size);
    else
        ASAN_UNPOISON_MEMORY_REGION(start, size);
#else
    (void)start, (void)size, (void)forbid;
#endif
}

/* ---- plain blocks ---- */

void *memory_alloc(size_t size)
{
    void *block = fault_now() ? NULL : malloc(size ? size : 1);

    if (block)
        count_live(1);
    return block;
}

void *memory_grow(void *block, size_t size)
{
    void *grown;

    if (!block)
        return memory_alloc(size);
    grown = fault_now() ? NULL : realloc(block, size ? size : 1);
    return grown;
}

void memory_free(void *block)
{
    if (block)
        count_live(-1);
    free(block);
}

/* ---- chunks ---- */

/* Anonymous zeroed memory, 2 MB aligned with huge pages advised when large enough to hold one. */
static void *map_pages(size_t size)
{
    size_t slack = size >= HUGE_PAGE ? HUGE_PAGE : 0, head;
    uint8_t *base = mmap(NULL, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (base == MAP_FAILED)
        return NULL;
    if (!slack)
        return base;
    head = (HUGE_PAGE - (uintptr_t)base % HUGE_PAGE) % HUGE_PAGE;
    if (head)
        munmap(base, head);
    if (slack - head)
        munmap(base + head + size, slack - head);
#ifdef MADV_HUGEPAGE
    madvise(base + head, size, MADV_HUGEPAGE); /* advice only: without it the pages are merely small */
#endif
    return base + head;
}

static struct arena_chunk *block_new(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct arena_chunk *block;

    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + page - 1) / page * page;
    block = calloc(1, sizeof *block);
    if (!block)
        return NULL;
    block->base = map_pages(size);
    block->size = size;
    block->is_block = 1;
    if (block->base)
        return block;
    free(block);
    return NULL;
}

static struct arena_chunk *chunk_new(size_t size)
{
    struct arena_chunk *chunk = calloc(1, sizeof *chunk + ALIGNMENT + size);

    if (!chunk)
        return NULL;
    chunk->base = (uint8_t *)(((uintptr_t)(chunk + 1) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    chunk->size = size;
    return chunk;
}

static void chunk_free(struct arena_chunk *chunk)
{
    poison(chunk->base, chunk->size, 0);
    if (chunk->is_block)
        munmap(chunk->base, chunk->size);
    free(chunk);
    count_live(-1);
}

static void list_free(struct arena_chunk *chunk)
{
    while (chunk) {
        struct arena_chunk *next = chunk->next;
        chunk_free(chunk);
        chunk = next;
    }
}

/* Unlinks and returns the smallest spare of the wanted kind with at least `size` bytes. When none fits, all spares
 * of that kind are too small to be worth keeping: they are freed, and NULL is returned. */
static struct arena_chunk *take_spare(struct arena *arena, size_t size, int is_block)
{
    struct arena_chunk **best = NULL, *found;

    for (struct arena_chunk **link = &arena->spares; *link; link = &(*link)->next)
        if ((*link)->is_block == is_block && (*link)->size >= size && (!best || (*link)->size < (*best)->size))
            best = link;
    if (best) {
        found = *best;
        *best = found->next;
        found->used = 0;
        return found;
    }
    for (struct arena_chunk **link = &arena->spares; *link;) {
        found = *link;
        if (found->is_block != is_block) {
            link = &found->next;
            continue;
        }
        *link = found->next;
        chunk_free(found);
    }
    return NULL;
}

/* Puts a chunk with room for `size` bytes on the front of its list. */
static struct arena_chunk *push_chunk(struct arena *arena, size_t size)
{
    int is_block = size >= BLOCK_SIZE;
    struct arena_chunk **list = is_block ? &arena->blocks : &arena->chunks;
    struct arena_chunk *chunk = take_spare(arena, size, is_block);

    if (!chunk) {
        size_t wanted = !arena->chunks                          ? CHUNK_FIRST
                        : arena->chunks->size >= CHUNK_LAST / 2 ? CHUNK_LAST
                                                                : arena->chunks->size * 2;
        if (fault_now())
            return NULL;
        chunk = is_block ? block_new(size) : chunk_new(size > wanted ? size : wanted);
        if (!chunk)
            return NULL;
        count_live(1);
        poison(chunk->base, chunk->size, 1);
    }
    chunk->next = *list;
    *list = chunk;
    return chunk;
}

/* ---- arenas ---- */

void arena_init(struct arena *arena, const char *name, size_t limit)
{
    memset(arena, 0, sizeof *arena);
    arena->name = name;
    arena->limit = limit;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    struct arena_chunk *chunk = arena->chunks;
    size_t rounded, need;
    uint8_t *result;

    if (size > SIZE_MAX / 4)
        return NULL;
    rounded = size ? (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
    need = rounded + RED_ZONE;
    if (arena->limit && (arena->used > arena->limit || rounded > arena->limit - arena->used))
        return NULL;
    if (need >= BLOCK_SIZE || !chunk || need > chunk->size - chunk->used)
        chunk = push_chunk(arena, need);
    if (!chunk)
        return NULL;
    result = chunk->base + chunk->used;
    chunk->used += need;
    arena->used += rounded;
    if (arena->peak < arena->used)
        arena->peak = arena->used;
    poison(result, size, 0);
    return result;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    return size && count > SIZE_MAX / size ? NULL : arena_alloc(arena, count * size);
}

char *arena_text(struct arena *arena, const char *text, size_t length)
{
    char *copy = length < SIZE_MAX ? arena_alloc(arena, length + 1) : NULL;

    if (!copy)
        return NULL;
    if (length)
        memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

struct arena_mark arena_mark(const struct arena *arena)
{
    struct arena_mark mark = {arena->chunks, arena->blocks, arena->chunks ? arena->chunks->used : 0, arena->used};

    return mark;
}

static void give_back(struct arena *arena, struct arena_chunk **list, const struct arena_chunk *until)
{
    while (*list != until) {
        struct arena_chunk *chunk = *list;
        *list = chunk->next;
        chunk->next = arena->spares;
        arena->spares = chunk;
        poison(chunk->base, chunk->size, 1);
    }
}

void arena_release(struct arena *arena, struct arena_mark mark)
{
    give_back(arena, &arena->chunks, mark.chunk);
    give_back(arena, &arena->blocks, mark.block);
    if (mark.chunk) {
        mark.chunk->used = mark.chunk_used;
        poison(mark.chunk->base + mark.chunk_used, mark.chunk->size - mark.chunk_used, 1);
    }
    arena->used = mark.used;
}

void arena_free(struct arena *arena)
{
    list_free(arena->chunks);
    list_free(arena->blocks);
    list_free(arena->spares);
    arena->chunks = arena->blocks = arena->spares = NULL;
    arena->used = 0;
}
