/* bench.h - what the parts of `arklet bench` share: the machine's limits, a row of the table, printing. */
#ifndef ARKLET_BENCH_H
#define ARKLET_BENCH_H

#include <stddef.h>
#include "exec.h"
#include "forward.h"
#include "model.h"

/* Measured in the same run, with the run's threads; 0: not measured. */
struct bench_machine {
    double read;    /* bytes/s, reading 1 GB */
    double int8;    /* operations/s; a multiply and an add are two */
    double float32; /* operations/s */
};

struct bench_machine bench_measure_machine(const struct exec *exec);

/* What one forward pass costs, whatever its tokens. */
struct bench_model {
    size_t pass_bytes;          /* weights that a pass reads: all but an untied embedding */
    double layer_ops, head_ops; /* of one token in the layers, and in the head */
    size_t params;
    int quantised; /* the layers' products are of int8 */
    char name[96]; /* "qwen2 Q4_0" */
};

struct bench_model bench_describe(const struct model *model);

struct bench_row {
    char test[96];
    size_t n_prompt, n_gen, n_seq, depth;
    double avg_ts, stddev_ts;
    double gbps, bandwidth_share, peak_share; /* shares of 1; below 0: not known */
    double linear_share;                      /* of the peak, in the layers' products alone; below 0: not known */
    double seconds;                           /* of all repetitions */
    struct forward_times times;               /* within them */
};

/* "md", "csv", "json" to standard output. */
void bench_print(const char *format, const struct bench_model *model, const struct exec *exec,
                 const struct bench_row *rows, size_t n);
/* Where the time of a row went, to standard error. */
void bench_print_times(const struct bench_row *row);

#endif
