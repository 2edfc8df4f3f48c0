/* solutions.h - solutions in steps out of any record, scored by a reward model.
 *
 *   {prompt, completions, labels}, MR-GSM8K, BIG-Bench-Mistake    one solution, labelled (stepwise.h)
 *   {question, turns}                                             one a turn of a debate (transcript.h)
 *   {question, output} or {question, samples}                     one an output or sample of an evaluation
 *
 * A scored record is the record with `v`, `id` and `scores`: a list with a number in -1..1 a step (null beyond the
 * token limit), or such a list for each turn or sample, in their order. Prompts of debates and evaluations are those of
 * the question alone (prompt_solve), whatever the agent had read. Memory: a batch of records. */
#ifndef ARKLET_SOLUTIONS_H
#define ARKLET_SOLUTIONS_H

#include <stddef.h>
#include <stdint.h>
#include "example.h"
#include "file.h"
#include "prm.h"
#include "progress.h"
#include "prompt.h"
#include "record.h"
#include "resume.h"
#include "step_metrics.h"
#include "stepwise.h"

struct solution {
    struct stepwise steps; /* n_steps 0: a text without any */
    int correct;           /* the whole: 1, 0; -1 not known */
};

struct solutions {
    struct solution *list; /* [n] in the arena */
    size_t n;
    int nested;        /* scores are a list of lists */
    uint64_t question; /* hash of the question's or prompt's text */
};

/* style may be NULL: then the prompts of debates and evaluations are left out (NULL). Memory from arena. */
enum status solutions_read(struct solutions *solutions, const struct record *record, const struct prompt_style *style,
                           struct arena *arena, struct diag *diag);
/* Adds the scored solutions (steps.scores is there) of a record. */
enum status solutions_measure(struct step_metrics *metrics, const struct solutions *solutions, struct diag *diag);
/* All scored records of a file. Records without scores are STATUS_FORMAT. */
enum status solutions_measure_file(struct step_metrics *metrics, const char *path, struct diag *diag);

struct solutions_options {
    struct step_scorer *scorer;
    struct example_format format; /* max_len: of a solution with its prompt; at most the scorer's tokens */
    struct prompt_style style;
    size_t batch; /* solutions that are scored together */
    struct progress *progress;
    int (*stop)(void);
};

struct solutions_summary { /* of this call */
    uint64_t records, solutions, steps, cut, tokens;
    double seconds;
};

/* Scores the records of `records`, but for those that `resume` holds, and appends them to out; adds them to metrics. */
enum status solutions_score(const struct solutions_options *options, struct record_reader *records,
                            struct resume *resume, struct file_stream *out, struct step_metrics *metrics,
                            struct solutions_summary *summary, struct diag *diag);

#endif
