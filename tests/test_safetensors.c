/* test_safetensors.c - the safetensors reader and writer: round trips, and every way a file can lie. */
#include <dirent.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "safetensors.h"
#include "test.h"

static char path[64]; /* one scratch file */
static volatile double sink;

static const uint64_t matrix_dims[2] = {3, 2}, vector_dims[1] = {5}, empty_dims[2] = {0, 7};
static const uint8_t content[12 + 20] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static enum status write_file(size_t piece, struct diag *diag)
{
    struct safetensors_writer w = {0};
    enum status status;

    safetensors_put(&w, "matrix", DTYPE_BF16, 2, matrix_dims);
    safetensors_put(&w, "quote\"d", DTYPE_F32, 1, vector_dims);
    safetensors_put(&w, "empty", DTYPE_F16, 2, empty_dims);
    status = safetensors_write_begin(&w, path, diag);
    for (size_t at = 0; at < sizeof content && !status; at += piece)
        status =
            safetensors_write_data(&w, content + at, at + piece <= sizeof content ? piece : sizeof content - at, diag);
    if (!status)
        status = safetensors_write_commit(&w, diag);
    safetensors_write_abandon(&w);
    return status;
}

static void check_file(void)
{
    struct safetensors file;
    struct diag diag = {0};

    CHECK_MSG(safetensors_open(&file, path, &diag) == STATUS_OK, "%s", diag.message);
    const struct safetensors_tensor *m = safetensors_find(&file, "matrix"), *v = safetensors_find(&file, "quote\"d");
    const struct safetensors_tensor *e = safetensors_find(&file, "empty");
    CHECK(file.n_tensors == 3 && m && v && e && !safetensors_find(&file, "other"));
    CHECK(m && m->type == DTYPE_BF16 && m->is_weight && m->n_dims == 2 && m->dims[0] == 3 && m->dims[1] == 2);
    CHECK(m && m->bytes == 12 && memcmp(m->data, content, 12) == 0 && strcmp(m->dtype_name, "BF16") == 0);
    CHECK(v && v->bytes == 20 && v->n_elements == 5 && memcmp(v->data, content + 12, 20) == 0);
    CHECK(e && e->bytes == 0 && e->n_elements == 0);
    CHECK(m && (m->data - file.map.data) % 8 == 0);
    safetensors_close(&file);
    CHECK(memory_live() == 0);
}

static void writes_what_it_reads(void)
{
    struct diag diag = {0};

    CHECK(write_file(100, &diag) == STATUS_OK);
    check_file();
    CHECK(write_file(1, &diag) == STATUS_OK);
    check_file();
}

/* Every write that fails leaves the old file; every allocation that fails is reported. */
static void writes_fail(void)
{
    struct diag diag = {0};
    enum status status = STATUS_IO;
    size_t n = 0;

    while (status == STATUS_IO && n < 100) {
        struct stat info;
        FILE *file = fopen(path, "wb");
        CHECK(file && fputs("old", file) >= 0);
        fclose(file);
        file_fail_at(++n);
        status = write_file(9, &diag);
        file_fail_at(0);
        CHECK(status == STATUS_OK || (stat(path, &info) == 0 && info.st_size == 3));
    }
    CHECK(status == STATUS_OK && n > 1);
    for (n = 1, status = STATUS_MEMORY; status == STATUS_MEMORY && n < 100; n++) {
        memory_fail_at(n);
        status = write_file(9, &diag);
        memory_fail_at(0);
        CHECK(memory_live() == 0);
    }
    CHECK(status == STATUS_OK && n > 2);
}

/* header and 24 bytes of data */
static size_t build(uint8_t *out, const char *header)
{
    uint64_t length = strlen(header);

    memcpy(out, &length, 8);
    memcpy(out + 8, header, (size_t)length);
    for (size_t i = 0; i < 24; i++)
        out[8 + length + i] = (uint8_t)i;
    return 8 + (size_t)length + 24;
}

static const char *const good = "{\"__metadata__\":{\"format\":\"pt\"},"
                                "\"b\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[16,24]},"
                                "\"a\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]}}  ";

static void walk(const struct safetensors *file)
{
    double sum = 0;

    for (size_t i = 0; i < file->n_tensors; i++)
        for (size_t j = 0; j < file->tensors[i].bytes; j++)
            sum += file->tensors[i].data[j];
    sink = sum;
}

static void order_and_integers(void)
{
    uint8_t bytes[512];
    size_t n = build(bytes, good);
    struct safetensors file;
    struct diag diag = {0};

    CHECK_MSG(safetensors_parse(&file, bytes, n, "test", &diag) == STATUS_OK, "%s", diag.message);
    const struct safetensors_tensor *a = safetensors_find(&file, "a"), *b = safetensors_find(&file, "b");
    CHECK(a && !a->is_weight && strcmp(a->dtype_name, "I64") == 0 && a->data[0] == 0);
    CHECK(b && b->is_weight && b->type == DTYPE_F16 && b->data[0] == 16);
    walk(&file);
    safetensors_close(&file);
}

