/* memory.c - see memory.h. The only file of lib/ that calls malloc and its kin. */
#include "base/memory.h"

#include <assert.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT ((size_t)64)

bool pl_mul(size_t *out, size_t a, size_t b)
{
    return !__builtin_mul_overflow(a, b, out);
}

void *pl_alloc(size_t n, size_t size)
{
    size_t bytes;

    if (!pl_mul(&bytes, n, size))
        return NULL;
    return malloc(bytes ? bytes : 1);
}

void *pl_calloc(size_t n, size_t size)
{
    return calloc(n ? n : 1, size ? size : 1);
}

void *pl_realloc(void *old, size_t n, size_t size)
{
    size_t bytes;

    if (!pl_mul(&bytes, n, size))
        return NULL;
    return realloc(old, bytes ? bytes : 1);
}

char *pl_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = pl_alloc(size, 1);

    return copy ? memcpy(copy, text, size) : NULL;
}

bool pl_grow(void *array, size_t *room, size_t need, size_t size)
{
    const size_t half_more = *room + *room / 2 + 256, wanted = half_more > need ? half_more : need;
    void *more;

    if (need <= *room)
        return true;
    more = pl_realloc(*(void **)array, wanted, size);
    if (!more)
        return false;
    *(void **)array = more;
    *room = wanted;
    return true;
}

/* Whole multiples of the alignment, as aligned_alloc(3) asks; 0 if that does not fit. */
static size_t padded(size_t bytes)
{
    return bytes > SIZE_MAX - ALIGNMENT ? 0 : (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

void pl_give_back(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

void *pl_calloc_aligned(size_t n, size_t size)
{
    size_t bytes;
    void *p;

    if (!pl_mul(&bytes, n, size) || !(bytes = padded(bytes ? bytes : 1)))
        return NULL;
    p = aligned_alloc(ALIGNMENT, bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

struct pl_arena pl_arena_measure(void)
{
    return (struct pl_arena){.base = NULL, .size = SIZE_MAX};
}

bool pl_arena_open(struct pl_arena *arena, size_t size)
{
    *arena = (struct pl_arena){.size = padded(size ? size : 1)};
    if (!arena->size)
        return false;
    arena->base = aligned_alloc(ALIGNMENT, arena->size);
    return arena->base != NULL;
}

void pl_arena_close(struct pl_arena *arena)
{
    free(arena->base);
    *arena = (struct pl_arena){0};
}

void *pl_arena_take(struct pl_arena *arena, size_t n, size_t size)
{
    size_t bytes, at = arena->used;
    bool fits = pl_mul(&bytes, n, size) && (bytes == 0 || padded(bytes)) &&
                padded(bytes) <= arena->size - at;

    assert(fits);
    if (!fits)
        return NULL;
    arena->used += padded(bytes);
    if (arena->used > arena->peak)
        arena->peak = arena->used;
    return arena->base ? arena->base + at : NULL;
}
