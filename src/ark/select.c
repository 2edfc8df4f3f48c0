/* select.c - debates in, traces out. In a sentence: read a debate, drop it when too few agents are right, choose among
 * its right turns, write each choice as a training record. Where to read next: select_trace.c.
 *
 * Invariant: what is written for a debate depends on its record and the options, and for spliced traces on the sums of
 * all debates before it; so a shard with spliced traces works through those before it without writing. */
#include "select.h"

#include <stdio.h>
#include <string.h>
#include "select_parts.h"

const char *const select_reasons[SELECT_REASONS] = {
    "wrong", "truncated", "leans_on_others", "duplicate", "bare", "similar", "surplus", "unused", "of_dropped_debates"};

struct selecting {
    const struct select_options *options;
    struct record_reader *reader;
    struct file_rewrite *out;
    struct select_summary *summary;
    struct transcript transcript;
    struct prompt prompt;
    struct buffer line, text;
    int writing;                /* in the shard */
    struct record_reader match; /* options->match */
    uint64_t budget;            /* of this debate */
};

int select_strategy_named(enum select_strategy *strategy, const char *name)
{
    static const char *const names[] = {"rsft", "da", "answer", "sampled"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) {
            *strategy = (enum select_strategy)i;
            return 1;
        }
    return 0;
}

/* ---- writing ---- */

struct trace {
    const char *kind;
    const char *text;
    size_t length, zero; /* bytes in front without loss */
    double weight;
    const struct transcript_turn *sources[2];
};

static void put_segment(struct buffer *out, const char *text, size_t length, double weight)
{
    buffer_text(out, "{\"text\":");
    json_put_string(out, text, length);
    buffer_text(out, ",\"weight\":");
    json_put_number(out, weight);
    buffer_byte(out, '}');
}

/* The parts with and without loss; of a plain text prompt, that too (example.h). */
static void put_segments(struct buffer *out, const struct prompt *prompt, const struct trace *trace)
{
    buffer_text(out, ",\"segments\":[");
    if (!prompt->is_chat) {
        put_segment(out, prompt->text, prompt->length, 0);
        buffer_byte(out, ',');
    }
    put_segment(out, trace->text, trace->zero, 0);
    buffer_byte(out, ',');
    put_segment(out, trace->text + trace->zero, trace->length - trace->zero, trace->weight);
    buffer_byte(out, ']');
}

static enum status write_trace(struct selecting *s, const struct trace *trace, struct diag *diag)
{
    struct buffer *out = &s->line;
    size_t i;

    s->summary->bytes += trace->length;
    if (!s->writing)
        return STATUS_OK;
    buffer_clear(out);
    buffer_text(out, "{\"v\":1,\"id\":");
    question_put_id(out, &s->transcript.question);
    buffer_format(out, ",\"kind\":\"%s\",\"prompt\":", trace->kind);
    prompt_put(out, &s->prompt);
    buffer_text(out, ",\"completion\":");
    prompt_put_completion(out, &s->prompt, trace->text, trace->length);
    buffer_text(out, ",\"weight\":");
    json_put_number(out, trace->weight);
    if (trace->zero)
        put_segments(out, &s->prompt, trace);
    buffer_text(out, ",\"source\":[");
    for (i = 0; i < 2 && trace->sources[i]; i++)
        buffer_format(out, "%s[%zu,%zu]", i ? "," : "", trace->sources[i]->round, trace->sources[i]->agent);
    buffer_text(out, "]}");
    if (out->failed)
        return diag_fail(diag, STATUS_MEMORY, "out of memory for a trace");
    return file_rewrite_record(s->out, out->data, out->length, diag);
}

/* ---- what is chosen ---- */

static size_t correct_agents(const struct transcript *t, int first_round_only)
{
    signed char right[TRANSCRIPT_MAX_AGENTS] = {0};
    size_t i, n = 0;

    for (i = 0; i < t->n_turns; i++)
        if (!first_round_only || t->turns[i].round == 0)
            right[t->turns[i].agent] = t->turns[i].correct == 1;
    for (i = 0; i < t->n_agents; i++)
        n += (size_t)right[i];
    return n;
}

/* May another spliced trace be taken? */
static int within_bound(const struct selecting *s)
{
    return (double)s->summary->spliced_bytes <= s->options->max_spliced * (double)s->summary->bytes;
}

static enum status find_splice(struct selecting *s, struct select_splice *splice, struct diag *diag)
{
    enum status status = STATUS_OK;

