/* test_status.c - the line that a failure leaves; the progress line; random numbers. */
#include <math.h>

#include "progress.h"
#include "rng.h"
#include "status.h"
#include "test.h"

static void diag_is_one_clean_line(void)
{
    char huge[2000];
    struct diag diag;

    CHECK(diag_fail(NULL, STATUS_IO, "ignored %d", 1) == STATUS_IO);
    CHECK(diag_fail(&diag, STATUS_FORMAT, "%s: expected %d",
                    "a\nb\033[31m\x7F"
                    "c",
                    3) == STATUS_FORMAT);
    CHECK(diag.status == STATUS_FORMAT && strcmp(diag.message, "a?b?[31m?c: expected 3") == 0);
    memset(huge, 'x', sizeof huge);
    huge[sizeof huge - 1] = 0;
    diag_fail(&diag, STATUS_IO, "%s", huge);
    CHECK(strlen(diag.message) == sizeof diag.message - 1);
    for (size_t i = 0; i + 2 < sizeof huge; i += 2)
        memcpy(huge + i, "\xC3\xA9", 2);
    diag_fail(&diag, STATUS_IO, "%s", huge); /* 511 bytes would end inside a character */
    CHECK(strlen(diag.message) == sizeof diag.message - 2);
}

static char last_line[400];
static int n_lines, n_final;

static void keep_line(void *context, const char *line, int final)
{
    (void)context;
    snprintf(last_line, sizeof last_line, "%s", line);
    n_lines++;
    n_final += final;
}

static void progress_lines(void)
{
    struct progress progress = {0};
    double rate;

    progress_begin(&progress, "silent", "tok/s");
    progress_update(&progress, 1, 2, 3, NULL);
    progress_end(&progress, 2, 2, 3, NULL);
    progress.sink = keep_line;
    progress_begin(&progress, "sft", "tok/s");
    progress_update(&progress, 30, 120, 5000, "loss 1.234");
    CHECK(strstr(last_line, "sft 30/120 (25 %)") == last_line);
    CHECK(strstr(last_line, "tok/s") && strstr(last_line, "loss 1.234") && strstr(last_line, " left"));
    progress.started -= 60; /* a quarter took a minute: three are left */
    progress_update(&progress, 30, 120, 6000, NULL);
    CHECK_MSG(strstr(last_line, "  3m0") && sscanf(last_line, "sft 30/120 (25 %%) %lf tok/s", &rate) == 1 &&
                  rate > 95 && rate <= 100,
              "%s", last_line);
    progress_update(&progress, 7, 0, 6000, "");
    CHECK(strstr(last_line, "sft 7  ") == last_line && !strstr(last_line, "left"));
    progress.before = 20; /* ten of the thirty are of this minute: nine are left */
    progress_update(&progress, 30, 120, 6000, NULL);
    CHECK_MSG(strstr(last_line, "sft 30/120 (25 %)") == last_line && strstr(last_line, "  9m0") &&
                  strstr(last_line, " left"),
              "%s", last_line);
    progress_update(&progress, 20, 120, 0, NULL); /* nothing yet: nothing is known */
    CHECK_MSG(strstr(last_line, "sft 20/120 (16 %)") == last_line && !strstr(last_line, "left"), "%s", last_line);
    progress_update(&progress, 121, 120, 0, NULL);
    CHECK_MSG(strstr(last_line, "sft 121  ") == last_line && !strstr(last_line, "left"), "%s", last_line);
    progress_begin(&progress, "sft", "tok/s");
    CHECK(progress.before == 0);
    progress.interval = 1000;
    n_lines = 0;
    for (int i = 0; i < 100; i++)
        progress_update(&progress, 31, 120, 6000, NULL);
    CHECK(n_lines == 0 && n_final == 0);
    progress_end(&progress, 120, 120, 24000, NULL);
    CHECK(n_lines == 1 && n_final == 1 && strstr(last_line, "(100 %)"));
}

/* Computed by an independent implementation of the formula in rng.c (Python integers). Never change: files depend on
 * these numbers. */
