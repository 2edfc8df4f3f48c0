/* jinja_eval.c - evaluates expressions: objects, operators, calls. Statements are run by jinja_run.c. */
#include <string.h>
#include "jinja.h"
#include "utf8.h"

static const struct jvalue undefined = {.type = J_UNDEFINED};

static struct jvalue lookup(struct jinja *j, struct jstring name)
{
    const struct jvariable *variable = jinja_variable(j, name, 0);
    int function = variable ? -1 : jinja_function_id(name);

    if (function >= 0 && (j->knows_date || !jstring_is(name, "strftime_now")))
        return (struct jvalue){.type = J_FUNCTION, .as.integer = function};
    return variable ? variable->value : undefined;
}

/* ---- objects ---- */

static struct jvalue loop_attribute(const struct jloop *loop, struct jstring name)
{
    size_t i = loop->index, n = loop->list->count;

    if (jstring_is(name, "index"))
        return jvalue_int((int64_t)i + 1);
    if (jstring_is(name, "index0"))
        return jvalue_int((int64_t)i);
    if (jstring_is(name, "revindex"))
        return jvalue_int((int64_t)(n - i));
    if (jstring_is(name, "revindex0"))
        return jvalue_int((int64_t)(n - i) - 1);
    if (jstring_is(name, "first"))
        return jvalue_bool(i == 0);
    if (jstring_is(name, "last"))
        return jvalue_bool(i + 1 == n);
    if (jstring_is(name, "length"))
        return jvalue_int((int64_t)n);
    if (jstring_is(name, "previtem"))
        return i > 0 ? loop->list->items[i - 1] : undefined;
    if (jstring_is(name, "nextitem"))
        return i + 1 < n ? loop->list->items[i + 1] : undefined;
    return undefined;
}

static struct jvalue attribute(struct jinja *j, const struct jnode *node, const struct jvalue *object,
                               struct jstring name)
{
    const struct jvalue *value;

    if (object->type == J_LOOP)
        return loop_attribute(object->as.loop, name);
    if (object->type == J_UNDEFINED)
        jinja_fail(j, node, "expected a value with '%.*s', found none", (int)name.length, name.text);
    value = object->type == J_DICT ? jdict_get(object->as.dict, name) : NULL;
    return value ? *value : undefined;
}

/* The byte where character i of a string begins, i from the end when negative; SIZE_MAX outside. */
static size_t character(struct jstring string, int64_t i)
{
    int64_t n = 0;

    for (size_t at = 0; i < 0 && at < string.length; at++)
        n += ((unsigned char)string.text[at] & 0xC0) != 0x80;
    i += i < 0 ? n : 0;
    for (size_t at = 0; at < string.length && i >= 0; at++) {
        if (((unsigned char)string.text[at] & 0xC0) != 0x80 && i-- == 0)
            return at;
    }
    return SIZE_MAX;
}

static struct jvalue element(struct jinja *j, const struct jnode *node, const struct jvalue *object,
                             const struct jvalue *index)
{
    int64_t i = index->type == J_INT ? index->as.integer : 0;
    size_t at;

    if (index->type == J_STRING)
        return attribute(j, node, object, index->as.string);
    if (object->type == J_LIST && index->type == J_INT) {
        i += i < 0 ? (int64_t)object->as.list->count : 0;
        return i >= 0 && (uint64_t)i < object->as.list->count ? object->as.list->items[i] : undefined;
    }
    if (object->type == J_STRING && index->type == J_INT && (at = character(object->as.string, i)) != SIZE_MAX) {
        uint32_t code;
        int valid;
        size_t n = utf8_decode(object->as.string.text + at, object->as.string.length - at, &code, &valid);
        return jvalue_string(jstring_part(object->as.string, at, at + n));
    }
    if (object->type == J_UNDEFINED)
        jinja_fail(j, node, "expected a list, dictionary or string, found nothing");
    return undefined;
}

