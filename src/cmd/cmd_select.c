/* cmd_select.c - arklet select: training traces from debates (select.h). */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "args.h"
#include "cmd.h"
#include "record_flags.h"
#include "select.h"
#include "terminal.h"

static const struct arg own_flags[] = {
    {.name = "file",
     .alias = "-f",
     .kind = ARG_TEXT,
     .value = "DEBATES",
     .required = 1,
     .help = "debate records (-: standard input)"},
    {.name = "output",
     .alias = "-o",
     .kind = ARG_TEXT,
     .value = "FILE",
     .required = 1,
     .help = "traces for arklet sft (-: standard output)"},
    {.name = "strategy",
     .kind = ARG_CHOICE,
     .value = "S",
     .otherwise = "da",
     .choices = SELECT_STRATEGIES,
     .help = "one trace, diverse ones, the gold alone, round 0 alone"},
    {.name = "k",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "3",
     .low = 1,
     .high = 64,
     .help = "traces of a debate at most"},
    {.name = "min-correct",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "2",
     .low = 0,
     .high = TRANSCRIPT_MAX_AGENTS,
     .help = "agents that must be right in the end"},
    {.name = "distance",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = ARGS_TEXT(SELECT_DISTANCE),
     .low = 0,
     .high = 1,
     .help = "from what is taken, in equations: closer traces are not"},
    {.name = "spliced", .kind = ARG_FLAG, .help = "also: wrong start (no loss), self-check, the right solution"},
    {.name = "max-spliced",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = ARGS_TEXT(SELECT_SPLICED),
     .low = 0,
     .high = 1,
     .help = "spliced traces' share of the text"},
    {.name = "budget",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "0",
     .low = 0,
     .high = 1e15,
     .help = "sampled: tokens of round 0 that count per debate (0: all)"},
    {.name = "match",
     .kind = ARG_TEXT,
     .value = "DEBATES",
     .help = "sampled: as many tokens as these debates on the same questions generated"},
    {.name = "model",
     .alias = "-m",
     .kind = ARG_TEXT,
     .value = "M",
     .help = "the student: prompts as its chat template has them (only its tokenizer is read)"},
    {.name = "chat",
     .kind = ARG_FLAG,
     .help = "prompts and completions as messages; default: -m's way, else plain text"},
    {.name = "plain", .kind = ARG_FLAG, .help = "plain text prompts, also for a model with a chat template"},
    {.name = "system", .kind = ARG_TEXT, .value = "TEXT", .help = "system message"},
    {.name = NULL},
};

static const struct arg *const groups[] = {own_flags, args_records, args_common, NULL};

static const struct args_spec spec = {
    .command = "select",
    .about =
        "Chooses what a student learns from: of every debate with enough right agents, right turns that are complete\n"
        "and stand alone. The traces of a debate weigh 1 together.\n"
        "  rsft     the shortest\n"
        "  da       the shortest, then those that differ most from it (at most --k, weight 1/k each)\n"
        "  answer   the gold alone\n"
        "  sampled  as da, but from the first answers alone: rejection sampling without debate\n"
        "Counts of what was kept and why the rest was not are printed on standard output as lines \"name value\" (on\n"
        "standard error when the traces go to standard output). A run that was stopped goes on when the same command\n"
        "is given again.",
    .groups = groups,
};

struct select_command {
    struct args args;
    struct select_options options;
    struct prompt_style style;
    struct chat_template chat;
    struct tokenizer *tokenizer;
    struct record_reader reader;
    struct select_summary summary;
    struct file_rewrite out;
    struct progress progress;
    int quiet;
};

/* How prompts are written: only whether they are messages matters here, sft renders them. */
static int read_style(struct select_command *c)
{
    const char *model = args_text(&c->args, "model"), *text = NULL;
    struct diag diag;

    c->style.system = args_text(&c->args, "system");
    c->options.style = &c->style;
    if (model && tokenizer_load(&c->tokenizer, model, &diag))
        return cmd_fail(&diag);
    if (c->tokenizer)
        text = tokenizer_chat_template(c->tokenizer);
    if (args_flag(&c->args, "plain") || (!text && !args_flag(&c->args, "chat")))
        return -1;
    if (text ? chat_recognise(&c->chat, text, strlen(text), &diag) : chat_named(&c->chat, "chatml", &diag))
        return cmd_fail(&diag);
    c->style.chat = &c->chat;
    return -1;
}

