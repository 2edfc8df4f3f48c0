/* fuzz_gguf.c - any bytes through the GGUF reader; whatever it accepts can be walked to its last byte. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile double sink;

static void walk(const struct gguf *gguf)
{
    double sum = 0;

    for (size_t i = 0; i < gguf->n_keys; i++) {
        const struct gguf_key *key = &gguf->keys[i];
        struct gguf_strings strings = gguf_strings(key);
        const char *text;
        size_t length;

        if (gguf_find(gguf, key->name) != key)
            abort();
        while (gguf_strings_next(&strings, &text, &length))
            sum += length ? text[0] + text[length - 1] : 0;
        for (uint64_t j = 0; key->element != GGUF_STRING && j < key->count; j++)
            sum += gguf_element_number(key, j);
    }
    for (size_t i = 0; i < gguf->n_tensors; i++) {
        const struct gguf_tensor *tensor = &gguf->tensors[i];

        if (gguf_tensor(gguf, tensor->name) != tensor)
            abort();
        sum += tensor->data[0] + tensor->data[tensor->bytes - 1];
    }
    sink = sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int extent = GGUF_ALL; extent <= GGUF_KEYS; extent++) {
        struct gguf gguf;
        struct diag diag = {0};

        if (gguf_parse(&gguf, data, size, "fuzz", (enum gguf_extent)extent, &diag) == STATUS_OK)
            walk(&gguf);
        else if (!diag.message[0])
            abort();
        gguf_close(&gguf);
        if (memory_live())
            abort();
    }
    return 0;
}
