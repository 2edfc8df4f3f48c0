/* json.c - the JSON reader: text to a tree of nodes, strictly by RFC 8259, without recursion.
 *
 *   {"a": [1, 2]}   ->   object --child--> "a" array --child--> 1 --next--> 2
 *
 * open[] is the stack of containers not yet closed; its top is where the next value is attached. Two bump
 * allocators inside the caller's arena hold nodes and text, so that a small record costs a few hundred bytes and a
 * value costs little more than a node.
 *
 * Invariants: the source is read from left to right once, strings twice (to measure, then to copy): linear time.
 * Memory is at most a constant times the length of the source: what is allocated follows what was parsed.
 * Numbers are finite; strings are valid UTF-8.
 * Leaves out: writing (json_write.c), checking for duplicate members (the last one wins). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "utf8.h"

#define NODES_MAX 4096               /* nodes allocated at once, at most */
#define TEXT_MAX  ((size_t)64 << 10) /* text bytes allocated at once, unless one string needs more */

struct open {
    struct json *node;
    struct json *last; /* child so far, to append to */
};

struct parser {
    const char *begin, *at, *end;
    struct arena *arena;
    const char *name;
    uint64_t line;
    struct diag *diag;
    enum status status;
    struct json *nodes;
    size_t nodes_left, nodes_next;
    char *text;
    size_t text_left, text_next;
    size_t bad_utf8;
    int depth;
    struct open open[JSON_MAX_DEPTH];
};

/* ---- errors ---- */

static void describe(char *out, size_t size, const struct parser *p)
{
    unsigned byte = p->at < p->end ? (unsigned char)*p->at : 0;

    if (p->at >= p->end)
        snprintf(out, size, "the end");
    else if (byte > 32 && byte < 127)
        snprintf(out, size, "'%c'", (int)byte);
    else
        snprintf(out, size, "byte 0x%02X", byte);
}

/* Always returns 0, so that a failing step is one statement. The first failure is kept. */
static int fail(struct parser *p, const char *expected)
{
    uint64_t line = p->line ? p->line : 1;
    const char *start = p->begin;
    char found[32];

    if (p->status)
        return 0;
    for (const char *c = p->begin; c < p->at; c++)
        if (*c == '\n') {
            line++;
            start = c + 1;
        }
    describe(found, sizeof found, p);
    p->status = diag_fail(p->diag, STATUS_FORMAT, "%s:%llu: column %zu: expected %s, found %s", p->name,
                          (unsigned long long)line, (size_t)(p->at - start) + 1, expected, found);
    return 0;
}

static int fail_memory(struct parser *p)
{
    if (!p->status)
        p->status = diag_fail(p->diag, STATUS_MEMORY, "%s: out of memory for a JSON text of %zu bytes", p->name,
                              (size_t)(p->end - p->begin));
    return 0;
}

/* ---- memory ---- */

static struct json *new_node(struct parser *p)
{
    if (!p->nodes_left) {
        p->nodes = arena_array(p->arena, p->nodes_next, sizeof *p->nodes);
        if (!p->nodes) {
            fail_memory(p);
            return NULL;
        }
        p->nodes_left = p->nodes_next;
        p->nodes_next = p->nodes_next < NODES_MAX ? p->nodes_next * 2 : NODES_MAX;
    }
    p->nodes_left--;
    memset(p->nodes, 0, sizeof *p->nodes);
    return p->nodes++;
}

/* `length` bytes and a NUL behind them. */
static char *new_text(struct parser *p, size_t length)
{
    char *text;

    if (length >= p->text_left) {
        size_t size = length < p->text_next ? p->text_next : length + 1;
        p->text = arena_alloc(p->arena, size);
        if (!p->text) {
            p->text_left = 0;
            fail_memory(p);
            return NULL;
        }
        p->text_left = size;
        p->text_next = p->text_next < TEXT_MAX ? p->text_next * 2 : TEXT_MAX;
    }
    text = p->text;
    text[length] = 0;
    p->text += length + 1;
    p->text_left -= length + 1;
    return text;
}

/* ---- tokens ---- */

static void skip_space(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t'))
        p->at++;
}

static int hex_digit(int c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The four digits at p->at. */
static int read_hex4(struct parser *p, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++, p->at++) {
        int digit = p->at < p->end ? hex_digit(*p->at) : -1;
        if (digit < 0)
            return fail(p, "four hexadecimal digits after \\u");
        *code = *code * 16 + (uint32_t)digit;
    }
    return 1;
}

