/* tokenizer_hf.c - a vocabulary from the files of a Hugging Face folder.
 *
 *   tokenizer.json         model.vocab {piece: id}, model.merges, added_tokens, and how text is split
 *   tokenizer_config.json  bos_token, eos_token, unk_token, add_bos_token, chat_template
 *   chat_template.jinja    newer folders keep the template here
 *
 * A tokenizer.json given by itself is read with the other two beside it; one of another name is all there is, and its
 * BOS and EOS are the control tokens of the classical names.
 *
 * Read are BPE models: byte-level ones, and SentencePiece's in the form with byte_fallback. A token is control when it
 * is marked special, user-defined when it was merely added. BOS is added when add_bos_token says so; without it, when
 * the post-processor writes one; without that, as for a GGUF: SentencePiece and Llama 3 add it. */
#include "tokenizer_hf.h"
#include <string.h>
#include "file.h"
#include "lexicon.h"

#define JSON_LIMIT ((size_t)1 << 30)

/* A folder's vocabulary while it is gathered; everything lives in arena. */
struct gathered {
    const char *folder;
    const struct json *root, *config; /* tokenizer.json; tokenizer_config.json or NULL */
    struct vocabulary vocabulary;
    struct span *pieces;
    uint8_t *types, *strips;
    struct arena arena;
    struct diag *diag;
};

static enum status no_memory(const struct gathered *g)
{
    return diag_fail(g->diag, STATUS_MEMORY, "%s: no memory for the vocabulary", g->vocabulary.name);
}

static int is_json_file(const char *path)
{
    size_t n = strlen(path);

    return n > 5 && strcmp(path + n - 5, ".json") == 0 && !file_is_folder(path);
}

int tokenizer_hf_file(struct buffer *out, const char *path, const char *file)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

    buffer_clear(out);
    if (!is_json_file(path))
        buffer_format(out, "%s/%s", path, file);
    else if (strcmp(file, "tokenizer.json") == 0)
        buffer_text(out, path);
    else if (strcmp(name, "tokenizer.json") == 0)
        buffer_format(out, "%.*s%s", (int)(name - path), path, file);
    return out->length > 0;
}

/* The path of one of the tokenizer's files in the arena, "" when there cannot be one. */
static const char *path_of(struct gathered *g, const char *file)
{
    struct buffer path = {0};
    const char *copy;

    tokenizer_hf_file(&path, g->folder, file);
    copy = path.failed ? NULL : arena_text(&g->arena, path.length ? path.data : "", path.length);
    buffer_free(&path);
    return copy;
}

/* *root stays NULL where there is no such file. */
static enum status read_json(struct gathered *g, const char *path, const struct json **root)
{
    struct buffer text = {0};
    enum status status;

    if (!path)
        return no_memory(g);
    if (!*path || !file_exists(path))
        return STATUS_OK;
    status = file_read(&text, path, JSON_LIMIT, g->diag);
    if (!status)
        status = json_parse(root, text.length ? text.data : "", text.length, &g->arena, path, 0, NULL, g->diag);
    buffer_free(&text);
    return status;
}

static size_t largest_id(const struct json *list, int added)
{
    double largest = -1;

    for (const struct json *e = list ? list->child : NULL; e; e = e->next) {
        double id = added ? json_number(e, "id", -1) : e->type == JSON_NUMBER ? e->number : -1;
        largest = id > largest && id < TOKENIZER_MAX_PIECES ? id : largest;
    }
    return (size_t)(largest + 1);
}

/* An id as the files write it, or a clear line. */
static enum status check_id(const struct gathered *g, const char *piece, double id)
{
    if (id >= 0 && id < (double)g->vocabulary.n_pieces && id == (double)(size_t)id)
        return STATUS_OK;
    return diag_fail(g->diag, STATUS_FORMAT, "%s: piece '%.40s': expected an id below %u, found %g", g->vocabulary.name,
                     piece, TOKENIZER_MAX_PIECES, id);
}

static enum status gather_vocab(struct gathered *g, const struct json *vocab)
{
    for (const struct json *e = vocab->child; e; e = e->next) {
        enum status status = check_id(g, e->key, e->type == JSON_NUMBER ? e->number : -1);
        if (status)
            return status;
        size_t id = (size_t)e->number;
        if (g->types[id] != TOKEN_UNUSED)
            return diag_fail(g->diag, STATUS_FORMAT, "%s: piece '%.40s': expected an id of its own, found %zu again",
                             g->vocabulary.name, e->key, id);
        g->pieces[id] = (struct span){e->key, strlen(e->key)};
        g->types[id] = TOKEN_NORMAL;
        if (g->vocabulary.kind == VOCABULARY_MERGES && g->pieces[id].length == 6 && memcmp(e->key, "<0x", 3) == 0)
            g->types[id] = TOKEN_BYTE;
    }
    return STATUS_OK;
}

/* Added tokens in SentencePiece's writing of spaces are ordinary results of merges. */
static int writes_spaces(const struct gathered *g, const struct json *content)
{
    return g->vocabulary.kind == VOCABULARY_MERGES && strstr(content->text, "\xE2\x96\x81") != NULL;
}

