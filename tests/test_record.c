/* test_record.c - records of files in every form: values found, ids, shards, bad records, messages. */
#include <unistd.h>

#include "record.h"
#include "test.h"

static struct diag diag;
static char path[64] = "/tmp/arklet_record_XXXXXX";

static void write_file(const char *text, size_t length)
{
    FILE *file = fopen(path, "wb");

    CHECK(file && fwrite(text, 1, length, file) == length);
    if (file)
        fclose(file);
}

/* ---- values ---- */

/* The values of a file as "form:line@offset=value|...". */
static const char *values_of(const char *text, size_t length, int members)
{
    static char found[4096];
    struct json_stream stream;
    const char *value;
    size_t n, at = 0;

    write_file(text, length);
    if (json_stream_open(&stream, path, members, &diag))
        return diag.message;
    at += (size_t)snprintf(found, sizeof found, "%d:", stream.form);
    for (;;) {
        enum status status = json_stream_next(&stream, &value, &n, &diag);

        if (status || !value) {
            snprintf(found + at, sizeof found - at, "%s", status ? strstr(diag.message, "expected") : "end");
            break;
        }
        at += (size_t)snprintf(found + at, sizeof found - at, "%.*s%llu@%llu=%.*s|", (int)stream.key_length,
                               stream.key ? stream.key : "", (unsigned long long)stream.line,
                               (unsigned long long)stream.offset, (int)n, value);
    }
    CHECK(json_stream_next(&stream, &value, &n, &diag) == STATUS_OK && !value); /* and it stays at the end */
    json_stream_close(&stream);
    return found;
}

static void forms(void)
{
    static const struct {
        const char *text;
        int members;
        const char *values;
    } table[] = {
        {"", 0, "0:end"},
        {" \n\n", 0, "0:end"},
        {"{\"a\":1}\n\n{\"b\":2}", 0, "0:1@0={\"a\":1}|3@9={\"b\":2}|end"},
        {"{\"a\":1}\r\n  {\"b\":2} \r\n", 0, "0:1@0={\"a\":1}|2@9=  {\"b\":2}|end"},
        {"\xEF\xBB\xBF{}\n", 0, "0:1@3={}|end"},
        {"{\n \"a\": [1,\n2]\n}\n{\n}", 0, "1:1@0={\n \"a\": [1,\n2]\n}|5@17={\n}|end"},
        {"[{\"a\":\"]\\\"}\"}, 2 ,[3]\n,\"x\" ]", 0, "2:1@1={\"a\":\"]\\\"}\"}|1@15=2|1@18=[3]|2@23=\"x\"|end"},
        {"[]", 0, "2:end"},
        {"[1,2", 0, "2:1@1=1|1@3=2|expected ',' or ']', found the end of the file"},
        {"[1", 0, "2:1@1=1|expected ',' or ']', found the end of the file"},
        {"[{\"a\":\"b", 0, "2:expected the end of a record, found the end of the file"},
        {"[1 2]", 0, "2:1@1=1|expected ',' or ']', found '2'"},
        {"[1,]", 0, "2:1@1=1|expected a value, found ']'"},
        {"[1] 5", 0, "2:1@1=1|expected the end of the file, found '5'"},
        {"{\"k\":[1, {}],\n \"l:\" : 2}", 1, "3:\"k\"1@5=[1, {}]|\"l:\"2@22=2|end"},
        {"{}", 1, "3:end"},
        {"{\"k\" 1}", 1, "3:expected ':', found '1'"},
        {"{5:1}", 1, "3:expected a member's name, found '5'"},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *found = values_of(table[i].text, strlen(table[i].text), table[i].members);

        CHECK_MSG(strcmp(found, table[i].values) == 0, "%s: expected %s, found %s", table[i].text, table[i].values,
                  found);
    }
}

