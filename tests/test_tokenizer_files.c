/* test_tokenizer_files.c - vocabularies from GGUF keys and from Hugging Face folders: the fixtures in both forms,
 * small files made here, damaged ones. */
#include "test.h"
#include <dirent.h>
#include <unistd.h>
#include "file.h"
#include "gguf.h"
#include "tokenizer.h"

static char folder[64];

static void path_in(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s/%s", folder, name);
}

static void write_file(const char *name, const char *text)
{
    char path[200];
    FILE *file;

    path_in(path, sizeof path, name);
    file = fopen(path, "wb");
    CHECK(file != NULL);
    if (file) {
        fwrite(text, 1, strlen(text), file);
        fclose(file);
    }
}

static void remove_file(const char *name)
{
    char path[200];

    path_in(path, sizeof path, name);
    remove(path);
}

static void encode(const struct tokenizer *t, const char *text, unsigned flags, char *out, size_t size)
{
    struct tokens ids = {0};
    size_t n = 0;

    *out = '\0';
    CHECK(tokenizer_encode(t, text, strlen(text), flags, &ids, NULL) == STATUS_OK);
    for (size_t i = 0; i < ids.count && n + 12 < size; i++)
        n += (size_t)snprintf(out + n, size - n, i ? " %d" : "%d", (int)ids.ids[i]);
    tokens_free(&ids);
}

static void check_ids(const struct tokenizer *t, const char *text, unsigned flags, const char *expected)
{
    char found[2000];

    encode(t, text, flags, found, sizeof found);
    CHECK_MSG(strcmp(found, expected) == 0, "'%.40s': expected %s, found %.300s", text, expected, found);
}

/* The same model as a folder and as a GGUF gives the same ids. */
static void test_fixtures(void)
{
    static const char *const names[] = {"llama", "llama3", "qwen2", "qwen3", "gemma3"};
    static const char *const texts[] = {"Hello  world", " the cat's 123 caf\xC3\xA9\n\n!", "", "\xF0\x9F\x98\x80 x",
                                        "<s><|endoftext|><bos>a"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct tokenizer *hf = NULL, *gguf = NULL;
        struct diag diag = {0};
        char path[200], a[2000], b[2000];
        snprintf(path, sizeof path, "fixtures/models/%s", names[i]);
        CHECK_MSG(tokenizer_load(&hf, path, &diag) == STATUS_OK, "%s", diag.message);
        snprintf(path, sizeof path, "fixtures/models/%s/model.gguf", names[i]);
        CHECK_MSG(tokenizer_load(&gguf, path, &diag) == STATUS_OK, "%s", diag.message);
        if (test_failed_here)
            return;
        CHECK(tokenizer_bos(hf) == tokenizer_bos(gguf) && tokenizer_eos(hf) == tokenizer_eos(gguf));
        CHECK_MSG(tokenizer_adds_bos(hf) == tokenizer_adds_bos(gguf), "%s", names[i]);
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
            for (unsigned flags = 0; flags < 4; flags++) {
                encode(hf, texts[k], flags, a, sizeof a);
                encode(gguf, texts[k], flags, b, sizeof b);
                CHECK_MSG(strcmp(a, b) == 0, "%s: '%.40s': folder %.200s, GGUF %.200s", names[i], texts[k], a, b);
            }
        }
        tokenizer_free(hf);
        tokenizer_free(gguf);
    }
}

/* ---- tokenizer.json ---- */

#define BYTES_PRE "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true}"
#define VOCAB     "\"vocab\":{\"a\":0,\"b\":1,\"\\u0120\":2,\"ab\":3,\"\\u0120ab\":4}"
#define MODEL     "\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[\"a b\",[\"\\u0120\",\"ab\"]]}"
#define ADDED                                                                                                          \
    "\"added_tokens\":[{\"id\":5,\"content\":\"<s>\",\"special\":true,\"rstrip\":true},{\"id\":6,\"content\":\"tag\"}" \
    "]"

static struct tokenizer *load(const char *json, const char *config, enum status expected, const char *word)
{
    struct tokenizer *t = NULL;
    struct diag diag = {0};
    enum status status;

