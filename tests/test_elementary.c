/* test_elementary.c - the elementary functions against the C library's double precision, their edges, and their bits.
 *
 * The bits are held by a hash of each function's results over inputs spread through all floats: any compiler, flag or
 * architecture that computes something else is noticed. The error bounds are the ones that elementary.h states. */
#include "elementary.h"
#include "test.h"
#include <float.h>

#define infinity HUGE_VALF

/* ---- references, in double ---- */

#define GELU_SLOPE 1.5957691216057307118 /* 2 sqrt(2/pi) */
#define GELU_CUBIC (GELU_SLOPE * 0.044715)

static double ref_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double ref_silu(double x)
{
    return x * ref_sigmoid(x);
}

static double ref_silu_grad(double x)
{
    return ref_sigmoid(x) * (1 + x * ref_sigmoid(-x));
}

static double ref_gelu(double x)
{
    return x * ref_sigmoid(GELU_SLOPE * x + GELU_CUBIC * x * x * x);
}

static double ref_gelu_grad(double x)
{
    double u = GELU_SLOPE * x + GELU_CUBIC * x * x * x;
    return ref_sigmoid(u) * (1 + x * ref_sigmoid(-u) * (GELU_SLOPE + 3 * GELU_CUBIC * x * x));
}

/* ---- errors ---- */

struct function {
    const char *name;
    float (*f)(float);
    double (*reference)(double);
    float low, high; /* range of the test */
    double bound;    /* largest error; in ulp of the result unless absolute */
    int absolute;
    uint64_t golden; /* hash of the results, of the first entry of a function */
};

/* Measured over every 211th float of the range: exp 1.018, log 0.908, tanh 2.342, sigmoid 2.174, silu 2.188, gelu 2.438
 * ulp above -1, 16.4 to -4 (the rounding of the exponent grows with it; -3.7 is e^-8.6), 174.3 to -10;
 * derivatives 2.20e-7 and 2.31e-7 absolute, the large silu and gelu tails 2.6e-37 and below 1e-36. */
static const struct function functions[] = {
    {"exp", elementary_exp, exp, -87.3365402f, 88.7228317f, 1.03, 0, 0x14b9413cf001fe8a},
    {"log", elementary_log, log, 1e-45f, 3.4e38f, 0.92, 0, 0x86087e2df94f85eb},
    {"tanh", elementary_tanh, tanh, -3e38f, 3e38f, 2.4, 0, 0x1a1f5c3aebf126f1},
    {"sigmoid", elementary_sigmoid, ref_sigmoid, -87.33f, 3e38f, 2.2, 0, 0x4254de53c5ef6084},
    {"silu", elementary_silu, ref_silu, -87.33f, 3e38f, 2.25, 0, 0x0f966b6025d426b7},
    {"gelu", elementary_gelu, ref_gelu, -1, 1e12f, 2.5, 0, 0x7c94ca6d977ee0eb},
    {"silu_grad", elementary_silu_grad, ref_silu_grad, -700, 3e38f, 2.3e-7, 1, 0xafb44eb7797eef71},
    {"gelu_grad", elementary_gelu_grad, ref_gelu_grad, -9, 1e12f, 2.4e-7, 1, 0x28f4e0e5a4662f6e},
    {"silu tail", elementary_silu, ref_silu, -700, -87.33f, 2.7e-37, 1, 0},
    {"gelu to -4", elementary_gelu, ref_gelu, -4, -1, 17, 0, 0},
    {"gelu to -10", elementary_gelu, ref_gelu, -10, -4, 180, 0, 0},
    {"gelu tail", elementary_gelu, ref_gelu, -100, -10, 1e-36, 1, 0},
};

#define N_FUNCTIONS (sizeof functions / sizeof *functions)

/* The distance of neighbouring floats at value; of denormals below the normal ones. */
static double ulp_at(double value)
{
    int e;
    frexp(value, &e);
    return ldexp(1, (e < -125 ? -125 : e) - 24);
}

