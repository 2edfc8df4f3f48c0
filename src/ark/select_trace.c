/* select_trace.c - candidates, their diversity, and splices; see select_parts.h. */
#include "select_parts.h"

#include <stdlib.h>
#include <string.h>
#include "answer_parts.h"
#include "departure.h"

#define BARE_WORDS 20 /* a text of fewer words and no equation only states an answer */

/* What stands between a wrong start and the right solution. */
#define SELF_CHECK "Wait, this step is not right. I work it out again."

static int is_right(const struct transcript_turn *turn)
{
    return turn->correct == 1 && turn->finish != TURN_TRUNCATED;
}

/* ---- candidates ---- */

static size_t count_words(struct slice t)
{
    size_t n = 0, i;

    for (i = 0; i < t.length; i++)
        n += !answer_is_space(t.text[i]) && (i == 0 || answer_is_space(t.text[i - 1]));
    return n;
}

static uint64_t hash_text(struct slice t)
{
    uint64_t h = 14695981039346656037u;
    size_t i;

    for (i = 0; i < t.length; i++)
        h = (h ^ (unsigned char)t.text[i]) * 1099511628211u;
    return h;
}

/* A text without reasoning. */
static enum status is_bare(int *bare, const char *text, size_t length, struct arena *arena, struct diag *diag)
{
    struct steps steps;
    struct arena_mark mark = arena_mark(arena);
    enum status status = STATUS_OK;

    *bare = 0;
    if (count_words(answer_slice(text, 0, length)) < BARE_WORDS) {
        status = steps_read(&steps, NULL, text, length, arena, diag);
        *bare = !status && steps.n_equations == 0;
        arena_release(arena, mark);
    }
    return status;
}

/* May this turn be used at all? Counts why not. */
static int usable(const struct transcript_turn *turn, const struct select_options *o, int bounded, uint64_t *budget,
                  struct select_summary *summary)
{
    enum select_reason reason;

    if (o->strategy == SELECT_SAMPLED && bounded && turn->round == 0) {
        uint64_t tokens = turn->tokens > 0 ? (uint64_t)turn->tokens : 0;

        if (tokens > *budget) { /* and nothing behind it either */
            *budget = 0;
            summary->left_out[SELECT_UNUSED]++;
            return 0;
        }
        *budget -= tokens;
    }
    if (o->strategy == SELECT_SAMPLED && turn->round > 0)
        reason = SELECT_UNUSED;
    else if (turn->finish == TURN_TRUNCATED)
        reason = SELECT_TRUNCATED;
    else if (turn->correct != 1)
        reason = SELECT_WRONG;
    else
        return 1;
    summary->left_out[reason]++;
    return 0;
}

static int compare_hashes(const void *a, const void *b)
{
    const struct select_candidate *x = a, *y = b;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->turn > y->turn) - (x->turn < y->turn);
}

static int compare_turns(const void *a, const void *b)
{
    const struct select_candidate *x = a, *y = b;

    return (x->turn > y->turn) - (x->turn < y->turn);
}

/* Keeps the first of equal texts. */
static void drop_duplicates(struct select_candidates *c, struct select_summary *summary)
{
    size_t i, n = 0;

    qsort(c->items, c->n, sizeof *c->items, compare_hashes);
    for (i = 0; i < c->n; i++) {
        const struct select_candidate *last = n ? &c->items[n - 1] : NULL;

        if (last && last->hash == c->items[i].hash && last->length == c->items[i].length)
            summary->left_out[SELECT_DUPLICATE]++;
        else
            c->items[n++] = c->items[i];
    }
    c->n = n;
    qsort(c->items, c->n, sizeof *c->items, compare_turns);
}

/* Bare answers count only where there is nothing else. */
static void drop_bare(struct select_candidates *c, struct select_summary *summary)
{
    size_t i, n = 0, bare = 0;

    for (i = 0; i < c->n; i++)
        bare += (size_t)c->items[i].bare;
    if (bare == c->n)
        return;
    for (i = 0; i < c->n; i++)
        if (!c->items[i].bare)
            c->items[n++] = c->items[i];
    c->n = n;
    summary->left_out[SELECT_BARE] += bare;
}

