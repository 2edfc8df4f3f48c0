/* jinja_value.c - Jinja's values: strings with taint, lists, dictionaries.
 *
 *   text   | s y s t e m : | H e l l o |        taint   | 0 0 0 0 0 0 0 | 1 1 1 1 1 |
 *
 * A part of a string shares its bytes; only joining copies. Everything lives in the run's arena. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "jinja.h"
#include "utf8.h"

struct jstring jstring_plain(const char *text)
{
    return (struct jstring){text, NULL, strlen(text)};
}

int jstring_is(struct jstring string, const char *text)
{
    return string.length == strlen(text) && memcmp(string.text, text, string.length) == 0;
}

struct jvalue jvalue_string(struct jstring string)
{
    return (struct jvalue){.type = J_STRING, .as.string = string};
}

struct jvalue jvalue_text(const char *text)
{
    return jvalue_string(jstring_plain(text));
}

struct jvalue jvalue_int(int64_t integer)
{
    return (struct jvalue){.type = J_INT, .as.integer = integer};
}

struct jvalue jvalue_bool(int truth)
{
    return (struct jvalue){.type = J_BOOL, .as.integer = truth != 0};
}

static void *take(struct jinja *j, size_t count, size_t size)
{
    void *block = j->status ? NULL : arena_array(j->arena, count, size);

    if (!block)
        jinja_fail(j, NULL, "no memory");
    else
        memset(block, 0, count * size);
    return block;
}

struct jvalue jvalue_list(struct jinja *j)
{
    struct jlist *list = take(j, 1, sizeof *list);

    return list ? (struct jvalue){.type = J_LIST, .as.list = list} : (struct jvalue){.type = J_UNDEFINED};
}

struct jvalue jvalue_dict(struct jinja *j)
{
    struct jdict *dict = take(j, 1, sizeof *dict);

    return dict ? (struct jvalue){.type = J_DICT, .as.dict = dict} : (struct jvalue){.type = J_UNDEFINED};
}

void jlist_append(struct jinja *j, struct jlist *list, struct jvalue value)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 8;
        struct jvalue *items = take(j, capacity, sizeof *items);
        if (!items)
            return;
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = value;
}

static int same(struct jstring left, struct jstring right)
{
    return left.length == right.length && memcmp(left.text, right.text, left.length) == 0;
}

void jdict_put(struct jinja *j, struct jdict *dict, struct jstring key, struct jvalue value)
{
    for (size_t i = 0; i < dict->count; i++) {
        if (same(dict->keys[i], key)) {
            dict->values[i] = value;
            return;
        }
    }
    if (dict->count == dict->capacity) {
        size_t capacity = dict->capacity ? 2 * dict->capacity : 8;
        struct jstring *keys = take(j, capacity, sizeof *keys);
        struct jvalue *values = take(j, capacity, sizeof *values);
        if (!keys || !values)
            return;
        if (dict->count) {
            memcpy(keys, dict->keys, dict->count * sizeof *keys);
            memcpy(values, dict->values, dict->count * sizeof *values);
        }
        dict->keys = keys;
        dict->values = values;
        dict->capacity = capacity;
    }
    dict->keys[dict->count] = key;
    dict->values[dict->count++] = value;
}

const struct jvalue *jdict_get(const struct jdict *dict, struct jstring key)
{
    for (size_t i = 0; i < dict->count; i++) {
        if (same(dict->keys[i], key))
            return &dict->values[i];
    }
    return NULL;
}

int jvalue_truth(const struct jvalue *value)
{
    switch (value->type) {
    case J_BOOL:
    case J_INT:
        return value->as.integer != 0;
    case J_FLOAT:
        return value->as.real != 0;
    case J_STRING:
        return value->as.string.length != 0;
    case J_LIST:
        return value->as.list->count != 0;
    case J_DICT:
        return value->as.dict->count != 0;
    default:
        return value->type != J_UNDEFINED && value->type != J_NONE;
    }
}

static int is_number(const struct jvalue *value)
{
    return value->type == J_BOOL || value->type == J_INT || value->type == J_FLOAT;
}

/* Lists and dictionaries are equal when they are the same ones. */
int jvalue_equal(const struct jvalue *left, const struct jvalue *right)
{
    if (is_number(left) && is_number(right)) {
        double a = left->type == J_FLOAT ? left->as.real : (double)left->as.integer;
        double b = right->type == J_FLOAT ? right->as.real : (double)right->as.integer;
        return a == b;
    }
    if (left->type != right->type)
        return 0;
    switch (left->type) {
    case J_STRING:
        return same(left->as.string, right->as.string);
    case J_LIST:
        return left->as.list == right->as.list || (left->as.list->count == 0 && right->as.list->count == 0);
    case J_DICT:
        return left->as.dict == right->as.dict;
    default:
        return 1;
    }
}

