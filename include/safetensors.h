/* safetensors.h - the safetensors container: a strict reader over a mapping, and a streaming writer.
 *
 *   file = | u64 header length | header: JSON | tensor data |
 *   JSON = {"__metadata__": {string: string}, name: {"dtype": "F32", "shape": [rows, cols], "data_offsets": [b, e]}}
 *
 * Offsets count from the start of the tensor data. Tensors cover the data without gap or overlap. Shapes have the
 * outermost dimension first. Source of the format: huggingface/safetensors, README. */
#ifndef ARKLET_SAFETENSORS_H
#define ARKLET_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"
#include "dtype.h"
#include "file.h"
#include "status.h"

#define SAFETENSORS_MAX_DIMS   8
#define SAFETENSORS_MAX_HEADER ((size_t)100 << 20)

struct safetensors_tensor {
    const char *name;       /* NUL-terminated, no NUL inside */
    const char *dtype_name; /* the file's: "BF16" */
    int is_weight;          /* F32, F16 or BF16: `type` holds; others are sized but never decoded */
    enum dtype type;
    int n_dims;                          /* 0: a scalar */
    uint64_t dims[SAFETENSORS_MAX_DIMS]; /* outermost first */
    uint64_t n_elements;
    const uint8_t *data; /* in the mapping, no alignment promised */
    size_t bytes;
};

struct safetensors_slot;

struct safetensors {
    char *path;
    struct file_map map;
    int borrowed;                       /* map is the caller's memory */
    struct safetensors_tensor *tensors; /* in data order */
    size_t n_tensors;
    struct safetensors_slot *slots; /* name table */
    size_t n_slots;
    struct arena arena;
};

/* Maps and checks a file; on failure nothing stays open. safetensors_close allows {0}. */
enum status safetensors_open(struct safetensors *file, const char *path, struct diag *diag);
void safetensors_close(struct safetensors *file);
/* The same for bytes in memory, which the caller keeps until safetensors_close; `name` labels messages. */
enum status safetensors_parse(struct safetensors *file, const void *bytes, size_t size, const char *name,
                              struct diag *diag);
/* NULL when there is none of that name. Constant time. */
const struct safetensors_tensor *safetensors_find(const struct safetensors *file, const char *name);

/* Writing: declare all tensors (F32, F16 or BF16), then begin, then their bytes in the declared order in any pieces,
 * then commit. Metadata is {"format":"pt"}. The file appears under its name at the commit. Lack of memory while
 * declaring is reported by begin. Start from {0}; abandon frees everything and is allowed at any time. */
struct safetensors_writer {
    struct file_writer file;
    struct buffer header;
    uint64_t data_end; /* bytes declared */
    uint64_t data_start;
};

void safetensors_put(struct safetensors_writer *writer, const char *name, enum dtype type, int n_dims,
                     const uint64_t *dims);
enum status safetensors_write_begin(struct safetensors_writer *writer, const char *path, struct diag *diag);
enum status safetensors_write_data(struct safetensors_writer *writer, const void *bytes, size_t length,
                                   struct diag *diag);
/* Contract: every declared byte has been written. */
enum status safetensors_write_commit(struct safetensors_writer *writer, struct diag *diag);
void safetensors_write_abandon(struct safetensors_writer *writer);

#endif
