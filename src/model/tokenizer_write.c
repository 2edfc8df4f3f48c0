/* tokenizer_write.c - a byte-level vocabulary as files that others read.
 *
 *   NAME.gguf         tokenizer.ggml.model "gpt2", pre, tokens, token_type, merges, special ids, add_bos_token; no
 * tensors NAME.json         model {BPE, vocab, merges}, added_tokens, pre_tokenizer, decoder (Hugging Face tokenizers)
 *   tokenizer_config.json   eos_token, bos_token, add_bos_token, chat_template: what tokenizer.json cannot say
 *
 * A GGUF always names a BOS, the EOS where there is none of its own, since readers take a number of GPT-2's vocabulary
 * otherwise. Leaves out: vocabularies of SentencePiece's kinds. */
#include <assert.h>
#include <string.h>
#include "gguf.h"
#include "json.h"
#include "tokenizer_parts.h"
#include "tokenizer_train.h"

#define VOCABULARY_ARCHITECTURE "llama" /* readers demand one; nothing of it but the name is used */

static enum status no_memory(const char *path, struct diag *diag)
{
    return diag_fail(diag, STATUS_MEMORY, "%s: no memory for the vocabulary", path);
}

static enum status write_text(const char *path, const struct buffer *text, struct diag *diag)
{
    struct file_writer writer;
    enum status status;

    if (text->failed)
        return no_memory(path, diag);
    status = file_create(&writer, path, diag);
    if (status)
        return status;
    status = file_write(&writer, text->data, text->length, diag);
    if (!status)
        return file_commit(&writer, diag);
    file_abandon(&writer);
    return status;
}

/* "left right": no piece has a space inside. */
static void merge_text(const struct merge *merge, struct buffer *text)
{
    buffer_clear(text);
    buffer_append(text, merge->left.text, merge->left.length);
    buffer_byte(text, ' ');
    buffer_append(text, merge->right.text, merge->right.length);
}

/* ---- GGUF ---- */

static void put_text(struct gguf_writer *w, const char *key, const char *text)
{
    gguf_put_string(w, key, text, strlen(text));
}

static void put_merges(struct gguf_writer *w, const struct vocabulary *v, struct buffer *text)
{
    gguf_put_strings(w, "tokenizer.ggml.merges", v->n_merges);
    for (size_t i = 0; i < v->n_merges; i++) {
        merge_text(&v->merges[i], text);
        gguf_put_strings_element(w, text->data, text->length);
    }
}

static enum status write_gguf(const struct vocabulary *v, const char *path, struct diag *diag)
{
    struct gguf_writer w = {.alignment = 0};
    struct buffer text = {0};
    int32_t bos = v->bos >= 0 ? v->bos : v->eos, *types = memory_alloc(v->n_pieces * sizeof *types);
    enum status status;

    if (!types)
        return no_memory(path, diag);
    for (size_t i = 0; i < v->n_pieces; i++)
        types[i] = v->types ? v->types[i] : TOKEN_NORMAL;
    put_text(&w, "general.architecture", VOCABULARY_ARCHITECTURE);
    put_text(&w, "general.type", "model");
    put_text(&w, "tokenizer.ggml.model", "gpt2");
    put_text(&w, "tokenizer.ggml.pre", v->pre);
    gguf_put_strings(&w, "tokenizer.ggml.tokens", v->n_pieces);
    for (size_t i = 0; i < v->n_pieces; i++)
        gguf_put_strings_element(&w, v->pieces[i].text, v->pieces[i].length);
    gguf_put_array(&w, "tokenizer.ggml.token_type", GGUF_I32, types, v->n_pieces);
    put_merges(&w, v, &text);
    if (bos >= 0)
        gguf_put_u32(&w, "tokenizer.ggml.bos_token_id", (uint32_t)bos);
    if (v->eos >= 0)
        gguf_put_u32(&w, "tokenizer.ggml.eos_token_id", (uint32_t)v->eos);
    gguf_put_bool(&w, "tokenizer.ggml.add_bos_token", v->add_bos);
    if (v->chat_template.text)
        gguf_put_string(&w, "tokenizer.chat_template", v->chat_template.text, v->chat_template.length);
    status = text.failed ? no_memory(path, diag) : gguf_write_begin(&w, path, diag);
    status = status ? status : gguf_write_commit(&w, diag);
    gguf_write_abandon(&w);
    buffer_free(&text);
    memory_free(types);
    return status;
}

/* ---- Hugging Face ---- */

static void put_span(struct buffer *json, struct span text)
{
    json_put_string(json, text.text, text.length);
}

static void put_added(struct buffer *json, const struct vocabulary *v)
{
    const char *separator = "";

    buffer_text(json, "  \"added_tokens\": [");
    for (size_t i = 0; i < v->n_pieces; i++) {
        if (!v->types || v->types[i] != TOKEN_CONTROL)
            continue;
        buffer_format(json, "%s\n    {\"id\": %zu, \"content\": ", separator, i);
        put_span(json, v->pieces[i]);
        buffer_text(json, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, "
                          "\"special\": true}");
        separator = ",";
    }
    buffer_text(json, *separator ? "\n  ],\n" : "],\n");
}

