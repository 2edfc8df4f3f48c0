/* cmd_tokenize.c - arklet tokenize: text to ids, ids to text.
 *
 * Needs the tokenizer alone: a GGUF's architecture and tensors are not looked at. The file is taken byte for byte. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "args.h"
#include "cmd.h"
#include "file.h"
#include "tokenizer.h"

static const struct arg own_flags[] = {
    {.name = "model",
     .alias = "-m",
     .kind = ARG_TEXT,
     .value = "M",
     .required = 1,
     .help = "GGUF (its tokenizer.* keys suffice) or Hugging Face folder"},
    {.name = "file", .alias = "-f", .kind = ARG_TEXT, .value = "FILE", .help = "the text (-: standard input)"},
    {.name = "prompt", .alias = "-p", .kind = ARG_TEXT, .value = "TEXT", .help = "the text itself"},
    {.name = "no-bos", .kind = ARG_FLAG, .help = "no BOS in front, whatever the vocabulary says"},
    {.name = "special",
     .alias = "--parse-special",
     .kind = ARG_FLAG,
     .help = "special tokens: read them in the text, write them with --decode"},
    {.name = "pieces", .alias = "--show-pieces", .kind = ARG_FLAG, .help = "one token per line: id -> 'text'"},
    {.name = "decode", .kind = ARG_FLAG, .help = "read ids, write text"},
    {.name = NULL},
};

static const struct arg *const groups[] = {own_flags, args_common, NULL};

static const struct args_spec spec = {
    .command = "tokenize",
    .about =
        "Prints the token ids of a text, space separated on one line. With --decode the input is ids (separated by\n"
        "white space or commas) and the output the text, exactly.",
    .groups = groups,
};

/* Parses the next id; 0 at the end, -1 when there is something else. */
static int next_id(const char **text, size_t n_pieces, int32_t *id)
{
    char *end;
    long value;

    *text += strspn(*text, " \t\r\n,[]");
    if (!**text)
        return 0;
    errno = 0;
    value = strtol(*text, &end, 10);
    if (end == *text || errno || value < 0 || (size_t)value >= n_pieces || (*end && !strchr(" \t\r\n,[]", *end)))
        return -1;
    *text = end;
    *id = (int32_t)value;
    return 1;
}

static int decode(const struct args *args, const struct tokenizer *tokenizer, const struct buffer *input)
{
    const char *text = input->length ? input->data : "", *start = text;
    struct tokens ids = {0};
    struct buffer out = {0};
    int32_t id;
    int more, code = 0;

    while ((more = next_id(&text, tokenizer_vocab_size(tokenizer), &id)) > 0)
        tokens_append(&ids, id);
    if (more < 0 || text != start + input->length) {
        fprintf(stderr, "arklet: %s: byte %zu: expected a token id below %zu, found '%.*s'\n",
                args_is_given(args, "file") ? args_text(args, "file") : "prompt", (size_t)(text - start),
                tokenizer_vocab_size(tokenizer), (int)strcspn(text, " \t\r\n,"), text);
        code = 1;
    } else {
        tokenizer_decode(tokenizer, ids.ids, ids.count, args_flag(args, "special") ? DECODE_SPECIAL : 0, &out);
    }
    if (!code && (ids.failed || out.failed)) {
        fprintf(stderr, "arklet: no memory for the text of %zu tokens\n", ids.count);
        code = 1;
    }
    if (!code && out.length)
        fwrite(out.data, 1, out.length, stdout);
    tokens_free(&ids);
    buffer_free(&out);
    return code;
}

static void print_ids(const struct tokenizer *tokenizer, const struct tokens *ids, int pieces)
{
    for (size_t i = 0; i < ids->count; i++) {
        size_t length;
        const char *text = tokenizer_piece(tokenizer, ids->ids[i], &length);
        if (!pieces) {
            printf(i ? " %ld" : "%ld", (long)ids->ids[i]);
            continue;
        }
        printf("%6ld -> '", (long)ids->ids[i]);
        fwrite(text, 1, length, stdout);
        puts("'");
    }
    if (!pieces)
        putchar('\n');
}

static int encode(const struct args *args, const struct tokenizer *tokenizer, const struct buffer *input)
{
    unsigned flags = args_flag(args, "no-bos") ? 0 : ENCODE_BOS;
    struct tokens ids = {0};
    struct diag diag;
    enum status status;

    if (args_flag(args, "special"))
        flags |= ENCODE_SPECIAL;
    status = tokenizer_encode(tokenizer, input->length ? input->data : "", input->length, flags, &ids, &diag);
    if (!status)
        print_ids(tokenizer, &ids, args_flag(args, "pieces"));
    tokens_free(&ids);
    return status ? cmd_fail(&diag) : 0;
}

static int tokenize(const struct args *args)
{
    const char *text = args_text(args, "prompt"), *path = args_text(args, "file");
    struct tokenizer *tokenizer = NULL;
    struct buffer input = {0};
    struct diag diag;
    enum status status = tokenizer_load(&tokenizer, args_text(args, "model"), &diag);
    int code;

    if (!status && text)
        buffer_text(&input, text);
    else if (!status)
        status = file_read(&input, path, TOKENIZER_MAX_TEXT, &diag);
    if (!status && input.failed)
        status = diag_fail(&diag, STATUS_MEMORY, "no memory for the text");
    if (status)
        code = cmd_fail(&diag);
    else
        code = args_flag(args, "decode") ? decode(args, tokenizer, &input) : encode(args, tokenizer, &input);
    buffer_free(&input);
    tokenizer_free(tokenizer);
    return code;
}

int cmd_tokenize(int argc, char **argv)
{
    struct args args;
    int code = args_parse(&args, &spec, argc, argv);

    if (code < 0 && args_is_given(&args, "prompt") == args_is_given(&args, "file")) {
        fprintf(stderr, "arklet tokenize: expected the text as -f FILE or as -p TEXT (see arklet tokenize --help)\n");
        code = 2;
    }
    if (code < 0)
        code = tokenize(&args);
    args_free(&args);
    return code;
}
