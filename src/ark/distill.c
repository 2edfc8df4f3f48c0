/* distill.c - the loop of stages. Read distill_run's `loop` first: it is the sentence.
 *
 * Invariant: a stage is complete when its file in stages/ is there, and only then; it is written last, under another
 * name first.
 * Where to read next: distill_data.c (split, debate, select), distill_learn.c (the learners), distill_report.c. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "adapter_file.h"
#include "ask.h"
#include "checkpoint.h"
#include "distill_parts.h"
#include "file.h"
#include "memory_plan.h"

static const struct {
    const char *name, *about;
} rows[DISTILL_ROWS] = {
    {"base", "student, as it is"},
    {"teacher", "teacher alone"},
    {"debate", "teacher's debate"},
    {"self-debate", "student's debate"},
    {"answer", "SFT, answers alone"},
    {"self", "SFT, own right samples"},
    {"sampled", "SFT, teacher's right samples"},
    {"rsft", "SFT, one trace"},
    {"da", "SFT, different traces"},
    {"rl", "RL, answer check"},
    {"pad", "RL, answer check and PRM"},
    {"da-pad", "different traces, then PRM"},
};

const char *distill_row_name(enum distill_row row)
{
    return rows[row].name;
}

const char *distill_row_about(enum distill_row row)
{
    return rows[row].about;
}

int distill_row_named(enum distill_row *row, const char *name, size_t length)
{
    for (int i = 0; i < DISTILL_ROWS; i++)
        if (strlen(rows[i].name) == length && memcmp(rows[i].name, name, length) == 0) {
            *row = (enum distill_row)i;
            return 1;
        }
    return 0;
}

/* ---- What stages share ---- */

enum status distill_no_memory(struct diag *diag)
{
    return diag_fail(diag, STATUS_MEMORY, "distill: out of memory");
}

const char *distill_path(struct distill *d, const char *format, ...)
{
    char name[160];
    struct buffer path = {0};
    const char *kept;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    buffer_format(&path, "%s/%s", d->options->folder, name);
    kept = path.failed ? NULL : arena_text(&d->arena, path.data, path.length);
    buffer_free(&path);
    return kept;
}

void distill_say(const struct distill *d, const char *format, ...)
{
    char line[320];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (d->options->say)
        d->options->say(d->options->context_of_say, line);
}

int distill_is_debate(enum distill_row row)
{
    return row == ROW_DEBATE || row == ROW_SELF_DEBATE;
}

int distill_wants(const struct distill *d, enum distill_row row)
{
    if ((row == ROW_TEACHER || row == ROW_SELF_DEBATE || row == ROW_SELF) &&
        strcmp(d->options->teacher, d->options->student) == 0)
        return 0;
    return (d->options->rows >> row & 1) != 0;
}

const struct json *distill_result(struct distill *d, const char *stage)
{
    const char *path = distill_path(d, "stages/%s.json", stage);
    const struct json *result = NULL;
    struct buffer text = {0};

    if (path && file_exists(path) && !file_read(&text, path, (size_t)1 << 24, NULL))
        if (json_parse(&result, text.data, text.length, &d->arena, path, 1, NULL, NULL))
            result = NULL;
    buffer_free(&text);
    return result;
}

const char *distill_left_out(struct distill *d, enum distill_row row)
{
    return json_string(distill_result(d, distill_row_name(row)), "left_out", NULL);
}

void distill_put_left_out(struct buffer *result, const char *reason)
{
    json_put_member(result, "left_out", reason);
}

/* ---- The model in memory ---- */

enum status distill_use(struct distill *d, const char *path, struct diag *diag)
{
    const struct distill_options *o = d->options;
    enum status status;

    if (d->model && strcmp(d->model_path, path) == 0)
        return STATUS_OK;
    model_free(d->model);
    memory_trim();
    d->model = NULL;
    status = model_load(&d->model, path, &d->exec, o->mem_limit, diag);
    if (status)
        return status;
    d->model_path = path;
    status = prompt_style_open(&d->style, &d->chat, d->model, o->chat_template, o->plain, o->system, diag);
    if (status)
        return status;
    d->aside = memory_plan_aside(d->model->tokenizer);
    return distill_measure_lengths(d, &d->lengths, &d->style, (size_t)d->model->config.ctx_len, diag);
}

