/* cmd_eval.c - arklet eval: a model answers questions; accuracy with intervals, and comparison with another evaluation.
 *
 *   questions -> evaluate.c or debate.c -> OUT, a record a question -> outcomes.c -> table, OUT's stem + .summary.json
 *
 * The table and the summary are made from the records in OUT, so that a resumed run prints what an uninterrupted one
 * prints. */
#include <stdio.h>
#include <string.h>
#include "args.h"
#include "args_private.h"
#include "ask_flags.h"
#include "cmd.h"
#include "debate_flags.h"
#include "evaluate.h"
#include "file.h"
#include "json.h"
#include "load.h"
#include "outcomes.h"
#include "record_flags.h"
#include "summary_file.h"
#include "terminal.h"

static const struct arg own_flags[] = {
    {.name = "from",
     .kind = ARG_TEXT,
     .value = "FILE",
     .help = "no model: the records of an evaluation (or of debate, grade) made before"},
    {.name = "compare",
     .kind = ARG_TEXT,
     .value = "OTHER",
     .help = "another evaluation: paired bootstrap and exact McNemar over the questions in both"},
    {.name = "process",
     .kind = ARG_FLAG,
     .help = "step metrics: true and grounded equations, first errors, checks, loops"},
    {.name = "vote",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "1",
     .low = 1,
     .high = 1024,
     .help = "self-consistency: the majority of N samples, ties by mean log-probability"},
    {.name = "debate", .kind = ARG_FLAG, .help = "the agents' common answer: mean agent per round, and vote"},
    {.name = NULL},
};

static const char about[] =
    "Puts questions to a model and grades its answers, a record a question: {v, id, output, prediction, gold,\n"
    "correct, tokens, ...}, with em and f1 for spans, rouge1, rouge2 and rougeL for summaries. Prints the measures\n"
    "with 95 % intervals (Wilson for shares, bootstrap for other means) and writes them, with the configuration, to\n"
    "the output's name with .summary.json in place of .jsonl. A run that was stopped goes on when the same command\n"
    "is given again. With --debate the records are those of arklet debate, with the common answer added. --from\n"
    "needs no model: it summarises and compares records made before, and writes a summary only where -o says.";

#define COPIED_FLAGS     16
#define VOTE_TEMPERATURE "0.8"

struct eval_command {
    struct arg ask_flags[COPIED_FLAGS], model_flags[COPIED_FLAGS], sampling_flags[COPIED_FLAGS];
    const struct arg *groups[7];
    struct args_spec spec;
    struct args args;
    struct load load;
    struct chat_template chat;
    struct team team;
    struct question_options questions;
    struct evaluate_options options;
    struct outcomes outcomes, other;
    struct outcome_comparison comparison;
    struct progress progress;
};

static void make_spec(struct eval_command *c)
{
    args_optional(c->ask_flags, COPIED_FLAGS, args_ask);
    args_optional(c->model_flags, COPIED_FLAGS, args_model);
    args_optional(c->sampling_flags, COPIED_FLAGS, args_sampling);
    args_redefine(c->sampling_flags, "temp", "0",
                  "temperature; 0: greedy. With --vote or --debate the default is " VOTE_TEMPERATURE);
    args_redefine(c->sampling_flags, "seed", "0", "of samples and of the bootstrap");
    c->groups[0] = c->ask_flags;
    c->groups[1] = own_flags;
    c->groups[2] = args_debate;
    c->groups[3] = c->model_flags;
    c->groups[4] = c->sampling_flags;
    c->groups[5] = args_common;
    c->spec.command = "eval";
    c->spec.about = about;
    c->spec.groups = c->groups;
}

static int usage(const char *flag, const char *problem)
{
    fprintf(stderr, "arklet eval: %s: %s (see arklet eval --help)\n", flag, problem);
    return 2;
}

