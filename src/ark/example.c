/* example.c - training records as tokens with loss weights; see example.h for the forms. */
#include "example.h"

#include <string.h>
#include "record.h"

#define WEIGHT_MAX 1e6 /* of a record or segment: beyond it f32 gradients lose the others */

static enum status expect(const struct json *record, const char *key, enum json_type type, const char *what,
                          const char *where, struct diag *diag)
{
    const struct json *value = json_get(record, key);

    if (value && value->type == type)
        return STATUS_OK;
    return diag_fail(diag, STATUS_FORMAT, "%s: \"%s\": expected %s, found %s", where, key, what,
                     record_type_name(value));
}

/* A list of {role, content}. */
static enum status check_messages(const struct json *list, const char *key, const char *where, struct diag *diag)
{
    const struct json *message;
    enum status status = STATUS_OK;

    if (!list->child)
        return diag_fail(diag, STATUS_FORMAT, "%s: \"%s\": expected at least one message, found none", where, key);
    for (message = list->child; message && !status; message = message->next) {
        if (message->type != JSON_OBJECT)
            return diag_fail(diag, STATUS_FORMAT, "%s: \"%s\": expected message objects, found %s", where, key,
                             record_type_name(message));
        status = expect(message, "role", JSON_STRING, "a string", where, diag);
        if (!status)
            status = expect(message, "content", JSON_STRING, "a string", where, diag);
    }
    return status;
}

/* An assistant's turn other than the dialogue's first. */
static enum status check_answer(const struct json *list, int first_counts, const char *where, struct diag *diag)
{
    const struct json *message = first_counts ? list->child : list->child->next;

    for (; message; message = message->next)
        if (strcmp(json_get(message, "role")->text, "assistant") == 0)
            return STATUS_OK;
    return diag_fail(diag, STATUS_FORMAT, "%s: expected an answer of the assistant to train on, found none", where);
}

static enum status check_weight(const struct json *object, const char *where, struct diag *diag)
{
    enum status status =
        json_get(object, "weight") ? expect(object, "weight", JSON_NUMBER, "a number", where, diag) : STATUS_OK;
    double weight = json_number(object, "weight", 1);

    if (!status && !(weight >= 0 && weight <= WEIGHT_MAX))
        status = diag_fail(diag, STATUS_FORMAT, "%s: \"weight\": expected 0..%g, found %g", where, WEIGHT_MAX, weight);
    return status;
}

static enum status check_segments(const struct json *list, const char *where, struct diag *diag)
{
    const struct json *segment;
    enum status status = STATUS_OK;
    int weighted = 0;

    for (segment = list->child; segment && !status; segment = segment->next) {
        status = expect(segment, "text", JSON_STRING, "a string", where, diag);
        if (!status)
            status = check_weight(segment, where, diag);
        weighted |= json_number(segment, "weight", 1) != 0;
    }
    if (!status && !weighted)
        status = diag_fail(diag, STATUS_FORMAT, "%s: \"segments\": expected one with a weight to train on, found none",
                           where);
    return status;
}

/* prompt and completion: both strings or both message lists. */
static enum status check_pair(const struct json *record, const char *where, struct diag *diag)
{
    const struct json *prompt = json_get(record, "prompt"), *completion = json_get(record, "completion");
    enum status status;

    if (!prompt || (prompt->type != JSON_STRING && prompt->type != JSON_ARRAY))
        return diag_fail(diag, STATUS_FORMAT, "%s: \"prompt\": expected a string or a list of messages, found %s",
                         where, record_type_name(prompt));
    if (!completion || completion->type != prompt->type)
        return diag_fail(diag, STATUS_FORMAT, "%s: \"completion\": expected %s as the prompt is, found %s", where,
                         record_type_name(prompt), record_type_name(completion));
    if (prompt->type == JSON_STRING)
        return STATUS_OK;
    status = check_messages(prompt, "prompt", where, diag);
    if (!status)
        status = check_messages(completion, "completion", where, diag);
    return status ? status : check_answer(completion, 1, where, diag);
}

static int has_dialogue(const struct json *record)
{
    const struct json *prompt = json_get(record, "prompt");

    return prompt && prompt->type == JSON_ARRAY;
}

enum status example_check(const struct json *record, const char *where, struct diag *diag)
{
    enum status status;

