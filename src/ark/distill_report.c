/* distill_report.c - what a run came to: one table as text, Markdown and JSON (method.md section 5).
 *
 * A line a row and test set: the greedy answers' measure with its interval, the mean sample, the majority of the
 * samples, tokens an answer, true equations, the paired difference to the untrained student, what training cost. The
 * measure is the accuracy, or F1 for spans, or ROUGE-L for summaries. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "distill_parts.h"
#include "file.h"
#include "outcomes.h"

#define COLUMNS 10

enum style { STYLE_TEXT, STYLE_MARKDOWN };

struct line { /* of the table */
    char cells[COLUMNS][32];
};

struct report {
    struct distill *d;
    struct buffer text, markdown, json;
    struct buffer notes, notes_markdown;        /* what stands below the table */
    struct distill_measured rows[DISTILL_ROWS]; /* of the set at hand */
    double dev[DISTILL_ROWS];                   /* on the dev questions; NaN: not measured */
};

/* ---- Table ---- */

static const char *const heads[COLUMNS] = {"row",    "set",    "greedy",  "95 %",         "sampled",
                                           "vote@n", "tokens", "true eq", "against base", "trained on"};

static void put_line(struct buffer *out, const struct line *line, enum style style)
{
    static const int widths[COLUMNS] = {11, 5, 6, 14, 7, 6, 6, 7, 22, 18};
    int i;

    for (i = 0; i < COLUMNS; i++)
        if (style == STYLE_MARKDOWN)
            buffer_format(out, "| %s ", line->cells[i]);
        else
            buffer_format(out, "%s%*s", i ? " " : "", i < 2 ? -widths[i] : widths[i], line->cells[i]);
    buffer_text(out, style == STYLE_MARKDOWN ? "|\n" : "\n");
}

static void put_heads(struct report *r)
{
    struct line line;

    for (int i = 0; i < COLUMNS; i++)
        snprintf(line.cells[i], sizeof line.cells[i], "%s", heads[i]);
    put_line(&r->text, &line, STYLE_TEXT);
    put_line(&r->markdown, &line, STYLE_MARKDOWN);
    for (int i = 0; i < COLUMNS; i++)
        snprintf(line.cells[i], sizeof line.cells[i], i < 2 ? "---" : "---:");
    put_line(&r->markdown, &line, STYLE_MARKDOWN);
}

static void put_value(char cell[32], double value, size_t n)
{
    if (n && !isnan(value))
        snprintf(cell, 32, "%.1f", 100 * value);
    else
        snprintf(cell, 32, "-");
}

static void fill_line(struct report *r, struct line *line, enum distill_row row, const struct distill_set *set)
{
    const struct distill_measured *m = &r->rows[row];
    const char *name = distill_row_name(row);
    double tokens = distill_training_tokens(r->d, name);

    snprintf(line->cells[0], 32, "%s", name);
    snprintf(line->cells[1], 32, "%s", set->name);
    put_value(line->cells[2], m->value.mean, distill_is_debate(row) ? 0 : m->n);
    snprintf(line->cells[3], 32, "%.1f .. %.1f", 100 * m->value.low, 100 * m->value.high);
    put_value(line->cells[4], m->sampled.mean, m->n_sampled);
    put_value(line->cells[5], m->vote.mean, m->n_vote);
    snprintf(line->cells[6], 32, "%.0f", m->tokens);
    put_value(line->cells[7], m->equations, 1);
    snprintf(line->cells[8], 32, "-");
    if (m->compared)
        snprintf(line->cells[8], 32, "%+.1f, p %.3f%s", 100 * m->comparison.paired.difference.mean,
                 m->comparison.paired.p, m->comparison.paired.p < 0.05 ? "" : " (noise)");
    snprintf(line->cells[9], 32, "-");
    if (tokens > 0)
        snprintf(line->cells[9], 32, "%.0f tok, %.0f s", tokens, distill_training_seconds(r->d, name));
}

/* ---- JSON ---- */

static void put_interval(struct buffer *out, const char *name, const struct stats_interval *i, size_t n)
{
    if (n)
        buffer_format(out, ",\"%s\":{\"value\":%.9g,\"low\":%.9g,\"high\":%.9g,\"n\":%zu}", name, i->mean, i->low,
                      i->high, n);
}

