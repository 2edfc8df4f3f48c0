/* merge.c - adapters folded into weights, row by row. */
#include "merge.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The matrix that "blk.3.attn_q.weight" names; 0 when it is none that adapters know. */
static int place_of(const char *name, size_t *layer, enum target *target)
{
    char wanted[96];
    unsigned long number;
    int t;

    if (sscanf(name, "blk.%lu.", &number) != 1)
        return 0;
    *layer = number;
    for (t = 0; t < TARGET_COUNT; t++) {
        snprintf(wanted, sizeof wanted, "blk.%lu.%s.weight", number, adapter_gguf_name((enum target)t));
        *target = (enum target)t;
        if (strcmp(name, wanted) == 0)
            return 1;
    }
    return 0;
}

void merge_row(void *context, const char *name, size_t row, float *values, size_t n)
{
    const struct merge *merge = context;
    enum target target;
    size_t layer, i, r, c;

    if (!place_of(name, &layer, &target))
        return;
    for (i = 0; i < merge->n_adapters && layer < merge->adapters[i]->n_layers; i++) {
        const struct lora *lora = &merge->adapters[i]->loras[layer][target];

        for (r = 0; r < lora->rank; r++) {
            float b = lora->scale * lora->b_t[r * lora->out_stride + row];

            for (c = 0; c < n; c++)
                values[c] = fmaf(b, lora->a[r * lora->in + c], values[c]);
        }
    }
}