    memset(splice, 0, sizeof *splice);
    if (s->options->spliced)
        status = select_splice(splice, &s->transcript, s->summary, &s->reader->arena, diag);
    if (splice->text && !within_bound(s)) {
        s->summary->splice_bound++;
        splice->text = NULL;
    }
    return status;
}

static enum status write_chosen(struct selecting *s, const struct select_candidates *c,
                                const struct select_splice *splice, struct diag *diag)
{
    struct trace trace = {.weight = 1.0 / (double)(c->n_taken + (splice->text != NULL))};
    enum status status = STATUS_OK;
    size_t i;

    for (i = 0; i < c->n_taken && !status; i++) {
        const struct select_candidate *x = &c->items[c->order[i]];
        int sampled = s->options->strategy == SELECT_SAMPLED;

        trace.kind = sampled ? "sampled" : x->corrective ? "corrective" : "consensus";
        trace.text = x->text;
        trace.length = x->length;
        trace.sources[0] = x->turn;
        s->summary->sampled += (uint64_t)sampled;
        s->summary->corrective += !sampled && x->corrective;
        s->summary->consensus += !sampled && !x->corrective;
        status = write_trace(s, &trace, diag);
    }
    if (status || !splice->text)
        return status;
    trace.kind = "spliced";
    trace.text = splice->text;
    trace.length = splice->length;
    trace.zero = splice->zero;
    trace.sources[0] = splice->wrong;
    trace.sources[1] = splice->right;
    s->summary->spliced++;
    s->summary->spliced_bytes += splice->length;
    return write_trace(s, &trace, diag);
}

static enum status choose_turns(struct selecting *s, struct diag *diag)
{
    const struct select_options *o = s->options;
    struct select_candidates candidates;
    struct select_splice splice;
    enum status status =
        select_candidates(&candidates, &s->transcript, o, s->budget, s->summary, &s->reader->arena, diag);

    if (status)
        return status;
    select_diverse(&candidates, o->strategy == SELECT_RSFT ? 1 : o->k, o->distance, s->summary);
    status = find_splice(s, &splice, diag);
    if (status)
        return status;
    if (candidates.n_taken == 0 && !splice.text) {
        s->summary->no_candidate++;
        return STATUS_OK;
    }
    s->summary->kept++;
    return write_chosen(s, &candidates, &splice, diag);
}

static enum status choose_answer(struct selecting *s, struct diag *diag)
{
    const struct answer_key *key = &s->transcript.question.key;
    struct trace trace = {.kind = "answer", .weight = 1};

    s->summary->left_out[SELECT_UNUSED] += s->transcript.n_turns;
    if (key->n_golds == 0) {
        s->summary->no_candidate++;
        return STATUS_OK;
    }
    buffer_clear(&s->text);
    prompt_put_answer(&s->text, key->kind, key->golds[0]);
    if (s->text.failed)
        return diag_fail(diag, STATUS_MEMORY, "out of memory for a trace");
    trace.text = s->text.data;
    trace.length = s->text.length;
    s->summary->answers++;
    s->summary->kept++;
    return write_trace(s, &trace, diag);
}

/* ---- budgets ---- */

/* Tokens that the matching debate generated; debates on other questions are passed over. */
static enum status match_budget(struct selecting *s, const struct record *record, struct diag *diag)
{
    struct transcript other;
    const struct record *found;
    enum status status;
    size_t i;

    do
        status = record_next(&s->match, &found, diag);
    while (!status && found && strcmp(found->id, record->id) != 0);
    if (!status && !found)
        return diag_fail(diag, STATUS_RANGE, "%s: expected a debate with the id %.100s, in the order of %.100s:%llu",
                         s->options->match, record->id, record->path, (unsigned long long)record->line);
    if (!status)
        status = transcript_read(&other, found, &s->match.arena, diag);
    s->budget = 0;
    for (i = 0; !status && i < other.n_turns; i++) {
        if (other.turns[i].tokens < 0)
            return record_fail(found, STATUS_FORMAT, diag, "turn %zu: expected its count of \"tokens\", found null",
                               i + 1);
        s->budget += (uint64_t)other.turns[i].tokens;
    }
    return status;
}

/* ---- the file ---- */

