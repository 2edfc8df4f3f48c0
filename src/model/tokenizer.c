/* tokenizer.c - encoding and decoding: special tokens, dummy spaces, BOS; the work on plain text is in bpe.c, spm.c.
 *
 *   text      <|user|> Hi there <|end|>
 *   special   ^^^^^^^^          ^^^^^^^      longest match in the trie, leftmost first
 *   between            ^^^^^^^^^^            one stretch of plain text, whatever parts it was given in
 *
 * Decoding is the inverse, byte for byte: what encoding adds (BOS, the dummy space after a special token or at the
 * start) decoding drops. Leaves out: building tables (lexicon_build.c). */
#include "tokenizer.h"
#include <string.h>
#include "lexicon.h"
#include "utf8.h"

/* Texts from this length on remember the words they have seen. */
#define REMEMBER_FROM 4096
#define REMEMBER_MAX  (1u << 15)

void tokens_append(struct tokens *tokens, int32_t id)
{
    if (tokens->failed)
        return;
    if (tokens->count == tokens->capacity) {
        size_t capacity = tokens->capacity ? tokens->capacity * 2 : 256;
        int32_t *ids = capacity > SIZE_MAX / sizeof *ids ? NULL : memory_grow(tokens->ids, capacity * sizeof *ids);
        if (!ids) {
            tokens->failed = 1;
            return;
        }
        tokens->ids = ids;
        tokens->capacity = capacity;
    }
    tokens->ids[tokens->count++] = id;
}

void tokens_free(struct tokens *tokens)
{
    memory_free(tokens->ids);
    *tokens = (struct tokens){NULL, 0, 0, 0};
}

/* A text whose parts lie one behind the other. */
struct parts {
    const char *text;
    size_t length;
    const struct segment *segments;
    size_t n_segments, current, start; /* the segment that holds the position looked at, and where it begins */
    unsigned flags;
};

/* The end of the template text around pos, or pos when pos lies in content. Positions must not go back. */
static size_t template_end(struct parts *parts, size_t pos)
{
    while (parts->current + 1 < parts->n_segments && pos >= parts->start + parts->segments[parts->current].length) {
        parts->start += parts->segments[parts->current].length;
        parts->current++;
    }
    if (!parts->segments[parts->current].is_template)
        return pos;
    return parts->start + parts->segments[parts->current].length;
}

/* The longest special token at pos: its id, or TOKEN_NONE. Control tokens must end by `limit`. */
static int32_t special_at(const struct tokenizer *t, const struct parts *parts, size_t pos, size_t limit, size_t *end)
{
    int32_t found = TOKEN_NONE;
    uint32_t node = 0;

    for (size_t i = pos; i < parts->length; i++) {
        const struct pair_slot *slot = pair_find(&t->trie, node, (unsigned char)parts->text[i]);
        if (!slot)
            break;
        node = slot->rank;
        int32_t id = t->trie_ids[node];
        if (id >= 0 && (t->types[id] == TOKEN_USER_DEFINED || i < limit)) {
            found = id;
            *end = i + 1;
        }
    }
    return found;
}

/* The next special token from pos on; *start == parts->length when there is none. */
static int32_t next_special(const struct tokenizer *t, struct parts *parts, size_t pos, size_t *start, size_t *end)
{
    for (; pos < parts->length; pos++) {
        unsigned char first = (unsigned char)parts->text[pos];
        int32_t id;
        if (!(t->trie_first[first / 8] >> first % 8 & 1))
            continue;
        id = special_at(t, parts, pos, template_end(parts, pos), end);
        if (id >= 0) {
            *start = pos;
            return id;
        }
    }
    *start = *end = parts->length;
    return TOKEN_NONE;
}

static int is_ascii_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Plain text between two specials, without the white space that these eat. */
static void encode_stretch(struct encoder *e, const struct parts *parts, size_t from, size_t to, unsigned eaten)
{
    enum dummy_space dummy = e->tokenizer->dummy_space;
    int space = dummy == DUMMY_SPACE_EACH || (dummy == DUMMY_SPACE_FIRST && from == 0);

    if (from == 0 && parts->flags & ENCODE_CONTINUE)
        space = 0;
    while (from < to && eaten & TOKEN_STRIPS_RIGHT && is_ascii_space(parts->text[from]))
        from++;
    while (from < to && eaten & TOKEN_STRIPS_LEFT && is_ascii_space(parts->text[to - 1]))
        to--;
    if (from < to)
        encode_pieces(e, parts->text + from, to - from, space);
}

