/* answer_span.c - spans as SQuAD and HotpotQA compare them.
 *
 * Normal form (Rajpurkar et al. 2016, evaluation script v1.1): lower case, ASCII punctuation removed, the words a, an,
 * the removed, white space to single spaces. Exact match compares normal forms, F1 their bags of words; HotpotQA (Yang
 * et al. 2018) adds that yes, no and noanswer match nothing but themselves.
 *
 * Leaves out: case of scripts other than Latin, Greek, Cyrillic and Armenian. */
#include <stdlib.h>

#include "answer_parts.h"
#include "utf8.h"

/* ---- characters ---- */

static uint32_t lower_latin(uint32_t c)
{
    if ((c >= 0xC0 && c <= 0xDE && c != 0xD7) || (c >= 'A' && c <= 'Z'))
        return c + 32;
    if ((c >= 0x100 && c <= 0x137) || (c >= 0x14A && c <= 0x177))
        return c | 1;
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E))
        return c + (c & 1);
    if (c == 0x178)
        return 0xFF;
    if ((c >= 0x1DE && c <= 0x1EF) || (c >= 0x1F8 && c <= 0x21F) || (c >= 0x222 && c <= 0x233))
        return c | 1;
    if ((c >= 0x1CD && c <= 0x1DC))
        return c + (c & 1);
    if ((c >= 0x1E00 && c <= 0x1E95) || (c >= 0x1EA0 && c <= 0x1EFF))
        return c | 1;
    return c == 0x1A0 || c == 0x1AF ? c + 1 : c == 0x212A ? 'k' : c == 0x212B ? 0xE5 : c;
}

static uint32_t lower(uint32_t c)
{
    if (c < 0x250 || (c >= 0x1E00 && c <= 0x1EFF) || c == 0x212A || c == 0x212B)
        return lower_latin(c);
    if (c >= 0x391 && c <= 0x3AB && c != 0x3A2)
        return c + 32;
    if (c == 0x386)
        return 0x3AC;
    if (c >= 0x388 && c <= 0x38A)
        return c + 37;
    if (c == 0x38C)
        return 0x3CC;
    if (c == 0x38E || c == 0x38F)
        return c + 63;
    if (c >= 0x410 && c <= 0x42F)
        return c + 32;
    if (c >= 0x400 && c <= 0x40F)
        return c + 80;
    if ((c >= 0x460 && c <= 0x481) || (c >= 0x48A && c <= 0x4BF) || (c >= 0x4D0 && c <= 0x52F))
        return c | 1;
    return c >= 0x531 && c <= 0x556 ? c + 48 : c;
}

