/* answer_token.c - numbers as people write them, in plain text.
 *
 *   -$1,234.50   .5   12,34,567   10,\!080   1{,}000   1.5e-3   1.5 \times 10^{3}   3/4   \frac{3}{4}   \frac34
 *   1 1/2   1\frac{1}{2}   50%   50 \%   5 percent   5:30 (a text)   5/12/2020 (a text)
 *
 * Digits that belong to a word (x2, H2O) are no number. Time is linear: every branch looks ahead a bounded distance or
 * consumes what it looked at.
 * Leaves out: formulas (expression.c), comparison and where the answer stands (answer_number.c). */
#include <stdlib.h>

#include "answer_parts.h"

/* ---- lexing ---- */

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

static size_t skip_blanks(struct slice t, size_t i)
{
    for (;;) {
        if (at(t, i) == ' ' || at(t, i) == '~')
            i++;
        else if (at(t, i) == '\\' &&
                 (at(t, i + 1) == ' ' || at(t, i + 1) == ',' || at(t, i + 1) == ';' || at(t, i + 1) == '!'))
            i += 2;
        else
            return i;
    }
}

/* Behind a separator of thousands at i, or i. */
static size_t skip_separator(struct slice t, size_t i)
{
    static const char *const separators[] = {",\\! ", ",\\!", "{,}", "\\,", ","};

    for (size_t k = 0; k < sizeof separators / sizeof *separators; k++)
        if (answer_has(t, i, separators[k]))
            return i + strlen(separators[k]);
    if (answer_has(t, i, " 000") && !answer_is_digit(at(t, i + 4)))
        return i + 1; /* 100 000; other groups after a space are numbers of their own */
    return i;
}

static int digit_run(struct slice t, size_t i, size_t n)
{
    return skip_digits(t, i) - i == n;
}

/* 12,34,567: groups of two, then one of three. */
static size_t skip_indian(struct slice t, size_t i)
{
    size_t end = skip_digits(t, i), groups = 0;

    if (end - i > 2)
        return i;
    while (at(t, end) == ',' && digit_run(t, end + 1, 2) && groups < 8) {
        end += 3;
        groups++;
    }
    return groups && at(t, end) == ',' && digit_run(t, end + 1, 3) ? end + 4 : i;
}

/* The end of digits with separators and decimals at i, or i. */
static size_t skip_simple(struct slice t, size_t i)
{
    size_t end = skip_digits(t, i), indian;

    if (end > i && end - i <= 3) {
        indian = skip_indian(t, i);
        for (size_t next; (next = skip_separator(t, end)) > end && digit_run(t, next, 3);)
            end = next + 3;
        end = indian > end ? indian : end;
    }
    if (at(t, end) == '.' && answer_is_digit(at(t, end + 1)))
        end = skip_digits(t, end + 1);
    return end;
}

/* The word that ends at i: may digits follow it directly? Yes behind a LaTeX command, a currency, or "3x4". */
static int word_allows(struct slice t, size_t i)
{
    static const char *const words[] = {"rs", "usd", "eur", "inr", "gbp", "us", "cad", "aud"};
    size_t begin = i;

    while (begin && answer_is_letter(t.text[begin - 1]) && i - begin < 16)
        begin--;
    if (begin && t.text[begin - 1] == '\\')
        return 1;
    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        if (i - begin == strlen(words[k]) && answer_has(t, begin, words[k]))
            return 1;
    return i - begin == 1 && answer_lower(t.text[begin]) == 'x' && begin && answer_is_digit(t.text[begin - 1]);
}

/* May a number start at i, given what is before it? */
static int starts_number(struct slice t, size_t i)
{
    char before = i ? t.text[i - 1] : ' ';

    if (answer_is_letter(before))
        return word_allows(t, i);
    return !answer_is_digit(before) && before != '_' && !(before == '.' && i > 1 && answer_is_digit(t.text[i - 2]));
}

static int ends_operand(char c)
{
    return answer_is_digit(c) || answer_is_letter(c) || c == ')' || c == ']' || c == '}' || c == '%';
}

