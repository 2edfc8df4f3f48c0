/* distill_story.c - a run's results in words: arklet demo shows them. The same figures for readers of tables:
 * distill_report.c.
 *
 * Time of an answer: the evaluation's seconds by tokens, many questions at once, of the call that completed the stage.
 * Where to read next: distill_sample.c (transcripts), distill_measure.c (numbers). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "distill_parts.h"
#include "file.h"
#include "model.h"
#include "record.h"

struct story {
    struct distill *d;
    struct distill_measured rows[DISTILL_ROWS]; /* of the first set */
    struct buffer *out;
    enum distill_row best; /* see choose() */
    int has_best, by_dev;
};

/* ---- Table ---- */

static const char *const words[DISTILL_ROWS] = {
    "student, one answer",
    "teacher, one answer",
    "teacher's debate",
    "student's debate",
    "answers alone, no reasoning",
    "own right answers (self-training)",
    "teacher's right answers, no debate",
    "debates, one right answer each (RSFT)",
    "debates, up to 3 different ones (DA)",
    "rewards for right answers (RL)",
    "rewards for right answers and steps (PAD)",
    "debates (DA), then rewards (PAD)",
};

/* Of all sets, greedy and sampled. */
static enum status tokens_of(struct story *s, enum distill_row row, double *tokens, struct diag *diag)
{
    enum status status = STATUS_OK;

    *tokens = 0;
    for (size_t i = 0; i < s->d->n_sets && !status; i++)
        for (int votes = 0; votes < 2 && !status; votes++) {
            const char *path = distill_answers(s->d, row, &s->d->sets[i], votes);
            struct outcomes o = {0};

            if (!path)
                return distill_no_memory(diag);
            if (!file_exists(path))
                continue;
            status = outcomes_read(&o, path, diag);
            *tokens += (double)o.tokens;
            outcomes_free(&o);
        }
    return status;
}

static double stage_seconds(struct story *s, const char *prefix, const char *name)
{
    char stage[64];

    snprintf(stage, sizeof stage, "%s%s", prefix, name);
    return json_number(distill_result(s->d, stage), "seconds", 0);
}

static void put_line(struct story *s, const char *name, const struct stats_interval *value, double tokens,
                     double seconds_a_token, enum distill_row row)
{
    double training = distill_training_seconds(s->d, distill_row_name(row));

    buffer_format(s->out, "  %-42s %5.1f   %4.1f .. %4.1f   %6.0f  %6.1f ms", name, 100 * value->mean, 100 * value->low,
                  100 * value->high, tokens, 1000 * seconds_a_token * tokens);
    if (row >= ROW_ANSWER && training > 0)
        buffer_format(s->out, "   %5.0f s", training);
    buffer_text(s->out, "\n");
}

static enum status put_row(struct story *s, enum distill_row row, struct diag *diag)
{
    const struct distill_measured *m = &s->rows[row];
    const struct distill_options *o = s->d->options;
    const char *whose = row == ROW_TEACHER ? "teacher" : "student";
    double all, rate;
    char name[80];
    enum status status;

    if (!m->there)
        return STATUS_OK;
    status = tokens_of(s, row, &all, diag);
    if (status)
        return status;
    rate = all > 0 ? stage_seconds(s, "eval-", distill_row_name(row)) / all : 0;
    snprintf(name, sizeof name, "%s", words[row]);
    if (distill_is_debate(row))
        snprintf(name, sizeof name, "%s, %zu agents, %zu rounds", words[row], o->agents, o->rounds);
    put_line(s, name, &m->value, m->tokens, rate, row);
    snprintf(name, sizeof name, "%s, majority of %zu answers", whose, o->votes);
    if (row < ROW_DEBATE && m->n_vote)
        put_line(s, name, &m->vote, m->vote_tokens, rate, row);
    return STATUS_OK;
}

static enum status put_table(struct story *s, struct diag *diag)
{
    enum status status = STATUS_OK;

