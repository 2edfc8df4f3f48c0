/* rope.c - inverse frequencies and angles of rotary position embedding; the rotation is a row kernel. */
#include "rope.h"

#include "elementary.h"

void rope_frequencies(float *inv_freq, float base, float linear, const float *factors, size_t rope_dim)
{
    size_t i;

    for (i = 0; i < rope_dim / 2; i++) {
        float exponent = (float)(2 * i) / (float)rope_dim;

        inv_freq[i] = 1.0f / (float)elementary_pow(base, exponent);
        inv_freq[i] /= linear;
        if (factors)
            inv_freq[i] /= factors[i];
    }
}

void rope_angles(float *cos, float *sin, const float *inv_freq, size_t n, size_t position)
{
    size_t i;

    for (i = 0; i < n; i++) {
        float angle = (float)position * inv_freq[i];

        cos[i] = (float)elementary_cos(angle);
        sin[i] = (float)elementary_sin(angle);
    }
}
