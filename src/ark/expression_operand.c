/* expression_operand.c - numbers, names and commands of a formula.
 *
 *   12   1.5   .5   1.5e-3   2 1/2   2\frac12   52_8 (a name)   x   x_{12}   \alpha   \vec{a}   pi   sin   \log_2
 * \sqrt[3]
 *
 * A name becomes a variable whose values are a function of its letters. Of letters side by side each is a variable of
 * its own, unless they spell a function; words of four letters and more are no formulas. Where to read next:
 * expression.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "expression_parser.h"

static const struct op *top_op(const struct parser *p)
{
    return p->n_ops ? &p->ops[p->n_ops - 1] : NULL;
}

static size_t skip_digits(const struct parser *p, size_t i)
{
    while (answer_is_digit(expression_at(p, i)))
        i++;
    return i;
}

static size_t skip_spaces(const struct parser *p, size_t i)
{
    while (expression_at(p, i) == ' ')
        i++;
    return i;
}

static int starts(const struct parser *p, size_t i, const char *word)
{
    size_t n = strlen(word);

    return p->t.length - i >= n && memcmp(p->t.text + i, word, n) == 0;
}

/* "a/b" or "\frac{a}{b}" of digits behind a whole number and, for a/b, a space: its end, else i. */
static size_t mixed_part(const struct parser *p, size_t i, struct slice *num, struct slice *den)
{
    size_t k = skip_spaces(p, i), end;

    if (starts(p, k, "\\frac")) {
        size_t n = k + 5, d;

        if (expression_at(p, n) == '{') {
            end = skip_digits(p, n + 1);
            *num = answer_slice(p->t.text, n + 1, end);
            d = expression_at(p, end) == '}' ? end + 1 : i;
        } else {
            *num = answer_slice(p->t.text, n, n + answer_is_digit(expression_at(p, n)));
            d = n + 1;
        }
        if (expression_at(p, d) == '{') {
            end = skip_digits(p, d + 1);
            *den = answer_slice(p->t.text, d + 1, end);
            end = expression_at(p, end) == '}' ? end + 1 : i;
        } else {
            *den = answer_slice(p->t.text, d, d + answer_is_digit(expression_at(p, d)));
            end = d + 1;
        }
        return num->length && den->length && d > i && end > i ? end : i;
    }
    end = skip_digits(p, k);
    if (k == i || end == k || expression_at(p, end) != '/')
        return i;
    *num = answer_slice(p->t.text, k, end);
    *den = answer_slice(p->t.text, end + 1, skip_digits(p, end + 1));
    return den->length ? end + 1 + den->length : i;
}

/* Digits, maybe with a point, as a value; more than 18 digits are rounded to a double. */
static int decimal_value(struct expression_value *value, struct slice t)
{
    int64_t n = 0, d = 1;
    size_t count = 0;
    double real = 0, scale = 1;
    int behind = 0;

    for (size_t i = 0; i < t.length; i++) {
        if (t.text[i] == '.') {
            behind = 1;
            continue;
        }
        real = real * 10 + (t.text[i] - '0');
        scale *= behind ? 10 : 1;
        if (++count <= 18) {
            n = n * 10 + (t.text[i] - '0');
            d *= behind ? 10 : 1;
        }
    }
    if (count <= 18)
        return expression_rational(value, n, d);
    expression_constant(value, real / scale, 0);
    return isfinite(real) && isfinite(scale);
}

static uint64_t hash(const char *text, size_t length, uint64_t h)
{
    for (size_t i = 0; i < length; i++)
        h = (h ^ (unsigned char)text[i]) * 1099511628211u; /* FNV-1a */
    return h;
}

/* "_1", "_{12}", "_n" behind a name: part of it. Braces do not count. */
static uint64_t read_subscript(struct parser *p, uint64_t name)
{
    size_t begin = p->i + 1, end;

    if (expression_at(p, p->i) != '_')
        return name;
    if (expression_at(p, begin) == '{') {
        for (end = ++begin; end < p->t.length && p->t.text[end] != '}';)
            end++;
        p->i = end + 1;
    } else {
        end = answer_is_digit(expression_at(p, begin)) ? skip_digits(p, begin) : begin + 1;
        p->i = end;
    }
    return end <= p->t.length ? hash(p->t.text + begin, end - begin, name ^ 0x5F) : name;
}

