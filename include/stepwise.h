/* stepwise.h - solutions in steps with a label each, as reward models learn and judge them.
 *
 * Forms read: TRL's stepwise supervision {prompt, completions, labels}; MR-GSM8K {question, model_output_steps,
 * model_output_solution_first_error_step (1-based)}; BIG-Bench-Mistake {input, steps, mistake_index (0-based or null)}.
 * After a first wrong step nothing is known of the rest: such labels are STEP_UNKNOWN. */
#ifndef ARKLET_STEPWISE_H
#define ARKLET_STEPWISE_H

#include <stddef.h>
#include "json.h"
#include "status.h"

#define STEP_UNKNOWN (-1)

struct stepwise {
    const struct json *prompt; /* a string or a list of messages, in the record */
    const char *after_prompt;  /* text between prompt and first step: "" or "\n\n" */
    size_t n_steps;
    const struct json **steps; /* [n_steps] strings, in the record */
    int *labels;               /* [n_steps] 0 wrong, 1 right, STEP_UNKNOWN */
    int labelled;              /* at least one is known */
    int correct;               /* the whole solution ("correct"): 1, 0, STEP_UNKNOWN */
    double *scores;            /* [n_steps], or NULL when the record has none */
};

/* Arrays are placed in arena. */
enum status stepwise_read(struct stepwise *stepwise, const struct json *record, struct arena *arena, const char *where,
                          struct diag *diag);
/* First step labelled wrong; n_steps when there is none. */
size_t stepwise_first_error(const struct stepwise *stepwise);

#endif
