/* fuzz_safetensors.c - any bytes as a safetensors file; what opens is read to the last number. */
#include <stdint.h>
#include <stdlib.h>

#include "io/tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned char sink;

/* Floats through the conversion, in pieces; every byte of the others. */
static void read_all(const struct pl_tensor *tensor)
{
    const unsigned char *bytes = tensor->data;
    pl_real numbers[64];

    if (tensor->dtype > PL_F64) {
        for (size_t i = 0; i < tensor->n_elements * pl_dtype_size(tensor->dtype); i++)
            sink ^= bytes[i];
        return;
    }
    for (size_t i = 0; i < tensor->n_elements; i += 64)
        pl_tensor_read(tensor, numbers, i,
                       tensor->n_elements - i < 64 ? tensor->n_elements - i : 64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct prilora_error err;
    struct pl_tensors *set;

    if (pl_tensors_parse_safetensors(&set, data, size, "input", &err) != PRILORA_OK)
        return 0;
    for (size_t i = 0; i < pl_tensors_count(set); i++) {
        const struct pl_tensor *tensor = pl_tensors_at(set, i);

        if (pl_tensors_find(set, tensor->name) != tensor)
            abort();
        read_all(tensor);
    }
    pl_tensors_close(set);
    return 0;
}
