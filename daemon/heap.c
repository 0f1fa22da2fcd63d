/*
 * heap.c - see heap.h.
 *
 * glibc raises the size from which a block gets pages of its own with each such block that is
 * freed, up to 32 MiB. The blocks of runs and open adapters, of a megabyte or so and of all ages,
 * then lie in heaps that fragment: twice as much as was in use, after some hundred adapters had
 * been opened and closed. A fixed size gives their pages back; fewer heaps are fewer to fragment.
 */
#include "daemon/heap.h"

#include <malloc.h>

#define OWN_PAGES_BYTES (128 * 1024)
#define MAX_HEAPS       4 /* threads that compute allocate nothing */

void heap_configure(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, OWN_PAGES_BYTES);
    mallopt(M_ARENA_MAX, MAX_HEAPS);
#endif
}
