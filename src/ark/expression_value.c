/* expression_value.c - arithmetic on values that are exact rationals as long as they can be, and doubles always.
 *
 * Invariants: an exact value's doubles are n / d; what overflows 64 bits goes on in doubles alone; no result is
 * infinite or NaN. Leaves out: error bounds. Formulas that people write as answers lose a few digits of sixteen, and
 * nine are compared. */
#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "answer_parts.h"
#include "expression.h"

#define CLOSE 1e-9 /* relative; rounding of some hundred operations stays below 1e-13 */

/* ---- constants ---- */

int expression_rational(struct expression_value *value, int64_t n, int64_t d)
{
    memset(value, 0, sizeof *value);
    if (!answer_reduce(&n, &d))
        return 0;
    value->exact = 1;
    value->n = n;
    value->d = d;
    for (int p = 0; p < EXPRESSION_POINTS; p++)
        value->re[p] = (double)n / (double)d;
    return 1;
}

void expression_integer(struct expression_value *value, int64_t n)
{
    expression_rational(value, n, 1);
}

void expression_constant(struct expression_value *value, double re, double im)
{
    memset(value, 0, sizeof *value);
    for (int p = 0; p < EXPRESSION_POINTS; p++) {
        value->re[p] = re;
        value->im[p] = im;
    }
}

/* Points in 0.4 .. 1.6, away from zero and small enough for powers. */
void expression_variable(struct expression_value *value, uint64_t name)
{
    memset(value, 0, sizeof *value);
    value->variable = 1;
    for (int p = 0; p < EXPRESSION_POINTS; p++) {
        uint64_t bits = (name + (uint64_t)p) * 0x9E3779B97F4A7C15u; /* the golden ratio's, then a finalizer */

        bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9u;
        bits = (bits ^ bits >> 27) * 0x94D049BB133111EBu;
        value->re[p] = 0.4 + 1.2 * (double)(bits >> 11) / 9007199254740992.0;
    }
}

/* ---- exact ---- */

static int exact_add(struct expression_value *a, const struct expression_value *b, int sign)
{
    int64_t x, y, d;

    if (!answer_multiply(&x, a->n, b->d) || !answer_multiply(&y, b->n, a->d) || !answer_multiply(&d, a->d, b->d))
        return 0;
    if (llabs(x) > INT64_MAX / 2 || llabs(y) > INT64_MAX / 2)
        return 0;
    return expression_rational(a, x + sign * y, d);
}

static int exact_multiply(struct expression_value *a, int64_t n, int64_t d)
{
    int64_t x, y;

    return d && answer_multiply(&x, a->n, n) && answer_multiply(&y, a->d, d) && expression_rational(a, x, y);
}

static int exact_power(struct expression_value *a, int64_t exponent)
{
    struct expression_value base = *a, result;

    if (llabs(exponent) > 64 || (exponent < 0 && base.n == 0))
        return 0;
    expression_integer(&result, 1);
    for (int64_t i = 0; i < llabs(exponent); i++)
        if (!exact_multiply(&result, exponent < 0 ? base.d : base.n, exponent < 0 ? base.n : base.d))
            return 0;
    *a = result;
    return 1;
}

static int exact_binary(struct expression_value *a, char op, const struct expression_value *b)
{
    if (!a->exact || !b->exact)
        return 0;
    switch (op) {
    case '+':
        return exact_add(a, b, 1);
    case '-':
        return exact_add(a, b, -1);
    case '*':
        return exact_multiply(a, b->n, b->d);
    case '/':
        return b->n && exact_multiply(a, b->d, b->n);
    default:
        return b->d == 1 && exact_power(a, b->n);
    }
}

/* The whole root of n, or -1. */
static int64_t whole_root(int64_t n, int index)
{
    int64_t root = (int64_t)llround(pow((double)n, 1.0 / index)), power = 1;

    for (int i = 0; i < index; i++)
        if (!answer_multiply(&power, power, root))
            return -1;
    return power == n ? root : -1;
}

/* ---- doubles ---- */

static double complex get(const struct expression_value *v, int p)
{
    return v->re[p] + v->im[p] * I;
}

/* Stores and tells whether the value is finite. */
static int put(struct expression_value *v, int p, double complex z)
{
    v->re[p] = creal(z);
    v->im[p] = cimag(z);
    return isfinite(v->re[p]) && isfinite(v->im[p]);
}

static double complex power(double complex a, double complex b)
{
    if (cimag(a) == 0 && cimag(b) == 0 && (creal(a) > 0 || creal(b) == floor(creal(b))))
        return pow(creal(a), creal(b));
    return cpow(a, b);
}

/* Multiplication and division by real numbers component by component: exact zeros stay zeros. */
static double complex multiply(double complex a, double complex b)
{
    if (cimag(b) == 0)
        return creal(a) * creal(b) + cimag(a) * creal(b) * I;
    return a * b;
}

static double complex divide(double complex a, double complex b)
{
    if (cimag(b) == 0)
        return creal(a) / creal(b) + cimag(a) / creal(b) * I;
    return a / b;
}

