/* distill_prm.c - the stage of the reward model: labelled steps from the debates, training, and its measure on held-out
 * questions.
 *
 *   debate.jsonl -> prm/steps.jsonl, prm/dev_steps.jsonl (every tenth question) -> prm/ -> prm/dev_scored.jsonl */
#include <string.h>

#include "adapter_file.h"
#include "distill_parts.h"
#include "file.h"
#include "file_rewrite.h"
#include "prm.h"
#include "record.h"
#include "solutions.h"
#include "steps.h"
#include "transcript.h"

#define HELD_OUT 10 /* one question of so many is for measuring */

struct labelling {
    struct distill *d;
    struct file_rewrite train, dev;
    struct arena arena; /* of a debate */
    struct buffer line;
    uint64_t n_debates, n_train, n_dev;
};

/* ---- Labels: all steps of a solution are as right as its answer ---- */

static size_t put_steps(struct buffer *line, const struct transcript_turn *turn)
{
    size_t n = 0, i, begin, end, from = 0;

    buffer_text(line, ",\"completions\":[");
    while (steps_next(&begin, &end, turn->text, turn->length, &from)) {
        buffer_text(line, n++ ? "," : "");
        json_put_string(line, turn->text + begin, end - begin);
    }
    buffer_text(line, "],\"labels\":[");
    for (i = 0; i < n; i++)
        buffer_format(line, "%s%s", i ? "," : "", turn->correct ? "true" : "false");
    buffer_format(line, "],\"correct\":%s}", turn->correct ? "true" : "false");
    return n;
}

static enum status label_turn(struct labelling *l, const struct transcript *t, const struct transcript_turn *turn,
                              const struct prompt *prompt, int held_out, struct diag *diag)
{
    struct buffer *line = &l->line;

    if (turn->correct == TRANSCRIPT_UNKNOWN || turn->finish == TURN_TRUNCATED)
        return STATUS_OK;
    buffer_clear(line);
    buffer_format(line, "{\"v\":1,\"id\":");
    question_put_id(line, &t->question);
    buffer_text(line, ",\"prompt\":");
    prompt_put(line, prompt);
    if (put_steps(line, turn) == 0)
        return STATUS_OK;
    if (line->failed)
        return distill_no_memory(diag);
    *(held_out ? &l->n_dev : &l->n_train) += 1;
    return file_rewrite_record(held_out ? &l->dev : &l->train, line->data, line->length, diag);
}

static enum status label_debates(struct labelling *l, const char *path, struct diag *diag)
{
    struct transcript t;
    struct record_reader reader;
    const struct record *record;
    struct prompt prompt;
    enum status status = record_open(&reader, path, NULL, diag);

    while (!status && !(status = record_next(&reader, &record, diag)) && record) {
        struct arena_mark mark = arena_mark(&l->arena);
        int held_out = l->n_debates++ % HELD_OUT == HELD_OUT / 2;

        status = transcript_read(&t, record, &l->arena, diag);
        if (!status)
            status = prompt_solve(&prompt, &l->d->style, &t.question, &l->arena, diag);
        for (size_t i = 0; i < t.n_turns && !status; i++)
            status = label_turn(l, &t, &t.turns[i], &prompt, held_out, diag);
        arena_release(&l->arena, mark);
    }
    record_close(&reader);
    return status;
}

static enum status write_labels(struct distill *d, const char *train, const char *dev, uint64_t *n_train,
                                uint64_t *n_dev, struct diag *diag)
{
    const char *debates = distill_path(d, "debate.jsonl");
    struct labelling l = {.d = d};
    enum status status = debates && train && dev ? file_rewrite_open(&l.train, train, diag) : distill_no_memory(diag);
    enum status closed;

    if (status)
        return status;
    arena_init(&l.arena, "labels", 0);
    status = file_rewrite_open(&l.dev, dev, diag);
    if (!status) {
        status = label_debates(&l, debates, diag);
        closed = file_rewrite_close(&l.dev, !status, status ? NULL : diag);
        status = status ? status : closed;
    }
    closed = file_rewrite_close(&l.train, !status, status ? NULL : diag);
    arena_free(&l.arena);
    buffer_free(&l.line);
    *n_train = l.n_train;
    *n_dev = l.n_dev;
    return status ? status : closed;
}

/* ---- Training ---- */

