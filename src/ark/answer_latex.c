/* answer_latex.c - formulas in one spelling: what LaTeX and people write in many ways.
 *
 *   "\dfrac{1}{2}\,\text{ cm}^{2}"  ->  "\frac{1}{2} \text{cm}^{2}"        "90^{\circ}"  ->  "90\deg"
 *   "$\left( 3, 10{,}080 \right)$"  ->  "( 3, 10080 )"                       "x \leq 5\%"  ->  "x \le 5%"
 *
 * Sizes, spacing, dollar signs and styles go; signs get their plain form; white space is single. The text stays a text:
 * what it means is expression.c's and answer_math.c's business. Every byte is looked at a bounded number of times. */
#include "answer_parts.h"

static char at(struct slice t, size_t i)
{
    return i < t.length ? t.text[i] : 0;
}

static char last_byte(const struct buffer *out)
{
    return out->length ? out->data[out->length - 1] : 0;
}

static void put_space(struct buffer *out)
{
    if (out->length && last_byte(out) != ' ')
        buffer_byte(out, ' ');
}

/* ---- commands ---- */

struct spelling {
    const char *command, *text;
};

static const struct spelling spellings[] = {
    {"dfrac", "\\frac"},
    {"tfrac", "\\frac"},
    {"cfrac", "\\frac"},
    {"dbinom", "\\binom"},
    {"tbinom", "\\binom"},
    {"left", ""},
    {"right", ""},
    {"big", ""},
    {"Big", ""},
    {"bigg", ""},
    {"Bigg", ""},
    {"bigl", ""},
    {"bigr", ""},
    {"Bigl", ""},
    {"Bigr", ""},
    {"displaystyle", ""},
    {"textstyle", ""},
    {"limits", ""},
    {"boxed", ""},
    {"fbox", ""},
    {"mathbf", ""},
    {"mathit", ""},
    {"boldsymbol", ""},
    {"bm", ""},
    {"mathsf", ""},
    {"cdot", "*"},
    {"times", "*"},
    {"ast", "*"},
    {"div", "/"},
    {"lt", "<"},
    {"gt", ">"},
    {"le", "\\le "},
    {"leq", "\\le "},
    {"leqslant", "\\le "},
    {"ge", "\\ge "},
    {"geq", "\\ge "},
    {"geqslant", "\\ge "},
    {"ne", "\\ne "},
    {"neq", "\\ne "},
    {"lvert", "|"},
    {"rvert", "|"},
    {"vert", "|"},
    {"mid", "|"},
    {"lbrace", "\\{"},
    {"rbrace", "\\}"},
    {"colon", ":"},
    {"varnothing", "\\emptyset "},
    {"quad", " "},
    {"qquad", " "},
    {"lparen", "("},
    {"rparen", ")"},
    {"infin", "\\infty "},
    {"dots", "..."},
    {"ldots", "..."},
    {"cdots", "..."},
    {"approx", "\\approx "},
    {"lbrack", "["},
    {"rbrack", "]"},
    {"simeq", "\\approx "},
};

static const char *const text_commands[] = {"text",   "mbox",   "textbf", "textit", "textrm",       "mathrm",
                                            "textsf", "texttt", "hbox",   "rm",     "operatorname", "mathop"};

static int word_in(struct slice word, const char *const *list, size_t n)
{
    for (size_t k = 0; k < n; k++)
        if (word.length == strlen(list[k]) && memcmp(word.text, list[k], word.length) == 0)
            return 1;
    return 0;
}

/* "^\circ" and "^{\circ}": the sign of degrees; the place behind it in the text. */
static size_t put_degrees(struct buffer *out, struct slice t, size_t i)
{
    size_t braces = out->length > 1 && memcmp(out->data + out->length - 2, "^{", 2) == 0 ? 2 : 0;
    size_t drop = braces ? 2 : last_byte(out) == '^';

    if (!out->failed && out->length) {
        out->length -= drop;
        out->data[out->length] = 0;
    }
    buffer_text(out, "\\deg ");
    while (at(t, i) == ' ')
        i++;
    return braces && at(t, i) == '}' ? i + 1 : i;
}

/* \text{ ... } at its brace: " and ", " or ", or \text{trimmed}. Returns the place behind it. */
static size_t put_text(struct buffer *out, struct slice t, size_t brace)
{
    const char *close = memchr(t.text + brace, '}', t.length - brace);
    size_t end = close ? (size_t)(close - t.text) : t.length;
    struct slice inside = answer_trim(answer_slice(t.text, brace + 1, end));

    if ((inside.length == 3 && answer_has(inside, 0, "and")) || (inside.length == 2 && answer_has(inside, 0, "or"))) {
        put_space(out);
        buffer_append(out, inside.text, inside.length);
        put_space(out);
    } else if (inside.length) {
        buffer_text(out, "\\text{");
        buffer_append(out, inside.text, inside.length);
        buffer_byte(out, '}');
    }
    return end + (end < t.length);
}

