/* test_import.c - debates of other formats: questions, rounds, agents, labels, errors. */
#include <unistd.h>

#include "file_rewrite.h"
#include "import.h"
#include "test.h"

static struct diag diag;
static char path[64] = "/tmp/arklet_import_XXXXXX";
static struct import_reader reader;
static const struct transcript *debate;

static void write_file(const char *text)
{
    FILE *file = fopen(path, "wb");

    CHECK(file && fputs(text, file) >= 0);
    if (file)
        fclose(file);
}

static enum status next(void)
{
    return import_next(&reader, &debate, &diag);
}

static enum status first(enum import_format format, const char *text)
{
    struct question_options options = {{0, 0, 0, 0}, NULL, 0};
    enum status status;

    write_file(text);
    status = import_open(&reader, path, format, &options, &diag);
    debate = NULL;
    return status ? status : next();
}

/* "round.agent:answer" of all turns, in order. */
static const char *turns(void)
{
    static char text[512];
    size_t length = 0;

    text[0] = 0;
    for (size_t i = 0; debate && i < debate->n_turns; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%zu.%zu:%s%s ", debate->turns[i].round,
                                   debate->turns[i].agent, debate->turns[i].answer ? debate->turns[i].answer : "-",
                                   debate->turns[i].correct == 1   ? "+"
                                   : debate->turns[i].correct == 0 ? ""
                                                                   : "?");
    return text;
}

#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"},"
#define SAYS(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"

static void du(void)
{
    CHECK(first(IMPORT_DU, "{\"How \\u00e9?\": [[["
                           "{\"role\":\"system\",\"content\":\"x\"}," USER("a") SAYS("#### 4") "," USER("b")
                               SAYS("#### 5") "],"
                                              "[" USER("a") SAYS("so 6") "," SAYS("no, 5") "," USER("b")
                                                  SAYS("") "]], \"2+3\\n#### 5\"],\n"
                                                           "\"Which? (A) x (B) y\": [[[" USER("a")
                                                               SAYS("(B)") "]], \"B\"],"
                                                                           "\"Open?\": [[[" USER("a")
                                                                               SAYS("7") "]], null]}") == STATUS_OK);
    CHECK(debate && strcmp(debate->question.text, "How \xC3\xA9?") == 0);
    CHECK_MSG(strcmp(turns(), "0.0:4 0.1:6 0.1:5+ 1.0:5+ 1.1:- ") == 0, "%s", turns());
    CHECK(debate->n_agents == 2 && debate->n_rounds == 2 && debate->question.key.kind == ANSWER_NUMBER);
    CHECK(debate->vote && strcmp(debate->vote, "5") == 0 && debate->votes == 1 && debate->vote_correct == 1);
    CHECK(strstr(debate->question.id, ":0"));
    CHECK(next() == STATUS_OK && debate && debate->question.key.kind == ANSWER_CHOICE);
    CHECK_MSG(strcmp(turns(), "0.0:B+ ") == 0, "%s", turns());
    CHECK(next() == STATUS_OK && debate && !debate->question.has_gold);
    CHECK_MSG(strcmp(turns(), "0.0:7? ") == 0, "%s", turns());
    CHECK(debate->vote_correct == TRANSCRIPT_UNKNOWN);
    CHECK(next() == STATUS_OK && !debate);
    import_close(&reader);
}

static void agentark(void)
{
    CHECK(
        first(
            IMPORT_AGENTARK,
            "{\"id\":\"x\",\"query\":\"How many?\",\"gt\":\"12\",\"response\":\"#### 12\"}\n"
            "{\"query\":\"How many?\",\"gt\":12,\"response\":\"the aggregate\",\"solutions\":[{\"id\":1,\"text\":\"####"
            " 12\",\"is_correct\":true},\"#### 13\"],\"labels\":[true,1]}\n"
            "{\"query\":\"How many?\",\"response\":[\"#### 1\",\"#### 2\",\"#### 2\"],\"labels\":[false,true]}\n"
            "{\"query\":\"Why?\",\"gt\":\"Because of the rain\",\"solutions\":[{\"text\":\"It rained\","
            "\"is_correct\":true}]}\n") == STATUS_OK);
    CHECK(debate && strcmp(debate->question.id, "x") == 0);
    CHECK_MSG(strcmp(turns(), "0.0:12+ ") == 0, "%s", turns());
    CHECK(next() == STATUS_OK && debate);
    CHECK_MSG(strcmp(turns(), "0.0:12+ 0.1:13 ") == 0, "%s", turns()); /* the gold counts, not the label */
    CHECK(reader.labels == 2 && reader.label_agrees == 1);
    CHECK(next() == STATUS_OK && debate);
    CHECK_MSG(strcmp(turns(), "0.0:1 0.1:2+ 0.2:2? ") == 0, "%s", turns()); /* no gold: the labels count */
    CHECK(debate->vote && strcmp(debate->vote, "2") == 0);
    CHECK(next() == STATUS_OK && debate && debate->question.key.kind == ANSWER_SPAN);
    CHECK(debate->turns[0].correct == 1); /* not an exact match, but labelled right */
    import_close(&reader);
}

