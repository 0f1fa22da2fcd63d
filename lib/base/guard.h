/*
 * guard.h - file maps that outlive their file's being shortened, or a disk that cannot read it.
 *
 * Touching such a page raises SIGBUS. A program whose handler asks pl_guard_mend (in public:
 * prilora_mend_map) goes on: the rest of the map becomes zeros, and is known to be hurt. Without
 * such a handler the signal ends the program, as ever.
 */
#ifndef PL_GUARD_H
#define PL_GUARD_H

#include <stdbool.h>
#include <stddef.h>

struct pl_guard;

/* For the map at data[0..size), until it is taken back, before munmap. NULL: out of memory. */
struct pl_guard *pl_guard_add(const void *data, size_t size);
void pl_guard_remove(struct pl_guard *guard); /* accepts NULL */

/* Whether bytes of it were replaced by zeros. */
bool pl_guard_is_hurt(const struct pl_guard *guard);

/* From the handler of SIGBUS: whether the address is in such a map, and is zeros now. */
bool pl_guard_mend(const void *address);

#endif
