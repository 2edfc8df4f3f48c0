/* test_tokenizer.c - encoding and decoding on small synthetic vocabularies, against naive twins; hostile vocabularies;
 * failing allocations. Real vocabularies are checked by data_tokenizers.sh. */
#include "test.h"
#include "tokenizer.h"
#include "utf8.h"

#define MAX_PIECES 600
#define MAX_MERGES 200

/* A vocabulary under construction. Texts live in `store`. */
struct draft {
    struct vocabulary v;
    struct span pieces[MAX_PIECES];
    float scores[MAX_PIECES];
    uint8_t types[MAX_PIECES], strips[MAX_PIECES];
    struct merge merges[MAX_MERGES];
    char store[32768];
    size_t used;
};

static uint32_t random_state;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)random_state * n) >> 32);
}

static const char *keep(struct draft *d, const char *text, size_t length)
{
    char *copy = d->store + d->used;

    memcpy(copy, text, length);
    d->used += length;
    return copy;
}

static int32_t add(struct draft *d, const char *text, size_t length, enum token_type type, float score)
{
    size_t id = d->v.n_pieces++;

    d->pieces[id] = (struct span){keep(d, text, length), length};
    d->types[id] = (uint8_t)type;
    d->scores[id] = score;
    return (int32_t)id;
}

static int32_t add_text(struct draft *d, const char *text, enum token_type type)
{
    return add(d, text, strlen(text), type, 0);
}