static void messages(void)
{
    CHECK(first(IMPORT_MESSAGES,
                "{\"id\":7,\"messages\":[" USER("What is 3+4?") SAYS("8") "," USER("sure?")
                    SAYS("7") "],\"answer\":7}\n"
                              "{\"question\":\"Q\",\"messages\":[[" USER("u") SAYS("8") "],[" USER("v") SAYS(
                                  "9") "]]}\n"
                                       "{\"messages\":[" USER(
                                           "What is 3+4?") "{\"role\":\"assistant\",\"name\":\"A\",\"content\":\"8\"},"
                                                           "{\"role\":\"assistant\",\"name\":\"B\",\"content\":[{"
                                                           "\"type\":\"text\",\"text\":\"so \"},"
                                                           "{\"text\":\"7\"}]},{\"role\":\"assistant\",\"name\":\"A\","
                                                           "\"content\":\"7\"}],\"gold\":\"7\"}\n") == STATUS_OK);
    CHECK(debate && strcmp(debate->question.text, "What is 3+4?") == 0 && debate->question.id_is_number);
    CHECK_MSG(strcmp(turns(), "0.0:8 1.0:7+ ") == 0, "%s", turns());
    CHECK(next() == STATUS_OK && debate && strcmp(debate->question.text, "Q") == 0);
    CHECK_MSG(strcmp(turns(), "0.0:8? 0.1:9? ") == 0, "%s", turns());
    CHECK(next() == STATUS_OK && debate);
    CHECK_MSG(strcmp(turns(), "0.0:8 0.1:7+ 1.0:7+ ") == 0, "%s", turns());
    import_close(&reader);
}

static void refused(void)
{
    static const struct {
        enum import_format format;
        const char *text, *words;
    } table[] = {
        {IMPORT_DU, "[1]", ":1: expected an object, found a number"},
        {IMPORT_DU, "{\"q\":3}", "debate 1: expected a question with [["},
        {IMPORT_DU, "{\"q\":[3,\"4\"]}", "expected a list of agents, found a number"},
        {IMPORT_DU, "{\"q\":[[3],\"4\"]}", "expected an agent's list of messages, found a number"},
        {IMPORT_DU, "{\"q\":[[[3]],\"4\"]}", "\"role\": expected a string, found a number"},
        {IMPORT_DU, "{\"q\":[[[{\"role\":\"assistant\"}]],\"4\"]}", "\"content\": expected a string, found nothing"},
        {IMPORT_DU, "{\"q\":[[[{\"role\":\"user\"}]],\"4\"]}", "at least one turn, found none"},
        {IMPORT_DU, "{\"q\":[[],{\"a\":1}]}", "debate 1: "},
        {IMPORT_DU, "{\"q\":[[[" SAYS("5") "]],\"4\"]", "found the end of the file"},
        {IMPORT_AGENTARK, "{\"query\":\"q\"}", "expected \"response\" or \"solutions\", found neither"},
        {IMPORT_AGENTARK, "{\"query\":\"q\",\"response\":[3]}",
         "\"response\": solution 1: expected a text, found a number"},
        {IMPORT_AGENTARK, "{\"response\":\"a\"}", "expected a field \"question\""},
        {IMPORT_MESSAGES, "{\"messages\":3}", "\"messages\": expected an array, found a number"},
        {IMPORT_MESSAGES, "{\"messages\":[" SAYS("5") "]}", "expected one of role user, found none"},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        enum status status = first(table[i].format, table[i].text);

        if (!status)
            status = next();
        CHECK_MSG(status == STATUS_FORMAT && strstr(diag.message, table[i].words), "case %zu: %s", i, diag.message);
        import_close(&reader);
    }
}

/* More agents than a transcript holds. */
static void too_many(void)
{
    struct buffer text = {0};

    buffer_text(&text, "{\"q\":[[");
    for (int i = 0; i <= TRANSCRIPT_MAX_AGENTS; i++)
        buffer_text(&text, i ? ",[" SAYS("5") "]" : "[" SAYS("5") "]");
    buffer_text(&text, "],\"4\"]}");
    CHECK(first(IMPORT_DU, text.data) == STATUS_RANGE && strstr(diag.message, "at most 256 agents"));
    import_close(&reader);
    buffer_free(&text);
}

