/* rouge.c - words to numbers, then sorted n-grams for 1 and 2, and a bit-parallel common subsequence for L.
 *
 *   both texts -> stems -> sorted, equal stems get one number -> ids[n]
 *   n-grams    sorted 64-bit keys of both, merged: the smaller count of each
 *   L          bit i of V: the i-th gold word has not been matched yet; V = (V + (V & M)) | (V & ~M) for each word of
 * the prediction, M its places in the gold (Crochemore et al. 2001; Hyyro 2004); the zeros of V are the length
 *
 * A word that is frequent in the gold (more places than V has machine words, hence at most 64 words) keeps its M; the
 * others' M is set bit by bit and cleared again: linear memory, and time words x words / 64 whatever the texts. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "answer_parts.h"
#include "porter.h"
#include "rouge.h"
#include "utf8.h"

struct word {
    struct slice stem;
    uint32_t id; /* while sorting: the place among all words */
};

struct words {
    struct buffer stems;
    size_t n[2]; /* of the prediction, of the gold */
    uint32_t *ids;
    uint64_t *keys; /* n-grams of both, or scratch */
};

/* ---- words ---- */

/* Appends the token that began at `begin` of the buffer as a stem, with a NUL behind it. */
static void end_token(struct words *w, size_t begin, int which)
{
    struct buffer *s = &w->stems;
    size_t length = s->length - begin;

    if (s->failed || length == 0)
        return;
    if (length > 3)
        length = porter_stem(s->data + begin, length);
    s->length = begin + length;
    buffer_byte(s, 0);
    w->n[which] += length > 0;
    s->length -= length == 0;
}

static void tokenize(struct words *w, struct slice t, int which)
{
    size_t begin = w->stems.length;

    for (size_t i = 0; i < t.length;) {
        uint32_t code;
        int valid;

        i += utf8_decode(t.text + i, t.length - i, &code, &valid);
        code = code == 0x212A ? 'k' : code; /* the Kelvin sign is the one other letter whose lower case is ASCII ... */
        if (code < 0x80 && (answer_is_letter((char)code) || answer_is_digit((char)code))) {
            buffer_byte(&w->stems, answer_lower((char)code));
            continue;
        }
        if (code == 0x130) /* ... and this one becomes an i and a combining dot */
            buffer_byte(&w->stems, 'i');
        end_token(w, begin, which);
        begin = w->stems.length;
    }
    end_token(w, begin, which);
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(((const struct word *)a)->stem.text, ((const struct word *)b)->stem.text);
}

/* Gives equal stems one number: ids[i] of word i, the prediction's first. */
static int number_words(struct words *w)
{
    size_t n = w->n[0] + w->n[1], at = 0;
    struct word *words = memory_alloc((n + 1) * sizeof *words);
    uint32_t id = 0;

    w->ids = memory_alloc((n + 1) * sizeof *w->ids);
    w->keys = memory_alloc((n + 1) * sizeof *w->keys);
    if (words && w->ids && w->keys) {
        for (size_t i = 0; i < n; i++) {
            words[i].stem = (struct slice){w->stems.data + at, 0};
            words[i].id = (uint32_t)i;
            at += strlen(w->stems.data + at) + 1;
        }
        qsort(words, n, sizeof *words, compare_words);
        for (size_t i = 0; i < n; i++) {
            id += i && compare_words(&words[i - 1], &words[i]) != 0;
            w->ids[words[i].id] = id;
        }
    }
    memory_free(words);
    return words && w->ids && w->keys;
}

/* ---- n-grams ---- */

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static double f_measure(size_t same, size_t n_prediction, size_t n_gold)
{
    double precision = n_prediction ? (double)same / (double)n_prediction : 0;
    double recall = n_gold ? (double)same / (double)n_gold : 0;

    return same ? 2 * precision * recall / (precision + recall) : 0;
}

/* F of the n-grams, n 1 or 2. */
static double score_ngrams(struct words *w, size_t n)
{
    size_t count[2], same = 0, i = 0, j = 0;
    uint64_t *keys[2] = {w->keys, w->keys + w->n[0]};

    for (int which = 0; which < 2; which++) {
        const uint32_t *ids = w->ids + (which ? w->n[0] : 0);

        count[which] = w->n[which] >= n ? w->n[which] - n + 1 : 0;
        for (size_t k = 0; k < count[which]; k++)
            keys[which][k] = (uint64_t)ids[k] << 32 | (n == 2 ? ids[k + 1] : 0);
        qsort(keys[which], count[which], sizeof **keys, compare_keys);
    }
    while (i < count[0] && j < count[1]) {
        int order = compare_keys(&keys[0][i], &keys[1][j]);

        same += order == 0;
        i += order <= 0;
        j += order >= 0;
    }
    return f_measure(same, count[0], count[1]);
}

/* ---- the longest common subsequence ---- */

