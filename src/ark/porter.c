/* porter.c - suffix stripping in the five steps of the paper.
 *
 *   caresses -> caress (1a)   motoring -> motor (1b)   happy -> happi (1c)   relational -> relate (2)
 *   electrical -> electric (3)   adjustment -> adjust (4)   probate -> probat, controll -> control (5)
 *
 * A letter is a vowel when it is one of aeiou, or a y behind a consonant; everything else, digits too, is a consonant.
 * The measure m of a stem counts its changes from vowel to consonant. Of a list of suffixes the first that fits is
 * taken, and when its condition fails nothing happens. NLTK's changes: a list of irregular words; "ies" and "ied" of
 * four-letter words lose only the s and d; y -> i needs a consonant in front and two letters; "bli" for "abli", "alli"
 * first, "fulli" and "logi"; in *o also stems of two letters. */
#include <string.h>

#include "porter.h"

struct word {
    char *text;
    size_t length;
};

/* ---- letters ---- */

static int is_vowel(char c)
{
    return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u';
}

static int is_consonant(const char *text, size_t i)
{
    size_t run = 0;

    while (run < i && text[i - run] == 'y')
        run++;
    /* text[i - run] is no y, or the word's first letter; each y behind it turns the kind round */
    return (run % 2 == 1) != !is_vowel(text[i - run]);
}

/* Changes from vowel to consonant in the first `length` letters. */
static size_t measure(const char *text, size_t length)
{
    size_t m = 0;
    int before = 1;

    for (size_t i = 0; i < length; i++) {
        int consonant = text[i] == 'y' ? i == 0 || !before : !is_vowel(text[i]);

        m += consonant && !before;
        before = consonant;
    }
    return m;
}

static int has_vowel(const char *text, size_t length)
{
    int before = 1;

    for (size_t i = 0; i < length; i++) {
        before = text[i] == 'y' ? i == 0 || !before : !is_vowel(text[i]);
        if (!before)
            return 1;
    }
    return 0;
}

/* *o: ends consonant, vowel, consonant other than w, x, y. */
static int ends_cvc(const char *text, size_t n)
{
    if (n == 2)
        return !is_consonant(text, 0) && is_consonant(text, 1);
    return n >= 3 && is_consonant(text, n - 3) && !is_consonant(text, n - 2) && is_consonant(text, n - 1) &&
           !strchr("wxy", text[n - 1]);
}

static int ends_double(const char *text, size_t n)
{
    return n >= 2 && text[n - 1] == text[n - 2] && is_consonant(text, n - 1);
}

/* ---- suffixes ---- */

static int ends(const struct word *w, const char *suffix)
{
    size_t n = strlen(suffix);

    return w->length >= n && memcmp(w->text + w->length - n, suffix, n) == 0;
}

/* The suffix, of that length, becomes another that is not longer. */
static void replace(struct word *w, size_t length, const char *by)
{
    w->length -= length;
    memcpy(w->text + w->length, by, strlen(by));
    w->length += strlen(by);
}

struct rule {
    const char *suffix, *by;
};

/* The first rule whose suffix fits, when the stem's measure is larger than m. */
static void apply(struct word *w, const struct rule *rules, size_t n, size_t m)
{
    for (size_t k = 0; k < n; k++) {
        size_t length = strlen(rules[k].suffix);

        if (!ends(w, rules[k].suffix))
            continue;
        if (measure(w->text, w->length - length) > m)
            replace(w, length, rules[k].by);
        return;
    }
}

/* ---- steps ---- */

static void step1a(struct word *w)
{
    if (ends(w, "ies"))
        replace(w, 3, w->length == 4 ? "ie" : "i");
    else if (ends(w, "sses"))
        replace(w, 4, "ss");
    else if (ends(w, "s") && !ends(w, "ss"))
        w->length--;
}

static void step1b(struct word *w)
{
    size_t cut = ends(w, "ed") ? 2 : 3;

    if (ends(w, "ied")) {
        replace(w, 3, w->length == 4 ? "ie" : "i");
        return;
    }
    if (ends(w, "eed")) {
        if (measure(w->text, w->length - 3) > 0)
            replace(w, 3, "ee");
        return;
    }
    if ((!ends(w, "ed") && !ends(w, "ing")) || !has_vowel(w->text, w->length - cut))
        return;
    w->length -= cut;
    if (ends(w, "at") || ends(w, "bl") || ends(w, "iz")) {
        w->text[w->length++] = 'e';
    } else if (ends_double(w->text, w->length)) {
        if (!strchr("lsz", w->text[w->length - 1]))
            w->length--;
    } else if (measure(w->text, w->length) == 1 && ends_cvc(w->text, w->length)) {
        w->text[w->length++] = 'e';
    }
}

