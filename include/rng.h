/* rng.h - counter-based random numbers: a pure function of (seed, purpose, indices).
 *
 * There is no stream and no state, so nothing depends on threads, batches or order of evaluation. */
#ifndef ARKLET_RNG_H
#define ARKLET_RNG_H

#include <stddef.h>
#include <stdint.h>

enum rng_purpose {                  /* never renumber: files depend on it */
                   RNG_SAMPLE = 1,  /* indices: sequence stream, position */
                   RNG_INIT = 2,    /* tensor hash, element */
                   RNG_SHUFFLE = 3, /* epoch, index */
                   RNG_DROPOUT = 4,
                   RNG_SELECT = 5,
                   RNG_BOOTSTRAP = 6,
                   RNG_TEST = 7,
                   RNG_WORLD = 8
};

/* 64 uniform bits. */
uint64_t rng_bits(uint64_t seed, enum rng_purpose purpose, uint64_t i, uint64_t j, uint64_t k);
/* Uniform in [0, 1): the top 53 bits of `bits` times 2^-53. */
double rng_unit(uint64_t bits);
/* Uniform in 0..n-1 without modulo bias worth noting (n < 2^32): high word of bits_high32 * n. */
uint32_t rng_below(uint64_t bits, uint32_t n);
/* The image of i under a pseudo-random permutation of 0..n-1 (i < n): a shuffled order without a table. Four rounds of
 * a Feistel network over the smallest even number of bits that holds n, walked until the image is below n (Black and
 * Rogaway 2002, "Ciphers with Arbitrary Finite Domains", section 3). */
uint64_t rng_permute(uint64_t seed, enum rng_purpose purpose, uint64_t epoch, uint64_t i, uint64_t n);
/* FNV-1a, for turning names into indices. */
uint64_t rng_hash(const char *text);
/* The same over eight bytes at a time, goes on from `hash`: of files' contents. */
uint64_t rng_hash_bytes(uint64_t hash, const void *bytes, size_t length);

#endif