int expression_binary(struct expression_value *a, char op, const struct expression_value *b)
{
    int finite = 1, variable = a->variable || b->variable;
    struct expression_value old = *a;

    if (exact_binary(a, op, b))
        return 1;
    *a = old;
    a->exact = 0;
    a->variable = variable;
    for (int p = 0; p < EXPRESSION_POINTS; p++) {
        double complex x = get(a, p), y = get(b, p);

        switch (op) {
        case '+':
            finite &= put(a, p, x + y);
            break;
        case '-':
            finite &= put(a, p, x - y);
            break;
        case '*':
            finite &= put(a, p, multiply(x, y));
            break;
        case '/':
            finite &= put(a, p, divide(x, y));
            break;
        default:
            finite &= put(a, p, power(x, y));
        }
    }
    return finite;
}

int expression_root(struct expression_value *a, int index)
{
    int finite = 1, negative = a->exact && a->n < 0;

    if (index < 2 || index > 60)
        return 0;
    if (a->exact && (!negative || index % 2)) {
        int64_t n = whole_root(llabs(a->n), index), d = whole_root(a->d, index);

        if (n >= 0 && d > 0)
            return expression_rational(a, negative ? -n : n, d);
    }
    a->exact = 0;
    for (int p = 0; p < EXPRESSION_POINTS; p++) {
        double complex z = get(a, p);

        if (index == 2)
            z = csqrt(z);
        else if (cimag(z) == 0 && creal(z) < 0 && index % 2)
            z = -pow(-creal(z), 1.0 / index);
        else
            z = power(z, 1.0 / index);
        finite &= put(a, p, z);
    }
    return finite;
}

/* ---- functions ---- */

static double complex f_cot(double complex z)
{
    return 1 / ctan(z);
}

static double complex f_sec(double complex z)
{
    return 1 / ccos(z);
}

static double complex f_csc(double complex z)
{
    return 1 / csin(z);
}

static double complex f_log10(double complex z)
{
    return clog(z) / log(10);
}

static double complex f_abs(double complex z)
{
    return cabs(z);
}

static int factorial(struct expression_value *a)
{
    double product = 1;
    int64_t n = a->n;

    if (!a->exact || a->d != 1 || n < 0 || n > 170)
        return 0;
    for (int64_t i = 2; i <= n; i++)
        product *= (double)i;
    if (n > 20) {
        expression_constant(a, product, 0);
        return 1;
    }
    expression_integer(a, 1);
    for (int64_t i = 2; i <= n; i++)
        exact_multiply(a, i, 1);
    return 1;
}

int expression_function(struct expression_value *a, const char *name)
{
    static const struct {
        const char *name;
        double complex (*f)(double complex);
    } functions[] = {
        {"exp", cexp},     {"ln", clog},      {"log", f_log10},  {"lg", f_log10}, {"sin", csin},
        {"cos", ccos},     {"tan", ctan},     {"cot", f_cot},    {"sec", f_sec},  {"csc", f_csc},
        {"arcsin", casin}, {"arccos", cacos}, {"arctan", catan}, {"asin", casin}, {"acos", cacos},
        {"atan", catan},   {"sinh", csinh},   {"cosh", ccosh},   {"tanh", ctanh}, {"abs", f_abs},
    };
    int finite = 1;

    if (strcmp(name, "!") == 0)
        return factorial(a);
    if (strcmp(name, "sqrt") == 0 || strcmp(name, "cbrt") == 0)
        return expression_root(a, *name == 's' ? 2 : 3);
    if (strcmp(name, "abs") == 0 && a->exact)
        return expression_rational(a, llabs(a->n), a->d);
    for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) {
        if (strcmp(name, functions[k].name) != 0)
            continue;
        a->exact = 0;
        for (int p = 0; p < EXPRESSION_POINTS; p++)
            finite &= put(a, p, functions[k].f(get(a, p)));
        return finite;
    }
    return 0;
}

/* ---- comparison ---- */

static int close_at(const struct expression_value *a, const struct expression_value *b, int p)
{
    double complex x = get(a, p), y = get(b, p);
    double size = cabs(x) > cabs(y) ? cabs(x) : cabs(y);

    return cabs(x - y) <= CLOSE * (size > 1e-3 ? size : 1e-3); /* the floor: sin(pi) is not quite 0 */
}

int expression_same(const struct expression_value *a, const struct expression_value *b)
{
    if (a->exact && b->exact)
        return a->n == b->n && a->d == b->d;
    for (int p = 0; p < EXPRESSION_POINTS; p++)
        if (!close_at(a, b, p))
            return 0;
    return 1;
}

int expression_proportional(const struct expression_value *a, const struct expression_value *b)
{
    struct expression_value scaled = *b;
    double complex ratio;

    if (cabs(get(b, 0)) < CLOSE || cabs(get(a, 0)) < CLOSE || !a->variable || !b->variable)
        return 0;
    ratio = get(a, 0) / get(b, 0);
    for (int p = 0; p < EXPRESSION_POINTS; p++)
        put(&scaled, p, get(b, p) * ratio);
    for (int p = 1; p < EXPRESSION_POINTS; p++)
        if (!close_at(a, &scaled, p))
            return 0;
    return 1;
}
