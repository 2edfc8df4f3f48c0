/* sampler.c - choosing a token: arg-max, or a draw from what top-k, top-p and min-p leave.
 *
 * Orders that fix every bit. "Better" means a larger logit, or the same logit and a lower id. Weights are
 * exp(logit - max) in f32 by the kernels' own exp; sums and cumulative sums of weights are in double:
 *
 *   no filter           chunks of 1024 ids, each chunk's sum by 16 partials in f32; the draw finds the chunk, then
 *                       walks its ids ascending
 *   top-k               the k best, best first; top-p, min-p and the draw walk that list
 *   top-p without top-k buckets of 1/32 nat below the maximum; the bucket in which the mass reaches p is sorted to
 *                       find the last token kept; the draw walks the kept ids ascending
 *   min-p alone         the draw walks the kept ids ascending
 *
 * A vocabulary of 150,000 is never sorted: a heap of k, or one bucket. What it leaves out: penalties for repetition. */
#include "sampler.h"
#include "elementary.h"
#include "rng.h"

#define CHUNK        1024 /* ids whose weights are computed at once */
#define BUCKETS      1024 /* of BUCKET_WIDTH nats below the maximum; the last takes the rest */
#define BUCKET_WIDTH 0.03125f
#define LOWEST       (-200.0f) /* exp gives 0 there: differences are cut here so that no infinity enters a product */

/* The kernels' buffer; 64-byte aligned as kernels.h asks (a union cannot say so in C99, a spare line can). */
struct weights {
    float storage[CHUNK + 16];
};

static float *weights_row(struct weights *weights)
{
    uintptr_t address = (uintptr_t)weights->storage;

    return weights->storage + ((64 - address % 64) % 64) / sizeof(float);
}

static float difference(float logit, float max, float inverse_temperature)
{
    float d = (logit - max) * inverse_temperature;

    return d < LOWEST ? LOWEST : d;
}

/* y[i] = exp((logits[i] - max) * inverse_temperature), i < n <= CHUNK; returns their sum. */
static double chunk_weights(float *y, const struct row_kernels *rows, const float *logits, size_t n, float max,
                            float inverse_temperature)
{
    for (size_t i = 0; i < n; i++)
        y[i] = difference(logits[i], max, inverse_temperature);
    return (double)rows->exp_sum(y, y, 0.0f, n);
}

static size_t chunk_length(size_t n, size_t begin)
{
    return n - begin < CHUNK ? n - begin : CHUNK;
}

/* Turns the logits of a list into weights; returns their sum, in double, in order. */
static double list_weights(struct candidate *list, size_t n, const struct row_kernels *rows, float max,
                           float inverse_temperature)
{
    struct weights weights;
    float *y = weights_row(&weights);
    double total = 0;

    for (size_t begin = 0; begin < n; begin += CHUNK) {
        size_t length = chunk_length(n, begin);

        for (size_t i = 0; i < length; i++)
            y[i] = difference(list[begin + i].logit, max, inverse_temperature);
        rows->exp_sum(y, y, 0.0f, length);
        for (size_t i = 0; i < length; i++) {
            list[begin + i].logit = y[i];
            total += (double)y[i];
        }
    }
    return total;
}

static int better(struct candidate a, struct candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/* Restores the heap below `root`: a parent is worse than its children, so heap[0] is the worst. */
static void sift_down(struct candidate *heap, size_t n, size_t root)
{
    struct candidate moved = heap[root];

    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        child += child + 1 < n && better(heap[child], heap[child + 1]);
        if (!better(moved, heap[child]))
            break;
        heap[root] = heap[child];
    }
    heap[root] = moved;
}

static void make_heap(struct candidate *heap, size_t n)
{
    for (size_t root = n / 2; root-- > 0;)
        sift_down(heap, n, root);
}

/* Turns a heap into a list, best first. */
static void sort_heap(struct candidate *heap, size_t n)
{
    for (size_t last = n; last-- > 1;) {
        struct candidate worst = heap[0];

        heap[0] = heap[last];
        heap[last] = worst;
        sift_down(heap, last, 0);
    }
}