    if (!record || record->type != JSON_OBJECT)
        return diag_fail(diag, STATUS_FORMAT, "%s: expected an object, found %s", where, record_type_name(record));
    status = check_weight(record, where, diag);
    if (status)
        return status;
    if (json_get(record, "segments")) {
        status = expect(record, "segments", JSON_ARRAY, "a list", where, diag);
        if (!status && has_dialogue(record))
            status = check_messages(json_get(record, "prompt"), "prompt", where, diag);
        return status ? status : check_segments(json_get(record, "segments"), where, diag);
    }
    if (json_get(record, "messages")) {
        status = expect(record, "messages", JSON_ARRAY, "a list", where, diag);
        if (!status)
            status = check_messages(json_get(record, "messages"), "messages", where, diag);
        return status ? status : check_answer(json_get(record, "messages"), 0, where, diag);
    }
    if (!json_get(record, "prompt") && !json_get(record, "completion"))
        return diag_fail(diag, STATUS_FORMAT,
                         "%s: expected \"prompt\" and \"completion\", \"messages\" or \"segments\", found none of them",
                         where);
    return check_pair(record, where, diag);
}

/* ---- Tokens and weights ---- */

/* Gives the tokens from the last weighted one on this weight. */
static enum status weigh(struct example *e, size_t from, float weight, const char *where, struct diag *diag)
{
    size_t i;

    if (e->tokens.failed)
        return diag_fail(diag, STATUS_MEMORY, "%s: out of memory for the tokens", where);
    if (e->tokens.count > e->weights_capacity) {
        size_t capacity = e->tokens.count + e->tokens.count / 2 + 64;
        float *weights = memory_grow(e->weights, capacity * sizeof *weights);

        if (!weights)
            return diag_fail(diag, STATUS_MEMORY, "%s: out of memory for %zu tokens", where, capacity);
        e->weights = weights;
        e->weights_capacity = capacity;
    }
    for (i = from; i < e->tokens.count; i++)
        e->weights[i] = weight;
    return STATUS_OK;
}

static enum status append_text(struct example *e, const struct example_format *format, const char *text, size_t length,
                               unsigned flags, float weight, const char *where, struct diag *diag)
{
    size_t from = e->tokens.count;
    enum status status = tokenizer_encode(format->tokenizer, text, length, flags, &e->tokens, diag);

    return status ? status : weigh(e, from, weight, where, diag);
}

static enum status append_token(struct example *e, int32_t id, float weight, const char *where, struct diag *diag)
{
    size_t from = e->tokens.count;

    if (id == TOKEN_NONE)
        return STATUS_OK;
    tokens_append(&e->tokens, id);
    return weigh(e, from, weight, where, diag);
}

static enum status append_prompt(struct example *e, const struct json *prompt, const struct example_format *format,
                                 const char *where, struct diag *diag)
{
    enum status status = append_text(e, format, prompt->text, prompt->length, ENCODE_BOS, 0, where, diag);

    if (!status && e->tokens.count == 0) /* an empty prompt is BOS (else EOS) alone, as in `run` */
        status = append_token(e,
                              tokenizer_bos(format->tokenizer) == TOKEN_NONE ? tokenizer_eos(format->tokenizer)
                                                                             : tokenizer_bos(format->tokenizer),
                              0, where, diag);
    return status;
}

static enum status read_texts(struct example *e, const struct json *record, const struct example_format *format,
                              const char *where, struct diag *diag)
{
    const struct json *prompt = json_get(record, "prompt"), *completion = json_get(record, "completion");
    float weight = (float)json_number(record, "weight", 1);
    enum status status = append_prompt(e, prompt, format, where, diag);

    if (!status)
        status = append_text(e, format, completion->text, completion->length, ENCODE_CONTINUE, weight, where, diag);
    return status ? status : append_token(e, tokenizer_eos(format->tokenizer), weight, where, diag);
}

static enum status read_segments(struct example *e, const struct json *record, const struct example_format *format,
                                 const char *where, struct diag *diag)
{
    const struct json *segment;
    enum status status = STATUS_OK;
    float weight = 0;

    for (segment = json_get(record, "segments")->child; segment && !status; segment = segment->next) {
        const struct json *text = json_get(segment, "text");

        weight = (float)json_number(segment, "weight", 1);
        status = append_text(e, format, text->text, text->length, e->tokens.count ? ENCODE_CONTINUE : ENCODE_BOS,
                             weight, where, diag);
    }
    return status ? status : append_token(e, tokenizer_eos(format->tokenizer), weight, where, diag);
}

/* The dialogue up to message `end`, rendered and tokenised; weights from the token where it departs from what is
 * already there: a template that rewrites earlier turns (reasoning models drop old thoughts) is an error. */
