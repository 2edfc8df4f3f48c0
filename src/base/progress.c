/* progress.c - the text of the progress line.
 *
 *   sft 120/600 (20 %)  95.3 tok/s  loss 1.234  2m40s left
 *
 * Invariants: lines come at most once per interval, apart from the last one of a stage, which always comes.
 * Leaves out: printing (the caller's sink), and carriage returns for terminals. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "progress.h"

double progress_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_begin(struct progress *progress, const char *stage, const char *unit)
{
    progress->stage = stage;
    progress->unit = unit;
    progress->before = 0;
    progress->started = progress_now();
    progress->last = progress->started;
}

static void format_time(char *out, size_t size, double seconds)
{
    unsigned long s = seconds < 1e9 ? (unsigned long)(seconds + 0.5) : 1000000000ul;

    if (s < 60)
        snprintf(out, size, "%lus", s);
    else if (s < 3600)
        snprintf(out, size, "%lum%02lus", s / 60, s % 60);
    else if (s < 48 * 3600)
        snprintf(out, size, "%luh%02lum", s / 3600, s / 60 % 60);
    else
        snprintf(out, size, "%lud%02luh", s / 86400, s / 3600 % 24);
}

/* The part that counts: "120/600 (20 %)", or "120" when the total is not known. */
static void format_count(char *out, size_t size, uint64_t done, uint64_t total)
{
    if (total >= done && total)
        snprintf(out, size, "%llu/%llu (%.0f %%)", (unsigned long long)done, (unsigned long long)total,
                 floor(100.0 * (double)done / (double)total));
    else
        snprintf(out, size, "%llu", (unsigned long long)done);
}

static void report(struct progress *progress, uint64_t done, uint64_t total, double work, const char *note, int final)
{
    double elapsed = progress_now() - progress->started;
    double rate = elapsed > 0 ? work / elapsed : 0;
    int known = !final && total >= done && done > progress->before; /* the time left */
    char count[64], time[32], line[512];

    if (!progress->sink)
        return;
    format_count(count, sizeof count, done, total);
    format_time(time, sizeof time,
                known ? elapsed * (double)(total - done) / (double)(done - progress->before) : elapsed);
    snprintf(line, sizeof line, "%s %s  %.*f %s%s%.300s  %s%s", progress->stage, count, rate < 100 ? 1 : 0, rate,
             progress->unit, note && *note ? "  " : "", note ? note : "", time, known ? " left" : "");
    progress->sink(progress->context, line, final);
}

void progress_update(struct progress *progress, uint64_t done, uint64_t total, double work, const char *note)
{
    double t = progress_now();

    if (t - progress->last < progress->interval)
        return;
    progress->last = t;
    report(progress, done, total, work, note, 0);
}

void progress_end(struct progress *progress, uint64_t done, uint64_t total, double work, const char *note)
{
    report(progress, done, total, work, note, 1);
}
