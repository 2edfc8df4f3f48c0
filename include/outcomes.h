/* outcomes.h - what evaluations came to: their records read back, means with intervals, two evaluations compared.
 *
 *   eval.jsonl -> per question: correct, em, f1, rouge, samples, rounds -> means, 95 % intervals -> table, JSON
 *   two of them, joined by id -> paired bootstrap, McNemar
 *
 * Shares (accuracy, exact match, any sample right) have Wilson intervals, other means bootstrap ones (stats.h). Reads
 * the records of eval, of eval --debate, of debate and of grade. Memory: some 30 bytes a question and measure, and its
 * id. */
#ifndef ARKLET_OUTCOMES_H
#define ARKLET_OUTCOMES_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"
#include "record.h"
#include "stats.h"

enum outcome_measure {
    OUTCOME_ACCURACY, /* numbers, mathematics, choices */
    OUTCOME_EM,       /* spans */
    OUTCOME_F1,
    OUTCOME_ROUGE1, /* summaries */
    OUTCOME_ROUGE2,
    OUTCOME_ROUGEL,
    OUTCOME_SAMPLE, /* of several samples, or the first answers of a debate: their mean */
    OUTCOME_ANY,    /* one of them is right */
    OUTCOME_ROUND,  /* mean agent after round 1; later rounds follow */
    OUTCOME_MEASURES = OUTCOME_ROUND + 16
};

struct outcome_series {
    double *values; /* [n] */
    size_t n, room;
};

struct outcome {
    const char *id;
    size_t order;
    double score; /* correct, f1 or rougeL by kind */
    int correct;  /* 1, 0; -1: not measured so */
};

/* Sums of the step metrics (method.md section 6). */
struct outcome_process {
    uint64_t outputs, steps, equations, true_equations, grounded;
    uint64_t wrong, corrected, repeats; /* steps */
    uint64_t with_error, with_check;    /* outputs */
    uint64_t first_error_sum;           /* of the 1-based positions of first errors */
};

/* Start from {0} with `process` and `seed` set; free with outcomes_free. */
struct outcomes {
    int process; /* sum step metrics too; outputs without them are read step by step */
    uint64_t seed;

    struct outcome_series series[OUTCOME_MEASURES];
    struct outcome *list; /* [n] with a gold answer */
    size_t n, room, records, unanswered, truncated, rounds;
    uint64_t tokens;
    struct outcome_process sums;
    struct arena arena;
    int ready;
};

/* Counts a record. STATUS_FORMAT when it is none of an evaluation. */
enum status outcomes_add(struct outcomes *outcomes, const struct record *record, struct diag *diag);
/* All records of a file. */
enum status outcomes_read(struct outcomes *outcomes, const char *path, struct diag *diag);
void outcomes_free(struct outcomes *outcomes);

/* Mean and interval of a measure; n of them. Fails only for memory. */
enum status outcomes_interval(struct stats_interval *interval, size_t *n, const struct outcomes *outcomes,
                              enum outcome_measure measure, struct diag *diag);

struct outcome_comparison {
    size_t n;           /* joined by id */
    size_t left, right; /* in one alone */
    double mean, other; /* of the joined questions */
    struct stats_paired paired;
    size_t n_binary, only_left, only_right; /* right here alone, right there alone */
    double mcnemar;                         /* p of McNemar's exact test */
};

/* left - right. Records of one id are paired in order. Fails only for memory; sorts both lists. */
enum status outcomes_compare(struct outcome_comparison *comparison, struct outcomes *left, struct outcomes *right,
                             struct diag *diag);

/* A table "measure value low high n", also of a comparison (may be NULL). */
enum status outcomes_put(struct buffer *out, const struct outcomes *outcomes,
                         const struct outcome_comparison *comparison, struct diag *diag);
/* The same as members of a JSON object, without braces. */
enum status outcomes_put_json(struct buffer *out, const struct outcomes *outcomes,
                              const struct outcome_comparison *comparison, struct diag *diag);

#endif
