/* test_encode.c - encoders: error bounds, exact cases, extreme input, the same bytes on every platform.
 *
 * Test data come from integers alone (sums of uniform numbers), so they are the same everywhere. Comparison
 * with llama.cpp's quantiser on the same data: tests/oracle/quant_rms.py. */
#include <math.h>
#include "test.h"
#include "dtype.h"

enum { ELEMENTS = 64 * 256, GUARD = 16 };

/* Bounds of the RMS error over the RMS of `bell` data: the measured value x 1.02. The hashes change when a search is
 * changed; that they hold for every compiler and CPU is the point. */
static const struct {
    enum dtype type;
    double bound;
    uint64_t hash; /* FNV-1a of the encoded bytes */
} formats[] = {
    {DTYPE_Q8_0, 0.00466, 0xd8e750a2920770c9u}, {DTYPE_Q4_0, 0.07940, 0xdf2d03bb459361c2u},
    {DTYPE_Q4_1, 0.06890, 0xf7e84fcb4c138284u}, {DTYPE_Q5_0, 0.03950, 0xc95d5631cebba7a4u},
    {DTYPE_Q5_1, 0.03345, 0x28cbbc771191759fu}, {DTYPE_IQ4_NL, 0.07345, 0xfb5d4a6c22496a73u},
    {DTYPE_Q2_K, 0.26004, 0x5f0b99e930c2339du}, {DTYPE_Q3_K, 0.14242, 0x4a2f8230e3caffc6u},
    {DTYPE_Q4_K, 0.06944, 0xd5b96a87fe601b00u}, {DTYPE_Q5_K, 0.03420, 0xc04a7d3709d95392u},
    {DTYPE_Q6_K, 0.01687, 0x21e7da40029cfd57u},
};

enum { N_FORMATS = sizeof formats / sizeof *formats };

static float data[ELEMENTS], decoded[ELEMENTS];
static uint8_t encoded[ELEMENTS * 2 + 2 * GUARD];

static const char *name_of(size_t f)
{
    return dtype_info((uint32_t)formats[f].type)->name;
}

/* Sum of six uniform numbers: close to Gaussian. */
static void fill_bell(float scale)
{
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < ELEMENTS; i++) {
        int32_t sum = 0;
        for (int k = 0; k < 6; k++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            sum += (int32_t)(state >> 44) - (1 << 19);
        }
        data[i] = scale * (float)sum / (float)(1 << 20);
    }
}

/* Encodes and decodes all of `data` at an odd address with guard bytes; returns the sum of squared errors. */
static double round_trip(enum dtype type, size_t n)
{
    const struct dtype_info *info = dtype_info((uint32_t)type);
    size_t bytes = n / info->block_len * info->block_bytes;
    double error = 0;
    memset(encoded, 0xa5, sizeof encoded);
    dtype_encode_row(type, encoded + GUARD + 1, data, n);
    dtype_decode_row(type, decoded, encoded + GUARD + 1, n);
    CHECK(encoded[GUARD] == 0xa5 && encoded[GUARD + 1 + bytes] == 0xa5);
    for (size_t i = 0; i < n; i++) {
        CHECK_MSG(isfinite(decoded[i]), "%s: %g became %g", info->name, (double)data[i], (double)decoded[i]);
        error += ((double)decoded[i] - data[i]) * ((double)decoded[i] - data[i]);
    }
    return error;
}

static double sum_of_squares(size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)data[i] * data[i];
    return sum;
}

static void test_encode_error_bounds(void)
{
    fill_bell(0.02f);
    for (size_t f = 0; f < N_FORMATS; f++) {
        double rms = sqrt(round_trip(formats[f].type, ELEMENTS) / sum_of_squares(ELEMENTS));
        CHECK_MSG(rms <= formats[f].bound, "%s: relative RMS error %.6f, bound %.6f", name_of(f), rms,
                  formats[f].bound);
    }
}

/* Rounding x / (largest / levels) for every block: what any search has to beat. */
static double naive_error(size_t block, double levels)
{
    double error = 0;
    for (size_t i = 0; i < ELEMENTS; i += block) {
        double largest = 0;
        for (size_t l = 0; l < block; l++)
            largest = fabs((double)data[i + l]) > largest ? fabs((double)data[i + l]) : largest;
        for (size_t l = 0; l < block; l++) {
            double d = largest / levels, r = d * rint(data[i + l] / d) - data[i + l];
            error += r * r;
        }
    }
    return error;
}