static enum status train(struct distill *d, const char *data, struct prm_result *r, struct diag *diag)
{
    const struct distill_options *o = d->options;
    struct prm_options options = {.data = data, .config = o->config, .epochs = o->prm_epochs, .batch = o->records};
    struct adapter *adapter = NULL;
    enum status status = distill_run_folder(d, &options.output, "prm", diag);

    if (!status)
        status = distill_fresh(d, &adapter, 1, diag);
    options.save_every = o->save_every;
    options.resume = 1;
    options.format = distill_format(d);
    options.backward.max_tokens = options.format.max_len;
    options.backward.head_rows = 1;
    options.backward.k_type = o->k_type;
    options.backward.v_type = o->v_type;
    options.train = distill_train(d, o->prm_lr);
    options.progress = o->progress;
    options.stop = o->stop;
    if (!status)
        status = prm_run(d->model, adapter, &d->exec, &options, r, diag);
    if (!status)
        status = adapter_save(adapter, d->model, options.output, diag);
    adapter_free(adapter);
    return status;
}

/* ---- Measuring ---- */

static enum status score_into(struct distill *d, const struct adapter *prm, const char *data, struct file_stream *out,
                              struct diag *diag)
{
    struct solutions_options options = {.format = distill_format(d), .style = d->style, .batch = 32};
    struct solutions_summary summary;
    struct step_metrics unused = {0};
    struct record_reader records;
    struct resume resume = {0};
    enum status status = step_scorer_create(&options.scorer, d->model, prm, &d->exec, options.format.max_len,
                                            d->options->k_type, d->options->v_type, diag);

    options.stop = d->options->stop;
    if (!status) {
        status = record_open(&records, data, NULL, diag);
        if (!status)
            status = resume_open(&resume, out, diag);
        if (!status)
            status = solutions_score(&options, &records, &resume, out, &unused, &summary, diag);
        resume_close(&resume);
        record_close(&records);
    }
    step_scorer_free(options.scorer);
    step_metrics_free(&unused);
    return status;
}

static enum status measure(struct distill *d, const char *data, struct step_report *report, struct diag *diag)
{
    const char *scored = distill_path(d, "prm/dev_scored.jsonl");
    struct step_metrics metrics = {0};
    struct adapter *prm = NULL;
    struct file_stream out;
    enum status status = scored ? distill_adapter(d, &prm, "prm", diag) : distill_no_memory(diag), closed;

    if (!status)
        status = file_stream_open(&out, scored, 1, diag);
    if (!status) {
        status = score_into(d, prm, data, &out, diag);
        closed = file_stream_close(&out, status ? NULL : diag);
        status = status ? status : closed;
    }
    if (!status)
        status = solutions_measure_file(&metrics, scored, diag);
    if (!status)
        status = step_metrics_report(report, &metrics, 0, diag);
    step_metrics_free(&metrics);
    adapter_free(prm);
    return status;
}

enum status distill_prm(struct distill *d, enum distill_row row, struct buffer *result, struct diag *diag)
{
    static const char *const columns[] = {"step", "loss", "accuracy", "num_tokens", NULL};
    const char *folder, *data = distill_path(d, "prm/steps.jsonl"), *dev = distill_path(d, "prm/dev_steps.jsonl");
    struct step_report report;
    struct prm_result r = {0};
    uint64_t n_train = 0, n_dev = 0;
    enum status status = distill_run_folder(d, &folder, "prm", diag);

    (void)row;
    if (!status)
        status = distill_use(d, d->options->student, diag);
    if (!status)
        status = write_labels(d, data, dev, &n_train, &n_dev, diag);
    if (!status && n_train == 0) {
        distill_put_left_out(result, "no turn of the debates has a complete solution");
        distill_say(d, "distill: warning: there is no reward model: no turn of the debates has a complete solution");
        return STATUS_OK;
    }
    if (!status)
        status = train(d, data, &r, diag);
    buffer_format(result, ",\"records\":%llu,\"held_out_records\":%llu", (unsigned long long)n_train,
                  (unsigned long long)n_dev);
    distill_put_metrics(d, "prm", columns, result);
    if (!status && n_dev) {
        status = measure(d, dev, &report, diag);
        buffer_text(result, ",\"held_out\":{");
        if (!status)
            step_metrics_put_json(result, &report);
        buffer_text(result, "}");
    }
    return status;
}
