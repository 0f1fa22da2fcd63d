/* digest.c - see digest.h. */
#include "base/digest.h"

#include "base/pulse.h"

void pl_digest_init(struct pl_digest *d)
{
    sha256_init(&d->state);
}

void pl_digest_add(struct pl_digest *d, const void *data, size_t size)
{
    static const size_t block = (size_t)16 << 20;

    for (size_t at = 0; at < size; at += block) {
        const size_t n = size - at < block ? size - at : block;

        sha256_update(&d->state, n, (const unsigned char *)data + at);
        pl_pulse_beat();
    }
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
