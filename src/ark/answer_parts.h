/* answer_parts.h - what the answer_*.c files share.
 *
 * All of them but answer_span.c and rouge.c work on "plain" text: answer_plain has turned the Unicode signs that occur
 * in answers into ASCII or LaTeX (a minus sign, x for times, one half, pi, full-width digits). */
#ifndef ARKLET_ANSWER_PARTS_H
#define ARKLET_ANSWER_PARTS_H

#include <stdint.h>
#include <string.h>
#include "answer.h"

struct slice {
    const char *text;
    size_t length;
};

/* ---- bytes ---- */

static inline int answer_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline int answer_is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline int answer_is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static inline char answer_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static inline struct slice answer_slice(const char *text, size_t begin, size_t end)
{
    struct slice s = {text + begin, end > begin ? end - begin : 0};

    return s;
}

/* Does text have `word` (lower case) at position i, whatever its case? */
int answer_has(struct slice text, size_t i, const char *word);
struct slice answer_trim(struct slice text);

/* ---- answer_plain.c ---- */

/* Appends the plain form; NUL bytes become spaces. */
void answer_plain(struct buffer *out, const char *text, size_t length);

/* ---- answer_token.c: numbers in plain text ---- */

struct answer_token {
    size_t begin, end;
    struct slice whole;    /* "1,234.5"; empty for a bare fraction */
    struct slice num, den; /* of a fraction, which may follow a whole number: 1 1/2 */
    long exponent;         /* of ten */
    int negative, percent;
    int is_text; /* a time, ratio or date: 5:30, 5/12/2020 */
};

/* The next number at or after `from`; 0: none. */
int answer_token_next(struct answer_token *token, struct slice text, size_t from);
/* Appends its normalised form: -1234.5, 1/2, 50%, 5:30. */
void answer_token_put(struct buffer *out, struct slice text, const struct answer_token *token);

/* Digits, maybe a sign and a point, at most 18 of them, as n / d in lowest terms; 0: they do not fit. */
int answer_rational(int64_t *n, int64_t *d, struct slice text);

/* ---- answer_number.c ---- */

/* The number that a statement gives: its first one that is not denied, or what that is said to equal. 0: none. */
int answer_stated_number(struct answer_token *token, struct slice text);

/* A normalised number. */
struct answer_number {
    int percent;
    int exact; /* n / d in lowest terms */
    int64_t n, d;
    double value;
    int places;      /* digits behind the point of a decimal; 0: a whole number; -1: a fraction or formula */
    int significant; /* digits of a decimal */
};

/* Is the whole text a normalised number? */
int answer_number_read(struct answer_number *number, const char *text);
int answer_number_same(const struct answer_number *a, const struct answer_number *b);
/* n / d in lowest terms with d > 0; 0 on overflow or d = 0. */
int answer_reduce(int64_t *n, int64_t *d);
int answer_multiply(int64_t *product, int64_t a, int64_t b); /* 0 on overflow */

/* ---- answer_find.c: where a text states its answer ---- */

enum answer_mark {
    MARK_NONE,
    MARK_CUT,  /* the text ends inside its answer */
    MARK_FOUND /* *content is it */
};

/* The content of the last \boxed{...} or <answer>...</answer>. */
enum answer_mark answer_find_boxed(struct slice *content, struct slice text);
/* The last "answer is ..." in front of *before (start with text.length), up to the end of the text; *before becomes the
 * marker's place, to look for the one before (ANSWER_PHRASES at most). With `choice` also "option is ..."; without,
 * lines that begin "A:". */
enum answer_mark answer_find_phrase(struct slice *content, struct slice text, size_t *before, int choice);
#define ANSWER_PHRASES 32
/* The last "#### ...": the rest of its line. */
enum answer_mark answer_find_hashes(struct slice *content, struct slice text);
/* The end of the sentence that starts at `from`, at most 1000 bytes on. */
size_t answer_sentence_end(struct slice text, size_t from);

/* ---- by kind: append the normalised answer; return 0 when there is none ---- */

int answer_find_number(struct buffer *out, struct slice text, int cut);
int answer_find_choice(struct buffer *out, const struct answer_key *key, struct slice text, int cut);
int answer_find_math(struct buffer *out, struct slice text, int cut);
/* The number that a boxed text or a gold states: the value of a formula, else the number behind the last '=', else the
 * first one; else the text itself. */
void answer_number_of(struct buffer *out, struct slice text);

/* ---- answer_latex.c ---- */

/* Appends the one spelling of a formula. */
void answer_latex_clean(struct buffer *out, struct slice text);
/* A clean text without units at its end and words in front; *percent tells of a percent sign among them. */
struct slice answer_strip_units(struct slice text, int *percent);

/* ---- answer_math.c ---- */

/* Do two clean formulas mean the same? */
int answer_math_same(const char *a, const char *b);

/* ---- answer_span.c ---- */

/* Appends SQuAD's normal form: lower case, without ASCII punctuation and articles, single spaces. */
void answer_span_normalise(struct buffer *out, const char *text, size_t length);
/* Token F1 of two normal forms as HotpotQA defines it (yes, no, noanswer match themselves alone). -1: out of memory. */
double answer_span_f1(const char *prediction, const char *gold);

#endif
