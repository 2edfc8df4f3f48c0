/* jinja_lex.c - cuts a template's source into text and tokens.
 *
 *   Hi {{ name }}{% if x -%}   !      ->   TEXT "Hi "  PRINT NAME CLOSE  TAG NAME NAME CLOSE  TEXT "!"
 *
 * White space as chat templates are published for it (trim_blocks and lstrip_blocks on, keep_trailing_newline off):
 * the newline behind a tag or comment goes; blanks in front of a tag or comment that begins its line go; a minus sign
 * inside any bracket takes all white space on its side; a plus sign keeps it; the last newline of the source goes.
 * Source of the rules: Jinja's template designer documentation. */
#include "jinja_lex.h"
#include <stdlib.h>
#include <string.h>
#include "utf8.h"

void jinja_lex_begin(struct jlexer *lexer, const char *source, size_t length, struct arena *arena, struct diag *diag)
{
    memset(lexer, 0, sizeof *lexer);
    if (length && source[length - 1] == '\n')
        length--;
    lexer->source = lexer->at = source;
    lexer->end = source + length;
    lexer->line = 1;
    lexer->line_start = 1;
    lexer->arena = arena;
    lexer->diag = diag;
}

static struct jtoken token_of(const struct jlexer *l, enum jtoken_type type, const char *text, size_t length)
{
    struct jtoken token = {type, l->line, text, length, 0, 0};

    return token;
}

static struct jtoken fail(struct jlexer *l, const char *expected)
{
    if (!l->status)
        l->status = diag_fail(l->diag, STATUS_FORMAT, "chat template: line %u: expected %s, found '%.12s'", l->line,
                              expected, l->at < l->end ? l->at : "the end");
    l->at = l->end;
    return token_of(l, T_END, "", 0);
}

static int is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void advance(struct jlexer *l, const char *to)
{
    for (; l->at < to; l->at++)
        l->line += *l->at == '\n';
}

/* The next "{{", "{%" or "{#", or the end. */
static const char *next_open(const struct jlexer *l)
{
    for (const char *p = l->at; p + 1 < l->end; p++) {
        if (*p == '{' && (p[1] == '{' || p[1] == '%' || p[1] == '#'))
            return p;
    }
    return l->end;
}

/* What the tag at `open` leaves of the text in front of it. */
static const char *text_end(const struct jlexer *l, const char *start, const char *open)
{
    const char *end = open, *line;

    if (open < l->end && open + 2 < l->end && open[2] == '-') {
        while (end > start && is_space(end[-1]))
            end--;
        return end;
    }
    if (open >= l->end || open[1] == '{' || (open + 2 < l->end && open[2] == '+'))
        return open;
    for (line = open; line > start && is_space(line[-1]) && line[-1] != '\n';)
        line--;
    return line > start ? (line[-1] == '\n' ? line : open) : l->line_start ? line : open;
}

/* Behind a tag: white space that it takes. `block` is not so for {{ }}. */
static void after_tag(struct jlexer *l, int minus, int plus, int block)
{
    const char *p = l->at;

    l->line_start = 0;
    if (minus) {
        while (p < l->end && is_space(*p))
            p++;
        l->line_start = p > l->at && p[-1] == '\n';
    } else if (block && !plus && p < l->end && *p == '\n') {
        p++;
        l->line_start = 1;
    }
    advance(l, p);
}

static void skip_comment(struct jlexer *l)
{
    for (const char *p = l->at + 2; p + 1 < l->end; p++) {
        if (*p == '#' && p[1] == '}') {
            int minus = p[-1] == '-' && p > l->at + 2, plus = p[-1] == '+' && p > l->at + 2;
            advance(l, p + 2);
            after_tag(l, minus, plus, 1);
            return;
        }
    }
    fail(l, "the end of a comment");
}

/* Text up to the next tag, then the tag's opening. */
static struct jtoken lex_text(struct jlexer *l)
{
    const char *start = l->at, *open = next_open(l), *end = text_end(l, start, open);
    struct jtoken token = token_of(l, T_TEXT, start, (size_t)(end - start));

    if (open > start) {
        l->line_start = 0;
        advance(l, open);
        if (token.length)
            return token;
    }
    if (l->at >= l->end)
        return token_of(l, T_END, "", 0);
    if (l->at[1] == '#') {
        skip_comment(l);
        return l->status ? token_of(l, T_END, "", 0) : token_of(l, T_TEXT, l->at, 0);
    }
    l->inside = l->at[1] == '{' ? 1 : 2;
    token = token_of(l, l->inside == 1 ? T_PRINT : T_TAG, l->at, 2);
    l->at += 2;
    l->brackets = 0;
    if (l->at < l->end && (*l->at == '-' || (*l->at == '+' && l->inside == 2)))
        l->at++;
    return token;
}

