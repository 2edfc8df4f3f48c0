/* steps_parts.h - the equations of a line, for steps.c. */
#ifndef ARKLET_STEPS_PARTS_H
#define ARKLET_STEPS_PARTS_H

#include "answer_parts.h"

#define STEPS_OPERANDS 16 /* of an equation that are looked at for grounding */

struct steps_equation {
    uint64_t hash;      /* of both sides, normalised: 3*4=12 */
    uint64_t left_hash; /* of the side that is arithmetic */
    double left, right;
    int is_true;
    int chained;                     /* its left side is the right side of the equation before it: b = c in a = b = c */
    double operands[STEPS_OPERANDS]; /* of the arithmetic side */
    size_t n_operands;
};

typedef void steps_equation_found(void *context, const struct steps_equation *equation);

/* Calls found for every equation of a plain line (no newline in it). scratch is cleared and used. */
void steps_equations(struct slice line, struct buffer *scratch, steps_equation_found *found, void *context);

#endif
