/* transcript_read.c - debate records back into turns; see transcript.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "transcript.h"

struct reading {
    struct transcript *transcript;
    const struct record *record;
    struct arena *arena;
    size_t turn; /* being read */
};

static enum status no_memory(const struct record *record, struct diag *diag)
{
    return record_fail(record, STATUS_MEMORY, diag, "out of memory for a debate");
}

int transcript_is(const struct json *record)
{
    return json_get(record, "turns") != NULL;
}

/* ---- the question ---- */

static enum status read_kind(struct transcript *t, const struct record *record, struct diag *diag)
{
    const struct json *kind = json_get(record->json, "kind");

    t->question.key.kind = ANSWER_NUMBER;
    if (!kind || kind->type == JSON_NULL)
        return STATUS_OK;
    if (kind->type != JSON_STRING)
        return record_expected(record, "kind", "a string", diag);
    if (!answer_kind_named(&t->question.key.kind, kind->text))
        return record_fail(record, STATUS_FORMAT, diag, "\"kind\": expected one of %s, found \"%.40s\"", ANSWER_KINDS,
                           kind->text);
    return STATUS_OK;
}

static enum status add_gold(struct reading *r, const char **golds, const struct json *value, struct diag *diag)
{
    struct answer_key *key = &r->transcript->question.key;
    enum status status;

    if (value->type != JSON_STRING && value->type != JSON_NUMBER)
        return record_expected(r->record, "gold", "a text, a number or a list of them", diag);
    status = answer_gold(&golds[key->n_golds], key->kind, value->text, value->length, r->arena, diag);
    key->n_golds += !status && golds[key->n_golds] && *golds[key->n_golds];
    return status;
}

static enum status read_golds(struct reading *r, struct diag *diag)
{
    struct question *q = &r->transcript->question;
    const struct json *gold = json_get(r->record->json, "gold"), *one;
    const char **golds;
    enum status status = STATUS_OK;

    if (!gold || gold->type == JSON_NULL)
        return STATUS_OK;
    golds = arena_array(r->arena, gold->type == JSON_ARRAY ? gold->length + 1 : 1, sizeof *golds);
    if (!golds)
        return no_memory(r->record, diag);
    q->has_gold = 1;
    q->key.golds = golds;
    if (gold->type != JSON_ARRAY)
        return add_gold(r, golds, gold, diag);
    for (one = gold->child; one && !status; one = one->next)
        status = add_gold(r, golds, one, diag);
    return status;
}

static enum status read_question(struct reading *r, struct diag *diag)
{
    struct question *q = &r->transcript->question;
    const struct json *text, *context = json_get(r->record->json, "context");
    enum status status = record_string(r->record, "question", &text, diag);

    if (status)
        return status;
    q->id = r->record->id;
    q->id_is_number = r->record->id_is_number;
    q->record = r->record;
    q->fields = r->record->json;
    q->text = text->text;
    if (context && context->type != JSON_NULL && context->type != JSON_STRING)
        return record_expected(r->record, "context", "a string", diag);
    q->context = context && context->type == JSON_STRING ? context->text : NULL;
    status = read_kind(r->transcript, r->record, diag);
    return status ? status : read_golds(r, diag);
}

/* ---- turns ---- */

static enum status turn_expected(const struct reading *r, const char *key, const char *expected,
                                 const struct json *found, struct diag *diag)
{
    return record_fail(r->record, STATUS_FORMAT, diag, "turn %zu: \"%s\": expected %s, found %s", r->turn + 1, key,
                       expected, record_type_name(found));
}

static enum status read_place(const struct reading *r, const struct json *object, const char *key, double end,
                              size_t *place, struct diag *diag)
{
    const struct json *value = json_get(object, key);

    if (!value || value->type != JSON_NUMBER)
        return turn_expected(r, key, "a number", value, diag);
    if (!(value->number >= 0 && value->number < end) || value->number != floor(value->number))
        return record_fail(r->record, STATUS_FORMAT, diag, "turn %zu: \"%s\": expected 0..%g, found %.40s", r->turn + 1,
                           key, end - 1, value->text);
    *place = (size_t)value->number;
    return STATUS_OK;
}

/* A member that may be missing or null, else is of one type. */
static enum status read_optional(const struct reading *r, const struct json *object, const char *key,
                                 enum json_type type, const struct json **value, struct diag *diag)
{
    *value = json_get(object, key);
    if (*value && (*value)->type == JSON_NULL)
        *value = NULL;
    if (*value && (*value)->type != type)
        return turn_expected(r, key, type == JSON_STRING ? "a string" : "a number", *value, diag);
    return STATUS_OK;
}

static enum status read_measures(const struct reading *r, const struct json *object, struct transcript_turn *turn,
                                 struct diag *diag)
{
    const struct json *finish, *tokens, *logprob;
    enum status status = read_optional(r, object, "finish", JSON_STRING, &finish, diag);

    if (!status)
        status = read_optional(r, object, "tokens", JSON_NUMBER, &tokens, diag);
    if (!status)
        status = read_optional(r, object, "logprob", JSON_NUMBER, &logprob, diag);
    if (status)
        return status;
    turn->finish = !finish ? TURN_UNKNOWN : strcmp(finish->text, "length") == 0 ? TURN_TRUNCATED : TURN_STOPPED;
    if (tokens && !(tokens->number >= 0 && tokens->number < 0x1p53))
        return turn_expected(r, "tokens", "a count", tokens, diag);
    turn->tokens = tokens ? (int64_t)tokens->number : TRANSCRIPT_UNKNOWN;
    turn->logprob = logprob ? logprob->number : NAN;
    return STATUS_OK;
}

