/* checkpoint.c - writing and reading the state of a training run; see checkpoint.h for the bytes. */
#include "checkpoint.h"

#include <string.h>
#include "file.h"
#include "rng.h"

#define MAGIC "ARKCKPT2"

/* ---- Writing ---- */

struct output {
    struct file_writer file;
    uint64_t hash;
    enum status status;
    struct diag *diag;
};

static void put(struct output *out, const void *bytes, size_t length)
{
    if (out->status)
        return;
    out->hash = rng_hash_bytes(out->hash, bytes, length);
    out->status = file_write(&out->file, bytes, length, out->diag);
}

static void put_u64(struct output *out, uint64_t value)
{
    put(out, &value, sizeof value);
}

static void put_all(struct output *out, const struct checkpoint *c)
{
    size_t bytes = c->n_params * sizeof(float);

    put(out, MAGIC, 8);
    put_u64(out, strlen(c->config));
    put(out, c->config, strlen(c->config));
    put_u64(out, c->base_hash);
    put_u64(out, c->data_hash);
    put_u64(out, c->step);
    put_u64(out, c->updates);
    put_u64(out, c->tokens);
    put(out, &c->best, sizeof c->best);
    put_u64(out, c->best_step);
    put_u64(out, c->n_params);
    put(out, c->params, bytes);
    put(out, c->m, bytes);
    put(out, c->v, bytes);
    put(out, c->best_params ? c->best_params : c->params, bytes);
}

enum status checkpoint_save(const char *path, const struct checkpoint *checkpoint, struct diag *diag)
{
    struct output out = {.diag = diag};
    uint64_t check;

    out.status = file_create(&out.file, path, diag);
    if (out.status)
        return out.status;
    put_all(&out, checkpoint);
    check = out.hash;
    put_u64(&out, check);
    if (!out.status)
        out.status = file_commit(&out.file, diag);
    file_abandon(&out.file);
    return out.status;
}

/* ---- Reading ---- */

struct input {
    const char *path;
    const uint8_t *data;
    size_t size, at;
    enum status status;
    struct diag *diag;
};

static const void *take(struct input *in, size_t length)
{
    const uint8_t *bytes = in->data + in->at;

    if (in->status)
        return NULL;
    if (length > in->size - in->at) {
        in->status = diag_fail(in->diag, STATUS_FORMAT, "%s: byte %zu: expected %zu more bytes, found %zu", in->path,
                               in->at, length, in->size - in->at);
        return NULL;
    }
    in->at += length;
    return bytes;
}

static uint64_t take_u64(struct input *in)
{
    const void *bytes = take(in, 8);
    uint64_t value = 0;

    if (bytes)
        memcpy(&value, bytes, 8);
    return value;
}

static void take_floats(struct input *in, float *to, size_t n)
{
    const void *bytes = take(in, n * sizeof *to);

    if (bytes && to)
        memcpy(to, bytes, n * sizeof *to);
}

static size_t line_length(const char *text, size_t length)
{
    const char *newline = memchr(text, '\n', length);

    return newline ? (size_t)(newline - text) : length;
}

int checkpoint_config_differs(const char **a, size_t *n_a, const char **b, size_t *n_b)
{
    while (*n_a || *n_b) {
        size_t n = line_length(*a, *n_a), m = line_length(*b, *n_b);

        if (n != m || memcmp(*a, *b, n) != 0) {
            *n_a = n;
            *n_b = m;
            return 1;
        }
        n += n < *n_a;
        m += m < *n_b;
        *a += n;
        *n_a -= n;
        *b += m;
        *n_b -= m;
    }
    return 0;
}

static enum status compare_config(struct input *in, const char *saved, size_t n_saved, const char *now)
{
    size_t n_now = strlen(now);

    if (!checkpoint_config_differs(&saved, &n_saved, &now, &n_now))
        return STATUS_OK;
    return diag_fail(in->diag, STATUS_FORMAT, "%s: this run was started with '%.*s', not '%.*s'", in->path,
                     (int)(n_saved < 120 ? n_saved : 120), saved, (int)(n_now < 120 ? n_now : 120), now);
}

static enum status check_header(struct input *in, struct checkpoint *c)
{
    const char *magic = take(in, 8), *saved;
    uint64_t n;

    if (!magic || memcmp(magic, MAGIC, 8) != 0)
        return diag_fail(in->diag, STATUS_FORMAT, "%s: expected a checkpoint (%s), found something else", in->path,
                         MAGIC);
    n = take_u64(in);
    saved = n <= in->size ? take(in, (size_t)n) : NULL;
    if (!saved)
        return in->status ? in->status
                          : diag_fail(in->diag, STATUS_FORMAT, "%s: the configuration's length is damaged", in->path);
    in->status = compare_config(in, saved, (size_t)n, c->config);
    if (!in->status && take_u64(in) != c->base_hash)
        in->status = diag_fail(in->diag, STATUS_FORMAT, "%s: this run was started on another base model", in->path);
    if (!in->status && take_u64(in) != c->data_hash)
        in->status = diag_fail(in->diag, STATUS_FORMAT, "%s: this run was started on other data", in->path);
    return in->status;
}

static enum status read_all(struct input *in, struct checkpoint *c)
{
    const void *best;
    uint64_t n;

    if (check_header(in, c))
        return in->status ? in->status : STATUS_FORMAT;
    c->step = take_u64(in);
    c->updates = take_u64(in);
    c->tokens = take_u64(in);
    best = take(in, 8);
    if (best)
        memcpy(&c->best, best, 8);
    c->best_step = take_u64(in);
    n = take_u64(in);
    if (!in->status && n != c->n_params)
        return diag_fail(in->diag, STATUS_FORMAT, "%s: expected %zu parameters, found %llu", in->path, c->n_params,
                         (unsigned long long)n);
    take_floats(in, c->params, c->n_params);
    take_floats(in, c->m, c->n_params);
    take_floats(in, c->v, c->n_params);
    take_floats(in, c->best_params, c->n_params);
    return in->status;
}

/* The hash as it was summed while writing: piece by piece in the order of put_all. */
static uint64_t hash_file(const uint8_t *data, size_t n_config, size_t n_params)
{
    size_t pieces[] = {8, 8, n_config, 8, 8, 8, 8, 8, 8, 8, 8, 0, 0, 0, 0}, i, at = 0;
    uint64_t hash = 0;

    for (i = 11; i < 15; i++)
        pieces[i] = n_params * sizeof(float);
    for (i = 0; i < 15; i++) {
        hash = rng_hash_bytes(hash, data + at, pieces[i]);
        at += pieces[i];
    }
    return hash;
}

enum status checkpoint_load(const char *path, struct checkpoint *checkpoint, struct diag *diag)
{
    struct file_map map;
    struct input in = {.path = path, .diag = diag};
    enum status status = file_map(&map, path, diag);

    if (status)
        return status;
    in.data = map.data;
    in.size = map.size;
    status = read_all(&in, checkpoint);
    if (!status && take_u64(&in) != hash_file(map.data, strlen(checkpoint->config), checkpoint->n_params))
        status = diag_fail(diag, STATUS_FORMAT, "%s: the checkpoint is damaged (its check sum does not agree)", path);
    file_unmap(&map);
    return status;
}
