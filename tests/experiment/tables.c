/* tables.c - the table of method.md section 5 over all seeds, paired comparisons, the gain recovered. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "file.h"
#include "json.h"
#include "results.h"

struct table {
    struct results *r;
    struct buffer *md, *json;
    const struct json *summaries[2][MAX_SEEDS]; /* of distill, one a seed; [1]: of the runs on more questions */
    double *base[N_SETS], *base_wrong[N_SETS];
    size_t n[N_SETS];
    int n_json;
};

/* ---- From distill's summaries ---- */

static enum status read_summary(struct table *t, const struct json **summary, const char *path, struct diag *diag)
{
    struct buffer text = {0};
    enum status status = file_read(&text, path, (size_t)1 << 26, diag);

    if (!status)
        status = json_parse(summary, text.data, text.length, &t->r->arena, path, 1, NULL, diag);
    buffer_free(&text);
    return status;
}

static enum status read_summaries(struct table *t, struct diag *diag)
{
    enum status status = STATUS_OK;

    for (size_t s = 0; s < t->r->n_seeds && !status; s++) {
        unsigned long long seed = t->r->seeds[s];
        const char *more = results_path(t->r, "%sseed-%llu/summary.json", row_folder(ROW_DA_MORE), seed);

        status = read_summary(t, &t->summaries[0][s], results_path(t->r, "seed-%llu/summary.json", seed), diag);
        if (!status && more && file_exists(more))
            status = read_summary(t, &t->summaries[1][s], more, diag);
    }
    return status;
}

static const struct json *summary_row(const struct json *summary, const char *row, int set)
{
    static const char *const names[N_SETS] = {"test", "ood1", "ood2"};
    const struct json *rows = summary ? json_get(summary, "rows") : NULL;

    for (const struct json *i = rows ? rows->child : NULL; i; i = i->next)
        if (strcmp(json_string(i, "row", ""), row) == 0 && strcmp(json_string(i, "set", ""), names[set]) == 0)
            return i;
    return NULL;
}

/* The mean over the seeds of a number, or of the "value" of an interval; NaN when it is nowhere. */
static double summary_mean(const struct table *t, int row, int set, const char *name)
{
    double sum = 0;
    int n = 0;

    for (size_t s = 0; s < t->r->n_seeds; s++) {
        const struct json *found = summary_row(t->summaries[row == ROW_DA_MORE][s], row_in_run(row), set);
        const struct json *value = json_get(found, name);
        double x =
            value && value->type == JSON_OBJECT ? json_number(value, "value", NAN) : json_number(found, name, NAN);

        if (!isnan(x)) {
            sum += x;
            n++;
        }
    }
    return n ? sum / n : NAN;
}

/* ---- Cells ---- */

static void put_number(struct buffer *out, const char *format, double value)
{
    char cell[64];

    snprintf(cell, sizeof cell, format, value);
    buffer_format(out, " %s |", isnan(value) ? "-" : cell);
}

static void put_member(struct buffer *json, const char *name, double value)
{
    if (!isnan(value))
        buffer_format(json, ",\"%s\":%.6g", name, value);
}

static void put_interval(struct buffer *json, const char *name, const struct stats_interval *i)
{
    if (!isnan(i->mean))
        buffer_format(json, ",\"%s\":{\"value\":%.6g", name, i->mean);
    if (!isnan(i->mean) && !isnan(i->low))
        buffer_format(json, ",\"low\":%.6g,\"high\":%.6g", i->low, i->high);
    if (!isnan(i->mean))
        buffer_text(json, "}");
}

/* A p value; the bootstrap's smallest is below 1 in STATS_REPLICATES. */
static void put_p(struct buffer *out, double p)
{
    if (p < 0.001)
        buffer_text(out, " < 0.001 |");
    else
        buffer_format(out, " %.3f |", p);
}

