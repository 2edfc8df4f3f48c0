/* half.h - f16 and bf16 in portable C: the same bits on every CPU, no hardware support needed.
 *
 *   f32   s eeeeeeee mmmmmmmmmmmmmmmmmmmmmmm   bias 127
 *   bf16  s eeeeeeee mmmmmmm                   the upper half of an f32
 *   f16   s eeeee mmmmmmmmmm                   bias 15; IEEE 754 binary16
 *
 * Rounding is to nearest, ties to even; denormals and infinities are kept; a NaN becomes a quiet NaN with
 * the upper bits of its payload. bf16 uses integers alone. f16 denormals take one float addition or
 * subtraction each, of a power of two chosen so that the sum's last bit is an f16 denormal's last bit: no
 * operand or result of it is an f32 denormal, so the CPU's denormal flags do not matter (an f32 denormal
 * input rounds to zero with or without them). No branches: loops over these functions vectorise.
 *
 * Inline definitions; half.c holds the external ones. */
#ifndef ARKLET_HALF_H
#define ARKLET_HALF_H

#include <stdint.h>
#include <string.h>

inline uint32_t half_float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float half_float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

inline float half_from_f16(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, magnitude = bits & 0x7fffu;
    uint32_t normal = (magnitude << 13) + (112u << 23); /* rebias 15 to 127 */
    /* 2^-14 with the mantissa in place, minus 2^-14: mantissa * 2^-24, exact. */
    float tiny = half_float_of_bits((magnitude << 13) + (113u << 23)) - half_float_of_bits(113u << 23);
    uint32_t quiet = magnitude > 0x7c00u ? 0x400000u : 0;
    uint32_t special = (magnitude << 13) | 0x7f800000u | quiet;
    uint32_t finite = magnitude < 0x400u ? half_float_bits(tiny) : normal;
    return half_float_of_bits(sign | (magnitude >= 0x7c00u ? special : finite));
}

inline uint16_t half_to_f16(float value)
{
    uint32_t bits = half_float_bits(value), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
    /* Below 2^-14, adding 0.5 leaves the multiple of 2^-24 in the low bits of the sum, rounded to even. */
    uint32_t tiny = half_float_bits(half_float_of_bits(magnitude) + 0.5f) - (126u << 23);
    /* Rebias; 0xfff and the bit that becomes the last round to even; a carry runs into the exponent. */
    uint32_t normal = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
    uint32_t nan = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
    uint32_t finite = magnitude < (113u << 23) ? tiny : normal;
    uint32_t large = magnitude > 0x7f800000u ? nan : 0x7c00u;
    return (uint16_t)(sign | (magnitude >= (143u << 23) ? large : finite)); /* 143 - 127 = 16: from 65536 up */
}

inline float half_from_bf16(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16, quiet = (wide & 0x7fffffffu) > 0x7f800000u ? 0x400000u : 0;
    return half_float_of_bits(wide | quiet);
}

inline uint16_t half_to_bf16(float value)
{
    uint32_t bits = half_float_bits(value);
    uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    uint32_t nan = (bits >> 16) | 0x40u;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

#endif
