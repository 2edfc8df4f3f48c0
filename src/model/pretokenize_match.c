/* pretokenize_match.c - the splitting patterns of published tokenizers as hand-written matchers.
 *
 * Each matcher stands under the regular expression it implements; \s is the property White_Space, classes are those of
 * unicode.h. Where an expression backtracks, the comment says which alternative wins. Every matcher looks at each
 * character a constant number of times per match, so that no text makes the cutting quadratic (see `skip`).
 *
 * Invariants: pos < scan->end; a result r has pos < r <= end; an invalid UTF-8 byte counts as one character U+FFFD.
 * Sources: the tokenizer.json files of the families (Split, Digits, Punctuation and ByteLevel pre-tokenizers). */
#include <stdint.h>
#include "pretokenize.h"
#include "utf8.h"

struct glyph {
    uint32_t code;
    unsigned mask; /* 0 past the end */
    size_t size;   /* 0 past the end */
};

static struct glyph glyph_at(struct scan *s, size_t pos)
{
    struct glyph glyph = {0, 0, 0};
    int valid;

    if (pos >= s->end)
        return glyph;
    if ((unsigned char)s->text[pos] < 0x80) {
        glyph.code = (unsigned char)s->text[pos];
        glyph.size = 1;
    } else {
        glyph.size = utf8_decode(s->text + pos, s->end - pos, &glyph.code, &valid);
    }
    glyph.mask = unicode_class(glyph.code, &s->run);
    return glyph;
}

/* The end of the longest run of characters in `mask`, from pos. */
static size_t run_of(struct scan *s, size_t pos, unsigned mask)
{
    for (struct glyph g; (g = glyph_at(s, pos)).mask & mask;)
        pos += g.size;
    return pos;
}

static size_t run_without(struct scan *s, size_t pos, unsigned mask)
{
    for (struct glyph g; (g = glyph_at(s, pos)).size && !(g.mask & mask);)
        pos += g.size;
    return pos;
}

static int is_newline(uint32_t code)
{
    return code == '\r' || code == '\n';
}

static int byte_is(const struct scan *s, size_t pos, int byte)
{
    return pos < s->end && s->text[pos] == byte;
}

static int is_lower(uint32_t code, char letter, int fold)
{
    return code == (uint32_t)letter || (fold && code == (uint32_t)(letter - 32)) ||
           (fold && letter == 's' && code == 0x17F); /* long s folds to s */
}

/* 's|'t|'re|'ve|'m|'ll|'d, with fold (?i:...). */
static size_t contraction(struct scan *s, size_t pos, int fold)
{
    static const char endings[][3] = {"s", "t", "re", "ve", "m", "ll", "d"};

    if (!byte_is(s, pos, '\''))
        return 0;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        struct glyph first = glyph_at(s, pos + 1), second = glyph_at(s, pos + 1 + first.size);
        if (!is_lower(first.code, endings[i][0], fold))
            continue;
        if (!endings[i][1])
            return pos + 1 + first.size;
        if (is_lower(second.code, endings[i][1], fold))
            return pos + 1 + first.size + second.size;
    }
    return 0;
}

/* \s+(?!\S)|\s+ : a run of white space without its last character when a word follows. */
static size_t white_space(struct scan *s, size_t pos)
{
    size_t end = pos, last = pos;

    for (struct glyph g; (g = glyph_at(s, end)).mask & UNICODE_SPACE; end += g.size)
        last = end;
    return end == pos || end == s->end || last == pos ? (end == pos ? 0 : end) : last;
}

/* \s*[\r\n]+ : white space up to the last newline of the run. */
static size_t white_space_newline(struct scan *s, size_t pos)
{
    size_t end = 0;

    for (struct glyph g; (g = glyph_at(s, pos)).mask & UNICODE_SPACE;) {
        pos += g.size;
        if (is_newline(g.code))
            end = pos;
    }
    return end;
}

/* ' ?[mask]+' and ' ?[^mask]+' */
static size_t space_and_run(struct scan *s, size_t pos, unsigned mask)
{
    size_t start = byte_is(s, pos, ' ') ? pos + 1 : pos, end = run_of(s, start, mask);

    return end > start ? end : 0;
}

static size_t space_and_run_without(struct scan *s, size_t pos, unsigned mask)
{
    size_t start = byte_is(s, pos, ' ') ? pos + 1 : pos, end = run_without(s, start, mask);

    return end > start ? end : 0;
}

