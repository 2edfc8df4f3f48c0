/* gguf.h - GGUF files: a strict reader over a mapping, metadata lookups, and a streaming writer.
 *
 *   file = | "GGUF" | u32 version | u64 n_tensors | u64 n_keys | keys | tensor infos | pad | tensor data |
 *   key  = | string name | u32 type | value |        string = | u64 length | bytes |
 *                                                     array  = | u32 element type | u64 count | elements |
 *   info = | string name | u32 n_dims | u64 dims[n_dims] | u32 dtype | u64 offset |
 *
 * All little-endian. dims[0] is the innermost dimension (a row's length). Offsets count from the start of the tensor
 * data, which begins at a multiple of general.alignment (default 32), as every tensor does. Versions 2 and 3 (the same
 * bytes) are read, 3 is written. Source of the format: ggml's docs/gguf.md.
 *
 * After gguf_open every length, count, offset and type has been checked against the file: the accessors cannot read
 * outside the mapping. Nothing is allocated by a number that the file's size does not vouch for. */
#ifndef ARKLET_GGUF_H
#define ARKLET_GGUF_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"
#include "dtype.h"
#include "file.h"
#include "status.h"

enum gguf_type { /* the file's numbers */
                 GGUF_U8 = 0,
                 GGUF_I8 = 1,
                 GGUF_U16 = 2,
                 GGUF_I16 = 3,
                 GGUF_U32 = 4,
                 GGUF_I32 = 5,
                 GGUF_F32 = 6,
                 GGUF_BOOL = 7,
                 GGUF_STRING = 8,
                 GGUF_ARRAY = 9,
                 GGUF_U64 = 10,
                 GGUF_I64 = 11,
                 GGUF_F64 = 12,
                 GGUF_TYPE_COUNT = 13
};

#define GGUF_MAX_DIMS 4
#define GGUF_MAX_NAME 64 /* bytes of a tensor's name */

/* A metadata entry. The value stays in the mapping: numbers are unaligned, strings have no NUL. */
struct gguf_key {
    const char *name; /* NUL-terminated copy, no NUL inside */
    enum gguf_type type;
    enum gguf_type element; /* of an array; else equal to type */
    uint64_t count;         /* elements of an array; else 1 */
    const uint8_t *data;    /* first element's bytes (a string: its length field) */
    size_t bytes;           /* of all elements */
};

struct gguf_tensor {
    const char *name; /* NUL-terminated copy */
    enum dtype type;
    int n_dims;                   /* 1..4 */
    uint64_t dims[GGUF_MAX_DIMS]; /* innermost first, unused ones 1, all >= 1 */
    uint64_t n_elements;
    const uint8_t *data; /* in maps[part] */
    size_t bytes;
    int part;
};

struct gguf_slot; /* name table */

struct gguf {
    char *path;
    uint32_t version;
    size_t alignment;
    struct gguf_key *keys; /* of the first part, in file order */
    size_t n_keys;
    struct gguf_tensor *tensors; /* of all parts, in file order */
    size_t n_tensors;
    struct file_map *maps; /* one per part */
    int n_maps;
    struct arena arena; /* tables and names */
    struct gguf_slot *key_slots, *tensor_slots;
    size_t n_key_slots, n_tensor_slots;
};

/* GGUF_KEYS reads the metadata alone: tensors, their types and further parts are not looked at. */
enum gguf_extent { GGUF_ALL, GGUF_KEYS };

/* Maps and checks `path`; a file named ...-00001-of-0000N.gguf brings its N - 1 fellows with it. On failure nothing
 * stays open. gguf_close allows {0}. */
enum status gguf_open(struct gguf *gguf, const char *path, enum gguf_extent extent, struct diag *diag);
void gguf_close(struct gguf *gguf);
/* The same for bytes in memory, which the caller keeps until gguf_close; `name` labels messages. One part alone. */
enum status gguf_parse(struct gguf *gguf, const void *bytes, size_t size, const char *name, enum gguf_extent extent,
                       struct diag *diag);
/* 1 when the file begins with GGUF's magic (0 also when it cannot be read). */
int gguf_is_file(const char *path);

/* NULL when there is none of that name. Constant time. */
const struct gguf_key *gguf_find(const struct gguf *gguf, const char *name);
const struct gguf_tensor *gguf_tensor(const struct gguf *gguf, const char *name);

