/* document.c - questions and training documents as JSON records. */
#include "document.h"

#include <stdio.h>
#include <string.h>
#include "json.h"
#include "prompt.h"

#define MAX_AGENTS  5
#define DRILL_SUMS  12
#define DEEP_PEOPLE 1 /* so that the deeper stories are not harder to read, too */

/* ---- Splits ---- */

const char *split_name(enum split split)
{
    static const char *const split_names[SPLIT_COUNT] = {"train", "dev", "test", "deep", "form"};

    return split_names[split];
}

void split_depths(struct depths *depths, enum split split)
{
    static const struct depths usual = {{0, 25, 35, 25, 15}}, deep = {{0, 0, 0, 0, 0, 1}}, form = {{0, 40, 40, 20}};

    *depths = split == SPLIT_DEEP ? deep : split == SPLIT_FORM ? form : usual;
}

/* Twelve of sixteen parts of all questions are for training. */
static enum split split_of(uint64_t hash)
{
    uint64_t part = hash >> 32 & 15;

    return part < SPLIT_COUNT ? (enum split)part : SPLIT_TRAIN;
}

/* Open addressing; slot 0 is empty, so a hash of 0 counts as 1. */
static int seen_grow(struct seen *seen)
{
    size_t room = seen->room ? 2 * seen->room : 1024, i;
    uint64_t *slots = memory_alloc(room * sizeof *slots);

    if (!slots)
        return 0;
    memset(slots, 0, room * sizeof *slots);
    for (i = 0; i < seen->room; i++)
        if (seen->slots[i]) {
            size_t at = seen->slots[i] & (room - 1);

            while (slots[at])
                at = (at + 1) & (room - 1);
            slots[at] = seen->slots[i];
        }
    memory_free(seen->slots);
    seen->slots = slots;
    seen->room = room;
    return 1;
}

int seen_add(struct seen *seen, uint64_t hash)
{
    size_t at;

    if (2 * seen->count >= seen->room && !seen_grow(seen))
        return -1;
    hash += hash == 0;
    for (at = hash & (seen->room - 1); seen->slots[at]; at = (at + 1) & (seen->room - 1))
        if (seen->slots[at] == hash)
            return 0;
    seen->slots[at] = hash;
    seen->count++;
    return 1;
}

void seen_free(struct seen *seen)
{
    memory_free(seen->slots);
    memset(seen, 0, sizeof *seen);
}

#define MOST_TRIES 100000 /* a split has a sixteenth of all stories or more */

int document_story(struct story *story, struct draw *draw, enum split split, const struct depths *depths,
                   struct seen *seen)
{
    for (long tries = 0; tries < MOST_TRIES; tries++) {
        uint64_t hash;
        int added;

        story_draw(story, draw, 1 + draw_weighted(draw, depths->weights, MAX_DEPTH), split == SPLIT_FORM);
        hash = story_hash(story);
        if (split_of(hash) != split || (split == SPLIT_DEEP && story->n_people > DEEP_PEOPLE))
            continue;
        added = seen ? seen_add(seen, hash) : 1;
        if (added)
            return added;
    }
    return 0;
}

/* ---- Records ---- */

static void put_head(struct buffer *out, const char *id)
{
    buffer_text(out, "{\"v\":1,\"id\":");
    json_put_text(out, id);
}

static void put_member(struct buffer *out, const char *key, const struct buffer *text)
{
    buffer_format(out, ",\"%s\":", key);
    json_put_string(out, text->data, text->length);
}

static void put_segment(struct buffer *out, struct buffer *text, const char *weight)
{
    buffer_text(out, "{\"text\":");
    json_put_string(out, text->data, text->length);
    buffer_format(out, ",\"weight\":%s},", weight);
    buffer_clear(text);
}

void document_question(struct buffer *out, const struct story *story, struct draw *draw, const char *id)
{
    struct buffer text = {0};
    struct solution solution;

    put_head(out, id);
    story_put(&text, story);
    put_member(out, "question", &text);
    buffer_clear(&text);
    solution_draw(&solution, story, draw);
    solution_put(&text, &solution);
    put_member(out, "answer", &text);
    buffer_format(out, ",\"steps\":%d}", story->n_needed);
    buffer_free(&text);
}

