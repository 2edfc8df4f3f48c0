/* prompt.c - the wording of questions and debates. */
#include "prompt.h"

#include <string.h>
#include "generate.h"
#include "json.h"

enum status prompt_style_open(struct prompt_style *style, struct chat_template *chat, const struct model *model,
                              const char *name, int plain, const char *system, struct diag *diag)
{
    const char *text;
    size_t length;
    enum status status;

    memset(style, 0, sizeof *style);
    if (!model->tokenizer)
        return diag_fail(diag, STATUS_UNSUPPORTED, "%s: the model has no tokenizer", model->path);
    style->tokenizer = model->tokenizer;
    style->system = system;
    text = tokenizer_chat_template(model->tokenizer);
    if (plain || (!name && !text))
        return STATUS_OK;
    status = name ? chat_named(chat, name, diag) : chat_recognise(chat, text, strlen(text), diag);
    if (status)
        return status;
    style->chat = chat;
    style->chat_options.bos = tokenizer_piece(model->tokenizer, tokenizer_bos(model->tokenizer), &length);
    style->chat_options.eos = tokenizer_piece(model->tokenizer, tokenizer_eos(model->tokenizer), &length);
    return STATUS_OK;
}

/* What the last line must look like, by kind. */
static const char *final_line(enum answer_kind kind)
{
    switch (kind) {
    case ANSWER_MATH:
        return "put the final answer into \\boxed{}";
    case ANSWER_CHOICE:
        return "end with a line \"The answer is (X)\", X being the letter of your choice";
    case ANSWER_SPAN:
        return "end with a line \"The answer is ...\" that states the answer in as few words as possible";
    case ANSWER_SUMMARY:
        return "write nothing but the answer, as a short summary";
    default:
        return "end with a line \"#### \" followed by the number alone";
    }
}

static void put_instructions(struct buffer *out, const struct question *question)
{
    if (question->key.kind == ANSWER_SUMMARY)
        buffer_format(out, "\n\nAnswer from the text above; %s.", final_line(question->key.kind));
    else
        buffer_format(out,
                      "\n\nSolve this in short steps, with a blank line between steps. Write every calculation as an "
                      "equation, and %s.",
                      final_line(question->key.kind));
}

static void put_solutions(struct buffer *out, const struct prompt_style *style, const struct prompt_solution *solutions,
                          size_t n)
{
    size_t i;

    if (style->chat)
        buffer_format(out, "\n\nThese are the solutions of %zu agents.", n);
    for (i = 0; i < n; i++) {
        buffer_format(out, "\n\nSolution %zu:\n\n", i + 1);
        buffer_append(out, solutions[i].text, solutions[i].length);
    }
}

/* Takes the buffer's text into the arena as the prompt. */
static enum status finish(struct prompt *prompt, const struct prompt_style *style, struct buffer *out,
                          struct arena *arena, struct diag *diag)
{
    prompt->text = out->failed ? NULL : arena_text(arena, out->data ? out->data : "", out->length);
    prompt->length = out->length;
    prompt->is_chat = style->chat != NULL;
    prompt->system = style->system;
    buffer_free(out);
    return prompt->text ? STATUS_OK : diag_fail(diag, STATUS_MEMORY, "prompt: out of memory");
}

/* The part that all prompts of a question begin with. */
static void put_question(struct buffer *out, const struct prompt_style *style, const struct question *question)
{
    if (!style->chat) {
        if (style->system)
            buffer_format(out, "%s\n\n", style->system);
        buffer_text(out, "Question: ");
    }
    question_put(out, question);
    if (style->chat)
        put_instructions(out, question);
}

enum status prompt_solve(struct prompt *prompt, const struct prompt_style *style, const struct question *question,
                         struct arena *arena, struct diag *diag)
{
    struct buffer out = {0};

    put_question(&out, style, question);
    if (!style->chat)
        buffer_text(&out, "\n\nSolution:\n\n");
    return finish(prompt, style, &out, arena, diag);
}

enum status prompt_revise(struct prompt *prompt, const struct prompt_style *style, const struct question *question,
                          const struct prompt_solution *solutions, size_t n, size_t agent, struct arena *arena,
                          struct diag *diag)
{
    struct buffer out = {0};

