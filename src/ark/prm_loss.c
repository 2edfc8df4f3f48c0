/* prm_loss.c - cross-entropy, supervised contrast, InfoNCE; see prm_loss.h for the formulas. */
#include "prm_loss.h"

#include <math.h>

#define CLAMP 85.0 /* of s_ij, as the published code does, so that exp stays finite in f32 */

double prm_cross_entropy(double *d_logits, const double *logits, const int *labels, const double *weights, size_t n,
                         double scale)
{
    double loss = 0, total = 0;
    size_t i;

    for (i = 0; i < n; i++)
        total += weights ? weights[i] : 1;
    for (i = 0; i < n && total > 0; i++) {
        double margin = logits[2 * i + 1] - logits[2 * i], w = (weights ? weights[i] : 1) / total;
        double right = 1 / (1 + exp(-margin)), d = right - labels[i];

        loss += w * (labels[i] ? log1p(exp(-fabs(margin))) + fmax(-margin, 0)
                               : log1p(exp(-fabs(margin))) + fmax(margin, 0));
        d_logits[2 * i + 1] += scale * w * d;
        d_logits[2 * i] -= scale * w * d;
    }
    return loss;
}

static int compared(const int *groups, size_t i, size_t j)
{
    return i != j && (!groups || groups[i] == groups[j]);
}

static double dot(const double *x, const double *y, size_t n)
{
    double sum = 0;
    size_t i;

    for (i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

static double similarity(const double *z, size_t i, size_t j, size_t dim, double tau)
{
    double s = dot(z + i * dim, z + j * dim, dim) / tau;

    return s > CLAMP ? CLAMP : s < -CLAMP ? -CLAMP : s;
}

static size_t positives(const int *labels, const int *groups, size_t n, size_t i)
{
    size_t j, count = 0;

    for (j = 0; j < n; j++)
        count += compared(groups, i, j) && labels[j] == labels[i];
    return count;
}

/* d_x of x -> z = x / |x| from d_z: (d_z - z (z . d_z)) / |x|. Adds g times the other vector for one pair. */
static void add_pair(double *d_features, const double *z, const double *norms, size_t i, size_t j, size_t dim, double g)
{
    double along = dot(z + i * dim, z + j * dim, dim);
    size_t e;

    for (e = 0; e < dim; e++) {
        d_features[i * dim + e] += g * (z[j * dim + e] - z[i * dim + e] * along) / norms[i];
        d_features[j * dim + e] += g * (z[i * dim + e] - z[j * dim + e] * along) / norms[j];
    }
}

double prm_supcon(double *d_features, const double *features, const int *labels, const int *groups, size_t n,
                  size_t dim, double tau, double scale, double *scratch)
{
    double *z = scratch, *norms = scratch + n * dim, loss = 0;
    size_t i, j, e, anchors = 0;

    for (i = 0; i < n; i++) {
        norms[i] = sqrt(dot(features + i * dim, features + i * dim, dim)) + 1e-12;
        for (e = 0; e < dim; e++)
            z[i * dim + e] = features[i * dim + e] / norms[i];
        anchors += positives(labels, groups, n, i) > 0;
    }
    for (i = 0; i < n; i++) {
        size_t n_positive = positives(labels, groups, n, i);
        double denominator = 0;

        if (!n_positive)
            continue;
        for (j = 0; j < n; j++)
            if (compared(groups, i, j))
                denominator += exp(similarity(z, i, j, dim, tau));
        for (j = 0; j < n; j++) {
            double s, same, g;

            if (!compared(groups, i, j))
                continue;
            s = similarity(z, i, j, dim, tau);
            same = labels[j] == labels[i] ? 1 / (double)n_positive : 0;
            loss += same * (log(denominator) - s) / (double)anchors;
            g = (exp(s) / denominator - same) / (double)anchors;
            if (fabs(s) < CLAMP)
                add_pair(d_features, z, norms, i, j, dim, scale * g / tau);
        }
    }
    return loss;
}

static double sigmoid_score(const double *logits, size_t i)
{
    return 1 / (1 + exp(logits[2 * i] - logits[2 * i + 1]));
}

/* Adds d(loss)/d(score of i) through the sigmoid to the logits. */
static void add_score(double *d_logits, size_t i, double score, double g)
{
    double d = g * score * (1 - score);

    d_logits[2 * i + 1] += d;
    d_logits[2 * i] -= d;
}

double prm_infonce(double *d_logits, const double *logits, const int *labels, const int *groups, size_t n, double tau,
                   double scale)
{
    double loss = 0;
    size_t i, j, anchors = 0;

    for (i = 0; i < n; i++)
        for (j = 0; labels[i] && j < n; j++)
            if (compared(groups, i, j) && !labels[j]) {
                anchors++;
                break;
            }
    for (i = 0; i < n; i++) {
        double own = sigmoid_score(logits, i), sum = 0; /* of e^{(negative - positive) / tau} */

        for (j = 0; labels[i] && j < n; j++)
            if (compared(groups, i, j) && !labels[j])
                sum += exp((sigmoid_score(logits, j) - own) / tau);
        if (sum == 0)
            continue;
        loss += log1p(sum) / (double)anchors;
        for (j = 0; j < n; j++)
            if (compared(groups, i, j) && !labels[j]) {
                double other = sigmoid_score(logits, j);
                double g = scale * exp((other - own) / tau) / (1 + sum) / tau / (double)anchors;

                add_score(d_logits, j, other, g);
                add_score(d_logits, i, own, -g);
            }
    }
    return loss;
}