/* Scalar lookups. The caller sets *value to the default first: a missing key leaves it and is STATUS_OK; a key of
 * another kind, or a number outside the target's range, is STATUS_FORMAT and names file, key and finding. Any integer
 * type is accepted for an integer (BOOL too), F32, F64 and integers for a float, BOOL and integers 0 and 1 for a bool.
 */
enum status gguf_u32(const struct gguf *gguf, const char *name, uint32_t *value, struct diag *diag);
enum status gguf_f32(const struct gguf *gguf, const char *name, float *value, struct diag *diag); /* finite */
enum status gguf_bool(const struct gguf *gguf, const char *name, int *value, struct diag *diag);
/* *text points into the mapping (no NUL at its end). */
enum status gguf_string(const struct gguf *gguf, const char *name, const char **text, size_t *length,
                        struct diag *diag);
/* *array = the key, NULL when missing. element GGUF_STRING, GGUF_F32 (any float) or GGUF_I32 (any integer or bool) says
 * what the elements must be; an empty array passes. */
enum status gguf_array(const struct gguf *gguf, const char *name, enum gguf_type element, const struct gguf_key **array,
                       struct diag *diag);

/* Elements of a numeric array (or the scalar itself, i = 0); i < count. Integers beyond int64 saturate. */
int64_t gguf_element_int(const struct gguf_key *array, uint64_t i);
double gguf_element_number(const struct gguf_key *array, uint64_t i);

/* Walks the strings of a string array:
 *   struct gguf_strings strings = gguf_strings(array);
 *   while (gguf_strings_next(&strings, &text, &length)) ... */
struct gguf_strings {
    const uint8_t *next;
    uint64_t left;
};

struct gguf_strings gguf_strings(const struct gguf_key *array);
int gguf_strings_next(struct gguf_strings *strings, const char **text, size_t *length);

const char *gguf_type_name(enum gguf_type type); /* "u32", "string" */

/* Writing: put the keys, declare the tensors, then gguf_write_begin and the tensors' bytes in the declared order (any
 * pieces), then gguf_write_commit. The file appears under its name only then. put_* cannot fail: lack of memory is
 * reported by gguf_write_begin. Start from {0}; gguf_write_abandon frees everything and is allowed at any time. */
struct gguf_writer {
    struct file_writer file;
    struct buffer keys, infos, sizes; /* sizes: u64 bytes of each tensor */
    uint64_t n_keys, n_tensors;
    uint64_t data_end; /* offset where the next declared tensor goes */
    size_t alignment;  /* 0 means 32 */
    uint64_t current, current_left;
};

void gguf_put_u32(struct gguf_writer *writer, const char *name, uint32_t value);
void gguf_put_i32(struct gguf_writer *writer, const char *name, int32_t value);
void gguf_put_f32(struct gguf_writer *writer, const char *name, float value);
void gguf_put_bool(struct gguf_writer *writer, const char *name, int value);
void gguf_put_string(struct gguf_writer *writer, const char *name, const char *text, size_t length);
/* count numbers of a fixed-size type, copied as they lie in memory. */
void gguf_put_array(struct gguf_writer *writer, const char *name, enum gguf_type element, const void *data,
                    uint64_t count);
/* A string array: announce it, then exactly `count` elements. */
void gguf_put_strings(struct gguf_writer *writer, const char *name, uint64_t count);
void gguf_put_strings_element(struct gguf_writer *writer, const char *text, size_t length);
/* A copy of an entry that was read. */
void gguf_put_key(struct gguf_writer *writer, const struct gguf_key *key);
/* Declares a tensor: type known to dtype_info, dims[0] divides by its block. */
void gguf_put_tensor(struct gguf_writer *writer, const char *name, enum dtype type, int n_dims, const uint64_t *dims);

enum status gguf_write_begin(struct gguf_writer *writer, const char *path, struct diag *diag);
enum status gguf_write_data(struct gguf_writer *writer, const void *bytes, size_t length, struct diag *diag);
/* Contract: every declared byte has been written. */
enum status gguf_write_commit(struct gguf_writer *writer, struct diag *diag);
void gguf_write_abandon(struct gguf_writer *writer);

#endif
