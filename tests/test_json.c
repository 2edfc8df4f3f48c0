/* test_json.c - the JSON reader against RFC 8259, hostile texts, and the writer read back. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <time.h>

#include "arena.h"
#include "json.h"
#include "test.h"

static struct arena arena;
static struct diag diag;

static const struct json *parse_bytes(const char *text, size_t length)
{
    const struct json *root;
    enum status status = json_parse(&root, text, length, &arena, "test", 1, NULL, &diag);

    CHECK((status == STATUS_OK) == (root != NULL));
    return root;
}

static const struct json *parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

static void values(void)
{
    const struct json *j = parse(" {\"a\": [1, -2.5e3, \"x\", true, false, null, {}, []], \"b\":{\"c\":\"d\"}} \n");
    const struct json *a = json_get(j, "a"), *e;
    static const enum json_type types[] = {JSON_NUMBER, JSON_NUMBER, JSON_STRING, JSON_TRUE,
                                           JSON_FALSE,  JSON_NULL,   JSON_OBJECT, JSON_ARRAY};
    size_t i = 0;

    CHECK(j && j->type == JSON_OBJECT && j->length == 2 && !j->key && !j->next);
    CHECK(a && a->type == JSON_ARRAY && a->length == 8 && strcmp(a->key, "a") == 0);
    for (e = a->child; e; e = e->next, i++)
        CHECK(e->type == types[i] && !e->key);
    CHECK(i == 8);
    e = a->child->next;
    CHECK(e->number == -2500.0 && strcmp(e->text, "-2.5e3") == 0 && e->length == 6);
    CHECK(strcmp(json_string(json_get(j, "b"), "c", "?"), "d") == 0);
    CHECK(strcmp(json_string(j, "b", "?"), "?") == 0 && json_string(j, "z", NULL) == NULL);
    CHECK(json_get(NULL, "a") == NULL && json_get(a, "a") == NULL && json_number(NULL, "a", 7) == 7);
    j = parse("{\"n\": 3, \"t\": true, \"f\": false, \"n\": 4}");
    CHECK(json_number(j, "n", 0) == 4 && json_bool(j, "t", 0) == 1 && json_bool(j, "f", 1) == 0);
    CHECK(json_bool(j, "n", 5) == 5 && json_number(j, "t", 6) == 6);
    CHECK(parse("3")->number == 3 && parse("\"\"")->length == 0 && parse("\xEF\xBB\xBF[]")->type == JSON_ARRAY);
    arena_free(&arena);
}

static void numbers(void)
{
    static const char *const good[] = {"0",
                                       "-0",
                                       "1",
                                       "10",
                                       "123456789012345678901234567890",
                                       "0.5",
                                       "-0.25",
                                       "1e5",
                                       "1E+5",
                                       "1e-5",
                                       "0e0",
                                       "1.5e300",
                                       "0.1",
                                       "1e-400",
                                       "1.7976931348623157e308",
                                       "5e-324",
                                       "9007199254740993"};
    static const char *const bad[] = {"01",       "-",      "+1",    ".5",  "5.",   "1e",  "1e+",
                                      "1.e5",     "0x10",   "1_000", "NaN", "-NaN", "inf", "1e999",
                                      "Infinity", "-1e999", "--1",   "1 2", "00",   "-01", "1.2.3"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const struct json *j = parse(good[i]);
        CHECK_MSG(j && j->type == JSON_NUMBER && j->number == strtod(good[i], NULL), "%s", good[i]);
        CHECK(j && strcmp(j->text, good[i]) == 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(!parse(bad[i]), "accepted %s", bad[i]);
    arena_free(&arena);
}

static void strings(void)
{
    static const struct {
        const char *in, *out;
        size_t length;
    } cases[] = {
        {"\"plain\"", "plain", 5},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8},
        {"\"\\u0041\\u00e9\\u20AC\"", "A\xC3\xA9\xE2\x82\xAC", 6},
        {"\"\\ud83d\\ude00\"", "\xF0\x9F\x98\x80", 4}, /* a surrogate pair */
        {"\"\\ud83d\"", "\xEF\xBF\xBD", 3},            /* alone, high */
        {"\"\\ude00x\"", "\xEF\xBF\xBDx", 4},          /* alone, low */
        {"\"\\ud83d\\u0041\"",
         "\xEF\xBF\xBD"
         "A",
         4}, /* high, then another character */
        {"\"\\ud83d\\ud83d\\ude00\"", "\xEF\xBF\xBD\xF0\x9F\x98\x80", 7},
        {"\"\\ud83d\\n\"", "\xEF\xBF\xBD\n", 4},
        {"\"a\\u0000b\"", "a\0b", 3},
        {"\"\xE2\x82\xAC\x7F\"", "\xE2\x82\xAC\x7F", 4},
        {"\"\xFF\xC3\"", "\xEF\xBF\xBD\xEF\xBF\xBD", 6}, /* invalid UTF-8 */
        {"\"\xED\xA0\x80\"", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", 9},
    };
    static const char *const bad[] = {"\"",          "\"abc",    "\"a\nb\"", "\"\\x41\"", "\"\\u12\"",
                                      "\"\\u12g4\"", "\"\\\"",   "'a'",      "\"\t\"",    "\"\\ud83d\\u12\"",
                                      "\"\\\n\"",    "\"\x1f\"", "\"\\u\""};
    const struct json *root;
    size_t n_bad;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct json *j = parse(cases[i].in);
        CHECK_MSG(j && j->type == JSON_STRING && j->length == cases[i].length &&
                      memcmp(j->text, cases[i].out, cases[i].length + 1) == 0,
                  "case %zu", i);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(!parse(bad[i]), "accepted bad string %zu", i);
    CHECK(!parse_bytes("\"a\0b\"", 5)); /* a raw NUL */
    CHECK(json_parse(&root, "[\"\xFF\",\"\xC3(\"]", 10, &arena, "test", 0, &n_bad, &diag) == STATUS_OK && n_bad == 2);
    arena_free(&arena);
}

