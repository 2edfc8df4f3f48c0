/* bpe_train.c - learning merges: an exact greedy choice without ever recounting the text.
 *
 *   symbols   t h e | _ c a t | ...     all distinct words, chained by previous and next within a word
 *   pairs     (left, right) -> count over the whole text, positions of the left symbol
 *   heap      the most frequent pair first; an entry whose count is out of date is corrected when it comes up
 *
 * A merge visits the positions of its pair, joins the two symbols there, and corrects the counts of the four pairs that
 * touch them; so the whole training costs about the bytes of the distinct words times a logarithm, however many merges.
 * Positions are lists that only grow: one whose symbols have changed since is recognised by the symbols themselves.
 *
 * Invariants: pair.count is exact after every merge, but for the pair just merged (0); counts never rise without a new
 * entry in the heap, so the top entry with a current count is the maximum. Positions are visited in ascending order,
 * which merges "aaa" from the left. Leaves out: words (bpe_words.c), the vocabulary's form (tokenizer_train.c). */
#include "bpe_train.h"
#include <stdlib.h>
#include <string.h>
#include "lexicon.h"

#define NONE         UINT32_MAX
#define N_BYTES      256
#define REPORT_EVERY 16 /* merges between two looks at the clock */

struct pair {
    uint32_t left, right;
    int64_t count;
    uint32_t *at; /* positions of the left symbol, stale ones among them */
    size_t n_at, room;
    uint32_t stamp; /* the merge that last raised the count */
    int merged;     /* already in the list of merges: two merges may make the same token, and so a pair anew */
};

struct entry {
    int64_t count;
    uint32_t pair;
};

/* The bytes of a token: at `start` in the words' bytes, where it first occurred. */
struct token {
    uint32_t start, length;
};

struct trainer {
    struct bpe_training *training;
    size_t n;                        /* symbols */
    uint32_t *ids, *next, *previous; /* [n]; an id of NONE has been merged into the symbol before */
    uint32_t *word;                  /* [n] */
    struct pair *pairs;
    size_t n_pairs, pair_room;
    uint32_t *slots; /* pair + 1 by hash of the two ids */
    size_t n_slots;
    struct entry *heap;
    size_t n_heap, heap_room;
    uint32_t *raised; /* pairs whose count the present merge raised */
    size_t n_raised, raised_room;
    uint32_t stamp;
    struct token *tokens;
    uint32_t *token_slots; /* id + 1 by hash of the bytes */
    size_t n_token_slots;
    int failed; /* sticky: no memory */
};

static int make_room(struct trainer *t, void *array, size_t *room, size_t n, size_t size)
{
    void **block = array, *bigger;
    size_t wanted = *room ? *room : 4;

    while (wanted < n)
        wanted *= 2;
    if (wanted == *room)
        return 1;
    bigger = memory_grow(*block, wanted * size);
    t->failed |= !bigger;
    if (bigger) {
        *block = bigger;
        *room = wanted;
    }
    return bigger != NULL;
}

/* ---- pairs ---- */

static uint32_t *pair_slot(const struct trainer *t, uint32_t left, uint32_t right)
{
    size_t i = (size_t)((left * UINT64_C(0x9E3779B97F4A7C15) ^ right) * UINT64_C(0xD6E8FEB86659FD93) >> 20);

    for (i &= t->n_slots - 1; t->slots[i]; i = (i + 1) & (t->n_slots - 1)) {
        const struct pair *p = &t->pairs[t->slots[i] - 1];
        if (p->left == left && p->right == right)
            break;
    }
    return &t->slots[i];
}

static int grow_pair_slots(struct trainer *t)
{
    size_t n = t->n_slots ? 2 * t->n_slots : 4096;
    uint32_t *slots = memory_alloc(n * sizeof *slots);

    t->failed |= !slots;
    if (!slots)
        return 0;
    memory_free(t->slots);
    memset(slots, 0, n * sizeof *slots);
    t->slots = slots;
    t->n_slots = n;
    for (size_t i = 0; i < t->n_pairs; i++)
        *pair_slot(t, t->pairs[i].left, t->pairs[i].right) = (uint32_t)i + 1;
    return 1;
}

/* The pair's entry, a new one where there was none; NULL without memory. */
static struct pair *pair_of(struct trainer *t, uint32_t left, uint32_t right)
{
    uint32_t *slot;

    if (t->n_pairs >= t->n_slots / 2 && !grow_pair_slots(t))
        return NULL;
    slot = pair_slot(t, left, right);
    if (!*slot) {
        if (!make_room(t, &t->pairs, &t->pair_room, t->n_pairs + 1, sizeof *t->pairs))
            return NULL;
        t->pairs[t->n_pairs++] = (struct pair){left, right, 0, NULL, 0, 0, NONE, 0};
        *slot = (uint32_t)t->n_pairs;
    }
    return &t->pairs[*slot - 1];
}