static enum status extend(struct example *e, const struct chat_message *messages, size_t end, int open, float weight,
                          const struct example_format *format, const char *where, struct diag *diag)
{
    struct chat_prompt prompt = {0};
    struct tokens tokens = {0};
    size_t had = e->tokens.count, i;
    enum status status = chat_render(format->chat, messages, end, open, &format->chat_options, &prompt, diag);

    if (!status)
        status =
            tokenizer_encode_segments(format->tokenizer, prompt.segments, prompt.n_segments, ENCODE_BOS, &tokens, diag);
    if (!status && (tokens.count < had || (had && memcmp(tokens.ids, e->tokens.ids, had * sizeof *tokens.ids) != 0)))
        status = diag_fail(diag, STATUS_UNSUPPORTED,
                           "%s: the chat template '%s' changes earlier turns when a dialogue goes on; split the record "
                           "into one per answer",
                           where, chat_name(format->chat));
    for (i = had; !status && i < tokens.count; i++)
        tokens_append(&e->tokens, tokens.ids[i]);
    tokens_free(&tokens);
    chat_prompt_free(&prompt);
    return status ? status : weigh(e, had, weight, where, diag);
}

static enum status no_template(const char *where, struct diag *diag)
{
    return diag_fail(diag, STATUS_UNSUPPORTED,
                     "%s: messages need a chat template (--chat-template): the model has none that is known", where);
}

/* Prompts end with the opened assistant turn; answers bring the turn's text and its end marker. */
static enum status read_messages(struct example *e, const struct chat_message *messages, size_t n, size_t first_trained,
                                 float weight, const struct example_format *format, const char *where,
                                 struct diag *diag)
{
    enum status status = STATUS_OK;
    size_t i;

    if (!format->chat)
        return no_template(where, diag);
    for (i = 0; i < n && !status; i++) {
        if (strcmp(messages[i].role, "assistant") != 0 || i == 0)
            continue;
        status = extend(e, messages, i, 1, 0, format, where, diag);
        if (!status)
            status = extend(e, messages, i + 1, 0, i >= first_trained ? weight : 0, format, where, diag);
    }
    return status;
}

static size_t count(const struct json *list)
{
    const struct json *item = list ? list->child : NULL;
    size_t n = 0;

    for (; item; item = item->next)
        n++;
    return n;
}

static size_t take_messages(struct chat_message *to, const struct json *list)
{
    const struct json *item = list ? list->child : NULL;
    size_t n = 0;

    for (; item; item = item->next, n++) {
        const struct json *content = json_get(item, "content");

        to[n].role = json_get(item, "role")->text;
        to[n].content = content->text;
        to[n].length = content->length;
    }
    return n;
}

static enum status read_dialogue(struct example *e, const struct json *record, const struct example_format *format,
                                 const char *where, struct diag *diag)
{
    const struct json *all = json_get(record, "messages");
    const struct json *prompt = all ? NULL : json_get(record, "prompt");
    const struct json *completion = all ? all : json_get(record, "completion");
    size_t n = count(prompt) + count(completion), first;
    struct chat_message *messages = memory_alloc(n * sizeof *messages);
    enum status status;

    if (!messages)
        return diag_fail(diag, STATUS_MEMORY, "%s: out of memory for %zu messages", where, n);
    first = take_messages(messages, prompt);
    take_messages(messages + first, completion);
    status = read_messages(e, messages, n, first, (float)json_number(record, "weight", 1), format, where, diag);
    memory_free(messages);
    return status;
}

/* Puts the parts in place of the answer, which is the last content of a rendered dialogue. */
static enum status split_answer(struct chat_prompt *prompt, const struct json *parts, const struct buffer *answer,
                                size_t *first, const char *where, struct diag *diag)
{
    size_t n = parts->length, at = prompt->n_segments, tail;
    const struct json *part;
    struct segment *grown;

    while (at && prompt->segments[at - 1].is_template)
        at--;
    if (!at || prompt->segments[at - 1].length != answer->length ||
        memcmp(prompt->segments[at - 1].text, answer->data, answer->length) != 0)
        return diag_fail(diag, STATUS_UNSUPPORTED, "%s: the chat template changes the answer's text", where);
    grown = memory_grow(prompt->segments, (prompt->n_segments + n) * sizeof *grown);
    if (!grown)
        return diag_fail(diag, STATUS_MEMORY, "%s: out of memory for %zu segments", where, n);
    prompt->segments = grown;
    prompt->capacity = prompt->n_segments + n;
    tail = prompt->n_segments - at;
    memmove(grown + at - 1 + n, grown + at, tail * sizeof *grown);
    prompt->n_segments += n - 1;
    *first = at - 1;
    for (part = parts->child; part; part = part->next, at++) {
        grown[at - 1].text = json_get(part, "text")->text;
        grown[at - 1].length = json_get(part, "text")->length;
        grown[at - 1].is_template = 0;
    }
    return STATUS_OK;
}

