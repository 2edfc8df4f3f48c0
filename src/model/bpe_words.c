/* bpe_words.c - counting the distinct words of a training text.
 *
 *   bytes  | t h e   | _ c a t   | s a t | ...       words[i] = {count, start, length}
 *   slots  hash of the word -> i + 1                 open addressing, at most half full
 *
 * Memory grows with the distinct words alone. Leaves out: cutting text into words (pretokenize.c). */
#include "bpe_train.h"
#include <string.h>
#include "lexicon.h"

/* Makes room for n elements, at least doubling; 0 without memory. */
static int make_room(void *array, size_t *room, size_t n, size_t size)
{
    void **block = array, *bigger;
    size_t wanted = *room ? *room : 256;

    while (wanted < n)
        wanted *= 2;
    if (wanted == *room)
        return 1;
    bigger = memory_grow(*block, wanted * size);
    if (!bigger)
        return 0;
    *block = bigger;
    *room = wanted;
    return 1;
}

static uint32_t *slot_of(const struct bpe_words *w, const char *word, size_t length)
{
    size_t i = (size_t)hash_bytes(word, length) & (w->n_slots - 1);

    while (w->slots[i]) {
        const struct bpe_word *known = &w->words[w->slots[i] - 1];
        if (known->length == length && memcmp(w->bytes + known->start, word, length) == 0)
            break;
        i = (i + 1) & (w->n_slots - 1);
    }
    return &w->slots[i];
}

static int grow_slots(struct bpe_words *w)
{
    size_t n = w->n_slots ? 2 * w->n_slots : 1024;
    uint32_t *slots = memory_alloc(n * sizeof *slots);

    if (!slots)
        return 0;
    memory_free(w->slots);
    memset(slots, 0, n * sizeof *slots);
    w->slots = slots;
    w->n_slots = n;
    for (size_t i = 0; i < w->n_words; i++)
        *slot_of(w, (const char *)w->bytes + w->words[i].start, w->words[i].length) = (uint32_t)i + 1;
    return 1;
}

enum status bpe_words_add(struct bpe_words *w, const char *word, size_t length)
{
    uint32_t *slot;

    if (w->n_words >= w->n_slots / 2 && !grow_slots(w))
        return STATUS_MEMORY;
    slot = slot_of(w, word, length);
    if (*slot) {
        w->words[*slot - 1].count++;
        return STATUS_OK;
    }
    if (length > BPE_TRAIN_MAX_BYTES - w->n_bytes)
        return STATUS_RANGE;
    if (!make_room(&w->bytes, &w->byte_room, w->n_bytes + length, 1) ||
        !make_room(&w->words, &w->word_room, w->n_words + 1, sizeof *w->words))
        return STATUS_MEMORY;
    memcpy(w->bytes + w->n_bytes, word, length);
    w->words[w->n_words++] = (struct bpe_word){1, (uint32_t)w->n_bytes, (uint32_t)length};
    *slot = (uint32_t)w->n_words;
    w->n_bytes += length;
    return STATUS_OK;
}

void bpe_words_free(struct bpe_words *w)
{
    memory_free(w->bytes);
    memory_free(w->words);
    memory_free(w->slots);
    memset(w, 0, sizeof *w);
}
