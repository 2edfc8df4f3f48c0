/* steps_equation.c - the equations that a line of prose states.
 *
 *   "\[ 3.5 \times 8 = 28 \text{ miles} \]"  ->  clean "3.5 * 8 = 28 \text{miles}"
 *   tokens   3.5 | * | 8 | = | 28 | unit          from '=' to the left and right as far as arithmetic goes
 *   sides    "3.5*8"  "28"                        read by expression.c, the longest piece that is a formula
 *
 * Units between a number and the next sign are left out ("3 boxes * 4 eggs/box = 12"); a lone number with a unit in
 * front of
 * '=' is a definition ("1 hour = 60 minutes"), a letter at a number algebra: neither is counted. GSM8K's "<<3*4=12>>"
 * are equations of their own, and the text around them is read as if they were not there. Reach is bounded
 * (SIDE_TOKENS), so that the time is linear. */
#include <math.h>

#include "expression.h"
#include "steps_parts.h"

#define LINE_TOKENS 600
#define SIDE_TOKENS 60
#define SIDE_LENGTH 400
#define UNIT_WORDS  4
#define SHRINKS     12 /* how many tokens may be dropped at the outer end of a side */

enum token_kind { T_NUMBER, T_SIGN, T_OPEN, T_CLOSE, T_EQUALS, T_APPROX, T_UNIT, T_COMMAND, T_PERCENT, T_OTHER };

struct token {
    enum token_kind kind;
    size_t begin, end;
};

struct line {
    struct slice t;
    struct token tokens[LINE_TOKENS];
    size_t n;
};

static char at(struct slice t, size_t i)
{
    return i < t.length ? t.text[i] : 0;
}

/* ---- tokens ---- */

static void add(struct line *l, enum token_kind kind, size_t begin, size_t end)
{
    if (l->n < LINE_TOKENS)
        l->tokens[l->n++] = (struct token){kind, begin, end};
}

static size_t skip_digits(struct slice t, size_t i)
{
    while (answer_is_digit(at(t, i)))
        i++;
    return i;
}

/* "1 1/2", "1 and 1/2": the end of the proper fraction behind the digits that end at i; else i. */
static size_t mixed_end(struct slice t, size_t i)
{
    size_t k = i + (answer_has(t, i, " and ") ? 5 : 1), slash = skip_digits(t, k), end = skip_digits(t, slash + 1);

    if (at(t, i) != ' ' || slash == k || at(t, slash) != '/' || end == slash + 1 || at(t, end) == '/')
        return i;
    if (slash - k > end - slash - 1 ||
        (slash - k == end - slash - 1 && memcmp(t.text + k, t.text + slash + 1, slash - k) >= 0))
        return i;
    return end;
}

/* Behind groups of three digits after a space, "80 000", or i. Not "1 123/456" and "12 200-page". */
static size_t skip_groups(struct slice t, size_t begin, size_t i)
{
    while (i - begin <= 3 && at(t, i) == ' ' && skip_digits(t, i + 1) - i == 4 && at(t, i + 4) != '-' &&
           (at(t, i + 4) != '/' || at(t, i + 1) == '0'))
        i = begin = i + 4;
    return i;
}

static size_t number_end(struct slice t, size_t i)
{
    i = skip_groups(t, i, skip_digits(t, i));
    if (at(t, i) == '.' && answer_is_digit(at(t, i + 1)))
        return skip_digits(t, i + 1);
    return mixed_end(t, i);
}

/* Behind "..." at the end of a decimal, "16.66...". */
static size_t skip_dots(struct slice t, size_t i)
{
    size_t end = i;

    while (at(t, end) == '.')
        end++;
    return end - i > 1 ? end : i;
}

static size_t command_end(struct slice t, size_t i)
{
    for (i++; answer_is_letter(at(t, i));)
        i++;
    return i;
}

static size_t read_command(struct line *l, size_t i)
{
    struct slice t = l->t;
    size_t end = command_end(t, i);

    if (answer_has(t, i, "\\text{")) {
        while (end < t.length && t.text[end] != '}')
            end++;
        end += end < t.length;
        add(l, T_UNIT, i, end);
    } else if (answer_has(t, i, "\\approx")) {
        add(l, T_APPROX, i, end);
    } else if (answer_has(t, i, "\\frac") || answer_has(t, i, "\\sqrt")) {
        add(l, T_COMMAND, i, end);
    } else {
        end = end > i + 1 ? end : i + 2;
        add(l, T_OTHER, i, end);
    }
    return end;
}

