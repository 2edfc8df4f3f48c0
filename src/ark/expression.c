/* expression.c - reads a formula by two stacks, values and operators, evaluating as it goes (Dijkstra 1961).
 *
 *   text      2 \frac { 1 } { x + 1 } - 3
 *   values    2 1 x 1        operators    implicit  frac(1 argument left)  {  +
 *
 * An operator is applied when one that binds less follows: + - (1), * / and a missing sign (2), minus in front and
 * functions (3), a missing sign inside a function's argument (4), ^ (5, from the right). Brackets, \frac, \sqrt are
 * barriers on the operator stack. There is no recursion; both stacks are bounded, and a text that needs more is no
 * formula. Where to read next: expression_operand.c (what stands between operators), expression_value.c. Leaves out:
 * relations, lists, units (answer_math.c, answer_latex.c), sums, integrals. */
#include <math.h>
#include <string.h>

#include "expression_parser.h"

/* ---- stacks ---- */

int expression_push_op(struct parser *p, struct op op)
{
    if (p->n_ops == MAX_OPERATORS)
        return 0;
    p->ops[p->n_ops++] = op;
    return 1;
}

static struct op *top_op(struct parser *p)
{
    return p->n_ops ? &p->ops[p->n_ops - 1] : NULL;
}

static struct expression_value *top(struct parser *p)
{
    return p->n_values ? &p->values[p->n_values - 1] : NULL;
}

static int apply_function(struct expression_value *v, const struct op *op)
{
    struct expression_value n;

    if (op->number == -1) { /* \sin^{-1} */
        char inverse[8] = "a";

        if (strlen(op->name) > 4)
            return 0;
        memcpy(inverse + 1, op->name, strlen(op->name) + 1);
        return expression_function(v, inverse);
    }
    if (!expression_function(v, op->base > 0 ? "ln" : op->name))
        return 0;
    if (op->base > 0) {
        expression_constant(&n, log(op->base), 0);
        if (!expression_binary(v, '/', &n))
            return 0;
    }
    expression_integer(&n, op->number);
    return op->number == 1 || expression_binary(v, '^', &n);
}

/* Applies the operator on top of the stack. */
static int apply_top(struct parser *p)
{
    struct op op = p->ops[--p->n_ops];
    struct expression_value b, zero;

    if (!p->n_values)
        return 0;
    if (op.kind == OP_FUNCTION)
        return apply_function(top(p), &op);
    b = *top(p);
    if (op.kind == OP_NEGATE) {
        expression_integer(&zero, 0);
        *top(p) = zero;
        return expression_binary(top(p), '-', &b);
    }
    if (p->n_values < 2)
        return 0;
    p->n_values--;
    return expression_binary(top(p), op.sign, &b);
}

/* Applies what binds at least as much as `precedence`. */
static int reduce(struct parser *p, int precedence)
{
    while (p->n_ops && p->ops[p->n_ops - 1].precedence >= precedence)
        if (!apply_top(p))
            return 0;
    return 1;
}

static int push_binary(struct parser *p, char sign, int precedence)
{
    struct op op = {.kind = OP_BINARY, .precedence = precedence, .sign = sign};

    p->last = LAST_NONE;
    return reduce(p, sign == '^' ? precedence + 1 : precedence) && expression_push_op(p, op);
}

static int binomial(struct parser *p)
{
    struct expression_value k = *top(p), *n, result, factor;

    p->n_values--;
    n = top(p);
    if (!n || !n->exact || !k.exact || n->d != 1 || k.d != 1 || k.n < 0 || n->n < k.n || k.n > 60)
        return 0;
    expression_integer(&result, 1);
    for (int64_t i = 1; i <= k.n; i++) {
        if (!expression_rational(&factor, n->n - k.n + i, i) || !expression_binary(&result, '*', &factor))
            return 0;
    }
    *n = result;
    return 1;
}

/* A complete operand is on the stack: gives it to the \frac, \binom or \sqrt that waits for it. */
static int operand_done(struct parser *p, enum last_kind last)
{
    struct expression_value b;

    p->last = last;
    for (struct op *op = top_op(p); op; op = top_op(p)) {
        if (op->kind != OP_FRAC && op->kind != OP_BINOM && op->kind != OP_ROOT)
            return 1;
        if (op->kind != OP_ROOT && --op->number > 0) {
            p->last = LAST_NONE;
            return 1;
        }
        p->n_ops--;
        p->last = LAST_GROUP;
        if (op->kind == OP_ROOT) {
            if (!expression_root(top(p), op->number))
                return 0;
        } else if (op->kind == OP_BINOM) {
            if (p->n_values < 2 || !binomial(p))
                return 0;
        } else {
            if (p->n_values < 2)
                return 0;
            b = *top(p);
            p->n_values--;
            if (!expression_binary(top(p), '/', &b))
                return 0;
        }
    }
    return 1;
}

int expression_push_value(struct parser *p, const struct expression_value *value, enum last_kind last)
{
    if (p->n_values == MAX_VALUES)
        return 0;
    p->values[p->n_values++] = *value;
    return operand_done(p, last);
}

/* ---- operands ---- */

static size_t skip_spaces(const struct parser *p, size_t i)
{
    while (expression_at(p, i) == ' ')
        i++;
    return i;
}

static int starts(const struct parser *p, size_t i, const char *word)
{
    size_t n = strlen(word);

    return p->t.length - i >= n && memcmp(p->t.text + i, word, n) == 0;
}

