/* test_gguf.c - the GGUF reader and writer: round trips, lookups, split files, and every way a file can lie. */
#include <dirent.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "gguf.h"
#include "test.h"

static char folder[64];
static volatile double sink; /* keeps walks from being optimised away */

static const char *in_folder(const char *name)
{
    static char paths[4][256];
    static int turn;

    turn = (turn + 1) % 4;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

static void put_file(const char *path, const void *bytes, size_t length)
{
    FILE *file = fopen(path, "wb");

    CHECK(file && fwrite(bytes, 1, length, file) == length);
    if (file)
        fclose(file);
}

/* ---- files by hand, so that the reader is not tested with the writer alone ---- */

struct bytes {
    uint8_t data[8192];
    size_t n;
};

static void put(struct bytes *b, const void *data, size_t n)
{
    if (n <= sizeof b->data - b->n) {
        memcpy(b->data + b->n, data, n);
        b->n += n;
    }
}

static void put_u32(struct bytes *b, uint32_t value)
{
    put(b, &value, 4);
}

static void put_u64(struct bytes *b, uint64_t value)
{
    put(b, &value, 8);
}

static void put_text(struct bytes *b, const char *text)
{
    put_u64(b, strlen(text));
    put(b, text, strlen(text));
}

static void put_key(struct bytes *b, const char *name, uint32_t type)
{
    put_text(b, name);
    put_u32(b, type);
}

/* What a test wants to be different from a good file. */
struct lie {
    uint32_t version;
    uint64_t n_tensors, n_keys;
    uint64_t dim, offset;
    uint32_t tensor_type, n_dims;
    const char *second_key, *second_tensor;
    size_t cut; /* bytes taken off the end */
};

static const struct lie truth = {3, 2, 4, 4, 32, 0, 1, "b", "two", 0};

/* Four keys (u32, string, array of strings, array of f32), two F32 vectors of 4 and 3 elements. */
static void build(struct bytes *b, const struct lie *lie)
{
    static const float values[7] = {1, 2, 3, 4, 5, 6, 7}, array[2] = {0.5f, -1.5f};

    b->n = 0;
    put(b, "GGUF", 4);
    put_u32(b, lie->version);
    put_u64(b, lie->n_tensors);
    put_u64(b, lie->n_keys);
    put_key(b, "a", GGUF_U32);
    put_u32(b, 7);
    put_key(b, lie->second_key, GGUF_STRING);
    put_text(b, "text");
    put_key(b, "c", GGUF_ARRAY);
    put_u32(b, GGUF_STRING);
    put_u64(b, 3);
    put_text(b, "x");
    put_text(b, "");
    put_text(b, "yz");
    put_key(b, "d", GGUF_ARRAY);
    put_u32(b, GGUF_F32);
    put_u64(b, 2);
    put(b, array, sizeof array);
    put_text(b, "one");
    put_u32(b, lie->n_dims);
    put_u64(b, lie->dim);
    put_u32(b, lie->tensor_type);
    put_u64(b, 0);
    put_text(b, lie->second_tensor);
    put_u32(b, 1);
    put_u64(b, 3);
    put_u32(b, 0);
    put_u64(b, lie->offset);
    while (b->n % 32)
        put(b, "", 1);
    put(b, values, 16);
    while (b->n % 32)
        put(b, "", 1);
    put(b, values + 4, 12);
    b->n -= lie->cut;
}

static enum status parse(struct gguf *gguf, const struct bytes *b, struct diag *diag)
{
    return gguf_parse(gguf, b->data, b->n, "test", GGUF_ALL, diag);
}

static void refused(const struct lie *lie, enum status status, const char *words)
{
    struct bytes b;
    struct gguf gguf;
    struct diag diag = {0};
    enum status got;

    build(&b, lie);
    got = parse(&gguf, &b, &diag);
    CHECK_MSG(got == status && strstr(diag.message, words), "wanted '%s', got %d: %s", words, got, diag.message);
    gguf_close(&gguf);
    CHECK(memory_live() == 0);
}

/* Touches all that the accessors can reach; a sanitizer sees a byte too far. */
static double walk(const struct gguf *gguf)
{
    double sum = 0;

    for (size_t i = 0; i < gguf->n_keys; i++) {
        const struct gguf_key *key = &gguf->keys[i];
        struct gguf_strings strings = gguf_strings(key);
        const char *text;
        size_t length;

        CHECK(gguf_find(gguf, key->name) == key);
        while (gguf_strings_next(&strings, &text, &length))
            for (size_t j = 0; j < length; j++)
                sum += text[j];
        for (uint64_t j = 0; key->element != GGUF_STRING && j < key->count; j++)
            sum += gguf_element_number(key, j);
    }
    for (size_t i = 0; i < gguf->n_tensors; i++) {
        const struct gguf_tensor *tensor = &gguf->tensors[i];

        CHECK(gguf_tensor(gguf, tensor->name) == tensor && tensor->bytes > 0);
        for (size_t j = 0; j < tensor->bytes; j++)
            sum += tensor->data[j];
    }
    return sum;
}

/* ---- tests ---- */

static void reads_what_is_there(void)
{
    for (uint32_t version = 2; version <= 3; version++) {
        struct lie lie = truth;
        struct bytes b;
        struct gguf gguf;
        struct diag diag;
        float third;

        lie.version = version;
        build(&b, &lie);
        CHECK(parse(&gguf, &b, &diag) == STATUS_OK);
        CHECK(gguf.version == version && gguf.n_keys == 4 && gguf.n_tensors == 2 && gguf.alignment == 32);
        const struct gguf_tensor *two = gguf_tensor(&gguf, "two");
        CHECK(two && two->n_dims == 1 && two->dims[0] == 3 && two->dims[3] == 1 && two->n_elements == 3);
        memcpy(&third, two->data + 8, 4);
        CHECK(two->type == DTYPE_F32 && two->bytes == 12 && third == 7.0f);
        CHECK(!gguf_tensor(&gguf, "three") && !gguf_find(&gguf, "") && gguf_find(&gguf, "d")->count == 2);
        walk(&gguf);
        gguf_close(&gguf);
        CHECK(memory_live() == 0);
    }
}

static void keys_alone(void)
{
    struct lie lie = truth;
    struct bytes b;
    struct gguf gguf;
    struct diag diag;
    uint32_t a = 0;

    lie.cut = 40; /* tensor data that is not there, and a type that nobody knows */
    lie.tensor_type = 99;
    build(&b, &lie);
    CHECK(parse(&gguf, &b, &diag) != STATUS_OK);
    CHECK(gguf_parse(&gguf, b.data, b.n, "test", GGUF_KEYS, &diag) == STATUS_OK);
    CHECK(gguf_u32(&gguf, "a", &a, &diag) == STATUS_OK && a == 7 && gguf.n_tensors == 0 && !gguf_tensor(&gguf, "one"));
    gguf_close(&gguf);
}

static void lies_are_named(void)
{
    struct lie lie;

    lie = truth, lie.version = 1;
    refused(&lie, STATUS_UNSUPPORTED, "version 2 or 3, found 1");
    lie = truth, lie.version = 0x03000000;
    refused(&lie, STATUS_UNSUPPORTED, "big-endian");
    lie = truth, lie.n_keys = 5;
    refused(&lie, STATUS_FORMAT, "test");
    lie = truth, lie.n_keys = UINT64_MAX;
    refused(&lie, STATUS_FORMAT, "keys cannot fit");
    lie = truth, lie.n_tensors = UINT64_MAX;
    refused(&lie, STATUS_FORMAT, "tensors cannot fit");
    lie = truth, lie.n_tensors = 3;
    refused(&lie, STATUS_FORMAT, "test");
    lie = truth, lie.second_key = "a";
    refused(&lie, STATUS_FORMAT, "key a: found twice");
    lie = truth, lie.second_tensor = "one";
    refused(&lie, STATUS_FORMAT, "tensor one: found twice");
    lie = truth, lie.second_key = "";
    refused(&lie, STATUS_FORMAT, "a key name of 1 to 65535 bytes");
    lie = truth, lie.second_tensor = "";
    refused(&lie, STATUS_FORMAT, "a tensor name of 1 to 64 bytes");
    lie = truth, lie.dim = 0;
    refused(&lie, STATUS_FORMAT, "tensor one: dimension 0 is 0");
    lie = truth, lie.dim = (uint64_t)1 << 63;
    refused(&lie, STATUS_FORMAT, "tensor one: dimension 0");
    lie = truth, lie.dim = (uint64_t)1 << 61;
    refused(&lie, STATUS_FORMAT, "tensor one: 2305843009213693952 elements");
    lie = truth, lie.dim = 5000;
    refused(&lie, STATUS_FORMAT, "tensor one: 5000 elements of F32 do not fit");
    lie = truth, lie.n_dims = 0;
    refused(&lie, STATUS_FORMAT, "tensor one: expected 1 to 4 dimensions, found 0");
    lie = truth, lie.n_dims = 5;
    refused(&lie, STATUS_FORMAT, "found 5");
    lie = truth, lie.tensor_type = 2;
    refused(&lie, STATUS_FORMAT, "tensor one: expected rows of a multiple of 32");
    lie = truth, lie.tensor_type = 16;
    refused(&lie, STATUS_UNSUPPORTED, "tensor one: type 16 (IQ2_XXS)");
    lie = truth, lie.tensor_type = 4000000000u;
    refused(&lie, STATUS_UNSUPPORTED, "type 4000000000");
    lie = truth, lie.offset = 0;
    refused(&lie, STATUS_FORMAT, "tensor two: expected offset 32, found 0");
    lie = truth, lie.offset = 33;
    refused(&lie, STATUS_FORMAT, "expected offset 32, found 33");
    lie = truth, lie.offset = UINT64_MAX - 8;
    refused(&lie, STATUS_FORMAT, "tensor two: expected offset 32");
    lie = truth, lie.cut = 1;
    refused(&lie, STATUS_FORMAT, "tensor two: expected 12 bytes at byte");
}

/* One key of any kind in an otherwise empty file. */
static enum status parse_key(struct gguf *gguf, const char *name, uint32_t type, const void *value, size_t n,
                             struct diag *diag)
{
    static struct bytes b;

    b.n = 0;
    put(&b, "GGUF", 4);
    put_u32(&b, 3);
    put_u64(&b, 0);
    put_u64(&b, 1);
    put_key(&b, name, type);
    put(&b, value, n);
    return parse(gguf, &b, diag);
}

static void bad_values_are_named(void)
{
    static const struct {
        const char *name;
        uint32_t type;
        const char *value;
        size_t n;
        const char *words;
    } cases[] = {
        {"k", 13, "abcdefgh", 8, "key k: expected a value type of 0 to 12, found 13"},
        {"k", GGUF_BOOL, "\2", 1, "key k: expected a bool of 0 or 1, found 2"},
        {"k", GGUF_U64, "abcd", 4, "expected 1 values of type u64"},
        {"k", GGUF_STRING, "\3\0\0\0\0\0\0\0ab", 10, "a string of 3 bytes, but only 2"},
        {"k", GGUF_STRING, "\377\377\377\377\377\377\377\377ab", 10, "18446744073709551615 bytes, but only 2"},
        {"k", GGUF_ARRAY, "\4\0\0\0\377\377\377\377\377\377\377\177abcd", 16, "9223372036854775807 values of type u32"},
        {"k", GGUF_ARRAY, "\10\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0x", 21, "expected a string of 8 bytes"},
        {"k", GGUF_ARRAY, "\11\0\0\0\1\0\0\0\0\0\0\0", 12, "key k: arrays of arrays"},
        {"k", GGUF_ARRAY, "\7\0\0\0\2\0\0\0\0\0\0\0\1\3", 14, "expected a bool of 0 or 1, found 3"},
        {"general.alignment", GGUF_U32, "\060\0\0\0", 4, "general.alignment: expected a power of two"},
        {"general.alignment", GGUF_U32, "\0\0\0\0", 4, "general.alignment: expected a power of two"},
        {"general.alignment", GGUF_F32, "\0\0\0\0", 4, "general.alignment: expected an integer, found f32"},
        {"split.count", GGUF_U32, "\377\377\377\377", 4, "split.count: expected at most"},
        {"split.count", GGUF_U16, "\2\0", 2, "expected the first part, with a name ending in -00001-of-00002.gguf"},
        {"split.tensors.count", GGUF_I32, "\1\0\0\0", 4, "split.tensors.count"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gguf gguf;
        struct diag diag = {0};
        enum status status = parse_key(&gguf, cases[i].name, cases[i].type, cases[i].value, cases[i].n, &diag);

        CHECK_MSG(status && strstr(diag.message, cases[i].words), "case %zu: %s", i, diag.message);
        gguf_close(&gguf);
    }
}

static void lookups_convert_and_refuse(void)
{
    static const int64_t minus = -3;
    static const double number = 0.25, huge = 1e300;
    static const uint64_t wide = UINT64_MAX;
    struct gguf gguf;
    struct diag diag = {0};
    uint32_t u = 9;
    float f = 9;
    int b = 9;
    const char *text = "old";
    size_t length = 3;
    const struct gguf_key *array;

    CHECK(parse_key(&gguf, "k", GGUF_I64, &minus, 8, &diag) == STATUS_OK);
    CHECK(gguf_u32(&gguf, "missing", &u, &diag) == STATUS_OK && u == 9);
    CHECK(gguf_u32(&gguf, "k", &u, &diag) == STATUS_FORMAT && u == 9);
    CHECK(strcmp(diag.message, "test: key k: expected 0 to 4294967295, found -3") == 0);
    CHECK(gguf_f32(&gguf, "k", &f, &diag) == STATUS_OK && f == -3.0f);
    CHECK(gguf_bool(&gguf, "k", &b, &diag) == STATUS_FORMAT && b == 9);
    CHECK(gguf_string(&gguf, "k", &text, &length, &diag) == STATUS_FORMAT && length == 3);
    CHECK(strcmp(diag.message, "test: key k: expected a string, found i64") == 0);
    CHECK(gguf_array(&gguf, "k", GGUF_I32, &array, &diag) == STATUS_FORMAT);
    gguf_close(&gguf);
    CHECK(parse_key(&gguf, "k", GGUF_F64, &number, 8, &diag) == STATUS_OK);
    CHECK(gguf_f32(&gguf, "k", &f, &diag) == STATUS_OK && f == 0.25f);
    CHECK(gguf_u32(&gguf, "k", &u, &diag) == STATUS_FORMAT);
    gguf_close(&gguf);
    CHECK(parse_key(&gguf, "k", GGUF_F64, &huge, 8, &diag) == STATUS_OK);
    CHECK(gguf_f32(&gguf, "k", &f, &diag) == STATUS_FORMAT && f == 0.25f);
    gguf_close(&gguf);
    CHECK(parse_key(&gguf, "k", GGUF_U64, &wide, 8, &diag) == STATUS_OK);
    CHECK(gguf_u32(&gguf, "k", &u, &diag) == STATUS_FORMAT && gguf_element_int(&gguf.keys[0], 0) == INT64_MAX);
    gguf_close(&gguf);
    CHECK(parse_key(&gguf, "k", GGUF_ARRAY, "\10\0\0\0\0\0\0\0\0\0\0\0", 12, &diag) == STATUS_OK); /* no elements */
    CHECK(gguf_array(&gguf, "k", GGUF_I32, &array, &diag) == STATUS_OK && array && array->count == 0);
    gguf_close(&gguf);
}

static void every_prefix_fails(void)
{
    struct bytes b;

    build(&b, &truth);
    for (size_t n = 0; n < b.n; n++) {
        uint8_t *copy = malloc(n + 1);
        struct gguf gguf;
        struct diag diag = {0};

        memcpy(copy, b.data, n);
        CHECK(gguf_parse(&gguf, copy, n, "test", GGUF_ALL, &diag) == STATUS_FORMAT && diag.message[0]);
        if (gguf_parse(&gguf, copy, n, "test", GGUF_KEYS, &diag) == STATUS_OK)
            walk(&gguf);
        gguf_close(&gguf);
        free(copy);
    }
    CHECK(memory_live() == 0);
}

/* Any value of any byte: refused with a message, or a file that can be walked. Some must fall on each side. */
static void every_byte_changed(void)
{
    size_t accepted = 0, rejected = 0, step = test_quick() ? 17 : 1;
    struct bytes b;
    double sum = 0;

    build(&b, &truth);
    for (size_t at = 0; at < b.n; at++)
        for (unsigned change = 1; change < 256; change += (unsigned)step) {
            uint8_t *copy = malloc(b.n);
            struct gguf gguf;
            struct diag diag = {0};

            memcpy(copy, b.data, b.n);
            copy[at] ^= (uint8_t)change;
            if (gguf_parse(&gguf, copy, b.n, "test", GGUF_ALL, &diag) == STATUS_OK) {
                sum += walk(&gguf);
                accepted++;
            } else {
                CHECK(diag.message[0]);
                rejected++;
            }
            gguf_close(&gguf);
            free(copy);
        }
    CHECK_MSG(accepted > 1000 / step && rejected > 1000 / step, "%zu accepted, %zu rejected", accepted, rejected);
    sink = sum;
    CHECK(memory_live() == 0);
}

static void allocations_fail(void)
{
    struct bytes b;
    struct gguf gguf;
    struct diag diag;
    enum status status = STATUS_MEMORY;
    size_t n = 0;

    build(&b, &truth);
    while (status == STATUS_MEMORY && n < 100) {
        memory_fail_at(++n);
        status = parse(&gguf, &b, &diag);
        memory_fail_at(0);
        gguf_close(&gguf);
        CHECK(memory_live() == 0);
    }
    CHECK(status == STATUS_OK && n > 1);
}

/* ---- writing ---- */

static const float vector_data[5] = {1, -2, 3, -4, 5};

static void put_everything(struct gguf_writer *w)
{
    static const uint64_t matrix[2] = {64, 3}, vector[1] = {5};
    static const int64_t wide[2] = {-5, (int64_t)1 << 40};

    gguf_put_u32(w, "u", 4000000000u);
    gguf_put_i32(w, "i", -4);
    gguf_put_f32(w, "f", 0.1f);
    gguf_put_bool(w, "b", 1);
    gguf_put_string(w, "s", "a\0b", 3);
    gguf_put_array(w, "n", GGUF_I64, wide, 2);
    gguf_put_strings(w, "t", 2);
    gguf_put_strings_element(w, "", 0);
    gguf_put_strings_element(w, "two", 3);
    gguf_put_tensor(w, "vector", DTYPE_F32, 1, vector);
    gguf_put_tensor(w, "matrix", DTYPE_Q8_0, 2, matrix);
}

static enum status write_file(const char *path, size_t piece, struct diag *diag)
{
    struct gguf_writer w = {0};
    uint8_t all[20 + 6 * 34];
    enum status status;

    memcpy(all, vector_data, 20);
    for (size_t i = 20; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    put_everything(&w);
    status = gguf_write_begin(&w, path, diag);
    for (size_t at = 0; at < sizeof all && !status; at += piece)
        status = gguf_write_data(&w, all + at, at + piece <= sizeof all ? piece : sizeof all - at, diag);
    if (!status)
        status = gguf_write_commit(&w, diag);
    gguf_write_abandon(&w);
    return status;
}

static void check_file(const char *path)
{
    struct gguf gguf;
    struct diag diag = {0};
    uint32_t u = 0;
    float f = 0;
    int b = 0;
    const char *text = NULL;
    size_t length = 0;
    const struct gguf_key *array;

    CHECK_MSG(gguf_open(&gguf, path, GGUF_ALL, &diag) == STATUS_OK, "%s", diag.message);
    CHECK(gguf.version == 3 && gguf.n_keys == 7 && gguf.n_tensors == 2);
    CHECK(!gguf_u32(&gguf, "u", &u, &diag) && u == 4000000000u && gguf_element_int(gguf_find(&gguf, "i"), 0) == -4);
    CHECK(!gguf_f32(&gguf, "f", &f, &diag) && f == 0.1f && !gguf_bool(&gguf, "b", &b, &diag) && b == 1);
    CHECK(!gguf_string(&gguf, "s", &text, &length, &diag) && length == 3 && memcmp(text, "a\0b", 3) == 0);
    CHECK(!gguf_array(&gguf, "n", GGUF_I32, &array, &diag) && array->count == 2);
    CHECK(array && gguf_element_int(array, 0) == -5 && gguf_element_int(array, 1) == (int64_t)1 << 40);
    CHECK(!gguf_array(&gguf, "t", GGUF_STRING, &array, &diag) && array->count == 2);
    struct gguf_strings strings = gguf_strings(array);
    CHECK(gguf_strings_next(&strings, &text, &length) && length == 0);
    CHECK(gguf_strings_next(&strings, &text, &length) && length == 3 && memcmp(text, "two", 3) == 0);
    CHECK(!gguf_strings_next(&strings, &text, &length));
    const struct gguf_tensor *vector = gguf_tensor(&gguf, "vector"), *matrix = gguf_tensor(&gguf, "matrix");
    CHECK(vector && memcmp(vector->data, vector_data, 20) == 0);
    CHECK(matrix && matrix->type == DTYPE_Q8_0 && matrix->dims[0] == 64 && matrix->dims[1] == 3);
    CHECK(matrix && matrix->bytes == 6 * 34 && matrix->data[0] == 20 && matrix->data[6 * 34 - 1] == 223);
    CHECK((vector->data - gguf.maps[0].data) % 32 == 0 && (matrix->data - gguf.maps[0].data) % 32 == 0);
    gguf_close(&gguf);
}

static void writes_what_it_reads(void)
{
    struct diag diag = {0};

    CHECK(write_file(in_folder("w.gguf"), 1000, &diag) == STATUS_OK);
    check_file(in_folder("w.gguf"));
    CHECK(write_file(in_folder("w.gguf"), 1, &diag) == STATUS_OK); /* pieces that cross tensors */
    check_file(in_folder("w.gguf"));
    CHECK(gguf_is_file(in_folder("w.gguf")) && !gguf_is_file(in_folder("none")) && !gguf_is_file(folder));
    CHECK(memory_live() == 0);
}

static void copies_keys(void)
{
    struct gguf_writer w = {0};
    struct gguf from, to;
    struct diag diag = {0};

    CHECK(write_file(in_folder("a.gguf"), 100, &diag) == STATUS_OK);
    CHECK(gguf_open(&from, in_folder("a.gguf"), GGUF_ALL, &diag) == STATUS_OK);
    for (size_t i = 0; i < from.n_keys; i++)
        gguf_put_key(&w, &from.keys[i]);
    CHECK(!gguf_write_begin(&w, in_folder("b.gguf"), &diag) && !gguf_write_commit(&w, &diag));
    CHECK(gguf_open(&to, in_folder("b.gguf"), GGUF_ALL, &diag) == STATUS_OK && to.n_keys == from.n_keys);
    for (size_t i = 0; i < to.n_keys && i < from.n_keys; i++) {
        const struct gguf_key *a = &from.keys[i], *b = &to.keys[i];
        CHECK(!strcmp(a->name, b->name) && a->type == b->type && a->element == b->element && a->count == b->count);
        CHECK(a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0);
    }
    gguf_close(&from);
    gguf_close(&to);
}

/* Every write that fails leaves the old file; every allocation that fails is reported. */
static void writes_fail(void)
{
    const char *path = in_folder("full.gguf");
    struct diag diag = {0};
    enum status status = STATUS_IO;
    size_t n = 0;

    put_file(path, "old", 3);
    while (status == STATUS_IO && n < 100) {
        struct stat info;
        file_fail_at(++n);
        status = write_file(path, 50, &diag);
        file_fail_at(0);
        CHECK(status == STATUS_OK || (stat(path, &info) == 0 && info.st_size == 3));
    }
    CHECK(status == STATUS_OK && n > 1);
    check_file(path);
    for (n = 1, status = STATUS_MEMORY; status == STATUS_MEMORY && n < 100; n++) {
        memory_fail_at(n);
        status = write_file(path, 50, &diag);
        memory_fail_at(0);
        CHECK(memory_live() == 0);
    }
    CHECK(status == STATUS_OK && n > 2);
}

/* ---- split files ---- */

static void write_part(const char *path, uint32_t number, uint32_t count, int32_t total, const char *tensor)
{
    static const uint64_t dims[1] = {5};
    struct gguf_writer w = {0};
    struct diag diag = {0};

    gguf_put_u32(&w, "split.no", number);
    gguf_put_u32(&w, "split.count", count);
    gguf_put_i32(&w, "split.tensors.count", total);
    gguf_put_tensor(&w, tensor, DTYPE_F32, 1, dims);
    CHECK(!gguf_write_begin(&w, path, &diag) && !gguf_write_data(&w, vector_data, 20, &diag) &&
          !gguf_write_commit(&w, &diag));
}

static enum status open_split(struct diag *diag)
{
    struct gguf gguf;
    enum status status = gguf_open(&gguf, in_folder("m-00001-of-00003.gguf"), GGUF_ALL, diag);

    if (!status) {
        CHECK(gguf.n_maps == 3 && gguf.n_tensors == 3 && gguf_tensor(&gguf, "t3")->part == 2);
        walk(&gguf);
    }
    gguf_close(&gguf);
    CHECK(memory_live() == 0);
    return status;
}

static void split_files_are_joined(void)
{
    const char *first = "m-00001-of-00003.gguf", *second = "m-00002-of-00003.gguf", *third = "m-00003-of-00003.gguf";
    struct gguf gguf;
    struct diag diag = {0};

    write_part(in_folder(first), 0, 3, 3, "t1");
    write_part(in_folder(second), 1, 3, 3, "t2");
    CHECK(open_split(&diag) == STATUS_IO && strstr(diag.message, third));
    write_part(in_folder(third), 2, 3, 3, "t3");
    CHECK_MSG(open_split(&diag) == STATUS_OK, "%s", diag.message);
    CHECK(gguf_open(&gguf, in_folder(second), GGUF_ALL, &diag) == STATUS_FORMAT);
    CHECK(strstr(diag.message, "part 2 of 3: expected the first part"));
    write_part(in_folder(third), 1, 3, 3, "t3");
    CHECK(open_split(&diag) == STATUS_FORMAT && strstr(diag.message, "split.no: expected part 2 of 3"));
    write_part(in_folder(third), 2, 4, 3, "t3");
    CHECK(open_split(&diag) == STATUS_FORMAT && strstr(diag.message, "found 2 of 4"));
    write_part(in_folder(third), 2, 3, 3, "t1");
    CHECK(open_split(&diag) == STATUS_FORMAT && strstr(diag.message, "tensor t1: found twice"));
    write_part(in_folder(first), 0, 3, 4, "t1");
    write_part(in_folder(third), 2, 3, 3, "t3");
    CHECK(open_split(&diag) == STATUS_FORMAT && strstr(diag.message, "split.tensors.count"));
}

/* ---- the corpus ---- */

/* fixtures/bad/gguf: each file is wrong in the way that its name tells, and refused in one line that names it. */
static void corpus_is_refused(void)
{
    DIR *dir = opendir("fixtures/bad/gguf");
    struct dirent *entry;
    int n = 0;

    while (dir && (entry = readdir(dir)) != NULL) {
        struct gguf gguf;
        struct diag diag = {0};
        char path[512];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "fixtures/bad/gguf/%s", entry->d_name);
        enum status status = gguf_open(&gguf, path, GGUF_ALL, &diag);
        CHECK_MSG(status == STATUS_FORMAT || status == STATUS_UNSUPPORTED, "%s: status %d", path, status);
        CHECK_MSG(strncmp(diag.message, path, strlen(path)) == 0, "%s: %s", path, diag.message);
        gguf_close(&gguf);
        n++;
    }
    if (dir)
        closedir(dir);
    CHECK_MSG(n >= 20, "%d files", n);
    CHECK(memory_live() == 0);
}

static void clean_up(void)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.')
            unlink(in_folder(entry->d_name));
    if (dir)
        closedir(dir);
    rmdir(folder);
}

int main(void)
{
    snprintf(folder, sizeof folder, "/tmp/arklet-gguf-XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    RUN(reads_what_is_there);
    RUN(keys_alone);
    RUN(lies_are_named);
    RUN(bad_values_are_named);
    RUN(lookups_convert_and_refuse);
    RUN(every_prefix_fails);
    RUN(every_byte_changed);
    RUN(allocations_fail);
    RUN(writes_what_it_reads);
    RUN(copies_keys);
    RUN(writes_fail);
    RUN(split_files_are_joined);
    RUN(corpus_is_refused);
    clean_up();
    return TEST_RESULT();
}
