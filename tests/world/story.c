/* story.c - draws stories.
 *
 * Invariants: values of steps are in 1..STORY_MAX_VALUE and divisions exact (else the story is `spoilt` and drawn
 * anew); at most UNUSED_STEPS steps are not needed for the answer. */
#include "story.h"

#include <string.h>

#define UNUSED_STEPS 1
#define MAX_BODY     5 /* clauses between the first and the question */

static const char *const names[] = {"Tom",  "Anna", "Ben", "Lily", "Sam", "Mia",
                                    "Jack", "Emma", "Leo", "Nora", "Max", "Ella"};
static const char *const objects[] = {"apples", "books",  "coins", "cards",   "pens",
                                      "stamps", "shells", "eggs",  "marbles", "cakes"};
static const char *const containers[] = {"boxes", "bags", "packs"};
static const char *const verbs[][2] = {{"reads", "read"}, {"plays", "play"}, {"walks", "walk"}, {"works", "work"}};

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

struct drawing {
    struct story *story;
    struct draw *draw;
    int spoilt;
};

/* ---- Steps and sentences ---- */

static struct operand constant(int value)
{
    struct operand operand = {-1, value};

    return operand;
}

static int compute(char op, int a, int b)
{
    switch (op) {
    case '+':
        return a + b;
    case '-':
        return a - b;
    case '*':
        return a * b;
    default:
        return b && a % b == 0 ? a / b : 0;
    }
}

static struct operand add_step(struct drawing *d, enum step_role role, int person, struct operand a, char op,
                               struct operand b)
{
    struct story *s = d->story;
    struct operand result = {s->n_steps, compute(op, a.value, b.value)};
    struct story_step step = {op, a, b, result.value, role, person, 0};

    if (result.value < 1 || result.value > STORY_MAX_VALUE || s->n_steps == STORY_MAX_STEPS) {
        d->spoilt = 1;
        return constant(1);
    }
    s->steps[s->n_steps++] = step;
    return result;
}

static void add_sentence(struct drawing *d, enum effect effect, int a, int b, int first, int second)
{
    struct story *s = d->story;
    struct sentence sentence = {form_find(effect, s->unit), 0, a, b, {first, second}};

    if (!sentence.form || s->n_sentences == STORY_MAX_SENTENCES) {
        d->spoilt = 1;
        return;
    }
    sentence.wording = draw_below(d->draw, sentence.form->n_common);
    s->sentences[s->n_sentences++] = sentence;
}

/* ---- Clauses ---- */

static int new_person(struct drawing *d)
{
    struct story *s = d->story;
    int i, name;

    do {
        name = draw_below(d->draw, COUNT(names));
        for (i = 0; i < s->n_people && s->people[i] != name; i++)
            ;
    } while (i < s->n_people);
    s->people[s->n_people] = name;
    return s->n_people++;
}

static void start_clause(struct drawing *d)
{
    struct story *s = d->story;
    int a = new_person(d);

    if (draw_percent(d->draw, 30)) {
        int k = draw_range(d->draw, 2, 9), m = draw_range(d->draw, 2, 12);

        s->has[a] = add_step(d, ROLE_PERSON, a, constant(k), '*', constant(m));
        add_sentence(d, START_PRODUCT, a, a, k, m);
    } else {
        s->has[a] = constant(draw_range(d->draw, s->unit == UNIT_OBJECTS ? 3 : 10, s->unit == UNIT_OBJECTS ? 40 : 60));
        add_sentence(d, START, a, a, s->has[a].value, 0);
    }
}

/* Introduces a person by comparison with one that is there. */
static void relation_clause(struct drawing *d)
{
    static const int weights[] = {3, 3, 2, 3, 2, 1, 1, 1}; /* MORE .. TURNED_FEWER */
    struct story *s = d->story;
    int a = draw_below(d->draw, s->n_people), b = new_person(d);
    enum effect effect = (enum effect)(MORE + draw_weighted(d->draw, weights, COUNT(weights)));
    int c = effect == TIMES ? draw_range(d->draw, 3, 5) : draw_range(d->draw, 2, 20);
    char op = '+';

    switch (effect) {
    case FEWER:
    case TURNED_FEWER:
        op = '-';
        break;
    case TIMES:
        op = '*';
        break;
    case TWICE:
        op = '*';
        c = 2;
        break;
    case HALF:
    case THIRD:
        op = '/';
        c = effect == HALF ? 2 : 3;
        break;
    default:
        break;
    }
    s->has[b] = add_step(d, ROLE_PERSON, b, s->has[a], op, constant(c));
    add_sentence(d, effect, a, b, c, 0);
}

