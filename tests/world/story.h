/* story.h - a problem: the sentences of a story, a question, and the graph of steps that answers it.
 *
 *   "Anna has 12 books. Ben has 5 more books than Anna. How many books do Anna and Ben have together?"
 *
 *   step 0   PERSON Ben    12 + 5   = 17      operands: constants of the story, or values of earlier steps
 *   step 1   TOTAL         12 + #0  = 29
 *
 * A story is drawn clause by clause (a person appears, is compared with another, something happens, a question) and
 * drawn anew when a value leaves 1..STORY_MAX_VALUE, a division leaves a remainder, or the number of steps that the
 * answer needs is not the wanted one. */
#ifndef ARKLET_WORLD_STORY_H
#define ARKLET_WORLD_STORY_H

#include <stdint.h>
#include "arena.h"
#include "draw.h"
#include "forms.h"

#define STORY_MAX_VALUE     200
#define STORY_MAX_STEPS     24
#define STORY_MAX_SENTENCES 12
#define STORY_MAX_PEOPLE    3

/* What a step's result is, which gives its line the wording. */
enum step_role { ROLE_PERSON, ROLE_PART, ROLE_THIRD, ROLE_TOTAL, ROLE_DIFFERENCE, ROLE_EACH, ROLE_NEED, ROLE_GET };

struct operand {
    int step;  /* whose value it is; -1: a constant */
    int value; /* also filled for steps */
};

struct story_step {
    char op; /* + - * / */
    struct operand a, b;
    int value;
    enum step_role role;
    int person; /* index into people */
    int needed; /* the answer depends on it */
};

struct sentence {
    const struct form *form;
    int wording;
    int a, b; /* people */
    int numbers[2];
};

struct story {
    enum unit unit;
    int people[STORY_MAX_PEOPLE], n_people; /* indices of names */
    int object, container, verb;
    struct operand has[STORY_MAX_PEOPLE]; /* what each has now */
    struct story_step steps[STORY_MAX_STEPS];
    int n_steps, n_needed;
    struct sentence sentences[STORY_MAX_SENTENCES]; /* the question last */
    int n_sentences;
    struct operand answer;
};

/* Draws a story whose answer needs n_needed steps; with held_out, exactly one sentence has its held-out wording. */
void story_draw(struct story *story, struct draw *draw, int n_needed, int held_out);
/* The text of the problem. */
void story_put(struct buffer *out, const struct story *story);
/* A hash of the problem that is the same when only names, objects, containers and verbs are exchanged: the splits are
 * kept apart by it. */
uint64_t story_hash(const struct story *story);
/* "Anna", and "has" or "reads". */
const char *story_name(const struct story *story, int person);
const char *story_verb(const struct story *story);
/* All words that stories are made of, for a tokenizer's text; NULL behind the last. */
const char *story_word(int i);

#endif
