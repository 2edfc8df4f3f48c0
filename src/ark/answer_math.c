/* answer_math.c - do two formulas mean the same answer?
 *
 *   list      "1, -2"   "x = 1 or x = -2"   "1 \pm \sqrt{2}"   "\{1, 2\}"          any order
 *   union     "(0,9) \cup (9,36)"   "\{x | x \ge 2\}"                                any order
 *   item      "(3, \frac{\pi}{2})"   "[2,3)"   "-2 \le x < 1"   "\begin{pmatrix}..."  part by part
 *   scalar    "y = 2x + 3"   "\frac{1}{2}"   "50%"   "90\deg"   "15 \text{cm}^2"      by value (expression.c)
 *   text      "\text{(C)}"   "5am"                                                    letters and digits
 *
 * Four layers of functions, one for each line above, instead of recursion: what is nested deeper is compared as text.
 * Both texts are clean (answer_latex_clean) and of bounded length; the work is at most 64 x 64 scalars.
 * Leaves out: computer algebra. Formulas are the same when they agree at points (expression.h). */
#include <math.h>

#include "answer_parts.h"
#include "expression.h"

#define MAX_PARTS 64

struct part {
    struct slice text;
    int sign; /* what \pm stands for */
};

struct parts {
    struct part part[MAX_PARTS];
    size_t n;
};

static char at(struct slice t, size_t i)
{
    return i < t.length ? t.text[i] : 0;
}

static int begins(struct slice t, size_t i, const char *word)
{
    size_t n = strlen(word);

    return i <= t.length && t.length - i >= n && memcmp(t.text + i, word, n) == 0;
}

/* The change of bracket depth at i; *step gets 2 for \{ and \}. */
static int depth_step(struct slice t, size_t i, size_t *step)
{
    char c = t.text[i];

    *step = 1;
    if (c == '\\' && (at(t, i + 1) == '{' || at(t, i + 1) == '}')) {
        *step = 2;
        c = t.text[i + 1];
    }
    return c == '(' || c == '[' || c == '{' ? 1 : c == ')' || c == ']' || c == '}' ? -1 : 0;
}

/* The first place outside brackets, from `from` on, of one of the words (NULL-terminated); t.length: none. *found tells
 * which. */
static size_t find_outside(struct slice t, size_t from, const char *const *words, size_t *found)
{
    int depth = 0;

    for (size_t i = from, step; i < t.length; i += step) {
        int change = depth_step(t, i, &step);

        for (size_t k = 0; depth == 0 && words[k]; k++)
            if (begins(t, i, words[k])) {
                *found = k;
                return i;
            }
        depth += change;
    }
    return t.length;
}

/* ---- text ---- */

/* Next byte that counts in a comparison as text: letters in lower case, digits, a colon, other scripts. */
static int next_letter(struct slice t, size_t *i)
{
    while (*i < t.length) {
        char c = t.text[*i];

        if (begins(t, *i, "\\text{")) {
            *i += 6;
            continue;
        }
        ++*i;
        if (answer_is_letter(c) || answer_is_digit(c) || c == ':' || (unsigned char)c >= 0x80)
            return (unsigned char)answer_lower(c);
    }
    return -1;
}

static int is_words(struct slice t)
{
    size_t letters = 0;

    for (size_t i = 0; i < t.length; i++) {
        if (strchr("+-*/^=<>%|,", t.text[i]) || (t.text[i] == '\\' && !begins(t, i, "\\text{")))
            return 0;
        letters += answer_is_letter(t.text[i]) || (unsigned char)t.text[i] >= 0x80;
    }
    return letters > 0;
}

static int same_words(struct slice a, struct slice b)
{
    size_t i = 0, j = 0;
    int x, y;

    if (!is_words(a) || !is_words(b))
        return 0;
    do {
        x = next_letter(a, &i);
        y = next_letter(b, &j);
    } while (x == y && x >= 0);
    return x == y;
}