static int ends_amount(char c)
{
    return answer_is_digit(c) || c == ')' || c == '%';
}

/* Looks back from a number at i for its sign, across a currency sign: -$7, $-7, "minus 7". Moves *begin to it. */
static int look_back_sign(struct slice t, size_t i, size_t *begin)
{
    size_t k = i;

    while (k && (t.text[k - 1] == '$' || (t.text[k - 1] == '\\' && t.text[k] == '$')))
        k--;
    if (k && t.text[k - 1] == '-' && (k < 2 || !ends_operand(t.text[k - 2]))) {
        *begin = k - 1;
        return 1;
    }
    for (size_t length = 6; length <= 9; length += 3) { /* "minus ", "negative " */
        const char *word = length == 6 ? "minus " : "negative ";

        if (k >= length && answer_has(t, k - length, word) && (k == length || t.text[k - length - 1] == ' ') &&
            (length == 9 || k < 8 || !ends_amount(t.text[k - length - 2]))) {
            *begin = k - length;
            return 1;
        }
    }
    return 0;
}

/* ---- parts behind the digits ---- */

/* e-3, x 10^{-3}, \times 10^3. */
static size_t read_exponent(struct answer_token *token, struct slice t, size_t i)
{
    static const char *const times[] = {"*", "\\times", "\\cdot", "x"};
    size_t k = i, end, braces;
    int negative;

    if (answer_lower(at(t, i)) == 'e') {
        k = i + 1;
    } else {
        size_t start = k = skip_blanks(t, i);

        for (size_t j = 0; j < 4 && k == start; j++)
            if (answer_has(t, k, times[j]))
                k += strlen(times[j]);
        k = k == start ? i : skip_blanks(t, k);
        if (k == i || !answer_has(t, k, "10^"))
            return i;
        k += 3;
    }
    braces = at(t, k) == '{';
    k += braces;
    negative = at(t, k) == '-';
    k += negative || at(t, k) == '+';
    end = skip_digits(t, k);
    if (end == k || end - k > 4 || (braces && at(t, end) != '}') || (!braces && answer_is_letter(at(t, end))))
        return i;
    token->exponent = strtol(t.text + k, NULL, 10) * (negative ? -1 : 1);
    return end + braces;
}

/* One argument of \frac: {digits} or one digit. */
static size_t read_argument(struct slice *argument, int *negative, struct slice t, size_t i)
{
    size_t k = i, end;

    while (at(t, k) == ' ')
        k++;
    if (answer_is_digit(at(t, k))) {
        *argument = answer_slice(t.text, k, k + 1);
        return k + 1;
    }
    if (at(t, k) != '{')
        return i;
    k = skip_blanks(t, k + 1);
    if (at(t, k) == '-') {
        *negative ^= 1;
        k++;
    }
    end = skip_simple(t, k);
    *argument = answer_slice(t.text, k, end);
    return end > k && at(t, skip_blanks(t, end)) == '}' ? skip_blanks(t, end) + 1 : i;
}

/* \frac{1}{2} at i: its end, or i. */
static size_t read_frac(struct answer_token *token, struct slice t, size_t i)
{
    size_t k = i + 1, first, end;

    if (at(t, i) != '\\')
        return i;
    if (at(t, k) == 'd' || at(t, k) == 't' || at(t, k) == 'c')
        k++;
    if (!answer_has(t, k, "frac"))
        return i;
    k += 4;
    first = read_argument(&token->num, &token->negative, t, k);
    end = first > k ? read_argument(&token->den, &token->negative, t, first) : k;
    if (first > k && end > first)
        return end;
    token->num.length = token->den.length = 0;
    return i;
}

/* Digits "/" digits at i: its end, or i. */
static size_t read_slash(struct answer_token *token, struct slice t, size_t i)
{
    size_t slash = skip_digits(t, i), end = skip_digits(t, slash + 1);

    if (slash == i || at(t, slash) != '/' || end == slash + 1)
        return i;
    token->num = answer_slice(t.text, i, slash);
    token->den = answer_slice(t.text, slash + 1, end);
    return end;
}