/* A byte in GPT-2's alphabet, written at out; returns the bytes. */
static size_t alphabet(unsigned byte, char *out)
{
    unsigned code = byte, n = 0;

    for (unsigned b = 0; b < byte; b++)
        n += !((b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174);
    if (!((byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174))
        code = 256 + n;
    if (code < 128) {
        out[0] = (char)code;
        return 1;
    }
    out[0] = (char)(0xC0 | code >> 6);
    out[1] = (char)(0x80 | (code & 63));
    return 2;
}

static size_t alphabet_text(const char *text, size_t length, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < length; i++)
        n += alphabet((unsigned char)text[i], out + n);
    return n;
}

static void draft_begin(struct draft *d, enum vocabulary_kind kind)
{
    memset(d, 0, sizeof *d);
    d->v =
        (struct vocabulary){.name = "test", .kind = kind, .pre = "gpt-2", .bos = -1, .eos = -1, .unk = -1, .eot = -1};
    d->v.pieces = d->pieces;
    d->v.scores = d->scores;
    d->v.types = d->types;
    d->v.strips = d->strips;
    d->v.merges = d->merges;
}

/* The 256 bytes as ids 0..255. */
static void add_bytes(struct draft *d)
{
    char text[8];

    for (unsigned b = 0; b < 256; b++)
        add(d, text, alphabet(b, text), TOKEN_NORMAL, 0);
}

static void add_byte_tokens(struct draft *d)
{
    char text[8];

    for (unsigned b = 0; b < 256; b++) {
        snprintf(text, sizeof text, "<0x%02X>", b);
        add(d, text, 6, TOKEN_BYTE, 0);
    }
}

static void add_merge(struct draft *d, const char *left, const char *right)
{
    char text[256];
    size_t n = alphabet_text(left, strlen(left), text), m = alphabet_text(right, strlen(right), text + n);
    const char *kept = keep(d, text, n + m);

    d->merges[d->v.n_merges++] = (struct merge){{kept, n}, {kept + n, m}};
    add(d, text, n + m, TOKEN_NORMAL, 0);
}

static struct tokenizer *create(const struct draft *d)
{
    struct tokenizer *tokenizer = NULL;
    struct diag diag = {0};

    CHECK_MSG(tokenizer_create(&tokenizer, &d->v, &diag) == STATUS_OK, "%s", diag.message);
    return tokenizer;
}

/* "1 2 3" */
static void show(const struct tokens *ids, char *out, size_t size)
{
    size_t n = 0;

    *out = '\0';
    for (size_t i = 0; i < ids->count && n + 12 < size; i++)
        n += (size_t)snprintf(out + n, size - n, i ? " %d" : "%d", (int)ids->ids[i]);
}

#define CHECK_IDS(tokenizer, text, flags, expected) check_ids(tokenizer, text, strlen(text), flags, expected, __LINE__)

static void check_ids(const struct tokenizer *tokenizer, const char *text, size_t length, unsigned flags,
                      const char *expected, int line)
{
    struct tokens ids = {0};
    struct diag diag = {0};
    char found[1000];

    CHECK_MSG(tokenizer_encode(tokenizer, text, length, flags, &ids, &diag) == STATUS_OK, "line %d: %s", line,
              diag.message);
    show(&ids, found, sizeof found);
    CHECK_MSG(strcmp(found, expected) == 0, "line %d: '%.40s': expected %s, found %.300s", line, text, expected, found);
    tokens_free(&ids);
}

static void check_round_trip(const struct tokenizer *tokenizer, const char *text, size_t length)
{
    struct tokens ids = {0};
    struct buffer out = {0}, streamed = {0};
    struct decoder decoder;

    CHECK(tokenizer_encode(tokenizer, text, length, 0, &ids, NULL) == STATUS_OK);
    tokenizer_decode(tokenizer, ids.ids, ids.count, 0, &out);
    CHECK_MSG(out.length == length && memcmp(out.data ? out.data : "", text, length) == 0,
              "'%.40s' came back as '%.40s'", text, out.data ? out.data : "");
    decoder_begin(&decoder, tokenizer, 0);
    for (size_t i = 0; i < ids.count; i++)
        decoder_put(&decoder, ids.ids[i], &streamed);
    decoder_end(&decoder, &streamed);
    CHECK(streamed.length == length && memcmp(streamed.data ? streamed.data : "", text, length) == 0);
    tokens_free(&ids);
    buffer_free(&out);
    buffer_free(&streamed);
}

/* ---- byte-level BPE ---- */

/* Merges the way the definition reads: the pair of smallest rank, leftmost first, until none is left. */
static size_t naive_bpe(const struct draft *d, const char *word, size_t length, int32_t *ids)
{
    static char parts[400][64];
    size_t n = length;
    char joined[128];

    for (size_t i = 0; i < length; i++)
        parts[i][alphabet((unsigned char)word[i], parts[i])] = '\0';
    for (;;) {
        size_t best = SIZE_MAX, rank = SIZE_MAX;
        for (size_t i = 0; i + 1 < n; i++) {
            for (size_t r = 0; r < d->v.n_merges && r < rank; r++) {
                const struct merge *m = &d->merges[r];
                if (m->left.length == strlen(parts[i]) && memcmp(m->left.text, parts[i], m->left.length) == 0 &&
                    m->right.length == strlen(parts[i + 1]) &&
                    memcmp(m->right.text, parts[i + 1], m->right.length) == 0) {
                    rank = r;
                    best = i;
                }
            }
        }
        if (best == SIZE_MAX)
            break;
        snprintf(joined, sizeof joined, "%s%s", parts[best], parts[best + 1]);
        memcpy(parts[best], joined, strlen(joined) + 1);
        memmove(parts[best + 1], parts[best + 2], (n - best - 2) * sizeof parts[0]);
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t id = 0; id < d->v.n_pieces; id++) {
            if (d->pieces[id].length == strlen(parts[i]) && memcmp(d->pieces[id].text, parts[i], strlen(parts[i])) == 0)
                ids[i] = (int32_t)id;
        }
    }
    return n;
}

/* Random merges of pieces over a small alphabet, so that merges compete and build on each other. */
static void add_random_merges(struct draft *d, int count)
{
    char texts[64][16] = {"a", "b", "c", "d"};
    int n = 4;

    while (count > 0) {
        const char *left = texts[random_below((uint32_t)n)], *right = texts[random_below((uint32_t)n)];
        char joined[32];
        int known = 0;
        snprintf(joined, sizeof joined, "%s%s", left, right);
        for (int i = 0; i < n; i++)
            known |= strcmp(texts[i], joined) == 0;
        if (known || strlen(joined) > 12 || n == 64)
            continue;
        add_merge(d, left, right);
        memcpy(texts[n++], joined, strlen(joined) + 1);
        count--;
    }
}