static void count_debate(struct select_summary *summary, const struct transcript *t)
{
    size_t i;

    summary->debates++;
    summary->turns += t->n_turns;
    for (i = 0; i < t->n_turns; i++)
        if (t->turns[i].tokens > 0) {
            summary->debate_tokens += (uint64_t)t->turns[i].tokens;
            summary->first_tokens += t->turns[i].round == 0 ? (uint64_t)t->turns[i].tokens : 0;
        }
}

/* Correctness must be known: by a gold, or by the labels of whoever held the debate. */
static enum status check_known(const struct selecting *s, const struct record *record, struct diag *diag)
{
    size_t i;

    if (s->transcript.question.has_gold)
        return STATUS_OK;
    for (i = 0; i < s->transcript.n_turns; i++)
        if (s->transcript.turns[i].correct != TRANSCRIPT_UNKNOWN)
            return STATUS_OK;
    return record_fail(record, STATUS_FORMAT, diag, "\"gold\": expected an answer to tell right turns by, found none");
}

static enum status select_debate(struct selecting *s, const struct record *record, struct diag *diag)
{
    enum status status = transcript_read(&s->transcript, record, &s->reader->arena, diag);

    if (!status)
        status = check_known(s, record, diag);
    if (!status && s->options->match)
        status = match_budget(s, record, diag);
    if (!status)
        status = prompt_solve(&s->prompt, s->options->style, &s->transcript.question, &s->reader->arena, diag);
    if (status)
        return status;
    count_debate(s->summary, &s->transcript);
    if (correct_agents(&s->transcript, s->options->strategy == SELECT_SAMPLED) < s->options->min_correct) {
        s->summary->few_correct++;
        s->summary->left_out[SELECT_DROPPED] += s->transcript.n_turns;
        return STATUS_OK;
    }
    return s->options->strategy == SELECT_ANSWER ? choose_answer(s, diag) : choose_turns(s, diag);
}

/* In bytes of the shard: counting the debates first would take as long as selecting from them. */
static void show(const struct selecting *s)
{
    const struct record_reader *r = s->reader;
    uint64_t read = r->stream.next_offset - r->begin, end = r->end < r->stream.size ? r->end : r->stream.size;
    char note[96];

    if (!s->options->progress)
        return;
    snprintf(note, sizeof note, "%llu debates, %llu with traces", (unsigned long long)s->summary->debates,
             (unsigned long long)s->summary->kept);
    progress_update(s->options->progress, read, end > r->begin ? end - r->begin : 0, (double)read / 1e6, note);
}

/* The sums of the debates in front of the shard matter for the bound alone; everything else counts the shard. */
static void enter_shard(struct selecting *s)
{
    struct select_summary own = {.bytes = s->summary->bytes, .spliced_bytes = s->summary->spliced_bytes};

    *s->summary = own;
    s->writing = 1;
}

static enum status work(struct selecting *s, uint64_t begin, struct diag *diag)
{
    const struct select_options *o = s->options;
    const struct record *record;
    enum status status;

    for (;;) {
        status = record_next(s->reader, &record, diag);
        if (status || !record)
            return status;
        if (!s->writing && s->reader->stream.offset >= begin)
            enter_shard(s);
        status = record_skip(s->reader, select_debate(s, record, diag), diag);
        if (!status && o->stop && o->stop())
            status = diag_fail(diag, STATUS_STOPPED, "interrupted after %llu debates; the same command goes on",
                               (unsigned long long)s->summary->debates);
        if (status)
            return status;
        show(s);
    }
}

enum status select_run(const struct select_options *options, const char *path, struct file_rewrite *out,
                       struct record_reader *reader, struct select_summary *summary, struct diag *diag)
{
    struct selecting s = {.options = options, .reader = reader, .out = out, .summary = summary};
    struct record_options whole = {0, 0, 0, 0};
    uint64_t begin = 0;
    enum status status = record_open(reader, path, &options->records, diag);

    memset(summary, 0, sizeof *summary);
    if (options->spliced && options->strategy != SELECT_ANSWER) {
        begin = reader->begin;
        reader->begin = 0;
    }
    s.writing = begin == 0;
    s.budget = options->budget;
    s.match.stream.fd = -1;
    if (!status && options->match)
        status = record_open(&s.match, options->match, &whole, diag);
    if (!status)
        status = work(&s, begin, diag);
    if (!s.writing)
        enter_shard(&s);
    if (options->match)
        record_close(&s.match);
    buffer_free(&s.line);
    buffer_free(&s.text);
    return status;
}