static void lies_are_named(void)
{
    static const struct {
        const char *header, *words;
    } cases[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,20]}}", "6 elements of F32 do not take 20 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[0,20]}}", "4 bytes after the last tensor"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[1,25]}}", "bytes 1 to 25 lie outside the 24 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[4,24]}}", "tensor a: a gap lies before its bytes"},
        {"{\"a\":{\"dtype\":\"Q4\",\"shape\":[6],\"data_offsets\":[0,24]}}", "tensor a: dtype Q4 is not supported"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]},"
         "\"c\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[20,24]}}",
         "tensor c: its bytes overlap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[\"6\"],\"data_offsets\":[0,24]}}", "tensor a: expected dimensions"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":6,\"data_offsets\":[0,24]}}", "tensor a: expected a shape"},
        {"{\"a\":[]}", "tensor a: expected an object"},
        {"[7]", "expected a JSON object"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[512];
        size_t n = build(bytes, cases[i].header);
        struct safetensors file;
        struct diag diag = {0};

        CHECK(safetensors_parse(&file, bytes, n, "test", &diag) != STATUS_OK);
        CHECK_MSG(strstr(diag.message, cases[i].words), "case %zu: %s", i, diag.message);
        safetensors_close(&file);
    }
    CHECK(memory_live() == 0);
}

static void every_prefix_fails(void)
{
    uint8_t bytes[512];
    size_t n = build(bytes, good);

    for (size_t cut = 0; cut < n; cut++) {
        uint8_t *copy = malloc(cut + 1);
        struct safetensors file;
        struct diag diag = {0};

        memcpy(copy, bytes, cut);
        CHECK(safetensors_parse(&file, copy, cut, "test", &diag) == STATUS_FORMAT && diag.message[0]);
        safetensors_close(&file);
        free(copy);
    }
    CHECK(memory_live() == 0);
}

static void every_byte_changed(void)
{
    size_t accepted = 0, rejected = 0;
    unsigned step = test_quick() ? 17 : 1;
    uint8_t bytes[512];
    size_t n = build(bytes, good);

    for (size_t at = 0; at < n - 24; at++)
        for (unsigned change = 1; change < 256; change += step) {
            uint8_t *copy = malloc(n);
            struct safetensors file;
            struct diag diag = {0};

            memcpy(copy, bytes, n);
            copy[at] ^= (uint8_t)change;
            if (safetensors_parse(&file, copy, n, "test", &diag) == STATUS_OK) {
                walk(&file);
                accepted++;
            } else {
                CHECK(diag.message[0]);
                rejected++;
            }
            safetensors_close(&file);
            free(copy);
        }
    CHECK_MSG(accepted > 1000 / step && rejected > 1000 / step, "%zu accepted, %zu rejected", accepted, rejected);
    CHECK(memory_live() == 0);
}

static void allocations_fail(void)
{
    uint8_t bytes[512];
    size_t size = build(bytes, good), n = 0;
    struct safetensors file;
    struct diag diag;
    enum status status = STATUS_MEMORY;

    while (status == STATUS_MEMORY && n < 100) {
        memory_fail_at(++n);
        status = safetensors_parse(&file, bytes, size, "test", &diag);
        memory_fail_at(0);
        safetensors_close(&file);
        CHECK(memory_live() == 0);
    }
    CHECK(status == STATUS_OK && n > 1);
}

/* fixtures/bad/safetensors: each file is wrong in the way that its name tells, and refused in one line. */
static void corpus_is_refused(void)
{
    DIR *dir = opendir("fixtures/bad/safetensors");
    struct dirent *entry;
    int n = 0;

    while (dir && (entry = readdir(dir)) != NULL) {
        struct safetensors file;
        struct diag diag = {0};
        char name[512];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "fixtures/bad/safetensors/%s", entry->d_name);
        enum status status = safetensors_open(&file, name, &diag);
        CHECK_MSG(status == STATUS_FORMAT || status == STATUS_UNSUPPORTED, "%s: status %d", name, status);
        CHECK_MSG(strncmp(diag.message, name, strlen(name)) == 0, "%s: %s", name, diag.message);
        safetensors_close(&file);
        n++;
    }
    if (dir)
        closedir(dir);
    CHECK_MSG(n >= 20, "%d files", n);
    CHECK(memory_live() == 0);
}

int main(void)
{
    int fd;

    snprintf(path, sizeof path, "/tmp/arklet-safetensors-XXXXXX");
    fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    RUN(writes_what_it_reads);
    RUN(writes_fail);
    RUN(order_and_integers);
    RUN(lies_are_named);
    RUN(every_prefix_fails);
    RUN(every_byte_changed);
    RUN(allocations_fail);
    RUN(corpus_is_refused);
    unlink(path);
    return TEST_RESULT();
}
