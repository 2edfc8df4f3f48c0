/* grade.h - outputs that were made elsewhere, graded: one record out for each output of a question's record in.
 *
 *   {question, answer, "output": "..."}                               -> {v, id: "<id>:output", ...}
 *   {question, answer, "outputs" or "code": ["...", "..."]}           -> "<id>:outputs:0", "<id>:outputs:1", ...
 *   {question, ground_truth, "<model>": {"solution", "is_correct"}}   -> "<id>:<model>", with label_agrees
 *
 * Labels beside an output (is_correct, correct, label, labels, score: true or false, one or a list) give label_agrees;
 * a finish ("length") beside it says that the token limit cut it. */
#ifndef ARKLET_GRADE_H
#define ARKLET_GRADE_H

#include <stdint.h>
#include "answer.h"
#include "question.h"

enum grade_measure {
    GRADE_CORRECT,
    GRADE_EM,
    GRADE_F1,
    GRADE_ROUGE1,
    GRADE_ROUGE2,
    GRADE_ROUGEL,
    GRADE_LABEL,
    GRADE_MEASURES
};

extern const char *const grade_names[GRADE_MEASURES]; /* "correct", "em", ... "label_agrees" */

struct grade_sums {
    double sum[GRADE_MEASURES];
    uint64_t n[GRADE_MEASURES]; /* mean = sum / n where n > 0 */
    uint64_t outputs, unanswered;
};

struct grade_sink {
    enum status (*write)(void *context, const char *record, size_t length, struct diag *diag);
    void *context;
};

/* Grades every output of the question's record and hands each record, as one line without newline, to the sink. `line`
 * is scratch. A record without outputs is STATUS_FORMAT. */
enum status grade_question(struct grade_sums *sums, const struct question *question, struct arena *arena,
                           struct buffer *line, const struct grade_sink *sink, struct diag *diag);

/* Adds one grade to the sums: what the kind is measured by. label: -1 when there is none. */
void grade_add(struct grade_sums *sums, enum answer_kind kind, const struct answer_grade *grade, int label);
/* Appends the measures of a grade as members: ,"correct":true or ,"em":1,"f1":1 or ,"rouge1":... */
void grade_put(struct buffer *out, enum answer_kind kind, const struct answer_grade *grade);
/* "name value n" lines of what was measured. */
void grade_put_means(struct buffer *out, const struct grade_sums *sums);

#endif
