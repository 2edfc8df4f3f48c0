/* steps.c - splits a solution into steps and judges them by the equations they state.
 *
 *   text -> steps (blank lines) -> lines -> equations (steps_equation.c) -> true? grounded? -> summary
 *
 * Known numbers: those of the question (also one, twice, half, dozen ... in words), and both sides of every equation so
 * far. Where to read next: steps_equation.c. */
#include <math.h>
#include <stdlib.h>

#include "expression.h"
#include "steps.h"
#include "steps_parts.h"

#define MAX_KNOWN    512 /* numbers that operands are looked up in; later ones replace the oldest */
#define MAX_PER_STEP 64  /* equations of a step that are told apart */

/* ---- splitting ---- */

int steps_next(size_t *begin, size_t *end, const char *text, size_t length, size_t *from)
{
    size_t i = *from, newlines = 0;

    while (i < length && answer_is_space(text[i]))
        i++;
    if (i == length)
        return 0;
    *begin = *end = i;
    for (; i < length && newlines < 2; i++) {
        if (text[i] == '\n')
            newlines++;
        else if (!answer_is_space(text[i])) {
            newlines = 0;
            *end = i + 1;
        }
    }
    *from = i;
    return 1;
}

/* ---- numbers that are known ---- */

struct known {
    double value[MAX_KNOWN];
    size_t n; /* ever added */
};

static void know(struct known *k, double value)
{
    k->value[k->n++ % MAX_KNOWN] = value;
}

static int close_to(double a, double b)
{
    return fabs(a - b) <= 1e-9 * (fabs(a) > 1 ? fabs(a) : 1);
}

static int is_known(const struct known *k, double value)
{
    static const double usual[] = {0, 1, 2, 7, 10, 12, 24, 30, 52, 60, 100, 365, 1000, 0.01, 0.5};
    size_t n = k->n < MAX_KNOWN ? k->n : MAX_KNOWN;

    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (close_to(value, usual[i]))
            return 1;
    for (size_t i = 0; i < n; i++)
        if (close_to(value, k->value[i]) || close_to(value * 100, k->value[i]))
            return 1;
    return 0;
}

static double token_value(struct slice text, const struct answer_token *token)
{
    struct buffer out = {0};
    struct answer_number number;
    double value = NAN;

    answer_token_put(&out, text, token);
    if (!out.failed && out.data && answer_number_read(&number, out.data))
        value = number.value;
    buffer_free(&out);
    return value;
}

static void know_words(struct known *k, struct slice t)
{
    static const struct {
        const char *word;
        double value;
    } words[] = {
        {"three", 3},    {"four", 4},      {"five", 5},        {"six", 6},        {"seven", 7},     {"eight", 8},
        {"nine", 9},     {"ten", 10},      {"eleven", 11},     {"twelve", 12},    {"thirteen", 13}, {"fourteen", 14},
        {"fifteen", 15}, {"sixteen", 16},  {"seventeen", 17},  {"eighteen", 18},  {"nineteen", 19}, {"twenty", 20},
        {"thirty", 30},  {"forty", 40},    {"fifty", 50},      {"sixty", 60},     {"seventy", 70},  {"eighty", 80},
        {"ninety", 90},  {"hundred", 100}, {"thousand", 1000}, {"third", 3},      {"thirds", 3},    {"quarter", 4},
        {"quarters", 4}, {"fourth", 4},    {"fourths", 4},     {"fifth", 5},      {"fifths", 5},    {"thrice", 3},
        {"triple", 3},   {"dozen", 12},    {"million", 1e6},   {"quarter", 0.25}, {"sixth", 6},     {"tenth", 10}};

    for (size_t i = 0; i < t.length; i++) {
        size_t end = i;

        while (end < t.length && answer_is_letter(t.text[end]))
            end++;
        for (size_t w = 0; end > i && w < sizeof words / sizeof *words; w++)
            if (end - i == strlen(words[w].word) && answer_has(t, i, words[w].word))
                know(k, words[w].value);
        i = end > i ? end - 1 : i;
    }
}

static void know_question(struct known *k, struct slice t)
{
    struct answer_token token;

    know_words(k, t);
    for (size_t from = 0; answer_token_next(&token, t, from); from = token.end) {
        double value = token_value(t, &token);

        if (!isnan(value))
            know(k, value);
        for (int part = 0; part < 2 && token.num.length; part++) { /* of 3/4 also 3 and 4 */
            struct slice digits = part ? token.den : token.num;
            struct expression_value v;

            if (expression_read(&v, digits.text, digits.length, 1, 0))
                know(k, v.re[0]);
        }
    }
}

/* ---- steps ---- */

struct seen {
    uint64_t hash;
    int sound;
};

struct reading {
    struct steps *steps;
    struct step *step;
    struct known known;
    struct seen seen[MAX_PER_STEP]; /* equations of this step */
    size_t n_seen;
    int sound;                   /* the equation before is true and grounded */
    struct corrected *corrected; /* by step */
    struct buffer plain, scratch;
};

