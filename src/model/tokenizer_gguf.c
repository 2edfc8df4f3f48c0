/* tokenizer_gguf.c - a vocabulary from the tokenizer.* keys of a GGUF.
 *
 *   tokenizer.ggml.model       "gpt2" byte-level BPE | "llama" SentencePiece | "gemma4" its form with a merge list
 *   tokenizer.ggml.pre         name of the pre-tokeniser; old files have none ("default")
 *   tokenizer.ggml.tokens      the pieces; .scores, .token_type beside them; .merges "left right"
 *   tokenizer.ggml.*_token_id  0xFFFFFFFF: none; .add_bos_token, .add_space_prefix; tokenizer.chat_template
 *
 * Neither the architecture nor the tensors are looked at. Source of the keys: ggml's docs/gguf.md. */
#include <string.h>
#include "file.h"
#include "gguf.h"
#include "lexicon.h"

#define NO_ID UINT32_MAX

/* A file's vocabulary while it is gathered; the arrays live in arena. */
struct gathered {
    const struct gguf *gguf;
    struct vocabulary vocabulary;
    struct arena arena;
    struct diag *diag;
};

static enum status no_memory(const struct gathered *g)
{
    return diag_fail(g->diag, STATUS_MEMORY, "%s: no memory for the vocabulary", g->gguf->path);
}

static enum status gather_pieces(struct gathered *g)
{
    const struct gguf_key *tokens;
    enum status status = gguf_array(g->gguf, "tokenizer.ggml.tokens", GGUF_STRING, &tokens, g->diag);
    struct gguf_strings strings;
    struct span *pieces;

    if (status)
        return status;
    if (!tokens || tokens->count == 0 || tokens->count > TOKENIZER_MAX_PIECES)
        return diag_fail(g->diag, STATUS_FORMAT, "%s: tokenizer.ggml.tokens: expected 1 to %u pieces, found %s",
                         g->gguf->path, TOKENIZER_MAX_PIECES,
                         !tokens         ? "no such key"
                         : tokens->count ? "more"
                                         : "none");
    pieces = arena_array(&g->arena, (size_t)tokens->count, sizeof *pieces);
    if (!pieces)
        return no_memory(g);
    strings = gguf_strings(tokens);
    for (size_t i = 0; gguf_strings_next(&strings, &pieces[i].text, &pieces[i].length);)
        i += i + 1 < tokens->count;
    g->vocabulary.pieces = pieces;
    g->vocabulary.n_pieces = (size_t)tokens->count;
    return STATUS_OK;
}

/* An array that has one number per piece; *array NULL when there is none. */
static enum status per_piece(struct gathered *g, const char *name, enum gguf_type element,
                             const struct gguf_key **array)
{
    enum status status = gguf_array(g->gguf, name, element, array, g->diag);

    if (!status && *array && (*array)->count < g->vocabulary.n_pieces)
        return diag_fail(g->diag, STATUS_FORMAT, "%s: %s: expected %zu elements, found %llu", g->gguf->path, name,
                         g->vocabulary.n_pieces, (unsigned long long)(*array)->count);
    return status;
}

static enum status gather_scores(struct gathered *g)
{
    const struct gguf_key *array;
    enum status status;
    float *scores;

    if (g->vocabulary.kind != VOCABULARY_SCORES)
        return STATUS_OK;
    status = per_piece(g, "tokenizer.ggml.scores", GGUF_F32, &array);
    if (status || !array)
        return status;
    scores = arena_array(&g->arena, g->vocabulary.n_pieces, sizeof *scores);
    if (!scores)
        return no_memory(g);
    for (size_t i = 0; i < g->vocabulary.n_pieces; i++)
        scores[i] = (float)gguf_element_number(array, i);
    g->vocabulary.scores = scores;
    return STATUS_OK;
}

static enum status gather_types(struct gathered *g)
{
    const struct gguf_key *array;
    enum status status = per_piece(g, "tokenizer.ggml.token_type", GGUF_I32, &array);
    uint8_t *types;

    if (status || !array)
        return status;
    types = arena_alloc(&g->arena, g->vocabulary.n_pieces);
    if (!types)
        return no_memory(g);
    for (size_t i = 0; i < g->vocabulary.n_pieces; i++) {
        int64_t type = gguf_element_int(array, i);
        types[i] = (uint8_t)(type >= TOKEN_NORMAL && type <= TOKEN_BYTE ? type : TOKEN_UNUSED);
    }
    g->vocabulary.types = types;
    return STATUS_OK;
}

