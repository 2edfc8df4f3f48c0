/* debate_steps.h - debates as stepwise records: every usable turn in steps, with labels from several sources.
 *
 *   {v, id, prompt, completions: [step, ...], labels: [true, false, null], correct, source: [[round, agent]],
 *    mc: [fraction, ...]}                              (stepwise.h reads them)
 *
 * The prompt is the one that a single agent gets. With `mc` the model continues every turn from the end of each of its
 * steps (all steps of a debate decode together) and the share of continuations that end right is kept; behind the last
 * step there is nothing to continue, so it has its turn's correctness; a step beyond the context has null. The random
 * numbers of a continuation depend on the debate's id, the turn, the step and its own number, so a resumed run makes
 * the same records. */
#ifndef ARKLET_DEBATE_STEPS_H
#define ARKLET_DEBATE_STEPS_H

#include <stddef.h>
#include <stdint.h>
#include "batch.h"
#include "file.h"
#include "progress.h"
#include "prompt.h"
#include "record.h"
#include "step_labels.h"

#define DEBATE_STEPS_SAMPLES 8 /* what is usual */

struct debate_steps_options {
    unsigned sources; /* of step_labels.h */
    const struct prompt_style *style;
    struct record_options records;
    /* mc alone: */
    struct engine *engine;
    size_t context; /* of the engine */
    size_t samples, max_new;
    double threshold;
    float temperature;
    uint64_t seed;

    uint64_t skip;             /* records that the output holds: not made again */
    struct progress *progress; /* may be NULL */
    int (*stop)(void);         /* may be NULL */
};

/* Of this call and what it skipped, but for the labels of skipped records. */
struct debate_steps_summary {
    uint64_t debates, turns, steps;
    uint64_t right, wrong, unknown; /* labels */
    uint64_t tokens;                /* generated */
};

/* Appends a record a usable turn of every debate of `path`. `reader` is the caller's to report on and close. */
enum status debate_steps_run(const struct debate_steps_options *options, const char *path, struct file_stream *out,
                             struct record_reader *reader, struct debate_steps_summary *summary, struct diag *diag);

#endif