/* A command \word at i; returns the place behind it. */
static size_t put_command(struct buffer *out, struct slice t, size_t i)
{
    size_t end = i + 1, brace;
    struct slice word;

    while (answer_is_letter(at(t, end)))
        end++;
    word = answer_slice(t.text, i + 1, end);
    for (brace = end; at(t, brace) == ' ';)
        brace++;
    if (word_in(word, (const char *const[]){"circ", "degree", "degrees"}, 3))
        return put_degrees(out, t, end);
    if (at(t, brace) == '{' && word_in(word, text_commands, sizeof text_commands / sizeof *text_commands))
        return put_text(out, t, brace);
    for (size_t k = 0; k < sizeof spellings / sizeof *spellings; k++)
        if (word.length == strlen(spellings[k].command) && memcmp(word.text, spellings[k].command, word.length) == 0) {
            if (spellings[k].text[0] == ' ')
                put_space(out);
            else
                buffer_text(out, spellings[k].text);
            return end;
        }
    buffer_append(out, t.text + i, end - i);
    if (at(t, end) == ' ' && answer_is_letter(at(t, end + 1))) {
        buffer_byte(out, ' ');
        end++;
    }
    return end;
}

/* A backslash and one sign at i; returns the place behind it. */
static size_t put_escape(struct buffer *out, struct slice t, size_t i)
{
    char c = at(t, i + 1);

    switch (c) {
    case ',':
    case ';':
    case ':':
    case '>':
    case ' ':
        if (!(answer_is_digit(last_byte(out)) && answer_is_digit(at(t, i + 2))))
            put_space(out);
        return i + 2;
    case '!':
    case '$':
    case '(':
    case ')':
    case '[':
    case ']':
        return i + 2;
    case '%':
    case '&':
    case '#':
    case '_':
        buffer_byte(out, c);
        return i + 2;
    case '{':
    case '}':
    case '\\':
        buffer_append(out, t.text + i, 2);
        return i + 2;
    case '|':
        buffer_byte(out, '|');
        return i + 2;
    default:
        return i + 1;
    }
}

/* ---- numbers ---- */

/* A comma that groups digits in any place: "{,}" or ",\!". Its length, or 0. */
static size_t group_comma(struct slice t, size_t i)
{
    size_t n = answer_has(t, i, "{,}") ? 3 : answer_has(t, i, ",\\!") ? 3 : 0;

    while (n && at(t, i + n) == ' ')
        n++;
    return n && i && answer_is_digit(t.text[i - 1]) && answer_is_digit(at(t, i + n)) ? n : 0;
}

static size_t run_of_digits(struct slice t, size_t i)
{
    size_t n = 0;

    while (n < 5 && answer_is_digit(at(t, i + n)))
        n++;
    return n;
}

/* Digits at i: with thousands' commas outside brackets, "1,234,567"; appends them bare. Returns the place behind. */
static size_t put_digits(struct buffer *out, struct slice t, size_t i, int depth)
{
    size_t first = run_of_digits(t, i), end = i + first, groups = 0;

    while (first <= 3 && at(t, end) == ',' && run_of_digits(t, end + 1) == 3) {
        end += 4;
        groups++;
    }
    if (depth || first > 3 || groups == 0 || (at(t, end) == ',' && answer_is_digit(at(t, end + 1)))) {
        buffer_byte(out, t.text[i]);
        return i + 1;
    }
    for (size_t k = i; k < end; k++)
        if (t.text[k] != ',')
            buffer_byte(out, t.text[k]);
    return end;
}

/* ---- the whole ---- */

/* A plain U between two intervals. */
static int is_cup(const struct buffer *out, struct slice t, size_t i)
{
    size_t before = out->length;

    while (before && out->data[before - 1] == ' ')
        before--;
    for (i++; at(t, i) == ' ';)
        i++;
    return before && strchr(")]", out->data[before - 1]) && (at(t, i) == '(' || at(t, i) == '[');
}

static void trim_end(struct buffer *out, size_t begin)
{
    while (!out->failed && out->length > begin && strchr(" .,;:", last_byte(out)) &&
           !(out->length > begin + 1 && out->data[out->length - 2] == '\\'))
        out->length--;
    if (out->data && !out->failed)
        out->data[out->length] = 0;
}

void answer_latex_clean(struct buffer *out, struct slice t)
{
    size_t begin = out->length;
    int depth = 0;

    buffer_append(out, "", 0);
    for (size_t i = 0; i < t.length;) {
        char c = t.text[i];
        size_t comma = c == '{' || c == ',' ? group_comma(t, i) : 0;

        depth += c == '(' || c == '[' || c == '{';
        depth -= (c == ')' || c == ']' || c == '}') && depth;
        if (comma) {
            depth -= c == '{';
            i += comma;
        } else if (c == '\\') {
            i = answer_is_letter(at(t, i + 1)) ? put_command(out, t, i) : put_escape(out, t, i);
        } else if (answer_is_space(c) || c == '~') {
            put_space(out);
            i++;
        } else if (c == '$' || c == '`') {
            i++;
        } else if (c == '*' && at(t, i + 1) == '*') {
            if (i && t.length > i + 2 && last_byte(out))
                buffer_byte(out, '^'); /* a power; at the ends Markdown */
            i += 2;
        } else if (c == 'U' && is_cup(out, t, i)) {
            buffer_text(out, "\\cup ");
            i++;
        } else if (answer_is_digit(c) && !answer_is_digit(last_byte(out)) && last_byte(out) != '.') {
            i = put_digits(out, t, i, depth);
        } else {
            buffer_byte(out, c);
            i++;
        }
    }
    trim_end(out, begin);
}