static enum status gather_merges(struct gathered *g)
{
    const struct gguf_key *array;
    enum status status;
    struct gguf_strings strings;
    struct merge *merges;
    const char *text;
    size_t length;

    if (g->vocabulary.kind == VOCABULARY_SCORES)
        return STATUS_OK;
    status = gguf_array(g->gguf, "tokenizer.ggml.merges", GGUF_STRING, &array, g->diag);
    if (!status && !array)
        return diag_fail(g->diag, STATUS_FORMAT, "%s: tokenizer.ggml.merges: expected the merges, found no such key",
                         g->gguf->path);
    if (status)
        return status;
    merges = arena_array(&g->arena, (size_t)array->count, sizeof *merges);
    if (!merges)
        return no_memory(g);
    strings = gguf_strings(array);
    while (g->vocabulary.n_merges < array->count && gguf_strings_next(&strings, &text, &length))
        merges[g->vocabulary.n_merges++] = merge_parse(text, length);
    g->vocabulary.merges = merges;
    return STATUS_OK;
}

static int is_known(const char *const *names, const char *text, size_t length)
{
    for (; *names; names++) {
        if (strlen(*names) == length && memcmp(*names, text, length) == 0)
            return 1;
    }
    return 0;
}

/* The kind of vocabulary, and for byte-level BPE the pre-tokeniser's name. */
static enum status gather_kind(struct gathered *g, const char *model, size_t length)
{
    static const char *const bpe[] = {"gpt2", NULL}, *const sentencepiece[] = {"llama", NULL},
                             *const with_merges[] = {"gemma4", NULL};
    const char *pre = "default";
    size_t n = strlen(pre);
    enum status status;

    g->vocabulary.kind = is_known(with_merges, model, length) ? VOCABULARY_MERGES : VOCABULARY_SCORES;
    if (is_known(sentencepiece, model, length) || is_known(with_merges, model, length))
        return STATUS_OK;
    if (!is_known(bpe, model, length))
        return diag_fail(g->diag, STATUS_UNSUPPORTED,
                         "%s: unknown tokenizer.ggml.model '%.*s', known are gpt2 llama gemma4", g->gguf->path,
                         (int)(length < 64 ? length : 64), model);
    g->vocabulary.kind = VOCABULARY_BYTES;
    status = gguf_string(g->gguf, "tokenizer.ggml.pre", &pre, &n, g->diag);
    if (status)
        return status;
    g->vocabulary.pre = arena_text(&g->arena, pre, n < 64 ? n : 64);
    return g->vocabulary.pre ? STATUS_OK : no_memory(g);
}

static enum status gather_id(struct gathered *g, const char *name, int32_t otherwise, int32_t *id)
{
    uint32_t value = otherwise < 0 ? NO_ID : (uint32_t)otherwise;
    enum status status = gguf_u32(g->gguf, name, &value, g->diag);

    *id = TOKEN_NONE;
    if (status || value == NO_ID)
        return status;
    if (value >= g->vocabulary.n_pieces) {
        if (!gguf_find(g->gguf, name)) /* a default that this vocabulary does not have */
            return STATUS_OK;
        return diag_fail(g->diag, STATUS_FORMAT, "%s: %s: expected an id below %zu, found %lu", g->gguf->path, name,
                         g->vocabulary.n_pieces, (unsigned long)value);
    }
    *id = (int32_t)value;
    return STATUS_OK;
}

/* SentencePiece's own numbers hold where a file names none. */
static enum status gather_ids(struct gathered *g)
{
    struct vocabulary *v = &g->vocabulary;
    int spm = v->kind == VOCABULARY_SCORES;
    enum status status = gather_id(g, "tokenizer.ggml.bos_token_id", spm ? 1 : TOKEN_NONE, &v->bos);

    status = status ? status : gather_id(g, "tokenizer.ggml.eos_token_id", spm ? 2 : TOKEN_NONE, &v->eos);
    status = status ? status : gather_id(g, "tokenizer.ggml.unknown_token_id", spm ? 0 : TOKEN_NONE, &v->unk);
    return status ? status : gather_id(g, "tokenizer.ggml.eot_token_id", TOKEN_NONE, &v->eot);
}

