/* jinja_builtin.c - the methods, filters, tests and functions that chat templates use.
 *
 * Those of Jinja and of Python's str, list and dict, with their semantics on the values that occur; an unknown one, or
 * arguments of another kind, fails the run with its name. args[0] is the object, positions and keywords follow.
 * tojson is left out: it only serves tool definitions, which no prompt of ours has. */
#include <stdio.h>
#include <string.h>
#include "jinja.h"
#include "utf8.h"

static const struct jstring white = {NULL, NULL, 0};

static struct jvalue undefined(void)
{
    return (struct jvalue){.type = J_UNDEFINED};
}

/* The argument `position` (from 1) or by keyword; NULL when not given. */
static const struct jvalue *argument(const struct jcall *call, int position, const char *keyword)
{
    int n = 0;

    for (int i = 1; i < call->n_args; i++) {
        if (call->keywords[i].text ? keyword && jstring_is(call->keywords[i], keyword) : ++n == position)
            return &call->args[i];
    }
    return NULL;
}

/* A string argument; `otherwise` when not given. */
static struct jstring string_argument(struct jinja *j, const struct jcall *call, int position, struct jstring otherwise)
{
    const struct jvalue *value = argument(call, position, NULL);

    if (!value || value->type == J_NONE)
        return otherwise;
    if (value->type != J_STRING) {
        jinja_fail(j, call->node, "expected a string as argument");
        return otherwise;
    }
    return value->as.string;
}

static struct jvalue split(struct jinja *j, struct jstring string, struct jstring separator)
{
    struct jvalue list = jvalue_list(j);
    size_t from = 0, at;

    if (j->status)
        return list;
    while (!separator.text) { /* words between white space */
        size_t end;
        string = jstring_strip(string, white, 1);
        for (end = 0; end < string.length && jstring_strip(jstring_part(string, end, end + 1), white, 1).length;)
            end++;
        if (end == 0 || j->status)
            return list;
        jlist_append(j, list.as.list, jvalue_string(jstring_part(string, 0, end)));
        string = jstring_part(string, end, string.length);
    }
    if (separator.length == 0) {
        jinja_fail(j, NULL, "split: expected a separator that is not empty");
        return list;
    }
    while (!j->status && (at = jstring_find(string, separator, from)) != SIZE_MAX) {
        jlist_append(j, list.as.list, jvalue_string(jstring_part(string, from, at)));
        from = at + separator.length;
    }
    jlist_append(j, list.as.list, jvalue_string(jstring_part(string, from, string.length)));
    return list;
}

static struct jstring replace(struct jinja *j, struct jstring string, struct jstring old, struct jstring new)
{
    struct jstring out = {"", NULL, 0};
    size_t from = 0, at;

    if (old.length == 0)
        return string;
    while (!j->status && (at = jstring_find(string, old, from)) != SIZE_MAX) {
        out = jstring_join(j, jstring_join(j, out, jstring_part(string, from, at)), new);
        from = at + old.length;
    }
    return jstring_join(j, out, jstring_part(string, from, string.length));
}

/* ASCII letters only: what templates change are role names. */
static struct jstring change_case(struct jinja *j, struct jstring string, int upper, int only_first)
{
    char *text = arena_text(j->arena, string.text, string.length);

    if (!text) {
        jinja_fail(j, NULL, "no memory");
        return string;
    }
    for (size_t i = 0; i < string.length; i++) {
        int up = only_first ? i == 0 : upper;
        if ((unsigned char)((text[i] | 32) - 'a') < 26)
            text[i] = (char)(up ? text[i] & ~32 : text[i] | 32);
    }
    return (struct jstring){text, string.taint, string.length};
}

static int begins(struct jstring string, struct jstring with)
{
    return string.length >= with.length && memcmp(string.text, with.text, with.length) == 0;
}

static int ends(struct jstring string, struct jstring with)
{
    return string.length >= with.length &&
           memcmp(string.text + string.length - with.length, with.text, with.length) == 0;
}

static struct jvalue string_method(struct jinja *j, struct jstring name, struct jcall *call)
{
    struct jstring string = call->args[0].as.string, one = string_argument(j, call, 1, white);

