/* naive_forward.h - the forward operations over `number`, named NAME(x); see naive.h. Included by naive_real.c and
 * naive_complex.c alone, behind naive.h and tgmath.h. Nothing here is clever: one loop per index, sums ascending, no
 * masks multiplied by zero. */
#include <stdlib.h>
#include <string.h>

void NAME(linear)(number *y, const number *w, const number *bias, const number *x, size_t n_tokens, size_t out,
                  size_t in)
{
    size_t t, o, i;

    for (t = 0; t < n_tokens; t++)
        for (o = 0; o < out; o++) {
            number sum = bias ? bias[o] : 0;

            for (i = 0; i < in; i++)
                sum += w[o * in + i] * x[t * in + i];
            y[t * out + o] = sum;
        }
}

void NAME(lora)(number *y, const number *a, const number *b, double scale, const number *x, size_t n_tokens,
                size_t rank, size_t out, size_t in)
{
    size_t t, r, o, i;

    for (t = 0; t < n_tokens; t++)
        for (r = 0; r < rank; r++) {
            number u = 0;

            for (i = 0; i < in; i++)
                u += a[r * in + i] * x[t * in + i];
            for (o = 0; o < out; o++)
                y[t * out + o] += scale * b[o * rank + r] * u;
        }
}

void NAME(rmsnorm)(number *y, const number *x, const number *w, size_t n_rows, size_t n, double eps)
{
    size_t t, i;

    for (t = 0; t < n_rows; t++) {
        number sum = 0;

        for (i = 0; i < n; i++)
            sum += x[t * n + i] * x[t * n + i];
        for (i = 0; i < n; i++)
            y[t * n + i] = x[t * n + i] / sqrt(sum / (double)n + eps) * w[i];
    }
}

void NAME(rope)(number *x, const double *angle, size_t rope_dim, int pairs)
{
    size_t half = rope_dim / 2, i;

    for (i = 0; i < half; i++) {
        size_t first = pairs ? 2 * i : i, second = pairs ? 2 * i + 1 : i + half;
        number a = x[first], b = x[second];

        x[first] = a * cos(angle[i]) - b * sin(angle[i]);
        x[second] = a * sin(angle[i]) + b * cos(angle[i]);
    }
}

void NAME(attention)(number *out, const number *q, const number *k, const number *v,
                     const struct naive_attention *shape)
{
    size_t n = shape->n_tokens, e = shape->head_dim, group = shape->n_heads / shape->n_kv_heads, t, s, h, i;
    number *p = malloc(n * sizeof *p);

    for (t = 0; t < n; t++)
        for (h = 0; h < shape->n_heads; h++) {
            const number *query = q + (t * shape->n_heads + h) * e;
            number *mixed = out + (t * shape->n_heads + h) * e, sum = 0;
            double most = -INFINITY;

            for (s = 0; s < n; s++) {
                const number *key = k + (s * shape->n_kv_heads + h / group) * e;

                if (!shape->sees[t * n + s])
                    continue;
                p[s] = 0;
                for (i = 0; i < e; i++)
                    p[s] += query[i] * key[i];
                p[s] *= shape->scale;
                most = fmax(most, (double)creal(p[s]));
            }
            memset(mixed, 0, e * sizeof *mixed);
            for (s = 0; s < n; s++) {
                const number *value = v + (s * shape->n_kv_heads + h / group) * e;

                if (!shape->sees[t * n + s])
                    continue;
                p[s] = exp(p[s] - most);
                sum += p[s];
                for (i = 0; i < e; i++)
                    mixed[i] += p[s] * value[i];
            }
            for (i = 0; i < e; i++)
                mixed[i] /= sum;
        }
    free(p);
}

number NAME(silu)(number x)
{
    return x / (1 + exp(-x));
}

number NAME(gelu)(number x)
{
    return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}

void NAME(swiglu)(number *y, const number *gate, const number *up, size_t n, int gelu)
{
    size_t i;

    for (i = 0; i < n; i++)
        y[i] = (gelu ? NAME(gelu)(gate[i]) : NAME(silu)(gate[i])) * up[i];
}

number NAME(logprob)(const number *logits, size_t vocab, size_t target)
{
    double most = -INFINITY;
    number sum = 0;
    size_t i;

    for (i = 0; i < vocab; i++)
        most = fmax(most, (double)creal(logits[i]));
    for (i = 0; i < vocab; i++)
        sum += exp(logits[i] - most);
    return logits[target] - most - log(sum);
}

/* ---- The whole model ---- */

static const number *at(const number *values, size_t offset)
{
    return offset == NAIVE_NONE ? NULL : values + offset;
}

/* y [T][out] of one matrix with its adapter. */
static void matrix(const struct naive_model *m, const number *values, const struct naive_layer *layer,
                   enum target target, number *y, const number *x, const struct naive_batch *b)
{
    size_t out = naive_out(&m->config, target), in = naive_in(&m->config, target), n = b->n_tokens, i;
    number *kept;

    NAME(linear)(y, values + layer->weight[target], at(values, layer->bias[target]), x, n, out, in);
    if (layer->a[target] == NAIVE_NONE)
        return;
    kept = malloc(n * in * sizeof *kept);
    for (i = 0; i < n * in; i++)
        kept[i] = b->keep ? x[i] * b->keep(b, (size_t)(layer - m->layers), target, i / in, i % in) : x[i];
    NAME(lora)
    (y, values + layer->a[target], values + layer->b[target], m->lora_scale, kept, n, m->rank, out, in);
    free(kept);
}