static enum status gather_flags(struct gathered *g)
{
    struct vocabulary *v = &g->vocabulary;
    const struct pretokenizer *pre = v->pre ? pretokenizer_find(v->pre, strlen(v->pre)) : NULL;
    int space = v->kind == VOCABULARY_SCORES;
    enum status status;

    v->add_bos = v->bos >= 0 && (v->kind == VOCABULARY_BYTES ? pre && pre->add_bos : 1);
    status = gguf_bool(g->gguf, "tokenizer.ggml.add_bos_token", &v->add_bos, g->diag);
    status = status ? status : gguf_bool(g->gguf, "tokenizer.ggml.add_space_prefix", &space, g->diag);
    v->dummy_space = space ? DUMMY_SPACE_EACH : DUMMY_SPACE_NONE;
    if (!status && gguf_find(g->gguf, "tokenizer.chat_template"))
        status =
            gguf_string(g->gguf, "tokenizer.chat_template", &v->chat_template.text, &v->chat_template.length, g->diag);
    return status;
}

/* Phi-3's special tokens eat the white space behind them; no key says so, its name does. */
static enum status gather_strips(struct gathered *g)
{
    static const char *const exceptions[] = {"<unk>", "<s>", "<|endoftext|>", NULL};
    const char *name = "";
    size_t length = 0;
    enum status status = gguf_string(g->gguf, "general.name", &name, &length, g->diag);
    int is_phi3 = 0;
    uint8_t *strips;

    for (size_t i = 0; i + 4 <= length; i++) {
        is_phi3 |= (name[i] | 32) == 'p' && (name[i + 1] | 32) == 'h' && (name[i + 2] | 32) == 'i' &&
                   (name[i + 3] == '3' || (name[i + 3] == '-' && i + 4 < length && name[i + 4] == '3'));
    }
    if (status || !is_phi3 || g->vocabulary.kind != VOCABULARY_SCORES)
        return status;
    strips = arena_alloc(&g->arena, g->vocabulary.n_pieces);
    if (!strips)
        return no_memory(g);
    for (size_t i = 0; i < g->vocabulary.n_pieces; i++)
        strips[i] =
            is_known(exceptions, g->vocabulary.pieces[i].text, g->vocabulary.pieces[i].length) ? 0 : TOKEN_STRIPS_RIGHT;
    g->vocabulary.strips = strips;
    return STATUS_OK;
}

static enum status gather(struct gathered *g, const char *model, size_t length)
{
    enum status status = gather_kind(g, model, length);

    status = status ? status : gather_pieces(g);
    status = status ? status : gather_scores(g);
    status = status ? status : gather_types(g);
    status = status ? status : gather_merges(g);
    status = status ? status : gather_ids(g);
    status = status ? status : gather_flags(g);
    return status ? status : gather_strips(g);
}

enum status tokenizer_from_gguf(struct tokenizer **tokenizer, const struct gguf *gguf, struct diag *diag)
{
    struct gathered g = {.gguf = gguf, .diag = diag};
    const char *model = NULL;
    size_t length = 0;
    enum status status = gguf_string(gguf, "tokenizer.ggml.model", &model, &length, diag);

    *tokenizer = NULL;
    if (status || !model || (length == 8 && memcmp(model, "no_vocab", 8) == 0))
        return status;
    arena_init(&g.arena, "vocabulary", 0);
    g.vocabulary.name = gguf->path;
    status = gather(&g, model, length);
    if (!status)
        status = tokenizer_create(tokenizer, &g.vocabulary, diag);
    arena_free(&g.arena);
    return status;
}

static enum status load_gguf(struct tokenizer **tokenizer, const char *path, struct diag *diag)
{
    struct gguf gguf;
    enum status status = gguf_open(&gguf, path, GGUF_KEYS, diag);

    if (status)
        return status;
    status = tokenizer_from_gguf(tokenizer, &gguf, diag);
    gguf_close(&gguf);
    return status;
}

enum status tokenizer_load(struct tokenizer **tokenizer, const char *path, struct diag *diag)
{
    size_t length = strlen(path);
    enum status status;

    *tokenizer = NULL;
    status = file_is_folder(path) || (length > 5 && strcmp(path + length - 5, ".json") == 0)
                 ? tokenizer_from_hf(tokenizer, path, diag)
                 : load_gguf(tokenizer, path, diag);
    if (!status && !*tokenizer)
        return diag_fail(diag, STATUS_FORMAT, "%s: expected a tokenizer, found none", path);
    return status;
}