/* "3 x 4", "3x4": a sign; "3x + 4", "3x(" are algebra. */
static int is_times(const struct line *l, size_t i)
{
    size_t next = i + 1;

    while (at(l->t, next) == ' ')
        next++;
    return answer_lower(l->t.text[i]) == 'x' && l->n && l->tokens[l->n - 1].kind != T_OTHER &&
           (answer_is_digit(at(l->t, next)) || at(l->t, next) == '.' ||
            (at(l->t, next) == '(' && l->t.text[i - 1] == ' '));
}

/* A word: a unit; a lone letter or one that stands at a digit is algebra. */
static size_t read_word(struct line *l, size_t i)
{
    struct slice t = l->t;
    size_t end = i;

    while (answer_is_letter(at(t, end)) || (at(t, end) == '-' && answer_is_letter(at(t, end + 1))) ||
           (unsigned char)at(t, end) >= 0x80)
        end++;
    if (end == i + 1 && is_times(l, i))
        add(l, T_SIGN, i, end);
    else
        add(l, end > i + 1 && !(i && answer_is_digit(t.text[i - 1])) ? T_UNIT : T_OTHER, i, end);
    return end;
}

static void read_tokens(struct line *l)
{
    struct slice t = l->t;

    for (size_t i = 0; i < t.length && l->n < LINE_TOKENS;) {
        char c = t.text[i];

        if (c == ' ') {
            i++;
        } else if (answer_is_digit(c) || (c == '.' && answer_is_digit(at(t, i + 1)))) {
            size_t end = number_end(t, i), time = end;

            while (at(t, time) == ':' && answer_is_digit(at(t, time + 1)))
                time = skip_digits(t, time + 1);
            add(l, time > end ? T_OTHER : T_NUMBER, i, time);
            i = skip_dots(t, time);
        } else if (c == '\\') {
            i = read_command(l, i);
        } else if (answer_is_letter(c) || (unsigned char)c >= 0x80) {
            i = read_word(l, i);
        } else {
            enum token_kind kind = strchr("+-*/^", c) ? T_SIGN
                                   : strchr("([{", c) ? T_OPEN
                                   : strchr(")]}", c) ? T_CLOSE
                                   : c == '='         ? T_EQUALS
                                   : c == '%'         ? T_PERCENT
                                   : c == '~'         ? T_APPROX
                                                      : T_OTHER;
            add(l, kind, i, i + 1);
            i++;
        }
    }
}

/* ---- sides ---- */

static int is_operand_end(enum token_kind kind)
{
    return kind == T_NUMBER || kind == T_CLOSE || kind == T_PERCENT;
}

/* Marks the unit words behind an operand at token i (also "per egg", "/hour"); the index behind them. */
static size_t skip_units(const struct line *l, size_t i, size_t end)
{
    size_t begin = i;

    while (i < end && i < begin + UNIT_WORDS &&
           (l->tokens[i].kind == T_UNIT || (l->tokens[i].kind == T_SIGN && l->t.text[l->tokens[i].begin] == '/' &&
                                            i + 1 < end && l->tokens[i + 1].kind == T_UNIT)))
        i++;
    return i;
}

static int is_sign(const struct line *l, size_t i, char sign)
{
    return i < l->n && l->tokens[i].kind == T_SIGN && l->t.text[l->tokens[i].begin] == sign;
}

/* Is token i the word "of" behind a share, "10% of", "1/2 of"? */
static int is_share_of(const struct line *l, size_t i)
{
    if (i >= l->n || l->tokens[i].kind != T_UNIT || l->tokens[i].end - l->tokens[i].begin != 2 ||
        !answer_has(l->t, l->tokens[i].begin, "of"))
        return 0;
    return i > 0 && (l->tokens[i - 1].kind == T_PERCENT || (i > 2 && is_sign(l, i - 2, '/')));
}

/* A fraction without spaces behind a division, "60 / 3/4": its three tokens belong together. */
static int is_tight_fraction(const struct line *l, size_t i, size_t end)
{
    return i > 0 && i + 2 < end && is_sign(l, i - 1, '/') && is_sign(l, i + 1, '/') &&
           l->tokens[i + 2].kind == T_NUMBER && l->tokens[i].end == l->tokens[i + 1].begin &&
           l->tokens[i + 1].end == l->tokens[i + 2].begin && l->tokens[i - 1].end < l->tokens[i].begin;
}

