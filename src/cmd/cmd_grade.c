/* cmd_grade.c - arklet grade: grades outputs that were made elsewhere.
 *
 *   question records with outputs -> one record an output (grade.h), and the means on standard output: "name value n"
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "args.h"
#include "cmd.h"
#include "file.h"
#include "grade.h"
#include "record_flags.h"
#include "terminal.h"

static const struct arg own_flags[] = {
    {.name = "file",
     .alias = "-f",
     .kind = ARG_TEXT,
     .value = "FILE",
     .required = 1,
     .help = "questions with outputs, JSON Lines or one array (-: standard input)"},
    {.name = "output", .alias = "-o", .kind = ARG_TEXT, .value = "FILE", .required = 1, .help = "a record an output"},
    {.name = "kind",
     .kind = ARG_CHOICE,
     .value = "KIND",
     .choices = ANSWER_KINDS,
     .help = "of all answers; default: told by each record"},
    {.name = NULL},
};

static const struct arg *const groups[] = {own_flags, args_records, args_common, NULL};

static const struct args_spec spec = {
    .command = "grade",
    .about =
        "Grades outputs made elsewhere: question records with an added output (a text), outputs or code (lists), or\n"
        "per-model {solution, is_correct}. Writes a record an output, with the prediction and whether it is correct\n"
        "(em and f1 for spans, rouge1, rouge2, rougeL for summaries), and whether a label beside the output agrees;\n"
        "prints the means as lines \"name value n\" (on standard error when the records go to standard output).",
    .groups = groups,
};

struct grade_command {
    struct args args;
    struct question_options options;
    struct question_reader in;
    struct file_stream out;
    int out_open, quiet;
    struct grade_sums sums;
    struct buffer line;
    struct progress progress;
};

static enum status write_record(void *context, const char *record, size_t length, struct diag *diag)
{
    struct grade_command *c = context;

    return file_stream_record(&c->out, record, length, diag);
}

static enum status grade_file(struct grade_command *c, struct diag *diag)
{
    const struct grade_sink sink = {write_record, c};

    terminal_progress(&c->progress, c->quiet || (c->out.fd == STDOUT_FILENO && isatty(STDOUT_FILENO)));
    progress_begin(&c->progress, "grade", "outputs/s");
    for (;;) {
        const struct question *question;
        enum status status = question_next(&c->in, &question, diag);

        if (!status && terminal_interrupted())
            status =
                diag_fail(diag, STATUS_STOPPED, "interrupted after %llu outputs", (unsigned long long)c->sums.outputs);
        if (!status && question) {
            status = grade_question(&c->sums, question, &c->in.records.arena, &c->line, &sink, diag);
            status = record_skip(&c->in.records, status, diag);
        }
        if (status || !question) {
            progress_end(&c->progress, c->sums.outputs, 0, (double)c->sums.outputs, "");
            return status;
        }
        progress_update(&c->progress, c->sums.outputs, 0, (double)c->sums.outputs, "");
    }
}

static void print_means(struct grade_command *c)
{
    buffer_clear(&c->line);
    grade_put_means(&c->line, &c->sums);
    if (c->line.data)
        fputs(c->line.data, c->out.fd == STDOUT_FILENO ? stderr : stdout);
    if (c->sums.unanswered && !c->quiet)
        fprintf(stderr, "arklet grade: %llu of %llu outputs hold no answer\n", (unsigned long long)c->sums.unanswered,
                (unsigned long long)c->sums.outputs);
}

static int run_command(struct grade_command *c)
{
    struct diag diag;
    enum status status;
    int code = record_flags(&c->options.records, &c->args);

    if (code >= 0)
        return code;
    c->quiet = args_flag(&c->args, "quiet");
    c->options.kind = args_text(&c->args, "kind");
    c->options.need_gold = 1;
    status = question_open(&c->in, args_text(&c->args, "file"), &c->options, &diag);
    if (!status) {
        status = file_stream_open(&c->out, args_text(&c->args, "output"), 0, &diag);
        c->out_open = !status;
    }
    if (!status)
        status = grade_file(c, &diag);
    if (!status)
        print_means(c);
    if (c->out_open) {
        enum status closed = file_stream_close(&c->out, status ? NULL : &diag);

        status = status ? status : closed;
    }
    record_warn(&c->in.records, c->quiet);
    return status ? cmd_fail(&diag) : -1;
}

int cmd_grade(int argc, char **argv)
{
    struct grade_command c;
    int code;

    memset(&c, 0, sizeof c);
    c.in.records.stream.fd = -1;
    code = args_parse(&c.args, &spec, argc, argv);
    if (code < 0)
        code = run_command(&c);
    question_close(&c.in);
    buffer_free(&c.line);
    args_free(&c.args);
    return code < 0 ? 0 : code;
}
