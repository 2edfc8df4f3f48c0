/* import.c - from foreign records to transcripts.
 *
 *   record -> question (question.c, through an object with the fields that it knows)
 *          -> message lists or solutions -> turns by agent -> turns by round -> answers, labels, vote
 *
 * Invariant: every assistant message becomes a turn, also an empty one. */
#include "import.h"

#include <math.h>
#include <string.h>

struct importing {
    struct import_reader *reader;
    const struct record *record;
    struct arena *arena;
    struct transcript *transcript;
    int8_t *labels; /* [n_turns] of the source: 1, 0, -1; NULL: the format has none */
};

static enum status no_memory(const struct importing *im, struct diag *diag)
{
    return record_fail(im->record, STATUS_MEMORY, diag, "out of memory for a debate");
}

int import_format_named(enum import_format *format, const char *name)
{
    static const char *const names[] = {"du", "agentark", "messages"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) {
            *format = (enum import_format)i;
            return 1;
        }
    return 0;
}

/* ---- the question ---- */

/* A copy of a value under another name, in front of `next`. */
static struct json *member(const struct importing *im, const char *key, const struct json *value,
                           const struct json *next)
{
    struct json *copy = arena_alloc(im->arena, sizeof *copy);

    if (!copy)
        return NULL;
    *copy = *value;
    copy->key = key;
    copy->next = next;
    return copy;
}

static enum status take_question(struct importing *im, const struct json *first, struct diag *diag)
{
    struct json object = {.type = JSON_OBJECT, .child = first};
    struct record record = *im->record;
    const struct question *question;
    enum status status;

    record.json = &object;
    status = question_from(&im->reader->questions, &record, &question, diag);
    if (status)
        return status;
    im->transcript->question = *question;
    im->transcript->question.record = im->record;
    im->transcript->question.fields = im->record->json;
    return STATUS_OK;
}

/* {question: the member's name, answer: gold}; a gold of null is none. */
static enum status question_of_member(struct importing *im, const struct json *gold, struct diag *diag)
{
    struct json text = {.type = JSON_STRING, .text = im->record->key, .length = strlen(im->record->key)};
    struct json *answer = gold ? member(im, "answer", gold, NULL) : NULL, *first;

    first = gold && !answer ? NULL : member(im, "question", &text, answer);
    return first ? take_question(im, first, diag) : no_memory(im, diag);
}

/* The record's own fields without the lists of turns; `text`, when given, as the question. */
static enum status question_of_fields(struct importing *im, const struct json *text, struct diag *diag)
{
    static const char *const turns[] = {"messages", "response", "solutions", "labels"};
    struct json *first = NULL, **end = &first;
    const struct json *m;
    size_t i;

    if (text) {
        first = member(im, "question", text, NULL);
        if (!first)
            return no_memory(im, diag);
        end = (struct json **)(uintptr_t)&first->next;
    }
    for (m = im->record->json->child; m; m = m->next) {
        for (i = 0; i < sizeof turns / sizeof *turns && strcmp(m->key, turns[i]) != 0; i++)
            ;
        if (i < sizeof turns / sizeof *turns)
            continue;
        *end = member(im, m->key, m, NULL);
        if (!*end)
            return no_memory(im, diag);
        end = (struct json **)(uintptr_t) & (*end)->next;
    }
    return take_question(im, first, diag);
}

/* ---- turns ---- */

static enum status reserve_turns(struct importing *im, size_t n, struct diag *diag)
{
    if (n > TRANSCRIPT_MAX_TURNS)
        return record_fail(im->record, STATUS_RANGE, diag, "expected at most %d turns, found %zu", TRANSCRIPT_MAX_TURNS,
                           n);
    im->transcript->turns = arena_array(im->arena, n + 1, sizeof *im->transcript->turns);
    return im->transcript->turns ? STATUS_OK : no_memory(im, diag);
}

static enum status check_agents(const struct importing *im, size_t agents, size_t rounds, struct diag *diag)
{
    if (agents > TRANSCRIPT_MAX_AGENTS || rounds > TRANSCRIPT_MAX_ROUNDS)
        return record_fail(im->record, STATUS_RANGE, diag, "expected at most %d agents and %d rounds, found more",
                           TRANSCRIPT_MAX_AGENTS, TRANSCRIPT_MAX_ROUNDS);
    return STATUS_OK;
}

static enum status add_turn(struct importing *im, size_t round, size_t agent, const char *text, size_t length,
                            struct diag *diag)
{
    struct transcript *t = im->transcript;
    struct transcript_turn turn = {.round = round, .agent = agent, .text = text, .length = length};