static void product_event(struct drawing *d, enum effect effect, int a)
{
    int k = draw_range(d->draw, 2, 9), m = draw_range(d->draw, 2, 12);
    struct operand part = add_step(d, ROLE_PART, a, constant(k), '*', constant(m));
    struct story *s = d->story;

    s->has[a] = add_step(d, ROLE_PERSON, a, s->has[a], effect == GAIN_PRODUCT ? '+' : '-', part);
    add_sentence(d, effect, a, a, k, m);
}

static void event_clause(struct drawing *d)
{
    static const int weights[] = {4, 4, 5, 3, 2, 1, 2, 2}; /* GAIN .. TRANSFER */
    struct story *s = d->story;
    int a = draw_below(d->draw, s->n_people), b = (a + 1) % s->n_people, c = draw_range(d->draw, 2, 20);
    enum effect effect = (enum effect)(GAIN + draw_weighted(d->draw, weights, COUNT(weights)));
    struct operand third;

    if (effect == GAIN_PRODUCT || effect == LOSE_PRODUCT) {
        product_event(d, effect, a);
        return;
    }
    if (effect == TRANSFER && a == b) {
        d->spoilt = 1;
        return;
    }
    add_sentence(d, effect, a, b, c, 0);
    switch (effect) {
    case GAIN:
    case LOSE:
        s->has[a] = add_step(d, ROLE_PERSON, a, s->has[a], effect == GAIN ? '+' : '-', constant(c));
        break;
    case LOSE_HALF:
        s->has[a] = add_step(d, ROLE_PERSON, a, s->has[a], '/', constant(2));
        break;
    case LOSE_THIRD:
        third = add_step(d, ROLE_THIRD, a, s->has[a], '/', constant(3));
        s->has[a] = add_step(d, ROLE_PERSON, a, s->has[a], '-', third);
        break;
    case DOUBLE:
        s->has[a] = add_step(d, ROLE_PERSON, a, s->has[a], '*', constant(2));
        break;
    default:
        s->has[a] = add_step(d, ROLE_PERSON, a, s->has[a], '-', constant(c));
        s->has[b] = add_step(d, ROLE_PERSON, b, s->has[b], '+', constant(c));
    }
}

static void question_clause(struct drawing *d)
{
    static const int weights[3][10] = {
        {6, 0, 0, 0, 0, 2, 2, 2, 2, 2}, {4, 6, 0, 4, 2, 2, 1, 2, 2, 1}, {3, 3, 8, 3, 2, 1, 1, 1, 1, 1}};
    struct story *s = d->story;
    int a = draw_below(d->draw, s->n_people), b = (a + 1) % s->n_people, c = (a + 2) % s->n_people;
    enum effect effect = (enum effect)(ASK_OWN + draw_weighted(d->draw, weights[s->n_people - 1], 10));
    int first = draw_range(d->draw, 2, 9), second = draw_range(d->draw, 2, 40);
    struct operand total;

    switch (effect) {
    case ASK_OWN:
        s->answer = s->has[a];
        break;
    case ASK_TOTAL:
        s->answer = add_step(d, ROLE_TOTAL, a, s->has[a], '+', s->has[b]);
        break;
    case ASK_TOTAL_THREE:
        total = add_step(d, ROLE_TOTAL, a, s->has[0], '+', s->has[1]);
        s->answer = add_step(d, ROLE_TOTAL, c, total, '+', s->has[2]);
        break;
    case ASK_DIFFERENCE:
        s->answer = add_step(d, ROLE_DIFFERENCE, a, s->has[a], '-', s->has[b]);
        break;
    case ASK_SHARE_TOTAL:
        total = add_step(d, ROLE_TOTAL, a, s->has[a], '+', s->has[b]);
        s->answer = add_step(d, ROLE_EACH, a, total, '/', constant(first));
        break;
    case ASK_SHARE:
    case ASK_PACK:
        s->answer = add_step(d, effect == ASK_SHARE ? ROLE_EACH : ROLE_NEED, a, s->has[a], '/', constant(first));
        break;
    case ASK_NEED:
        first = s->has[a].value + second;
        s->answer = add_step(d, ROLE_NEED, a, constant(first), '-', s->has[a]);
        break;
    default:
        first = draw_range(d->draw, 2, 6);
        s->answer = add_step(d, ROLE_GET, a, s->has[a], '*', constant(first));
        if (effect == ASK_SELL_SPEND)
            s->answer = add_step(d, ROLE_PERSON, a, s->answer, '-', constant(second));
    }
    if (first > STORY_MAX_VALUE)
        d->spoilt = 1;
    add_sentence(d, effect, a, b, first, second);
}

/* ---- A story ---- */