/* ---- units ---- */

/* `apart`: a space or bracket is in front, so the word is no product of variables. */
static int is_unit_word(struct slice word, int apart)
{
    static const char *const units[] = {"cm",  "mm", "km",  "ft",  "in",  "hr",  "hrs", "min", "sec", "lb",  "lbs",
                                        "oz",  "kg", "mg",  "ml",  "mph", "kph", "yd",  "mi",  "per", "usd", "day",
                                        "men", "sq", "rpm", "kwh", "mol", "mpg", "rs",  "of",  "deg"};
    static const char *const letters[] = {"m", "s", "g", "h", "l"};

    if (word.length >= (apart ? 4 : 5))
        return 1;
    for (size_t k = 0; k < sizeof units / sizeof *units; k++)
        if (word.length == strlen(units[k]) && answer_has(word, 0, units[k]))
            return 1;
    return apart && word_in(word, letters, sizeof letters / sizeof *letters);
}

/* t without a power "^2", "^{3}" at its end. */
static struct slice without_power(struct slice t)
{
    struct slice s = t;

    if (s.length > 4 && s.text[s.length - 1] == '}' && s.text[s.length - 3] == '{' && s.text[s.length - 4] == '^')
        s.length -= 4;
    else if (s.length > 2 && s.text[s.length - 2] == '^' && answer_is_digit(s.text[s.length - 1]))
        s.length -= 2;
    return answer_trim(s);
}

/* There the degrees are part of the formula: \sin 30\deg. */
static int has_angle_function(struct slice t)
{
    for (size_t i = 0; i < t.length; i++)
        if (answer_has(t, i, "sin") || answer_has(t, i, "cos") || answer_has(t, i, "tan") || answer_has(t, i, "cot"))
            return 1;
    return 0;
}

/* t without the unit at its end, or t itself. */
static struct slice without_unit(struct slice t, int *percent)
{
    struct slice s = without_power(t), word;
    size_t begin = s.length;

    if (t.length > 4 && memcmp(t.text + t.length - 4, "\\deg", 4) == 0 && !has_angle_function(t))
        return answer_trim(answer_slice(t.text, 0, t.length - 4));
    if (s.length && s.text[s.length - 1] == '}') { /* \text{...} */
        while (begin && s.text[begin - 1] != '{')
            begin--;
        if (begin < 6 || memcmp(s.text + begin - 6, "\\text{", 6) != 0)
            return t;
        word = answer_slice(s.text, begin, s.length - 1);
        *percent |= answer_has(word, 0, "percent");
        return answer_trim(answer_slice(s.text, 0, begin - 6));
    }
    while (begin && (answer_is_letter(s.text[begin - 1]) || (s.text[begin - 1] == '.' && begin < s.length)))
        begin--;
    word = answer_slice(s.text, begin, s.length);
    if (begin == 0 || word.length == 0 || s.text[begin - 1] == '\\' || s.text[begin - 1] == '_' ||
        !is_unit_word(word, strchr(" })", s.text[begin - 1]) != NULL))
        return t;
    *percent |= answer_has(word, 0, "percent");
    s = answer_trim(answer_slice(s.text, 0, begin));
    if (s.length > 1 && s.text[s.length - 1] == '/' &&
        (answer_is_letter(s.text[s.length - 2]) || s.text[s.length - 2] == '}'))
        s.length--;
    return s;
}

struct slice answer_strip_units(struct slice t, int *percent)
{
    *percent = 0;
    t = answer_trim(t);
    for (int round = 0; round < 8; round++) {
        struct slice s = without_unit(t, percent);

        while (s.length && s.text[s.length - 1] == '%') {
            *percent = 1;
            s = answer_trim(answer_slice(s.text, 0, s.length - 1));
        }
        if (s.length == t.length || s.length == 0)
            break;
        t = s;
    }
    for (int round = 0; round < 3; round++) { /* "\text{Rs} 5", "about 5" */
        size_t end = 0;

        if (answer_has(t, 0, "\\text{")) {
            while (end < t.length && t.text[end] != '}')
                end++;
            end += end < t.length;
        } else {
            while (answer_is_letter(at(t, end)))
                end++;
            end = end >= 4 && (at(t, end) == ' ' || at(t, end) == ':') ? end + 1 : 0;
        }
        if (end == 0 || end >= t.length)
            break;
        t = answer_trim(answer_slice(t.text, end, t.length));
    }
    return t;
}
