/* cmd_logprobs.c - arklet logprobs: the log-probability of each token of completions, given their prompts.
 *
 *   {"id","prompt","completion"}  ->  ids = encode(prompt, BOS as the vocabulary says) + encode(completion, no BOS,
 *                                     no dummy space)
 *   {"v":1,"id","tokens":[ids of the completion],"logprobs":[one each],"sum":x}
 *
 * One line out per line in, in order, as soon as it is there; memory does not grow with the file. An empty prompt is
 * BOS (else EOS) alone, as in `run`. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "args.h"
#include "cmd.h"
#include "file.h"
#include "generate.h"
#include "json.h"
#include "load.h"
#include "record_flags.h"
#include "score.h"
#include "terminal.h"

#define CHUNK 512

static const struct arg own_flags[] = {
    {.name = "file",
     .alias = "-f",
     .kind = ARG_TEXT,
     .value = "JSONL",
     .required = 1,
     .help = "records with prompt and completion (-: standard input)"},
    {.name = "output", .alias = "-o", .kind = ARG_TEXT, .value = "FILE", .otherwise = "-", .help = "where to write"},
    {.name = NULL},
};

static const struct arg *const groups[] = {own_flags, args_records, args_model, args_common, NULL};

static const struct args_spec spec = {
    .command = "logprobs",
    .about =
        "Prints a record per record: the completion's token ids, their natural log-probabilities at temperature 1\n"
        "over the whole vocabulary, given the prompt and the tokens before, and their sum.",
    .groups = groups,
};

struct logprobs {
    struct args args;
    struct load load;
    struct scorer *scorer;
    struct record_options record_options;
    struct record_reader in;
    struct file_stream out;
    int out_open;
    struct buffer line;
    struct tokens ids;
    size_t n_tokens;
    struct progress progress;
};

static struct score_options score_options_of(const struct logprobs *l, size_t context)
{
    struct score_options options = {context, context < CHUNK ? context : CHUNK, l->load.k_type, l->load.v_type, 1};

    return options;
}

static size_t work_bytes(const void *user, size_t context)
{
    const struct logprobs *l = user;
    struct score_options options = score_options_of(l, context);

    return score_bytes(&l->load.model->config, &options);
}

/* ---- one record ---- */

static void put_record(struct logprobs *l, const struct record *record, const int32_t *ids, const float *logprobs,
                       size_t n)
{
    double sum = 0;

    buffer_clear(&l->line);
    buffer_text(&l->line, "{\"v\":1,\"id\":");
    record_put_id(&l->line, record);
    buffer_text(&l->line, ",\"tokens\":[");
    for (size_t i = 0; i < n; i++)
        buffer_format(&l->line, "%s%ld", i ? "," : "", (long)ids[i]);
    buffer_text(&l->line, "],\"logprobs\":[");
    for (size_t i = 0; i < n; i++) {
        buffer_format(&l->line, "%s%.9g", i ? "," : "", (double)logprobs[i]);
        sum += (double)logprobs[i];
    }
    buffer_format(&l->line, "],\"sum\":%.9g}", sum);
}

static enum status score_record(struct logprobs *l, const struct record *record, struct diag *diag)
{
    const struct tokenizer *tokenizer = l->load.model->tokenizer;
    const struct json *prompt, *completion;
    float *logprobs;
    size_t from;
    enum status status = record_string(record, "prompt", &prompt, diag);

    if (!status)
        status = record_string(record, "completion", &completion, diag);
    if (status)
        return status;
    l->ids.count = 0;
    status = generate_prompt(tokenizer, prompt->text, prompt->length, 0, &l->ids, diag);
    from = l->ids.count;
    if (!status)
        status = tokenizer_encode(tokenizer, completion->text, completion->length, ENCODE_CONTINUE, &l->ids, diag);
    logprobs = arena_array(&l->in.arena, l->ids.count + 1, sizeof *logprobs);
    if (!status && !logprobs)
        status = diag_fail(diag, STATUS_MEMORY, "out of memory for %zu tokens", l->ids.count);
    if (!status) {
        status = score_tokens(l->scorer, l->ids.ids, l->ids.count, from, l->load.adapters, l->load.n_adapters, logprobs,
                              diag);
    }
    if (status)
        return record_at(record, status, diag);
    l->n_tokens += l->ids.count;
    put_record(l, record, l->ids.ids + from, logprobs, l->ids.count - from);
    return l->line.failed ? diag_fail(diag, STATUS_MEMORY, "out of memory for a record")
                          : file_stream_record(&l->out, l->line.data, l->line.length, diag);
}

/* ---- the file ---- */

static enum status score_file(struct logprobs *l, struct diag *diag)
{
    terminal_progress(&l->progress, l->load.quiet || (l->out.fd == STDOUT_FILENO && isatty(STDOUT_FILENO)));
    progress_begin(&l->progress, "logprobs", "tok/s");
    for (;;) {
        const struct record *record;
        enum status status = record_next(&l->in, &record, diag);

        if (!status && terminal_interrupted()) {
            status =
                diag_fail(diag, STATUS_STOPPED, "interrupted after %llu records", (unsigned long long)l->in.n_records);
        }
        if (!status && record)
            status = record_skip(&l->in, score_record(l, record, diag), diag);
        if (status || !record) {
            progress_end(&l->progress, l->in.n_records, 0, (double)l->n_tokens, "");
            return status;
        }
        progress_update(&l->progress, l->in.n_records, 0, (double)l->n_tokens, "");
    }
}

static enum status open_all(struct logprobs *l, struct diag *diag)
{
    struct score_options options = score_options_of(l, l->load.context);
    enum status status = score_create(&l->scorer, l->load.model, &l->load.exec, &options, diag);

    if (!status)
        status = record_open(&l->in, args_text(&l->args, "file"), &l->record_options, diag);
    if (!status) {
        status = file_stream_open(&l->out, args_text(&l->args, "output"), 0, diag);
        l->out_open = !status;
    }
    return status;
}

static int run_command(struct logprobs *l)
{
    struct diag diag;
    enum status status;
    int code = record_flags(&l->record_options, &l->args);

    if (code < 0)
        code = load_model(&l->load, &l->args, 0);
    if (code < 0 && !l->load.model->tokenizer) {
        fprintf(stderr, "arklet: %s: the model has no tokenizer\n", args_text(&l->args, "model"));
        code = 1;
    }
    if (code < 0)
        code = load_check_memory(&l->load, l->load.context, work_bytes, l);
    if (code >= 0)
        return code;
    status = open_all(l, &diag);
    if (!status)
        status = score_file(l, &diag);
    if (l->out_open) {
        enum status closed = file_stream_close(&l->out, status ? NULL : &diag);

        status = status ? status : closed;
    }
    record_warn(&l->in, l->load.quiet);
    return status ? cmd_fail(&diag) : -1;
}

int cmd_logprobs(int argc, char **argv)
{
    struct logprobs l;
    int code;

    memset(&l, 0, sizeof l);
    l.in.stream.fd = -1;
    code = args_parse(&l.args, &spec, argc, argv);
    if (code < 0)
        code = run_command(&l);
    score_free(l.scorer);
    record_close(&l.in);
    buffer_free(&l.line);
    tokens_free(&l.ids);
    load_free(&l.load);
    args_free(&l.args);
    return code < 0 ? 0 : code;
}
