/* naive_backward.c - gradients of the naive operations over double, each from its formula, loop by loop. */
#include <math.h>
#include <stdlib.h>
#include "naive.h"

static void add_to(double *d, size_t i, double value)
{
    if (d)
        d[i] += value;
}

/* y = W x + b:  dW = dy x^T, db = dy, dx = W^T dy. */
void naive_linear_backward(double *dw, double *d_bias, double *dx, const double *w, const double *dy, const double *x,
                           size_t n_tokens, size_t out, size_t in)
{
    size_t t, o, i;

    for (t = 0; t < n_tokens; t++)
        for (o = 0; o < out; o++) {
            add_to(d_bias, o, dy[t * out + o]);
            for (i = 0; i < in; i++) {
                add_to(dw, o * in + i, dy[t * out + o] * x[t * in + i]);
                add_to(dx, t * in + i, dy[t * out + o] * w[o * in + i]);
            }
        }
}

/* y = s B A x:  dB = s dy (A x)^T, dA = s (B^T dy) x^T, dx = s A^T (B^T dy). */
void naive_lora_backward(double *d_a, double *d_b, double *dx, const double *a, const double *b, double scale,
                         const double *dy, const double *x, size_t n_tokens, size_t rank, size_t out, size_t in)
{
    size_t t, r, o, i;

    for (t = 0; t < n_tokens; t++)
        for (r = 0; r < rank; r++) {
            double u = 0, du = 0;

            for (i = 0; i < in; i++)
                u += a[r * in + i] * x[t * in + i];
            for (o = 0; o < out; o++) {
                du += b[o * rank + r] * dy[t * out + o];
                add_to(d_b, o * rank + r, scale * dy[t * out + o] * u);
            }
            for (i = 0; i < in; i++) {
                add_to(d_a, r * in + i, scale * du * x[t * in + i]);
                add_to(dx, t * in + i, scale * du * a[r * in + i]);
            }
        }
}

/* y_i = x_i w_i / n(x), n^2 = mean x^2 + eps:  dx_i = (w_i dy_i - x_i / (N n^2) sum_j w_j dy_j x_j) / n. */
void naive_rmsnorm_backward(double *dw, double *dx, const double *w, const double *dy, const double *x, size_t n_rows,
                            size_t n, double eps)
{
    size_t t, i;

    for (t = 0; t < n_rows; t++, x += n, dy += n) {
        double square = 0, along = 0, norm;

        for (i = 0; i < n; i++) {
            square += x[i] * x[i];
            along += w[i] * dy[i] * x[i];
        }
        norm = sqrt(square / (double)n + eps);
        for (i = 0; i < n; i++) {
            add_to(dw, i, dy[i] * x[i] / norm);
            add_to(dx, t * n + i, (w[i] * dy[i] - x[i] * along / ((double)n * norm * norm)) / norm);
        }
    }
}

/* The transpose of a rotation. */
void naive_rope_backward(double *d, const double *angle, size_t rope_dim, int pairs)
{
    size_t half = rope_dim / 2, i;

    for (i = 0; i < half; i++) {
        size_t first = pairs ? 2 * i : i, second = pairs ? 2 * i + 1 : i + half;
        double a = d[first], b = d[second];

        d[first] = a * cos(angle[i]) + b * sin(angle[i]);
        d[second] = b * cos(angle[i]) - a * sin(angle[i]);
    }
}

/* Probabilities of one query over all tokens (0 where it sees nothing). */
static void probabilities(double *p, const double *query, const double *k, size_t t, size_t kv_head,
                          const struct naive_attention *a)
{
    size_t s, i;
    double most = -INFINITY, sum = 0;

    for (s = 0; s < a->n_tokens; s++) {
        p[s] = 0;
        for (i = 0; i < a->head_dim; i++)
            p[s] += a->scale * query[i] * k[(s * a->n_kv_heads + kv_head) * a->head_dim + i];
        if (a->sees[t * a->n_tokens + s])
            most = fmax(most, p[s]);
    }
    for (s = 0; s < a->n_tokens; s++) {
        p[s] = a->sees[t * a->n_tokens + s] ? exp(p[s] - most) : 0;
        sum += p[s];
    }
    for (s = 0; s < a->n_tokens; s++)
        p[s] /= sum;
}

/* out = P v, P = softmax(scale q k^T):  dv = P^T d_out, dP = d_out v^T, dS = P (dP - sum P dP), dq = scale dS k,
 * dk = scale dS^T q. */
void naive_attention_backward(double *dq, double *dk, double *dv, const double *q, const double *k, const double *v,
                              const double *d_out, const struct naive_attention *a)
{
    size_t n = a->n_tokens, e = a->head_dim, group = a->n_heads / a->n_kv_heads, t, h, s, i;
    double *p = malloc(n * sizeof *p), *dp = malloc(n * sizeof *dp);

    for (t = 0; t < n; t++)
        for (h = 0; h < a->n_heads; h++) {
            size_t query = (t * a->n_heads + h) * e;
            double sum = 0;

            probabilities(p, q + query, k, t, h / group, a);
            for (s = 0; s < n; s++) {
                dp[s] = 0;
                for (i = 0; i < e; i++)
                    dp[s] += d_out[query + i] * v[(s * a->n_kv_heads + h / group) * e + i];
                sum += p[s] * dp[s];
            }
            for (s = 0; s < n; s++)
                for (i = 0; i < e; i++) {
                    size_t key = (s * a->n_kv_heads + h / group) * e + i;
                    double ds = p[s] * (dp[s] - sum) * a->scale;

                    add_to(dq, query + i, ds * k[key]);
                    add_to(dk, key, ds * q[query + i]);
                    add_to(dv, key, p[s] * d_out[query + i]);
                }
        }
    free(p);
    free(dp);
}

/* silu' = s (1 + x (1 - s)); gelu' = (1 + t) / 2 + x (1 - t^2) / 2 * c (1 + 3 * 0.044715 x^2). */
static double slope(double x, int gelu)
{
    const double c = 0.79788456080286535588;
    double s = 1 / (1 + exp(-x)), t = tanh(c * (x + 0.044715 * x * x * x));

    return gelu ? 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x) : s * (1 + x * (1 - s));
}

void naive_swiglu_backward(double *d_gate, double *d_up, const double *gate, const double *up, const double *dy,
                           size_t n, int gelu)
{
    size_t i;

    for (i = 0; i < n; i++) {
        add_to(d_gate, i, dy[i] * up[i] * slope(gate[i], gelu));
        add_to(d_up, i, dy[i] * (gelu ? naive_gelu(gate[i]) : naive_silu(gate[i])));
    }
}

/* log p = x_target - log sum exp x:  dx = d (onehot - p). */
void naive_logprob_backward(double *d_logits, const double *logits, double d, size_t vocab, size_t target)
{
    size_t i;

    for (i = 0; i < vocab; i++)
        add_to(d_logits, i, d * ((i == target) - exp(naive_logprob(logits, vocab, i))));
}
