/* gguf_keys.c - the front of a GGUF part: the cursor that checks before it reads, name tables, metadata.
 *
 * A table's size is accepted only when the rest of the file could hold that many of the smallest records. Names go into
 * open-addressing tables, so duplicates are found on insertion and lookups take constant time; values stay in the
 * mapping. Strings inside arrays are walked (their lengths must be checked) but not copied: a vocabulary of 150,000
 * tokens costs a few milliseconds. */
#include "gguf_read.h"
#include "rng.h"
#include <inttypes.h>
#include <string.h>

#define MAX_KEY_NAME 65535

static enum status need(struct cursor *c, size_t n, const char *what)
{
    if (n <= c->size - c->at) {
        return STATUS_OK;
    }
    return diag_fail(c->diag, STATUS_FORMAT, "%s: byte %zu: expected %s of %zu bytes, found the end of the file at %zu",
                     c->path, c->at, what, n, c->size);
}

enum status cursor_u32(struct cursor *c, uint32_t *value, const char *what)
{
    enum status status = need(c, sizeof *value, what);
    if (!status) {
        memcpy(value, c->data + c->at, sizeof *value);
        c->at += sizeof *value;
    }
    return status;
}

enum status cursor_u64(struct cursor *c, uint64_t *value, const char *what)
{
    enum status status = need(c, sizeof *value, what);
    if (!status) {
        memcpy(value, c->data + c->at, sizeof *value);
        c->at += sizeof *value;
    }
    return status;
}

enum status cursor_string(struct cursor *c, const char **text, size_t *length, const char *what)
{
    uint64_t n = 0;
    enum status status = cursor_u64(c, &n, what);
    if (status) {
        return status;
    }
    if (n > c->size - c->at) {
        return diag_fail(c->diag, STATUS_FORMAT,
                         "%s: byte %zu: %s of %" PRIu64 " bytes, but only %zu are left in the file", c->path, c->at - 8,
                         what, n, c->size - c->at);
    }
    *text = (const char *)c->data + c->at;
    *length = (size_t)n;
    c->at += (size_t)n;
    return STATUS_OK;
}

enum status cursor_name(struct cursor *c, const char **name, size_t limit, struct arena *arena, const char *what)
{
    const char *text = NULL;
    size_t length = 0, start = c->at;
    enum status status = cursor_string(c, &text, &length, what);
    if (status) {
        return status;
    }
    if (length == 0 || length > limit || memchr(text, 0, length)) {
        return diag_fail(c->diag, STATUS_FORMAT,
                         "%s: byte %zu: expected %s of 1 to %zu bytes without NUL, found %zu bytes", c->path, start,
                         what, limit, length);
    }
    *name = arena_text(arena, text, length);
    return *name ? STATUS_OK : diag_fail(c->diag, STATUS_MEMORY, "%s: no memory for names", c->path);
}

/* ---- name tables ---- */

struct gguf_slot *gguf_slots_new(struct arena *arena, size_t n_names, size_t *n_slots)
{
    size_t n = 8;
    while (n < 2 * n_names) {
        n *= 2;
    }
    struct gguf_slot *slots = arena_array(arena, n, sizeof *slots);
    if (slots) {
        memset(slots, 0, n * sizeof *slots);
    }
    *n_slots = n;
    return slots;
}

struct gguf_slot *gguf_slot_of(struct gguf_slot *slots, size_t n_slots, const char *name)
{
    size_t i = (size_t)rng_hash(name) & (n_slots - 1);
    while (slots[i].name && strcmp(slots[i].name, name) != 0) {
        i = (i + 1) & (n_slots - 1);
    }
    return &slots[i];
}

/* ---- keys ---- */

