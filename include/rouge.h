/* rouge.h - ROUGE-1, ROUGE-2 and ROUGE-L F-measures with Porter stemming (Lin 2004), as the rouge-score package 0.1.2
 * computes them: tokens are runs of a-z0-9 of the lower-cased text, those of four characters and more are stemmed by
 * NLTK's variant of Porter's algorithm, n-grams are counted with multiplicity, L is over the whole text. */
#ifndef ARKLET_ROUGE_H
#define ARKLET_ROUGE_H

#include <stddef.h>
#include "status.h"

struct rouge {
    double rouge1, rouge2, rougeL;
};

/* Texts are UTF-8. Time: sorting, and words of one text x words of the other / 64 for L. Fails only for memory. */
enum status rouge_score(struct rouge *score, const char *prediction, size_t prediction_length, const char *gold,
                        size_t gold_length, struct diag *diag);

#endif
