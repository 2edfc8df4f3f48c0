/* question.h - questions as the public data sets write them, one after the other.
 *
 *   GSM8K       {question, answer "... #### 72"}
 *   MATH        {problem, answer, solution}                  answer wins, else the box of the solution
 *   SVAMP       {Body, Question, Answer}      ASDiv {body, question, answer "9 (apples)"}      MAWPS {input, target}
 *   choice      {question, options|choices list or {A: ...} or {text, label} | opa..opd | A..D,
 *                answer_idx|answerKey|correct|cop|answer|label}
 *   HotpotQA    {question, answer, context, supporting_facts}            SQuAD {question, context, answers {text}}
 *   QMSum       {general_query_list, specific_query_list, meeting_transcripts}: several questions a record
 *   MetaMathQA  {query, response}             plain {prompt|question|query|problem|input, answer|gold|gt|...}
 *   messages    {messages} or {prompt: [messages]}, with one of the answers above or that of the last assistant turn
 *
 * Memory: one record. Integer answers of choices count from 0, unless a look through the file finds one that equals the
 * number of options and none that is 0. */
#ifndef ARKLET_QUESTION_H
#define ARKLET_QUESTION_H

#include "answer.h"
#include "record.h"

struct question {
    const char *id;      /* of the record; "<record>:<k>" when a record holds several questions */
    int id_is_number;    /* as in struct record */
    const char *text;    /* what the user asks, options listed below as "A) ..." lines; without the context */
    const char *context; /* paragraphs or a transcript to answer from; NULL: none */
    struct answer_key key;
    int has_gold;                /* the record states an answer, maybe an empty one (then key.n_golds is 0) */
    const struct record *record; /* whence it came: for messages */
    const struct json *fields;   /* the object with the question's further fields: the record, or a meeting's query */
};

struct question_options {
    struct record_options records;
    const char *kind; /* one of ANSWER_KINDS for all questions; NULL: told by each record */
    int need_gold;    /* a record without an answer is an error */
};

struct question_reader {
    struct record_reader records;
    struct question_options options;
    enum answer_kind kind;
    const struct record *record; /* with questions left, else NULL */
    size_t next_in_record;
    int base; /* of integer answers of choices: 0, 1, or -1: not yet known */
    struct question question;
};

enum status question_open(struct question_reader *reader, const char *path, const struct question_options *options,
                          struct diag *diag);
/* *question is valid until the next call; NULL at the end. Bad records are skipped when the options say so. */
enum status question_next(struct question_reader *reader, const struct question **question, struct diag *diag);
/* A record that the caller took from reader->records itself, maybe with other fields put into it, as one question. */
enum status question_from(struct question_reader *reader, const struct record *record, const struct question **question,
                          struct diag *diag);
/* Questions that the reader's file has in its shard, as far as they can be read: as record_count. */
uint64_t question_count(const struct question_reader *reader);
void question_close(struct question_reader *reader); /* also after a failed open */

/* A copy whose strings are in arena, without record and fields. Fails only for memory. */
enum status question_copy(struct question *copy, const struct question *question, struct arena *arena,
                          struct diag *diag);
/* Context, an empty line, text: what a prompt begins with. */
void question_put(struct buffer *out, const struct question *question);
/* The id as JSON. */
void question_put_id(struct buffer *out, const struct question *question);

#endif
