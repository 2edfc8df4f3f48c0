/* answer_number.c - which number a text states, and whether two numbers are the same.
 *
 *   equal: 1234 and 1234.0, 1/2 and 0.5, 50% and 50 (or 0.5), 0.6667 and 2/3, 0.30000000000000004 and 0.3
 *   not:   8 and 8.0001, 0.33 and 1/3, 1234567 and 1234568, 5 and 5:30
 *
 * Exact where both are (64 bits); a rounded decimal is taken for what it rounds when it has four digits or more.
 * Where to read next: answer_token.c (how numbers are written), answer_find.c (markers). */
#include <math.h>

#include "answer_parts.h"

static char at(struct slice t, size_t i)
{
    return i < t.length ? t.text[i] : 0;
}

static size_t skip_digits(struct slice t, size_t i)
{
    while (answer_is_digit(at(t, i)))
        i++;
    return i;
}

/* ---- comparison ---- */

/* A double from digits, point and sign; exact for what read_rational reads, else close. */
static double read_double(struct slice t)
{
    double value = 0, scale = 1;
    int behind = 0, sign = 1;

    for (size_t i = 0; i < t.length; i++) {
        if (t.text[i] == '-')
            sign = -1;
        else if (t.text[i] == '.')
            behind = 1;
        else {
            value = value * 10 + (t.text[i] - '0');
            scale *= behind ? 10 : 1;
        }
    }
    return isinf(value) || isinf(scale) ? sign * HUGE_VAL : sign * value / scale;
}

/* A plain decimal: [-]digits[.digits]. */
static int is_decimal(struct slice t)
{
    size_t i = at(t, 0) == '-', first = i;

    i = skip_digits(t, i);
    if (i == first)
        return 0;
    if (at(t, i) == '.' && answer_is_digit(at(t, i + 1)))
        i = skip_digits(t, i + 1);
    return i == t.length;
}

static int count_significant(struct slice t)
{
    int count = 0;

    for (size_t i = 0; i < t.length && count < 1000; i++)
        count += answer_is_digit(t.text[i]) && (count || t.text[i] != '0');
    return count;
}

int answer_number_read(struct answer_number *number, const char *text)
{
    struct slice t = {text, strlen(text)}, den = {NULL, 0};
    const char *slash = memchr(text, '/', t.length), *point;
    int64_t n = 0, d = 1, dn = 1, dd = 1;

    memset(number, 0, sizeof *number);
    if (t.length && t.text[t.length - 1] == '%') {
        number->percent = 1;
        t.length--;
    }
    if (slash) {
        den = answer_slice(text, (size_t)(slash - text) + 1, t.length);
        t.length = (size_t)(slash - text);
    }
    if (!is_decimal(t) || (slash && !is_decimal(den)))
        return 0;
    number->value = read_double(t) / (slash ? read_double(den) : 1);
    number->exact = answer_rational(&n, &d, t) && (!slash || (answer_rational(&dn, &dd, den) && dn));
    number->exact = number->exact && answer_multiply(&number->n, n, dd) && answer_multiply(&number->d, d, dn) &&
                    answer_reduce(&number->n, &number->d);
    point = memchr(t.text, '.', t.length);
    number->places = slash ? -1 : point ? (int)(t.length - 1 - (size_t)(point - t.text)) : 0;
    number->significant = count_significant(t);
    return 1;
}

/* The coarser decimal of at least four digits is the finer number rounded to its places. Coarser ones (0.33 for a
 * third) are not taken, and whole numbers must be met exactly. */
static int rounds_to(const struct answer_number *coarse, const struct answer_number *fine)
{
    double unit, difference = fabs(coarse->value - fine->value);

    if (coarse->places <= 0 || coarse->significant < 4)
        return 0;
    unit = pow(10, -coarse->places);
    return difference <= 0.5 * unit * (1 + 1e-9) ||
           (fine->places < 0 && difference < unit && difference <= 1.0001e-4 * fabs(fine->value));
}

