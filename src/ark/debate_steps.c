/* debate_steps.c - debates in, stepwise records out. In a sentence: take the usable turns of a debate, let the model
 * continue each from every step when asked to, judge the steps, write the records; see debate_steps.h.
 *
 * Invariant: the records of a debate are handed over in one write, and how many they are does not depend on the model:
 * so a run that goes on knows which debates are done without asking it again. */
#include "debate_steps.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "ask.h"
#include "rng.h"
#include "step_tokens.h"
#include "stepwise.h"

struct work {
    const struct debate_steps_options *options;
    struct debate_steps_summary *summary;
    struct arena *arena; /* of the record */
    struct transcript transcript;
    struct labelled_turn *turns; /* [n] */
    size_t n;
    struct prompt prompt;
    struct buffer lines;
    uint64_t done;        /* records made or skipped */
    uint64_t held, total; /* debates that the output holds in full; all, 0: not known */
};

static enum status no_memory(const struct work *w, struct diag *diag)
{
    return record_fail(w->transcript.question.record, STATUS_MEMORY, diag, "out of memory for the steps of a debate");
}

/* ---- continuations ---- */

/* A continuation: of which turn, from which step. */
struct branch {
    struct labelled_turn *turn;
    size_t step;
};

struct branches {
    struct ask *asks; /* [n] */
    struct branch *of;
    size_t n;
};

static void put_steps(struct buffer *out, const struct labelled_turn *turn, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        buffer_text(out, i ? "\n\n" : "");
        buffer_append(out, turn->steps[i].text, turn->steps[i].length);
    }
}

/* The tokens of prompt and turn, and the ends of its steps among them. */
static enum status place_turn(const struct work *w, const struct labelled_turn *turn, struct tokens *tokens,
                              struct step_end *ends, struct diag *diag)
{
    const struct prompt_style *style = w->options->style;
    struct buffer text = {0};
    size_t from, found, i;
    enum status status = prompt_tokens(&w->prompt, style, tokens, diag);

    from = tokens->count;
    put_steps(&text, turn, turn->n_steps);
    if (!status && text.failed)
        status = no_memory(w, diag);
    if (!status)
        status = tokenizer_encode(style->tokenizer, text.data, text.length, ENCODE_CONTINUE, tokens, diag);
    buffer_free(&text);
    if (status)
        return status;
    found = step_tokens(style->tokenizer, tokens->ids + from, tokens->count - from, ends, turn->n_steps);
    if (found != turn->n_steps)
        return record_fail(w->transcript.question.record, STATUS_FORMAT, diag,
                           "turn of agent %zu in round %zu: expected %zu steps, found %zu among its tokens",
                           turn->turn->agent, turn->turn->round, turn->n_steps, found);
    for (i = 0; i < found; i++)
        ends[i].end += from;
    return STATUS_OK;
}

static void add_samples(const struct work *w, struct branches *b, struct labelled_turn *turn, size_t step,
                        const int32_t *ids, size_t n)
{
    const struct debate_steps_options *o = w->options;
    uint64_t stream = rng_bits(rng_hash(w->transcript.question.id), RNG_SELECT, turn->turn->round, turn->turn->agent,
                               (uint64_t)(turn->turn - w->transcript.turns));
    size_t i;

    for (i = 0; i < o->samples; i++, b->n++) {
        struct ask ask = {.prompt = ids, .n_prompt = n, .max_new = o->max_new};

        ask.sampling.temperature = o->temperature;
        ask.sampling.top_p = 1;
        ask.sampling.seed = o->seed;
        ask.sampling.stream = rng_bits(stream, RNG_SELECT, step, i, 0);
        b->asks[b->n] = ask;
        b->of[b->n].turn = turn;
        b->of[b->n].step = step;
    }
}

/* The branches of a turn: from every step but the last, whose fraction is known. */
static enum status branch_turn(const struct work *w, struct branches *b, struct labelled_turn *turn, struct diag *diag)
{
    struct tokens tokens = {0};
    struct step_end *ends = arena_array(w->arena, turn->n_steps, sizeof *ends);
    int32_t *ids = NULL;
    enum status status = ends ? place_turn(w, turn, &tokens, ends, diag) : no_memory(w, diag);
    size_t k;

