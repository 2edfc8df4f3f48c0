/* sft.h - supervised fine-tuning: batches of examples from a file of any size, AdamW or Muon, resumable.
 *
 * Loss of a step = sum w nll / sum w over the completion tokens of its batch. The order is a permutation of the records
 * for each epoch, computed from the seed (no table), so a 100 GB file costs the memory of one batch. */
#ifndef ARKLET_SFT_H
#define ARKLET_SFT_H

#include <stddef.h>
#include <stdint.h>
#include "example.h"
#include "file_index.h"
#include "train_run.h"

struct sft_options {
    const char *data; /* JSON Lines */
    const char *dev;  /* or NULL */
    double epochs;
    size_t batch; /* records a step */
    struct example_format format;
    struct backward_options backward; /* max_tokens >= format.max_len; max_spans is set from it */
    struct train_options train;
    struct train_run_options run; /* hashes and total_steps, here and in train, are set from base and data */
};

struct sft_result {
    uint64_t steps, records, truncated, skipped;
    double loss;     /* of the last step */
    double dev_loss; /* of the parameters that were kept; NaN without dev */
    uint64_t best_step;
    uint64_t tokens;
    double seconds;
    struct backward_times times;
};

/* Trains adapter or full in place and leaves the kept parameters there (the best on dev when there is one). Writes
 * metrics.csv and checkpoint/ into the run folder; the caller writes the adapter or model. Exactly one of adapter and
 * full is given. STATUS_FORMAT: nothing to train on; STATUS_NUMERIC, STATUS_STOPPED: see train_run.h. */
enum status sft_run(struct model *model, struct adapter *adapter, struct full *full, const struct exec *exec,
                    const struct sft_options *options, struct sft_result *result, struct diag *diag);

#endif
