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
#include "evaluate.h"
#include "json.h"
#include "rng.h"
#include "transcript.h"

/* Of solutions in prompts that are too long, in bytes. */
#define LONGEST_CUT       2048
#define SHORTEST_SOLUTION 16

struct topic {                /* a question of the window, copied out of the reader's record */
    struct transcript record; /* turns [rounds][agents]; n_rounds held so far */
    uint64_t line;            /* of its record in the questions */
    int open;
    const struct transcript_turn *winner; /* of the vote; NULL: no answer */
    const struct ask *common;             /* the aggregator's answer, or NULL */
};

struct debate {
    const struct debate_options *options;
    struct debate_summary *summary;
    struct arena arena; /* of the window */
    struct topic *topics;
    size_t n_topics, round; /* round: being held by the open ones */
    const char *path;       /* of the questions */
    const struct resume *resume;
    uint64_t total; /* questions; 0: not known */
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
    topic->line = question->record->line;
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

enum task { TASK_SOLVE, TASK_REVISE, TASK_AGGREGATE };

static enum status word_prompt(struct debate *d, const struct question *question, const struct topic *topic,
                               size_t agent, enum task task, size_t most, struct prompt *prompt, struct diag *diag)
{
    const struct debate_agent *a = &d->options->agents[agent];
    struct prompt_solution solutions[DEBATE_MAX_AGENTS];
    size_t n = d->options->n_agents;

    if (task == TASK_SOLVE)
        return prompt_solve(prompt, &a->style, question, &d->arena, diag);
    last_solutions(d, topic, most, solutions);
    return task == TASK_REVISE ? prompt_revise(prompt, &a->style, question, solutions, n, agent, &d->arena, diag)
                               : prompt_aggregate(prompt, &a->style, question, solutions, n, &d->arena, diag);
}

/* What is left away next from a prompt that is too long: the beginnings of the solutions, to ever shorter ends; then
 * that of the question's context. 0: there is nothing more to leave away. */
static int shorten(struct question *question, enum task task, size_t *most, size_t excess, size_t count)
{
    if (task != TASK_SOLVE && *most != SHORTEST_SOLUTION) {
        *most = *most ? *most / 2 : LONGEST_CUT;
        return 1;
    }
    if (!question->context)
        return 0;
    question->context = prompt_cut(question->context, excess, count);
    return 1;
}

/* Token ids of an agent's prompt, such that max_new more fit into the context. */
static enum status build_prompt(struct debate *d, const struct topic *topic, size_t agent, enum task task,
                                struct tokens *tokens, struct diag *diag)
{
    const struct debate_options *o = d->options;
    const struct debate_agent *a = &o->agents[agent];
    struct question question = topic->record.question;
    struct prompt prompt;
    size_t most = 0, room = a->speaker->context > o->max_new ? a->speaker->context - o->max_new : 1;
    int cut = 0;
    enum status status;

    for (;;) {
        struct arena_mark mark = arena_mark(&d->arena);

        tokens->count = 0;
        status = word_prompt(d, &question, topic, agent, task, most, &prompt, diag);
        if (!status)
            status = prompt_tokens(&prompt, &a->style, tokens, diag);
        arena_release(&d->arena, mark);
        if (status || tokens->count <= room)
            break;
        if (!shorten(&question, task, &most, tokens->count - room, tokens->count))
            return diag_fail(diag, STATUS_RANGE,
                             "%s:%llu: question %.100s: its prompt takes %zu tokens, a context of %zu leaves %zu "
                             "beside %zu new ones",
                             d->path, (unsigned long long)topic->line, question.id, tokens->count, a->speaker->context,
                             room, o->max_new);
        cut = 1;
    }
    d->summary->shortened += (uint64_t)cut;
    return status;
}

/* ---- A round ---- */

static enum status prepare_ask(struct debate *d, const struct topic *topic, size_t agent, enum task task,
                               struct ask *ask, struct diag *diag)
{
    const struct debate_options *o = d->options;
    struct tokens tokens = {0};
    int32_t *ids;
    enum status status = build_prompt(d, topic, agent, task, &tokens, diag);

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
    ask->sampling.temperature = task == TASK_AGGREGATE ? 0 : o->agents[agent].temperature;
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
    return transcript_grade(turn, &topic->record.question, &d->arena, diag);
}

static uint64_t on_disk(const struct debate *d)
{
    return d->resume->n + d->summary->questions;
}

/* decoded: tokens of the prompts in work, which the summary does not have yet. */
static void show(const struct debate *d, uint64_t decoded)
{
    const struct debate_summary *s = d->summary;
    char note[96] = "";

    if (!d->options->progress)
        return;
    if (s->with_gold)
        snprintf(note, sizeof note, "vote %.3f of %llu", (double)s->vote_last / (double)s->with_gold,
                 (unsigned long long)s->with_gold);
    d->options->progress->before = d->resume->n;
    progress_update(d->options->progress, on_disk(d), d->total, (double)(s->decoded + decoded), note);
}

/* Prompts in work. */
struct running {
    const struct debate *debate;
    const struct engine *engine;
    uint64_t decoded; /* by the engine before them */
};

static int watch_step(void *context)
{
    const struct running *r = context;
    int (*stop)(void) = r->debate->options->stop;

    show(r->debate, engine_statistics(r->engine).decoded_tokens - r->decoded);
    return stop && stop();
}

/* Runs prompts, and adds what they cost to a round's sums. */
static enum status run_asks(struct debate *d, const struct debate_speaker *speaker, const struct tokenizer *tokenizer,
                            struct ask *asks, size_t n, size_t round, struct diag *diag)
{
    struct engine_statistics before = engine_statistics(speaker->engine), after;
    struct running running = {d, speaker->engine, before.decoded_tokens};
    struct engine_watch watch = {watch_step, &running};
    enum status status = ask_run(speaker->engine, tokenizer, asks, n, &watch, &d->arena, diag);