static void test_errors(void)
{
    uint32_t step = test_quick() ? 211 * 331 : 211 * 13, bits;
    size_t i;
    for (i = 0; i < N_FUNCTIONS; i++) {
        const struct function *f = &functions[i];
        double worst = 0;
        float at = 0;
        for (bits = 0; bits < (uint32_t)-1 - step; bits += step) {
            float x = half_float_of_bits(bits);
            if (x >= f->low && x <= f->high) {
                double r = f->reference(x), error = fabs(f->f(x) - r) / (f->absolute ? 1 : ulp_at(r));
                if (!(error <= worst)) {
                    worst = error;
                    at = x;
                }
            }
        }
        if (getenv("VERBOSE"))
            printf("%s: %g at %.9g\n", f->name, worst, (double)at);
        CHECK_MSG(worst <= f->bound, "%s: error %g at %.9g", f->name, worst, (double)at);
        CHECK_MSG(worst > f->bound / 100, "%s: no error at all", f->name);
    }
}

/* Ranges that matter most, densely: soft-max arguments just below 0, gates around 0, sums just above 1. */
static void test_errors_dense(void)
{
    float step = test_quick() ? 0x1p-12f : 0x1p-16f, x;
    for (x = -4; x <= 4; x += step) {
        CHECK_MSG(fabs(elementary_exp(x) - exp(x)) <= 1.03 * ulp_at(exp(x)), "exp %.9g", (double)x);
        CHECK_MSG(fabs(elementary_tanh(x) - tanh(x)) <= 2.4 * ulp_at(tanh(x)), "tanh %.9g", (double)x);
        CHECK_MSG(fabs(elementary_silu(x) - ref_silu(x)) <= 2.25 * ulp_at(ref_silu(x)), "silu %.9g", (double)x);
        if (x > 0)
            CHECK_MSG(fabs(elementary_log(x) - log(x)) <= 0.92 * ulp_at(log(x)), "log %.9g", (double)x);
    }
}

/* ---- edges ---- */

static int same(float a, float b)
{
    return half_float_bits(a) == half_float_bits(b);
}

static float next_up(float x) /* away from zero */
{
    return half_float_of_bits(half_float_bits(x) + 1);
}

static void test_exp_edges(void)
{
    CHECK(same(elementary_exp(0), 1) && same(elementary_exp(-0.0f), 1));
    CHECK(same(elementary_exp(-infinity), 0) && same(elementary_exp(infinity), infinity));
    CHECK(same(elementary_exp(-FLT_MAX), 0) && same(elementary_exp(FLT_MAX), infinity));
    CHECK(elementary_exp(ELEMENTARY_EXP_LOW) >= FLT_MIN && elementary_exp(ELEMENTARY_EXP_LOW) < 1.0001 * FLT_MIN);
    CHECK(same(elementary_exp(next_up(ELEMENTARY_EXP_LOW)), 0));
    CHECK(elementary_exp(ELEMENTARY_EXP_HIGH) <= FLT_MAX && elementary_exp(ELEMENTARY_EXP_HIGH) > 0.999 * FLT_MAX);
    CHECK(same(elementary_exp(next_up(ELEMENTARY_EXP_HIGH)), infinity));
    CHECK(same(elementary_exp(1e-42f), 1) && isnan(elementary_exp(half_float_of_bits(0x7fc00000u))));
}

static void test_log_edges(void)
{
    CHECK(same(elementary_log(1), 0) && same(elementary_log(0), -infinity) && same(elementary_log(-0.0f), -infinity));
    CHECK(same(elementary_log(infinity), infinity));
    CHECK(isnan(elementary_log(-1)) && isnan(elementary_log(-infinity)) && isnan(elementary_log(-1e-42f)));
    CHECK(isnan(elementary_log(half_float_of_bits(0x7fc00000u))));
    CHECK(fabs(elementary_log(half_float_of_bits(1)) + 149 * log(2)) < 1e-5); /* the smallest denormal */
}

static void test_gate_edges(void)
{
    float x;
    CHECK(same(elementary_tanh(infinity), 1) && same(elementary_tanh(-infinity), -1) && same(elementary_tanh(12), 1));
    CHECK(same(elementary_tanh(-0.0f), -0.0f) && same(elementary_tanh(1e-42f), 1e-42f));
    CHECK(isnan(elementary_tanh(half_float_of_bits(0x7fc00000u))));
    CHECK(same(elementary_sigmoid(0), 0.5f) && same(elementary_sigmoid(-100), 0) && same(elementary_sigmoid(100), 1));
    CHECK(same(elementary_sigmoid(-infinity), 0) && same(elementary_sigmoid(infinity), 1));
    CHECK(same(elementary_silu(0), 0) && elementary_silu(-FLT_MAX) == 0 && same(elementary_silu(FLT_MAX), FLT_MAX));
    CHECK(same(elementary_gelu(0), 0) && elementary_gelu(-FLT_MAX) == 0 && same(elementary_gelu(FLT_MAX), FLT_MAX));
    CHECK(elementary_silu_grad(-FLT_MAX) == 0 && same(elementary_silu_grad(FLT_MAX), 1));
    CHECK(elementary_gelu_grad(-FLT_MAX) == 0 && same(elementary_gelu_grad(FLT_MAX), 1));
    for (x = -86; x > -90; x -= 0x1p-16f) {
        CHECK_MSG(elementary_exp(x) == 0 || elementary_exp(x) >= FLT_MIN, "exp %g is denormal", (double)x);
        CHECK_MSG(elementary_sigmoid(x) == 0 || elementary_sigmoid(x) >= FLT_MIN, "sigmoid %g is denormal", (double)x);
        CHECK_MSG(elementary_silu(x) == 0 || elementary_silu(x) <= -FLT_MIN, "silu %g is denormal", (double)x);
    }
}