static int read_options(struct select_command *c)
{
    struct select_options *o = &c->options;
    const struct args *args = &c->args;
    int code = record_flags(&o->records, args);

    if (code >= 0)
        return code;
    select_strategy_named(&o->strategy, args_text(args, "strategy"));
    o->k = (size_t)args_int(args, "k");
    o->min_correct = (size_t)args_int(args, "min-correct");
    o->distance = args_float(args, "distance");
    o->spliced = args_flag(args, "spliced");
    o->max_spliced = args_float(args, "max-spliced");
    o->budget = (uint64_t)args_int(args, "budget");
    o->match = args_text(args, "match");
    if (o->match && o->strategy != SELECT_SAMPLED) {
        fprintf(stderr, "arklet select: --match: goes with --strategy sampled alone\n");
        return 2;
    }
    o->progress = &c->progress;
    o->stop = terminal_interrupted;
    c->quiet = args_flag(args, "quiet");
    return read_style(c);
}

static void print_count(FILE *to, const char *name, uint64_t n)
{
    fprintf(to, "%s %llu\n", name, (unsigned long long)n);
}

static void print_counts(const struct select_command *c)
{
    FILE *to = c->out.stream.fd == STDOUT_FILENO ? stderr : stdout;
    const struct select_summary *s = &c->summary;
    char name[64];

    print_count(to, "debates", s->debates);
    print_count(to, "kept", s->kept);
    print_count(to, "dropped_few_correct", s->few_correct);
    print_count(to, "dropped_no_candidate", s->no_candidate);
    print_count(to, "traces", s->consensus + s->corrective + s->spliced + s->answers + s->sampled);
    print_count(to, "consensus", s->consensus);
    print_count(to, "corrective", s->corrective);
    print_count(to, "spliced", s->spliced);
    print_count(to, "answer", s->answers);
    print_count(to, "sampled", s->sampled);
    print_count(to, "turns", s->turns);
    for (int i = 0; i < SELECT_REASONS; i++) {
        snprintf(name, sizeof name, "turns_%s", select_reasons[i]);
        print_count(to, name, s->left_out[i]);
    }
    if (c->options.spliced) {
        print_count(to, "unspliced_no_bad_step", s->splice_no_step);
        print_count(to, "unspliced_bound", s->splice_bound);
    }
    if (s->bytes)
        fprintf(to, "spliced_share %.4f\n", (double)s->spliced_bytes / (double)s->bytes);
    print_count(to, "debate_tokens", s->debate_tokens);
    print_count(to, "first_round_tokens", s->first_tokens);
}

/* In words, on standard error. */
static void explain(const struct select_command *c)
{
    const struct select_summary *s = &c->summary;

    if (c->quiet)
        return;
    fprintf(stderr,
            "select: %llu of %llu debates kept; %llu had fewer than %lld right agents, %llu no usable right turn\n",
            (unsigned long long)s->kept, (unsigned long long)s->debates, (unsigned long long)s->few_correct,
            (long long)args_int(&c->args, "min-correct"), (unsigned long long)s->no_candidate);
    if (s->kept == 0 && s->debates)
        fprintf(stderr, "arklet select: warning: no trace was written\n");
}

static int run_command(struct select_command *c)
{
    struct diag diag;
    enum status status = file_rewrite_open(&c->out, args_text(&c->args, "output"), &diag), closed;

    if (status)
        return cmd_fail(&diag);
    terminal_progress(&c->progress, c->quiet || (c->out.stream.fd == STDOUT_FILENO && isatty(STDOUT_FILENO)));
    progress_begin(&c->progress, "select", "MB/s");
    status = select_run(&c->options, args_text(&c->args, "file"), &c->out, &c->reader, &c->summary, &diag);
    progress_end(&c->progress, c->summary.debates, 0, (double)c->reader.stream.next_offset / 1e6,
                 status ? "stopped" : "done");
    if (!status) {
        explain(c);
        print_counts(c);
    }
    closed = file_rewrite_close(&c->out, !status, status ? NULL : &diag);
    status = status ? status : closed;
    record_warn(&c->reader, c->quiet);
    return status ? cmd_fail(&diag) : -1;
}

int cmd_select(int argc, char **argv)
{
    struct select_command c;
    int code;

    memset(&c, 0, sizeof c);
    c.reader.stream.fd = -1;
    code = args_parse(&c.args, &spec, argc, argv);
    if (code < 0)
        code = read_options(&c);
    if (code < 0)
        code = run_command(&c);
    record_close(&c.reader);
    tokenizer_free(c.tokenizer);
    args_free(&c.args);
    return code < 0 ? 0 : code;
}
