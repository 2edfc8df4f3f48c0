/* encode_super.h - super-blocks of 256 elements whose groups have small integer scales; private to quant/.
 *
 *   signed   x = (d*sc[g])*q              sc in sc_lo..sc_hi           Q6_K Q3_K
 *   affine   x = (d*sc[g])*q - dmin*m[g]  sc, m in 0..sc_hi            Q4_K Q5_K Q2_K
 *
 * Criterion: the plain squared error of the decoded values, over f16 d and dmin, integer sc and m, codes q. */
#ifndef ARKLET_QUANT_ENCODE_SUPER_H
#define ARKLET_QUANT_ENCODE_SUPER_H

#include "encode_fit.h"

struct super_format {
    size_t group; /* elements per group: 16 or 32 */
    struct levels levels;
    int sc_lo, sc_hi;
    int window;              /* integer scales tried on either side of the ideal one */
    int rounds;              /* of choosing integers, then d and dmin by least squares */
    struct grid grid;        /* signed */
    struct affine_grid cuts; /* affine */
};

struct super_block {
    uint16_t d, dmin;
    int sc[16], m[16];
    int q[256]; /* levels, not biased */
};

void super_encode_signed(struct super_block *out, const float *src, const struct super_format *format);
void super_encode_affine(struct super_block *out, const float *src, const struct super_format *format);

#endif
