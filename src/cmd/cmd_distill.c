/* cmd_distill.c - arklet distill: the whole loop in a run folder. arklet demo is a kind of it: cmd_demo.c. */
#include <stdio.h>
#include <string.h>
#include "cmd.h"
#include "debate.h"
#include "distill_command.h"
#include "file.h"
#include "reward.h"
#include "step_labels.h"
#include "terminal.h"
#include "train_flags.h"
#include "transcript.h"

#define ROW_LIST "base,teacher,debate,self-debate,answer,self,sampled,rsft,da,rl,pad,da-pad"

static const struct arg run_flags[] = {
    {.name = "file", .alias = "-f", .kind = ARG_TEXT, .value = "QUESTIONS", .help = "questions with answers"},
    {.name = "output", .alias = "-o", .kind = ARG_TEXT, .value = "RUN", .help = "run folder; an existing one goes on"},
    {.name = "teacher", .kind = ARG_TEXT, .value = "T", .help = "model that debates; default: the student"},
    {.name = "test", .kind = ARG_TEXT, .value = "FILE", .help = "test questions; default: a share of QUESTIONS"},
    {.name = "ood", .kind = ARG_LIST, .value = "FILE", .help = "further test questions, of another kind; repeatable"},
    {.name = "dev-share",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0.05",
     .low = 0,
     .high = 0.9,
     .help = "of QUESTIONS for choosing checkpoints, without --dev"},
    {.name = "test-share",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0.1",
     .low = 0,
     .high = 0.9,
     .help = "of QUESTIONS for testing, without --test"},
    {.name = "kind",
     .kind = ARG_CHOICE,
     .value = "KIND",
     .choices = ANSWER_KINDS,
     .help = "kind of all questions; default: told by each record"},
    {.name = "skip-bad", .kind = ARG_FLAG, .help = "leave out wrong records"},
    {.name = "rows",
     .kind = ARG_TEXT,
     .value = "LIST",
     .otherwise = "all",
     .help = "of " ROW_LIST ": what to make and compare"},
    {.name = "chat-template", .kind = ARG_TEXT, .value = "NAME", .help = "default: each model's own"},
    {.name = "plain", .kind = ARG_FLAG, .help = "plain text prompts"},
    {.name = "system", .kind = ARG_TEXT, .value = "TEXT", .help = "system message"},
    {.name = NULL},
};

