/* answer_formula.c - the formula that a text states as its answer, and the number that a short statement means.
 *
 *   \boxed{\frac{1}{2}}   "#### 18"   "the answer is $2\pi$ because ..."   "... so that $x = 5$."   "... 12 left."
 *
 * In front of prose a formula ends: "5 because", "x + 1 when". What is found is cleaned (answer_latex.c), not
 * evaluated. Where to read next: answer_math.c. */
#include "answer_parts.h"
#include "expression.h"

#define TEXT_REACH 80 /* a statement without mathematics is an answer in words up to this length */

static char at(struct slice t, size_t i)
{
    return i < t.length ? t.text[i] : 0;
}

/* ---- numbers ---- */

/* The value of a cleaned constant formula as an exact number, or the formula itself; 0: it is none. */
static int put_value(struct buffer *out, struct slice clean)
{
    int percent;
    const char *equals = NULL;
    struct slice t = clean;
    struct expression_value v;

    for (size_t i = 0; i < clean.length; i++)
        equals = clean.text[i] == '=' ? clean.text + i : equals;
    if (equals)
        t = answer_slice(equals, 1, clean.length - (size_t)(equals - clean.text));
    t = answer_strip_units(t, &percent);
    if (!expression_read(&v, t.text, t.length, 1, 0) || v.variable)
        return 0;
    if (v.exact)
        buffer_format(out, v.d == 1 ? "%lld" : "%lld/%lld", (long long)v.n, (long long)v.d);
    else
        buffer_append(out, t.text, t.length);
    if (percent)
        buffer_byte(out, '%');
    return 1;
}

void answer_number_of(struct buffer *out, struct slice text)
{
    struct slice t = answer_trim(text), s;
    struct buffer clean = {0};
    struct answer_token token;
    int percent, whole;

    answer_latex_clean(&clean, t);
    s = answer_strip_units(answer_slice(clean.data ? clean.data : "", 0, clean.length), &percent);
    whole = answer_token_next(&token, s, 0) && token.begin == 0 && token.end == s.length;
    if (whole) {
        token.percent |= percent;
        answer_token_put(out, s, &token);
    } else if (!put_value(out, answer_slice(clean.data ? clean.data : "", 0, clean.length))) {
        if (answer_stated_number(&token, t))
            answer_token_put(out, t, &token);
        else
            buffer_append(out, clean.data ? clean.data : "", clean.length);
    }
    out->failed |= clean.failed;
    buffer_free(&clean);
}

/* ---- formulas ---- */

/* May a word stand in a formula? Short names may, prose may not. */
static int in_formula(struct slice word)
{
    static const char *const words[] = {"and", "or",  "pi", "sqrt", "sin",      "cos",    "tan",    "cot",   "sec",
                                        "csc", "log", "ln", "exp",  "infinity", "arcsin", "arccos", "arctan"};
    static const char *const prose[] = {"is", "so", "as", "if", "we", "it", "by", "at", "to", "of",
                                        "on", "be", "he", "no", "an", "do", "my", "up", "us"};

    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        if (word.length == strlen(words[k]) && memcmp(word.text, words[k], word.length) == 0)
            return 1;
    for (size_t k = 0; k < sizeof prose / sizeof *prose; k++)
        if (word.length == 2 && answer_has(word, 0, prose[k]))
            return 0;
    return word.length <= 2;
}

/* The end of the formula that the text starts with. */
static size_t formula_end(struct slice t)
{
    for (size_t i = 0; i < t.length;) {
        size_t end = i;

        if (t.text[i] == '\\') {
            for (end = i + 1; answer_is_letter(at(t, end));)
                end++;
            if (answer_has(t, i, "\\text{") || answer_has(t, i, "\\mathrm{"))
                while (end < t.length && t.text[end] != '}')
                    end++;
            i = end > i + 1 ? end : i + 2;
            continue;
        }
        while (answer_is_letter(at(t, end)))
            end++;
        if (end > i && !in_formula(answer_slice(t.text, i, end)))
            return i;
        i = end > i ? end : i + 1;
    }
    return t.length;
}

