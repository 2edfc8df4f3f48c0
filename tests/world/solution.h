/* solution.h - solutions in words: right ones in several orders, and wrong ones with one planted error.
 *
 *   "Ben has 12 + 5 = 17.\n\nTogether they have 12 + 17 = 29.\n\n#### 29"
 *
 * A sum whose second number has two digits that count is done in two equations, tens first and then units, which is
 * what makes addition learnable for small models:   "Ben has 47 + 38 = 77 + 8 = 85." */
#ifndef ARKLET_WORLD_SOLUTION_H
#define ARKLET_WORLD_SOLUTION_H

#include "story.h"

struct solution_line {
    int step; /* of the story */
    char op;
    int a, b, value;
    int slip; /* the arithmetic is wrong here: by how much */
};

struct solution {
    const struct story *story;
    struct solution_line lines[STORY_MAX_STEPS];
    int n_lines;
    int answer;
    int wrong_line; /* of the planted error, -1: none. A step left out counts where it is missed */
};

/* The needed steps, mostly in the story's order, with sums and products turned round now and then. */
void solution_draw(struct solution *solution, const struct story *story, struct draw *draw);
/* Plants one error into a right solution and computes what follows from it. Returns 0 when that spoils the solution
 * (a value out of range, or the right answer after all): it is then of no use. */
int solution_spoil(struct solution *solution, struct draw *draw);
void solution_put(struct buffer *out, const struct solution *solution);
/* "47 + 38" and " = 77 + 8 = 85". */
void solution_put_sum(struct buffer *left, struct buffer *right, char op, int a, int b, int value);

#endif
