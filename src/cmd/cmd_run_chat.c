/* cmd_run_chat.c - arklet run --chat: one answer to -p or -f, or a dialogue, a line of standard input per turn.
 *
 * Each turn renders the whole dialogue anew and submits it; the engine has kept the last turn's pages and computes
 * only what is new. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "chat.h"
#include "cmd.h"
#include "cmd_run.h"
#include "file.h"
#include "terminal.h"

#define EXIT_INTERRUPTED 130

/* The messages so far. Their texts are blocks of their own. */
struct dialogue {
    struct chat_template chat;
    struct chat_options options;
    struct chat_message *messages;
    size_t n, room;
    struct chat_prompt prompt;
    struct tokens ids;
};

static int add_message(struct dialogue *dialogue, const char *role, const char *text, size_t length)
{
    char *copy = memory_alloc(length + 1);

    if (copy && dialogue->n == dialogue->room) {
        size_t room = dialogue->room ? 2 * dialogue->room : 16;
        struct chat_message *grown = memory_grow(dialogue->messages, room * sizeof *grown);

        if (grown) {
            dialogue->messages = grown;
            dialogue->room = room;
        }
    }
    if (!copy || dialogue->n == dialogue->room) {
        memory_free(copy);
        fprintf(stderr, "arklet: out of memory for the dialogue\n");
        return 1;
    }
    if (length > 0)
        memcpy(copy, text, length);
    copy[length] = 0;
    dialogue->messages[dialogue->n++] = (struct chat_message){role, copy, length};
    return -1;
}

static void dialogue_free(struct dialogue *dialogue)
{
    for (size_t i = 0; i < dialogue->n; i++)
        memory_free((void *)(uintptr_t)dialogue->messages[i].content);
    memory_free(dialogue->messages);
    chat_prompt_free(&dialogue->prompt);
    tokens_free(&dialogue->ids);
}

static const char *special_text(const struct tokenizer *tokenizer, int32_t id)
{
    size_t length;

    return id == TOKEN_NONE ? NULL : tokenizer_piece(tokenizer, id, &length);
}

/* The template, by name or as the model brings it, and the system message. */
static int dialogue_begin(struct dialogue *dialogue, const struct run *run)
{
    const struct tokenizer *tokenizer = run->load.model->tokenizer;
    const char *name = args_text(&run->args, "chat-template"), *system = args_text(&run->args, "system");
    const char *text = run->load.model->chat_template;
    struct diag diag;
    enum status status;

    text = text ? text : tokenizer_chat_template(tokenizer);
    if (!name && !text) {
        fprintf(stderr, "arklet: %s: the model brings no chat template: expected --chat-template NAME\n",
                args_text(&run->args, "model"));
        return 1;
    }
    status =
        name ? chat_named(&dialogue->chat, name, &diag) : chat_recognise(&dialogue->chat, text, strlen(text), &diag);
    if (status)
        return cmd_fail(&diag);
    dialogue->options.bos = special_text(tokenizer, tokenizer_bos(tokenizer));
    dialogue->options.eos = special_text(tokenizer, tokenizer_eos(tokenizer));
    dialogue->options.no_thinking = args_flag(&run->args, "no-thinking");
    return system ? add_message(dialogue, "system", system, strlen(system)) : -1;
}

/* The ids of the dialogue with the assistant's turn opened. */
static int render(struct dialogue *dialogue, const struct run *run)
{
    struct diag diag;
    enum status status =
        chat_render(&dialogue->chat, dialogue->messages, dialogue->n, 1, &dialogue->options, &dialogue->prompt, &diag);

    dialogue->ids.count = 0;
    if (!status) {
        status = tokenizer_encode_segments(run->load.model->tokenizer, dialogue->prompt.segments,
                                           dialogue->prompt.n_segments, ENCODE_BOS, &dialogue->ids, &diag);
    }
    return status ? cmd_fail(&diag) : -1;
}

/* One turn: the user's text in, the answer out. */
static int turn(struct dialogue *dialogue, struct run *run, const char *text, size_t length)
{
    struct buffer answer = {0};
    int code = add_message(dialogue, "user", text, length);

    if (code < 0)
        code = render(dialogue, run);
    if (code < 0 && !run->engine)
        code = run_create_engine(run, run->load.context);
    if (code < 0)
        code = run_complete(run, dialogue->ids.ids, dialogue->ids.count, 0, &answer);
    if (code < 0)
        code = add_message(dialogue, "assistant", answer.data, answer.length);
    buffer_free(&answer);
    return code;
}

static int converse(struct dialogue *dialogue, struct run *run)
{
    struct file_lines lines;
    struct diag diag;
    int asks = isatty(STDIN_FILENO), code = -1;
    enum status status = file_lines_open(&lines, "-", &diag);

    if (status)
        return cmd_fail(&diag);
    while (code < 0) {
        char *line;
        size_t length;

        if (asks)
            fputs("> ", stderr);
        status = file_lines_next(&lines, &line, &length, &diag);
        if (terminal_interrupted()) {
            code = EXIT_INTERRUPTED;
        } else if (status) {
            code = cmd_fail(&diag);
        } else if (!line) {
            break;
        } else if (length > 0) {
            code = turn(dialogue, run, line, length);
            putchar('\n');
            fflush(stdout);
        }
    }
    if (asks && (code == EXIT_INTERRUPTED || code < 0))
        fputc('\n', stderr);
    file_lines_close(&lines);
    return code;
}

int run_chat(struct run *run)
{
    struct dialogue dialogue;
    struct buffer prompt = {0};
    int given = 0, code;

    memset(&dialogue, 0, sizeof dialogue);
    code = run_read_prompt(run, &prompt, &given);
    if (code < 0)
        code = dialogue_begin(&dialogue, run);
    if (code < 0 && given) {
        code = turn(&dialogue, run, prompt.data, prompt.length);
        if (run->to_terminal)
            putchar('\n');
    } else if (code < 0) {
        code = converse(&dialogue, run);
    }
    dialogue_free(&dialogue);
    buffer_free(&prompt);
    return code;
}