static enum status gather_added(struct gathered *g, const struct json *list)
{
    for (const struct json *e = list ? list->child : NULL; e; e = e->next) {
        const struct json *content = json_get(e, "content");
        enum status status;
        if (!content || content->type != JSON_STRING)
            return diag_fail(g->diag, STATUS_FORMAT, "%s: added_tokens: expected a string 'content'",
                             g->vocabulary.name);
        status = check_id(g, content->text, json_number(e, "id", -1));
        if (status)
            return status;
        size_t id = (size_t)json_number(e, "id", -1);
        g->pieces[id] = (struct span){content->text, content->length};
        g->types[id] = json_bool(e, "special", 0)  ? TOKEN_CONTROL
                       : writes_spaces(g, content) ? TOKEN_NORMAL
                                                   : TOKEN_USER_DEFINED;
        g->strips[id] = (uint8_t)((json_bool(e, "lstrip", 0) ? TOKEN_STRIPS_LEFT : 0) |
                                  (json_bool(e, "rstrip", 0) ? TOKEN_STRIPS_RIGHT : 0));
    }
    return STATUS_OK;
}

static enum status gather_pieces(struct gathered *g, const struct json *model)
{
    const struct json *vocab = json_get(model, "vocab"), *added = json_get(g->root, "added_tokens");
    size_t n, n_added;
    enum status status;

    if (!vocab || vocab->type != JSON_OBJECT)
        return diag_fail(g->diag, STATUS_FORMAT, "%s: model.vocab: expected an object of pieces", g->vocabulary.name);
    n = largest_id(vocab, 0);
    n_added = largest_id(added, 1);
    g->vocabulary.n_pieces = n = n > n_added ? n : n_added;
    /* Ids may have gaps, but not so many that a few bytes of a file cost megabytes. */
    if (n > 2 * (vocab->length + (added ? added->length : 0)) + 65536)
        return diag_fail(g->diag, STATUS_FORMAT, "%s: model.vocab: expected ids without large gaps, found %zu",
                         g->vocabulary.name, n - 1);
    g->vocabulary.pieces = g->pieces = arena_array(&g->arena, n, sizeof *g->pieces);
    g->vocabulary.types = g->types = arena_alloc(&g->arena, n);
    g->vocabulary.strips = g->strips = arena_alloc(&g->arena, n);
    if (!g->pieces || !g->types || !g->strips)
        return no_memory(g);
    memset(g->types, TOKEN_UNUSED, n);
    memset(g->strips, 0, n);
    for (size_t i = 0; i < n; i++)
        g->pieces[i] = (struct span){"", 0};
    status = gather_vocab(g, vocab);
    return status ? status : gather_added(g, added);
}

/* "left right" or ["left", "right"]. */
static enum status gather_merges(struct gathered *g, const struct json *list)
{
    struct merge *merges;

    if (!list || list->type != JSON_ARRAY)
        return diag_fail(g->diag, STATUS_FORMAT, "%s: model.merges: expected an array", g->vocabulary.name);
    merges = arena_array(&g->arena, list->length, sizeof *merges);
    if (!merges)
        return no_memory(g);
    for (const struct json *e = list->child; e; e = e->next) {
        const struct json *left = e->type == JSON_ARRAY && e->length == 2 ? e->child : NULL;
        if (e->type == JSON_STRING)
            merges[g->vocabulary.n_merges++] = merge_parse(e->text, e->length);
        else if (left && left->type == JSON_STRING && left->next->type == JSON_STRING)
            merges[g->vocabulary.n_merges++] =
                (struct merge){{left->text, left->length}, {left->next->text, left->next->length}};
        else
            return diag_fail(g->diag, STATUS_FORMAT, "%s: model.merges: expected 'a b' or ['a', 'b'] at merge %zu",
                             g->vocabulary.name, g->vocabulary.n_merges);
    }
    g->vocabulary.merges = merges;
    return STATUS_OK;
}

static int32_t id_of(const struct gathered *g, const char *piece)
{
    if (!piece)
        return TOKEN_NONE;
    for (size_t id = g->vocabulary.n_pieces; id-- > 0;) {
        if (strlen(piece) == g->pieces[id].length && memcmp(piece, g->pieces[id].text, g->pieces[id].length) == 0)
            return (int32_t)id;
    }
    return TOKEN_NONE;
}

/* A token named in tokenizer_config.json, as a string or as {"content": ...}. */
static const char *config_token(const struct gathered *g, const char *key)
{
    const struct json *token = json_get(g->config, key);

    return token && token->type == JSON_OBJECT ? json_string(token, "content", NULL)
                                               : json_string(g->config, key, NULL);
}

/* The token that the post-processor writes in front, NULL: none. */
static const char *processor_bos(const struct gathered *g)
{
    const struct json *processor = json_get(g->root, "post_processor"), *list = json_get(processor, "processors");

    for (const struct json *e = list ? list->child : processor; e; e = list ? e->next : NULL) {
        const struct json *single = json_get(e, "single");
        const struct json *token = single && single->child ? json_get(single->child, "SpecialToken") : NULL;
        if (token)
            return json_string(token, "id", NULL);
    }
    return NULL;
}