static void step1c(struct word *w)
{
    if (ends(w, "y") && w->length > 2 && is_consonant(w->text, w->length - 2))
        w->text[w->length - 1] = 'i';
}

static void step2(struct word *w)
{
    static const struct rule rules[] = {
        {"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"}, {"anci", "ance"}, {"izer", "ize"},
        {"bli", "ble"},     {"alli", "al"},     {"entli", "ent"}, {"eli", "e"},     {"ousli", "ous"},
        {"ization", "ize"}, {"ation", "ate"},   {"ator", "ate"},  {"alism", "al"},  {"iveness", "ive"},
        {"fulness", "ful"}, {"ousness", "ous"}, {"aliti", "al"},  {"iviti", "ive"}, {"biliti", "ble"},
        {"fulli", "ful"},
    };

    if (ends(w, "alli") && measure(w->text, w->length - 4) > 0)
        w->length -= 2; /* and on with -al */
    if (ends(w, "logi")) {
        if (measure(w->text, w->length - 3) > 0)
            w->length--;
        return;
    }
    apply(w, rules, sizeof rules / sizeof *rules, 0);
}

static void step3(struct word *w)
{
    static const struct rule rules[] = {{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"},
                                        {"ical", "ic"},  {"ful", ""},   {"ness", ""}};

    apply(w, rules, sizeof rules / sizeof *rules, 0);
}

static void step4(struct word *w)
{
    static const struct rule before_ion[] = {{"al", ""},    {"ance", ""}, {"ence", ""}, {"er", ""},
                                             {"ic", ""},    {"able", ""}, {"ible", ""}, {"ant", ""},
                                             {"ement", ""}, {"ment", ""}, {"ent", ""}};
    static const struct rule behind_ion[] = {{"ou", ""},  {"ism", ""}, {"ate", ""}, {"iti", ""},
                                             {"ous", ""}, {"ive", ""}, {"ize", ""}};

    if (!ends(w, "ion")) {
        size_t length = w->length;

        apply(w, before_ion, sizeof before_ion / sizeof *before_ion, 1);
        for (size_t k = 0; k < sizeof before_ion / sizeof *before_ion; k++)
            if (w->length != length || ends(w, before_ion[k].suffix))
                return;
        apply(w, behind_ion, sizeof behind_ion / sizeof *behind_ion, 1);
    } else if (w->length > 3 && strchr("st", w->text[w->length - 4]) && measure(w->text, w->length - 3) > 1) {
        w->length -= 3;
    }
}

static void step5(struct word *w)
{
    if (ends(w, "e")) {
        size_t m = measure(w->text, w->length - 1);

        if (m > 1 || (m == 1 && !ends_cvc(w->text, w->length - 1)))
            w->length--;
    }
    if (ends(w, "ll") && measure(w->text, w->length - 1) > 1)
        w->length--;
}

static int irregular(struct word *w)
{
    static const struct rule words[] = {
        {"skies", "sky"},      {"sky", "sky"},         {"dying", "die"},        {"lying", "lie"},
        {"tying", "tie"},      {"news", "news"},       {"innings", "inning"},   {"inning", "inning"},
        {"outings", "outing"}, {"outing", "outing"},   {"cannings", "canning"}, {"canning", "canning"},
        {"howe", "howe"},      {"proceed", "proceed"}, {"exceed", "exceed"},    {"succeed", "succeed"},
    };

    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        if (w->length == strlen(words[k].suffix) && ends(w, words[k].suffix)) {
            replace(w, w->length, words[k].by);
            return 1;
        }
    return 0;
}

size_t porter_stem(char *word, size_t length)
{
    struct word w = {word, length};

    if (irregular(&w) || length <= 2)
        return w.length;
    step1a(&w);
    step1b(&w);
    step1c(&w);
    step2(&w);
    step3(&w);
    step4(&w);
    step5(&w);
    return w.length;
}