/* The end of a record {prompt, completion}; takes the completion's text from `completion`. */
static void put_pair(struct buffer *out, const struct prompt *prompt, const struct buffer *completion)
{
    buffer_text(out, ",\"prompt\":");
    prompt_put(out, prompt);
    put_member(out, "completion", completion);
    buffer_text(out, "}");
}

static void question_of(struct question *question, const struct story *story, struct buffer *text)
{
    memset(question, 0, sizeof *question);
    story_put(text, story);
    question->text = text->data;
    question->key.kind = ANSWER_NUMBER;
}

enum status document_single(struct buffer *out, const struct story *story, struct draw *draw, const char *id,
                            struct arena *arena, struct diag *diag)
{
    const struct prompt_style style = {0};
    struct buffer text = {0}, completion = {0};
    struct question question;
    struct solution solution;
    struct prompt prompt;
    enum status status;

    question_of(&question, story, &text);
    status = prompt_solve(&prompt, &style, &question, arena, diag);
    solution_draw(&solution, story, draw);
    solution_put(&completion, &solution);
    if (!status) {
        put_head(out, id);
        put_pair(out, &prompt, &completion);
    }
    buffer_free(&text);
    buffer_free(&completion);
    return status;
}

/* ---- Debates ---- */

struct round {
    struct solution solutions[MAX_AGENTS];
    int n_agents, n_wrong;
};

/* A round in which not all agents agree: agents that are right with a chance drawn for the whole round; a wrong one
 * repeats the wrong one before it now and then. */
static void draw_round(struct round *round, const struct story *story, struct draw *draw)
{
    static const int sizes[] = {70, 15, 15};
    int agree = 1, i;

    while (agree) {
        int skill = 20 * draw_range(draw, 1, 4), last_wrong = -1;

        round->n_agents = 3 + draw_weighted(draw, sizes, 3);
        round->n_wrong = 0;
        agree = 1;
        for (i = 0; i < round->n_agents; i++) {
            struct solution *s = &round->solutions[i];

            solution_draw(s, story, draw);
            if (!draw_percent(draw, skill)) {
                if (last_wrong >= 0 && draw_percent(draw, 25))
                    *s = round->solutions[last_wrong];
                else
                    while (!solution_spoil(s, draw))
                        solution_draw(s, story, draw);
                last_wrong = i;
                round->n_wrong++;
            }
            agree = agree && s->answer == round->solutions[0].answer;
        }
        agree = agree && !draw_percent(draw, 5);
    }
}

static void put_critique(struct buffer *out, const struct round *round, int agent)
{
    int i;

    for (i = 0; i < round->n_agents; i++) {
        if (i == agent)
            continue;
        if (round->solutions[i].wrong_line < 0)
            buffer_format(out, "Solution %d is right.\n\n", i + 1);
        else
            buffer_format(out, "Solution %d is wrong in step %d.\n\n", i + 1, round->solutions[i].wrong_line + 1);
    }
}

void document_debate_put(struct buffer *out, const struct prompt *prompt, const struct peer *peers, int n_peers,
                         int weight, const struct buffer *completion)
{
    const char *at = prompt->text, *end = prompt->text + prompt->length;
    struct buffer text = {0};
    char share[16];
    int i;

    if (weight == 0) {
        put_pair(out, prompt, completion);
        return;
    }
    snprintf(share, sizeof share, "%d.%02d", weight / 100, weight % 100);
    buffer_text(out, ",\"segments\":[");
    for (i = 0; i < n_peers; i++) {
        const char *solution = peers[i].text ? strstr(at, peers[i].text) : NULL;

        if (!peers[i].right || !solution)
            continue;
        /* The newlines before a solution belong to it: so they are tokens of their own, as within a prompt. */
        solution -= strlen("\n\n");
        buffer_append(&text, at, (size_t)(solution - at));
        put_segment(out, &text, "0");
        buffer_format(&text, "\n\n%s", peers[i].text);
        at = solution + text.length;
        put_segment(out, &text, share);
    }
    buffer_append(&text, at, (size_t)(end - at));
    put_segment(out, &text, "0");
    buffer_append(&text, completion->data, completion->length);
    put_segment(out, &text, "1");
    out->length--; /* the last comma */
    buffer_text(out, "]}");
    buffer_free(&text);
}

