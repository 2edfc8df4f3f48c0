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