/* Of each step: the left sides that it states falsely and truly. */
struct corrected {
    uint64_t wrong_left; /* the first false one's */
    uint64_t right_left[8];
    size_t n_right;
};

/* Operands of known origin; in a chain a = b = c also those of b, another form of what a is: 48 + 24 = 68 + 4 = 72. */
static int is_grounded(const struct reading *r, const struct steps_equation *e)
{
    int known = 1;

    for (size_t i = 0; i < e->n_operands; i++)
        known &= is_known(&r->known, e->operands[i]);
    return known || (e->chained && r->sound);
}

static void take_equation(void *context, const struct steps_equation *e)
{
    struct reading *r = context;
    struct corrected *c = &r->corrected[r->steps->n];
    int grounded;

    for (size_t i = 0; i < r->n_seen; i++)
        if (r->seen[i].hash == e->hash) {
            r->sound = r->seen[i].sound;
            return;
        }
    grounded = is_grounded(r, e);
    r->sound = e->is_true && grounded;
    if (r->n_seen < MAX_PER_STEP)
        r->seen[r->n_seen++] = (struct seen){e->hash, r->sound};
    know(&r->known, e->left);
    know(&r->known, e->right);
    r->step->n_equations++;
    r->step->n_true += (uint32_t)e->is_true;
    r->step->n_grounded += (uint32_t)grounded;
    if (!e->is_true && !r->step->wrong)
        c->wrong_left = e->left_hash;
    if (e->is_true && c->n_right < 8)
        c->right_left[c->n_right++] = e->left_hash;
    r->step->wrong |= !e->is_true;
}

static int says_check(struct slice t)
{
    static const char *const words[] = {"check",        "verify",    "verif",          "wait",     "mistake",
                                        "recalculat",   "recheck",   "re-check",       "actually", "correct my",
                                        "double-check", "let me re", "i made an error"};

    for (size_t i = 0; i < t.length; i++) {
        if (i && answer_is_letter(t.text[i - 1]))
            continue;
        for (size_t w = 0; w < sizeof words / sizeof *words; w++)
            if (answer_has(t, i, words[w]) &&
                (w != 3 || !answer_is_letter(i + 4 < t.length ? t.text[i + 4] : 0))) /* waiters do not check */
                return 1;
    }
    return 0;
}

static void read_lines(struct reading *r, struct slice step)
{
    r->n_seen = 0;
    buffer_clear(&r->plain);
    answer_plain(&r->plain, step.text, step.length);
    if (r->plain.failed || !r->plain.data)
        return;
    for (size_t from = 0; from < r->plain.length;) {
        const char *newline = memchr(r->plain.data + from, '\n', r->plain.length - from);
        size_t end = newline ? (size_t)(newline - r->plain.data) : r->plain.length;

        steps_equations(answer_slice(r->plain.data, from, end), &r->scratch, take_equation, r);
        from = end + 1;
    }
}

/* Letters, digits and signs of a step, whatever its spaces and case. */
static uint64_t hash_step(struct slice t)
{
    uint64_t h = 14695981039346656037u;

    for (size_t i = 0; i < t.length; i++)
        if (!answer_is_space(t.text[i]))
            h = (h ^ (unsigned char)answer_lower(t.text[i])) * 1099511628211u;
    return h;
}

struct said {
    uint64_t hash;
    size_t step;
};

static int compare_said(const void *a, const void *b)
{
    const struct said *x = a, *y = b;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->step > y->step) - (x->step < y->step);
}

/* The second and later of equal steps. */
static void mark_repeats(struct steps *steps, struct said *said)
{
    qsort(said, steps->n, sizeof *said, compare_said);
    for (size_t i = 1; i < steps->n; i++)
        if (said[i].hash == said[i - 1].hash) {
            steps->step[said[i].step].repeats = 1;
            steps->n_repeats++;
        }
}

/* From the end: a wrong step is corrected by a later one that checks and is right, or states the same left side truly.
 */
static void mark_corrected(struct steps *steps, const struct corrected *c)
{
    int right_check = 0;

    for (size_t i = steps->n; i--;) {
        struct step *s = &steps->step[i];

        s->corrected = s->wrong && right_check;
        for (size_t j = i + 1; s->wrong && !s->corrected && j < steps->n && j < i + 64; j++)
            for (size_t k = 0; k < c[j].n_right; k++)
                s->corrected |= c[j].right_left[k] == c[i].wrong_left;
        steps->n_corrected += (size_t)s->corrected;
        right_check |= s->checks && !s->wrong && s->n_true > 0;
    }
}

