/* departure.h - where a solution leaves what better ones say.
 *
 *   question    3 boxes of 4, 5 eaten               numbers known: 3 4 5, and those of the references
 *   reference   3 * 4 = 12      12 - 5 = 7          12 7
 *   solution    3 * 4 = 12      12 - 5 = 8      #### 8
 *                               ^ step 1: 8 is in neither, so here it departs
 *
 * A step departs when it states a number that neither the question nor any reference states. Numbers that count lines
 * ("2. Then ...", "Step 2:") are none. Steps are those of steps.h. */
#ifndef ARKLET_DEPARTURE_H
#define ARKLET_DEPARTURE_H

#include <stddef.h>
#include "status.h"

struct departure_text {
    const char *text;
    size_t length;
};

/* *step gets the index of the first step of `solution` that departs, SIZE_MAX when none does (or there are no
 * references). Fails only for memory. */
enum status departure_find(size_t *step, const char *question, const struct departure_text *references,
                           size_t n_references, const struct departure_text *solution, struct diag *diag);

/* Does a text lean on other solutions ("the other agents", "solution 2", "my previous answer"), so that it cannot be
 * understood alone? */
int departure_leans(const char *text, size_t length);
/* *alone gets what of a text can be understood alone: all of it, or what follows an opening step that leans on others
 * and states no number but the question's ("From the other solutions I see that:"); length 0 when it leans beyond that.
 * Without white space around it. Fails only for memory. */
enum status departure_alone(struct departure_text *alone, const char *question, const char *text, size_t length,
                            struct diag *diag);

#endif
