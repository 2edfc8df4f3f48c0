/* bpe.c - merging the characters of a word by rank, and the words of byte-level BPE.
 *
 *   symbols   l o w e r       ->   lo w e r       ->   lo w er       ->   low er
 *             rank of each neighbouring pair; the smallest rank merges first, of equal ranks the leftmost
 *
 * (Sennrich et al., 2016, algorithm 1; ranks instead of frequencies.) Short words rescan the pairs after each merge;
 * long ones keep the pairs in a heap, n log n in the length of the word. An entry of the heap is stale when one of its
 * symbols has merged since: then the left one is gone or the two together are no longer as long as they were.
 *
 * Repeated words of a long text are copied from their first occurrence. Invariants: symbols cover the word in order;
 * next == n_symbols ends the chain. Leaves out: cutting text into words (pretokenize.c, spm.c). */
#include <string.h>
#include "lexicon.h"
#include "utf8.h"

/* Up to this many symbols a rescan is faster than a heap (measured on English text: words of 4 to 12 symbols). */
#define SCAN_MAX 32

static void fail_memory(struct encoder *e)
{
    if (!e->status)
        e->status = diag_fail(e->diag, STATUS_MEMORY, "%s: no memory for tokenising", e->tokenizer->name);
}

/* Grows an array to hold n elements; 0 without memory. */
static int grow(struct encoder *e, void **array, size_t *capacity, size_t n, size_t size)
{
    size_t wanted = *capacity ? *capacity : 64;
    void *block;

    while (wanted < n)
        wanted *= 2;
    if (wanted == *capacity)
        return 1;
    block = memory_grow(*array, wanted * size);
    if (!block) {
        fail_memory(e);
        return 0;
    }
    *array = block;
    *capacity = wanted;
    return 1;
}

/* What two neighbouring symbols merge to. */
static uint32_t joint_rank(const struct encoder *e, const char *word, const struct symbol *left,
                           const struct symbol *right, int32_t *id)
{
    const struct tokenizer *t = e->tokenizer;
    const struct pair_slot *slot;

    if (t->kind == VOCABULARY_SCORES) {
        *id = piece_find(t, word + left->start, (size_t)left->length + right->length);
        return *id < 0 ? RANK_NONE : t->ranks[*id];
    }
    if (left->id < 0 || right->id < 0 || !(slot = pair_find(&t->merges, (uint32_t)left->id, (uint32_t)right->id)))
        return RANK_NONE;
    *id = slot->id;
    return slot->rank;
}

static void sift_up(struct candidate *heap, size_t i)
{
    for (struct candidate item = heap[i]; i > 0 && item.key < heap[(i - 1) / 2].key; heap[i] = item) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
}

static struct candidate pop(struct encoder *e)
{
    struct candidate *heap = e->heap, top = heap[0], item = heap[--e->n_heap];
    size_t i = 0, child;

