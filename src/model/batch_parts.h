/* batch_parts.h - what batch.c (life, steps) and batch_admit.c (queue, prefixes, pages) share.
 *
 * A request is one `struct sequence` from submission to its end. Its tokens are the prompt and what was chosen since;
 * the first kv.length of them are in the cache, the others are still to be fed:
 *
 *     tokens   | prompt ............ | chosen ...... |
 *     fed      | kv.length ....|       n_tokens ends here; n_tokens - kv.length are left to feed
 *
 * Feeding the last one gives logits, hence the next token. It stands in one place: queue, live, or kept. */
#ifndef ARKLET_BATCH_PARTS_H
#define ARKLET_BATCH_PARTS_H

#include "arena.h"
#include "batch.h"
#include "forward.h"

struct sequence {
    struct sequence *next; /* in the queue */
    uint64_t id;
    struct request request; /* prompt points to tokens */
    struct kv_sequence kv;
    size_t n_tokens;
    size_t positions; /* cache positions reserved at admission */
    int finished;
    enum finish finish;
    float *logprobs; /* [max_new] */
    int32_t *tokens; /* [n_prompt + max_new] */
};

struct engine {
    const struct model *model;
    struct exec exec;
    struct engine_options options;
    struct kv *kv;
    struct forward *forward;
    struct arena arena;
    struct sequence *queue, **queue_end; /* oldest first; the link to append at */
    struct sequence **live;              /* [n_live <= max_sequences], in order of admission */
    struct sequence **kept;              /* [n_kept <= keep], oldest first */
    size_t n_live, n_kept;
    uint64_t last_id;
    struct engine_statistics statistics;
    /* of the running step */
    struct token_span *spans;  /* [max_sequences] */
    struct sequence **asks;    /* [max_sequences] sequences that get a token */
    size_t *rows;              /* [max_sequences] their rows of hidden */
    int32_t *chosen;           /* [max_sequences] */
    float *logprobs;           /* [max_sequences] */
    float *logits;             /* [ENGINE_LOGIT_ROWS][logit stride] */
    struct candidate *scratch; /* [threads][vocab_size] */
};

/* Logit rows computed at once: bounds memory (19 MB at a vocabulary of 150,000) and still shares the head's weights. */
#define ENGINE_LOGIT_ROWS 32

/* Moves requests from the queue to `live` while there is a place, pages, and nothing worth waiting for. */
enum status batch_admit(struct engine *engine, struct diag *diag);
/* Takes a sequence that has left `live`: keeps its prefix or frees it. */
void batch_retire(struct engine *engine, struct sequence *sequence);
void batch_sequence_free(struct engine *engine, struct sequence *sequence);

#endif