static void test_bpe_against_naive(void)
{
    static struct draft d;
    int rounds = test_quick() ? 3 : 20;

    random_state = 1;
    for (int round = 0; round < rounds; round++) {
        struct tokenizer *t;
        draft_begin(&d, VOCABULARY_BYTES);
        add_bytes(&d);
        add_random_merges(&d, 30);
        t = create(&d);
        for (int k = 0; k < 40; k++) {
            char word[256];
            int32_t expected[256];
            struct tokens ids = {0};
            size_t length = 1 + random_below(k % 2 ? 30 : 200), n; /* by scan and by heap */
            for (size_t i = 0; i < length; i++)
                word[i] = (char)('a' + random_below(4));
            n = naive_bpe(&d, word, length, expected);
            CHECK(tokenizer_encode(t, word, length, 0, &ids, NULL) == STATUS_OK);
            CHECK_MSG(ids.count == n && memcmp(ids.ids, expected, n * sizeof *expected) == 0, "round %d: '%.*s'", round,
                      (int)length, word);
            tokens_free(&ids);
        }
        tokenizer_free(t);
    }
}

static void test_bpe_words(void)
{
    static struct draft d;
    struct tokenizer *t;

    draft_begin(&d, VOCABULARY_BYTES);
    add_bytes(&d);
    add_merge(&d, "l", "o");       /* 256 */
    add_merge(&d, "lo", "w");      /* 257 */
    add_merge(&d, " ", "low");     /* 258 */
    add_merge(&d, "e", "r");       /* 259 */
    add_merge(&d, "\xC3", "\xA9"); /* 260: e with acute accent */
    t = create(&d);
    CHECK_IDS(t, "", 0, "");
    CHECK_IDS(t, "lower low", 0, "257 259 258");
    CHECK_IDS(t, "low  low", 0, "257 32 258");
    CHECK_IDS(t, "\xC3\xA9!", 0, "260 33");
    CHECK_IDS(t, "\xC3!", 0, "195 33"); /* invalid UTF-8 stays as it is */
    check_ids(t, "a\0b", 3, 0, "97 0 98", __LINE__);
    tokenizer_free(t);
}

static void test_ignore_merges(void)
{
    static struct draft d;
    struct tokenizer *t;

    draft_begin(&d, VOCABULARY_BYTES);
    add_bytes(&d);
    add_merge(&d, "a", "b");            /* 256 */
    add(&d, "abc", 3, TOKEN_NORMAL, 0); /* 257: no merge makes it */
    t = create(&d);
    CHECK_IDS(t, "abc", 0, "256 99");
    tokenizer_free(t);
    d.v.ignore_merges = 1;
    t = create(&d);
    CHECK_IDS(t, "abc", 0, "257");
    CHECK_IDS(t, "abcd", 0, "256 99 100");
    tokenizer_free(t);
}

/* A vocabulary without some bytes: a stray one becomes U+FFFD, one inside a character is left out. */
static void test_missing_bytes(void)
{
    static struct draft d;
    struct tokenizer *t;
    char text[8];

    draft_begin(&d, VOCABULARY_BYTES);
    for (unsigned b = 0; b < 256; b++) {
        if (b != 0xFF && b != 0x13 && b != 0xF1)
            add(&d, text, alphabet(b, text), TOKEN_NORMAL, 0);
    }
    t = create(&d);
    CHECK_IDS(t, "\xFF", 0, "238 190 188"); /* EF BF BD; 13 and F1 are missing below them */
    CHECK_IDS(t,
              "a\x13"
              "b",
              0, "96 97");
    CHECK_IDS(t, "\xF1\x80\x80\x80", 0, "127 127 127");
    tokenizer_free(t);
}

static void test_long_words(void)
{
    static struct draft d;
    struct tokenizer *t;
    size_t length = test_quick() ? 20000 : 400000;
    char *text = malloc(length);
    struct tokens ids = {0};

    draft_begin(&d, VOCABULARY_BYTES);
    add_bytes(&d);
    add_merge(&d, "a", "a");       /* 256 */
    add_merge(&d, "aa", "aa");     /* 257 */
    add_merge(&d, "aaaa", "aaaa"); /* 258 */
    t = create(&d);
    memset(text, 'a', length);
    CHECK(tokenizer_encode(t, text, length, 0, &ids, NULL) == STATUS_OK);
    CHECK(ids.count == length / 8);
    for (size_t i = 0; i < ids.count; i++)
        CHECK(ids.ids[i] == 258);
    memset(text, ' ', length); /* the pattern for white space must not rescan */
    text[length - 1] = 'a';
    check_round_trip(t, text, length);
    tokens_free(&ids);
    tokenizer_free(t);
    free(text);
}

