/* test_sampler.c - choices against a naive sampler (full sort, double precision), ties, extremes, equal tiers. */
#include "test.h"
#include <math.h>
#include "arena.h"
#include "rng.h"
#include "sampler.h"

/* The draw is an inverse cumulative distribution over f32 weights (relative error 1e-7 each, the sums of chunks of 1024
 * somewhat more): the reference interval of the chosen token must hold the random number within this share of the
 * total. Measured over 10^6 draws: 3.9e-8. */
#define DRAW_TOLERANCE 5e-7
/* The set that top-p keeps may differ from the reference by tokens whose cumulative mass is this close to p. */
#define NUCLEUS_TOLERANCE 1e-6
/* logit - (max + log sum) in f32 for logits up to 40: half an ulp of 40 twice, and the sum's 1e-6. Measured: 7.9e-7. */
#define LOGPROB_TOLERANCE 4e-6

#define MAX_IDS 20000

static float *logits;
static struct candidate *scratch;
static const struct row_kernels *rows;

struct ranked {
    double logit;
    int32_t id;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    return x->logit > y->logit ? -1 : x->logit < y->logit ? 1 : x->id - y->id;
}

static int by_id(const void *a, const void *b)
{
    return ((const struct ranked *)a)->id - ((const struct ranked *)b)->id;
}

static double unit_at(uint64_t i, uint64_t j)
{
    return rng_unit(rng_bits(11, RNG_TEST, i, j, 0));
}

static void random_logits(size_t n, uint64_t salt, double spread)
{
    for (size_t i = 0; i < n; i++) {
        double u = unit_at(salt, 2 * i) + 1e-12, v = unit_at(salt, 2 * i + 1);

        logits[i] = (float)(spread * sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
    }
}

/* Mass of list[0..n) relative to the best, at a temperature. */
static double mass_of(const struct ranked *list, size_t n, double max, double temperature)
{
    double mass = 0;

    for (size_t i = 0; i < n; i++)
        mass += exp((list[i].logit - max) / temperature);
    return mass;
}

/* Whether the choice fits the definition; a short reason when not. */
static const char *wrong_choice(const struct sampling *s, size_t n, uint64_t position, int32_t id)
{
    static struct ranked list[MAX_IDS];
    size_t kept = n;
    double max, before = 0, total, unit = rng_unit(rng_bits(s->seed, RNG_SAMPLE, s->stream, position, 0)), mine;

    for (size_t i = 0; i < n; i++)
        list[i] = (struct ranked){(double)logits[i], (int32_t)i};
    qsort(list, n, sizeof *list, by_rank);
    max = list[0].logit;
    kept = s->top_k > 0 && (size_t)s->top_k < n ? (size_t)s->top_k : n;
    if (s->top_p < 1) {
        double all = mass_of(list, kept, max, 1), mass = 0;
        size_t k = 0;

        while (k < kept && (k == 0 || mass < (double)s->top_p * all))
            mass += exp(list[k++].logit - max);
        /* Whether the token at the edge stays may be a matter of rounding: then the draw is not compared. */
        if (fabs(mass - (double)s->top_p * all) < NUCLEUS_TOLERANCE * all ||
            fabs(mass - exp(list[k - 1].logit - max) - (double)s->top_p * all) < NUCLEUS_TOLERANCE * all)
            return NULL;
        kept = k;
    }
    while (kept > 1 && exp(list[kept - 1].logit - max) < (double)s->min_p)
        kept--;
    if (s->top_k <= 0 || (size_t)s->top_k >= n)
        qsort(list, kept, sizeof *list, by_id);
    total = mass_of(list, kept, max, (double)s->temperature);
    for (size_t i = 0; i < kept; i++) {
        mine = exp((list[i].logit - max) / (double)s->temperature);
        if (list[i].id == id) {
            return unit * total < before - DRAW_TOLERANCE * total          ? "before its share"
                   : unit * total > before + mine + DRAW_TOLERANCE * total ? "after its share"
                                                                           : NULL;
        }
        before += mine;
    }
    return "a token that the filters drop";
}

static void check_settings(struct sampling s, size_t n, double spread, size_t draws)
{
    random_logits(n, n + (size_t)(spread * 100), spread);
    for (size_t i = 0; i < draws; i++) {
        int32_t id = sampler_choose(&s, rows, logits, n, i, scratch, NULL);
        const char *wrong = wrong_choice(&s, n, i, id);

        CHECK_MSG(!wrong, "n %zu spread %g T %g k %d p %g m %g, draw %zu: id %d is %s", n, spread,
                  (double)s.temperature, s.top_k, (double)s.top_p, (double)s.min_p, i, (int)id, wrong);
    }
}

static void test_choices_follow_the_definition(void)
{
    static const size_t sizes[] = {1, 2, 15, 16, 17, 1000, 1024, 1025, 5000};
    static const double spreads[] = {0.0, 0.3, 2.0, 12.0};
    static const struct sampling settings[] = {
        {1, 0, 1, 0, 1, 0},       {0.7f, 0, 1, 0, 2, 5}, {2.5f, 0, 1, 0, 3, 0}, {0.8f, 40, 0.95f, 0.05f, 4, 1},
        {1, 5, 1, 0, 5, 0},       {1, 1, 1, 0, 6, 0},    {1, 0, 0.9f, 0, 7, 0}, {1.3f, 0, 0.5f, 0.01f, 8, 0},
        {0.9f, 0, 1, 0.1f, 9, 0}, {1, 0, 0, 0, 10, 0},   {1, 0, 1, 1, 11, 0},   {1, 200, 0.7f, 0, 12, 3},
    };

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t j = 0; j < sizeof spreads / sizeof *spreads; j++)
            for (size_t k = 0; k < sizeof settings / sizeof *settings; k++)
                check_settings(settings[k], sizes[i], spreads[j], test_quick() || sizes[i] > 2000 ? 2 : 12);
    }
}

