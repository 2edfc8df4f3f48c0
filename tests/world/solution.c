/* solution.c - the wording of solutions, and planted errors. */
#include "solution.h"

#include <string.h>

/* ---- Right ones ---- */

static int is_ready(const struct story *s, const struct operand *operand, const int *done)
{
    return operand->step < 0 || !s->steps[operand->step].needed || done[operand->step];
}

static void add_line(struct solution *solution, int i, struct draw *draw)
{
    const struct story_step *step = &solution->story->steps[i];
    struct solution_line line = {i, step->op, step->a.value, step->b.value, step->value, 0};

    if ((step->op == '+' || step->op == '*') && step->role != ROLE_PART && draw_percent(draw, 6)) {
        line.a = step->b.value;
        line.b = step->a.value;
    }
    solution->lines[solution->n_lines++] = line;
}

void solution_draw(struct solution *solution, const struct story *story, struct draw *draw)
{
    int done[STORY_MAX_STEPS] = {0}, any_order = draw_percent(draw, 10), i;

    memset(solution, 0, sizeof *solution);
    solution->story = story;
    solution->answer = story->answer.value;
    solution->wrong_line = -1;
    while (solution->n_lines < story->n_needed) {
        int ready[STORY_MAX_STEPS], n = 0;

        for (i = 0; i < story->n_steps; i++)
            if (story->steps[i].needed && !done[i] && is_ready(story, &story->steps[i].a, done) &&
                is_ready(story, &story->steps[i].b, done))
                ready[n++] = i;
        i = ready[any_order ? draw_below(draw, n) : 0];
        done[i] = 1;
        add_line(solution, i, draw);
    }
}

/* ---- Wrong ones ---- */

/* A number that could be mistaken for another: one of the story's, or an earlier result. */
static int other_number(const struct solution *s, int line, int than, struct draw *draw)
{
    int numbers[2 * STORY_MAX_SENTENCES + STORY_MAX_STEPS], n = 0, i, k;

    for (i = 0; i < s->story->n_sentences; i++)
        for (k = 0; k < 2; k++)
            if (s->story->sentences[i].numbers[k] > 1 && s->story->sentences[i].numbers[k] != than)
                numbers[n++] = s->story->sentences[i].numbers[k];
    for (i = 0; i < line; i++)
        if (s->lines[i].value != than)
            numbers[n++] = s->lines[i].value;
    return n ? numbers[draw_below(draw, n)] : than + 1;
}

static int result(const struct solution_line *line)
{
    switch (line->op) {
    case '+':
        return line->a + line->b + line->slip;
    case '-':
        return line->a - line->b + line->slip;
    case '*':
        return line->a * line->b + line->slip;
    default:
        return line->b ? line->a / line->b + line->slip : 0;
    }
}

/* Changes one line; returns 0 when nothing changed. */
static int plant(struct solution_line *line, const struct solution *s, int at, struct draw *draw)
{
    static const int slips[] = {1, -1, 10, -10, 2, -2};
    static const char ops[] = "+-*/";
    static const int kinds[] = {30, 45, 25};
    int was;

    switch (draw_weighted(draw, kinds, 3)) {
    case 0:
        line->slip = slips[draw_below(draw, 6)];
        return 1;
    case 1:
        was = draw_percent(draw, 50) ? line->a : line->b;
        if (was == line->a)
            line->a = other_number(s, at, was, draw);
        else
            line->b = other_number(s, at, was, draw);
        return 1;
    default:
        was = line->op;
        line->op = ops[draw_below(draw, 4)];
        return line->op != was;
    }
}

/* New values for the lines behind `from`: where a line used the old value of an earlier step it now uses the new one.
 */