/* What stands in front of a text: nothing, or BOS. */
static void put_processor(struct buffer *json, const struct vocabulary *v)
{
    struct span bos = v->add_bos ? v->pieces[v->bos] : (struct span){"", 0};

    buffer_text(json, "  \"post_processor\": ");
    if (!v->add_bos) {
        buffer_text(json, "null,\n");
        return;
    }
    buffer_text(json, "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": ");
    put_span(json, bos);
    buffer_text(json, ", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], \"pair\": "
                      "[{\"SpecialToken\": {\"id\": ");
    put_span(json, bos);
    buffer_text(json, ", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, {\"Sequence\": {\"id\": "
                      "\"B\", \"type_id\": 1}}], \"special_tokens\": {");
    put_span(json, bos);
    buffer_text(json, ": {\"id\": ");
    put_span(json, bos);
    buffer_format(json, ", \"ids\": [%ld], \"tokens\": [", (long)v->bos);
    put_span(json, bos);
    buffer_text(json, "]}}},\n");
}

static void put_model(struct buffer *json, const struct vocabulary *v, struct buffer *text)
{
    buffer_format(json,
                  "  \"model\": {\n    \"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, "
                  "\"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null, \"fuse_unk\": false, "
                  "\"byte_fallback\": false, \"ignore_merges\": %s,\n    \"vocab\": {",
                  v->ignore_merges ? "true" : "false");
    for (size_t i = 0; i < v->n_pieces; i++) {
        buffer_text(json, i ? ",\n      " : "\n      ");
        put_span(json, v->pieces[i]);
        buffer_format(json, ": %zu", i);
    }
    buffer_text(json, "\n    },\n    \"merges\": [");
    for (size_t i = 0; i < v->n_merges; i++) {
        merge_text(&v->merges[i], text);
        buffer_text(json, i ? ",\n      " : "\n      ");
        json_put_string(json, text->data, text->length);
    }
    buffer_text(json, v->n_merges ? "\n    ]\n  }\n}\n" : "]\n  }\n}\n");
}

static enum status write_json(const struct vocabulary *v, const char *path, struct diag *diag)
{
    struct buffer json = {0}, text = {0};
    enum status status;

    buffer_text(&json, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n");
    put_added(&json, v);
    buffer_text(&json, "  \"normalizer\": null,\n  \"pre_tokenizer\": ");
    tokenizer_put_splitting(&json, v->pre);
    buffer_text(&json, ",\n");
    put_processor(&json, v);
    buffer_text(&json, "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, "
                       "\"use_regex\": true},\n");
    put_model(&json, v, &text);
    json.failed |= text.failed;
    status = write_text(path, &json, diag);
    buffer_free(&text);
    buffer_free(&json);
    return status;
}

static void put_token(struct buffer *json, const struct vocabulary *v, const char *key, int32_t id)
{
    buffer_format(json, "  \"%s\": ", key);
    if (id >= 0)
        put_span(json, v->pieces[id]);
    else
        buffer_text(json, "null");
    buffer_text(json, ",\n");
}

static enum status write_config(const struct vocabulary *v, const char *path, struct diag *diag)
{
    struct buffer json = {0};
    enum status status;

    buffer_format(&json, "{\n  \"add_bos_token\": %s,\n  \"add_prefix_space\": false,\n",
                  v->add_bos ? "true" : "false");
    put_token(&json, v, "bos_token", v->bos);
    put_token(&json, v, "eos_token", v->eos);
    if (v->chat_template.text) {
        buffer_text(&json, "  \"chat_template\": ");
        put_span(&json, v->chat_template);
        buffer_text(&json, ",\n");
    }
    buffer_text(&json,
                "  \"clean_up_tokenization_spaces\": false,\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\"\n}\n");
    status = write_text(path, &json, diag);
    buffer_free(&json);
    return status;
}

static enum status write_folder(const struct vocabulary *v, const char *folder, struct diag *diag)
{
    struct buffer path = {0};
    enum status status;

    buffer_format(&path, "%s/tokenizer_config.json", folder);
    status = path.failed ? no_memory(folder, diag) : write_config(v, path.data, diag);
    buffer_clear(&path);
    buffer_format(&path, "%s/tokenizer.json", folder);
    status = status ? status : path.failed ? no_memory(folder, diag) : write_json(v, path.data, diag);
    buffer_free(&path);
    return status;
}

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

/* tokenizer.json of a folder, whose other file goes beside it. */
static enum status write_beside(const struct vocabulary *v, const char *path, struct diag *diag)
{
    const char *slash = strrchr(path, '/');
    struct buffer folder = {0};
    enum status status;

    if (slash == path)
        slash++;
    buffer_append(&folder, slash ? path : ".", slash ? (size_t)(slash - path) : 1);
    status = folder.failed ? no_memory(path, diag) : write_folder(v, folder.data, diag);
    buffer_free(&folder);
    return status;
}

enum status tokenizer_write(const struct vocabulary *v, const char *path, struct diag *diag)
{
    enum status status;

    assert(v->kind == VOCABULARY_BYTES && tokenizer_can_write_splitting(v->pre));
    if (ends_with(path, ".gguf"))
        return write_gguf(v, path, diag);
    if (strcmp(path, "tokenizer.json") == 0 || ends_with(path, "/tokenizer.json"))
        return write_beside(v, path, diag);
    if (ends_with(path, ".json"))
        return write_json(v, path, diag);
    status = file_make_folder(path, diag);
    return status ? status : write_folder(v, path, diag);
}
