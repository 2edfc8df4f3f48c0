/* prm_evaluate.c - how well a reward model's scores agree with the labels of a file; see step_metrics.h. */
#include <stdio.h>
#include <string.h>
#include "prm.h"
#include "record.h"

#define WINDOW 16 /* solutions that are scored at once */

struct evaluation {
    struct step_metrics *metrics;
    const struct example_format *format;
    const struct prm_judge *judge;
    struct record_reader reader;
    struct prm_example examples[WINDOW];
    struct step_scores texts[WINDOW];
    int correct[WINDOW];
    size_t n, n_scores, room;
    double *scores; /* of all texts of the window */
};

static enum status read_solution(struct evaluation *e, const struct record *record, struct diag *diag)
{
    struct stepwise steps;
    struct prm_example *example = &e->examples[e->n];
    char where[320];
    enum status status;

    snprintf(where, sizeof where, "%.280s:%llu", record->path, (unsigned long long)record->line);
    status = stepwise_read(&steps, record->json, &e->reader.arena, where, diag);
    if (!status)
        status = prm_example_read(example, &steps, e->format, where, diag);
    if (status)
        return status;
    e->correct[e->n] = steps.correct;
    e->texts[e->n].ids = example->text.tokens.ids;
    e->texts[e->n].n_tokens = example->text.tokens.count;
    e->texts[e->n].ends = example->ends;
    e->texts[e->n].n_steps = example->n_steps;
    e->n_scores += example->n_steps;
    e->n++;
    return STATUS_OK;
}

static enum status place_scores(struct evaluation *e, struct diag *diag)
{
    size_t i, at = 0;

    if (e->n_scores > e->room) {
        double *scores = memory_grow(e->scores, e->n_scores * sizeof *scores);

        if (!scores)
            return diag_fail(diag, STATUS_MEMORY, "out of memory for %zu step scores", e->n_scores);
        e->scores = scores;
        e->room = e->n_scores;
    }
    for (i = 0; i < e->n; i++) {
        e->texts[i].scores = e->scores + at;
        at += e->texts[i].n_steps;
    }
    return STATUS_OK;
}

static enum status score_window(struct evaluation *e, struct diag *diag)
{
    enum status status = place_scores(e, diag);
    size_t i;

    if (!status)
        status = e->judge->score(e->judge->context, e->texts, e->n, diag);
    for (i = 0; i < e->n && !status; i++) {
        struct step_solution solution = {e->texts[i].scores, e->examples[i].labels, e->texts[i].n_steps, e->correct[i],
                                         e->examples[i].question};

        status = step_metrics_add(e->metrics, &solution, diag);
    }
    e->n = e->n_scores = 0;
    return status;
}

enum status prm_evaluate(struct step_metrics *metrics, const char *path, const struct example_format *format,
                         const struct prm_judge *judge, struct diag *diag)
{
    struct evaluation *e = memory_alloc(sizeof *e);
    const struct record *record;
    enum status status;
    size_t i;

    if (!e)
        return diag_fail(diag, STATUS_MEMORY, "out of memory for an evaluation");
    memset(e, 0, sizeof *e);
    e->metrics = metrics;
    e->format = format;
    e->judge = judge;
    status = record_open(&e->reader, path, NULL, diag);
    while (!status && !(status = record_next(&e->reader, &record, diag)) && record) {
        status = read_solution(e, record, diag);
        if (!status && e->n == WINDOW)
            status = score_window(e, diag);
    }
    if (!status && e->n)
        status = score_window(e, diag);
    record_close(&e->reader);
    for (i = 0; i < WINDOW; i++)
        prm_example_free(&e->examples[i]);
    memory_free(e->scores);
    memory_free(e);
    return status;
}