/* Repeated words of a long text are copied; the ids must be those of short texts. */
static void test_remembered_words(void)
{
    static struct draft d;
    struct tokens all = {0}, one = {0};
    struct tokenizer *t;
    char text[20000];
    size_t length = 0, at = 0;

    random_state = 7;
    draft_begin(&d, VOCABULARY_BYTES);
    add_bytes(&d);
    add_random_merges(&d, 30);
    t = create(&d);
    while (length < sizeof text - 16) {
        text[length++] = ' ';
        for (uint32_t n = 1 + random_below(6); n > 0; n--)
            text[length++] = (char)('a' + random_below(4));
    }
    CHECK(tokenizer_encode(t, text, length, 0, &all, NULL) == STATUS_OK);
    for (size_t i = 0, end; i < length; i = end) {
        for (end = i + 1; end < length && text[end] != ' ';)
            end++;
        one.count = 0;
        CHECK(tokenizer_encode(t, text + i, end - i, 0, &one, NULL) == STATUS_OK);
        CHECK(at + one.count <= all.count && memcmp(all.ids + at, one.ids, one.count * sizeof *one.ids) == 0);
        at += one.count;
    }
    CHECK(at == all.count);
    tokens_free(&all);
    tokens_free(&one);
    tokenizer_free(t);
}

/* ---- SentencePiece ---- */

/* The union of two neighbours with the highest score, leftmost first; texts have plain spaces, ASCII pieces. */
static size_t naive_scores(const struct draft *d, const char *text, size_t length, int32_t *ids)
{
    size_t starts[400], n = length;

    for (size_t i = 0; i <= length; i++)
        starts[i] = i;
    for (;;) {
        size_t best = SIZE_MAX;
        float score = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            for (size_t id = 256; id < d->v.n_pieces; id++) {
                size_t size = starts[i + 2] - starts[i];
                if (d->pieces[id].length == size && memcmp(d->pieces[id].text, text + starts[i], size) == 0 &&
                    (best == SIZE_MAX || d->scores[id] > score)) {
                    best = i;
                    score = d->scores[id];
                }
            }
        }
        if (best == SIZE_MAX)
            break;
        memmove(starts + best + 1, starts + best + 2, (n - best - 1) * sizeof *starts);
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        ids[i] = (unsigned char)text[starts[i]];
        for (size_t id = 256; id < d->v.n_pieces; id++) {
            if (d->pieces[id].length == starts[i + 1] - starts[i] &&
                memcmp(d->pieces[id].text, text + starts[i], d->pieces[id].length) == 0)
                ids[i] = (int32_t)id;
        }
    }
    return n;
}

static void test_scores_against_naive(void)
{
    static struct draft d;
    int rounds = test_quick() ? 3 : 20;

    random_state = 3;
    for (int round = 0; round < rounds; round++) {
        struct tokenizer *t;
        draft_begin(&d, VOCABULARY_SCORES);
        add_byte_tokens(&d);
        add(&d, "a", 1, TOKEN_NORMAL, -50);
        add(&d, "b", 1, TOKEN_NORMAL, -51); /* c and d are not pieces: bytes */
        for (int k = 0; k < 60; k++) {
            char piece[8];
            size_t size = 2 + random_below(4);
            for (size_t i = 0; i < size; i++)
                piece[i] = (char)('a' + random_below(4));
            int known = 0;
            for (size_t id = 256; id < d.v.n_pieces; id++)
                known |= d.pieces[id].length == size && memcmp(d.pieces[id].text, piece, size) == 0;
            if (!known)
                add(&d, piece, size, TOKEN_NORMAL, -(float)random_below(20)); /* with ties */
        }
        t = create(&d);
        for (int k = 0; k < 30; k++) {
            char text[256];
            int32_t expected[256];
            struct tokens ids = {0};
            size_t length = 1 + random_below(k % 2 ? 30 : 200), n;
            for (size_t i = 0; i < length; i++)
                text[i] = (char)('a' + random_below(5)); /* e is in no piece */
            n = naive_scores(&d, text, length, expected);
            CHECK(tokenizer_encode(t, text, length, 0, &ids, NULL) == STATUS_OK);
            CHECK_MSG(ids.count == n && memcmp(ids.ids, expected, n * sizeof *expected) == 0, "round %d: '%.*s'", round,
                      (int)length, text);
            tokens_free(&ids);
        }
        tokenizer_free(t);
    }
}