/* \s?[mask]+ : here the optional character is any white space. */
static size_t any_space_and_run(struct scan *s, size_t pos, unsigned mask)
{
    struct glyph first = glyph_at(s, pos);
    size_t start = first.mask & UNICODE_SPACE ? pos + first.size : pos, end = run_of(s, start, mask);

    return end > start ? end : 0;
}

/* [\r\n]* or, with slash, [\r\n/]* */
static size_t newlines(const struct scan *s, size_t pos, int slash)
{
    while (byte_is(s, pos, '\r') || byte_is(s, pos, '\n') || (slash && byte_is(s, pos, '/')))
        pos++;
    return pos;
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
size_t match_gpt2(struct scan *s, size_t pos)
{
    size_t end;

    if ((end = contraction(s, pos, 0)) || (end = space_and_run(s, pos, UNICODE_L)) ||
        (end = space_and_run(s, pos, UNICODE_N)) ||
        (end = space_and_run_without(s, pos, UNICODE_SPACE | UNICODE_L | UNICODE_N)))
        return end;
    return white_space(s, pos);
}

/* \p{N}{1,limit} */
static size_t numbers(struct scan *s, size_t pos, int limit)
{
    size_t end = pos;

    for (struct glyph g; limit-- > 0 && (g = glyph_at(s, end)).mask & UNICODE_N;)
        end += g.size;
    return end > pos ? end : 0;
}

/* [^\r\n\p{L}\p{N}]? in front of something: the position behind it, or pos. */
static size_t word_prefix(struct scan *s, size_t pos)
{
    struct glyph first = glyph_at(s, pos);

    return is_newline(first.code) || first.mask & (UNICODE_L | UNICODE_N) ? pos : pos + first.size;
}

/* The common tail: \p{N}{1,digits}| ?[^\s\p{N}letters]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t numbers_and_rest(struct scan *s, size_t pos, unsigned letters, int digits, int slash)
{
    size_t end;

    if ((end = numbers(s, pos, digits)))
        return end;
    if ((end = space_and_run_without(s, pos, UNICODE_SPACE | UNICODE_N | letters)))
        return newlines(s, end, slash);
    if ((end = white_space_newline(s, pos)))
        return end;
    return white_space(s, pos);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?letters+| and the tail. A prefix that is itself one of `letters`
 * (a combining mark) gives the same match with or without being the prefix. */
static size_t words_and_rest(struct scan *s, size_t pos, unsigned letters, int digits)
{
    size_t end = contraction(s, pos, 1), start;

    if (end)
        return end;
    start = word_prefix(s, pos);
    if ((end = run_of(s, start, letters)) > start)
        return end;
    if ((end = run_of(s, pos, letters)) > pos)
        return end;
    return numbers_and_rest(s, pos, letters, digits, 0);
}

size_t match_llama3(struct scan *s, size_t pos)
{
    return words_and_rest(s, pos, UNICODE_L, 3);
}

size_t match_qwen2(struct scan *s, size_t pos)
{
    return words_and_rest(s, pos, UNICODE_L, 1);
}

/* Qwen 3.5: combining marks belong to words. */
size_t match_qwen35(struct scan *s, size_t pos)
{
    return words_and_rest(s, pos, UNICODE_L | UNICODE_M, 1);
}

#define UPPER (UNICODE_LU | UNICODE_LT | UNICODE_LM | UNICODE_LO | UNICODE_M)
#define LOWER (UNICODE_LL | UNICODE_LM | UNICODE_LO | UNICODE_M)

/* [upper]*[lower]+ : greedy; when nothing lower follows the upper run, the run gives back down to its last character
 * that is both, and lower characters are taken from there. */
static size_t upper_then_lower(struct scan *s, size_t pos)
{
    size_t upper = pos, both = s->end, lower;

    for (struct glyph g; (g = glyph_at(s, upper)).mask & UPPER; upper += g.size) {
        if (g.mask & LOWER)
            both = upper;
    }
    if ((lower = run_of(s, upper, LOWER)) > upper)
        return lower;
    return both < s->end ? run_of(s, both, LOWER) : 0;
}

/* [upper]+[lower]* */
static size_t upper_and_lower(struct scan *s, size_t pos)
{
    size_t upper = run_of(s, pos, UPPER);

    return upper > pos ? run_of(s, upper, LOWER) : 0;
}

/* [^\r\n\p{L}\p{N}]?[upper]*[lower]+|[^\r\n\p{L}\p{N}]?[upper]+[lower]* : with the optional character first. */
static size_t cased_word(struct scan *s, size_t pos)
{
    size_t start = word_prefix(s, pos), end;

    if ((end = upper_then_lower(s, start)) || (end = upper_then_lower(s, pos)) || (end = upper_and_lower(s, start)))
        return end;
    return upper_and_lower(s, pos);
}

/* The cased word, then \p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
size_t match_tekken(struct scan *s, size_t pos)
{
    size_t end = cased_word(s, pos);

    return end ? end : numbers_and_rest(s, pos, UNICODE_L, 1, 1);
}

/* The same with an optional (?i:'s|'t|'re|'ve|'m|'ll|'d) behind a word and numbers of up to three digits. */
size_t match_gpt4o(struct scan *s, size_t pos)
{
    size_t end = cased_word(s, pos), suffix;

    if (!end)
        return numbers_and_rest(s, pos, UNICODE_L, 3, 1);
    return (suffix = contraction(s, end, 1)) ? suffix : end;
}

static int is_ascii_mark(uint32_t code)
{
    return code < 128 && code > 32 && unicode_class(code, &(struct unicode_run){0, 0, 0}) & (UNICODE_P | UNICODE_S);
}

static size_t ascii_letters(const struct scan *s, size_t pos)
{
    while (pos < s->end && (unsigned char)((s->text[pos] | 32) - 'a') < 26)
        pos++;
    return pos;
}

/* [!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
size_t match_deepseek3(struct scan *s, size_t pos)
{
    struct glyph first = glyph_at(s, pos);
    size_t start = pos, end;

    if (is_ascii_mark(first.code) && (end = ascii_letters(s, pos + 1)) > pos + 1)
        return end;
    if (!is_newline(first.code) && !(first.mask & (UNICODE_L | UNICODE_P | UNICODE_S)))
        start += first.size;
    if ((end = run_of(s, start, UNICODE_L | UNICODE_M)) > start)
        return end;
    if ((end = run_of(s, pos, UNICODE_L | UNICODE_M)) > pos)
        return end;
    if ((end = space_and_run(s, pos, UNICODE_P | UNICODE_S)))
        return newlines(s, end, 0);
    if ((end = white_space_newline(s, pos)))
        return end;
    return white_space(s, pos);
}

/* The letters with case that DeepSeek LLM's pattern lists: cased letters of the early Unicode scripts. */
static int is_listed_cased(uint32_t code)
{
    static const uint32_t ranges[][2] = {
        {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},       {0xD8, 0xF6},
        {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},     {0x295, 0x2AF},     {0x370, 0x373},
        {0x376, 0x377},     {0x37B, 0x37D},     {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},
        {0x38C, 0x38C},     {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},
        {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},   {0x1C90, 0x1CBA},
        {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},   {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},
        {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},   {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},
        {0x1F5B, 0x1F5B},   {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},
        {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},   {0x1FD6, 0x1FDB},
        {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},   {0x2102, 0x2102},   {0x2107, 0x2107},
        {0x210A, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},
        {0x2128, 0x2128},   {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},
        {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2184},   {0x2C00, 0x2C7B},   {0x2C7E, 0x2CE4},
        {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF3},   {0xA640, 0xA66D},   {0xA680, 0xA69B},   {0xA722, 0xA76F},
        {0xA771, 0xA787},   {0xA78B, 0xA78E},   {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},
        {0xFF21, 0xFF3A},   {0xFF41, 0xFF5A},   {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB},
        {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943},
    };
    size_t low = 0, high = sizeof ranges / sizeof ranges[0];

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (ranges[middle][0] <= code)
            low = middle;
        else
            high = middle;
    }
    return code >= ranges[low][0] && code <= ranges[low][1];
}