static const size_t type_bytes[GGUF_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

static enum status check_bools(const struct cursor *c, const struct gguf_key *key)
{
    for (uint64_t i = 0; i < key->count; i++) {
        if (key->data[i] > 1) {
            return diag_fail(c->diag, STATUS_FORMAT, "%s: key %.64s: expected a bool of 0 or 1, found %u", c->path,
                             key->name, key->data[i]);
        }
    }
    return STATUS_OK;
}

/* key->count values of key->element from the cursor on. */
static enum status read_values(struct cursor *c, struct gguf_key *key)
{
    key->data = c->data + c->at;
    size_t size = type_bytes[key->element], start = c->at;
    if (key->element == GGUF_STRING) {
        for (uint64_t i = 0; i < key->count; i++) {
            const char *text;
            size_t length;
            enum status status = cursor_string(c, &text, &length, "a string");
            if (status) {
                return status;
            }
        }
    } else {
        if (key->count > (c->size - c->at) / size) {
            return diag_fail(c->diag, STATUS_FORMAT,
                             "%s: key %.64s: expected %" PRIu64 " values of type %s, found %zu bytes to the end",
                             c->path, key->name, key->count, gguf_type_name(key->element), c->size - c->at);
        }
        c->at += (size_t)key->count * size;
    }
    key->bytes = c->at - start;
    return key->element == GGUF_BOOL ? check_bools(c, key) : STATUS_OK;
}

static enum status read_type(struct cursor *c, enum gguf_type *type, const char *name)
{
    uint32_t number;
    enum status status = cursor_u32(c, &number, "a value type");
    if (status) {
        return status;
    }
    if (number >= GGUF_TYPE_COUNT) {
        return diag_fail(c->diag, STATUS_FORMAT, "%s: key %.64s: expected a value type of 0 to 12, found %u", c->path,
                         name, (unsigned)number);
    }
    *type = (enum gguf_type)number;
    return STATUS_OK;
}

static enum status read_key(struct cursor *c, struct gguf_key *key, struct arena *arena)
{
    enum status status = cursor_name(c, &key->name, MAX_KEY_NAME, arena, "a key name");
    if (status || (status = read_type(c, &key->type, key->name))) {
        return status;
    }
    key->element = key->type;
    key->count = 1;
    if (key->type == GGUF_ARRAY) {
        if ((status = read_type(c, &key->element, key->name)) ||
            (status = cursor_u64(c, &key->count, "an array size"))) {
            return status;
        }
        if (key->element == GGUF_ARRAY) {
            return diag_fail(c->diag, STATUS_UNSUPPORTED, "%s: key %.64s: arrays of arrays are not supported", c->path,
                             key->name);
        }
    }
    return read_values(c, key);
}

enum status gguf_read_keys(struct gguf *owner, struct arena *arena, struct cursor *c, uint64_t n_keys)
{
    if (n_keys > (c->size - c->at) / GGUF_MIN_KEY_BYTES) {
        return diag_fail(c->diag, STATUS_FORMAT, "%s: byte 16: %" PRIu64 " keys cannot fit into %zu bytes", c->path,
                         n_keys, c->size - c->at);
    }
    owner->keys = arena_array(arena, (size_t)n_keys, sizeof *owner->keys);
    owner->key_slots = gguf_slots_new(arena, (size_t)n_keys, &owner->n_key_slots);
    if (!owner->keys || !owner->key_slots) {
        return diag_fail(c->diag, STATUS_MEMORY, "%s: no memory for %" PRIu64 " keys", c->path, n_keys);
    }
    for (size_t i = 0; i < n_keys; i++) {
        struct gguf_key *key = &owner->keys[i];
        enum status status = read_key(c, key, arena);
        if (status) {
            return status;
        }
        struct gguf_slot *slot = gguf_slot_of(owner->key_slots, owner->n_key_slots, key->name);
        if (slot->name) {
            return diag_fail(c->diag, STATUS_FORMAT, "%s: key %.64s: found twice", c->path, key->name);
        }
        *slot = (struct gguf_slot){key->name, i};
        owner->n_keys = i + 1;
    }
    return STATUS_OK;
}
