/* fuzz_tokenizer.c - a vocabulary out of any bytes, and any bytes as text for it: whatever is accepted decodes back.
 *
 *   | kind | flags | pieces: length type bytes ... | 0 | text |
 *
 * The first byte 3 makes the rest a chat template instead, rendered for a fixed dialogue. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "chat.h"
#include "tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_PIECES 600

struct draft {
    struct span pieces[MAX_PIECES];
    float scores[MAX_PIECES];
    uint8_t types[MAX_PIECES];
    struct merge merges[MAX_PIECES];
    char bytes[256][8];
};

/* Every byte has a token, so that every text can come back. */
static void add_bytes(struct draft *d, struct vocabulary *v)
{
    static const char digits[] = "0123456789ABCDEF";

    for (unsigned b = 0, other = 256; b < 256; b++) {
        char *text = d->bytes[b];
        size_t n = 6;
        if (v->kind == VOCABULARY_BYTES) {
            unsigned code = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174 ? b : other++;
            n = 0;
            if (code >= 128)
                text[n++] = (char)(0xC0 | code >> 6);
            text[n++] = (char)(code < 128 ? code : 0x80 | (code & 63));
        } else {
            memcpy(text, "<0x00>", 6);
            text[3] = digits[b >> 4];
            text[4] = digits[b & 15];
        }
        d->types[v->n_pieces] = v->kind == VOCABULARY_BYTES ? TOKEN_NORMAL : TOKEN_BYTE;
        d->pieces[v->n_pieces++] = (struct span){text, n};
    }
}

/* Pieces from the input, each also a merge of its two halves. Returns where the text begins. */
static size_t add_pieces(struct draft *d, struct vocabulary *v, const uint8_t *data, size_t size)
{
    size_t at = 0;

    while (at + 2 < size && data[at] && v->n_pieces < MAX_PIECES) {
        size_t length = data[at] % 16, half = length / 2, id = v->n_pieces;
        const char *text = (const char *)data + at + 2;
        if (at + 2 + length > size)
            break;
        d->types[id] = data[at + 1] % 8;
        d->scores[id] = (float)(data[at + 1] >> 3);
        d->pieces[id] = (struct span){text, length};
        d->merges[v->n_merges++] = (struct merge){{text, half}, {text + half, length - half}};
        v->n_pieces++;
        at += 2 + length;
    }
    return at < size ? at + 1 : size;
}

static void round_trip(const struct tokenizer *t, const char *text, size_t length, int exact)
{
    struct tokens ids = {0};
    struct buffer out = {0};
    struct decoder decoder;

    if (tokenizer_encode(t, text, length, exact ? 0 : ENCODE_SPECIAL | ENCODE_BOS, &ids, NULL) == STATUS_OK) {
        decoder_begin(&decoder, t, 0);
        for (size_t i = 0; i < ids.count; i++) {
            if (ids.ids[i] < 0 || (size_t)ids.ids[i] >= tokenizer_vocab_size(t))
                abort();
            decoder_put(&decoder, ids.ids[i], &out);
        }
        decoder_end(&decoder, &out);
        if (exact && (out.length != length || (length && memcmp(out.data, text, length) != 0)))
            abort();
    }
    tokens_free(&ids);
    buffer_free(&out);
}

static void fuzz_vocabulary(const uint8_t *data, size_t size)
{
    static struct draft d;
    static const char *const pres[] = {"gpt-2",        "llama-bpe",      "qwen2",       "qwen35",
                                       "tekken",       "gpt-4o",         "falcon",      "smollm",
                                       "deepseek-llm", "deepseek-coder", "deepseek-v3", "default"};
    struct vocabulary v = {.name = "fuzz", .bos = -1, .eos = -1, .unk = -1, .eot = -1};
    struct tokenizer *t = NULL;
    struct diag diag = {0};
    size_t text;
    int exact = 1;

    v.kind = (enum vocabulary_kind)(data[0] % 4);
    v.pre = pres[data[1] % 12];
    v.dummy_space = (enum dummy_space)(data[1] / 12 % 3);
    v.ignore_merges = data[1] >> 7;
    v.pieces = d.pieces;
    v.types = d.types;
    v.scores = d.scores;
    v.merges = d.merges;
    add_bytes(&d, &v);
    text = 2 + add_pieces(&d, &v, data + 2, size - 2);
    for (size_t id = 256; id < v.n_pieces; id++) /* odd pieces may claim a byte, or print nothing */
        exact = exact && d.types[id] == TOKEN_NORMAL && d.pieces[id].length > 1;
    if (tokenizer_create(&t, &v, &diag) != STATUS_OK) {
        if (!diag.message[0])
            abort();
        return;
    }
    round_trip(t, (const char *)data + text, size - text, exact);
    tokenizer_free(t);
}

static void fuzz_template(const char *text, size_t size)
{
    static const struct chat_message messages[] = {
        {"system", "S", 1}, {"user", " u<|im_end|>", 12}, {"assistant", "", 0}};
    struct chat_prompt prompt = {{0}, NULL, 0, 0};
    struct chat_template chat;
    struct diag diag = {0};
    size_t total = 0;

    if (chat_recognise(&chat, text, size, &diag) || chat_render(&chat, messages, 3, 1, NULL, &prompt, &diag)) {
        if (!diag.message[0])
            abort();
    } else {
        for (size_t i = 0; i < prompt.n_segments; i++)
            total += prompt.segments[i].length;
        if (total != prompt.text.length)
            abort();
    }
    chat_prompt_free(&prompt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    if (data[0] % 4 == 3)
        fuzz_template((const char *)data + 1, size - 1);
    else
        fuzz_vocabulary(data, size);
    if (memory_live())
        abort();
    return 0;
}
