/* panel_values.c - panel_values.h in plain C. */
#include "panel_values.h"

/* The codes as floats, for the whole block at once: shorter loops of widening do not become SIMD code. */
static void widen(float *dst, const int8_t *q, size_t n, int offset)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = (float)(q[i] - offset);
}

static void codes(float *dst, size_t stride, const struct panel_block *block)
{
    float values[PACK_ROWS][PACK_BLOCK];
    int8_t q[PACK_ROWS][PACK_BLOCK];
    for (size_t r = 0; r < PACK_ROWS; r++)
        for (size_t j = 0; j < 8; j++)
            memcpy(&q[r][4 * j], &block->quads[j].lane[r], 4);
    widen(values[0], q[0], sizeof q, block->offset);
    for (size_t r = 0; r < PACK_ROWS; r++)
        for (size_t h = 0; h < 2; h++) {
            const float *from = values[r] + 16 * h;
            float *to = dst + r * stride + 16 * h, scale = block->scale[h][r], minimum = block->minimum[h][r];
            if (block->has_minimum)
                for (size_t i = 0; i < 16; i++)
                    to[i] = from[i] * scale + minimum;
            else
                for (size_t i = 0; i < 16; i++)
                    to[i] = from[i] * scale;
        }
}

static void floats(float *dst, size_t stride, float steps[PANEL_STEPS][PACK_ROWS])
{
    for (size_t r = 0; r < PACK_ROWS; r++)
        for (size_t k = 0; k < PANEL_STEPS; k++)
            dst[r * stride + k] = steps[k][r];
}

const struct panel_values panel_values_plain = {codes, floats};
