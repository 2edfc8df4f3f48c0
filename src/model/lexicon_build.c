/* lexicon_build.c - makes a tokenizer out of a vocabulary.
 *
 * GPT-2's byte alphabet writes the 256 bytes as printable characters: 33..126, 161..172 and 174..255 stand for
 * themselves, the other 68 bytes are U+0100, U+0101, ... in ascending order (Radford et al., 2019, encoder.py).
 *
 * A hostile vocabulary gives an error or is ignored in part, and never takes more memory than a constant multiple of
 * its own size: of two equal pieces the later one is found, merges that name unknown pieces are dropped, of two equal
 * merges the first counts, empty pieces and unknown types are unused. Leaves out: reading files (tokenizer_gguf.c,
 * tokenizer_hf.c). */
#include "lexicon.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "utf8.h"

/* What pieces may be the result of merges. */
enum usable { USABLE_NEVER, USABLE_SECOND /* unless a normal piece is equal */, USABLE };

static enum status no_memory(const struct tokenizer *t, struct diag *diag)
{
    return diag_fail(diag, STATUS_MEMORY, "%s: no memory for a vocabulary of %zu pieces", t->name, t->n_pieces);
}

int lexicon_is_plain(int byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
}

uint32_t lexicon_byte_character(int byte)
{
    if (lexicon_is_plain(byte))
        return (uint32_t)byte;
    return 256 + (uint32_t)(byte < 33 ? byte : byte < 161 ? byte - 94 : 67);
}

/* The byte that a character of GPT-2's alphabet stands for, -1 for others. */
static int byte_of(uint32_t code)
{
    if (code < 256 && lexicon_is_plain((int)code))
        return (int)code;
    if (code < 256 || code >= 256 + 68)
        return -1;
    code -= 256; /* bytes 0..32, then 127..160, then 173 */
    return (int)(code < 33 ? code : code < 67 ? code + 94 : 173);
}

/* Writes the bytes that a piece stands for, at most piece.length. Returns 0, leaving a plain copy, when a byte-level
 * piece has a character outside the alphabet. */
static int decode_piece(enum vocabulary_kind kind, struct span piece, char *out, size_t *length)
{
    uint32_t code;
    int valid, byte, whole = 1;

    *length = 0;
    for (size_t i = 0, n; i < piece.length && whole; i += n) {
        n = utf8_decode(piece.text + i, piece.length - i, &code, &valid);
        if (kind == VOCABULARY_BYTES) {
            byte = valid ? byte_of(code) : -1;
            whole = byte >= 0;
            out[(*length)++] = (char)byte;
        } else if (valid && code == 0x2581) {
            out[(*length)++] = ' ';
        } else {
            memcpy(out + *length, piece.text + i, n);
            *length += n;
        }
    }
    if (!whole) {
        memcpy(out, piece.text, piece.length);
        *length = piece.length;
    }
    return whole;
}

/* Markup that converters sometimes leave user-defined: <|...|> in either kind of bars, and the classical names. */
static int looks_like_control(struct span piece)
{
    static const char *const bars[2][2] = {{"<|", "|>"}, {"<\xEF\xBD\x9C", "\xEF\xBD\x9C>"}};
    static const char *const names[] = {"<s>",   "</s>",  "<bos>", "<eos>",           "<pad>",
                                        "<unk>", "<EOT>", "[EOT]", "<start_of_turn>", "<end_of_turn>"};

    for (int i = 0; i < 2; i++) {
        size_t open = strlen(bars[i][0]), close = strlen(bars[i][1]);
        if (piece.length > open + close && memcmp(piece.text, bars[i][0], open) == 0 &&
            memcmp(piece.text + piece.length - close, bars[i][1], close) == 0)
            return 1;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (piece.length == strlen(names[i]) && memcmp(piece.text, names[i], piece.length) == 0)
            return 1;
    }
    return 0;
}

