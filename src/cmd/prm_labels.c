/* prm_labels.c - debates to labelled steps, before a reward model is trained on them. */
#include "prm_labels.h"

#include <stdio.h>
#include <string.h>
#include "ask.h"
#include "checkpoint.h"
#include "cmd.h"
#include "debate_steps.h"
#include "file.h"
#include "memory_plan.h"
#include "record_flags.h"
#include "terminal.h"
#include "train_flags.h"

#define MC_SEQUENCES 32 /* continuations that decode together */

const struct arg args_labels[] = {
    {.name = "labels",
     .kind = ARG_TEXT,
     .value = "SOURCES",
     .otherwise = "debate,equation",
     .help = "of debates' steps: any of " STEP_LABEL_SOURCES "; kept where they agree"},
    {.name = "mc-samples",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = ARGS_TEXT(DEBATE_STEPS_SAMPLES),
     .low = 1,
     .high = 1024,
     .help = "labels mc: continuations of a step"},
    {.name = "mc-max-new",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "256",
     .low = 1,
     .high = 65536,
     .help = "labels mc: tokens of a continuation at most"},
    {.name = "mc-threshold",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0",
     .low = 0,
     .high = 1,
     .help = "labels mc: a step is right when a larger share ends right"},
    {.name = "mc-temp",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0.8",
     .low = 0,
     .high = 100,
     .help = "labels mc: temperature of the continuations"},
    {.name = "plain", .kind = ARG_FLAG, .help = "debates: plain text prompts, also for a model with a chat template"},
    {.name = "system", .kind = ARG_TEXT, .value = "TEXT", .help = "debates: system message of the prompts"},
    {.name = "skip-bad", .kind = ARG_FLAG, .help = "debates: leave out and count records that are wrong"},
    {.name = NULL},
};

/* Does the file begin with a debate? */
static int holds_debates(const char *file, int *debates, struct diag *diag)
{
    struct record_reader reader;
    const struct record *record = NULL;
    enum status status = record_open(&reader, file, NULL, diag);

    if (!status)
        status = record_next(&reader, &record, diag);
    *debates = !status && record && transcript_is(record->json);
    record_close(&reader);
    return status ? cmd_fail(diag) : -1;
}

/* A continuation's context: the longest record, and what is added to it. Beside the engine stands the adapter that will
 * be trained. */
static int create_engine(struct debate_steps_options *o, const struct example_format *format, const struct load *load,
                         const struct args *args, struct diag *diag)
{
    struct engine_options options = {.max_sequences = MC_SEQUENCES, .chunk = 256, .keep = MC_SEQUENCES};
    struct memory_plan plan;
    struct adapter_shape shape;
    char what[64];
    int code = train_shape(&shape, args);

    if (code >= 0)
        return code;
    plan = load_plan(load, memory_plan_adapter(&load->model->config, &shape));
    o->context = format->max_len + o->max_new;
    o->context = o->context < load->context ? o->context : load->context;
    options.context = o->context;
    options.k_type = load->k_type;
    options.v_type = load->v_type;
    plan.work += ask_fit_engine(&load->model->config, &load->exec, &options, memory_plan_total(&plan), load->mem_limit);
    options.keep = options.max_sequences;
    snprintf(what, sizeof what, "labels of %zu continuations; ", options.max_sequences);
    code = load_check_plan(load, "prm", what, &plan, "a smaller --max-len or --mc-max-new would fit");
    if (code >= 0)
        return code;
    return engine_create(&o->engine, load->model, &load->exec, &options, diag) ? cmd_fail(diag) : -1;
}

static void report(const struct debate_steps_summary *s, const struct record_reader *reader, const char *path,
                   const struct load *load)
{
    if (!load->quiet)
        fprintf(stderr,
                "prm: %s: %llu debates, %llu solutions, %llu steps; labels: %llu right, %llu wrong, %llu not known\n",
                path, (unsigned long long)s->debates, (unsigned long long)s->turns, (unsigned long long)s->steps,
                (unsigned long long)s->right, (unsigned long long)s->wrong, (unsigned long long)s->unknown);
    record_warn(reader, load->quiet);
}

