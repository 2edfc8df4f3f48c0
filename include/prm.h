/* prm.h - the process reward model: LoRA and a two-class head on the hidden state at each step's end.
 *
 *   prompt | step \n\n step \n\n step EOS        hidden row at every step end -> logits (l0, l1) = W h + b
 *                  ^         ^       ^           score = tanh((l1 - l0) / 2) = P(right) - P(wrong)
 *
 * Trained on labelled steps by cross-entropy, and optionally by a contrast between right and wrong steps of the same
 * question (prm_loss.h). */
#ifndef ARKLET_PRM_H
#define ARKLET_PRM_H

#include <stddef.h>
#include <stdint.h>
#include "example.h"
#include "file_index.h"
#include "stepwise.h"
#include "train_run.h"

enum prm_contrast { PRM_CONTRAST_NONE, PRM_CONTRAST_SUPCON, PRM_CONTRAST_INFONCE };

/* A record as the model sees it. */
struct prm_example {
    struct example text; /* tokens of prompt, steps and EOS */
    size_t *ends;        /* [n_steps] token whose hidden row is scored; SIZE_MAX beyond a cut */
    int *labels;         /* [n_steps] */
    size_t n_steps, room;
    size_t n_prompt;   /* tokens in front of the first step */
    uint64_t question; /* hash of the prompt: which examples are of the same question */
};

/* Tokens and step ends of a record. Steps are joined by blank lines (a blank line inside a step becomes a newline). */
enum status prm_example_read(struct prm_example *example, const struct stepwise *steps,
                             const struct example_format *format, const char *where, struct diag *diag);
void prm_example_free(struct prm_example *example);

struct prm_options {
    const char *data, *dev; /* stepwise records; dev may be NULL */
    double epochs;
    size_t batch; /* records a step */
    enum prm_contrast contrast;
    double contrast_weight, tau; /* 0.5, 0.1 */
    struct example_format format;
    struct backward_options backward;
    struct train_options train;
    struct train_run_options run; /* hashes and total_steps, here and in train, are set from base and data */
};

struct prm_result {
    uint64_t steps, records, truncated, best_step, tokens;
    double loss, accuracy; /* of the last step: on its labelled positions */
    double dev_loss;       /* of the kept parameters, the contrast included when one is used; NaN without dev */
    double seconds;
};

/* Trains an adapter that has a score head in place and leaves the kept parameters there (the best on dev when there is
 * one). Writes metrics.csv and checkpoint/ into the run folder; the caller writes the adapter. STATUS_FORMAT: nothing
 * to train on; STATUS_NUMERIC, STATUS_STOPPED: see train_run.h. */
enum status prm_run(struct model *model, struct adapter *adapter, const struct exec *exec,
                    const struct prm_options *options, struct prm_result *result, struct diag *diag);

/* logits [2] of one hidden row under the adapter's score head: sums in double, ascending. */
void prm_logits(const struct adapter *adapter, const float *hidden, double logits[2]);

/* ---- Scoring ---- */

struct step_scorer;

/* One text to score: tokens, the ends of its steps, room for their scores. */
struct step_scores {
    const int32_t *ids;
    size_t n_tokens;
    const size_t *ends;
    size_t n_steps;
    double *scores;  /* [n_steps]; NaN for an end beyond the tokens */
    size_t n_prompt; /* tokens in front of the first step (implicit reward models look at no others) */
};

/* max_tokens: of one forward pass, and the longest text. head 0: of an implicit reward model. */
size_t step_scorer_bytes(const struct config *config, int head, size_t max_tokens, enum dtype k_type,
                         enum dtype v_type);
/* Model and adapter must outlive the scorer. beta 0: the adapter has a head. Else it is an implicit reward model
 * (implicit.h) without one: score = tanh(r / 2) of the step's reward r = beta * sum of its tokens' log-ratios, which is
 * P(right) - P(wrong) of a step alone; one text after the other. */
enum status step_scorer_create(struct step_scorer **scorer, const struct model *model, const struct adapter *adapter,
                               double beta, const struct exec *exec, size_t max_tokens, enum dtype k_type,
                               enum dtype v_type, struct diag *diag);
void step_scorer_free(struct step_scorer *scorer); /* NULL is allowed */
/* Scores n texts, several in a pass. A text of more than max_tokens is STATUS_RANGE. */
enum status step_scorer_run(struct step_scorer *scorer, const struct step_scores *texts, size_t n, struct diag *diag);

#endif
