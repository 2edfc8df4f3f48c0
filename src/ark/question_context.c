/* question_context.c - texts to answer from: HotpotQA's paragraphs, SQuAD's passages, QMSum's meetings.
 *
 *   "context": [["Title", ["Sentence one.", " Sentence two."]], ...]       -> "Title\nSentence one. Sentence
 * two.\n\n..." "context": {"title": [...], "sentences": [[...], ...]}                 -> the same "context": "..." ->
 * as it stands "meeting_transcripts": [{"speaker": "A", "content": "..."}]            -> "A: ...\n" */
#include <stdio.h>

#include "question_parts.h"

static const struct json *element(const struct json *list, size_t i)
{
    const struct json *e = list && list->type == JSON_ARRAY ? list->child : NULL;

    while (e && i--)
        e = e->next;
    return e;
}

static void put_sentences(struct buffer *out, const struct json *sentences)
{
    if (sentences && sentences->type == JSON_STRING) {
        buffer_append(out, sentences->text, sentences->length);
        return;
    }
    for (const struct json *s = element(sentences, 0); s; s = s->next) {
        if (s->type != JSON_STRING || s->length == 0)
            continue;
        if (s != sentences->child && s->text[0] != ' ')
            buffer_byte(out, ' ');
        buffer_append(out, s->text, s->length);
    }
}

static void put_paragraph(struct buffer *out, const struct json *title, const struct json *sentences)
{
    if (out->length)
        buffer_text(out, "\n\n");
    if (title && title->type == JSON_STRING) {
        buffer_append(out, title->text, title->length);
        buffer_byte(out, '\n');
    }
    put_sentences(out, sentences);
}

enum status question_read_context(struct question_reader *reader, struct diag *diag)
{
    static const char *const keys[] = {"context", "passage", NULL};
    const char *key;
    const struct json *context = question_field(reader->question.record->json, keys, &key);
    struct buffer out = {0};

    if (!context)
        return STATUS_OK;
    if (context->type == JSON_STRING) {
        buffer_append(&out, context->text, context->length);
    } else if (context->type == JSON_OBJECT) {
        const struct json *title = element(json_get(context, "title"), 0);

        for (const struct json *s = element(json_get(context, "sentences"), 0); s; s = s->next) {
            put_paragraph(&out, title, s);
            title = title ? title->next : NULL;
        }
    } else if (context->type == JSON_ARRAY) {
        for (const struct json *p = context->child; p; p = p->next)
            if (p->type == JSON_ARRAY)
                put_paragraph(&out, element(p, 0), element(p, 1));
            else
                put_paragraph(&out, NULL, p);
    }
    if (out.length == 0 && !out.failed) {
        buffer_free(&out);
        return STATUS_OK;
    }
    reader->question.context = question_keep(reader, &out);
    return reader->question.context ? STATUS_OK : question_no_memory(reader, diag);
}

/* ---- meetings ---- */

static const struct json *queries(const struct json *record, int specific)
{
    const struct json *list = json_get(record, specific ? "specific_query_list" : "general_query_list");

    return list && list->type == JSON_ARRAY ? list : NULL;
}

int question_is_meeting(const struct json *record)
{
    return queries(record, 0) || queries(record, 1);
}

static enum status read_transcript(struct question_reader *reader, struct diag *diag)
{
    const struct json *turns = json_get(reader->record->json, "meeting_transcripts");
    struct buffer out = {0};

    for (const struct json *t = element(turns, 0); t; t = t->next) {
        if (out.length)
            buffer_byte(&out, '\n');
        buffer_text(&out, json_string(t, "speaker", "Speaker"));
        buffer_text(&out, ": ");
        buffer_text(&out, json_string(t, "content", ""));
    }
    reader->question.context = question_keep(reader, &out);
    return reader->question.context ? STATUS_OK : question_no_memory(reader, diag);
}

enum status question_read_meeting(struct question_reader *reader, size_t i, int *more, struct diag *diag)
{
    const struct json *record = reader->record->json, *general = queries(record, 0), *found;
    struct question *q = &reader->question;
    size_t n_general = general ? general->length : 0;
    struct buffer id = {0};
    enum status status;

    found = i < n_general ? element(general, i) : element(queries(record, 1), i - n_general);
    *more = found != NULL;
    if (!found)
        return STATUS_OK;
    q->fields = found;
    q->text = json_string(found, "query", NULL);
    if (!q->text)
        return record_fail(reader->record, STATUS_FORMAT, diag, "query %zu: \"query\": expected a string, found %s", i,
                           record_type_name(json_get(found, "query")));
    buffer_format(&id, "%s:%zu", reader->record->id, i);
    q->id = question_keep(reader, &id);
    q->id_is_number = 0;
    if (!q->id)
        return question_no_memory(reader, diag);
    q->key.kind = reader->options.kind ? reader->kind : ANSWER_SUMMARY;
    status = read_transcript(reader, diag);
    return status ? status : question_set_golds(reader, json_get(found, "answer"), diag);
}
