/* etag.c - see etag.h. Half of a SHA-256, which processors have instructions for. */
#include "api/etag.h"

#include <nettle/sha2.h>
#include <stdint.h>
#include <stdio.h>

#define N_BYTES 16

_Static_assert(ETAG_SIZE == 2 * N_BYTES + 3, "digits, quotes, NUL");

void etag_make(char out[ETAG_SIZE], const char *text, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    struct sha256_ctx sha;
    uint8_t digest[N_BYTES];

    sha256_init(&sha);
    sha256_update(&sha, n, (const uint8_t *)text);
    sha256_digest(&sha, sizeof digest, digest);
    *out++ = '"';
    for (size_t i = 0; i < sizeof digest; i++) {
        *out++ = digits[digest[i] >> 4];
        *out++ = digits[digest[i] & 15];
    }
    *out++ = '"';
    *out = '\0';
}
