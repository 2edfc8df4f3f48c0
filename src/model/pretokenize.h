/* pretokenize.h - cutting text into the words that byte-level BPE merges inside of (private to src/model). */
#ifndef ARKLET_PRETOKENIZE_H
#define ARKLET_PRETOKENIZE_H

#include <stddef.h>
#include "unicode.h"

/* A text under a matcher: positions run in [0, end); what follows `end` is not looked at. */
struct scan {
    const char *text;
    size_t end;
    size_t skip; /* set by a matcher that found nothing: no match begins before this position either */
    struct unicode_run run;
};

/* The end of the match that begins exactly at pos (pos < end), or 0. */
typedef size_t matcher(struct scan *scan, size_t pos);

matcher match_gpt2, match_llama3, match_qwen2, match_qwen35, match_tekken, match_gpt4o;
matcher match_deepseek3, match_deepseek_cased, match_deepseek_marks, match_deepseek_cjk, match_kana_han;
matcher match_newline, match_space_letters, match_space_punctuation, match_trailing_space;
matcher match_punctuation, match_default_punctuation, match_number, match_digit, match_digits_3, match_ascii_digits_3;

#define PRETOKENIZER_STAGES 6

/* The text is cut by the first matcher; every part, match or gap, is cut by the next one, and so on. */
struct pretokenizer {
    const char *names; /* GGUF's tokenizer.ggml.pre, separated by spaces */
    matcher *stages[PRETOKENIZER_STAGES];
    int ignore_merges; /* a word that is a piece is taken whole */
    int add_bos;       /* when the file does not say */
};

/* NULL for an unknown name. */
const struct pretokenizer *pretokenizer_find(const char *name, size_t length);

/* Receives the words in order; a non-zero return stops the cutting and is passed on. */
typedef int word_sink(void *context, const char *word, size_t length);
int pretokenize(const struct pretokenizer *pretokenizer, const char *text, size_t length, word_sink *sink,
                void *context);

#endif
