/* test_dataset.c - records in shuffled order: every epoch has each once, blocks stay together, wrong ones are named. */
#include <unistd.h>

#include "dataset.h"
#include "file.h"
#include "test.h"

static struct diag diag;
static char folder[64] = "/tmp/arklet_dataset_XXXXXX", path[96];
static struct dataset dataset;

static void write_file(const char *text)
{
    FILE *file = fopen(path, "wb");

    CHECK(file && fputs(text, file) >= 0);
    if (file)
        fclose(file);
}

/* {"n": x}: below 0 it is left out, 99 is wrong. */
static enum status check(void *context, const struct json *record, const char *where, struct arena *arena, int *skip,
                         struct diag *d)
{
    double n = json_number(record, "n", 99);

    ++*(int *)context;
    *skip = n < 0;
    CHECK(arena_alloc(arena, 100));
    return n == 99 ? diag_fail(d, STATUS_FORMAT, "%s: expected n", where) : STATUS_OK;
}

static enum status open_text(const char *text, int *checked)
{
    *checked = 0;
    write_file(text);
    return dataset_open(&dataset, path, folder, "index.bin", "number", check, checked, &diag);
}

static void reading(void)
{
    const struct json *record;
    int checked;

    CHECK(open_text("{\"n\":1}\n\n{\"n\":-1}\n{\"n\":2}\n{\"n\":3}", &checked) == STATUS_OK);
    CHECK(dataset.n == 3 && checked == 4);
    CHECK(dataset_read(&dataset, 2, &record, &diag) == STATUS_OK && json_number(record, "n", 0) == 3);
    CHECK(strstr(dataset.where, ":5"));
    CHECK(dataset_read(&dataset, 1, &record, &diag) == STATUS_OK && json_number(record, "n", 0) == 2);
    CHECK(strstr(dataset.where, ":4"));
    CHECK(dataset_total(&dataset, 2.5) == 8 && dataset_total(&dataset, 0.01) == 1);
    dataset_close(&dataset);
}

/* In blocks of 4 of 22 records five blocks change places; two records stay at the end. */
static void shuffling(void)
{
    static const uint64_t blocks[] = {1, 4, 22, 30};
    struct buffer text = {0};
    int checked, moved = 0;

    for (int i = 0; i < 22; i++)
        buffer_format(&text, "{\"n\":%d}\n", i);
    CHECK(open_text(text.data, &checked) == STATUS_OK && dataset.n == 22);
    for (size_t b = 0; b < 4; b++)
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            unsigned seen = 0;

            for (uint64_t i = 0; i < 22; i++) {
                uint64_t at = dataset_shuffled(&dataset, 7, epoch * 22 + i, blocks[b]);

                CHECK(at < 22);
                seen |= 1u << at;
                moved += b == 1 && at != i;
                if (b == 1 && i < 20)
                    CHECK(at % 4 == i % 4 &&
                          (i % 4 == 0 || at == dataset_shuffled(&dataset, 7, epoch * 22 + i - 1, 4) + 1));
                if (b == 1 && i >= 20)
                    CHECK(at == i);
            }
            CHECK_MSG(seen == (1u << 22) - 1, "block %d, epoch %d", (int)blocks[b], (int)epoch);
        }
    CHECK(moved > 0);
    dataset_close(&dataset);
    buffer_free(&text);
}

static void refused(void)
{
    int checked;

    CHECK(open_text("{\"n\":1}\n{\"m\":1}\n", &checked) == STATUS_FORMAT && strstr(diag.message, ":2: expected n"));
    CHECK(open_text("{\"n\":-1}\n", &checked) == STATUS_FORMAT &&
          strstr(diag.message, "at least one number, found none"));
    CHECK(open_text("{\"n\":1", &checked) == STATUS_FORMAT && strstr(diag.message, ":1: "));
    unlink(path);
    CHECK(dataset_open(&dataset, path, folder, "index.bin", "number", check, &checked, &diag) == STATUS_IO);
    dataset_close(&dataset);
}

int main(void)
{
    char command[96];

    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/checkpoint", folder);
    CHECK(file_make_folder(path, &diag) == STATUS_OK);
    snprintf(path, sizeof path, "%s/data", folder);
    RUN(reading);
    RUN(shuffling);
    RUN(refused);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK(system(command) == 0);
    return TEST_RESULT();
}