    buffer_format(s->out, "\nHow many of %zu new questions are answered right, in percent:\n\n", s->rows[ROW_BASE].n);
    buffer_format(s->out, "  %-42s %5s   %12s   %6s  %9s   %7s\n", "", "right", "95 % interval", "tokens", "an answer",
                  "training");
    buffer_text(s->out, "As they come\n");
    status = put_row(s, ROW_BASE, diag);
    if (!status)
        status = put_row(s, ROW_SELF_DEBATE, diag);
    for (int row = ROW_TEACHER; row <= ROW_DEBATE && !status; row++)
        status = put_row(s, (enum distill_row)row, diag);
    buffer_text(s->out, "The student, one answer, after learning from\n");
    for (int row = ROW_ANSWER; row < DISTILL_ROWS && !status; row++)
        status = put_row(s, (enum distill_row)row, diag);
    return status;
}

/* ---- Words ---- */

static void put_gain(struct story *s)
{
    const struct distill_measured *base = &s->rows[ROW_BASE], *m = &s->rows[s->best], *debate = &s->rows[ROW_DEBATE];
    const struct stats_interval *gain = &m->comparison.paired.difference;
    double of = debate->value.mean - base->value.mean;

    if (!s->has_best || !m->compared)
        return;
    buffer_format(
        s->out,
        "\nAfter \"%s\"%s the student is right in %.1f %% instead of %.1f %%: %+.1f points (95 %% interval %+.1f .. "
        "%+.1f, p = %.3g%s).\n",
        words[s->best], s->by_dev ? " (best on the dev questions)" : "", 100 * m->value.mean, 100 * base->value.mean,
        100 * gain->mean, 100 * gain->low, 100 * gain->high, m->comparison.mcnemar,
        m->comparison.mcnemar < 0.05 ? "" : ": no more than chance may do");
    if (debate->there && of > 0 && m->tokens > 0)
        buffer_format(
            s->out,
            "The teacher's debate is %.1f points above the student; one answer of the trained student has %.0f %% "
            "of that for 1/%.0f of the tokens.\n",
            100 * of, 100 * (m->value.mean - base->value.mean) / of, debate->tokens / m->tokens);
}

static void put_times(struct story *s)
{
    double samples = stage_seconds(s, "", "samples") + stage_seconds(s, "", "self-samples");
    double sft = 0, rl = 0, evaluation = 0, debate = stage_seconds(s, "", "held-debates"),
           prm = stage_seconds(s, "", "prm");

    for (int row = 0; row < DISTILL_ROWS; row++) {
        const char *name = distill_row_name((enum distill_row)row);

        evaluation += stage_seconds(s, "eval-", name);
        sft += row >= ROW_ANSWER && row <= ROW_DA ? stage_seconds(s, "", name) : 0;
        rl += row >= ROW_RL ? stage_seconds(s, "", name) : 0;
    }
    buffer_format(s->out,
                  "\nTime: debates %.0f s, samples for the controls %.0f s, fine-tuning %.0f s, reward model %.0f s, "
                  "reinforcement %.0f s, evaluation %.0f s; together %.0f s.\n",
                  debate, samples, sft, prm, rl, evaluation, debate + samples + sft + prm + rl + evaluation);
}

static enum status put_samples(struct story *s, struct distill_sample *answers, struct diag *diag)
{
    struct distill_sample debate;
    char before[96], after[96];
    enum status status = distill_sample_debate(s->d, &debate, diag);

    if (!status && debate.worth) {
        buffer_format(s->out, "\nHow an agent corrects itself in a debate (%s):\n\n", debate.id);
        snprintf(before, sizeof before, "Agent %zu, alone", debate.agent + 1);
        snprintf(after, sizeof after, "Agent %zu, having read the others", debate.agent + 1);
        distill_sample_put(s->out, &debate, before, after);
    }
    if (!status && s->has_best)
        status = distill_sample_answers(s->d, answers, s->best, &s->d->sets[0], diag);
    if (!status && answers->worth) {
        buffer_format(s->out, "\nA new question before and after (%s):\n\n", answers->id);
        snprintf(after, sizeof after, "The student after learning from: %s", words[s->best]);
        distill_sample_put(s->out, answers, "The student as it was", after);
    }
    return status;
}

