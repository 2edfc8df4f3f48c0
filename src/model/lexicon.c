/* lexicon.c - the two hash tables of a tokenizer: bytes -> id and pair -> merge.
 *
 *   id_table    | id tag | -1 | id tag | ...       linear probing, at most 3/4 full; the key is the piece itself
 *   pair_table  | key rank id | ...                 the same, the key is left << 32 | right
 *
 * Sizes are powers of two. Leaves out: what goes into them (lexicon_build.c). */
#include "lexicon.h"
#include <string.h>

uint64_t hash_bytes(const char *bytes, size_t length)
{
    const uint64_t factor = UINT64_C(0x9E3779B97F4A7C15);
    uint64_t hash = length * factor, word;

    for (; length >= 8; bytes += 8, length -= 8) {
        memcpy(&word, bytes, 8);
        hash = (hash ^ word) * factor;
        hash ^= hash >> 29;
    }
    word = 0;
    memcpy(&word, bytes, length);
    hash = (hash ^ word) * factor;
    hash ^= hash >> 32;
    return hash * factor ^ hash >> 29;
}

/* The slot of these bytes, or the empty one where they belong. */
static struct id_slot *piece_slot(const struct tokenizer *t, const char *bytes, size_t length, uint64_t hash)
{
    size_t i = (size_t)hash & t->pieces.mask;

    for (; t->pieces.slots[i].id >= 0; i = (i + 1) & t->pieces.mask) {
        int32_t id = t->pieces.slots[i].id;
        if (t->pieces.slots[i].tag == (uint32_t)(hash >> 32) && piece_length(t, id) == length &&
            memcmp(piece_text(t, id), bytes, length) == 0)
            break;
    }
    return &t->pieces.slots[i];
}

int32_t piece_find(const struct tokenizer *t, const char *bytes, size_t length)
{
    return length > t->max_length ? TOKEN_NONE : piece_slot(t, bytes, length, hash_bytes(bytes, length))->id;
}

static size_t pair_slot_of(const struct pair_table *table, uint64_t key)
{
    size_t slot = (size_t)(key * UINT64_C(0x9E3779B97F4A7C15) >> 20) & table->mask;

    while (table->slots[slot].key != key && table->slots[slot].key != UINT64_MAX)
        slot = (slot + 1) & table->mask;
    return slot;
}

const struct pair_slot *pair_find(const struct pair_table *table, uint32_t left, uint32_t right)
{
    const struct pair_slot *slot = &table->slots[pair_slot_of(table, (uint64_t)left << 32 | right)];

    return slot->key == UINT64_MAX ? NULL : slot;
}

static size_t table_size(size_t entries)
{
    size_t size = 16;

    while (size * 3 < entries * 4)
        size *= 2;
    return size;
}

int id_table_init(struct tokenizer *t, size_t entries)
{
    size_t size = table_size(entries);

    t->pieces.slots = arena_array(&t->arena, size, sizeof *t->pieces.slots);
    if (!t->pieces.slots)
        return 0;
    memset(t->pieces.slots, 0xFF, size * sizeof *t->pieces.slots);
    t->pieces.mask = size - 1;
    return 1;
}

void id_table_put(struct tokenizer *t, int32_t id)
{
    size_t length = piece_length(t, id);
    uint64_t hash = hash_bytes(piece_text(t, id), length);

    *piece_slot(t, piece_text(t, id), length, hash) = (struct id_slot){id, (uint32_t)(hash >> 32)};
    if (length > t->max_length)
        t->max_length = length;
}

int pair_table_init(struct tokenizer *t, struct pair_table *table, size_t entries)
{
    size_t size = table_size(entries);

    table->slots = arena_array(&t->arena, size, sizeof *table->slots);
    if (!table->slots)
        return 0;
    memset(table->slots, 0xFF, size * sizeof *table->slots);
    table->mask = size - 1;
    return 1;
}

struct pair_slot *pair_put(struct pair_table *table, uint32_t left, uint32_t right, uint32_t rank, int32_t id)
{
    uint64_t key = (uint64_t)left << 32 | right;
    struct pair_slot *slot = &table->slots[pair_slot_of(table, key)];

    if (slot->key == UINT64_MAX)
        *slot = (struct pair_slot){key, rank, id};
    return slot;
}

struct merge merge_parse(const char *text, size_t length)
{
    const char *space = length > 1 ? memchr(text + 1, ' ', length - 1) : NULL;
    size_t left = space ? (size_t)(space - text) : length;

    return (struct merge){{text, left}, {space ? space + 1 : text, space ? length - left - 1 : 0}};
}
