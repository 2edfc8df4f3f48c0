/* test_tokenizer_train.c - learning merges against a naive twin, specials, files in all forms, failures. */
#include <stdint.h>
#include <unistd.h>

#include "arena.h"
#include "file.h"
#include "rng.h"
#include "test.h"
#include "tokenizer.h"
#include "tokenizer_train.h"

#define EOT       "<|endoftext|>"
#define MAX_WORDS 4096
#define MAX_WORD  64

static const char *const eot[] = {EOT};

static struct tokenizer_train_options options_of(const char *pre, size_t vocab_size)
{
    struct tokenizer_train_options o = {
        .pre = pre, .vocab_size = vocab_size, .min_count = 1, .specials = eot, .n_specials = 1, .bos = EOT, .eos = EOT};
    return o;
}

/* Trains on one text. The trainer owns the vocabulary. */
static struct tokenizer_trainer *train(const struct tokenizer_train_options *options, const char *text, size_t length,
                                       const struct vocabulary **vocabulary, struct tokenizer_train_report *report)
{
    struct tokenizer_trainer *trainer;
    struct diag diag;

    CHECK_MSG(tokenizer_trainer_create(&trainer, options, &diag) == STATUS_OK, "%s", diag.message);
    CHECK(tokenizer_trainer_add_text(trainer, text, length, "text", &diag) == STATUS_OK);
    CHECK(tokenizer_trainer_run(trainer, NULL, NULL, vocabulary, report, &diag) == STATUS_OK);
    return trainer;
}

/* ---- The naive twin: recounts everything for every merge. Words are what lies between spaces, with the space in
 * front; texts are lower-case letters and single spaces, so GPT-2's splitting is just that. ---- */

struct naive {
    int words[MAX_WORDS][MAX_WORD], lengths[MAX_WORDS], n_words, n_tokens;
    char tokens[2048][MAX_WORD + 1];
};

static int naive_token(struct naive *n, const char *text)
{
    for (int i = 0; i < n->n_tokens; i++)
        if (strcmp(n->tokens[i], text) == 0)
            return i;
    snprintf(n->tokens[n->n_tokens], sizeof n->tokens[0], "%s", text);
    return n->n_tokens++;
}

static void naive_words(struct naive *n, const char *text)
{
    /* Ids in the order of the alphabet: letters stand for themselves, the space comes behind all of them. */
    for (int c = 'a'; c <= 'z'; c++)
        naive_token(n, (char[]){(char)c, 0});
    naive_token(n, " ");
    n->n_words = 0;
    for (const char *p = text; *p; n->n_words++) {
        int length = 0;
        do
            n->words[n->n_words][length++] = naive_token(n, (char[]){*p++, 0});
        while (*p && *p != ' ');
        n->lengths[n->n_words] = length;
    }
}

/* The most frequent pair, of equal ones that with the smallest ids; its count. */
static int naive_best(const struct naive *n, int *left, int *right)
{
    static int counts[512][512];
    int best = 0;

    memset(counts, 0, sizeof counts);
    for (int w = 0; w < n->n_words; w++)
        for (int i = 0; i + 1 < n->lengths[w]; i++)
            counts[n->words[w][i]][n->words[w][i + 1]]++;
    for (int a = 0; a < n->n_tokens; a++)
        for (int b = 0; b < n->n_tokens; b++)
            if (counts[a][b] > best) {
                best = counts[a][b];
                *left = a;
                *right = b;
            }
    return best;
}

static void naive_merge(struct naive *n, int left, int right, int id)
{
    for (int w = 0; w < n->n_words; w++) {
        int to = 0, *word = n->words[w];
        for (int i = 0; i < n->lengths[w]; i++) {
            int both = i + 1 < n->lengths[w] && word[i] == left && word[i + 1] == right;
            word[to++] = both ? id : word[i];
            i += both;
        }
        n->lengths[w] = to;
    }
}

/* What a piece in GPT-2's alphabet says, for letters and spaces (U+0120). */
static void plain(struct span piece, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < piece.length && n < MAX_WORD; i++) {
        int space = (unsigned char)piece.text[i] == 0xC4;
        out[n++] = space ? ' ' : piece.text[i];
        i += (size_t)space;
    }
    out[n] = 0;
}

static void random_text(char *text, size_t length, uint64_t seed, uint32_t letters)
{
    for (size_t i = 0; i + 1 < length; i++) {
        uint64_t bits = rng_bits(seed, RNG_TEST, i, 0, 0);
        int space =
            i > 0 && text[i - 1] != ' ' && i + 2 < length && rng_below(rng_bits(seed, RNG_TEST, i, 1, 0), 5) == 0;
        text[i] = space ? ' ' : (char)('a' + rng_below(bits, letters));
    }
    text[length - 1] = 0;
}

