/* digest.c - see digest.h. */
#include "base/digest.h"

void pl_digest_init(struct pl_digest *d)
{
    sha256_init(&d->state);
}

void pl_digest_add(struct pl_digest *d, const void *data, size_t size)
{
    sha256_update(&d->state, size, data);
}

void pl_digest_hex(struct pl_digest *d, char out[PL_DIGEST_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[SHA256_DIGEST_SIZE];

    sha256_digest(&d->state, sizeof bytes, bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * sizeof bytes] = '\0';
}