/* Behind "\u". A high surrogate joins with a low one that follows; a lone one becomes U+FFFD. */
static int read_unicode(struct parser *p, uint32_t *code)
{
    uint32_t low;
    const char *here;

    if (!read_hex4(p, code))
        return 0;
    if (*code < 0xD800 || *code > 0xDFFF)
        return 1;
    here = p->at;
    if (*code < 0xDC00 && p->end - p->at >= 2 && p->at[0] == '\\' && p->at[1] == 'u') {
        p->at += 2;
        if (!read_hex4(p, &low))
            return 0;
        if (low >= 0xDC00 && low <= 0xDFFF) {
            *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
            return 1;
        }
        p->at = here; /* the second escape stands for itself */
    }
    *code = 0xFFFD;
    return 1;
}

/* Behind a backslash: the escaped character, as code point. */
static int read_escape(struct parser *p, uint32_t *code)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found;

    if (p->at < p->end && *p->at == 'u') {
        p->at++;
        return read_unicode(p, code);
    }
    found = p->at < p->end && *p->at ? strchr(from, *p->at) : NULL;
    if (!found)
        return fail(p, "one of \"\\/bfnrtu after a backslash");
    p->at++;
    *code = (unsigned char)to[found - from];
    return 1;
}

/* One character of a string, which is not its closing quote. */
static int read_character(struct parser *p, uint32_t *code)
{
    int valid;

    if (p->at >= p->end)
        return fail(p, "the closing quote of a string");
    if (*p->at == '\\') {
        p->at++;
        return read_escape(p, code);
    }
    if ((unsigned char)*p->at < 32)
        return fail(p, "an escape for a control character");
    p->at += utf8_decode(p->at, (size_t)(p->end - p->at), code, &valid);
    p->bad_utf8 += !valid;
    return 1;
}

/* Do eight bytes stand for themselves? A byte's top bit is set in x - 1 & ~x where x is 0 (quote and backslash, once
 * they are xored away), in x - 32 & ~x where x < 32; false alarms come only above such a byte. */
static int plain_eight(const char *c)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t x, quote, slash;

    memcpy(&x, c, sizeof x);
    quote = x ^ ones * '"';
    slash = x ^ ones * '\\';
    return ((((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((x - ones * 32) & ~x) | x) & tops) == 0;
}

/* The longest run of bytes that stand for themselves. */
static size_t plain_run(const struct parser *p)
{
    const char *c = p->at;

    while (p->end - c >= 8 && plain_eight(c))
        c += 8;
    while (c < p->end && *c != '"' && *c != '\\' && (unsigned char)*c >= 32 && (unsigned char)*c < 128)
        c++;
    return (size_t)(c - p->at);
}

/* At an opening quote: moves behind the closing one. With out == NULL only measures. */
static int read_string(struct parser *p, char *out, size_t *length)
{
    size_t n = 0;

    p->at++;
    for (;;) {
        size_t run = plain_run(p);
        uint32_t code;
        char bytes[4];
        if (out && run)
            memcpy(out + n, p->at, run);
        n += run;
        p->at += run;
        if (p->at < p->end && *p->at == '"')
            break;
        if (!read_character(p, &code))
            return 0;
        n += utf8_encode(out ? out + n : bytes, code);
    }
    p->at++;
    *length = n;
    return 1;
}

static int parse_text(struct parser *p, const char **text, size_t *length)
{
    const char *start = p->at;
    size_t bad = p->bad_utf8;
    char *copy;

    if (!read_string(p, NULL, length))
        return 0;
    copy = new_text(p, *length);
    if (!copy)
        return 0;
    p->at = start;
    p->bad_utf8 = bad;
    *text = copy;
    return read_string(p, copy, length);
}

static int digits(struct parser *p)
{
    if (p->at >= p->end || *p->at < '0' || *p->at > '9')
        return fail(p, "a digit");
    while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
        p->at++;
    return 1;
}

/* number = [ "-" ] ( "0" | 1-9 digits ) [ "." digits ] [ e [ + | - ] digits ] */
static int number_grammar(struct parser *p)
{
    if (*p->at == '-')
        p->at++;
    if (p->at < p->end && *p->at == '0')
        p->at++;
    else if (!digits(p))
        return 0;
    if (p->at < p->end && *p->at == '.') {
        p->at++;
        if (!digits(p))
            return 0;
    }
    if (p->at < p->end && (*p->at == 'e' || *p->at == 'E')) {
        p->at++;
        if (p->at < p->end && (*p->at == '+' || *p->at == '-'))
            p->at++;
        return digits(p);
    }
    return 1;
}

static int parse_number(struct parser *p, struct json *node)
{
    const char *start = p->at;
    char *text;

    if (!number_grammar(p))
        return 0;
    node->length = (size_t)(p->at - start);
    text = new_text(p, node->length);
    if (!text)
        return 0;
    memcpy(text, start, node->length);
    node->type = JSON_NUMBER;
    node->text = text;
    node->number = strtod(text, NULL); /* correctly rounded; the C locale is never changed */
    if (!isfinite(node->number)) {
        p->at = start;
        return fail(p, "a number that a double can hold");
    }
    return 1;
}

static int parse_word(struct parser *p, struct json *node)
{
    static const char *const words[] = {"null", "false", "true"};

    for (int i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(p->end - p->at) >= n && memcmp(p->at, words[i], n) == 0) {
            node->type = (enum json_type)i;
            p->at += n;
            return 1;
        }
    }
    return fail(p, "a value");
}

