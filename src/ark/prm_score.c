/* prm_score.c - scores of step ends: several texts in a forward pass, then the head on the rows that end a step; or, of
 * an implicit reward model, the log-probabilities of a text's tokens with the adapter and without. */
#include <assert.h>
#include <math.h>
#include <string.h>
#include "forward.h"
#include "prm.h"
#include "reward.h"
#include "score.h"

struct step_scorer {
    const struct adapter *adapter;
    struct kv *kv;
    struct forward *forward;
    size_t max_tokens;
    struct kv_sequence *sequences; /* [TEXTS_PER_PASS] */
    struct token_span *spans;      /* [TEXTS_PER_PASS] */
    struct arena arena;

    /* Implicit alone: */
    struct scorer *scorer; /* NULL: there is a head */
    double beta;
    float *logprobs, *reference; /* [max_tokens] */
};

/* Texts of one pass: each takes at most one page more than its tokens need. */
#define TEXTS_PER_PASS 64

static size_t pages_of(size_t max_tokens)
{
    return kv_pages_for(max_tokens) + TEXTS_PER_PASS;
}

static struct score_options implicit_options(size_t max_tokens, enum dtype k_type, enum dtype v_type)
{
    struct score_options options = {max_tokens, max_tokens < 512 ? max_tokens : 512, k_type, v_type, 0};

    return options;
}

size_t step_scorer_bytes(const struct config *config, int head, size_t max_tokens, enum dtype k_type, enum dtype v_type)
{
    struct score_options options = implicit_options(max_tokens, k_type, v_type);

    if (!head)
        return score_bytes(config, &options) + 2 * max_tokens * sizeof(float);
    return forward_bytes(config, max_tokens) + pages_of(max_tokens) * kv_page_bytes(config, k_type, v_type);
}

static enum status create_passes(struct step_scorer *s, const struct model *model, const struct exec *exec,
                                 enum dtype k_type, enum dtype v_type, struct diag *diag)
{
    enum status status;

    s->sequences = arena_array(&s->arena, TEXTS_PER_PASS, sizeof *s->sequences);
    s->spans = arena_array(&s->arena, TEXTS_PER_PASS, sizeof *s->spans);
    if (!s->sequences || !s->spans)
        return diag_fail(diag, STATUS_MEMORY, "step scores: out of memory");
    status = kv_create(&s->kv, &model->config, k_type, v_type, pages_of(s->max_tokens), diag);
    return status ? status : forward_create(&s->forward, model, s->kv, exec, s->max_tokens, diag);
}

static enum status create_implicit(struct step_scorer *s, const struct model *model, const struct exec *exec,
                                   enum dtype k_type, enum dtype v_type, struct diag *diag)
{
    struct score_options options = implicit_options(s->max_tokens, k_type, v_type);

    s->logprobs = arena_array(&s->arena, s->max_tokens, sizeof *s->logprobs);
    s->reference = arena_array(&s->arena, s->max_tokens, sizeof *s->reference);
    return s->logprobs && s->reference ? score_create(&s->scorer, model, exec, &options, diag)
                                       : diag_fail(diag, STATUS_MEMORY, "step scores: out of memory");
}

enum status step_scorer_create(struct step_scorer **out, const struct model *model, const struct adapter *adapter,
                               double beta, const struct exec *exec, size_t max_tokens, enum dtype k_type,
                               enum dtype v_type, struct diag *diag)
{
    struct step_scorer *s = memory_alloc(sizeof *s);
    enum status status;

    *out = NULL;
    if (!s)
        return diag_fail(diag, STATUS_MEMORY, "step scores: out of memory");
    memset(s, 0, sizeof *s);
    arena_init(&s->arena, "step scores", 0);
    s->adapter = adapter;
    s->beta = beta;
    s->max_tokens = max_tokens;
    status = (beta > 0 ? create_implicit : create_passes)(s, model, exec, k_type, v_type, diag);
    if (status)
        step_scorer_free(s);
    else
        *out = s;
    return status;
}

