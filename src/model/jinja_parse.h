/* jinja_parse.h - what the two halves of the parser share (private to the Jinja files of src/model). */
#ifndef ARKLET_JINJA_PARSE_H
#define ARKLET_JINJA_PARSE_H

#include "jinja_lex.h"

struct parser {
    struct jlexer lexer;
    struct jtoken token; /* the one looked at */
    struct arena *arena;
    int depth;
    struct diag *diag;
};

void parse_next(struct parser *p);
int parse_failed(const struct parser *p);
/* Records the first error, at the token; returns NULL. */
struct jnode *parse_fail(struct parser *p, const char *expected);
struct jnode *parse_node(struct parser *p, enum jkind kind);
int parse_deeper(struct parser *p); /* 0: too deep, and failed */
int parse_is(const struct parser *p, enum jtoken_type type, const char *text);
int parse_accept(struct parser *p, enum jtoken_type type, const char *text);
void parse_expect(struct parser *p, enum jtoken_type type, const char *text);
struct jstring parse_token(const struct parser *p);
struct jnode *parse_name(struct parser *p, enum jkind kind);

struct jnode *parse_expression(struct parser *p);
struct jnode *parse_or(struct parser *p); /* an expression without "if": what a loop runs over */

#endif