/* Byte by byte without spaces and without the braces around one byte: x_{1} is x_1. */
static int next_sign(struct slice t, size_t *i)
{
    while (*i < t.length) {
        char c = t.text[*i];
        int single = (c == '{' && at(t, *i + 2) == '}') || (c == '}' && *i > 1 && t.text[*i - 2] == '{');

        ++*i;
        if (c != ' ' && !single)
            return (unsigned char)c;
    }
    return -1;
}

static int same_signs(struct slice a, struct slice b)
{
    size_t i = 0, j = 0;
    int x, y;

    do {
        x = next_sign(a, &i);
        y = next_sign(b, &j);
    } while (x == y && x >= 0);
    return x == y;
}

/* ---- scalars ---- */

static struct answer_number number_of_value(const struct expression_value *v, struct slice text)
{
    struct answer_number number;
    char literal[64];

    if (text.length < sizeof literal) {
        memcpy(literal, text.text, text.length);
        literal[text.length] = 0;
        if (answer_number_read(&number, literal))
            return number;
    }
    memset(&number, 0, sizeof number);
    number.exact = v->exact;
    number.n = v->n;
    number.d = v->exact ? v->d : 1;
    number.value = v->re[0];
    number.places = v->exact && v->d == 1 ? 0 : -1;
    return number;
}

static int same_constant(const struct expression_value *v, struct slice a, int a_percent,
                         const struct expression_value *w, struct slice b, int b_percent)
{
    struct answer_number x = number_of_value(v, a), y = number_of_value(w, b);

    if (fabs(v->im[0]) > 1e-12 || fabs(w->im[0]) > 1e-12)
        return expression_same(v, w);
    x.percent = a_percent;
    y.percent = b_percent;
    return answer_number_same(&x, &y) ||
           (!(v->exact && w->exact) && a_percent == b_percent && x.places < 0 && y.places < 0 && expression_same(v, w));
}

/* Values without relations. */
static int same_value(struct slice a, int a_sign, struct slice b, int b_sign)
{
    int percent_a, percent_b, tries = memchr(a.text, '/', a.length) || memchr(b.text, '/', b.length) ? 4 : 1;
    struct slice x = answer_strip_units(a, &percent_a), y = answer_strip_units(b, &percent_b);

    for (int k = 0; k < tries; k++) {
        struct expression_value v, w;

        if (!expression_read(&v, x.text, x.length, a_sign, k & 1) ||
            !expression_read(&w, y.text, y.length, b_sign, k >> 1))
            return 0;
        if (v.variable || w.variable ? expression_same(&v, &w) : same_constant(&v, x, percent_a, &w, y, percent_b))
            return 1;
    }
    return 0;
}

struct equation {
    struct slice left, right; /* of the last '='; left empty: there is none */
    int assigns;              /* the left side is one name, f(x), or a number that right repeats */
};

static int is_name(struct slice t)
{
    size_t i = 0;

    t = answer_trim(t);
    if (at(t, 0) == '\\')
        i++;
    while (answer_is_letter(at(t, i)))
        i++;
    if (i == 0 || (t.text[0] != '\\' && i > 2))
        return 0;
    if (at(t, i) == '_')
        return t.length - i <= 5;
    if (at(t, i) == '\'')
        i++;
    return i == t.length || (at(t, i) == '(' && at(t, i + 2) == ')' && i + 3 == t.length);
}

static struct equation read_equation(struct slice t)
{
    static const char *const equals[] = {"=", "\\approx", NULL};
    struct equation e = {{t.text, 0}, t, 0};
    struct expression_value v;
    size_t found, again, i = find_outside(t, 0, equals, &found), next;

    if (i == t.length)
        return e;
    while ((next = find_outside(t, i + 1, equals, &again)) < t.length) {
        size_t behind = i + strlen(equals[found]);

        t = answer_slice(t.text, behind, t.length);
        i = next - behind;
        found = again;
    }
    e.left = answer_trim(answer_slice(t.text, 0, i));
    e.right = answer_trim(answer_slice(t.text, i + strlen(equals[found]), t.length));
    e.assigns = is_name(e.left) || (expression_read(&v, e.left.text, e.left.length, 1, 0) && !v.variable);
    return e;
}