static int close_to(const struct answer_number *a, const struct answer_number *b)
{
    double size = fabs(a->value) > fabs(b->value) ? fabs(a->value) : fabs(b->value);

    if (a->exact && b->exact && a->n == b->n && a->d == b->d)
        return 1;
    if (a->places == 0 && b->places == 0)
        return 0; /* whole numbers that are not the same text */
    if (isinf(size) || isnan(size))
        return 0;
    /* What binary floating point leaves behind: 0.30000000000000004. */
    if ((a->significant >= 10 || b->significant >= 10 || a->places < 0 || b->places < 0) &&
        !(a->exact && b->exact && a->places <= 0 && b->places <= 0) && fabs(a->value - b->value) <= 1e-9 * size)
        return 1;
    if (a->places == 0 || b->places == 0)
        return 0;
    if (a->places > 0 && (b->places < 0 || b->places >= a->places))
        return rounds_to(a, b);
    return rounds_to(b, a);
}

static struct answer_number hundredth(const struct answer_number *a)
{
    struct answer_number b = *a;

    b.value = a->value / 100;
    b.exact = a->exact && answer_multiply(&b.d, a->d, 100) && answer_reduce(&b.n, &b.d);
    b.places = a->places < 0 ? -1 : a->places + 2;
    return b;
}

int answer_number_same(const struct answer_number *a, const struct answer_number *b)
{
    struct answer_number part;

    if (close_to(a, b))
        return 1;
    if (a->percent == b->percent)
        return 0;
    part = hundredth(a->percent ? a : b);
    return close_to(&part, a->percent ? b : a);
}

/* ---- in a text ---- */

static int is_between(struct slice t, size_t i)
{
    return strchr(" +-*/()[]{}$^%~", at(t, i)) != NULL && at(t, i);
}

/* From behind a number across operators, digits and LaTeX to '=': the place behind it, or 0. "3 + 4 = 7". */
static size_t chain_end(struct slice t, size_t i, size_t end)
{
    static const char *const commands[] = {"\\times", "\\cdot", "\\div", "\\left", "\\right",
                                           "\\(",     "\\)",    "\\,",   "\\%",    "\\$"};

    while (i < end) {
        size_t before = i;

        if (t.text[i] == '=')
            return i + 1;
        if (is_between(t, i) || answer_is_digit(t.text[i]) || (t.text[i] == 'x' && i && at(t, i + 1) == ' ') ||
            (t.text[i] == '.' && answer_is_digit(at(t, i + 1))) || (t.text[i] == ',' && answer_is_digit(at(t, i + 1))))
            i++;
        for (size_t k = 0; k < sizeof commands / sizeof *commands && i == before; k++)
            if (answer_has(t, i, commands[k]))
                i += strlen(commands[k]);
        if (i == before)
            return 0;
    }
    return 0;
}

static int denied(struct slice t, size_t i)
{
    return i >= 4 && answer_has(t, i - 4, "not ");
}

/* The number that a statement gives: its first one, or what that is said to equal. 0: none. */
int answer_stated_number(struct answer_token *token, struct slice t)
{
    size_t next;

    if (!answer_token_next(token, t, 0))
        return 0;
    while (denied(t, token->begin)) {
        struct answer_token other;

        if (!answer_token_next(&other, t, token->end))
            break;
        *token = other;
    }
    while ((next = chain_end(t, token->end, t.length)) > 0) {
        struct answer_token other;

        if (!answer_token_next(&other, t, next))
            break;
        *token = other;
    }
    return 1;
}

/* ---- number words ---- */

static const struct {
    const char *word;
    int value;
} number_words[] = {{"zero", 0},     {"one", 1},      {"two", 2},        {"three", 3},     {"four", 4},
                    {"five", 5},     {"six", 6},      {"seven", 7},      {"eight", 8},     {"nine", 9},
                    {"ten", 10},     {"eleven", 11},  {"twelve", 12},    {"thirteen", 13}, {"fourteen", 14},
                    {"fifteen", 15}, {"sixteen", 16}, {"seventeen", 17}, {"eighteen", 18}, {"nineteen", 19},
                    {"twenty", 20},  {"thirty", 30},  {"forty", 40},     {"fifty", 50},    {"sixty", 60},
                    {"seventy", 70}, {"eighty", 80},  {"ninety", 90},    {"hundred", 100}, {"thousand", 1000}};