static int push_group(struct parser *p, char close)
{
    struct op op = {.kind = OP_GROUP, .sign = close};

    p->i++;
    return expression_push_op(p, op);
}

static int read_operand(struct parser *p)
{
    static const struct op negate = {.kind = OP_NEGATE, .precedence = 3}, bars = {.kind = OP_ABS};
    const struct op *op = top_op(p);
    int argument = op && (op->kind == OP_FRAC || op->kind == OP_ROOT || op->kind == OP_BINOM);
    char c = expression_at(p, p->i);

    if (answer_is_digit(c) || (c == '.' && answer_is_digit(expression_at(p, p->i + 1))))
        return expression_number(p);
    if (c == '(' || c == '[' || c == '{')
        return push_group(p, c == '(' ? ')' : c == '[' ? ']' : '}');
    if (starts(p, p->i, "\\pm") || starts(p, p->i, "\\mp")) {
        int minus = (p->t.text[p->i + 1] == 'p') == (p->sign < 0);

        p->i += 3;
        return !argument && (!minus || expression_push_op(p, negate));
    }
    if (c == '\\')
        return expression_command(p);
    if (answer_is_letter(c))
        return expression_letters(p);
    p->i++;
    if (c == '|')
        return expression_push_op(p, bars);
    if ((c != '-' && c != '+') || argument)
        return 0;
    return c == '+' || expression_push_op(p, negate);
}

/* ---- operators ---- */

/* A closing bracket; the function in front of the group is applied to it. */
static int close_group(struct parser *p, char c)
{
    struct op *op;

    if (!reduce(p, 1))
        return 0;
    op = top_op(p);
    if (!op || op->kind != (c == '|' ? OP_ABS : OP_GROUP) || (c != '|' && op->sign != c))
        return 0;
    p->n_ops--;
    p->i++;
    if (c == '|' && !expression_function(top(p), "abs"))
        return 0;
    op = top_op(p);
    if (op && op->kind == OP_FUNCTION && !apply_top(p))
        return 0;
    return operand_done(p, LAST_GROUP);
}

static int in_bars(const struct parser *p)
{
    for (size_t k = p->n_ops; k--;) {
        if (p->ops[k].kind == OP_ABS)
            return 1;
        if (p->ops[k].kind == OP_GROUP)
            return 0;
    }
    return 0;
}

/* Is a function waiting for the rest of its argument, as in \sin 2x? */
static int inside_function(const struct parser *p)
{
    for (size_t k = p->n_ops; k-- && p->ops[k].precedence;) {
        if (p->ops[k].kind == OP_FUNCTION)
            return 1;
        if (p->ops[k].precedence < 3)
            return 0;
    }
    return 0;
}

/* Degrees matter to sin and its kind alone; elsewhere 90 degrees are 90. */
static int argument_of_function(const struct parser *p)
{
    for (size_t k = p->n_ops; k--;)
        if (p->ops[k].kind == OP_FUNCTION)
            return 1;
    return 0;
}

static int function_follows(const struct parser *p)
{
    size_t begin = p->i + (expression_at(p, p->i) == '\\'), end = begin;

    while (answer_is_letter(expression_at(p, end)))
        end++;
    return expression_function_name(answer_slice(p->t.text, begin, end)) != NULL;
}

/* Two operands side by side: a product, unless the second is a number. */
static int push_implicit(struct parser *p)
{
    int tight = p->tight || (inside_function(p) && !function_follows(p));

    if (answer_is_digit(expression_at(p, p->i)) && p->last != LAST_GROUP)
        return 0;
    return push_binary(p, '*', tight ? 4 : 2);
}

static int read_operator(struct parser *p)
{
    char c = expression_at(p, p->i);

    if (c == '!' || starts(p, p->i, "\\deg")) {
        struct expression_value half_turn;

        p->i += c == '!' ? 1 : 4;
        if (c == '!')
            return expression_function(top(p), "!");
        expression_constant(&half_turn, 3.14159265358979323846 / 180, 0);
        return !argument_of_function(p) || expression_binary(top(p), '*', &half_turn);
    }
    if (starts(p, p->i, "\\pm") || starts(p, p->i, "\\mp")) {
        int minus = (p->t.text[p->i + 1] == 'p') == (p->sign < 0);

        p->i += 3;
        return push_binary(p, minus ? '-' : '+', 1);
    }
    if (c == '+' || c == '-' || c == '*' || c == '/' || c == '^') {
        p->i++;
        return push_binary(p, c, c == '^' ? 5 : c == '+' || c == '-' ? 1 : 2);
    }
    if (c == ')' || c == ']' || c == '}' || (c == '|' && in_bars(p)))
        return close_group(p, c);
    if (answer_is_digit(c) || answer_is_letter(c) || strchr("([{|\\.", c))
        return push_implicit(p);
    return 0;
}

int expression_read(struct expression_value *value, const char *text, size_t length, int sign, int tight)
{
    struct parser p;

    if (length == 0 || length > EXPRESSION_MAX_LENGTH)
        return 0;
    p.t = answer_slice(text, 0, length);
    p.i = p.n_values = p.n_ops = 0;
    p.sign = sign;
    p.tight = tight;
    p.last = LAST_NONE;
    for (p.i = skip_spaces(&p, 0); p.i < length; p.i = skip_spaces(&p, p.i))
        if (!(p.last == LAST_NONE ? read_operand(&p) : read_operator(&p)))
            return 0;
    if (p.last == LAST_NONE || !reduce(&p, 1) || p.n_ops || p.n_values != 1)
        return 0;
    *value = p.values[0];
    return 1;
}