    after = engine_statistics(speaker->engine);
    d->summary->prompt_tokens[round] += after.prompt_tokens - before.prompt_tokens;
    d->summary->computed[round] += after.computed_tokens - before.computed_tokens;
    d->summary->decoded += after.decoded_tokens - before.decoded_tokens;
    return status;
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
                status = prepare_ask(d, &d->topics[i], a, d->round ? TASK_REVISE : TASK_SOLVE, &asks[n++], diag);
    if (!status)
        status = run_asks(d, speaker, tokenizer, asks, n, d->round, diag);
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
    d->round++;
    return status;
}

/* ---- The vote ---- */

/* One more call of agent 0 a question, greedy, which states the common answer. */
static enum status aggregate(struct debate *d, struct diag *diag)
{
    const struct debate_agent *agent = &d->options->agents[0];
    struct ask *asks = arena_array(&d->arena, d->n_topics, sizeof *asks);
    enum status status = asks ? STATUS_OK : no_memory(diag);
    size_t i;

    for (i = 0; i < d->n_topics && !status; i++)
        status = prepare_ask(d, &d->topics[i], 0, TASK_AGGREGATE, &asks[i], diag);
    if (!status)
        status = run_asks(d, agent->speaker, agent->style.tokenizer, asks, d->n_topics, DEBATE_MAX_ROUNDS, diag);
    for (i = 0; i < d->n_topics && !status; i++) {
        struct topic *topic = &d->topics[i];

        topic->common = &asks[i];
        status = answer_extract(&topic->record.vote, &topic->record.question.key, asks[i].text, asks[i].length,
                                asks[i].truncated, &d->arena, diag);
    }
    return status;
}

static enum status decide(struct debate *d, struct diag *diag)
{
    enum status status = STATUS_OK;
    size_t i;

    for (i = 0; i < d->n_topics; i++) {
        struct transcript *t = &d->topics[i].record;

        d->topics[i].winner = transcript_vote(t, t->n_rounds - 1, &t->votes);
        t->vote = d->topics[i].winner ? d->topics[i].winner->answer : NULL;
    }
    if (d->options->aggregate_llm)
        status = aggregate(d, diag);
    for (i = 0; i < d->n_topics && !status; i++) {
        struct transcript *t = &d->topics[i].record;

        t->vote_correct = t->question.has_gold ? answer_correct(&t->question.key, t->vote) : TRANSCRIPT_UNKNOWN;
    }
    return status;
}

/* ---- The record ---- */

static int same_agent(const struct debate_agent *a, const struct debate_agent *b)
{
    return a->speaker == b->speaker && a->lora == b->lora && a->style.system == b->style.system &&
           !(a->temperature < b->temperature) && !(a->temperature > b->temperature);
}

/* Who spoke, when the agents differ. */
static void put_speakers(struct debate *d)
{
    const struct debate_options *o = d->options;
    struct buffer *out = &d->line;
    int differ = 0;
    size_t a;

    for (a = 1; a < o->n_agents; a++)
        differ |= !same_agent(&o->agents[a], &o->agents[0]);
    for (a = 0; differ && a < o->n_agents; a++) {
        const struct debate_agent *agent = &o->agents[a];

        buffer_text(out, a ? ",{\"agent\":" : ",\"speakers\":[{\"agent\":");
        buffer_format(out, "%zu,\"temperature\":%g", a, (double)agent->temperature);
        json_put_member(out, "model", agent->model_name);
        json_put_member(out, "lora", agent->lora);
        json_put_member(out, "persona", agent->style.system);
        buffer_text(out, "}");
    }
    buffer_text(out, differ ? "]" : "");
}

/* The common answer as an evaluation's output: the aggregator's text, else that of the vote's winner. */
static enum status put_evaluation(struct debate *d, const struct topic *topic, struct diag *diag)
{
    const struct transcript *t = &topic->record;
    const struct ask *common = topic->common;
    const struct transcript_turn *turn = topic->winner ? topic->winner : &t->turns[0];
    const char *text = common ? common->text : turn->text;
    size_t length = common ? common->length : turn->length, i;
    int cut = common ? common->truncated : turn->finish == TURN_TRUNCATED;
    uint64_t tokens = common ? common->n_tokens : 0;
    struct answer_grade grade;
    enum status status = answer_grade(&grade, &t->question.key, text, length, cut, &d->arena, diag);

