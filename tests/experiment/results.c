/* results.c - the experiment's run folder as tables, tests and curves.
 *     results RUN OUT SEED...        writes OUT/results.md, OUT/results.json, OUT/{reward,accuracy,length}.svg
 *
 * Where to read next: tables.c, ablations.c, curves.c. */
#include "results.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "file.h"
#include "json.h"
#include "record.h"
#include "rng.h"
#include "steps.h"

const char *const set_names[N_SETS] = {"test", "form", "deep"};

const char *row_in_run(int row)
{
    return distill_row_name(row == ROW_DA_MORE ? ROW_DA : (enum distill_row)row);
}

const char *row_name(int row)
{
    return row == ROW_DA_MORE ? "da-more" : row_in_run(row);
}

const char *row_folder(int row)
{
    return row == ROW_DA_MORE ? "more/" : "";
}

const char *results_path(struct results *r, const char *format, ...)
{
    char name[160];
    struct buffer path = {0};
    const char *kept;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    buffer_format(&path, "%s/%s", r->run, name);
    kept = path.failed ? NULL : arena_text(&r->arena, path.data, path.length);
    buffer_free(&path);
    return kept;
}

/* ---- Answers ---- */

/* A step of the world: what is computed first, from which numbers, and what comes out in the end. */
struct sum {
    double left, right, result;
    char sign; /* + - * / */
};

/* "Lily has 72 - 19 = 62 - 9 = 53." is 72 - 19 -> 53; sums and products do not mind their order. */
static int read_sum(struct sum *sum, const char *text, size_t length)
{
    char step[512], *at, *equals, *end;

    snprintf(step, sizeof step, "%.*s", (int)length, text);
    at = step + strcspn(step, "0123456789");
    equals = strrchr(step, '=');
    if (!*at || !equals)
        return 0;
    sum->left = strtod(at, &end);
    end += strspn(end, " ");
    if (!*end || !strchr("+-*/", *end))
        return 0;
    sum->sign = *end;
    sum->right = strtod(end + 1, &at);
    if (at == end + 1)
        return 0;
    sum->result = strtod(equals + 1, &end);
    if (strchr("+*", sum->sign) && sum->left > sum->right) {
        double left = sum->left;

        sum->left = sum->right;
        sum->right = left;
    }
    return end != equals + 1;
}

static int same_sum(const struct sum *a, const struct sum *b)
{
    return a->sign == b->sign && a->left == b->left && a->right == b->right && a->result == b->result;
}

#define MAX_SUMS 64

static size_t read_sums(struct sum sums[MAX_SUMS], const char *text)
{
    size_t begin, end, from = 0, n = 0;

    while (n < MAX_SUMS && steps_next(&begin, &end, text, strlen(text), &from))
        n += (size_t)read_sum(&sums[n], text + begin, end - begin);
    return n;
}

/* Steps of an output that compute something, and those of them that the solution does not have. */
static void count_steps(const char *output, const char *solution, double *steps, double *wrong)
{
    struct sum gold[MAX_SUMS], own[MAX_SUMS];
    size_t n_gold = read_sums(gold, solution), n = read_sums(own, output);

    *steps = (double)n;
    *wrong = 0;
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;

        while (k < n_gold && !same_sum(&own[i], &gold[k]))
            k++;
        *wrong += k == n_gold;
    }
}

static enum status add(struct answers *a, const struct record *answer, const struct record *question, struct diag *diag)
{
    const char *output = json_string(answer->json, "output", ""), *solution = json_string(question->json, "answer", "");
    double steps, wrong;

    if (strcmp(answer->id, question->id) != 0)
        return record_fail(answer, STATUS_FORMAT, diag, "expected the answer to %s, found %s", question->id,
                           answer->id);
    count_steps(output, solution, &steps, &wrong);
    a->right[a->n] = json_bool(answer->json, "correct", 0);
    a->wrong_steps[a->n++] = wrong;
    a->tokens += json_number(answer->json, "tokens", 0);
    a->steps += steps;
    a->wrong += wrong;
    return STATUS_OK;
}

enum status answers_read(struct answers *a, const char *path, const char *solved, struct arena *arena,
                         struct diag *diag)
{
    struct record_reader answers, questions;
    const struct record *answer, *question;
    uint64_t n = 0;
    enum status status;

    memset(a, 0, sizeof *a);
    if (!path || !solved)
        return diag_fail(diag, STATUS_MEMORY, "out of memory");
    if (!file_exists(path))
        return STATUS_OK;
    status = file_count_lines(&n, path, diag);
    if (status)
        return status;
    a->right = arena_array(arena, n + 1, sizeof *a->right);
    a->wrong_steps = arena_array(arena, n + 1, sizeof *a->wrong_steps);
    if (!a->right || !a->wrong_steps)
        return diag_fail(diag, STATUS_MEMORY, "out of memory");
    if ((status = record_open(&answers, path, NULL, diag)))
        return status;
    status = record_open(&questions, solved, NULL, diag);
    while (!status && a->n < n) {
        status = record_next(&answers, &answer, diag);
        if (!status && answer)
            status = record_next(&questions, &question, diag);
        if (status || !answer || !question)
            break;
        status = add(a, answer, question, diag);
    }
    record_close(&questions);
    record_close(&answers);
    a->there = a->n > 0;
    a->tokens /= a->n ? (double)a->n : 1;
    return status;
}