static void test_against_naive(void)
{
    static struct naive naive;
    char text[3000];

    for (uint64_t seed = 0; seed < (test_quick() ? 4u : 24u); seed++) {
        struct tokenizer_train_options o = options_of("gpt-2", 257 + 120);
        const struct vocabulary *v;
        struct tokenizer_train_report report;
        random_text(text, 200 + seed * 100, seed, 1 + (uint32_t)seed % 6);
        struct tokenizer_trainer *trainer = train(&o, text, strlen(text), &v, &report);
        memset(&naive, 0, sizeof naive);
        naive_words(&naive, text);
        CHECK(report.n_bytes == strlen(text) && report.n_words == (uint64_t)naive.n_words);
        for (size_t m = 0; m < v->n_merges; m++) {
            char left[MAX_WORD + 1], right[MAX_WORD + 1], joined[2 * MAX_WORD + 2];
            int a = -1, b = -1;
            CHECK(naive_best(&naive, &a, &b) > 0);
            plain(v->merges[m].left, left);
            plain(v->merges[m].right, right);
            CHECK_MSG(a >= 0 && strcmp(naive.tokens[a], left) == 0 && strcmp(naive.tokens[b], right) == 0,
                      "seed %d merge %zu: '%s' '%s'", (int)seed, m, left, right);
            snprintf(joined, sizeof joined, "%s%s", left, right);
            naive_merge(&naive, a, b, naive_token(&naive, joined));
        }
        uint64_t tokens = 0;
        for (int w = 0; w < naive.n_words; w++)
            tokens += (uint64_t)naive.lengths[w];
        CHECK(report.n_tokens == tokens && report.n_merges > 0);
        tokenizer_trainer_free(trainer);
    }
}

/* ---- Files ---- */

static const char sample[] =
    "Ann has 12 apples and 3 pears.\n\nBen's got 1500 apples, too!\n\n" EOT
    "Ann gives 5 apples to Ben. \xC3\xA4\xC3\xB6 apples\xF0\x9F\x8D\x8E apples\xF0\x9F\x8D\x8E";

static void encode(const struct tokenizer *t, const char *text, size_t length, struct tokens *ids)
{
    struct diag diag;

    ids->count = 0;
    CHECK(tokenizer_encode(t, text, length, ENCODE_BOS | ENCODE_SPECIAL, ids, &diag) == STATUS_OK);
}

/* Writes the vocabulary in four forms; all must read as the same tokenizer. */
static void check_forms(const char *folder, const char *pre, int add_bos)
{
    static const char *const names[] = {"v.gguf", "v", "v/tokenizer.json", "other.json"};
    struct tokenizer_train_options o = options_of(pre, 320);
    const struct vocabulary *v;
    struct tokenizer_train_report report;
    struct tokens first = {0}, ids = {0};
    char path[256], bytes[1024];
    struct diag diag;

    o.add_bos = add_bos;
    o.min_count = 2;
    struct tokenizer_trainer *trainer = train(&o, sample, strlen(sample), &v, &report);
    for (int i = 0; i < 1024; i++)
        bytes[i] = (char)rng_bits(1, RNG_TEST, (uint64_t)i, 9, 9);
    for (int i = 0; i < 4; i++) {
        struct tokenizer *t = NULL;
        struct buffer text = {0};
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        CHECK_MSG(tokenizer_write(v, path, &diag) == STATUS_OK, "%s", diag.message);
        CHECK_MSG(tokenizer_load(&t, path, &diag) == STATUS_OK, "%s", diag.message);
        if (!t)
            continue;
        CHECK(tokenizer_vocab_size(t) == v->n_pieces && tokenizer_eos(t) == 0);
        CHECK(tokenizer_adds_bos(t) == add_bos || i == 3);
        encode(t, sample, strlen(sample), i ? &ids : &first);
        CHECK(!i || (ids.count == first.count && memcmp(ids.ids, first.ids, ids.count * sizeof *ids.ids) == 0));
        /* Any bytes come back. */
        encode(t, bytes, sizeof bytes, &ids);
        tokenizer_decode(t, ids.ids, ids.count, 0, &text);
        CHECK(text.length == sizeof bytes && memcmp(text.data, bytes, sizeof bytes) == 0);
        buffer_free(&text);
        tokenizer_free(t);
    }
    tokens_free(&first);
    tokens_free(&ids);
    tokenizer_trainer_free(trainer);
}

