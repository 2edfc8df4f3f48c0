/* cmd_run.c - arklet run: completes a prompt, as text or as ids; dialogues are in cmd_run_chat.c.
 *
 * Standard output carries the completion alone, each piece as soon as it is decided. Ctrl-C ends the text where it is,
 * with exit code 130, as shells expect of an interrupted command. */
#include "cmd_run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cmd.h"
#include "file.h"
#include "progress.h"
#include "terminal.h"

#define CHUNK            512 /* prompt tokens a step */
#define EXIT_INTERRUPTED 130

static const struct arg own_flags[] = {
    {.name = "prompt", .alias = "-p", .kind = ARG_TEXT, .value = "TEXT", .help = "the prompt; empty: BOS alone"},
    {.name = "file",
     .alias = "-f",
     .kind = ARG_TEXT,
     .value = "FILE",
     .help = "read the prompt from a file (-: standard input), without a final newline"},
    {.name = "n-predict",
     .alias = "-n --predict",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "-1",
     .low = -1,
     .high = 1 << 30,
     .help = "most tokens to produce; -1: to the end of the text or of the context"},
    {.name = "stop",
     .alias = "-r --reverse-prompt",
     .kind = ARG_LIST,
     .value = "TEXT",
     .help = "end before this text would come out; repeatable"},
    {.name = "ids", .kind = ARG_TEXT, .value = "'I J K'", .help = "the prompt as token ids; prints ids"},
    {.name = "special", .kind = ARG_FLAG, .help = "recognise special tokens in the prompt"},
    {.name = "chat",
     .alias = "-cnv --conversation",
     .kind = ARG_FLAG,
     .help = "answer in the model's template; without -p or -f a dialogue on standard input"},
    {.name = "system", .alias = "-sys --system-prompt", .kind = ARG_TEXT, .value = "TEXT", .help = "system message"},
    {.name = "chat-template",
     .kind = ARG_TEXT,
     .value = "NAME",
     .help = "the template's family, for models that bring none"},
    {.name = "no-thinking", .kind = ARG_FLAG, .help = "reasoning models answer at once"},
    {.name = NULL},
};

static const struct arg *const groups[] = {own_flags, args_sampling, args_model, args_common, NULL};

static const struct args_spec spec = {
    .command = "run",
    .about = "Completes a prompt. Filters: top-k, then top-p, then min-p, then the temperature. A dialogue takes one\n"
             "line of standard input per turn. Ctrl-C ends the text where it is (exit code 130).",
    .groups = groups,
};

static int usage(const char *message)
{
    fprintf(stderr, "arklet run: %s (see arklet run --help)\n", message);
    return 2;
}

/* ---- the engine ---- */

static struct engine_options engine_options_of(const struct run *run, size_t context)
{
    struct engine_options options;

    memset(&options, 0, sizeof options);
    options.context = context;
    options.max_sequences = 1;
    options.chunk = context < CHUNK ? context : CHUNK;
    options.keep = args_flag(&run->args, "chat"); /* a dialogue's next turn begins like this one */
    options.k_type = run->load.k_type;
    options.v_type = run->load.v_type;
    return options;
}

static size_t engine_bytes(const void *user, size_t context)
{
    const struct run *run = user;
    struct engine_options options = engine_options_of(run, context);

    return engine_plan(&run->load.model->config, &run->load.exec, &options).bytes;
}

int run_create_engine(struct run *run, size_t positions)
{
    size_t context = positions < run->load.context ? positions : run->load.context;
    struct engine_options options = engine_options_of(run, context);
    struct diag diag;
    int code = load_check_memory(&run->load, context, engine_bytes, run);

    if (code >= 0)
        return code;
    if (engine_create(&run->engine, run->load.model, &run->load.exec, &options, &diag)) {
        fprintf(stderr, "arklet: %s; a context shorter than %zu (-c) needs less\n", diag.message, context);
        return 1;
    }
    return -1;
}

/* The engine for one prompt of n tokens: a stated -n needs no more cache than prompt and n. */
static int create_engine_for(struct run *run, size_t n)
{
    if (n > run->load.context) {
        fprintf(stderr, "arklet: the prompt has %zu tokens, the context holds %zu (-c)\n", n, run->load.context);
        return 1;
    }
    return run_create_engine(run, run->max_new < run->load.context ? n + run->max_new : run->load.context);
}

/* ---- a run of the engine ---- */