    write_file("tokenizer.json", json);
    if (config)
        write_file("tokenizer_config.json", config);
    status = tokenizer_from_hf(&t, folder, &diag);
    CHECK_MSG(status == expected, "%s: status %d, %s", json, (int)status, diag.message);
    if (expected)
        CHECK_MSG(t == NULL && strstr(diag.message, word) && strstr(diag.message, "tokenizer"), "%s", diag.message);
    remove_file("tokenizer.json");
    remove_file("tokenizer_config.json");
    return t;
}

static void test_hf_bytes(void)
{
    struct tokenizer *t = load("{" BYTES_PRE "," MODEL "," ADDED "}",
                               "{\"bos_token\":{\"content\":\"<s>\"},\"eos_token\":\"tag\",\"add_bos_token\":true,"
                               "\"chat_template\":[{\"name\":\"x\",\"template\":\"no\"},"
                               "{\"name\":\"default\",\"template\":\"yes\"}]}",
                               STATUS_OK, NULL);

    if (!t)
        return;
    check_ids(t, "ab ab", 0, "3 4");
    check_ids(t, "b", ENCODE_BOS, "5 1");
    check_ids(t, "a<s>  btag", ENCODE_SPECIAL, "0 5 1 6");
    CHECK(tokenizer_vocab_size(t) == 7 && tokenizer_bos(t) == 5 && tokenizer_eos(t) == 6);
    CHECK(strcmp(tokenizer_chat_template(t), "yes") == 0);
    tokenizer_free(t);
}

/* BOS: the configuration's word, else the post-processor's, else the family's habit. */
static void test_hf_bos(void)
{
    static const char processor[] =
        "{" BYTES_PRE "," MODEL "," ADDED ",\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":"
        "\"ByteLevel\"},{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}}]}]}}";
    struct tokenizer *t = load(processor, NULL, STATUS_OK, NULL);

    CHECK(t && tokenizer_adds_bos(t) && tokenizer_bos(t) == 5);
    tokenizer_free(t);
    t = load(processor, "{\"add_bos_token\":false}", STATUS_OK, NULL);
    CHECK(t && !tokenizer_adds_bos(t));
    tokenizer_free(t);
    t = load("{" BYTES_PRE "," MODEL "," ADDED "}", "{\"bos_token\":\"<s>\"}", STATUS_OK, NULL);
    CHECK(t && !tokenizer_adds_bos(t) && tokenizer_bos(t) == 5);
    tokenizer_free(t);
}

static void test_hf_sentencepiece(void)
{
    struct tokenizer *t = load(
        "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\\u2581\"},"
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}]},\"pre_tokenizer\":null,"
        "\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"unk_token\":\"<unk>\",\"vocab\":{\"<unk>\":0,\"<s>\":1,"
        "\"<0x41>\":2,\"\\u2581\":3,\"a\":4,\"\\u2581a\":5},\"merges\":[\"\\u2581 a\"]},"
        "\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"special\":true},{\"id\":1,\"content\":\"<s>\",\"special\":"
        "true}]}",
        "{\"bos_token\":\"<s>\"}", STATUS_OK, NULL);

    if (!t)
        return;
    check_ids(t, "a aA?", ENCODE_BOS, "1 5 5 2 0");
    check_ids(t, "<s>a", ENCODE_SPECIAL | ENCODE_BOS, "1 1 5");
    tokenizer_free(t);
    t = load("{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"never\",\"split\":false},\"model\":{"
             "\"vocab\":{\"\\u2581\":0,\"a\":1},\"merges\":[]}}",
             NULL, STATUS_OK, NULL);
    if (t)
        check_ids(t, "a a", 0, "1 0 1");
    tokenizer_free(t);
}

