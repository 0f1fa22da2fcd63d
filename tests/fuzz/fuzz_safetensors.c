/* fuzz_safetensors.c - any bytes as a safetensors file; what opens is read to the last number. */
#include <stdint.h>

#include "fuzz/tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct prilora_error err;
    struct pl_tensors *set;

    if (pl_tensors_parse_safetensors(&set, data, size, "input", &err) == PRILORA_OK)
        read_set(set);
    return 0;
}
