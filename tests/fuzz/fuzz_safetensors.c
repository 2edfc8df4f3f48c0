/* fuzz_safetensors.c - any bytes through the safetensors reader; accepted tensors tile the data exactly. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile double sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors file;
    struct diag diag = {0};
    size_t covered = 0;

    if (safetensors_parse(&file, data, size, "fuzz", &diag) == STATUS_OK) {
        for (size_t i = 0; i < file.n_tensors; i++) {
            const struct safetensors_tensor *tensor = &file.tensors[i];

            if (safetensors_find(&file, tensor->name) != tensor)
                abort();
            covered += tensor->bytes;
            if (tensor->bytes)
                sink = tensor->data[0] + tensor->data[tensor->bytes - 1];
        }
        if (covered > size)
            abort();
    } else if (!diag.message[0]) {
        abort();
    }
    safetensors_close(&file);
    if (memory_live())
        abort();
    return 0;
}