    turn.correct = TRANSCRIPT_UNKNOWN;
    turn.tokens = TRANSCRIPT_UNKNOWN;
    turn.logprob = NAN;
    t->turns[t->n_turns++] = turn;
    t->n_agents = agent >= t->n_agents ? agent + 1 : t->n_agents;
    t->n_rounds = round >= t->n_rounds ? round + 1 : t->n_rounds;
    return check_agents(im, t->n_agents, t->n_rounds, diag);
}

/* The text of a content: a string, a list of {text} parts, or null. */
static enum status content_text(const struct importing *im, const struct json *content, const char **text,
                                size_t *length, struct diag *diag)
{
    struct buffer joined = {0};
    const struct json *part;

    *text = "";
    *length = 0;
    if (content && content->type == JSON_STRING) {
        *text = content->text;
        *length = content->length;
    }
    if (content && (content->type == JSON_STRING || content->type == JSON_NULL))
        return STATUS_OK;
    if (!content || content->type != JSON_ARRAY)
        return record_fail(im->record, STATUS_FORMAT, diag, "a message's \"content\": expected a string, found %s",
                           record_type_name(content));
    for (part = content->child; part; part = part->next)
        buffer_text(&joined, json_string(part, "text", ""));
    *length = joined.length;
    *text = joined.failed ? NULL : arena_text(im->arena, joined.data ? joined.data : "", joined.length);
    buffer_free(&joined);
    return *text ? STATUS_OK : no_memory(im, diag);
}

/* ---- lists of messages ---- */

static enum status check_messages(const struct importing *im, const struct json *list, size_t *n_turns,
                                  struct diag *diag)
{
    const struct json *m;

    if (!list || list->type != JSON_ARRAY)
        return record_fail(im->record, STATUS_FORMAT, diag, "expected an agent's list of messages, found %s",
                           record_type_name(list));
    for (m = list->child; m; m = m->next) {
        const struct json *role = json_get(m, "role");

        if (!role || role->type != JSON_STRING)
            return record_fail(im->record, STATUS_FORMAT, diag, "a message's \"role\": expected a string, found %s",
                               m->type == JSON_OBJECT ? record_type_name(role) : record_type_name(m));
        *n_turns += strcmp(role->text, "assistant") == 0;
    }
    return STATUS_OK;
}

/* The turns of one agent. */
static enum status take_messages(struct importing *im, const struct json *list, size_t agent, struct diag *diag)
{
    const struct json *m;
    size_t round = 0, length;
    int spoken = 0, others = 0; /* other messages since it spoke */
    const char *text;
    enum status status = STATUS_OK;

    for (m = list->child; m && !status; m = m->next) {
        if (strcmp(json_string(m, "role", ""), "assistant") != 0) {
            others = 1;
            continue;
        }
        round += spoken && others;
        spoken = 1;
        others = 0;
        status = content_text(im, json_get(m, "content"), &text, &length, diag);
        if (!status)
            status = add_turn(im, round, agent, text, length, diag);
    }
    return status;
}

/* One list of several named speakers. */
static enum status take_speakers(struct importing *im, const struct json *list, struct diag *diag)
{
    const char *names[TRANSCRIPT_MAX_AGENTS], *text;
    size_t rounds[TRANSCRIPT_MAX_AGENTS], n = 0, a, length;
    const struct json *m;
    enum status status = STATUS_OK;

    for (m = list->child; m && !status; m = m->next) {
        const char *name = json_string(m, "name", "");

        if (strcmp(json_string(m, "role", ""), "assistant") != 0)
            continue;
        for (a = 0; a < n && strcmp(names[a], name) != 0; a++)
            ;
        if (a == TRANSCRIPT_MAX_AGENTS)
            return check_agents(im, a + 1, 0, diag);
        if (a == n) {
            names[n] = name;
            rounds[n++] = 0;
        }
        status = content_text(im, json_get(m, "content"), &text, &length, diag);
        if (!status)
            status = add_turn(im, rounds[a]++, a, text, length, diag);
    }
    return status;
}

static enum status take_agents(struct importing *im, const struct json *agents, struct diag *diag)
{
    const struct json *list;
    size_t n = 0, agent = 0;
    enum status status = STATUS_OK;

    for (list = agents->child; list && !status; list = list->next)
        status = check_messages(im, list, &n, diag);
    if (!status)
        status = reserve_turns(im, n, diag);
    for (list = agents->child; list && !status; list = list->next)
        status = take_messages(im, list, agent++, diag);
    if (!status)
        status = check_agents(im, agent, 0, diag);
    im->transcript->n_agents = agent;
    return status;
}

/* ---- the formats ---- */

static enum status import_du(struct importing *im, struct diag *diag)
{
    const struct json *value = im->record->json, *agents, *gold;
    enum status status;