    put_question(&out, style, question);
    put_solutions(&out, style, solutions, n);
    if (!style->chat)
        buffer_format(&out,
                      style->critique ? "\n\nAgent %zu, critique and revised solution:\n\n"
                                      : "\n\nAgent %zu, revised solution:\n\n",
                      agent + 1);
    else
        buffer_format(
            &out,
            "\n\nYou are agent %zu; solution %zu is yours. Compare the solutions step by step.%s Then give your "
            "complete, self-contained, corrected solution in the same form: short steps with a blank line "
            "between them, every calculation as an equation, and %s.",
            agent + 1, agent + 1,
            style->critique ? " First name, for each other solution, the first step that you disagree with and "
                              "why, or say \"none\"."
                            : "",
            final_line(question->key.kind));
    return finish(prompt, style, &out, arena, diag);
}

enum status prompt_aggregate(struct prompt *prompt, const struct prompt_style *style, const struct question *question,
                             const struct prompt_solution *solutions, size_t n, struct arena *arena, struct diag *diag)
{
    struct buffer out = {0};

    put_question(&out, style, question);
    put_solutions(&out, style, solutions, n);
    if (style->chat)
        buffer_format(&out,
                      "\n\nState the answer that these solutions support best, with its reasons in short steps; %s.",
                      final_line(question->key.kind));
    else
        buffer_text(&out, "\n\nCommon solution:\n\n");
    return finish(prompt, style, &out, arena, diag);
}

enum status prompt_tokens(const struct prompt *prompt, const struct prompt_style *style, struct tokens *tokens,
                          struct diag *diag)
{
    struct chat_message messages[2] = {{"system", prompt->system, 0}, {"user", prompt->text, prompt->length}};
    struct chat_prompt rendered = {0};
    enum status status;

    if (!prompt->is_chat)
        return generate_prompt(style->tokenizer, prompt->text, prompt->length, 0, tokens, diag);
    if (prompt->system)
        messages[0].length = strlen(prompt->system);
    status = chat_render(style->chat, messages + !prompt->system, prompt->system ? 2 : 1, 1, &style->chat_options,
                         &rendered, diag);
    if (!status)
        status = tokenizer_encode_segments(style->tokenizer, rendered.segments, rendered.n_segments, ENCODE_BOS, tokens,
                                           diag);
    chat_prompt_free(&rendered);
    return status;
}

const char *prompt_cut(const char *context, size_t excess, size_t count)
{
    size_t length = strlen(context), cut = (size_t)((double)length * (double)excess / (double)count) + 16;

    while (cut < length && ((unsigned char)context[cut] & 0xc0) == 0x80)
        cut++;
    return cut < length ? context + cut : NULL;
}

enum status prompt_solve_tokens(struct prompt *prompt, const struct prompt_style *style,
                                const struct question *question, size_t room, struct tokens *tokens, int *cut,
                                struct arena *arena, struct diag *diag)
{
    struct question shorter = *question;

    for (;;) {
        enum status status = prompt_solve(prompt, style, &shorter, arena, diag);

        tokens->count = 0;
        if (!status)
            status = prompt_tokens(prompt, style, tokens, diag);
        if (status || tokens->count <= room)
            return status;
        if (!shorter.context)
            return diag_fail(diag, STATUS_RANGE,
                             "question %.100s: its prompt takes %zu tokens, the context leaves %zu beside the answer",
                             question->id, tokens->count, room);
        shorter.context = prompt_cut(shorter.context, tokens->count - room, tokens->count);
        *cut = 1;
    }
}

static void put_message(struct buffer *out, const char *role, const char *text, size_t length)
{
    buffer_format(out, "{\"role\":\"%s\",\"content\":", role);
    json_put_string(out, text, length);
    buffer_text(out, "}");
}

void prompt_put(struct buffer *out, const struct prompt *prompt)
{
    if (!prompt->is_chat) {
        json_put_string(out, prompt->text, prompt->length);
        return;
    }
    buffer_text(out, "[");
    if (prompt->system) {
        put_message(out, "system", prompt->system, strlen(prompt->system));
        buffer_text(out, ",");
    }
    put_message(out, "user", prompt->text, prompt->length);
    buffer_text(out, "]");
}

void prompt_put_completion(struct buffer *out, const struct prompt *prompt, const char *text, size_t length)
{
    if (!prompt->is_chat) {
        json_put_string(out, text, length);
        return;
    }
    buffer_text(out, "[");
    put_message(out, "assistant", text, length);
    buffer_text(out, "]");
}

void prompt_put_answer(struct buffer *out, enum answer_kind kind, const char *answer)
{
    static const char *const before[] = {"#### ", "\\boxed{", "The answer is (", "The answer is ", ""};
    static const char *const behind[] = {"", "}", ")", "", ""};

    buffer_text(out, before[kind]);
    buffer_text(out, answer);
    buffer_text(out, behind[kind]);
}
