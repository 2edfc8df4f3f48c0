/* grade.c - finds the outputs in a record, grades them, writes what came out.
 *
 * Numbers, mathematics and choices are measured by `correct`, spans by em and f1, summaries by the three ROUGEs.
 * Where to read next: answer.c. */
#include <string.h>

#include "grade.h"

const char *const grade_names[GRADE_MEASURES] = {"correct", "em", "f1", "rouge1", "rouge2", "rougeL", "label_agrees"};

struct output {
    const char *key; /* of the record's member */
    int index;       /* in a list, else -1 */
    const struct json *text;
    int label; /* -1: none */
    int cut;
};

/* ---- labels and finishes ---- */

static const struct json *element(const struct json *value, int index)
{
    if (!value || index < 0)
        return value && value->type == JSON_ARRAY ? NULL : value;
    value = value->type == JSON_ARRAY ? value->child : NULL;
    while (value && index--)
        value = value->next;
    return value;
}

static int truth(const struct json *value)
{
    if (value && (value->type == JSON_TRUE || value->type == JSON_FALSE))
        return value->type == JSON_TRUE;
    if (value && value->type == JSON_NUMBER && (value->number == 0 || value->number == 1))
        return value->number == 1;
    return -1;
}

static int find_label(const struct json *fields, int index)
{
    static const char *const keys[] = {"is_correct", "correct", "label", "labels", "score", "scores"};

    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        int label = truth(element(json_get(fields, keys[k]), index));

        if (label >= 0)
            return label;
    }
    return -1;
}

static int was_cut(const struct json *fields, int index)
{
    static const char *const keys[] = {"finish", "finish_reason", "finish_reasons"};

    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        const struct json *finish = element(json_get(fields, keys[k]), index);

        if (finish && finish->type == JSON_STRING && strcmp(finish->text, "length") == 0)
            return 1;
    }
    return 0;
}

/* ---- sums and records ---- */

static void add(struct grade_sums *sums, enum grade_measure measure, double value)
{
    sums->sum[measure] += value;
    sums->n[measure]++;
}

void grade_add(struct grade_sums *sums, enum answer_kind kind, const struct answer_grade *grade, int label)
{
    sums->outputs++;
    sums->unanswered += !grade->prediction;
    if (kind == ANSWER_SPAN) {
        add(sums, GRADE_EM, grade->em);
        add(sums, GRADE_F1, grade->f1);
    } else if (kind == ANSWER_SUMMARY) {
        add(sums, GRADE_ROUGE1, grade->rouge1);
        add(sums, GRADE_ROUGE2, grade->rouge2);
        add(sums, GRADE_ROUGEL, grade->rougeL);
    } else {
        add(sums, GRADE_CORRECT, grade->correct);
    }
    if (label >= 0)
        add(sums, GRADE_LABEL, grade->correct == label);
}

void grade_put(struct buffer *out, enum answer_kind kind, const struct answer_grade *grade)
{
    if (kind == ANSWER_SPAN)
        buffer_format(out, ",\"em\":%g,\"f1\":%.9g", grade->em, grade->f1);
    else if (kind == ANSWER_SUMMARY)
        buffer_format(out, ",\"rouge1\":%.9g,\"rouge2\":%.9g,\"rougeL\":%.9g", grade->rouge1, grade->rouge2,
                      grade->rougeL);
    else
        buffer_format(out, ",\"correct\":%s", grade->correct ? "true" : "false");
}

void grade_put_means(struct buffer *out, const struct grade_sums *sums)
{
    for (int m = 0; m < GRADE_MEASURES; m++)
        if (sums->n[m])
            buffer_format(out, "%s %.6f %llu\n", grade_names[m], sums->sum[m] / (double)sums->n[m],
                          (unsigned long long)sums->n[m]);
}