/* One more occurrence of (left, right), at position `at` of a word that occurs `count` times. */
static void raise(struct trainer *t, uint32_t left, uint32_t right, int64_t count, uint32_t at)
{
    struct pair *p = pair_of(t, left, right);

    if (!p || !make_room(t, &p->at, &p->room, p->n_at + 1, sizeof *p->at))
        return;
    p->count += count;
    p->at[p->n_at++] = at;
    if (p->stamp == t->stamp || !make_room(t, &t->raised, &t->raised_room, t->n_raised + 1, sizeof *t->raised))
        return;
    p->stamp = t->stamp;
    t->raised[t->n_raised++] = (uint32_t)(p - t->pairs);
}

static void lower(struct trainer *t, uint32_t left, uint32_t right, int64_t count)
{
    struct pair *p = pair_of(t, left, right);

    if (p)
        p->count -= count;
}

/* ---- heap ---- */

static int comes_before(const struct trainer *t, struct entry a, struct entry b)
{
    const struct pair *p = &t->pairs[a.pair], *q = &t->pairs[b.pair];

    if (a.count != b.count)
        return a.count > b.count;
    return p->left != q->left ? p->left < q->left : p->right < q->right;
}

static void push(struct trainer *t, uint32_t pair)
{
    struct entry item = {t->pairs[pair].count, pair};
    size_t i = t->n_heap;

    if (item.count < (int64_t)t->training->min_count ||
        !make_room(t, &t->heap, &t->heap_room, t->n_heap + 1, sizeof *t->heap))
        return;
    for (t->n_heap++; i > 0 && comes_before(t, item, t->heap[(i - 1) / 2]); i = (i - 1) / 2)
        t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = item;
}

static struct entry pop(struct trainer *t)
{
    struct entry top = t->heap[0], item = t->heap[--t->n_heap];
    size_t i = 0, child;

    while ((child = 2 * i + 1) < t->n_heap) {
        child += child + 1 < t->n_heap && comes_before(t, t->heap[child + 1], t->heap[child]);
        if (!comes_before(t, t->heap[child], item))
            break;
        t->heap[i] = t->heap[child];
        i = child;
    }
    t->heap[i] = item;
    return top;
}

static void push_raised(struct trainer *t)
{
    for (size_t i = 0; i < t->n_raised; i++)
        push(t, t->raised[i]);
    t->n_raised = 0;
}

/* The most frequent pair; NONE when all are rarer than min_count. */
static uint32_t best_pair(struct trainer *t)
{
    while (t->n_heap && !t->failed) {
        struct entry top = pop(t);
        if (top.count == t->pairs[top.pair].count)
            return top.pair;
        push(t, top.pair);
    }
    return NONE;
}

/* ---- tokens ---- */

static const unsigned char *token_bytes(const struct trainer *t, uint32_t id)
{
    return t->training->words->bytes + t->tokens[id].start;
}

/* The token of these bytes, which lie at `start`: an older one or a new one. */
static uint32_t token_of(struct trainer *t, uint32_t start, uint32_t length)
{
    const char *bytes = (const char *)t->training->words->bytes + start;
    size_t i = (size_t)hash_bytes(bytes, length) & (t->n_token_slots - 1);

    for (; t->token_slots[i]; i = (i + 1) & (t->n_token_slots - 1)) {
        uint32_t id = t->token_slots[i] - 1;
        if (t->tokens[id].length == length && memcmp(token_bytes(t, id), bytes, length) == 0)
            return id;
    }
    t->tokens[t->training->n_tokens] = (struct token){start, length};
    t->token_slots[i] = (uint32_t)++t->training->n_tokens;
    return t->token_slots[i] - 1;
}

static uint32_t token_length(const struct trainer *t, uint32_t id)
{
    return id < N_BYTES ? 1 : t->tokens[id].length;
}

/* ---- training ---- */

static int prepare(struct trainer *t)
{
    const struct bpe_training *training = t->training;
    size_t n = training->words->n_bytes, most = training->max_tokens;

    t->n = n;
    t->ids = memory_alloc(n * sizeof *t->ids + 1);
    t->next = memory_alloc(n * sizeof *t->next + 1);
    t->previous = memory_alloc(n * sizeof *t->previous + 1);
    t->word = memory_alloc(n * sizeof *t->word + 1);
    t->tokens = memory_alloc(most * sizeof *t->tokens);
    for (t->n_token_slots = 1024; t->n_token_slots < 2 * most;)
        t->n_token_slots *= 2;
    t->token_slots = memory_alloc(t->n_token_slots * sizeof *t->token_slots);
    if (!t->ids || !t->next || !t->previous || !t->word || !t->tokens || !t->token_slots)
        return 0;
    memset(t->token_slots, 0, t->n_token_slots * sizeof *t->token_slots);
    return 1;
}

