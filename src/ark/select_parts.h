/* select_parts.h - what the select*.c files share: candidates of a debate, and the splice. */
#ifndef ARKLET_SELECT_PARTS_H
#define ARKLET_SELECT_PARTS_H

#include "departure.h"
#include "select.h"
#include "steps.h"

/* A turn that may become a trace. */
struct select_candidate {
    const struct transcript_turn *turn;
    const char *text; /* without white space around it */
    size_t length;
    size_t size; /* tokens, or bytes where a turn's tokens are not known */
    int corrective;
    int bare;
    uint64_t hash;
    struct steps_signature signature;
    double distance; /* to the nearest taken one */
    int taken;
};

struct select_candidates {
    struct select_candidate *items; /* [n], in the arena */
    size_t n;
    size_t order[64]; /* [n_taken] indices, in the order of taking */
    size_t n_taken;
};

#define SELECT_MAX_K 64

/* The usable turns of a debate; the others are counted by reason. budget: tokens of round 0 that count when sampling,
 * 0: all. */
enum status select_candidates(struct select_candidates *c, const struct transcript *transcript,
                              const struct select_options *options, uint64_t budget, struct select_summary *summary,
                              struct arena *arena, struct diag *diag);
/* Takes up to k: the smallest, then each time the one that is farthest from those taken. */
void select_diverse(struct select_candidates *c, size_t k, double distance, struct select_summary *summary);

/* A wrong turn up to its first bad step, and the same agent's later right one. */
struct select_splice {
    const struct transcript_turn *wrong, *right;
    size_t wrong_length;         /* of wrong->text, the bad step included */
    struct departure_text alone; /* what of the right turn stands alone */
    const char *text;            /* the completion: wrong part, self-check, right text */
    size_t length, zero;         /* bytes in front without loss */
};

/* splice->text is NULL when the debate has no correction that can be spliced. */
enum status select_splice(struct select_splice *splice, const struct transcript *transcript,
                          struct select_summary *summary, struct arena *arena, struct diag *diag);

#endif