static void test_forms(void)
{
    char folder[] = "/tmp/test_tokenizer_train.XXXXXX", names[256], command[64];

    CHECK(mkdtemp(folder) != NULL);
    snprintf(names, sizeof names, "%s ", tokenizer_train_pres());
    for (char *pre = names, *end; (end = strchr(pre, ' ')); pre = end + 1) {
        *end = 0;
        check_forms(folder, pre, 0);
        check_forms(folder, pre, 1);
    }
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK(system(command) == 0);
}

/* Texts between specials are apart, a special is one token and is not learnt from. */
static void test_specials(void)
{
    static const char *const specials[] = {"<|a|>", "<|ab|>", "<|a|>b"};
    struct tokenizer_train_options o = options_of("gpt-2", 300);
    const struct vocabulary *v;
    struct tokenizer_train_report report;
    const char *text = "xx<|a|>xx<|ab|>xx<|a|>bxx";

    o.specials = specials;
    o.n_specials = 3;
    o.bos = o.eos = "<|ab|>";
    struct tokenizer_trainer *trainer = train(&o, text, strlen(text), &v, &report);
    CHECK(report.n_words == 4 && report.n_distinct == 1 && report.n_bytes == 8);
    CHECK(v->n_merges == 1 && v->n_pieces == 3 + 256 + 1 && v->eos == 1);
    tokenizer_trainer_free(trainer);
}

static void refuse(struct tokenizer_train_options o, const char *word)
{
    struct tokenizer_trainer *trainer = NULL;
    struct diag diag;

    CHECK(tokenizer_trainer_create(&trainer, &o, &diag) != STATUS_OK && trainer == NULL);
    CHECK_MSG(strstr(diag.message, word) != NULL, "'%s' without '%s'", diag.message, word);
}

static void test_bad_options(void)
{
    static const char *const one_byte[] = {"a"}, *const twice[] = {"<a>", "<a>"}, *const no_utf8[] = {"<\xFF>"};
    struct tokenizer_train_options o = options_of("gpt-2", 300);

    refuse(options_of("gpt-3", 300), "gpt-3");
    refuse(options_of("gpt-2", 256), "257");
    o.specials = one_byte;
    refuse(o, "2 to 256");
    o.specials = no_utf8;
    refuse(o, "UTF-8");
    o.specials = twice;
    o.n_specials = 2;
    refuse(o, "twice");
    o = options_of("gpt-2", 300);
    o.eos = "</s>";
    refuse(o, "</s>");
    o = options_of("gpt-2", 300);
    o.bos = NULL;
    o.add_bos = 1;
    refuse(o, "BOS");
}

static void test_empty_and_long(void)
{
    struct tokenizer_train_options o = options_of("gpt-2", 300);
    const struct vocabulary *v;
    struct tokenizer_train_report report;
    struct tokenizer_trainer *trainer = train(&o, "", 0, &v, &report);
    char *text = malloc(1 << 20);

    CHECK(v->n_pieces == 257 && v->n_merges == 0 && report.n_tokens == 0);
    tokenizer_trainer_free(trainer);
    /* One word of a million equal letters: pairs overlap, each merge halves what is left. */
    memset(text, 'a', 1 << 20);
    trainer = train(&o, text, 1 << 20, &v, &report);
    CHECK(v->n_merges == 20 && v->pieces[v->n_pieces - 1].length == 1 << 20 && report.n_tokens == 1);
    tokenizer_trainer_free(trainer);
    free(text);
}

/* The n-th allocation fails, for n = 1 until the training succeeds. */
static void test_memory(void)
{
    struct tokenizer_train_options o = options_of("qwen2", 300);
    size_t live = memory_live(), n = 0;
    enum status status;

    do {
        struct tokenizer_trainer *trainer = NULL;
        const struct vocabulary *v;
        struct tokenizer_train_report report;
        struct diag diag;
        memory_fail_at(++n);
        status = tokenizer_trainer_create(&trainer, &o, &diag);
        status = status ? status : tokenizer_trainer_add_text(trainer, sample, strlen(sample), "text", &diag);
        status = status ? status : tokenizer_trainer_run(trainer, NULL, NULL, &v, &report, &diag);
        memory_fail_at(0);
        CHECK(status == STATUS_OK || status == STATUS_MEMORY);
        tokenizer_trainer_free(trainer);
        CHECK(memory_live() == live);
    } while (status && n < 10000);
    CHECK(status == STATUS_OK && n > 10);
}

int main(void)
{
    RUN(test_against_naive);
    RUN(test_forms);
    RUN(test_specials);
    RUN(test_bad_options);
    RUN(test_empty_and_long);
    RUN(test_memory);
    return TEST_RESULT();
}
