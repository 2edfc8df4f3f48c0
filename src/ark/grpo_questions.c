/* grpo_questions.c - prompts, answer checks and the dev evaluation of reinforcement. */
#include "grpo_questions.h"

#include <string.h>
#include "ask.h"
#include "rng.h"

#define DEV_WINDOW 256 /* dev questions that are asked together */

static enum status no_memory(struct diag *diag)
{
    return diag_fail(diag, STATUS_MEMORY, "out of memory for questions");
}

/* ---- Reading ---- */

static enum status reserve(struct grpo_task_list *list, struct diag *diag)
{
    size_t room = list->room ? 2 * list->room : 256;
    struct grpo_task *grown;

    if (list->n < list->room)
        return STATUS_OK;
    grown = memory_grow(list->tasks, room * sizeof *grown);
    if (!grown)
        return no_memory(diag);
    list->tasks = grown;
    list->room = room;
    return STATUS_OK;
}

/* What is asked, and what is right. */
static void hash_question(struct grpo_task_list *list, const struct question *question)
{
    size_t i;

    list->hash = (list->hash ^ rng_hash(question->text)) * 0x100000001B3u;
    for (i = 0; i < question->key.n_golds; i++)
        list->hash = (list->hash ^ rng_hash(question->key.golds[i])) * 0x100000001B3u;
}

static enum status keep_task(struct grpo_questions *q, struct grpo_task_list *list, const struct question *question,
                             const struct tokens *tokens, struct diag *diag)
{
    struct grpo_task *task = &list->tasks[list->n];
    struct question copy;
    enum status status = question_copy(&copy, question, &q->arena, diag);

    if (status)
        return status;
    task->key = copy.key;
    task->n = tokens->count;
    task->ids = arena_array(&q->arena, tokens->count + 1, sizeof *task->ids);
    if (!task->ids)
        return no_memory(diag);
    memcpy(task->ids, tokens->ids, tokens->count * sizeof *task->ids);
    hash_question(list, question);
    if (tokens->count > list->longest) {
        list->longest = tokens->count;
        list->longest_line = question->record->line;
    }
    list->n++;
    return STATUS_OK;
}

static enum status add_task(struct grpo_questions *q, struct grpo_task_list *list, const struct question *question,
                            struct diag *diag)
{
    struct arena_mark mark = arena_mark(&q->scratch);
    struct tokens tokens = {0};
    struct prompt prompt;
    enum status status = reserve(list, diag);

    if (!status)
        status = prompt_solve(&prompt, &q->style, question, &q->scratch, diag);
    if (!status)
        status = prompt_tokens(&prompt, &q->style, &tokens, diag);
    if (!status && q->longest && tokens.count > q->longest)
        list->n_dropped++;
    else if (!status)
        status = keep_task(q, list, question, &tokens, diag);
    tokens_free(&tokens);
    arena_release(&q->scratch, mark);
    return status;
}

enum status grpo_questions_read(struct grpo_questions *q, struct grpo_task_list *list, const char *path,
                                const char *kind, struct diag *diag)
{
    struct question_options options = {.kind = kind, .need_gold = 1};
    struct question_reader reader;
    const struct question *question;
    enum status status = question_open(&reader, path, &options, diag);

    if (!q->ready) {
        arena_init(&q->arena, "questions", 0);
        arena_init(&q->scratch, "scratch", 0);
        q->ready = 1;
    }
    while (!status && !(status = question_next(&reader, &question, diag)) && question)
        status = add_task(q, list, question, diag);
    question_close(&reader);
    if (!status && list->n == 0 && list->n_dropped)
        return diag_fail(diag, STATUS_RANGE, "%s: expected a question of at most %zu tokens, found %zu longer ones",
                         path, q->longest, list->n_dropped);
    if (!status && list->n == 0)
        status = diag_fail(diag, STATUS_FORMAT, "%s: expected at least one question, found none", path);
    return status;
}

void grpo_questions_free(struct grpo_questions *q)
{
    memory_free(q->train.tasks);
    memory_free(q->dev.tasks);
    if (q->ready) {
        arena_free(&q->arena);
        arena_free(&q->scratch);
    }
    memset(q, 0, sizeof *q);
}

/* ---- What the learner asks for ---- */

static enum status task_prompt(void *context, uint64_t i, const int32_t **ids, size_t *n, struct diag *diag)
{
    const struct grpo_questions *q = context;

    (void)diag;
    *ids = q->train.tasks[i].ids;
    *n = q->train.tasks[i].n;
    return STATUS_OK;
}

static enum status grade_text(struct grpo_questions *q, const struct grpo_task *task, const char *text, size_t length,
                              int cut, int *correct, struct diag *diag)
{
    struct arena_mark mark = arena_mark(&q->scratch);
    const char *prediction;
    enum status status = answer_extract(&prediction, &task->key, text, length, cut, &q->scratch, diag);

    *correct = !status && answer_correct(&task->key, prediction);
    arena_release(&q->scratch, mark);
    return status;
}

static enum status task_grade(void *context, uint64_t i, const int32_t *ids, size_t n, int *correct, struct diag *diag)
{
    struct grpo_questions *q = context;
    struct buffer text = {0};
    int ended = n && tokenizer_is_eog(q->style.tokenizer, ids[n - 1]);
    enum status status;

    tokenizer_decode(q->style.tokenizer, ids, n - (size_t)ended, DECODE_CONTINUE, &text);
    status = text.failed
                 ? no_memory(diag)
                 : grade_text(q, &q->train.tasks[i], text.data ? text.data : "", text.length, !ended, correct, diag);
    buffer_free(&text);
    return status;
}

/* Greedy answers to dev questions [at, at + n); *right grows by those that are correct. */
static enum status ask_window(struct grpo_questions *q, size_t at, size_t n, size_t *right, struct diag *diag)
{
    struct ask *asks = arena_array(&q->scratch, n, sizeof *asks);
    enum status status;
    size_t i;

    if (!asks)
        return no_memory(diag);
    for (i = 0; i < n; i++) {
        struct ask ask = {.prompt = q->dev.tasks[at + i].ids, .n_prompt = q->dev.tasks[at + i].n};

        ask.max_new = q->max_new;
        ask.sampling.top_p = 1;
        ask.adapters = &q->policy;
        ask.n_adapters = 1;
        asks[i] = ask;
    }
    status = ask_run(q->dev_engine, q->style.tokenizer, asks, n, NULL, &q->scratch, diag);
    for (i = 0; i < n && !status; i++) {
        int correct;

        status = grade_text(q, &q->dev.tasks[at + i], asks[i].text, asks[i].length, asks[i].truncated, &correct, diag);
        *right += (size_t)correct;
    }
    return status;
}

static enum status task_evaluate(void *context, double *accuracy, struct diag *diag)
{
    struct grpo_questions *q = context;
    size_t at, n, right = 0;
    enum status status = STATUS_OK;

    engine_forget(q->dev_engine); /* the policy has changed since */
    for (at = 0; at < q->dev.n && !status; at += n) {
        struct arena_mark mark = arena_mark(&q->scratch);

        n = q->dev.n - at < DEV_WINDOW ? q->dev.n - at : DEV_WINDOW;
        status = ask_window(q, at, n, &right, diag);
        arena_release(&q->scratch, mark);
    }
    *accuracy = (double)right / (double)q->dev.n;
    return status;
}

struct grpo_tasks grpo_questions_tasks(struct grpo_questions *q)
{
    struct grpo_tasks tasks = {q, q->train.n, task_prompt, task_grade, q->dev.n ? task_evaluate : NULL};

    return tasks;
}