enum status document_debate(struct buffer *out, const struct story *story, struct draw *draw, int critique, int weight,
                            const char *id, struct arena *arena, struct diag *diag)
{
    const struct prompt_style style = {.critique = critique};
    struct buffer text = {0}, completion = {0}, texts[MAX_AGENTS];
    struct prompt_solution solutions[MAX_AGENTS];
    struct peer peers[MAX_AGENTS];
    struct question question;
    struct solution right;
    struct prompt prompt;
    struct round round;
    enum status status;
    int i, agent;

    memset(texts, 0, sizeof texts);
    draw_round(&round, story, draw);
    for (i = 0; i < round.n_agents; i++) {
        solution_put(&texts[i], &round.solutions[i]);
        solutions[i].text = peers[i].text = texts[i].data;
        solutions[i].length = texts[i].length;
        peers[i].right = round.solutions[i].wrong_line < 0;
    }
    agent = draw_below(draw, round.n_agents);
    question_of(&question, story, &text);
    status = prompt_revise(&prompt, &style, &question, solutions, (size_t)round.n_agents, (size_t)agent, arena, diag);
    if (critique)
        put_critique(&completion, &round, agent);
    solution_draw(&right, story, draw);
    solution_put(&completion, &right);
    if (!status) {
        put_head(out, id);
        document_debate_put(out, &prompt, peers, round.n_agents, weight, &completion);
    }
    for (i = 0; i < round.n_agents; i++)
        buffer_free(&texts[i]);
    buffer_free(&text);
    buffer_free(&completion);
    return status;
}

/* ---- Drills ---- */

static int draw_sum(struct draw *draw, char *op, int *a, int *b)
{
    static const int kinds[] = {35, 35, 15, 15};
    int kind = draw_weighted(draw, kinds, 4), big = draw_percent(draw, 50);

    *op = "+-*/"[kind];
    switch (kind) {
    case 0:
        *a = draw_range(draw, 2, big ? 180 : 99);
        *b = draw_range(draw, 2, big ? 40 : 99);
        if (draw_percent(draw, 30)) {
            int was = *a;

            *a = *b;
            *b = was;
        }
        return *a + *b;
    case 1:
        *a = draw_range(draw, 3, big ? STORY_MAX_VALUE : 99);
        *b = draw_range(draw, 2, *a > 100 ? 99 : *a - 1);
        return *a - *b;
    case 2:
        *a = draw_range(draw, 2, big ? 100 : 12);
        *b = draw_range(draw, 2, big ? 6 : 12);
        return *a * *b;
    default:
        *b = draw_range(draw, 2, 9);
        *a = *b * draw_range(draw, 1, STORY_MAX_VALUE / *b);
        return *a / *b;
    }
}

void document_drill(struct buffer *out, struct draw *draw, const char *id)
{
    struct buffer left = {0}, right = {0};
    int i;

    put_head(out, id);
    buffer_text(out, ",\"segments\":[");
    for (i = 0; i < DRILL_SUMS; i++) {
        int a, b, value;
        char op;

        do
            value = draw_sum(draw, &op, &a, &b);
        while (value < 1 || value > STORY_MAX_VALUE);
        buffer_byte(&left, ' ');
        solution_put_sum(&left, &right, op, a, b, value);
        buffer_byte(&right, '.');
        put_segment(out, &left, "0");
        put_segment(out, &right, "1");
    }
    out->length--; /* the last comma */
    buffer_text(out, "]}");
    buffer_free(&left);
    buffer_free(&right);
}