/* Over many positions each token comes up as often as its probability says (chi-square with 9 degrees of freedom:
 * above 27.9 with probability 0.001; the seed is fixed). */
static void test_frequencies(void)
{
    struct sampling s = {1, 0, 1, 0, 21, 0};
    size_t counts[10] = {0}, draws = test_quick() ? 2000 : 50000;
    double total, chi = 0;

    random_logits(10, 77, 1.0);
    total = 0;
    for (size_t i = 0; i < draws; i++)
        counts[sampler_choose(&s, rows, logits, 10, i, scratch, NULL)]++;
    for (size_t i = 0; i < 10; i++)
        total += exp((double)logits[i]);
    for (size_t i = 0; i < 10; i++) {
        double expected = (double)draws * exp((double)logits[i]) / total;

        chi += ((double)counts[i] - expected) * ((double)counts[i] - expected) / expected;
    }
    CHECK_MSG(chi < 27.9, "chi-square %g", chi);
}

static void test_ties_take_the_lowest_id(void)
{
    struct sampling greedy = {0, 40, 0.9f, 0.1f, 0, 0}, one = {1, 1, 1, 0, 0, 0}, two = {1, 2, 1, 0, 0, 0};
    struct sampling nucleus = {1, 0, 0.1f, 0, 0, 0};
    size_t n = 100;

    for (size_t i = 0; i < n; i++)
        logits[i] = i % 7 == 3 ? 2.0f : 1.0f;
    CHECK(sampler_choose(&greedy, rows, logits, n, 0, scratch, NULL) == 3);
    for (uint64_t i = 0; i < 50; i++) {
        int32_t id = sampler_choose(&two, rows, logits, n, i, scratch, NULL);

        CHECK(sampler_choose(&one, rows, logits, n, i, scratch, NULL) == 3);
        CHECK(id == 3 || id == 10);
        /* 15 tokens of weight e, 85 of weight 1: a tenth is 12.6, five of the best */
        id = sampler_choose(&nucleus, rows, logits, n, i, scratch, NULL);
        CHECK(id % 7 == 3 && id <= 3 + 7 * 4);
    }
    logits[3] = 0.0f;
    logits[0] = -0.0f;
    logits[1] = 0.0f;
    CHECK(sampler_choose(&greedy, rows, logits, 2, 0, scratch, NULL) == 0);
}

static void test_non_finite_logits_are_reported(void)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    struct sampling s = {1, 0, 0.9f, 0, 0, 0};

    for (size_t k = 0; k < 3; k++) {
        for (size_t i = 0; i < 37; i += 4) {
            random_logits(37, 5, 1);
            logits[i] = bad[k];
            s.temperature = (float)(i % 2);
            CHECK(sampler_choose(&s, rows, logits, 37, 0, scratch, NULL) == -1);
            CHECK(isnan(sampler_logprob(rows, logits, 37, 0)));
        }
    }
}

