/* tokenizer_train.h - learning a byte-level BPE vocabulary from text, and writing a vocabulary to a file.
 *
 *   texts -> special tokens cut out -> pre-tokeniser -> counted words -> merges -> struct vocabulary
 *
 * (Sennrich et al., 2016; bytes as in Radford et al., 2019.) Ids: the special tokens in the given order, the 256 bytes
 * in the order of GPT-2's alphabet, the merges by rank; so any text can be written. Equally frequent pairs are merged
 * in the order of their ids. These are the choices of Hugging Face's BpeTrainer with ByteLevel's alphabet, and give its
 * merges; unlike there, a special token that stands in the text is cut out and not learnt from, and a file is one text
 * and not one per line. The result depends on the texts and their order alone. */
#ifndef ARKLET_TOKENIZER_TRAIN_H
#define ARKLET_TOKENIZER_TRAIN_H

#include <stddef.h>
#include <stdint.h>
#include "progress.h"
#include "status.h"
#include "tokenizer.h"

struct tokenizer_train_options {
    const char *pre;             /* one of tokenizer_train_pres() */
    size_t vocab_size;           /* specials and bytes included: n_specials + 256 to TOKENIZER_MAX_PIECES */
    uint64_t min_count;          /* pairs that occur less often are not merged; 1 and more */
    const char *const *specials; /* distinct UTF-8 texts of 2 to 256 bytes */
    size_t n_specials;
    const char *bos, *eos;     /* among the specials, or NULL: none */
    int add_bos;               /* BOS in front of every text */
    struct span chat_template; /* text NULL: none */
};

struct tokenizer_trainer;

/* The pre-tokenisers that both file forms can name, space separated. */
const char *tokenizer_train_pres(void);

/* Checks the options (STATUS_RANGE, STATUS_UNSUPPORTED); the strings must stay until tokenizer_trainer_free. */
enum status tokenizer_trainer_create(struct tokenizer_trainer **trainer, const struct tokenizer_train_options *options,
                                     struct diag *diag);
void tokenizer_trainer_free(struct tokenizer_trainer *trainer); /* NULL is allowed */

/* Counts the words of one text; `name` labels messages. */
enum status tokenizer_trainer_add_text(struct tokenizer_trainer *trainer, const char *text, size_t length,
                                       const char *name, struct diag *diag);
/* A file: one text ("-" is standard input), or, where the name ends in .jsonl, one per string "text", "prompt",
 * "completion" and "content" anywhere in its records. */
enum status tokenizer_trainer_add_file(struct tokenizer_trainer *trainer, const char *path, struct diag *diag);

struct tokenizer_train_report {
    uint64_t n_bytes, n_words; /* of all texts, specials not counted */
    size_t n_distinct;         /* words */
    size_t n_pieces, n_merges;
    uint64_t n_tokens; /* of all texts under the new vocabulary */
};

/* Learns the merges. *vocabulary belongs to the trainer. It has fewer pieces than asked for when the texts run out of
 * pairs. progress and stop (not 0: STATUS_STOPPED) may be NULL. */
enum status tokenizer_trainer_run(struct tokenizer_trainer *trainer, struct progress *progress, int (*stop)(void),
                                  const struct vocabulary **vocabulary, struct tokenizer_train_report *report,
                                  struct diag *diag);

/* Writes a vocabulary of kind VOCABULARY_BYTES: as a GGUF without tensors when the name ends in .gguf, as
 * tokenizer.json when it ends in .json (with tokenizer_config.json beside it when that is its whole name), else as
 * a folder of the two. Each file appears only when it is whole. */
enum status tokenizer_write(const struct vocabulary *vocabulary, const char *path, struct diag *diag);

#endif