    if (jstring_is(name, "strip"))
        return jvalue_string(jstring_strip(string, one, 3));
    if (jstring_is(name, "lstrip"))
        return jvalue_string(jstring_strip(string, one, 1));
    if (jstring_is(name, "rstrip"))
        return jvalue_string(jstring_strip(string, one, 2));
    if (jstring_is(name, "split"))
        return split(j, string, one);
    if (jstring_is(name, "upper") || jstring_is(name, "lower"))
        return jvalue_string(change_case(j, string, *name.text == 'u', 0));
    if (jstring_is(name, "capitalize") || jstring_is(name, "title"))
        return jvalue_string(change_case(j, string, 0, 1));
    if (one.text && jstring_is(name, "startswith"))
        return jvalue_bool(begins(string, one));
    if (one.text && jstring_is(name, "endswith"))
        return jvalue_bool(ends(string, one));
    if (one.text && jstring_is(name, "replace"))
        return jvalue_string(replace(j, string, one, string_argument(j, call, 2, jstring_plain(""))));
    if (one.text && jstring_is(name, "find")) {
        size_t at = jstring_find(string, one, 0);
        return jvalue_int(at == SIZE_MAX ? -1 : (int64_t)at);
    }
    jinja_fail(j, call->node, "unknown method '%.*s' of a string", (int)name.length, name.text);
    return undefined();
}

static struct jvalue items_of(struct jinja *j, const struct jdict *dict, int keys, int values)
{
    struct jvalue list = jvalue_list(j), pair;

    for (size_t i = 0; i < dict->count && !j->status; i++) {
        pair = keys ? jvalue_string(dict->keys[i]) : dict->values[i];
        if (keys && values) {
            pair = jvalue_list(j);
            if (!j->status)
                jlist_append(j, pair.as.list, jvalue_string(dict->keys[i]));
            if (!j->status)
                jlist_append(j, pair.as.list, dict->values[i]);
        }
        if (!j->status)
            jlist_append(j, list.as.list, pair);
    }
    return list;
}

struct jvalue jinja_method(struct jinja *j, struct jstring name, struct jcall *call)
{
    const struct jvalue *object = &call->args[0];

    if (object->type == J_STRING)
        return string_method(j, name, call);
    if (object->type == J_LIST && jstring_is(name, "append") && call->n_args == 2) {
        jlist_append(j, object->as.list, call->args[1]);
        return (struct jvalue){.type = J_NONE};
    }
    if (object->type == J_DICT && (jstring_is(name, "items") || jstring_is(name, "keys") || jstring_is(name, "values")))
        return items_of(j, object->as.dict, *name.text != 'v', *name.text != 'k');
    if (object->type == J_DICT && jstring_is(name, "get") && call->n_args >= 2) {
        const struct jvalue *value = jdict_get(object->as.dict, string_argument(j, call, 1, jstring_plain("")));
        const struct jvalue *otherwise = argument(call, 2, NULL);
        return value ? *value : otherwise ? *otherwise : (struct jvalue){.type = J_NONE};
    }
    jinja_fail(j, call->node, "unknown method '%.*s'", (int)name.length, name.text);
    return undefined();
}

/* ---- filters ---- */

static int64_t length_of(struct jinja *j, const struct jvalue *value)
{
    int64_t n = 0;

    if (value->type == J_LIST)
        return (int64_t)value->as.list->count;
    if (value->type == J_DICT)
        return (int64_t)value->as.dict->count;
    if (value->type != J_STRING) {
        if (value->type != J_UNDEFINED)
            jinja_fail(j, NULL, "length: expected a string, list or dictionary");
        return 0;
    }
    for (size_t i = 0; i < value->as.string.length; i++)
        n += ((unsigned char)value->as.string.text[i] & 0xC0) != 0x80;
    return n;
}

static struct jvalue join(struct jinja *j, const struct jcall *call)
{
    const struct jlist *list = call->args[0].as.list;
    struct jstring separator = string_argument(j, call, 1, jstring_plain("")), out = {"", NULL, 0};

    for (size_t i = 0; i < list->count && !j->status; i++) {
        if (i)
            out = jstring_join(j, out, separator);
        out = jstring_join(j, out, jvalue_show(j, &list->items[i]));
    }
    return jvalue_string(out);
}