enum status distill_engine(struct distill *d, struct engine **engine, size_t context, struct diag *diag)
{
    struct engine_options options = distill_engine_options(d->options, &d->lengths, context);

    return ask_open_engine(engine, d->model, &d->exec, &options, d->aside, d->options->mem_limit, diag);
}

enum status distill_adapter(struct distill *d, struct adapter **adapter, const char *name, struct diag *diag)
{
    const char *path = distill_path(d, "%s", name);

    return path ? adapter_load(adapter, d->model, path, 1, diag) : distill_no_memory(diag);
}

/* ---- Stages ---- */

static enum status finish_stage(struct distill *d, const char *name, const struct buffer *members, struct diag *diag)
{
    const char *path = distill_path(d, "stages/%s.json", name);
    struct buffer json = {0};
    enum status status;

    buffer_text(&json, "{\"v\":1,\"stage\":");
    json_put_text(&json, name);
    buffer_append(&json, members->data ? members->data : "", members->length);
    buffer_text(&json, "}\n");
    status = !path || json.failed || members->failed ? distill_no_memory(diag)
                                                     : file_save(path, json.data, json.length, diag);
    buffer_free(&json);
    return status;
}

/* Says what begins. */
static void tell_stage(const struct distill *d, const char *name, enum distill_row row)
{
    static const char *const whole[][2] = {
        {"split", "questions to learn from, to choose by and to test on"},
        {"held-debates", "the teacher's agents debate"},
        {"samples", "the teacher answers alone, as often as the debates cost"},
        {"self-samples", "the student answers alone, as often as the debates cost"},
        {"prm", "reward model, from the debates' steps"},
    };
    const char *what = strncmp(name, "eval-", 5) == 0     ? "test questions: "
                       : strncmp(name, "select-", 7) == 0 ? "traces for: "
                                                          : "";

    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (strcmp(name, whole[i][0]) == 0) {
            distill_say(d, "distill: %s (%s)", name, whole[i][1]);
            return;
        }
    distill_say(d, "distill: %s (%s%s)", name, what, rows[row].about);
}

/* Does the work of a stage, unless it is complete. */
static enum status stage(struct distill *d, const char *name, distill_work *work, enum distill_row row,
                         struct diag *diag)
{
    struct buffer members = {0};
    const char *path = distill_path(d, "stages/%s.json", name);
    double began = progress_now();
    enum status status;

    if (!path)
        return distill_no_memory(diag);
    if (file_exists(path)) {
        distill_say(d, "distill: %s: complete", name);
        return STATUS_OK;
    }
    if (d->options->stop && d->options->stop())
        return diag_fail(diag, STATUS_STOPPED, "interrupted before %s; the same command goes on", name);
    tell_stage(d, name, row);
    memory_trim();
    if (d->options->progress)
        progress_begin(d->options->progress, name, "tok/s");
    status = work(d, row, &members, diag);
    buffer_format(&members, ",\"seconds\":%.2f", progress_now() - began);
    if (!status)
        status = finish_stage(d, name, &members, diag);
    buffer_free(&members);
    return status;
}

/* The same for a row, of which there may be several kinds of stages: "select-da", "da", "eval-da". */
static enum status row_stage(struct distill *d, const char *prefix, enum distill_row row, distill_work *work,
                             struct diag *diag)
{
    char name[64];

    snprintf(name, sizeof name, "%s%s", prefix, distill_row_name(row));
    return distill_wants(d, row) ? stage(d, name, work, row, diag) : STATUS_OK;
}

/* One stage for each of the rows in a range. */
static enum status each_row(struct distill *d, const char *prefix, enum distill_row first, enum distill_row last,
                            distill_work *work, struct diag *diag)
{
    enum status status = STATUS_OK;

    for (int row = (int)first; row <= (int)last && !status; row++)
        status = row_stage(d, prefix, (enum distill_row)row, work, diag);
    return status;
}

/* ---- The run ---- */

/* DA then PAD starts from DA's adapter; PAD needs debates to learn its reward model from. */
int distill_needs_debate(const struct distill *d)
{
    return distill_wants(d, ROW_ANSWER) || distill_wants(d, ROW_SELF) || distill_wants(d, ROW_SAMPLED) ||
           distill_wants(d, ROW_RSFT) || distill_wants(d, ROW_DA) || distill_wants(d, ROW_PAD) ||
           distill_wants(d, ROW_DA_PAD);
}