/* The first of these names that is a control token. */
static int32_t classical_token(const struct gathered *g, const char *const *names)
{
    for (; *names; names++) {
        int32_t id = id_of(g, *names);
        if (id >= 0 && g->types[id] == TOKEN_CONTROL)
            return id;
    }
    return TOKEN_NONE;
}

static enum status gather_specials(struct gathered *g, const struct json *model)
{
    static const char *const ends[] = {"<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "<|im_end|>", NULL};
    static const char *const begins[] = {"<s>", "<|begin_of_text|>", "<bos>", NULL};
    struct vocabulary *v = &g->vocabulary;
    const struct json *add_bos = json_get(g->config, "add_bos_token");
    const char *processor = processor_bos(g), *bos = config_token(g, "bos_token");
    int by_default = v->kind == VOCABULARY_MERGES || (v->pre && strcmp(v->pre, "llama-bpe") == 0);

    v->bos = id_of(g, bos ? bos : processor);
    v->eos = id_of(g, config_token(g, "eos_token"));
    if (!g->config) { /* a tokenizer.json alone does not say which they are */
        v->eos = classical_token(g, ends);
        v->bos = v->bos >= 0 ? v->bos : classical_token(g, begins);
    }
    v->unk = id_of(g, config_token(g, "unk_token"));
    if (v->unk < 0)
        v->unk = id_of(g, json_string(model, "unk_token", NULL));
    v->eot = TOKEN_NONE;
    if (add_bos && add_bos->type != JSON_NULL)
        v->add_bos = json_bool(g->config, "add_bos_token", 0);
    else if (json_get(g->root, "post_processor"))
        v->add_bos = processor && id_of(g, processor) == v->bos;
    else
        v->add_bos = by_default;
    v->add_bos = v->add_bos && v->bos >= 0;
    return STATUS_OK;
}

static enum status gather_template(struct gathered *g)
{
    const char *path = path_of(g, "chat_template.jinja");
    const struct json *entry = json_get(g->config, "chat_template"), *text = entry;
    struct buffer file = {0};
    enum status status;

    if (!path)
        return no_memory(g);
    if (file_exists(path)) {
        status = file_read(&file, path, JSON_LIMIT, g->diag);
        if (!status)
            g->vocabulary.chat_template =
                (struct span){arena_text(&g->arena, file.length ? file.data : "", file.length), file.length};
        buffer_free(&file);
        return status ? status : g->vocabulary.chat_template.text ? STATUS_OK : no_memory(g);
    }
    if (entry && entry->type == JSON_ARRAY) {
        text = entry->child ? json_get(entry->child, "template") : NULL;
        for (const struct json *e = entry->child; e; e = e->next) {
            if (strcmp(json_string(e, "name", ""), "default") == 0)
                text = json_get(e, "template");
        }
    }
    if (text && text->type == JSON_STRING)
        g->vocabulary.chat_template = (struct span){text->text, text->length};
    return STATUS_OK;
}

static enum status check_model(struct gathered *g, const struct json *model)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const char *type = json_string(model, "type", "BPE");

    if (!model || strcmp(type, "BPE") != 0)
        return diag_fail(g->diag, STATUS_UNSUPPORTED, "%s: unknown model type '%s', known is BPE", g->vocabulary.name,
                         model ? type : "none");
    for (int i = 0; i < 2; i++) {
        if (*json_string(model, affixes[i], ""))
            return diag_fail(g->diag, STATUS_UNSUPPORTED, "%s: model.%s is not supported", g->vocabulary.name,
                             affixes[i]);
    }
    g->vocabulary.ignore_merges = json_bool(model, "ignore_merges", 0);
    return STATUS_OK;
}

static enum status gather(struct gathered *g)
{
    const struct json *model = json_get(g->root, "model");
    enum status status = read_json(g, path_of(g, "tokenizer_config.json"), &g->config);

    status = status ? status : check_model(g, model);
    status = status ? status : recognise_splitting(&g->vocabulary, g->root, g->diag);
    status = status ? status : gather_pieces(g, model);
    status = status ? status : gather_merges(g, json_get(model, "merges"));
    status = status ? status : gather_specials(g, model);
    return status ? status : gather_template(g);
}

enum status tokenizer_from_hf(struct tokenizer **tokenizer, const char *folder, struct diag *diag)
{
    struct gathered g = {.folder = folder, .diag = diag};
    enum status status;

    *tokenizer = NULL;
    arena_init(&g.arena, "vocabulary", 0);
    g.vocabulary.name = path_of(&g, "tokenizer.json");
    status = read_json(&g, g.vocabulary.name, &g.root);
    if (!status && g.root)
        status = gather(&g);
    if (!status && g.root)
        status = tokenizer_create(tokenizer, &g.vocabulary, diag);
    arena_free(&g.arena);
    return status;
}
