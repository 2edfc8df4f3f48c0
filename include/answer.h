/* answer.h - finding the answer in a text, and telling whether it is right.
 *
 *   text --(thinking blocks left out)--> extraction by kind --> normalised prediction --(same as a gold?)--> grade
 *
 *   number   last "#### x", else last \boxed{x}, else "answer is x", else the last number
 *   math     last \boxed{x}, else "answer is x", else the last formula or number; compared as expressions
 *   choice   boxed letter, else "answer is (X)", else the last standalone letter
 *   span     what stands behind "answer is", else the whole text; exact match and token F1
 *   summary  the whole text; ROUGE-1, 2, L
 *
 * Any bytes are accepted. Time is linear in the text, except ROUGE-L (words of text x words of gold / 64). */
#ifndef ARKLET_ANSWER_H
#define ARKLET_ANSWER_H

#include <stddef.h>
#include "arena.h"
#include "status.h"

enum answer_kind { ANSWER_NUMBER, ANSWER_MATH, ANSWER_CHOICE, ANSWER_SPAN, ANSWER_SUMMARY };

#define ANSWER_KINDS       "number|math|choice|span|summary"
#define ANSWER_MAX_OPTIONS 26

/* What is right. All strings belong to the caller. */
struct answer_key {
    enum answer_kind kind;
    const char *const *golds; /* normalised by answer_gold; any of them is right. None: nothing is */
    size_t n_golds;
    const char *const *options; /* of a choice, without their letters; may be unknown (0) */
    size_t n_options;
};

const char *answer_kind_name(enum answer_kind kind);
/* Returns 0 when the name is none of ANSWER_KINDS. */
int answer_kind_named(enum answer_kind *kind, const char *name);

/* *prediction gets the normalised answer of the text (in arena), or NULL when it has none. `cut`: the text was ended by
 * the token limit, so an answer that touches its end is none. The only failure is STATUS_MEMORY. */
enum status answer_extract(const char **prediction, const struct answer_key *key, const char *text, size_t length,
                           int cut, struct arena *arena, struct diag *diag);
/* The normalised form of a gold answer as a data set states it: "1,080" is 1080, "$\frac12$" is \frac12. */
enum status answer_gold(const char **gold, enum answer_kind kind, const char *text, size_t length, struct arena *arena,
                        struct diag *diag);

/* Do two normalised answers (predictions or golds; NULL: none, equal to nothing) mean the same? For votes. Spans and
 * summaries: equal after SQuAD's normalisation. */
int answer_same(const struct answer_key *key, const char *a, const char *b);
/* The same as one of the golds? */
int answer_correct(const struct answer_key *key, const char *prediction);

/* Everything at once. For spans and summaries `correct` is the exact match. */
struct answer_grade {
    const char *prediction;
    int correct;
    double em, f1;                 /* ANSWER_SPAN; the best of the golds each */
    double rouge1, rouge2, rougeL; /* ANSWER_SUMMARY: F-measures */
    double score;                  /* the kind's figure of merit: correct, f1, rougeL */
};

enum status answer_grade(struct answer_grade *grade, const struct answer_key *key, const char *text, size_t length,
                         int cut, struct arena *arena, struct diag *diag);

/* The part of a text that is not thinking: what follows the last </think>, nothing when a <think> is not closed. */
void answer_visible(const char **text, size_t *length);

#endif
