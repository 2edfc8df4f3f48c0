/* step_labels.c - what each source says of each step, and what they say together; see step_labels.h. */
#include "step_labels.h"

#include <math.h>
#include <string.h>
#include "answer_parts.h"
#include "rng.h"
#include "steps.h"
#include "stepwise.h"

#define MAX_SOURCES    4
#define MAX_REFERENCES 256  /* right turns that a wrong one is compared with */
#define MAX_COMPARED   4096 /* earlier turns that a text is compared with */

static enum status no_memory(struct diag *diag)
{
    return diag_fail(diag, STATUS_MEMORY, "out of memory for the labels of a debate");
}

unsigned step_labels_named(const char *names)
{
    static const char *const known[MAX_SOURCES] = {"outcome", "debate", "mc", "equation"};
    unsigned sources = 0;

    for (;;) {
        size_t length = strcspn(names, ","), i;

        for (i = 0; i < MAX_SOURCES; i++)
            if (strlen(known[i]) == length && strncmp(known[i], names, length) == 0)
                break;
        if (i == MAX_SOURCES)
            return 0;
        sources |= 1u << i;
        if (!names[length])
            return sources;
        names += length + 1;
    }
}

/* ---- turns ---- */

static enum status split(struct labelled_turn *t, struct arena *arena, struct diag *diag)
{
    size_t from = 0, begin, end, n = 0, i;

    while (steps_next(&begin, &end, t->text, t->length, &from))
        n++;
    t->n_steps = n;
    t->steps = arena_array(arena, n + 1, sizeof *t->steps);
    t->labels = arena_array(arena, n + 1, sizeof *t->labels);
    if (!t->steps || !t->labels)
        return no_memory(diag);
    from = 0;
    for (i = 0; i < n && steps_next(&begin, &end, t->text, t->length, &from); i++) {
        t->steps[i].text = t->text + begin;
        t->steps[i].length = end - begin;
        t->labels[i] = STEP_UNKNOWN;
    }
    return STATUS_OK;
}

/* Was the same text taken before? */
static int said_before(const struct labelled_turn *turns, size_t n, const struct labelled_turn *t)
{
    size_t i;

    for (i = n > MAX_COMPARED ? n - MAX_COMPARED : 0; i < n; i++)
        if (turns[i].length == t->length && memcmp(turns[i].text, t->text, t->length) == 0)
            return 1;
    return 0;
}

enum status step_labels_turns(struct labelled_turn **turns, size_t *n, const struct transcript *transcript,
                              struct arena *arena, struct diag *diag)
{
    struct labelled_turn *list = arena_array(arena, transcript->n_turns + 1, sizeof *list);
    enum status status = list ? STATUS_OK : no_memory(diag);
    size_t i;

    *turns = list;
    *n = 0;
    for (i = 0; i < transcript->n_turns && !status; i++) {
        const struct transcript_turn *turn = &transcript->turns[i];
        struct labelled_turn *t = &list[*n];
        struct departure_text alone = {turn->text, turn->length};

        if (turn->correct == TRANSCRIPT_UNKNOWN || turn->finish == TURN_TRUNCATED)
            continue;
        if (turn->round)
            status = departure_alone(&alone, transcript->question.text, turn->text, turn->length, diag);
        memset(t, 0, sizeof *t);
        t->turn = turn;
        t->text = alone.text;
        t->length = alone.length;
        if (status || said_before(list, *n, t))
            continue;
        status = split(t, arena, diag);
        *n += !status && t->n_steps > 0;
    }
    return status;
}

/* ---- sources ---- */

static void fill(enum step_verdict *verdicts, size_t from, size_t n, enum step_verdict verdict)
{
    size_t i;

    for (i = from; i < n; i++)
        verdicts[i] = verdict;
}

/* Right up to the first wrong step; behind it nothing is known. */
static void first_error(enum step_verdict *verdicts, size_t n, size_t step)
{
    fill(verdicts, 0, step, VERDICT_RIGHT);
    fill(verdicts, step, step + 1, VERDICT_WRONG);
    fill(verdicts, step + 1, n, VERDICT_IGNORE);
}

/* "solution 2 ... step 3" within a line: the 0-based step that a text names as the first wrong one of an agent's
 * solution; SIZE_MAX: none. */
static size_t named_step(const struct transcript_turn *critic, size_t agent)
{
    struct slice t = answer_slice(critic->text, 0, critic->length);
    size_t i, number, named = 0; /* the solution spoken of, from 1 */

    for (i = 0; i < t.length; i++) {
        int solution = answer_has(t, i, "solution "), step = answer_has(t, i, "step ");
        size_t at = i + (solution ? 9 : 5);

        if (t.text[i] == '\n')
            named = 0;
        if ((!solution && !step) || (i && answer_is_letter(t.text[i - 1])))
            continue;
        for (number = 0; at < t.length && answer_is_digit(t.text[at]) && number < 100000; at++)
            number = number * 10 + (size_t)(t.text[at] - '0');
        if (solution)
            named = number;
        else if (named == agent + 1 && number)
            return number - 1;
    }
    return SIZE_MAX;
}

