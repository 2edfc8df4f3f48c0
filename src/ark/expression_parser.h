/* expression_parser.h - the two stacks, and what expression.c and expression_operand.c share of them. */
#ifndef ARKLET_EXPRESSION_PARSER_H
#define ARKLET_EXPRESSION_PARSER_H

#include "answer_parts.h"
#include "expression.h"

#define MAX_VALUES    64
#define MAX_OPERATORS 128

enum op_kind { OP_BINARY, OP_NEGATE, OP_FUNCTION, OP_GROUP, OP_ABS, OP_FRAC, OP_BINOM, OP_ROOT };

struct op {
    enum op_kind kind;
    int precedence;   /* 0: a barrier */
    char sign;        /* of OP_BINARY; the closing bracket of OP_GROUP */
    int number;       /* arguments left of OP_FRAC, OP_BINOM; index of OP_ROOT; power of OP_FUNCTION */
    const char *name; /* of OP_FUNCTION */
    double base;      /* of a logarithm; 0: its own */
};

enum last_kind { LAST_NONE, LAST_NUMBER, LAST_NAME, LAST_GROUP };

struct parser {
    struct slice t;
    size_t i;
    int sign, tight;
    struct expression_value values[MAX_VALUES];
    struct op ops[MAX_OPERATORS];
    size_t n_values, n_ops;
    enum last_kind last; /* what the operand just read ends with; LAST_NONE: an operand is expected */
};

static inline char expression_at(const struct parser *p, size_t i)
{
    return i < p->t.length ? p->t.text[i] : 0;
}

/* ---- expression.c ---- */

int expression_push_op(struct parser *p, struct op op); /* 0: the stack is full */
/* Puts an operand on the stack and gives it to a \frac or \sqrt that waits for it. */
int expression_push_value(struct parser *p, const struct expression_value *value, enum last_kind last);

/* ---- expression_operand.c: each reads what starts at p->i, and returns 0 when it is no operand ---- */

int expression_number(struct parser *p);
int expression_command(struct parser *p); /* \frac, \sqrt, \pi, \alpha, \vec{a} ... */
int expression_letters(struct parser *p); /* x, pi, sin ... */
/* The function that a word names, or NULL. */
const char *expression_function_name(struct slice word);

#endif