static enum status read_rows(struct results *r, struct diag *diag)
{
    static const char *const names[N_SETS] = {"test", "ood1", "ood2"}; /* as distill calls them */
    enum status status = STATUS_OK;

    for (int row = 0; row < N_ROWS; row++)
        for (int set = 0; set < N_SETS; set++)
            for (size_t s = 0; s < r->n_seeds && !status; s++)
                status = answers_read(&r->rows[row][set][s],
                                      results_path(r, "%sseed-%llu/eval/%s.%s.jsonl", row_folder(row),
                                                   (unsigned long long)r->seeds[s], row_in_run(row), names[set]),
                                      results_path(r, "questions/%s.solved.jsonl", set_names[set]), &r->arena, diag);
    return status;
}

/* ---- Statistics ---- */

/* The 97.5 % quantile of Student's t distribution, to three decimals. */
static double student(size_t degrees)
{
    static const double t[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                               2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131};

    return degrees == 0 ? NAN : degrees <= sizeof t / sizeof *t ? t[degrees - 1] : 1.96 + 2.4 / (double)degrees;
}

struct over_seeds over_seeds(const double *values, size_t n)
{
    struct over_seeds o = {.n = n, .half = NAN};
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        o.mean += values[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        sum += (values[i] - o.mean) * (values[i] - o.mean);
    if (n > 1)
        o.half = student(n - 1) * sqrt(sum / (double)(n - 1) / (double)n);
    return o;
}

size_t per_question(const struct results *r, int row, int set, int wrong_steps, double **values, struct arena *arena)
{
    size_t n = 0, seeds = 0;

    *values = NULL;
    for (size_t s = 0; s < r->n_seeds; s++) {
        const struct answers *a = &r->rows[row][set][s];

        if (!a->there || (n && a->n != n))
            continue;
        if (!*values) {
            n = a->n;
            *values = arena_array(arena, n, sizeof **values);
            if (!*values)
                return 0;
            memset(*values, 0, n * sizeof **values);
        }
        seeds++;
        for (size_t i = 0; i < n; i++)
            (*values)[i] += wrong_steps ? a->wrong_steps[i] : a->right[i];
    }
    for (size_t i = 0; i < n; i++)
        (*values)[i] /= (double)seeds;
    return n;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct stats_interval recovered(const double *a, const double *base, const double *top, size_t n)
{
    struct stats_interval result = {NAN, NAN, NAN};
    double *shares = memory_alloc(STATS_REPLICATES * sizeof *shares), gain = 0, all = 0;
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        gain += a[i] - base[i];
        all += top[i] - base[i];
    }
    for (size_t k = 0; shares && k < STATS_REPLICATES; k++) {
        double part = 0, whole = 0;

        for (size_t i = 0; i < n; i++) {
            size_t q = rng_below(rng_bits(1, RNG_BOOTSTRAP, k, i, 1), (uint32_t)n);

            part += a[q] - base[q];
            whole += top[q] - base[q];
        }
        if (whole > 0)
            shares[kept++] = part / whole;
    }
    /* Where the gain itself is not clear of zero, a share of it has no interval. */
    if (all > 0)
        result.mean = gain / all;
    if (all > 0 && kept >= STATS_REPLICATES - STATS_REPLICATES / 40) {
        qsort(shares, kept, sizeof *shares, ascending);
        result.low = stats_quantile(shares, kept, 0.025);
        result.high = stats_quantile(shares, kept, 0.975);
    }
    memory_free(shares);
    return result;
}

/* ---- Program ---- */

static enum status save(struct results *r, const char *name, const struct buffer *text, struct diag *diag)
{
    char path[1024];

    if (text->failed)
        return diag_fail(diag, STATUS_MEMORY, "out of memory");
    snprintf(path, sizeof path, "%s/%s", r->out, name);
    return file_save(path, text->data, text->length, diag);
}

int main(int argc, char **argv)
{
    static struct results r;
    struct buffer md = {0}, json = {0};
    struct diag diag;
    enum status status;

    if (argc < 4 || argc > 3 + MAX_SEEDS) {
        fprintf(stderr, "usage: results RUN OUT SEED...\n");
        return 2;
    }
    arena_init(&r.arena, "results", 0);
    r.run = argv[1];
    r.out = argv[2];
    for (int i = 3; i < argc; i++)
        r.seeds[r.n_seeds++] = strtoull(argv[i], NULL, 10);
    status = read_rows(&r, &diag);
    if (!status)
        status = put_tables(&r, &md, &json, &diag);
    if (!status)
        status = put_ablations(&r, &md, &json, &diag);
    if (!status)
        status = put_curves(&r, &md, &diag);
    buffer_text(&json, "}\n");
    if (!status)
        status = save(&r, "results.md", &md, &diag);
    if (!status)
        status = save(&r, "results.json", &json, &diag);
    if (status)
        fprintf(stderr, "results: %s\n", diag.message);
    buffer_free(&md);
    buffer_free(&json);
    arena_free(&r.arena);
    return status != STATUS_OK;
}
