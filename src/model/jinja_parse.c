/* jinja_parse.c - expressions: tokens to a tree, by recursive descent of bounded depth.
 *
 *   choice   := or ["if" or ["else" choice]]        or := and {"or" and}        and := not {"and" not}
 *   not      := "not" not | compare                 compare := sum {("==" | "<" | ... | "in" | "not" "in") sum}
 *   sum      := join {("+" | "-") join}             join := term {"~" term}     term := unary {("*" | "/" | ...) unary}
 *   unary    := "-" unary | primary {postfix} {"|" filter | "is" ["not"] test}
 *   postfix  := "." name | "[" index or slice "]" | "(" arguments ")"
 *
 * The first error is kept and parsing runs dry. Statements are in jinja_statements.c. */
#include <string.h>
#include "jinja_parse.h"

void parse_next(struct parser *p)
{
    p->token = jinja_lex(&p->lexer);
}

int parse_failed(const struct parser *p)
{
    return p->lexer.status != STATUS_OK;
}

struct jnode *parse_fail(struct parser *p, const char *expected)
{
    if (!p->lexer.status)
        p->lexer.status =
            diag_fail(p->diag, STATUS_FORMAT, "chat template: line %u: expected %s, found '%.*s'", p->token.line,
                      expected, (int)(p->token.length < 24 ? p->token.length : 24), p->token.text);
    p->token.type = T_END;
    return NULL;
}

struct jnode *parse_node(struct parser *p, enum jkind kind)
{
    struct jnode *node = arena_alloc(p->arena, sizeof *node);

    if (!node) {
        if (!p->lexer.status)
            p->lexer.status = diag_fail(p->diag, STATUS_MEMORY, "chat template: no memory");
        p->token.type = T_END;
        return NULL;
    }
    memset(node, 0, sizeof *node);
    node->kind = kind;
    node->line = p->token.line;
    return node;
}

int parse_deeper(struct parser *p)
{
    if (++p->depth <= JINJA_MAX_DEPTH)
        return 1;
    parse_fail(p, "a template that is less deeply nested");
    return 0;
}

int parse_is(const struct parser *p, enum jtoken_type type, const char *text)
{
    return p->token.type == type && p->token.length == strlen(text) &&
           memcmp(p->token.text, text, p->token.length) == 0;
}

int parse_accept(struct parser *p, enum jtoken_type type, const char *text)
{
    if (!parse_is(p, type, text))
        return 0;
    parse_next(p);
    return 1;
}

void parse_expect(struct parser *p, enum jtoken_type type, const char *text)
{
    if (!parse_accept(p, type, text))
        parse_fail(p, text);
}

struct jstring parse_token(const struct parser *p)
{
    return (struct jstring){p->token.text, NULL, p->token.length};
}

/* A name as a node of `kind`. */
struct jnode *parse_name(struct parser *p, enum jkind kind)
{
    struct jnode *node;

    if (p->token.type != T_NAME)
        return parse_fail(p, "a name");
    node = parse_node(p, kind);
    if (node)
        node->string = parse_token(p);
    parse_next(p);
    return node;
}

static struct jnode *binary(struct parser *p, enum jkind kind, int op, struct jnode *a, struct jnode *b)
{
    struct jnode *node = parse_node(p, kind);

    if (node) {
        node->op = op;
        node->a = a;
        node->b = b;
    }
    return node;
}

/* Arguments up to `close`: values, or name = value. */
static struct jnode *parse_arguments(struct parser *p, const char *close)
{
    struct jnode *first = NULL, **tail = &first;

    while (!parse_failed(p) && !parse_accept(p, T_SIGN, close)) {
        struct jnode *argument = parse_node(p, N_ARGUMENT), *value = parse_expression(p);
        if (!argument || !value)
            return NULL;
        if (value->kind == N_NAME && parse_accept(p, T_SIGN, "=")) {
            argument->string = value->string;
            value = parse_expression(p);
        }
        argument->a = value;
        *tail = argument;
        tail = &argument->next;
        if (!parse_is(p, T_SIGN, close))
            parse_expect(p, T_SIGN, ",");
    }
    return first;
}

static struct jnode *parse_dict(struct parser *p)
{
    struct jnode *dict = parse_node(p, N_DICT), **tail = dict ? &dict->b : NULL;

    while (!parse_failed(p) && !parse_accept(p, T_SIGN, "}")) {
        struct jnode *item = parse_node(p, N_ARGUMENT);
        if (!item)
            return NULL;
        item->a = parse_expression(p);
        parse_expect(p, T_SIGN, ":");
        item->b = parse_expression(p);
        *tail = item;
        tail = &item->next;
        if (!parse_is(p, T_SIGN, "}"))
            parse_expect(p, T_SIGN, ",");
    }
    return dict;
}

