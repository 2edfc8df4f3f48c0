/* import.h - debates held elsewhere, one after the other, as transcripts.
 *
 *   du        {question: [[[{role, content}, ...] of agent 0, ... of agent 1, ...], gold], ...}: one object, a member a
 *             debate (Du et al. 2023, arXiv 2305.14325)
 *   agentark  {query, gt, response (a text or a list) or solutions [text or {text, is_correct}], labels}: last answers
 * of all agents (AgentArk, arXiv 2602.03955) messages  {messages: [{role, content, name}] or a list of them, and a
 * question and answer as question.h reads them; else the first user message is the question}
 *
 * Every assistant message is a turn. An agent's round begins when other messages (a user's) stand between two of its
 * turns; in one list of several named speakers every name is an agent, and its turns are its rounds. Answers are found
 * and graded anew; labels of the source are compared, and taken where there is no gold (or where grading by text is no
 * more than exact match: spans and summaries). Memory: one debate. */
#ifndef ARKLET_IMPORT_H
#define ARKLET_IMPORT_H

#include "question.h"
#include "status.h"
#include "transcript.h"

enum import_format { IMPORT_DU, IMPORT_AGENTARK, IMPORT_MESSAGES };

#define IMPORT_FORMATS "du|agentark|messages"

struct import_reader {
    enum import_format format;
    struct question_reader questions; /* its records are the file's */
    const char *model;                /* for the records; NULL: not known */
    struct transcript transcript;
    uint64_t labels, label_agrees; /* correctness stated by the source, and equal to ours */
};

/* Returns 0 when the name is none of IMPORT_FORMATS. */
int import_format_named(enum import_format *format, const char *name);
/* options->records.members is set by the format. */
enum status import_open(struct import_reader *reader, const char *path, enum import_format format,
                        const struct question_options *options, struct diag *diag);
/* *transcript is valid until the next call; NULL at the end. Bad records are skipped when the options say so. */
enum status import_next(struct import_reader *reader, const struct transcript **transcript, struct diag *diag);
void import_close(struct import_reader *reader); /* also after a failed open */

#endif
