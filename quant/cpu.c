/* cpu.c - asks the processor, once per call, which tiers it can run.
 *
 * x86: CPUID says what the silicon has, XGETBV what the operating system saves on a context switch; both must agree
 *   leaf 1 ecx: FMA 12, OSXSAVE 27, AVX 28, F16C 29      leaf 7.0 ebx: AVX2 5, F 16, DQ 17, BW 30, VL 31; ecx: VNNI 11
 *   leaf 7.1 eax: AVX-VNNI 4                             XCR0: xmm 1, ymm 2, opmask 5, zmm 6 and 7
 * AArch64: Advanced SIMD is part of the architecture, sdot is asked from the operating system.
 *
 * This file and kernels.c are the only ones of quant/ that are compiled conditionally. */
#include "cpu.h"
#include <string.h>

#if defined(__x86_64__) && !defined(KERNELS_PORTABLE)

#include <cpuid.h>

static unsigned bit(unsigned word, int i)
{
    return word >> i & 1;
}

/* XCR0, the register sets that the operating system saves; only callable where OSXSAVE is set. */
static unsigned saved_state(void)
{
    unsigned low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    return low;
}

struct cpu_features cpu_features(void)
{
    struct cpu_features f;
    unsigned a, b, c, d, saved, has_vnni;

    memset(&f, 0, sizeof f);
    if (!__get_cpuid(1, &a, &b, &c, &d) || !bit(c, 27) || !bit(c, 28) || !bit(c, 12) || !bit(c, 29))
        return f;
    saved = saved_state();
    if ((saved & 0x6) != 0x6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return f;
    f.avx2 = (int)bit(b, 5);
    has_vnni = bit(c, 11);
    if ((saved & 0xe6) == 0xe6)
        f.avx512 = (int)(bit(b, 5) & bit(b, 16) & bit(b, 17) & bit(b, 30) & bit(b, 31) & has_vnni);
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d))
        f.avxvnni = f.avx2 && bit(a, 4);
    return f;
}

#elif defined(__aarch64__) && !defined(KERNELS_PORTABLE)

#if defined(__linux__)
#include <sys/auxv.h>
#define HWCAP_BIT_ASIMDDP 20 /* <asm/hwcap.h>, kept here because older C libraries lack the name */
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

static int has_dotprod(void)
{
#if defined(__linux__)
    return (int)(getauxval(AT_HWCAP) >> HWCAP_BIT_ASIMDDP & 1);
#elif defined(__APPLE__)
    int value = 0;
    size_t size = sizeof value;

    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &value, &size, NULL, 0) == 0 && value != 0;
#else
    return 0;
#endif
}

struct cpu_features cpu_features(void)
{
    struct cpu_features f;

    memset(&f, 0, sizeof f);
    f.neon = 1;
    f.dotprod = has_dotprod();
    return f;
}

#else

struct cpu_features cpu_features(void)
{
    struct cpu_features f;

    memset(&f, 0, sizeof f);
    return f;
}

#endif
