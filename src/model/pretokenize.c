/* pretokenize.c - the known pre-tokenisers and the walk through their stages.
 *
 *   text        "I've 100 llamas"
 *   stage 1      I've| |1|0|0| llamas          (here: single digits)
 *   stage 2      I|'ve| |1|0|0| llamas         every part is cut again, matches and gaps alike
 *
 * Names are those of GGUF's key tokenizer.ggml.pre. Leaves out: what the matchers accept (pretokenize_match.c). */
#include "pretokenize.h"
#include <string.h>
#include "tokenizer.h"
#include "utf8.h"

static const struct pretokenizer known[] = {
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2", {match_llama3}, 1, 1},
    {"dbrx smaug-bpe chatglm-bpe", {match_llama3}, 0, 0},
    {"glm4", {match_llama3}, 1, 0},
    {"qwen2 deepseek-r1-qwen stablelm2 megrez kormo f2llmv2", {match_qwen2}, 0, 0},
    {"qwen35", {match_qwen35}, 0, 0},
    {"gpt-2 phi-2 mpt olmo jais exaone4 gigachat mellum a.x-4.0 modern-bert trillion granite-docling",
     {match_gpt2},
     0,
     0},
    {"smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", {match_digit, match_gpt2}, 0, 0},
    {"tekken", {match_tekken}, 1, 0},
    {"gpt-4o llama4 kanana2", {match_gpt4o}, 0, 0},
    {"deepseek-llm",
     {match_newline, match_deepseek_cased, match_deepseek_marks, match_trailing_space, match_deepseek_cjk,
      match_number},
     0,
     0},
    {"deepseek-coder",
     {match_newline, match_space_letters, match_space_punctuation, match_deepseek_cjk, match_digit},
     0,
     0},
    {"deepseek-v3 hunyuan-dense joyai-llm", {match_digits_3, match_kana_han, match_deepseek3}, 0, 0},
    {"falcon", {match_punctuation, match_gpt2, match_ascii_digits_3}, 0, 0},
    {"default", {match_default_punctuation, match_gpt2, match_number, match_ascii_digits_3}, 0, 0},
};

#define N_KNOWN (sizeof known / sizeof known[0])

static int has_word(const char *words, const char *word, size_t length)
{
    while (*words) {
        size_t n = strcspn(words, " ");
        if (n == length && memcmp(words, word, n) == 0)
            return 1;
        words += n + (words[n] == ' ');
    }
    return 0;
}

const struct pretokenizer *pretokenizer_find(const char *name, size_t length)
{
    for (size_t i = 0; i < N_KNOWN; i++) {
        if (length && has_word(known[i].names, name, length))
            return &known[i];
    }
    return NULL;
}

const char *pretokenizer_names(void)
{
    return "llama-bpe qwen2 qwen35 gpt-2 smollm starcoder refact mpt olmo command-r tekken gpt-4o llama4 deepseek-llm "
           "deepseek-coder deepseek-v3 deepseek-r1-qwen stablelm2 falcon default";
}

/* One walk: the pieces of text, and who gets the words. */
struct walk {
    const struct pretokenizer *pretokenizer;
    const char *text;
    word_sink *sink;
    void *context;
    struct unicode_run run;
};

static int cut(struct walk *walk, int stage, size_t start, size_t end);

/* Hands a part to the next stage, or out. */
static int pass(struct walk *walk, int stage, size_t start, size_t end)
{
    if (start == end)
        return 0;
    if (stage == PRETOKENIZER_STAGES || !walk->pretokenizer->stages[stage])
        return walk->sink(walk->context, walk->text + start, end - start);
    return cut(walk, stage, start, end);
}

/* Cuts [start, end) by one stage. cut and pass call each other at most PRETOKENIZER_STAGES deep. */
static int cut(struct walk *walk, int stage, size_t start, size_t end)
{
    struct scan scan = {walk->text, end, 0, walk->run};
    size_t gap = start, pos = start, found;
    int stop = 0, valid;
    uint32_t code;

    while (pos < end && !stop) {
        scan.skip = 0;
        found = walk->pretokenizer->stages[stage](&scan, pos);
        if (found) {
            walk->run = scan.run;
            stop = pass(walk, stage + 1, gap, pos);
            stop = stop ? stop : pass(walk, stage + 1, pos, found);
            gap = pos = found;
        } else {
            pos += utf8_decode(walk->text + pos, end - pos, &code, &valid);
            pos = scan.skip > pos ? scan.skip : pos;
        }
    }
    return stop ? stop : pass(walk, stage + 1, gap, end);
}

int pretokenize(const struct pretokenizer *pretokenizer, const char *text, size_t length, word_sink *sink,
                void *context)
{
    struct walk walk = {pretokenizer, text, sink, context, {0, 0, 0}};

    return pass(&walk, 0, 0, length);
}
