/* step_labels.h - labels for the steps of a debate's turns, from several sources (method.md section 3, Labels).
 *
 *   outcome    every step is as right as the solution's answer
 *   debate     of a wrong turn, the first step that departs from what right turns of later rounds say (of the last
 * round in its own; departure.h), or that the next round's name ("solution 2 ... step 3", with --critique): wrong,
 *              those before it right, the rest is ignored; the steps of a right turn are right
 *   mc         a step is right when more than a threshold of the model's own continuations from it end right
 *              (Math-Shepherd, arXiv 2312.08935); after the first wrong one the rest is ignored
 *   equation   a step that states a false equation is wrong and the rest ignored; one whose equations are all true is
 *              right; one without equations is left to the other sources
 *
 * A position keeps its label when no source ignores it, at least one judges it and all that do agree (consensus
 * filtering, arXiv 2501.07301); else it is unknown. */
#ifndef ARKLET_STEP_LABELS_H
#define ARKLET_STEP_LABELS_H

#include <stddef.h>
#include "arena.h"
#include "departure.h"
#include "status.h"
#include "transcript.h"

enum step_label_source {
    STEP_LABELS_OUTCOME = 1,
    STEP_LABELS_DEBATE = 2,
    STEP_LABELS_MC = 4,
    STEP_LABELS_EQUATION = 8
};

#define STEP_LABEL_SOURCES "outcome,debate,mc,equation"

/* What a source says of a step. */
enum step_verdict { VERDICT_WRONG, VERDICT_RIGHT, VERDICT_SILENT, VERDICT_IGNORE };

/* A turn that can be judged: what stands alone of it, in steps. */
struct labelled_turn {
    const struct transcript_turn *turn;
    const char *text;
    size_t length;
    size_t n_steps;
    struct departure_text *steps; /* [n_steps] */
    double *fractions;            /* [n_steps] of mc continuations that end right; NULL: not sampled; NaN: that step */
    int *labels;                  /* [n_steps] 0, 1, STEP_UNKNOWN (stepwise.h) */
};

/* Comma-separated names to a set of sources; 0 when one is unknown or none is given. */
unsigned step_labels_named(const char *names);

/* The turns of a debate: complete, of known correctness, standing alone, each text once. Arrays in arena. */
enum status step_labels_turns(struct labelled_turn **turns, size_t *n, const struct transcript *transcript,
                              struct arena *arena, struct diag *diag);
/* Labels one of them by the sources; `mc` needs fractions. Fails only for memory. */
enum status step_labels_judge(struct labelled_turn *turn, const struct transcript *transcript, unsigned sources,
                              double mc_threshold, struct arena *arena, struct diag *diag);
/* What several sources say of a step together: 0, 1 or STEP_UNKNOWN. */
int step_labels_combine(const enum step_verdict *verdicts, size_t n);

#endif
