/* question_fields.c - text, answer and kind of a record that asks one question.
 *
 * The kind: options make a choice; paragraphs a span; "problem" or LaTeX mathematics; a number (with a unit) a number;
 * a letter whose question lists "(A)" and "(B)" a choice; a long text a summary; other words a span. Invariant: what is
 * kept is a string of the arena or of the record. */
#include "answer_parts.h"
#include "question_parts.h"

#define SUMMARY_WORDS 40 /* golds of more words are summaries */

const struct json *question_field(const struct json *object, const char *const *keys, const char **key)
{
    for (; *keys; keys++) {
        const struct json *value = json_get(object, *keys);

        *key = *keys;
        if (value && value->type != JSON_NULL)
            return value;
    }
    return NULL;
}

/* ---- text ---- */

/* The text of a message's content: a string, or a list of {text} parts. */
static void put_content(struct buffer *out, const struct json *content)
{
    if (content && content->type == JSON_STRING)
        buffer_append(out, content->text, content->length);
    if (content && content->type == JSON_ARRAY)
        for (const struct json *part = content->child; part; part = part->next)
            buffer_text(out, json_string(part, "text", ""));
}

/* The last message of a role. */
static const struct json *last_message(const struct json *messages, const char *role)
{
    const struct json *last = NULL;

    for (const struct json *m = messages->child; m; m = m->next)
        if (strcmp(json_string(m, "role", ""), role) == 0)
            last = m;
    return last;
}

static const struct json *find_messages(const struct json *record)
{
    const struct json *messages = json_get(record, "messages"), *prompt = json_get(record, "prompt");

    if (messages && messages->type == JSON_ARRAY)
        return messages;
    return prompt && prompt->type == JSON_ARRAY ? prompt : NULL;
}

static enum status read_messages(struct question_reader *reader, const struct json *messages, struct diag *diag)
{
    const struct json *user = last_message(messages, "user");
    struct buffer text = {0};

    if (!user)
        return record_fail(reader->record, STATUS_FORMAT, diag, "\"messages\": expected one of role user, found none");
    put_content(&text, json_get(user, "content"));
    reader->question.text = question_keep(reader, &text);
    return reader->question.text ? STATUS_OK : question_no_memory(reader, diag);
}

static enum status read_text(struct question_reader *reader, struct diag *diag)
{
    static const char *const keys[] = {"problem", "question", "Question",  "query",       "prompt",
                                       "input",   "Problem",  "sQuestion", "instruction", NULL};
    const struct json *record = reader->record->json, *messages = find_messages(record), *value;
    const char *key, *body = json_string(record, "Body", json_string(record, "body", NULL));
    struct buffer text = {0};

    if (messages)
        return read_messages(reader, messages, diag);
    value = question_field(record, keys, &key);
    if (!value)
        return record_fail(
            reader->record, STATUS_FORMAT, diag,
            "expected a field \"question\", \"problem\", \"prompt\", \"query\", \"input\" or \"messages\"");
    if (value->type != JSON_STRING)
        return record_expected(reader->record, key, "a string", diag);
    if (!body) {
        reader->question.text = value->text;
        return STATUS_OK;
    }
    buffer_text(&text, body);
    buffer_byte(&text, ' ');
    buffer_append(&text, value->text, value->length);
    reader->question.text = question_keep(reader, &text);
    return reader->question.text ? STATUS_OK : question_no_memory(reader, diag);
}

/* ---- golds ---- */

/* "72" in "... #### 72"; "9" in "9 (apples)", the form of ASDiv; what a solution ends with. */
static enum status gold_text(struct question_reader *reader, const char **gold, const char *text, size_t length,
                             int is_solution, struct diag *diag)
{
    struct arena *arena = &reader->records.arena;
    struct answer_key key = {reader->question.key.kind, NULL, 0, NULL, 0};
    const char *mark = NULL;

    for (const char *m = text; (m = strstr(m, "####")) != NULL; m += 4)
        mark = m + 4;
    if (mark)
        return answer_gold(gold, key.kind, mark, strcspn(mark + strspn(mark, " "), "\n") + strspn(mark, " "), arena,
                           diag);
    if (is_solution && key.kind != ANSWER_SPAN && key.kind != ANSWER_SUMMARY) {
        enum status status = answer_extract(gold, &key, text, length, 0, arena, diag);

        if (status || *gold)
            return status;
    }
    return answer_gold(gold, key.kind, text, length, arena, diag);
}

static enum status add_gold(struct question_reader *reader, const char **golds, const struct json *value,
                            int is_solution, struct diag *diag)
{
    struct question *q = &reader->question;
    const char *gold = NULL, *text = value->text;
    size_t length = value->length;
    enum status status;

    if (value->type == JSON_TRUE || value->type == JSON_FALSE) {
        text = value->type == JSON_TRUE ? "yes" : "no";
        length = strlen(text);
    } else if (value->type != JSON_STRING && value->type != JSON_NUMBER) {
        return record_fail(q->record, STATUS_FORMAT, diag, "\"%s\": expected an answer's text or number, found %s",
                           value->key ? value->key : "answer", record_type_name(value));
    }
    q->has_gold = 1;
    status = gold_text(reader, &gold, text, length, is_solution, diag);
    if (!status && gold && *gold)
        golds[q->key.n_golds++] = gold;
    return status;
}

static int holds_solution(const char *key)
{
    return key && (strcmp(key, "solution") == 0 || strcmp(key, "response") == 0 || strcmp(key, "ground_truth") == 0);
}

enum status question_set_golds(struct question_reader *reader, const struct json *value, struct diag *diag)
{
    const struct json *inner = value && value->type == JSON_OBJECT ? json_get(value, "text") : value;
    size_t n = inner && inner->type == JSON_ARRAY ? inner->length : 1;
    const char **golds;
    enum status status = STATUS_OK;