static size_t skip_digits(struct slice t)
{
    size_t i = 0;

    while (answer_is_digit(at(t, i)))
        i++;
    return i;
}

/* 52_8 and 52: a base that the question asked for may be left out. */
static int same_in_base(struct slice a, struct slice b)
{
    size_t n = skip_digits(a), m = skip_digits(b);

    return n && n == m && memcmp(a.text, b.text, n) == 0 &&
           ((at(a, n) == '_' && m == b.length) || (at(b, m) == '_' && n == a.length));
}

static int difference(struct expression_value *v, const struct equation *e, int sign)
{
    struct expression_value right;

    return expression_read(v, e->left.text, e->left.length, sign, 0) &&
           expression_read(&right, e->right.text, e->right.length, sign, 0) && expression_binary(v, '-', &right);
}

static int same_scalar(struct part a, struct part b)
{
    struct equation x, y;
    struct expression_value v, w;

    a.text = answer_trim(a.text);
    b.text = answer_trim(b.text);
    if ((a.sign == b.sign && same_signs(a.text, b.text)) || same_words(a.text, b.text) || same_in_base(a.text, b.text))
        return 1;
    x = read_equation(a.text);
    y = read_equation(b.text);
    if (x.left.length && y.left.length) {
        if (difference(&v, &x, a.sign) && difference(&w, &y, b.sign) && expression_proportional(&v, &w))
            return 1;
        return x.assigns && y.assigns && (same_value(x.right, a.sign, y.right, b.sign) || same_words(x.right, y.right));
    }
    if ((x.left.length && !x.assigns) || (y.left.length && !y.assigns))
        return 0;
    return same_value(x.right, a.sign, y.right, b.sign) ||
           ((x.left.length || y.left.length) && same_words(x.right, y.right));
}

/* ---- items ---- */

struct item {
    char open, close; /* 0: a scalar; 'm': a matrix */
    size_t rows;
    struct parts parts;
};

static int add_part(struct parts *parts, const char *text, size_t begin, size_t end, int sign)
{
    if (parts->n == MAX_PARTS)
        return 0;
    parts->part[parts->n].text = answer_trim(answer_slice(text, begin, end));
    parts->part[parts->n++].sign = sign;
    return 1;
}

/* The pieces between the words, outside brackets; empty ones are left out. */
static int split(struct parts *parts, struct slice t, int sign, const char *const *words)
{
    size_t from = 0, found = 0;

    for (;;) {
        size_t at_word = find_outside(t, from, words, &found);

        if (answer_trim(answer_slice(t.text, from, at_word)).length && !add_part(parts, t.text, from, at_word, sign))
            return 0;
        if (at_word == t.length)
            return 1;
        from = at_word + strlen(words[found]);
    }
}

/* Does the bracket at the start close at the very end? */
static int is_enclosed(struct slice t, size_t open)
{
    int depth = 0;

    for (size_t i = 0, step; i < t.length; i += step) {
        depth += depth_step(t, i, &step);
        if (depth == 0)
            return i + step == t.length && step == open;
    }
    return 0;
}

static int read_matrix(struct item *item, struct slice t, int sign)
{
    static const char *const rows[] = {"\\\\", NULL}, *const cells[] = {"&", NULL};
    const char *first = memchr(t.text, '}', t.length);
    size_t begin = first ? (size_t)(first - t.text) + 1 : t.length, end = t.length;
    struct parts lines = {.n = 0};

    while (end > begin && !begins(t, end, "\\end{"))
        end--;
    if (end <= begin || !begins(t, 0, "\\begin{") || !split(&lines, answer_slice(t.text, begin, end), sign, rows))
        return 0;
    item->open = item->close = 'm';
    item->rows = lines.n;
    for (size_t r = 0; r < lines.n; r++)
        if (!split(&item->parts, lines.part[r].text, sign, cells))
            return 0;
    return 1;
}

