/* jinja_run.c - runs statements: variables, output, loops.
 *
 * Variables stand on one stack; a scope is its tail. Loop bodies and macros open scopes, so that what they set ends
 * with them; branches do not (as in Jinja). A macro sees its parameters and the variables around its call. The tree's
 * depth, the steps and the memory of a run are bounded. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "jinja.h"

static const struct jvalue undefined = {.type = J_UNDEFINED};

void jinja_fail(struct jinja *j, const struct jnode *node, const char *format, ...)
{
    char message[300];
    va_list args;

    if (j->status)
        return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (node)
        j->status = diag_fail(j->diag, STATUS_UNSUPPORTED, "chat template: line %u: %s", node->line, message);
    else
        j->status = diag_fail(j->diag, STATUS_UNSUPPORTED, "chat template: %s", message);
}

struct jvariable *jinja_variable(struct jinja *j, struct jstring name, size_t from)
{
    for (size_t i = j->n_variables; i-- > from;) {
        if (j->variables[i].name.length == name.length &&
            memcmp(j->variables[i].name.text, name.text, name.length) == 0)
            return &j->variables[i];
    }
    return NULL;
}

void jinja_set(struct jinja *j, struct jstring name, struct jvalue value)
{
    struct jvariable *variable = jinja_variable(j, name, j->scope);

    if (variable) {
        variable->value = value;
        return;
    }
    if (j->n_variables == j->capacity) {
        size_t capacity = j->capacity ? 2 * j->capacity : 64;
        struct jvariable *variables = arena_array(j->arena, capacity, sizeof *variables);
        if (!variables) {
            jinja_fail(j, NULL, "no memory");
            return;
        }
        if (j->n_variables)
            memcpy(variables, j->variables, j->n_variables * sizeof *variables);
        j->variables = variables;
        j->capacity = capacity;
    }
    j->variables[j->n_variables++] = (struct jvariable){name, value};
}

/* Counts a step; 0 when the run is over. */
int jinja_step(struct jinja *j, const struct jnode *node)
{
    if (++j->steps > JINJA_MAX_STEPS || j->text.length > JINJA_MAX_MEMORY)
        jinja_fail(j, node, "expected a template that ends, found more than %d steps", JINJA_MAX_STEPS);
    if (j->depth > JINJA_MAX_DEPTH)
        jinja_fail(j, node, "expected a template that is less deeply nested");
    return !j->status;
}

static void write_string(struct jinja *j, struct jstring string)
{
    buffer_append(&j->text, string.text, string.length);
    for (size_t i = 0; !string.taint && i < string.length; i++)
        buffer_byte(&j->taint, 0);
    if (string.taint)
        buffer_append(&j->taint, string.taint, string.length);
    if (j->text.failed || j->taint.failed)
        jinja_fail(j, NULL, "no memory");
}

/* What `body` writes, as a value. */
struct jvalue jinja_capture(struct jinja *j, const struct jnode *body)
{
    size_t before = j->text.length;
    struct jstring out = {"", NULL, 0};

    jinja_run(j, body);
    if (!j->status && j->text.length > before) {
        out.length = j->text.length - before;
        out.text = arena_text(j->arena, j->text.data + before, out.length);
        out.taint = (const uint8_t *)arena_text(j->arena, j->taint.data + before, out.length);
        if (!out.text || !out.taint) {
            jinja_fail(j, body, "no memory");
            return undefined;
        }
    }
    j->text.length = j->taint.length = before < j->text.length ? before : j->text.length;
    return jvalue_string(out);
}

/* The items of what a loop runs over: a list, a dictionary's keys, nothing of nothing. */
static struct jvalue iterated(struct jinja *j, const struct jnode *node)
{
    struct jvalue value = jinja_eval(j, node->b), list;
    struct jcall keys = {.node = node, .args = {value}, .n_args = 1};

    if (j->status || value.type == J_LIST)
        return value;
    if (value.type == J_DICT)
        return jinja_method(j, jstring_plain("keys"), &keys);
    list = jvalue_list(j);
    if (value.type != J_UNDEFINED)
        jinja_fail(j, node, "expected a list or dictionary to loop over");
    return list;
}