/* One symbol per byte, and the counts of all neighbouring pairs. */
static void count_pairs(struct trainer *t)
{
    const struct bpe_words *words = t->training->words;
    uint32_t id_of[N_BYTES];

    for (uint32_t i = 0; i < N_BYTES; i++)
        id_of[t->training->byte_order[i]] = i;
    for (size_t w = 0; w < words->n_words && !t->failed; w++) {
        uint32_t begin = words->words[w].start, end = begin + words->words[w].length;
        for (uint32_t i = begin; i < end; i++) {
            t->ids[i] = id_of[words->bytes[i]];
            t->previous[i] = i > begin ? i - 1 : NONE;
            t->next[i] = i + 1 < end ? i + 1 : NONE;
            t->word[i] = (uint32_t)w;
            if (i > begin)
                raise(t, t->ids[i - 1], t->ids[i], (int64_t)words->words[w].count, i - 1);
        }
    }
    push_raised(t);
}

static int ascending(const void *left, const void *right)
{
    const uint32_t *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

static void sort_positions(uint32_t *at, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (at[i - 1] > at[i]) {
            qsort(at, n, sizeof *at, ascending);
            return;
        }
    }
}

/* Joins the symbol at `at` with its next one into `id`. */
static void join(struct trainer *t, uint32_t at, uint32_t id)
{
    uint32_t right = t->next[at], before = t->previous[at], after = t->next[right];
    int64_t count = (int64_t)t->training->words->words[t->word[at]].count;

    if (before != NONE) {
        lower(t, t->ids[before], t->ids[at], count);
        raise(t, t->ids[before], id, count, before);
    }
    if (after != NONE) {
        lower(t, t->ids[right], t->ids[after], count);
        raise(t, id, t->ids[after], count, at);
        t->previous[after] = at;
    }
    t->ids[at] = id;
    t->ids[right] = NONE;
    t->next[at] = after;
}

/* Merges a pair wherever it stands. */
static void merge_pair(struct trainer *t, uint32_t index)
{
    struct bpe_training *training = t->training;
    struct pair pair = t->pairs[index];
    uint32_t id = NONE;

    t->pairs[index].at = NULL;
    t->pairs[index].n_at = t->pairs[index].room = 0;
    t->stamp++;
    sort_positions(pair.at, pair.n_at);
    for (size_t i = 0; i < pair.n_at && !t->failed; i++) {
        uint32_t at = pair.at[i], right = t->ids[at] == pair.left ? t->next[at] : NONE;
        if (right == NONE || t->ids[right] != pair.right)
            continue;
        if (id == NONE)
            id = token_of(t, at, token_length(t, pair.left) + token_length(t, pair.right));
        join(t, at, id);
    }
    memory_free(pair.at);
    t->pairs[index].count = 0;
    push_raised(t);
    if (pair.merged || id == NONE ||
        !make_room(t, &training->merges, &training->merge_room, training->n_merges + 1, sizeof *training->merges))
        return;
    t->pairs[index].merged = 1;
    training->merges[training->n_merges++] = (struct bpe_merge){pair.left, pair.right, id};
}

static enum status merge_all(struct trainer *t, struct diag *diag)
{
    struct bpe_training *training = t->training;

    while (training->n_tokens < training->max_tokens && !t->failed) {
        uint32_t pair = best_pair(t);
        if (pair == NONE)
            break;
        merge_pair(t, pair);
        if (training->n_merges % REPORT_EVERY)
            continue;
        if (training->progress)
            progress_update(training->progress, training->n_tokens, training->max_tokens, (double)training->n_merges,
                            "");
        if (training->stop && training->stop())
            return diag_fail(diag, STATUS_STOPPED, "stopped after %zu merges; nothing was written", training->n_merges);
    }
    return t->failed ? diag_fail(diag, STATUS_MEMORY, "no memory to learn merges from %zu bytes of distinct words",
                                 training->words->n_bytes)
                     : STATUS_OK;
}

static void count_tokens(const struct trainer *t)
{
    for (size_t i = 0; i < t->n; i++)
        t->training->n_occurrences += t->ids[i] == NONE ? 0 : t->training->words->words[t->word[i]].count;
}

static void release(struct trainer *t)
{
    for (size_t i = 0; i < t->n_pairs; i++)
        memory_free(t->pairs[i].at);
    memory_free(t->pairs);
    memory_free(t->slots);
    memory_free(t->heap);
    memory_free(t->raised);
    memory_free(t->ids);
    memory_free(t->next);
    memory_free(t->previous);
    memory_free(t->word);
    memory_free(t->tokens);
    memory_free(t->token_slots);
}

enum status bpe_train(struct bpe_training *training, struct diag *diag)
{
    struct trainer t = {.training = training};
    enum status status;

    training->merges = NULL;
    training->n_merges = training->merge_room = 0;
    training->n_tokens = N_BYTES;
    training->n_occurrences = 0;
    t.failed = !prepare(&t);
    if (!t.failed)
        count_pairs(&t);
    status = merge_all(&t, diag);
    if (!status)
        count_tokens(&t);
    release(&t);
    if (status) {
        memory_free(training->merges);
        training->merges = NULL;
        training->n_merges = 0;
    }
    return status;
}
