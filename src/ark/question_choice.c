/* question_choice.c - options and the right one among them.
 *
 *   "options": ["A)36", "B)15"]                 labels are taken off: 36, 15
 *   "options": {"A": "36", "B": "15"}           "choices": {"text": ["36", "15"], "label": ["A", "B"]}
 *   "choices": [{"label": "A", "text": "36"}]   "opa": "36", "opb": "15", ...     "A": "36", "B": "15", ...
 *
 * The right one is a letter, a label, an option's text, or an index; the gold is the letter A + index. */
#include <stdio.h>

#include "question_parts.h"

struct option {
    const char *text, *label; /* label NULL: its letter */
};

static int is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Behind "A)", "(A)", "A." or "A:" when that is the i-th letter. */
static const char *without_label(const char *text, size_t i)
{
    char letter = (char)('A' + (int)i);
    int bracket = *text == '(';
    const char *rest = text + bracket;

    if (*rest != letter || !(rest[1] == ')' || (!bracket && (rest[1] == '.' || rest[1] == ':'))))
        return text;
    rest += 2;
    if (rest[-1] == '.' && *rest != ' ')
        return text;
    while (*rest == ' ')
        rest++;
    return rest;
}

static const char *scalar_text(const struct json *value)
{
    return value && (value->type == JSON_STRING || value->type == JSON_NUMBER) ? value->text : NULL;
}

/* ---- the forms ---- */

static size_t from_members(struct option *options, const struct json *object)
{
    size_t n = 0;

    for (const struct json *m = object->child; m && n < ANSWER_MAX_OPTIONS; m = m->next) {
        if (!scalar_text(m))
            continue;
        options[n].text = m->text;
        options[n++].label = m->key;
    }
    return n;
}

static size_t from_list(struct option *options, const struct json *texts, const struct json *labels)
{
    const struct json *label = labels && labels->type == JSON_ARRAY ? labels->child : NULL;
    size_t n = 0;

    for (const struct json *m = texts->child; m && n < ANSWER_MAX_OPTIONS;
         m = m->next, label = label ? label->next : NULL) {
        const char *text = scalar_text(m), *own = NULL;

        if (m->type == JSON_OBJECT) {
            text = scalar_text(json_get(m, "text"));
            own = json_string(m, "label", NULL);
        }
        if (!text)
            continue;
        options[n].text = text;
        options[n++].label = own ? own : scalar_text(label);
    }
    return n;
}

/* opa, opb, ... or A, B, ...: consecutive letters behind a prefix. */
static size_t from_letters(struct option *options, const struct json *record, const char *prefix, char first)
{
    size_t n = 0;

    for (; n < ANSWER_MAX_OPTIONS; n++) {
        char key[8];
        const char *text;

        snprintf(key, sizeof key, "%s%c", prefix, (char)(first + (int)n));
        text = scalar_text(json_get(record, key));
        if (!text)
            break;
        options[n].text = text;
        options[n].label = NULL;
    }
    return n < 2 ? 0 : n;
}

static size_t find_options(struct option *options, const struct json *record)
{
    static const char *const keys[] = {"options", "choices", "endings", NULL};
    const char *key;
    const struct json *found = question_field(record, keys, &key);
    size_t n = 0;

    if (found && found->type == JSON_ARRAY)
        n = from_list(options, found, NULL);
    else if (found && found->type == JSON_OBJECT && json_get(found, "text") &&
             json_get(found, "text")->type == JSON_ARRAY)
        n = from_list(options, json_get(found, "text"), json_get(found, "label"));
    else if (found && found->type == JSON_OBJECT)
        n = from_members(options, found);
    if (!n)
        n = from_letters(options, record, "op", 'a');
    return n ? n : from_letters(options, record, "", 'A');
}

enum status question_read_options(struct question_reader *reader, struct diag *diag)
{
    struct question *q = &reader->question;
    struct option options[ANSWER_MAX_OPTIONS];
    size_t n = find_options(options, q->record->json);
    const char **texts;
    struct buffer listed = {0};

    if (n == 0)
        return STATUS_OK;
    texts = arena_array(&reader->records.arena, n, sizeof *texts);
    if (!texts)
        return question_no_memory(reader, diag);
    buffer_text(&listed, q->text);
    buffer_byte(&listed, '\n');
    for (size_t i = 0; i < n; i++) {
        texts[i] = without_label(options[i].text, i);
        buffer_format(&listed, "\n%c) ", (char)('A' + (int)i));
        buffer_text(&listed, texts[i]);
    }
    q->key.options = texts;
    q->key.n_options = n;
    q->text = question_keep(reader, &listed);
    return q->text ? STATUS_OK : question_no_memory(reader, diag);
}

