/* test_utf8.c - every code point there and back; every short byte string against an independent rule. */
#include <stdint.h>

#include "test.h"
#include "utf8.h"

static void every_code_point_survives(void)
{
    for (uint32_t code = 0; code < 0x110000; code++) {
        char bytes[4];
        uint32_t back = 0;
        size_t n, used;
        int valid = -1;
        if (code >= 0xD800 && code <= 0xDFFF)
            continue;
        n = utf8_encode(bytes, code);
        used = utf8_decode(bytes, n, &back, &valid);
        CHECK_MSG(used == n && back == code && valid == 1, "U+%04X", (unsigned)code);
        CHECK(utf8_whole_prefix(bytes, n) == n);
        for (size_t cut = 1; cut < n; cut++) {
            CHECK_MSG(utf8_whole_prefix(bytes, cut) == 0, "U+%04X cut to %zu", (unsigned)code, cut);
            CHECK(utf8_decode(bytes, cut, &back, &valid) == 1 && back == 0xFFFD && !valid);
        }
    }
}

/* The value of a sequence read naively, or -1 when it is overlong, a surrogate, too large or malformed. */
static long naive(const unsigned char *t, size_t length, size_t *used)
{
    static const long least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = t[0] < 0x80 ? 1 : (t[0] & 0xE0) == 0xC0 ? 2 : (t[0] & 0xF0) == 0xE0 ? 3 : (t[0] & 0xF8) == 0xF0 ? 4 : 0;
    long code = n == 1 ? t[0] : n == 2 ? t[0] & 31 : n == 3 ? t[0] & 15 : t[0] & 7;

    *used = 1;
    if (!n || n > length)
        return -1;
    for (size_t i = 1; i < n; i++) {
        if ((t[i] & 0xC0) != 0x80)
            return -1;
        code = code * 64 + (t[i] & 63);
    }
    if (code < least[n] || (code >= 0xD800 && code <= 0xDFFF) || code > 0x10FFFF)
        return -1;
    *used = n;
    return code;
}

static void every_short_string(void)
{
    static const unsigned char probe[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xFF};
    size_t n = sizeof probe;

    for (unsigned first = 0; first < 256; first++)
        for (size_t rest = 0; rest < n * n * n; rest++)
            for (size_t length = 1; length <= 4; length++) {
                unsigned char t[4] = {(unsigned char)first, probe[rest % n], probe[rest / n % n], probe[rest / n / n]};
                size_t want_used, used;
                uint32_t code;
                int valid;
                long want = naive(t, length, &want_used);
                used = utf8_decode((const char *)t, length, &code, &valid);
                CHECK_MSG(used == want_used && valid == (want >= 0) && code == (want < 0 ? 0xFFFD : (uint32_t)want),
                          "%02X %02X %02X %02X length %zu", t[0], t[1], t[2], t[3], length);
            }
}

static void prefix_keeps_what_cannot_grow(void)
{
    static const struct {
        const char *text;
        size_t length, want;
    } cases[] = {
        {"", 0, 0},
        {"abc", 3, 3},
        {"ab\xC3", 3, 2},
        {"ab\xE2\x82", 4, 2},
        {"ab\xF0\x9F\x98", 5, 2},
        {"\x80\x80", 2, 2},
        {"ab\xFF", 3, 3},
        {"ab\xC0", 3, 3},
        {"ab\xE0\x80", 4, 4},
        {"ab\xED\xA0", 4, 4},
        {"ab\xF4\x90", 4, 4},
        {"\xE2\x82\xAC\xE2", 4, 3},
        {"\x80\x80\x80\x80", 4, 4},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_MSG(utf8_whole_prefix(cases[i].text, cases[i].length) == cases[i].want, "case %zu", i);
}

int main(void)
{
    RUN(every_code_point_survives);
    RUN(every_short_string);
    RUN(prefix_keeps_what_cannot_grow);
    return TEST_RESULT();
}
