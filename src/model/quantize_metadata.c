/* quantize_metadata.c - the GGUF keys of a Hugging Face folder: what source_gguf.c reads back into the same config. */
#include "quantize_parts.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *key(char name[96], const struct config *c, const char *suffix)
{
    snprintf(name, 96, "%s.%s", arch_name(c->arch), suffix);
    return name;
}

static void put_sizes(struct gguf_writer *w, const struct config *c)
{
    const struct {
        const char *suffix;
        int value;
    } sizes[] = {{"block_count", c->n_layers},          {"context_length", c->ctx_len},
                 {"embedding_length", c->dim},          {"feed_forward_length", c->ffn_dim},
                 {"attention.head_count", c->n_heads},  {"attention.head_count_kv", c->n_kv_heads},
                 {"attention.key_length", c->head_dim}, {"attention.value_length", c->head_dim},
                 {"rope.dimension_count", c->rope_dim}, {"vocab_size", c->vocab_size}};
    char name[96];
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        gguf_put_u32(w, key(name, c, sizes[i].suffix), (uint32_t)sizes[i].value);
    }
}

static void put_window(struct gguf_writer *w, const struct config *c)
{
    char name[96];
    if (c->window == 0) {
        return;
    }
    gguf_put_u32(w, key(name, c, "attention.sliding_window"), (uint32_t)c->window);
    if (c->arch == ARCH_GEMMA3) {
        gguf_put_u32(w, key(name, c, "attention.sliding_window_pattern"), (uint32_t)c->window_pattern);
        gguf_put_f32(w, key(name, c, "rope.freq_base_swa"), c->rope_base[1]);
    }
}

/* The scale that a reader takes when no key says otherwise. */
static float default_attn_scale(const struct config *c)
{
    int is_27b = c->arch == ARCH_GEMMA3 && c->n_layers == 62;
    return 1.0f / sqrtf((float)(is_27b ? c->dim / c->n_heads : c->head_dim));
}

void quantize_put_config(struct gguf_writer *w, const struct source *source)
{
    const struct config *c = &source->config;
    const char *arch = arch_name(c->arch);
    char name[96];
    gguf_put_string(w, "general.architecture", arch, strlen(arch));
    gguf_put_string(w, "general.type", "model", strlen("model"));
    gguf_put_string(w, "general.name", source->name, strlen(source->name));
    put_sizes(w, c);
    gguf_put_f32(w, key(name, c, "attention.layer_norm_rms_epsilon"), c->rms_eps);
    gguf_put_f32(w, key(name, c, "rope.freq_base"), c->rope_base[0]);
    if (c->rope_linear[0] != 1) {
        gguf_put_string(w, key(name, c, "rope.scaling.type"), "linear", strlen("linear"));
        gguf_put_f32(w, key(name, c, "rope.scaling.factor"), c->rope_linear[0]);
    }
    if (c->attn_scale != default_attn_scale(c)) {
        gguf_put_f32(w, key(name, c, "attention.scale"), c->attn_scale);
    }
    put_window(w, c);
}

enum status quantize_put_metadata(struct gguf_writer *w, const struct source *source, struct diag *diag)
{
    quantize_put_config(w, source);
    return quantize_put_tokenizer(w, source->path, (size_t)source->config.vocab_size, diag);
}
