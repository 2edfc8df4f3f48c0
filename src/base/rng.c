/* rng.c - counter-based random numbers.
 *
 *   bits = mix(mix(mix(mix(seed + G purpose) ^ i) ^ j) ^ k),   each mix a bijection of 64 bits
 *
 * mix adds the golden gamma G and applies the finaliser of SplitMix64 (Steele, Lea, Flood 2014, with the constants of
 * Stafford's variant 13). For fixed other inputs every index is mapped one to one, so no two elements of a
 * tensor and no two positions of a sequence ever share a number.
 * Leaves out: cryptographic strength, and any state. */
#include "rng.h"

#include <string.h>

#define GOLDEN_GAMMA 0x9E3779B97F4A7C15u /* 2^64 / golden ratio, odd */

static uint64_t mix(uint64_t x)
{
    x += GOLDEN_GAMMA;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

uint64_t rng_bits(uint64_t seed, enum rng_purpose purpose, uint64_t i, uint64_t j, uint64_t k)
{
    uint64_t bits = mix(seed + GOLDEN_GAMMA * (uint64_t)purpose);

    bits = mix(bits ^ i);
    bits = mix(bits ^ j);
    return mix(bits ^ k);
}

double rng_unit(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

uint32_t rng_below(uint64_t bits, uint32_t n)
{
    return (uint32_t)((bits >> 32) * n >> 32);
}

uint64_t rng_hash(const char *text)
{
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a, 64 bits: offset basis and prime (Fowler, Noll, Vo) */

    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001B3u;
    return hash;
}

uint64_t rng_hash_bytes(uint64_t hash, const void *bytes, size_t length)
{
    const unsigned char *p = bytes;
    uint64_t word;
    size_t i;

    for (i = 0; i + 8 <= length; i += 8) {
        memcpy(&word, p + i, 8);
        hash = (hash ^ word) * 0x100000001B3u;
        hash ^= hash >> 32;
    }
    for (; i < length; i++)
        hash = (hash ^ p[i]) * 0x100000001B3u;
    return hash;
}

static uint64_t feistel(uint64_t seed, enum rng_purpose purpose, uint64_t epoch, uint64_t x, int half_bits)
{
    uint64_t mask = ((uint64_t)1 << half_bits) - 1, left = x >> half_bits, right = x & mask;
    int round;

    for (round = 0; round < 4; round++) {
        uint64_t next = left ^ (rng_bits(seed, purpose, epoch, (uint64_t)round, right) & mask);

        left = right;
        right = next;
    }
    return left << half_bits | right;
}

uint64_t rng_permute(uint64_t seed, enum rng_purpose purpose, uint64_t epoch, uint64_t i, uint64_t n)
{
    int half_bits = 1;

    while (half_bits < 31 && (uint64_t)1 << 2 * half_bits < n)
        half_bits++;
    do
        i = feistel(seed, purpose, epoch, i, half_bits);
    while (i >= n);
    return i;
}
