/* summary_file.c - summaries beside records. */
#include "summary_file.h"

#include <string.h>
#include "file.h"
#include "json.h"

static void put_path(struct buffer *path, const char *records)
{
    const char *slash = strrchr(records, '/'), *dot = strrchr(records, '.');
    size_t stem = dot && dot > (slash ? slash + 1 : records) ? (size_t)(dot - records) : strlen(records);

    buffer_append(path, records, stem);
    buffer_text(path, ".summary.json");
}

int summary_possible(const char *records)
{
    return strcmp(records, "-") != 0 && (!file_exists(records) || file_is_regular(records));
}

enum status summary_write(const char *records, const struct buffer *members, const struct args *args, struct diag *diag)
{
    struct buffer json = {0}, path = {0}, config = {0};
    enum status status;

    buffer_text(&json, "{\"v\":1,");
    buffer_append(&json, members->data ? members->data : "", members->length);
    args_write_config(args, &config);
    buffer_text(&json, ",\"config\":");
    json_put_string(&json, config.data ? config.data : "", config.length);
    buffer_text(&json, "}\n");
    put_path(&path, records);
    status = json.failed || path.failed || config.failed || members->failed
                 ? diag_fail(diag, STATUS_MEMORY, "out of memory for the summary")
                 : file_save(path.data, json.data, json.length, diag);
    buffer_free(&json);
    buffer_free(&path);
    buffer_free(&config);
    return status;
}

/* The values of a flag in a configuration, a line each, of paths the last part: a file may be named in several ways. */
static void put_values(struct buffer *out, const char *config, const char *name)
{
    size_t length = strlen(name);

    buffer_clear(out);
    for (; *config; config += strcspn(config, "\n"), config += *config == '\n') {
        size_t n = strcspn(config, "\n"), from = length + 3, at;

        if (n < from || memcmp(config, name, length) != 0 || memcmp(config + length, " = ", 3) != 0)
            continue;
        for (at = from; at + 1 < n; at++)
            from = config[at] == '/' ? at + 1 : from;
        buffer_append(out, config + from, n - from);
        buffer_byte(out, '\n');
    }
    buffer_byte(out, 0);
}

/* Flags that decide what the records hold. One that only one of the configurations has is not compared, as the other
 * may be of another version, but for lists, which are not there when they are empty. */
static enum status compare(const char *records, const char *before, const char *now, struct diag *diag)
{
    static const char *const names[] = {"lora",   "agent",    "model",   "prm",     "agents",       "rounds", "vote",
                                        "debate", "temp",     "top-k",   "top-p",   "min-p",        "seed",   "plain",
                                        "system", "critique", "max-new", "max-len", "chat-template"};
    const size_t n_lists = 2;
    struct buffer old = {0}, new = {0};
    enum status status = STATUS_OK;

    if (!strstr(before, "\nprm = ") != !strstr(now, "\nprm = ")) /* of a file that `score` made, or will */
        return STATUS_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && !status; i++) {
        put_values(&old, before, names[i]);
        put_values(&new, now, names[i]);
        if (old.failed || new.failed)
            status = diag_fail(diag, STATUS_MEMORY, "out of memory");
        else if (strcmp(old.data, new.data) != 0 && (i < n_lists || (*old.data && *new.data)))
            status = diag_fail(diag, STATUS_RANGE, "%s: was made with %s '%.*s', not '%.*s': another -o begins anew",
                               records, names[i], (int)strcspn(old.data, "\n"), old.data, (int)strcspn(new.data, "\n"),
                               new.data);
    }
    buffer_free(&old);
    buffer_free(&new);
    return status;
}

enum status summary_check(const char *records, const struct args *args, struct diag *diag)
{
    struct buffer path = {0}, text = {0}, now = {0};
    const struct json *summary;
    struct arena arena;
    enum status status;

    if (strcmp(records, "-") == 0 || !file_is_regular(records))
        return STATUS_OK;
    arena_init(&arena, "summary", 0);
    put_path(&path, records);
    status = path.failed ? diag_fail(diag, STATUS_MEMORY, "out of memory") : STATUS_OK;
    if (!status && file_exists(path.data)) {
        status = file_read(&text, path.data, (size_t)1 << 26, diag);
        if (!status)
            status = json_parse(&summary, text.data ? text.data : "", text.length, &arena, path.data, 1, NULL, diag);
        args_write_config(args, &now);
        if (!status && (now.failed || !now.data))
            status = diag_fail(diag, STATUS_MEMORY, "out of memory");
        if (!status && json_string(summary, "config", NULL))
            status = compare(records, json_string(summary, "config", ""), now.data, diag);
    }
    buffer_free(&path);
    buffer_free(&text);
    buffer_free(&now);
    arena_free(&arena);
    return status;
}
