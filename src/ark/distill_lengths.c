/* distill_lengths.c - what the questions need: how long sequences get, and how many can be in work at once.
 *
 *   longest question -> its prompt + max_new                                            alone
 *                    -> its prompt in a debate + agents x their last answers + max_new
 *
 * Counted in the tokens of one model, whose chat template is part of a prompt. Both before the run, from the files it
 * is given, and in it, from the parts they were divided into: the longest question is among either. An answer may take
 * a few more tokens when it is read than when it was written; an eighth is left for that, and debate.h shortens
 * solutions that still do not fit. */
#include "distill_parts.h"
#include "debate.h"
#include "file.h"

struct measuring {
    struct distill_lengths *lengths;
    const struct distill_options *options;
    const struct prompt_style *style;
    struct arena arena; /* of a question */
    struct tokens tokens;
};

/* Tokens of an answer of so many in a prompt. */
static size_t read_again(size_t max_new)
{
    return max_new + max_new / 8;
}

/* Tokens of a prompt, in m->tokens.count. */
static enum status count_tokens(struct measuring *m, const struct prompt *prompt, struct diag *diag)
{
    m->tokens.count = 0;
    return prompt_tokens(prompt, m->style, &m->tokens, diag);
}

static enum status take_question(struct measuring *m, const struct question *question, struct diag *diag)
{
    const struct distill_options *o = m->options;
    struct prompt_solution none[DEBATE_MAX_AGENTS] = {{"", 0}};
    struct prompt prompt;
    enum status status = prompt_solve(&prompt, m->style, question, &m->arena, diag);

    if (!status)
        status = count_tokens(m, &prompt, diag);
    if (status || m->tokens.count + o->max_new <= m->lengths->solve)
        return status;
    m->lengths->solve = m->tokens.count + o->max_new;
    for (size_t i = 0; i < o->agents; i++)
        none[i] = none[0];
    status = prompt_revise(&prompt, m->style, question, none, o->agents, o->agents - 1, &m->arena, diag);
    if (!status)
        status = count_tokens(m, &prompt, diag);
    m->lengths->debate = m->tokens.count + o->agents * read_again(o->max_new) + o->max_new;
    return status;
}

static enum status take_file(struct measuring *m, const char *path, struct diag *diag)
{
    struct question_options wanted = {.kind = m->options->kind, .records = {.skip_bad = m->options->skip_bad}};
    struct question_reader reader;
    const struct question *question;
    size_t n = 0;
    enum status status = question_open(&reader, path, &wanted, diag);

    for (; !status && !(status = question_next(&reader, &question, diag)) && question; n++) {
        struct arena_mark mark = arena_mark(&m->arena);

        status = take_question(m, question, diag);
        arena_release(&m->arena, mark);
    }
    question_close(&reader);
    m->lengths->questions = n > m->lengths->questions ? n : m->lengths->questions;
    return status;
}

/* The parts of a run whose questions are divided. */
static enum status take_parts(struct measuring *m, struct distill *d, struct diag *diag)
{
    static const char *const parts[] = {"train", "dev", "test"};
    const char *path;
    enum status status = STATUS_OK;

    for (size_t i = 0; i < sizeof parts / sizeof *parts + d->options->n_ood && !status; i++) {
        path =
            i < 3 ? distill_path(d, "questions/%s.jsonl", parts[i]) : distill_path(d, "questions/ood%zu.jsonl", i - 2);
        if (!path)
            return distill_no_memory(diag);
        if (file_exists(path))
            status = take_file(m, path, diag);
    }
    return status;
}

static enum status take_sources(struct measuring *m, struct diag *diag)
{
    const struct distill_options *o = m->options;
    enum status status = take_file(m, o->questions, diag);

    if (!status && o->dev)
        status = take_file(m, o->dev, diag);
    if (!status && o->test)
        status = take_file(m, o->test, diag);
    for (size_t i = 0; i < o->n_ood && !status; i++)
        status = take_file(m, o->ood[i], diag);
    return status;
}

/* What a sequence may have at most. */
static size_t most_positions(const struct distill_options *o, size_t trained)
{
    size_t usual = 4096 + o->max_new;

    return o->context ? o->context : usual < trained ? usual : trained;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

enum status distill_measure_lengths(struct distill *d, struct distill_lengths *lengths,
                                    const struct prompt_style *style, size_t trained, struct diag *diag)
{
    struct measuring m = {.lengths = lengths, .options = d->options, .style = style};
    const char *split = distill_path(d, "stages/split.json");
    enum status status = split ? STATUS_OK : distill_no_memory(diag);

    lengths->solve = lengths->debate = lengths->questions = 0;
    lengths->most = most_positions(d->options, trained);
    arena_init(&m.arena, "questions", 0);
    if (!status)
        status = file_exists(split) ? take_parts(&m, d, diag) : take_sources(&m, diag);
    arena_free(&m.arena);
    tokens_free(&m.tokens);
    lengths->solve = smaller(lengths->solve, lengths->most);
    lengths->debate = smaller(lengths->debate, lengths->most);
    return status;
}

struct engine_options distill_engine_options(const struct distill_options *o, const struct distill_lengths *lengths,
                                             size_t context)
{
    size_t each = o->agents > o->votes ? o->agents : o->votes;
    size_t n = smaller(o->batch, smaller(o->batch, lengths->questions) * each);
    struct engine_options options = {.context = context, .max_sequences = n ? n : 1, .chunk = 256, .keep = n};

    options.k_type = o->k_type;
    options.v_type = o->v_type;
    return options;
}

size_t distill_limit(const struct distill *d)
{
    size_t limit = d->options->mem_limit;

    return limit > d->aside ? limit - d->aside : limit != 0;
}

size_t distill_label_context(const struct distill_options *o, const struct distill_lengths *lengths)
{
    return smaller(lengths->most, lengths->solve + read_again(o->max_new));
}

size_t distill_pass(size_t context)
{
    return context > 1024 ? context : 1024;
}
