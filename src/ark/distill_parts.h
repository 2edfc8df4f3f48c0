/* distill_parts.h - what the files of distill share: the run, its paths, stages, models. */
#ifndef ARKLET_DISTILL_PARTS_H
#define ARKLET_DISTILL_PARTS_H

#include "batch.h"
#include "distill.h"
#include "example.h"
#include "json.h"
#include "outcomes.h"
#include "prompt.h"
#include "train_run.h"

struct distill_set { /* questions to evaluate on */
    const char *name, *path;
};

/* In tokens of one model; distill_lengths.c. */
struct distill_lengths {
    size_t most;      /* positions that a sequence may have at most; the others are no more */
    size_t solve;     /* of the longest question alone with its answer */
    size_t debate;    /* of the longest question with all agents' last answers and a new one */
    size_t questions; /* of the set that has most */
};

struct distill {
    const struct distill_options *options;
    struct exec exec;
    struct arena arena; /* of the run: paths, results */
    struct distill_set sets[DISTILL_MAX_SETS];
    size_t n_sets;
    const char *train, *dev; /* questions; dev NULL: none */

    /* The model in memory. */
    struct model *model;
    const char *model_path;
    struct chat_template chat;
    struct prompt_style style;
    struct distill_lengths lengths;
    size_t aside; /* bytes beside weights and work: its tokenizer, the program */
};

/* "<folder>/<formatted>", in the run's arena; NULL without memory. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
const char *
distill_path(struct distill *d, const char *format, ...);
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void distill_say(const struct distill *d, const char *format, ...);
enum status distill_no_memory(struct diag *diag);
int distill_wants(const struct distill *d, enum distill_row row);
int distill_needs_debate(const struct distill *d); /* do the wanted rows learn from the teacher's debates? */
int distill_is_debate(enum distill_row row);       /* answers by a debate's vote */

/* The result of a complete stage as an object, NULL when there is none. */
const struct json *distill_result(struct distill *d, const char *stage);
/* Why a row was left out; NULL: it was not. */
const char *distill_left_out(struct distill *d, enum distill_row row);
/* ,"left_out":"..." */
void distill_put_left_out(struct buffer *result, const char *reason);

/* What the questions need of a model with these prompts that was trained on so many positions. */
enum status distill_measure_lengths(struct distill *d, struct distill_lengths *lengths,
                                    const struct prompt_style *style, size_t trained, struct diag *diag);
/* What is left of mem_limit for weights and work; 0: there is no limit. */
size_t distill_limit(const struct distill *d);
/* An engine for sequences of one of these lengths, as many as can be in work at once. */
struct engine_options distill_engine_options(const struct distill_options *options,
                                             const struct distill_lengths *lengths, size_t context);
size_t distill_label_context(const struct distill_options *options,
                             const struct distill_lengths *lengths); /* of Monte-Carlo labels */
size_t distill_pass(size_t context);                                 /* tokens of a learner's pass over rollouts */
/* The engines of reinforcement, of rollouts and of dev questions, so that all of it fits into mem_limit if it can; the
 * bytes that it takes beside the weights. */
size_t distill_reinforcing(const struct distill *d, const struct config *config, size_t weights, int with_prm,
                           struct engine_options *rollouts, struct engine_options *dev);
/* Brings a model into memory, in place of the one that is there. */
enum status distill_use(struct distill *d, const char *path, struct diag *diag);
enum status distill_engine(struct distill *d, struct engine **engine, size_t context, struct diag *diag);
/* The adapter that a row trained, for the model in memory. */
enum status distill_adapter(struct distill *d, struct adapter **adapter, const char *name, struct diag *diag);

/* What the learners share: the run in a folder that is made with its checkpoint/, how records become tokens, how they
 * train, a new adapter.
 */
enum status distill_run_folder(struct distill *d, struct train_run_options *run, const char *name, struct diag *diag);
struct example_format distill_format(const struct distill *d);
struct backward_options distill_backward(const struct distill_options *options, size_t max_tokens, size_t head_rows);
struct train_options distill_train(const struct distill *d, double lr);
enum status distill_fresh(struct distill *d, struct adapter **adapter, int score, struct diag *diag);
int distill_is_empty(const char *path); /* or not there */

/* ,"name":value for each of these columns of a learner's metrics.csv: the last row's. So they do not depend on where a
 * run was interrupted. columns end with NULL. */
void distill_put_metrics(struct distill *d, const char *name, const char *const *columns, struct buffer *result);

/* Stages: what they came to is appended to result as JSON members, each with a comma in front. */
typedef enum status distill_work(struct distill *d, enum distill_row row, struct buffer *result, struct diag *diag);

enum status distill_split(struct distill *d, enum distill_row row, struct buffer *result, struct diag *diag);
enum status distill_debate(struct distill *d, enum distill_row row, struct buffer *result, struct diag *diag);
enum status distill_sample(struct distill *d, enum distill_row row, struct buffer *result, struct diag *diag);
enum status distill_select(struct distill *d, enum distill_row row, struct buffer *result, struct diag *diag);
enum status distill_fine_tune(struct distill *d, enum distill_row row, struct buffer *result, struct diag *diag);
enum status distill_prm(struct distill *d, enum distill_row row, struct buffer *result, struct diag *diag);
enum status distill_reinforce(struct distill *d, enum distill_row row, struct buffer *result, struct diag *diag);
enum status distill_evaluate(struct distill *d, enum distill_row row, struct buffer *result, struct diag *diag);
struct distill_measured { /* a row on a set */
    int there;
    struct stats_interval value, sampled, vote; /* n 0: not measured */
    size_t n, n_sampled, n_vote;
    double tokens, vote_tokens; /* of a question: its answer, its votes together */
    double equations;           /* share that is true, NaN: none is stated */
    int compared;
    struct outcome_comparison comparison; /* with the base */
};

/* rows[DISTILL_ROWS] get what was measured on a set. */
enum status distill_measure(struct distill *d, struct distill_measured *rows, const struct distill_set *set,
                            struct diag *diag);
/* The mean measure of a trained row's greedy answers to the dev questions; NaN: there are none. */
enum status distill_measure_dev(struct distill *d, enum distill_row row, double *mean, struct diag *diag);
/* What a row's training took; interrupted runs are counted. */
double distill_training_tokens(struct distill *d, const char *name);
double distill_training_seconds(struct distill *d, const char *name);

struct distill_sample { /* a wrong text and the right one that took its place */
    int worth;          /* 0: there is none; the others are in the run's arena */
    size_t agent;       /* of a debate */
    const char *id, *question, *wrong, *right;
};

/* A question of a set that the student got wrong as it was and right as `row`; one agent of a training debate that
 * corrected itself. */
enum status distill_sample_answers(struct distill *d, struct distill_sample *best, enum distill_row row,
                                   const struct distill_set *set, struct diag *diag);
enum status distill_sample_debate(struct distill *d, struct distill_sample *best, struct diag *diag);
/* Both texts with the step that changed marked; before, after: what stands above them. */
void distill_sample_put(struct buffer *out, const struct distill_sample *sample, const char *before, const char *after);

enum status distill_report(struct distill *d, struct buffer *text, struct diag *diag);

/* Where the test sets' questions and a row's answers to them are; votes: of the sampled answers. NULL without memory.
 */
void distill_find_sets(struct distill *d);
const char *distill_answers(struct distill *d, enum distill_row row, const struct distill_set *set, int votes);
/* The agents' debate of a question file into a stream that is continued. */
enum status distill_hold(struct distill *d, const char *questions, const char *output, size_t agents, size_t rounds,
                         int evaluation, struct diag *diag);

#endif
