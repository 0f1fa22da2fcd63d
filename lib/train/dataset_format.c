/* dataset_format.c - see dataset_format.h. */
#include "train/dataset_format.h"

#include <endian.h>
#include <string.h>

/* ---- writing --------------------------------------------------------------------------------- */

void pl_put(struct pl_sink *sink, const void *data, size_t size)
{
    if (size == 0)
        return;
    pl_digest_add(&sink->digest, data, size);
    if (sink->file)
        fwrite(data, 1, size, sink->file);
}

void pl_put_u64(struct pl_sink *sink, uint64_t value)
{
    value = htole64(value);
    pl_put(sink, &value, sizeof value);
}

void pl_put_u32s(struct pl_sink *sink, const void *numbers, size_t n)
{
    uint32_t chunk[1024];

    while (n) {
        size_t k = n < 1024 ? n : 1024;

        memcpy(chunk, numbers, k * sizeof *chunk);
        for (size_t i = 0; i < k; i++)
            chunk[i] = htole32(chunk[i]);
        pl_put(sink, chunk, k * sizeof *chunk);
        numbers = (const char *)numbers + k * sizeof *chunk;
        n -= k;
    }
}

void pl_put_lengths(struct pl_sink *sink, const size_t *starts, size_t n)
{
    uint32_t chunk[1024];

    for (size_t i = 0; i < n;) {
        size_t k = 0;

        for (; k < 1024 && i < n; k++, i++)
            chunk[k] = (uint32_t)(starts[i + 1] - starts[i]);
        pl_put_u32s(sink, chunk, k);
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

enum prilora_status pl_broken(const struct pl_source *s, const char *what)
{
    return pl_fail(s->err, PRILORA_EFORMAT, "%s: not a saved data set: %s", s->path, what);
}

const unsigned char *pl_take(struct pl_source *s, size_t n, size_t size)
{
    const unsigned char *at = s->at;

    if (n > s->left / size)
        return NULL;
    s->at += n * size;
    s->left -= n * size;
    return at;
}

bool pl_take_u64(struct pl_source *s, uint64_t *value)
{
    const unsigned char *p = pl_take(s, 1, sizeof *value);

    if (p) {
        memcpy(value, p, sizeof *value);
        *value = le64toh(*value);
    }
    return p != NULL;
}

uint32_t pl_taken_u32(const unsigned char *taken, size_t i)
{
    uint32_t value;

    memcpy(&value, taken + 4 * i, 4);
    return le32toh(value);
}

bool pl_take_u32s(struct pl_source *s, void *out, size_t n)
{
    const unsigned char *p = pl_take(s, n, 4);

    for (size_t i = 0; p && i < n; i++) {
        const uint32_t value = pl_taken_u32(p, i);

        memcpy((char *)out + 4 * i, &value, 4);
    }
    return p != NULL;
}