/* Values longer than the buffer, and a string that ends in backslashes at every place of the buffer's edge. */
static void long_values(void)
{
    size_t size = 700000;
    char *text = malloc(size + 64);
    struct json_stream stream;
    const char *value;
    size_t n, total = 0;

    text[0] = '[';
    for (size_t cut = 0; cut < 8; cut++) {
        size_t at = 1, inner = 262144 - 4 + cut; /* the buffer's unit is 256 KB */

        text[at++] = '"';
        memset(text + at, 'x', inner);
        memcpy(text + at + inner - 9, "\\\\\\\"\\\\\\\"]", 9);
        at += inner;
        memcpy(text + at, "\", 7]", 5);
        write_file(text, at + 5);
        CHECK(json_stream_open(&stream, path, 0, &diag) == STATUS_OK);
        CHECK(json_stream_next(&stream, &value, &n, &diag) == STATUS_OK && value && n == inner + 2);
        CHECK(json_stream_next(&stream, &value, &n, &diag) == STATUS_OK && value && n == 1 && *value == '7');
        CHECK(json_stream_next(&stream, &value, &n, &diag) == STATUS_OK && !value && stream.index == 2);
        json_stream_close(&stream);
    }
    for (size_t i = 0; i < size; i += 7)
        memcpy(text + i, "{\"a\":1\n", 7);
    write_file(text, size);
    json_stream_open(&stream, path, 0, &diag);
    while (json_stream_next(&stream, &value, &n, &diag) == STATUS_OK && value)
        total += n;
    CHECK(stream.index == size / 7 && total == size / 7 * 6);
    json_stream_close(&stream);
    free(text);
}

/* ---- records ---- */

static const char lines[] = "{\"id\":\"a\",\"n\":1}\n"
                            "{\"_id\":7,\"n\":2}\n"
                            "\n"
                            "{\"id\":null,\"ID\":\"c\",\"n\":3}\n"
                            "{\"n\":4}\n"
                            "{\"id\":\"\",\"unique_id\":\"e\",\"n\":5}\n";

static void ids(void)
{
    static const char *const expected[] = {"\"a\"", "7", "\"c\"", NULL, "\"e\""};
    struct record_reader reader;
    const struct record *record;
    struct buffer id = {0};
    size_t i = 0;

    write_file(lines, strlen(lines));
    CHECK(record_open(&reader, path, NULL, &diag) == STATUS_OK);
    for (; record_next(&reader, &record, &diag) == STATUS_OK && record; i++) {
        buffer_clear(&id);
        record_put_id(&id, record);
        if (expected[i])
            CHECK_MSG(strcmp(id.data, expected[i]) == 0, "%s", id.data);
        else
            CHECK_MSG(strncmp(id.data, "\"arklet_record_", 15) == 0 && strcmp(id.data + id.length - 3, ":3\"") == 0,
                      "%s", id.data);
        CHECK(json_number(record->json, "n", 0) == (double)i + 1);
        CHECK(record->index == i && record->line == i + 1 + (i > 1));
    }
    CHECK(i == 5 && reader.n_records == 5);
    record_close(&reader);
    buffer_free(&id);
}

/* Whatever the number of shards, their records are the file's. */
static void shards(void)
{
    static const char array[] =
        "[{\"id\":\"a\"} , {\"id\":\"b\"}, {\"id\":\"c\", \"t\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"},{}]";

    for (int form = 0; form < 2; form++) {
        const char *text = form ? array : lines;

        write_file(text, strlen(text));
        for (uint32_t n = 1; n <= 12; n++) {
            uint64_t total = 0;

            for (uint32_t shard = 1; shard <= n; shard++) {
                struct record_options options = {0, 0, shard, n};
                struct record_reader reader;
                const struct record *record;
                uint64_t before = total;

                CHECK(record_open(&reader, path, &options, &diag) == STATUS_OK);
                for (; record_next(&reader, &record, &diag) == STATUS_OK && record; total++)
                    CHECK_MSG(record->index == total, "shard %u of %u", shard, n);
                CHECK_MSG(record_count(&reader) == total - before, "shard %u of %u", shard, n);
                record_close(&reader);
            }
            CHECK_MSG(total == (form ? 4 : 5), "%u shards: %llu records", n, (unsigned long long)total);
        }
    }
}

static const char *first_failure(const char *text, int skip, uint64_t *n_records, uint64_t *n_skipped)
{
    struct record_options options = {skip, 0, 0, 0};
    struct record_reader reader;
    const struct record *record;
    enum status status;

    write_file(text, strlen(text));
    status = record_open(&reader, path, &options, &diag);
    while (!status && (status = record_next(&reader, &record, &diag)) == STATUS_OK && record) {
        const struct json *value;

        status = record_skip(&reader, record_string(record, "s", &value, &diag), &diag);
    }
    *n_records = reader.n_records;
    *n_skipped = reader.n_skipped;
    if (n_skipped && reader.n_skipped)
        diag = reader.first_skip;
    record_close(&reader);
    return status || *n_skipped ? strchr(diag.message, ':') : "";
}

