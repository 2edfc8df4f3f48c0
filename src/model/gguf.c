/* gguf.c - opens a GGUF file and its fellow parts: header, key table, tensor table.
 *
 * One cursor per part walks header, keys (gguf_keys.c) and tensor infos (gguf_tensors.c) once, front to back; each step
 * first asks whether the bytes are there. The parts' headers come first, so that the tensor table is allocated once.
 * Not here: lookups and array access (gguf_get.c), writing (gguf_write.c). */
#include "gguf_read.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_ALIGNMENT 65536
#define MAX_PARTS     65535

const struct gguf_key *gguf_find(const struct gguf *gguf, const char *name)
{
    if (gguf->n_keys == 0) {
        return NULL;
    }
    const struct gguf_slot *slot = gguf_slot_of(gguf->key_slots, gguf->n_key_slots, name);
    return slot->name ? &gguf->keys[slot->index] : NULL;
}

const struct gguf_tensor *gguf_tensor(const struct gguf *gguf, const char *name)
{
    if (gguf->n_tensors == 0) {
        return NULL;
    }
    const struct gguf_slot *slot = gguf_slot_of(gguf->tensor_slots, gguf->n_tensor_slots, name);
    return slot->name ? &gguf->tensors[slot->index] : NULL;
}

/* ---- files ---- */

static enum status read_header(struct cursor *c, uint32_t *version, uint64_t *n_tensors, uint64_t *n_keys)
{
    if (c->size < 4 || memcmp(c->data, "GGUF", 4) != 0) {
        return diag_fail(c->diag, STATUS_FORMAT, "%s: byte 0: expected the magic \"GGUF\", found another file",
                         c->path);
    }
    c->at = 4;
    enum status status = cursor_u32(c, version, "a version");
    if (status) {
        return status;
    }
    if (*version != 2 && *version != 3) {
        const char *why = (*version & 0xffffu) == 0 ? " (a big-endian file)" : "";
        return diag_fail(c->diag, STATUS_UNSUPPORTED, "%s: byte 4: expected GGUF version 2 or 3, found %u%s", c->path,
                         (unsigned)*version, why);
    }
    if ((status = cursor_u64(c, n_tensors, "a tensor count"))) {
        return status;
    }
    return cursor_u64(c, n_keys, "a key count");
}

static enum status read_alignment(const struct gguf *keys, size_t *alignment, struct diag *diag)
{
    uint32_t value = 32;
    enum status status = gguf_u32(keys, "general.alignment", &value, diag);
    if (status) {
        return status;
    }
    if (value < 1 || value > MAX_ALIGNMENT || (value & (value - 1)) != 0) {
        return diag_fail(diag, STATUS_FORMAT,
                         "%s: key general.alignment: expected a power of two up to 65536, found %u", keys->path,
                         (unsigned)value);
    }
    *alignment = value;
    return STATUS_OK;
}

/* Header and keys of a part whose bytes are in `map`; `keys` receives the key table. */
static enum status read_part(struct gguf *gguf, struct part *part, const struct file_map *map, struct gguf *keys,
                             struct diag *diag)
{
    uint64_t n_keys = 0;
    part->cursor = (struct cursor){part->path, map->data, map->size, 0, diag};
    enum status status = read_header(&part->cursor, &keys->version, &part->n_tensors, &n_keys);
    if (!status) {
        status = gguf_read_keys(keys, &gguf->arena, &part->cursor, n_keys);
    }
    if (!status) {
        status = read_alignment(keys, &part->alignment, diag);
    }
    return status;
}

static enum status open_part(struct gguf *gguf, struct part *part, int index, struct gguf *keys, struct diag *diag)
{
    enum status status = file_map(&gguf->maps[index], part->path, diag);
    if (status) {
        return status;
    }
    gguf->n_maps = index + 1;
    return read_part(gguf, part, &gguf->maps[index], keys, diag);
}

/* A later part: its own keys must say that it is number `index` of n. */
static enum status open_fellow(struct gguf *gguf, struct part *parts, int index, int n, struct diag *diag)
{
    size_t length = strlen(gguf->path) - strlen("00001-of-00001.gguf");
    char *path = arena_text(&gguf->arena, gguf->path, strlen(gguf->path));
    if (!path) {
        return diag_fail(diag, STATUS_MEMORY, "%s: no memory", gguf->path);
    }
    snprintf(path + length, strlen(gguf->path) - length + 1, "%05d-of-%05d.gguf", index + 1, n);
    parts[index].path = path;
    struct gguf keys = {.path = path};
    enum status status = open_part(gguf, &parts[index], index, &keys, diag);
    uint32_t number = UINT32_MAX, count = UINT32_MAX;
    if (status || (status = gguf_u32(&keys, "split.no", &number, diag)) ||
        (status = gguf_u32(&keys, "split.count", &count, diag))) {
        return status;
    }
    if (number != (uint32_t)index || count != (uint32_t)n) {
        return diag_fail(diag, STATUS_FORMAT, "%s: key split.no: expected part %d of %d, found %" PRIu32 " of %" PRIu32,
                         path, index, n, number, count);
    }
    return STATUS_OK;
}

