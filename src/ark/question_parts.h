/* question_parts.h - what the question_*.c files share.
 *
 * The functions put into question->... what they find; strings live in reader->records.arena. */
#ifndef ARKLET_QUESTION_PARTS_H
#define ARKLET_QUESTION_PARTS_H

#include <string.h>
#include "question.h"

/* ---- question.c ---- */

enum status question_no_memory(struct question_reader *reader, struct diag *diag);
/* Moves the buffer's text into the arena; NULL when memory is short. Frees the buffer. */
const char *question_keep(struct question_reader *reader, struct buffer *buffer);

/* ---- question_fields.c: one question a record ---- */

enum status question_read(struct question_reader *reader, struct diag *diag);
/* The first of the keys (NULL-terminated list) whose value is neither missing nor null. */
const struct json *question_field(const struct json *object, const char *const *keys, const char **key);
/* Takes a string, number or list of them as golds. */
enum status question_set_golds(struct question_reader *reader, const struct json *value, struct diag *diag);

/* ---- question_choice.c ---- */

/* Sets options and lists them below the text; leaves n_options 0 when the record has none. */
enum status question_read_options(struct question_reader *reader, struct diag *diag);
enum status question_read_letter(struct question_reader *reader, struct diag *diag);

/* ---- question_context.c ---- */

/* Sets the context, when the record has one. */
enum status question_read_context(struct question_reader *reader, struct diag *diag);
int question_is_meeting(const struct json *record);
/* Sets question i of a meeting; *more becomes 0 when there is none. */
enum status question_read_meeting(struct question_reader *reader, size_t i, int *more, struct diag *diag);

#endif
