/* distill_evaluate.c - a row's answers to every test set: greedy, and sampled for votes; debates. And to
 * the dev questions, greedy, when it was trained. */
#include <string.h>

#include "distill_parts.h"
#include "evaluate.h"
#include "file.h"

const char *distill_answers(struct distill *d, enum distill_row row, const struct distill_set *set, int votes)
{
    return distill_path(d, "eval/%s.%s%s.jsonl", distill_row_name(row), set->name, votes ? ".vote" : "");
}

static enum status answer_into(struct distill *d, const struct evaluate_options *options, const char *questions,
                               struct file_stream *out, struct diag *diag)
{
    struct question_options wanted = {.kind = d->options->kind, .records = {.skip_bad = d->options->skip_bad}};
    struct evaluate_summary summary;
    struct question_reader reader;
    struct resume resume = {0};
    enum status status = question_open(&reader, questions, &wanted, diag);

    if (!status)
        status = resume_open(&resume, out, diag);
    if (!status)
        status = evaluate_run(options, &reader, &resume, out, &summary, diag);
    resume_close(&resume);
    question_close(&reader);
    return status;
}

static enum status answer(struct distill *d, const struct adapter *adapter, const char *questions, const char *output,
                          size_t samples, struct diag *diag)
{
    const struct distill_options *o = d->options;
    struct evaluate_options options = {.context = d->lengths.solve, .style = d->style, .adapters = &adapter};
    struct file_stream out;
    enum status status = output ? distill_engine(d, &options.engine, options.context, diag) : distill_no_memory(diag),
                closed;

    if (status)
        return status;
    options.n_adapters = adapter != NULL;
    options.max_new = o->max_new;
    options.sampling = o->sampling;
    options.sampling.temperature = samples > 1 ? o->sampling.temperature : 0;
    options.samples = samples;
    options.in_flight = 2 * o->batch / samples + 2;
    options.process = samples == 1;
    options.model_name = d->model->name ? d->model->name : d->model->path;
    options.progress = o->progress;
    options.stop = o->stop;
    status = file_stream_open(&out, output, 1, diag);
    if (!status) {
        status = answer_into(d, &options, questions, &out, diag);
        closed = file_stream_close(&out, status ? NULL : diag);
        status = status ? status : closed;
    }
    engine_free(options.engine);
    return status;
}

static enum status answer_set(struct distill *d, enum distill_row row, const struct adapter *adapter,
                              const struct distill_set *set, struct diag *diag)
{
    const struct distill_options *o = d->options;
    enum status status;

    if (distill_is_debate(row))
        return distill_hold(d, set->path, distill_answers(d, row, set, 0), o->agents, o->rounds, 1, diag);
    status = answer(d, adapter, set->path, distill_answers(d, row, set, 0), 1, diag);
    if (!status && o->votes > 1 && !(o->votes_untrained && row >= ROW_ANSWER))
        status = answer(d, adapter, set->path, distill_answers(d, row, set, 1), o->votes, diag);
    return status;
}

enum status distill_evaluate(struct distill *d, enum distill_row row, struct buffer *result, struct diag *diag)
{
    const char *model = row == ROW_TEACHER || row == ROW_DEBATE ? d->options->teacher : d->options->student;
    const struct distill_set dev = {"dev", d->dev};
    struct adapter *adapter = NULL;
    enum status status;

    if (row >= ROW_ANSWER && distill_left_out(d, row)) {
        distill_put_left_out(result, distill_left_out(d, row));
        return STATUS_OK;
    }
    status = distill_use(d, model, diag);
    if (!status && row >= ROW_ANSWER)
        status = distill_adapter(d, &adapter, distill_row_name(row), diag);
    for (size_t i = 0; i < d->n_sets && !status; i++)
        status = answer_set(d, row, adapter, &d->sets[i], diag);
    if (!status && d->dev && row >= ROW_ANSWER) /* to choose a row by */
        status = answer(d, adapter, d->dev, distill_answers(d, row, &dev, 0), 1, diag);
    adapter_free(adapter);
    buffer_format(result, ",\"sets\":%zu", d->n_sets);
    return status;
}
