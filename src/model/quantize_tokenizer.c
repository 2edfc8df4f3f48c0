/* quantize_tokenizer.c - a folder's tokenizer as the tokenizer.* keys of a GGUF, as llama.cpp's converter writes them.
 *
 *   byte-level BPE          model "gpt2", pre by the recognised split, tokens, token_type, merges
 *   SentencePiece (merges)  model "llama", tokens, token_type, scores: minus the rank of the first merge that makes a
 *                           piece, which orders merges as the list does
 *
 * The tokenizer itself was read and checked by tokenizer_from_hf; here its JSON is walked again for what a tokenizer
 * does not keep. Ids without a piece, up to the embedding's rows, become unused tokens [PAD<id>]. */
#include "json.h"
#include "quantize_parts.h"
#include "rng.h"
#include "tokenizer.h"
#include "tokenizer_hf.h"
#include <stdio.h>
#include <string.h>

#define MAX_TOKENIZER_BYTES ((size_t)1 << 30)
#define UNREACHED_SCORE     0.0f /* of characters, bytes and special tokens: no merge makes them */

struct piece {
    const char *text;
    size_t length;
};

struct conversion {
    const char *path; /* of the folder or tokenizer.json */
    struct gguf_writer *writer;
    struct diag *diag;
    struct tokenizer *tokenizer;
    const struct json *root, *config; /* tokenizer.json; tokenizer_config.json or NULL */
    struct vocabulary split;          /* kind, pre and dummy_space alone */
    struct piece *pieces;             /* [n] */
    size_t n;                         /* rows of the embedding */
    uint32_t *slots;                  /* [n_slots] id + 1 by the hash of its text; 0: free */
    size_t n_slots;
    struct arena arena;
};

static enum status no_memory(struct conversion *c)
{
    return diag_fail(c->diag, STATUS_MEMORY, "%s: no memory for the tokenizer", c->path);
}

/* *root stays NULL when the folder has no such file. */
static enum status read_json(struct conversion *c, const char *file, const struct json **root)
{
    struct buffer path = {0}, text = {0};
    enum status status = STATUS_OK;
    int can_be = tokenizer_hf_file(&path, c->path, file);
    if (path.failed) {
        status = no_memory(c);
    } else if (can_be && file_exists(path.data)) {
        status = file_read(&text, path.data, MAX_TOKENIZER_BYTES, c->diag);
        if (!status) {
            status = json_parse(root, text.data ? text.data : "", text.length, &c->arena, path.data, 0, NULL, c->diag);
        }
    }
    buffer_free(&text);
    buffer_free(&path);
    return status;
}

/* ---- pieces ---- */

static void set_piece(struct conversion *c, double id, const char *text, size_t length)
{
    if (id >= 0 && id < (double)c->n) {
        c->pieces[(size_t)id] = (struct piece){text, length};
    }
}

static enum status gather_pieces(struct conversion *c)
{
    const struct json *vocab = json_get(json_get(c->root, "model"), "vocab"),
                      *added = json_get(c->root, "added_tokens");
    c->pieces = arena_array(&c->arena, c->n, sizeof *c->pieces);
    if (!c->pieces) {
        return no_memory(c);
    }
    memset(c->pieces, 0, c->n * sizeof *c->pieces);
    for (const struct json *e = vocab ? vocab->child : NULL; e; e = e->next) {
        set_piece(c, e->number, e->key, strlen(e->key));
    }
    for (const struct json *e = added ? added->child : NULL; e; e = e->next) {
        const struct json *content = json_get(e, "content");
        if (content) {
            set_piece(c, json_number(e, "id", -1), content->text, content->length);
        }
    }
    return STATUS_OK;
}

/* A token that tokenizer_config.json names, as a string or as {"content": ...}. */
static int32_t config_token(struct conversion *c, const char *key)
{
    const struct json *token = json_get(c->config, key);
    const char *text =
        token && token->type == JSON_OBJECT ? json_string(token, "content", NULL) : json_string(c->config, key, NULL);
    return text ? tokenizer_find(c->tokenizer, text, strlen(text)) : TOKEN_NONE;
}