static void set_sizes(struct select_candidates *c)
{
    size_t i;
    int known = 1;

    for (i = 0; i < c->n; i++)
        known &= c->items[i].turn->tokens >= 0;
    for (i = 0; i < c->n; i++)
        c->items[i].size = known ? (size_t)c->items[i].turn->tokens : c->items[i].length;
}

/* What of a right turn stands alone; first answers have nobody to lean on. */
static enum status add_candidate(struct select_candidates *c, const struct transcript *t,
                                 const struct transcript_turn *turn, int corrective, struct select_summary *summary,
                                 struct diag *diag)
{
    struct slice text = answer_trim(answer_slice(turn->text, 0, turn->length));
    struct departure_text alone = {text.text, text.length};
    struct select_candidate *candidate = &c->items[c->n];
    enum status status =
        turn->round ? departure_alone(&alone, t->question.text, turn->text, turn->length, diag) : STATUS_OK;

    if (!status && alone.length == 0) {
        summary->left_out[SELECT_LEANS]++;
        return STATUS_OK;
    }
    memset(candidate, 0, sizeof *candidate);
    candidate->turn = turn;
    candidate->text = alone.text;
    candidate->length = alone.length;
    candidate->corrective = corrective;
    candidate->hash = hash_text(answer_slice(alone.text, 0, alone.length));
    c->n += !status;
    return status;
}

enum status select_candidates(struct select_candidates *c, const struct transcript *t, const struct select_options *o,
                              uint64_t budget, struct select_summary *summary, struct arena *arena, struct diag *diag)
{
    unsigned char was_wrong[TRANSCRIPT_MAX_AGENTS] = {0};
    int bounded = budget > 0;
    enum status status = STATUS_OK;
    size_t i;

    memset(c, 0, sizeof *c);
    c->items = arena_array(arena, t->n_turns + 1, sizeof *c->items);
    if (!c->items)
        return diag_fail(diag, STATUS_MEMORY, "out of memory for %zu turns", t->n_turns);
    for (i = 0; i < t->n_turns && !status; i++) {
        const struct transcript_turn *turn = &t->turns[i];

        if (usable(turn, o, bounded, &budget, summary))
            status = add_candidate(c, t, turn, was_wrong[turn->agent], summary, diag);
        was_wrong[turn->agent] |= turn->correct == 0;
    }
    drop_duplicates(c, summary);
    for (i = 0; i < c->n && !status; i++)
        status = steps_signature(&c->items[i].signature, c->items[i].text, c->items[i].length, arena, diag);
    for (i = 0; i < c->n && !status; i++)
        status = is_bare(&c->items[i].bare, c->items[i].text, c->items[i].length, arena, diag);
    if (!status) {
        drop_bare(c, summary);
        set_sizes(c);
    }
    return status;
}

/* ---- diversity ---- */

/* The next to take: the smallest at first, then the farthest, then the smaller, then the earlier. */
static struct select_candidate *next_candidate(struct select_candidates *c)
{
    struct select_candidate *best = NULL;
    size_t i;

    for (i = 0; i < c->n; i++) {
        struct select_candidate *x = &c->items[i];
        double gain = !best || c->n_taken == 0 ? 0 : x->distance - best->distance;

        if (!x->taken && (!best || gain > 0 || (!(gain < 0) && x->size < best->size)))
            best = x;
    }
    return best;
}

static void take(struct select_candidates *c, struct select_candidate *taken)
{
    size_t i;

    taken->taken = 1;
    for (i = 0; i < c->n; i++) {
        double distance = steps_distance(&taken->signature, &c->items[i].signature);

        if (c->n_taken == 0 || distance < c->items[i].distance)
            c->items[i].distance = distance;
    }
    c->order[c->n_taken++] = (size_t)(taken - c->items);
}