static void put_number(struct buffer *out, const struct line *l, const struct token *token, int percent)
{
    struct slice number = answer_slice(l->t.text, token->begin, token->end);
    const char *slash = memchr(number.text, '/', number.length);
    const char *space = slash ? memchr(number.text, ' ', number.length) : NULL;
    size_t whole = space ? (size_t)(space - number.text) : 0,
           rest = whole + (space && answer_has(number, whole, " and ") ? 5 : 1);
    size_t length;

    buffer_text(out, percent || space ? "(" : "");
    length = space ? whole : number.length;
    if (memchr(number.text, '.', length)) { /* 12.50 is 12.5 */
        while (number.text[length - 1] == '0')
            length--;
        length -= number.text[length - 1] == '.';
    }
    for (size_t i = 0; i < length; i++)
        if (number.text[i] != ' ') /* 80 000 */
            buffer_byte(out, number.text[i]);
    if (length == 0)
        buffer_byte(out, '0'); /* .0 */
    if (space) {
        buffer_byte(out, '+');
        buffer_append(out, number.text + rest, number.length - rest);
    }
    buffer_text(out, percent ? "*0.01)" : space ? ")" : "");
}

/* The text of tokens begin..end without units. */
static void put_side(struct buffer *out, const struct line *l, size_t begin, size_t end)
{
    buffer_clear(out);
    for (size_t i = begin, behind; i < end;) {
        const struct token *token = &l->tokens[i];
        int percent = i + 1 < end && l->tokens[i + 1].kind == T_PERCENT;

        if (token->kind == T_NUMBER && is_tight_fraction(l, i, end)) {
            buffer_byte(out, '(');
            put_number(out, l, token, 0);
            buffer_byte(out, '/');
            put_number(out, l, &l->tokens[i + 2], 0);
            buffer_byte(out, ')');
            i += 2;
        } else if (token->kind == T_NUMBER)
            put_number(out, l, token, percent);
        else if (token->kind == T_SIGN && answer_lower(l->t.text[token->begin]) == 'x')
            buffer_byte(out, '*');
        else if (token->kind != T_PERCENT)
            buffer_append(out, l->t.text + token->begin, token->end - token->begin);
        i++;
        if (!is_operand_end(token->kind))
            continue;
        behind = skip_units(l, i, end);
        if (behind < end && l->tokens[behind].kind == T_NUMBER && is_share_of(l, i) && behind == i + 1)
            buffer_byte(out, '*');
        else if (behind < end && (l->tokens[behind].kind == T_NUMBER || l->tokens[behind].kind == T_COMMAND ||
                                  (behind > i && l->tokens[behind].kind == T_OPEN)))
            buffer_byte(out, ';'); /* two operands without a sign: no formula */
        i = behind;
    }
}

struct side {
    size_t begin, end; /* tokens */
    struct expression_value value;
    int arithmetic; /* has a sign between operands, or a fraction */
    int has_unit;
    int percent, cents;
    int places; /* digits behind the point of a lone number */
    uint64_t hash;
};

static uint64_t hash_text(uint64_t h, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        h = (h ^ (unsigned char)text[i]) * 1099511628211u; /* FNV-1a */
    return h;
}

static int is_letter_at(const struct line *l, size_t i)
{
    return l->tokens[i].kind == T_OTHER && answer_is_letter(l->t.text[l->tokens[i].begin]);
}

/* A letter, or a time such as 6:00. */
static int is_operand_like(const struct line *l, size_t i)
{
    return is_letter_at(l, i) || (l->tokens[i].kind == T_OTHER && answer_is_digit(l->t.text[l->tokens[i].begin]));
}

/* Does arithmetic go on in front of the side, with an operand that is none? "S + 143", "bikes + 12 - 18", "5x" */
static int goes_on_before(const struct line *l, size_t begin)
{
    const struct token *before = begin ? &l->tokens[begin - 1] : NULL;
    int bullet = begin == 1 && at(l->t, l->tokens[0].end) == ' ';

    if (!before)
        return 0;
    if (before->kind == T_SIGN)
        return !bullet;
    if (l->tokens[begin].kind == T_SIGN)
        return before->kind != T_OTHER || is_operand_like(l, begin - 1);
    return before->end == l->tokens[begin].begin && (before->kind == T_CLOSE || is_operand_like(l, begin - 1));
}

/* The same behind it: "5 + 3x", "1/2 * (T + M)", "8 bags / Y"; a dash and "/hour" are no arithmetic. */
static int goes_on_behind(const struct line *l, size_t end)
{
    if (end >= l->n)
        return 0;
    if (is_letter_at(l, end))
        return l->tokens[end].begin == l->tokens[end - 1].end;
    if (is_share_of(l, end))
        return 1;
    if (l->tokens[end].kind != T_SIGN || end + 1 == l->n)
        return 0;
    if (l->tokens[end + 1].kind == T_UNIT)
        return strchr("*+^", l->t.text[l->tokens[end].begin]) != NULL;
    return l->tokens[end + 1].kind != T_EQUALS && l->tokens[end + 1].kind != T_APPROX;
}

