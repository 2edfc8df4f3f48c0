/* test_example.c - records whose answer comes in weighted parts: which tokens carry loss. */
#include "example.h"
#include "test.h"

static struct diag diag;
static struct arena arena;
static struct tokenizer *tokenizer;
static struct chat_template chat;

static enum status read_record(struct example *e, const char *text, const struct chat_template *with)
{
    struct example_format format = {.tokenizer = tokenizer, .chat = with, .max_len = 1000};
    const struct json *record;

    CHECK(json_parse(&record, text, strlen(text), &arena, "test", 1, NULL, &diag) == STATUS_OK);
    return example_read(e, record, &format, "test:1", &diag);
}

/* The text of the tokens with this weight. */
static int text_is(const struct example *e, float weight, const char *expected)
{
    struct buffer out = {0};
    int same;

    for (size_t i = 0; i < e->tokens.count; i++)
        if (e->weights[i] == weight)
            tokenizer_decode(tokenizer, &e->tokens.ids[i], 1, DECODE_CONTINUE | DECODE_SPECIAL, &out);
    same = out.data && strcmp(out.data, expected) == 0;
    if (!same)
        CHECK_MSG(0, "weight %g: '%s'", (double)weight, out.data ? out.data : "");
    buffer_free(&out);
    return same;
}

#define PROMPT "\"prompt\":[{\"role\":\"user\",\"content\":\"How many?\"}]"

/* The answer's parts take their weights, what ends the turn that of the last part; the text is that of the whole
 * dialogue. */
static void parts_of_an_answer(void)
{
    struct example parts = {0}, whole = {0};
    struct buffer a = {0}, b = {0};

    CHECK(read_record(&parts,
                      "{" PROMPT ",\"segments\":[{\"text\":\"Wrong 13.\\n\\n\",\"weight\":0},{\"text\":\"So 12.\","
                      "\"weight\":0.5}]}",
                      &chat) == STATUS_OK);
    CHECK(read_record(&whole,
                      "{" PROMPT ",\"completion\":[{\"role\":\"assistant\",\"content\":\"Wrong 13.\\n\\nSo 12.\"}]}",
                      &chat) == STATUS_OK);
    tokenizer_decode(tokenizer, parts.tokens.ids, parts.tokens.count, DECODE_SPECIAL, &a);
    tokenizer_decode(tokenizer, whole.tokens.ids, whole.tokens.count, DECODE_SPECIAL, &b);
    CHECK(a.data && b.data && strcmp(a.data, b.data) == 0);
    CHECK(text_is(&parts, 0.5f, "So 12.<|im_end|>\n"));
    CHECK(text_is(&parts, 0, "<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\nWrong 13.\n\n"));
    CHECK(parts.n_trained > 0 && parts.weight == 0.5 * (double)parts.n_trained);
    buffer_free(&a);
    buffer_free(&b);
    example_free(&parts);
    example_free(&whole);
}

/* Without a dialogue the parts are the whole text, whatever else the record says. */
static void parts_of_a_text(void)
{
    struct example e = {0};

    CHECK(read_record(&e,
                      "{\"prompt\":\"P\",\"completion\":\"C\",\"segments\":[{\"text\":\"How \",\"weight\":0},{\"text\":"
                      "\"many\",\"weight\":2}]}",
                      NULL) == STATUS_OK);
    CHECK(e.n_trained > 0 && e.weights[0] == 0 && e.weights[e.tokens.count - 1] == 2);
    example_free(&e);
}

static void refused(void)
{
    struct example e = {0};

    CHECK(read_record(&e, "{" PROMPT ",\"segments\":[{\"text\":\"x\"}]}", NULL) == STATUS_UNSUPPORTED);
    CHECK(strstr(diag.message, "chat template"));
    CHECK(read_record(&e, "{\"prompt\":[3],\"segments\":[{\"text\":\"x\"}]}", &chat) == STATUS_FORMAT);
    CHECK(read_record(&e, "{" PROMPT ",\"segments\":[{\"text\":3}]}", &chat) == STATUS_FORMAT);
    example_free(&e);
}

int main(void)
{
    arena_init(&arena, "test", 0);
    if (tokenizer_load(&tokenizer, "fixtures/models/qwen3", &diag) || chat_named(&chat, "chatml", &diag)) {
        printf("FAIL set up: %s\n", diag.message);
        return 1;
    }
    RUN(parts_of_a_text);
    RUN(parts_of_an_answer);
    RUN(refused);
    arena_free(&arena);
    tokenizer_free(tokenizer);
    return TEST_RESULT();
}
