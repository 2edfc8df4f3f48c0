/* draw.h - random choices of the world of problems: a stream of numbers that belongs to one item (a story, a document),
 * so that item i of a file is the same whatever was made before it. */
#ifndef ARKLET_WORLD_DRAW_H
#define ARKLET_WORLD_DRAW_H

#include <stdint.h>
#include "rng.h"

struct draw {
    uint64_t seed, item, at; /* at: numbers drawn so far */
};

static inline uint64_t draw_bits(struct draw *draw)
{
    return rng_bits(draw->seed, RNG_WORLD, draw->item, draw->at++, 0);
}

/* Uniform in 0..n-1. */
static inline int draw_below(struct draw *draw, int n)
{
    return (int)rng_below(draw_bits(draw), (uint32_t)n);
}

/* Uniform in low..high. */
static inline int draw_range(struct draw *draw, int low, int high)
{
    return low + draw_below(draw, high - low + 1);
}

static inline int draw_percent(struct draw *draw, int percent)
{
    return draw_below(draw, 100) < percent;
}

/* Index i with probability weights[i] / sum. */
static inline int draw_weighted(struct draw *draw, const int *weights, int n)
{
    int i, sum = 0, at;

    for (i = 0; i < n; i++)
        sum += weights[i];
    at = draw_below(draw, sum);
    for (i = 0; at >= weights[i]; i++)
        at -= weights[i];
    return i;
}

#endif