/* ---- structure ---- */

static int open_container(struct parser *p, struct json *node)
{
    if (p->depth == JSON_MAX_DEPTH)
        return fail(p, "at most 256 levels of nesting");
    node->type = *p->at == '[' ? JSON_ARRAY : JSON_OBJECT;
    p->at++;
    p->open[p->depth].node = node;
    p->open[p->depth].last = NULL;
    p->depth++;
    return 1;
}

static int parse_key(struct parser *p, const char **key)
{
    size_t length;

    if (p->at >= p->end || *p->at != '"')
        return fail(p, "a member name in quotes");
    if (!parse_text(p, key, &length))
        return 0;
    skip_space(p);
    if (p->at >= p->end || *p->at != ':')
        return fail(p, "':'");
    p->at++;
    skip_space(p);
    return 1;
}

/* One value, appended to the container on top of the stack, of which it becomes the last child. */
static struct json *parse_value(struct parser *p)
{
    struct open *top = p->depth ? &p->open[p->depth - 1] : NULL;
    struct json *node = new_node(p);
    int good;

    if (!node || (top && top->node->type == JSON_OBJECT && !parse_key(p, &node->key)))
        return NULL;
    if (p->at < p->end && *p->at == '"') {
        node->type = JSON_STRING;
        good = parse_text(p, &node->text, &node->length);
    } else if (p->at < p->end && (*p->at == '[' || *p->at == '{')) {
        good = open_container(p, node);
    } else if (p->at < p->end && (*p->at == '-' || (*p->at >= '0' && *p->at <= '9'))) {
        good = parse_number(p, node);
    } else {
        good = parse_word(p, node);
    }
    if (good && top) {
        if (top->last)
            top->last->next = node;
        else
            top->node->child = node;
        top->last = node;
        top->node->length++;
    }
    return good ? node : NULL;
}

/* Behind a value or an opening bracket: closes what closes here. Returns 1 when another value must follow. */
static int next_wanted(struct parser *p)
{
    while (p->depth) {
        struct open *top = &p->open[p->depth - 1];
        char close = top->node->type == JSON_ARRAY ? ']' : '}';
        skip_space(p);
        if (p->at < p->end && *p->at == close) {
            p->at++;
            p->depth--;
            continue;
        }
        if (!top->last)
            return 1;
        if (p->at >= p->end || *p->at != ',')
            return fail(p, close == ']' ? "',' or ']'" : "',' or '}'");
        p->at++;
        skip_space(p);
        return 1;
    }
    return 0;
}

enum status json_parse(const struct json **root, const char *text, size_t length, struct arena *arena, const char *name,
                       uint64_t line, size_t *bad_utf8, struct diag *diag)
{
    struct parser p;

    *root = NULL;
    memset(&p, 0, offsetof(struct parser, open));
    p.begin = p.at = text;
    p.end = text + length;
    p.arena = arena;
    p.name = name;
    p.line = line;
    p.diag = diag;
    p.nodes_next = 8;
    p.text_next = 256;
    if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        p.at += 3; /* a byte order mark, which section 8.1 lets us ignore */
    skip_space(&p);
    *root = parse_value(&p);
    while (!p.status && next_wanted(&p))
        parse_value(&p);
    skip_space(&p);
    if (!p.status && p.at < p.end)
        fail(&p, "nothing after the value");
    if (bad_utf8)
        *bad_utf8 = p.bad_utf8;
    if (p.status)
        *root = NULL;
    return p.status;
}

/* ---- lookups ---- */

const struct json *json_get(const struct json *object, const char *key)
{
    const struct json *found = NULL;

    if (!object || object->type != JSON_OBJECT)
        return NULL;
    for (const struct json *member = object->child; member; member = member->next)
        if (strcmp(member->key, key) == 0)
            found = member;
    return found;
}

const char *json_string(const struct json *object, const char *key, const char *otherwise)
{
    const struct json *found = json_get(object, key);

    return found && found->type == JSON_STRING ? found->text : otherwise;
}

double json_number(const struct json *object, const char *key, double otherwise)
{
    const struct json *found = json_get(object, key);

    return found && found->type == JSON_NUMBER ? found->number : otherwise;
}

int json_bool(const struct json *object, const char *key, int otherwise)
{
    const struct json *found = json_get(object, key);

    return !found || (found->type != JSON_TRUE && found->type != JSON_FALSE) ? otherwise : found->type == JSON_TRUE;
}