static void test_extreme_values(void)
{
    struct sampling s = {1e-38f, 0, 1, 0, 0, 0};

    logits[0] = -3e38f;
    logits[1] = 3e38f;
    logits[2] = 2.9e38f;
    for (uint64_t i = 0; i < 20; i++) {
        s.top_p = i % 2 ? 0.9f : 1;
        s.min_p = i % 4 > 1 ? 0.2f : 0;
        s.top_k = i % 5 == 1 ? 2 : 0;
        CHECK(sampler_choose(&s, rows, logits, 3, i, scratch, NULL) == 1);
    }
    s = (struct sampling){1e30f, 0, 1, 0, 0, 0}; /* hotter than everything: uniform, any id is right */
    CHECK(sampler_choose(&s, rows, logits, 3, 0, scratch, NULL) >= 0);
}

static void test_logprobs(void)
{
    struct sampling s = {0.7f, 40, 0.9f, 0, 3, 0};

    for (size_t n = 1; n < 4000; n = n * 3 + 1) {
        double max, total = 0;
        float logprob = 1;
        int32_t id;

        random_logits(n, n, 9);
        max = (double)rows->max(logits, n);
        for (size_t i = 0; i < n; i++)
            total += exp((double)logits[i] - max);
        id = sampler_choose(&s, rows, logits, n, 7, scratch, &logprob);
        CHECK(id >= 0);
        CHECK_MSG(fabs((double)logprob - ((double)logits[id] - max - log(total))) < LOGPROB_TOLERANCE, "n %zu: %.9g", n,
                  (double)logprob);
        CHECK(logprob == sampler_logprob(rows, logits, n, id));
    }
}

/* A choice depends on seed, stream and position, and on nothing else. */
static void test_streams(void)
{
    struct sampling a = {1, 0, 1, 0, 1, 0}, b = {1, 0, 1, 0, 1, 1}, c = {1, 0, 1, 0, 2, 0};
    size_t same_ab = 0, same_ac = 0, same_next = 0;

    random_logits(500, 3, 0.5);
    for (uint64_t i = 0; i < 100; i++) {
        int32_t id = sampler_choose(&a, rows, logits, 500, i, scratch, NULL);

        CHECK(id == sampler_choose(&a, rows, logits, 500, i, scratch, NULL));
        same_ab += id == sampler_choose(&b, rows, logits, 500, i, scratch, NULL);
        same_ac += id == sampler_choose(&c, rows, logits, 500, i, scratch, NULL);
        same_next += id == sampler_choose(&a, rows, logits, 500, i + 1, scratch, NULL);
    }
    CHECK(same_ab < 10 && same_ac < 10 && same_next < 10);
}

static void test_tiers_choose_alike(void)
{
    static const struct sampling settings[] = {
        {1, 0, 1, 0, 1, 0}, {0.7f, 40, 0.95f, 0.05f, 2, 0}, {1, 0, 0.9f, 0, 3, 0}, {0.9f, 0, 1, 0.1f, 4, 0}};
    size_t n = test_quick() ? 1030 : 15000;

    random_logits(n, 19, 2.5);
    for (size_t k = 0; k < sizeof settings / sizeof *settings; k++) {
        for (uint64_t i = 0; i < 10; i++) {
            float expected, found;
            int32_t id = sampler_choose(&settings[k], kernels_at(0)->rows, logits, n, i, scratch, &expected);

            for (size_t tier = 1; kernels_at(tier); tier++) {
                const struct kernels *kernels = kernels_at(tier);

                CHECK_MSG(sampler_choose(&settings[k], kernels->rows, logits, n, i, scratch, &found) == id &&
                              memcmp(&expected, &found, sizeof found) == 0,
                          "%s", kernels->name);
            }
        }
    }
}

int main(void)
{
    struct arena arena;

    arena_init(&arena, "test", 0);
    logits = arena_array(&arena, MAX_IDS, sizeof *logits);
    scratch = arena_array(&arena, MAX_IDS, sizeof *scratch);
    rows = kernels_find(NULL)->rows;
    RUN(test_choices_follow_the_definition);
    RUN(test_frequencies);
    RUN(test_ties_take_the_lowest_id);
    RUN(test_non_finite_logits_are_reported);
    RUN(test_extreme_values);
    RUN(test_logprobs);
    RUN(test_streams);
    RUN(test_tiers_choose_alike);
    arena_free(&arena);
    return TEST_RESULT();
}