/* The n-th allocation fails: a clear failure, and everything is freed. */
static void out_of_memory(void)
{
    static const struct {
        enum import_format format;
        const char *text;
    } table[] = {
        {IMPORT_DU, "{\"q\":[[[" USER("a") SAYS("3 + 4 = 7") "," USER("b") SAYS("#### 7") "]],\"#### 7\"]}"},
        {IMPORT_AGENTARK, "{\"query\":\"q\",\"gt\":\"7\",\"solutions\":[\"#### 7\"],\"labels\":[true]}"},
        {IMPORT_MESSAGES, "{\"messages\":[" USER("q") SAYS("7") "],\"answer\":\"7\"}"},
    };
    struct question_options options = {{0, 0, 0, 0}, NULL, 0};

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        enum status status = STATUS_MEMORY;
        size_t n = 0;

        write_file(table[i].text);
        while (status && n < 10000) {
            size_t live = memory_live();

            memory_fail_at(++n);
            status = import_open(&reader, path, table[i].format, &options, &diag);
            if (!status)
                status = next();
            memory_fail_at(0);
            import_close(&reader);
            CHECK_MSG(memory_live() == live, "case %zu, allocation %zu: not all was freed", i, n);
            CHECK_MSG(!status || status == STATUS_MEMORY, "case %zu, allocation %zu: %s", i, n, diag.message);
        }
        CHECK_MSG(n > 5 && n < 10000, "case %zu: %zu allocations", i, n);
    }
}

/* ---- outputs that are made again (file_rewrite.h) ---- */

static enum status rewrite(const char *const *records, size_t n, int complete, uint64_t *kept)
{
    struct file_rewrite out;
    enum status status = file_rewrite_open(&out, path, &diag), closed;

    for (size_t i = 0; i < n && !status; i++)
        status = file_rewrite_record(&out, records[i], strlen(records[i]), &diag);
    *kept = out.n_kept;
    closed = file_rewrite_close(&out, complete && !status, status ? NULL : &diag);
    return status ? status : closed;
}

static int holds(const char *text)
{
    struct buffer content = {0};
    int same = file_read(&content, path, 0, &diag) == STATUS_OK && content.length == strlen(text) &&
               (content.length == 0 || memcmp(content.data, text, content.length) == 0);

    buffer_free(&content);
    return same;
}

static void rewriting(void)
{
    static const char *const records[] = {"{\"a\":1}", "{\"a\":2}", "{\"a\":3}"};
    static const struct {
        const char *before;
        size_t n;
        int complete;
        uint64_t kept;
        const char *after;
    } table[] = {
        {"", 3, 1, 0, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n"},
        {"{\"a\":1}\n{\"a\"", 3, 1, 1, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n"},
        {"{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n", 3, 1, 3, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n"},
        {"{\"a\":1}\n{\"b\":2}\n{\"a\":3}\n", 3, 1, 1, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n"},
        {"{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n", 1, 1, 1, "{\"a\":1}\n"},
        {"{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n", 0, 1, 0, ""},
        {"{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n", 1, 0, 1, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n"}, /* stopped early */
    };
    uint64_t kept;

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        write_file(table[i].before);
        CHECK(rewrite(records, table[i].n, table[i].complete, &kept) == STATUS_OK);
        CHECK_MSG(kept == table[i].kept && holds(table[i].after), "case %zu: kept %d", i, (int)kept);
    }
}

/* A full disk at any write leaves whole records that the next run keeps. */
static void full_disk(void)
{
    static const char *const records[] = {"{\"a\":1}", "{\"a\":2}", "{\"a\":3}"};
    uint64_t kept;

    for (size_t n = 1; n <= 3; n++) {
        enum status status;

        write_file("");
        file_fail_at(n);
        status = rewrite(records, 3, 1, &kept);
        file_fail_at(0);
        CHECK(status == STATUS_IO);
        CHECK(rewrite(records, 3, 1, &kept) == STATUS_OK);
        CHECK_MSG(kept == n - 1 && holds("{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n"), "write %zu: kept %d", n, (int)kept);
    }
}

int main(void)
{
    int fd = mkstemp(path);

    if (fd >= 0)
        close(fd);
    RUN(du);
    RUN(agentark);
    RUN(messages);
    RUN(refused);
    RUN(too_many);
    RUN(out_of_memory);
    RUN(rewriting);
    RUN(full_disk);
    unlink(path);
    return TEST_RESULT();
}