/* What share of a debate's gain over the student a row keeps. */
static void put_share(struct report *r, const char *name, enum distill_row row, enum distill_row debate)
{
    double base = r->rows[ROW_BASE].value.mean, gain = r->rows[debate].value.mean - base;

    if (r->rows[debate].there && gain > 0)
        buffer_format(&r->json, ",\"%s\":%.6g", name, (r->rows[row].value.mean - base) / gain);
}

static void put_row_json(struct report *r, enum distill_row row, const struct distill_set *set, int first)
{
    const struct distill_measured *m = &r->rows[row];
    const struct outcome_comparison *c = &m->comparison;
    const char *name = distill_row_name(row);
    struct buffer *out = &r->json;

    buffer_format(out, "%s\n{\"row\":\"%s\",\"about\":\"%s\",\"set\":\"%s\"", first ? "" : ",", name,
                  distill_row_about(row), set->name);
    put_interval(out, distill_is_debate(row) ? "debate" : "greedy", &m->value, m->n);
    put_interval(out, "sampled", &m->sampled, m->n_sampled);
    put_interval(out, "vote", &m->vote, m->n_vote);
    buffer_format(out, ",\"tokens\":%.6g", m->tokens);
    if (!isnan(r->dev[row]))
        buffer_format(out, ",\"dev\":%.6g", r->dev[row]);
    if (!isnan(m->equations))
        buffer_format(out, ",\"equations_true\":%.6g", m->equations);
    if (m->compared) {
        put_interval(out, "against_base", &c->paired.difference, c->n);
        buffer_format(out, ",\"p_bootstrap\":%.6g,\"p_mcnemar\":%.6g,\"only_here\":%zu,\"only_base\":%zu", c->paired.p,
                      c->mcnemar, c->only_left, c->only_right);
    }
    if (m->compared && row >= ROW_ANSWER) {
        put_share(r, "recovered", row, ROW_DEBATE);
        put_share(r, "recovered_self", row, ROW_SELF_DEBATE);
    }
    if (distill_training_tokens(r->d, name) > 0)
        buffer_format(out, ",\"training_tokens\":%.0f,\"training_seconds\":%.1f", distill_training_tokens(r->d, name),
                      distill_training_seconds(r->d, name));
    buffer_text(out, "}");
}

/* What the stages came to, as they told. */
static void put_stages_json(struct report *r)
{
    static const char *const stages[] = {
        "split",          "held-debates", "samples",   "self-samples", "select-answer", "select-self",
        "select-sampled", "select-rsft",  "select-da", "answer",       "self",          "sampled",
        "rsft",           "da",           "prm",       "rl",           "pad",           "da-pad"};
    int n = 0;

    buffer_text(&r->json, "\n],\n\"stages\":[");
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        const struct json *result = distill_result(r->d, stages[i]);

        if (!result)
            continue;
        buffer_text(&r->json, n++ ? ",\n" : "\n");
        json_put(&r->json, result);
    }
    buffer_text(&r->json, "\n],\n\"config\":");
    json_put_text(&r->json, r->d->options->config);
    buffer_text(&r->json, "}\n");
}

/* ---- Words ---- */

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void
put_note(struct report *r, const char *format, ...)
{
    char line[320];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    buffer_format(&r->notes, "%s\n", line);
    buffer_format(&r->notes_markdown, "- %s\n", line);
}

static void put_debate_notes(struct report *r)
{
    const struct json *held = distill_result(r->d, "held-debates"),
                      *prm = json_get(distill_result(r->d, "prm"), "held_out");

    if (held)
        put_note(
            r,
            "Debates on training questions: single %.1f, vote %.1f; %.0f turns became right, %.0f wrong; %.0f tokens.",
            100 * json_number(held, "single", 0), 100 * json_number(held, "vote", 0),
            json_number(held, "wrong_to_right", 0), json_number(held, "right_to_wrong", 0),
            json_number(held, "tokens", 0));
    if (prm)
        put_note(
            r,
            "Reward model on held-out questions: AUC %.3f of steps, %.3f of solutions, %.3f within a question; best of "
            "%.1f %.1f, mean %.1f.",
            json_number(prm, "step_auc", NAN), json_number(prm, "solution_auc", NAN),
            json_number(prm, "within_question_auc", NAN), json_number(prm, "solutions_each", 0),
            100 * json_number(prm, "best_of_n", NAN), 100 * json_number(prm, "mean_of_n", NAN));
}