#define SPACE "\xE2\x96\x81" /* U+2581 */

/* bytes 0..255, then "<unk>" 256, "<s>" 257, "</s>" 258, SPACE 259, a 260, b 261, SPACE a 262, ab 263, two spaces 264
 */
static void draft_spm(struct draft *d, enum vocabulary_kind kind)
{
    draft_begin(d, kind);
    add_byte_tokens(d);
    d->v.unk = add_text(d, "<unk>", TOKEN_UNKNOWN);
    d->v.bos = add_text(d, "<s>", TOKEN_CONTROL);
    d->v.eos = add_text(d, "</s>", TOKEN_CONTROL);
    add(d, SPACE, 3, TOKEN_NORMAL, -9);
    add(d, "a", 1, TOKEN_NORMAL, -10);
    add(d, "b", 1, TOKEN_NORMAL, -11);
    add(d, SPACE "a", 4, TOKEN_NORMAL, -1);
    add(d, "ab", 2, TOKEN_NORMAL, -2);
    add(d, SPACE SPACE, 6, TOKEN_NORMAL, -3);
    d->v.add_bos = 1;
    d->v.dummy_space = DUMMY_SPACE_EACH;
    if (kind == VOCABULARY_MERGES) {
        static const char text[] = SPACE "a"
                                         "ab" SPACE SPACE;
        d->merges[0] = (struct merge){{text, 3}, {text + 3, 1}};
        d->merges[1] = (struct merge){{text + 4, 1}, {text + 5, 1}};
        d->merges[2] = (struct merge){{text + 6, 3}, {text + 9, 3}};
        d->v.n_merges = 3;
    }
}

static void test_spm(void)
{
    static struct draft d;

    for (int kind = VOCABULARY_SCORES; kind <= VOCABULARY_MERGES; kind++) {
        struct tokenizer *t;
        draft_spm(&d, (enum vocabulary_kind)kind);
        t = create(&d);
        CHECK_IDS(t, "", 0, "");
        CHECK_IDS(t, "", ENCODE_BOS, "257");
        CHECK_IDS(t, "ab", 0, "262 261");
        CHECK_IDS(t, "ab", ENCODE_BOS, "257 262 261");
        CHECK_IDS(t, "ab", ENCODE_CONTINUE, "263");
        CHECK_IDS(t, " ab", 0, "259 262 261");
        CHECK_IDS(t, "   ab", 0, "264 259 262 261");
        CHECK_IDS(t, "b a", 0, "259 261 262");
        CHECK_IDS(t, "\xC3\xA9", 0, "259 195 169");
        CHECK_IDS(t, "\xC3", 0, "259 195");
        CHECK_IDS(t, "<s>", 0, "259 60 115 62"); /* no piece has these letters */
        CHECK_IDS(t, "<s>", ENCODE_SPECIAL, "257");
        CHECK_IDS(t, "ab<s>ab</s>", ENCODE_SPECIAL, "262 261 257 262 261 258");
        CHECK_IDS(t, SPACE, 0, "259 226 150 129"); /* not a space */
        check_ids(t, "a\0", 2, 0, "262 0", __LINE__);
        tokenizer_free(t);
    }
}

