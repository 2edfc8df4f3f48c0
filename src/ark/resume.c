/* resume.c - reading an output along with its input. Memory: one record. */
#include "resume.h"

#include <string.h>
#include "json.h"

enum status resume_open(struct resume *r, const struct file_stream *out, struct diag *diag)
{
    enum status status;

    memset(r, 0, sizeof *r);
    arena_init(&r->arena, "resume", 0);
    if (!out->regular || !out->end)
        return STATUS_OK;
    status = file_lines_open(&r->lines, out->path, diag);
    r->open = !status;
    return status;
}

/* Behind the last slash: a model without a name of its own goes by its path, which may be spelled in several ways. */
static const char *last_part(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash && slash[1] ? slash + 1 : name;
}

static enum status check_model(const struct resume *r, const struct json *record, struct diag *diag)
{
    const char *found = json_string(record, "model", NULL);

    if (!r->model || !found || strcmp(last_part(found), last_part(r->model)) == 0)
        return STATUS_OK;
    return diag_fail(diag, STATUS_FORMAT,
                     "%s:%llu: expected a record of the model \"%.100s\", found one of \"%.100s\": another -o begins "
                     "anew",
                     r->lines.path, (unsigned long long)r->lines.number, r->model, found);
}

enum status resume_next(struct resume *r, const char *id, int *held, struct diag *diag)
{
    const struct json *record, *found;
    struct arena_mark mark = arena_mark(&r->arena);
    enum status status;
    size_t length;
    char *line;

    *held = 0;
    if (!r->open)
        return STATUS_OK;
    status = file_lines_next(&r->lines, &line, &length, diag);
    if (status || !line) {
        resume_close(r);
        return status;
    }
    status = json_parse(&record, line, length, &r->arena, r->lines.path, r->lines.number, NULL, diag);
    found = status ? NULL : json_get(record, "id");
    if (!status && (!found || !found->text || strcmp(found->text, id) != 0))
        status =
            diag_fail(diag, STATUS_FORMAT,
                      "%s:%llu: expected the record of \"%.100s\", found %s%.100s: the file belongs to other input",
                      r->lines.path, (unsigned long long)r->lines.number, id, found && found->text ? "" : "no id",
                      found && found->text ? found->text : "");
    if (!status)
        status = check_model(r, record, diag);
    arena_release(&r->arena, mark);
    r->n += !status;
    *held = !status;
    return status;
}

enum status resume_end(struct resume *r, struct diag *diag)
{
    enum status status;
    size_t length;
    char *line;

    if (!r->open)
        return STATUS_OK;
    status = file_lines_next(&r->lines, &line, &length, diag);
    if (!status && line)
        status = diag_fail(diag, STATUS_FORMAT, "%s:%llu: expected no more records than the input has, found another",
                           r->lines.path, (unsigned long long)r->lines.number);
    resume_close(r);
    return status;
}

void resume_close(struct resume *r)
{
    if (r->open)
        file_lines_close(&r->lines);
    r->open = 0;
    arena_free(&r->arena);
}