static int read_side(struct side *side, const struct line *l, size_t begin, size_t end, struct buffer *scratch)
{
    size_t operands = 0;

    if (begin >= end)
        return 0;
    put_side(scratch, l, begin, end);
    if (scratch->failed || !scratch->data || scratch->length > SIDE_LENGTH ||
        !expression_read(&side->value, scratch->data, scratch->length, 1, 0) || side->value.variable ||
        fabs(side->value.im[0]) > 0)
        return 0;
    side->begin = begin;
    side->end = end;
    side->arithmetic = side->has_unit = side->percent = side->cents = 0;
    side->places = -1;
    for (size_t i = begin; i < end; i++) {
        const struct token *token = &l->tokens[i];
        const char *text = l->t.text + token->begin, *point = memchr(text, '.', token->end - token->begin);

        side->arithmetic |= token->kind == T_COMMAND || (token->kind == T_SIGN && operands > 0);
        side->has_unit |= token->kind == T_UNIT;
        side->cents |= token->kind == T_UNIT && answer_has(l->t, token->begin, "cent");
        side->arithmetic |= token->kind == T_UNIT && operands > 0 && i + 1 < end && l->tokens[i + 1].kind == T_NUMBER;
        side->percent |= token->kind == T_PERCENT;
        if (token->kind != T_NUMBER)
            continue;
        operands++;
        side->places = point ? (int)(text + (token->end - token->begin) - point) - 1 : 0;
    }
    side->hash = hash_text(14695981039346656037u, scratch->data, scratch->length);
    return operands > 0;
}

/* The longest arithmetic that ends in front of token `equals`. */
static int read_left(struct side *side, const struct line *l, size_t equals, struct buffer *scratch)
{
    size_t begin = equals, end = equals, words = 0;
    int bullet;

    while (end && (l->tokens[end - 1].kind == T_UNIT ||
                   (end < equals && l->tokens[end].kind == T_UNIT && is_sign(l, end - 1, '/'))))
        end--; /* the unit in front of '=' */
    while (begin && equals - begin < SIDE_TOKENS) {
        enum token_kind kind = l->tokens[begin - 1].kind;

        words = kind == T_UNIT ? words + 1 : 0;
        if (kind == T_EQUALS || kind == T_APPROX || kind == T_OTHER || words > UNIT_WORDS)
            break;
        begin--;
    }
    /* "- 5 + 3 = 8": the first sign of a line is a bullet */
    bullet = begin == 0 && l->n && l->tokens[0].kind == T_SIGN && at(l->t, l->tokens[0].end) == ' ';
    begin += (size_t)bullet;
    for (size_t tries = 0; begin < end && tries < SHRINKS; begin++) {
        if (l->tokens[begin].kind == T_UNIT || l->tokens[begin].kind == T_CLOSE)
            continue;
        if (read_side(side, l, begin, end, scratch)) {
            side->has_unit |= end < equals;
            side->cents |= end < equals && answer_has(l->t, l->tokens[end].begin, "cent");
            if (!side->arithmetic && begin && l->tokens[begin - 1].kind == T_UNIT)
                return 0; /* "Week 2 =" */
            return !goes_on_before(l, begin) && !is_share_of(l, end);
        }
        tries++;
    }
    return 0;
}

/* The longest arithmetic behind token `equals`. */
static int read_right(struct side *side, const struct line *l, size_t equals, struct buffer *scratch)
{
    size_t begin = equals + 1, end = begin, words = 0;

    while (end < l->n && end - begin < SIDE_TOKENS) {
        enum token_kind kind = l->tokens[end].kind;

        words = kind == T_UNIT ? words + 1 : 0;
        if (kind == T_EQUALS || kind == T_APPROX || kind == T_OTHER || words > UNIT_WORDS)
            break;
        end++;
    }
    for (size_t tries = 0; end > begin && tries < SHRINKS; end--) {
        if (l->tokens[end - 1].kind == T_UNIT || l->tokens[end - 1].kind == T_SIGN)
            continue;
        if (read_side(side, l, begin, end, scratch)) {
            side->has_unit |= end < l->n && l->tokens[end].kind == T_UNIT;
            side->cents |=
                end < l->n && l->tokens[end].kind == T_UNIT && answer_has(l->t, l->tokens[end].begin, "cent");
            return !goes_on_behind(l, end);
        }
        tries++;
    }
    return 0;
}

