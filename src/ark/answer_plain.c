/* answer_plain.c - the signs of Unicode that occur in answers, as ASCII or LaTeX.
 *
 *   "\u22127 \u00BD"  ->  "-7 1/2"      "2\u221A3"  ->  "2\sqrt 3"      "\uFF11\uFF12"  ->  "12"
 *
 * Everything else stays as it is. Invalid UTF-8 passes through byte by byte. */
#include "answer_parts.h"
#include "utf8.h"

struct plain {
    uint32_t code;
    const char *text;
};

/* Ascending by code. A leading space keeps a fraction apart from the digit before it: 1 and a half is 1 1/2. */
static const struct plain table[] = {
    {0x00A0, " "},
    {0x00A2, " cents"},
    {0x00A3, "$"},
    {0x00A5, "$"},
    {0x00AD, ""},
    {0x00B0, "^\\circ "},
    {0x00B1, "\\pm "},
    {0x00B2, "^2 "},
    {0x00B3, "^3 "},
    {0x00B7, "*"},
    {0x00B9, "^1 "},
    {0x00BC, " 1/4"},
    {0x00BD, " 1/2"},
    {0x00BE, " 3/4"},
    {0x00D7, "*"},
    {0x00F7, "/"},
    {0x03B1, "\\alpha "},
    {0x03B2, "\\beta "},
    {0x03B3, "\\gamma "},
    {0x03B8, "\\theta "},
    {0x03BB, "\\lambda "},
    {0x03BC, "\\mu "},
    {0x03C0, "\\pi "},
    {0x03C6, "\\phi "},
    {0x03C9, "\\omega "},
    {0x2000, " "},
    {0x2001, " "},
    {0x2002, " "},
    {0x2003, " "},
    {0x2004, " "},
    {0x2005, " "},
    {0x2006, " "},
    {0x2007, " "},
    {0x2008, " "},
    {0x2009, " "},
    {0x200A, " "},
    {0x200B, ""},
    {0x200C, ""},
    {0x200D, ""},
    {0x2010, "-"},
    {0x2011, "-"},
    {0x2012, "-"},
    {0x2013, "-"},
    {0x2014, " - "},
    {0x2018, "'"},
    {0x2019, "'"},
    {0x201C, "\""},
    {0x201D, "\""},
    {0x2026, "..."},
    {0x202F, " "},
    {0x2044, "/"},
    {0x2060, ""},
    {0x2070, "^0 "},
    {0x2074, "^4 "},
    {0x2075, "^5 "},
    {0x2076, "^6 "},
    {0x2077, "^7 "},
    {0x2078, "^8 "},
    {0x2079, "^9 "},
    {0x20AC, "$"},
    {0x20B9, "$"},
    {0x2102, "\\mathbb{C}"},
    {0x2115, "\\mathbb{N}"},
    {0x211A, "\\mathbb{Q}"},
    {0x211D, "\\mathbb{R}"},
    {0x2124, "\\mathbb{Z}"},
    {0x2150, " 1/7"},
    {0x2151, " 1/9"},
    {0x2153, " 1/3"},
    {0x2154, " 2/3"},
    {0x2155, " 1/5"},
    {0x2156, " 2/5"},
    {0x2157, " 3/5"},
    {0x2158, " 4/5"},
    {0x2159, " 1/6"},
    {0x215A, " 5/6"},
    {0x215B, " 1/8"},
    {0x215C, " 3/8"},
    {0x215D, " 5/8"},
    {0x215E, " 7/8"},
    {0x2192, " \\to "},
    {0x2205, "\\emptyset "},
    {0x2208, "\\in "},
    {0x2212, "-"},
    {0x2213, "\\mp "},
    {0x2215, "/"},
    {0x2217, "*"},
    {0x221A, "\\sqrt "},
    {0x221E, "\\infty "},
    {0x2229, "\\cap "},
    {0x222A, "\\cup "},
    {0x2236, ":"},
    {0x2248, "\\approx "},
    {0x2260, "\\ne "},
    {0x2264, "\\le "},
    {0x2265, "\\ge "},
    {0x22C5, "*"},
    {0x2A7D, "\\le "},
    {0x2A7E, "\\ge "},
    {0x3000, " "},
    {0x3001, ", "},
    {0x3002, ". "},
    {0xFE63, "-"},
    {0xFEFF, ""},
};

static const char *look_up(uint32_t code)
{
    size_t low = 0, high = sizeof table / sizeof *table;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (table[middle].code == code)
            return table[middle].text;
        if (table[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* A space of some width between two groups of digits, "12 345": like a comma. Ordinary spaces are not. */
static int groups_digits(uint32_t code, const struct buffer *out, const char *rest, size_t left)
{
    return (code == 0x00A0 || code == 0x2007 || code == 0x2009 || code == 0x202F) && out->length &&
           answer_is_digit(out->data[out->length - 1]) && left >= 3 && answer_is_digit(rest[0]) &&
           answer_is_digit(rest[1]) && answer_is_digit(rest[2]) && (left == 3 || !answer_is_digit(rest[3]));
}

void answer_plain(struct buffer *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        uint32_t code;
        int valid;
        const char *to;
        size_t n = 0;

        while (i + n < length && (unsigned char)text[i + n] < 0x80 && text[i + n])
            n++;
        if (n || text[i] == 0) {
            buffer_append(out, n ? text + i : " ", n ? n : 1);
            i += n ? n : 1;
            continue;
        }
        n = utf8_decode(text + i, length - i, &code, &valid);
        to = valid ? look_up(code) : NULL;
        if (groups_digits(code, out, text + i + n, length - i - n))
            buffer_byte(out, ',');
        else if (to)
            buffer_text(out, to);
        else if (code >= 0xFF01 && code <= 0xFF5E) /* full-width forms of ASCII */
            buffer_byte(out, (int)(code - 0xFEE0));
        else
            buffer_append(out, text + i, n);
        i += n;
    }
}
