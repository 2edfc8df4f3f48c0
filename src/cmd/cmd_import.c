/* cmd_import.c - arklet import: debates held elsewhere become debate records (import.h, transcript.h). */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "args.h"
#include "cmd.h"
#include "file_rewrite.h"
#include "import.h"
#include "record_flags.h"
#include "terminal.h"

static const struct arg own_flags[] = {
    {.name = "file", .alias = "-f", .kind = ARG_TEXT, .value = "FILE", .help = "the debates (-: standard input)"},
    {.name = "output",
     .alias = "-o",
     .kind = ARG_TEXT,
     .value = "FILE",
     .required = 1,
     .help = "debate records (-: standard output)"},
    {.name = "kind",
     .kind = ARG_CHOICE,
     .value = "KIND",
     .choices = ANSWER_KINDS,
     .help = "of all answers; default: told by each record"},
    {.name = "model-name", .kind = ARG_TEXT, .value = "TEXT", .help = "the model that spoke, for the records"},
    {.name = NULL},
};

static const struct arg *const groups[] = {own_flags, args_records, args_common, NULL};

static const struct args_spec spec = {
    .command = "import",
    .operands = "FORMAT [FILE]",
    .about = "Reads debates held elsewhere and writes debate records: every turn with its answer, graded anew.\n"
             "  du        {question: [[messages of an agent, ...], gold]}, one big object\n"
             "  agentark  {query, gt, response} or {query, gt, solutions, labels}, a record a debate\n"
             "  messages  {messages: [...] or a list of lists}, with the question's answer if there is one\n"
             "A run that was stopped goes on when the same command is given again. Counts are printed on standard\n"
             "output as lines \"name value\" (on standard error when the records go to standard output).",
    .min_operands = 1,
    .max_operands = 2,
    .groups = groups,
};

struct import_command {
    struct args args;
    struct question_options options;
    struct import_reader in;
    struct file_rewrite out;
    int out_open, quiet;
    struct buffer line;
    struct progress progress;
    uint64_t debates, turns, unanswered, rounds_right[2], rounds_turns[2]; /* first and last round */
    uint64_t votes, votes_right, wrong_to_right, right_to_wrong;
};

static void count_debate(struct import_command *c, const struct transcript *t)
{
    int before[TRANSCRIPT_MAX_AGENTS];
    size_t i, a;

    for (a = 0; a < t->n_agents; a++)
        before[a] = TRANSCRIPT_UNKNOWN;
    c->debates++;
    c->turns += t->n_turns;
    c->votes += t->vote_correct != TRANSCRIPT_UNKNOWN;
    c->votes_right += t->vote_correct == 1;
    for (i = 0; i < t->n_turns; i++) {
        const struct transcript_turn *turn = &t->turns[i];

        c->unanswered += !turn->answer;
        if (turn->correct == TRANSCRIPT_UNKNOWN)
            continue;
        c->wrong_to_right += before[turn->agent] == 0 && turn->correct;
        c->right_to_wrong += before[turn->agent] == 1 && !turn->correct;
        before[turn->agent] = turn->correct;
        c->rounds_turns[0] += turn->round == 0;
        c->rounds_right[0] += turn->round == 0 && turn->correct;
    }
    for (a = 0; a < t->n_agents; a++) {
        c->rounds_turns[1] += before[a] != TRANSCRIPT_UNKNOWN;
        c->rounds_right[1] += before[a] == 1;
    }
}

static enum status import_file(struct import_command *c, struct diag *diag)
{
    terminal_progress(&c->progress, c->quiet || (c->out.stream.fd == STDOUT_FILENO && isatty(STDOUT_FILENO)));
    progress_begin(&c->progress, "import", "MB/s");
    for (;;) {
        const struct transcript *transcript;
        enum status status = import_next(&c->in, &transcript, diag);
        double megabytes = (double)c->in.questions.records.stream.next_offset / 1e6;

        if (!status && terminal_interrupted())
            status = diag_fail(diag, STATUS_STOPPED, "interrupted after %llu debates; the same command goes on",
                               (unsigned long long)c->debates);
        if (!status && transcript) {
            buffer_clear(&c->line);
            transcript_put(&c->line, transcript);
            status = c->line.failed ? diag_fail(diag, STATUS_MEMORY, "out of memory for a record")
                                    : file_rewrite_record(&c->out, c->line.data, c->line.length, diag);
            count_debate(c, transcript);
        }
        if (status || !transcript) {
            progress_end(&c->progress, c->debates, 0, megabytes, "");
            return status;
        }
        progress_update(&c->progress, c->debates, 0, megabytes, "");
    }
}

static void print_share(FILE *to, const char *name, uint64_t hits, uint64_t n)
{
    if (n)
        fprintf(to, "%s %.4f %llu\n", name, (double)hits / (double)n, (unsigned long long)n);
}

static void print_counts(const struct import_command *c)
{
    FILE *to = c->out.stream.fd == STDOUT_FILENO ? stderr : stdout;

    fprintf(to, "debates %llu\nturns %llu\nunanswered %llu\n", (unsigned long long)c->debates,
            (unsigned long long)c->turns, (unsigned long long)c->unanswered);
    print_share(to, "first_round", c->rounds_right[0], c->rounds_turns[0]);
    print_share(to, "last_round", c->rounds_right[1], c->rounds_turns[1]);
    print_share(to, "vote", c->votes_right, c->votes);
    fprintf(to, "wrong_to_right %llu\nright_to_wrong %llu\n", (unsigned long long)c->wrong_to_right,
            (unsigned long long)c->right_to_wrong);
    print_share(to, "label_agrees", c->in.label_agrees, c->in.labels);
}

static int run_command(struct import_command *c)
{
    const char *path = args_text(&c->args, "file");
    enum import_format format;
    struct diag diag;
    enum status status, closed;
    int code = record_flags(&c->options.records, &c->args);

    if (code >= 0)
        return code;
    if (!import_format_named(&format, c->args.operands[0])) {
        fprintf(stderr, "arklet import: expected a format, one of %s, found '%s'\n", IMPORT_FORMATS,
                c->args.operands[0]);
        return 2;
    }
    if ((c->args.n_operands == 2) == (path != NULL)) {
        fprintf(stderr, "arklet import: expected one file, as the second operand or with -f\n");
        return 2;
    }
    c->quiet = args_flag(&c->args, "quiet");
    c->options.kind = args_text(&c->args, "kind");
    status = import_open(&c->in, path ? path : c->args.operands[1], format, &c->options, &diag);
    c->in.model = args_text(&c->args, "model-name");
    if (!status) {
        status = file_rewrite_open(&c->out, args_text(&c->args, "output"), &diag);
        c->out_open = !status;
    }
    if (!status)
        status = import_file(c, &diag);
    if (!status)
        print_counts(c);
    if (c->out_open) {
        closed = file_rewrite_close(&c->out, !status, status ? NULL : &diag);
        status = status ? status : closed;
    }
    record_warn(&c->in.questions.records, c->quiet);
    return status ? cmd_fail(&diag) : -1;
}

int cmd_import(int argc, char **argv)
{
    struct import_command c;
    int code;

    memset(&c, 0, sizeof c);
    c.in.questions.records.stream.fd = -1;
    code = args_parse(&c.args, &spec, argc, argv);
    if (code < 0)
        code = run_command(&c);
    import_close(&c.in);
    buffer_free(&c.line);
    args_free(&c.args);
    return code < 0 ? 0 : code;
}
