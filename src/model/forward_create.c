/* forward_create.c - the workspace of the forward pass: its size, its buffers. */
#include "forward_parts.h"

#include <string.h>

size_t forward_round16(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

size_t forward_group(const struct config *config)
{
    return (size_t)(config->n_heads / config->n_kv_heads);
}

static size_t tile_tokens_of(const struct config *c)
{
    size_t n = TILE_ROWS / forward_group(c);

    return n < 1 ? 1 : n > TILE_TOKENS ? TILE_TOKENS : n < KV_PAGE ? n : n / KV_PAGE * KV_PAGE;
}

size_t forward_ffn_tokens(const struct config *c, size_t max_tokens, size_t ffn_bytes)
{
    size_t n = ffn_bytes / (2 * sizeof(float) * forward_round16((size_t)c->ffn_dim));

    n = n < 16 ? 16 : n & ~(size_t)15;
    return n < max_tokens ? n : max_tokens;
}

static size_t widest_input(const struct config *c)
{
    size_t widest = (size_t)c->dim, q = (size_t)c->n_heads * (size_t)c->head_dim;

    widest = q > widest ? q : widest;
    return (size_t)c->ffn_dim > widest ? (size_t)c->ffn_dim : widest;
}

size_t forward_bytes(const struct config *c, size_t max_tokens)
{
    return forward_bytes_sized(c, max_tokens, FORWARD_FFN_BYTES);
}

size_t forward_bytes_sized(const struct config *c, size_t max_tokens, size_t ffn_bytes)
{
    size_t q = forward_round16((size_t)c->n_heads * (size_t)c->head_dim);
    size_t kv = forward_round16((size_t)c->n_kv_heads * (size_t)c->head_dim);
    size_t row = 2 * forward_round16((size_t)c->dim) + 2 * q + 2 * kv + 2 * (size_t)c->rope_dim + 16;

    return max_tokens * row * sizeof(float) +
           2 * forward_ffn_tokens(c, max_tokens, ffn_bytes) * forward_round16((size_t)c->ffn_dim) * sizeof(float) +
           linear_input_bytes(max_tokens, widest_input(c)) + LORA_FLOATS * sizeof(float);
}

static int scratch_create(struct forward *f, struct attention_scratch *s, const struct config *c)
{
    size_t rows = f->tile_tokens * forward_group(c), e = (size_t)c->head_dim;

    s->q = arena_array(&f->arena, rows * e, sizeof(float));
    s->acc = arena_array(&f->arena, rows * e, sizeof(float));
    s->max = arena_array(&f->arena, rows, sizeof(float));
    s->sum = arena_array(&f->arena, rows, sizeof(float));
    s->scores = arena_array(&f->arena, rows * ATTENTION_BLOCK, sizeof(float));
    s->k = arena_array(&f->arena, e * ATTENTION_BLOCK, sizeof(float));
    s->v = arena_array(&f->arena, e * ATTENTION_BLOCK, sizeof(float));
    s->position = arena_array(&f->arena, rows, sizeof *s->position);
    return s->q && s->acc && s->max && s->sum && s->scores && s->k && s->v && s->position;
}

/* All buffers; 0 when memory is exhausted. */
static int buffers_create(struct forward *f, const struct config *c)
{
    struct arena *a = &f->arena;
    size_t t = f->max_tokens, threads = (size_t)pool_size(f->exec.pool), half = (size_t)c->rope_dim / 2, i;
    int ok;

    f->x = arena_array(a, t * f->dim, sizeof(float));
    f->h = arena_array(a, t * f->dim, sizeof(float));
    f->q = arena_array(a, t * f->q_dim, sizeof(float));
    f->k = arena_array(a, t * f->kv_dim, sizeof(float));
    f->v = arena_array(a, t * f->kv_dim, sizeof(float));
    f->mixed = arena_array(a, t * f->q_dim, sizeof(float));
    f->gate = arena_array(a, f->ffn_tokens * f->ffn_dim, sizeof(float));
    f->up = arena_array(a, f->ffn_tokens * f->ffn_dim, sizeof(float));
    f->token = arena_array(a, t, sizeof *f->token);
    f->position = arena_array(a, t, sizeof *f->position);
    f->span = arena_array(a, t, sizeof *f->span);
    f->items = arena_array(a, t * (size_t)c->n_kv_heads, sizeof *f->items);
    f->lora_u = arena_array(a, LORA_FLOATS, sizeof(float));
    f->scratch = arena_array(a, threads, sizeof *f->scratch);
    ok = f->x && f->h && f->q && f->k && f->v && f->mixed && f->gate && f->up && f->token && f->position && f->span &&
         f->items && f->lora_u && f->scratch;
    for (i = 0; i < 2; i++) {
        f->cos[i] = arena_array(a, t * half, sizeof(float));
        f->sin[i] = arena_array(a, t * half, sizeof(float));
        ok = ok && f->cos[i] && f->sin[i];
    }
    for (i = 0; ok && i < threads; i++)
        ok = scratch_create(f, &f->scratch[i], c);
    return ok && linear_input_create(&f->input, a, t, widest_input(c));
}

enum status forward_create(struct forward **out, const struct model *model, struct kv *kv, const struct exec *exec,
                           size_t max_tokens, struct diag *diag)
{
    return forward_create_sized(out, model, kv, exec, max_tokens, FORWARD_FFN_BYTES, diag);
}

enum status forward_create_sized(struct forward **out, const struct model *model, struct kv *kv,
                                 const struct exec *exec, size_t max_tokens, size_t ffn_bytes, struct diag *diag)
{
    const struct config *c = &model->config;
    struct forward *f = memory_alloc(sizeof *f);

    *out = NULL;
    if (!f)
        return diag_fail(diag, STATUS_MEMORY, "forward: out of memory");
    memset(f, 0, sizeof *f);
    arena_init(&f->arena, "forward", 0);
    f->model = model;
    f->kv = kv;
    f->exec = *exec;
    f->max_tokens = max_tokens;
    f->ffn_tokens = forward_ffn_tokens(c, max_tokens, ffn_bytes);
    f->tile_tokens = tile_tokens_of(c);
    f->dim = forward_round16((size_t)c->dim);
    f->q_dim = forward_round16((size_t)c->n_heads * (size_t)c->head_dim);
    f->kv_dim = forward_round16((size_t)c->n_kv_heads * (size_t)c->head_dim);
    f->ffn_dim = forward_round16((size_t)c->ffn_dim);
    if (!buffers_create(f, c)) {
        forward_free(f);
        return diag_fail(diag, STATUS_MEMORY, "forward: out of memory for %zu tokens a batch (%zu MB)", max_tokens,
                         forward_bytes_sized(c, max_tokens, ffn_bytes) >> 20);
    }
    *out = f;
    return STATUS_OK;
}

void forward_free(struct forward *forward)
{
    if (!forward)
        return;
    arena_free(&forward->arena);
    memory_free(forward);
}

size_t forward_stride(const struct forward *forward)
{
    return forward->dim;
}

size_t forward_logit_stride(const struct forward *forward)
{
    return forward_round16((size_t)forward->model->config.vocab_size);
}

struct forward_times forward_times(const struct forward *forward)
{
    return forward->times;
}