/* 12, 1.5, .5, 1.5e-3, 2 1/2, 2\frac12; 52_8 is a name. */
int expression_number(struct parser *p)
{
    size_t begin = p->i, end = skip_digits(p, begin), after;
    struct slice num, den;
    struct expression_value value, part, whole;
    const struct op *op = top_op(p);

    if (op && op->kind == OP_FRAC && end > begin)
        end = begin + 1; /* \frac12 */
    else if (expression_at(p, end) == '.' && answer_is_digit(expression_at(p, end + 1)))
        end = skip_digits(p, end + 1);
    if (!decimal_value(&value, answer_slice(p->t.text, begin, end)))
        return 0;
    p->i = end;
    if (expression_at(p, end) == '_') {
        expression_variable(&value, read_subscript(p, hash(p->t.text + begin, end - begin, 77)));
        return expression_push_value(p, &value, LAST_NAME);
    }
    if ((expression_at(p, end) == 'e' || expression_at(p, end) == 'E') && (!op || op->kind != OP_FRAC)) {
        size_t digits = end + 1 + (expression_at(p, end + 1) == '-' || expression_at(p, end + 1) == '+');

        after = skip_digits(p, digits);
        if (after > digits && after - digits < 4) {
            expression_integer(&whole, 10);
            expression_integer(&part, strtol(p->t.text + end + 1, NULL, 10));
            p->i = after;
            return expression_binary(&whole, '^', &part) && expression_binary(&value, '*', &whole) &&
                   expression_push_value(p, &value, LAST_NUMBER);
        }
    }
    after = mixed_part(p, end, &num, &den);
    if (after > end && value.exact && value.d == 1 && (!op || op->kind != OP_FRAC)) {
        if (!decimal_value(&part, num) || !decimal_value(&whole, den) || !expression_binary(&part, '/', &whole))
            return 0;
        p->i = after;
        if (!expression_binary(&value, '+', &part))
            return 0;
    }
    return expression_push_value(p, &value, LAST_NUMBER);
}

/* "^2" or "^{-1}" behind a function's name. */
static int read_function_power(struct parser *p, struct op *op)
{
    size_t i = p->i + 1, braces = expression_at(p, i) == '{', end;

    i += braces;
    end = skip_digits(p, i + (expression_at(p, i) == '-'));
    if (end == i || end - i > 2 || (braces && expression_at(p, end) != '}') || (!braces && end - i > 1))
        return 0;
    op->number = (int)strtol(p->t.text + i, NULL, 10);
    p->i = end + braces;
    return op->number >= -1 && op->number != 0;
}

/* "_2" or "_{10}" behind log. */
static int read_log_base(struct parser *p, struct op *op)
{
    size_t i = p->i + 1, braces = expression_at(p, i) == '{', end;

    i += braces;
    end = skip_digits(p, i);
    if (end == i || end - i > 6 || (braces && expression_at(p, end) != '}'))
        return 0;
    op->base = (double)strtol(p->t.text + i, NULL, 10);
    p->i = end + braces;
    return op->base > 1;
}

static int push_function(struct parser *p, const char *name)
{
    struct op op = {.kind = OP_FUNCTION, .precedence = 3, .number = 1, .name = name};

    if (expression_at(p, p->i) == '_' && strcmp(name, "log") == 0 && !read_log_base(p, &op))
        return 0;
    p->i = skip_spaces(p, p->i);
    if (expression_at(p, p->i) == '^' && !read_function_power(p, &op))
        return 0;
    return expression_push_op(p, op);
}

const char *expression_function_name(struct slice word)
{
    static const char *const names[] = {"sin",  "cos",  "tan",  "cot",    "sec",    "csc",    "log",
                                        "ln",   "lg",   "exp",  "arcsin", "arccos", "arctan", "sinh",
                                        "cosh", "tanh", "asin", "acos",   "atan"};

    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (word.length == strlen(names[k]) && memcmp(word.text, names[k], word.length) == 0)
            return names[k];
    return NULL;
}

