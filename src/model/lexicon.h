/* lexicon.h - the inside of struct tokenizer: pieces, hash tables, the trie of special tokens (private to src/model).
 *
 *   bytes    | piece 0 NUL | piece 1 NUL | ...  offsets[i] .. offsets[i + 1] - 1: the decoded bytes of piece i
 *   pieces   bytes -> id                        of what merges may form (normal pieces)
 *   merges   (left id, right id) -> rank, id    BYTES and MERGES; SCORES takes ranks[id] of the joined piece
 *   trie     (node, byte) -> node               special tokens, longest match
 *
 * Byte-level pieces are stored as the bytes they stand for, SentencePiece's with U+2581 as a space. */
#ifndef ARKLET_LEXICON_H
#define ARKLET_LEXICON_H

#include <stdint.h>
#include "pretokenize.h"
#include "tokenizer.h"

#define RANK_NONE UINT32_MAX
/* Longer special tokens are refused: every position of a text may be compared with one. */
#define SPECIAL_MAX_LENGTH 256

struct id_slot {
    int32_t id;   /* -1: empty */
    uint32_t tag; /* the piece's hash, so that probing rarely has to fetch another piece's bytes */
};

struct id_table { /* open addressing */
    struct id_slot *slots;
    size_t mask;
};

struct pair_slot {
    uint64_t key; /* left << 32 | right; UINT64_MAX empty */
    uint32_t rank;
    int32_t id;
};

struct pair_table {
    struct pair_slot *slots;
    size_t mask;
};

enum token_flags { TOKEN_STRIPS_LEFT = 1, TOKEN_STRIPS_RIGHT = 2, TOKEN_ENDS_GENERATION = 4, TOKEN_IN_TABLE = 8 };

struct tokenizer {
    struct arena arena;
    const char *name;
    enum vocabulary_kind kind;
    const struct pretokenizer *pre; /* BYTES */
    int ignore_merges;
    size_t n_pieces;
    char *bytes;
    uint32_t *offsets;
    uint8_t *types, *flags;
    uint32_t *ranks; /* SCORES */
    struct id_table pieces;
    size_t max_length; /* of a piece in the table */
    struct pair_table merges;
    struct pair_table trie;
    int32_t *trie_ids;      /* per node, TOKEN_NONE inside */
    uint8_t trie_first[32]; /* bit set: bytes that begin a special token */
    int32_t byte_ids[256];  /* the token of one byte, TOKEN_NONE */
    uint64_t *adjacent;     /* SCORES, MERGES: bit set of hashed pairs of neighbouring characters, see spm.c */
    int32_t bos, eos, unk;
    int add_bos;
    enum dummy_space dummy_space;
    const char *chat_template;
};

static inline const char *piece_text(const struct tokenizer *t, int32_t id)
{
    return t->bytes + t->offsets[id];
}

static inline size_t piece_length(const struct tokenizer *t, int32_t id)
{
    return t->offsets[id + 1] - t->offsets[id] - 1;
}

/* GPT-2's byte alphabet: whether a byte is written as itself, and the character that stands for it. */
int lexicon_is_plain(int byte);
uint32_t lexicon_byte_character(int byte);

uint64_t hash_bytes(const char *bytes, size_t length);
/* The normal piece of exactly these bytes, TOKEN_NONE. */
int32_t piece_find(const struct tokenizer *t, const char *bytes, size_t length);
/* NULL when the pair never merges. */
const struct pair_slot *pair_find(const struct pair_table *table, uint32_t left, uint32_t right);

/* "left right": the first space behind the first byte divides. */
struct merge merge_parse(const char *text, size_t length);

/* Building the tables; `entries` bounds what will be put. 0 without memory. */
int id_table_init(struct tokenizer *t, size_t entries);
void id_table_put(struct tokenizer *t, int32_t id); /* replaces an equal piece */
int pair_table_init(struct tokenizer *t, struct pair_table *table, size_t entries);
/* The pair's entry: a new one, or the one that was there already, unchanged. */
struct pair_slot *pair_put(struct pair_table *table, uint32_t left, uint32_t right, uint32_t rank, int32_t id);

#define ADJACENT_BITS 22

static inline uint32_t adjacent_bit(uint32_t left, uint32_t right)
{
    return (uint32_t)((left * UINT64_C(0x9E3779B97F4A7C15) + right) * UINT64_C(0xD6E8FEB86659FD93) >>
                      (64 - ADJACENT_BITS));
}

static inline int are_adjacent(const struct tokenizer *t, uint32_t left, uint32_t right)
{
    uint32_t bit = adjacent_bit(left, right);

    return (int)(t->adjacent[bit / 64] >> (bit % 64) & 1);
}

/* The state of one call of encode. */
struct symbol {
    uint32_t start, length; /* bytes of the word */
    int32_t id;             /* TOKEN_NONE: a character without a piece */
    uint32_t previous, next;
};

struct candidate {
    uint64_t key; /* rank << 32 | left symbol: the smallest comes first */
    uint32_t length;
    int32_t id;
};

struct known_word {
    const char *word;
    uint32_t length, count;
    size_t at; /* its ids are out->ids[at .. at + count) */
};

struct encoder {
    const struct tokenizer *tokenizer;
    struct tokens *out;
    struct symbol *symbols;
    size_t n_symbols, symbol_capacity;
    struct candidate *heap;
    size_t n_heap, heap_capacity;
    struct known_word *known; /* NULL for short texts */
    size_t known_mask;
    enum status status;
    struct diag *diag;
};

/* The ids of one word (BYTES) or segment (SCORES, MERGES): characters, merged by rank. Returns non-zero on failure. */
int encode_word(void *encoder, const char *word, size_t length);
/* What encode_word appends for a character without a piece. */
void encode_unknown(struct encoder *encoder, const char *character, size_t length);
/* A text without special tokens; `space` puts the dummy space in front. */
void encode_pieces(struct encoder *encoder, const char *text, size_t length, int space);

#endif