/* a < x <= b as the interval (a, b]. */
static int read_inequality(struct item *item, struct slice t, int sign)
{
    static const char *const relations[] = {"<=", ">=", "\\le", "\\ge", "<", ">", NULL};
    static const struct slice low = {"-\\infty", 7}, high = {"\\infty", 6};
    size_t k[2], first = find_outside(t, 0, relations, &k[0]), second, from;
    struct slice left, middle, right;
    int up, closed[2];

    if (first == t.length)
        return 0;
    from = first + strlen(relations[k[0]]);
    second = find_outside(t, from, relations, &k[1]);
    left = answer_trim(answer_slice(t.text, 0, first));
    middle = answer_trim(answer_slice(t.text, from, second));
    up = k[0] % 2 == 0; /* relations[even] point to the right: smaller to larger */
    closed[0] = closed[1] = k[0] < 4;
    if (second < t.length) {
        right = answer_trim(answer_slice(t.text, second + strlen(relations[k[1]]), t.length));
        if (!is_name(middle) || (k[1] % 2 == 0) != up)
            return 0;
        closed[1] = k[1] < 4;
    } else if (is_name(left)) { /* x < b: from minus infinity */
        right = middle;
        left = up ? low : high;
        closed[0] = 0;
    } else if (is_name(middle)) { /* a < x */
        right = up ? high : low;
        closed[1] = 0;
    } else {
        return 0;
    }
    item->open = closed[!up] ? '[' : '(';
    item->close = closed[up] ? ']' : ')';
    item->parts.part[0] = (struct part){up ? left : right, sign};
    item->parts.part[1] = (struct part){up ? right : left, sign};
    item->parts.n = 2;
    return 1;
}

static void read_item(struct item *item, struct part p)
{
    static const char *const in[] = {"\\in ", "\\in(", "\\in[", NULL}, *const commas[] = {",", ";", NULL};
    size_t found, place;
    struct slice t = answer_trim(p.text);

    item->open = item->close = 0;
    item->rows = 1;
    item->parts.n = 0;
    place = find_outside(t, 0, in, &found);
    if (place < t.length && is_name(answer_slice(t.text, 0, place)))
        t = answer_trim(answer_slice(t.text, place + 3, t.length));
    if (begins(t, 0, "\\begin{") && read_matrix(item, t, p.sign))
        return;
    item->open = 0;
    item->parts.n = 0;
    if (read_inequality(item, t, p.sign))
        return;
    if ((at(t, 0) == '(' || at(t, 0) == '[') && is_enclosed(t, 1)) {
        struct slice inside = answer_slice(t.text, 1, t.length - 1);

        if (split(&item->parts, inside, p.sign, commas) && item->parts.n > 1) {
            item->open = t.text[0];
            item->close = t.text[t.length - 1];
            return;
        }
    }
    item->parts.part[0].text = t;
    item->parts.part[0].sign = p.sign;
    item->parts.n = 1;
}

static int same_parts(const struct parts *a, const struct parts *b)
{
    if (a->n != b->n)
        return 0;
    for (size_t i = 0; i < a->n; i++)
        if (!same_scalar(a->part[i], b->part[i]))
            return 0;
    return 1;
}

static int same_item(struct part a, struct part b)
{
    struct item x, y;
    int vector;

    read_item(&x, a);
    read_item(&y, b);
    vector = (x.open == 'm' && (x.rows == 1 || x.rows == x.parts.n) && y.open == '(') ||
             (y.open == 'm' && (y.rows == 1 || y.rows == y.parts.n) && x.open == '(');
    if (x.open == y.open && x.close == y.close && x.rows == y.rows)
        return same_parts(&x.parts, &y.parts);
    if (vector)
        return same_parts(&x.parts, &y.parts);
    /* With three parts and more no bracket makes an interval. */
    return x.open && y.open && x.open != 'm' && y.open != 'm' && x.parts.n > 2 && same_parts(&x.parts, &y.parts);
}

/* ---- unions and lists ---- */

