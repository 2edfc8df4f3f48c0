/* answer_choice.c - the letter of a multiple-choice answer.
 *
 *   \boxed{\text{(C)}}     The answer is (C).     Answer: C) 42     **C**     the option's own text in a box
 *
 * Never an option: the article ("A dog", "a good one"), the pronoun "I", a letter that is denied ("(A) is wrong, so C",
 * "not B but D"), letters inside words. Lower case counts where it cannot be a word.
 * Leaves out: several right options. */
#include "answer_parts.h"

struct letters {
    struct slice text;
    size_t n_options; /* 0: unknown */
};

static char at(struct slice t, size_t i)
{
    return i < t.length ? t.text[i] : 0;
}

static int in_range(const struct letters *l, char letter)
{
    return letter >= 'A' && letter < 'A' + (int)(l->n_options ? l->n_options : ANSWER_MAX_OPTIONS);
}

static int is_word(char c)
{
    return answer_is_letter(c) || answer_is_digit(c) || c == '_' || (unsigned char)c >= 0x80;
}

/* The letter at i is between brackets, or followed by one: (b), b), [b]. */
static int in_brackets(struct slice t, size_t i)
{
    return at(t, i + 1) == ')' || (i && t.text[i - 1] == '[' && at(t, i + 1) == ']');
}

/* "A because", "A is": the word behind an option; other words make it an article. */
static int verb_follows(struct slice t, size_t i)
{
    static const char *const words[] = {"because", "since", "as",    "is",    "was", "with", "and",
                                        "or",      "due",   "which", "based", "for", "if",   "seems",
                                        "would",   "must",  "has",   "from",  "not"};
    struct slice rest = answer_trim(answer_slice(t.text, i, t.length));

    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        if (answer_has(rest, 0, words[k]) && !is_word(at(rest, strlen(words[k]))))
            return 1;
    return 0;
}

/* Is a letter at i an option's name rather than a word? `stated`: it stands where an answer is stated. */
static int is_option(const struct letters *l, size_t i, int stated)
{
    struct slice t = l->text;
    char c = t.text[i], upper = c >= 'a' ? (char)(c - 32) : c, next = at(t, i + 1);

    if (!answer_is_letter(c) || !in_range(l, upper) || is_word(next) || next == '\'')
        return 0;
    if (i && (is_word(t.text[i - 1]) || t.text[i - 1] == '\\' || t.text[i - 1] == '\''))
        return 0;
    if (in_brackets(t, i))
        return 1;
    if (next == ' ' && answer_is_letter(at(t, i + 2)) && (upper == 'A' || upper == 'I'))
        return c == upper && verb_follows(t, i + 1) && (upper == 'A' || stated);
    return c == upper || stated;
}

/* Words right behind an option that deny it. */
static int denied_behind(struct slice t, size_t i)
{
    static const char *const words[] = {"is wrong",     "is incorrect",  "is not",        "isn't",        "is false",
                                        "is ruled out", "is excluded",   "are wrong",     "are not",      "cannot be",
                                        "can't be",     "was wrong",     "is eliminated", "is out",       "does not",
                                        "doesn't",      "is also wrong", "are incorrect", "is impossible"};
    size_t k = i + 1;

    while (k < t.length && (t.text[k] == ')' || t.text[k] == ']' || t.text[k] == '*' || t.text[k] == ' '))
        k++;
    for (size_t w = 0; w < sizeof words / sizeof *words; w++)
        if (answer_has(t, k, words[w]))
            return 1;
    return 0;
}

/* Words right in front of an option that deny it. */
static int denied_before(struct slice t, size_t i)
{
    static const char *const words[] = {"not",  "n't", "never", "eliminate", "exclude", "reject",
                                        "than", "of",  "out",   "unlike",    "isn't",   "neither"};
    static const char *const fillers[] = {"option", "choice", "answer", "be"};
    size_t end = i;

    for (size_t round = 0; round < 3; round++) {
        size_t begin;
        struct slice word;

        while (end && (strchr(" (*[\"", t.text[end - 1]) != NULL))
            end--;
        for (begin = end;
             begin && end - begin < 16 && (answer_is_letter(t.text[begin - 1]) || t.text[begin - 1] == '\'');)
            begin--;
        word = answer_slice(t.text, begin, end);
        for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
            size_t n = strlen(words[w]);
            int out_of = w == 7 || w == 8;

            if (word.length < n || !answer_has(answer_slice(word.text, word.length - n, word.length), 0, words[w]))
                continue;
            if (w == 1 || (word.length == n && !out_of))
                return 1;
            if (word.length == n && w == 8 && begin >= 5 && answer_has(t, begin - 5, "rule "))
                return 1;
            if (word.length == n && w == 7 && begin >= 8 && answer_has(t, begin - 8, "instead "))
                return 1;
        }
        for (size_t f = 0; f < sizeof fillers / sizeof *fillers; f++)
            if (word.length == strlen(fillers[f]) && answer_has(word, 0, fillers[f]))
                end = begin;
        if (end != begin)
            return 0;
    }
    return 0;
}

static int put_letter(struct buffer *out, char c)
{
    buffer_byte(out, c >= 'a' ? c - 32 : c);
    return 1;
}

/* The first option that is stated and not denied in text[from..]; 0: none. */
static int first_option(struct buffer *out, const struct letters *l, size_t from, size_t end)
{
    for (size_t i = from; i < end; i++)
        if (is_option(l, i, 1) && !denied_before(l->text, i) && !denied_behind(l->text, i))
            return put_letter(out, l->text.text[i]);
    return 0;
}

