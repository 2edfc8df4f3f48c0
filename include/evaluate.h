/* evaluate.h - questions answered by a model, each graded and recorded (formats.md, Evaluations).
 *
 *   questions -> prompts -> engine (many at once) -> answers, in the questions' order -> records
 *
 *   {v, id, question, context, kind, model, output, prediction, gold, correct, em.. or rouge1.., finish, tokens,
 *    logprob, vote: {count}, samples: [{text, prediction, correct, finish, tokens, logprob}], process: {...}}
 *
 * With several samples a question (self-consistency, Wang et al. 2022) the majority's first text is the output, its
 * answer the prediction, and `tokens` counts all samples. Sample j draws from the stream of agent j's first answer in a
 * debate (debate.h), so a vote over n samples is a debate of n agents without the rounds. A record is itself a question
 * record with an output: `grade` reads it. */
#ifndef ARKLET_EVALUATE_H
#define ARKLET_EVALUATE_H

#include <stddef.h>
#include <stdint.h>
#include "batch.h"
#include "file.h"
#include "progress.h"
#include "prompt.h"
#include "question.h"
#include "resume.h"
#include "steps.h"

struct evaluate_options {
    struct engine *engine;
    size_t context; /* of the engine */
    struct prompt_style style;
    const struct adapter *const *adapters;
    size_t n_adapters;
    size_t max_new;
    struct sampling sampling; /* without stream */
    size_t samples;           /* of a question, >= 1 */
    size_t in_flight;         /* questions in work at once, >= 1 */
    int process;              /* records carry the step metrics of the output */
    const char *model_name;
    struct progress *progress; /* may be NULL */
    int (*stop)(void);         /* may be NULL */
};

/* Of this call alone. */
struct evaluate_summary {
    uint64_t questions, with_gold, correct;
    uint64_t shortened; /* contexts that lost their beginning */
    uint64_t tokens;    /* generated */
    double seconds;
};

/* Appends a record a question to out, but for those that `resume` holds. Unfinished requests may be left in the engine
 * after a failure: it can then only be freed. */
enum status evaluate_run(const struct evaluate_options *options, struct question_reader *questions,
                         struct resume *resume, struct file_stream *out, struct evaluate_summary *summary,
                         struct diag *diag);

/* ,"correct":... and the kind's further measures, as members. */
void evaluate_put_grade(struct buffer *out, const struct question *question, const struct answer_grade *grade);
/* ,"process":{...}: the step metrics of a text (method.md section 6). */
void evaluate_put_process(struct buffer *out, const struct steps *steps);

#endif