static void add_step(struct reading *r, const char *text, size_t begin, size_t end)
{
    struct steps *steps = r->steps;
    struct step *s = &steps->step[steps->n];

    memset(s, 0, sizeof *s);
    memset(&r->corrected[steps->n], 0, sizeof *r->corrected);
    s->begin = begin;
    s->end = end;
    r->step = s;
    s->checks = says_check(answer_slice(text, begin, end));
    read_lines(r, answer_slice(text, begin, end));
    steps->n_equations += s->n_equations;
    steps->n_true += s->n_true;
    steps->n_grounded += s->n_grounded;
    steps->n_checks += (size_t)s->checks;
    steps->n_wrong += (size_t)s->wrong;
    if (s->wrong && steps->first_error == SIZE_MAX)
        steps->first_error = steps->n;
    steps->n++;
}

enum status steps_read(struct steps *steps, const char *question, const char *text, size_t length, struct arena *arena,
                       struct diag *diag)
{
    size_t from = 0, n = 0, begin, end;
    struct reading r = {.steps = steps};
    struct said *said;
    int failed;

    memset(steps, 0, sizeof *steps);
    steps->first_error = SIZE_MAX;
    while (steps_next(&begin, &end, text, length, &from))
        n++;
    steps->step = arena_array(arena, n + 1, sizeof *steps->step);
    r.corrected = memory_alloc((n + 1) * sizeof *r.corrected);
    said = memory_alloc((n + 1) * sizeof *said);
    failed = !steps->step || !r.corrected || !said;
    if (question && !failed) {
        answer_plain(&r.plain, question, strlen(question));
        if (!r.plain.failed && r.plain.data)
            know_question(&r.known, answer_slice(r.plain.data, 0, r.plain.length));
    }
    for (from = 0; !failed && steps_next(&begin, &end, text, length, &from);) {
        said[steps->n] = (struct said){hash_step(answer_slice(text, begin, end)), steps->n};
        add_step(&r, text, begin, end);
    }
    failed |= r.plain.failed | r.scratch.failed;
    if (!failed) {
        mark_repeats(steps, said);
        mark_corrected(steps, r.corrected);
    }
    if (steps->first_error == SIZE_MAX)
        steps->first_error = steps->n;
    memory_free(r.corrected);
    memory_free(said);
    buffer_free(&r.plain);
    buffer_free(&r.scratch);
    return failed ? diag_fail(diag, STATUS_MEMORY, "out of memory for the steps of a solution") : STATUS_OK;
}

/* ---- signatures ---- */

struct collecting {
    struct buffer hashes;
};

static void add_hash(struct collecting *c, uint64_t hash)
{
    buffer_append(&c->hashes, &hash, sizeof hash);
}

static void collect_equation(void *context, const struct steps_equation *e)
{
    add_hash(context, e->hash);
}

static void collect_line(struct collecting *c, struct slice line, struct buffer *scratch)
{
    struct answer_token token;

    steps_equations(line, scratch, collect_equation, c);
    for (size_t from = 0; answer_token_next(&token, line, from); from = token.end) {
        uint64_t hash = 1469598103934665603u;

        buffer_clear(scratch);
        answer_token_put(scratch, line, &token);
        for (size_t i = 0; i < scratch->length; i++)
            hash = (hash ^ (unsigned char)scratch->data[i]) * 1099511628211u;
        add_hash(c, hash);
    }
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

enum status steps_signature(struct steps_signature *signature, const char *text, size_t length, struct arena *arena,
                            struct diag *diag)
{
    struct collecting c = {{0}};
    struct buffer plain = {0}, scratch = {0};
    int failed;

    signature->n = 0;
    signature->hashes = NULL;
    answer_plain(&plain, text, length);
    for (size_t from = 0; !plain.failed && from < plain.length;) {
        const char *newline = memchr(plain.data + from, '\n', plain.length - from);
        size_t end = newline ? (size_t)(newline - plain.data) : plain.length;

        collect_line(&c, answer_slice(plain.data, from, end), &scratch);
        from = end + 1;
    }
    failed = plain.failed | scratch.failed | c.hashes.failed;
    if (!failed)
        signature->hashes =
            arena_array(arena, c.hashes.length / sizeof *signature->hashes + 1, sizeof *signature->hashes);
    if (signature->hashes) {
        signature->n = c.hashes.length / sizeof *signature->hashes;
        if (signature->n)
            memcpy(signature->hashes, c.hashes.data, c.hashes.length);
        qsort(signature->hashes, signature->n, sizeof *signature->hashes, compare_hashes);
    }
    buffer_free(&plain);
    buffer_free(&scratch);
    buffer_free(&c.hashes);
    return signature->hashes ? STATUS_OK : diag_fail(diag, STATUS_MEMORY, "out of memory for a solution's signature");
}

double steps_distance(const struct steps_signature *a, const struct steps_signature *b)
{
    size_t i = 0, j = 0, same = 0, all;

    while (i < a->n && j < b->n) {
        same += a->hashes[i] == b->hashes[j];
        if (a->hashes[i] == b->hashes[j]) {
            i++;
            j++;
        } else if (a->hashes[i] < b->hashes[j]) {
            i++;
        } else {
            j++;
        }
    }
    all = a->n + b->n - same;
    return all ? 1 - (double)same / (double)all : 0;
}
