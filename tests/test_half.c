/* test_half.c - f16 and bf16 against references in double that share no code with half.h.
 *
 * The reference for widening is the definition (sign, mantissa, power of two by ldexp); for rounding, a
 * search among the two neighbouring halves with the tie rule spelled out. Every f16 and bf16 is tried. */
#include <math.h>
#include "test.h"
#include "half.h"

static double f16_value(unsigned bits)
{
    unsigned exponent = bits >> 10 & 31, mantissa = bits & 1023;
    double value = exponent ? ldexp(1024 + mantissa, (int)exponent - 25) : ldexp(mantissa, -24);
    return bits & 0x8000 ? -value : value;
}

static double bf16_value(unsigned bits)
{
    unsigned exponent = bits >> 7 & 255, mantissa = bits & 127;
    double value = exponent ? ldexp(128 + mantissa, (int)exponent - 134) : ldexp(mantissa, -133);
    return bits & 0x8000 ? -value : value;
}

/* The code whose value is nearest to |value|, ties to the even code; `infinity` stands for its next power. */
static unsigned nearest(double value, double (*value_of)(unsigned), unsigned infinity)
{
    unsigned low = 0, high = infinity;
    double size = fabs(value), below, above;
    while (high - low > 1) { /* value_of(low) <= size < value_of(high) */
        unsigned middle = (low + high) / 2;
        if (value_of(middle) <= size)
            low = middle;
        else
            high = middle;
    }
    below = size - value_of(low);
    above = value_of(high) - size;
    if (above < below || (above == below && low % 2))
        low = high;
    return low | (signbit(value) ? 0x8000u : 0);
}

static unsigned f16_nearest(double value)
{
    return nearest(value, f16_value, 0x7c00);
}

static unsigned bf16_nearest(double value)
{
    return nearest(value, bf16_value, 0x7f80);
}

static void test_half_f16_widens_exactly(void)
{
    for (unsigned bits = 0; bits < 65536; bits++) {
        float got = half_from_f16((uint16_t)bits);
        if ((bits & 0x7fff) > 0x7c00)
            CHECK(isnan(got));
        else if ((bits & 0x7fff) == 0x7c00)
            CHECK(isinf(got) && !signbit(got) == !(bits & 0x8000));
        else
            CHECK_MSG((double)got == f16_value(bits) && !signbit(got) == !(bits & 0x8000), "f16 %04x", bits);
    }
}

static void test_half_f16_round_trip(void)
{
    for (unsigned bits = 0; bits < 65536; bits++) {
        unsigned quiet = (bits & 0x7fff) > 0x7c00 ? 0x200 : 0;
        CHECK_MSG(half_to_f16(half_from_f16((uint16_t)bits)) == (bits | quiet), "f16 %04x", bits);
    }
}

/* Between every two neighbours: a quarter, the tie, three quarters, and one f32 step beside the tie. */
static void test_half_f16_rounds_to_nearest_even(void)
{
    for (unsigned bits = 0; bits < 0x7c00; bits++) {
        double low = f16_value(bits), high = f16_value(bits + 1);
        float middle = (float)((low + high) / 2);
        float tries[5] = {(float)(0.75 * low + 0.25 * high), middle, (float)(0.25 * low + 0.75 * high),
                          nextafterf(middle, 0), nextafterf(middle, INFINITY)};
        for (int i = 0; i < 5; i++) {
            CHECK_MSG(half_to_f16(tries[i]) == f16_nearest(tries[i]), "%a", (double)tries[i]);
            CHECK_MSG(half_to_f16(-tries[i]) == f16_nearest(-tries[i]), "%a", (double)-tries[i]);
        }
    }
}

static void test_half_f16_edges(void)
{
    CHECK(half_to_f16(0.0f) == 0 && half_to_f16(-0.0f) == 0x8000);
    CHECK(half_to_f16(65504.0f) == 0x7bff);
    CHECK(half_to_f16(65519.996f) == 0x7bff && half_to_f16(65520.0f) == 0x7c00);
    CHECK(half_to_f16(65536.0f) == 0x7c00 && half_to_f16(-3.4e38f) == 0xfc00);
    CHECK(half_to_f16(INFINITY) == 0x7c00 && half_to_f16(-INFINITY) == 0xfc00);
    CHECK(half_to_f16(0x1p-25f) == 0 && half_to_f16(0x1.000002p-25f) == 1); /* half of the least denormal */
    CHECK(half_to_f16(0x1p-14f) == 0x0400 && half_to_f16(0x1.ff8p-15f) == 0x03ff);
    CHECK(half_to_f16(0x1p-149f) == 0 && half_to_f16(-0x1p-149f) == 0x8000);
    CHECK((half_to_f16(NAN) & 0x7e00) == 0x7e00 && (half_to_bf16(NAN) & 0x7fc0) == 0x7fc0);
}

static void test_half_bf16_widens_exactly_and_round_trips(void)
{
    for (unsigned bits = 0; bits < 65536; bits++) {
        float got = half_from_bf16((uint16_t)bits);
        unsigned quiet = (bits & 0x7fff) > 0x7f80 ? 0x40 : 0;
        if (quiet)
            CHECK(isnan(got));
        else if ((bits & 0x7fff) == 0x7f80)
            CHECK(isinf(got) && !signbit(got) == !(bits & 0x8000));
        else
            CHECK_MSG((double)got == bf16_value(bits) && !signbit(got) == !(bits & 0x8000), "bf16 %04x", bits);
        CHECK_MSG(half_to_bf16(got) == (bits | quiet), "bf16 %04x", bits);
    }
}

static void test_half_bf16_rounds_to_nearest_even(void)
{
    for (unsigned bits = 0; bits < 0x7f80; bits++) {
        static const uint32_t lower[5] = {0x4000, 0x8000, 0xc000, 0x7fff, 0x8001};
        for (int i = 0; i < 5; i++) {
            float value = half_float_of_bits(bits << 16 | lower[i]);
            CHECK_MSG(half_to_bf16(value) == bf16_nearest(value), "%a", (double)value);
            CHECK_MSG(half_to_bf16(-value) == bf16_nearest(-value), "%a", (double)-value);
        }
    }
}

/* f32 bit patterns from end to end, a prime apart. */
static void test_half_sweep_of_f32(void)
{
    uint64_t step = test_quick() ? 1000003 : 20011;
    for (uint64_t pattern = 0; pattern < 0x7f800000u; pattern += step) {
        float value = half_float_of_bits((uint32_t)pattern);
        CHECK_MSG(half_to_f16(value) == f16_nearest(value), "%a", (double)value);
        CHECK_MSG(half_to_bf16(-value) == bf16_nearest(-value), "%a", (double)value);
    }
}

int main(void)
{
    RUN(test_half_f16_widens_exactly);
    RUN(test_half_f16_round_trip);
    RUN(test_half_f16_rounds_to_nearest_even);
    RUN(test_half_f16_edges);
    RUN(test_half_bf16_widens_exactly_and_round_trips);
    RUN(test_half_bf16_rounds_to_nearest_even);
    RUN(test_half_sweep_of_f32);
    return TEST_RESULT();
}
