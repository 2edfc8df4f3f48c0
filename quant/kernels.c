/* kernels.c - the tiers of this build, and which of them this processor can run.
 *
 * Each tier is one constant table in its own file (scalar.c avx2.c avxvnni.c avx512.c neon.c neondot.c). The list goes
 * from slow to fast, so the best tier is the last one that the processor supports. -DKERNELS_PORTABLE leaves scalar
 * alone (fuzzers, unknown architectures). */
#include "kernels.h"
#include "cpu.h"
#include <string.h>

#if defined(__x86_64__) && !defined(KERNELS_PORTABLE)
#define KERNELS_X86 1
#define KERNELS_ARM 0
#elif defined(__aarch64__) && !defined(KERNELS_PORTABLE)
#define KERNELS_X86 0
#define KERNELS_ARM 1
#else
#define KERNELS_X86 0
#define KERNELS_ARM 0
#endif

extern const struct kernels kernels_scalar;
#if KERNELS_X86
extern const struct kernels kernels_avx2, kernels_avxvnni, kernels_avx512;
#elif KERNELS_ARM
extern const struct kernels kernels_neon, kernels_neondot;
#endif

#define TIERS_MAX 4

/* Writes the tiers that this processor runs, slow to fast; returns their number. */
static size_t tiers(const struct kernels *list[TIERS_MAX])
{
    struct cpu_features f = cpu_features();
    size_t n = 0;

    list[n++] = &kernels_scalar;
    (void)f;
#if KERNELS_X86
    if (f.avx2)
        list[n++] = &kernels_avx2;
    if (f.avxvnni)
        list[n++] = &kernels_avxvnni;
    if (f.avx512)
        list[n++] = &kernels_avx512;
#elif KERNELS_ARM
    if (f.neon)
        list[n++] = &kernels_neon;
    if (f.dotprod)
        list[n++] = &kernels_neondot;
#endif
    return n;
}

const struct kernels *kernels_at(size_t i)
{
    const struct kernels *list[TIERS_MAX];

    return i < tiers(list) ? list[i] : NULL;
}

const struct kernels *kernels_find(const char *name)
{
    const struct kernels *list[TIERS_MAX];
    size_t n = tiers(list), i;

    if (!name)
        return list[n - 1];
    for (i = 0; i < n; i++)
        if (strcmp(list[i]->name, name) == 0)
            return list[i];
    return NULL;
}
