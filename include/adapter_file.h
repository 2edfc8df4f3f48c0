/* adapter_file.h - adapters on disk: PEFT folders and GGUF files, read and written.
 *
 *   PEFT folder   adapter_config.json, adapter_model.safetensors with base_model.model.model.layers.N.<module>.
 *                 lora_A.weight [R][in] and lora_B.weight [out][R]; a score head (PRM) under base_model.model.score
 *   GGUF          general.type adapter, <base tensor>.weight.lora_a dims [in, R], .lora_b dims [R, out]
 *
 * For the llama family rows of B of q and k are in the base's own order in each form: halves in a folder
 * (transformers), adjacent pairs in a GGUF and in memory. llama.cpp scales by alpha / rank alone, so a GGUF's alpha
 * carries rsLoRA's factor sqrt(R). Written alphas carry the strength. */
#ifndef ARKLET_ADAPTER_FILE_H
#define ARKLET_ADAPTER_FILE_H

#include "adapter.h"
#include "status.h"

/* A folder or a GGUF, by what `path` is, checked against the model: family, layers, shapes, finite values. What arklet
 * does not compute (DoRA, rank_pattern, bias, other modules, lora_magnitude_vector...) is refused by name. strength
 * multiplies the scale. */
enum status adapter_load(struct adapter **adapter, const struct model *model, const char *path, float strength,
                         struct diag *diag);

/* Both forms into a folder (made when missing): adapter_config.json, adapter_model.safetensors, adapter.gguf. Each file
 * is replaced atomically. */
enum status adapter_save(const struct adapter *adapter, const struct model *model, const char *folder,
                         struct diag *diag);
/* One form: a path that ends in .gguf is a file, anything else a PEFT folder. */
enum status adapter_export(const struct adapter *adapter, const struct model *model, const char *path,
                           struct diag *diag);

#endif