static void put_files(struct story *s)
{
    const char *folder = s->d->options->folder;

    buffer_format(s->out,
                  "\nTo read:\n"
                  "  %s/debate.jsonl              every turn of every debate on the training questions\n"
                  "  %s/eval/ROW.SET.jsonl        every answer in the table (summary.md: all sets and measures)\n"
                  "  %s/traces/                   what the student learned from\n"
                  "  %s/ROW/                      its adapters: PEFT folders with adapter.gguf, and metrics.csv\n",
                  folder, folder, folder, folder);
}

/* ---- What can be tried ---- */

/* The prompt of the example's question, as the student sees it, and its wrong answer as a record. */
static enum status save_example(struct story *s, const struct distill_sample *sample, int *chat, struct diag *diag)
{
    const char *folder = distill_path(s->d, "try"), *prompt_path = distill_path(s->d, "try/question.txt"),
               *wrong_path = distill_path(s->d, "try/wrong.jsonl");
    struct question question = {.id = sample->id, .text = sample->question};
    struct buffer text = {0}, wrong = {0};
    struct prompt prompt;
    enum status status = folder && prompt_path && wrong_path ? file_make_folder(folder, diag) : distill_no_memory(diag);

    if (!status)
        status = distill_use(s->d, s->d->options->student, diag);
    if (!status)
        status = prompt_solve(&prompt, &s->d->style, &question, &s->d->arena, diag);
    if (!status) {
        buffer_format(&text, "%.*s\n", (int)prompt.length, prompt.text);
        *chat = prompt.is_chat;
        status = text.failed ? distill_no_memory(diag) : file_save(prompt_path, text.data, text.length, diag);
    }
    buffer_text(&wrong, "{\"v\":1,\"id\":");
    json_put_text(&wrong, sample->id);
    json_put_member(&wrong, "question", sample->question);
    json_put_member(&wrong, "output", sample->wrong);
    buffer_text(&wrong, ",\"correct\":false}\n");
    if (!status)
        status = wrong.failed ? distill_no_memory(diag) : file_save(wrong_path, wrong.data, wrong.length, diag);
    buffer_free(&wrong);
    buffer_free(&text);
    return status;
}

/* The trained row that is best on the dev questions; without any the last one, the whole method. */
static enum status choose(struct story *s, struct diag *diag)
{
    enum status status = STATUS_OK;
    double dev, best = -1;

    for (int row = ROW_ANSWER; row < DISTILL_ROWS && !status; row++) {
        if (!s->rows[row].there)
            continue;
        status = distill_measure_dev(s->d, (enum distill_row)row, &dev, diag);
        if (s->has_best && dev < best)
            continue;
        s->best = (enum distill_row)row;
        s->has_best = 1;
        if (!isnan(dev)) {
            s->by_dev = 1;
            best = dev;
        }
    }
    return status;
}

static enum status tell(struct story *s, struct distill_next *next, struct diag *diag)
{
    struct distill_sample answers = {0};
    const char *prm = distill_path(s->d, "prm/adapter.gguf");
    enum status status = distill_measure(s->d, s->rows, &s->d->sets[0], diag);

    if (!status)
        status = choose(s, diag);
    if (!status)
        status = put_samples(s, &answers, diag);
    if (!status)
        status = put_table(s, diag);
    put_gain(s);
    put_times(s);
    put_files(s);
    if (status || !s->has_best || !answers.worth)
        return status;
    next->row = distill_row_name(s->best);
    next->prm = prm && file_exists(prm);
    return save_example(s, &answers, &next->chat, diag);
}

enum status distill_story(const struct distill_options *options, const struct exec *exec, struct buffer *text,
                          struct distill_next *next, struct diag *diag)
{
    struct distill d = {.options = options, .exec = *exec};
    struct story s = {.d = &d, .out = text};
    enum status status = STATUS_OK;

    memset(next, 0, sizeof *next);
    arena_init(&d.arena, "story", 0);
    distill_find_sets(&d);
    if (d.n_sets)
        status = tell(&s, next, diag);
    model_free(d.model);
    arena_free(&d.arena);
    return status;
}