/* The unknown token of either file. */
static int32_t unknown_token(struct conversion *c)
{
    int32_t id = config_token(c, "unk_token");
    const char *text = json_string(json_get(c->root, "model"), "unk_token", NULL);
    return id < 0 && text ? tokenizer_find(c->tokenizer, text, strlen(text)) : id;
}

static enum status put_pieces(struct conversion *c)
{
    int32_t *types = arena_array(&c->arena, c->n, sizeof *types);
    if (!types) {
        return no_memory(c);
    }
    gguf_put_strings(c->writer, "tokenizer.ggml.tokens", c->n);
    for (size_t i = 0; i < c->n; i++) {
        char pad[32];
        const struct piece *piece = &c->pieces[i];
        if (piece->text) {
            types[i] = tokenizer_type(c->tokenizer, (int32_t)i);
            gguf_put_strings_element(c->writer, piece->text, piece->length);
        } else {
            types[i] = TOKEN_UNUSED;
            gguf_put_strings_element(c->writer, pad, (size_t)snprintf(pad, sizeof pad, "[PAD%zu]", i));
        }
    }
    int32_t unknown = unknown_token(c);
    if (unknown >= 0 && (size_t)unknown < c->n && c->split.kind != VOCABULARY_BYTES) {
        types[unknown] = TOKEN_UNKNOWN;
    }
    gguf_put_array(c->writer, "tokenizer.ggml.token_type", GGUF_I32, types, c->n);
    return STATUS_OK;
}

/* ---- merges ---- */

/* "left right" of either form, in *text. */
static int merge_text(const struct json *merge, struct buffer *text)
{
    buffer_clear(text);
    if (merge->type == JSON_STRING) {
        buffer_append(text, merge->text, merge->length);
    } else {
        buffer_append(text, merge->child->text, merge->child->length);
        buffer_byte(text, ' ');
        buffer_append(text, merge->child->next->text, merge->child->next->length);
    }
    return !text->failed;
}

static enum status put_merges(struct conversion *c, const struct json *merges)
{
    struct buffer text = {0};
    gguf_put_strings(c->writer, "tokenizer.ggml.merges", merges->length);
    int ok = 1;
    for (const struct json *e = merges->child; e && ok; e = e->next) {
        ok = merge_text(e, &text);
        gguf_put_strings_element(c->writer, text.data, text.length);
    }
    buffer_free(&text);
    return ok ? STATUS_OK : no_memory(c);
}

/* Where a piece's id + 1 is, or would be. */
static uint32_t *slot_of(struct conversion *c, const char *text)
{
    size_t i = (size_t)rng_hash(text) & (c->n_slots - 1);
    while (c->slots[i] && strcmp(c->pieces[c->slots[i] - 1].text, text) != 0) {
        i = (i + 1) & (c->n_slots - 1);
    }
    return &c->slots[i];
}

static enum status index_pieces(struct conversion *c)
{
    c->n_slots = 16;
    while (c->n_slots < 2 * c->n) {
        c->n_slots *= 2;
    }
    c->slots = arena_array(&c->arena, c->n_slots, sizeof *c->slots);
    if (!c->slots) {
        return no_memory(c);
    }
    memset(c->slots, 0, c->n_slots * sizeof *c->slots);
    for (size_t id = 0; id < c->n; id++) {
        if (c->pieces[id].text) {
            *slot_of(c, c->pieces[id].text) = (uint32_t)id + 1;
        }
    }
    return STATUS_OK;
}

