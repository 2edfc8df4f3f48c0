/* batch_admit.c - who enters the batch: common prefixes, pages, kept sequences.
 *
 * Requests enter in order of submission. The one at the head of the queue
 *   1. looks among running and kept sequences (same adapters) for the longest common beginning;
 *   2. waits, when a running one is about to compute a good deal more of it than any has so far;
 *   3. forks what is computed, takes all pages that it can ever need, evicting kept sequences, oldest first;
 *   4. waits for a finishing sequence where pages are short (not for ever: engine_submit has checked that the whole
 *      cache is enough).
 * A page that is partly shared is copied in step 3 already, by kv_reserve: so no running sequence ever appends to a
 * shared page, and none needs a page after its admission. */
#include <string.h>
#include "batch_parts.h"

void batch_sequence_free(struct engine *engine, struct sequence *sequence)
{
    kv_release(engine->kv, &sequence->kv);
    memory_free(sequence);
}

static void evict_oldest(struct engine *engine)
{
    batch_sequence_free(engine, engine->kept[0]);
    engine->n_kept--;
    memmove(engine->kept, engine->kept + 1, engine->n_kept * sizeof *engine->kept);
}

void engine_forget(struct engine *engine)
{
    while (engine->n_kept > 0)
        evict_oldest(engine);
}

void batch_retire(struct engine *engine, struct sequence *sequence)
{
    if (engine->options.keep == 0 || sequence->kv.length < KV_PAGE) {
        batch_sequence_free(engine, sequence);
        return;
    }
    kv_truncate(engine->kv, &sequence->kv, sequence->kv.length); /* gives back pages reserved but not filled */
    if (engine->n_kept == engine->options.keep)
        evict_oldest(engine);
    engine->kept[engine->n_kept++] = sequence;
}

static int same_adapters(const struct request *a, const struct request *b)
{
    if (a->n_adapters != b->n_adapters)
        return 0;
    for (size_t i = 0; i < a->n_adapters; i++)
        if (a->adapters[i] != b->adapters[i])
            return 0;
    return 1;
}

/* Tokens that `sequence` can give to `request`: all but the last of its prompt at most. */
static size_t common_tokens(const struct sequence *sequence, const struct sequence *request)
{
    size_t limit = request->request.n_prompt - 1, n = 0;

    if (!same_adapters(&sequence->request, &request->request))
        return 0;
    limit = sequence->n_tokens < limit ? sequence->n_tokens : limit;
    while (n < limit && sequence->tokens[n] == request->tokens[n])
        n++;
    return n;
}

struct prefix {
    const struct sequence *source; /* NULL when nothing is shared */
    size_t computed;               /* common tokens that source has in the cache */
    size_t promised;               /* the most that any running sequence will have */
};

static void prefix_consider(struct prefix *prefix, const struct sequence *source, const struct sequence *request)
{
    size_t common = common_tokens(source, request);
    size_t computed = common < source->kv.length ? common : source->kv.length;

    if (computed > prefix->computed) {
        prefix->source = source;
        prefix->computed = computed;
    }
    prefix->promised = common > prefix->promised ? common : prefix->promised;
}

static struct prefix find_prefix(const struct engine *engine, const struct sequence *request)
{
    struct prefix prefix = {NULL, 0, 0};

    for (size_t i = 0; i < engine->n_live; i++)
        prefix_consider(&prefix, engine->live[i], request);
    for (size_t i = 0; i < engine->n_kept; i++)
        prefix_consider(&prefix, engine->kept[i], request);
    return prefix;
}

/* Waiting costs steps; it is worth a page of tokens, or half of a short prompt. */
static int worth_waiting(const struct prefix *prefix, size_t n_prompt)
{
    size_t gain = prefix->promised - prefix->computed;

    return gain >= KV_PAGE || 2 * gain >= n_prompt;
}

/* Steps 3 and 4. *taken tells whether the pages are there. With `needed` pages free kv_reserve always finds enough, so
 * that a failure then is one of memory; with fewer it may, since evicting the source saves the copy of a page. */
static enum status take_pages(struct engine *engine, struct sequence *sequence, const struct prefix *prefix, int *taken,
                              struct diag *diag)
{
    size_t needed = kv_pages_for(sequence->positions) - prefix->computed / KV_PAGE;
    enum status status = STATUS_OK;

    *taken = 0;
    if (prefix->source) /* first: the source may be evicted then */
        status = kv_fork(engine->kv, &sequence->kv, &prefix->source->kv, prefix->computed, diag);
    while (!status && !*taken) {
        status = kv_reserve(engine->kv, &sequence->kv, sequence->positions - prefix->computed, diag);
        *taken = !status;
        if (status && kv_pages_free(engine->kv) < needed) {
            status = STATUS_OK;
            if (engine->n_kept == 0)
                break;
            evict_oldest(engine);
        }
    }
    if (!*taken)
        kv_release(engine->kv, &sequence->kv);
    return status;
}

static void count_admission(struct engine *engine, const struct sequence *sequence, size_t shared)
{
    struct engine_statistics *s = &engine->statistics;
    uint64_t held = engine->options.n_pages - kv_pages_free(engine->kv);

    s->prompt_tokens += sequence->request.n_prompt;
    s->shared_tokens += shared;
    s->most_pages = held > s->most_pages ? held : s->most_pages;
}

enum status batch_admit(struct engine *engine, struct diag *diag)
{
    while (engine->queue && engine->n_live < engine->options.max_sequences) {
        struct sequence *sequence = engine->queue;
        struct prefix prefix = find_prefix(engine, sequence);
        enum status status;
        int taken;

        if (worth_waiting(&prefix, sequence->request.n_prompt))
            return STATUS_OK;
        status = take_pages(engine, sequence, &prefix, &taken, diag);
        if (status || !taken)
            return status;
        count_admission(engine, sequence, prefix.computed);
        engine->queue = sequence->next;
        engine->queue_end = engine->queue ? engine->queue_end : &engine->queue;
        engine->live[engine->n_live++] = sequence;
    }
    return STATUS_OK;
}
