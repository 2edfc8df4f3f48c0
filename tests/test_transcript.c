/* test_transcript.c - debate records: written, read back, voted on, refused. */
#include <unistd.h>

#include "test.h"
#include "transcript.h"

static struct diag diag;
static char path[64] = "/tmp/arklet_transcript_XXXXXX";
static struct record_reader reader;
static struct transcript transcript;

/* Reads the text as a file of one debate. */
static enum status read_text(const char *text)
{
    FILE *file = fopen(path, "wb");
    const struct record *record = NULL;
    enum status status;

    CHECK(file && fputs(text, file) >= 0);
    if (file)
        fclose(file);
    status = record_open(&reader, path, NULL, &diag);
    if (!status)
        status = record_next(&reader, &record, &diag);
    CHECK(status || record);
    return status ? status : transcript_read(&transcript, record, &reader.arena, &diag);
}

static const char full[] =
    "{\"v\":1,\"id\":7,\"question\":\"Q \\u00e9\",\"context\":\"C\",\"gold\":[\"12\",\"13\"],\"kind\":\"number\","
    "\"model\":\"m\",\"agents\":2,\"rounds\":2,\"temperature\":0.5,\"seed\":18446744073709551615,\"turns\":["
    "{\"round\":0,\"agent\":0,\"text\":\"a\\n#### 11\",\"answer\":\"11\",\"correct\":false,\"finish\":\"stop\","
    "\"tokens\":5,\"logprob\":-0.25},"
    "{\"round\":0,\"agent\":1,\"text\":\"b\",\"answer\":null,\"correct\":false,\"finish\":\"length\",\"tokens\":9,"
    "\"logprob\":-1.5},"
    "{\"round\":1,\"agent\":0,\"text\":\"c\\n#### 12\",\"answer\":\"12\",\"correct\":true,\"finish\":null,"
    "\"tokens\":null,\"logprob\":null}],"
    "\"vote\":{\"answer\":\"12\",\"count\":1,\"correct\":true}}";

/* A record that names everything survives reading and writing byte for byte. */
static void round_trip(void)
{
    struct buffer out = {0};

    CHECK(read_text(full) == STATUS_OK);
    transcript_put(&out, &transcript);
    CHECK(!out.failed);
    CHECK(strncmp(out.data, "{\"v\":1,\"id\":7,", 14) == 0);
    CHECK(strstr(out.data, "\"question\":\"Q \xC3\xA9\""));
    CHECK(strcmp(strstr(out.data, ",\"context\""), strstr(full, ",\"context\"")) == 0);
    CHECK(transcript.n_turns == 3 && transcript.n_agents == 2 && transcript.n_rounds == 2);
    CHECK(transcript.turns[1].finish == TURN_TRUNCATED && transcript.turns[2].finish == TURN_UNKNOWN);
    CHECK(transcript.turns[0].tokens == 5 && transcript.turns[2].tokens == TRANSCRIPT_UNKNOWN);
    CHECK(transcript.seed == UINT64_MAX && transcript.has_seed);
    buffer_free(&out);
    record_close(&reader);
}

/* What is missing is worked out: answers from texts, correctness from the gold, the vote from the last turns. */
static void worked_out(void)
{
    CHECK(read_text("{\"question\":\"Q\",\"gold\":12,\"turns\":["
                    "{\"round\":0,\"agent\":0,\"text\":\"#### 12\"},{\"round\":0,\"agent\":1,\"text\":\"#### 11\"},"
                    "{\"round\":0,\"agent\":2,\"text\":\"#### 11\"},{\"round\":1,\"agent\":2,\"text\":\"#### "
                    "12.0\"}]}") == STATUS_OK);
    CHECK(transcript.question.has_gold && transcript.question.key.kind == ANSWER_NUMBER);
    CHECK(transcript.turns[0].correct == 1 && transcript.turns[1].correct == 0 && transcript.turns[3].correct == 1);
    CHECK(strcmp(transcript.vote, "12") == 0 && transcript.votes == 2 && transcript.vote_correct == 1);
    record_close(&reader);
    CHECK(read_text("{\"question\":\"Q\",\"turns\":[{\"round\":0,\"agent\":0,\"text\":\"#### 12\"}]}") == STATUS_OK);
    CHECK(transcript.turns[0].correct == TRANSCRIPT_UNKNOWN && transcript.vote_correct == TRANSCRIPT_UNKNOWN);
    record_close(&reader);
}

