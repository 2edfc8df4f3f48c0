/* evaluate.c - the stream of questions through the engine.
 *
 *   ring   | q7: all samples done | q8: running | q9: done | q10: waiting |
 *            head: written as soon as it is done            tail: filled as soon as there is room
 *
 * Invariants: records are written in the questions' order; a record depends on its question, the options and the model
 * alone, so a run that was stopped goes on to the same bytes.
 * Leaves out: means, intervals and tests (outcomes.c). */
#include "evaluate.h"

#include <stdio.h>
#include <string.h>
#include "ask.h"
#include "generate.h"
#include "json.h"
#include "rng.h"
#include "transcript.h"
#include "vote.h"

struct work { /* a question in flight */
    struct question question;
    struct arena arena;
    struct ask *asks;       /* [samples] */
    struct asking *askings; /* [samples] */
};

struct evaluate {
    const struct evaluate_options *options;
    struct evaluate_summary *summary;
    struct question_reader *questions;
    struct resume *resume;
    struct file_stream *out;
    struct work *ring; /* [in_flight] */
    size_t head, count;
    int at_end;
    uint64_t total; /* questions; 0: not known */
    struct tokens eos;
    struct arena arena;
    struct buffer line;
};

static enum status no_memory(struct diag *diag)
{
    return diag_fail(diag, STATUS_MEMORY, "eval: out of memory");
}

/* ---- In ---- */

static enum status begin_work(struct evaluate *e, struct work *w, const struct tokens *prompt, struct diag *diag)
{
    const struct evaluate_options *o = e->options;
    int32_t *ids = arena_array(&w->arena, prompt->count, sizeof *ids);
    enum status status = STATUS_OK;

    w->asks = arena_array(&w->arena, o->samples, sizeof *w->asks);
    w->askings = arena_array(&w->arena, o->samples, sizeof *w->askings);
    if (!ids || !w->asks || !w->askings)
        return no_memory(diag);
    memcpy(ids, prompt->ids, prompt->count * sizeof *ids);
    for (size_t i = 0; i < o->samples && !status; i++) {
        struct ask ask = {.prompt = ids, .n_prompt = prompt->count, .max_new = o->max_new, .sampling = o->sampling};
        struct asking asking = {&w->asks[i], o->style.tokenizer, &w->arena, 0, 0};

        ask.sampling.stream = rng_bits(rng_hash(w->question.id), RNG_SELECT, 0, i, 0);
        ask.adapters = o->adapters;
        ask.n_adapters = o->n_adapters;
        w->asks[i] = ask;
        w->askings[i] = asking;
        status = ask_begin(&w->askings[i], o->engine, &e->eos, diag);
    }
    return status;
}

/* The question behind the tail of the ring, unless the output holds its record. A question that does not fit is a bad
 * record. */
static enum status take_question(struct evaluate *e, const struct question *question, struct diag *diag)
{
    const struct evaluate_options *o = e->options;
    struct work *w = &e->ring[(e->head + e->count) % o->in_flight];
    size_t room = o->context > o->max_new ? o->context - o->max_new : 1;
    struct tokens prompt = {0};
    struct prompt text;
    int held = 0, cut = 0;
    enum status status;

    arena_free(&w->arena);
    arena_init(&w->arena, "question", 0);
    status = prompt_solve_tokens(&text, &o->style, question, room, &prompt, &cut, &w->arena, diag);
    if (status) {
        status = record_at(question->record, status, diag);
        tokens_free(&prompt);
        return record_skip(&e->questions->records, status, diag);
    }
    status = resume_next(e->resume, question->id, &held, diag);
    if (!status && !held) {
        status = question_copy(&w->question, question, &w->arena, diag);
        if (!status)
            status = begin_work(e, w, &prompt, diag);
        e->count += !status;
        e->summary->shortened += (uint64_t)cut;
    }
    tokens_free(&prompt);
    return status;
}

static enum status fill(struct evaluate *e, struct diag *diag)
{
    const struct question *question;
    enum status status = STATUS_OK;

    while (!e->at_end && e->count < e->options->in_flight && !status) {
        status = question_next(e->questions, &question, diag);
        if (status)
            break;
        e->at_end = question == NULL;
        status = question ? take_question(e, question, diag) : resume_end(e->resume, diag);
    }
    return status;
}

/* ---- Out ---- */

static const char *truth(const struct question *q, int correct)
{
    return !q->has_gold ? "null" : correct ? "true" : "false";
}