    turn->fractions = arena_array(w->arena, turn->n_steps, sizeof *turn->fractions);
    if (!status) {
        ids = arena_array(w->arena, tokens.count, sizeof *ids);
        if (ids)
            memcpy(ids, tokens.ids, tokens.count * sizeof *ids);
        if (!ids || !turn->fractions)
            status = no_memory(w, diag);
    }
    tokens_free(&tokens);
    for (k = 0; k < turn->n_steps && !status; k++) {
        turn->fractions[k] = 0;
        if (k + 1 == turn->n_steps)
            turn->fractions[k] = turn->turn->correct;
        else if (ends[k].end + 1 < w->options->context)
            add_samples(w, b, turn, k, ids, ends[k].end + 1);
        else
            turn->fractions[k] = NAN;
    }
    return status;
}

/* Is a continuation right? It is read behind the steps that it continues. */
static enum status grade_branch(struct work *w, const struct branch *of, const struct ask *ask, struct diag *diag)
{
    struct transcript_turn whole = {.finish = ask->truncated ? TURN_TRUNCATED : TURN_STOPPED};
    struct buffer text = {0};
    struct arena_mark mark = arena_mark(w->arena);
    enum status status;

    put_steps(&text, of->turn, of->step + 1);
    buffer_text(&text, "\n\n");
    buffer_append(&text, ask->text, ask->length);
    whole.text = text.data;
    whole.length = text.length;
    status = text.failed ? no_memory(w, diag) : transcript_grade(&whole, &w->transcript.question, w->arena, diag);
    arena_release(w->arena, mark);
    buffer_free(&text);
    if (!status && whole.correct == 1)
        of->turn->fractions[of->step] += 1.0 / (double)w->options->samples;
    w->summary->tokens += ask->n_tokens;
    return status;
}

static int asked_to_stop(void *context)
{
    const struct work *w = context;

    return w->options->stop && w->options->stop();
}

static enum status sample(struct work *w, struct diag *diag)
{
    struct engine_watch watch = {asked_to_stop, w};
    struct branches b = {NULL, NULL, 0};
    size_t i, most = 0;
    enum status status = STATUS_OK;

    for (i = 0; i < w->n; i++)
        most += w->turns[i].n_steps * w->options->samples;
    b.asks = arena_array(w->arena, most + 1, sizeof *b.asks);
    b.of = arena_array(w->arena, most + 1, sizeof *b.of);
    if (!b.asks || !b.of)
        return no_memory(w, diag);
    for (i = 0; i < w->n && !status; i++)
        status = branch_turn(w, &b, &w->turns[i], diag);
    if (!status)
        status = ask_run(w->options->engine, w->options->style->tokenizer, b.asks, b.n, &watch, w->arena, diag);
    for (i = 0; i < b.n && !status; i++)
        status = grade_branch(w, &b.of[i], &b.asks[i], diag);
    return status;
}

/* ---- records ---- */

static void put_labels(struct buffer *out, const struct labelled_turn *turn)
{
    static const char *const words[] = {"null", "false", "true"};
    size_t k;

    for (k = 0; k < turn->n_steps; k++)
        buffer_format(out, "%s%s", k ? "," : "", words[turn->labels[k] == STEP_UNKNOWN ? 0 : turn->labels[k] + 1]);
}

static void put_record(struct work *w, const struct labelled_turn *turn)
{
    struct buffer *out = &w->lines;
    size_t k;

    buffer_text(out, "{\"v\":1,\"id\":");
    question_put_id(out, &w->transcript.question);
    buffer_text(out, ",\"prompt\":");
    prompt_put(out, &w->prompt);
    buffer_text(out, ",\"completions\":[");
    for (k = 0; k < turn->n_steps; k++) {
        buffer_text(out, k ? "," : "");
        json_put_string(out, turn->steps[k].text, turn->steps[k].length);
    }
    buffer_text(out, "],\"labels\":[");
    put_labels(out, turn);
    buffer_format(out, "],\"correct\":%s,\"source\":[[%zu,%zu]]", turn->turn->correct ? "true" : "false",
                  turn->turn->round, turn->turn->agent);
    for (k = 0; turn->fractions && k < turn->n_steps; k++) {
        buffer_text(out, k ? "," : ",\"mc\":[");
        json_put_number(out, turn->fractions[k]);
    }
    buffer_text(out, turn->fractions ? "]}" : "}");
}