/* Discordant pairs of all seeds: McNemar's exact test takes them as independent. */
static double mcnemar(const struct results *r, int a, int b, int set)
{
    uint64_t only_a = 0, only_b = 0;

    for (size_t s = 0; s < r->n_seeds; s++) {
        const struct answers *x = &r->rows[a][set][s], *y = &r->rows[b][set][s];

        for (size_t i = 0; i < x->n && x->n == y->n; i++) {
            only_a += x->right[i] > y->right[i];
            only_b += x->right[i] < y->right[i];
        }
    }
    return stats_mcnemar(only_a, only_b);
}

/* ---- A row ---- */

struct row_values {
    struct over_seeds accuracy, gain;
    struct stats_interval interval;
    struct stats_paired paired, wrong;
    double tokens, wrong_steps, wrong_share;
};

static enum status value_row(struct table *t, int row, int set, struct row_values *v, struct diag *diag)
{
    double accuracy[MAX_SEEDS], gain[MAX_SEEDS], *values, *wrong, steps = 0, n_wrong = 0;
    size_t seeds = 0, n = per_question(t->r, row, set, 0, &values, &t->r->arena);
    enum status status = STATUS_OK;

    memset(v, 0, sizeof *v);
    per_question(t->r, row, set, 1, &wrong, &t->r->arena);
    for (size_t s = 0; s < t->r->n_seeds; s++) {
        const struct answers *a = &t->r->rows[row][set][s], *b = &t->r->rows[ROW_BASE][set][s];
        double right = 0, base = 0;

        for (size_t i = 0; i < a->n; i++) {
            right += a->right[i] / (double)a->n;
            base += b->n == a->n ? b->right[i] / (double)b->n : NAN;
        }
        if (!a->there)
            continue;
        accuracy[seeds] = right;
        gain[seeds++] = right - base;
        v->tokens += a->tokens;
        steps += a->steps;
        n_wrong += a->wrong;
    }
    v->accuracy = over_seeds(accuracy, seeds);
    v->gain = over_seeds(gain, seeds);
    v->tokens /= (double)seeds;
    v->wrong_share = steps > 0 ? n_wrong / steps : NAN;
    v->wrong_steps = n_wrong / (double)(seeds * n);
    status = stats_bootstrap(&v->interval, values, n, STATS_REPLICATES, 1, diag);
    if (!status && t->n[set] == n)
        status = stats_paired_bootstrap(&v->paired, values, t->base[set], n, STATS_REPLICATES, 1, diag);
    if (!status && t->n[set] == n)
        status = stats_paired_bootstrap(&v->wrong, wrong, t->base_wrong[set], n, STATS_REPLICATES, 1, diag);
    return status;
}