/* Two against two: the higher mean log-probability wins; without one, the lower agent. */
static void ties(void)
{
    static const char *const ends[] = {"-2", "-1"};
    size_t i, count;

    for (i = 0; i < 2; i++) {
        char text[600];

        snprintf(text, sizeof text,
                 "{\"question\":\"Q\",\"turns\":[{\"round\":0,\"agent\":0,\"text\":\"#### 1\",\"logprob\":-1},"
                 "{\"round\":0,\"agent\":1,\"text\":\"#### 2\",\"logprob\":%s},"
                 "{\"round\":0,\"agent\":2,\"text\":\"#### 2\",\"logprob\":-0.5},"
                 "{\"round\":0,\"agent\":3,\"text\":\"#### 1\",\"logprob\":-1}]}",
                 ends[i]);
        CHECK(read_text(text) == STATUS_OK);
        CHECK_MSG(strcmp(transcript.vote, i ? "2" : "1") == 0, "case %zu: %s", i, transcript.vote);
        CHECK(transcript.votes == 2);
        CHECK(transcript_vote(&transcript, 0, &count)->agent == i);
        record_close(&reader);
    }
}

static void refused(void)
{
    static const struct {
        const char *record, *words;
    } table[] = {
        {"{\"turns\":[]}", ":1: \"question\": expected a string, found nothing"},
        {"{\"question\":\"Q\"}", "\"turns\": expected an array, found nothing"},
        {"{\"question\":\"Q\",\"turns\":[3]}", "turn 1: expected an object, found a number"},
        {"{\"question\":\"Q\",\"turns\":[{\"round\":0,\"agent\":0}]}", "turn 1: \"text\": expected a string"},
        {"{\"question\":\"Q\",\"turns\":[{\"agent\":0,\"text\":\"\"}]}", "turn 1: \"round\": expected a number"},
        {"{\"question\":\"Q\",\"turns\":[{\"round\":0.5,\"agent\":0,\"text\":\"\"}]}", "expected 0..4095, found 0.5"},
        {"{\"question\":\"Q\",\"turns\":[{\"round\":0,\"agent\":1e9,\"text\":\"\"}]}", "expected 0..255, found 1e9"},
        {"{\"question\":\"Q\",\"turns\":[{\"round\":0,\"agent\":0,\"text\":\"\",\"answer\":3}]}",
         "\"answer\": expected a string, found a number"},
        {"{\"question\":\"Q\",\"turns\":[{\"round\":0,\"agent\":0,\"text\":\"\",\"correct\":\"yes\"}]}",
         "\"correct\": expected true, false or null, found a string"},
        {"{\"question\":\"Q\",\"kind\":\"poem\",\"turns\":[]}", "\"kind\": expected one of number|math"},
        {"{\"question\":\"Q\",\"gold\":{},\"turns\":[]}", "\"gold\": expected a text, a number"},
        {"{\"question\":\"Q\",\"turns\":[],\"vote\":{\"count\":-1}}", "\"vote\": expected a \"count\""},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        enum status status = read_text(table[i].record);

        CHECK_MSG(status == STATUS_FORMAT && strstr(diag.message, table[i].words), "case %zu: %s", i, diag.message);
        record_close(&reader);
    }
}

/* Every prefix of a record, and every byte of it changed, gives a transcript or an error. */
static void hostile(void)
{
    char text[sizeof full];

    for (size_t i = 1; i < sizeof full; i += test_quick() ? 7 : 1) {
        memcpy(text, full, sizeof full);
        text[i] = 0;
        if (read_text(text) != STATUS_OK)
            CHECK(diag.message[0]);
        record_close(&reader);
        memcpy(text, full, sizeof full);
        text[i - 1] = (char)(text[i - 1] ^ 1);
        if (text[i - 1] == 0)
            continue;
        if (read_text(text) != STATUS_OK)
            CHECK(diag.message[0]);
        record_close(&reader);
    }
}

int main(void)
{
    int fd = mkstemp(path);

    if (fd >= 0)
        close(fd);
    RUN(round_trip);
    RUN(worked_out);
    RUN(ties);
    RUN(refused);
    RUN(hostile);
    unlink(path);
    return TEST_RESULT();
}
