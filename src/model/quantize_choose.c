/* quantize_choose.c - which storage type each tensor gets.
 *
 * The rules are llama-quantize's without an importance matrix (llama.cpp src/llama-quant.cpp), so that a file named
 * Q4_K_M means the same here and there:
 *   - one-dimensional tensors and norms keep their type;
 *   - the head (or the embedding that serves as head) is Q6_K, Q8_0 where its rows do not divide;
 *   - attn_v and ffn_down get more bits in the first and last eighth of the layers and every third between;
 *   - rows that do not divide by 256 fall back to a format with blocks of 32, those that do not divide by 32 to F16. */
#include "quantize_parts.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct quantize_type {
    const char *name;
    enum dtype type;
    uint32_t file_type; /* llama.cpp's LLAMA_FTYPE number */
};

enum file_type { /* those that the rules below look at */
                 FILE_Q2_K = 10,
                 FILE_Q3_K_M = 12,
                 FILE_Q3_K_L = 13,
                 FILE_Q4_K_S = 14,
                 FILE_Q4_K_M = 15,
                 FILE_Q5_K_M = 17,
                 FILE_IQ4_NL = 25
};

static const struct quantize_type types[] = {
    {"F32", DTYPE_F32, 0},        {"F16", DTYPE_F16, 1},      {"BF16", DTYPE_BF16, 32},   {"Q8_0", DTYPE_Q8_0, 7},
    {"Q4_0", DTYPE_Q4_0, 2},      {"Q4_1", DTYPE_Q4_1, 3},    {"Q5_0", DTYPE_Q5_0, 8},    {"Q5_1", DTYPE_Q5_1, 9},
    {"Q2_K", DTYPE_Q2_K, 10},     {"Q3_K_S", DTYPE_Q3_K, 11}, {"Q3_K_M", DTYPE_Q3_K, 12}, {"Q3_K_L", DTYPE_Q3_K, 13},
    {"Q3_K", DTYPE_Q3_K, 12},     {"Q4_K_S", DTYPE_Q4_K, 14}, {"Q4_K_M", DTYPE_Q4_K, 15}, {"Q4_K", DTYPE_Q4_K, 15},
    {"Q5_K_S", DTYPE_Q5_K, 16},   {"Q5_K_M", DTYPE_Q5_K, 17}, {"Q5_K", DTYPE_Q5_K, 17},   {"Q6_K", DTYPE_Q6_K, 18},
    {"IQ4_NL", DTYPE_IQ4_NL, 25},
};

static int same_name(const char *a, const char *b)
{
    while (*a && toupper((unsigned char)*a) == toupper((unsigned char)*b)) {
        a++, b++;
    }
    return *a == 0 && *b == 0;
}

const struct quantize_type *quantize_type_find(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (same_name(types[i].name, name)) {
            return &types[i];
        }
    }
    return NULL;
}

const char *quantize_type_names(void)
{
    return "F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ4_NL";
}

uint32_t quantize_file_type(const struct quantize_type *type)
{
    return type->file_type;
}

/* ---- rules ---- */

static int is_float(enum dtype type)
{
    return type == DTYPE_F32 || type == DTYPE_F16 || type == DTYPE_BF16;
}

/* What no type applies to: vectors, norms, anything that is not a weight. */
static int stays(const struct source_tensor *tensor)
{
    size_t n = strlen(tensor->name);
    int is_weight = n >= 6 && strcmp(tensor->name + n - 6, "weight") == 0;
    return tensor->dims[1] * tensor->dims[2] * tensor->dims[3] == 1 || !is_weight ||
           strstr(tensor->name, "_norm.weight") || strstr(tensor->name, "ffn_gate_inp.weight");
}

static int more_bits(int layer, int n_layers)
{
    return layer < n_layers / 8 || layer >= 7 * n_layers / 8 || (layer - n_layers / 8) % 3 == 2;
}

static int layer_of(const char *name)
{
    return strncmp(name, "blk.", 4) == 0 ? (int)strtol(name + 4, NULL, 10) : 0;
}

static enum dtype choose_head(enum dtype type, size_t cols)
{
    if (cols % dtype_info((uint32_t)type)->block_len != 0) {
        return DTYPE_Q8_0;
    }
    return type == DTYPE_Q8_0 ? type : DTYPE_Q6_K;
}