/* ---- bits ---- */

#define HASH_START 0xcbf29ce484222325u /* FNV-1a, 64 bits */

static uint64_t hash_bits(uint64_t hash, uint64_t bits, int bytes)
{
    int i;
    for (i = 0; i < bytes; i++)
        hash = (hash ^ (bits >> 8 * i & 0xff)) * 0x100000001b3u;
    return hash;
}

/* Over floats of either sign from 2^-100 to the largest. NaN (log of negatives) has no defined bits. */
static uint64_t hash_function(float (*f)(float))
{
    uint64_t hash = HASH_START;
    uint32_t bits, sign;
    for (sign = 0; sign < 2; sign++)
        for (bits = 27u << 23; bits < 255u << 23; bits += 40013) {
            float y = f(half_float_of_bits(bits | sign << 31));
            hash = hash_bits(hash, isnan(y) ? 0x7fc00000u : half_float_bits(y), 4);
        }
    return hash;
}

static void test_golden_bits(void)
{
    size_t i;
    for (i = 0; i < N_FUNCTIONS; i++)
        if (functions[i].golden) {
            uint64_t hash = hash_function(functions[i].f);
            CHECK_MSG(hash == functions[i].golden, "%s: hash %#llx", functions[i].name, (unsigned long long)hash);
        }
}

/* Sets the CPU's flags that replace denormals by zero; returns 0 where this file does not know how. */
static int flush_denormals(int on)
{
#if defined(__x86_64__)
    unsigned control;
    __asm__ volatile("stmxcsr %0" : "=m"(control));
    control = on ? control | 0x8040u : control & ~0x8040u;
    __asm__ volatile("ldmxcsr %0" : : "m"(control));
    return 1;
#elif defined(__aarch64__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    control = on ? control | (uint64_t)1 << 24 : control & ~((uint64_t)1 << 24);
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
    return 1;
#else
    (void)on;
    return 0;
#endif
}

static void test_denormal_flags(void)
{
    uint64_t with[N_FUNCTIONS];
    size_t i;
    if (!flush_denormals(1))
        return;
    for (i = 0; i < N_FUNCTIONS; i++)
        with[i] = hash_function(functions[i].f);
    flush_denormals(0);
    for (i = 0; i < N_FUNCTIONS; i++)
        CHECK_MSG(with[i] == hash_function(functions[i].f), "%s depends on the denormal flags", functions[i].name);
}

/* ---- double precision ---- */

/* Errors relative to long double's result, in units of 2^-53; measured on x86-64: exp 1.57, log 1.41, pow 30 (it grows
 * with the exponent; here base 1e6), sin and cos 1.69 absolute. Where long double is double, the library's own error
 * adds. */
#define EXP_F64_BOUND 2.2
#define LOG_F64_BOUND 2.2
#define POW_F64_BOUND 40
#define SIN_F64_BOUND 2.5

static double error_f64(double value, long double reference)
{
    return (double)(fabsl(value - reference) / fabsl(reference)) * 0x1p53;
}