/* Answer and correctness as they stand, or from the text and the gold. */
static enum status read_answer(const struct reading *r, const struct json *object, struct transcript_turn *turn,
                               struct diag *diag)
{
    const struct question *q = &r->transcript->question;
    const struct json *answer, *correct = json_get(object, "correct");
    enum status status = read_optional(r, object, "answer", JSON_STRING, &answer, diag);

    if (status)
        return status;
    if (!json_get(object, "answer"))
        status = transcript_grade(turn, q, r->arena, diag);
    else
        turn->answer = answer ? answer->text : NULL;
    if (correct && (correct->type == JSON_TRUE || correct->type == JSON_FALSE))
        turn->correct = correct->type == JSON_TRUE;
    else if (correct && correct->type != JSON_NULL)
        return turn_expected(r, "correct", "true, false or null", correct, diag);
    else
        turn->correct = q->has_gold ? answer_correct(&q->key, turn->answer) : TRANSCRIPT_UNKNOWN;
    return status;
}

static enum status read_turn(const struct reading *r, const struct json *object, struct transcript_turn *turn,
                             struct diag *diag)
{
    const struct json *text = json_get(object, "text");
    enum status status;

    if (object->type != JSON_OBJECT)
        return record_fail(r->record, STATUS_FORMAT, diag, "turn %zu: expected an object, found %s", r->turn + 1,
                           record_type_name(object));
    if (!text || text->type != JSON_STRING)
        return turn_expected(r, "text", "a string", text, diag);
    turn->text = text->text;
    turn->length = text->length;
    status = read_place(r, object, "round", TRANSCRIPT_MAX_ROUNDS, &turn->round, diag);
    if (!status)
        status = read_place(r, object, "agent", TRANSCRIPT_MAX_AGENTS, &turn->agent, diag);
    if (!status)
        status = read_measures(r, object, turn, diag);
    return status ? status : read_answer(r, object, turn, diag);
}

static enum status read_turns(struct reading *r, struct diag *diag)
{
    struct transcript *t = r->transcript;
    const struct json *list, *item;
    enum status status = record_list(r->record, "turns", &list, diag);

    if (status)
        return status;
    if (list->length > TRANSCRIPT_MAX_TURNS)
        return record_fail(r->record, STATUS_RANGE, diag, "\"turns\": expected at most %d, found %zu",
                           TRANSCRIPT_MAX_TURNS, list->length);
    t->turns = arena_array(r->arena, list->length + 1, sizeof *t->turns);
    if (!t->turns)
        return no_memory(r->record, diag);
    for (item = list->child; item && !status; item = item->next, r->turn++) {
        struct transcript_turn *turn = &t->turns[t->n_turns++];

        memset(turn, 0, sizeof *turn);
        status = read_turn(r, item, turn, diag);
        t->n_agents = turn->agent >= t->n_agents ? turn->agent + 1 : t->n_agents;
        t->n_rounds = turn->round >= t->n_rounds ? turn->round + 1 : t->n_rounds;
    }
    return status;
}

/* ---- the rest ---- */

static void read_vote(struct transcript *t, const struct json *vote)
{
    const struct json *answer = json_get(vote, "answer"), *correct = json_get(vote, "correct");
    const struct transcript_turn *winner = transcript_vote(t, SIZE_MAX, &t->votes);

    t->vote = winner ? winner->answer : NULL;
    if (answer)
        t->vote = answer->type == JSON_STRING ? answer->text : NULL;
    t->votes = (size_t)json_number(vote, "count", (double)t->votes);
    t->vote_correct = t->question.has_gold ? answer_correct(&t->question.key, t->vote) : TRANSCRIPT_UNKNOWN;
    if (correct && (correct->type == JSON_TRUE || correct->type == JSON_FALSE))
        t->vote_correct = correct->type == JSON_TRUE;
}

enum status transcript_read(struct transcript *t, const struct record *record, struct arena *arena, struct diag *diag)
{
    struct reading r = {.transcript = t, .record = record, .arena = arena};
    const struct json *json = record->json;
    const struct json *seed = json_get(json, "seed");
    double votes = json_number(json_get(json, "vote"), "count", 0);
    enum status status;

    memset(t, 0, sizeof *t);
    status = read_question(&r, diag);
    if (!status && !(votes >= 0 && votes <= TRANSCRIPT_MAX_AGENTS))
        status = record_fail(record, STATUS_FORMAT, diag, "\"vote\": expected a \"count\" of votes, found %g", votes);
    if (!status)
        status = read_turns(&r, diag);
    if (status)
        return status;
    t->model = json_string(json, "model", NULL);
    t->temperature = json_number(json, "temperature", NAN);
    t->has_seed = seed && seed->type == JSON_NUMBER;
    t->seed = t->has_seed ? strtoull(seed->text, NULL, 10) : 0;
    read_vote(t, json_get(json, "vote"));
    return STATUS_OK;
}