static int hex_digit(int c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* <0xXX> gives the byte, anything else -1. */
static int byte_piece(struct span piece)
{
    if (piece.length != 6 || memcmp(piece.text, "<0x", 3) != 0 || piece.text[5] != '>')
        return -1;
    if (hex_digit(piece.text[3]) < 0 || hex_digit(piece.text[4]) < 0)
        return -1;
    return hex_digit(piece.text[3]) * 16 + hex_digit(piece.text[4]);
}

static enum token_type type_of(const struct vocabulary *v, size_t id)
{
    int type = v->types ? v->types[id] : TOKEN_NORMAL;
    int is_byte = v->kind != VOCABULARY_BYTES && byte_piece(v->pieces[id]) >= 0;

    if (type < TOKEN_NORMAL || type > TOKEN_BYTE || v->pieces[id].length == 0)
        return TOKEN_UNUSED;
    if (type == TOKEN_BYTE || (!v->types && is_byte))
        return is_byte ? TOKEN_BYTE : TOKEN_UNUSED;
    return type == TOKEN_USER_DEFINED && looks_like_control(v->pieces[id]) ? TOKEN_CONTROL : (enum token_type)type;
}

/* Writes piece id's bytes at `out` and says whether merges may form it. */
static enum usable store_piece(const struct vocabulary *v, size_t id, enum token_type type, char *out, size_t *length)
{
    struct span piece = v->pieces[id];
    int whole;

    if (type == TOKEN_BYTE) {
        *out = (char)byte_piece(piece);
        *length = 1;
        return USABLE_NEVER;
    }
    whole = decode_piece(v->kind, piece, out, length);
    if (type == TOKEN_NORMAL)
        return whole ? USABLE : USABLE_NEVER;
    /* Special tokens are plain text; in a byte-level vocabulary the two forms agree on printable ASCII alone. */
    if (type == TOKEN_USER_DEFINED && v->kind != VOCABULARY_BYTES)
        return USABLE_SECOND;
    whole = whole && *length == piece.length && memcmp(out, piece.text, *length) == 0;
    memcpy(out, piece.text, piece.length);
    *length = piece.length;
    return type == TOKEN_USER_DEFINED && whole ? USABLE_SECOND : USABLE_NEVER;
}

/* Fills bytes, offsets, types, flags and the piece table. */
static enum status build_pieces(struct tokenizer *t, const struct vocabulary *v, struct diag *diag)
{
    uint8_t *usable = memory_alloc(v->n_pieces + 1);
    size_t at = 0, length;

    if (!usable || !id_table_init(t, v->n_pieces)) {
        memory_free(usable);
        return no_memory(t, diag);
    }
    for (size_t id = 0; id < v->n_pieces; id++) {
        t->offsets[id] = (uint32_t)at;
        t->types[id] = (uint8_t)type_of(v, id);
        t->flags[id] = v->strips ? v->strips[id] & (TOKEN_STRIPS_LEFT | TOKEN_STRIPS_RIGHT) : 0;
        usable[id] = (uint8_t)store_piece(v, id, (enum token_type)t->types[id], t->bytes + at, &length);
        t->bytes[at + length] = '\0';
        at += length + 1;
    }
    t->offsets[v->n_pieces] = (uint32_t)at;
    for (int pass = USABLE_SECOND; pass <= USABLE; pass++) {
        for (size_t id = 0; id < v->n_pieces; id++) {
            if (usable[id] == pass)
                id_table_put(t, (int32_t)id);
        }
    }
    for (size_t slot = 0; slot <= t->pieces.mask; slot++) {
        if (t->pieces.slots[slot].id >= 0)
            t->flags[t->pieces.slots[slot].id] |= TOKEN_IN_TABLE;
    }
    memory_free(usable);
    return STATUS_OK;
}

static void find_byte_ids(struct tokenizer *t)
{
    int type = t->kind == VOCABULARY_BYTES ? TOKEN_NORMAL : TOKEN_BYTE;

    for (int i = 0; i < 256; i++)
        t->byte_ids[i] = TOKEN_NONE;
    for (size_t id = 0; id < t->n_pieces; id++) {
        if (t->types[id] == type && piece_length(t, (int32_t)id) == 1)
            t->byte_ids[(unsigned char)*piece_text(t, (int32_t)id)] = (int32_t)id;
    }
}

/* The piece left + right. Files list pieces in the order of their merges: the one behind the last is tried first. */
static int32_t find_joined(const struct tokenizer *t, const char *text, size_t length, int32_t last)
{
    int32_t next = last + 1;

    if ((size_t)next < t->n_pieces && t->flags[next] & TOKEN_IN_TABLE && piece_length(t, next) == length &&
        memcmp(piece_text(t, next), text, length) == 0)
        return next;
    return piece_find(t, text, length);
}

/* Looks the three pieces of a merge up; 0 when one is unknown. text has room for both sides; ids[2] is the joined piece
 * of the merge before. */
static int resolve_merge(const struct tokenizer *t, const struct merge *merge, char *text, int32_t ids[3])
{
    size_t left, right;

    if (!decode_piece(t->kind, merge->left, text, &left) || !decode_piece(t->kind, merge->right, text + left, &right))
        return 0;
    ids[0] = piece_find(t, text, left);
    ids[1] = piece_find(t, text + left, right);
    ids[2] = find_joined(t, text, left + right, ids[2]);
    return left && right && ids[0] >= 0 && ids[1] >= 0 && ids[2] >= 0;
}

static enum status build_merges(struct tokenizer *t, const struct vocabulary *v, struct diag *diag)
{
    char *text;
    int32_t ids[3] = {0, 0, 0};

    if (t->kind == VOCABULARY_SCORES)
        return STATUS_OK;
    text = memory_alloc(6 * t->max_length + 1);
    if (!text || !pair_table_init(t, &t->merges, v->n_merges)) {
        memory_free(text);
        return no_memory(t, diag);
    }
    for (size_t i = 0; i < v->n_merges; i++) {
        const struct merge *merge = &v->merges[i];
        /* A written character is at most three bytes longer than what it stands for; longer sides cannot be pieces. */
        if (merge->left.length > t->max_length * 3 || merge->right.length > t->max_length * 3)
            continue;
        if (resolve_merge(t, merge, text, ids))
            pair_put(&t->merges, (uint32_t)ids[0], (uint32_t)ids[1], (uint32_t)i, ids[2]);
    }
    memory_free(text);
    return STATUS_OK;
}

struct scored {
    float score;
    int32_t id;
};

static int higher_score_first(const void *left, const void *right)
{
    const struct scored *a = left, *b = right;

    return a->score > b->score ? -1 : a->score < b->score ? 1 : (a->id > b->id) - (a->id < b->id);
}

/* Scores become ranks, so that all kinds merge the smallest rank first; equal scores share one. */
static enum status build_ranks(struct tokenizer *t, const struct vocabulary *v, struct diag *diag)
{
    struct scored *sorted;
    uint32_t rank = 0;

    if (t->kind != VOCABULARY_SCORES)
        return STATUS_OK;
    if (!v->scores)
        return diag_fail(diag, STATUS_FORMAT, "%s: expected scores of the pieces, found none", t->name);
    sorted = memory_alloc(t->n_pieces * sizeof *sorted);
    t->ranks = arena_array(&t->arena, t->n_pieces, sizeof *t->ranks);
    if (!sorted || !t->ranks) {
        memory_free(sorted);
        return no_memory(t, diag);
    }
    for (size_t id = 0; id < t->n_pieces; id++) /* a score that is no number comes last */
        sorted[id] = (struct scored){v->scores[id] == v->scores[id] ? v->scores[id] : -INFINITY, (int32_t)id};
    qsort(sorted, t->n_pieces, sizeof *sorted, higher_score_first);
    for (size_t i = 0; i < t->n_pieces; i++) {
        rank += i && sorted[i].score < sorted[i - 1].score;
        t->ranks[sorted[i].id] = rank;
    }
    memory_free(sorted);
    return STATUS_OK;
}

/* Marks every pair of neighbouring characters inside a piece: between two others no merge can happen. */
static enum status build_adjacent(struct tokenizer *t, struct diag *diag)
{
    int valid;

    if (t->kind == VOCABULARY_BYTES)
        return STATUS_OK;
    t->adjacent = arena_alloc(&t->arena, ((size_t)1 << ADJACENT_BITS) / 8);
    if (!t->adjacent)
        return no_memory(t, diag);
    for (size_t slot = 0; slot <= t->pieces.mask; slot++) {
        int32_t id = t->pieces.slots[slot].id;
        size_t length = id < 0 ? 0 : piece_length(t, id);
        uint32_t code, previous = 0;
        for (size_t i = 0, n; i < length; i += n, previous = code) {
            n = utf8_decode(piece_text(t, id) + i, length - i, &code, &valid);
            if (i)
                t->adjacent[adjacent_bit(previous, code) / 64] |= UINT64_C(1) << adjacent_bit(previous, code) % 64;
        }
    }
    return STATUS_OK;
}

static int is_special(const struct tokenizer *t, size_t id)
{
    return t->types[id] == TOKEN_CONTROL || t->types[id] == TOKEN_USER_DEFINED || t->types[id] == TOKEN_UNKNOWN;
}

static void put_special(struct tokenizer *t, int32_t id, uint32_t *n_nodes)
{
    const unsigned char *text = (const unsigned char *)piece_text(t, id);
    uint32_t node = 0;

    t->trie_first[text[0] / 8] |= (uint8_t)(1 << text[0] % 8);
    for (size_t i = 0; i < piece_length(t, id); i++) {
        const struct pair_slot *slot = pair_put(&t->trie, node, text[i], *n_nodes, 0);
        node = slot->rank;
        *n_nodes += node == *n_nodes;
    }
    t->trie_ids[node] = id;
}

static enum status build_trie(struct tokenizer *t, struct diag *diag)
{
    size_t total = 1;
    uint32_t n_nodes = 1;

    for (size_t id = 0; id < t->n_pieces; id++) {
        size_t length = is_special(t, id) ? piece_length(t, (int32_t)id) : 0;
        if (length > SPECIAL_MAX_LENGTH)
            return diag_fail(diag, STATUS_UNSUPPORTED,
                             "%s: token %zu: expected a special token of at most %d bytes, "
                             "found %zu",
                             t->name, id, SPECIAL_MAX_LENGTH, length);
        total += length;
    }
    t->trie_ids = arena_array(&t->arena, total, sizeof *t->trie_ids);
    if (!t->trie_ids || !pair_table_init(t, &t->trie, total))
        return no_memory(t, diag);
    memset(t->trie_ids, 0xFF, total * sizeof *t->trie_ids);
    for (size_t id = 0; id < t->n_pieces; id++) {
        if (is_special(t, id))
            put_special(t, (int32_t)id, &n_nodes);
    }
    return STATUS_OK;
}

/* The tokens that end an answer, by name: models close a turn with other tokens than their EOS. */
static void find_ends(struct tokenizer *t, int32_t given_eot)
{
    static const char *const ends[] = {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>",
                                       "<|eom_id|>", "<|end_of_text|>", "<EOT>", "<|endofturn|>", "<end_of_utterance>",
                                       "<|END_OF_TURN_TOKEN|>", "<turn|>",
                                       /* DeepSeek: U+FF5C bars, U+2581 blocks */
                                       "<\xEF\xBD\x9C\x65nd\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>"};

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        int32_t id = tokenizer_find(t, ends[i], strlen(ends[i]));
        if (id < 0 || t->types[id] != TOKEN_CONTROL)
            continue;
        t->flags[id] |= TOKEN_ENDS_GENERATION;
    }
    if (given_eot >= 0)
        t->flags[given_eot] |= TOKEN_ENDS_GENERATION;
    if (t->eos >= 0)
        t->flags[t->eos] |= TOKEN_ENDS_GENERATION;
}

