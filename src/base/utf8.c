/* utf8.c - the one place that knows how UTF-8 is built (Unicode 15, table 3-7: well-formed byte sequences).
 *
 *   U+0000..007F    0xxxxxxx
 *   U+0080..07FF    110xxxxx 10xxxxxx              (first byte C2..DF)
 *   U+0800..FFFF    1110xxxx 10xxxxxx 10xxxxxx     (second byte A0..BF after E0, 80..9F after ED)
 *   U+10000..10FFFF 11110xxx 10xxxxxx ...          (second byte 90..BF after F0, 80..8F after F4)
 *
 * The limits on the second byte are what excludes overlong forms, surrogates and values above 10FFFF.
 * Leaves out: normalisation, character classes (model/ has those it needs). */
#include "utf8.h"

struct lead {
    unsigned length;    /* bytes of the sequence, 0 when no sequence starts so */
    unsigned low, high; /* of the second byte */
};

static struct lead lead_of(unsigned byte)
{
    static const struct lead none = {0, 0, 0};

    if (byte < 0x80)
        return (struct lead){1, 0, 0};
    if (byte < 0xC2 || byte > 0xF4)
        return none;
    if (byte < 0xE0)
        return (struct lead){2, 0x80, 0xBF};
    if (byte < 0xF0)
        return (struct lead){3, byte == 0xE0 ? 0xA0 : 0x80, byte == 0xED ? 0x9F : 0xBF};
    return (struct lead){4, byte == 0xF0 ? 0x90 : 0x80, byte == 0xF4 ? 0x8F : 0xBF};
}

/* Number of bytes at text that begin a well-formed sequence of `lead` (at least 1). */
static size_t match(const unsigned char *text, size_t length, struct lead lead)
{
    size_t n = 1;

    if (lead.length > 1 && length > 1 && text[1] >= lead.low && text[1] <= lead.high)
        for (n = 2; n < lead.length && n < length && (text[n] & 0xC0) == 0x80;)
            n++;
    return n;
}

size_t utf8_decode(const char *text, size_t length, uint32_t *code, int *valid)
{
    const unsigned char *t = (const unsigned char *)text;
    struct lead lead = lead_of(t[0]);

    *valid = lead.length && match(t, length, lead) == lead.length;
    if (!*valid) {
        *code = 0xFFFD;
        return 1;
    }
    *code = lead.length == 1 ? t[0] : t[0] & (0x7Fu >> lead.length);
    for (size_t i = 1; i < lead.length; i++)
        *code = *code << 6 | (t[i] & 0x3F);
    return lead.length;
}

size_t utf8_encode(char *out, uint32_t code)
{
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char first[5] = {0, 0, 0xC0, 0xE0, 0xF0};

    for (size_t i = n; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)(first[n] | code);
    return n;
}

size_t utf8_whole_prefix(const char *text, size_t length)
{
    const unsigned char *t = (const unsigned char *)text;

    for (size_t back = 1; back <= 3 && back <= length; back++) {
        size_t at = length - back;
        if ((t[at] & 0xC0) == 0x80)
            continue;
        struct lead lead = lead_of(t[at]);
        return lead.length > back && match(t + at, back, lead) == back ? at : length;
    }
    return length;
}