/* How many parts the first one announces; its name must then be that of a first part. */
static enum status count_parts(const struct gguf *gguf, int *n_parts, struct diag *diag)
{
    uint32_t number = 0, count = 1;
    enum status status = gguf_u32(gguf, "split.no", &number, diag);
    if (status || (status = gguf_u32(gguf, "split.count", &count, diag))) {
        return status;
    }
    count = count ? count : 1;
    if (count > MAX_PARTS) {
        return diag_fail(diag, STATUS_FORMAT, "%s: key split.count: expected at most %d, found %" PRIu32, gguf->path,
                         MAX_PARTS, count);
    }
    if (count > 1) {
        char ending[64];
        int length = snprintf(ending, sizeof ending, "-00001-of-%05d.gguf", (int)count);
        size_t n = strlen(gguf->path);
        if (number != 0 || n < (size_t)length || strcmp(gguf->path + n - (size_t)length, ending) != 0) {
            return diag_fail(diag, STATUS_FORMAT,
                             "%s: part %" PRIu32 " of %" PRIu32 ": expected the first part, with a name ending in %s",
                             gguf->path, number + 1, count, ending);
        }
    }
    *n_parts = (int)count;
    return STATUS_OK;
}

static enum status read_all_tensors(struct gguf *gguf, struct part *parts, int n_parts, struct diag *diag)
{
    uint64_t total = 0;
    for (int i = 0; i < n_parts; i++) {
        const struct cursor *c = &parts[i].cursor;
        if (parts[i].n_tensors > (c->size - c->at) / GGUF_MIN_TENSOR_BYTES) {
            return diag_fail(diag, STATUS_FORMAT, "%s: byte 8: %" PRIu64 " tensors cannot fit into %zu bytes", c->path,
                             parts[i].n_tensors, c->size - c->at);
        }
        total += parts[i].n_tensors;
    }
    uint32_t announced = (uint32_t)total;
    enum status status = gguf_u32(gguf, "split.tensors.count", &announced, diag);
    if (status) {
        return status;
    }
    if (announced != total) {
        return diag_fail(diag, STATUS_FORMAT,
                         "%s: key split.tensors.count: expected %" PRIu64 " as found, not %" PRIu32, gguf->path, total,
                         announced);
    }
    gguf->tensors = arena_array(&gguf->arena, (size_t)total, sizeof *gguf->tensors);
    gguf->tensor_slots = gguf_slots_new(&gguf->arena, (size_t)total, &gguf->n_tensor_slots);
    if (!gguf->tensors || !gguf->tensor_slots) {
        return diag_fail(diag, STATUS_MEMORY, "%s: no memory for %" PRIu64 " tensors", gguf->path, total);
    }
    for (int i = 0; i < n_parts && !status; i++) {
        status = gguf_read_tensors(gguf, &parts[i], i);
    }
    return status;
}

/* Opens the fellows of the first part, then reads the tensors of all. */
static enum status read_parts(struct gguf *gguf, struct part *first, struct diag *diag)
{
    int n_parts = 0;
    enum status status = count_parts(gguf, &n_parts, diag);
    if (status) {
        return status;
    }
    struct part *parts = arena_array(&gguf->arena, (size_t)n_parts, sizeof *parts);
    struct file_map *maps = arena_array(&gguf->arena, (size_t)n_parts, sizeof *maps);
    if (!parts || !maps) {
        return diag_fail(diag, STATUS_MEMORY, "%s: no memory for %d parts", gguf->path, n_parts);
    }
    parts[0] = *first;
    maps[0] = gguf->maps[0];
    gguf->maps = maps;
    for (int i = 1; i < n_parts && !status; i++) {
        status = open_fellow(gguf, parts, i, n_parts, diag);
    }
    return status ? status : read_all_tensors(gguf, parts, n_parts, diag);
}

static enum status begin(struct gguf *gguf, const char *path, struct diag *diag)
{
    memset(gguf, 0, sizeof *gguf);
    arena_init(&gguf->arena, "gguf", 0);
    gguf->path = arena_text(&gguf->arena, path, strlen(path));
    gguf->maps = arena_array(&gguf->arena, 1, sizeof *gguf->maps);
    return gguf->path && gguf->maps ? STATUS_OK : diag_fail(diag, STATUS_MEMORY, "%s: no memory", path);
}

static enum status finish(struct gguf *gguf, struct part *first, enum gguf_extent extent, enum status status,
                          struct diag *diag)
{
    if (!status) {
        gguf->alignment = first->alignment;
        status = extent == GGUF_ALL ? read_parts(gguf, first, diag) : STATUS_OK;
    }
    if (status) {
        gguf_close(gguf);
    }
    return status;
}

enum status gguf_open(struct gguf *gguf, const char *path, enum gguf_extent extent, struct diag *diag)
{
    enum status status = begin(gguf, path, diag);
    struct part first = {.path = gguf->path};
    if (!status) {
        status = open_part(gguf, &first, 0, gguf, diag);
    }
    return finish(gguf, &first, extent, status, diag);
}

enum status gguf_parse(struct gguf *gguf, const void *bytes, size_t size, const char *name, enum gguf_extent extent,
                       struct diag *diag)
{
    enum status status = begin(gguf, name, diag);
    struct part first = {.path = gguf->path};
    if (!status) {
        gguf->maps[0] = (struct file_map){bytes, size}; /* n_maps stays 0: not ours to unmap */
        status = read_part(gguf, &first, &gguf->maps[0], gguf, diag);
    }
    return finish(gguf, &first, extent, status, diag);
}

void gguf_close(struct gguf *gguf)
{
    for (int i = 0; i < gguf->n_maps; i++) {
        file_unmap(&gguf->maps[i]);
    }
    arena_free(&gguf->arena);
    memset(gguf, 0, sizeof *gguf);
}

int gguf_is_file(const char *path)
{
    struct file_map map;
    if (file_is_folder(path) || file_map(&map, path, NULL)) {
        return 0;
    }
    int is = map.size >= 4 && memcmp(map.data, "GGUF", 4) == 0;
    file_unmap(&map);
    return is;
}