/* The tokens of the first n segments in place of the example's own, the new ones with this weight. */
static enum status extend_to(struct example *e, const struct chat_prompt *prompt, size_t n, float weight,
                             const struct example_format *format, const char *where, struct diag *diag)
{
    size_t had = e->tokens.count;
    enum status status;

    e->tokens.count = 0;
    status = tokenizer_encode_segments(format->tokenizer, prompt->segments, n, ENCODE_BOS, &e->tokens, diag);
    return status ? status : weigh(e, had < e->tokens.count ? had : e->tokens.count, weight, where, diag);
}

/* A prompt of messages whose answer comes in weighted parts. */
static enum status read_parts(struct example *e, const struct json *record, const struct example_format *format,
                              const char *where, struct diag *diag)
{
    const struct json *list = json_get(record, "prompt"), *parts = json_get(record, "segments"), *part;
    size_t n = count(list), first = 0;
    struct chat_message *messages = memory_alloc((n + 1) * sizeof *messages);
    struct chat_prompt prompt = {0};
    struct buffer answer = {0};
    enum status status = format->chat ? STATUS_OK : no_template(where, diag);

    for (part = parts->child; part; part = part->next)
        buffer_append(&answer, json_get(part, "text")->text, json_get(part, "text")->length);
    if (!messages || answer.failed)
        status = diag_fail(diag, STATUS_MEMORY, "%s: out of memory for %zu messages", where, n + 1);
    if (!status) {
        take_messages(messages, list);
        messages[n].role = "assistant";
        messages[n].content = answer.data ? answer.data : "";
        messages[n].length = answer.length;
        status = chat_render(format->chat, messages, n + 1, 0, &format->chat_options, &prompt, diag);
    }
    if (!status)
        status = split_answer(&prompt, parts, &answer, &first, where, diag);
    if (!status)
        status = extend_to(e, &prompt, first, 0, format, where, diag);
    for (part = parts->child; part && !status; part = part->next)
        status = extend_to(e, &prompt, ++first, (float)json_number(part, "weight", 1), format, where, diag);
    if (!status) /* what ends the turn goes with the last part */
        status = extend_to(e, &prompt, prompt.n_segments, e->tokens.count ? e->weights[e->tokens.count - 1] : 0, format,
                           where, diag);
    chat_prompt_free(&prompt);
    buffer_free(&answer);
    memory_free(messages);
    return status;
}

static void truncate_and_sum(struct example *e, size_t max_len)
{
    size_t i;

    e->truncated = e->tokens.count > max_len;
    if (e->truncated)
        e->tokens.count = max_len;
    e->n_trained = 0;
    e->weight = 0;
    for (i = 1; i < e->tokens.count; i++) {
        e->n_trained += e->weights[i] != 0;
        e->weight += (double)e->weights[i];
    }
}

enum status example_read(struct example *example, const struct json *record, const struct example_format *format,
                         const char *where, struct diag *diag)
{
    enum status status = example_check(record, where, diag);
    const struct json *prompt = json_get(record, "prompt");

    if (status)
        return status;
    example->tokens.count = 0;
    if (json_get(record, "segments") && has_dialogue(record))
        status = read_parts(example, record, format, where, diag);
    else if (json_get(record, "segments"))
        status = read_segments(example, record, format, where, diag);
    else if (json_get(record, "messages") || prompt->type == JSON_ARRAY)
        status = read_dialogue(example, record, format, where, diag);
    else
        status = read_texts(example, record, format, where, diag);
    if (status)
        return status;
    truncate_and_sum(example, format->max_len);
    return STATUS_OK;
}

enum status example_prompt(struct example *example, const struct json *prompt, const struct example_format *format,
                           const char *where, struct diag *diag)
{
    struct chat_message *messages;
    enum status status;
    size_t n = count(prompt);

    example->tokens.count = 0;
    if (prompt->type == JSON_STRING)
        return append_prompt(example, prompt, format, where, diag);
    if (!format->chat)
        return no_template(where, diag);
    status = check_messages(prompt, "prompt", where, diag);
    if (status)
        return status;
    messages = memory_alloc(n * sizeof *messages);
    if (!messages)
        return diag_fail(diag, STATUS_MEMORY, "%s: out of memory for %zu messages", where, n);
    take_messages(messages, prompt);
    status = extend(example, messages, n, 1, 0, format, where, diag);
    memory_free(messages);
    return status;
}

void example_free(struct example *example)
{
    tokens_free(&example->tokens);
    memory_free(example->weights);
    memset(example, 0, sizeof *example);
}