/* Steps until idle or interrupted. *first is the time at which the first token was there. */
static int step_until_idle(struct run *run, double *first)
{
    uint64_t before = engine_statistics(run->engine).decoded_tokens;
    struct diag diag;

    *first = 0;
    while (!engine_idle(run->engine)) {
        if (engine_step(run->engine, &diag))
            return cmd_fail(&diag);
        if (*first <= 0 && engine_statistics(run->engine).decoded_tokens > before)
            *first = progress_now();
        if (terminal_interrupted())
            return EXIT_INTERRUPTED;
    }
    return -1;
}

/* What a run of the engine did since `before`, with -v. */
static void print_rates(const struct run *run, const struct engine_statistics *before, double started, double first,
                        double ended)
{
    struct engine_statistics now = engine_statistics(run->engine);
    uint64_t computed = now.computed_tokens - before->computed_tokens;
    uint64_t decoded = now.decoded_tokens - before->decoded_tokens;
    double prompt = first - started, rest = ended - first;

    if (!run->load.verbose || decoded == 0)
        return;
    fprintf(stderr,
            "\nprompt: %llu tokens, %llu of them shared, first token after %.3f s (%.1f tok/s); then %llu tokens in "
            "%.3f s (%.1f tok/s)\n",
            (unsigned long long)(now.prompt_tokens - before->prompt_tokens),
            (unsigned long long)(now.shared_tokens - before->shared_tokens), prompt,
            prompt > 0 ? (double)computed / prompt : 0.0, (unsigned long long)(decoded - 1), rest,
            rest > 0 ? (double)(decoded - 1) / rest : 0.0);
}

static int print_text(void *user, const char *text, size_t length)
{
    (void)user;
    fwrite(text, 1, length, stdout);
    fflush(stdout);
    return ferror(stdout) || terminal_interrupted();
}

int run_complete(struct run *run, const int32_t *ids, size_t n, int keep_space, struct buffer *answer)
{
    struct generate_options options;
    struct generation generation;
    struct engine_statistics before = engine_statistics(run->engine);
    struct diag diag;
    double started = progress_now(), first;
    int code;

    memset(&options, 0, sizeof options);
    options.max_new = run->max_new;
    options.sampling = run->sampling;
    options.stops = run->stops;
    options.n_stops = run->n_stops;
    options.eos = run->eos.ids;
    options.n_eos = run->eos.count;
    options.keep_space = keep_space;
    options.adapters = run->load.adapters;
    options.n_adapters = run->load.n_adapters;
    options.on_text = print_text;
    if (generation_begin(&generation, run->engine, run->load.model->tokenizer, ids, n, &options, &diag)) {
        generation_free(&generation);
        return cmd_fail(&diag);
    }
    code = step_until_idle(run, &first);
    print_rates(run, &before, started, first, progress_now());
    if (code < 0 && generation.failed) {
        fprintf(stderr, "arklet: out of memory for the text\n");
        code = 1;
    }
    if (answer)
        buffer_append(answer, generation.text.data, generation.text.length);
    generation_free(&generation);
    return ferror(stdout) ? 1 : code; /* main reports what is wrong with standard output */
}

/* ---- prompts ---- */

int run_read_prompt(struct run *run, struct buffer *prompt, int *given)
{
    const char *text = args_text(&run->args, "prompt"), *path = args_text(&run->args, "file");
    struct diag diag;

    *given = text || path;
    if (text && path)
        return usage("-p and -f: expected one of them");
    if (text)
        buffer_text(prompt, text);
    if (path && file_read(prompt, path, 0, &diag))
        return cmd_fail(&diag);
    if (path && prompt->length > 0 && prompt->data[prompt->length - 1] == '\n')
        prompt->length--;
    return -1;
}

static int run_text(struct run *run)
{
    struct buffer prompt = {0};
    struct tokens ids = {0};
    struct diag diag;
    unsigned flags = args_flag(&run->args, "special") ? ENCODE_SPECIAL : 0;
    int given, code = run_read_prompt(run, &prompt, &given);

    if (code < 0 &&
        generate_prompt(run->load.model->tokenizer, prompt.data ? prompt.data : "", prompt.length, flags, &ids, &diag))
        code = cmd_fail(&diag);
    if (code < 0)
        code = create_engine_for(run, ids.count);
    if (code < 0)
        code = run_complete(run, ids.ids, ids.count, prompt.length > 0, NULL);
    if (run->to_terminal && run->engine)
        putchar('\n');
    tokens_free(&ids);
    buffer_free(&prompt);
    return code;
}

/* ---- token ids ---- */

