/* rope.h - rotary position embedding (Su et al. 2021, "RoFormer", eq. 34).
 *
 * Inverse frequencies and angles are formed in f32, as transformers forms them: angle = (float)position * inv_freq,
 * rounded to f32; sine and cosine of that angle are then exact to f32. The rotation itself is a row kernel
 * (rope_pairs or rope_halves). */
#ifndef ARKLET_ROPE_H
#define ARKLET_ROPE_H

#include <stddef.h>

/* inv_freq[i] = 1 / base^(2i / rope_dim) in f32, i < rope_dim / 2, divided by linear and, when factors is not NULL, by
 * factors[i] (llama 3: the file's rope_freqs). */
void rope_frequencies(float *inv_freq, float base, float linear, const float *factors, size_t rope_dim);
/* cos, sin [n] of position * inv_freq[i]. */
void rope_angles(float *cos, float *sin, const float *inv_freq, size_t n, size_t position);

#endif