static struct jvalue attribute_of(const struct jvalue *item, struct jstring name)
{
    const struct jvalue *value = item->type == J_DICT ? jdict_get(item->as.dict, name) : NULL;

    return value ? *value : undefined();
}

/* selectattr("role", "equalto", "user"), select("defined"), and their opposites; without a test: truth. */
static struct jvalue choose(struct jinja *j, const struct jcall *call, int by_attribute, int wanted)
{
    struct jvalue out = jvalue_list(j);
    struct jstring attribute = by_attribute ? string_argument(j, call, 1, jstring_plain("")) : white;
    int test = by_attribute + 1;

    for (size_t i = 0; i < call->args[0].as.list->count && !j->status; i++) {
        struct jvalue item = call->args[0].as.list->items[i];
        struct jcall inner = {.node = call->node, .n_args = 1};
        int truth;
        inner.args[0] = by_attribute ? attribute_of(&item, attribute) : item;
        for (int k = test + 1; k < call->n_args; k++)
            inner.args[inner.n_args++] = call->args[k];
        truth = call->n_args > test ? jinja_test(j, string_argument(j, call, test, jstring_plain("")), &inner)
                                    : jvalue_truth(&inner.args[0]);
        if (!j->status && truth == wanted)
            jlist_append(j, out.as.list, item);
    }
    return out;
}

/* map(attribute="x") or map("filter"). */
static struct jvalue map(struct jinja *j, const struct jcall *call)
{
    struct jvalue out = jvalue_list(j);
    const struct jvalue *attribute = argument(call, 99, "attribute");

    for (size_t i = 0; i < call->args[0].as.list->count && !j->status; i++) {
        struct jvalue item = call->args[0].as.list->items[i];
        struct jcall inner = {.node = call->node, .n_args = 1};
        inner.args[0] = item;
        item = attribute && attribute->type == J_STRING
                   ? attribute_of(&item, attribute->as.string)
                   : jinja_filter(j, string_argument(j, call, 1, jstring_plain("")), &inner);
        if (!j->status)
            jlist_append(j, out.as.list, item);
    }
    return out;
}

static struct jvalue list_filter(struct jinja *j, struct jstring name, struct jcall *call)
{
    const struct jlist *list = call->args[0].as.list;

    if (jstring_is(name, "join"))
        return join(j, call);
    if (jstring_is(name, "list"))
        return call->args[0];
    if (jstring_is(name, "first"))
        return list->count ? list->items[0] : undefined();
    if (jstring_is(name, "last"))
        return list->count ? list->items[list->count - 1] : undefined();
    if (jstring_is(name, "selectattr") || jstring_is(name, "rejectattr"))
        return choose(j, call, 1, *name.text == 's');
    if (jstring_is(name, "select") || jstring_is(name, "reject"))
        return choose(j, call, 0, *name.text == 's');
    if (jstring_is(name, "map"))
        return map(j, call);
    if (jstring_is(name, "reverse")) {
        struct jvalue out = jvalue_list(j);
        for (size_t i = list->count; i-- > 0 && !j->status;)
            jlist_append(j, out.as.list, list->items[i]);
        return out;
    }
    jinja_fail(j, call->node, "unknown filter '%.*s' of a list", (int)name.length, name.text);
    return undefined();
}

static struct jvalue string_filter(struct jinja *j, struct jstring name, struct jcall *call)
{
    struct jstring string = call->args[0].as.string;

    if (jstring_is(name, "trim"))
        return jvalue_string(jstring_strip(string, string_argument(j, call, 1, white), 3));
    if (jstring_is(name, "replace") || jstring_is(name, "upper") || jstring_is(name, "lower") ||
        jstring_is(name, "capitalize") || jstring_is(name, "title"))
        return string_method(j, name, call);
    if (jstring_is(name, "safe") || jstring_is(name, "escape"))
        return call->args[0];
    jinja_fail(j, call->node, "unknown filter '%.*s'", (int)name.length, name.text);
    return undefined();
}

/* Filters that take nothing for an empty list. */
static int is_selection(struct jstring name)
{
    return jstring_is(name, "selectattr") || jstring_is(name, "rejectattr") || jstring_is(name, "select") ||
           jstring_is(name, "reject") || jstring_is(name, "map");
}

