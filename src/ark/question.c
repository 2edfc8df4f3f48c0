/* question.c - from records to questions.
 *
 *   file -> record (record.c) -> one question, or as many as a meeting has -> caller
 *
 * Where to read next: question_fields.c, question_choice.c, question_context.c. */
#include <stdio.h>

#include "question_parts.h"

enum status question_no_memory(struct question_reader *reader, struct diag *diag)
{
    return record_fail(&reader->records.record, STATUS_MEMORY, diag, "out of memory for a question");
}

const char *question_keep(struct question_reader *reader, struct buffer *buffer)
{
    const char *text = NULL;

    if (!buffer->failed)
        text = arena_text(&reader->records.arena, buffer->data ? buffer->data : "", buffer->length);
    buffer_free(buffer);
    return text;
}

enum status question_open(struct question_reader *reader, const char *path, const struct question_options *options,
                          struct diag *diag)
{
    memset(reader, 0, sizeof *reader);
    if (options)
        reader->options = *options;
    reader->base = -1;
    reader->records.stream.fd = -1;
    if (reader->options.kind && !answer_kind_named(&reader->kind, reader->options.kind))
        return diag_fail(diag, STATUS_RANGE, "expected one of %s, found '%s'", ANSWER_KINDS, reader->options.kind);
    return record_open(&reader->records, path, &reader->options.records, diag);
}

static void begin_question(struct question_reader *reader)
{
    memset(&reader->question, 0, sizeof reader->question);
    reader->question.record = reader->record;
    reader->question.fields = reader->record->json;
    reader->question.id = reader->record->id;
    reader->question.id_is_number = reader->record->id_is_number;
}

static enum status check_gold(const struct question_reader *reader, struct diag *diag)
{
    if (!reader->options.need_gold || reader->question.has_gold)
        return STATUS_OK;
    return record_fail(reader->question.record, STATUS_FORMAT, diag,
                       "expected an answer (a field \"answer\"), found none");
}

/* The next question of the current record; *more becomes 0 when it has none left. */
static enum status next_of_record(struct question_reader *reader, int *more, struct diag *diag)
{
    const struct record *record = reader->record;
    enum status status;

    begin_question(reader);
    *more = 1;
    if (question_is_meeting(record->json)) {
        status = question_read_meeting(reader, reader->next_in_record, more, diag);
    } else {
        status = reader->next_in_record ? STATUS_OK : question_read(reader, diag);
        *more = reader->next_in_record == 0;
    }
    reader->next_in_record++;
    return status || !*more ? status : check_gold(reader, diag);
}

enum status question_from(struct question_reader *reader, const struct record *record, const struct question **question,
                          struct diag *diag)
{
    enum status status;

    reader->record = record;
    begin_question(reader);
    status = question_read(reader, diag);
    reader->record = NULL;
    *question = &reader->question;
    return status ? status : check_gold(reader, diag);
}

enum status question_next(struct question_reader *reader, const struct question **question, struct diag *diag)
{
    *question = NULL;
    for (;;) {
        enum status status;
        int more;

        if (!reader->record) {
            status = record_next(&reader->records, &reader->record, diag);
            if (status || !reader->record)
                return status;
            reader->next_in_record = 0;
        }
        status = next_of_record(reader, &more, diag);
        if (!status && more) {
            *question = &reader->question;
            return STATUS_OK;
        }
        reader->record = NULL;
        status = record_skip(&reader->records, status, diag);
        if (status)
            return status;
    }
}

/* Only who reads them knows how many questions a record has. */
uint64_t question_count(const struct question_reader *reader)
{
    const struct json_stream *whole = &reader->records.stream;
    struct question_reader again;
    struct diag diag;
    const struct question *question;
    uint64_t n = 0;
    enum status status;

    if (!whole->size || strcmp(whole->path, "-") == 0)
        return 0;
    status = question_open(&again, whole->path, &reader->options, &diag);
    while (!status && !(status = question_next(&again, &question, &diag)) && question)
        n++;
    question_close(&again);
    return status ? 0 : n;
}

void question_close(struct question_reader *reader)
{
    record_close(&reader->records);
}

static const char *copy_text(struct arena *arena, const char *text)
{
    return text ? arena_text(arena, text, strlen(text)) : NULL;
}

static const char *const *copy_list(struct arena *arena, const char *const *list, size_t n)
{
    const char **copy = arena_array(arena, n + 1, sizeof *copy);

    for (size_t i = 0; copy && i < n; i++)
        if (!(copy[i] = copy_text(arena, list[i])))
            return NULL;
    return copy;
}

enum status question_copy(struct question *copy, const struct question *question, struct arena *arena,
                          struct diag *diag)
{
    *copy = *question;
    copy->record = NULL;
    copy->fields = NULL;
    copy->id = copy_text(arena, question->id);
    copy->text = copy_text(arena, question->text);
    copy->context = copy_text(arena, question->context);
    copy->key.golds = copy_list(arena, question->key.golds, question->key.n_golds);
    copy->key.options = copy_list(arena, question->key.options, question->key.n_options);
    if (copy->id && copy->text && (copy->context || !question->context) && copy->key.golds && copy->key.options)
        return STATUS_OK;
    return diag_fail(diag, STATUS_MEMORY, "out of memory for a question");
}

void question_put(struct buffer *out, const struct question *question)
{
    if (question->context) {
        buffer_text(out, question->context);
        buffer_text(out, "\n\n");
    }
    buffer_text(out, question->text);
}

void question_put_id(struct buffer *out, const struct question *question)
{
    if (question->id_is_number)
        buffer_text(out, question->id);
    else
        json_put_text(out, question->id);
}