static enum status check_id(const struct tokenizer *t, const char *what, int32_t id, struct diag *diag)
{
    if (id < TOKEN_NONE || (id >= 0 && (size_t)id >= t->n_pieces))
        return diag_fail(diag, STATUS_FORMAT, "%s: %s token: expected an id below %zu, found %ld", t->name, what,
                         t->n_pieces, (long)id);
    return STATUS_OK;
}

static enum status set_specials(struct tokenizer *t, const struct vocabulary *v, struct diag *diag)
{
    enum status status = check_id(t, "BOS", v->bos, diag);

    status = status ? status : check_id(t, "EOS", v->eos, diag);
    status = status ? status : check_id(t, "unknown", v->unk, diag);
    status = status ? status : check_id(t, "end-of-turn", v->eot, diag);
    if (status)
        return status;
    if (v->add_bos && v->bos < 0)
        return diag_fail(diag, STATUS_FORMAT, "%s: expected a BOS token, as add_bos_token says, found none", t->name);
    t->bos = v->bos;
    t->eos = v->eos;
    t->unk = v->unk;
    t->add_bos = v->add_bos;
    t->dummy_space = v->kind == VOCABULARY_BYTES ? DUMMY_SPACE_NONE : v->dummy_space;
    find_ends(t, v->eot);
    return STATUS_OK;
}