static void put_question(struct buffer *out, const struct evaluate_options *o, const struct question *q)
{
    buffer_text(out, "{\"v\":1,\"id\":");
    question_put_id(out, q);
    json_put_member(out, "question", q->text);
    if (q->context)
        json_put_member(out, "context", q->context);
    json_put_member(out, "kind", answer_kind_name(q->key.kind));
    json_put_member(out, "model", o->model_name);
}

void evaluate_put_grade(struct buffer *out, const struct question *q, const struct answer_grade *grade)
{
    buffer_format(out, ",\"correct\":%s", truth(q, grade->correct));
    if (q->has_gold && q->key.kind == ANSWER_SPAN)
        buffer_format(out, ",\"em\":%g,\"f1\":%.9g", grade->em, grade->f1);
    if (q->has_gold && q->key.kind == ANSWER_SUMMARY)
        buffer_format(out, ",\"rouge1\":%.9g,\"rouge2\":%.9g,\"rougeL\":%.9g", grade->rouge1, grade->rouge2,
                      grade->rougeL);
}

static void put_cost(struct buffer *out, const struct ask *ask, size_t tokens)
{
    buffer_format(out, ",\"finish\":\"%s\",\"tokens\":%zu,\"logprob\":%.6g", ask->truncated ? "length" : "stop", tokens,
                  ask->logprob);
}

void evaluate_put_process(struct buffer *out, const struct steps *s)
{
    buffer_format(out, ",\"process\":{\"steps\":%zu,\"equations\":%zu,\"true\":%zu,\"grounded\":%zu", s->n,
                  s->n_equations, s->n_true, s->n_grounded);
    if (s->first_error < s->n)
        buffer_format(out, ",\"first_error\":%zu", s->first_error);
    else
        buffer_text(out, ",\"first_error\":null");
    buffer_format(out, ",\"wrong\":%zu,\"corrected\":%zu,\"checks\":%zu,\"repeats\":%zu}", s->n_wrong, s->n_corrected,
                  s->n_checks, s->n_repeats);
}

static enum status put_process(struct evaluate *e, const struct work *w, const struct ask *ask, struct arena *arena,
                               struct diag *diag)
{
    struct buffer question = {0};
    struct steps steps;
    enum status status;

    question_put(&question, &w->question);
    status = question.failed
                 ? no_memory(diag)
                 : steps_read(&steps, question.data ? question.data : "", ask->text, ask->length, arena, diag);
    if (!status)
        evaluate_put_process(&e->line, &steps);
    buffer_free(&question);
    return status;
}

static void put_samples(struct buffer *out, const struct work *w, const struct ballot *ballots, size_t n, size_t votes)
{
    buffer_format(out, ",\"vote\":{\"count\":%zu},\"samples\":[", votes);
    for (size_t i = 0; i < n; i++) {
        const struct ask *ask = &w->asks[i];

        buffer_text(out, i ? ",{\"text\":" : "{\"text\":");
        json_put_string(out, ask->text, ask->length);
        json_put_member(out, "prediction", ballots[i].answer);
        buffer_format(out, ",\"correct\":%s", truth(&w->question, answer_correct(&w->question.key, ballots[i].answer)));
        put_cost(out, ask, ask->n_tokens);
        buffer_text(out, "}");
    }
    buffer_text(out, "]");
}

/* What the samples' answers are, and which of them wins. Without any answer it is the first. */
static enum status count_votes(const struct evaluate *e, const struct work *w, struct ballot *ballots, size_t *winner,
                               size_t *votes, struct arena *arena, struct diag *diag)
{
    enum status status = STATUS_OK;
    size_t i, n = e->options->samples;

    for (i = 0; i < n && !status; i++) {
        const struct ask *ask = &w->asks[i];

        status =
            answer_extract(&ballots[i].answer, &w->question.key, ask->text, ask->length, ask->truncated, arena, diag);
        ballots[i].logprob = ask->logprob;
    }
    *winner = status ? n : vote_majority(&w->question.key, ballots, n, votes);
    *winner = *winner < n ? *winner : 0;
    return status;
}

static enum status write_work(struct evaluate *e, struct work *w, struct diag *diag)
{
    const struct evaluate_options *o = e->options;
    const struct question *q = &w->question;
    struct ballot *ballots = arena_array(&w->arena, o->samples, sizeof *ballots);
    struct buffer *out = &e->line;
    struct answer_grade grade;
    const struct ask *ask;
    size_t winner = 0, votes = 0, tokens = 0, i;
    enum status status = ballots ? count_votes(e, w, ballots, &winner, &votes, &w->arena, diag) : no_memory(diag);