/* [!-/:-~ fullwidth ! to / and : to ~, quotation marks, ideographic space to full stop] : the range : to ~ includes
 * the letters of ASCII, which the pattern before has already taken. */
static int is_listed_mark(uint32_t code)
{
    return (code >= '!' && code <= '/') || (code >= ':' && code <= '~') || (code >= 0xFF01 && code <= 0xFF0F) ||
           (code >= 0xFF1A && code <= 0xFF5E) || (code >= 0x2018 && code <= 0x201F) ||
           (code >= 0x3000 && code <= 0x3002);
}

/* The Chinese, Korean and other Asian characters of DeepSeek's list. */
static int is_listed_cjk(uint32_t code)
{
    return (code >= 0x800 && code <= 0x9FA5) || (code >= 0xAC00 && code <= 0xD7FF);
}

static int is_kana_or_han(uint32_t code)
{
    return (code >= 0x4E00 && code <= 0x9FA5) || (code >= 0x3040 && code <= 0x30FF);
}

static size_t run_where(struct scan *s, size_t pos, int (*test)(uint32_t code))
{
    for (struct glyph g; (g = glyph_at(s, pos)).size && test(g.code);)
        pos += g.size;
    return pos;
}

/* \s?[listed]+ : without the white space when that is itself listed and nothing listed follows. */
static size_t any_space_and_where(struct scan *s, size_t pos, int (*test)(uint32_t code))
{
    struct glyph first = glyph_at(s, pos);
    size_t start = first.mask & UNICODE_SPACE ? pos + first.size : pos, end = run_where(s, start, test);

    if (end > start)
        return end;
    end = run_where(s, pos, test);
    return end > pos ? end : 0;
}