static void put_record(struct buffer *line, const struct question *q, const struct output *output,
                       const struct answer_grade *grade)
{
    struct buffer id = {0};

    buffer_clear(line);
    buffer_format(&id, "%s:%s", q->id, output->key);
    if (output->index >= 0)
        buffer_format(&id, ":%d", output->index);
    buffer_text(line, "{\"v\":1,\"id\":");
    json_put_text(line, id.failed ? "" : id.data);
    json_put_member(line, "kind", answer_kind_name(q->key.kind));
    json_put_member(line, "prediction", grade->prediction);
    json_put_member(line, "gold", q->key.n_golds ? q->key.golds[0] : NULL);
    grade_put(line, q->key.kind, grade);
    if (output->label >= 0)
        buffer_format(line, ",\"label_agrees\":%s", grade->correct == output->label ? "true" : "false");
    buffer_byte(line, '}');
    line->failed |= id.failed;
    buffer_free(&id);
}

/* ---- outputs ---- */

struct grading {
    struct grade_sums *sums;
    const struct question *question;
    struct arena *arena;
    struct buffer *line;
    const struct grade_sink *sink;
    size_t n; /* outputs of this record so far */
};

static enum status grade_output(struct grading *g, const struct output *output, struct diag *diag)
{
    const struct question *q = g->question;
    struct arena_mark mark = arena_mark(g->arena);
    struct answer_grade grade;
    enum status status;

    if (!output->text || output->text->type != JSON_STRING)
        return record_fail(q->record, STATUS_FORMAT, diag, "\"%s\": expected a text or a list of texts, found %s",
                           output->key, record_type_name(output->text));
    status = answer_grade(&grade, &q->key, output->text->text, output->text->length, output->cut, g->arena, diag);
    if (status)
        return record_at(q->record, status, diag);
    put_record(g->line, q, output, &grade);
    grade_add(g->sums, q->key.kind, &grade, output->label);
    g->n++;
    arena_release(g->arena, mark);
    if (g->line->failed)
        return record_fail(q->record, STATUS_MEMORY, diag, "out of memory for a record");
    return g->sink->write(g->sink->context, g->line->data, g->line->length, diag);
}

/* "output": text, or a list under any of the names. */
static enum status grade_member(struct grading *g, const struct json *fields, const struct json *member,
                                struct diag *diag)
{
    struct output output = {member->key, -1, member, -1, 0};
    enum status status = STATUS_OK;

    if (member->type != JSON_ARRAY) {
        output.label = find_label(fields, -1);
        output.cut = was_cut(fields, -1);
        return grade_output(g, &output, diag);
    }
    for (const struct json *text = member->child; text && !status; text = text->next) {
        output.index++;
        output.text = text;
        output.label = find_label(fields, output.index);
        output.cut = was_cut(fields, output.index);
        status = grade_output(g, &output, diag);
    }
    return status;
}

/* "<model>": {"solution": text, "is_correct": label}. */
static enum status grade_model(struct grading *g, const struct json *member, struct diag *diag)
{
    struct output output = {member->key, -1, json_get(member, "solution"), find_label(member, -1), was_cut(member, -1)};

    return grade_output(g, &output, diag);
}

enum status grade_question(struct grade_sums *sums, const struct question *question, struct arena *arena,
                           struct buffer *line, const struct grade_sink *sink, struct diag *diag)
{
    struct grading g = {sums, question, arena, line, sink, 0};
    const struct json *fields = question->fields;
    enum status status = STATUS_OK;

    for (const struct json *m = fields->child; m && !status; m = m->next) {
        if (strcmp(m->key, "output") == 0 || strcmp(m->key, "outputs") == 0 ||
            (strcmp(m->key, "code") == 0 && m->type == JSON_ARRAY))
            status = grade_member(&g, fields, m, diag);
        else if (m->type == JSON_OBJECT && json_get(m, "solution") && json_get(m, "is_correct"))
            status = grade_model(&g, m, diag);
    }
    if (!status && g.n == 0)
        return record_fail(question->record, STATUS_FORMAT, diag,
                           "expected \"output\", \"outputs\", \"code\" or models' {solution, is_correct}, found none");
    return status;
}
