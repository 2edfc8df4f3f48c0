/* tokenizer_hf_split.c - which known pre-tokeniser a tokenizer.json describes.
 *
 * The "pre_tokenizer" is written as one line of text, its signature, and looked up:
 *
 *   {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true},
 *                                          {"type": "ByteLevel", "use_regex": true}]}       ->   "digit;gpt2;"
 *
 * Split stands with its pattern, as published. An unknown signature is an error: a pattern that is only similar would
 * give other tokens. Unicode normalisation (NFC) is not done: texts keep their bytes. The patterns also serve to write
 * the pre_tokenizer of a new vocabulary. */
#include <string.h>
#include "lexicon.h"
#include "tokenizer_hf.h"
#include "tokenizer_parts.h"

#define CONTRACTIONS   "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define REST(marks)    "| ?[^\\s" marks "]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define GPT2_PATTERN   "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3_PATTERN CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" REST("\\p{L}\\p{N}")
#define QWEN2_PATTERN  CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" REST("\\p{L}\\p{N}")
#define QWEN35_PATTERN CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}" REST("\\p{L}\\p{M}\\p{N}")
#define UPPERS         "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWERS         "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(suffix)                                                                                                  \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPERS "*" LOWERS "+" suffix "|[^\\r\\n\\p{L}\\p{N}]?" UPPERS "+" LOWERS "*" suffix
#define SLASH_REST     "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define TEKKEN_PATTERN CASED("") "|\\p{N}" SLASH_REST
#define GPT4O_PATTERN  CASED(CONTRACTIONS "?") "|\\p{N}{1,3}" SLASH_REST
#define DEEPSEEK3_PATTERN                                                                                              \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"                \
    "| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
/* Character ranges U+4E00-9FA5 U+0800-4E00 U+AC00-D7FF, and U+4E00-9FA5 U+3040-309F U+30A0-30FF. */
#define CJK_PATTERN  "[\xE4\xB8\x80-\xE9\xBE\xA5\xE0\xA0\x80-\xE4\xB8\x80\xEA\xB0\x80-\xED\x9F\xBF]+"
#define KANA_PATTERN "[\xE4\xB8\x80-\xE9\xBE\xA5\xE3\x81\x80-\xE3\x82\x9F\xE3\x82\xA0-\xE3\x83\xBF]+"

/* A '\1' stands for the rest of a long pattern. */
struct known_signature {
    const char *signature, *pre;
};

static const struct known_signature known[] = {
    {"gpt2;", "gpt-2"},
    {GPT2_PATTERN ";bytes;", "gpt-2"},
    {"digit;gpt2;", "smollm"},
    {"\\p{N};gpt2;", "smollm"},
    {LLAMA3_PATTERN ";bytes;", "llama-bpe"},
    {QWEN2_PATTERN ";bytes;", "qwen2"},
    {QWEN35_PATTERN ";bytes;", "qwen35"},
    {TEKKEN_PATTERN ";bytes;", "tekken"},
    {GPT4O_PATTERN ";bytes;", "gpt-4o"},
    {"\\p{N}{1,3};" KANA_PATTERN ";" DEEPSEEK3_PATTERN ";bytes;", "deepseek-v3"},
    {"[\r\n];\\s?\\p{L}+;\\s?\\p{P}+;" CJK_PATTERN ";digit;bytes;", "deepseek-coder"},
    {"[\r\n];\\s?[A-Za-z\1;\\s?[!-/:-~\1;\\s+$;" CJK_PATTERN ";digit;bytes;", "deepseek-llm"},
    {"[\r\n];\\s?[A-Za-z\1;\\s?[!-/:-~\1;\\s+$;" CJK_PATTERN ";number;bytes;", "deepseek-llm"},
    {"punctuation;gpt2;number;[0-9][0-9][0-9];", "falcon"},
};

/* How a tokenizer.json writes the splittings that new vocabularies may have: a pattern before the bytes, or GPT-2's own
 * with or without single digits before it. */
