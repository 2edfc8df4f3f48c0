/* departure.c - compares the numbers of solutions; see departure.h. */
#include "departure.h"

#include <math.h>
#include <stdlib.h>
#include "answer_parts.h"
#include "steps.h"

struct numbers {
    struct buffer values; /* doubles */
    struct buffer plain, scratch;
};

static size_t count(const struct numbers *n)
{
    return n->values.length / sizeof(double);
}

/* "2. Then", "2) Then", "Step 2": the number counts lines. */
static int counts_lines(struct slice line, const struct answer_token *token)
{
    size_t i = 0;

    while (i < token->begin && !answer_is_letter(line.text[i]))
        i++;
    if (i == token->begin)
        return token->end < line.length && strchr(".):", line.text[token->end]) &&
               (token->end + 1 == line.length || answer_is_space(line.text[token->end + 1]) ||
                line.text[token->end + 1] == '*');
    return answer_has(line, i, "step") && token->begin <= i + 5;
}

static void add_number(struct numbers *n, struct slice line, const struct answer_token *token)
{
    struct answer_number number;

    buffer_clear(&n->scratch);
    answer_token_put(&n->scratch, line, token);
    if (n->scratch.data && answer_number_read(&number, n->scratch.data))
        buffer_append(&n->values, &number.value, sizeof number.value);
}

/* All numbers of a text, behind those that are there. */
static void add_text(struct numbers *n, const char *text, size_t length)
{
    struct answer_token token;

    buffer_clear(&n->plain);
    answer_plain(&n->plain, text, length);
    for (size_t from = 0; from < n->plain.length;) {
        const char *newline = memchr(n->plain.data + from, '\n', n->plain.length - from);
        size_t end = newline ? (size_t)(newline - n->plain.data) : n->plain.length;
        struct slice line = answer_slice(n->plain.data, from, end);

        for (size_t at = 0; answer_token_next(&token, line, at); at = token.end)
            if (!counts_lines(line, &token))
                add_number(n, line, &token);
        from = end + 1;
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Is a number among sorted ones, up to a relative 1e-9? A percentage is also its hundredth. */
static int among(const struct numbers *known, double value)
{
    const double *values = (const double *)(const void *)known->values.data;
    double slack = 1e-9 * (fabs(value) > 1 ? fabs(value) : 1);
    size_t low = 0, high = count(known);

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (values[middle] < value - slack)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count(known) && values[low] <= value + slack;
}

static int is_known(const struct numbers *known, double value)
{
    return among(known, value) || among(known, -value) || among(known, value * 100) || among(known, value / 100);
}

static int step_departs(struct numbers *step, const struct numbers *known)
{
    const double *values = (const double *)(const void *)step->values.data;

    for (size_t i = 0; i < count(step); i++)
        if (!is_known(known, values[i]))
            return 1;
    return 0;
}

static int numbers_free(struct numbers *n)
{
    int failed = n->values.failed | n->plain.failed | n->scratch.failed;

    buffer_free(&n->values);
    buffer_free(&n->plain);
    buffer_free(&n->scratch);
    return failed;
}

enum status departure_find(size_t *step, const char *question, const struct departure_text *references,
                           size_t n_references, const struct departure_text *solution, struct diag *diag)
{
    struct numbers known = {{0}, {0}, {0}}, stated = {{0}, {0}, {0}};
    size_t from = 0, begin, end, i;
    int failed;

    *step = SIZE_MAX;
    if (n_references == 0)
        return STATUS_OK;
    add_text(&known, question, strlen(question));
    for (i = 0; i < n_references; i++)
        add_text(&known, references[i].text, references[i].length);
    if (known.values.data && !known.values.failed)
        qsort(known.values.data, count(&known), sizeof(double), compare);
    for (i = 0; *step == SIZE_MAX && steps_next(&begin, &end, solution->text, solution->length, &from); i++) {
        buffer_clear(&stated.values);
        add_text(&stated, solution->text + begin, end - begin);
        if (step_departs(&stated, &known))
            *step = i;
    }
    failed = numbers_free(&known) | numbers_free(&stated);
    return failed ? diag_fail(diag, STATUS_MEMORY, "out of memory for the numbers of a solution") : STATUS_OK;
}

/* ---- leaning on others ---- */

int departure_leans(const char *text, size_t length)
{
    static const char *const words[] = {"other agent",
                                        "another agent",
                                        "the agents",
                                        "previous agent",
                                        "by agents",
                                        "provided above",
                                        "calculations provided",
                                        "these agents",
                                        "both agents",
                                        "all agents",
                                        "one agent",
                                        "each agent",
                                        "agents'",
                                        "other solution",
                                        "provided solution",
                                        "solutions provided",
                                        "given solutions",
                                        "both solutions",
                                        "the solutions",
                                        "these solutions",
                                        "all solutions",
                                        "previous solution",
                                        "previous answer",
                                        "previous response",
                                        "earlier solution",
                                        "earlier answer",
                                        "other response",
                                        "my previous",
                                        "my earlier",
                                        "my initial",
                                        "initial answer",
                                        "solutions above",
                                        "above solution",
                                        "updated answer",
                                        "information provided by",
                                        "others' ",
                                        "other participants",
                                        "i apologize",
                                        "as mentioned by"};
    static const char *const numbered[] = {"agent ", "solution "};
    struct slice t = answer_slice(text, 0, length);

    for (size_t i = 0; i < length; i++) {
        if (i && answer_is_letter(text[i - 1]))
            continue;
        for (size_t w = 0; w < sizeof words / sizeof *words; w++)
            if (answer_has(t, i, words[w]))
                return 1;
        for (size_t w = 0; w < sizeof numbered / sizeof *numbered; w++) {
            size_t end = i + strlen(numbered[w]);

            if (end < length && answer_has(t, i, numbered[w]) && answer_is_digit(text[end]))
                return 1;
        }
    }
    return 0;
}

enum status departure_alone(struct departure_text *alone, const char *question, const char *text, size_t length,
                            struct diag *diag)
{
    struct departure_text asked = {question, strlen(question)}, opening;
    struct slice rest = answer_trim(answer_slice(text, 0, length));
    size_t from = 0, begin, end, departs;
    enum status status = STATUS_OK;

    alone->text = rest.text;
    alone->length = 0;
    if (!steps_next(&begin, &end, rest.text, rest.length, &from) || !departure_leans(rest.text, end)) {
        alone->length = departure_leans(rest.text, rest.length) ? 0 : rest.length;
        return STATUS_OK;
    }
    opening.text = rest.text;
    opening.length = end;
    status = departure_find(&departs, question, &asked, 1, &opening, diag);
    rest = answer_trim(answer_slice(rest.text, from < rest.length ? from : rest.length, rest.length));
    if (status || departs != SIZE_MAX || departure_leans(rest.text, rest.length))
        return status;
    alone->text = rest.text;
    alone->length = rest.length;
    return STATUS_OK;
}
