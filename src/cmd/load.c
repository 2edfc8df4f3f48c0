/* load.c - threads, kernels, model, memory limit. */
#include "load.h"
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "adapter_file.h"
#include "cmd.h"
#include "implicit.h"
#include "memory_plan.h"
#include "progress.h"

#define MEGABYTE 1048576.0

static int find_kernels(struct load *load, const struct args *args)
{
    const char *name = args_text(args, "kernels");

    load->exec.kernels = kernels_find(name);
    if (load->exec.kernels)
        return -1;
    fprintf(stderr, "arklet %s: --kernels: expected one of", args->spec->command);
    for (size_t i = 0; kernels_at(i); i++)
        fprintf(stderr, " %s", kernels_at(i)->name);
    fprintf(stderr, " on this processor, found '%s'\n", name);
    return 2;
}

/* "512M", "1.5G", "1000000": bytes. 0 when the text is no size. */
static size_t parse_size(const char *text)
{
    static const char units[] = "KMGT";
    char *end;
    double size = strtod(text, &end);
    const char *unit = *end ? strchr(units, *end & ~0x20) : NULL;

    for (const char *u = units; unit && u <= unit; u++)
        size *= 1024;
    if (end == text || (*end && (!unit || (end[1] && strcmp(end + 1, "B") != 0 && strcmp(end + 1, "iB") != 0))) ||
        !(size >= 1 && size < 1e18))
        return 0;
    return (size_t)size;
}

static int read_limit(struct load *load, const struct args *args)
{
    load->limit_text = args_text(args, "mem-limit");
    load->mem_limit = load->limit_text ? parse_size(load->limit_text) : 0;
    if (load->limit_text && load->mem_limit == 0) {
        fprintf(stderr, "arklet %s: --mem-limit: expected a size like 512M or 2G, found '%s'\n", args->spec->command,
                load->limit_text);
        return 2;
    }
    return -1;
}

int load_exec(struct load *load, const struct args *args)
{
    struct diag diag;
    int code = find_kernels(load, args);

    load->quiet = args_flag(args, "quiet");
    load->verbose = args_flag(args, "verbose");
    if (code < 0)
        code = read_limit(load, args);
    if (code >= 0)
        return code;
    return pool_create(&load->exec.pool, (int)args_int(args, "threads"), &diag) ? cmd_fail(&diag) : -1;
}

static enum dtype cache_type(const char *name)
{
    const struct dtype_info *info = dtype_by_name(name);

    assert(info); /* the flag's choices are names of types */
    return info->type;
}

static void describe(const struct load *load, double seconds)
{
    const struct config *c = &load->model->config;

    fprintf(stderr,
            "model: %s, %s, %d layers, dim %d, ffn %d, heads %d/%d x %d, vocabulary %d; weights %.1f MB, loaded in "
            "%.2f s; %s kernels, %d threads\n",
            load->model->name ? load->model->name : load->model->path, arch_name(c->arch), c->n_layers, c->dim,
            c->ffn_dim, c->n_heads, c->n_kv_heads, c->head_dim, c->vocab_size,
            (double)load->model->weight_bytes / MEGABYTE, seconds, load->exec.kernels->name,
            pool_size(load->exec.pool));
}

/* A colon that a number follows to the end is the scale's. */
int load_adapter(struct adapter **adapter, const struct load *load, const char *text)
{
    const char *colon = strrchr(text, ':');
    char path[1024], *end = NULL;
    double strength = colon ? strtod(colon + 1, &end) : 1;
    struct diag diag;
    int scaled = colon && colon[1] && *end == 0;

    if ((size_t)snprintf(path, sizeof path, "%.*s", scaled ? (int)(colon - text) : (int)strlen(text), text) >=
        sizeof path) {
        fprintf(stderr, "arklet: --lora: the path is too long\n");
        return 1;
    }
    return adapter_load(adapter, load->model, path, scaled ? (float)strength : 1.0f, &diag) ? cmd_fail(&diag) : -1;
}

static int load_adapters(struct load *load, const struct args *args)
{
    size_t n = args_count(args, "lora");
    int code = -1;

    if (n == 0)
        return -1;
    load->loaded = memory_alloc(n * sizeof *load->loaded);
    load->adapters = (const struct adapter *const *)load->loaded;
    if (!load->loaded) {
        fprintf(stderr, "arklet: --lora: out of memory\n");
        return 1;
    }
    for (size_t i = 0; i < n && code < 0; i++) {
        code = load_adapter(&load->loaded[i], load, args_item(args, "lora", i));
        load->n_adapters += code < 0;
    }
    return code;
}

