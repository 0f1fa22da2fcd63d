/* dataset_format.h - the bytes of a saved data set, little-endian: writing them, and taking them
 * off a file that may hold anything. */
#ifndef PL_DATASET_FORMAT_H
#define PL_DATASET_FORMAT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/digest.h"
#include "base/error.h"

/* Where the bytes go: always into the digest, into a file if there is one. */
struct pl_sink {
    struct pl_digest digest;
    FILE *file; /* its own error flag tells of a failed write */
};

void pl_put(struct pl_sink *sink, const void *data, size_t size);
void pl_put_u64(struct pl_sink *sink, uint64_t value);
/* n 32-bit numbers of any kind. */
void pl_put_u32s(struct pl_sink *sink, const void *numbers, size_t n);
/* The n differences of starts [n + 1], as 32-bit numbers. */
void pl_put_lengths(struct pl_sink *sink, const size_t *starts, size_t n);

/* What is left of a saved data set. */
struct pl_source {
    const unsigned char *at;
    size_t left;
    const char *path;
    struct prilora_error *err;
};

/* EFORMAT with what is wrong. */
enum prilora_status pl_broken(const struct pl_source *s, const char *what);
/* n elements of `size` bytes, or NULL if so many are not there. */
const unsigned char *pl_take(struct pl_source *s, size_t n, size_t size);
bool pl_take_u64(struct pl_source *s, uint64_t *value);
bool pl_take_u32s(struct pl_source *s, void *out, size_t n);
/* The i-th of those that were taken. */
uint32_t pl_taken_u32(const unsigned char *taken, size_t i);

#endif