static enum status put_scores(struct conversion *c, const struct json *merges)
{
    struct buffer text = {0};
    float *scores = arena_array(&c->arena, c->n, sizeof *scores);
    enum status status = scores ? index_pieces(c) : no_memory(c);
    size_t rank = 0;
    for (size_t i = 0; i < c->n && scores; i++) {
        scores[i] = UNREACHED_SCORE;
    }
    for (const struct json *e = merges->child; e && !status; e = e->next, rank++) {
        if (!merge_text(e, &text)) {
            status = no_memory(c);
            break;
        }
        char *space = memchr(text.data, ' ', text.length);
        if (space) {
            memmove(space, space + 1, text.length - (size_t)(space - text.data)); /* with its NUL */
            uint32_t id = *slot_of(c, text.data);
            if (id && scores[id - 1] == UNREACHED_SCORE) {
                scores[id - 1] = -(float)(rank + 1);
            }
        }
    }
    if (!status) {
        gguf_put_array(c->writer, "tokenizer.ggml.scores", GGUF_F32, scores, c->n);
    }
    buffer_free(&text);
    return status;
}

/* ---- the keys ---- */

static void put_id(struct conversion *c, const char *key, int32_t id)
{
    if (id >= 0) {
        gguf_put_u32(c->writer, key, (uint32_t)id);
    }
}

static void put_specials(struct conversion *c)
{
    const char *template = tokenizer_chat_template(c->tokenizer);
    /* A byte-level file without BOS would get a number of GPT-2's vocabulary from its readers. */
    int32_t bos = tokenizer_bos(c->tokenizer);
    bos = bos < 0 && c->split.kind == VOCABULARY_BYTES ? tokenizer_eos(c->tokenizer) : bos;
    put_id(c, "tokenizer.ggml.bos_token_id", bos);
    put_id(c, "tokenizer.ggml.eos_token_id", tokenizer_eos(c->tokenizer));
    put_id(c, "tokenizer.ggml.unknown_token_id", unknown_token(c));
    put_id(c, "tokenizer.ggml.padding_token_id", config_token(c, "pad_token"));
    gguf_put_bool(c->writer, "tokenizer.ggml.add_bos_token", tokenizer_adds_bos(c->tokenizer));
    if (c->split.kind != VOCABULARY_BYTES) {
        gguf_put_bool(c->writer, "tokenizer.ggml.add_space_prefix", c->split.dummy_space != DUMMY_SPACE_NONE);
    }
    if (template) {
        gguf_put_string(c->writer, "tokenizer.chat_template", template, strlen(template));
    }
}

static enum status put_keys(struct conversion *c)
{
    const struct json *model = json_get(c->root, "model"), *merges = json_get(model, "merges");
    c->split.name = c->path;
    c->split.ignore_merges = json_bool(model, "ignore_merges", 0);
    enum status status = recognise_splitting(&c->split, c->root, c->diag);
    if (!status) {
        status = gather_pieces(c);
    }
    if (status) {
        return status;
    }
    int bytes = c->split.kind == VOCABULARY_BYTES;
    const char *name = bytes ? "gpt2" : "llama", *pre = bytes ? c->split.pre : "default";
    gguf_put_string(c->writer, "tokenizer.ggml.model", name, strlen(name));
    gguf_put_string(c->writer, "tokenizer.ggml.pre", pre, strlen(pre));
    status = put_pieces(c);
    if (!status) {
        status = bytes ? put_merges(c, merges) : put_scores(c, merges);
    }
    put_specials(c);
    return status;
}

enum status quantize_put_tokenizer(struct gguf_writer *writer, const char *path, size_t vocab_size, struct diag *diag)
{
    struct conversion c = {.path = path, .writer = writer, .diag = diag, .n = vocab_size};
    arena_init(&c.arena, "tokenizer", 0);
    enum status status = tokenizer_from_hf(&c.tokenizer, path, diag);
    if (!status && c.tokenizer && tokenizer_vocab_size(c.tokenizer) > c.n) {
        status = diag_fail(diag, STATUS_FORMAT, "%s: the tokenizer has %zu tokens, the embedding only %zu rows", path,
                           tokenizer_vocab_size(c.tokenizer), c.n);
    }
    if (!status && c.tokenizer) {
        status = read_json(&c, "tokenizer.json", &c.root);
    }
    if (!status && c.tokenizer) {
        status = read_json(&c, "tokenizer_config.json", &c.config);
    }
    if (!status && c.tokenizer) {
        status = put_keys(&c);
    }
    tokenizer_free(c.tokenizer);
    arena_free(&c.arena);
    return status;
}
