/* answer_find.c - where a text states its answer: \boxed{x}, <answer>x</answer>, "#### x", "the answer is x".
 *
 *   ... so she has 7 + 11 = 18 left.\n#### 18        hashes: the rest of the line
 *   ... which gives \boxed{\frac{1}{2}}.             boxed: braces matched
 *   ... The final answer is: **18** eggs.            phrase: from behind "is" or ":" to the end of the text
 *
 * The last statement counts. A marker with nothing behind it, or a brace that is never closed, means that the text was
 * cut inside its answer. Markers are looked for from the end; every byte is looked at a bounded number of times.
 * Leaves out: what the content means (answer_number.c, answer_choice.c, answer_math.c). */
#include "answer_parts.h"

#define PHRASE_REACH   120  /* bytes between "answer" and its "is" */
#define SENTENCE_REACH 1000 /* longer sentences are cut here, so that many markers in one stay linear */

int answer_has(struct slice text, size_t i, const char *word)
{
    for (; *word; word++, i++)
        if (i >= text.length || answer_lower(text.text[i]) != *word)
            return 0;
    return 1;
}

struct slice answer_trim(struct slice text)
{
    while (text.length && answer_is_space(*text.text)) {
        text.text++;
        text.length--;
    }
    while (text.length && answer_is_space(text.text[text.length - 1]))
        text.length--;
    return text;
}

/* ---- thinking ---- */

static const char *const thoughts[] = {"think>", "thinking>", "thought>", "reasoning>"};

/* Behind a tag at i ("<think>", "</think>"), or 0; *closing tells which. */
static size_t thinking_tag(struct slice t, size_t i, int *closing)
{
    *closing = answer_has(t, i, "</");
    for (size_t k = 0; k < sizeof thoughts / sizeof *thoughts; k++)
        if (answer_has(t, i + 1 + (size_t)*closing, thoughts[k]))
            return i + 1 + (size_t)*closing + strlen(thoughts[k]);
    return 0;
}

void answer_visible(const char **text, size_t *length)
{
    struct slice t = {*text, *length};
    size_t begin = 0;
    int open = 0;

    for (size_t i = 0; i < t.length; i++) {
        const char *bracket = memchr(t.text + i, '<', t.length - i);
        int closing;
        size_t end;

        if (!bracket)
            break;
        i = (size_t)(bracket - t.text);
        end = thinking_tag(t, i, &closing);
        if (!end)
            continue;
        open = !closing;
        begin = closing ? end : begin;
    }
    *text += open ? t.length : begin;
    *length -= open ? t.length : begin;
}

/* ---- boxes ---- */

/* The brace that closes the one at i, or text.length. */
static size_t closing_brace(struct slice t, size_t i)
{
    size_t depth = 0;

    for (; i < t.length; i++) {
        if (t.text[i] == '\\')
            i++;
        else if (t.text[i] == '{')
            depth++;
        else if (t.text[i] == '}' && --depth == 0)
            return i;
    }
    return t.length;
}

/* The last places of a box and of an <answer>; text.length when there is none. */
static void find_last(size_t *box, size_t *tag, struct slice t)
{
    *box = *tag = t.length;
    for (size_t i = t.length; i-- && (*box == t.length || *tag == t.length);) {
        if (t.text[i] == '\\' && *box == t.length && (answer_has(t, i, "\\boxed") || answer_has(t, i, "\\fbox")))
            *box = i;
        if (t.text[i] == '<' && *tag == t.length && answer_has(t, i, "<answer>"))
            *tag = i;
    }
}

static enum answer_mark box_at(struct slice *content, struct slice t, size_t i)
{
    size_t begin = i + (answer_has(t, i, "\\boxed") ? 6 : 5), end;

    while (begin < t.length && t.text[begin] == ' ')
        begin++;
    if (begin == t.length)
        return MARK_CUT;
    if (t.text[begin] != '{') {
        for (end = begin; end < t.length && !answer_is_space(t.text[end]) && t.text[end] != '$'; end++)
            ;
        *content = answer_slice(t.text, begin, end);
        return content->length ? MARK_FOUND : MARK_NONE;
    }
    end = closing_brace(t, begin);
    if (end >= t.length)
        return MARK_CUT;
    *content = answer_trim(answer_slice(t.text, begin + 1, end));
    return content->length ? MARK_FOUND : MARK_NONE;
}

static enum answer_mark tag_at(struct slice *content, struct slice t, size_t i)
{
    size_t begin = i + strlen("<answer>"), end = begin;

    while (end < t.length && !(t.text[end] == '<' && answer_has(t, end, "</answer>")))
        end++;
    if (end == t.length)
        return MARK_CUT;
    *content = answer_trim(answer_slice(t.text, begin, end));
    return content->length ? MARK_FOUND : MARK_NONE;
}

enum answer_mark answer_find_boxed(struct slice *content, struct slice text)
{
    size_t box, tag;

    find_last(&box, &tag, text);
    if (tag < text.length && (box == text.length || tag > box))
        return tag_at(content, text, tag);
    if (box == text.length)
        return MARK_NONE;
    return box_at(content, text, box);
}

/* ---- phrases ---- */

static int is_markup(char c)
{
    return c != 0 && strchr("*_`\"'~>|", c) != NULL;
}

static size_t skip_markup(struct slice t, size_t i)
{
    for (;;) {
        if (i < t.length &&
            (answer_is_space(t.text[i]) || is_markup(t.text[i]) || t.text[i] == ':' || t.text[i] == '='))
            i++;
        else if (answer_has(t, i, "\\[") || answer_has(t, i, "\\(") || answer_has(t, i, "$$"))
            i += 2;
        else
            return i;
    }
}