    while ((child = 2 * i + 1) < e->n_heap) {
        child += child + 1 < e->n_heap && heap[child + 1].key < heap[child].key;
        if (item.key <= heap[child].key)
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = item;
    return top;
}

/* Enters the pair (left, its next) where they can merge. */
static void consider(struct encoder *e, const char *word, uint32_t left)
{
    struct symbol *a = &e->symbols[left], *b;
    struct candidate item;
    uint32_t rank;

    if (a->next >= e->n_symbols)
        return;
    b = &e->symbols[a->next];
    rank = joint_rank(e, word, a, b, &item.id);
    if (rank == RANK_NONE || !grow(e, (void **)&e->heap, &e->heap_capacity, e->n_heap + 1, sizeof *e->heap))
        return;
    item.key = (uint64_t)rank << 32 | left;
    item.length = a->length + b->length;
    e->heap[e->n_heap] = item;
    sift_up(e->heap, e->n_heap++);
}

/* Merges symbol `left` with its next into id. */
static void merge(struct encoder *e, uint32_t left, int32_t id)
{
    struct symbol *a = &e->symbols[left], *b = &e->symbols[a->next];

    a->id = id;
    a->length += b->length;
    a->next = b->next;
    b->length = 0;
    if (a->next < e->n_symbols)
        e->symbols[a->next].previous = left;
}

static void merge_by_heap(struct encoder *e, const char *word)
{
    e->n_heap = 0;
    for (uint32_t i = 0; i + 1 < e->n_symbols; i++)
        consider(e, word, i);
    while (e->n_heap && !e->status) {
        struct candidate top = pop(e);
        uint32_t left = (uint32_t)top.key;
        const struct symbol *a = &e->symbols[left];
        if (!a->length || a->next >= e->n_symbols || a->length + e->symbols[a->next].length != top.length)
            continue;
        merge(e, left, top.id);
        if (a->previous < e->n_symbols)
            consider(e, word, a->previous);
        consider(e, word, left);
    }
}

/* The same for few symbols; ranks[i] belongs to the pair (symbol i, its next). */
static void merge_by_scan(struct encoder *e, const char *word)
{
    uint32_t ranks[SCAN_MAX], n = (uint32_t)e->n_symbols, best;
    int32_t ids[SCAN_MAX];

    for (uint32_t i = 0; i < n; i++)
        ranks[i] = i + 1 < n ? joint_rank(e, word, &e->symbols[i], &e->symbols[i + 1], &ids[i]) : RANK_NONE;
    while (n) {
        best = 0;
        for (uint32_t i = 1; i < n; i++)
            best = ranks[i] < ranks[best] ? i : best;
        if (ranks[best] == RANK_NONE)
            return;
        struct symbol *a = &e->symbols[best];
        ranks[a->next] = RANK_NONE;
        merge(e, best, ids[best]);
        ranks[best] = a->next < n ? joint_rank(e, word, a, &e->symbols[a->next], &ids[best]) : RANK_NONE;
        if (a->previous < n)
            ranks[a->previous] = joint_rank(e, word, &e->symbols[a->previous], a, &ids[a->previous]);
    }
}

static void add_symbol(struct encoder *e, size_t start, size_t length, int32_t id)
{
    uint32_t i = (uint32_t)e->n_symbols;

    if (!grow(e, (void **)&e->symbols, &e->symbol_capacity, e->n_symbols + 1, sizeof *e->symbols))
        return;
    e->symbols[e->n_symbols++] = (struct symbol){(uint32_t)start, (uint32_t)length, id, i ? i - 1 : UINT32_MAX, i + 1};
}

/* Whether byte i of the word belongs to a well-formed character. */
static int in_character(const char *word, size_t length, size_t i)
{
    uint32_t code;
    int valid;

    for (size_t back = 0; back <= 3 && back <= i; back++) {
        if (utf8_decode(word + i - back, length - i + back, &code, &valid) > back && valid)
            return 1;
    }
    return 0;
}

/* A byte without a token. Inside a character it is left out, as other implementations do (vocabularies lack bytes that
 * their training text never had); a stray one is written as U+FFFD where the vocabulary can. */
static void add_missing_byte(struct encoder *e, const char *word, size_t length, size_t i)
{
    static const unsigned char replacement[3] = {0xEF, 0xBF, 0xBD};
    const int32_t *ids = e->tokenizer->byte_ids;

    if (in_character(word, length, i))
        return;
    for (int j = 0; j < 3; j++) {
        if (ids[replacement[j]] >= 0)
            add_symbol(e, i, 1, ids[replacement[j]]);
    }
}

/* One symbol per byte. */
static void split_bytes(struct encoder *e, const char *word, size_t length)
{
    for (size_t i = 0; i < length && !e->status; i++) {
        int32_t id = e->tokenizer->byte_ids[(unsigned char)word[i]];
        if (id >= 0)
            add_symbol(e, i, 1, id);
        else
            add_missing_byte(e, word, length, i);
    }
}

/* One symbol per character; an invalid byte is one. */
static void split_characters(struct encoder *e, const char *word, size_t length)
{
    uint32_t code;
    int valid;

    for (size_t i = 0, n; i < length && !e->status; i += n) {
        n = utf8_decode(word + i, length - i, &code, &valid);
        add_symbol(e, i, n, piece_find(e->tokenizer, word + i, n));
    }
}

static void merge_word(struct encoder *e, const char *word, size_t length)
{
    e->n_symbols = 0;
    if (e->tokenizer->kind == VOCABULARY_BYTES)
        split_bytes(e, word, length);
    else
        split_characters(e, word, length);
    if (e->status)
        return;
    if (e->n_symbols <= SCAN_MAX)
        merge_by_scan(e, word);
    else
        merge_by_heap(e, word);
    for (uint32_t i = 0; i < e->n_symbols && !e->status; i = e->symbols[i].next) {
        if (e->symbols[i].id >= 0)
            tokens_append(e->out, e->symbols[i].id);
        else
            encode_unknown(e, word + e->symbols[i].start, e->symbols[i].length);
    }
}

void encode_unknown(struct encoder *e, const char *character, size_t length)
{
    const struct tokenizer *t = e->tokenizer;
    size_t known = 0;

    while (known < length && t->byte_ids[(unsigned char)character[known]] >= 0)
        known++;
    for (size_t i = 0; i < length && known == length; i++)
        tokens_append(e->out, t->byte_ids[(unsigned char)character[i]]);
    if (known == length)
        return;
    if (t->unk >= 0)
        tokens_append(e->out, t->unk);
    else
        e->status = diag_fail(e->diag, STATUS_RANGE,
                              "%s: byte 0x%02x of the text has neither a piece nor a byte token in the vocabulary",
                              t->name, (unsigned)(unsigned char)character[known]);
}

int encode_word(void *encoder, const char *word, size_t length)
{
    struct encoder *e = encoder;
    struct known_word *known = NULL;
    size_t at = e->out->count;
    int32_t whole = e->tokenizer->ignore_merges ? piece_find(e->tokenizer, word, length) : TOKEN_NONE;

    if (whole >= 0) {
        tokens_append(e->out, whole);
        return e->status;
    }
    if (e->known) {
        known = &e->known[hash_bytes(word, length) & e->known_mask];
        if (known->length == length && memcmp(known->word, word, length) == 0) {
            for (uint32_t i = 0; i < known->count; i++)
                tokens_append(e->out, e->out->ids[known->at + i]);
            return e->status;
        }
    }
    merge_word(e, word, length);
    if (known && !e->out->failed)
        *known = (struct known_word){word, (uint32_t)length, (uint32_t)(e->out->count - at), at};
    return e->status;
}