static void test_dummy_space(void)
{
    static struct draft d;
    struct tokenizer *t;

    draft_spm(&d, VOCABULARY_SCORES);
    d.v.dummy_space = DUMMY_SPACE_FIRST;
    t = create(&d);
    CHECK_IDS(t, "ab<s>ab", ENCODE_SPECIAL, "262 261 257 263");
    CHECK_IDS(t, "<s>ab", ENCODE_SPECIAL, "257 263");
    tokenizer_free(t);
    d.v.dummy_space = DUMMY_SPACE_NONE;
    t = create(&d);
    CHECK_IDS(t, "ab", 0, "263");
    check_round_trip(t, " ab", 3);
    tokenizer_free(t);
}

/* Without byte tokens: the unknown token, or an error. */
static void test_unknown_characters(void)
{
    static struct draft d;
    struct tokens ids = {0};
    struct diag diag = {0};
    struct tokenizer *t;

    draft_begin(&d, VOCABULARY_SCORES);
    d.v.unk = add_text(&d, "<unk>", TOKEN_UNKNOWN);
    add_text(&d, "a", TOKEN_NORMAL);
    t = create(&d);
    CHECK_IDS(t,
              "a\xC3\xA9"
              "b",
              0, "1 0 0");
    tokenizer_free(t);
    d.v.unk = TOKEN_NONE;
    t = create(&d);
    CHECK(tokenizer_encode(t, "az", 2, 0, &ids, &diag) == STATUS_RANGE);
    CHECK(strstr(diag.message, "0x7a") != NULL);
    tokens_free(&ids);
    tokenizer_free(t);
}

/* ---- special tokens, parts, decoding ---- */

static void test_special_tokens(void)
{
    static struct draft d;
    struct tokenizer *t;

    draft_begin(&d, VOCABULARY_BYTES);
    add_bytes(&d);
    add_text(&d, "<|x|>", TOKEN_CONTROL);      /* 256 */
    add_text(&d, "<|x|>y", TOKEN_CONTROL);     /* 257: the longer one wins */
    add_text(&d, "  ", TOKEN_USER_DEFINED);    /* 258: everywhere */
    add_text(&d, "<|z|>", TOKEN_USER_DEFINED); /* 259: markup, so control */
    add_text(&d, "tag", TOKEN_USER_DEFINED);   /* 260 */
    d.strips[256] = 2;
    d.v.bos = d.v.eos = 256;
    t = create(&d);
    CHECK_IDS(t, "<|x|>", 0, "60 124 120 124 62");
    CHECK_IDS(t, "<|x|>", ENCODE_SPECIAL, "256");
    CHECK_IDS(t, "<|x|>y<|x|>\n a", ENCODE_SPECIAL, "257 256 97");
    CHECK_IDS(t, "a   b", 0, "97 258 32 98");
    CHECK_IDS(t, "<|z|>", 0, "60 124 122 124 62");
    CHECK_IDS(t, "<|z|>", ENCODE_SPECIAL, "259");
    CHECK_IDS(t, "a tag", 0, "97 32 260");
    CHECK_IDS(t, "<|x", ENCODE_SPECIAL, "60 124 120");
    CHECK(tokenizer_find(t, "<|x|>", 5) == 256 && tokenizer_find(t, "a", 1) == 97 && tokenizer_find(t, "zz", 2) == -1);
    CHECK(tokenizer_is_eog(t, 256) && !tokenizer_is_eog(t, 257) && !tokenizer_is_eog(t, -5) &&
          !tokenizer_is_eog(t, 999));
    tokenizer_free(t);
}

static void test_segments(void)
{
    static struct draft d;
    struct tokenizer *t;
    struct tokens ids = {0};
    char found[200];
    const struct segment parts[] = {{"<s>", 3, 1},   {"<s>", 3, 0}, {"", 0, 0},  {"a", 1, 0},
                                    {"b</s>", 5, 1}, {"</", 2, 1},  {"s>", 2, 0}};

    draft_spm(&d, VOCABULARY_SCORES);
    t = create(&d);
    CHECK(tokenizer_encode_segments(t, parts, 7, ENCODE_BOS, &ids, NULL) == STATUS_OK);
    show(&ids, found, sizeof found);
    /* one BOS; "<s>" of the content is text; "a" and "b" of two parts merge; "</s>" across parts is text */
    CHECK_MSG(strcmp(found, "257 259 60 115 62 263 258 259 60 47 115 62") == 0, "%s", found);
    ids.count = 0;
    CHECK(tokenizer_encode_segments(t, NULL, 0, ENCODE_BOS, &ids, NULL) == STATUS_OK && ids.count == 1);
    tokens_free(&ids);
    tokenizer_free(t);
}

