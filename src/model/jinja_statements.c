/* jinja_statements.c - statements: text, {{ }}, if, for, set, macro, break, continue.
 *
 *   {% if a %} b {% elif c %} d {% else %} e {% endif %}   ->   IF a (b) (IF c (d) (e))
 *
 * generation and endgeneration, markers for training, are passed over. */
#include <string.h>
#include "jinja_parse.h"

static struct jnode *parse_statements(struct parser *p, const char *const *ends);

static void close_tag(struct parser *p)
{
    if (p->token.type != T_CLOSE)
        parse_fail(p, "the end of the tag");
    else
        parse_next(p);
}

/* A body up to one of the tags `ends`, whose name becomes the token. */
static struct jnode *parse_body(struct parser *p, const char *const *ends)
{
    close_tag(p);
    return parse_statements(p, ends);
}

static struct jnode *parse_if(struct parser *p)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL}, *const end[] = {"endif", NULL};
    struct jnode *node = parse_node(p, N_IF);

    if (!node || !parse_deeper(p))
        return NULL;
    node->a = parse_expression(p);
    node->b = parse_body(p, ends);
    if (parse_accept(p, T_NAME, "elif")) {
        node->c = parse_if(p);
    } else {
        if (parse_accept(p, T_NAME, "else"))
            node->c = parse_body(p, end);
        parse_expect(p, T_NAME, "endif");
    }
    p->depth--;
    return node;
}

static struct jnode *parse_targets(struct parser *p)
{
    struct jnode *first = parse_name(p, N_NAME), *last = first;

    while (last && parse_accept(p, T_SIGN, ",")) {
        last->next = parse_name(p, N_NAME);
        last = last->next;
    }
    return first;
}

static struct jnode *parse_for(struct parser *p)
{
    static const char *const ends[] = {"else", "endfor", NULL}, *const end[] = {"endfor", NULL};
    struct jnode *node = parse_node(p, N_FOR);

    if (!node)
        return NULL;
    node->a = parse_targets(p);
    parse_expect(p, T_NAME, "in");
    node->b = parse_or(p);
    if (parse_accept(p, T_NAME, "if"))
        node->c = parse_expression(p);
    parse_accept(p, T_NAME, "recursive");
    node->d = parse_body(p, ends);
    if (parse_accept(p, T_NAME, "else"))
        node->e = parse_body(p, end);
    parse_expect(p, T_NAME, "endfor");
    return node;
}

/* set x = value, set x.y = value, set x, y = value, or set x ... endset. */
static struct jnode *parse_set(struct parser *p)
{
    static const char *const end[] = {"endset", NULL};
    struct jnode *node = parse_node(p, N_SET);

    if (!node)
        return NULL;
    node->a = parse_targets(p);
    if (node->a && parse_accept(p, T_SIGN, ".")) {
        struct jnode *attribute = parse_name(p, N_ATTRIBUTE);
        if (attribute)
            attribute->a = node->a;
        node->a = attribute;
    }
    if (parse_accept(p, T_SIGN, "=")) {
        node->b = parse_expression(p);
    } else {
        node->d = parse_body(p, end);
        parse_expect(p, T_NAME, "endset");
    }
    return node;
}

static struct jnode *parse_macro(struct parser *p)
{
    static const char *const end[] = {"endmacro", NULL};
    struct jnode *node = parse_name(p, N_MACRO), **tail;

    if (!node)
        return NULL;
    parse_expect(p, T_SIGN, "(");
    tail = &node->a;
    while (!parse_failed(p) && !parse_accept(p, T_SIGN, ")")) {
        struct jnode *parameter = parse_name(p, N_ARGUMENT);
        if (parameter && parse_accept(p, T_SIGN, "="))
            parameter->b = parse_expression(p);
        if (!parameter)
            return NULL;
        *tail = parameter;
        tail = &parameter->next;
        if (!parse_is(p, T_SIGN, ")"))
            parse_expect(p, T_SIGN, ",");
    }
    node->d = parse_body(p, end);
    parse_expect(p, T_NAME, "endmacro");
    return node;
}

static struct jnode *parse_generation(struct parser *p)
{
    static const char *const end[] = {"endgeneration", NULL};
    struct jnode *node = parse_node(p, N_BLOCK);

    if (!node)
        return NULL;
    node->d = parse_body(p, end);
    parse_expect(p, T_NAME, "endgeneration");
    return node;
}

/* The statement whose tag is open, up to its last tag's end. */
static struct jnode *parse_tag(struct parser *p)
{
    struct jnode *node = NULL;

    if (parse_accept(p, T_NAME, "if"))
        node = parse_if(p);
    else if (parse_accept(p, T_NAME, "for"))
        node = parse_for(p);
    else if (parse_accept(p, T_NAME, "set"))
        node = parse_set(p);
    else if (parse_accept(p, T_NAME, "macro"))
        node = parse_macro(p);
    else if (parse_accept(p, T_NAME, "generation"))
        node = parse_generation(p);
    else if (parse_accept(p, T_NAME, "break"))
        node = parse_node(p, N_BREAK);
    else if (parse_accept(p, T_NAME, "continue"))
        node = parse_node(p, N_CONTINUE);
    else
        parse_fail(p, "a statement");
    close_tag(p);
    return node;
}

static int is_end(const struct parser *p, const char *const *ends)
{
    for (; ends && *ends; ends++) {
        if (parse_is(p, T_NAME, *ends))
            return 1;
    }
    return 0;
}

static struct jnode *parse_statement(struct parser *p)
{
    struct jnode *node = NULL;

    if (p->token.type == T_TEXT) {
        node = parse_node(p, N_TEXT);
        if (node)
            node->string = parse_token(p);
        parse_next(p);
    } else if (p->token.type == T_PRINT) {
        parse_next(p);
        node = parse_node(p, N_OUTPUT);
        if (node)
            node->a = parse_expression(p);
        close_tag(p);
    } else {
        node = parse_tag(p);
    }
    return node;
}

static struct jnode *parse_statements(struct parser *p, const char *const *ends)
{
    struct jnode *first = NULL, **tail = &first, *node;

    if (!parse_deeper(p))
        return NULL;
    while (!parse_failed(p)) {
        if (p->token.type == T_END) {
            if (ends)
                parse_fail(p, ends[0]);
            break;
        }
        if (p->token.type == T_TAG) {
            parse_next(p);
            if (is_end(p, ends))
                break;
            node = parse_tag(p);
        } else {
            node = parse_statement(p);
        }
        if (!node)
            break;
        *tail = node;
        tail = &node->next;
    }
    p->depth--;
    return first;
}

enum status jinja_parse(const struct jnode **root, const char *source, size_t length, struct arena *arena,
                        struct diag *diag)
{
    struct parser p = {.arena = arena, .diag = diag};
    char *copy = arena_text(arena, source, length);
    size_t n = 0;

    *root = NULL;
    if (!copy)
        return diag_fail(diag, STATUS_MEMORY, "chat template: no memory");
    for (size_t i = 0; i < length; i++) { /* newlines are LF; a NUL cannot be part of a template */
        if (copy[i] == '\0')
            return diag_fail(diag, STATUS_FORMAT, "chat template: byte %zu: expected text, found NUL", i);
        if (copy[i] == '\r' && i + 1 < length && copy[i + 1] == '\n')
            continue;
        copy[n++] = copy[i];
    }
    copy[n] = '\0';
    jinja_lex_begin(&p.lexer, copy, n, arena, diag);
    parse_next(&p);
    *root = parse_statements(&p, NULL);
    return p.lexer.status;
}