static void test_double_errors(void)
{
    double x, exp_worst = 0, log_worst = 0, sin_worst = 0;
    long n = test_quick() ? 2000 : 200000, i;
    for (i = 0; i <= n; i++) {
        double s, c;
        x = -708.0 + 1417.0 * (double)i / (double)n;
        exp_worst = fmax(exp_worst, error_f64(elementary_exp_f64(x), expl(x)));
        x = exp((double)i / (double)n * 80 - 40);
        log_worst = fmax(log_worst, error_f64(elementary_log_f64(x), logl(x)));
        x = -1e6 + 2e6 * (double)i / (double)n;
        s = (double)fabsl(elementary_sin(x) - sinl(x)) * 0x1p53;
        c = (double)fabsl(elementary_cos(x) - cosl(x)) * 0x1p53;
        sin_worst = fmax(sin_worst, fmax(s, c));
    }
    if (getenv("VERBOSE"))
        printf("f64: exp %g log %g sin %g\n", exp_worst, log_worst, sin_worst);
    CHECK_MSG(exp_worst < EXP_F64_BOUND, "exp %g", exp_worst);
    CHECK_MSG(log_worst < LOG_F64_BOUND, "log %g", log_worst);
    CHECK_MSG(sin_worst < SIN_F64_BOUND, "sin, cos %g", sin_worst);
}

static void test_double_edges(void)
{
    CHECK(elementary_exp_f64(0) == 1 && elementary_exp_f64(-1000) == 0 && elementary_exp_f64(-708.5) == 0);
    CHECK(isinf(elementary_exp_f64(710)) && elementary_exp_f64(709.7) < DBL_MAX);
    CHECK(elementary_log_f64(1) == 0 && isinf(elementary_log_f64(0)) && elementary_log_f64(0) < 0);
    CHECK(isnan(elementary_log_f64(-1)) && isinf(elementary_log_f64((double)infinity)));
    CHECK(elementary_sin(0) == 0 && elementary_cos(0) == 1 && elementary_sin(1e-9) == 1e-9);
    CHECK(elementary_pow(7, 0) == 1);
}

/* What rope needs: base^(2i / head_dim) rounded to f32 is the correctly rounded power. */
static void test_rope_powers(void)
{
    static const double bases[] = {3, 10000, 500000, 1000000, 150000};
    double worst = 0;
    size_t b;
    int half, i;
    for (b = 0; b < 5; b++)
        for (half = 2; half <= 128; half *= 2)
            for (i = 0; i < half; i++) {
                float exponent = (float)(2 * i) / (float)(2 * half);
                long double exact = powl(bases[b], exponent);
                double power = elementary_pow(bases[b], exponent);
                worst = fmax(worst, error_f64(power, exact));
                CHECK_MSG((float)power == (float)exact, "%g^%g", bases[b], (double)exponent);
            }
    if (getenv("VERBOSE"))
        printf("pow: %g\n", worst);
    CHECK_MSG(worst < POW_F64_BOUND, "pow %g", worst);
}

/* Angles as rope forms them, in f32, up to a million: sine and cosine rounded to f32 are correct to the last bit but
 * for ties that double cannot see. */
static void test_rope_angles(void)
{
    uint32_t bits, step = test_quick() ? 100003 : 1009;
    for (bits = half_float_bits(1e-6f); bits < half_float_bits(1e6f); bits += step) {
        float x = half_float_of_bits(bits);
        CHECK_MSG(same((float)elementary_sin(x), (float)sinl(x)), "sin %.9g", (double)x);
        CHECK_MSG(same((float)elementary_cos(x), (float)cosl(x)), "cos %.9g", (double)x);
    }
}

#define GOLDEN_F64 0x62693070c4393825

static void test_golden_bits_f64(void)
{
    uint64_t hash = HASH_START;
    int i;
    for (i = -4000; i < 4000; i++) {
        hash = hash_bits(hash, elementary_double_bits(elementary_exp_f64(i * 0.171)), 8);
        hash = hash_bits(hash, elementary_double_bits(elementary_log_f64((i + 4001) * 0.37)), 8);
        hash = hash_bits(hash, elementary_double_bits(elementary_pow(1 + i * i, i * 0.0003)), 8);
        hash = hash_bits(hash, elementary_double_bits(elementary_sin(i * 247.13)), 8);
        hash = hash_bits(hash, elementary_double_bits(elementary_cos(i * 247.13)), 8);
    }
    CHECK_MSG(hash == GOLDEN_F64, "hash %#llx", (unsigned long long)hash);
}

int main(void)
{
    RUN(test_errors);
    RUN(test_errors_dense);
    RUN(test_exp_edges);
    RUN(test_log_edges);
    RUN(test_gate_edges);
    RUN(test_golden_bits);
    RUN(test_denormal_flags);
    RUN(test_double_errors);
    RUN(test_double_edges);
    RUN(test_rope_powers);
    RUN(test_rope_angles);
    RUN(test_golden_bits_f64);
    return TEST_RESULT();
}
