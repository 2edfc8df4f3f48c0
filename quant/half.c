/* half.c - the external definitions of half.h's inline functions (C99 6.7.4), for callers that do not
 * inline them. The arithmetic is explained there. Next: dtype.c. */
#include "half.h"

extern inline uint32_t half_float_bits(float value);
extern inline float half_float_of_bits(uint32_t bits);
extern inline float half_from_f16(uint16_t bits);
extern inline uint16_t half_to_f16(float value);
extern inline float half_from_bf16(uint16_t bits);
extern inline uint16_t half_to_bf16(float value);
