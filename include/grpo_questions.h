/* grpo_questions.h - questions with known answers as tasks of reinforcement (grpo.h).
 *
 *   train: prompt ids and answer keys in memory      dev: the same; greedy accuracy tells the best policy
 *
 * Memory: 4 bytes a prompt token and the golds of every question. */
#ifndef ARKLET_GRPO_QUESTIONS_H
#define ARKLET_GRPO_QUESTIONS_H

#include "batch.h"
#include "grpo.h"
#include "prompt.h"
#include "question.h"

struct grpo_task {
    int32_t *ids; /* [n] of the prompt */
    size_t n;
    struct answer_key key;
};

struct grpo_task_list {
    struct grpo_task *tasks; /* [n] */
    size_t n, room;
    uint64_t hash;         /* of the questions' texts */
    size_t longest;        /* prompt */
    uint64_t longest_line; /* of its question in the file */
    size_t n_dropped;      /* questions whose prompt was longer than allowed */
};

/* Start from {0} with the first group set; free with grpo_questions_free. */
struct grpo_questions {
    struct prompt_style style;
    size_t max_new; /* of a greedy answer to a dev question */
    size_t longest; /* prompts of more tokens are dropped; 0: none is */

    struct grpo_task_list train, dev;
    const struct adapter *policy; /* being trained; set before grpo_run */
    struct engine *dev_engine;    /* set before grpo_run when there are dev questions */
    struct arena arena, scratch;
    int ready;
};

/* All questions of a file into `list`, train or dev. Every one needs a gold answer; none at all is STATUS_FORMAT. kind:
 * as in question.h. */
enum status grpo_questions_read(struct grpo_questions *questions, struct grpo_task_list *list, const char *path,
                                const char *kind, struct diag *diag);
void grpo_questions_free(struct grpo_questions *questions); /* not the engine */
/* What grpo_run asks for; the questions must outlive it. */
struct grpo_tasks grpo_questions_tasks(struct grpo_questions *questions);

#endif
