/* panel_values.h - the last step of pack_panel.c, a transposition: lanes of sixteen rows become columns of each row. */
#ifndef ARKLET_QUANT_PANEL_VALUES_H
#define ARKLET_QUANT_PANEL_VALUES_H

#include "pack_code.h"

#define PANEL_STEPS 8 /* columns of a float class at once */

/* A block's codes, lane r of quads[j] = four codes of row r, and the scales of its halves, columns 0..15 and 16..31. */
struct panel_block {
    struct lanes quads[8];
    float scale[2][PACK_ROWS], minimum[2][PACK_ROWS];
    int offset;      /* taken from each code */
    int has_minimum; /* else it is not added, not even as zero */
};

struct panel_values {
    /* dst[r * stride + c] = (code - offset) * scale (+ minimum), c < 32. */
    void (*codes)(float *dst, size_t stride, const struct panel_block *block);
    /* dst[r * stride + k] = steps[k][r]. */
    void (*floats)(float *dst, size_t stride, float steps[PANEL_STEPS][PACK_ROWS]);
};

extern const struct panel_values panel_values_plain, panel_values_avx2;

#endif