static void put_row(struct table *t, int row, int set, const struct row_values *v)
{
    struct buffer *md = t->md, *json = t->json;
    const char *name = row_name(row);

    buffer_format(md, "| %s |", name);
    put_number(md, "%.1f", 100 * v->accuracy.mean);
    put_number(md, "%.1f", 100 * v->accuracy.half);
    buffer_format(md, " %.1f .. %.1f |", 100 * v->interval.low, 100 * v->interval.high);
    if (row == ROW_BASE)
        buffer_text(md, " - | - | - |");
    else {
        buffer_format(md, " %+.1f (%+.1f .. %+.1f) |", 100 * v->paired.difference.mean, 100 * v->paired.difference.low,
                      100 * v->paired.difference.high);
        put_p(md, v->paired.p);
        put_p(md, mcnemar(t->r, row, ROW_BASE, set));
    }
    put_number(md, "%.1f", 100 * summary_mean(t, row, set, "dev"));
    put_number(md, "%.1f", 100 * summary_mean(t, row, set, "sampled"));
    put_number(md, "%.1f", 100 * summary_mean(t, row, set, "vote"));
    put_number(md, "%.0f", v->tokens);
    put_number(md, "%.2f", v->wrong_steps);
    put_number(md, "%.1f", 100 * summary_mean(t, row, set, "equations_true"));
    put_number(md, "%.0f", summary_mean(t, row, set, "training_tokens"));
    put_number(md, "%.0f", summary_mean(t, row, set, "training_seconds"));
    buffer_text(md, "\n");

    buffer_format(json, "%s\n{\"row\":\"%s\",\"set\":\"%s\",\"seeds\":%zu,\"questions\":%zu", t->n_json++ ? "," : "",
                  name, set_names[set], v->accuracy.n, t->r->rows[row][set][0].n);
    put_interval(json, "accuracy", &v->interval);
    put_member(json, "seeds_half_width", v->accuracy.half);
    if (row != ROW_BASE) {
        put_interval(json, "against_base", &v->paired.difference);
        put_member(json, "against_base_seeds_half_width", v->gain.half);
        put_member(json, "p_bootstrap", v->paired.p);
        put_member(json, "p_mcnemar", mcnemar(t->r, row, ROW_BASE, set));
        put_interval(json, "wrong_steps_against_base", &v->wrong.difference);
    }
    put_member(json, "dev", summary_mean(t, row, set, "dev"));
    put_member(json, "sampled", summary_mean(t, row, set, "sampled"));
    put_member(json, "vote", summary_mean(t, row, set, "vote"));
    put_member(json, "tokens", v->tokens);
    put_member(json, "wrong_steps", v->wrong_steps);
    put_member(json, "wrong_steps_share", v->wrong_share);
    put_member(json, "equations_true", summary_mean(t, row, set, "equations_true"));
    put_member(json, "training_tokens", summary_mean(t, row, set, "training_tokens"));
    put_member(json, "training_seconds", summary_mean(t, row, set, "training_seconds"));
    buffer_text(json, "}");
}

static enum status put_set(struct table *t, int set, struct diag *diag)
{
    static const char *const about[N_SETS] = {"in distribution", "out of distribution: wordings never trained on",
                                              "out of distribution: six steps, where training has two to five"};
    enum status status = STATUS_OK;

    t->n[set] = per_question(t->r, ROW_BASE, set, 0, &t->base[set], &t->r->arena);
    per_question(t->r, ROW_BASE, set, 1, &t->base_wrong[set], &t->r->arena);
    buffer_format(t->md, "\n## %s: %s (%zu questions)\n\n", set_names[set], about[set], t->n[set]);
    buffer_text(t->md, "| row | right | +- seeds | 95 % | against base (95 %) | p | McNemar | dev | sampled | vote | "
                       "tokens | wrong steps | "
                       "true eq | trained on | seconds "
                       "|\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    for (int row = 0; row < N_ROWS && !status; row++) {
        struct row_values v;

        if (!t->r->rows[row][set][0].there)
            continue;
        status = value_row(t, row, set, &v, diag);
        if (!status)
            put_row(t, row, set, &v);
    }
    return status;
}

/* ---- Paired comparisons ---- */

static const int pairs[][2] = {
    {ROW_RSFT, ROW_SELF},          {ROW_DA, ROW_SELF},        {ROW_SAMPLED, ROW_SELF},   {ROW_RSFT, ROW_SAMPLED},
    {ROW_DA, ROW_SAMPLED},         {ROW_DA, ROW_RSFT},        {ROW_DA, ROW_ANSWER},      {ROW_PAD, ROW_RL},
    {ROW_DA_PAD, ROW_DA},          {ROW_DA_PAD, ROW_PAD},     {ROW_DA_PAD, ROW_SAMPLED}, {ROW_DA_PAD, ROW_SELF},
    {ROW_DA_PAD, ROW_SELF_DEBATE}, {ROW_DEBATE, ROW_TEACHER}, {ROW_DA_MORE, ROW_DA},     {ROW_DA_MORE, ROW_DEBATE},
};