static const struct arg stage_flags[] = {
    {.name = "agents",
     .alias = "-n",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "5",
     .low = 1,
     .high = DEBATE_MAX_AGENTS,
     .help = "debate: agents"},
    {.name = "rounds",
     .kind = ARG_INT,
     .value = "K",
     .otherwise = "3",
     .low = 1,
     .high = DEBATE_MAX_ROUNDS,
     .help = "debate: rounds, the first answers included"},
    {.name = "window",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "32",
     .low = 1,
     .high = 65536,
     .help = "debate: questions in work at once"},
    {.name = "max-new",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "256",
     .low = 1,
     .high = 1048576,
     .help = "tokens of an answer at most"},
    {.name = "batch",
     .alias = "-b",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "64",
     .low = 1,
     .high = 4096,
     .help = "sequences that decode together"},
    {.name = "vote",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "5",
     .low = 1,
     .high = 1024,
     .help = "evaluation: samples of a question, beside the greedy answer (1: none)"},
    {.name = "vote-untrained", .kind = ARG_FLAG, .help = "evaluation: --vote for the untrained models alone"},
    {.name = "k",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "3",
     .low = 1,
     .high = 64,
     .help = "select: traces of a debate at most"},
    {.name = "min-correct",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "2",
     .low = 0,
     .high = TRANSCRIPT_MAX_AGENTS,
     .help = "select: agents that must be right in the end"},
    {.name = "spliced", .kind = ARG_FLAG, .help = "select: also wrong start, self-check, right solution"},
    {.name = "epochs",
     .kind = ARG_FLOAT,
     .value = "N",
     .otherwise = "3",
     .low = 0,
     .high = 1e6,
     .help = "sft: passes over the traces"},
    {.name = "records",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "8",
     .low = 1,
     .high = 65536,
     .help = "sft, prm: records a step"},
    {.name = "max-len",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "1024",
     .low = 2,
     .high = 1048576,
     .help = "sft, prm: tokens of a record"},
    {.name = "labels",
     .kind = ARG_TEXT,
     .value = "SOURCES",
     .otherwise = "debate,equation",
     .help = "prm: labels of the debates' steps, any of " STEP_LABEL_SOURCES "; kept where they agree"},
    {.name = "prm-epochs",
     .kind = ARG_FLOAT,
     .value = "N",
     .otherwise = "1",
     .low = 0,
     .high = 1e6,
     .help = "prm: passes over the labelled steps"},
    {.name = "prm-lr",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0.0002",
     .low = 0,
     .high = 100,
     .help = "prm: peak learning rate"},
    {.name = "steps",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "100",
     .low = 1,
     .high = 1e9,
     .help = "reinforcement: steps"},
    {.name = "group",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "8",
     .low = 2,
     .high = 1024,
     .help = "reinforcement: samples a prompt"},
    {.name = "prompts",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "8",
     .low = 1,
     .high = 4096,
     .help = "reinforcement: prompts a step"},
    {.name = "rl-lr",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0.00005",
     .low = 0,
     .high = 100,
     .help = "reinforcement: peak learning rate"},
    {.name = "rl-temp",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "1",
     .low = 0.01,
     .high = 10,
     .help = "reinforcement: temperature of the samples and of the policy that learns"},
    {.name = "lambda-p",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = ARGS_TEXT(REWARD_LAMBDA_P),
     .low = 0,
     .high = 1000,
     .help = "reinforcement: weight of the step rewards"},
    {.name = NULL},
};

static const char about[] =
    "The whole loop: splits the questions, lets the teacher's agents debate, selects traces, fine-tunes the student\n"
    "on them and on controls, trains a reward model, reinforces the student, and evaluates every row on every test\n"
    "set. The run folder holds all of it; each stage is skipped when it is complete, and one that was interrupted\n"
    "goes on. The summary (summary.txt, summary.md, summary.json) is printed. Rows:\n"
    "  base     the student, untrained            teacher  the teacher alone, when it is another model\n"
    "  debate   the teacher's agents and vote     answer   SFT on answers alone\n"
    "  self     SFT on the student's own right samples, self-debate its agents and vote\n"
    "  sampled  SFT on the teacher's right samples of the same cost, without debate\n"
    "  rsft     SFT on one trace a question       da       SFT on up to --k different ones\n"
    "  rl       answer check alone                pad      with the reward model; da-pad: from da on\n"
    "--lr and --schedule are those of SFT; --eval-every those of reinforcement on the dev questions.";

static void make_spec(struct distill_command *c)
{
    size_t n = 0;

    args_optional(c->model_flags, DISTILL_COPIED_FLAGS, args_model);
    args_optional(c->sampling_flags, DISTILL_COPIED_FLAGS, args_sampling);
    args_remove(c->sampling_flags, "seed"); /* it is among those of training */
    if (c->kind->flags)
        c->groups[n++] = c->kind->flags;
    c->groups[n++] = run_flags;
    c->groups[n++] = stage_flags;
    c->groups[n++] = args_train;
    c->groups[n++] = c->model_flags;
    c->groups[n++] = c->sampling_flags;
    c->groups[n++] = args_common;
    c->spec.command = c->kind->command;
    c->spec.about = c->kind->about;
    c->spec.groups = c->groups;
}

static int usage(const struct distill_command *c, const char *flag, const char *problem)
{
    fprintf(stderr, "arklet %s: %s: %s (see arklet %s --help)\n", c->spec.command, flag, problem, c->spec.command);
    return 2;
}