/* Flags that need or exclude each other. */
static int check_flags(const struct args *args)
{
    const char *output = args_text(args, "output");

    if (args_text(args, "from"))
        return args_text(args, "model") || args_text(args, "file") ? usage("--from", "stands alone: no -m, no -f") : -1;
    if (!args_text(args, "file"))
        return usage("--file or -f", "this flag is required");
    if (!output)
        return usage("--output or -o", "this flag is required");
    if (!args_text(args, "model") && !(args_flag(args, "debate") && args_count(args, "agent")))
        return usage("--model or -m", "this flag is required");
    if (args_flag(args, "debate") && args_int(args, "vote") > 1)
        return usage("--vote", "a debate votes by itself (--debate)");
    if (args_count(args, "agent") && !args_flag(args, "debate"))
        return usage("--agent", "needs --debate");
    if (!summary_possible(output) && args_text(args, "compare"))
        return usage("--compare", "needs a file behind -o");
    return -1;
}

/* ---- Answering ---- */

static int prepare_single(struct eval_command *c)
{
    struct evaluate_options *o = &c->options;
    const struct args *args = &c->args;
    size_t batch = (size_t)args_int(args, "batch");
    int code = ask_style(&o->style, &c->chat, &c->load, args);

    if (code >= 0)
        return code;
    o->context = ask_context(&c->load, args);
    o->adapters = c->load.adapters;
    o->n_adapters = c->load.n_adapters;
    o->max_new = (size_t)args_int(args, "max-new");
    o->samples = (size_t)args_int(args, "vote");
    o->in_flight = 2 * batch / o->samples + 2;
    o->process = args_flag(args, "process");
    o->sampling.temperature = (float)args_float(args, "temp");
    o->sampling.top_k = (int)args_int(args, "top-k");
    o->sampling.top_p = (float)args_float(args, "top-p");
    o->sampling.min_p = (float)args_float(args, "min-p");
    o->sampling.seed = (uint64_t)args_int(args, "seed");
    o->model_name = c->load.model->name ? c->load.model->name : c->load.model->path;
    o->progress = &c->progress;
    o->stop = terminal_interrupted;
    return ask_engine(&o->engine, &c->load, args, o->context);
}

static int prepare(struct eval_command *c)
{
    int code = args_text(&c->args, "model") ? load_model(&c->load, &c->args, 0) : load_exec(&c->load, &c->args);

    if (code < 0)
        code = ask_questions(&c->questions, &c->args);
    if (code >= 0)
        return code;
    if (!args_flag(&c->args, "debate"))
        return prepare_single(c);
    code = team_open(&c->team, &c->load, &c->args);
    c->team.options.evaluation = 1;
    c->team.options.progress = &c->progress;
    c->team.options.stop = terminal_interrupted;
    return code;
}

static enum status answer(struct eval_command *c, struct question_reader *questions, struct resume *resume,
                          struct file_stream *out, struct diag *diag)
{
    struct evaluate_summary summary;
    struct debate_summary debates;
    enum status status;

    if (args_flag(&c->args, "debate")) {
        status = debate_run(&c->team.options, questions, resume, out, &debates, diag);
        progress_end(&c->progress, resume->n + debates.questions, 0, (double)debates.decoded, "");
        team_warn(&debates, &c->args);
        return status;
    }
    status = evaluate_run(&c->options, questions, resume, out, &summary, diag);
    progress_end(&c->progress, resume->n + summary.questions, 0, (double)summary.tokens, "");
    if (summary.shortened)
        fprintf(stderr, "arklet eval: warning: %llu contexts were too long; their beginnings were left away\n",
                (unsigned long long)summary.shortened);
    return status;
}

static int run_questions(struct eval_command *c)
{
    struct question_reader questions;
    struct resume resume = {0};
    struct file_stream out;
    struct diag diag;
    const char *path = args_text(&c->args, "output");
    enum status status = question_open(&questions, args_text(&c->args, "file"), &c->questions, &diag), closed;

    if (status)
        return cmd_fail(&diag);
    status = summary_check(path, &c->args, &diag);
    if (!status)
        status = file_stream_open(&out, path, 1, &diag);
    if (!status) {
        status = resume_open(&resume, &out, &diag);
        terminal_progress(&c->progress, c->load.quiet);
        progress_begin(&c->progress, "eval", "tok/s");
        if (!status)
            status = answer(c, &questions, &resume, &out, &diag);
        closed = file_stream_close(&out, status ? NULL : &diag);
        status = status ? status : closed;
    }
    resume_close(&resume);
    record_warn(&questions.records, c->load.quiet);
    question_close(&questions);
    return status ? cmd_fail(&diag) : -1;
}

