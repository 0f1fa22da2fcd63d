/* digest.h - SHA-256 as lower-case hexadecimal (nettle does the work). */
#ifndef PL_DIGEST_H
#define PL_DIGEST_H

#include <nettle/sha2.h>
#include <stddef.h>

#define PL_DIGEST_SIZE 65 /* 64 digits and a NUL */

struct pl_digest {
    struct sha256_ctx state;
};

void pl_digest_init(struct pl_digest *d);
void pl_digest_add(struct pl_digest *d, const void *data, size_t size);
void pl_digest_hex(struct pl_digest *d, char out[PL_DIGEST_SIZE]);

#endif
