/* test_prm_loss.c - golden numbers of method.md section 4, gradients against central differences. */
#include "prm_loss.h"
#include <math.h>
#include "test.h"

#define PRINTED    1e-6 /* golden numbers have six decimals */
#define DIFFERENCE 1e-8 /* central differences in double with a step of 1e-5; measured 2e-10 */

static const double vectors[8] = {1, 0, .8, .6, -.6, .8, 0, -1};
static const double logits4[8] = {-.2, .7, .1, .3, .4, -.5, 0, .2};
static const int labels4[4] = {1, 1, 0, 0};

static void test_golden(void)
{
    double d[8] = {0}, scratch[12], ce, contrast;
    static const double scores[6] = {0, .7, 0, -.2, 0, .1};
    static const int labels[3] = {1, 0, 0};

    ce = prm_cross_entropy(d, logits4, labels4, NULL, 4, 1);
    contrast = prm_supcon(d, vectors, labels4, NULL, 4, 2, 0.1, 1, scratch);
    CHECK_MSG(fabs(ce - .519646) <= PRINTED, "cross-entropy %.6f", ce);
    CHECK_MSG(fabs(contrast - 4.001573) <= PRINTED, "contrast %.6f", contrast);
    CHECK_MSG(fabs(ce + .5 * contrast - 2.520433) <= PRINTED, "total %.6f", ce + .5 * contrast);
    CHECK_MSG(fabs(prm_infonce(d, scores, labels, NULL, 3, 0.1, 1) - .301457) <= PRINTED, "infonce");
}

typedef double loss_of(double *d, const double *x);

static double ce_of(double *d, const double *x)
{
    static const double w[4] = {1, 2, .5, 1};

    return prm_cross_entropy(d, x, labels4, w, 4, 1);
}

static double supcon_of(double *d, const double *x)
{
    static const int groups[4] = {0, 0, 0, 0};
    double scratch[12];

    return prm_supcon(d, x, labels4, groups, 4, 2, 0.5, 1, scratch);
}

static double infonce_of(double *d, const double *x)
{
    return prm_infonce(d, x, labels4, NULL, 4, 0.3, 1);
}

static void check_gradient(loss_of *loss, const double *at, const char *name)
{
    double gradient[8] = {0}, ignored[8], x[8];
    int i;

    loss(gradient, at);
    for (i = 0; i < 8; i++) {
        double plus, minus;

        memcpy(x, at, sizeof x);
        x[i] += 1e-5;
        plus = loss(ignored, x);
        x[i] -= 2e-5;
        minus = loss(ignored, x);
        CHECK_MSG(fabs(gradient[i] - (plus - minus) / 2e-5) < DIFFERENCE, "%s[%d]: %.9f, difference %.9f", name, i,
                  gradient[i], (plus - minus) / 2e-5);
    }
}

static void test_gradients(void)
{
    static const double features[8] = {1.5, .2, .7, .9, -.5, 1.1, .3, -2};

    check_gradient(ce_of, logits4, "cross-entropy");
    check_gradient(supcon_of, features, "supcon");
    check_gradient(infonce_of, logits4, "infonce");
}

/* Positions of other questions are no negatives. */
static void test_groups(void)
{
    static const int apart[4] = {0, 1, 2, 3}, pairs[4] = {0, 1, 0, 1};
    double d[8] = {0}, scratch[12];

    CHECK(prm_supcon(d, vectors, labels4, apart, 4, 2, 0.1, 1, scratch) == 0);
    CHECK(prm_infonce(d, logits4, labels4, apart, 4, 0.1, 1) == 0 && d[0] == 0);
    CHECK(prm_infonce(d, logits4, labels4, pairs, 4, 0.1, 1) > 0);
}

int main(void)
{
    RUN(test_golden);
    RUN(test_gradients);
    RUN(test_groups);
    return TEST_RESULT();
}