struct jvalue jinja_filter(struct jinja *j, struct jstring name, struct jcall *call)
{
    struct jvalue *object = &call->args[0];
    const struct jvalue *otherwise = argument(call, 1, "default_value"), *boolean = argument(call, 2, "boolean");

    if (jstring_is(name, "default") || jstring_is(name, "d")) {
        if (object->type == J_UNDEFINED || (boolean && jvalue_truth(boolean) && !jvalue_truth(object)))
            return otherwise ? *otherwise : jvalue_text("");
        return *object;
    }
    if (jstring_is(name, "length") || jstring_is(name, "count"))
        return jvalue_int(length_of(j, object));
    if (jstring_is(name, "string"))
        return jvalue_string(jvalue_show(j, object));
    if (jstring_is(name, "int") && (object->type == J_INT || object->type == J_BOOL))
        return jvalue_int(object->as.integer);
    if (object->type == J_DICT && (jstring_is(name, "items") || jstring_is(name, "dictsort")))
        return items_of(j, object->as.dict, 1, 1);
    if (object->type == J_UNDEFINED || (object->type == J_NONE && is_selection(name))) {
        struct jvalue empty = jvalue_list(j);
        if (!j->status && (is_selection(name) || jstring_is(name, "list") || jstring_is(name, "join")))
            *object = empty;
    }
    if (j->status)
        return undefined();
    if (object->type == J_LIST)
        return list_filter(j, name, call);
    if (object->type != J_STRING)
        *object = jvalue_string(jvalue_show(j, object));
    return string_filter(j, name, call);
}

/* ---- tests ---- */

static int is_in(struct jinja *j, const struct jvalue *item, const struct jvalue *container)
{
    if (container->type == J_STRING && item->type == J_STRING)
        return jstring_find(container->as.string, item->as.string, 0) != SIZE_MAX;
    if (container->type == J_DICT && item->type == J_STRING)
        return jdict_get(container->as.dict, item->as.string) != NULL;
    if (container->type == J_DICT || container->type == J_UNDEFINED)
        return 0;
    if (container->type != J_LIST) {
        jinja_fail(j, NULL, "in: expected a string, list or dictionary");
        return 0;
    }
    for (size_t i = 0; i < container->as.list->count; i++) {
        if (jvalue_equal(item, &container->as.list->items[i]))
            return 1;
    }
    return 0;
}

/* Tests of the value's type; -1 for others. */
static int type_test(struct jstring name, const struct jvalue *value)
{
    static const struct {
        const char *name;
        unsigned types;
    } known[] = {
        {"undefined", 1u << J_UNDEFINED},
        {"none", 1u << J_NONE},
        {"boolean", 1u << J_BOOL},
        {"integer", 1u << J_INT},
        {"float", 1u << J_FLOAT},
        {"number", 1u << J_INT | 1u << J_FLOAT | 1u << J_BOOL},
        {"string", 1u << J_STRING},
        {"mapping", 1u << J_DICT},
        {"sequence", 1u << J_LIST | 1u << J_STRING | 1u << J_DICT},
        {"iterable", 1u << J_LIST | 1u << J_STRING | 1u << J_DICT | 1u << J_UNDEFINED},
        {"callable", 1u << J_MACRO | 1u << J_FUNCTION},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (jstring_is(name, known[i].name))
            return (int)(known[i].types >> value->type & 1);
    }
    if (jstring_is(name, "defined"))
        return value->type != J_UNDEFINED;
    if (jstring_is(name, "true") || jstring_is(name, "false"))
        return value->type == J_BOOL && (value->as.integer != 0) == (*name.text == 't');
    return -1;
}

int jinja_test(struct jinja *j, struct jstring name, struct jcall *call)
{
    const struct jvalue *value = &call->args[0], *other = argument(call, 1, NULL);
    int type = type_test(name, value);

    if (type >= 0)
        return type;
    if (other && (jstring_is(name, "equalto") || jstring_is(name, "eq") || jstring_is(name, "==")))
        return jvalue_equal(value, other);
    if (other && (jstring_is(name, "ne") || jstring_is(name, "!=")))
        return !jvalue_equal(value, other);
    if (other && jstring_is(name, "in"))
        return is_in(j, value, other);
    if (value->type == J_INT && (jstring_is(name, "odd") || jstring_is(name, "even")))
        return (value->as.integer % 2 != 0) == (*name.text == 'o');
    if (value->type == J_INT && other && other->type == J_INT && other->as.integer > 0 &&
        jstring_is(name, "divisibleby"))
        return value->as.integer % other->as.integer == 0;
    jinja_fail(j, call->node, "unknown test '%.*s'", (int)name.length, name.text);
    return 0;
}