size_t match_deepseek_cased(struct scan *s, size_t pos)
{
    return any_space_and_where(s, pos, is_listed_cased);
}

size_t match_deepseek_marks(struct scan *s, size_t pos)
{
    return any_space_and_where(s, pos, is_listed_mark);
}

size_t match_deepseek_cjk(struct scan *s, size_t pos)
{
    size_t end = run_where(s, pos, is_listed_cjk);

    return end > pos ? end : 0;
}

size_t match_kana_han(struct scan *s, size_t pos)
{
    size_t end = run_where(s, pos, is_kana_or_han);

    return end > pos ? end : 0;
}

/* [\r\n] */
size_t match_newline(struct scan *s, size_t pos)
{
    return is_newline(glyph_at(s, pos).code) ? pos + 1 : 0;
}

/* \s?\p{L}+ */
size_t match_space_letters(struct scan *s, size_t pos)
{
    return any_space_and_run(s, pos, UNICODE_L);
}

/* \s?\p{P}+ */
size_t match_space_punctuation(struct scan *s, size_t pos)
{
    return any_space_and_run(s, pos, UNICODE_P);
}

/* \s+$ : nothing inside a run that does not reach the end matches either. */
size_t match_trailing_space(struct scan *s, size_t pos)
{
    size_t end = run_of(s, pos, UNICODE_SPACE);

    if (end > pos && end == s->end)
        return end;
    s->skip = end;
    return 0;
}

static size_t run_with_marks(struct scan *s, size_t pos, const char *marks)
{
    size_t start = pos;

    for (struct glyph g; (g = glyph_at(s, pos)).size; pos += g.size) {
        const char *mark = marks;
        while (*mark && (uint32_t)*mark != g.code)
            mark++;
        if (!*mark && !(g.mask & UNICODE_P))
            break;
    }
    return pos > start ? pos : 0;
}

/* [\p{P}\$\+<=>\^~\|`]+ */
size_t match_punctuation(struct scan *s, size_t pos)
{
    return run_with_marks(s, pos, "$+<=>^~|`");
}

/* [\p{P}\$\+<=>\^~\|]+ */
size_t match_default_punctuation(struct scan *s, size_t pos)
{
    return run_with_marks(s, pos, "$+<=>^~|");
}

/* \p{N}+ */
size_t match_number(struct scan *s, size_t pos)
{
    size_t end = run_of(s, pos, UNICODE_N);

    return end > pos ? end : 0;
}

/* \p{N} */
size_t match_digit(struct scan *s, size_t pos)
{
    return numbers(s, pos, 1);
}

/* \p{N}{1,3} */
size_t match_digits_3(struct scan *s, size_t pos)
{
    return numbers(s, pos, 3);
}

/* [0-9][0-9][0-9] */
size_t match_ascii_digits_3(struct scan *s, size_t pos)
{
    for (size_t i = pos; i < pos + 3; i++) {
        if (i >= s->end || s->text[i] < '0' || s->text[i] > '9')
            return 0;
    }
    return pos + 3;
}