/* ---- truth ---- */

static int holds(double exact, const struct side *stated, int approximate)
{
    double value = stated->value.re[0], difference = fabs(exact - value), unit;

    if (difference <= 1e-9 * (fabs(exact) > 1 ? fabs(exact) : 1))
        return 1;
    if (approximate && difference <= 0.01 * fabs(exact))
        return 1;
    if (stated->arithmetic || stated->places < (approximate ? 0 : 1) || stated->places > 15)
        return 0;
    unit = pow(10, -stated->places) * (stated->percent ? 0.01 : 1);
    return difference <= 0.5 * unit * (1 + 1e-9) || (!approximate && difference < unit && fabs(value) < fabs(exact));
}

static int sides_agree(const struct side *left, const struct side *right, int approximate)
{
    double a = left->value.re[0], b = right->value.re[0];

    if (left->value.exact && right->value.exact && left->value.n == right->value.n && left->value.d == right->value.d)
        return 1;
    if (holds(a, right, approximate) || (!left->arithmetic && holds(b, left, approximate)))
        return 1;
    /* 0.25 * 100 = 25%, 5 / 20 = 25%, $1 / 2 = 50 cents: people write all of them */
    if (!(right->percent || right->cents || left->percent || left->cents))
        return 0;
    return holds(a * 100, right, 1) || fabs(a - b * 100) <= 1e-9 * fabs(a);
}

static struct steps_equation equation_of(const struct line *l, const struct side *left, const struct side *right,
                                         int approximate)
{
    const struct side *side = left->arithmetic ? left : right;
    struct steps_equation e = {.n_operands = 0};

    e.left_hash = side->hash;
    e.hash = hash_text(left->hash, (const char *)&right->hash, sizeof right->hash);
    e.left = left->value.re[0];
    e.right = right->value.re[0];
    e.is_true = sides_agree(left, right, approximate);
    for (size_t i = side->begin; i < side->end && e.n_operands < STEPS_OPERANDS; i++) {
        struct expression_value v;
        const struct token *token = &l->tokens[i];

        if (token->kind == T_NUMBER && expression_read(&v, l->t.text + token->begin, token->end - token->begin, 1, 0))
            e.operands[e.n_operands++] = v.re[0];
    }
    return e;
}

static void clean_line(struct slice clean, struct buffer *scratch, steps_equation_found *found, void *context)
{
    struct side last = {.begin = SIZE_MAX}; /* the right one of the equation before */
    struct line l;

    l.t = clean;
    l.n = 0;
    read_tokens(&l);
    for (size_t i = 0; i < l.n; i++) {
        struct side left, right;
        struct steps_equation e;
        int approximate = l.tokens[i].kind == T_APPROX;

        if (l.tokens[i].kind != T_EQUALS && !approximate)
            continue;
        if (!read_left(&left, &l, i, scratch) || !read_right(&right, &l, i, scratch))
            continue;
        if (!left.arithmetic && (!right.arithmetic || left.has_unit))
            continue;
        e = equation_of(&l, &left, &right, approximate);
        e.chained = last.begin == left.begin && last.hash == left.hash;
        found(context, &e);
        last = right;
    }
}

/* ---- a line ---- */

void steps_equations(struct slice line, struct buffer *scratch, steps_equation_found *found, void *context)
{
    struct buffer outside = {0}, clean = {0};
    size_t from = 0;

    while (from < line.length) {
        size_t open = from, close;

        while (open < line.length && !(line.text[open] == '<' && at(line, open + 1) == '<'))
            open++;
        buffer_append(&outside, line.text + from, open - from);
        for (close = open; close < line.length && !(line.text[close] == '>' && at(line, close + 1) == '>');)
            close++;
        if (close < line.length) {
            buffer_clear(&clean);
            answer_latex_clean(&clean, answer_slice(line.text, open + 2, close));
            if (!clean.failed && clean.data)
                clean_line(answer_slice(clean.data, 0, clean.length), scratch, found, context);
        }
        from = close < line.length ? close + 2 : line.length;
    }
    buffer_clear(&clean);
    if (!outside.failed && outside.data)
        answer_latex_clean(&clean, answer_slice(outside.data, 0, outside.length));
    if (!clean.failed && clean.data)
        clean_line(answer_slice(clean.data, 0, clean.length), scratch, found, context);
    buffer_free(&outside);
    buffer_free(&clean);
}