static void count_labels(struct debate_steps_summary *summary, const struct labelled_turn *turn)
{
    size_t k;

    for (k = 0; k < turn->n_steps; k++) {
        summary->right += turn->labels[k] == 1;
        summary->wrong += turn->labels[k] == 0;
        summary->unknown += turn->labels[k] == STEP_UNKNOWN;
    }
}

/* The records of a debate from number `first` on, in one write. */
static enum status write_records(struct work *w, size_t first, struct file_stream *out, struct diag *diag)
{
    size_t i;

    buffer_clear(&w->lines);
    for (i = first; i < w->n; i++) {
        buffer_text(&w->lines, i > first ? "\n" : "");
        put_record(w, &w->turns[i]);
    }
    if (w->lines.failed)
        return no_memory(w, diag);
    return first < w->n ? file_stream_record(out, w->lines.data, w->lines.length, diag) : STATUS_OK;
}

static enum status label_debate(struct work *w, struct file_stream *out, struct diag *diag)
{
    const struct debate_steps_options *o = w->options;
    size_t first = o->skip > w->done ? (size_t)(o->skip - w->done) : 0, i;
    enum status status = STATUS_OK;

    if (first >= w->n && w->n) { /* all in the output */
        w->held++;
        return STATUS_OK;
    }
    if (o->sources & STEP_LABELS_MC)
        status = sample(w, diag);
    for (i = 0; i < w->n && !status; i++) {
        status = step_labels_judge(&w->turns[i], &w->transcript, o->sources, o->threshold, w->arena, diag);
        count_labels(w->summary, &w->turns[i]);
    }
    return status ? status : write_records(w, first, out, diag);
}

static enum status read_debate(struct work *w, const struct record *record, struct file_stream *out, struct diag *diag)
{
    size_t i;
    enum status status = transcript_read(&w->transcript, record, w->arena, diag);

    if (!status)
        status = prompt_solve(&w->prompt, w->options->style, &w->transcript.question, w->arena, diag);
    if (!status)
        status = step_labels_turns(&w->turns, &w->n, &w->transcript, w->arena, diag);
    if (!status)
        status = label_debate(w, out, diag);
    if (status)
        return status;
    w->done += w->n;
    w->summary->debates++;
    w->summary->turns += w->n;
    for (i = 0; i < w->n; i++)
        w->summary->steps += w->turns[i].n_steps;
    return STATUS_OK;
}

static void show(const struct work *w)
{
    char note[64];

    if (!w->options->progress)
        return;
    snprintf(note, sizeof note, "%llu steps", (unsigned long long)w->summary->steps);
    w->options->progress->before = w->held;
    progress_update(w->options->progress, w->summary->debates, w->total, (double)w->summary->tokens, note);
}

enum status debate_steps_run(const struct debate_steps_options *options, const char *path, struct file_stream *out,
                             struct record_reader *reader, struct debate_steps_summary *summary, struct diag *diag)
{
    struct work w = {.options = options, .summary = summary, .arena = &reader->arena};
    const struct record *record;
    enum status status = record_open(reader, path, &options->records, diag);

    memset(summary, 0, sizeof *summary);
    if (!status && options->progress && options->progress->sink)
        w.total = record_count(reader);
    while (!status && !(status = record_next(reader, &record, diag)) && record) {
        status = record_skip(reader, read_debate(&w, record, out, diag), diag);
        if (status == STATUS_STOPPED || (!status && options->stop && options->stop()))
            status = diag_fail(diag, STATUS_STOPPED,
                               "interrupted after %llu debates; the same command goes on (prm: with --resume)",
                               (unsigned long long)summary->debates);
        show(&w);
    }
    if (!status && w.done < options->skip)
        status = diag_fail(diag, STATUS_FORMAT, "%s: expected at most the %llu records that %s makes, found %llu",
                           out->path, (unsigned long long)w.done, path, (unsigned long long)options->skip);
    buffer_free(&w.lines);
    return status;
}
