/* tokenizer_train.c - from texts to a byte-level vocabulary: counts words, has the merges learnt, names the pieces.
 *
 *   ids   | specials | 256 bytes in the order of GPT-2's alphabet | one per merge that made new bytes |
 *
 * Leaves out: learning (bpe_train.c), the files (tokenizer_write.c). */
#include "tokenizer_train.h"
#include <string.h>
#include "bpe_train.h"
#include "file.h"
#include "json.h"
#include "json_stream.h"
#include "lexicon.h"
#include "tokenizer_parts.h"
#include "utf8.h"

#define N_BYTES       256
#define SPECIAL_BYTES 2 /* a shorter special token would be a byte of the alphabet */

struct tokenizer_trainer {
    struct tokenizer_train_options options;
    const struct pretokenizer *pre;
    struct bpe_words words;
    uint8_t byte_order[N_BYTES];
    uint64_t n_bytes, n_words;
    enum status failed; /* of the words */
    struct vocabulary vocabulary;
    struct arena arena; /* the vocabulary's */
};

/* ---- options ---- */

static enum status check_special(const struct tokenizer_train_options *o, size_t index, struct diag *diag)
{
    const char *text = o->specials[index];
    size_t length = strlen(text);
    uint32_t code;
    int valid = 1;

    for (size_t i = 0; i < length && valid;)
        i += utf8_decode(text + i, length - i, &code, &valid);
    if (length < SPECIAL_BYTES || length > SPECIAL_MAX_LENGTH || !valid)
        return diag_fail(diag, STATUS_RANGE, "special token '%.40s': expected UTF-8 of %d to %d bytes, found %zu", text,
                         SPECIAL_BYTES, SPECIAL_MAX_LENGTH, length);
    for (size_t i = 0; i < index; i++) {
        if (strcmp(o->specials[i], text) == 0)
            return diag_fail(diag, STATUS_RANGE, "special token '%.40s': expected distinct ones, found it twice", text);
    }
    return STATUS_OK;
}

static int32_t special_id(const struct tokenizer_train_options *o, const char *text)
{
    for (size_t i = 0; text && i < o->n_specials; i++) {
        if (strcmp(o->specials[i], text) == 0)
            return (int32_t)i;
    }
    return TOKEN_NONE;
}

static enum status check_options(const struct tokenizer_train_options *o, struct diag *diag)
{
    enum status status = STATUS_OK;

    if (!tokenizer_can_write_splitting(o->pre))
        return diag_fail(diag, STATUS_UNSUPPORTED, "pre-tokeniser: expected one of %s, found '%.40s'",
                         tokenizer_train_pres(), o->pre);
    for (size_t i = 0; i < o->n_specials && !status; i++)
        status = check_special(o, i, diag);
    if (status)
        return status;
    if (o->vocab_size < o->n_specials + N_BYTES || o->vocab_size > TOKENIZER_MAX_PIECES)
        return diag_fail(diag, STATUS_RANGE,
                         "vocabulary size: expected %zu (the bytes and the special tokens) to %u, found %zu",
                         o->n_specials + N_BYTES, TOKENIZER_MAX_PIECES, o->vocab_size);
    if ((o->bos && special_id(o, o->bos) < 0) || (o->eos && special_id(o, o->eos) < 0))
        return diag_fail(diag, STATUS_RANGE, "BOS and EOS: expected special tokens, found '%.40s'",
                         o->bos && special_id(o, o->bos) < 0 ? o->bos : o->eos);
    if (o->add_bos && !o->bos)
        return diag_fail(diag, STATUS_RANGE, "BOS in front of texts: expected a BOS token, found none");
    return STATUS_OK;
}

const char *tokenizer_train_pres(void)
{
    return tokenizer_written_splittings();
}

enum status tokenizer_trainer_create(struct tokenizer_trainer **out, const struct tokenizer_train_options *options,
                                     struct diag *diag)
{
    enum status status = check_options(options, diag);
    struct tokenizer_trainer *t;
    size_t n = 0;

    *out = NULL;
    if (status)
        return status;
    t = memory_alloc(sizeof *t);
    if (!t)
        return diag_fail(diag, STATUS_MEMORY, "no memory for a vocabulary");
    memset(t, 0, sizeof *t);
    t->options = *options;
    t->pre = pretokenizer_find(options->pre, strlen(options->pre));
    arena_init(&t->arena, "vocabulary", 0);
    /* Ascending in the characters that stand for the bytes: those that stand for themselves come first. */
    for (int itself = 1; itself >= 0; itself--) {
        for (int byte = 0; byte < N_BYTES; byte++) {
            if (lexicon_is_plain(byte) == itself)
                t->byte_order[n++] = (uint8_t)byte;
        }
    }
    *out = t;
    return STATUS_OK;
}

