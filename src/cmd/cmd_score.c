/* cmd_score.c - arklet score: a reward model's scores of the steps of solutions, and how good they are. */
#include <stdio.h>
#include <string.h>
#include "args.h"
#include "ask_flags.h"
#include "cmd.h"
#include "file.h"
#include "json.h"
#include "load.h"
#include "memory_plan.h"
#include "record_flags.h"
#include "solutions.h"
#include "summary_file.h"
#include "terminal.h"
#include "train_flags.h"

static const struct arg own_flags[] = {
    {.name = "file",
     .alias = "-f",
     .kind = ARG_TEXT,
     .value = "FILE",
     .help = "labelled steps, debates or evaluations (-: standard input)"},
    {.name = "prm", .kind = ARG_TEXT, .value = "DIR", .help = "reward model on this base (arklet prm)"},
    {.name = "output",
     .alias = "-o",
     .kind = ARG_TEXT,
     .value = "FILE",
     .help = "the records with scores (-: standard output); an existing file is continued"},
    {.name = "from", .kind = ARG_TEXT, .value = "FILE", .help = "no model: measure records that were scored before"},
    {.name = "threshold",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0",
     .low = -1,
     .high = 1,
     .help = "a step counts as wrong when its score is below"},
    {.name = "aggregate",
     .kind = ARG_CHOICE,
     .value = "HOW",
     .otherwise = "min",
     .choices = STEP_AGGREGATES,
     .help = "score of a whole solution, for best of n"},
    {.name = "batch",
     .alias = "-b",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "32",
     .low = 1,
     .high = 4096,
     .help = "solutions that are scored together"},
    {.name = "max-len",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "1024",
     .low = 2,
     .high = 1048576,
     .help = "tokens of a solution with its prompt; steps beyond have no score"},
    {.name = "chat-template", .kind = ARG_TEXT, .value = "NAME", .help = "default: the model's own"},
    {.name = "plain", .kind = ARG_FLAG, .help = "plain text prompts of debates and evaluations, as in arklet debate"},
    {.name = "system", .kind = ARG_TEXT, .value = "TEXT", .help = "system message of debates and evaluations"},
    {.name = NULL},
};

static const char about[] =
    "Scores every step of solutions with a reward model (--prm): tanh((l1 - l0) / 2), from -1 wrong to 1 right.\n"
    "Reads TRL's stepwise form, MR-GSM8K, BIG-Bench-Mistake, debates (each turn) and evaluations (output or\n"
    "samples); writes the records with scores. Where steps are labelled, or solutions known to be right or wrong,\n"
    "prints lines \"name value n\": AUC, first-error F1 and accuracy, calibration, best of n beside the mean; and\n"
    "writes them beside the output (.summary.json in place of .jsonl). best_threshold is fitted to these very\n"
    "records; fitted_first_error_f1 judges each half of the questions at the threshold that suits the other half.\n"
    "A run that was stopped goes on when the same command is given again.";

#define COPIED_FLAGS 16

struct score_command {
    struct arg model_flags[COPIED_FLAGS];
    const struct arg *groups[5];
    struct args_spec spec;
    struct args args;
    struct load load;
    struct adapter *prm;
    struct chat_template chat, style_chat;
    struct record_options records;
    struct solutions_options options;
    struct step_metrics metrics;
    struct progress progress;
};

static void make_spec(struct score_command *c)
{
    args_optional(c->model_flags, COPIED_FLAGS, args_model);
    c->groups[0] = own_flags;
    c->groups[1] = args_records;
    c->groups[2] = c->model_flags;
    c->groups[3] = args_common;
    c->spec.command = "score";
    c->spec.about = about;
    c->spec.groups = c->groups;
}

static int usage(const char *flag, const char *problem)
{
    fprintf(stderr, "arklet score: %s: %s (see arklet score --help)\n", flag, problem);
    return 2;
}

static int check_flags(const struct args *args)
{
    static const char *const needed[] = {"model", "prm", "file", "output"};
    char flag[32];

    if (args_text(args, "from"))
        return args_text(args, "model") || args_text(args, "file") ? usage("--from", "stands alone: no -m, no -f") : -1;
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!args_text(args, needed[i])) {
            snprintf(flag, sizeof flag, "--%s", needed[i]);
            return usage(flag, "this flag is required");
        }
    return args_count(args, "lora") ? usage("--lora", "the reward model is the adapter (--prm)") : -1;
}