    if (!inner)
        return STATUS_OK;
    golds = arena_array(&reader->records.arena, n + 1, sizeof *golds);
    if (!golds)
        return question_no_memory(reader, diag);
    reader->question.key.golds = golds;
    if (inner->type != JSON_ARRAY)
        return add_gold(reader, golds, inner, holds_solution(inner->key), diag);
    reader->question.has_gold = 1;
    for (const struct json *one = inner->child; one && !status; one = one->next)
        status = add_gold(reader, golds, one, 0, diag);
    return status;
}

/* The last assistant turn of a record that is all messages. */
static enum status gold_from_messages(struct question_reader *reader, const struct json *messages, struct diag *diag)
{
    const struct json *turn = last_message(messages, "assistant");
    struct json solution = {.type = JSON_STRING, .key = "solution"};
    struct buffer text = {0};

    if (!turn)
        return STATUS_OK;
    put_content(&text, json_get(turn, "content"));
    solution.length = text.length;
    solution.text = question_keep(reader, &text);
    return solution.text ? question_set_golds(reader, &solution, diag) : question_no_memory(reader, diag);
}

/* ---- kind ---- */

static int has_any(const char *text, const char *set)
{
    return strpbrk(text, set) != NULL;
}

static size_t count_words(const char *text)
{
    size_t n = 0;

    for (size_t i = 0; text[i]; i++)
        n += !answer_is_space(text[i]) && (i == 0 || answer_is_space(text[i - 1]));
    return n;
}

/* A number with at most two lower-case words behind it: "18", "$18.50", "18 dollars", "7 square feet". */
static int is_quantity(const char *text)
{
    struct slice t = answer_trim(answer_slice(text, 0, strlen(text)));
    struct answer_token token;
    size_t words = 0;

    if (!answer_token_next(&token, t, 0))
        return 0;
    for (size_t i = 0; i < token.begin; i++)
        if (t.text[i] != '$')
            return 0;
    for (size_t i = token.end; i < t.length; i++) {
        char c = t.text[i];

        if (c != ' ' && c != '.' && !(c >= 'a' && c <= 'z'))
            return 0;
        words += c != ' ' && t.text[i - 1] == ' ';
    }
    return words <= 2;
}

static int lists_options(const char *text)
{
    return (strstr(text, "(A)") && strstr(text, "(B)")) || (strstr(text, "(F)") && strstr(text, "(G)")) ||
           (strstr(text, "A.") && strstr(text, "B.")) || (strstr(text, "A)") && strstr(text, "B)"));
}

static enum answer_kind kind_of_gold(const char *gold, const char *question)
{
    const char *mark = strstr(gold, "####");
    size_t letters = 0;

    if (mark)
        return ANSWER_NUMBER;
    if (gold[0] >= 'A' && gold[0] <= 'Z' && !gold[1] && lists_options(question))
        return ANSWER_CHOICE;
    if (is_quantity(gold))
        return ANSWER_NUMBER;
    if (count_words(gold) > SUMMARY_WORDS)
        return ANSWER_SUMMARY;
    if (has_any(gold, "\\^_{}$=<>+*"))
        return ANSWER_MATH;
    for (size_t i = 0; gold[i]; i++)
        letters += answer_is_letter(gold[i]) || (unsigned char)gold[i] >= 0x80;
    return letters >= 3 || (letters == 2 && !has_any(gold, "0123456789/-()")) ? ANSWER_SPAN : ANSWER_MATH;
}

static enum answer_kind detect_kind(const struct question *q, const struct json *value)
{
    const struct json *record = q->record->json;
    const char *text = value && value->text ? value->text : "";

    if (q->key.n_options)
        return ANSWER_CHOICE;
    if (q->context || json_get(record, "supporting_facts"))
        return ANSWER_SPAN;
    if (!value || value->type == JSON_NUMBER)
        return ANSWER_NUMBER;
    if ((json_get(record, "Body") || json_get(record, "body")) && answer_is_digit(text[0]))
        return ANSWER_NUMBER; /* 9 (apples) */
    if (value->type == JSON_ARRAY || value->type == JSON_OBJECT || value->type == JSON_TRUE ||
        value->type == JSON_FALSE)
        return ANSWER_SPAN;
    if (json_get(record, "problem") || json_get(record, "solution"))
        return ANSWER_MATH;
    if (holds_solution(value->key))
        return strstr(text, "####") || !has_any(text, "\\") ? ANSWER_NUMBER : ANSWER_MATH;
    return kind_of_gold(text, q->text);
}

enum status question_read(struct question_reader *reader, struct diag *diag)
{
    static const char *const keys[] = {"answer",        "Answer",       "gold",          "gt",
                                       "target",        "final_answer", "answer_number", "expected_answer",
                                       "response",      "answers",      "solution",      "ground_truth",
                                       "output_answer", "lSolutions",   "reference",     NULL};
    const struct json *record = reader->record->json, *messages = find_messages(record), *value;
    struct question *q = &reader->question;
    const char *key;
    enum status status = read_text(reader, diag);

    if (!status)
        status = question_read_options(reader, diag);
    if (!status)
        status = question_read_context(reader, diag);
    if (status)
        return status;
    value = question_field(record, keys, &key);
    q->key.kind = reader->options.kind ? reader->kind : detect_kind(q, value);
    if (q->key.kind == ANSWER_CHOICE && q->key.n_options)
        return question_read_letter(reader, diag);
    if (!value && messages)
        return gold_from_messages(reader, messages, diag);
    return question_set_golds(reader, value, diag);
}