/* A bound of a slice as Python clamps it. */
static int64_t bound(struct jinja *j, const struct jnode *node, int64_t otherwise, int64_t n)
{
    struct jvalue value = node ? jinja_eval(j, node) : undefined;
    int64_t i = value.type == J_INT ? value.as.integer : otherwise;

    i += i < 0 && value.type == J_INT ? n : 0;
    return i < 0 ? 0 : i > n ? n : i;
}

static struct jvalue slice(struct jinja *j, const struct jnode *node)
{
    struct jvalue object = jinja_eval(j, node->a), step = node->d ? jinja_eval(j, node->d) : jvalue_int(1), out;
    int64_t n = 0, from, to;

    if (object.type == J_STRING) {
        size_t first, last;
        for (size_t at = 0; at < object.as.string.length; at++)
            n += ((unsigned char)object.as.string.text[at] & 0xC0) != 0x80;
        first = character(object.as.string, bound(j, node->b, 0, n));
        last = character(object.as.string, bound(j, node->c, n, n));
        first = first == SIZE_MAX ? object.as.string.length : first;
        last = last == SIZE_MAX ? object.as.string.length : last;
        return jvalue_string(jstring_part(object.as.string, first, last < first ? first : last));
    }
    if (object.type != J_LIST || step.type != J_INT || (step.as.integer != 1 && step.as.integer != -1)) {
        jinja_fail(j, node, "expected a slice of a list or string, by 1 or -1");
        return undefined;
    }
    out = jvalue_list(j);
    n = (int64_t)object.as.list->count;
    from = bound(j, node->b, 0, n);
    to = bound(j, node->c, n, n);
    if (step.as.integer < 0 && (node->b || node->c))
        jinja_fail(j, node, "expected [::-1]");
    for (int64_t i = from; i < to && !j->status; i++)
        jlist_append(j, out.as.list, object.as.list->items[step.as.integer < 0 ? to - 1 - i : i]);
    return out;
}

/* ---- operators ---- */

static int compare(struct jinja *j, const struct jnode *node, const struct jvalue *a, const struct jvalue *b)
{
    double x, y;
    size_t n;
    int order;

    if (a->type == J_STRING && b->type == J_STRING) {
        n = a->as.string.length < b->as.string.length ? a->as.string.length : b->as.string.length;
        order = memcmp(a->as.string.text, b->as.string.text, n);
        return order ? order
                     : (a->as.string.length > b->as.string.length) - (a->as.string.length < b->as.string.length);
    }
    if (a->type < J_BOOL || a->type > J_FLOAT || b->type < J_BOOL || b->type > J_FLOAT)
        jinja_fail(j, node, "expected two numbers or two strings to compare");
    x = a->type == J_FLOAT ? a->as.real : (double)a->as.integer;
    y = b->type == J_FLOAT ? b->as.real : (double)b->as.integer;
    return (x > y) - (x < y);
}

/* + - * // % of whole numbers that stay small; Python rounds quotients down. */
static struct jvalue arithmetic(struct jinja *j, const struct jnode *node, int64_t a, int64_t b)
{
    const int64_t limit = INT64_C(1) << 31;
    int64_t rest;

    if (a > limit || a < -limit || b > limit || b < -limit || (b == 0 && node->op >= OP_DIV)) {
        jinja_fail(j, node, "expected smaller numbers, or a divisor that is not 0");
        return undefined;
    }
    rest = node->op >= OP_DIV ? a % b : 0;
    rest += rest && (rest < 0) != (b < 0) ? b : 0;
    switch (node->op) {
    case OP_ADD:
        return jvalue_int(a + b);
    case OP_SUB:
        return jvalue_int(a - b);
    case OP_MUL:
        return jvalue_int(a * b);
    case OP_FLOOR:
        return jvalue_int((a - rest) / b);
    case OP_MOD:
        return jvalue_int(rest);
    default:
        return (struct jvalue){.type = J_FLOAT, .as.real = (double)a / (double)b};
    }
}

static struct jvalue add_lists(struct jinja *j, const struct jlist *a, const struct jlist *b)
{
    struct jvalue out = jvalue_list(j);

