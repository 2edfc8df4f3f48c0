/* jinja_lex.h - a template's source as pieces and tokens (private to the Jinja files of src/model). */
#ifndef ARKLET_JINJA_LEX_H
#define ARKLET_JINJA_LEX_H

#include "jinja.h"

enum jtoken_type {
    T_TEXT,  /* template text outside of tags */
    T_PRINT, /* {{ ... }}: begins an expression */
    T_TAG,   /* {% ... %}: begins a statement */
    T_CLOSE, /* the end of either */
    T_NAME,
    T_STRING,
    T_INT,
    T_FLOAT,
    T_SIGN, /* an operator or bracket: its text */
    T_END
};

struct jtoken {
    enum jtoken_type type;
    unsigned line;
    const char *text;
    size_t length;
    int64_t integer;
    double real;
};

struct jlexer {
    const char *source, *at, *end;
    unsigned line;
    int inside;     /* 0: text, 1: {{ }}, 2: {% %} */
    int line_start; /* the text from here on begins a line */
    int brackets;   /* open ones inside the tag: "}}" may close two of them */
    struct arena *arena;
    enum status status;
    struct diag *diag;
};

void jinja_lex_begin(struct jlexer *lexer, const char *source, size_t length, struct arena *arena, struct diag *diag);
struct jtoken jinja_lex(struct jlexer *lexer);

#endif
