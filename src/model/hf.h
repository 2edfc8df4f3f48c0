/* hf.h - private to reading Hugging Face folders: config.json, and the names that its models give their tensors. */
#ifndef ARKLET_HF_H
#define ARKLET_HF_H

#include "source.h"

/* What config.json says beyond struct config. */
struct hf_config {
    int nested;         /* the text part of a model that also sees: names carry one more prefix */
    int attention_bias; /* q, k, v and output have biases */
    int mlp_bias;
    float initializer_range; /* deviation of new weights */
    int llama3;              /* rope scaled as Llama 3.1 does it: */
    float factor, low_freq_factor, high_freq_factor, original_ctx;
};

/* Fills source->config (tied from tie_word_embeddings) and *hf from the config.json at `path`. A vocab_size that is set
 * before is what a missing key means. */
enum status hf_read_config(struct source *source, const char *path, struct hf_config *hf, struct diag *diag);
/* inv_freq (and rope_factors for llama 3), formed in f32 as transformers forms them. */
enum status hf_set_rope(struct source *source, const struct hf_config *hf, struct diag *diag);

enum hf_name { HF_NAME_TENSOR, HF_NAME_IGNORED, HF_NAME_UNKNOWN };

/* The GGUF name of a folder's tensor, and how its rows or values differ from a GGUF's (fields of *tensor). */
enum hf_name hf_tensor_name(const struct config *config, const struct hf_config *hf, const char *file_name,
                            char name[GGUF_MAX_NAME + 1], struct source_tensor *tensor);

#endif