static void test_encode_beats_plain_rounding(void)
{
    static const struct {
        enum dtype type;
        size_t block;
        double levels;
    } cases[] = {{DTYPE_Q8_0, 32, 127}, {DTYPE_Q4_0, 32, 7},  {DTYPE_Q5_0, 32, 15},
                 {DTYPE_IQ4_NL, 32, 7}, {DTYPE_Q6_K, 16, 31}, {DTYPE_Q3_K, 16, 3}};
    fill_bell(1.0f);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        CHECK_MSG(round_trip(cases[c].type, ELEMENTS) < 0.9 * naive_error(cases[c].block, cases[c].levels), "%s",
                  dtype_info((uint32_t)cases[c].type)->name);
}

/* Powers of two of the data change nothing but the scales. */
static void test_encode_error_scales_with_the_data(void)
{
    for (size_t f = 0; f < N_FORMATS; f++) {
        double one, large;
        fill_bell(1.0f);
        one = round_trip(formats[f].type, 4096);
        fill_bell(64.0f);
        large = round_trip(formats[f].type, 4096);
        CHECK_MSG(one * 4096 == large, "%s: %g, %g", name_of(f), one, large);
    }
}

/* What one of the formats of 32 has stored, it stores again without loss (each block holds its extreme codes). */
static void test_encode_keeps_stored_values(void)
{
    static const struct {
        enum dtype type;
        int lo, hi;
        float m;
    } cases[] = {{DTYPE_Q8_0, -127, 127, 0},
                 {DTYPE_Q4_0, -8, 7, 0},
                 {DTYPE_Q5_0, -16, 15, 0},
                 {DTYPE_Q4_1, 0, 15, -2.5f},
                 {DTYPE_Q5_1, 0, 31, -4}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        unsigned state = 12345;
        for (size_t i = 0; i < 2048; i++) {
            int width = cases[c].hi - cases[c].lo + 1, q;
            state = state * 1664525u + 1013904223u;
            q = i % 32 == 5   ? cases[c].lo
                : i % 32 == 9 ? cases[c].hi
                              : cases[c].lo + (int)((state >> 16) % (unsigned)width);
            data[i] = 0.3125f * (float)q * (i / 32 % 2 ? 1.0f : cases[c].m ? 1.0f : -1.0f) + cases[c].m;
        }
        CHECK_MSG(round_trip(cases[c].type, 2048) == 0, "%s", dtype_info((uint32_t)cases[c].type)->name);
    }
}

static void test_encode_zeros(void)
{
    static const float zeros[] = {0.0f, -0.0f, 0x1p-149f, -0x1p-126f, 0x1p-25f};
    for (size_t f = 0; f < N_FORMATS; f++)
        for (size_t z = 0; z < sizeof zeros / sizeof *zeros; z++) {
            for (size_t i = 0; i < 256; i++)
                data[i] = zeros[z];
            round_trip(formats[f].type, 256);
            for (size_t i = 0; i < 256; i++)
                CHECK_MSG(decoded[i] == 0, "%s: %g became %g", name_of(f), (double)zeros[z], (double)decoded[i]);
        }
}

/* A constant fits every format; what remains is the rounding of the scale to f16: half an ulp, 2^-11 (and as much
 * again for the second scale of the affine K formats). */
static void test_encode_constants(void)
{
    static const float constants[] = {1.0f, -1.0f, 0.0371f, -0.0371f, 1234.5f, -3e-3f};
    const double CONSTANT_ERROR = 1.0 / 1024;
    for (size_t f = 0; f < N_FORMATS; f++)
        for (size_t c = 0; c < sizeof constants / sizeof *constants; c++) {
            for (size_t i = 0; i < 256; i++)
                data[i] = constants[c];
            round_trip(formats[f].type, 256);
            for (size_t i = 0; i < 256; i++)
                CHECK_MSG(fabs(decoded[i] / (double)constants[c] - 1) <= CONSTANT_ERROR, "%s: %g became %g", name_of(f),
                          (double)constants[c], (double)decoded[i]);
        }
}