/* Every part of a has one of b's to itself. */
static int same_in_any_order(const struct parts *a, const struct parts *b, int (*same)(struct part, struct part))
{
    unsigned char taken[MAX_PARTS] = {0};

    if (a->n != b->n || a->n == 0)
        return 0;
    for (size_t i = 0; i < a->n; i++) {
        size_t j = 0;

        while (j < b->n && (taken[j] || !same(a->part[i], b->part[j])))
            j++;
        if (j == b->n)
            return 0;
        taken[j] = 1;
    }
    return 1;
}

static int same_union(struct part a, struct part b)
{
    struct parts x = {.n = 0}, y = {.n = 0};
    static const char *const cup[] = {"\\cup", NULL};
    size_t found;

    if (find_outside(a.text, 0, cup, &found) == a.text.length && find_outside(b.text, 0, cup, &found) == b.text.length)
        return same_item(a, b);
    return split(&x, a.text, a.sign, cup) && split(&y, b.text, b.sign, cup) && same_in_any_order(&x, &y, same_item);
}

/* \{x | condition\} and \{x : condition\}: the condition. */
static struct slice set_condition(struct slice inside)
{
    static const char *const bars[] = {"|", ":", NULL};
    size_t found, i = find_outside(inside, 0, bars, &found), end = i;
    struct slice name;

    if (i == inside.length)
        return answer_slice(inside.text, 0, 0);
    while (end && !begins(inside, end, "\\in"))
        end--;
    name = answer_trim(answer_slice(inside.text, 0, end ? end : i));
    return is_name(name) ? answer_trim(answer_slice(inside.text, i + 1, inside.length))
                         : answer_slice(inside.text, 0, 0);
}

struct list {
    int braces;
    struct parts parts;
};

static int has_sign(struct slice t)
{
    for (size_t i = 0; i + 2 < t.length; i++)
        if (begins(t, i, "\\pm") || begins(t, i, "\\mp"))
            return 1;
    return 0;
}

/* Items with \pm count twice, once with each sign. */
static int double_signs(struct parts *parts)
{
    for (size_t i = parts->n; i--;) {
        if (!has_sign(parts->part[i].text))
            continue;
        if (parts->n == MAX_PARTS)
            return 0;
        parts->part[parts->n] = parts->part[i];
        parts->part[parts->n++].sign = -1;
    }
    return 1;
}

static int read_list(struct list *list, struct slice t)
{
    static const char *const separators[] = {", and ", ", or ", ",", ";", " and ", " or ", NULL};
    struct slice condition;

    list->braces = 0;
    list->parts.n = 0;
    t = answer_trim(t);
    if (begins(t, 0, "\\{") && is_enclosed(t, 2)) {
        list->braces = 1;
        t = answer_trim(answer_slice(t.text, 2, t.length - 2));
        condition = set_condition(t);
        if (condition.length)
            return add_part(&list->parts, condition.text, 0, condition.length, 1) && double_signs(&list->parts);
    } else if (at(t, 0) == '{' && is_enclosed(t, 1)) {
        t = answer_trim(answer_slice(t.text, 1, t.length - 1));
    }
    return split(&list->parts, t, 1, separators) && double_signs(&list->parts);
}

/* A bare list against one tuple: "1, 2" and "(1, 2)". */
static int list_is_tuple(const struct list *list, const struct list *other)
{
    struct item item;

    if (list->braces || other->braces || list->parts.n < 2 || other->parts.n != 1)
        return 0;
    read_item(&item, other->parts.part[0]);
    return item.open == '(' && item.close == ')' && same_parts(&list->parts, &item.parts);
}

int answer_math_same(const char *a, const char *b)
{
    struct slice x = answer_trim(answer_slice(a, 0, strlen(a))), y = answer_trim(answer_slice(b, 0, strlen(b)));
    struct list p, q;

    if (same_signs(x, y) || same_words(x, y))
        return x.length > 0;
    if (x.length > EXPRESSION_MAX_LENGTH || y.length > EXPRESSION_MAX_LENGTH || !read_list(&p, x) || !read_list(&q, y))
        return 0;
    return same_in_any_order(&p.parts, &q.parts, same_union) || list_is_tuple(&p, &q) || list_is_tuple(&q, &p);
}