struct jstring jvalue_show(struct jinja *j, const struct jvalue *value)
{
    char digits[64], *copy;

    switch (value->type) {
    case J_STRING:
        return value->as.string;
    case J_UNDEFINED:
        return jstring_plain("");
    case J_NONE:
        return jstring_plain("None");
    case J_BOOL:
        return jstring_plain(value->as.integer ? "True" : "False");
    case J_INT:
        snprintf(digits, sizeof digits, "%" PRId64, value->as.integer);
        break;
    case J_FLOAT:
        snprintf(digits, sizeof digits, value->as.real == floor(value->as.real) ? "%.1f" : "%.12g", value->as.real);
        break;
    default:
        jinja_fail(j, NULL, "expected a string or number to write");
        return jstring_plain("");
    }
    copy = arena_text(j->arena, digits, strlen(digits));
    if (!copy)
        jinja_fail(j, NULL, "no memory");
    return jstring_plain(copy ? copy : "");
}

struct jstring jstring_join(struct jinja *j, struct jstring left, struct jstring right)
{
    struct jstring joined = {NULL, NULL, left.length + right.length};
    char *text;
    uint8_t *taint = NULL;

    if (!left.length || !right.length)
        return left.length ? left : right;
    text = take(j, joined.length, 1);
    if (left.taint || right.taint)
        taint = take(j, joined.length, 1);
    if (!text || ((left.taint || right.taint) && !taint))
        return jstring_plain("");
    memcpy(text, left.text, left.length);
    memcpy(text + left.length, right.text, right.length);
    if (left.taint)
        memcpy(taint, left.taint, left.length);
    if (right.taint)
        memcpy(taint + left.length, right.taint, right.length);
    joined.text = text;
    joined.taint = taint;
    return joined;
}

struct jstring jstring_part(struct jstring string, size_t from, size_t to)
{
    return (struct jstring){string.text + from, string.taint ? string.taint + from : NULL, to - from};
}

size_t jstring_find(struct jstring string, struct jstring needle, size_t from)
{
    if (needle.length == 0)
        return from <= string.length ? from : SIZE_MAX;
    for (size_t i = from; i + needle.length <= string.length; i++) {
        const char *first = memchr(string.text + i, needle.text[0], string.length - needle.length - i + 1);
        if (!first)
            break;
        i = (size_t)(first - string.text);
        if (memcmp(first, needle.text, needle.length) == 0)
            return i;
    }
    return SIZE_MAX;
}

/* What Python's strip() takes: Unicode white space and the separators 1C..1F. */
static int is_white(uint32_t code)
{
    return (code >= 9 && code <= 13) || (code >= 0x1C && code <= 0x20) || code == 0x85 || code == 0xA0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F ||
           code == 0x205F || code == 0x3000;
}

static int is_stripped(const char *text, size_t length, uint32_t code, struct jstring set)
{
    return set.text ? jstring_find(set, (struct jstring){text, NULL, length}, 0) != SIZE_MAX : is_white(code);
}

struct jstring jstring_strip(struct jstring string, struct jstring set, int sides)
{
    uint32_t code;
    int valid;

    while (sides & 1 && string.length) {
        size_t n = utf8_decode(string.text, string.length, &code, &valid);
        if (!is_stripped(string.text, n, code, set))
            break;
        string = jstring_part(string, n, string.length);
    }
    while (sides & 2 && string.length) {
        size_t start = string.length - 1;
        while (start > 0 && string.length - start < 4 && ((unsigned char)string.text[start] & 0xC0) == 0x80)
            start--;
        if (start + utf8_decode(string.text + start, string.length - start, &code, &valid) != string.length)
            break;
        if (!is_stripped(string.text + start, string.length - start, code, set))
            break;
        string.length = start;
    }
    return string;
}