static int word_at(struct slice t, size_t i, const char *word)
{
    size_t end = i + strlen(word);

    return answer_has(t, i, word) && (i == 0 || !answer_is_letter(t.text[i - 1])) &&
           (end >= t.length || !answer_is_letter(t.text[end]));
}

/* Behind the copula that joins "answer" (which ends at i) to what it is; 0: there is none in this sentence. */
static size_t copula_end(struct slice t, size_t i)
{
    static const char *const copulas[] = {"is", "are", "be", "equals", "was", "becomes"};
    size_t end = i + PHRASE_REACH < t.length ? i + PHRASE_REACH : t.length;
    int only_markup = 1;

    for (; i < end; i++) {
        char c = t.text[i];

        if (c == ':' || c == '=')
            return i + 1;
        if (c == '"') { /* the answer to the question "how many are left?" is */
            const char *close = memchr(t.text + i + 1, '"', end - i - 1);

            i = close ? (size_t)(close - t.text) : i;
        }
        if (c == '\n')
            return only_markup ? i + 1 : 0; /* a heading, "## Answer" */
        if ((c == '.' || c == '!' || c == '?') && (i + 1 == t.length || answer_is_space(t.text[i + 1])))
            return 0;
        for (size_t k = 0; k < sizeof copulas / sizeof *copulas; k++)
            if (word_at(t, i, copulas[k]))
                return i + strlen(copulas[k]);
        only_markup &= answer_is_space(c) || is_markup(c) || c == ')' || c == '#';
    }
    return i == t.length && only_markup ? i : 0;
}

/* A line that begins "A:", as in GSM8K's example solutions. */
static int letter_line(struct slice t, size_t i)
{
    return (t.text[i] == 'A') && i + 1 < t.length && t.text[i + 1] == ':' && (i == 0 || t.text[i - 1] == '\n');
}

/* Behind "answer is" at i, or 0. */
static size_t phrase_end(struct slice t, size_t i, int choice)
{
    static const char *const words[] = {"answer", "answers", "option", "choice"};

    if (!choice && letter_line(t, i))
        return i + 2;
    if (!strchr("aAoOcC", t.text[i]))
        return 0;
    for (size_t k = 0; k < (choice ? 4 : 2); k++)
        if (word_at(t, i, words[k]))
            return copula_end(t, i + strlen(words[k]));
    return 0;
}

enum answer_mark answer_find_phrase(struct slice *content, struct slice text, size_t *before, int choice)
{
    for (size_t i = *before; i--;) {
        size_t end = phrase_end(text, i, choice);

        if (!end)
            continue;
        *before = i;
        end = skip_markup(text, end);
        *content = answer_slice(text.text, end, text.length);
        return content->length ? MARK_FOUND : MARK_CUT;
    }
    *before = 0;
    return MARK_NONE;
}

size_t answer_sentence_end(struct slice text, size_t from)
{
    size_t end = text.length - from > SENTENCE_REACH ? from + SENTENCE_REACH : text.length;

    for (size_t i = from; i < end; i++) {
        char c = text.text[i];

        if (c == '\n')
            return i;
        if ((c == '.' || c == '!' || c == '?') && (i + 1 == text.length || answer_is_space(text.text[i + 1])))
            return i;
    }
    return end;
}

/* ---- hashes ---- */

/* Words that may stand between "####" and the number; other words make it a heading. */
static int is_lead_word(struct slice word)
{
    static const char *const words[] = {"answer", "final", "the", "is", "approximately", "about", "total", "usd", "rs"};

    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        if (word.length == strlen(words[k]) && answer_has(word, 0, words[k]))
            return 1;
    return word.length == 1; /* x = 5 */
}

/* "#### 2. Count the eggs" and "#### Step 2" are headings, "#### 18", "#### $18.", "#### x = 18 eggs" are answers. */
static int states_number(struct slice line)
{
    struct answer_token token;
    struct slice rest;

    if (!answer_token_next(&token, line, 0))
        return 0;
    for (size_t i = 0; i < token.begin; i++) {
        size_t end = i;

        while (end < token.begin && answer_is_letter(line.text[end]))
            end++;
        if (end > i && !is_lead_word(answer_slice(line.text, i, end)))
            return 0;
        i = end > i ? end - 1 : i;
    }
    rest = answer_slice(line.text, token.end, line.length);
    if (rest.length && (*rest.text == '.' || *rest.text == ')' || *rest.text == ':')) {
        rest = answer_trim(answer_slice(rest.text, 1, rest.length));
        return rest.length == 0 || !answer_is_letter(*rest.text);
    }
    return 1;
}

enum answer_mark answer_find_hashes(struct slice *content, struct slice text)
{
    for (size_t i = text.length; i--;) {
        size_t begin = i + 4, end;
        const char *newline;

        if (text.text[i] != '#' || !answer_has(text, i, "####") || (i && text.text[i - 1] == '#') ||
            answer_has(text, begin, "#"))
            continue;
        begin = skip_markup(text, begin);
        if (begin == text.length)
            return MARK_CUT;
        newline = memchr(text.text + begin, '\n', text.length - begin);
        end = newline ? (size_t)(newline - text.text) : text.length;
        *content = answer_trim(answer_slice(text.text, begin, end));
        if (states_number(*content))
            return MARK_FOUND;
    }
    return MARK_NONE;
}