/* The value of the word text[i..end), or -1. */
static int word_value(struct slice t, size_t i, size_t end)
{
    for (size_t k = 0; k < sizeof number_words / sizeof *number_words; k++)
        if (end - i == strlen(number_words[k].word) && answer_has(t, i, number_words[k].word))
            return number_words[k].value;
    return -1;
}

static size_t word_end(struct slice t, size_t i)
{
    while (answer_is_letter(at(t, i)))
        i++;
    return i;
}

/* "twelve", "twenty-five", "three hundred and six", at most 999999; not "one of". */
static int put_number_words(struct buffer *out, struct slice t)
{
    long total = 0, part = 0;
    int found = 0;

    for (size_t i = 0, end; i<t.length; i = end> i ? end : i + 1) {
        int value;

        end = word_end(t, i);
        value = end > i ? word_value(t, i, end) : -1;
        if (end == i || (found && value < 0 && answer_has(t, i, "and") && end - i == 3))
            continue;
        if (value < 0 && found)
            break;
        if (value < 0 || answer_has(t, end, " of "))
            continue;
        found = 1;
        if (value >= 100)
            part = (part ? part : 1) * value;
        else
            part += value;
        if (value == 1000 || part > 99999) {
            total += part;
            part = 0;
        }
        if (total > 9999999)
            return 0;
    }
    if (found)
        buffer_format(out, "%ld", total + part);
    return found;
}

/* ---- in a text ---- */

/* "answer is x": the last one whose sentence holds a number. */
static int phrase_number(struct buffer *out, struct slice text, int cut, int *ends)
{
    size_t before = text.length;

    for (int tries = 0; tries < ANSWER_PHRASES; tries++) {
        struct slice content;
        struct answer_token token;
        enum answer_mark mark = answer_find_phrase(&content, text, &before, 0);

        *ends |= mark == MARK_CUT;
        if (mark != MARK_FOUND)
            return 0;
        content.length = answer_sentence_end(content, 0);
        if (!answer_stated_number(&token, content)) {
            if (!cut && put_number_words(out, content))
                return 1;
            continue;
        }
        *ends = cut && content.text + token.end == text.text + text.length;
        if (!*ends)
            answer_token_put(out, content, &token);
        return !*ends;
    }
    return 0;
}

/* The last number of the text, unless it stands in a calculation "<<16*7=11" that was cut. */
static int last_number(struct buffer *out, struct slice text)
{
    struct answer_token token, last;
    int found = 0;

    for (size_t i = text.length; i-- > 1;) {
        if (text.text[i] == '>' && text.text[i - 1] == '>')
            break;
        if (text.text[i] == '<' && text.text[i - 1] == '<')
            return 0;
    }
    memset(&last, 0, sizeof last);
    for (size_t from = 0; answer_token_next(&token, text, from); from = token.end) {
        last = token;
        found = 1;
    }
    if (found)
        answer_token_put(out, text, &last);
    return found;
}

int answer_find_number(struct buffer *out, struct slice text, int cut)
{
    struct slice content;
    enum answer_mark mark = answer_find_hashes(&content, text);
    int ends = cut && mark == MARK_FOUND && content.text + content.length == text.text + text.length;

    if (mark == MARK_NONE)
        mark = answer_find_boxed(&content, text);
    if (mark == MARK_CUT || ends)
        return 0;
    if (mark == MARK_FOUND) {
        answer_number_of(out, content);
        return 1;
    }
    if (phrase_number(out, text, cut, &ends))
        return 1;
    return !ends && !cut && last_number(out, text);
}
