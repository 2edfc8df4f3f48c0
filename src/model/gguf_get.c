/* gguf_get.c - typed access to GGUF metadata: scalars with defaults, arrays, strings.
 *
 * Writers disagree about integer widths and signs (a head count may be u32, i32 or u64), so any integer is taken for an
 * integer and range-checked; a key of another kind is an error, never silently the default. */
#include "gguf.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char *const type_names[GGUF_TYPE_COUNT] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                        "bool", "string", "array", "u64", "i64", "f64"};

const char *gguf_type_name(enum gguf_type type)
{
    return (unsigned)type < GGUF_TYPE_COUNT ? type_names[type] : "unknown";
}

static int is_integer(enum gguf_type type)
{
    return type != GGUF_F32 && type != GGUF_F64 && type != GGUF_STRING && type != GGUF_ARRAY;
}

static int is_float(enum gguf_type type)
{
    return type == GGUF_F32 || type == GGUF_F64;
}

static enum status wrong_type(const struct gguf *gguf, const struct gguf_key *key, const char *expected,
                              struct diag *diag)
{
    return diag_fail(diag, STATUS_FORMAT, "%s: key %.64s: expected %s, found %s%s", gguf->path, key->name, expected,
                     key->type == GGUF_ARRAY ? "an array of " : "", gguf_type_name(key->element));
}

/* ---- elements ---- */

static uint64_t load(const uint8_t *data, uint64_t i, size_t size)
{
    uint64_t bits = 0;
    memcpy(&bits, data + i * size, size); /* little-endian host */
    return bits;
}

int64_t gguf_element_int(const struct gguf_key *array, uint64_t i)
{
    const uint8_t *data = array->data;
    switch (array->element) {
    case GGUF_U8:
    case GGUF_BOOL:
        return data[i];
    case GGUF_I8:
        return (int8_t)data[i];
    case GGUF_U16:
        return (uint16_t)load(data, i, 2);
    case GGUF_I16:
        return (int16_t)load(data, i, 2);
    case GGUF_U32:
        return (uint32_t)load(data, i, 4);
    case GGUF_I32:
        return (int32_t)load(data, i, 4);
    case GGUF_I64:
        return (int64_t)load(data, i, 8);
    case GGUF_U64: {
        uint64_t value = load(data, i, 8);
        return value > (uint64_t)INT64_MAX ? INT64_MAX : (int64_t)value;
    }
    default:
        return 0;
    }
}

double gguf_element_number(const struct gguf_key *array, uint64_t i)
{
    if (array->element == GGUF_F32) {
        float value;
        memcpy(&value, array->data + 4 * i, sizeof value);
        return (double)value;
    }
    if (array->element == GGUF_F64) {
        double value;
        memcpy(&value, array->data + 8 * i, sizeof value);
        return value;
    }
    return (double)gguf_element_int(array, i);
}

/* ---- scalars ---- */

static enum status get_int(const struct gguf *gguf, const char *name, int64_t low, int64_t high, int64_t *value,
                           struct diag *diag)
{
    const struct gguf_key *key = gguf_find(gguf, name);
    if (!key) {
        return STATUS_OK;
    }
    if (!is_integer(key->type)) {
        return wrong_type(gguf, key, "an integer", diag);
    }
    *value = gguf_element_int(key, 0);
    if (*value < low || *value > high) {
        return diag_fail(diag, STATUS_FORMAT, "%s: key %s: expected %" PRId64 " to %" PRId64 ", found %" PRId64,
                         gguf->path, name, low, high, *value);
    }
    return STATUS_OK;
}

enum status gguf_u32(const struct gguf *gguf, const char *name, uint32_t *value, struct diag *diag)
{
    int64_t wide = *value;
    enum status status = get_int(gguf, name, 0, UINT32_MAX, &wide, diag);
    if (!status) {
        *value = (uint32_t)wide;
    }
    return status;
}

enum status gguf_bool(const struct gguf *gguf, const char *name, int *value, struct diag *diag)
{
    int64_t wide = *value;
    enum status status = get_int(gguf, name, 0, 1, &wide, diag);
    if (!status) {
        *value = (int)wide;
    }
    return status;
}

enum status gguf_f32(const struct gguf *gguf, const char *name, float *value, struct diag *diag)
{
    const struct gguf_key *key = gguf_find(gguf, name);
    if (!key) {
        return STATUS_OK;
    }
    if (!is_float(key->type) && !is_integer(key->type)) {
        return wrong_type(gguf, key, "a number", diag);
    }
    double wide = gguf_element_number(key, 0);
    if (!isfinite((float)wide)) {
        return diag_fail(diag, STATUS_FORMAT, "%s: key %s: expected a finite number, found %g", gguf->path, name, wide);
    }
    *value = (float)wide;
    return STATUS_OK;
}

enum status gguf_string(const struct gguf *gguf, const char *name, const char **text, size_t *length, struct diag *diag)
{
    const struct gguf_key *key = gguf_find(gguf, name);
    if (!key) {
        return STATUS_OK;
    }
    if (key->type != GGUF_STRING) {
        return wrong_type(gguf, key, "a string", diag);
    }
    struct gguf_strings strings = gguf_strings(key);
    gguf_strings_next(&strings, text, length);
    return STATUS_OK;
}

/* ---- arrays ---- */

enum status gguf_array(const struct gguf *gguf, const char *name, enum gguf_type element, const struct gguf_key **array,
                       struct diag *diag)
{
    const struct gguf_key *key = gguf_find(gguf, name);
    *array = key;
    if (!key) {
        return STATUS_OK;
    }
    int fits = key->element == element || (is_float(element) && is_float(key->element)) ||
               (is_integer(element) && is_integer(key->element));
    if (key->type == GGUF_ARRAY && (fits || key->count == 0)) {
        return STATUS_OK;
    }
    const char *expected = element == GGUF_STRING ? "an array of strings"
                           : is_float(element)    ? "an array of floats"
                                                  : "an array of integers";
    return wrong_type(gguf, key, expected, diag);
}

struct gguf_strings gguf_strings(const struct gguf_key *array)
{
    int is_text = array->element == GGUF_STRING;
    return (struct gguf_strings){array->data, is_text ? array->count : 0};
}

int gguf_strings_next(struct gguf_strings *strings, const char **text, size_t *length)
{
    if (strings->left == 0) {
        return 0;
    }
    *length = (size_t)load(strings->next, 0, 8);
    *text = (const char *)strings->next + 8;
    strings->next += 8 + *length;
    strings->left--;
    return 1;
}
