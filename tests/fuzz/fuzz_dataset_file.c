/*
 * fuzz_dataset_file.c - any bytes as a saved data set, its digest left out. What is accepted must
 * be written again as the same bytes: then the fingerprint is their digest.
 */
#include <assert.h>
#include <string.h>

#include "answered.h"
#include "base/digest.h"
#include "train/dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct prilora_dataset *d = NULL;
    struct pl_digest digest;
    char digits[PL_DIGEST_SIZE];

    if (pl_dataset_decode(&d, data, size, false, "fuzz", NULL) == PRILORA_OK) {
        pl_digest_init(&digest);
        pl_digest_add(&digest, data, size);
        pl_digest_hex(&digest, digits);
        assert(strcmp(digits, d->fingerprint) == 0);
        if (d->questions)
            fuzz_check_answered(d);
    }
    prilora_dataset_free(d);
    return 0;
}