/* list[0..k) = the k best, best first. */
static void select_best(struct candidate *list, size_t k, const float *logits, size_t n)
{
    for (size_t i = 0; i < k; i++)
        list[i] = (struct candidate){logits[i], (int32_t)i};
    make_heap(list, k);
    for (size_t i = k; i < n; i++) {
        if (logits[i] > list[0].logit) { /* a later id loses a tie */
            list[0] = (struct candidate){logits[i], (int32_t)i};
            sift_down(list, k, 0);
        }
    }
    sort_heap(list, k);
}

/* How many of a list (best first) top-p and min-p keep. */
static size_t list_keep(const struct sampling *sampling, const struct candidate *list, size_t n)
{
    float max = list[0].logit;

    if (sampling->top_p < 1) {
        double total = 0, mass = 0;
        size_t kept = 0;

        for (size_t i = 0; i < n; i++)
            total += (double)elementary_exp(difference(list[i].logit, max, 1));
        while (kept < n && (kept == 0 || mass < (double)sampling->top_p * total))
            mass += (double)elementary_exp(difference(list[kept++].logit, max, 1));
        n = kept;
    }
    while (n > 1 && elementary_exp(difference(list[n - 1].logit, max, 1)) < sampling->min_p)
        n--;
    return n;
}

static size_t bucket_of(float logit, float max)
{
    float place = -difference(logit, max, 1) / BUCKET_WIDTH;

    return place < (float)(BUCKETS - 1) ? (size_t)place : BUCKETS - 1;
}

/* The worst candidate that top-p keeps of the whole vocabulary. */
static struct candidate nucleus_edge(float top_p, const struct row_kernels *rows, const float *logits, size_t n,
                                     float max, struct candidate *scratch)
{
    struct weights weights;
    float *y = weights_row(&weights);
    double mass[BUCKETS] = {0}, total = 0, reached = 0, wanted;
    size_t bucket = 0, found = 0, last = 0;

    for (size_t begin = 0; begin < n; begin += CHUNK) {
        size_t length = chunk_length(n, begin);

        chunk_weights(y, rows, logits + begin, length, max, 1);
        for (size_t i = 0; i < length; i++)
            mass[bucket_of(logits[begin + i], max)] += (double)y[i];
    }
    for (size_t b = 0; b < BUCKETS; b++)
        total += mass[b];
    wanted = (double)top_p * total;
    while (bucket < BUCKETS - 1 && reached + mass[bucket] < wanted)
        reached += mass[bucket++];
    while (bucket > 0 && mass[bucket] <= 0) /* rounding of the sums led past the last token of any weight */
        bucket--;
    for (size_t i = 0; i < n; i++)
        if (bucket_of(logits[i], max) == bucket)
            scratch[found++] = (struct candidate){logits[i], (int32_t)i};
    make_heap(scratch, found);
    sort_heap(scratch, found);
    for (; last + 1 < found; last++) {
        if (last % CHUNK == 0) {
            for (size_t i = last; i < last + chunk_length(found, last); i++)
                y[i - last] = difference(scratch[i].logit, max, 1);
            rows->exp_sum(y, y, 0.0f, chunk_length(found, last));
        }
        reached += (double)y[last % CHUNK];
        if (reached >= wanted)
            break;
    }
    return scratch[last];
}

/* list = ids ascending that are not worse than `edge` and reach min_p; returns their number. */
static size_t gather(struct candidate *list, struct candidate edge, float min_p, const struct row_kernels *rows,
                     const float *logits, size_t n, float max)
{
    struct weights weights;
    float *y = weights_row(&weights);
    size_t found = 0;

    for (size_t begin = 0; begin < n; begin += CHUNK) {
        size_t length = chunk_length(n, begin);

        if (min_p > 0)
            chunk_weights(y, rows, logits + begin, length, max, 1);
        for (size_t i = 0; i < length; i++) {
            struct candidate candidate = {logits[begin + i], (int32_t)(begin + i)};
            int kept = !better(edge, candidate) && (min_p <= 0 || y[i] >= min_p || candidate.logit >= max);

            list[found] = candidate; /* found <= begin + i: inside scratch */
            found += (size_t)kept;
        }
    }
    return found;
}

/* Draws from a list; its logits become weights. */
static int32_t draw_list(struct candidate *list, size_t n, const struct row_kernels *rows, float max,
                         float inverse_temperature, double unit)
{
    double total = list_weights(list, n, rows, max, inverse_temperature), mass = 0;
    size_t chosen = 0;

    for (size_t i = 0; i < n; i++) {
        if (list[i].logit <= 0)
            continue;
        chosen = i; /* stays on the last token of any weight, should rounding carry the walk to the end */
        mass += (double)list[i].logit;
        if (mass > unit * total)
            break;
    }
    return list[chosen].id;
}

