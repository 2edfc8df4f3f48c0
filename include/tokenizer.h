/* tokenizer.h - text to token ids and back: byte-level BPE and SentencePiece, from a GGUF or a Hugging Face folder.
 *
 *   text -> special tokens cut out -> pre-tokeniser (BPE only) -> merges by rank -> ids
 *
 * Three kinds of vocabulary:
 *   VOCABULARY_BYTES   byte-level BPE (Radford et al., 2019): pieces are byte strings, merges have ranks
 *   VOCABULARY_SCORES  SentencePiece BPE (Kudo and Richardson, 2018): the adjacent pair whose union has the highest
 *                      score is merged first; unknown characters become byte tokens <0xXX>
 *   VOCABULARY_MERGES  as SCORES with the ranks of a merge list (Hugging Face's form of the same)
 * A tokenizer never changes after its creation: any number of threads may use one. */
#ifndef ARKLET_TOKENIZER_H
#define ARKLET_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"
#include "status.h"

struct gguf;
struct tokenizer;

#define TOKEN_NONE (-1)
/* A vocabulary or a text beyond these is refused. */
#define TOKENIZER_MAX_PIECES (1u << 24)
#define TOKENIZER_MAX_TEXT   (1u << 30)

enum token_type { /* GGUF's numbers (tokenizer.ggml.token_type) */
                  TOKEN_NORMAL = 1,
                  TOKEN_UNKNOWN = 2,
                  TOKEN_CONTROL = 3,      /* recognised in template text alone, not printed */
                  TOKEN_USER_DEFINED = 4, /* recognised in every text, printed */
                  TOKEN_UNUSED = 5,
                  TOKEN_BYTE = 6
};

enum vocabulary_kind { VOCABULARY_BYTES, VOCABULARY_SCORES, VOCABULARY_MERGES };

/* Where a vocabulary puts a space in front of text ("dummy prefix"). */
enum dummy_space { DUMMY_SPACE_NONE, DUMMY_SPACE_FIRST /* text start */, DUMMY_SPACE_EACH /* after specials too */ };

struct span {
    const char *text; /* no NUL needed */
    size_t length;
};

struct merge {
    struct span left, right; /* pieces as written in the vocabulary */
};

/* What a tokenizer is made of; nothing of it is needed after tokenizer_create. Pieces are written as in the files:
 * BYTES in GPT-2's byte alphabet, the others with U+2581 for a space; control and user-defined ones as plain text. */
struct vocabulary {
    const char *name; /* for messages: the file */
    enum vocabulary_kind kind;
    const char *pre; /* BYTES: name of the pre-tokeniser, see pretokenizer_names() */
    size_t n_pieces;
    const struct span *pieces;
    const float *scores;   /* SCORES; else may be NULL */
    const uint8_t *types;  /* enum token_type, or NULL: all normal */
    const uint8_t *strips; /* or NULL: 1 eats white space before the special token, 2 after it */
    size_t n_merges;
    const struct merge *merges; /* by rank; ones that name unknown pieces can never apply and are ignored */
    int32_t bos, eos, unk, eot; /* TOKEN_NONE where there is none */
    int add_bos;
    enum dummy_space dummy_space;
    int ignore_merges;         /* BYTES: a word that is a piece is taken whole */
    struct span chat_template; /* text NULL: none */
};

enum status tokenizer_create(struct tokenizer **tokenizer, const struct vocabulary *vocabulary, struct diag *diag);
/* From the tokenizer.* keys. STATUS_UNSUPPORTED names an unknown model or pre-tokeniser and lists the known ones. A
 * file without tokenizer.ggml.model, or with "no_vocab" there, gives *tokenizer = NULL and STATUS_OK. */
enum status tokenizer_from_gguf(struct tokenizer **tokenizer, const struct gguf *gguf, struct diag *diag);
/* From tokenizer.json, tokenizer_config.json, chat_template.jinja of a folder, or of the folder of a tokenizer.json; a
 * .json of another name stands for itself alone. No such file: NULL, STATUS_OK. */