void step_scorer_free(struct step_scorer *s)
{
    if (!s)
        return;
    score_free(s->scorer);
    forward_free(s->forward);
    kv_free(s->kv);
    arena_free(&s->arena);
    memory_free(s);
}

static void read_scores(const struct step_scorer *s, const struct step_scores *text, const float *hidden)
{
    double logits[2];
    size_t k;

    for (k = 0; k < text->n_steps; k++) {
        if (text->ends[k] >= text->n_tokens) {
            text->scores[k] = NAN;
            continue;
        }
        prm_logits(s->adapter, hidden + text->ends[k] * forward_stride(s->forward), logits);
        text->scores[k] = reward_score(logits[0], logits[1]);
    }
}

/* The texts [first, ...) that fit into a pass; returns the end of the range. */
static size_t pass_end(const struct step_scorer *s, const struct step_scores *texts, size_t first, size_t n)
{
    size_t tokens = 0, end = first;

    while (end < n && end - first < TEXTS_PER_PASS && tokens + texts[end].n_tokens <= s->max_tokens)
        tokens += texts[end++].n_tokens;
    return end;
}

static enum status run_pass(struct step_scorer *s, const struct step_scores *texts, size_t n, struct diag *diag)
{
    enum status status = STATUS_OK;
    const float *hidden;
    size_t i, row = 0;

    for (i = 0; i < n && !status; i++) {
        struct token_span span = {&s->sequences[i], texts[i].ids, texts[i].n_tokens, &s->adapter, s->adapter != NULL};

        s->spans[i] = span;
        status = kv_reserve(s->kv, &s->sequences[i], texts[i].n_tokens, diag);
    }
    if (!status) {
        forward_run(s->forward, s->spans, n, &hidden);
        for (i = 0; i < n; i++) {
            read_scores(s, &texts[i], hidden + row * forward_stride(s->forward));
            row += texts[i].n_tokens;
        }
    }
    for (i = 0; i < n; i++)
        kv_release(s->kv, &s->sequences[i]);
    return status;
}

/* Steps share the tokens behind the prompt: each has those up to its end, behind the last one's. */
static enum status run_implicit(struct step_scorer *s, const struct step_scores *text, struct diag *diag)
{
    size_t from = text->n_prompt ? text->n_prompt : 1, at = from, k;
    enum status status = STATUS_OK;

    if (text->n_tokens > from) {
        status = score_tokens(s->scorer, text->ids, text->n_tokens, from, &s->adapter, 1, s->logprobs, diag);
        if (!status)
            status = score_tokens(s->scorer, text->ids, text->n_tokens, from, NULL, 0, s->reference, diag);
    }
    for (k = 0; k < text->n_steps && !status; k++) {
        double ratio = 0;

        if (text->ends[k] >= text->n_tokens) {
            text->scores[k] = NAN;
            continue;
        }
        for (; at <= text->ends[k]; at++)
            ratio += (double)s->logprobs[at - from] - (double)s->reference[at - from];
        text->scores[k] = tanh(s->beta * ratio / 2);
    }
    return status;
}

enum status step_scorer_run(struct step_scorer *s, const struct step_scores *texts, size_t n, struct diag *diag)
{
    enum status status = STATUS_OK;
    size_t first, end;

    if (s->scorer) {
        for (first = 0; first < n && !status; first++)
            status = run_implicit(s, &texts[first], diag);
        return status;
    }
    for (first = 0; first < n && !status; first = end) {
        end = pass_end(s, texts, first, n);
        if (end == first)
            return diag_fail(diag, STATUS_RANGE, "step scores: expected at most %zu tokens, found %zu", s->max_tokens,
                             texts[first].n_tokens);
        status = run_pass(s, texts + first, end - first, diag);
    }
    return status;
}