static void set_targets(struct jinja *j, const struct jnode *targets, struct jvalue value)
{
    size_t i = 0;

    if (!targets->next) {
        jinja_set(j, targets->string, value);
        return;
    }
    for (const struct jnode *t = targets; t && !j->status; t = t->next) {
        if (value.type != J_LIST || i >= value.as.list->count)
            jinja_fail(j, t, "expected as many values as names");
        else
            jinja_set(j, t->string, value.as.list->items[i++]);
    }
}

/* The items that a loop's condition lets through. */
static struct jvalue filtered(struct jinja *j, const struct jnode *node, struct jvalue list)
{
    struct jvalue out = jvalue_list(j);
    size_t n = j->n_variables, scope = j->scope;

    j->scope = n;
    for (size_t i = 0; i < list.as.list->count && !j->status; i++) {
        struct jvalue truth;
        set_targets(j, node->a, list.as.list->items[i]);
        truth = jinja_eval(j, node->c);
        if (!j->status && jvalue_truth(&truth))
            jlist_append(j, out.as.list, list.as.list->items[i]);
        j->n_variables = n;
    }
    j->scope = scope;
    return out;
}

static void run_for(struct jinja *j, const struct jnode *node)
{
    struct jvalue list = iterated(j, node);
    struct jloop *loop = arena_alloc(j->arena, sizeof *loop);
    size_t n = j->n_variables, scope = j->scope;

    if (!loop)
        jinja_fail(j, node, "no memory");
    if (!j->status && node->c)
        list = filtered(j, node, list);
    if (j->status)
        return;
    loop->list = list.as.list;
    for (loop->index = 0; loop->index < list.as.list->count && !j->status; loop->index++) {
        j->scope = n;
        jinja_set(j, jstring_plain("loop"), (struct jvalue){.type = J_LOOP, .as.loop = loop});
        set_targets(j, node->a, list.as.list->items[loop->index]);
        jinja_run(j, node->d);
        j->n_variables = n;
        if (j->leaving == 1)
            break;
        j->leaving = 0;
    }
    j->leaving = 0;
    j->scope = scope;
    if (list.as.list->count == 0)
        jinja_run(j, node->e);
}

static void run_set(struct jinja *j, const struct jnode *node)
{
    struct jvalue value = node->b ? jinja_eval(j, node->b) : jinja_capture(j, node->d), object;

    if (j->status)
        return;
    if (node->a->kind != N_ATTRIBUTE) {
        set_targets(j, node->a, value);
        return;
    }
    object = jinja_eval(j, node->a->a);
    if (object.type == J_DICT)
        jdict_put(j, object.as.dict, node->a->string, value);
    else
        jinja_fail(j, node, "expected a namespace to set '%.*s' in", (int)node->a->string.length, node->a->string.text);
}

static void run_one(struct jinja *j, const struct jnode *node)
{
    struct jvalue value;

    switch (node->kind) {
    case N_TEXT:
        write_string(j, node->string);
        break;
    case N_OUTPUT:
        value = jinja_eval(j, node->a);
        if (!j->status)
            write_string(j, jvalue_show(j, &value));
        break;
    case N_IF:
        value = jinja_eval(j, node->a);
        jinja_run(j, jvalue_truth(&value) ? node->b : node->c);
        break;
    case N_FOR:
        run_for(j, node);
        break;
    case N_SET:
        run_set(j, node);
        break;
    case N_MACRO:
        jinja_set(j, node->string, (struct jvalue){.type = J_MACRO, .as.macro = node});
        break;
    case N_BREAK:
    case N_CONTINUE:
        j->leaving = node->kind == N_BREAK ? 1 : 2;
        break;
    default:
        jinja_run(j, node->d);
        break;
    }
}

void jinja_run(struct jinja *j, const struct jnode *statements)
{
    j->depth++;
    for (const struct jnode *node = statements; node && !j->leaving && jinja_step(j, node); node = node->next)
        run_one(j, node);
    j->depth--;
}