static enum status put_pair(struct table *t, int a, int b, int set, struct diag *diag)
{
    double *left, *right, differences[MAX_SEEDS], p = mcnemar(t->r, a, b, set);
    size_t n = per_question(t->r, a, set, 0, &left, &t->r->arena), seeds = 0;
    struct stats_paired paired;
    struct over_seeds o;
    enum status status;

    if (!n || per_question(t->r, b, set, 0, &right, &t->r->arena) != n)
        return STATUS_OK;
    for (size_t s = 0; s < t->r->n_seeds; s++) {
        const struct answers *x = &t->r->rows[a][set][s], *y = &t->r->rows[b][set][s];

        if (x->n != n || y->n != n)
            continue;
        differences[seeds] = 0;
        for (size_t i = 0; i < n; i++)
            differences[seeds] += (x->right[i] - y->right[i]) / (double)n;
        seeds++;
    }
    o = over_seeds(differences, seeds);
    status = stats_paired_bootstrap(&paired, left, right, n, STATS_REPLICATES, 1, diag);
    buffer_format(t->md, "| %s - %s | %s | %+.1f | %+.1f .. %+.1f |", row_name(a), row_name(b), set_names[set],
                  100 * paired.difference.mean, 100 * paired.difference.low, 100 * paired.difference.high);
    put_p(t->md, paired.p);
    put_p(t->md, p);
    put_number(t->md, "%.1f", 100 * o.half);
    buffer_format(t->md, "\n");
    buffer_format(t->json, "%s\n{\"left\":\"%s\",\"right\":\"%s\",\"set\":\"%s\"", t->n_json++ ? "," : "", row_name(a),
                  row_name(b), set_names[set]);
    put_interval(t->json, "difference", &paired.difference);
    put_member(t->json, "p_bootstrap", paired.p);
    put_member(t->json, "p_mcnemar", p);
    put_member(t->json, "seeds_half_width", o.half);
    buffer_text(t->json, "}");
    return status;
}

static enum status put_pairs(struct table *t, struct diag *diag)
{
    enum status status = STATUS_OK;

    buffer_text(t->md, "\n## Paired comparisons\n\n| rows | set | difference | 95 % | p | McNemar | +- seeds |\n"
                       "|---|---|---:|---:|---:|---:|---:|\n");
    buffer_text(t->json, "\n],\n\"pairs\":[");
    t->n_json = 0;
    for (int set = 0; set < N_SETS; set++)
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs && !status; i++)
            status = put_pair(t, pairs[i][0], pairs[i][1], set, diag);
    return status;
}

/* ---- Gain recovered ---- */

static void put_recovered(struct table *t, int set, int row, int debate)
{
    double *a, *top, own = 0, all = 0;
    size_t n = per_question(t->r, row, set, 0, &a, &t->r->arena);
    struct stats_interval share;

    if (!n || n != t->n[set] || per_question(t->r, debate, set, 0, &top, &t->r->arena) != n)
        return;
    share = recovered(a, t->base[set], top, n);
    for (size_t s = 0; s < t->r->n_seeds; s++) {
        own += t->r->rows[row][set][s].tokens;
        all += t->r->rows[debate][set][s].tokens;
    }
    buffer_format(t->md, "| %s | %s | %s |", row_name(row), distill_row_about((enum distill_row)debate),
                  set_names[set]);
    put_number(t->md, "%.0f %%", isnan(share.low) ? NAN : 100 * share.mean); /* of a gain that is clear of zero */
    if (isnan(share.low))
        buffer_text(t->md, " - |");
    else
        buffer_format(t->md, " %.0f .. %.0f %% |", 100 * share.low, 100 * share.high);
    put_number(t->md, "1/%.1f", all / own);
    buffer_text(t->md, "\n");
    buffer_format(t->json, "%s\n{\"row\":\"%s\",\"of\":\"%s\",\"set\":\"%s\"", t->n_json++ ? "," : "", row_name(row),
                  row_name(debate), set_names[set]);
    put_interval(t->json, "share", &share);
    put_member(t->json, "tokens_share", own / all);
    buffer_text(t->json, "}");
}