/* Every byte at every place of a run: refused, an end, or kept. */
static void every_byte_in_a_run(void)
{
    for (int byte = 0; byte < 256; byte++)
        for (size_t place = 1; place < 20; place++) {
            char text[24] = "\"aaaaaaaaaaaaaaaaaaaa\"";
            const struct json *root = NULL;
            size_t bad = 0;
            int fails = byte < 32 || byte == '"' || byte == '\\'; /* \a is no escape */
            enum status status;

            text[place] = (char)byte;
            status = json_parse(&root, text, 22, &arena, "test", 1, &bad, &diag);
            CHECK_MSG((status != STATUS_OK) == fails, "byte %d at %zu", byte, place);
            CHECK_MSG(fails || (bad == (size_t)(byte >= 128) && root->length == (byte >= 128 ? 22u : 20u)),
                      "byte %d at %zu: %zu bytes", byte, place, root->length);
            CHECK_MSG(fails || byte >= 128 || memcmp(root->text, text + 1, 20) == 0, "byte %d at %zu", byte, place);
        }
}

static void errors_have_a_place(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "f:7: column 1: expected a value, found the end"},
        {"[1,]", "f:7: column 4: expected a value, found ']'"},
        {"[1 2]", "f:7: column 4: expected ',' or ']', found '2'"},
        {"{\"a\" 1}", "f:7: column 6: expected ':', found '1'"},
        {"{a:1}", "f:7: column 2: expected a member name in quotes, found 'a'"},
        {"{\"a\":1,}", "f:7: column 8: expected a member name in quotes, found '}'"},
        {"[1]]", "f:7: column 4: expected nothing after the value, found ']'"},
        {"[\n\n  tru]", "f:9: column 3: expected a value, found 't'"},
        {"[1}", "f:7: column 3: expected ',' or ']', found '}'"},
        {"{\"a\":1", "f:7: column 7: expected ',' or '}', found the end"},
        {"[\"\\q\"]", "f:7: column 4: expected one of \"\\/bfnrtu after a backslash, found 'q'"},
        {"[\"\x01\"]", "f:7: column 3: expected an escape for a control character, found byte 0x01"},
        {"[-x]", "f:7: column 3: expected a digit, found 'x'"},
        {"  1e999", "f:7: column 3: expected a number that a double can hold, found '1'"},
        {"/* */ 1", "f:7: column 1: expected a value, found '/'"},
        {"[,1]", "f:7: column 2: expected a value, found ','"},
        {"nul", "f:7: column 1: expected a value, found 'n'"},
        {"nulll", "f:7: column 5: expected nothing after the value, found 'l'"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct json *root = (const struct json *)cases;
        diag.message[0] = 0;
        CHECK(json_parse(&root, cases[i].text, strlen(cases[i].text), &arena, "f", 7, NULL, &diag) == STATUS_FORMAT);
        CHECK_MSG(!root && strcmp(diag.message, cases[i].message) == 0, "'%s': %s", cases[i].text, diag.message);
    }
    arena_free(&arena);
}