static const struct written_splitting {
    const char *pre;
    const char *pattern; /* NULL: ByteLevel's own */
    int digits;
} written[] = {
    {"gpt-2", NULL, 0},
    {"smollm", NULL, 1},
    {"qwen2", QWEN2_PATTERN, 0},
    {"llama-bpe", LLAMA3_PATTERN, 0},
    {"qwen35", QWEN35_PATTERN, 0},
    {"tekken", TEKKEN_PATTERN, 0},
    {"gpt-4o", GPT4O_PATTERN, 0},
};

static const struct written_splitting *find_written(const char *pre)
{
    for (size_t i = 0; i < sizeof written / sizeof written[0]; i++) {
        if (strcmp(written[i].pre, pre) == 0)
            return &written[i];
    }
    return NULL;
}

int tokenizer_can_write_splitting(const char *pre)
{
    return find_written(pre) != NULL;
}

const char *tokenizer_written_splittings(void)
{
    return "gpt-2 smollm qwen2 llama-bpe qwen35 tekken gpt-4o";
}

void tokenizer_put_splitting(struct buffer *json, const char *pre)
{
    static const char bytes[] = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "
                                "\"use_regex\": ";
    const struct written_splitting *w = find_written(pre);

    if (w->pattern) {
        buffer_text(json,
                    "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": ");
        json_put_text(json, w->pattern);
        buffer_format(json, "}, \"behavior\": \"Isolated\", \"invert\": false}, %sfalse}]}", bytes);
    } else if (w->digits) {
        buffer_format(json,
                      "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", "
                      "\"individual_digits\": true}, %strue}]}",
                      bytes);
    } else {
        buffer_format(json, "%strue}", bytes);
    }
}

static int matches(const char *pattern, const char *text)
{
    for (; *pattern; pattern++) {
        if (*pattern == '\1') {
            text = strchr(text, ';');
            if (!text)
                return 0;
        } else if (*pattern != *text++) {
            return 0;
        }
    }
    return *text == '\0';
}

static int is_type(const struct json *object, const char *type)
{
    return strcmp(json_string(object, "type", ""), type) == 0;
}

/* A Split cuts around its matches, or keeps the matches and drops what lies between: nothing, in known patterns. */
static int put_split(const struct json *split, struct buffer *out)
{
    const char *behaviour = json_string(split, "behavior", "");
    int invert = json_bool(split, "invert", 0);
    const char *pattern = json_string(json_get(split, "pattern"), "Regex", NULL);

    if (!pattern)
        pattern = json_string(json_get(split, "pattern"), "String", NULL);
    buffer_text(out, pattern ? pattern : "?");
    return pattern && (strcmp(behaviour, "Isolated") == 0 ? !invert : strcmp(behaviour, "Removed") == 0 && invert);
}

/* Appends one element; 0 when it is of an unknown kind. */
static int put_element(const struct json *element, struct buffer *out)
{
    int known_kind = 1;

    if (is_type(element, "Split")) {
        known_kind = put_split(element, out);
    } else if (is_type(element, "Digits")) {
        buffer_text(out, json_bool(element, "individual_digits", 0) ? "digit" : "number");
    } else if (is_type(element, "Punctuation")) {
        buffer_text(out, "punctuation");
        known_kind = strcmp(json_string(element, "behavior", "Isolated"), "Contiguous") == 0;
    } else if (is_type(element, "ByteLevel")) {
        buffer_text(out, json_bool(element, "use_regex", 1) ? "gpt2" : "bytes");
        known_kind = !json_bool(element, "add_prefix_space", 1) || !json_get(element, "add_prefix_space");
    } else {
        buffer_text(out, json_string(element, "type", "?"));
        known_kind = 0;
    }
    buffer_text(out, ";");
    return known_kind;
}

static int has_byte_level(const struct json *pre)
{
    if (is_type(pre, "ByteLevel"))
        return 1;
    for (const struct json *e = json_get(pre, "pretokenizers") ? json_get(pre, "pretokenizers")->child : NULL; e;
         e = e->next) {
        if (is_type(e, "ByteLevel"))
            return 1;
    }
    return 0;
}

static enum status recognise_bytes(struct vocabulary *v, const struct json *pre, struct diag *diag)
{
    const struct json *sequence = is_type(pre, "Sequence") ? json_get(pre, "pretokenizers") : NULL;
    struct buffer signature = {0};
    int known_kinds = 1;

    for (const struct json *e = sequence ? sequence->child : pre; e; e = sequence ? e->next : NULL)
        known_kinds &= put_element(e, &signature);
    for (size_t i = 0; known_kinds && !signature.failed && !v->pre && i < sizeof known / sizeof known[0]; i++) {
        if (matches(known[i].signature, signature.data))
            v->pre = known[i].pre;
    }
    /* The same pattern without Llama 3's rule that whole words are taken as they are. */
    if (v->pre && strcmp(v->pre, "llama-bpe") == 0 && !v->ignore_merges)
        v->pre = "dbrx";
    if (!v->pre)
        diag_fail(diag, STATUS_UNSUPPORTED, "%s: unknown pre_tokenizer %.160s, known are those of %s", v->name,
                  signature.data ? signature.data : "", pretokenizer_names());
    buffer_free(&signature);
    return v->pre ? STATUS_OK : STATUS_UNSUPPORTED;
}

/* Sets dummy_space for one normalizer; 0 when it does something else. */
static int read_normalizer(struct vocabulary *v, const struct json *normalizer)
{
    if (is_type(normalizer, "Prepend")) {
        v->dummy_space = DUMMY_SPACE_EACH;
        return strcmp(json_string(normalizer, "prepend", ""), "\xE2\x96\x81") == 0;
    }
    if (is_type(normalizer, "Replace"))
        return strcmp(json_string(json_get(normalizer, "pattern"), "String", ""), " ") == 0 &&
               strcmp(json_string(normalizer, "content", ""), "\xE2\x96\x81") == 0;
    return is_type(normalizer, "NFC");
}

static enum status read_normalizers(struct vocabulary *v, const struct json *normalizer, struct diag *diag)
{
    const struct json *sequence = is_type(normalizer, "Sequence") ? json_get(normalizer, "normalizers") : NULL;

    if (!normalizer || normalizer->type == JSON_NULL)
        return STATUS_OK;
    for (const struct json *e = sequence ? sequence->child : normalizer; e; e = sequence ? e->next : NULL) {
        if (!read_normalizer(v, e))
            return diag_fail(diag, STATUS_UNSUPPORTED, "%s: unknown normalizer %s", v->name,
                             json_string(e, "type", "?"));
    }
    return STATUS_OK;
}

/* SentencePiece's form: no pre-tokeniser, or one that only writes spaces as U+2581. */
static enum status recognise_merges(struct vocabulary *v, const struct json *pre, struct diag *diag)
{
    const char *scheme = json_string(pre, "prepend_scheme", "always");
    int spaces_only = is_type(pre, "Split") && strcmp(json_string(json_get(pre, "pattern"), "String", ""), " ") == 0 &&
                      strcmp(json_string(pre, "behavior", ""), "MergedWithPrevious") == 0;

    if (!pre || pre->type == JSON_NULL || spaces_only)
        return STATUS_OK;
    if (!is_type(pre, "Metaspace") || json_bool(pre, "split", 1))
        return diag_fail(diag, STATUS_UNSUPPORTED,
                         "%s: unknown pre_tokenizer %s, known are Metaspace without split and those of %s", v->name,
                         json_string(pre, "type", "?"), pretokenizer_names());
    v->dummy_space = strcmp(scheme, "always") == 0  ? DUMMY_SPACE_EACH
                     : strcmp(scheme, "first") == 0 ? DUMMY_SPACE_FIRST
                                                    : DUMMY_SPACE_NONE;
    return STATUS_OK;
}

enum status recognise_splitting(struct vocabulary *vocabulary, const struct json *root, struct diag *diag)
{
    const struct json *pre = json_get(root, "pre_tokenizer");
    enum status status = read_normalizers(vocabulary, json_get(root, "normalizer"), diag);

    if (status)
        return status;
    vocabulary->kind = has_byte_level(pre) ? VOCABULARY_BYTES : VOCABULARY_MERGES;
    if (vocabulary->kind == VOCABULARY_BYTES)
        return recognise_bytes(vocabulary, pre, diag);
    return recognise_merges(vocabulary, pre, diag);
}
