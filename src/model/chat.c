/* chat.c - recognises a template's family and renders dialogues.
 *
 *   template's text --markers--> family        messages --template--> text with taint --runs--> segments
 *
 * Special tokens may stand in template segments alone: whatever the messages contain stays text. Leaves out: tools,
 * documents, pictures: their variables are none. */
#include "chat.h"
#include <stdio.h>
#include <string.h>
#include "chat_family.h"
#include "jinja.h"

/* Without a date of its own a prompt states the one that Llama 3's templates fall back to. */
static const int default_date[3] = {2024, 7, 26};

static int contains(const char *text, size_t length, const char *marker)
{
    struct jstring whole = {text, NULL, length};

    return jstring_find(whole, jstring_plain(marker), 0) != SIZE_MAX;
}

static int has_markers(const struct chat_family *family, const char *text, size_t length)
{
    for (int i = 0; i < 3 && family->markers[i]; i++) {
        if (!contains(text, length, family->markers[i]))
            return 0;
    }
    return family->markers[0] != NULL;
}

enum status chat_recognise(struct chat_template *chat, const char *text, size_t length, struct diag *diag)
{
    const struct jnode *root;
    struct arena arena;
    enum status status;

    chat->family = chat_families;
    while (chat->family->name && !has_markers(chat->family, text, length))
        chat->family++;
    if (!chat->family->name)
        return diag_fail(diag, STATUS_UNSUPPORTED,
                         "chat template: expected the markers of a known family, found none in '%.*s': "
                         "name one with --chat-template",
                         (int)(length < 60 ? length : 60), text);
    chat->text = text;
    chat->length = length;
    arena_init(&arena, "template", JINJA_MAX_MEMORY);
    status = jinja_parse(&root, text, length, &arena, diag);
    arena_free(&arena);
    return status;
}

enum status chat_named(struct chat_template *chat, const char *name, struct diag *diag)
{
    char names[400] = "";
    size_t n = 0;

    for (const struct chat_family *f = chat_families; f->name; f++) {
        if (!f->text)
            continue;
        if (strcmp(f->name, name) == 0) {
            *chat = (struct chat_template){f, f->text, strlen(f->text)};
            return STATUS_OK;
        }
        n += (size_t)snprintf(names + n, sizeof names - n, " %s", f->name);
    }
    return diag_fail(diag, STATUS_UNSUPPORTED, "unknown chat template '%s', known are%s", name, names);
}

const char *chat_name(const struct chat_template *chat)
{
    return chat->family->name;
}

/* "26 Jul 2024" */
static enum status read_date(struct jinja *j, const char *date)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const char *found;
    char month[4];
    int day, year, end = 0;

    memcpy(j->date, default_date, sizeof j->date);
    if (!date)
        return STATUS_OK;
    if (sscanf(date, "%2d %3s %4d%n", &day, month, &year, &end) != 3 || date[end] || day < 1 || day > 31 || year < 0 ||
        strlen(month) != 3 || !(found = strstr(months, month)) || (found - months) % 3)
        return diag_fail(j->diag, STATUS_RANGE, "expected a date like '26 Jul 2024', found '%.40s'", date);
    j->date[0] = year;
    j->date[1] = (int)(found - months) / 3 + 1;
    j->date[2] = day;
    j->knows_date = 1;
    return STATUS_OK;
}

static void set(struct jinja *j, const char *name, struct jvalue value)
{
    jinja_set(j, jstring_plain(name), value);
}

/* Text of a message, marked as such. */
static struct jvalue content(struct jinja *j, const char *text, size_t length)
{
    struct jstring string = {text, NULL, length};
    uint8_t *taint = arena_alloc(j->arena, length);

    if (!taint) {
        jinja_fail(j, NULL, "no memory");
        return jvalue_text("");
    }
    memset(taint, 1, length);
    string.taint = taint;
    return jvalue_string(length ? string : jstring_plain(""));
}

static void set_messages(struct jinja *j, const struct chat_message *messages, size_t n)
{
    struct jvalue list = jvalue_list(j);

    for (size_t i = 0; i < n && !j->status; i++) {
        struct jvalue message = jvalue_dict(j);
        if (j->status)
            return;
        jdict_put(j, message.as.dict, jstring_plain("role"), content(j, messages[i].role, strlen(messages[i].role)));
        jdict_put(j, message.as.dict, jstring_plain("content"), content(j, messages[i].content, messages[i].length));
        jlist_append(j, list.as.list, message);
    }
    set(j, "messages", list);
}

static void set_variables(struct jinja *j, int add_generation_prompt, const struct chat_options *options)
{
    set(j, "add_generation_prompt", jvalue_bool(add_generation_prompt));
    set(j, "bos_token", jvalue_text(options && options->bos ? options->bos : ""));
    set(j, "eos_token", jvalue_text(options && options->eos ? options->eos : ""));
    set(j, "tools", (struct jvalue){.type = J_NONE});
    set(j, "documents", (struct jvalue){.type = J_NONE});
    if (options && options->date)
        set(j, "date_string", jvalue_text(options->date));
    if (options && options->no_thinking)
        set(j, "enable_thinking", jvalue_bool(0));
}

/* Runs of equal taint become segments. */
static enum status cut(struct chat_prompt *prompt, const struct buffer *taint, struct diag *diag)
{
    for (size_t from = 0, to; from < taint->length; from = to) {
        for (to = from; to < taint->length && taint->data[to] == taint->data[from];)
            to++;
        if (prompt->n_segments == prompt->capacity) {
            size_t capacity = prompt->capacity ? 2 * prompt->capacity : 32;
            struct segment *segments = memory_grow(prompt->segments, capacity * sizeof *segments);
            if (!segments)
                return diag_fail(diag, STATUS_MEMORY, "no memory for a prompt of %zu bytes", taint->length);
            prompt->segments = segments;
            prompt->capacity = capacity;
        }
        prompt->segments[prompt->n_segments++] =
            (struct segment){prompt->text.data + from, to - from, !taint->data[from]};
    }
    return STATUS_OK;
}

enum status chat_render(const struct chat_template *chat, const struct chat_message *messages, size_t n,
                        int add_generation_prompt, const struct chat_options *options, struct chat_prompt *prompt,
                        struct diag *diag)
{
    struct jinja j = {.diag = diag, .text = prompt->text};
    const struct jnode *root;
    struct arena arena;

    if (n == 0)
        return diag_fail(diag, STATUS_RANGE, "expected a dialogue of at least one message");
    buffer_clear(&j.text);
    prompt->n_segments = 0;
    arena_init(&arena, "prompt", 0);
    j.arena = &arena;
    j.status = jinja_parse(&root, chat->text, chat->length, &arena, diag);
    if (!j.status)
        j.status = read_date(&j, options ? options->date : NULL);
    if (!j.status)
        set_messages(&j, messages, n);
    arena.limit = arena.used + JINJA_MAX_MEMORY;
    if (!j.status) {
        set_variables(&j, add_generation_prompt, options);
        jinja_run(&j, root);
    }
    prompt->text = j.text;
    if (!j.status)
        j.status = cut(prompt, &j.taint, diag);
    buffer_free(&j.taint);
    arena_free(&arena);
    return j.status;
}

void chat_prompt_free(struct chat_prompt *prompt)
{
    buffer_free(&prompt->text);
    memory_free(prompt->segments);
    memset(prompt, 0, sizeof *prompt);
}