static void put_all_recovered(struct table *t)
{
    static const int debates[] = {ROW_SELF_DEBATE, ROW_DEBATE};

    buffer_text(t->md, "\n## How much of a debate's gain over the student one answer has\n\n"
                       "Without a figure where the debate's own gain is not clear of zero.\n\n"
                       "| row | of | set | share | 95 % | tokens |\n|---|---|---|---:|---:|---:|\n");
    buffer_text(t->json, "\n],\n\"recovered\":[");
    t->n_json = 0;
    for (int set = 0; set < N_SETS; set++)
        for (int d = 0; d < 2; d++)
            for (int row = ROW_ANSWER; row < N_ROWS; row++)
                put_recovered(t, set, row, debates[d]);
}

/* ---- Majorities and stages ---- */

static enum status put_majorities(struct table *t, struct diag *diag)
{
    static const char *const roles[] = {"student", "teacher"};
    enum status status = STATUS_OK;

    buffer_text(t->md, "\n## Majority of as many samples as a debate has turns at most (test)\n\n"
                       "| model | right | +- seeds | tokens |\n|---|---:|---:|---:|\n");
    buffer_text(t->json, "\n],\n\"majority\":[");
    for (int role = 0; role < 2 && !status; role++) {
        double accuracy[MAX_SEEDS], tokens = 0;
        struct over_seeds o;
        size_t n = 0;

        for (size_t s = 0; s < t->r->n_seeds && !status; s++) {
            struct answers a;

            status = answers_read(
                &a, results_path(t->r, "majority/%s.%llu.jsonl", roles[role], (unsigned long long)t->r->seeds[s]),
                results_path(t->r, "questions/test.solved.jsonl"), &t->r->arena, diag);
            if (status || !a.there)
                continue;
            accuracy[n] = 0;
            for (size_t i = 0; i < a.n; i++)
                accuracy[n] += a.right[i] / (double)a.n;
            tokens += a.tokens;
            n++;
        }
        o = over_seeds(accuracy, n);
        if (!n)
            continue;
        buffer_format(t->md, "| %s | %.1f |", roles[role], 100 * o.mean);
        put_number(t->md, "%.1f", 100 * o.half);
        buffer_format(t->md, " %.0f |\n", tokens / (double)n);
        buffer_format(t->json, "%s\n{\"model\":\"%s\",\"accuracy\":%.6g,\"tokens\":%.6g", role ? "," : "", roles[role],
                      o.mean, tokens / (double)n);
        put_member(t->json, "seeds_half_width", o.half);
        buffer_text(t->json, "}");
    }
    return status;
}

static void put_object(struct buffer *json, const struct json *value)
{
    if (value)
        json_put(json, value);
    else
        buffer_text(json, "null");
}

