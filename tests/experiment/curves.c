/* curves.c - reward, accuracy and length in reinforcement as SVG: a thin line a seed, a thick one for their mean. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "file.h"
#include "metrics.h"
#include "results.h"

#define MAX_STEPS 4096
#define WIDTH     720
#define HEIGHT    360
#define LEFT      64
#define RIGHT     120
#define TOP       40
#define BOTTOM    48
#define SMOOTH    5 /* steps of the running mean */

static const enum distill_row learners[] = {ROW_RL, ROW_PAD, ROW_DA_PAD};
static const char *const colours[] = {"#1b6ca8", "#d1495b", "#2e8b57"};
#define N_LEARNERS 3

static const struct {
    const char *file, *column, *title;
    double scale;
} curves[] = {
    {"reward.svg", "reward", "reward of a sample (training questions)", 1},
    {"accuracy.svg", "rewards/answer/mean", "right samples, percent (training questions)", 100},
    {"length.svg", "completions/mean_length", "tokens of a sample (training questions)", 1},
};

struct series {
    double value[MAX_STEPS]; /* by step from 1; NaN: none */
    size_t n;
};

struct drawing {
    struct series *seeds[N_LEARNERS][MAX_SEEDS], *mean[N_LEARNERS];
    double low, high;
    size_t steps;
};

static enum status read_series(struct series *s, const char *path, const char *column, double scale, struct diag *diag)
{
    struct file_lines file;
    size_t length, at = 0;
    char *line;
    enum status status;

    for (size_t i = 0; i < MAX_STEPS; i++)
        s->value[i] = NAN;
    if (!path || !file_exists(path))
        return STATUS_OK;
    status = file_lines_open(&file, path, diag);
    while (!status && !(status = file_lines_next(&file, &line, &length, diag)) && line) {
        unsigned long step = strtoul(line, NULL, 10);
        const char *text;
        char *end;

        if (file.number == 1) {
            at = metrics_column(line, column);
            continue;
        }
        text = metrics_field(line, at);
        if (step > 0 && step < MAX_STEPS) {
            double value = strtod(text, &end);

            s->value[step] = end == text ? NAN : scale * value;
            s->n = s->n > step ? s->n : step;
        }
    }
    file_lines_close(&file);
    return status;
}

/* Means of the last SMOOTH steps. */
static void smooth(struct series *s)
{
    for (size_t i = s->n; i > 0; i--) {
        double sum = 0;
        int n = 0;

        for (size_t k = i; k > 0 && k + SMOOTH > i; k--)
            if (!isnan(s->value[k])) {
                sum += s->value[k];
                n++;
            }
        s->value[i] = n ? sum / n : NAN;
    }
}

static void average(struct drawing *d, int learner, size_t n_seeds)
{
    struct series *mean = d->mean[learner];

    for (size_t i = 0; i < MAX_STEPS; i++) {
        double sum = 0;
        int n = 0;

        for (size_t s = 0; s < n_seeds; s++)
            if (!isnan(d->seeds[learner][s]->value[i])) {
                sum += d->seeds[learner][s]->value[i];
                n++;
            }
        mean->value[i] = n ? sum / n : NAN;
        if (!n)
            continue;
        mean->n = i;
        d->steps = i > d->steps ? i : d->steps;
        for (size_t s = 0; s < n_seeds; s++) {
            d->low = fmin(d->low, d->seeds[learner][s]->value[i]);
            d->high = fmax(d->high, d->seeds[learner][s]->value[i]);
        }
    }
}

/* ---- SVG ---- */

static double x_of(const struct drawing *d, double step)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * (d->steps > 1 ? (step - 1) / (double)(d->steps - 1) : 0.5);
}

static double y_of(const struct drawing *d, double value)
{
    return TOP + (HEIGHT - TOP - BOTTOM) * (d->high > d->low ? (d->high - value) / (d->high - d->low) : 0.5);
}

static void put_series(struct buffer *out, const struct drawing *d, const struct series *s, const char *colour,
                       const char *width)
{
    buffer_format(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" stroke-opacity=\"%s\" points=\"",
                  colour, width, width[0] == '1' ? "0.35" : "1");
    for (size_t i = 1; i <= s->n; i++)
        if (!isnan(s->value[i]))
            buffer_format(out, "%.1f,%.1f ", x_of(d, (double)i), y_of(d, s->value[i]));
    buffer_text(out, "\"/>\n");
}