static int prepare(struct score_command *c)
{
    struct solutions_options *o = &c->options;
    size_t tokens;
    double beta;
    struct memory_plan plan;
    char what[64];
    struct diag diag;
    int code = record_flags(&c->records, &c->args);

    if (code < 0)
        code = load_model(&c->load, &c->args, 0);
    if (code < 0)
        code = train_format(&o->format, &c->chat, &c->load, &c->args);
    if (code < 0)
        code = ask_style(&o->style, &c->style_chat, &c->load, &c->args);
    if (code < 0)
        code = load_prm(&c->prm, &beta, c->load.model, &c->args);
    if (code >= 0)
        return code;
    o->batch = (size_t)args_int(&c->args, "batch");
    o->progress = &c->progress;
    o->stop = terminal_interrupted;
    tokens = o->format.max_len > 1024 ? o->format.max_len : 1024;
    plan = load_plan(&c->load, memory_plan_adapter(&c->load.model->config, &c->prm->shape) +
                                   step_scorer_bytes(&c->load.model->config, c->prm->score_weight != NULL, tokens,
                                                     c->load.k_type, c->load.v_type));
    snprintf(what, sizeof what, "%zu tokens at once; ", tokens);
    code = load_check_plan(&c->load, "score", what, &plan, "a smaller --max-len or model would fit");
    if (code >= 0)
        return code;
    return step_scorer_create(&o->scorer, c->load.model, c->prm, beta, &c->load.exec, tokens, c->load.k_type,
                              c->load.v_type, &diag)
               ? cmd_fail(&diag)
               : -1;
}

static int score(struct score_command *c)
{
    const char *path = args_text(&c->args, "output");
    struct record_reader records;
    struct resume resume = {0};
    struct file_stream out;
    struct solutions_summary summary = {0};
    struct diag diag;
    enum status status = record_open(&records, args_text(&c->args, "file"), &c->records, &diag), closed;

    if (status)
        return cmd_fail(&diag);
    status = summary_check(path, &c->args, &diag);
    if (!status)
        status = file_stream_open(&out, path, 1, &diag);
    if (!status) {
        status = resume_open(&resume, &out, &diag);
        terminal_progress(&c->progress, c->load.quiet);
        progress_begin(&c->progress, "score", "tok/s");
        if (!status)
            status = solutions_score(&c->options, &records, &resume, &out, &c->metrics, &summary, &diag);
        closed = file_stream_close(&out, status ? NULL : &diag);
        status = status ? status : closed;
        progress_end(&c->progress, resume.n + summary.records, 0, (double)summary.tokens, status ? "stopped" : "done");
    }
    resume_close(&resume);
    record_warn(&records, c->load.quiet);
    record_close(&records);
    if (summary.cut)
        fprintf(stderr, "arklet score: warning: %llu solutions were longer than %zu tokens (--max-len)\n",
                (unsigned long long)summary.cut, c->options.format.max_len);
    return status ? cmd_fail(&diag) : -1;
}

/* From the records in the output, those of earlier runs included. */
static enum status measure(struct score_command *c, struct diag *diag)
{
    const char *from = args_text(&c->args, "from"), *output = args_text(&c->args, "output");
    int to_file = output && summary_possible(output);
    struct step_report report;
    struct buffer lines = {0}, json = {0};
    enum status status = STATUS_OK;

    if (from || to_file) {
        step_metrics_free(&c->metrics);
        step_metrics_aggregate_named(&c->metrics.aggregate, args_text(&c->args, "aggregate"));
        status = solutions_measure_file(&c->metrics, from ? from : output, diag);
    }
    if (!status)
        status = step_metrics_report(&report, &c->metrics, args_float(&c->args, "threshold"), diag);
    if (!status) {
        step_metrics_put(&lines, &report);
        step_metrics_put_json(&json, &report);
        fputs(lines.data ? lines.data : "", from || to_file ? stdout : stderr);
        if (to_file)
            status = summary_write(output, &json, &c->args, diag);
    }
    buffer_free(&lines);
    buffer_free(&json);
    return status;
}

int cmd_score(int argc, char **argv)
{
    struct score_command c;
    struct diag diag;
    int code;

    memset(&c, 0, sizeof c);
    make_spec(&c);
    code = args_parse(&c.args, &c.spec, argc, argv);
    if (code < 0)
        code = check_flags(&c.args);
    if (code < 0)
        step_metrics_aggregate_named(&c.metrics.aggregate, args_text(&c.args, "aggregate"));
    if (code < 0 && !args_text(&c.args, "from")) {
        code = prepare(&c);
        terminal_prepare();
        if (code < 0)
            code = score(&c);
    }
    if (code < 0)
        code = measure(&c, &diag) ? cmd_fail(&diag) : 0;
    step_scorer_free(c.options.scorer);
    step_metrics_free(&c.metrics);
    adapter_free(c.prm);
    load_free(&c.load);
    args_free(&c.args);
    return code;
}