static enum status loop(struct distill *d, struct diag *diag)
{
    int debates = distill_needs_debate(d), reward = distill_wants(d, ROW_PAD) || distill_wants(d, ROW_DA_PAD);
    enum status status = stage(d, "split", distill_split, ROW_BASE, diag);

    distill_find_sets(d);
    if (!status && debates)
        status = stage(d, "held-debates", distill_debate, ROW_DEBATE, diag);
    if (!status && distill_wants(d, ROW_SAMPLED))
        status = stage(d, "samples", distill_sample, ROW_SAMPLED, diag);
    if (!status)
        status = each_row(d, "eval-", ROW_TEACHER, ROW_DEBATE, distill_evaluate, diag);
    if (!status && distill_wants(d, ROW_SELF))
        status = stage(d, "self-samples", distill_sample, ROW_SELF, diag);
    if (!status)
        status = each_row(d, "select-", ROW_ANSWER, ROW_DA, distill_select, diag);
    if (!status)
        status = each_row(d, "", ROW_ANSWER, ROW_DA, distill_fine_tune, diag);
    if (!status && reward)
        status = stage(d, "prm", distill_prm, ROW_PAD, diag);
    if (!status)
        status = each_row(d, "", ROW_RL, ROW_DA_PAD, distill_reinforce, diag);
    if (!status)
        status = row_stage(d, "eval-", ROW_BASE, distill_evaluate, diag);
    return status ? status : each_row(d, "eval-", ROW_SELF_DEBATE, ROW_DA_PAD, distill_evaluate, diag);
}

/* What a run would overwrite is not there before it; debates may be. */
static enum status check_foreign(struct distill *d, struct diag *diag)
{
    static const char *const names[] = {"questions", "traces", "eval", "summary.txt", "summary.md", "summary.json"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = distill_path(d, "%s", names[i]);

        if (!path)
            return distill_no_memory(diag);
        if (file_exists(path))
            return diag_fail(diag, STATUS_RANGE, "%s: expected an empty folder or a run, found this without stages/",
                             path);
    }
    return STATUS_OK;
}

static enum status make_folder(struct distill *d, const char *name, struct diag *diag)
{
    const char *path = distill_path(d, "%s", name);

    return path ? file_make_folder(path, diag) : distill_no_memory(diag);
}

/* A run goes on with the settings it was begun with. */
static enum status check_config(struct distill *d, struct diag *diag)
{
    const char *path = distill_path(d, "stages/config.txt"), *ours = d->options->config, *found;
    struct buffer text = {0};
    size_t n_found, n_ours = strlen(ours);
    enum status status;

    if (!path)
        return distill_no_memory(diag);
    if (!file_exists(path)) {
        status = check_foreign(d, diag);
        if (!status)
            status = make_folder(d, "stages", diag);
        return status ? status : file_save(path, ours, n_ours, diag);
    }
    status = file_read(&text, path, (size_t)1 << 20, diag);
    found = text.data;
    n_found = text.length;
    if (!status && checkpoint_config_differs(&found, &n_found, &ours, &n_ours))
        status =
            diag_fail(diag, STATUS_RANGE, "%s: the run was begun with '%.*s', this is '%.*s'; another -o begins anew",
                      path, (int)n_found, n_found ? found : "", (int)n_ours, ours);
    buffer_free(&text);
    return status;
}

enum status distill_run(const struct distill_options *options, const struct exec *exec, struct buffer *text,
                        struct diag *diag)
{
    struct distill d = {.options = options, .exec = *exec};
    enum status status;

    arena_init(&d.arena, "distill", 0);
    status = check_config(&d, diag);
    if (!status)
        status = make_folder(&d, "questions", diag);
    if (!status)
        status = make_folder(&d, "traces", diag);
    if (!status)
        status = make_folder(&d, "eval", diag);
    if (!status)
        status = loop(&d, diag);
    model_free(d.model);
    if (!status)
        status = distill_report(&d, text, diag);
    arena_free(&d.arena);
    return status;
}