    for (i = 0; i < t->n_turns; i++)
        tokens += (uint64_t)t->turns[i].tokens;
    buffer_text(&d->line, ",\"output\":");
    json_put_string(&d->line, text, length);
    json_put_member(&d->line, "prediction", grade.prediction);
    evaluate_put_grade(&d->line, &t->question, &grade);
    buffer_format(&d->line, ",\"finish\":\"%s\",\"tokens\":%llu", cut ? "length" : "stop", (unsigned long long)tokens);
    return status;
}

static enum status write_topic(struct debate *d, const struct topic *topic, struct file_stream *stream,
                               struct diag *diag)
{
    enum status status = STATUS_OK;

    buffer_clear(&d->line);
    transcript_put(&d->line, &topic->record);
    if (!d->line.failed)
        d->line.length--; /* the closing brace makes room for further members */
    put_speakers(d);
    if (d->options->evaluation)
        status = put_evaluation(d, topic, diag);
    buffer_text(&d->line, "}");
    if (status || d->line.failed)
        return status ? status : no_memory(diag);
    return file_stream_record(stream, d->line.data, d->line.length, diag);
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

    d->round = 0;
    while (any_open(d) && !status)
        status = hold_round(d, diag);
    if (!status)
        status = decide(d, diag);
    for (i = 0; i < d->n_topics && !status; i++) {
        status = write_topic(d, &d->topics[i], out, diag);
        if (!status)
            debate_count(d->summary, &d->topics[i].record);
    }
    return status;
}

/* Does the newest topic's question fit every agent's context? */
static enum status check_topic(struct debate *d, struct diag *diag)
{
    uint64_t shortened = d->summary->shortened;
    struct tokens tokens = {0};
    enum status status = STATUS_OK;
    size_t a;

    for (a = 0; a < d->options->n_agents && !status; a++)
        status = build_prompt(d, &d->topics[d->n_topics - 1], a, TASK_SOLVE, &tokens, diag);
    tokens_free(&tokens);
    d->summary->shortened = shortened;
    return status;
}

/* A topic of the question, unless `resume` holds it. One that does not fit is a bad record. */
static enum status add_question(struct debate *d, struct question_reader *questions, const struct question *question,
                                struct resume *resume, struct diag *diag)
{
    struct arena_mark mark = arena_mark(&d->arena);
    size_t before = d->n_topics;
    int held = 0, bad;
    enum status status = take_topic(d, question, diag);

    if (!status)
        status = check_topic(d, diag);
    bad = status != STATUS_OK;
    status = bad ? record_skip(&questions->records, status, diag) : resume_next(resume, question->id, &held, diag);
    if (status || bad || held) {
        d->n_topics = before;
        arena_release(&d->arena, mark);
    }
    return status;
}

/* Up to a window of questions that `resume` does not hold; *at_end is set when there are no more. */
static enum status read_window(struct debate *d, struct question_reader *questions, struct resume *resume, int *at_end,
                               struct diag *diag)
{
    const struct question *question;
    enum status status = STATUS_OK;

    arena_free(&d->arena);
    arena_init(&d->arena, "debate", 0);
    d->path = questions->records.stream.path;
    d->topics = arena_array(&d->arena, d->options->window, sizeof *d->topics);
    d->n_topics = 0;
    if (!d->topics)
        return no_memory(diag);
    while (d->n_topics < d->options->window && !status) {
        status = question_next(questions, &question, diag);
        if (status || !question) {
            *at_end = 1;
            return status ? status : resume_end(resume, diag);
        }
        status = add_question(d, questions, question, resume, diag);
    }
    return status;
}

enum status debate_run(const struct debate_options *options, struct question_reader *questions, struct resume *resume,
                       struct file_stream *out, struct debate_summary *summary, struct diag *diag)
{
    struct debate d = {.options = options, .summary = summary, .resume = resume};
    double began = progress_now();
    int at_end = 0;
    enum status status = STATUS_OK;

    memset(summary, 0, sizeof *summary);
    resume->model = options->model_name;
    if (options->progress && options->progress->sink)
        d.total = question_count(questions);
    arena_init(&d.arena, "debate", 0);
    while (!at_end && !status) {
        status = read_window(&d, questions, resume, &at_end, diag);
        if (!status && d.n_topics)
            status = hold_debates(&d, out, diag);
        show(&d, 0);
        if (status == STATUS_STOPPED || (!status && !at_end && options->stop && options->stop()))
            status = diag_fail(diag, STATUS_STOPPED, "interrupted after %llu questions; the same command goes on",
                               (unsigned long long)on_disk(&d));
    }
    summary->seconds = progress_now() - began;
    buffer_free(&d.line);
    arena_free(&d.arena);
    return status;
}
