/* distill_prm.c - the stage of the reward model: labelled steps from the debates, training, and its measure on held-out
 * questions.
 *
 *   debate.jsonl -> prm/debates.jsonl -> prm/steps.jsonl -> prm/
 *                -> prm/dev_debates.jsonl (every tenth) -> prm/dev_steps.jsonl -> prm/dev_scored.jsonl
 *
 * Labels: debate_steps.h. */
#include "adapter_file.h"
#include "debate_steps.h"
#include "distill_parts.h"
#include "file.h"
#include "file_rewrite.h"
#include "prm.h"
#include "record.h"
#include "solutions.h"

#define HELD_OUT 10 /* one debate of so many is for measuring */

/* ---- Data ---- */

/* The debates, line by line, for training and for measuring. */
static enum status divide(const char *debates, struct file_rewrite *train, struct file_rewrite *dev, struct diag *diag)
{
    struct file_lines lines;
    enum status status = file_lines_open(&lines, debates, diag);
    size_t length;
    char *line;

    if (status)
        return status;
    while (!status && !(status = file_lines_next(&lines, &line, &length, diag)) && line)
        status = file_rewrite_record(lines.number % HELD_OUT == HELD_OUT / 2 ? dev : train, line, length, diag);
    file_lines_close(&lines);
    return status;
}

static enum status divide_debates(struct distill *d, const char *train, const char *dev, struct diag *diag)
{
    const char *debates = distill_path(d, "debate.jsonl");
    struct file_rewrite out, out_dev;
    enum status status = debates && train && dev ? file_rewrite_open(&out, train, diag) : distill_no_memory(diag);
    enum status closed;

    if (status)
        return status;
    status = file_rewrite_open(&out_dev, dev, diag);
    if (!status) {
        status = divide(debates, &out, &out_dev, diag);
        closed = file_rewrite_close(&out_dev, !status, status ? NULL : diag);
        status = status ? status : closed;
    }
    closed = file_rewrite_close(&out, !status, status ? NULL : diag);
    return status ? status : closed;
}

/* Debates to labelled steps; the model continues them where the labels ask for it. */
static enum status label(struct distill *d, const char *debates, const char *output, struct debate_steps_summary *s,
                         struct diag *diag)
{
    const struct distill_options *o = d->options;
    struct debate_steps_options options = {.sources = o->labels, .style = &d->style, .samples = DEBATE_STEPS_SAMPLES};
    struct record_reader reader = {.stream.fd = -1};
    struct file_stream out;
    enum status status = debates && output ? file_count_lines(&options.skip, output, diag) : distill_no_memory(diag);
    enum status closed;

    options.context = distill_label_context(o, &d->lengths);
    options.max_new = o->max_new;
    options.temperature = o->sampling.temperature;
    options.seed = o->sampling.seed;
    options.progress = o->progress;
    options.stop = o->stop;
    if (!status && (o->labels & STEP_LABELS_MC))
        status = distill_engine(d, &options.engine, options.context, diag);
    if (!status)
        status = file_stream_open(&out, output, 1, diag);
    if (!status) {
        status = debate_steps_run(&options, debates, &out, &reader, s, diag);
        closed = file_stream_close(&out, status ? NULL : diag);
        status = status ? status : closed;
    }
    record_close(&reader);
    engine_free(options.engine);
    return status;
}

/* Records with a label that is known. */
static enum status count_labelled(const char *path, uint64_t *records, uint64_t *labelled, struct diag *diag)
{
    struct solutions solutions;
    struct record_reader reader;
    const struct record *record;
    enum status status = record_open(&reader, path, NULL, diag);

    while (!status && !(status = record_next(&reader, &record, diag)) && record) {
        status = solutions_read(&solutions, record, NULL, &reader.arena, diag);
        *labelled += !status && solutions.list->steps.labelled;
        ++*records;
    }
    record_close(&reader);
    return status;
}

/* ---- Training ---- */

static enum status train(struct distill *d, const char *data, struct prm_result *r, struct diag *diag)
{
    const struct distill_options *o = d->options;
    struct prm_options options = {.data = data, .epochs = o->prm_epochs, .batch = o->records};
    struct adapter *adapter = NULL;
    enum status status = distill_run_folder(d, &options.run, "prm", diag);

    if (!status)
        status = distill_fresh(d, &adapter, 1, diag);
    options.format = distill_format(d);
    options.backward = distill_backward(o, options.format.max_len, 1);
    options.train = distill_train(d, o->prm_lr);
    if (!status)
        status = prm_run(d->model, adapter, &d->exec, &options, r, diag);
    if (!status)
        status = adapter_save(adapter, d->model, options.run.output, diag);
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
    enum status status = step_scorer_create(&options.scorer, d->model, prm, 0, &d->exec, options.format.max_len,
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

static enum status make_data(struct distill *d, const char *data, const char *dev, struct diag *diag)
{
    const char *debates = distill_path(d, "prm/debates.jsonl"), *dev_debates = distill_path(d, "prm/dev_debates.jsonl");
    struct debate_steps_summary s;
    enum status status = divide_debates(d, debates, dev_debates, diag);

    if (!status)
        status = label(d, debates, data, &s, diag);
    return status ? status : label(d, dev_debates, dev, &s, diag);
}

enum status distill_prm(struct distill *d, enum distill_row row, struct buffer *result, struct diag *diag)
{
    static const char *const columns[] = {"step", "loss", "accuracy", "num_tokens", NULL};
    const char *data = distill_path(d, "prm/steps.jsonl"), *dev = distill_path(d, "prm/dev_steps.jsonl");
    struct train_run_options run;
    struct step_report report;
    struct prm_result r = {0};
    uint64_t records = 0, labelled = 0, dev_records = 0, dev_labelled = 0;
    enum status status = distill_run_folder(d, &run, "prm", diag);

    (void)row;
    if (!status)
        status = distill_use(d, d->options->student, diag);
    if (!status)
        status = make_data(d, data, dev, diag);
    if (!status)
        status = count_labelled(data, &records, &labelled, diag);
    if (!status)
        status = count_labelled(dev, &dev_records, &dev_labelled, diag);
    if (!status && labelled == 0) {
        distill_put_left_out(result, "the debates give no labelled step");
        distill_say(d, "distill: warning: there is no reward model: the debates give no labelled step");
        return STATUS_OK;
    }
    if (!status)
        status = train(d, data, &r, diag);
    buffer_format(result, ",\"records\":%llu,\"labelled\":%llu,\"held_out_records\":%llu", (unsigned long long)records,
                  (unsigned long long)labelled, (unsigned long long)dev_records);
    distill_put_metrics(d, "prm", columns, result);
    if (!status && dev_records) {
        status = measure(d, dev, &report, diag);
        buffer_text(result, ",\"held_out\":{");
        if (!status)
            step_metrics_put_json(result, &report);
        buffer_text(result, "}");
    }
    return status;
}
