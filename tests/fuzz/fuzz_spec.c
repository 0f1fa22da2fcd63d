/* fuzz_spec.c - any bytes as a specification; one that is accepted survives its own dump. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "prilora.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t ranks[PRILORA_MAX_LAYERS];
    struct prilora_spec *spec, *again;
    struct prilora_error err;
    char *first, *second;

    if (prilora_spec_parse(&spec, (const char *)data, size, &err) != PRILORA_OK) {
        if (spec || !*err.message)
            abort();
        return 0;
    }
    prilora_spec_ranks(spec, spec->n_ranks ? spec->n_ranks : 12, ranks, NULL);
    first = prilora_spec_dump(spec);
    if (!first || prilora_spec_parse(&again, first, strlen(first), &err) != PRILORA_OK)
        abort();
    second = prilora_spec_dump(again);
    if (!second || strcmp(first, second) != 0)
        abort();
    free(first);
    free(second);
    prilora_spec_free(spec);
    prilora_spec_free(again);
    return 0;
}
