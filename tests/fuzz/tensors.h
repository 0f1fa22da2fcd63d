/* tensors.h - what every fuzz target of tensor files does with a set that opened. */
#ifndef FUZZ_TENSORS_H
#define FUZZ_TENSORS_H

#include <stdlib.h>

#include "io/tensors.h"

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

/* Finds and reads every tensor, then closes the set. */
static void read_set(struct pl_tensors *set)
{
    for (size_t i = 0; i < pl_tensors_count(set); i++) {
        const struct pl_tensor *tensor = pl_tensors_at(set, i);

        if (pl_tensors_find(set, tensor->name) != tensor)
            abort();
        read_all(tensor);
    }
    pl_tensors_close(set);
}

#endif