/* A proper fraction behind a whole number: 1 1/2, 1\frac12. */
static size_t read_mixed(struct answer_token *token, struct slice t, size_t i)
{
    size_t k = skip_blanks(t, i), end = read_frac(token, t, k);
    int negative = token->negative;

    if (end == k && k > i)
        end = read_slash(token, t, k);
    if (end > k && negative == token->negative && at(t, end) != '/' &&
        (token->num.length < token->den.length ||
         (token->num.length == token->den.length && memcmp(token->num.text, token->den.text, token->num.length) < 0)))
        return end;
    token->num.length = token->den.length = 0;
    token->negative = negative;
    return i;
}

/* 5:30, 5:30:10; 5/12/2020. */
static size_t read_text(struct slice t, size_t i)
{
    size_t end = i;
    char sign = at(t, i);

    if (sign != ':' && sign != '/')
        return i;
    while (at(t, end) == sign && answer_is_digit(at(t, end + 1)))
        end = skip_digits(t, end + 1);
    return end;
}

static size_t read_percent(struct answer_token *token, struct slice t, size_t i)
{
    size_t k = skip_blanks(t, i);

    if (at(t, k) == '}' && at(t, k + 1) == '\\' && at(t, k + 2) == '%')
        k++;
    if (at(t, k) == '%' || (at(t, k) == '\\' && at(t, k + 1) == '%')) {
        token->percent = 1;
        return at(t, k) == '%' ? k + 1 : k + 2;
    }
    if (answer_has(t, k, "percent") && k > i && !answer_has(t, k, "percentage")) {
        token->percent = 1;
        return k + 7;
    }
    return i;
}

/* The number whose digits or \frac start at i; 0: there is none. */
static int read_token(struct answer_token *token, struct slice t, size_t i)
{
    size_t end, text;

    memset(token, 0, sizeof *token);
    token->begin = i;
    token->negative = look_back_sign(t, i, &token->begin);
    end = read_frac(token, t, i);
    if (end == i) {
        end = skip_simple(t, i);
        if (end == i)
            return 0;
        text = read_text(t, end);
        if (text > end && (at(t, end) == ':' || memchr(t.text + end + 1, '/', text - end - 1))) {
            token->is_text = 1;
            token->end = text;
            return 1;
        }
        if (text > end) {
            token->num = answer_slice(t.text, i, end);
            token->den = answer_slice(t.text, end + 1, text);
            end = text;
        } else {
            token->whole = answer_slice(t.text, i, end);
            text = end;
            end = read_exponent(token, t, end);
            if (end == text && !memchr(token->whole.text, '.', token->whole.length))
                end = read_mixed(token, t, end);
        }
    }
    token->end = read_percent(token, t, end);
    return 1;
}

int answer_token_next(struct answer_token *token, struct slice text, size_t from)
{
    for (size_t i = from; i < text.length; i++) {
        char c = text.text[i];

        if (answer_is_digit(c)) {
            if (starts_number(text, i) && read_token(token, text, i))
                return 1;
            i = skip_digits(text, i) - 1;
        } else if (c == '.' && answer_is_digit(at(text, i + 1)) && (i == 0 || !answer_is_digit(text.text[i - 1]))) {
            if ((i == 0 || !answer_is_letter(text.text[i - 1])) && read_token(token, text, i))
                return 1;
        } else if (c == '\\' && read_token(token, text, i)) {
            return 1;
        }
    }
    return 0;
}

/* ---- normal form ---- */

