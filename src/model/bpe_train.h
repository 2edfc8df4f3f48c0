/* bpe_train.h - learning merges: the words of a text with their counts in, a list of merges out (private to src/model).
 *
 * (Sennrich et al., 2016, algorithm 1, over bytes as in Radford et al., 2019.) The pair of neighbouring tokens that
 * occurs most often in all words is merged first; of equally frequent pairs the one with the smaller left id, then the
 * smaller right id. Ids 0..255 are the bytes in the caller's order, merges continue from there. */
#ifndef ARKLET_BPE_TRAIN_H
#define ARKLET_BPE_TRAIN_H

#include <stdint.h>
#include "progress.h"
#include "status.h"

/* Distinct words of a text must not have more bytes than this together: positions are 32 bits. */
#define BPE_TRAIN_MAX_BYTES ((size_t)1 << 31)

struct bpe_word {
    uint64_t count;
    uint32_t start, length; /* in bytes */
};

/* Distinct words in the order of their first occurrence. Start from {0}. */
struct bpe_words {
    unsigned char *bytes; /* of all words, one after the other */
    size_t n_bytes, byte_room;
    struct bpe_word *words;
    size_t n_words, word_room;
    uint32_t *slots; /* index + 1 by hash, 0: free */
    size_t n_slots;
};

/* Counts a word once more. STATUS_MEMORY, or STATUS_RANGE beyond BPE_TRAIN_MAX_BYTES. */
enum status bpe_words_add(struct bpe_words *words, const char *word, size_t length);
void bpe_words_free(struct bpe_words *words);

struct bpe_merge {
    uint32_t left, right, result; /* ids; result is an older id where another merge gave the same bytes before */
};

struct bpe_training {
    const struct bpe_words *words;
    const uint8_t *byte_order;   /* [256] the byte with id i */
    size_t max_tokens;           /* 256 and more; training stops when so many tokens exist */
    uint64_t min_count;          /* 1 and more; rarer pairs are not merged */
    struct progress *progress;   /* may be NULL */
    int (*stop)(void);           /* may be NULL: not 0 ends the work with STATUS_STOPPED */
    struct bpe_merge *merges;    /* out: [n_merges], memory_free when done */
    size_t n_merges, merge_room; /* out */
    size_t n_tokens;             /* out: 256 and the new ones */
    uint64_t n_occurrences;      /* out: tokens of the training text */
};

/* Fills the out fields; on failure there is nothing to free. */
enum status bpe_train(struct bpe_training *training, struct diag *diag);

#endif