/* What the debates and the reward model came to in training, seed by seed. */
static void put_training(struct table *t)
{
    buffer_text(
        t->md,
        "\n## Debates on the training questions, and the reward model on held-out ones\n\n"
        "| seed | single | vote | wrong to right | right to wrong | tokens | PRM: AUC of steps | to the first error | "
        "first-error F1 at 0 | at a threshold fitted to the other half | AUC of solutions | within a question | "
        "best of n | mean |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    buffer_text(t->json, "\n],\n\"training\":[");
    for (size_t s = 0; s < t->r->n_seeds; s++) {
        const struct json *stages = json_get(t->summaries[0][s], "stages"), *held = NULL, *prm = NULL;
        double seconds = 0;

        for (const struct json *i = stages ? stages->child : NULL; i; i = i->next) {
            const char *name = json_string(i, "stage", "");

            held = strcmp(name, "held-debates") == 0 ? i : held;
            prm = strcmp(name, "prm") == 0 ? json_get(i, "held_out") : prm;
            seconds += json_number(i, "seconds", 0);
        }
        buffer_format(t->md, "| %llu |", (unsigned long long)t->r->seeds[s]);
        put_number(t->md, "%.1f", 100 * json_number(held, "single", NAN));
        put_number(t->md, "%.1f", 100 * json_number(held, "vote", NAN));
        put_number(t->md, "%.0f", json_number(held, "wrong_to_right", NAN));
        put_number(t->md, "%.0f", json_number(held, "right_to_wrong", NAN));
        put_number(t->md, "%.0f", json_number(held, "tokens", NAN));
        put_number(t->md, "%.3f", json_number(prm, "step_auc", NAN));
        put_number(t->md, "%.3f", json_number(prm, "step_auc_to_first_error", NAN));
        put_number(t->md, "%.3f", json_number(prm, "first_error_f1", NAN));
        put_number(t->md, "%.3f", json_number(prm, "fitted_first_error_f1", NAN));
        put_number(t->md, "%.3f", json_number(prm, "solution_auc", NAN));
        put_number(t->md, "%.3f", json_number(prm, "within_question_auc", NAN));
        put_number(t->md, "%.1f", 100 * json_number(prm, "best_of_n", NAN));
        put_number(t->md, "%.1f", 100 * json_number(prm, "mean_of_n", NAN));
        buffer_text(t->md, "\n");
        buffer_format(t->json, "%s\n{\"seed\":%llu,\"training_stages_seconds\":%.0f,\"debates\":", s ? "," : "",
                      (unsigned long long)t->r->seeds[s], seconds);
        put_object(t->json, held);
        buffer_text(t->json, ",\"reward_model\":");
        put_object(t->json, prm);
        buffer_text(t->json, "}");
    }
}

/* ---- All ---- */

static void put_head(struct table *t)
{
    buffer_format(t->md, "# Results\n\nMade by `make experiment`; the settings are in settings.txt, the run's own copy "
                         "with all defaults in "
                         "its folder (config.txt). Seeds:");
    buffer_text(t->json, "{\"v\":1,\"seeds\":[");
    for (size_t s = 0; s < t->r->n_seeds; s++) {
        buffer_format(t->md, " %llu", (unsigned long long)t->r->seeds[s]);
        buffer_format(t->json, "%s%llu", s ? "," : "", (unsigned long long)t->r->seeds[s]);
    }
    buffer_text(t->md,
                ".\n\nright: share of questions answered rightly, in percent, by one greedy answer (debates: by "
                "the vote), mean of the seeds; "
                "+- seeds: half of Student's 95 % interval over the seeds (it knows nothing of the choice of "
                "questions); 95 %: bootstrap over the "
                "questions of the mean of the seeds; against base: paired with the untrained student, p of the "
                "same bootstrap, and of "
                "McNemar's exact test over the pairs of all seeds (which takes seeds as independent); sampled: mean "
                "single sample; vote: "
                "majority of the samples; tokens: generated for a question; wrong steps: steps an answer that "
                "compute what the reference solution "
                "does not; true eq: stated equations that hold; trained on, seconds: tokens and time of the "
                "row's own training.\n");
    buffer_text(t->json, "],\n\"rows\":[");
}

enum status put_tables(struct results *r, struct buffer *md, struct buffer *json, struct diag *diag)
{
    struct table t = {.r = r, .md = md, .json = json};
    enum status status = read_summaries(&t, diag);

    put_head(&t);
    for (int set = 0; set < N_SETS && !status; set++)
        status = put_set(&t, set, diag);
    if (!status)
        status = put_pairs(&t, diag);
    if (!status)
        put_all_recovered(&t);
    if (!status)
        status = put_majorities(&t, diag);
    if (!status)
        put_training(&t);
    buffer_text(json, "\n]");
    return status;
}