/* Sizes first, so that nothing below can overflow. */
static enum status prepare(struct tokenizer *t, const struct vocabulary *v, struct diag *diag)
{
    size_t bytes = 0;

    if (v->n_pieces == 0 || v->n_pieces > TOKENIZER_MAX_PIECES)
        return diag_fail(diag, STATUS_FORMAT, "%s: expected a vocabulary of 1 to %u pieces, found %zu", t->name,
                         TOKENIZER_MAX_PIECES, v->n_pieces);
    for (size_t id = 0; id < v->n_pieces; id++) {
        if (v->pieces[id].length > TOKENIZER_MAX_TEXT - bytes)
            return diag_fail(diag, STATUS_FORMAT, "%s: expected pieces of at most %u bytes together", t->name,
                             TOKENIZER_MAX_TEXT);
        bytes += v->pieces[id].length;
    }
    if (v->kind == VOCABULARY_BYTES) {
        t->pre = pretokenizer_find(v->pre ? v->pre : "", v->pre ? strlen(v->pre) : 0);
        if (!t->pre)
            return diag_fail(diag, STATUS_UNSUPPORTED, "%s: unknown pre-tokenizer '%s', known are %s", t->name,
                             v->pre ? v->pre : "", pretokenizer_names());
        t->ignore_merges = v->ignore_merges || t->pre->ignore_merges;
    }
    t->n_pieces = v->n_pieces;
    t->bytes = arena_alloc(&t->arena, bytes + v->n_pieces);
    t->offsets = arena_array(&t->arena, v->n_pieces + 1, sizeof *t->offsets);
    t->types = arena_alloc(&t->arena, v->n_pieces);
    t->flags = arena_alloc(&t->arena, v->n_pieces);
    if (v->chat_template.text)
        t->chat_template = arena_text(&t->arena, v->chat_template.text, v->chat_template.length);
    if (!t->bytes || !t->offsets || !t->types || !t->flags || (v->chat_template.text && !t->chat_template))
        return no_memory(t, diag);
    return STATUS_OK;
}