static void test_decode(void)
{
    static struct draft d;
    struct buffer out = {0};
    struct decoder decoder;
    struct tokenizer *t;
    const int32_t ids[] = {257, 262, 261, 999, -1, 258, 262, 195, 169};
    const int32_t split[] = {195, 97, 195, 169, 240};

    draft_spm(&d, VOCABULARY_SCORES);
    t = create(&d);
    tokenizer_decode(t, ids, 9, 0, &out);
    CHECK_MSG(strcmp(out.data, "aba\xC3\xA9") == 0, "%s", out.data);
    buffer_clear(&out);
    tokenizer_decode(t, ids, 9, DECODE_SPECIAL, &out);
    CHECK_MSG(strcmp(out.data, "<s>ab</s>a\xC3\xA9") == 0, "%s", out.data);
    buffer_clear(&out);
    tokenizer_decode(t, ids + 1, 2, DECODE_CONTINUE, &out);
    CHECK_MSG(strcmp(out.data, " ab") == 0, "%s", out.data);
    buffer_clear(&out);
    decoder_begin(&decoder, t, 0);
    for (int i = 0; i < 5; i++) {
        decoder_put(&decoder, split[i], &out);
        CHECK(utf8_whole_prefix(out.data, out.length) == out.length);
    }
    CHECK(out.length == 4);
    decoder_end(&decoder, &out);
    CHECK(strcmp(out.data, "\xC3"
                           "a\xC3\xA9\xF0") == 0);
    buffer_free(&out);
    tokenizer_free(t);
}

static void test_round_trips(void)
{
    static struct draft d;

    random_state = 11;
    for (int kind = VOCABULARY_BYTES; kind <= VOCABULARY_MERGES; kind++) {
        struct tokenizer *t;
        if (kind == VOCABULARY_BYTES) {
            draft_begin(&d, VOCABULARY_BYTES);
            add_bytes(&d);
            add_random_merges(&d, 20);
        } else {
            draft_spm(&d, (enum vocabulary_kind)kind);
        }
        t = create(&d);
        for (int k = 0; k < (test_quick() ? 50 : 500); k++) {
            char text[100];
            size_t length = random_below(100);
            for (size_t i = 0; i < length; i++) /* any bytes, with many spaces, and bytes of U+2581 */
                text[i] = random_below(3) ? (char)random_below(256) : " ab\n\xE2\x96\x81"[random_below(7)];
            check_round_trip(t, text, length);
        }
        tokenizer_free(t);
    }
}

/* ---- hostile vocabularies ---- */

static void check_refused(const struct draft *d, enum status status, const char *word)
{
    struct tokenizer *t = NULL;
    struct diag diag = {0};

    CHECK(tokenizer_create(&t, &d->v, &diag) == status);
    CHECK(t == NULL);
    CHECK_MSG(strstr(diag.message, word) != NULL, "%s", diag.message);
}

static void test_refused_vocabularies(void)
{
    static struct draft d;
    static char many[400];

    draft_begin(&d, VOCABULARY_BYTES);
    check_refused(&d, STATUS_FORMAT, "1 to");
    add_bytes(&d);
    d.v.pre = "nonsense";
    check_refused(&d, STATUS_UNSUPPORTED, "llama-bpe");
    d.v.pre = NULL;
    check_refused(&d, STATUS_UNSUPPORTED, "pre-tokenizer");
    d.v.pre = "";
    check_refused(&d, STATUS_UNSUPPORTED, "pre-tokenizer");
    d.v.pre = "gpt-2";
    d.v.bos = 256;
    check_refused(&d, STATUS_FORMAT, "BOS");
    d.v.bos = -2;
    check_refused(&d, STATUS_FORMAT, "BOS");
    d.v.bos = -1;
    d.v.add_bos = 1;
    check_refused(&d, STATUS_FORMAT, "add_bos_token");
    d.v.add_bos = 0;
    memset(many, 'x', sizeof many);
    add(&d, many, sizeof many, TOKEN_CONTROL, 0);
    check_refused(&d, STATUS_UNSUPPORTED, "special token");
    draft_begin(&d, VOCABULARY_SCORES);
    add_text(&d, "a", TOKEN_NORMAL);
    d.v.scores = NULL;
    check_refused(&d, STATUS_FORMAT, "scores");
}