static unsigned hex(const char *p, int digits)
{
    unsigned value = 0;

    for (int i = 0; i < digits; i++) {
        int c = p[i] | 32;
        value = value * 16 + (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return value;
}

static int are_hex(const struct jlexer *l, const char *p, int digits)
{
    for (int i = 0; i < digits; i++) {
        if (p + i >= l->end || !strchr("0123456789abcdefABCDEF", p[i]))
            return 0;
    }
    return 1;
}

/* Writes the character of the escape at p (behind the backslash); returns the bytes read. */
static size_t unescape(const struct jlexer *l, const char *p, char **out)
{
    static const char from[] = "nrtbfav\\'\"", to[] = "\n\r\t\b\f\a\v\\'\"";
    const char *known = memchr(from, *p, sizeof from - 1);
    int digits = *p == 'x' ? 2 : *p == 'u' ? 4 : *p == 'U' ? 8 : 0;

    if (known) {
        *(*out)++ = to[known - from];
        return 1;
    }
    if (digits && are_hex(l, p + 1, digits)) {
        unsigned code = hex(p + 1, digits);
        *out += utf8_encode(*out, code > 0x10FFFF || (code >= 0xD800 && code < 0xE000) ? 0xFFFD : code);
        return (size_t)digits + 1;
    }
    *(*out)++ = '\\';
    return 0;
}

static struct jtoken lex_string(struct jlexer *l)
{
    char quote = *l->at, *text, *out;
    const char *p = l->at + 1, *close = p;
    struct jtoken token;

    while (close < l->end && *close != quote)
        close += *close == '\\' && close + 1 < l->end ? 2 : 1;
    if (close >= l->end)
        return fail(l, "the end of a string");
    out = text = arena_alloc(l->arena, (size_t)(close - p) + 1);
    if (!text) {
        l->status = diag_fail(l->diag, STATUS_MEMORY, "chat template: no memory");
        return token_of(l, T_END, "", 0);
    }
    while (p < close) {
        if (*p != '\\') {
            *out++ = *p++;
        } else {
            p++;
            p += unescape(l, p, &out);
        }
    }
    token = token_of(l, T_STRING, text, (size_t)(out - text));
    advance(l, close + 1);
    return token;
}

static struct jtoken lex_number(struct jlexer *l)
{
    const char *p = l->at;
    char digits[32];
    struct jtoken token;
    int real = 0;

    while (p < l->end && ((*p >= '0' && *p <= '9') || *p == '_'))
        p++;
    if (p + 1 < l->end && *p == '.' && p[1] >= '0' && p[1] <= '9') {
        real = 1;
        for (p++; p < l->end && *p >= '0' && *p <= '9';)
            p++;
    }
    if ((size_t)(p - l->at) >= sizeof digits)
        return fail(l, "a shorter number");
    memcpy(digits, l->at, (size_t)(p - l->at));
    digits[p - l->at] = '\0';
    token = token_of(l, real ? T_FLOAT : T_INT, l->at, (size_t)(p - l->at));
    token.integer = strtoll(digits, NULL, 10);
    token.real = strtod(digits, NULL);
    l->at = p;
    return token;
}

static int is_name(char c, int first)
{
    return c == '_' || ((c | 32) >= 'a' && (c | 32) <= 'z') || (!first && c >= '0' && c <= '9') ||
           (unsigned char)c >= 0x80;
}

static struct jtoken lex_sign(struct jlexer *l)
{
    static const char *const two[] = {"==", "!=", "<=", ">=", "//", "**"};
    struct jtoken token = token_of(l, T_SIGN, l->at, 1);

    if (!strchr("+-*/%~=!<>.,:|()[]{}", *l->at))
        return fail(l, "an expression");
    for (size_t i = 0; i < sizeof two / sizeof two[0]; i++) {
        if (l->at + 1 < l->end && memcmp(l->at, two[i], 2) == 0)
            token.length = 2;
    }
    l->brackets += strchr("([{", *l->at) != NULL;
    l->brackets -= strchr(")]}", *l->at) != NULL;
    l->at += token.length;
    return token;
}

/* The end of a tag, with its signs; 0 when there is none here. */
static int lex_close(struct jlexer *l)
{
    const char *p = l->at;
    int minus = *p == '-', plus = *p == '+' && l->inside == 2;

    p += minus || plus;
    if (l->brackets > 0 || p + 1 >= l->end || p[0] != (l->inside == 1 ? '}' : '%') || p[1] != '}')
        return 0;
    l->at = p + 2;
    after_tag(l, minus, plus, l->inside == 2);
    l->inside = 0;
    return 1;
}

struct jtoken jinja_lex(struct jlexer *l)
{
    struct jtoken token;
    const char *p;

    if (l->status)
        return token_of(l, T_END, "", 0);
    if (!l->inside)
        return lex_text(l);
    for (p = l->at; p < l->end && is_space(*p);)
        p++;
    advance(l, p);
    if (l->at >= l->end)
        return fail(l, "the end of a tag");
    token = token_of(l, T_CLOSE, l->at, 0);
    if (lex_close(l))
        return token;
    if (*l->at == '\'' || *l->at == '"')
        return lex_string(l);
    if (*l->at >= '0' && *l->at <= '9')
        return lex_number(l);
    if (!is_name(*l->at, 1))
        return lex_sign(l);
    for (p = l->at; p < l->end && is_name(*p, 0);)
        p++;
    token = token_of(l, T_NAME, l->at, (size_t)(p - l->at));
    l->at = p;
    return token;
}