static int load_weights(struct load *load, const struct args *args, const char *path, size_t context)
{
    struct diag diag;
    double started = progress_now();
    size_t trained;

    load->k_type = cache_type(args_text(args, "cache-type-k"));
    load->v_type = cache_type(args_text(args, "cache-type-v"));
    if (model_load(&load->model, path, &load->exec, load->mem_limit, &diag))
        return cmd_fail(&diag);
    trained = (size_t)load->model->config.ctx_len;
    load->context = args_int(args, "ctx-size") > 0 ? (size_t)args_int(args, "ctx-size") : context ? context : trained;
    if (load->context > trained && !load->quiet) {
        fprintf(stderr, "arklet: warning: a context of %zu is longer than the %zu tokens the model was trained on\n",
                load->context, trained);
    }
    if (load->verbose)
        describe(load, progress_now() - started);
    return -1;
}

int load_model(struct load *load, const struct args *args, size_t context)
{
    int code = load_exec(load, args);

    if (code < 0)
        code = load_weights(load, args, args_text(args, "model"), context);
    return code < 0 ? load_adapters(load, args) : code;
}

int load_another(struct load *load, const struct load *first, const struct args *args, const char *path,
                 size_t mem_limit)
{
    memset(load, 0, sizeof *load);
    load->quiet = first->quiet;
    load->verbose = first->verbose;
    load->exec = first->exec;
    load->shares_exec = 1;
    load->limit_text = first->limit_text;
    load->mem_limit = mem_limit;
    return load_weights(load, args, path, 0);
}

int load_prm(struct adapter **adapter, double *beta, const struct model *model, const struct args *args)
{
    const char *path = args_text(args, "prm");
    struct diag diag;

    *beta = 0;
    if (adapter_load(adapter, model, path, 1, &diag) || (!(*adapter)->score_weight && implicit_load(path, beta, &diag)))
        return cmd_fail(&diag);
    if ((*adapter)->score_weight || *beta > 0)
        return -1;
    fprintf(stderr, "arklet %s: --prm %s: expected a reward model with a score head, found a plain adapter\n",
            args->spec->command, path);
    return 1;
}

void load_free(struct load *load)
{
    for (size_t i = 0; i < load->n_adapters; i++)
        adapter_free(load->loaded[i]);
    memory_free(load->loaded);
    model_free(load->model);
    if (!load->shares_exec)
        pool_destroy(load->exec.pool);
    memset(load, 0, sizeof *load);
}

/* The largest context that fits, 0 when none does. bytes() grows with the context. */
static size_t largest_context(const struct load *load, size_t room, load_bytes *bytes, const void *user)
{
    size_t low = 0, high = load->context; /* low fits or is 0, high does not fit */

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (bytes(user, middle) <= room)
            low = middle;
        else
            high = middle;
    }
    return low;
}

size_t load_adapter_bytes(const struct load *load)
{
    size_t i, n = 0;

    for (i = 0; i < load->n_adapters; i++)
        n += memory_plan_adapter(&load->model->config, &load->adapters[i]->shape);
    return n;
}

struct memory_plan load_plan(const struct load *load, size_t work)
{
    const struct tokenizer *tokenizer = load->model->tokenizer;
    struct memory_plan plan = {load->model->weight_bytes, work, memory_plan_aside(tokenizer),
                               memory_plan_loading(tokenizer)};

    return plan;
}

int load_check_plan(const struct load *load, const char *command, const char *what, const struct memory_plan *plan,
                    const char *advice)
{
    char sum[128];

    if (memory_plan_fits(plan, load->mem_limit)) {
        memory_plan_text(sum, sizeof sum, plan, 0);
        if (!load->quiet)
            fprintf(stderr, "%s: %smemory %s\n", command, what, sum);
        return -1;
    }
    fprintf(stderr, "arklet %s: --mem-limit %s: %.1f MB are needed, %.1f are allowed; %s\n", command, load->limit_text,
            (double)memory_plan_total(plan) / MEGABYTE, (double)load->mem_limit / MEGABYTE, advice);
    return 1;
}

int load_check_memory(const struct load *load, size_t context, load_bytes *bytes, const void *user)
{
    struct memory_plan plan = load_plan(load, load_adapter_bytes(load) + bytes(user, context));
    size_t rest = plan.weights + plan.aside + load_adapter_bytes(load), fits = 0;
    char sum[128];

    memory_plan_text(sum, sizeof sum, &plan, 0);
    if (load->verbose)
        fprintf(stderr, "memory for %zu tokens: %s\n", context, sum);
    if (memory_plan_fits(&plan, load->mem_limit))
        return -1;
    if (rest + plan.least < load->mem_limit)
        fits = largest_context(load, load->mem_limit - rest, bytes, user);
    fprintf(stderr, "arklet: --mem-limit %s: %zu tokens take %s; ", load->limit_text, context, sum);
    if (fits > 0)
        fprintf(stderr, "-c %zu would fit\n", fits);
    else
        fprintf(stderr, "no context would fit\n");
    return 1;
}
