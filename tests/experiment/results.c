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

static int holds(const struct steps_signature *s, uint64_t hash)
{
    size_t low = 0, high = s->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (s->hashes[middle] == hash)
            return 1;
        if (s->hashes[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

/* Steps of an output, but for the one that states the answer, and those that compute what the solution does not. */
static enum status count_steps(const char *output, const char *solution, double *steps, double *wrong,
                               struct arena *arena, struct diag *diag)
{
    struct steps_signature gold, own;
    size_t begin, end, from = 0;
    enum status status = steps_signature(&gold, solution, strlen(solution), arena, diag);

    *steps = *wrong = 0;
    while (!status && steps_next(&begin, &end, output, strlen(output), &from)) {
        int outside = 0;

        if (output[begin] == '#')
            continue;
        status = steps_signature(&own, output + begin, end - begin, arena, diag);
        for (size_t i = 0; !status && i < own.n; i++)
            outside |= !holds(&gold, own.hashes[i]);
        *steps += 1;
        *wrong += outside;
    }
    return status;
}

static enum status add(struct answers *a, const struct record *answer, const struct record *question,
                       struct arena *scratch, struct diag *diag)
{
    const char *output = json_string(answer->json, "output", ""), *solution = json_string(question->json, "answer", "");
    double steps, wrong;
    enum status status;

    if (strcmp(answer->id, question->id) != 0)
        return record_fail(answer, STATUS_FORMAT, diag, "expected the answer to %s, found %s", question->id,
                           answer->id);
    status = count_steps(output, solution, &steps, &wrong, scratch, diag);
    a->right[a->n] = json_bool(answer->json, "correct", 0);
    a->wrong_steps[a->n++] = wrong;
    a->tokens += json_number(answer->json, "tokens", 0);
    a->steps += steps;
    a->wrong += wrong;
    return status;
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
        status = add(a, answer, question, &questions.arena, diag);
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

    for (int row = 0; row < DISTILL_ROWS; row++)
        for (int set = 0; set < N_SETS; set++)
            for (size_t s = 0; s < r->n_seeds && !status; s++)
                status = answers_read(&r->rows[row][set][s],
                                      results_path(r, "seed-%llu/eval/%s.%s.jsonl", (unsigned long long)r->seeds[s],
                                                   distill_row_name((enum distill_row)row), names[set]),
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