static int parse_ids(const char *text, struct tokens *ids)
{
    while (*(text += strspn(text, " ,\t\n"))) {
        char *end;
        long long id = strtoll(text, &end, 10);

        if (end == text || (*end && !strchr(" ,\t\n", *end)) || id < INT32_MIN || id > INT32_MAX) {
            fprintf(stderr, "arklet run: --ids: expected whole numbers, found '%.40s' (see arklet run --help)\n", text);
            return 2;
        }
        tokens_append(ids, (int32_t)id);
        text = end;
    }
    if (ids->count == 0)
        return usage("--ids: expected at least one token id");
    return -1;
}

static int print_id(void *user, int32_t id, float logprob)
{
    int *printed = user;

    (void)logprob;
    printf("%s%ld", (*printed)++ ? " " : "", (long)id);
    fflush(stdout);
    return ferror(stdout) || terminal_interrupted();
}

static int run_ids(struct run *run)
{
    struct tokens ids = {0};
    struct request request;
    struct diag diag;
    int printed = 0, code = parse_ids(args_text(&run->args, "ids"), &ids);

    if (code < 0)
        code = create_engine_for(run, ids.count);
    if (code < 0) {
        memset(&request, 0, sizeof request);
        request.prompt = ids.ids;
        request.n_prompt = ids.count;
        request.max_new = run->max_new;
        request.sampling = run->sampling;
        request.eos = run->eos.ids;
        request.n_eos = run->eos.count;
        request.adapters = run->load.adapters;
        request.n_adapters = run->load.n_adapters;
        request.on_token = print_id;
        request.user = &printed;
        code = engine_submit(run->engine, &request, &diag) ? cmd_fail(&diag) : -1;
    }
    if (code < 0) {
        struct engine_statistics before = engine_statistics(run->engine);
        double started = progress_now(), first;

        code = step_until_idle(run, &first);
        putchar('\n');
        print_rates(run, &before, started, first, progress_now());
    }
    tokens_free(&ids);
    return ferror(stdout) ? 1 : code;
}

/* ---- the command ---- */

static int read_flags(struct run *run)
{
    const struct args *args = &run->args;
    size_t n = args_count(args, "stop");

    run->to_terminal = isatty(STDOUT_FILENO);
    run->max_new = args_int(args, "n-predict") < 0 ? SIZE_MAX / 2 : (size_t)args_int(args, "n-predict");
    run->sampling.temperature = (float)args_float(args, "temp");
    run->sampling.top_k = (int)args_int(args, "top-k");
    run->sampling.top_p = (float)args_float(args, "top-p");
    run->sampling.min_p = (float)args_float(args, "min-p");
    run->sampling.seed = (uint64_t)args_int(args, "seed");
    run->stops = arena_array(&run->args.arena, n, sizeof *run->stops);
    for (size_t i = 0; run->stops && i < n; i++) {
        run->stops[i] = args_item(args, "stop", i);
        if (!*run->stops[i])
            return usage("--stop: expected some text");
    }
    run->n_stops = run->stops ? n : 0;
    if (args_text(args, "ids") && (args_flag(args, "chat") || args_text(args, "prompt") || args_text(args, "file")))
        return usage("--ids: expected neither -p, -f nor --chat beside it");
    if (!args_flag(args, "chat") && (args_text(args, "system") || args_text(args, "chat-template")))
        return usage("--system and --chat-template: expected --chat beside them");
    return -1;
}

static int run_command(struct run *run)
{
    struct diag diag;
    const struct tokenizer *tokenizer;
    int code = read_flags(run);

    if (code < 0)
        code = load_model(&run->load, &run->args, 0);
    if (code >= 0)
        return code;
    tokenizer = run->load.model->tokenizer;
    if (tokenizer && generate_eos(tokenizer, &run->eos, &diag))
        return cmd_fail(&diag);
    if (args_text(&run->args, "ids"))
        return run_ids(run);
    if (!tokenizer) {
        fprintf(stderr, "arklet: %s: the model has no tokenizer: expected the prompt as --ids\n",
                args_text(&run->args, "model"));
        return 1;
    }
    return args_flag(&run->args, "chat") ? run_chat(run) : run_text(run);
}

int cmd_run(int argc, char **argv)
{
    struct run run;
    int code;

    memset(&run, 0, sizeof run);
    code = args_parse(&run.args, &spec, argc, argv);
    if (code < 0)
        code = run_command(&run);
    engine_free(run.engine);
    tokens_free(&run.eos);
    load_free(&run.load);
    args_free(&run.args);
    return code < 0 ? 0 : code;
}