static void put_axes(struct buffer *out, const struct drawing *d, const char *title)
{
    buffer_format(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
        "font-size=\"12\">\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n<text x=\"%d\" y=\"22\" font-size=\"14\">%s</text>\n",
        WIDTH, HEIGHT, LEFT, title);
    for (int i = 0; i <= 4; i++) {
        double value = d->low + (d->high - d->low) * i / 4, y = y_of(d, value),
               step = 1 + (double)(d->steps - 1) * i / 4;

        buffer_format(
            out,
            "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#dddddd\"/>\n<text x=\"%d\" y=\"%.1f\" "
            "text-anchor=\"end\">%.3g</text>\n<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n",
            LEFT, y, WIDTH - RIGHT, y, LEFT - 8, y + 4, value, x_of(d, step), HEIGHT - BOTTOM + 18, step);
    }
    buffer_format(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">step</text>\n", (LEFT + WIDTH - RIGHT) / 2,
                  HEIGHT - 10);
}

static void put_drawing(struct buffer *out, const struct drawing *d, size_t n_seeds, const char *title)
{
    put_axes(out, d, title);
    for (int l = 0; l < N_LEARNERS; l++) {
        if (!d->mean[l]->n)
            continue;
        for (size_t s = 0; s < n_seeds; s++)
            put_series(out, d, d->seeds[l][s], colours[l], "1");
        put_series(out, d, d->mean[l], colours[l], "2.5");
        buffer_format(out, "<text x=\"%d\" y=\"%d\" fill=\"%s\">%s</text>\n", WIDTH - RIGHT + 12, TOP + 20 + 20 * l,
                      colours[l], distill_row_name(learners[l]));
    }
    buffer_text(out, "</svg>\n");
}

static enum status put_curve(struct results *r, size_t i, struct drawing *d, int *drawn, struct diag *diag)
{
    struct buffer out = {0};
    char path[1024];
    enum status status = STATUS_OK;

    for (int l = 0; l < N_LEARNERS; l++)
        for (size_t s = 0; s < r->n_seeds && !status; s++) {
            memset(d->seeds[l][s], 0, sizeof *d->seeds[l][s]);
            status = read_series(d->seeds[l][s],
                                 results_path(r, "seed-%llu/%s/metrics.csv", (unsigned long long)r->seeds[s],
                                              distill_row_name(learners[l])),
                                 curves[i].column, curves[i].scale, diag);
            smooth(d->seeds[l][s]);
        }
    d->low = INFINITY;
    d->high = -INFINITY;
    d->steps = 0;
    for (int l = 0; l < N_LEARNERS; l++) {
        d->mean[l]->n = 0;
        average(d, l, r->n_seeds);
    }
    *drawn = d->steps > 0;
    if (status || !*drawn)
        return status;
    put_drawing(&out, d, r->n_seeds, curves[i].title);
    snprintf(path, sizeof path, "%s/%s", r->out, curves[i].file);
    status = out.failed ? diag_fail(diag, STATUS_MEMORY, "out of memory") : file_save(path, out.data, out.length, diag);
    buffer_free(&out);
    return status;
}

enum status put_curves(struct results *r, struct buffer *md, struct diag *diag)
{
    static struct drawing d;
    struct series *series = arena_array(&r->arena, N_LEARNERS * (MAX_SEEDS + 1), sizeof *series);
    enum status status = series ? STATUS_OK : diag_fail(diag, STATUS_MEMORY, "out of memory");

    for (int l = 0; series && l < N_LEARNERS; l++) {
        d.mean[l] = &series[l * (MAX_SEEDS + 1) + MAX_SEEDS];
        for (int s = 0; s < MAX_SEEDS; s++)
            d.seeds[l][s] = &series[l * (MAX_SEEDS + 1) + s];
    }
    buffer_format(md, "\n## Curves of reinforcement\n\nMeans of the last %d steps; thin: a seed, thick: the mean.\n",
                  SMOOTH);
    for (size_t i = 0; i < sizeof curves / sizeof *curves && !status; i++) {
        int drawn = 0;

        status = put_curve(r, i, &d, &drawn, diag);
        if (drawn)
            buffer_format(md, "\n![%s](%s)\n", curves[i].title, curves[i].file);
    }
    return status;
}
