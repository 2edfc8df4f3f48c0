/* bench_print.c - the table of `arklet bench` as Markdown (llama-bench's columns and ours), CSV and JSON. */
#include <stdio.h>
#include <string.h>
#include "bench.h"

#define MEBIBYTE 1048576.0

static void print_share(const char *before, double share, const char *otherwise)
{
    if (share < 0)
        printf("%s%s", before, otherwise);
    else
        printf("%s%.4f", before, share);
}

static void percent(char *out, size_t size, double share)
{
    if (share < 0)
        snprintf(out, size, "-");
    else
        snprintf(out, size, "%.1f %%", 100 * share);
}

static void print_markdown(const struct bench_model *model, const struct exec *exec, const struct bench_row *rows,
                           size_t n)
{
    printf("| model                |        size |     params | backend    | threads | test            |"
           "                  t/s |   GB/s | bandwidth |    peak |\n"
           "| -------------------- | ----------: | ---------: | ---------- | ------: | --------------- |"
           " -------------------: | -----: | --------: | ------: |\n");
    for (size_t i = 0; i < n; i++) {
        char rate[48], bandwidth[16], peak[16];

        snprintf(rate, sizeof rate, "%.2f ± %.2f", rows[i].avg_ts, rows[i].stddev_ts);
        percent(bandwidth, sizeof bandwidth, rows[i].bandwidth_share);
        percent(peak, sizeof peak, rows[i].peak_share);
        printf("| %-20s | %7.2f MiB | %8.2f M | %-10s | %7d | %-15s | %21s | %6.2f | %9s | %7s |\n", model->name,
               (double)model->pass_bytes / MEBIBYTE, (double)model->params / 1e6, exec->kernels->name,
               pool_size(exec->pool), rows[i].test, rate, rows[i].gbps, bandwidth, peak);
    }
}

static void print_csv(const struct bench_row *rows, size_t n)
{
    printf("test,n_prompt,n_gen,n_seq,avg_ts,stddev_ts,gbps,bandwidth_share,peak_share\n");
    for (size_t i = 0; i < n; i++) {
        printf("%s,%zu,%zu,%zu,%.6f,%.6f,%.4f", rows[i].test, rows[i].n_prompt, rows[i].n_gen, rows[i].n_seq,
               rows[i].avg_ts, rows[i].stddev_ts, rows[i].gbps);
        print_share(",", rows[i].bandwidth_share, "");
        print_share(",", rows[i].peak_share, "");
        putchar('\n');
    }
}

static void print_json(const struct bench_row *rows, size_t n)
{
    printf("[");
    for (size_t i = 0; i < n; i++) {
        printf("%s\n  {\"test\": \"%s\", \"n_prompt\": %zu, \"n_gen\": %zu, \"n_seq\": %zu, ", i ? "," : "",
               rows[i].test, rows[i].n_prompt, rows[i].n_gen, rows[i].n_seq);
        printf("\"avg_ts\": %.6f, \"stddev_ts\": %.6f, \"gbps\": %.4f", rows[i].avg_ts, rows[i].stddev_ts,
               rows[i].gbps);
        print_share(", \"bandwidth_share\": ", rows[i].bandwidth_share, "null");
        print_share(", \"peak_share\": ", rows[i].peak_share, "null");
        printf("}");
    }
    printf("\n]\n");
}

void bench_print(const char *format, const struct bench_model *model, const struct exec *exec,
                 const struct bench_row *rows, size_t n)
{
    if (strcmp(format, "csv") == 0)
        print_csv(rows, n);
    else if (strcmp(format, "json") == 0)
        print_json(rows, n);
    else
        print_markdown(model, exec, rows, n);
}

void bench_print_times(const struct bench_row *row)
{
    const struct forward_times *t = &row->times;
    double known = t->norm + t->linear + t->rope + t->attention + t->swiglu + t->head;
    double scale = row->seconds > 0 ? 100 / row->seconds : 0;

    fprintf(stderr,
            "%s: matrix products %.1f %%, attention %.1f %%, norms and embedding %.1f %%, rope and cache %.1f %%, "
            "gate %.1f %%, head %.1f %%, other %.1f %%",
            row->test, t->linear * scale, t->attention * scale, t->norm * scale, t->rope * scale, t->swiglu * scale,
            t->head * scale, (row->seconds - known) * scale);
    if (row->linear_share >= 0)
        fprintf(stderr, "; products alone at %.1f %% of the peak", 100 * row->linear_share);
    fputc('\n', stderr);
}