static void encode_parts(struct encoder *e, struct parts *parts)
{
    const struct tokenizer *t = e->tokenizer;
    size_t from = 0, start, end;
    unsigned eaten = 0;

    while (from < parts->length && !e->status) {
        int32_t id = next_special(t, parts, from, &start, &end);
        eaten |= id < 0 ? 0u : t->flags[id] & (unsigned)TOKEN_STRIPS_LEFT;
        encode_stretch(e, parts, from, start, eaten);
        if (id >= 0)
            tokens_append(e->out, id);
        eaten = id < 0 ? 0u : t->flags[id] & (unsigned)TOKEN_STRIPS_RIGHT;
        from = end;
    }
}

/* A table for the words of a long text; without memory tokenising just goes on without one. */
static void remember_words(struct encoder *e, size_t length)
{
    size_t slots = REMEMBER_FROM / 16;

    if (length < REMEMBER_FROM)
        return;
    while (slots < length / 16 && slots < REMEMBER_MAX)
        slots *= 2;
    e->known = memory_alloc(slots * sizeof *e->known);
    e->known_mask = slots - 1;
    if (e->known)
        memset(e->known, 0, slots * sizeof *e->known);
}

static enum status encode(const struct tokenizer *t, struct parts *parts, struct tokens *out, struct diag *diag)
{
    struct encoder e = {.tokenizer = t, .out = out, .diag = diag};

    if (parts->length > TOKENIZER_MAX_TEXT)
        return diag_fail(diag, STATUS_RANGE, "%s: expected a text of at most %u bytes, found %zu", t->name,
                         TOKENIZER_MAX_TEXT, parts->length);
    if (parts->flags & ENCODE_BOS && t->add_bos)
        tokens_append(out, t->bos);
    remember_words(&e, parts->length);
    encode_parts(&e, parts);
    memory_free(e.symbols);
    memory_free(e.heap);
    memory_free(e.known);
    if (!e.status && out->failed)
        e.status = diag_fail(diag, STATUS_MEMORY, "%s: no memory for the tokens of a text of %zu bytes", t->name,
                             parts->length);
    return e.status;
}

enum status tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t length, unsigned flags,
                             struct tokens *out, struct diag *diag)
{
    struct segment segment = {text, length, (flags & ENCODE_SPECIAL) != 0};
    struct parts parts = {text, length, &segment, 1, 0, 0, flags};

    return encode(tokenizer, &parts, out, diag);
}

enum status tokenizer_encode_segments(const struct tokenizer *tokenizer, const struct segment *segments, size_t n,
                                      unsigned flags, struct tokens *out, struct diag *diag)
{
    struct buffer joined = {0};
    struct segment nothing = {"", 0, 0};
    struct parts parts = {"", 0, n ? segments : &nothing, n ? n : 1, 0, 0, flags};
    size_t before = out->count;
    enum status status;

    for (size_t i = 0; i < n; i++)
        buffer_append(&joined, segments[i].text, segments[i].length);
    if (joined.failed) {
        buffer_free(&joined);
        return diag_fail(diag, STATUS_MEMORY, "%s: no memory for a prompt of %zu parts", tokenizer->name, n);
    }
    parts.text = joined.length ? joined.data : "";
    parts.length = joined.length;
    status = encode(tokenizer, &parts, out, diag);
    buffer_free(&joined);
    /* The template wrote a BOS of its own. */
    if (!status && flags & ENCODE_BOS && tokenizer->add_bos && out->count >= before + 2 &&
        out->ids[before + 1] == tokenizer->bos) {
        out->count--;
        memmove(out->ids + before, out->ids + before + 1, (out->count - before) * sizeof *out->ids);
    }
    return status;
}