/* Draws from the whole vocabulary; scratch keeps the chunks' sums. */
static int32_t draw_all(const struct row_kernels *rows, const float *logits, size_t n, float max,
                        float inverse_temperature, double unit, struct candidate *scratch)
{
    struct weights weights;
    float *y = weights_row(&weights);
    double total = 0, mass = 0, wanted, inside = 0;
    size_t n_chunks = 0, chosen_chunk = 0, chosen = 0, length;

    for (size_t begin = 0; begin < n; begin += CHUNK) {
        double sum = chunk_weights(y, rows, logits + begin, chunk_length(n, begin), max, inverse_temperature);

        scratch[n_chunks++].logit = (float)sum; /* it was one */
        total += sum;
    }
    wanted = unit * total;
    for (size_t c = 0; c < n_chunks && mass <= wanted; c++) {
        if (scratch[c].logit <= 0)
            continue;
        chosen_chunk = c * CHUNK;
        inside = wanted - mass;
        mass += (double)scratch[c].logit;
    }
    length = chunk_length(n, chosen_chunk);
    chunk_weights(y, rows, logits + chosen_chunk, length, max, inverse_temperature);
    mass = 0;
    for (size_t i = 0; i < length; i++) {
        if (y[i] <= 0)
            continue;
        chosen = i;
        mass += (double)y[i];
        if (mass > inside)
            break;
    }
    return (int32_t)(chosen_chunk + chosen);
}

static int32_t first_of(const float *logits, size_t n, float value)
{
    size_t i = 0;

    while (i + 1 < n && !(logits[i] >= value))
        i++;
    return (int32_t)i;
}

static int32_t draw(const struct sampling *sampling, const struct row_kernels *rows, const float *logits, size_t n,
                    float max, double unit, struct candidate *scratch)
{
    /* Below 1e-30 the division could overflow; there the draw is arg-max among equals anyway. */
    float temperature = sampling->temperature > 1e-30f ? sampling->temperature : 1e-30f;
    float inverse = 1 / temperature;
    struct candidate edge = {-INFINITY, INT32_MAX};
    size_t kept;
    if (sampling->top_k > 0 && (size_t)sampling->top_k < n) {
        select_best(scratch, (size_t)sampling->top_k, logits, n);
        kept = list_keep(sampling, scratch, (size_t)sampling->top_k);
        return draw_list(scratch, kept, rows, max, inverse, unit);
    }
    if (sampling->top_p >= 1 && sampling->min_p <= 0)
        return draw_all(rows, logits, n, max, inverse, unit, scratch);
    if (sampling->top_p < 1)
        edge = nucleus_edge(sampling->top_p, rows, logits, n, max, scratch);
    kept = gather(scratch, edge, sampling->min_p, rows, logits, n, max);
    return draw_list(scratch, kept, rows, max, inverse, unit);
}

float sampler_logsumexp(const struct row_kernels *rows, const float *logits, size_t n, float max)
{
    return max + elementary_log(rows->exp_sum_only(logits, max, n));
}

static float logprob_of(const struct row_kernels *rows, const float *logits, size_t n, float max, int32_t id)
{
    return logits[id] - sampler_logsumexp(rows, logits, n, max);
}

int32_t sampler_choose(const struct sampling *sampling, const struct row_kernels *rows, const float *logits, size_t n,
                       uint64_t position, struct candidate *scratch, float *logprob)
{
    float max;
    int32_t id;

    if (!rows->finite(logits, n))
        return -1;
    max = rows->max(logits, n);
    if (sampling->temperature <= 0) {
        id = first_of(logits, n, max);
    } else {
        double unit = rng_unit(rng_bits(sampling->seed, RNG_SAMPLE, sampling->stream, position, 0));

        id = draw(sampling, rows, logits, n, max, unit, scratch);
    }
    if (logprob)
        *logprob = logprob_of(rows, logits, n, max, id);
    return id;
}

float sampler_logprob(const struct row_kernels *rows, const float *logits, size_t n, int32_t id)
{
    return rows->finite(logits, n) ? logprob_of(rows, logits, n, rows->max(logits, n), id) : NAN;
}