/* Blocks far from zero: formats with an offset keep their resolution on either side. */
static void test_encode_offset_blocks(void)
{
    static const enum dtype types[] = {DTYPE_Q4_1, DTYPE_Q5_1, DTYPE_Q4_K, DTYPE_Q5_K};
    const double OFFSET_ERROR =
        0.006; /* of the width 0.2 an even grid of 16 levels leaves 0.2 / 15 / sqrt(12) = 0.0038 */
    for (size_t t = 0; t < 4; t++)
        for (int sign = -1; sign <= 1; sign += 2) {
            fill_bell(0.1f);
            for (size_t i = 0; i < 1024; i++)
                data[i] = (float)sign * (1.0f + data[i]);
            CHECK_MSG(sqrt(round_trip(types[t], 1024) / 1024) < OFFSET_ERROR, "%s",
                      dtype_info((uint32_t)types[t])->name);
        }
}

/* Magnitudes that f16 scales cannot hold saturate; no element leaves its block's range. */
static void test_encode_huge_values(void)
{
    static const float sizes[] = {1e5f, 1e8f, 1e20f, 3.4e38f};
    for (size_t f = 0; f < N_FORMATS; f++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            fill_bell(1.0f);
            data[7] = 1.0f;
            data[300] = -1.0f;
            for (size_t i = 0; i < 1024; i++)
                data[i] *= sizes[s] / 3;
            round_trip(formats[f].type, 1024);
            CHECK_MSG(decoded[7] >= 65504.0f / 3 && decoded[300] <= -65504.0f / 3, "%s at %g: %g %g", name_of(f),
                      (double)sizes[s], (double)decoded[7], (double)decoded[300]);
            for (size_t i = 0; i < 1024; i++)
                CHECK_MSG(fabs((double)decoded[i]) <= 1.3 * sizes[s], "%s", name_of(f));
        }
}

/* Near the least f16 scales are coarse: the error may be that of ordinary size, or what an even grid of the least
 * f16 leaves, with a reserve; twelve steps of it lie between the levels of IQ4_NL. Never more than zeros leave. */
static void test_encode_small_values(void)
{
    for (size_t f = 0; f < N_FORMATS; f++)
        for (int exponent = -24; exponent <= -10; exponent++) {
            double rms, size, grid = formats[f].type == DTYPE_IQ4_NL ? 12 * 0x1p-24 : 2 * 0x1p-24;
            fill_bell((float)ldexp(1, exponent));
            size = sqrt(sum_of_squares(4096) / 4096);
            rms = sqrt(round_trip(formats[f].type, 4096) / 4096);
            CHECK_MSG(rms <= size, "%s at 2^%d: worse than zeros", name_of(f), exponent);
            CHECK_MSG(rms <= 1.05 * size * formats[f].bound + grid / sqrt(12), "%s at 2^%d: RMS error %g", name_of(f),
                      exponent, rms);
        }
}

/* One outlier per block: it must survive, as it carries nearly all of the block's energy. */
static void test_encode_outliers(void)
{
    for (size_t f = 0; f < N_FORMATS; f++) {
        fill_bell(0.01f);
        for (size_t i = 11; i < 2048; i += 32)
            data[i] = i % 64 == 11 ? 1.0f : -1.0f;
        round_trip(formats[f].type, 2048);
        for (size_t i = 11; i < 2048; i += 32)
            CHECK_MSG(fabs((double)decoded[i] - data[i]) < 0.15, "%s: %g became %g", name_of(f), (double)data[i],
                      (double)decoded[i]);
    }
}

static void test_encode_same_bytes_everywhere(void)
{
    fill_bell(0.02f);
    for (size_t f = 0; f < N_FORMATS; f++) {
        const struct dtype_info *info = dtype_info((uint32_t)formats[f].type);
        size_t bytes = ELEMENTS / info->block_len * info->block_bytes;
        uint64_t hash = 14695981039346656037u;
        dtype_encode_row(formats[f].type, encoded, data, ELEMENTS);
        for (size_t i = 0; i < bytes; i++)
            hash = (hash ^ encoded[i]) * 1099511628211u;
        CHECK_MSG(hash == formats[f].hash, "%s: hash 0x%016llx", info->name, (unsigned long long)hash);
    }
}

int main(void)
{
    RUN(test_encode_error_bounds);
    RUN(test_encode_beats_plain_rounding);
    RUN(test_encode_error_scales_with_the_data);
    RUN(test_encode_keeps_stored_values);
    RUN(test_encode_zeros);
    RUN(test_encode_constants);
    RUN(test_encode_offset_blocks);
    RUN(test_encode_huge_values);
    RUN(test_encode_small_values);
    RUN(test_encode_outliers);
    RUN(test_encode_same_bytes_everywhere);
    return TEST_RESULT();
}
