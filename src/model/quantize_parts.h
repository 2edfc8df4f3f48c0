/* quantize_parts.h - private to quantize*.c: the choice of types, the metadata of a converted folder. */
#ifndef ARKLET_QUANTIZE_PARTS_H
#define ARKLET_QUANTIZE_PARTS_H

#include "gguf.h"
#include "quantize.h"
#include "source.h"

uint32_t quantize_file_type(const struct quantize_type *type); /* general.file_type */
/* The storage type for one tensor; *fell_back is set when its rows forced another than the chosen one. */
enum dtype quantize_choose(const struct quantize_type *type, int pure, const struct config *config,
                           const struct source_tensor *tensor, int *fell_back);

/* Everything but general.file_type and general.quantization_version that a GGUF of this folder needs. */
enum status quantize_put_metadata(struct gguf_writer *writer, const struct source *source, struct diag *diag);
/* Its parts: the architecture, sizes and constants; the tokenizer of a folder or tokenizer.json, with unused tokens up
 * to vocab_size (a folder without one: nothing is put). */
void quantize_put_config(struct gguf_writer *writer, const struct source *source);
enum status quantize_put_tokenizer(struct gguf_writer *writer, const char *path, size_t vocab_size, struct diag *diag);

#endif
