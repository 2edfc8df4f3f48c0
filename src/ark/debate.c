/* debate.c - the debate of a window of questions. In a sentence: every agent answers; while a question is open, every
 * agent reads all answers of the last round and answers again; then the answers are voted on and the record is written.
 *
 *   turns[question][round][agent]      stream of random numbers: (hash of the question's id, round, agent), so that
 * shards and resumed runs draw what one run over the whole file draws
 */
#include "debate.h"

#include <stdio.h>
#include <string.h>
#include "ask.h"
#include "json.h"
#include "rng.h"
#include "transcript.h"

struct topic {                /* a question of the window, copied out of the reader's record */
    struct transcript record; /* turns [rounds][agents]; n_rounds held so far */
    int open;
};

struct debate {
    const struct debate_options *options;
    struct debate_summary *summary;
    struct arena arena; /* of the window */
    struct topic *topics;
    size_t n_topics;
    struct buffer line;
};

static enum status no_memory(struct diag *diag)
{
    return diag_fail(diag, STATUS_MEMORY, "debate: out of memory");
}

static struct transcript_turn *turn_of(const struct debate *d, const struct topic *topic, size_t round, size_t agent)
{
    return &topic->record.turns[round * d->options->n_agents + agent];
}

/* ---- A question out of the reader's record ---- */

static enum status take_topic(struct debate *d, const struct question *question, struct diag *diag)
{
    const struct debate_options *o = d->options;
    struct topic *topic = &d->topics[d->n_topics];
    struct question *q = &topic->record.question;
    size_t n = o->rounds * o->n_agents;

    memset(topic, 0, sizeof *topic);
    if (question_copy(q, question, &d->arena, diag))
        return STATUS_MEMORY;
    topic->record.turns = arena_array(&d->arena, n, sizeof *topic->record.turns);
    if (!topic->record.turns)
        return no_memory(diag);
    topic->record.model = o->model_name;
    topic->record.n_agents = o->n_agents;
    topic->record.temperature = (double)o->agents[0].temperature;
    topic->record.has_seed = 1;
    topic->record.seed = o->seed;
    topic->open = 1;
    d->n_topics++;
    return STATUS_OK;
}

/* ---- Prompts ---- */

/* The solutions of the last round, each cut to its last `most` bytes (0: whole), at a character's start. */
static void last_solutions(const struct debate *d, const struct topic *topic, size_t most, struct prompt_solution *out)
{
    size_t a;

    for (a = 0; a < d->options->n_agents; a++) {
        const struct transcript_turn *turn = turn_of(d, topic, topic->record.n_rounds - 1, a);
        size_t cut = most && turn->length > most ? turn->length - most : 0;

        while (cut && cut < turn->length && ((unsigned char)turn->text[cut] & 0xc0) == 0x80)
            cut++;
        out[a].text = turn->text + cut;
        out[a].length = turn->length - cut;
    }
}

/* Token ids of an agent's prompt. When they leave no room for an answer, the solutions are cut to ever shorter ends. */
static enum status build_prompt(struct debate *d, const struct topic *topic, size_t agent, struct tokens *tokens,
                                struct diag *diag)
{
    const struct debate_options *o = d->options;
    const struct debate_agent *a = &o->agents[agent];
    struct prompt_solution solutions[DEBATE_MAX_AGENTS];
    struct prompt prompt;
    size_t most = 0, room = a->speaker->context > o->max_new ? a->speaker->context - o->max_new : 1;
    enum status status;

    for (;;) {
        tokens->count = 0;
        if (topic->record.n_rounds == 0) {
            status = prompt_solve(&prompt, &a->style, &topic->record.question, &d->arena, diag);
        } else {
            last_solutions(d, topic, most, solutions);
            status = prompt_revise(&prompt, &a->style, &topic->record.question, solutions, o->n_agents, agent,
                                   &d->arena, diag);
        }
        if (!status)
            status = prompt_tokens(&prompt, &a->style, tokens, diag);
        if (status || tokens->count <= room)
            return status;
        if (topic->record.n_rounds == 0 || most == 1)
            return diag_fail(
                diag, STATUS_RANGE,
                "question %s: its prompt takes %zu tokens, a context of %zu leaves %zu beside %zu new ones",
                topic->record.question.id, tokens->count, a->speaker->context, room, o->max_new);
        d->summary->shortened += most == 0;
        most = most ? most / 2 : 2048;
        most = most ? most : 1;
    }
}

/* ---- A round ---- */

static enum status prepare_ask(struct debate *d, const struct topic *topic, size_t agent, struct ask *ask,
                               struct diag *diag)
{
    const struct debate_options *o = d->options;
    struct tokens tokens = {0};
    int32_t *ids;
    enum status status = build_prompt(d, topic, agent, &tokens, diag);