void tokenizer_trainer_free(struct tokenizer_trainer *t)
{
    if (!t)
        return;
    bpe_words_free(&t->words);
    arena_free(&t->arena);
    memory_free(t);
}

/* ---- texts ---- */

static int count_word(void *context, const char *word, size_t length)
{
    struct tokenizer_trainer *t = context;

    t->failed = bpe_words_add(&t->words, word, length);
    t->n_words++;
    return t->failed;
}

/* The first special token in [at, end), the longest where several begin; 0: none. */
static size_t find_special(const struct tokenizer_trainer *t, const char *text, size_t length, size_t *at)
{
    const struct tokenizer_train_options *o = &t->options;
    unsigned char first[N_BYTES] = {0};

    for (size_t i = 0; i < o->n_specials; i++)
        first[(unsigned char)o->specials[i][0]] = 1;
    for (; *at < length; ++*at) {
        size_t longest = 0;
        for (size_t i = 0; first[(unsigned char)text[*at]] && i < o->n_specials; i++) {
            size_t n = strlen(o->specials[i]);
            if (n > longest && n <= length - *at && memcmp(text + *at, o->specials[i], n) == 0)
                longest = n;
        }
        if (longest)
            return longest;
    }
    return 0;
}

enum status tokenizer_trainer_add_text(struct tokenizer_trainer *t, const char *text, size_t length, const char *name,
                                       struct diag *diag)
{
    size_t start = 0, at = 0, special;

    do {
        special = find_special(t, text, length, &at);
        t->n_bytes += at - start;
        if (at > start && pretokenize(t->pre, text + start, at - start, count_word, t))
            return t->failed == STATUS_RANGE
                       ? diag_fail(diag, STATUS_RANGE, "%s: expected at most %zu bytes of distinct words", name,
                                   BPE_TRAIN_MAX_BYTES)
                       : diag_fail(diag, STATUS_MEMORY, "%s: no memory for %zu distinct words", name, t->words.n_words);
        start = at += special;
    } while (special);
    return STATUS_OK;
}

static int is_text_member(const char *key)
{
    static const char *const names[] = {"text", "prompt", "completion", "content"};

    for (size_t i = 0; key && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(key, names[i]) == 0)
            return 1;
    }
    return 0;
}

/* The texts anywhere in a record: the node table is walked in depth order, without recursion. */
static enum status add_record(struct tokenizer_trainer *t, const struct json *root, const char *path, struct diag *diag)
{
    const struct json *stack[JSON_MAX_DEPTH + 2];
    size_t depth = 0;
    enum status status = STATUS_OK;

    stack[depth++] = root;
    while (depth && !status) {
        const struct json *node = stack[--depth];
        if (node->next)
            stack[depth++] = node->next;
        if (node->child)
            stack[depth++] = node->child;
        if (node->type == JSON_STRING && is_text_member(node->key))
            status = tokenizer_trainer_add_text(t, node->text, node->length, path, diag);
    }
    return status;
}

static enum status add_records(struct tokenizer_trainer *t, const char *path, struct diag *diag)
{
    struct json_stream stream;
    struct arena arena;
    const struct json *root;
    const char *text;
    size_t length;
    enum status status = json_stream_open(&stream, path, 0, diag);

    if (status)
        return status;
    arena_init(&arena, "record", 0);
    while (!(status = json_stream_next(&stream, &text, &length, diag)) && text) {
        struct arena_mark mark = arena_mark(&arena);
        status = json_parse(&root, text, length, &arena, path, stream.line, NULL, diag);
        status = status ? status : add_record(t, root, path, diag);
        arena_release(&arena, mark);
        if (status)
            break;
    }
    arena_free(&arena);
    json_stream_close(&stream);
    return status;
}

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

enum status tokenizer_trainer_add_file(struct tokenizer_trainer *t, const char *path, struct diag *diag)
{
    struct buffer text = {0};
    struct file_map map;
    enum status status;

