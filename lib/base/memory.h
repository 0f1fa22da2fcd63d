/* memory.h - allocation whose sizes cannot overflow, and arenas for what lives one step. */
#ifndef PL_MEMORY_H
#define PL_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* a * b into *out; false if it does not fit. */
bool pl_mul(size_t *out, size_t a, size_t b);

/* As malloc(3) and its kin for n elements of `size` bytes; NULL on overflow or lack of memory.
 * pl_alloc leaves the bytes unset. All are released with free(3). */
void *pl_alloc(size_t n, size_t size);
void *pl_calloc(size_t n, size_t size);
void *pl_realloc(void *old, size_t n, size_t size);
char *pl_strdup(const char *text);

/*
 * pl_grow - room for `need` elements of `size` bytes in *array, of which it has *room; by half more
 * than there was, so that adding one after another costs little. `array` is the address of a
 * pointer. False: out of memory, and all is as it was.
 */
bool pl_grow(void *array, size_t *room, size_t need, size_t size);

/* Gives the system back what is free of the heap but lies between what is not. Milliseconds. */
void pl_give_back(void);

/* Zeroed memory at a 64-byte boundary, for arrays that BLAS and vector loops walk; free(3). */
void *pl_calloc_aligned(size_t n, size_t size);

/*
 * A bump allocator over one block. A run measures its need with a NULL-based arena
 * (pl_arena_measure: every allocation succeeds on paper and returns NULL), allocates once, and
 * replays the same calls.
 */
struct pl_arena {
    char *base; /* NULL: only measuring */
    size_t used, size, peak;
};

struct pl_arena pl_arena_measure(void);
bool pl_arena_open(struct pl_arena *arena, size_t size); /* false: out of memory */
void pl_arena_close(struct pl_arena *arena);
/* n elements of `size` bytes at a 64-byte boundary, contents unset. Running over the end is our
 * own mistake (assert), for sizes were measured. Freed by setting arena->used back to a mark. */
void *pl_arena_take(struct pl_arena *arena, size_t n, size_t size);

#endif
