/* test_arena.c - arenas, plain blocks, the growing buffer; every allocation made to fail in turn. */
#include <stdint.h>

#include "arena.h"
#include "test.h"

static int all_bytes(const uint8_t *p, size_t n, int value)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != value)
            return 0;
    return 1;
}

/* Sizes on both sides of the boundaries between chunks, blocks and huge pages. */
static const size_t sizes[] = {0,
                               1,
                               63,
                               64,
                               65,
                               4096,
                               (16 << 10) - 64,
                               16 << 10,
                               65537,
                               (1 << 20) - 128,
                               (1 << 20) - 1,
                               1 << 20,
                               (1 << 20) + 1,
                               (2 << 20),
                               (5 << 20) + 77};
#define N_SIZES (sizeof sizes / sizeof *sizes)

static void aligned_zeroed_disjoint(void)
{
    struct arena arena;
    uint8_t *blocks[N_SIZES * 2];

    arena_init(&arena, "test", 0);
    for (size_t i = 0; i < N_SIZES * 2; i++) {
        size_t size = sizes[i * 7 % N_SIZES];
        blocks[i] = arena_alloc(&arena, size);
        CHECK(blocks[i] != NULL);
        if (!blocks[i])
            break;
        CHECK((uintptr_t)blocks[i] % 64 == 0);
        CHECK_MSG(all_bytes(blocks[i], size, 0), "block %zu of %zu bytes is not zero", i, size);
        memset(blocks[i], (int)(i + 1), size);
    }
    for (size_t i = 0; i < N_SIZES * 2; i++)
        CHECK_MSG(all_bytes(blocks[i], sizes[i * 7 % N_SIZES], (int)(i + 1)), "block %zu was overwritten", i);
    CHECK((uintptr_t)arena_alloc(&arena, 4 << 20) % (2 << 20) == 0); /* a huge page can back it */
    arena_free(&arena);
    CHECK(memory_live() == 0);
}

static void release_returns_to_mark(void)
{
    struct arena arena;
    struct arena_mark mark;
    size_t used, live;
    uint8_t *kept;

    arena_init(&arena, "test", 0);
    kept = arena_alloc(&arena, 1000);
    memset(kept, 7, 1000);
    mark = arena_mark(&arena);
    used = arena.used;
    for (size_t i = 0; i < N_SIZES; i++)
        CHECK(arena_alloc(&arena, sizes[i]) != NULL);
    arena_release(&arena, mark);
    CHECK(arena.used == used);
    CHECK(arena.peak > (8u << 20));
    live = memory_live();
    for (int round = 0; round < 10; round++) { /* the same again asks the system for nothing */
        for (size_t i = 0; i < N_SIZES; i++) {
            uint8_t *p = arena_alloc(&arena, sizes[i]);
            CHECK(p != NULL && (uintptr_t)p % 64 == 0);
            memset(p, round, sizes[i]);
        }
        arena_release(&arena, mark);
    }
    CHECK(memory_live() == live);
    CHECK(all_bytes(kept, 1000, 7));
    mark.chunk = mark.block = NULL; /* the mark of an empty arena */
    mark.used = mark.chunk_used = 0;
    arena_release(&arena, mark);
    CHECK(arena.used == 0);
    arena_free(&arena);
    CHECK(memory_live() == 0);
}

/* Growing requests after each release: spares that are too small must not pile up. */
static void growing_steps_keep_little(void)
{
    struct arena arena;
    struct arena_mark mark;
    size_t live = 0;

    arena_init(&arena, "step", 0);
    mark = arena_mark(&arena);
    for (size_t size = 1 << 20; size < (24u << 20); size += 3 << 18) {
        CHECK(arena_alloc(&arena, size) && arena_alloc(&arena, size / 2) && arena_alloc(&arena, size / 100));
        arena_release(&arena, mark);
        live = memory_live() > live ? memory_live() : live;
    }
    CHECK_MSG(live <= 12, "%zu chunks are held", live);
    arena_free(&arena);
}