static int is_blank(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static int is_punctuation(uint32_t c)
{
    return c < 0x80 && c > 32 && c != 127 && !answer_is_digit((char)c) && !answer_is_letter((char)c);
}

/* A character that continues a word for the purpose of finding the articles (letters, digits, the underscore is gone).
 */
static int is_word(uint32_t c)
{
    if (c < 0x80)
        return answer_is_digit((char)c) || answer_is_letter((char)c);
    if (c < 0xC0)
        return c == 0xAA || c == 0xB2 || c == 0xB3 || c == 0xB5 || (c >= 0xB9 && c <= 0xBA) || (c >= 0xBC && c <= 0xBE);
    if (c == 0xD7 || c == 0xF7)
        return 0;
    return !((c >= 0x300 && c <= 0x36F) || (c >= 0x2000 && c <= 0x206F) || (c >= 0x20A0 && c <= 0x20CF) ||
             (c >= 0x2190 && c <= 0x245F) || (c >= 0x2500 && c <= 0x2BFF) || (c >= 0x3000 && c <= 0x3004) ||
             (c >= 0x3008 && c <= 0x3020) || (c >= 0xFF00 && c <= 0xFF0F) || c == 0xFFFD ||
             (c >= 0x1F000 && c <= 0x1FAFF));
}

/* ---- normal form ---- */

static void put_code(struct buffer *out, uint32_t code)
{
    char bytes[4];

    buffer_append(out, bytes, utf8_encode(bytes, code));
}

static int is_article(const char *word, size_t length)
{
    return (length == 1 && word[0] == 'a') || (length == 2 && memcmp(word, "an", 2) == 0) ||
           (length == 3 && memcmp(word, "the", 3) == 0);
}

/* Takes the article that the output ends with away: a run of word characters that began at `word`. */
static void drop_article(struct buffer *out, size_t word)
{
    if (out->failed || !is_article(out->data + word, out->length - word))
        return;
    out->length = word;
    buffer_byte(out, ' ');
}

/* Single spaces, none at the ends, from `begin` on. */
static void squeeze(struct buffer *out, size_t begin)
{
    size_t to = begin;

    if (out->failed || !out->data)
        return;
    for (size_t i = begin; i < out->length; i++)
        if (out->data[i] != ' ' || (to > begin && out->data[to - 1] != ' '))
            out->data[to++] = out->data[i];
    if (to > begin && out->data[to - 1] == ' ')
        to--;
    out->length = to;
    out->data[to] = 0;
}

void answer_span_normalise(struct buffer *out, const char *text, size_t length)
{
    size_t begin = out->length, word = begin;
    int in_word = 0;

    buffer_append(out, "", 0);
    for (size_t i = 0; i < length;) {
        uint32_t code;
        int valid, belongs;

        i += utf8_decode(text + i, length - i, &code, &valid);
        if (is_punctuation(code))
            continue;
        belongs = is_word(code);
        if (belongs && !in_word)
            word = out->length;
        if (!belongs && in_word)
            drop_article(out, word);
        in_word = belongs;
        if (is_blank(code))
            buffer_byte(out, ' ');
        else if (code == 0x130)
            buffer_text(out, "i\xCC\x87"); /* the one capital that becomes two */
        else
            put_code(out, lower(code));
    }
    if (in_word)
        drop_article(out, word);
    squeeze(out, begin);
}

/* ---- F1 ---- */

static int compare_slices(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    size_t n = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->text, y->text, n);

    return order ? order : (x->length > y->length) - (x->length < y->length);
}

/* The words of a normal form, sorted. NULL: out of memory. */
static struct slice *sorted_words(const char *text, size_t *n)
{
    struct slice *words;

    *n = 0;
    for (const char *c = text; *c; c++)
        *n += *c == ' ';
    words = memory_alloc((*n + 1) * sizeof *words);
    if (!words)
        return NULL;
    for (*n = 0; *text;) {
        const char *end = strchr(text, ' ');
        size_t length = end ? (size_t)(end - text) : strlen(text);

        words[(*n)++] = (struct slice){text, length};
        text += length + (end != NULL);
    }
    qsort(words, *n, sizeof *words, compare_slices);
    return words;
}

static int is_verdict(const char *text)
{
    return strcmp(text, "yes") == 0 || strcmp(text, "no") == 0 || strcmp(text, "noanswer") == 0;
}

double answer_span_f1(const char *prediction, const char *gold)
{
    size_t n_prediction, n_gold, same = 0, i = 0, j = 0;
    struct slice *a, *b;
    double precision, recall;

    if (strcmp(prediction, gold) == 0)
        return *gold ? 1 : 0;
    if (is_verdict(prediction) || is_verdict(gold))
        return 0;
    a = sorted_words(prediction, &n_prediction);
    b = sorted_words(gold, &n_gold);
    while (a && b && i < n_prediction && j < n_gold) {
        int order = compare_slices(&a[i], &b[j]);

        same += order == 0;
        i += order <= 0;
        j += order >= 0;
    }
    memory_free(a);
    memory_free(b);
    if (!a || !b)
        return -1;
    if (same == 0)
        return 0;
    precision = (double)same / (double)n_prediction;
    recall = (double)same / (double)n_gold;
    return 2 * precision * recall / (precision + recall);
}