void decoder_begin(struct decoder *decoder, const struct tokenizer *tokenizer, unsigned flags)
{
    *decoder = (struct decoder){tokenizer, flags, !(flags & DECODE_CONTINUE), 0, {0}};
}

/* The text of one token as it stands in running text. */
static const char *token_text(struct decoder *d, int32_t id, size_t *length)
{
    const struct tokenizer *t = d->tokenizer;
    const char *text = tokenizer_piece(t, id, length);
    enum token_type type = tokenizer_type(t, id);
    int special = type == TOKEN_CONTROL || type == TOKEN_UNKNOWN || type == TOKEN_USER_DEFINED;

    if (!text || type == TOKEN_UNUSED || (special && type != TOKEN_USER_DEFINED && !(d->flags & DECODE_SPECIAL)))
        *length = 0;
    if (!special && d->at_start && t->dummy_space != DUMMY_SPACE_NONE && *length && *text == ' ') {
        text++;
        --*length;
    }
    /* BOS stands in front of the text's start. */
    if (id != t->bos || !d->at_start)
        d->at_start = special && t->dummy_space == DUMMY_SPACE_EACH;
    return text;
}

void decoder_put(struct decoder *decoder, int32_t id, struct buffer *out)
{
    size_t length, whole;
    const char *text = token_text(decoder, id, &length);
    size_t before = out->length;

    if (!length)
        return;
    buffer_append(out, decoder->held, decoder->n_held);
    buffer_append(out, text, length);
    if (out->failed)
        return;
    whole = utf8_whole_prefix(out->data + before, out->length - before);
    decoder->n_held = out->length - before - whole;
    memcpy(decoder->held, out->data + before + whole, decoder->n_held);
    out->length = before + whole;
    out->data[out->length] = '\0';
}

void decoder_end(struct decoder *decoder, struct buffer *out)
{
    buffer_append(out, decoder->held, decoder->n_held);
    decoder->n_held = 0;
}

void tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t n, unsigned flags,
                      struct buffer *out)
{
    struct decoder decoder;
    size_t length;

    decoder_begin(&decoder, tokenizer, flags);
    for (size_t i = 0; i < n; i++) {
        const char *text = token_text(&decoder, ids[i], &length);
        if (length)
            buffer_append(out, text, length);
    }
}

static int in_range(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && (size_t)id < t->n_pieces;
}

const char *tokenizer_piece(const struct tokenizer *tokenizer, int32_t id, size_t *length)
{
    *length = in_range(tokenizer, id) ? piece_length(tokenizer, id) : 0;
    return in_range(tokenizer, id) ? piece_text(tokenizer, id) : NULL;
}

enum token_type tokenizer_type(const struct tokenizer *tokenizer, int32_t id)
{
    return in_range(tokenizer, id) ? (enum token_type)tokenizer->types[id] : TOKEN_UNUSED;
}

int32_t tokenizer_find(const struct tokenizer *tokenizer, const char *text, size_t length)
{
    uint32_t node = 0;

    for (size_t i = 0; i < length; i++) {
        const struct pair_slot *slot = pair_find(&tokenizer->trie, node, (unsigned char)text[i]);
        if (!slot)
            return piece_find(tokenizer, text, length);
        node = slot->rank;
    }
    return length && tokenizer->trie_ids[node] >= 0 ? tokenizer->trie_ids[node] : piece_find(tokenizer, text, length);
}

size_t tokenizer_vocab_size(const struct tokenizer *tokenizer)
{
    return tokenizer->n_pieces;
}

int32_t tokenizer_bos(const struct tokenizer *tokenizer)
{
    return tokenizer->bos;
}

int32_t tokenizer_eos(const struct tokenizer *tokenizer)
{
    return tokenizer->eos;
}

int tokenizer_adds_bos(const struct tokenizer *tokenizer)
{
    return tokenizer->add_bos;
}

int tokenizer_is_eog(const struct tokenizer *tokenizer, int32_t id)
{
    return in_range(tokenizer, id) && tokenizer->flags[id] & TOKEN_ENDS_GENERATION;
}

const char *tokenizer_chat_template(const struct tokenizer *tokenizer)
{
    return tokenizer->chat_template;
}
