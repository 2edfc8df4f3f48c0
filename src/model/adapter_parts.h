/* adapter_parts.h - names and row orders that reading and writing adapters share. */
#ifndef ARKLET_ADAPTER_PARTS_H
#define ARKLET_ADAPTER_PARTS_H

#include "adapter.h"
#include "source.h"

#define ADAPTER_NAME 160

/* "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight" */
void adapter_peft_tensor(char name[ADAPTER_NAME], size_t layer, enum target target, char side);
/* The row of a PEFT file's B that is row `row` in memory. */
size_t adapter_file_row(const struct model *model, enum target target, size_t row);

#endif