/* ---- the right one ---- */

static const char *const right_keys[] = {
    "answer_idx", "answerKey", "correct_option", "correct", "cop", "answer", "label", "gold", "gt", "target", NULL};

/* Index as a number or a string of digits; -1: neither. */
static int integer_of(const struct json *value)
{
    int n = 0;

    if (value->type == JSON_NUMBER)
        return value->number >= 0 && value->number < 100 && value->number == (double)(int)value->number
                   ? (int)value->number
                   : -1;
    if (value->type != JSON_STRING || value->length == 0 || value->length > 2)
        return -1;
    for (size_t i = 0; i < value->length; i++) {
        if (value->text[i] < '0' || value->text[i] > '9')
            return -1;
        n = n * 10 + value->text[i] - '0';
    }
    return n;
}

/* The letter in "C", "(C)", "C)", "C.", "c"; 0: it is none of n. */
static char letter_of(const char *text, size_t n)
{
    size_t i = text[0] == '(';
    char c = text[i];

    if (!is_letter(c) || (text[i + 1] && strchr(").:", text[i + 1]) == NULL) || (text[i + 1] && text[i + 2]))
        return 0;
    c = c >= 'a' ? (char)(c - 32) : c;
    return c < 'A' + (int)n ? c : 0;
}

static int match_option(const struct option *options, size_t n, const struct json *value)
{
    for (size_t i = 0; i < n; i++)
        if (options[i].label && strcmp(options[i].label, value->text) == 0)
            return (int)i;
    if (value->type == JSON_STRING && letter_of(value->text, n))
        return letter_of(value->text, n) - 'A';
    for (size_t i = 0; i < n && value->type == JSON_STRING; i++)
        if (strcmp(options[i].text, value->text) == 0 || strcmp(without_label(options[i].text, i), value->text) == 0)
            return (int)i;
    return -1;
}

/* Looks through the file for an integer answer that tells where counting starts. */
static enum status find_base(struct question_reader *reader, struct diag *diag)
{
    struct record_options all = {1, 0, 0, 0};
    struct record_reader scan;
    const struct record *record;
    enum status status;
    int ones = 0;

    reader->base = 0;
    if (!reader->records.stream.size)
        return STATUS_OK;
    status = record_open(&scan, reader->records.stream.path, &all, diag);
    while (!status && (status = record_next(&scan, &record, diag)) == STATUS_OK && record) {
        struct option options[ANSWER_MAX_OPTIONS];
        const char *key;
        const struct json *value = question_field(record->json, right_keys, &key);
        size_t n = value ? find_options(options, record->json) : 0;

        if (n == 0 || match_option(options, n, value) >= 0)
            continue;
        ones |= integer_of(value) == (int)n;
        if (integer_of(value) == 0)
            break;
    }
    if (!status && !record)
        reader->base = ones;
    record_close(&scan);
    return status;
}

enum status question_read_letter(struct question_reader *reader, struct diag *diag)
{
    struct question *q = &reader->question;
    struct option options[ANSWER_MAX_OPTIONS];
    const char *key, **gold;
    const struct json *value = question_field(q->record->json, right_keys, &key);
    size_t n = find_options(options, q->record->json);
    int index;

    if (!value || (value->type == JSON_NUMBER && value->number < 0))
        return STATUS_OK;
    index = scalar_text(value) ? match_option(options, n, value) : -1;
    if (index < 0 && integer_of(value) >= 0) {
        enum status status = reader->base < 0 ? find_base(reader, diag) : STATUS_OK;

        if (status)
            return status;
        index = integer_of(value) - reader->base;
    }
    if (index < 0 || index >= (int)n)
        return record_fail(q->record, STATUS_FORMAT, diag,
                           "\"%s\": expected a letter, index or text of one of the %zu options, found %s%.60s", key, n,
                           scalar_text(value) ? "" : record_type_name(value), scalar_text(value) ? value->text : "");
    gold = arena_array(&reader->records.arena, 1, sizeof *gold);
    if (gold)
        *gold = arena_text(&reader->records.arena, (const char[]){(char)('A' + index)}, 1);
    if (!gold || !*gold)
        return question_no_memory(reader, diag);
    q->key.golds = gold;
    q->key.n_golds = 1;
    q->has_gold = 1;
    return STATUS_OK;
}