/* (a), or a tuple (a, b), which is a list here. */
static struct jnode *parse_parenthesis(struct parser *p)
{
    struct jnode *list = parse_node(p, N_LIST), *first;

    if (!list || parse_accept(p, T_SIGN, ")"))
        return list;
    first = parse_expression(p);
    if (parse_accept(p, T_SIGN, ")"))
        return first;
    parse_expect(p, T_SIGN, ",");
    list->b = parse_node(p, N_ARGUMENT);
    if (!list->b)
        return NULL;
    list->b->a = first;
    list->b->next = parse_arguments(p, ")");
    return list;
}

static struct jnode *constant(struct parser *p, struct jvalue value)
{
    struct jnode *node = parse_node(p, N_CONSTANT);

    if (node)
        node->value = value;
    return node;
}

/* Neighbouring strings are one. */
static struct jnode *parse_string(struct parser *p)
{
    struct jstring string = parse_token(p);

    parse_next(p);
    while (p->token.type == T_STRING) {
        char *joined = arena_alloc(p->arena, string.length + p->token.length + 1);
        if (!joined)
            return parse_node(p, N_CONSTANT); /* fails for the same reason */
        memcpy(joined, string.text, string.length);
        memcpy(joined + string.length, p->token.text, p->token.length);
        string.text = joined;
        string.length += p->token.length;
        parse_next(p);
    }
    return constant(p, jvalue_string(string));
}

static struct jnode *parse_literal_name(struct parser *p)
{
    static const char *const names[] = {"true", "True", "false", "False", "none", "None", NULL};

    for (int i = 0; names[i]; i++) {
        if (parse_accept(p, T_NAME, names[i]))
            return constant(p, i < 4 ? jvalue_bool(i < 2) : (struct jvalue){.type = J_NONE});
    }
    return parse_name(p, N_NAME);
}

static struct jnode *parse_primary(struct parser *p)
{
    struct jvalue number = {.type = J_INT};
    struct jnode *list;

    if (p->token.type == T_STRING)
        return parse_string(p);
    if (p->token.type == T_INT || p->token.type == T_FLOAT) {
        if (p->token.type == T_INT)
            number = jvalue_int(p->token.integer);
        else
            number = (struct jvalue){.type = J_FLOAT, .as.real = p->token.real};
        parse_next(p);
        return constant(p, number);
    }
    if (p->token.type == T_NAME)
        return parse_literal_name(p);
    if (parse_accept(p, T_SIGN, "("))
        return parse_parenthesis(p);
    if (parse_accept(p, T_SIGN, "{"))
        return parse_dict(p);
    if (!parse_accept(p, T_SIGN, "["))
        return parse_fail(p, "an expression");
    list = parse_node(p, N_LIST);
    if (list)
        list->b = parse_arguments(p, "]");
    return list;
}

/* [index] or [from:to:step]; the bracket is open. */
static struct jnode *parse_index(struct parser *p, struct jnode *object)
{
    struct jnode *node = binary(p, N_INDEX, 0, object, NULL);

    if (!node)
        return NULL;
    if (!parse_is(p, T_SIGN, ":"))
        node->b = parse_expression(p);
    if (parse_accept(p, T_SIGN, ":")) {
        node->kind = N_SLICE;
        if (!parse_is(p, T_SIGN, ":") && !parse_is(p, T_SIGN, "]"))
            node->c = parse_expression(p);
        if (parse_accept(p, T_SIGN, ":") && !parse_is(p, T_SIGN, "]"))
            node->d = parse_expression(p);
    }
    parse_expect(p, T_SIGN, "]");
    return node;
}

static struct jnode *parse_postfix(struct parser *p, struct jnode *node)
{
    while (!parse_failed(p) && node) {
        if (parse_accept(p, T_SIGN, ".")) {
            struct jnode *attribute = parse_name(p, N_ATTRIBUTE);
            if (attribute)
                attribute->a = node;
            node = attribute;
        } else if (parse_accept(p, T_SIGN, "[")) {
            node = parse_index(p, node);
        } else if (parse_is(p, T_SIGN, "(")) {
            node = binary(p, N_CALL, 0, node, NULL);
            parse_next(p);
            if (node)
                node->b = parse_arguments(p, ")");
        } else {
            break;
        }
    }
    return node;
}