    if (status)
        return status;
    ask = &w->asks[winner];
    status = answer_grade(&grade, &q->key, ask->text, ask->length, ask->truncated, &w->arena, diag);
    if (status)
        return status;
    for (i = 0; i < o->samples; i++)
        tokens += w->asks[i].n_tokens;
    buffer_clear(out);
    put_question(out, o, q);
    buffer_text(out, ",\"output\":");
    json_put_string(out, ask->text, ask->length);
    json_put_member(out, "prediction", grade.prediction);
    buffer_byte(out, ',');
    transcript_put_gold(out, &q->key);
    evaluate_put_grade(out, q, &grade);
    put_cost(out, ask, tokens);
    if (o->samples > 1)
        put_samples(out, w, ballots, o->samples, votes);
    if (o->process)
        status = put_process(e, w, ask, &w->arena, diag);
    buffer_text(out, "}");
    if (!status)
        status = out->failed ? no_memory(diag) : file_stream_record(e->out, out->data, out->length, diag);
    e->summary->questions++;
    e->summary->tokens += tokens;
    e->summary->with_gold += q->has_gold != 0;
    e->summary->correct += q->has_gold && grade.correct;
    return status;
}

/* Writes what is done at the head of the ring. */
static enum status drain(struct evaluate *e, struct diag *diag)
{
    const struct evaluate_options *o = e->options;
    enum status status = STATUS_OK;

    while (e->count && !status) {
        struct work *w = &e->ring[e->head];

        for (size_t i = 0; i < o->samples && !status; i++) {
            if (!w->askings[i].done)
                return STATUS_OK;
            if (w->askings[i].failed)
                status = no_memory(diag);
        }
        if (!status)
            status = write_work(e, w, diag);
        e->head = (e->head + 1) % o->in_flight;
        e->count--;
    }
    return status;
}

/* ---- The run ---- */

static void show(const struct evaluate *e)
{
    const struct evaluate_summary *s = e->summary;
    char note[96] = "";

    if (!e->options->progress)
        return;
    if (s->with_gold)
        snprintf(note, sizeof note, "correct %.3f of %llu", (double)s->correct / (double)s->with_gold,
                 (unsigned long long)s->with_gold);
    e->options->progress->before = e->resume->n;
    progress_update(e->options->progress, e->resume->n + s->questions, e->total, (double)s->tokens, note);
}

static enum status run(struct evaluate *e, struct diag *diag)
{
    const struct evaluate_options *o = e->options;
    enum status status = generate_eos(o->style.tokenizer, &e->eos, diag);

    while (!status) {
        status = fill(e, diag);
        if (!status && e->count == 0)
            break;
        if (!status)
            status = engine_step(o->engine, diag);
        if (!status)
            status = drain(e, diag);
        show(e);
        if (!status && o->stop && o->stop())
            status = diag_fail(diag, STATUS_STOPPED, "interrupted after %llu questions; the same command goes on",
                               (unsigned long long)(e->resume->n + e->summary->questions));
    }
    return status;
}

enum status evaluate_run(const struct evaluate_options *options, struct question_reader *questions,
                         struct resume *resume, struct file_stream *out, struct evaluate_summary *summary,
                         struct diag *diag)
{
    struct evaluate e = {.options = options, .summary = summary, .questions = questions, .resume = resume, .out = out};
    double began = progress_now();
    enum status status;
    size_t i;

    memset(summary, 0, sizeof *summary);
    resume->model = options->model_name;
    if (options->progress && options->progress->sink)
        e.total = question_count(questions);
    arena_init(&e.arena, "eval", 0);
    e.ring = arena_array(&e.arena, options->in_flight, sizeof *e.ring);
    for (i = 0; e.ring && i < options->in_flight; i++)
        arena_init(&e.ring[i].arena, "question", 0);
    status = e.ring ? run(&e, diag) : no_memory(diag);
    for (i = 0; e.ring && i < options->in_flight; i++)
        arena_free(&e.ring[i].arena);
    summary->seconds = progress_now() - began;
    tokens_free(&e.eos);
    buffer_free(&e.line);
    arena_free(&e.arena);
    return status;
}