static void bad_records(void)
{
    static const struct {
        const char *text, *message;
        unsigned records, skipped;
    } table[] = {
        {"{\"s\":\"x\"}\n{\"s\":5}\n{\"s\":\"y\"}\n", ":2: \"s\": expected a string, found a number", 3, 1},
        {"{\"s\":\"x\"}\n{\"t\":5}\n", ":2: \"s\": expected a string, found nothing", 2, 1},
        {"{\"s\":\"x\",\"v\":1}\n{\"v\":2,\"s\":\"y\"}\n{\"v\":\"b\",\"s\":\"z\"}\n",
         ":2: \"v\": expected records of version 1, found 2", 2, 1},
        {"{\"s\":\"x\"}\n[1]\n{\"s\":\"y\"}", ":2: expected an object, found an array", 2, 1},
        {"{\"s\":\"x\"}\n{\"s\":\n{\"s\":\"y\"}\n", ":2: column 6: expected", 2, 1},
        {"{\"s\":\"x\"}\n{\"s\":\"to", ":2: column", 1, 1},
        {"[{\"s\":\"x\"},\n{\"s\":nul},{\"s\":\"y\"}]", ":2: column 6: expected", 2, 1},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint64_t records, skipped;
        const char *message = first_failure(table[i].text, 0, &records, &skipped);

        CHECK_MSG(strstr(message, table[i].message) == message, "%s: %s", table[i].text, message);
        message = first_failure(table[i].text, 1, &records, &skipped);
        CHECK_MSG(strstr(message, table[i].message) == message, "%s: %s", table[i].text, message);
        CHECK_MSG(records == table[i].records && skipped == table[i].skipped, "%s: %llu and %llu", table[i].text,
                  (unsigned long long)records, (unsigned long long)skipped);
    }
}

static void bad_bytes(void)
{
    struct record_reader reader;
    const struct record *record;
    const struct json *value;

    write_file("{\"s\":\"a\xFF\xC3 b\"}", 13);
    CHECK(record_open(&reader, path, NULL, &diag) == STATUS_OK);
    CHECK(record_next(&reader, &record, &diag) == STATUS_OK && record);
    CHECK(record_string(record, "s", &value, &diag) == STATUS_OK && strcmp(value->text, "a\uFFFD\uFFFD b") == 0);
    CHECK(reader.bad_utf8 == 2);
    record_close(&reader);
    CHECK(record_open(&reader, "/nonexistent/x.jsonl", NULL, &diag) == STATUS_IO &&
          strstr(diag.message, "/nonexistent/x.jsonl"));
    record_close(&reader);
    CHECK(record_open(&reader, "/tmp", NULL, &diag) == STATUS_IO);
    record_close(&reader);
}

static void members(void)
{
    struct record_options options = {0, 1, 0, 0};
    struct record_reader reader;
    const struct record *record;

    write_file("{\"How \\\"many\\\"?\": [1], \"b\": {}}", 31);
    CHECK(record_open(&reader, path, &options, &diag) == STATUS_OK);
    CHECK(record_next(&reader, &record, &diag) == STATUS_OK && record && strcmp(record->key, "How \"many\"?") == 0);
    CHECK(record->json->type == JSON_ARRAY && record_next(&reader, &record, &diag) == STATUS_OK && record);
    CHECK(record_next(&reader, &record, &diag) == STATUS_OK && !record);
    record_close(&reader);
}

static void short_memory(void)
{
    size_t live = memory_live();
    enum status status = STATUS_MEMORY;

    write_file(lines, strlen(lines));
    for (size_t n = 1; status && n < 100; n++) {
        struct record_reader reader;
        const struct record *record;

        memory_fail_at(n);
        status = record_open(&reader, path, NULL, &diag);
        while (!status && (status = record_next(&reader, &record, &diag)) == STATUS_OK && record)
            continue;
        memory_fail_at(0);
        CHECK(status == STATUS_OK || status == STATUS_MEMORY);
        record_close(&reader);
    }
    CHECK(status == STATUS_OK && memory_live() == live);
}

int main(void)
{
    int fd = mkstemp(path);

    if (fd < 0)
        return 1;
    close(fd);
    RUN(forms);
    RUN(long_values);
    RUN(ids);
    RUN(shards);
    RUN(bad_records);
    RUN(bad_bytes);
    RUN(members);
    RUN(short_memory);
    unlink(path);
    return TEST_RESULT();
}