static void depth_is_bounded(void)
{
    char text[4 * JSON_MAX_DEPTH];
    char *many;

    memset(text, '[', JSON_MAX_DEPTH);
    memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
    CHECK(parse_bytes(text, 2 * JSON_MAX_DEPTH) != NULL);
    memset(text, '[', JSON_MAX_DEPTH + 1);
    memset(text + JSON_MAX_DEPTH + 1, ']', JSON_MAX_DEPTH + 1);
    CHECK(!parse_bytes(text, 2 * JSON_MAX_DEPTH + 2) && strstr(diag.message, "256 levels"));
    many = malloc(1 << 20);
    memset(many, '[', 1 << 20);
    CHECK(!parse_bytes(many, 1 << 20));
    for (size_t i = 0; i + 5 <= 1 << 20; i += 5)
        memcpy(many + i, "{\"\":[", 5);
    CHECK(!parse_bytes(many, 1 << 20));
    free(many);
    arena_free(&arena);
}

static const char sample[] =
    "{\"v\":1,\"id\":\"gsm8k:7\",\"turns\":[{\"text\":\"caf\\u00e9 \\ud83d\\ude00 \xE2\x82\xAC\","
    "\"logprob\":-1.25e-3,\"correct\":true,\"answer\":null},{}],\"n\":[0,-1,[[]]]}";

/* Parses bytes in a block of exactly their size, so that sanitizers see reads beyond it. */
static int parses(const char *text, size_t length)
{
    char *copy = malloc(length ? length : 1);
    const struct json *root;
    int good;

    memcpy(copy, text, length);
    good = json_parse(&root, copy, length, &arena, "test", 1, NULL, &diag) == STATUS_OK;
    free(copy);
    arena_free(&arena);
    return good;
}

static void every_prefix_and_byte_change(void)
{
    size_t length = sizeof sample - 1, accepted = 0;
    char text[sizeof sample];

    CHECK(parses(sample, length));
    for (size_t n = 0; n < length; n++)
        CHECK_MSG(!parses(sample, n), "accepted a prefix of %zu bytes", n);
    for (size_t at = 0; at < length; at++)
        for (int byte = 0; byte < 256; byte += test_quick() ? 17 : 1) {
            memcpy(text, sample, length);
            text[at] = (char)byte;
            accepted += (size_t)parses(text, length);
        }
    CHECK(accepted > 0); /* letters inside strings may change */
    CHECK(memory_live() == 0);
}

static void every_allocation_fails_once(void)
{
    size_t n = 1, length = 20000;
    char *text = malloc(length + 10);
    const struct json *root;

    text[0] = '[';
    for (size_t i = 1; i < length; i += 4)
        memcpy(text + i, "\"a\",", 4);
    memcpy(text + length - 3, "0]", 3);
    for (; n < 100; n++) {
        enum status status;
        memory_fail_at(n);
        status = json_parse(&root, text, strlen(text), &arena, "test", 1, NULL, &diag);
        memory_fail_at(0);
        CHECK((status == STATUS_OK) == (root != NULL));
        arena_free(&arena);
        if (status == STATUS_OK)
            break;
        CHECK_MSG(status == STATUS_MEMORY, "%s", diag.message);
    }
    CHECK(n > 2 && n < 100);
    free(text);
    CHECK(memory_live() == 0);
}

/* 40 MB of every kind of token in at most a second or two: a bound that quadratic work would miss by far. Memory: at
 * most 64 bytes of node for two bytes of source. */
#define HUGE_SECONDS 20.0

static void huge_inputs_are_linear(void)
{
    size_t length = test_quick() ? 400000 : 20000000;
    char *text = malloc(length);
    clock_t start = clock(); /* of the processor: machines may be busy */
    double seconds;
    const struct json *j;

    memset(text, 'x', length);
    text[0] = text[length - 1] = '"';
    j = parse_bytes(text, length); /* one string */
    CHECK(j && j->length == length - 2);
    arena_free(&arena);
    for (size_t i = 0; i + 2 <= length; i += 2)
        memcpy(text + i, "1,", 2);
    text[0] = '[';
    text[1] = ' ';
    text[length - 1] = ']';
    j = parse_bytes(text, length);
    CHECK(j && j->length == length / 2 - 1);
    CHECK_MSG(arena.peak < 40 * length, "%.1f bytes of memory per byte", (double)arena.peak / (double)length);
    arena_free(&arena);
    memset(text, '7', length); /* one number of too many digits */
    CHECK(!parse_bytes(text, length));
    memset(text, '\n', length); /* an error behind many lines */
    CHECK(!parse_bytes(text, length));
    arena_free(&arena);
    seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    CHECK_MSG(seconds < HUGE_SECONDS, "%.1f seconds", seconds);
    free(text);
}

/* ---- writer ---- */

