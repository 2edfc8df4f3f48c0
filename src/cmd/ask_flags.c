/* ask_flags.c - questions, prompts and the engine from flags. */
#include "ask_flags.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ask.h"
#include "cmd.h"
#include "memory_plan.h"
#include "record_flags.h"

const struct arg args_ask[] = {
    {.name = "file",
     .alias = "-f",
     .kind = ARG_TEXT,
     .value = "QUESTIONS",
     .required = 1,
     .help = "questions (JSON Lines or a JSON array; -: standard input)"},
    {.name = "output",
     .alias = "-o",
     .kind = ARG_TEXT,
     .value = "FILE",
     .required = 1,
     .help = "records (-: standard output); an existing file is continued"},
    {.name = "kind",
     .kind = ARG_CHOICE,
     .value = "KIND",
     .choices = ANSWER_KINDS,
     .help = "kind of all questions; default: told by each record"},
    {.name = "shard", .kind = ARG_TEXT, .value = "I/N", .help = "the I-th of N parts of the file"},
    {.name = "no-gold", .kind = ARG_FLAG, .help = "questions may lack an answer; those cannot be graded"},
    {.name = "skip-bad", .kind = ARG_FLAG, .help = "count wrong records and go on"},
    {.name = "max-new",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "512",
     .low = 1,
     .high = 1048576,
     .help = "tokens of an answer at most"},
    {.name = "batch",
     .alias = "-b",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "32",
     .low = 1,
     .high = 4096,
     .help = "sequences that decode together"},
    {.name = "chat-template", .kind = ARG_TEXT, .value = "NAME", .help = "default: the model's own"},
    {.name = "plain", .kind = ARG_FLAG, .help = "plain text prompts, also for a model with a chat template"},
    {.name = "system", .kind = ARG_TEXT, .value = "TEXT", .help = "system message"},
    {.name = NULL},
};

int ask_questions(struct question_options *options, const struct args *args)
{
    memset(options, 0, sizeof *options);
    options->kind = args_text(args, "kind");
    options->need_gold = !args_flag(args, "no-gold");
    return record_flags(&options->records, args);
}

int ask_style(struct prompt_style *style, struct chat_template *chat, const struct load *load, const struct args *args)
{
    struct diag diag;

    return prompt_style_open(style, chat, load->model, args_text(args, "chat-template"), args_flag(args, "plain"),
                             args_text(args, "system"), &diag)
               ? cmd_fail(&diag)
               : -1;
}

size_t ask_context(const struct load *load, const struct args *args)
{
    size_t wanted = 4096 + (size_t)args_int(args, "max-new");

    return args_int(args, "ctx-size") > 0 || wanted > load->context ? load->context : wanted;
}

int ask_engine(struct engine **engine, const struct load *load, const struct args *args, size_t context)
{
    struct engine_options options = {.context = context, .chunk = 256, .k_type = load->k_type, .v_type = load->v_type};
    struct memory_plan plan = load_plan(load, load_adapter_bytes(load));
    struct diag diag;
    char what[64];

    options.max_sequences = (size_t)args_int(args, "batch");
    options.keep = options.max_sequences;
    if (ask_open_engine(engine, load->model, &load->exec, &options, plan.work + plan.aside, load->mem_limit, &diag)) {
        if (diag.status != STATUS_MEMORY || !load->mem_limit)
            return cmd_fail(&diag);
        fprintf(stderr, "arklet %s: --mem-limit %s: %s\n", args->spec->command, load->limit_text, diag.message);
        return 1;
    }
    plan.work += engine_plan(&load->model->config, &load->exec, &options).bytes;
    snprintf(what, sizeof what, "%zu sequences; ", options.max_sequences);
    return load_check_plan(load, args->spec->command, what, &plan, "a smaller -c would fit");
}