/* Marks the steps that the answer depends on. */
static void mark_needed(struct story *s)
{
    int i;

    s->n_needed = 0;
    if (s->answer.step >= 0)
        s->steps[s->answer.step].needed = 1;
    for (i = s->n_steps - 1; i >= 0; i--) {
        const struct story_step *step = &s->steps[i];

        if (!step->needed)
            continue;
        s->n_needed++;
        if (step->a.step >= 0)
            s->steps[step->a.step].needed = 1;
        if (step->b.step >= 0)
            s->steps[step->b.step].needed = 1;
    }
}

/* Gives one sentence, of those that have one, its held-out wording. Returns 0 when none has. */
static int hold_out(struct story *s, struct draw *draw)
{
    int candidates[STORY_MAX_SENTENCES], n = 0, i;

    for (i = 0; i < s->n_sentences; i++) {
        const struct form *form = s->sentences[i].form;

        if (form->n_common < FORM_TEXTS && form->texts[form->n_common])
            candidates[n++] = i;
    }
    if (n) {
        struct sentence *chosen = &s->sentences[candidates[draw_below(draw, n)]];

        chosen->wording = chosen->form->n_common;
    }
    return n > 0;
}

static int try_story(struct story *s, struct draw *draw, int n_needed, int held_out)
{
    static const int unit_weights[UNIT_COUNT] = {60, 20, 20};
    struct drawing d = {s, draw, 0};
    int n_body = draw_below(draw, MAX_BODY + 1), i;

    memset(s, 0, sizeof *s);
    s->unit = (enum unit)draw_weighted(draw, unit_weights, UNIT_COUNT);
    s->object = draw_below(draw, COUNT(objects));
    s->container = draw_below(draw, COUNT(containers));
    s->verb = draw_below(draw, COUNT(verbs));
    start_clause(&d);
    for (i = 0; i < n_body && !d.spoilt; i++) {
        if (s->n_people < STORY_MAX_PEOPLE && draw_percent(draw, 40))
            relation_clause(&d);
        else if (s->n_people < STORY_MAX_PEOPLE && draw_percent(draw, 12))
            start_clause(&d);
        else
            event_clause(&d);
    }
    if (!d.spoilt)
        question_clause(&d);
    if (d.spoilt)
        return 0;
    mark_needed(s);
    return s->n_needed == n_needed && s->n_steps - s->n_needed <= UNUSED_STEPS && (!held_out || hold_out(s, draw));
}

void story_draw(struct story *story, struct draw *draw, int n_needed, int held_out)
{
    while (!try_story(story, draw, n_needed, held_out))
        ;
}

/* ---- Text ---- */

const char *story_name(const struct story *story, int person)
{
    return names[story->people[person]];
}

const char *story_verb(const struct story *story)
{
    return story->unit == UNIT_MINUTES ? verbs[story->verb][0] : "has";
}

/* One sentence; with `plain`, letters in place of the words that are drawn. */
static void put_sentence(struct buffer *out, const struct story *s, const struct sentence *sentence, int plain)
{
    const char *at = sentence->form->texts[sentence->wording];
    int a = sentence->a, b = sentence->b;

    for (; *at; at++) {
        if (*at != '{') {
            buffer_byte(out, *at);
            continue;
        }
        switch (at[1]) {
        case 'A':
        case 'B':
            if (plain)
                buffer_byte(out, 'A' + (at[1] == 'A' ? a : b));
            else
                buffer_text(out, story_name(s, at[1] == 'A' ? a : b));
            break;
        case 'O':
            buffer_text(out, s->unit == UNIT_DOLLARS ? "dollars" : plain ? "O" : objects[s->object]);
            break;
        case 'C':
            buffer_text(out, plain ? "C" : containers[s->container]);
            break;
        case 'V':
        case 'v':
            buffer_text(out, plain ? "V" : verbs[s->verb][at[1] == 'v']);
            break;
        default:
            buffer_format(out, "%d", sentence->numbers[at[1] - '1']);
        }
        at += 2;
    }
}

static void put_story(struct buffer *out, const struct story *story, int plain)
{
    int i;

    for (i = 0; i < story->n_sentences; i++) {
        if (i)
            buffer_byte(out, ' ');
        put_sentence(out, story, &story->sentences[i], plain);
    }
}

void story_put(struct buffer *out, const struct story *story)
{
    put_story(out, story, 0);
}

uint64_t story_hash(const struct story *story)
{
    struct buffer plain = {0};
    uint64_t hash;

    put_story(&plain, story, 1);
    hash = rng_hash(plain.data ? plain.data : "");
    buffer_free(&plain);
    return hash;
}

const char *story_word(int i)
{
    if (i < COUNT(names))
        return names[i];
    i -= COUNT(names);
    if (i < COUNT(objects))
        return objects[i];
    i -= COUNT(objects);
    if (i < COUNT(containers))
        return containers[i];
    i -= COUNT(containers);
    return i < 2 * COUNT(verbs) ? verbs[i / 2][i % 2] : NULL;
}