    memset(ask, 0, sizeof *ask);
    if (!status) {
        ids = arena_array(&d->arena, tokens.count, sizeof *ids);
        if (ids)
            memcpy(ids, tokens.ids, tokens.count * sizeof *ids);
        else
            status = no_memory(diag);
        ask->prompt = ids;
        ask->n_prompt = tokens.count;
    }
    tokens_free(&tokens);
    ask->max_new = o->max_new;
    ask->sampling.temperature = o->agents[agent].temperature;
    ask->sampling.top_k = o->top_k;
    ask->sampling.top_p = o->top_p;
    ask->sampling.min_p = o->min_p;
    ask->sampling.seed = o->seed;
    ask->sampling.stream = rng_bits(rng_hash(topic->record.question.id), RNG_SELECT, topic->record.n_rounds, agent, 0);
    ask->adapters = o->agents[agent].adapters;
    ask->n_adapters = o->agents[agent].n_adapters;
    return status;
}

static enum status take_answer(struct debate *d, struct topic *topic, size_t agent, const struct ask *ask,
                               struct diag *diag)
{
    struct transcript_turn *turn = turn_of(d, topic, topic->record.n_rounds, agent);

    memset(turn, 0, sizeof *turn);
    turn->round = topic->record.n_rounds;
    turn->agent = agent;
    turn->text = ask->text;
    turn->length = ask->length;
    turn->tokens = (int64_t)ask->n_tokens;
    turn->logprob = ask->logprob;
    turn->finish = ask->truncated ? TURN_TRUNCATED : TURN_STOPPED;
    d->summary->tokens += ask->n_tokens;
    return transcript_grade(turn, &topic->record.question, &d->arena, diag);
}

/* Asks all agents of one speaker about all open topics. */
static enum status ask_speaker(struct debate *d, const struct debate_speaker *speaker, struct ask *asks,
                               const struct tokenizer *tokenizer, struct diag *diag)
{
    const struct debate_options *o = d->options;
    size_t i, a, n = 0;
    enum status status = STATUS_OK;

    for (i = 0; i < d->n_topics && !status; i++)
        for (a = 0; d->topics[i].open && a < o->n_agents && !status; a++)
            if (o->agents[a].speaker == speaker)
                status = prepare_ask(d, &d->topics[i], a, &asks[n++], diag);
    if (!status)
        status = ask_run(speaker->engine, tokenizer, asks, n, &d->arena, diag);
    n = 0;
    for (i = 0; i < d->n_topics && !status; i++)
        for (a = 0; d->topics[i].open && a < o->n_agents && !status; a++)
            if (o->agents[a].speaker == speaker)
                status = take_answer(d, &d->topics[i], a, &asks[n++], diag);
    return status;
}

static int unanimous(const struct debate *d, const struct topic *topic)
{
    const struct transcript_turn *first = turn_of(d, topic, topic->record.n_rounds - 1, 0);
    size_t a;

    for (a = 1; first->answer && a < d->options->n_agents; a++)
        if (!answer_same(&topic->record.question.key, first->answer,
                         turn_of(d, topic, topic->record.n_rounds - 1, a)->answer))
            return 0;
    return first->answer != NULL;
}

static enum status hold_round(struct debate *d, struct diag *diag)
{
    const struct debate_options *o = d->options;
    struct ask *asks = arena_array(&d->arena, d->n_topics * o->n_agents, sizeof *asks);
    enum status status = asks ? STATUS_OK : no_memory(diag);
    size_t a, b, i;

    for (a = 0; a < o->n_agents && !status; a++) {
        for (b = 0; b < a && o->agents[b].speaker != o->agents[a].speaker; b++)
            ;
        if (b == a) /* the first agent of its speaker */
            status = ask_speaker(d, o->agents[a].speaker, asks, o->agents[a].style.tokenizer, diag);
    }
    for (i = 0; i < d->n_topics && !status; i++) {
        struct topic *topic = &d->topics[i];

        if (!topic->open)
            continue;
        topic->record.n_rounds++;
        topic->record.n_turns = topic->record.n_rounds * o->n_agents;
        if (topic->record.n_rounds == o->rounds ||
            ((o->early_stop || (o->skip_unanimous && topic->record.n_rounds == 1)) && unanimous(d, topic)))
            topic->open = 0;
    }
    return status;
}

/* ---- The vote ---- */

/* One more call of agent 0, which states the common answer. */
static enum status aggregate(struct debate *d, struct topic *topic, struct diag *diag)
{
    const struct debate_agent *agent = &d->options->agents[0];
    struct prompt_solution solutions[DEBATE_MAX_AGENTS];
    struct tokens tokens = {0};
    struct prompt prompt;
    struct ask ask = {.max_new = d->options->max_new, .adapters = agent->adapters, .n_adapters = agent->n_adapters};
    enum status status;

    last_solutions(d, topic, 0, solutions);
    status = prompt_aggregate(&prompt, &agent->style, &topic->record.question, solutions, d->options->n_agents,
                              &d->arena, diag);
    if (!status)
        status = prompt_tokens(&prompt, &agent->style, &tokens, diag);
    ask.prompt = tokens.ids;
    ask.n_prompt = tokens.count;
    ask.sampling.top_p = 1;
    if (!status)
        status = ask_run(agent->speaker->engine, agent->style.tokenizer, &ask, 1, &d->arena, diag);
    if (!status && answer_extract(&topic->record.vote, &topic->record.question.key, ask.text, ask.length, ask.truncated,
                                  &d->arena, diag))
        status = no_memory(diag);
    d->summary->tokens += ask.n_tokens;
    tokens_free(&tokens);
    return status;
}