/* How much of what a debate gains over the student the rows keep in a single answer. */
static void put_recovered(struct report *r, const struct distill_set *set, enum distill_row of)
{
    const struct distill_measured *base = &r->rows[ROW_BASE], *debate = &r->rows[of];
    double gain = debate->value.mean - base->value.mean;
    const char *name = distill_row_about(of);

    if (!base->there || !debate->there)
        return;
    if (!(gain > 0)) {
        put_note(r, "%s: the %s gains nothing over the student (%+.1f points).", set->name, name, 100 * gain);
        return;
    }
    for (int row = ROW_ANSWER; row < DISTILL_ROWS; row++)
        if (r->rows[row].there)
            put_note(r, "%s: %s recovers %.0f %% of the %s's gain of %.1f points.", set->name,
                     distill_row_name((enum distill_row)row), 100 * (r->rows[row].value.mean - base->value.mean) / gain,
                     name, 100 * gain);
}

static void put_left_out(struct report *r)
{
    for (int row = ROW_ANSWER; row < DISTILL_ROWS; row++) {
        const char *reason = distill_left_out(r->d, (enum distill_row)row);

        if (reason && distill_wants(r->d, (enum distill_row)row))
            put_note(r, "%s is left out: %s.", distill_row_name((enum distill_row)row), reason);
    }
}

/* ---- All ---- */

static enum status report_set(struct report *r, const struct distill_set *set, int *first, struct diag *diag)
{
    struct line line;
    int row;
    enum status status = distill_measure(r->d, r->rows, set, diag);

    for (row = 0; row < DISTILL_ROWS && !status; row++) {
        if (!r->rows[row].there)
            continue;
        fill_line(r, &line, (enum distill_row)row, set);
        put_line(&r->text, &line, STYLE_TEXT);
        put_line(&r->markdown, &line, STYLE_MARKDOWN);
        put_row_json(r, (enum distill_row)row, set, *first);
        *first = 0;
    }
    return status;
}

static enum status save(struct report *r, const char *name, const struct buffer *content, struct diag *diag)
{
    const char *path = distill_path(r->d, "%s", name);

    return path && !content->failed ? file_save(path, content->data, content->length, diag) : distill_no_memory(diag);
}

static enum status put_all(struct report *r, struct diag *diag)
{
    enum status status = STATUS_OK;
    int first = 1;

    buffer_text(&r->json, "{\"v\":1,\"rows\":[");
    put_heads(r);
    put_debate_notes(r);
    for (int row = 0; row < DISTILL_ROWS && !status; row++)
        status = distill_measure_dev(r->d, (enum distill_row)row, &r->dev[row], diag);
    for (size_t i = 0; i < r->d->n_sets && !status; i++) {
        status = report_set(r, &r->d->sets[i], &first, diag);
        put_recovered(r, &r->d->sets[i], ROW_DEBATE);
        put_recovered(r, &r->d->sets[i], ROW_SELF_DEBATE);
    }
    put_left_out(r);
    put_stages_json(r);
    buffer_format(&r->text, "\n%s", r->notes.data ? r->notes.data : "");
    buffer_format(&r->markdown, "\n%s", r->notes_markdown.data ? r->notes_markdown.data : "");
    return status;
}

enum status distill_report(struct distill *d, struct buffer *text, struct diag *diag)
{
    struct report r = {.d = d};
    enum status status = put_all(&r, diag);

    if (!status)
        status = save(&r, "summary.txt", &r.text, diag);
    if (!status)
        status = save(&r, "summary.md", &r.markdown, diag);
    if (!status)
        status = save(&r, "summary.json", &r.json, diag);
    buffer_append(text, r.text.data ? r.text.data : "", r.text.length);
    buffer_free(&r.text);
    buffer_free(&r.markdown);
    buffer_free(&r.json);
    buffer_free(&r.notes);
    buffer_free(&r.notes_markdown);
    return status;
}
