/* cmd_debate.c - arklet debate: several agents answer questions in rounds; every turn is recorded. */
#include <stdio.h>
#include <string.h>
#include "args.h"
#include "ask_flags.h"
#include "cmd.h"
#include "debate.h"
#include "debate_flags.h"
#include "load.h"
#include "record_flags.h"
#include "terminal.h"

#define MODEL_FLAGS 16

struct debate_command {
    struct arg model_flags[MODEL_FLAGS]; /* -m may be left out when every agent names its model */
    const struct arg *groups[6];
    struct args_spec spec;
    struct args args;
    struct load load;
    struct team team;
    struct question_options questions;
    struct progress progress;
};

static const char about[] =
    "Agents answer every question alone, then read all answers of the last round and answer again. A record a\n"
    "question holds every turn with its parsed answer, correctness, token count and mean log-probability, and\n"
    "the vote. A run that was stopped goes on when the same command is given again. The summary on standard\n"
    "output (of all records in the output) compares single answers, rounds and votes, and shows what prompts cost.\n"
    "\n"
    "Agents may differ, each with an --agent of its own:\n"
    "    --agent model=a.gguf --agent model=b.gguf,lora=run,temp=0.5 --agent 'persona=You doubt everything.'";

static void make_spec(struct debate_command *c)
{
    args_optional(c->model_flags, MODEL_FLAGS, args_model);
    c->groups[0] = args_ask;
    c->groups[1] = args_debate;
    c->groups[2] = c->model_flags;
    c->groups[3] = args_sampling;
    c->groups[4] = args_common;
    c->spec.command = "debate";
    c->spec.about = about;
    c->spec.groups = c->groups;
}

static void print_summary(const struct debate_command *c, const struct debate_summary *s)
{
    struct buffer text = {0};

    debate_put(&text, s);
    fputs(text.data ? text.data : "", stdout);
    buffer_free(&text);
    team_warn(s, &c->args);
}

static int hold(struct debate_command *c)
{
    struct question_reader questions;
    struct resume resume = {0};
    struct file_stream out;
    struct debate_summary summary = {0};
    struct diag diag;
    const char *path = args_text(&c->args, "output");
    enum status status = question_open(&questions, args_text(&c->args, "file"), &c->questions, &diag), closed;
    int to_file = strcmp(path, "-") != 0;

    if (status)
        return cmd_fail(&diag);
    status = file_stream_open(&out, path, 1, &diag);
    if (!status) {
        status = resume_open(&resume, &out, &diag);
        terminal_progress(&c->progress, c->load.quiet);
        progress_begin(&c->progress, "debate", "tok/s");
        if (!status)
            status = debate_run(&c->team.options, &questions, &resume, &out, &summary, &diag);
        closed = file_stream_close(&out, status ? NULL : &diag);
        status = status ? status : closed;
        progress_end(&c->progress, resume.n + summary.questions, 0, (double)summary.decoded,
                     status ? "stopped" : "done");
    }
    resume_close(&resume);
    record_warn(&questions.records, c->load.quiet);
    question_close(&questions);
    if (!status && to_file)
        status = debate_recount(&summary, path, &diag);
    if (status)
        return cmd_fail(&diag);
    if (to_file)
        print_summary(c, &summary);
    return 0;
}

int cmd_debate(int argc, char **argv)
{
    struct debate_command *c = memory_alloc(sizeof *c);
    int code;

    if (!c) {
        fprintf(stderr, "arklet debate: out of memory\n");
        return 1;
    }
    memset(c, 0, sizeof *c);
    make_spec(c);
    code = args_parse(&c->args, &c->spec, argc, argv);
    if (code < 0)
        code = args_text(&c->args, "model") ? load_model(&c->load, &c->args, 0) : load_exec(&c->load, &c->args);
    if (code < 0)
        code = ask_questions(&c->questions, &c->args);
    if (code < 0)
        code = team_open(&c->team, &c->load, &c->args);
    if (code < 0) {
        c->team.options.progress = &c->progress;
        c->team.options.stop = terminal_interrupted;
        terminal_prepare();
        code = hold(c);
    }
    team_close(&c->team);
    load_free(&c->load);
    args_free(&c->args);
    memory_free(c);
    return code;
}