enum status tokenizer_from_hf(struct tokenizer **tokenizer, const char *folder, struct diag *diag);
/* Either of them, by what `path` is; here a missing tokenizer is an error. */
enum status tokenizer_load(struct tokenizer **tokenizer, const char *path, struct diag *diag);
void tokenizer_free(struct tokenizer *tokenizer);          /* NULL is allowed */
size_t tokenizer_bytes(const struct tokenizer *tokenizer); /* in memory */

/* A growing list of ids. Start from {0}; `failed` is sticky, as in struct buffer. */
struct tokens {
    int32_t *ids;
    size_t count, capacity;
    int failed;
};

void tokens_append(struct tokens *tokens, int32_t id);
void tokens_free(struct tokens *tokens);

enum encode_flags {
    ENCODE_BOS = 1,     /* BOS in front where the vocabulary adds it */
    ENCODE_SPECIAL = 2, /* control tokens written in the text are recognised */
    ENCODE_CONTINUE = 4 /* the text continues another: no dummy space before its first word */
};

/* Appends the ids of text[0..length) to out. Any bytes are accepted. Byte-level BPE keeps invalid UTF-8 as it is; where
 * the vocabulary lacks a byte's token, a stray byte becomes U+FFFD and a byte inside a character is left out (as other
 * implementations do). SentencePiece writes characters without a piece as byte tokens, else as the unknown token.
 * Fails without memory, beyond TOKENIZER_MAX_TEXT, and where SentencePiece has neither. */
enum status tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t length, unsigned flags,
                             struct tokens *out, struct diag *diag);

/* One text in parts: control tokens are recognised inside template parts alone, and what lies between two special
 * tokens is tokenised as one text whatever parts it spans. ENCODE_SPECIAL is not looked at; with ENCODE_BOS a prompt
 * that brings a BOS of its own gets no second one. */
struct segment {
    const char *text;
    size_t length;
    int is_template;
};

enum status tokenizer_encode_segments(const struct tokenizer *tokenizer, const struct segment *segments, size_t n,
                                      unsigned flags, struct tokens *out, struct diag *diag);

enum decode_flags {
    DECODE_SPECIAL = 1, /* control tokens are printed too */
    DECODE_CONTINUE = 2 /* the text continues another: the first word keeps its space */
};

/* Appends the text of ids[0..n): the inverse of encode, byte for byte. Ids out of range print nothing. */
void tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t n, unsigned flags,
                      struct buffer *out);

/* Decoding as tokens arrive: whole UTF-8 sequences are passed on, an incomplete one waits for its next token. */
struct decoder {
    const struct tokenizer *tokenizer;
    unsigned flags;
    int at_start; /* the next word loses its dummy space */
    size_t n_held;
    char held[4];
};

void decoder_begin(struct decoder *decoder, const struct tokenizer *tokenizer, unsigned flags);
void decoder_put(struct decoder *decoder, int32_t id, struct buffer *out);
void decoder_end(struct decoder *decoder, struct buffer *out); /* what is still held, as it is */

/* The bytes of a token (spaces as spaces) and a NUL, NULL when out of range; control tokens give their name. */
const char *tokenizer_piece(const struct tokenizer *tokenizer, int32_t id, size_t *length);
enum token_type tokenizer_type(const struct tokenizer *tokenizer, int32_t id);
/* The id whose piece is exactly these bytes, specials first; TOKEN_NONE. */
int32_t tokenizer_find(const struct tokenizer *tokenizer, const char *text, size_t length);
size_t tokenizer_vocab_size(const struct tokenizer *tokenizer);
int32_t tokenizer_bos(const struct tokenizer *tokenizer); /* TOKEN_NONE where there is none */
int32_t tokenizer_eos(const struct tokenizer *tokenizer);
int tokenizer_adds_bos(const struct tokenizer *tokenizer);
int tokenizer_is_eog(const struct tokenizer *tokenizer, int32_t id);    /* generation ends here */
const char *tokenizer_chat_template(const struct tokenizer *tokenizer); /* NULL: none */

/* The known pre-tokenisers, comma separated, for messages. */
const char *pretokenizer_names(void);

#endif