/* Duplicates, empty pieces, wrong types, merges of unknown pieces, cycles of merges, no-number scores. */
static void test_odd_vocabularies(void)
{
    static struct draft d;
    struct tokenizer *t;

    draft_begin(&d, VOCABULARY_BYTES);
    add_bytes(&d);
    add_text(&d, "", TOKEN_NORMAL);                    /* 256 */
    add_text(&d, "ab", TOKEN_NORMAL);                  /* 257 */
    add_text(&d, "ab", TOKEN_NORMAL);                  /* 258: the later one counts */
    add_text(&d, "not in the alphabet", TOKEN_NORMAL); /* 259 */
    add_text(&d, "", TOKEN_CONTROL);                   /* 260 */
    d.types[add_text(&d, "q", TOKEN_NORMAL)] = 77;     /* 261 */
    d.merges[0] = (struct merge){{"a", 1}, {"unknown", 7}};
    d.merges[1] = (struct merge){{"", 0}, {"", 0}};
    d.merges[2] = (struct merge){{"a", 1}, {"b", 1}};
    d.merges[3] = (struct merge){{"a", 1}, {"b", 1}};
    d.merges[4] = (struct merge){{"\xFF\xFF", 2}, {"\xFF", 1}};
    d.v.n_merges = 5;
    t = create(&d);
    CHECK_IDS(t, "abq", ENCODE_SPECIAL, "258 113");
    tokenizer_free(t);
    draft_begin(&d, VOCABULARY_SCORES);
    add(&d, "a", 1, TOKEN_NORMAL, 0);
    d.scores[0] = (float)(0.0 / (double)(d.used - 1)); /* NaN */
    add(&d, "aa", 2, TOKEN_NORMAL, 1e30f);
    add(&d, "<0xZZ>", 6, TOKEN_BYTE, 0);
    t = create(&d);
    CHECK_IDS(t, "aaa", 0, "1 0");
    tokenizer_free(t);
}

static void test_failing_allocations(void)
{
    static struct draft d;
    const char text[] =
        "ab ab  <s>  ab\xC3\xA9 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
    size_t live = memory_live();
    int failures = 0;

    for (int kind = VOCABULARY_BYTES; kind <= VOCABULARY_MERGES; kind++) {
        if (kind == VOCABULARY_BYTES) {
            draft_begin(&d, VOCABULARY_BYTES);
            add_bytes(&d);
            add_merge(&d, "a", "b");
        } else {
            draft_spm(&d, (enum vocabulary_kind)kind);
        }
        for (size_t n = 1;; n++) {
            struct tokenizer *t = NULL;
            struct tokens ids = {0};
            struct diag diag = {0};
            enum status status;
            memory_fail_at(n);
            status = tokenizer_create(&t, &d.v, &diag);
            if (!status)
                status = tokenizer_encode(t, text, sizeof text - 1, ENCODE_SPECIAL, &ids, &diag);
            memory_fail_at(0);
            tokens_free(&ids);
            tokenizer_free(t);
            CHECK(memory_live() == live);
            if (!status)
                break;
            CHECK_MSG(status == STATUS_MEMORY, "%s", diag.message);
            failures++;
        }
    }
    CHECK(failures > 20);
}

int main(void)
{
    RUN(test_bpe_against_naive);
    RUN(test_bpe_words);
    RUN(test_ignore_merges);
    RUN(test_missing_bytes);
    RUN(test_long_words);
    RUN(test_remembered_words);
    RUN(test_scores_against_naive);
    RUN(test_spm);
    RUN(test_dummy_space);
    RUN(test_unknown_characters);
    RUN(test_special_tokens);
    RUN(test_segments);
    RUN(test_decode);
    RUN(test_round_trips);
    RUN(test_refused_vocabularies);
    RUN(test_odd_vocabularies);
    RUN(test_failing_allocations);
    return TEST_RESULT();
}