static int follow(struct solution *s, const struct solution *before, int from)
{
    int i, k;

    for (i = from; i < s->n_lines; i++) {
        struct solution_line *line = &s->lines[i];
        const struct story_step *step = &s->story->steps[line->step];

        for (k = 0; k < i && i > from; k++) {
            int turned = line->a != step->a.value;

            if (step->a.step == s->lines[k].step)
                *(turned ? &line->b : &line->a) = s->lines[k].value;
            if (step->b.step == s->lines[k].step)
                *(turned ? &line->a : &line->b) = s->lines[k].value;
        }
        line->value = result(line);
        if (line->value < 1 || line->value > STORY_MAX_VALUE)
            return 0;
    }
    s->answer = s->lines[s->n_lines - 1].value;
    return s->answer != before->answer;
}

/* Leaves line `at` out: what used its value uses its first operand. */
static int leave_out(struct solution *s, int at)
{
    const struct solution_line gone = s->lines[at];
    int i, missed = -1;

    memmove(&s->lines[at], &s->lines[at + 1], (size_t)(s->n_lines - at - 1) * sizeof *s->lines);
    s->n_lines--;
    for (i = at; i < s->n_lines && missed < 0; i++) {
        if (s->story->steps[s->lines[i].step].a.step != gone.step &&
            s->story->steps[s->lines[i].step].b.step != gone.step)
            continue;
        if (s->lines[i].a == gone.value)
            s->lines[i].a = gone.a;
        else if (s->lines[i].b == gone.value)
            s->lines[i].b = gone.a;
        else
            continue;
        missed = i;
    }
    return missed;
}

int solution_spoil(struct solution *solution, struct draw *draw)
{
    struct solution before = *solution;
    int at = draw_below(draw, solution->n_lines);

    if (draw_percent(draw, 15) && solution->n_lines > 1) {
        at = at == solution->n_lines - 1 ? at - 1 : at;
        solution->wrong_line = leave_out(solution, at);
        return solution->wrong_line >= 0 && follow(solution, &before, solution->wrong_line);
    }
    solution->wrong_line = at;
    return plant(&solution->lines[at], &before, at, draw) && follow(solution, &before, at);
}

/* ---- Words ---- */

/* The step in between: 0 when the sum is done in one. */
static int middle(char op, int a, int b)
{
    int tens = b - b % 10;

    if ((op != '+' && op != '-') || tens == 0 || b == tens)
        return 0;
    if (op == '+')
        return a < 10 || a % 10 == 0 ? 0 : a + tens;
    return a - tens;
}

void solution_put_sum(struct buffer *left, struct buffer *right, char op, int a, int b, int value)
{
    int between = middle(op, a, b);

    buffer_format(left, "%d %c %d", a, op, b);
    if (between > 0) {
        /* a wrong value was slipped into tens or units: into the one that it looks like */
        int slip = value - (op == '+' ? a + b : a - b);

        if (slip % 10 == 0)
            between += slip;
        buffer_format(right, " = %d %c %d", between, op, b % 10);
    }
    buffer_format(right, " = %d", value);
}

static void put_label(struct buffer *out, const struct story *s, const struct story_step *step)
{
    switch (step->role) {
    case ROLE_PERSON:
        buffer_format(out, "%s %s ", story_name(s, step->person), story_verb(s));
        break;
    case ROLE_PART:
        buffer_text(out, "That makes ");
        break;
    case ROLE_THIRD:
        buffer_text(out, "A third is ");
        break;
    case ROLE_TOTAL:
        buffer_text(out, "Together that is ");
        break;
    case ROLE_DIFFERENCE:
        buffer_text(out, "The difference is ");
        break;
    case ROLE_EACH:
        buffer_text(out, "Each is ");
        break;
    case ROLE_NEED:
        buffer_format(out, "%s needs ", story_name(s, step->person));
        break;
    default:
        buffer_format(out, "%s gets ", story_name(s, step->person));
    }
}

void solution_put(struct buffer *out, const struct solution *solution)
{
    int i;

    for (i = 0; i < solution->n_lines; i++) {
        const struct solution_line *line = &solution->lines[i];

        put_label(out, solution->story, &solution->story->steps[line->step]);
        solution_put_sum(out, out, line->op, line->a, line->b, line->value);
        buffer_text(out, ".\n\n");
    }
    buffer_format(out, "#### %d", solution->answer);
}
