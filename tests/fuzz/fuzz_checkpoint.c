/* fuzz_checkpoint.c - any bytes as a checkpoint, its digest made right: no fuzzer would guess it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "train/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned sum(const unsigned char *data, size_t size)
{
    unsigned total = 0;

    for (size_t i = 0; i < size; i++)
        total += data[i];
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *file = malloc(size + PL_DIGEST_SIZE);
    struct pl_checkpoint c;
    struct prilora_error err;
    struct pl_digest digest;
    volatile unsigned sink = 0;

    if (!file)
        return 0;
    if (size)
        memcpy(file, data, size);
    pl_digest_init(&digest);
    pl_digest_add(&digest, data, size);
    pl_digest_hex(&digest, (char *)file + size);
    if (pl_checkpoint_parse(&c, file, size + PL_DIGEST_SIZE - 1, "input", &err) == PRILORA_OK) {
        for (int i = 0; i < 4; i++)
            sink += sum(c.blocks[i], c.n_block * sizeof(pl_real));
        sink += sum(c.stats, c.n_stats * sizeof(pl_real)) + sum(c.mask, c.n_mask);
        sink += sum(c.maps, c.n_maps * sizeof(struct pl_pruned));
        sink += sum((const unsigned char *)c.spec, c.spec_size);
    }
    free(file);
    return 0;
}