/* ---- What came out ---- */

static enum status write_summary(struct eval_command *c, const struct outcome_comparison *comparison, struct diag *diag)
{
    const char *output = args_text(&c->args, "output");
    struct buffer json = {0};
    enum status status;

    if (!output || !summary_possible(output))
        return STATUS_OK;
    status = outcomes_put_json(&json, &c->outcomes, comparison, diag);
    if (!status)
        status = summary_write(output, &json, &c->args, diag);
    buffer_free(&json);
    return status;
}

static enum status put_outcomes(struct eval_command *c, const char *path, struct diag *diag)
{
    const char *other = args_text(&c->args, "compare");
    struct outcome_comparison *comparison = other ? &c->comparison : NULL;
    struct buffer text = {0};
    enum status status;

    c->outcomes.seed = (uint64_t)args_int(&c->args, "seed");
    c->outcomes.process = args_flag(&c->args, "process");
    status = outcomes_read(&c->outcomes, path, diag);
    if (!status && other)
        status = outcomes_compare(comparison, &c->outcomes, &c->other, diag);
    if (!status && other && c->comparison.n == 0)
        status = diag_fail(diag, STATUS_FORMAT, "%s: expected questions of %s, found no id in common", other, path);
    if (!status)
        status = outcomes_put(&text, &c->outcomes, comparison, diag);
    if (!status)
        status = write_summary(c, comparison, diag);
    if (!status)
        fputs(text.data, stdout);
    buffer_free(&text);
    return status;
}

static int report(struct eval_command *c)
{
    const char *from = args_text(&c->args, "from"), *path = from ? from : args_text(&c->args, "output");
    struct diag diag;

    if (!from && !summary_possible(path))
        return 0;
    return put_outcomes(c, path, &diag) ? cmd_fail(&diag) : 0;
}

/* Before hours of answering, not after: the answers to compare with are there and can be read. */
static int read_other(struct eval_command *c)
{
    const char *other = args_text(&c->args, "compare");
    struct diag diag;

    return other && outcomes_read(&c->other, other, &diag) ? cmd_fail(&diag) : -1;
}

/* Sampled unless --temp says something: a vote over equal answers says nothing. */
static int default_temperature(struct eval_command *c)
{
    int several = args_int(&c->args, "vote") > 1 || args_flag(&c->args, "debate");

    if (several && !args_is_given(&c->args, "temp"))
        return args_add(&c->args, args_find(&c->spec, "temp", 4, 0), VOTE_TEMPERATURE, 1);
    return -1;
}

int cmd_eval(int argc, char **argv)
{
    struct eval_command *c = memory_alloc(sizeof *c);
    int code;

    if (!c) {
        fprintf(stderr, "arklet eval: out of memory\n");
        return 1;
    }
    memset(c, 0, sizeof *c);
    make_spec(c);
    code = args_parse(&c->args, &c->spec, argc, argv);
    if (code < 0)
        code = check_flags(&c->args);
    if (code < 0)
        code = read_other(c);
    if (code < 0 && !args_text(&c->args, "from")) {
        code = default_temperature(c);
        if (code < 0)
            code = prepare(c);
        terminal_prepare();
        if (code < 0)
            code = run_questions(c);
    }
    if (code < 0)
        code = report(c);
    engine_free(c->options.engine);
    team_close(&c->team);
    outcomes_free(&c->outcomes);
    outcomes_free(&c->other);
    load_free(&c->load);
    args_free(&c->args);
    memory_free(c);
    return code;
}