static int word_is(struct slice word, const char *text)
{
    return word.length == strlen(text) && memcmp(word.text, text, word.length) == 0;
}

/* \sqrt, \sqrt[3]. */
static int read_root(struct parser *p)
{
    struct op op = {.kind = OP_ROOT, .number = 2};

    if (expression_at(p, p->i) == '[') {
        size_t end = skip_digits(p, p->i + 1);

        if (end == p->i + 1 || end - p->i > 3 || expression_at(p, end) != ']')
            return 0;
        op.number = (int)strtol(p->t.text + p->i + 1, NULL, 10);
        p->i = end + 1;
    }
    return expression_push_op(p, op);
}

/* A command that makes a name of its argument: \vec{a}, \overline{AB}. */
static int is_decoration(struct slice word)
{
    static const char *const names[] = {"vec",    "overrightarrow", "overline", "bar",  "hat",
                                        "mathbb", "mathcal",        "text",     "tilde"};

    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (word_is(word, names[k]))
            return 1;
    return 0;
}

static int push_name(struct parser *p, const char *text, size_t length, uint64_t seed)
{
    struct expression_value value;

    expression_variable(&value, read_subscript(p, hash(text, length, seed)));
    return expression_push_value(p, &value, LAST_NAME);
}

static int is_greek(struct slice word)
{
    static const char *const names[] = {
        "alpha", "beta",  "gamma", "delta",    "epsilon", "theta", "lambda", "mu",    "phi",        "omega",
        "infty", "sigma", "rho",   "varphi",   "eta",     "zeta",  "kappa",  "nu",    "xi",         "tau",
        "chi",   "psi",   "Delta", "emptyset", "Omega",   "ell",   "Gamma",  "Theta", "varnothing", "degree"};

    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (word_is(word, names[k]))
            return 1;
    return 0;
}

int expression_command(struct parser *p)
{
    size_t begin = p->i + 1, end = begin;
    struct slice word;
    struct expression_value value;

    while (answer_is_letter(expression_at(p, end)))
        end++;
    word = answer_slice(p->t.text, begin, end);
    p->i = end;
    if (word_is(word, "frac") || word_is(word, "binom")) {
        struct op op = {.kind = word.text[0] == 'f' ? OP_FRAC : OP_BINOM, .number = 2};

        return expression_push_op(p, op);
    }
    if (word_is(word, "sqrt"))
        return read_root(p);
    if (expression_function_name(word))
        return push_function(p, expression_function_name(word));
    if (word_is(word, "pi")) {
        expression_constant(&value, 3.14159265358979323846, 0);
        return expression_push_value(p, &value, LAST_NAME);
    }
    if (is_decoration(word) && expression_at(p, end) == '{') {
        size_t close = end;

        while (close < p->t.length && p->t.text[close] != '}')
            close++;
        p->i = close < p->t.length ? close + 1 : close;
        return push_name(p, p->t.text + begin, close - begin, 99);
    }
    return is_greek(word) && push_name(p, word.text, word.length, 99);
}

/* pi, sin, sqrt, a variable; of "abc" the first letter. Words of four letters and more are no formulas. */
int expression_letters(struct parser *p)
{
    size_t end = p->i;
    struct slice word;
    struct expression_value value;
    char c;

    while (answer_is_letter(expression_at(p, end)))
        end++;
    word = answer_slice(p->t.text, p->i, end);
    c = *word.text;
    if (word_is(word, "sqrt")) {
        p->i = end;
        return read_root(p);
    }
    if (expression_function_name(word)) {
        p->i = end;
        return push_function(p, expression_function_name(word));
    }
    if (word_is(word, "pi")) {
        p->i = end;
        expression_constant(&value, 3.14159265358979323846, 0);
        return expression_push_value(p, &value, LAST_NAME);
    }
    if (word.length > 3 && !(p->i && answer_is_letter(p->t.text[p->i - 1])))
        return 0;
    p->i++;
    if ((c == 'e' || c == 'i') && expression_at(p, p->i) != '_') {
        expression_constant(&value, c == 'e' ? 2.71828182845904523536 : 0, c == 'i');
        return expression_push_value(p, &value, LAST_NAME);
    }
    return push_name(p, &c, 1, 55);
}