struct places {
    uint32_t *first; /* [ids + 1]: where an id's places begin in `at` */
    uint32_t *at;    /* places in the gold, by id */
    uint64_t **kept; /* [ids]: M of the frequent ids, else NULL */
    uint64_t *bits;  /* V, M, then the kept M */
};

static void free_places(struct places *p)
{
    memory_free(p->first);
    memory_free(p->at);
    memory_free(p->kept);
    memory_free(p->bits);
}

static void set_bits(uint64_t *m, const struct places *p, uint32_t id)
{
    for (uint32_t k = p->first[id]; k < p->first[id + 1]; k++)
        m[p->at[k] / 64] |= (uint64_t)1 << p->at[k] % 64;
}

static int find_places(struct places *p, const uint32_t *gold, size_t n, size_t n_ids, size_t n_machine)
{
    size_t n_kept = 0;

    p->first = memory_alloc((n_ids + 2) * sizeof *p->first);
    p->at = memory_alloc((n + 1) * sizeof *p->at);
    p->kept = memory_alloc((n_ids + 1) * sizeof *p->kept);
    if (!p->first || !p->at || !p->kept)
        return 0;
    memset(p->first, 0, (n_ids + 2) * sizeof *p->first);
    for (size_t i = 0; i < n; i++)
        p->first[gold[i] + 2]++;
    for (size_t id = 0; id < n_ids; id++) {
        n_kept += p->first[id + 2] > n_machine;
        p->first[id + 2] += p->first[id + 1];
    }
    for (size_t i = 0; i < n; i++)
        p->at[p->first[gold[i] + 1]++] = (uint32_t)i;
    p->bits = memory_alloc((n_kept + 2) * n_machine * sizeof *p->bits);
    if (!p->bits)
        return 0;
    memset(p->bits, 0, (n_kept + 2) * n_machine * sizeof *p->bits);
    n_kept = 2;
    for (size_t id = 0; id < n_ids; id++) {
        p->kept[id] = NULL;
        if (p->first[id + 1] - p->first[id] <= n_machine)
            continue;
        p->kept[id] = p->bits + n_kept++ * n_machine;
        set_bits(p->kept[id], p, (uint32_t)id);
    }
    return 1;
}

/* One word of the prediction. */
static void advance(uint64_t *v, const uint64_t *m, size_t n_machine)
{
    uint64_t carry = 0;

    for (size_t k = 0; k < n_machine; k++) {
        uint64_t u = v[k] & m[k], sum = v[k] + u, with_carry = sum + carry;

        carry = (sum < u) | (with_carry < sum);
        v[k] = with_carry | (v[k] & ~m[k]);
    }
}

static int score_lcs(struct words *w, double *score)
{
    size_t n = w->n[1], n_machine = (n + 63) / 64, n_ids = 0, same = 0;
    const uint32_t *gold = w->ids + w->n[0];
    struct places p = {NULL, NULL, NULL, NULL};
    uint64_t *v, *m;

    *score = 0;
    if (w->n[0] == 0 || n == 0)
        return 1;
    for (size_t i = 0; i < w->n[0] + n; i++)
        n_ids = w->ids[i] >= n_ids ? w->ids[i] + 1 : n_ids;
    if (!find_places(&p, gold, n, n_ids, n_machine)) {
        free_places(&p);
        return 0;
    }
    v = p.bits;
    m = v + n_machine;
    memset(v, 0xFF, n_machine * sizeof *v);
    for (size_t i = 0; i < w->n[0]; i++) {
        uint32_t id = w->ids[i];

        if (p.kept[id]) {
            advance(v, p.kept[id], n_machine);
        } else if (p.first[id] < p.first[id + 1]) {
            set_bits(m, &p, id);
            advance(v, m, n_machine);
            for (uint32_t k = p.first[id]; k < p.first[id + 1]; k++)
                m[p.at[k] / 64] = 0;
        }
    }
    for (size_t i = 0; i < n; i++)
        same += !(v[i / 64] >> i % 64 & 1);
    free_places(&p);
    *score = f_measure(same, w->n[0], n);
    return 1;
}

enum status rouge_score(struct rouge *score, const char *prediction, size_t prediction_length, const char *gold,
                        size_t gold_length, struct diag *diag)
{
    struct words w = {{0}, {0, 0}, NULL, NULL};
    int done;

    memset(score, 0, sizeof *score);
    tokenize(&w, answer_slice(prediction, 0, prediction_length), 0);
    tokenize(&w, answer_slice(gold, 0, gold_length), 1);
    done = !w.stems.failed && number_words(&w);
    if (done) {
        score->rouge1 = score_ngrams(&w, 1);
        score->rouge2 = score_ngrams(&w, 2);
        done = score_lcs(&w, &score->rougeL);
    }
    buffer_free(&w.stems);
    memory_free(w.ids);
    memory_free(w.keys);
    return done ? STATUS_OK : diag_fail(diag, STATUS_MEMORY, "out of memory for ROUGE");
}