/* Without " and", " or", a comma or an opening bracket left over at the end. */
static struct slice drop_tail(struct slice t)
{
    static const char *const tails[] = {" and", " or", ",", "(", ";", ":", " -", "*"};

    for (int changed = 1; changed;) {
        changed = 0;
        t = answer_trim(t);
        for (size_t k = 0; k < sizeof tails / sizeof *tails; k++) {
            size_t n = strlen(tails[k]);

            if (t.length > n && memcmp(t.text + t.length - n, tails[k], n) == 0) {
                t.length -= n;
                changed = 1;
            }
        }
    }
    return t;
}

static int put_clean(struct buffer *out, struct slice t)
{
    size_t before = out->length;

    answer_latex_clean(out, answer_trim(t));
    return out->length > before;
}

/* "answer is ...": a formula up to the prose behind it, or words. */
static int phrase_formula(struct buffer *out, struct slice text, int cut, int *ends)
{
    size_t before = text.length;

    for (int tries = 0; tries < ANSWER_PHRASES; tries++) {
        struct slice content, formula;
        enum answer_mark mark = answer_find_phrase(&content, text, &before, 0);

        *ends |= mark == MARK_CUT;
        if (mark != MARK_FOUND)
            return 0;
        *ends = cut && answer_sentence_end(content, 0) == content.length;
        content.length = answer_sentence_end(content, 0);
        if (*ends)
            return 0;
        formula = drop_tail(answer_slice(content.text, 0, formula_end(content)));
        if (formula.length == 0 && content.length <= TEXT_REACH)
            formula = content;
        if (formula.length && put_clean(out, formula))
            return 1;
    }
    return 0;
}

/* The last formula between dollars, \( \) or \[ \], from behind its last '='. */
static int last_formula(struct buffer *out, struct slice t)
{
    size_t end = t.length, begin, equals;

    while (end && !(t.text[end - 1] == '$' && (end < 2 || t.text[end - 2] != '\\')) &&
           !(end > 1 && t.text[end - 2] == '\\' && (t.text[end - 1] == ')' || t.text[end - 1] == ']')))
        end--;
    if (end == 0)
        return 0;
    if (t.text[end - 1] == '$') {
        for (end--; end && t.text[end - 1] == '$';)
            end--;
        for (begin = end; begin && t.text[begin - 1] != '$';)
            begin--;
        if (begin == 0)
            return 0;
    } else {
        end -= 2;
        for (begin = end;
             begin > 1 && !(t.text[begin - 2] == '\\' && (t.text[begin - 1] == '(' || t.text[begin - 1] == '['));)
            begin--;
        if (begin < 2)
            return 0;
    }
    for (equals = end; equals > begin && t.text[equals - 1] != '=';)
        equals--;
    if (formula_end(answer_slice(t.text, equals, end)) < end - equals)
        return 0; /* prose between two amounts of money */
    return put_clean(out, answer_slice(t.text, equals, end));
}

int answer_find_math(struct buffer *out, struct slice text, int cut)
{
    struct slice content;
    enum answer_mark mark = answer_find_boxed(&content, text);
    int ends = 0;

    if (mark == MARK_NONE)
        mark = answer_find_hashes(&content, text);
    if (mark == MARK_CUT)
        return 0;
    if (mark == MARK_FOUND)
        return put_clean(out, content);
    if (phrase_formula(out, text, cut, &ends))
        return 1;
    if (ends || cut)
        return 0;
    text = answer_trim(text);
    if (formula_end(text) == text.length && !memchr(text.text, '\n', text.length) && put_clean(out, text))
        return 1; /* a text that is nothing but an answer */
    return last_formula(out, text) || answer_find_number(out, text, cut) ||
           (text.length <= TEXT_REACH && put_clean(out, text));
}