static int label(const char *file, const char *path, struct debate_steps_options *o, int resume,
                 const struct load *load)
{
    struct debate_steps_summary summary;
    struct record_reader reader;
    struct file_stream out;
    struct diag diag;
    enum status status = resume ? file_count_lines(&o->skip, path, &diag) : STATUS_OK, closed;

    if (!status)
        status = file_stream_open(&out, path, resume, &diag);
    if (status)
        return cmd_fail(&diag);
    progress_begin(o->progress, "labels", "tok/s");
    status = debate_steps_run(o, file, &out, &reader, &summary, &diag);
    progress_end(o->progress, summary.debates, 0, (double)summary.tokens, status ? "stopped" : "done");
    closed = file_stream_close(&out, status ? NULL : &diag);
    status = status ? status : closed;
    if (!status)
        report(&summary, &reader, path, load);
    record_close(&reader);
    return status ? cmd_fail(&diag) : -1;
}

int labels_check(const struct args *args)
{
    if (step_labels_named(args_text(args, "labels")))
        return -1;
    fprintf(stderr, "arklet prm: --labels: expected a list of %s, found '%s'\n", STEP_LABEL_SOURCES,
            args_text(args, "labels"));
    return 2;
}

/* Settings stand beside the labels; with --resume they must be the same. */
static int check_config(const char *path, const char *config, int resume)
{
    struct buffer name = {0}, old = {0};
    size_t n_before, n_now = strlen(config);
    const char *before, *now = config;
    struct diag diag;
    enum status status;

    buffer_format(&name, "%s.config.txt", path);
    status = name.failed ? diag_fail(&diag, STATUS_MEMORY, "%s: out of memory", path) : STATUS_OK;
    resume = resume && !status && file_exists(name.data);
    if (resume)
        status = file_read(&old, name.data, 0, &diag);
    else if (!status)
        status = file_save(name.data, config, n_now, &diag);
    before = old.data ? old.data : "";
    n_before = old.length;
    if (resume && !status && checkpoint_config_differs(&before, &n_before, &now, &n_now))
        status =
            diag_fail(&diag, STATUS_FORMAT, "%s: expected the settings of the run that made it, '%.*s', found '%.*s'",
                      path, (int)n_before, before, (int)n_now, now);
    buffer_free(&name);
    buffer_free(&old);
    return status ? cmd_fail(&diag) : -1;
}

int labels_prepare(const char **path, struct buffer *buffer, const char *file, const char *name, const char *config,
                   const struct example_format *format, const struct load *load, const struct args *args,
                   struct progress *progress)
{
    struct prompt_style style = {.tokenizer = format->tokenizer, .chat_options = format->chat_options};
    struct debate_steps_options o = {.style = &style, .progress = progress, .stop = terminal_interrupted};
    struct diag diag;
    int debates, code;

    *path = file;
    o.sources = step_labels_named(args_text(args, "labels"));
    code = holds_debates(file, &debates, &diag);
    if (code >= 0 || !debates)
        return code;
    buffer_format(buffer, "%s/%s", args_text(args, "output"), name);
    if (buffer->failed) {
        fprintf(stderr, "arklet prm: out of memory\n");
        return 1;
    }
    *path = buffer->data;
    style.chat = args_flag(args, "plain") ? NULL : format->chat;
    style.system = args_text(args, "system");
    o.samples = (size_t)args_int(args, "mc-samples");
    o.max_new = (size_t)args_int(args, "mc-max-new");
    o.threshold = args_float(args, "mc-threshold");
    o.temperature = (float)args_float(args, "mc-temp");
    o.seed = (uint64_t)args_int(args, "seed");
    o.records.skip_bad = args_flag(args, "skip-bad");
    code = check_config(*path, config, args_flag(args, "resume"));
    if (code < 0 && o.sources & STEP_LABELS_MC)
        code = create_engine(&o, format, load, args, &diag);
    if (code < 0)
        code = label(file, *path, &o, args_flag(args, "resume"), load);
    engine_free(o.engine);
    return code;
}