/* x += y, through the post-norm when there is one. */
static void add(number *x, number *y, const number *norm, size_t n_tokens, size_t dim, double eps)
{
    size_t i;

    if (norm)
        NAME(rmsnorm)(y, y, norm, n_tokens, dim, eps);
    for (i = 0; i < n_tokens * dim; i++)
        x[i] += y[i];
}

static void rotate(const struct naive_model *m, number *x, size_t heads, const struct naive_batch *b, int rope)
{
    size_t half = (size_t)m->config.rope_dim / 2, e = (size_t)m->config.head_dim, t, h, i;
    double *angle = malloc(half * sizeof *angle);

    for (t = 0; t < b->n_tokens; t++) {
        for (i = 0; i < half; i++) /* rounded to f32, as transformers and the program form it */
            angle[i] = (double)((float)b->positions[t] * m->inv_freq[rope][i]);
        for (h = 0; h < heads; h++)
            NAME(rope)(x + (t * heads + h) * e, angle, 2 * half, m->config.rope_pairs);
    }
    free(angle);
}

/* Steps 2 to 5: h [T][D] -> out [T][D]. */
static void attend(const struct naive_model *m, const number *values, size_t index, const struct naive_batch *b,
                   number *out, const number *h)
{
    const struct naive_layer *layer = &m->layers[index];
    size_t n = b->n_tokens, heads = (size_t)m->config.n_heads, kv = (size_t)m->config.n_kv_heads, t, s;
    size_t e = (size_t)m->config.head_dim;
    number *q = malloc(n * heads * e * sizeof *q), *k = malloc(n * kv * e * sizeof *k),
           *v = malloc(n * kv * e * sizeof *v);
    number *mixed = malloc(n * heads * e * sizeof *mixed);
    unsigned char *sees = malloc(n * n);
    struct naive_attention shape = {n, heads, kv, e, (double)m->config.attn_scale, sees};

    matrix(m, values, layer, TARGET_Q, q, h, b);
    matrix(m, values, layer, TARGET_K, k, h, b);
    matrix(m, values, layer, TARGET_V, v, h, b);
    if (layer->attn_q_norm != NAIVE_NONE) {
        NAME(rmsnorm)(q, q, values + layer->attn_q_norm, n * heads, e, (double)m->config.rms_eps);
        NAME(rmsnorm)(k, k, values + layer->attn_k_norm, n * kv, e, (double)m->config.rms_eps);
    }
    rotate(m, q, heads, b, m->rope[index]);
    rotate(m, k, kv, b, m->rope[index]);
    for (t = 0; t < n; t++)
        for (s = 0; s < n; s++)
            sees[t * n + s] = b->sees[t * n + s] &&
                              (m->window[index] == 0 || b->positions[t] - b->positions[s] < (size_t)m->window[index]);
    NAME(attention)(mixed, q, k, v, &shape);
    matrix(m, values, layer, TARGET_OUTPUT, out, mixed, b);
    free(q);
    free(k);
    free(v);
    free(mixed);
    free(sees);
}

/* Steps 7 to 9. */
static void feed_forward(const struct naive_model *m, const number *values, const struct naive_layer *layer,
                         const struct naive_batch *b, number *out, const number *h)
{
    size_t n = b->n_tokens * (size_t)m->config.ffn_dim;
    number *gate = malloc(n * sizeof *gate), *up = malloc(n * sizeof *up);

    matrix(m, values, layer, TARGET_GATE, gate, h, b);
    matrix(m, values, layer, TARGET_UP, up, h, b);
    NAME(swiglu)(gate, gate, up, n, m->config.gelu);
    matrix(m, values, layer, TARGET_DOWN, out, gate, b);
    free(gate);
    free(up);
}

static number head_loss(const struct naive_model *m, const number *values, const struct naive_batch *b, const number *x)
{
    size_t dim = (size_t)m->config.dim, vocab = (size_t)m->config.vocab_size, i;
    number *logits = malloc(vocab * sizeof *logits), loss = 0;

    for (i = 0; i < b->n_targets; i++) {
        NAME(linear)(logits, values + m->output, NULL, x + b->rows[i] * dim, 1, vocab, dim);
        loss -= b->weights[i] * NAME(logprob)(logits, vocab, (size_t)b->targets[i]);
    }
    free(logits);
    return loss;
}

number NAME(loss)(const struct naive_model *m, const number *values, const struct naive_batch *b)
{
    size_t dim = (size_t)m->config.dim, n = b->n_tokens, t, i;
    number *x = malloc(n * dim * sizeof *x), *h = malloc(n * dim * sizeof *h), *out = malloc(n * dim * sizeof *out),
           loss;
    double eps = (double)m->config.rms_eps;
    int l;

    for (t = 0; t < n; t++)
        for (i = 0; i < dim; i++)
            x[t * dim + i] = (double)m->config.embd_scale * values[m->token_embd + (size_t)b->tokens[t] * dim + i];
    for (l = 0; l < m->config.n_layers; l++) {
        const struct naive_layer *layer = &m->layers[l];

        NAME(rmsnorm)(h, x, values + layer->attn_norm, n, dim, eps);
        attend(m, values, (size_t)l, b, out, h);
        add(x, out, at(values, layer->post_attn_norm), n, dim, eps);
        NAME(rmsnorm)(h, x, values + layer->ffn_norm, n, dim, eps);
        feed_forward(m, values, layer, b, out, h);
        add(x, out, at(values, layer->post_ffn_norm), n, dim, eps);
    }
    NAME(rmsnorm)(h, x, values + m->output_norm, n, dim, eps);
    loss = head_loss(m, values, b, h);
    free(x);
    free(h);
    free(out);
    return loss;
}