static enum status decide(struct debate *d, struct topic *topic, struct diag *diag)
{
    struct transcript *t = &topic->record;
    const struct transcript_turn *winner = transcript_vote(t, t->n_rounds - 1, &t->votes);
    enum status status = STATUS_OK;

    t->vote = winner ? winner->answer : NULL;
    if (d->options->aggregate_llm)
        status = aggregate(d, topic, diag);
    t->vote_correct = t->question.has_gold ? answer_correct(&t->question.key, t->vote) : TRANSCRIPT_UNKNOWN;
    return status;
}

static void count_topic(struct debate *d, const struct topic *topic)
{
    struct debate_summary *s = d->summary;
    size_t r, a, votes;
    const struct transcript_turn *first;

    s->questions++;
    if (!topic->record.question.has_gold)
        return;
    s->with_gold++;
    first = transcript_vote(&topic->record, 0, &votes);
    s->vote_first += first && answer_correct(&topic->record.question.key, first->answer);
    s->vote_last += topic->record.vote_correct == 1;
    for (r = 0; r < d->options->rounds; r++)
        for (a = 0; a < d->options->n_agents; a++) {
            size_t held = r < topic->record.n_rounds ? r : topic->record.n_rounds - 1;
            int now = turn_of(d, topic, held, a)->correct;

            s->right_per_round[r] += (uint64_t)now;
            s->turns_per_round[r]++;
            if (r > 0 && r < topic->record.n_rounds) {
                int before = turn_of(d, topic, r - 1, a)->correct;

                s->wrong_to_right += !before && now;
                s->right_to_wrong += before && !now;
            }
        }
}

/* ---- The record ---- */

static enum status write_topic(struct debate *d, const struct topic *topic, struct file_stream *stream,
                               struct diag *diag)
{
    buffer_clear(&d->line);
    transcript_put(&d->line, &topic->record);
    return d->line.failed ? no_memory(diag) : file_stream_record(stream, d->line.data, d->line.length, diag);
}

/* ---- Windows ---- */

static int any_open(const struct debate *d)
{
    size_t i;

    for (i = 0; i < d->n_topics; i++)
        if (d->topics[i].open)
            return 1;
    return 0;
}

static enum status hold_debates(struct debate *d, struct file_stream *out, struct diag *diag)
{
    enum status status = STATUS_OK;
    size_t i;

    while (any_open(d) && !status)
        status = hold_round(d, diag);
    for (i = 0; i < d->n_topics && !status; i++) {
        status = decide(d, &d->topics[i], diag);
        if (!status)
            status = write_topic(d, &d->topics[i], out, diag);
        if (!status)
            count_topic(d, &d->topics[i]);
    }
    return status;
}

/* Up to a window of questions; *at_end is set when there are no more. */
static enum status read_window(struct debate *d, struct question_reader *questions, uint64_t *index, int *at_end,
                               struct diag *diag)
{
    const struct question *question;
    enum status status = STATUS_OK;

    arena_free(&d->arena);
    arena_init(&d->arena, "debate", 0);
    d->topics = arena_array(&d->arena, d->options->window, sizeof *d->topics);
    d->n_topics = 0;
    if (!d->topics)
        return no_memory(diag);
    while (d->n_topics < d->options->window && !status) {
        status = question_next(questions, &question, diag);
        if (status || !question) {
            *at_end = 1;
            return status;
        }
        if ((*index)++ >= d->options->skip)
            status = take_topic(d, question, diag);
    }
    return status;
}

static void show(const struct debate *d, uint64_t done)
{
    const struct debate_summary *s = d->summary;
    char note[96] = "";

    if (!d->options->progress)
        return;
    if (s->with_gold)
        snprintf(note, sizeof note, "vote %.3f of %llu", (double)s->vote_last / (double)s->with_gold,
                 (unsigned long long)s->with_gold);
    progress_update(d->options->progress, done, 0, (double)s->tokens, note);
}

enum status debate_run(const struct debate_options *options, struct question_reader *questions, struct file_stream *out,
                       struct debate_summary *summary, struct diag *diag)
{
    struct debate d = {.options = options, .summary = summary};
    double began = progress_now();
    uint64_t index = 0;
    int at_end = 0;
    enum status status = STATUS_OK;

    memset(summary, 0, sizeof *summary);
    arena_init(&d.arena, "debate", 0);
    while (!at_end && !status) {
        status = read_window(&d, questions, &index, &at_end, diag);
        if (!status && d.n_topics)
            status = hold_debates(&d, out, diag);
        show(&d, index);
        if (!status && !at_end && options->stop && options->stop())
            status = diag_fail(diag, STATUS_STOPPED, "interrupted after %llu questions; the same command goes on",
                               (unsigned long long)index);
    }
    summary->seconds = progress_now() - began;
    buffer_free(&d.line);
    arena_free(&d.arena);
    return status;
}