/* ---- Options ---- */

static int read_rows(struct distill_command *c)
{
    const char *at = args_text(&c->args, "rows");
    enum distill_row row;

    if (strcmp(at, "all") == 0) {
        c->options.rows = (1u << DISTILL_ROWS) - 1;
        return -1;
    }
    while (*at) {
        size_t n = strcspn(at, ",");

        if (!distill_row_named(&row, at, n))
            return usage(c, "--rows", "expected all, or a list of " ROW_LIST);
        c->options.rows |= 1u << row;
        at += n + (at[n] == ',');
    }
    if (c->options.rows >> ROW_DA_PAD & 1) /* it starts from there */
        c->options.rows |= 1u << ROW_DA;
    return -1;
}

static int read_files(struct distill_command *c)
{
    struct distill_options *o = &c->options;
    const struct args *args = &c->args;

    o->folder = args_text(args, "output");
    o->questions = args_text(args, "file");
    o->dev = args_text(args, "dev");
    o->test = args_text(args, "test");
    o->student = args_text(args, "model");
    o->teacher = args_text(args, "teacher") ? args_text(args, "teacher") : o->student;
    o->dev_share = args_float(args, "dev-share");
    o->test_share = args_float(args, "test-share");
    o->kind = args_text(args, "kind");
    o->skip_bad = args_flag(args, "skip-bad");
    o->n_ood = args_count(args, "ood");
    if (!o->student)
        return usage(c, "--model or -m", "this flag is required");
    if (!o->questions)
        return usage(c, "--file or -f", "this flag is required");
    if (!o->folder)
        return usage(c, "--output or -o", "this flag is required");
    if (strcmp(o->questions, "-") == 0)
        return usage(c, "-f", "expected a file, which is read more than once");
    if (o->n_ood > DISTILL_MAX_SETS - 1)
        return usage(c, "--ood", "expected at most 7 of them");
    if (args_count(args, "lora"))
        return usage(c, "--lora", "the student starts from the model itself; merge the adapter first");
    for (size_t i = 0; i < o->n_ood; i++)
        o->ood[i] = args_item(args, "ood", i);
    return -1;
}

static void read_stages(struct distill_command *c)
{
    struct distill_options *o = &c->options;
    const struct args *args = &c->args;

    o->agents = (size_t)args_int(args, "agents");
    o->rounds = (size_t)args_int(args, "rounds");
    o->window = (size_t)args_int(args, "window");
    o->lora_dropout = args_float(args, "lora-dropout");
    o->max_new = (size_t)args_int(args, "max-new");
    o->batch = (size_t)args_int(args, "batch");
    o->votes = (size_t)args_int(args, "vote");
    o->votes_untrained = args_flag(args, "vote-untrained");
    o->k = (size_t)args_int(args, "k");
    o->min_correct = (size_t)args_int(args, "min-correct");
    o->spliced = args_flag(args, "spliced");
    o->epochs = args_float(args, "epochs");
    o->prm_epochs = args_float(args, "prm-epochs");
    o->prm_lr = args_float(args, "prm-lr");
    o->rl_lr = args_float(args, "rl-lr");
    o->rl_temperature = args_float(args, "rl-temp");
    o->records = (size_t)args_int(args, "records");
    o->max_len = (size_t)args_int(args, "max-len");
    o->save_every = (uint64_t)args_int(args, "save-every");
    o->eval_every = (uint64_t)args_int(args, "eval-every");
    o->rl_steps = (uint64_t)args_int(args, "steps");
    o->group = (size_t)args_int(args, "group");
    o->prompts = (size_t)args_int(args, "prompts");
    o->lambda_p = args_float(args, "lambda-p");
    o->sampling.temperature = (float)args_float(args, "temp");
    o->sampling.top_k = (int)args_int(args, "top-k");
    o->sampling.top_p = (float)args_float(args, "top-p");
    o->sampling.min_p = (float)args_float(args, "min-p");
    o->sampling.seed = (uint64_t)args_int(args, "seed");
}

