/* source.h - a model on disk, seen the same way whether it is a GGUF or a Hugging Face folder.
 *
 * Tensors carry GGUF names and GGUF dimension order; what a folder stores otherwise is described by `permute_heads` and
 * `add_one`, and undone by whoever reads the rows (model_pack.c, quantize.c). Data stays in the mappings. */
#ifndef ARKLET_SOURCE_H
#define ARKLET_SOURCE_H

#include "gguf.h"
#include "model.h"

struct source_slot;

struct source_tensor {
    const char *name;      /* GGUF's, "blk.0.attn_q.weight" */
    const char *file_name; /* the file's own, for messages */
    enum dtype type;
    int n_dims;
    uint64_t dims[GGUF_MAX_DIMS]; /* innermost first, unused ones 1 */
    const uint8_t *data;          /* in maps[part] */
    size_t bytes;
    int part;
    int permute_heads; /* > 0: rows are so many heads in halves order, wanted as adjacent pairs (llama q and k) */
    int add_one;       /* the value is what is stored plus 1 (gemma norms) */
    int used;
};

struct source {
    char *path;
    char *name; /* general.name, or the last part of the path */
    struct config config;
    int is_gguf;
    struct gguf gguf;      /* when is_gguf; its maps are lent to `maps` */
    struct file_map *maps; /* weights files */
    int n_maps;
    struct source_tensor *tensors;
    size_t n_tensors;
    struct source_slot *slots;
    size_t n_slots;
    float *inv_freq[2];  /* model.h's, complete */
    float *rope_factors; /* [rope_dim / 2] divisors of llama 3's scaling, as in rope_freqs.weight; NULL: none */
    struct arena arena;
};

/* Opens a GGUF or a folder: configuration, tensors, rope. On failure nothing stays open. */
enum status source_open(struct source *source, const char *path, struct diag *diag);
void source_close(struct source *source);
/* NULL when there is none; marks it as used. */
struct source_tensor *source_find(struct source *source, const char *name);
/* Takes the mapping of one part away from the source (it will not unmap it). */
struct file_map source_take_map(struct source *source, int part);

/* The two kinds; each fills config, tensors, maps and inv_freq (source.c owns the rest). */
enum status source_open_gguf(struct source *source, struct diag *diag);
enum status source_open_folder(struct source *source, struct diag *diag);
/* Room for n tensors; adds one, refusing a name twice. */
enum status source_reserve(struct source *source, size_t n_tensors, struct diag *diag);
enum status source_add(struct source *source, const struct source_tensor *tensor, struct diag *diag);

/* Relations that hold for every family: ranges, heads that divide, even rope. `where` names the file in messages. */
enum status source_check_config(const struct config *config, const char *where, struct diag *diag);
/* inv_freq of the global and, with a window pattern, the local layers, from config and rope_factors. */
enum status source_set_rope(struct source *source, struct diag *diag);

/* Every tensor that the configuration demands is there, of the right shape, and no other (model.c). *weight_bytes =
 * what they take when packed. */
enum status source_check_tensors(struct source *source, size_t *weight_bytes, struct diag *diag);

/* The last part of a path, without ".gguf": what a model without a name is called. NULL without memory. */
char *source_name_of_path(struct arena *arena, const char *path);

/* llama's rows: row r of the adjacent-pairs order is row source_permuted_row(...) of the halves order. */
size_t source_permuted_row(size_t row, size_t rows, int heads);

#endif
