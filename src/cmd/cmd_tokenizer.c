/* cmd_tokenizer.c - arklet tokenizer: learns a byte-level BPE vocabulary from text. */
#include <stdio.h>
#include <string.h>
#include "args.h"
#include "chat.h"
#include "cmd.h"
#include "file.h"
#include "terminal.h"
#include "tokenizer_train.h"

#define DEFAULT_SPECIAL "<|endoftext|>"
#define MAX_TEMPLATE    ((size_t)1 << 20)

static const struct arg own_flags[] = {
    {.name = "file",
     .alias = "-f",
     .kind = ARG_LIST,
     .value = "FILE",
     .required = 1,
     .help = "text to learn from; repeatable, -: standard input"},
    {.name = "output",
     .alias = "-o",
     .kind = ARG_TEXT,
     .value = "OUT",
     .required = 1,
     .help = "NAME.gguf, tokenizer.json or another NAME.json, else a folder"},
    {.name = "vocab-size",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "4096",
     .low = 257,
     .high = TOKENIZER_MAX_PIECES,
     .help = "pieces, the 256 bytes and the special tokens included"},
    {.name = "pre",
     .kind = ARG_CHOICE,
     .value = "NAME",
     .otherwise = "qwen2",
     .choices = "gpt-2|smollm|qwen2|llama-bpe|qwen35|tekken|gpt-4o",
     .help = "how text is cut into words, see above"},
    {.name = "special",
     .kind = ARG_LIST,
     .value = "TEXT",
     .help = "a special token; repeatable, ids from 0; default " DEFAULT_SPECIAL},
    {.name = "eos",
     .kind = ARG_TEXT,
     .value = "TEXT",
     .help = "the special token that ends a text; default: the first"},
    {.name = "bos", .kind = ARG_TEXT, .value = "TEXT", .help = "the special token that begins a text; default: EOS"},
    {.name = "add-bos", .kind = ARG_FLAG, .help = "BOS in front of every text"},
    {.name = "chat-template",
     .kind = ARG_TEXT,
     .value = "FILE",
     .help = "a chat template (Jinja) to go with the vocabulary"},
    {.name = "min-count",
     .alias = "--min-frequency",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "2",
     .low = 1,
     .high = 1e15,
     .help = "do not merge pairs that occur less often"},
    {.name = NULL},
};

static const struct arg *const groups[] = {own_flags, args_common, NULL};

static const struct args_spec spec = {
    .command = "tokenizer",
    .about = "Learns a byte-level BPE vocabulary and writes it as a GGUF without tensors (llama.cpp reads it), as a\n"
             "tokenizer.json, or as a Hugging Face folder. Every byte has a token, so any text can be written.\n"
             "A FILE is one text; of a FILE.jsonl every string \"text\", \"prompt\", \"completion\" and \"content\" is "
             "one.\n"
             "Special tokens that stand in the text are cut out. The same texts give the same vocabulary.\n"
             "\n"
             "--pre: how text is cut into words, inside of which merges happen. Numbers are cut\n"
             "  into single digits          by smollm, qwen2, qwen35, tekken: what small models need for arithmetic\n"
             "  into groups of up to three  by llama-bpe, gpt-4o\n"
             "  not at all                  by gpt-2\n"
             "Several newlines in a row can become one token with all but gpt-2 and smollm.",
    .groups = groups,
};

/* The special tokens: those given, or the default one. */
static void set_specials(const struct args *args, const char **specials, struct tokenizer_train_options *options)
{
    size_t n = args_count(args, "special");

    for (size_t i = 0; i < n; i++)
        specials[i] = args_item(args, "special", i);
    if (n == 0)
        specials[n++] = DEFAULT_SPECIAL;
    options->specials = specials;
    options->n_specials = n;
    options->eos = args_is_given(args, "eos") ? args_text(args, "eos") : specials[0];
    options->bos = args_is_given(args, "bos") ? args_text(args, "bos") : options->eos;
    options->add_bos = args_flag(args, "add-bos");
}

static void report(const char *out, size_t wanted, const struct tokenizer_train_report *r)
{
    fprintf(stderr, "%s: %zu pieces, %zu merges from %llu bytes (%zu distinct words); %.3f bytes a token\n", out,
            r->n_pieces, r->n_merges, (unsigned long long)r->n_bytes, r->n_distinct,
            r->n_tokens ? (double)r->n_bytes / (double)r->n_tokens : 0.0);
    if (r->n_pieces < wanted)
        fprintf(stderr, "arklet: warning: the text has pairs for %zu pieces only, not for %zu\n", r->n_pieces, wanted);
}

static enum status train(const struct args *args, struct tokenizer_trainer *trainer, struct diag *diag)
{
    const char *out = args_text(args, "output");
    struct tokenizer_train_report counts;
    const struct vocabulary *vocabulary;
    struct progress progress;
    enum status status = STATUS_OK;
    int quiet = args_flag(args, "quiet");

    terminal_prepare();
    terminal_progress(&progress, quiet);
    for (size_t i = 0; i < args_count(args, "file") && !status; i++)
        status = tokenizer_trainer_add_file(trainer, args_item(args, "file", i), diag);
    if (status)
        return status;
    progress_begin(&progress, "tokenizer", "merges/s");
    status = tokenizer_trainer_run(trainer, &progress, terminal_interrupted, &vocabulary, &counts, diag);
    if (status)
        return status;
    progress_end(&progress, counts.n_pieces, counts.n_pieces, (double)counts.n_merges, "");
    status = tokenizer_write(vocabulary, out, diag);
    if (!status && !quiet)
        report(out, (size_t)args_int(args, "vocab-size"), &counts);
    return status;
}

/* The file of --chat-template, which must be one that the program can render. */
static enum status read_template(const char *path, struct buffer *text, struct tokenizer_train_options *options,
                                 struct diag *diag)
{
    struct chat_template chat;
    enum status status = path ? file_read(text, path, MAX_TEMPLATE, diag) : STATUS_OK;

    if (status || !path)
        return status;
    options->chat_template = (struct span){text->length ? text->data : "", text->length};
    return chat_recognise(&chat, options->chat_template.text, text->length, diag);
}

static int tokenizer(const struct args *args)
{
    struct tokenizer_train_options options = {.pre = args_text(args, "pre"),
                                              .vocab_size = (size_t)args_int(args, "vocab-size"),
                                              .min_count = (uint64_t)args_int(args, "min-count")};
    const char **specials = memory_alloc((args_count(args, "special") + 1) * sizeof *specials);
    struct tokenizer_trainer *trainer = NULL;
    struct buffer template = {0};
    struct diag diag;
    enum status status;

    if (specials) {
        set_specials(args, specials, &options);
        status = read_template(args_text(args, "chat-template"), &template, &options, &diag);
    } else {
        status = diag_fail(&diag, STATUS_MEMORY, "no memory for the special tokens");
    }
    if (!status)
        status = tokenizer_trainer_create(&trainer, &options, &diag);
    if (!status)
        status = train(args, trainer, &diag);
    tokenizer_trainer_free(trainer);
    buffer_free(&template);
    memory_free(specials);
    return status ? cmd_fail(&diag) : 0;
}

int cmd_tokenizer(int argc, char **argv)
{
    struct args args;
    int code = args_parse(&args, &spec, argc, argv);

    if (code < 0)
        code = tokenizer(&args);
    args_free(&args);
    return code;
}
