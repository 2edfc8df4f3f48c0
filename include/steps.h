/* steps.h - a solution step by step: are its stated equations true, does it check and correct itself, does it loop?
 *
 *   "She has 3 boxes of 4, 3 * 4 = 12.\n\nShe eats 5, 12 - 5 = 8.\n\nWait, 12 - 5 = 7."
 *   step 0: true, grounded (3 and 4 are in the question)   step 1: false, the first error   step 2: checks, corrects
 * step 1
 *
 * A step ends at a blank line or at the end of the text (the rule of step_tokens.h). An equation is counted when one of
 * its sides is arithmetic on constants: a chain a = b = c is two. "=" holds exactly or to the decimals that are
 * printed, an approximate sign also to whole numbers and within 1 %. Algebra (2x = 10) and definitions (1 hour = 60
 * minutes) are none. */
#ifndef ARKLET_STEPS_H
#define ARKLET_STEPS_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"
#include "status.h"

/* The next step at or behind *from, as text[*begin..*end) without white space around it; moves *from. 0: there is none.
 */
int steps_next(size_t *begin, size_t *end, const char *text, size_t length, size_t *from);

struct step {
    size_t begin, end;
    uint32_t n_equations, n_true;
    /* whose operands are in the question, earlier results or usual constants (1 2 7 12 24 60 ...); of a chain a = b = c
     * also b = c when a = b is true and grounded: sums are done in parts, 48 + 24 = 68 + 4 = 72 */
    uint32_t n_grounded;
    int wrong;     /* states a false equation */
    int checks;    /* "let me check", "wait", "verify" ... */
    int corrected; /* wrong, and a later step states the same left side truly, or checks and is right */
    int repeats;   /* says what an earlier step said */
};

struct steps {
    struct step *step; /* [n] in the arena */
    size_t n;
    size_t n_equations, n_true, n_grounded;
    size_t n_wrong, n_corrected, n_checks, n_repeats; /* steps */
    size_t first_error;                               /* index of the first wrong step; n: none */
};

/* question may be NULL: then nothing is grounded but on earlier results and constants. Time is linear in the texts but
 * for grounding (operands x known numbers, both bounded). Fails only for memory. */
enum status steps_read(struct steps *steps, const char *question, const char *text, size_t length, struct arena *arena,
                       struct diag *diag);

/* What a solution computes: the multiset of its normalised equations and numbers, as sorted hashes. */
struct steps_signature {
    uint64_t *hashes; /* [n] in the arena */
    size_t n;
};

enum status steps_signature(struct steps_signature *signature, const char *text, size_t length, struct arena *arena,
                            struct diag *diag);
/* 1 - Jaccard of the multisets (sum of minima / sum of maxima); 0 for two empty ones. */
double steps_distance(const struct steps_signature *a, const struct steps_signature *b);

#endif