static void test_hf_refused(void)
{
    static const struct {
        const char *json;
        enum status status;
        const char *word;
    } cases[] = {
        {"", STATUS_FORMAT, "expected"},
        {"[]", STATUS_UNSUPPORTED, "model type"},
        {"{}", STATUS_UNSUPPORTED, "model type"},
        {"{\"model\":{\"type\":\"Unigram\"}}", STATUS_UNSUPPORTED, "Unigram"},
        {"{" BYTES_PRE ",\"model\":{\"type\":\"BPE\"}}", STATUS_FORMAT, "vocab"},
        {"{" BYTES_PRE ",\"model\":{\"vocab\":{},\"merges\":[]}}", STATUS_FORMAT, "1 to"},
        {"{" BYTES_PRE ",\"model\":{\"vocab\":{\"a\":0}}}", STATUS_FORMAT, "merges"},
        {"{" BYTES_PRE ",\"model\":{\"vocab\":{\"a\":0},\"merges\":[3]}}", STATUS_FORMAT, "merge 0"},
        {"{" BYTES_PRE ",\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}", STATUS_FORMAT, "merge 0"},
        {"{" BYTES_PRE ",\"model\":{\"vocab\":{\"a\":-1},\"merges\":[]}}", STATUS_FORMAT, "id"},
        {"{" BYTES_PRE ",\"model\":{\"vocab\":{\"a\":0.5},\"merges\":[]}}", STATUS_FORMAT, "id"},
        {"{" BYTES_PRE ",\"model\":{\"vocab\":{\"a\":0,\"b\":1e12},\"merges\":[]}}", STATUS_FORMAT, "id"},
        {"{" BYTES_PRE ",\"model\":{\"vocab\":{\"a\":0,\"b\":9999999},\"merges\":[]}}", STATUS_FORMAT, "gaps"},
        {"{" BYTES_PRE ",\"model\":{\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", STATUS_FORMAT, "again"},
        {"{" BYTES_PRE ",\"model\":{\"vocab\":{\"a\":\"0\"},\"merges\":[]}}", STATUS_FORMAT, "id"},
        {"{" BYTES_PRE "," MODEL ",\"added_tokens\":[{\"id\":7}]}", STATUS_FORMAT, "content"},
        {"{" BYTES_PRE "," MODEL ",\"added_tokens\":[{\"content\":\"x\"}]}", STATUS_FORMAT, "id"},
        {"{\"pre_tokenizer\":{\"type\":\"Whitespace\"}," MODEL "}", STATUS_UNSUPPORTED, "Whitespace"},
        {"{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true}," MODEL "}", STATUS_UNSUPPORTED,
         "llama-bpe"},
        {"{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
         "\"x\"},"
         "\"behavior\":\"Isolated\"},{\"type\":\"ByteLevel\",\"use_regex\":false}]}," MODEL "}",
         STATUS_UNSUPPORTED, "x;bytes;"},
        {"{\"normalizer\":{\"type\":\"Lowercase\"}," BYTES_PRE "," MODEL "}", STATUS_UNSUPPORTED, "Lowercase"},
        {"{" BYTES_PRE ",\"model\":{\"end_of_word_suffix\":\"</w>\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         STATUS_UNSUPPORTED, "end_of_word_suffix"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        load(cases[i].json, NULL, cases[i].status, cases[i].word);
}

/* Every prefix of a tokenizer.json is refused without a leak. */
static void test_hf_prefixes(void)
{
    static const char json[] = "{" BYTES_PRE "," MODEL "," ADDED "}";
    size_t live = memory_live();

    for (size_t n = 0; n < sizeof json - 1; n += test_quick() ? 7 : 1) {
        char copy[sizeof json];
        struct tokenizer *t = NULL;
        memcpy(copy, json, n);
        copy[n] = '\0';
        write_file("tokenizer.json", copy);
        CHECK(tokenizer_from_hf(&t, folder, NULL) != STATUS_OK && t == NULL);
    }
    remove_file("tokenizer.json");
    CHECK(memory_live() == live);
}

static void test_hf_missing(void)
{
    struct tokenizer *t = NULL;
    struct diag diag = {0};

    CHECK(tokenizer_from_hf(&t, folder, &diag) == STATUS_OK && t == NULL);
    CHECK(tokenizer_load(&t, folder, &diag) == STATUS_FORMAT && t == NULL);
}

/* ---- GGUF ---- */

static void put_strings(struct gguf_writer *w, const char *name, const char *const *texts, size_t n)
{
    gguf_put_strings(w, name, n);
    for (size_t i = 0; i < n; i++)
        gguf_put_strings_element(w, texts[i], strlen(texts[i]));
}

enum variant {
    GOOD,
    NO_MODEL,
    OTHER_MODEL,
    OTHER_PRE,
    NO_TOKENS,
    NO_MERGES,
    SHORT_TYPES,
    BAD_BOS,
    BAD_ADD_BOS,
    TOKENS_NOT_STRINGS
};

static enum status load_gguf(enum variant variant, struct tokenizer **t, struct diag *diag)
{
    static const char *const pieces[] = {"a", "b", "ab", "<s>"}, *const merges[] = {"a b"};
    static const int32_t types[] = {1, 1, 1, 3};
    struct gguf_writer w = {0};
    char path[200];
    enum status status;

    path_in(path, sizeof path, "v.gguf");
    if (variant != NO_MODEL)
        gguf_put_string(&w, "tokenizer.ggml.model", variant == OTHER_MODEL ? "bert" : "gpt2", 4);
    gguf_put_string(&w, "tokenizer.ggml.pre", variant == OTHER_PRE ? "what?" : "gpt-2", 5);
    if (variant == TOKENS_NOT_STRINGS)
        gguf_put_array(&w, "tokenizer.ggml.tokens", GGUF_I32, types, 4);
    else if (variant != NO_TOKENS)
        put_strings(&w, "tokenizer.ggml.tokens", pieces, 4);
    gguf_put_array(&w, "tokenizer.ggml.token_type", GGUF_I32, types, variant == SHORT_TYPES ? 3 : 4);
    if (variant != NO_MERGES)
        put_strings(&w, "tokenizer.ggml.merges", merges, 1);
    gguf_put_u32(&w, "tokenizer.ggml.bos_token_id", variant == BAD_BOS ? 4 : variant == BAD_ADD_BOS ? 0xFFFFFFFF : 3);
    gguf_put_bool(&w, "tokenizer.ggml.add_bos_token", 1);
    gguf_put_string(&w, "tokenizer.chat_template", "T", 1);
    status = gguf_write_begin(&w, path, diag);
    CHECK(!status && gguf_write_commit(&w, diag) == STATUS_OK);
    status = tokenizer_load(t, path, diag);
    remove(path);
    return status;
}

static void test_gguf(void)
{
    static const struct {
        enum variant variant;
        enum status status;
        const char *word;
    } cases[] = {
        {NO_MODEL, STATUS_FORMAT, "expected a tokenizer"},
        {OTHER_MODEL, STATUS_UNSUPPORTED, "bert"},
        {OTHER_PRE, STATUS_UNSUPPORTED, "deepseek-llm"},
        {NO_TOKENS, STATUS_FORMAT, "tokenizer.ggml.tokens"},
        {NO_MERGES, STATUS_FORMAT, "tokenizer.ggml.merges"},
        {SHORT_TYPES, STATUS_FORMAT, "tokenizer.ggml.token_type"},
        {BAD_BOS, STATUS_FORMAT, "tokenizer.ggml.bos_token_id"},
        {BAD_ADD_BOS, STATUS_FORMAT, "add_bos_token"},
        {TOKENS_NOT_STRINGS, STATUS_FORMAT, "tokenizer.ggml.tokens"},
    };
    struct tokenizer *t = NULL;
    struct diag diag = {0};

    CHECK_MSG(load_gguf(GOOD, &t, &diag) == STATUS_OK, "%s", diag.message);
    if (t) {
        check_ids(t, "aab", ENCODE_BOS, "3 0 2");
        CHECK(strcmp(tokenizer_chat_template(t), "T") == 0);
    }
    tokenizer_free(t);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        t = NULL;
        CHECK_MSG(load_gguf(cases[i].variant, &t, &diag) == cases[i].status && !t, "case %zu: %s", i, diag.message);
        CHECK_MSG(strstr(diag.message, cases[i].word) && strstr(diag.message, "v.gguf"), "%s", diag.message);
    }
}

/* ---- with DATA: the vectors of published vocabularies ---- */

static const char separator[] = "\n__ggml_vocab_test__\n";

/* One text against one line of ids; decoding gives the text back. */
static void check_vector(const struct tokenizer *t, const char *text, size_t length, const char *line, const char *name,
                         size_t number)
{
    struct tokens ids = {0};
    struct buffer back = {0};
    char *end;
    size_t i = 0;

    CHECK(tokenizer_encode(t, text, length, 0, &ids, NULL) == STATUS_OK);
    for (; *line && *line != '\n'; line = end, i++) {
        long id = strtol(line, &end, 10);
        if (end == line)
            break;
        CHECK_MSG(i < ids.count && ids.ids[i] == id, "%s: case %zu: id %zu: expected %ld", name, number, i, id);
    }
    CHECK_MSG(i == ids.count, "%s: case %zu: expected %zu ids, found %zu", name, number, i, ids.count);
    tokenizer_decode(t, ids.ids, ids.count, 0, &back);
    CHECK_MSG(back.length == length && memcmp(back.data ? back.data : "", text, length) == 0,
              "%s: case %zu: decoding differs", name, number);
    tokens_free(&ids);
    buffer_free(&back);
}

static size_t check_vocabulary(const char *path, const char *name)
{
    struct tokenizer *t = NULL;
    struct buffer texts = {0}, ids = {0}, file = {0};
    struct diag diag = {0};
    const char *line;
    size_t n = 0, at = 0;

    buffer_format(&file, "%s.inp", path);
    CHECK_MSG(tokenizer_load(&t, path, &diag) == STATUS_OK, "%s", diag.message);
    CHECK_MSG(file_read(&texts, file.data, 0, &diag) == STATUS_OK, "%s", diag.message);
    buffer_clear(&file);
    buffer_format(&file, "%s.out", path);
    CHECK_MSG(file_read(&ids, file.data, 0, &diag) == STATUS_OK, "%s", diag.message);
    for (line = ids.data; !test_failed_here && at < texts.length; n++) {
        const char *text = texts.data + at, *end = strstr(text, separator);
        size_t length = end ? (size_t)(end - text) : texts.length - at;
        check_vector(t, text, length, line, name, n);
        at += length + (end ? sizeof separator - 1 : 0);
        line = strchr(line, '\n') ? strchr(line, '\n') + 1 : "";
    }
    CHECK_MSG(n >= 40, "%s: %zu cases", name, n);
    tokenizer_free(t);
    buffer_free(&texts);
    buffer_free(&ids);
    buffer_free(&file);
    return n;
}

static void test_published_vocabularies(void)
{
    char path[600];
    struct dirent *entry;
    DIR *dir;
    size_t n = 0;

    snprintf(path, sizeof path, "%s/tokenizers", getenv("DATA"));
    dir = opendir(path);
    CHECK_MSG(dir != NULL, "%s", path);
    while (dir && (entry = readdir(dir))) {
        size_t length = strlen(entry->d_name);
        if (length > 5 && strcmp(entry->d_name + length - 5, ".gguf") == 0) {
            snprintf(path, sizeof path, "%s/tokenizers/%s", getenv("DATA"), entry->d_name);
            n += check_vocabulary(path, entry->d_name);
        }
    }
    if (dir)
        closedir(dir);
    CHECK_MSG(n >= 6 * 40, "%zu cases", n);
}

int main(void)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%s/arklet-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    if (!mkdtemp(folder)) {
        printf("FAIL mkdtemp: no temporary folder\n");
        return 1;
    }
    RUN(test_fixtures);
    RUN(test_hf_bytes);
    RUN(test_hf_bos);
    RUN(test_hf_sentencepiece);
    RUN(test_hf_refused);
    RUN(test_hf_prefixes);
    RUN(test_hf_missing);
    RUN(test_gguf);
    if (getenv("DATA"))
        RUN(test_published_vocabularies);
    rmdir(folder);
    return TEST_RESULT();
}