/* The one argument that a test may have without parentheses: x is equalto 3. */
static int begins_argument(const struct parser *p)
{
    static const char *const words[] = {"else", "or", "and", "is", "if", "in", "not", NULL};

    for (int i = 0; words[i]; i++) {
        if (parse_is(p, T_NAME, words[i]))
            return 0;
    }
    return p->token.type == T_NAME || p->token.type == T_STRING || p->token.type == T_INT || p->token.type == T_FLOAT ||
           parse_is(p, T_SIGN, "[") || parse_is(p, T_SIGN, "{");
}

static struct jnode *parse_test(struct parser *p, struct jnode *object)
{
    int negated = parse_accept(p, T_NAME, "not");
    struct jnode *test = parse_name(p, N_TEST);

    if (!test)
        return NULL;
    test->op = negated;
    test->a = object;
    if (parse_accept(p, T_SIGN, "(")) {
        test->b = parse_arguments(p, ")");
    } else if (begins_argument(p)) {
        test->b = parse_node(p, N_ARGUMENT);
        if (test->b)
            test->b->a = parse_postfix(p, parse_primary(p));
    }
    return test;
}

static struct jnode *parse_unary(struct parser *p)
{
    struct jnode *node;

    if (!parse_deeper(p))
        return NULL;
    if (parse_accept(p, T_SIGN, "-")) {
        node = binary(p, N_NEGATE, 0, parse_unary(p), NULL);
        p->depth--;
        return node;
    }
    node = parse_postfix(p, parse_primary(p));
    while (!parse_failed(p) && node) {
        if (parse_accept(p, T_SIGN, "|")) {
            struct jnode *filter = parse_name(p, N_FILTER);
            if (filter)
                filter->a = node;
            if (filter && parse_accept(p, T_SIGN, "("))
                filter->b = parse_arguments(p, ")");
            node = filter;
        } else if (parse_accept(p, T_NAME, "is")) {
            node = parse_test(p, node);
        } else {
            break;
        }
    }
    p->depth--;
    return node;
}

struct level {
    const char *signs[7];
    int ops[7];
};

static const struct level levels[] = {
    {{"==", "!=", "<", "<=", ">", ">=", NULL}, {OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE}},
    {{"+", "-", NULL}, {OP_ADD, OP_SUB}},
    {{"~", NULL}, {OP_JOIN}},
    {{"*", "/", "//", "%", NULL}, {OP_MUL, OP_DIV, OP_FLOOR, OP_MOD}},
};

#define N_LEVELS 4

/* The operator of this level at the token, taken; -1 for none. */
static int accept_operator(struct parser *p, int level)
{
    for (int i = 0; levels[level].signs[i]; i++) {
        if (parse_accept(p, T_SIGN, levels[level].signs[i]))
            return levels[level].ops[i];
    }
    if (level == 0 && parse_accept(p, T_NAME, "in"))
        return OP_IN;
    if (level == 0 && parse_accept(p, T_NAME, "not")) {
        parse_expect(p, T_NAME, "in");
        return OP_NOT_IN;
    }
    return -1;
}

/* levels[level] and those that bind more tightly; recursion ends at N_LEVELS. */
static struct jnode *parse_binary(struct parser *p, int level)
{
    struct jnode *node;
    int op;

    if (level == N_LEVELS)
        return parse_unary(p);
    node = parse_binary(p, level + 1);
    while (!parse_failed(p) && (op = accept_operator(p, level)) >= 0)
        node = binary(p, N_BINARY, op, node, parse_binary(p, level + 1));
    return node;
}

static struct jnode *parse_not(struct parser *p)
{
    struct jnode *node;

    if (!parse_deeper(p))
        return NULL;
    node = parse_accept(p, T_NAME, "not") ? binary(p, N_NOT, 0, parse_not(p), NULL) : parse_binary(p, 0);
    p->depth--;
    return node;
}

static struct jnode *parse_and(struct parser *p)
{
    struct jnode *node = parse_not(p);

    while (!parse_failed(p) && parse_accept(p, T_NAME, "and"))
        node = binary(p, N_AND, 0, node, parse_not(p));
    return node;
}

struct jnode *parse_or(struct parser *p)
{
    struct jnode *node = parse_and(p);

    while (!parse_failed(p) && parse_accept(p, T_NAME, "or"))
        node = binary(p, N_OR, 0, node, parse_and(p));
    return node;
}

struct jnode *parse_expression(struct parser *p)
{
    struct jnode *node, *choice;

    if (!parse_deeper(p))
        return NULL;
    node = parse_or(p);
    while (!parse_failed(p) && parse_accept(p, T_NAME, "if")) {
        choice = binary(p, N_CHOICE, 0, parse_or(p), node);
        if (choice && parse_accept(p, T_NAME, "else"))
            choice->c = parse_expression(p);
        node = choice;
    }
    p->depth--;
    return node;
}
