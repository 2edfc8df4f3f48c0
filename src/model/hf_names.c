/* hf_names.c - from a folder's tensor names to GGUF's.
 *
 *   model.layers.3.self_attn.q_proj.weight  ->  blk.3.attn_q.weight
 *
 * The same words mean different norms in different families: post_attention_layernorm comes before the feed-forward
 * part in most, after the attention in gemma3. */
#include "hf.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct name_pair {
    const char *folder, *gguf;
};

static const struct name_pair modules[] = {
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"input_layernorm", "attn_norm"},
    {"post_attention_layernorm", "ffn_norm"},
};

static const struct name_pair gemma_norms[] = {
    {"post_attention_layernorm", "post_attention_norm"},
    {"pre_feedforward_layernorm", "ffn_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
};

static const struct name_pair outer[] = {
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"lm_head", "output"},
};

/* The text behind a prefix, or NULL. */
static const char *behind(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static const char *lookup(const struct name_pair *pairs, size_t n, const char *name, size_t length)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(pairs[i].folder) == length && memcmp(pairs[i].folder, name, length) == 0) {
            return pairs[i].gguf;
        }
    }
    return NULL;
}

/* "model.layers.N." -> N and what follows; -1 when it is none of the model's layers. */
static int layer_of(const char *name, int n_layers, const char **rest)
{
    const char *digits = behind(name, "model.layers.");
    if (!digits || *digits < '0' || *digits > '9' || (digits[0] == '0' && digits[1] != '.')) {
        return -1;
    }
    char *end;
    long layer = strtol(digits, &end, 10);
    if (*end != '.' || layer >= n_layers) {
        return -1;
    }
    *rest = end + 1;
    return (int)layer;
}

/* The names of a nested text model as those of a plain one, in `plain`; NULL: not part of the text model. */
static const char *strip_nesting(const char *name, char plain[256])
{
    static const char *const prefixes[][2] = {{"language_model.model.", "model."},
                                              {"model.language_model.", "model."},
                                              {"language_model.lm_head.", "lm_head."},
                                              {"lm_head.", "lm_head."}};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        const char *rest = behind(name, prefixes[i][0]);
        if (rest) {
            snprintf(plain, 256, "%s%s", prefixes[i][1], rest);
            return plain;
        }
    }
    return NULL;
}

/* Rows to be permuted and norms to be raised by one (see source.h). */
static void set_differences(const struct config *c, const char *module, struct source_tensor *tensor)
{
    if (c->arch == ARCH_LLAMA && strcmp(module, "attn_q") == 0) {
        tensor->permute_heads = c->n_heads;
    }
    if (c->arch == ARCH_LLAMA && strcmp(module, "attn_k") == 0) {
        tensor->permute_heads = c->n_kv_heads;
    }
    tensor->add_one = c->arch == ARCH_GEMMA3 && strstr(module, "norm") != NULL;
}

enum hf_name hf_tensor_name(const struct config *c, const struct hf_config *hf, const char *file_name,
                            char name[GGUF_MAX_NAME + 1], struct source_tensor *tensor)
{
    char plain[256];
    const char *text = hf->nested ? strip_nesting(file_name, plain) : file_name, *rest = NULL;
    if (!text || strstr(text, "rotary_emb.inv_freq")) {
        return HF_NAME_IGNORED; /* the image part; frequencies that old files stored */
    }
    const char *dot = strrchr(text, '.');
    if (!dot || (strcmp(dot, ".weight") != 0 && strcmp(dot, ".bias") != 0)) {
        return HF_NAME_UNKNOWN;
    }
    int layer = layer_of(text, c->n_layers, &rest);
    const char *module = NULL;
    if (layer < 0) {
        module = lookup(outer, sizeof outer / sizeof outer[0], text, (size_t)(dot - text));
    } else if (rest < dot) {
        size_t length = (size_t)(dot - rest);
        module = c->arch == ARCH_GEMMA3 ? lookup(gemma_norms, sizeof gemma_norms / sizeof gemma_norms[0], rest, length)
                                        : NULL;
        module = module ? module : lookup(modules, sizeof modules / sizeof modules[0], rest, length);
    }
    if (!module) {
        return HF_NAME_UNKNOWN;
    }
    if (c->tied && strcmp(module, "output") == 0) {
        return HF_NAME_IGNORED; /* a copy of the embedding */
    }
    if (layer < 0) {
        snprintf(name, GGUF_MAX_NAME + 1, "%s%s", module, dot);
    } else {
        snprintf(name, GGUF_MAX_NAME + 1, "blk.%d.%s%s", layer, module, dot);
    }
    set_differences(c, module, tensor);
    return HF_NAME_TENSOR;
}
