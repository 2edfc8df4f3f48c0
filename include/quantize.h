/* quantize.h - rewriting a model's weights in another storage format: GGUF or Hugging Face folder in, GGUF out.
 *
 * Types are llama-quantize's: a plain format (F32 F16 BF16 Q8_0 Q4_0 ...) or a mixture (Q4_K_M ...) that spends more
 * bits where the loss is most sensitive. Rows that do not divide into a format's blocks fall back to a wider one, and
 * vectors keep their floats. The same bytes come out for any number of threads. */
#ifndef ARKLET_QUANTIZE_H
#define ARKLET_QUANTIZE_H

#include <stddef.h>
#include <stdint.h>
#include "pool.h"
#include "progress.h"
#include "status.h"

struct quantize_type;

/* NULL for an unknown name; names compare without case. */
const struct quantize_type *quantize_type_find(const char *name);
/* All names, space separated, for messages. */
const char *quantize_type_names(void);

/* May change the values of a row before they are encoded: `name` is the tensor's in GGUF, row order that of a GGUF.
 * Called from several threads at once, for different rows. */
typedef void quantize_adjust(void *context, const char *name, size_t row, float *values, size_t n);

struct quantize_options {
    const struct quantize_type *type;
    int pure; /* one format for all matrices, instead of the type's mixture */
    struct pool *pool;
    struct progress *progress; /* may be NULL */
    quantize_adjust *adjust;   /* may be NULL */
    void *adjust_context;
    int (*stop)(void); /* may be NULL; polled between slabs: not 0 ends the work with STATUS_STOPPED */
};

struct quantize_report {
    size_t n_tensors, n_fallbacks; /* fallbacks: matrices whose rows the chosen format cannot hold */
    uint64_t bytes_in, bytes_out;  /* of tensor data */
    uint64_t n_elements;
};

/* Writes `out` (a GGUF; it may be `in` itself, and appears only when it is whole). */
enum status quantize_model(const char *in, const char *out, const struct quantize_options *options,
                           struct quantize_report *report, struct diag *diag);

#endif
