/* expression.h - the value of a small formula, LaTeX or plain, without computer algebra.
 *
 *   "\frac{1+\sqrt{5}}{2}"   "3(x+2)^2"   "2\frac{3}{4}"   "sin(pi/6)"   "1.5*10^{3}"   "5!"
 *
 * Rationals are exact as long as they fit 64 bits. Everything else, and every formula with variables, is evaluated in
 * complex doubles at EXPRESSION_POINTS points, where a variable's values are a function of its name: two formulas that
 * agree at all points are taken for the same (Schwartz 1980, Zippel 1979: identity testing by evaluation). */
#ifndef ARKLET_EXPRESSION_H
#define ARKLET_EXPRESSION_H

#include <stddef.h>
#include <stdint.h>

#define EXPRESSION_POINTS     3
#define EXPRESSION_MAX_LENGTH 2000 /* longer texts are no formulas */

struct expression_value {
    int exact;    /* n / d in lowest terms, d > 0 */
    int variable; /* depends on a variable (infinity counts as one) */
    int64_t n, d;
    double re[EXPRESSION_POINTS], im[EXPRESSION_POINTS];
};

/* text is clean (answer_latex_clean) and holds no relation, list or unit. Returns 0 when it is no formula, or has no
 * finite value. `sign` +1 or -1 is what \pm stands for. With `tight`, 1/2x is 1/(2x), else x/2. */
int expression_read(struct expression_value *value, const char *text, size_t length, int sign, int tight);

/* Exact where both are, else to 1e-9 of the larger. */
int expression_same(const struct expression_value *a, const struct expression_value *b);
/* a = k b for one non-zero number k, the same at all points: equations a = 0 and b = 0 say the same. */
int expression_proportional(const struct expression_value *a, const struct expression_value *b);

/* Arithmetic, for expression.c and for equations; each returns 0 when the result is not finite. */
void expression_integer(struct expression_value *value, int64_t n);
int expression_rational(struct expression_value *value, int64_t n, int64_t d); /* 0 when d is 0 */
void expression_variable(struct expression_value *value, uint64_t name);
void expression_constant(struct expression_value *value, double re, double im);
int expression_binary(struct expression_value *a, char op, const struct expression_value *b); /* a op= b; + - * / ^ */
/* sqrt root cbrt exp ln log sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh abs !, by name. */
int expression_function(struct expression_value *a, const char *name);
int expression_root(struct expression_value *a, int index);

#endif