static void limit_and_overflow(void)
{
    struct arena arena;

    arena_init(&arena, "test", 1 << 20);
    CHECK(arena_alloc(&arena, 1 << 19) != NULL);
    CHECK(arena_alloc(&arena, (1 << 19) + 1) == NULL);
    CHECK(arena_alloc(&arena, 1 << 20) == NULL);
    CHECK(arena_alloc(&arena, 100) != NULL);
    CHECK(arena_alloc(&arena, SIZE_MAX) == NULL);
    CHECK(arena_alloc(&arena, SIZE_MAX - 63) == NULL);
    CHECK(arena_array(&arena, SIZE_MAX / 8, 16) == NULL);
    CHECK(arena_array(&arena, (SIZE_MAX >> 1) + 2, 2) == NULL);
    CHECK(arena_array(&arena, 0, 16) != NULL && arena_array(&arena, 5, 0) != NULL);
    CHECK(arena_text(&arena, "x", SIZE_MAX) == NULL);
    CHECK(strcmp(arena_text(&arena, "abcdef", 3), "abc") == 0);
    arena_free(&arena);
    arena_init(&arena, "test", 0);
    CHECK(arena_alloc(&arena, SIZE_MAX / 8) == NULL); /* the system refuses, not we */
    CHECK(arena_alloc(&arena, 10) != NULL);
    arena_free(&arena);
    CHECK(memory_live() == 0);
}

/* Returns 1 when all of it succeeded. Nothing may leak or be damaged at any point of failure. */
static int scenario(void)
{
    struct arena arena;
    struct buffer buffer = {0};
    void *block, *grown;
    int good;

    arena_init(&arena, "test", 0);
    good = arena_alloc(&arena, 100) && arena_alloc(&arena, 100000) && arena_alloc(&arena, 3 << 20);
    good = arena_alloc(&arena, 50) && good; /* a failure leaves the arena usable */
    block = memory_alloc(10);
    if (block)
        memcpy(block, "123456789", 10);
    grown = block ? memory_grow(block, 1000) : NULL;
    if (block && !grown)
        CHECK(strcmp(block, "123456789") == 0);
    if (grown)
        CHECK(strcmp(grown, "123456789") == 0);
    good = grown && good;
    memory_free(grown ? grown : block);
    for (int i = 0; i < 100; i++)
        buffer_text(&buffer, "0123456789");
    CHECK(buffer.failed || buffer.length == 1000);
    CHECK(!buffer.data || strlen(buffer.data) == buffer.length);
    good = !buffer.failed && good;
    buffer_free(&buffer);
    arena_free(&arena);
    return good;
}

static void every_allocation_fails_once(void)
{
    size_t n = 1;

    for (; n < 100; n++) {
        int good;
        memory_fail_at(n);
        good = scenario();
        memory_fail_at(0);
        CHECK_MSG(memory_live() == 0, "allocation %zu failing leaks %zu blocks", n, memory_live());
        if (good)
            break;
    }
    CHECK_MSG(n > 8 && n < 100, "%zu allocations seen", n - 1);
}

static void buffer_content(void)
{
    struct buffer buffer = {0};

    buffer_append(&buffer, "", 0);
    buffer_text(&buffer, "a");
    buffer_byte(&buffer, 'b');
    buffer_format(&buffer, "%s-%d%c", "long text that needs a larger buffer than the first one had, by far", 42, '!');
    CHECK(strncmp(buffer.data, "ablong", 6) == 0 && strcmp(buffer.data + buffer.length - 4, "-42!") == 0);
    CHECK(strlen(buffer.data) == buffer.length);
    buffer_clear(&buffer);
    CHECK(buffer.length == 0 && buffer.data[0] == 0 && buffer.capacity > 0);
    for (int i = 0; i < 100000; i++)
        buffer_byte(&buffer, i);
    CHECK(buffer.length == 100000 && (unsigned char)buffer.data[99999] == (99999 & 255) && buffer.data[100000] == 0);
    CHECK(buffer_reserve(&buffer, SIZE_MAX - 10) == NULL && buffer.failed);
    buffer_text(&buffer, "ignored");
    CHECK(buffer.length == 100000);
    buffer_free(&buffer);
    CHECK(buffer.data == NULL && memory_live() == 0);
}

int main(void)
{
    RUN(aligned_zeroed_disjoint);
    RUN(release_returns_to_mark);
    RUN(growing_steps_keep_little);
    RUN(limit_and_overflow);
    RUN(every_allocation_fails_once);
    RUN(buffer_content);
    return TEST_RESULT();
}