static void rng_golden(void)
{
    CHECK(rng_bits(0, RNG_SAMPLE, 0, 0, 0) == 0xC739F5EC15A29D83u);
    CHECK(rng_bits(42, RNG_INIT, 1, 2, 3) == 0x2D55EA41400D33F0u);
    CHECK(rng_bits(UINT64_MAX, RNG_WORLD, UINT64_MAX, 7, 0) == 0xBB30C0D9615A9DDFu);
    CHECK(rng_hash("") == 0xCBF29CE484222325u);
    CHECK(rng_hash("a") == 0xAF63DC4C8601EC8Cu); /* published FNV-1a test vectors */
    CHECK(rng_hash("foobar") == 0x85944171F73967E8u);
    CHECK(rng_unit(0) == 0.0 && rng_unit(UINT64_MAX) < 1.0 && rng_unit(UINT64_MAX) > 1 - 1e-15);
    CHECK(rng_below(0, 10) == 0 && rng_below(UINT64_MAX, 10) == 9 && rng_below(UINT64_MAX, 1) == 0);
}

/* Every bit of the output must depend on every bit of every input: flipping one input bit flips each output bit half of
 * the time. 4000 trials: standard deviation 0.008; 6 of them is never passed by chance in 64 * 5 * 64 cells. */
#define AVALANCHE_BOUND 0.05

static void rng_avalanche(void)
{
    enum { TRIALS = 4000 };
    static int flips[5][64][64];

    for (uint64_t trial = 0; trial < TRIALS; trial++) {
        uint64_t in[4] = {trial, trial % 7, trial / 7, trial % 3};
        uint64_t base = rng_bits(in[0], RNG_TEST, in[1], in[2], in[3]);
        for (int input = 0; input < 4; input++)
            for (int bit = 0; bit < 64; bit += 1 + 62 * (test_quick() != 0)) {
                uint64_t out;
                in[input] ^= (uint64_t)1 << bit;
                out = rng_bits(in[0], RNG_TEST, in[1], in[2], in[3]) ^ base;
                in[input] ^= (uint64_t)1 << bit;
                for (int o = 0; o < 64; o++)
                    flips[input][bit][o] += (int)(out >> o & 1);
            }
    }
    for (int input = 0; input < 4; input++)
        for (int bit = 0; bit < 64; bit += 1 + 62 * (test_quick() != 0))
            for (int o = 0; o < 64; o++)
                CHECK_MSG(fabs(flips[input][bit][o] / (double)TRIALS - 0.5) < AVALANCHE_BOUND,
                          "input %d bit %d output %d: %d of %d", input, bit, o, flips[input][bit][o], TRIALS);
}

/* Consecutive counters, as the sampler uses them, fill the unit interval evenly: chi-square over 256 cells with 255
 * degrees of freedom; 380 is beyond the 99.9999 % point. */
#define CHI_SQUARE_BOUND 380.0

static void rng_uniform(void)
{
    enum { DRAWS = 256000 };
    static int cells[256], below[10];
    double chi = 0;

    for (uint64_t i = 0; i < DRAWS; i++) {
        uint64_t bits = rng_bits(1, RNG_SAMPLE, i / 1000, i % 1000, 0);
        cells[(int)(rng_unit(bits) * 256)]++;
        below[rng_below(bits, 10)]++;
    }
    for (int c = 0; c < 256; c++)
        chi += (cells[c] - 1000.0) * (cells[c] - 1000.0) / 1000.0;
    CHECK_MSG(chi < CHI_SQUARE_BOUND, "chi-square %.1f", chi);
    for (int c = 0; c < 10; c++)
        CHECK_MSG(abs(below[c] - DRAWS / 10) < 1000, "%d of %d below", below[c], c);
}

int main(void)
{
    RUN(diag_is_one_clean_line);
    RUN(progress_lines);
    RUN(rng_golden);
    RUN(rng_avalanche);
    RUN(rng_uniform);
    return TEST_RESULT();
}