static void say(void *context, const char *line)
{
    const struct distill_command *c = context;

    if (!c->load.quiet)
        fprintf(stderr, "%s\n", line);
}

static int read_options(struct distill_command *c)
{
    struct distill_options *o = &c->options;
    int code = read_files(c);

    if (code < 0)
        code = read_rows(c);
    if (code < 0)
        code = train_shape(&o->shape, &c->args);
    o->labels = step_labels_named(args_text(&c->args, "labels"));
    if (code < 0 && !o->labels)
        code = usage(c, "--labels", "expected a list of " STEP_LABEL_SOURCES);
    if (code >= 0)
        return code;
    read_stages(c);
    train_options(&o->train, &c->args);
    o->chat_template = args_text(&c->args, "chat-template");
    o->system = args_text(&c->args, "system");
    o->plain = args_flag(&c->args, "plain");
    o->context = (size_t)args_int(&c->args, "ctx-size");
    o->k_type = dtype_by_name(args_text(&c->args, "cache-type-k"))->type;
    o->v_type = dtype_by_name(args_text(&c->args, "cache-type-v"))->type;
    o->mem_limit = c->load.mem_limit;
    o->progress = &c->progress;
    o->say = say;
    o->context_of_say = c;
    o->stop = terminal_interrupted;
    train_config(&c->args, 0, &c->config);
    o->config = c->config.data;
    if (c->config.failed) {
        fprintf(stderr, "arklet %s: out of memory\n", c->spec.command);
        return 1;
    }
    return -1;
}

/* ---- The run ---- */

static int run(struct distill_command *c)
{
    struct buffer text = {0}, config = {0}, path = {0};
    struct diag diag;
    enum status status = distill_plan(&c->options, &c->load.exec, &diag);

    terminal_prepare();
    terminal_progress(&c->progress, c->load.quiet);
    if (!status)
        status = file_make_folder(c->options.folder, &diag);
    args_write_config(&c->args, &config);
    buffer_format(&path, "%s/config.txt", c->options.folder);
    if (!status && (config.failed || path.failed))
        status = diag_fail(&diag, STATUS_MEMORY, "out of memory");
    if (!status && !file_exists(path.data)) /* how the run was begun */
        status = file_save(path.data, config.data, config.length, &diag);
    if (!status)
        status = distill_run(&c->options, &c->load.exec, &text, &diag);
    if (!status && c->kind->finish)
        status = c->kind->finish(c, &text, &diag);
    if (!status)
        fputs(text.data ? text.data : "", stdout);
    buffer_free(&text);
    buffer_free(&config);
    buffer_free(&path);
    return status ? cmd_fail(&diag) : 0;
}

static void close_command(struct distill_command *c)
{
    buffer_free(&c->config);
    load_free(&c->load);
    args_free(&c->args);
    memory_free(c);
}

int distill_command(int argc, char **argv, const struct distill_kind *kind)
{
    struct distill_command *c = memory_alloc(sizeof *c);
    int code;

    if (!c) {
        fprintf(stderr, "arklet %s: out of memory\n", kind->command);
        return 1;
    }
    memset(c, 0, sizeof *c);
    c->kind = kind;
    make_spec(c);
    code = args_parse(&c->args, &c->spec, argc, argv);
    if (code < 0 && kind->prepare)
        code = kind->prepare(c);
    if (code < 0)
        code = load_exec(&c->load, &c->args);
    if (code < 0)
        code = read_options(c);
    if (code < 0)
        code = run(c);
    close_command(c);
    return code;
}

int cmd_distill(int argc, char **argv)
{
    static const struct distill_kind kind = {.command = "distill", .about = about};

    return distill_command(argc, argv, &kind);
}