static enum dtype choose_attn_v(const struct quantize_type *type, const struct config *c, int layer)
{
    int groups = c->n_heads / c->n_kv_heads >= 4;
    enum dtype chosen = type->type;
    switch (type->file_type) {
    case FILE_Q2_K:
        chosen = groups ? DTYPE_Q4_K : DTYPE_Q3_K;
        break;
    case FILE_Q3_K_M:
        chosen = layer < 2 ? DTYPE_Q5_K : DTYPE_Q4_K;
        break;
    case FILE_Q3_K_L:
        chosen = DTYPE_Q5_K;
        break;
    case FILE_IQ4_NL:
        chosen = groups ? DTYPE_Q5_K : chosen;
        break;
    case FILE_Q4_K_M:
    case FILE_Q5_K_M:
        chosen = more_bits(layer, c->n_layers) ? DTYPE_Q6_K : chosen;
        break;
    case FILE_Q4_K_S:
        chosen = layer < 4 ? DTYPE_Q5_K : chosen;
        break;
    default:
        break;
    }
    /* 80 layers are the 70B class, whose attn_v is small: eight heads share one. */
    int is_70b = c->n_layers == 80 && (c->arch == ARCH_QWEN2 || (c->arch == ARCH_LLAMA && c->n_heads != c->n_kv_heads));
    return is_70b && (chosen == DTYPE_Q3_K || chosen == DTYPE_Q4_K) ? DTYPE_Q5_K : chosen;
}

static enum dtype choose_ffn_down(const struct quantize_type *type, int layer, int n_layers)
{
    switch (type->file_type) {
    case FILE_Q2_K:
        return DTYPE_Q3_K;
    case FILE_Q3_K_M:
        return layer < n_layers / 16 ? DTYPE_Q5_K : DTYPE_Q4_K;
    case FILE_Q3_K_L:
        return DTYPE_Q5_K;
    case FILE_Q4_K_M:
    case FILE_Q5_K_M:
        return more_bits(layer, n_layers) ? DTYPE_Q6_K : type->type;
    case FILE_Q4_K_S:
    case FILE_IQ4_NL:
        return layer < n_layers / 8 ? DTYPE_Q5_K : type->type;
    default:
        return type->type;
    }
}

static enum dtype choose_attn_output(const struct quantize_type *type)
{
    switch (type->file_type) {
    case FILE_Q2_K:
        return DTYPE_Q3_K;
    case FILE_Q3_K_M:
        return DTYPE_Q4_K;
    case FILE_Q3_K_L:
        return DTYPE_Q5_K;
    default:
        return type->type;
    }
}

static enum dtype choose_mixed(const struct quantize_type *type, const struct config *c,
                               const struct source_tensor *tensor)
{
    const char *name = tensor->name;
    int layer = layer_of(name);
    if (strcmp(name, "output.weight") == 0 || (c->tied && strcmp(name, "token_embd.weight") == 0)) {
        return choose_head(type->type, (size_t)tensor->dims[0]);
    }
    if (strstr(name, "attn_v.weight")) {
        return choose_attn_v(type, c, layer);
    }
    if (strstr(name, "ffn_down")) {
        return choose_ffn_down(type, layer, c->n_layers);
    }
    return strstr(name, "attn_output.weight") ? choose_attn_output(type) : type->type;
}

static enum dtype fallback(enum dtype type)
{
    switch (type) {
    case DTYPE_Q2_K:
    case DTYPE_Q3_K:
        return DTYPE_Q4_0;
    case DTYPE_Q4_K:
        return DTYPE_Q5_0;
    case DTYPE_Q5_K:
        return DTYPE_Q5_1;
    case DTYPE_Q6_K:
        return DTYPE_Q8_0;
    default:
        return type;
    }
}

enum dtype quantize_choose(const struct quantize_type *type, int pure, const struct config *config,
                           const struct source_tensor *tensor, int *fell_back)
{
    size_t cols = (size_t)tensor->dims[0];
    *fell_back = 0;
    if (stays(tensor)) {
        return tensor->type;
    }
    enum dtype chosen = type->type;
    if (!is_float(chosen) && !pure) {
        chosen = choose_mixed(type, config, tensor);
    }
    if (cols % dtype_info((uint32_t)chosen)->block_len != 0) {
        *fell_back = 1;
        chosen = fallback(chosen);
    }
    return cols % dtype_info((uint32_t)chosen)->block_len == 0 ? chosen : DTYPE_F16;
}