    if (!im->record->key || value->type != JSON_ARRAY || value->length < 1 || value->length > 2)
        return record_fail(im->record, STATUS_FORMAT, diag,
                           "expected a question with [[messages of an agent, ...], gold], found %s",
                           record_type_name(value));
    agents = value->child;
    gold = agents->next && agents->next->type != JSON_NULL ? agents->next : NULL;
    if (agents->type != JSON_ARRAY)
        return record_fail(im->record, STATUS_FORMAT, diag, "expected a list of agents, found %s",
                           record_type_name(agents));
    status = question_of_member(im, gold, diag);
    return status ? status : take_agents(im, agents, diag);
}

static int has_names(const struct json *list)
{
    const struct json *m;

    for (m = list->child; m; m = m->next)
        if (json_get(m, "name") && strcmp(json_string(m, "role", ""), "assistant") == 0)
            return 1;
    return 0;
}

/* The first user message, when the record has no field that states a question. */
static enum status first_user(const struct importing *im, const struct json *list, struct json *text,
                              const struct json **question, struct diag *diag)
{
    static const char *const keys[] = {"question", "problem", "query", "prompt", "input", "Question", "Problem"};
    const struct json *m = list->child;
    enum status status;

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_get(im->record->json, keys[i]))
            return STATUS_OK;
    while (m && strcmp(json_string(m, "role", ""), "user") != 0)
        m = m->next;
    if (!m)
        return record_fail(im->record, STATUS_FORMAT, diag, "\"messages\": expected one of role user, found none");
    text->type = JSON_STRING;
    status = content_text(im, json_get(m, "content"), &text->text, &text->length, diag);
    *question = text;
    return status;
}

static enum status import_messages(struct importing *im, struct diag *diag)
{
    const struct json *list, *question = NULL;
    struct json text = {.type = JSON_STRING};
    int nested;
    size_t n = 0;
    enum status status = record_list(im->record, "messages", &list, diag);

    if (status)
        return status;
    nested = list->child && list->child->type == JSON_ARRAY;
    if (!nested)
        status = check_messages(im, list, &n, diag);
    if (!status)
        status = first_user(im, nested ? list->child : list, &text, &question, diag);
    if (!status)
        status = question_of_fields(im, question, diag);
    if (status)
        return status;
    if (nested)
        return take_agents(im, list, diag);
    status = reserve_turns(im, n, diag);
    if (status)
        return status;
    return has_names(list) ? take_speakers(im, list, diag) : take_messages(im, list, 0, diag);
}

static int truth_of(const struct json *value)
{
    if (value && (value->type == JSON_TRUE || value->type == JSON_FALSE))
        return value->type == JSON_TRUE;
    if (value && value->type == JSON_NUMBER && (value->number == 0 || value->number == 1))
        return value->number == 1;
    return -1;
}

/* A text, {text, is_correct}, or a list of them; `labels` go with the list's elements. */
static enum status take_solutions(struct importing *im, const char *key, const struct json *value,
                                  const struct json *labels, struct diag *diag)
{
    static const char *const keys[] = {"text", "response", "solution", "output"};
    const struct json *one = value->type == JSON_ARRAY ? value->child : value;
    const struct json *label = labels && labels->type == JSON_ARRAY ? labels->child : NULL;
    size_t n = value->type == JSON_ARRAY ? value->length : 1, agent;
    enum status status = reserve_turns(im, n, diag);

    im->labels = arena_array(im->arena, n + 1, sizeof *im->labels);
    if (!status && !im->labels)
        status = no_memory(im, diag);
    for (agent = 0; agent < n && !status; agent++, one = one->next, label = label ? label->next : NULL) {
        const struct json *text = one;

        for (size_t i = 0; i < sizeof keys / sizeof *keys && text->type == JSON_OBJECT; i++)
            text = json_get(one, keys[i]) ? json_get(one, keys[i]) : text;
        if (text->type != JSON_STRING)
            return record_fail(im->record, STATUS_FORMAT, diag, "\"%s\": solution %zu: expected a text, found %s", key,
                               agent + 1, record_type_name(text));
        im->labels[agent] = (int8_t)truth_of(label ? label : json_get(one, "is_correct"));
        status = add_turn(im, 0, agent, text->text, text->length, diag);
    }
    return status;
}

static enum status import_agentark(struct importing *im, struct diag *diag)
{
    const struct json *solutions = json_get(im->record->json, "solutions");
    const struct json *response = json_get(im->record->json, "response");
    enum status status = question_of_fields(im, NULL, diag);

    if (status)
        return status;
    if (solutions && solutions->type != JSON_NULL)
        return take_solutions(im, "solutions", solutions, json_get(im->record->json, "labels"), diag);
    if (response && response->type != JSON_NULL)
        return take_solutions(im, "response", response, json_get(im->record->json, "labels"), diag);
    return record_fail(im->record, STATUS_FORMAT, diag, "expected \"response\" or \"solutions\", found neither");
}