    for (size_t i = 0; i < a->count + b->count && !j->status; i++)
        jlist_append(j, out.as.list, i < a->count ? a->items[i] : b->items[i - a->count]);
    return out;
}

static struct jvalue binary(struct jinja *j, const struct jnode *node)
{
    struct jvalue a = jinja_eval(j, node->a), b = jinja_eval(j, node->b);
    struct jcall in = {.node = node, .args = {a, b}, .n_args = 2};

    if (j->status)
        return undefined;
    switch (node->op) {
    case OP_EQ:
    case OP_NE:
        return jvalue_bool(jvalue_equal(&a, &b) == (node->op == OP_EQ));
    case OP_IN:
    case OP_NOT_IN:
        return jvalue_bool(jinja_test(j, jstring_plain("in"), &in) == (node->op == OP_IN));
    case OP_LT:
        return jvalue_bool(compare(j, node, &a, &b) < 0);
    case OP_LE:
        return jvalue_bool(compare(j, node, &a, &b) <= 0);
    case OP_GT:
        return jvalue_bool(compare(j, node, &a, &b) > 0);
    case OP_GE:
        return jvalue_bool(compare(j, node, &a, &b) >= 0);
    case OP_JOIN:
        return jvalue_string(jstring_join(j, jvalue_show(j, &a), jvalue_show(j, &b)));
    default:
        break;
    }
    if (node->op == OP_ADD && a.type == J_STRING && b.type == J_STRING)
        return jvalue_string(jstring_join(j, a.as.string, b.as.string));
    if (node->op == OP_ADD && a.type == J_LIST && b.type == J_LIST)
        return add_lists(j, a.as.list, b.as.list);
    if ((a.type == J_INT || a.type == J_BOOL) && (b.type == J_INT || b.type == J_BOOL))
        return arithmetic(j, node, a.as.integer, b.as.integer);
    jinja_fail(j, node, "expected two strings, two lists or two whole numbers");
    return undefined;
}

/* ---- calls ---- */

/* Evaluates arguments behind args[0]. */
static void gather(struct jinja *j, const struct jnode *arguments, struct jcall *call)
{
    for (const struct jnode *a = arguments; a && !j->status; a = a->next) {
        if (call->n_args == JINJA_MAX_ARGS) {
            jinja_fail(j, a, "expected at most %d arguments", JINJA_MAX_ARGS - 1);
            return;
        }
        call->keywords[call->n_args] = a->string;
        call->args[call->n_args++] = jinja_eval(j, a->a);
    }
}

static struct jvalue macro_argument(struct jinja *j, const struct jcall *call, const struct jnode *parameter,
                                    int position)
{
    int n = 0;

    for (int i = 1; i < call->n_args; i++) {
        struct jstring keyword = call->keywords[i];
        if (keyword.text ? keyword.length == parameter->string.length &&
                               memcmp(keyword.text, parameter->string.text, keyword.length) == 0
                         : n++ == position)
            return call->args[i];
    }
    return parameter->b ? jinja_eval(j, parameter->b) : undefined;
}

static struct jvalue call_macro(struct jinja *j, const struct jnode *macro, const struct jcall *call)
{
    size_t n = j->n_variables, scope = j->scope;
    struct jvalue out;
    int position = 0;

    j->scope = n;
    for (const struct jnode *p = macro->a; p && !j->status; p = p->next) {
        struct jvalue value = macro_argument(j, call, p, position++);
        jinja_set(j, p->string, value);
    }
    out = jinja_capture(j, macro->d);
    j->n_variables = n;
    j->scope = scope;
    return out;
}

static struct jvalue call(struct jinja *j, const struct jnode *node)
{
    struct jcall c = {.node = node, .n_args = 1};
    struct jvalue callee;