static enum status build(struct tokenizer *t, const struct vocabulary *v, struct diag *diag)
{
    enum status status = prepare(t, v, diag);

    status = status ? status : build_pieces(t, v, diag);
    status = status ? status : build_merges(t, v, diag);
    status = status ? status : build_ranks(t, v, diag);
    status = status ? status : build_adjacent(t, diag);
    status = status ? status : build_trie(t, diag);
    if (status)
        return status;
    find_byte_ids(t);
    return set_specials(t, v, diag);
}

enum status tokenizer_create(struct tokenizer **tokenizer, const struct vocabulary *vocabulary, struct diag *diag)
{
    struct tokenizer *t = memory_alloc(sizeof *t);
    enum status status;

    *tokenizer = NULL;
    if (!t)
        return diag_fail(diag, STATUS_MEMORY, "%s: no memory for a tokenizer", vocabulary->name);
    memset(t, 0, sizeof *t);
    arena_init(&t->arena, "tokenizer", 0);
    t->name = arena_text(&t->arena, vocabulary->name, strlen(vocabulary->name));
    t->kind = vocabulary->kind;
    status = t->name ? build(t, vocabulary, diag)
                     : diag_fail(diag, STATUS_MEMORY, "%s: no memory for a tokenizer", vocabulary->name);
    if (status)
        tokenizer_free(t);
    else
        *tokenizer = t;
    return status;
}

size_t tokenizer_bytes(const struct tokenizer *tokenizer)
{
    return tokenizer->arena.used;
}

void tokenizer_free(struct tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    arena_free(&tokenizer->arena);
    memory_free(tokenizer);
}
