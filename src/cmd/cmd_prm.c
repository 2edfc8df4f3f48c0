/* cmd_prm.c - arklet prm: a process reward model from labelled steps. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "adapter_file.h"
#include "args.h"
#include "cmd.h"
#include "implicit.h"
#include "load.h"
#include "memory_plan.h"
#include "prm.h"
#include "prm_labels.h"
#include "solutions.h"
#include "terminal.h"
#include "train_flags.h"

static const struct arg own_flags[] = {
    {.name = "file",
     .alias = "-f",
     .kind = ARG_TEXT,
     .value = "JSONL",
     .required = 1,
     .help = "solutions in steps with labels, or debates"},
    {.name = "output", .alias = "-o", .kind = ARG_TEXT, .value = "DIR", .required = 1, .help = "run folder"},
    {.name = "epochs",
     .kind = ARG_FLOAT,
     .value = "N",
     .otherwise = "1",
     .low = 0,
     .high = 1e6,
     .help = "passes over the data"},
    {.name = "batch",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "8",
     .low = 1,
     .high = 65536,
     .help = "records a step"},
    {.name = "max-len",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "1024",
     .low = 2,
     .high = 1048576,
     .help = "tokens of a record; longer ones are cut, and counted"},
    {.name = "micro-tokens",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "0",
     .low = 0,
     .high = 1048576,
     .help = "tokens that go through the model at once (0: max-len)"},
    {.name = "patience",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "0",
     .low = 0,
     .high = 1e9,
     .help = "stop after so many evaluations without improvement (0: never)"},
    {.name = "contrast",
     .kind = ARG_CHOICE,
     .value = "C",
     .otherwise = "none",
     .choices = "none|supcon|infonce",
     .help = "contrast between right and wrong steps of a question"},
    {.name = "contrast-weight",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0.5",
     .low = 0,
     .high = 1000,
     .help = "weight of the contrast"},
    {.name = "tau",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0.1",
     .low = 0.001,
     .high = 1000,
     .help = "temperature of the contrast"},
    {.name = "implicit", .kind = ARG_FLAG, .help = "no head: a reward from log-ratios, trained on whole solutions"},
    {.name = "beta",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0.05",
     .low = 1e-6,
     .high = 1000,
     .help = "implicit: reward per unit of log-ratio"},
    {.name = "aggregate",
     .kind = ARG_CHOICE,
     .value = "HOW",
     .otherwise = "min",
     .choices = STEP_AGGREGATES,
     .help = "score of a whole solution, for best of n on --dev"},
    {.name = "chat-template",
     .kind = ARG_TEXT,
     .value = "NAME",
     .help = "for prompts that are messages; default: the model's"},
    {.name = NULL},
};

static const struct arg *const groups[] = {own_flags, args_labels, args_train, args_model, args_common, NULL};

static const struct args_spec spec = {
    .command = "prm",
    .about =
        "Trains a reward model on solutions whose steps are labelled right or wrong: TRL's stepwise form {prompt,\n"
        "completions, labels}, MR-GSM8K, BIG-Bench-Mistake; or debates, whose turns are labelled first (--labels) and\n"
        "written to labels.jsonl in the run folder. The result is a LoRA adapter with a two-class head, read by "
        "arklet\n"
        "score and arklet grpo --prm. With --dev the scores are measured in the end: AUC, first-error F1, "
        "calibration,\n"
        "best of n (and written to dev_scores.jsonl). --implicit trains on whole right and wrong solutions alone; its\n"
        "step scores come from log-ratios (arXiv 2412.01981). A run that was stopped goes on with --resume.",
    .groups = groups,
};

struct prm_command {
    struct args args;
    struct load load;
    struct adapter *adapter;
    struct chat_template chat;
    struct prm_options options;
    struct buffer config, data_path, dev_path;
    struct progress progress;
};

static int check_flags(const struct args *args)
{
    if (!args_count(args, "lora"))
        return labels_check(args);
    fprintf(stderr, "arklet prm: --lora: a reward model starts from the model itself; merge the adapter first\n");
    return 2;
}

static int prepare_adapter(struct prm_command *c)
{
    struct adapter_shape shape;
    struct diag diag;
    int code = train_shape(&shape, &c->args);

    if (code >= 0)
        return code;
    shape.score = !args_flag(&c->args, "implicit");
    if (adapter_create(&c->adapter, c->load.model, &shape, &diag))
        return cmd_fail(&diag);
    c->adapter->dropout = (float)args_float(&c->args, "lora-dropout");
    adapter_init(c->adapter, (uint64_t)args_int(&c->args, "seed"));
    return -1;
}

static int read_options(struct prm_command *c)
{
    struct prm_options *o = &c->options;
    const struct args *args = &c->args;
    const char *contrast = args_text(args, "contrast");
    size_t micro = (size_t)args_int(args, "micro-tokens");

    o->dev = args_text(args, "dev");
    o->epochs = args_float(args, "epochs");
    o->batch = (size_t)args_int(args, "batch");
    o->contrast = *contrast == 's' ? PRM_CONTRAST_SUPCON : *contrast == 'i' ? PRM_CONTRAST_INFONCE : PRM_CONTRAST_NONE;
    o->contrast_weight = args_float(args, "contrast-weight");
    o->tau = args_float(args, "tau");
    o->backward.max_tokens = micro > o->format.max_len ? micro : o->format.max_len;
    o->backward.head_rows = 1;
    o->backward.k_type = c->load.k_type;
    o->backward.v_type = c->load.v_type;
    train_options(&o->train, args);
    return train_run_flags(&o->run, args, &c->config, &c->progress);
}

static int plan_memory(const struct prm_command *c)
{
    struct memory_plan plan =
        load_plan(&c->load, memory_plan_prm(&c->load.model->config, &c->options, &c->adapter->shape));
    char what[64];

    snprintf(what, sizeof what, "%zu parameters in training; ", c->adapter->n_params);
    return load_check_plan(&c->load, "prm", what, &plan, "a smaller --max-len, --rank or model would fit");
}

/* What is trained on and measured by, debates labelled. */
static int prepare_data(struct prm_command *c)
{
    int code;

    terminal_prepare();
    terminal_progress(&c->progress, c->load.quiet);
    code = labels_prepare(&c->options.data, &c->data_path, args_text(&c->args, "file"), "labels.jsonl", c->config.data,
                          &c->options.format, &c->load, &c->args, &c->progress);
    if (code < 0 && c->options.dev)
        code = labels_prepare(&c->options.dev, &c->dev_path, c->options.dev, "dev_labels.jsonl", c->config.data,
                              &c->options.format, &c->load, &c->args, &c->progress);
    return code;
}