static void strings_survive(void)
{
    char all[256], utf8[2000];
    size_t n = 0;
    struct buffer out = {0};
    const struct json *j;

    for (int i = 0; i < 128; i++)
        utf8[n++] = (char)i;
    n += (size_t)snprintf(utf8 + n, 100, "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xE2\x80\xA8");
    json_put_string(&out, utf8, n);
    j = parse_bytes(out.data, out.length);
    CHECK(j && j->length == n && memcmp(j->text, utf8, n) == 0);
    CHECK(strstr(out.data, "\\u0000\\u0001") && strstr(out.data, "\\b\\t\\n\\u000b\\f\\r") && !strchr(out.data, '\n'));
    buffer_clear(&out);
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    json_put_string(&out, all, 256);
    j = parse_bytes(out.data, out.length);
    CHECK(j && j->length == 128 + 128 * 3);
    buffer_clear(&out);
    json_put_string(&out, "", 0);
    CHECK(strcmp(out.data, "\"\"") == 0);
    buffer_free(&out);
    arena_free(&arena);
}

static void expect_number(double value, const char *want)
{
    struct buffer out = {0};

    json_put_number(&out, value);
    CHECK_MSG(strcmp(out.data, want) == 0, "%.17g: %s, expected %s", value, out.data, want);
    buffer_free(&out);
}

static void numbers_survive(void)
{
    struct buffer out = {0};
    uint32_t bits = 1;

    expect_number(0, "0");
    expect_number(-3, "-3");
    expect_number(1234567890123, "1234567890123");
    expect_number(9007199254740991.0, "9007199254740991");
    expect_number(0.1, "0.1");
    expect_number((double)0.1f, "0.1");
    expect_number(1.0 / 3, "0.33333333");
    expect_number(1e300, "1e+300");
    expect_number(-1e-7, "-1e-07");
    expect_number(NAN, "null");
    expect_number(INFINITY, "null");
    for (int i = 0; i < (test_quick() ? 2000 : 200000); i++) {
        float f;
        const struct json *j;
        bits = bits * 1664525u + 1013904223u; /* Knuth and Lewis; covers exponents evenly */
        memcpy(&f, &bits, 4);
        if (!isfinite(f))
            continue;
        buffer_clear(&out);
        json_put_number(&out, (double)f);
        j = parse_bytes(out.data, out.length);
        CHECK_MSG(j && (float)j->number == f, "%.9g became %s", (double)f, out.data);
        if (arena.used > 1 << 20)
            arena_free(&arena);
    }
    buffer_free(&out);
    arena_free(&arena);
    CHECK(memory_live() == 0);
}

/* Written again, a value is what it was, without white space. */
static void values_survive(void)
{
    static const char *const texts[] = {"{}",
                                        "[]",
                                        "[[],{},[[1]]]",
                                        "{\"a\":{\"b\":[1,-2.50e3,true,false,null]},\"c\":\"x\\ny\"}",
                                        "\"\"",
                                        "12345678901234567890.25",
                                        "[[[[{\"k\":[]}]]],1]"};
    struct arena local;
    const struct json *root;

    arena_init(&local, "json", 0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct buffer out = {0};

        CHECK(json_parse(&root, texts[i], strlen(texts[i]), &local, "text", 1, NULL, &diag) == STATUS_OK);
        json_put(&out, root);
        CHECK_MSG(out.data && strcmp(out.data, texts[i]) == 0, "%s became %s", texts[i],
                  out.data ? out.data : "nothing");
        buffer_free(&out);
    }
    arena_free(&local);
}

/* At the greatest depth that is parsed. */
static void deep_values_survive(void)
{
    char text[2 * JSON_MAX_DEPTH + 1];
    struct arena local;
    const struct json *root;
    struct buffer out = {0};
    size_t depth = JSON_MAX_DEPTH;

    arena_init(&local, "json", 0);
    do {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
    } while (json_parse(&root, text, 2 * depth, &local, "text", 1, NULL, &diag) && --depth);
    CHECK(depth >= JSON_MAX_DEPTH - 1);
    json_put(&out, root);
    CHECK(out.length == 2 * depth && memcmp(out.data, text, out.length) == 0);
    buffer_free(&out);
    arena_free(&local);
}

int main(void)
{
    arena_init(&arena, "json", 0);
    RUN(values);
    RUN(numbers);
    RUN(strings);
    RUN(every_byte_in_a_run);
    RUN(errors_have_a_place);
    RUN(depth_is_bounded);
    RUN(every_prefix_and_byte_change);
    RUN(every_allocation_fails_once);
    RUN(huge_inputs_are_linear);
    RUN(strings_survive);
    RUN(numbers_survive);
    RUN(values_survive);
    RUN(deep_values_survive);
    return TEST_RESULT();
}