/* Appends the decimal without separators, leading or trailing zeros, moved by `exponent` powers of ten. */
static void put_decimal(struct buffer *out, struct slice t, long exponent)
{
    struct buffer digits = {0};
    long point = 0, first = 0, last;
    int seen = 0;

    for (size_t i = 0; i < t.length; i++) {
        if (answer_is_digit(t.text[i])) {
            buffer_byte(&digits, t.text[i]);
            point += !seen;
        }
        seen |= t.text[i] == '.';
    }
    last = (long)digits.length;
    point += exponent;
    while (first < last && digits.data[first] == '0')
        first++;
    while (last > first && digits.data[last - 1] == '0')
        last--;
    if (first == last) {
        buffer_byte(out, '0');
    } else {
        if (point <= first)
            buffer_text(out, "0.");
        for (long i = point; i < first; i++)
            buffer_byte(out, '0');
        for (long i = first; i < last || i < point; i++) {
            if (i == point && i > first)
                buffer_byte(out, '.');
            buffer_byte(out, i < last ? digits.data[i] : '0');
        }
    }
    out->failed |= digits.failed;
    buffer_free(&digits);
}

int answer_multiply(int64_t *product, int64_t a, int64_t b)
{
    int64_t high = INT64_MAX;

    if (a == INT64_MIN || b == INT64_MIN)
        return 0;
    if (a && llabs(b) > high / llabs(a))
        return 0;
    *product = a * b;
    return 1;
}

int answer_reduce(int64_t *n, int64_t *d)
{
    int64_t a, b;

    if (*d == 0 || *n == INT64_MIN || *d == INT64_MIN)
        return 0;
    for (a = llabs(*n), b = llabs(*d); b;) {
        int64_t rest = a % b;

        a = b;
        b = rest;
    }
    a = *d < 0 ? -a : a;
    *n /= a;
    *d /= a;
    return 1;
}

/* Digits, sign and one point, at most 18 digits, as n / 10^places. */
int answer_rational(int64_t *n, int64_t *d, struct slice t)
{
    int64_t value = 0, scale = 1, sign = 1;
    size_t count = 0;
    int behind = 0;

    for (size_t i = 0; i < t.length; i++) {
        if (t.text[i] == '-' && i == 0) {
            sign = -1;
        } else if (t.text[i] == '.' && !behind) {
            behind = 1;
        } else if (answer_is_digit(t.text[i]) && count < 18) {
            value = value * 10 + (t.text[i] - '0');
            scale *= behind ? 10 : 1;
            count++;
        } else if (t.text[i] != ',') {
            return 0;
        }
    }
    *n = sign * value;
    *d = scale;
    return count && answer_reduce(n, d);
}

/* (whole + num / den) in lowest terms, when it fits. */
static int fraction_value(const struct answer_token *token, int64_t *n, int64_t *d)
{
    int64_t a, b, whole = 0, one = 1, wa, ab;

    if (!answer_rational(n, &a, token->num) || !answer_rational(d, &b, token->den) || *d == 0)
        return 0;
    if (token->whole.length && (!answer_rational(&whole, &one, token->whole) || one != 1))
        return 0;
    /* (n / a) / (d / b) = n b / (a d) */
    if (!answer_multiply(n, *n, b) || !answer_multiply(d, *d, a) || !answer_reduce(n, d))
        return 0;
    if (!answer_multiply(&wa, whole, *d) || wa > INT64_MAX / 2 || *n > INT64_MAX / 2)
        return 0;
    ab = wa + *n;
    *n = token->negative ? -ab : ab;
    return answer_reduce(n, d);
}

void answer_token_put(struct buffer *out, struct slice text, const struct answer_token *token)
{
    size_t before = out->length;
    int64_t n, d;

    if (token->is_text) {
        buffer_append(out, text.text + token->begin, token->end - token->begin);
        return;
    }
    if (token->num.length && fraction_value(token, &n, &d)) {
        buffer_format(out, d == 1 ? "%lld" : "%lld/%lld", (long long)n, (long long)d);
    } else {
        if (token->negative)
            buffer_byte(out, '-');
        if (token->num.length) {
            put_decimal(out, token->num, 0);
            buffer_byte(out, '/');
            put_decimal(out, token->den, 0);
        } else {
            put_decimal(out, token->whole, token->exponent);
        }
        if (!out->failed && out->length - before == 2 && memcmp(out->data + before, "-0", 2) == 0) {
            out->length = before;
            buffer_byte(out, '0');
        }
    }
    if (token->percent)
        buffer_byte(out, '%');
}