/* Scores the dev file's solutions into <output>/dev_scores.jsonl. */
static enum status score_dev(struct prm_command *c, struct step_metrics *metrics, struct diag *diag)
{
    struct solutions_options o = {.format = c->options.format, .batch = 32, .stop = terminal_interrupted};
    double beta = args_flag(&c->args, "implicit") ? args_float(&c->args, "beta") : 0;
    struct solutions_summary summary;
    struct record_reader records;
    struct resume resume = {0};
    struct buffer path = {0};
    struct file_stream out;
    enum status status = record_open(&records, c->options.dev, NULL, diag), closed;

    buffer_format(&path, "%s/dev_scores.jsonl", c->options.run.output);
    o.style.tokenizer = o.format.tokenizer;
    if (!status && path.failed)
        status = diag_fail(diag, STATUS_MEMORY, "out of memory");
    if (!status)
        status = file_stream_open(&out, path.data, 0, diag);
    if (!status) {
        status = step_scorer_create(&o.scorer, c->load.model, c->adapter, beta, &c->load.exec, o.format.max_len,
                                    c->load.k_type, c->load.v_type, diag);
        if (!status)
            status = resume_open(&resume, &out, diag);
        if (!status)
            status = solutions_score(&o, &records, &resume, &out, metrics, &summary, diag);
        closed = file_stream_close(&out, status ? NULL : diag);
        status = status ? status : closed;
    }
    resume_close(&resume);
    step_scorer_free(o.scorer);
    record_close(&records);
    buffer_free(&path);
    return status;
}

/* The trained model's scores against the dev file's labels, as lines "name value n". */
static int measure(struct prm_command *c)
{
    struct step_metrics metrics = {0};
    struct step_report report;
    struct buffer lines = {0};
    struct diag diag;
    enum status status;

    step_metrics_aggregate_named(&metrics.aggregate, args_text(&c->args, "aggregate"));
    status = score_dev(c, &metrics, &diag);
    if (!status)
        status = step_metrics_report(&report, &metrics, 0, &diag);
    if (!status) {
        step_metrics_put(&lines, &report);
        fputs(lines.data ? lines.data : "", stdout);
    }
    step_metrics_free(&metrics);
    buffer_free(&lines);
    return status ? cmd_fail(&diag) : 0;
}

static int train(struct prm_command *c)
{
    int implicit = args_flag(&c->args, "implicit");
    struct prm_result result;
    struct diag diag;
    enum status status;

    progress_begin(&c->progress, "prm", "tok/s");
    status = implicit ? implicit_run(c->load.model, c->adapter, &c->load.exec, &c->options,
                                     args_float(&c->args, "beta"), &result, &diag)
                      : prm_run(c->load.model, c->adapter, &c->load.exec, &c->options, &result, &diag);
    progress_end(&c->progress, result.steps, result.steps, (double)result.tokens, status ? "stopped" : "done");
    if (!status)
        status = adapter_save(c->adapter, c->load.model, c->options.run.output, &diag);
    if (!status && implicit)
        status = implicit_save(c->options.run.output, args_float(&c->args, "beta"), &diag);
    if (status)
        return cmd_fail(&diag);
    if (!train_print_steps(&c->args, result.steps, result.records > 0))
        return c->options.dev ? measure(c) : 0;
    printf("loss %.6f\naccuracy %.4f\n", result.loss, result.accuracy);
    if (!isnan(result.dev_loss))
        printf("dev_loss %.6f\nbest_step %llu\n", result.dev_loss, (unsigned long long)result.best_step);
    printf("records %llu\ntruncated %llu\ntokens %llu\n", (unsigned long long)result.records,
           (unsigned long long)result.truncated, (unsigned long long)result.tokens);
    return c->options.dev ? measure(c) : 0;
}

int cmd_prm(int argc, char **argv)
{
    struct prm_command c;
    int code;

    memset(&c, 0, sizeof c);
    code = args_parse(&c.args, &spec, argc, argv);
    if (code < 0)
        code = check_flags(&c.args);
    if (code < 0)
        code = load_model(&c.load, &c.args, 0);
    if (code < 0)
        code = prepare_adapter(&c);
    if (code < 0)
        code = train_format(&c.options.format, &c.chat, &c.load, &c.args);
    if (code < 0)
        code = read_options(&c);
    if (code < 0)
        code = plan_memory(&c);
    if (code < 0)
        code = train_folder(&c.args, c.options.run.output);
    if (code < 0)
        code = prepare_data(&c);
    if (code < 0)
        code = train(&c);
    adapter_free(c.adapter);
    buffer_free(&c.config);
    buffer_free(&c.data_path);
    buffer_free(&c.dev_path);
    load_free(&c.load);
    args_free(&c.args);
    return code;
}
