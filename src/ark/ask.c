/* ask.c - prompts through the engine. */
#include "ask.h"

#include <string.h>
#include "generate.h"

size_t ask_fit_engine(const struct config *config, const struct exec *exec, struct engine_options *options,
                      size_t beside, size_t mem_limit)
{
    size_t bytes = engine_plan(config, exec, options).bytes;

    while (mem_limit && beside + bytes > mem_limit && options->max_sequences > 1) {
        options->max_sequences /= 2;
        options->n_pages = 0;
        bytes = engine_plan(config, exec, options).bytes;
    }
    return bytes;
}

enum status ask_open_engine(struct engine **engine, const struct model *model, const struct exec *exec,
                            struct engine_options *options, size_t aside, size_t mem_limit, struct diag *diag)
{
    size_t beside = model->weight_bytes + aside;
    size_t all = beside + ask_fit_engine(&model->config, exec, options, beside, mem_limit);

    if (mem_limit && all > mem_limit)
        return diag_fail(
            diag, STATUS_MEMORY,
            "weights, program and one sequence of %zu tokens take %.1f MB, more than the limit of %.1f; a smaller -c "
            "would fit",
            options->context, (double)all / 1048576.0, (double)mem_limit / 1048576.0);
    return engine_create(engine, model, exec, options, diag);
}

static void finish(void *user, const struct generated *generated)
{
    struct asking *asking = user;
    struct ask *ask = asking->ask;
    struct buffer text = {0};
    double sum = 0;
    size_t n = generated->n_tokens, shown = n, i;

    for (i = 0; i < n; i++)
        sum += (double)generated->logprobs[i];
    if (n && generated->finish == FINISH_EOS)
        shown--;
    tokenizer_decode(asking->tokenizer, generated->tokens, shown, DECODE_CONTINUE, &text);
    ask->text = text.failed ? NULL : arena_text(asking->arena, text.data ? text.data : "", text.length);
    ask->length = text.length;
    ask->n_tokens = n;
    ask->logprob = n ? sum / (double)n : 0;
    ask->truncated = generated->finish != FINISH_EOS;
    asking->failed = ask->text == NULL;
    asking->done = 1;
    buffer_free(&text);
}

enum status ask_begin(struct asking *asking, struct engine *engine, const struct tokens *eos, struct diag *diag)
{
    const struct ask *ask = asking->ask;
    struct request request = {.prompt = ask->prompt, .n_prompt = ask->n_prompt, .max_new = ask->max_new};

    request.sampling = ask->sampling;
    request.eos = eos->ids;
    request.n_eos = eos->count;
    request.adapters = ask->adapters;
    request.n_adapters = ask->n_adapters;
    request.on_finish = finish;
    request.user = asking;
    asking->done = asking->failed = 0;
    return engine_submit(engine, &request, diag);
}

enum status ask_run(struct engine *engine, const struct tokenizer *tokenizer, struct ask *asks, size_t n,
                    const struct engine_watch *watch, struct arena *arena, struct diag *diag)
{
    struct asking *askings = arena_array(arena, n + 1, sizeof *askings);
    struct tokens eos = {0};
    enum status status =
        askings ? generate_eos(tokenizer, &eos, diag) : diag_fail(diag, STATUS_MEMORY, "out of memory");
    size_t i;

    for (i = 0; i < n && !status; i++) {
        struct asking asking = {&asks[i], tokenizer, arena, 0, 0};

        askings[i] = asking;
        status = ask_begin(&askings[i], engine, &eos, diag);
    }
    if (!status)
        status = engine_run(engine, watch, diag);
    for (i = 0; i < n && !status; i++)
        if (askings[i].failed)
            status = diag_fail(diag, STATUS_MEMORY, "out of memory for an answer");
    tokens_free(&eos);
    return status;
}