    if (ends_with(path, ".jsonl"))
        return add_records(t, path, diag);
    /* What cannot be mapped (a pipe) is read. */
    if (strcmp(path, "-") != 0 && file_map(&map, path, NULL) == STATUS_OK) {
        status = tokenizer_trainer_add_text(t, map.data ? (const char *)map.data : "", map.size, path, diag);
        file_unmap(&map);
        return status;
    }
    status = file_read(&text, path, 0, diag);
    if (!status)
        status = tokenizer_trainer_add_text(t, text.length ? text.data : "", text.length, path, diag);
    buffer_free(&text);
    return status;
}

/* ---- the vocabulary ---- */

static enum status no_memory(size_t n, struct diag *diag)
{
    return diag_fail(diag, STATUS_MEMORY, "no memory for a vocabulary of %zu pieces", n);
}

/* The concatenation of two pieces. */
static int join(struct tokenizer_trainer *t, struct span *to, struct span left, struct span right)
{
    char *text = arena_alloc(&t->arena, left.length + right.length + 1);

    if (!text)
        return 0;
    memcpy(text, left.text, left.length);
    memcpy(text + left.length, right.text, right.length);
    text[left.length + right.length] = '\0';
    *to = (struct span){text, left.length + right.length};
    return 1;
}

static int name_bytes(struct tokenizer_trainer *t, struct span *pieces)
{
    for (int i = 0; i < N_BYTES; i++) {
        char text[4];
        size_t n = utf8_encode(text, lexicon_byte_character(t->byte_order[i]));
        const char *copy = arena_text(&t->arena, text, n);
        if (!copy)
            return 0;
        pieces[i] = (struct span){copy, n};
    }
    return 1;
}

/* Pieces and merges as they stand in files. */
static enum status name_pieces(struct tokenizer_trainer *t, const struct bpe_training *training, struct diag *diag)
{
    size_t first = t->options.n_specials, n = first + training->n_tokens;
    struct span *pieces = arena_array(&t->arena, n, sizeof *pieces), *tokens;
    struct merge *merges = arena_array(&t->arena, training->n_merges + 1, sizeof *merges);
    uint8_t *types = arena_alloc(&t->arena, n);

    if (!pieces || !merges || !types || !name_bytes(t, pieces + first))
        return no_memory(n, diag);
    memset(types, TOKEN_NORMAL, n);
    memset(types, TOKEN_CONTROL, first);
    for (size_t i = 0; i < first; i++)
        pieces[i] = (struct span){t->options.specials[i], strlen(t->options.specials[i])};
    tokens = pieces + first;
    for (size_t i = 0, known = N_BYTES; i < training->n_merges; i++) {
        const struct bpe_merge *m = &training->merges[i];
        merges[i] = (struct merge){tokens[m->left], tokens[m->right]};
        if (m->result == known && !join(t, &tokens[known++], merges[i].left, merges[i].right))
            return no_memory(n, diag);
    }
    t->vocabulary.n_pieces = n;
    t->vocabulary.pieces = pieces;
    t->vocabulary.types = types;
    t->vocabulary.n_merges = training->n_merges;
    t->vocabulary.merges = merges;
    return STATUS_OK;
}

static void describe(struct tokenizer_trainer *t)
{
    const struct tokenizer_train_options *o = &t->options;
    struct vocabulary *v = &t->vocabulary;

    v->name = "the new vocabulary";
    v->kind = VOCABULARY_BYTES;
    v->pre = o->pre;
    v->bos = special_id(o, o->bos);
    v->eos = special_id(o, o->eos);
    v->unk = v->eot = TOKEN_NONE;
    v->add_bos = o->add_bos;
    v->ignore_merges = t->pre->ignore_merges;
    v->chat_template = o->chat_template;
}

enum status tokenizer_trainer_run(struct tokenizer_trainer *t, struct progress *progress, int (*stop)(void),
                                  const struct vocabulary **vocabulary, struct tokenizer_train_report *report,
                                  struct diag *diag)
{
    struct bpe_training training = {.words = &t->words,
                                    .byte_order = t->byte_order,
                                    .max_tokens = t->options.vocab_size - t->options.n_specials,
                                    .min_count = t->options.min_count,
                                    .progress = progress,
                                    .stop = stop};
    enum status status = bpe_train(&training, diag);

    *vocabulary = NULL;
    if (status)
        return status;
    status = name_pieces(t, &training, diag);
    memory_free(training.merges);
    if (status)
        return status;
    describe(t);
    *vocabulary = &t->vocabulary;
    *report = (struct tokenizer_train_report){t->n_bytes,
                                              t->n_words,
                                              t->words.n_words,
                                              t->vocabulary.n_pieces,
                                              t->vocabulary.n_merges,
                                              training.n_occurrences};
    return STATUS_OK;
}