    if (node->a->kind == N_ATTRIBUTE) {
        c.args[0] = jinja_eval(j, node->a->a);
        callee = c.args[0].type == J_DICT ? attribute(j, node, &c.args[0], node->a->string) : undefined;
        gather(j, node->b, &c);
        if (!j->status && callee.type == J_UNDEFINED)
            return jinja_method(j, node->a->string, &c);
    } else {
        callee = jinja_eval(j, node->a);
        if (callee.type == J_UNDEFINED && node->a->kind == N_NAME && jinja_function_id(node->a->string) >= 0)
            callee = (struct jvalue){.type = J_FUNCTION, .as.integer = jinja_function_id(node->a->string)};
        gather(j, node->b, &c);
    }
    if (j->status)
        return undefined;
    if (callee.type == J_MACRO)
        return call_macro(j, callee.as.macro, &c);
    if (callee.type == J_FUNCTION)
        return jinja_function(j, (int)callee.as.integer, &c);
    jinja_fail(j, node, "expected a function or macro to call");
    return undefined;
}

static struct jvalue filter_or_test(struct jinja *j, const struct jnode *node)
{
    struct jcall c = {.node = node, .n_args = 1};

    c.args[0] = jinja_eval(j, node->a);
    gather(j, node->b, &c);
    if (j->status)
        return undefined;
    if (node->kind == N_FILTER)
        return jinja_filter(j, node->string, &c);
    return jvalue_bool(jinja_test(j, node->string, &c) != node->op);
}

/* ---- expressions ---- */

static struct jvalue make(struct jinja *j, const struct jnode *node)
{
    struct jvalue out = node->kind == N_LIST ? jvalue_list(j) : jvalue_dict(j);

    for (const struct jnode *item = node->b; item && !j->status; item = item->next) {
        struct jvalue a = jinja_eval(j, item->a);
        if (node->kind == N_LIST) {
            jlist_append(j, out.as.list, a);
        } else {
            struct jvalue b = jinja_eval(j, item->b);
            jdict_put(j, out.as.dict, jvalue_show(j, &a), b);
        }
    }
    return out;
}

static struct jvalue logic(struct jinja *j, const struct jnode *node)
{
    struct jvalue a = jinja_eval(j, node->a);
    int truth = jvalue_truth(&a);

    if (node->kind == N_NOT)
        return jvalue_bool(!truth);
    if (node->kind == N_CHOICE)
        return truth ? jinja_eval(j, node->b) : node->c ? jinja_eval(j, node->c) : undefined;
    if (node->kind == N_AND ? !truth : truth)
        return a;
    return jinja_eval(j, node->b);
}

static struct jvalue access(struct jinja *j, const struct jnode *node)
{
    struct jvalue object = jinja_eval(j, node->a), index;

    if (node->kind == N_ATTRIBUTE)
        return attribute(j, node, &object, node->string);
    index = jinja_eval(j, node->b);
    return element(j, node, &object, &index);
}

static struct jvalue eval(struct jinja *j, const struct jnode *node)
{
    struct jvalue value;

    switch (node->kind) {
    case N_CONSTANT:
        return node->value;
    case N_NAME:
        return lookup(j, node->string);
    case N_ATTRIBUTE:
    case N_INDEX:
        return access(j, node);
    case N_SLICE:
        return slice(j, node);
    case N_CALL:
        return call(j, node);
    case N_FILTER:
    case N_TEST:
        return filter_or_test(j, node);
    case N_BINARY:
        return binary(j, node);
    case N_NOT:
    case N_AND:
    case N_OR:
    case N_CHOICE:
        return logic(j, node);
    case N_LIST:
    case N_DICT:
        return make(j, node);
    case N_NEGATE:
        value = jinja_eval(j, node->a);
        if (value.type == J_INT && value.as.integer > INT64_MIN)
            return jvalue_int(-value.as.integer);
        break;
    default:
        break;
    }
    jinja_fail(j, node, "expected a number to negate");
    return undefined;
}

struct jvalue jinja_eval(struct jinja *j, const struct jnode *node)
{
    struct jvalue value = undefined;

    j->depth++;
    if (node && jinja_step(j, node))
        value = eval(j, node);
    j->depth--;
    return j->status ? undefined : value;
}