/* ---- functions ---- */

enum function { F_RAISE, F_NAMESPACE, F_RANGE, F_STRFTIME, F_DICT };

int jinja_function_id(struct jstring name)
{
    static const char *const names[] = {"raise_exception", "namespace", "range", "strftime_now", "dict", NULL};

    for (int i = 0; names[i]; i++) {
        if (jstring_is(name, names[i]))
            return i;
    }
    return -1;
}

/* range(end), range(begin, end), range(begin, end, step) */
static struct jvalue range(struct jinja *j, const struct jcall *call)
{
    struct jvalue list = jvalue_list(j);
    int64_t given[3] = {0, 0, 1}, begin, end, step;

    for (int i = 1; i < call->n_args && i <= 3; i++)
        given[i - 1] = call->args[i].type == J_INT ? call->args[i].as.integer : 0;
    begin = call->n_args == 2 ? 0 : given[0];
    end = call->n_args == 2 ? given[0] : given[1];
    step = given[2];
    if (step == 0 || begin > JINJA_MAX_STEPS || begin < -JINJA_MAX_STEPS || end > JINJA_MAX_STEPS ||
        end < -JINJA_MAX_STEPS || step > JINJA_MAX_STEPS || step < -JINJA_MAX_STEPS)
        jinja_fail(j, call->node, "range: expected numbers up to %d and a step that is not 0", JINJA_MAX_STEPS);
    for (int64_t i = begin; (step > 0 ? i < end : i > end) && !j->status; i += step)
        jlist_append(j, list.as.list, jvalue_int(i));
    return list;
}

static struct jvalue make_dict(struct jinja *j, const struct jcall *call)
{
    struct jvalue dict = jvalue_dict(j);

    for (int i = 1; i < call->n_args && !j->status; i++) {
        if (call->keywords[i].text)
            jdict_put(j, dict.as.dict, call->keywords[i], call->args[i]);
    }
    return dict;
}

/* The codes that templates use: %d %b %B %Y %m %y. */
static struct jvalue format_date(struct jinja *j, const struct jcall *call)
{
    static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                         "July",    "August",   "September", "October", "November", "December"};
    struct jstring format = string_argument(j, call, 1, jstring_plain("%d %b %Y"));
    const char *month = months[j->date[1] - 1], *copy;
    struct buffer out = {0};

    for (size_t i = 0; i < format.length; i++) {
        char c = format.text[i], code = c == '%' && i + 1 < format.length ? format.text[++i] : 0;
        if (c != '%')
            buffer_byte(&out, c);
        else if (code == 'd' || code == 'm')
            buffer_format(&out, "%02d", j->date[code == 'd' ? 2 : 1]);
        else if (code == 'Y' || code == 'y')
            buffer_format(&out, code == 'Y' ? "%04d" : "%02d", code == 'Y' ? j->date[0] : j->date[0] % 100);
        else if (code == 'b' || code == 'B')
            buffer_append(&out, month, code == 'b' ? 3 : strlen(month));
        else
            jinja_fail(j, call->node, "strftime_now: unknown code '%%%c'", code);
    }
    copy = arena_text(j->arena, out.length ? out.data : "", out.length);
    buffer_free(&out);
    if (!copy)
        jinja_fail(j, call->node, "no memory");
    return jvalue_text(copy ? copy : "");
}

struct jvalue jinja_function(struct jinja *j, int id, struct jcall *call)
{
    struct jstring message;

    switch (id) {
    case F_RAISE:
        message = string_argument(j, call, 1, jstring_plain("refused"));
        if (!j->status)
            j->status = diag_fail(j->diag, STATUS_RANGE, "chat template: %.*s",
                                  (int)(message.length < 300 ? message.length : 300), message.text);
        return undefined();
    case F_RANGE:
        return range(j, call);
    case F_STRFTIME:
        return format_date(j, call);
    default:
        return make_dict(j, call);
    }
}