void select_diverse(struct select_candidates *c, size_t k, double distance, struct select_summary *summary)
{
    struct select_candidate *next;

    k = k < SELECT_MAX_K ? k : SELECT_MAX_K;
    while (c->n_taken < k && (next = next_candidate(c)) != NULL) {
        if (c->n_taken && next->distance < distance)
            break;
        take(c, next);
    }
    summary->left_out[c->n_taken < k ? SELECT_SIMILAR : SELECT_SURPLUS] += c->n - c->n_taken;
}

/* ---- splices ---- */

/* End of the first bad step of a wrong turn: a false equation, or where the right one departs; 0: not found. */
static enum status bad_step_end(size_t *end, const char *question, const struct transcript_turn *wrong,
                                const struct transcript_turn *right, struct arena *arena, struct diag *diag)
{
    struct departure_text reference = {right->text, right->length}, solution = {wrong->text, wrong->length};
    struct arena_mark mark = arena_mark(arena);
    struct steps steps;
    size_t step;
    enum status status = steps_read(&steps, question, wrong->text, wrong->length, arena, diag);

    *end = 0;
    if (!status)
        status = departure_find(&step, question, &reference, 1, &solution, diag);
    if (!status) {
        step = steps.first_error < step ? steps.first_error : step;
        *end = step < steps.n ? steps.step[step].end : 0;
    }
    arena_release(arena, mark);
    return status;
}

static enum status write_splice(struct select_splice *splice, struct arena *arena, struct diag *diag)
{
    struct slice wrong = answer_trim(answer_slice(splice->wrong->text, 0, splice->wrong_length));
    struct buffer text = {0};

    buffer_append(&text, wrong.text, wrong.length);
    buffer_text(&text, "\n\n");
    splice->zero = text.length;
    buffer_text(&text, SELF_CHECK "\n\n");
    buffer_append(&text, splice->alone.text, splice->alone.length);
    splice->length = text.length;
    splice->text = text.failed ? NULL : arena_text(arena, text.data, text.length);
    buffer_free(&text);
    return splice->text ? STATUS_OK : diag_fail(diag, STATUS_MEMORY, "out of memory for a spliced trace");
}

/* The agent's next turn behind a wrong one, if it is in a later round and right. */
static const struct transcript_turn *correction(const struct transcript *t, size_t i)
{
    size_t j = i + 1;

    while (j < t->n_turns && t->turns[j].agent != t->turns[i].agent)
        j++;
    if (j == t->n_turns || t->turns[j].round <= t->turns[i].round || !is_right(&t->turns[j]))
        return NULL;
    return &t->turns[j];
}

/* Keeps the shortest splice so far. */
static enum status try_splice(struct select_splice *splice, const struct transcript *t, size_t i,
                              struct select_summary *summary, struct arena *arena, struct diag *diag)
{
    const struct transcript_turn *wrong = &t->turns[i], *right = NULL;
    struct departure_text alone;
    size_t end;
    int bare = 0;
    enum status status;

    if (wrong->correct == 0 && wrong->finish != TURN_TRUNCATED)
        right = correction(t, i);
    if (!right)
        return STATUS_OK;
    status = departure_alone(&alone, t->question.text, right->text, right->length, diag);
    if (!status)
        status = is_bare(&bare, alone.text, alone.length, arena, diag);
    if (status || bare || alone.length == 0)
        return status;
    status = bad_step_end(&end, t->question.text, wrong, right, arena, diag);
    if (status)
        return status;
    summary->splice_no_step += end == 0;
    if (end == 0 || (splice->wrong && end + alone.length >= splice->wrong_length + splice->alone.length))
        return STATUS_OK;
    splice->wrong = wrong;
    splice->right = right;
    splice->wrong_length = end;
    splice->alone = alone;
    return STATUS_OK;
}

enum status select_splice(struct select_splice *splice, const struct transcript *t, struct select_summary *summary,
                          struct arena *arena, struct diag *diag)
{
    enum status status = STATUS_OK;
    size_t i;

    memset(splice, 0, sizeof *splice);
    for (i = 0; i < t->n_turns && !status; i++)
        status = try_splice(splice, t, i, summary, arena, diag);
    return status || !splice->wrong ? status : write_splice(splice, arena, diag);
}
