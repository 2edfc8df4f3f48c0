/* ablations.c - one seed, fewer questions: each line one thing changed, beside what it is to be compared with. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "file.h"
#include "json.h"
#include "results.h"

static const struct {
    const char *group, *name, *file, *against; /* files of answers; against: NULL, none */
} lines[] = {
    {"student", "untrained", "agents-5/eval/base.test", NULL},
    {"agents", "3, debate", "agents-3/eval/debate.test", NULL},
    {"agents", "5, debate", "agents-5/eval/debate.test", "agents-3/eval/debate.test"},
    {"agents", "10, debate", "agents-10/eval/debate.test", "agents-5/eval/debate.test"},
    {"agents", "3, da", "agents-3/eval/da.test", "agents-5/eval/base.test"},
    {"agents", "5, da", "agents-5/eval/da.test", "agents-3/eval/da.test"},
    {"agents", "10, da", "agents-10/eval/da.test", "agents-5/eval/da.test"},
    {"traces", "1", "agents-5/eval/rsft.test", "agents-5/eval/base.test"},
    {"traces", "up to 3", "agents-5/eval/da.test", "agents-5/eval/rsft.test"},
    {"credit", "softmin", "agents-5/eval/pad.test", "agents-5/eval/base.test"},
    {"credit", "vppo", "credit-vppo", "agents-5/eval/base.test"},
    {"credit", "sum", "credit-sum", "agents-5/eval/base.test"},
    {"credit", "outcome", "credit-outcome", "agents-5/eval/base.test"},
    {"reward model's base", "student's", "agents-5/eval/pad.test", "agents-5/eval/base.test"},
    {"reward model's base", "teacher's", "base-teacher", "agents-5/eval/pad.test"},
    {"adapter", "beside the weights", "agents-5/eval/da.test", NULL},
    {"adapter", "merged, F32", "merged-F32", "agents-5/eval/da.test"},
    {"adapter", "merged, Q8_0", "merged-Q8_0", "agents-5/eval/da.test"},
};

static enum status read_answers(struct results *r, const char *name, struct answers *a, struct diag *diag)
{
    return answers_read(a, results_path(r, "ablation/%s.jsonl", name), results_path(r, "questions/test.solved.jsonl"),
                        &r->arena, diag);
}

static void put_against(struct buffer *md, struct buffer *json, const struct stats_paired *p, double mcnemar)
{
    buffer_format(md, " %+.1f (%+.1f .. %+.1f) | %.3f | %.2g |\n", 100 * p->difference.mean, 100 * p->difference.low,
                  100 * p->difference.high, p->p, mcnemar);
    buffer_format(json,
                  ",\"difference\":{\"value\":%.6g,\"low\":%.6g,\"high\":%.6g},\"p_bootstrap\":%.6g,\"p_mcnemar\":%.6g",
                  p->difference.mean, p->difference.low, p->difference.high, p->p, mcnemar);
}

static enum status put_line(struct results *r, size_t i, int *first, struct buffer *md, struct buffer *json,
                            struct diag *diag)
{
    struct answers a, b = {0};
    struct stats_interval right;
    struct stats_paired paired;
    uint64_t only_a = 0, only_b = 0;
    enum status status = read_answers(r, lines[i].file, &a, diag);

    if (!status && lines[i].against)
        status = read_answers(r, lines[i].against, &b, diag);
    if (!status && a.there)
        status = stats_bootstrap(&right, a.right, a.n, STATS_REPLICATES, 1, diag);
    if (status || !a.there)
        return status;
    buffer_format(md, "| %s | %s | %.1f | %.1f .. %.1f | %.0f | %.2f |", lines[i].group, lines[i].name,
                  100 * right.mean, 100 * right.low, 100 * right.high, a.tokens, a.wrong / (double)a.n);
    buffer_format(json,
                  "%s\n{\"group\":\"%s\",\"name\":\"%s\",\"questions\":%zu,\"accuracy\":{\"value\":%.6g,\"low\":%.6g,"
                  "\"high\":%.6g},\"tokens\":%.6g,\"wrong_steps\":%.6g",
                  *first ? "" : ",", lines[i].group, lines[i].name, a.n, right.mean, right.low, right.high, a.tokens,
                  a.wrong / (double)a.n);
    *first = 0;
    if (b.there && b.n == a.n) {
        for (size_t k = 0; k < a.n; k++) {
            only_a += a.right[k] > b.right[k];
            only_b += a.right[k] < b.right[k];
        }
        status = stats_paired_bootstrap(&paired, a.right, b.right, a.n, STATS_REPLICATES, 1, diag);
        buffer_format(md, " %s |", lines[i].against);
        buffer_format(json, ",\"against\":\"%s\"", lines[i].against);
        if (!status)
            put_against(md, json, &paired, stats_mcnemar(only_a, only_b));
    } else {
        buffer_text(md, " - | - | - | - |\n");
    }
    buffer_text(json, "}");
    return status;
}

/* What `arklet score` said of held-out steps: lines "name value n". */
static void put_scores(struct results *r, const char *name, struct buffer *md, struct buffer *json)
{
    const char *path = results_path(r, "ablation/%s.txt", name);
    struct file_lines file;
    char *line;
    size_t length;
    int n = 0;

    if (!path || !file_exists(path) || file_lines_open(&file, path, NULL))
        return;
    buffer_format(md, "\n%s, on held-out debates:", name);
    buffer_format(json, ",\n\"%s\":{", name);
    while (!file_lines_next(&file, &line, &length, NULL) && line) {
        char key[64];
        double value;

        if (sscanf(line, "%63s %lf", key, &value) != 2)
            continue;
        buffer_format(md, "%s %s %.4g", n ? "," : "", key, value);
        buffer_format(json, "%s\"%s\":%.6g", n++ ? "," : "", key, value);
    }
    buffer_text(md, ".\n");
    buffer_text(json, "}");
    file_lines_close(&file);
}

enum status put_ablations(struct results *r, struct buffer *md, struct buffer *json, struct diag *diag)
{
    enum status status = STATUS_OK;
    int first = 1;

    buffer_text(md,
                "\n## Ablations: one seed, fewer questions\n\n"
                "| what | which | right | 95 % | tokens | wrong steps | against | difference (95 %) | p | McNemar |\n"
                "|---|---|---:|---:|---:|---:|---|---:|---:|---:|\n");
    buffer_text(json, ",\n\"ablations\":[");
    for (size_t i = 0; i < sizeof lines / sizeof *lines && !status; i++)
        status = put_line(r, i, &first, md, json, diag);
    buffer_text(json, "\n]");
    put_scores(r, "prm-student", md, json);
    put_scores(r, "prm-teacher", md, json);
    buffer_text(json, "\n");
    return status;
}