static int last_option(struct buffer *out, const struct letters *l)
{
    for (size_t i = l->text.length; i--;)
        if (is_option(l, i, 0) && !denied_before(l->text, i) && !denied_behind(l->text, i))
            return put_letter(out, l->text.text[i]);
    return 0;
}

/* ---- an option's own text ---- */

/* Behind "\text{", "\mathrm{", "\textbf{" and other markup at the start, without the closing ones at the end. */
static struct slice unwrap(struct slice t)
{
    static const char *const wraps[] = {"\\text{",   "\\mathrm{", "\\textbf{", "\\mathbf{", "\\mbox{",
                                        "\\mathsf{", "\\textit{", "\\textrm{", "\\mathit{"};

    for (int changed = 1; changed;) {
        changed = 0;
        t = answer_trim(t);
        while (t.length && strchr("$*_`\"'{", *t.text)) {
            t = answer_slice(t.text, 1, t.length);
            changed = 1;
        }
        while (t.length && strchr("$*_`\"'}.,;", t.text[t.length - 1])) {
            t.length--;
            changed = 1;
        }
        for (size_t k = 0; k < sizeof wraps / sizeof *wraps; k++)
            if (answer_has(t, 0, wraps[k])) {
                t = answer_slice(t.text, strlen(wraps[k]), t.length);
                changed = 1;
            }
    }
    return t;
}

/* The one option whose text means the same as `text`; 0: none or several. */
static int option_with_text(struct buffer *out, const struct answer_key *key, struct slice text)
{
    struct answer_key as_text = {ANSWER_MATH, NULL, 0, NULL, 0};
    struct buffer a = {0}, b = {0};
    size_t found = key->n_options;
    int several = 0;

    answer_number_of(&a, unwrap(text));
    for (size_t i = 0; i < key->n_options && a.length; i++) {
        buffer_clear(&b);
        answer_plain(&b, key->options[i], strlen(key->options[i]));
        if (!b.failed) {
            struct buffer normal = {0};

            answer_number_of(&normal, unwrap(answer_slice(b.data ? b.data : "", 0, b.length)));
            if (normal.length && answer_same(&as_text, a.data, normal.data)) {
                several |= found < key->n_options;
                found = i;
            }
            out->failed |= normal.failed;
            buffer_free(&normal);
        }
    }
    out->failed |= a.failed | b.failed;
    buffer_free(&a);
    buffer_free(&b);
    if (several || found == key->n_options)
        return 0;
    return put_letter(out, (char)('A' + (int)found));
}

/* A text that is meant as the answer and nothing else: "C", "(C)", "C. 42", or an option's text. */
static int whole_option(struct buffer *out, const struct answer_key *key, struct slice content)
{
    struct letters l = {unwrap(content), key->n_options};
    size_t i = at(l.text, 0) == '(' || at(l.text, 0) == '[';

    if (answer_has(l.text, i, "option ") || answer_has(l.text, i, "choice "))
        i += 7;
    while (at(l.text, i) == '(' || at(l.text, i) == '*')
        i++;
    if (i < l.text.length && is_option(&l, i, 1) && !denied_behind(l.text, i))
        return put_letter(out, l.text.text[i]);
    return key->n_options && option_with_text(out, key, l.text);
}

/* ---- the text ---- */

/* The last "answer is ..." that names an option. *cut: the text ends behind the marker. */
static int phrase_option(struct buffer *out, const struct answer_key *key, struct slice text, int *cut)
{
    struct letters l = {text, key->n_options};
    size_t before = text.length;

    for (int tries = 0; tries < ANSWER_PHRASES; tries++) {
        struct slice content;
        enum answer_mark mark = answer_find_phrase(&content, text, &before, 1);
        size_t from, end, paragraph;

        if (mark == MARK_CUT)
            *cut = 1;
        if (mark != MARK_FOUND)
            return 0;
        from = (size_t)(content.text - text.text);
        end = answer_sentence_end(text, from);
        if (whole_option(out, key, answer_slice(text.text, from, end)))
            return 1;
        if (first_option(out, &l, from, end))
            return 1;
        for (paragraph = end; paragraph < text.length && paragraph < from + 300;)
            paragraph++;
        if (answer_has(content, 0, "not ") && first_option(out, &l, end, paragraph))
            return 1;
    }
    return 0;
}

/* A text of one line that begins with its option: "B) Vitamin A". */
static int line_option(struct buffer *out, const struct answer_key *key, struct slice text)
{
    struct letters l = {unwrap(text), key->n_options};
    size_t i = at(l.text, 0) == '(' || at(l.text, 0) == '[';
    char next = at(l.text, i + 1);

    if (memchr(l.text.text, '\n', l.text.length) || l.text.length > 400)
        return 0;
    if (i < l.text.length && (next == ')' || next == ']' || next == '.' || next == ':' || next == 0) &&
        is_option(&l, i, 1) && !denied_behind(l.text, i))
        return put_letter(out, l.text.text[i]);
    return key->n_options && option_with_text(out, key, l.text);
}

int answer_find_choice(struct buffer *out, const struct answer_key *key, struct slice text, int cut)
{
    struct letters l = {text, key->n_options};
    struct slice content;
    enum answer_mark mark = answer_find_boxed(&content, text);
    int ends = 0;

    if (mark == MARK_CUT)
        return 0;
    if (mark == MARK_FOUND && whole_option(out, key, content))
        return 1;
    if (phrase_option(out, key, text, &ends))
        return 1;
    if (ends || cut)
        return 0;
    return line_option(out, key, text) || last_option(out, &l);
}
