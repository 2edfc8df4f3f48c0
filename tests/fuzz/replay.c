/* replay.c - a main for fuzz targets without a fuzzer: feeds the files named as arguments (folders: all files in them),
 * each whole, cut short, and with bytes changed.
 *
 *   replay_json [-n CHANGES] FILE...          default: 400 changed versions of each file, 40 when QUICK is set
 *
 * The changes are a function of the file's content alone, so a crash comes back on the next run. An input that makes
 * the target crash is named by the last line on standard error before it. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static long changes;
static size_t n_inputs;

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u; /* Knuth, MMIX */
    return *state >> 33;
}

/* A fresh heap copy of the exact size, so that the sanitizers see one byte too far. */
static void feed(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        exit(1);
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    n_inputs++;
}

/* Cuts, overwrites with edge values or random bytes, repeats a piece. */
static size_t change(uint8_t *data, size_t size, uint64_t *random)
{
    static const uint8_t edges[] = {0, 1, 0x7F, 0x80, 0xFF, '"', '\\', '[', '{', '-', '\n', 0xC2};
    size_t n_edits = 1 + next_random(random) % 4;

    for (size_t i = 0; i < n_edits && size; i++) {
        size_t at = next_random(random) % size;
        uint64_t kind = next_random(random) % 8;
        if (kind == 0)
            size = at;
        else if (kind < 4)
            data[at] = edges[next_random(random) % sizeof edges];
        else if (kind < 7)
            data[at] ^= (uint8_t)(1u << next_random(random) % 8);
        else
            memmove(data + at, data + at / 2, size - at);
    }
    return size;
}

static void replay_bytes(const uint8_t *data, size_t size)
{
    uint64_t random = size * 0x9E3779B97F4A7C15u + (size ? data[size / 2] : 0);
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        exit(1);
    feed(data, size);
    for (size_t cut = 0; cut < size && cut < (size_t)changes; cut++)
        feed(data, size <= (size_t)changes ? cut : next_random(&random) % size);
    for (long i = 0; i < changes; i++) {
        memcpy(copy, data, size);
        feed(copy, change(copy, size, &random));
    }
    free(copy);
}

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t size = 0, n;

    if (!file) {
        printf("FAIL replay: cannot open %s\n", path);
        exit(1);
    }
    fprintf(stderr, "replay: %s\n", path);
    do {
        data = realloc(data, size + 65536);
        if (!data)
            exit(1);
        n = fread(data + size, 1, 65536, file);
        size += n;
    } while (n);
    fclose(file);
    replay_bytes(data, size);
    free(data);
}

static void replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    char name[4096];

    while (folder && (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        replay_file(name);
    }
    if (folder)
        closedir(folder);
}

int main(int argc, char **argv)
{
    const char *quick = getenv("QUICK");
    int first = 1;
    struct stat info;

    changes = quick && *quick && *quick != '0' ? 40 : 400;
    if (argc > 2 && strcmp(argv[1], "-n") == 0) {
        changes = strtol(argv[2], NULL, 10);
        first = 3;
    }
    replay_bytes((const uint8_t *)"", 0);
    for (int i = first; i < argc; i++)
        if (stat(argv[i], &info) == 0 && S_ISDIR(info.st_mode))
            replay_folder(argv[i]);
        else
            replay_file(argv[i]);
    printf("ok replay of %zu inputs\n", n_inputs);
    return 0;
}