/* The step that most of the next round's right turns of other agents name; of equally many the earliest. */
static size_t criticised_step(const struct labelled_turn *t, const struct transcript *transcript)
{
    size_t named[TRANSCRIPT_MAX_AGENTS], n = 0, i, j, best = SIZE_MAX, most = 0;

    for (i = 0; i < transcript->n_turns && n < TRANSCRIPT_MAX_AGENTS; i++) {
        const struct transcript_turn *critic = &transcript->turns[i];

        if (critic->correct != 1 || critic->round != t->turn->round + 1 || critic->agent == t->turn->agent)
            continue;
        named[n] = named_step(critic, t->turn->agent);
        n += named[n] < t->n_steps;
    }
    for (i = 0; i < n; i++) {
        size_t votes = 0;

        for (j = 0; j < n; j++)
            votes += named[j] == named[i];
        if (votes > most || (votes == most && named[i] < best)) {
            most = votes;
            best = named[i];
        }
    }
    return best;
}

/* Right turns of later rounds; where there are none (the last round), those of the same round. */
static size_t right_turns(struct departure_text *texts, const struct labelled_turn *t,
                          const struct transcript *transcript)
{
    size_t i, n = 0;
    int same;

    for (same = 0; same < 2 && n == 0; same++)
        for (i = 0; i < transcript->n_turns && n < MAX_REFERENCES; i++) {
            const struct transcript_turn *other = &transcript->turns[i];

            if (other->correct != 1 || (same ? other->round != t->turn->round : other->round <= t->turn->round))
                continue;
            texts[n].text = other->text;
            texts[n++].length = other->length;
        }
    return n;
}

static enum status judge_debate(enum step_verdict *verdicts, const struct labelled_turn *t,
                                const struct transcript *transcript, struct diag *diag)
{
    struct departure_text references[MAX_REFERENCES], solution = {t->text, t->length};
    size_t step = criticised_step(t, transcript);
    enum status status = STATUS_OK;

    fill(verdicts, 0, t->n_steps, t->turn->correct ? VERDICT_RIGHT : VERDICT_SILENT);
    if (t->turn->correct)
        return STATUS_OK;
    if (step == SIZE_MAX)
        status = departure_find(&step, transcript->question.text, references, right_turns(references, t, transcript),
                                &solution, diag);
    if (!status && step < t->n_steps)
        first_error(verdicts, t->n_steps, step);
    return status;
}

static enum status judge_equations(enum step_verdict *verdicts, const struct labelled_turn *t,
                                   const struct transcript *transcript, struct arena *arena, struct diag *diag)
{
    struct steps steps;
    size_t i;
    enum status status = steps_read(&steps, transcript->question.text, t->text, t->length, arena, diag);

    for (i = 0; !status && i < t->n_steps; i++) {
        verdicts[i] = steps.step[i].wrong ? VERDICT_WRONG : steps.step[i].n_equations ? VERDICT_RIGHT : VERDICT_SILENT;
        if (steps.step[i].wrong) {
            fill(verdicts, i + 1, t->n_steps, VERDICT_IGNORE);
            break;
        }
    }
    return status;
}

static void judge_samples(enum step_verdict *verdicts, const struct labelled_turn *t, double threshold)
{
    size_t i;

    for (i = 0; i < t->n_steps; i++) {
        if (isnan(t->fractions[i])) {
            verdicts[i] = VERDICT_IGNORE;
            continue;
        }
        verdicts[i] = t->fractions[i] > threshold ? VERDICT_RIGHT : VERDICT_WRONG;
        if (verdicts[i] == VERDICT_WRONG) {
            fill(verdicts, i + 1, t->n_steps, VERDICT_IGNORE);
            return;
        }
    }
}

/* ---- together ---- */

int step_labels_combine(const enum step_verdict *verdicts, size_t n)
{
    int label = STEP_UNKNOWN;
    size_t i;

    for (i = 0; i < n; i++) {
        int said = verdicts[i] == VERDICT_RIGHT;

        if (verdicts[i] == VERDICT_IGNORE)
            return STEP_UNKNOWN;
        if (verdicts[i] == VERDICT_SILENT)
            continue;
        if (label != STEP_UNKNOWN && label != said)
            return STEP_UNKNOWN;
        label = said;
    }
    return label;
}

enum status step_labels_judge(struct labelled_turn *t, const struct transcript *transcript, unsigned sources,
                              double mc_threshold, struct arena *arena, struct diag *diag)
{
    enum step_verdict *verdicts[MAX_SOURCES], step[MAX_SOURCES];
    size_t n = 0, i, k;
    enum status status = STATUS_OK;

    for (i = 0; i < MAX_SOURCES && !status; i++) {
        if (!(sources & 1u << i))
            continue;
        verdicts[n] = arena_array(arena, t->n_steps + 1, sizeof *verdicts[n]);
        if (!verdicts[n])
            return no_memory(diag);
        if (1u << i == STEP_LABELS_OUTCOME)
            fill(verdicts[n], 0, t->n_steps, t->turn->correct ? VERDICT_RIGHT : VERDICT_WRONG);
        else if (1u << i == STEP_LABELS_DEBATE)
            status = judge_debate(verdicts[n], t, transcript, diag);
        else if (1u << i == STEP_LABELS_EQUATION)
            status = judge_equations(verdicts[n], t, transcript, arena, diag);
        else
            judge_samples(verdicts[n], t, mc_threshold);
        n++;
    }
    for (k = 0; k < t->n_steps && !status; k++) {
        for (i = 0; i < n; i++)
            step[i] = verdicts[i][k];
        t->labels[k] = step_labels_combine(step, n);
    }
    return status;
}