/* ---- order, answers, vote ---- */

/* By round, then as they came: a counting sort. */
static enum status order_turns(struct importing *im, struct diag *diag)
{
    struct transcript *t = im->transcript;
    struct transcript_turn *sorted = arena_array(im->arena, t->n_turns + 1, sizeof *sorted);
    size_t *at = arena_array(im->arena, t->n_rounds + 1, sizeof *at), i, r;

    if (!sorted || !at)
        return no_memory(im, diag);
    memset(at, 0, (t->n_rounds + 1) * sizeof *at);
    for (i = 0; i < t->n_turns; i++)
        at[t->turns[i].round + 1]++;
    for (r = 1; r <= t->n_rounds; r++)
        at[r] += at[r - 1];
    for (i = 0; i < t->n_turns; i++)
        sorted[at[t->turns[i].round]++] = t->turns[i];
    t->turns = sorted;
    return STATUS_OK;
}

static enum status grade_turns(struct importing *im, struct diag *diag)
{
    struct transcript *t = im->transcript;
    const struct transcript_turn *winner;
    int loose = t->question.key.kind == ANSWER_SPAN || t->question.key.kind == ANSWER_SUMMARY;
    enum status status = STATUS_OK;
    size_t i;

    for (i = 0; i < t->n_turns && !status; i++) {
        struct transcript_turn *turn = &t->turns[i];
        int label = im->labels ? im->labels[i] : -1;

        status = transcript_grade(turn, &t->question, im->arena, diag);
        if (label >= 0 && turn->correct != TRANSCRIPT_UNKNOWN) {
            im->reader->labels++;
            im->reader->label_agrees += turn->correct == label;
        }
        if (label >= 0 && (loose || turn->correct == TRANSCRIPT_UNKNOWN))
            turn->correct = label;
    }
    if (status)
        return record_at(im->record, status, diag);
    winner = transcript_vote(t, SIZE_MAX, &t->votes);
    t->vote = winner ? winner->answer : NULL;
    t->vote_correct = winner ? winner->correct : t->question.has_gold ? 0 : TRANSCRIPT_UNKNOWN;
    return STATUS_OK;
}

static enum status read_debate(struct import_reader *reader, const struct record *record, struct diag *diag)
{
    struct importing im = {.reader = reader,
                           .record = record,
                           .arena = &reader->questions.records.arena,
                           .transcript = &reader->transcript};
    enum status status;

    memset(&reader->transcript, 0, sizeof reader->transcript);
    reader->transcript.model = reader->model;
    reader->transcript.temperature = NAN;
    if (reader->format == IMPORT_DU)
        status = import_du(&im, diag);
    else
        status = reader->format == IMPORT_AGENTARK ? import_agentark(&im, diag) : import_messages(&im, diag);
    if (!status && reader->transcript.n_turns == 0)
        status = record_fail(record, STATUS_FORMAT, diag, "expected a debate with at least one turn, found none");
    if (!status)
        status = order_turns(&im, diag);
    return status ? status : grade_turns(&im, diag);
}

/* Of a file that is one line, the line says little: adds which debate it is, "<file>:<line>: debate 3: ...". */
static enum status name_debate(const struct record *record, enum status status, struct diag *diag)
{
    struct diag inner;
    const char *rest;

    if (!diag)
        return status;
    inner = *diag;
    rest = strncmp(inner.message, record->path, strlen(record->path)) == 0
               ? strstr(inner.message + strlen(record->path), ": ")
               : NULL;
    return record_fail(record, status, diag, "debate %llu: %s", (unsigned long long)record->index + 1,
                       rest ? rest + 2 : inner.message);
}

/* ---- the file ---- */

enum status import_open(struct import_reader *reader, const char *path, enum import_format format,
                        const struct question_options *options, struct diag *diag)
{
    struct question_options own = *options;

    memset(reader, 0, sizeof *reader);
    reader->format = format;
    own.records.members = format == IMPORT_DU;
    return question_open(&reader->questions, path, &own, diag);
}

enum status import_next(struct import_reader *reader, const struct transcript **transcript, struct diag *diag)
{
    *transcript = NULL;
    for (;;) {
        const struct record *record;
        enum status status = record_next(&reader->questions.records, &record, diag);

        if (status || !record)
            return status;
        status = read_debate(reader, record, diag);
        if (!status) {
            *transcript = &reader->transcript;
            return STATUS_OK;
        }
        status = name_debate(record, status, diag);
        status = record_skip(&reader->questions.records, status, diag);
        if (status)
            return status;
    }
}

void import_close(struct import_reader *reader)
{
    question_close(&reader->questions);
}
