/*
 * shim.h - a library that is loaded before all others (LD_PRELOAD) into a real prilorad, and fails
 * it on purpose. Harness and library share one page, the file that $PRILORA_SHIM names:
 *
 *   power    what a disk would hold if power went now is kept beside the state folder (power.h)
 *   faults   the n-th call that writes, reads or allocates fails, and so many after it
 *   clock    the wall clock runs so much ahead of, or behind, the real one
 *
 * stdio's own writes cannot be met from outside of the C library: fwrite and fflush count instead.
 */
#ifndef SHIM_H
#define SHIM_H

#include <limits.h>
#include <stdatomic.h>

#define SHIM_VARIABLE "PRILORA_SHIM"
#define SHIM_FOREVER  LONG_MAX
#define SHIM_DEPTH    12    /* callers that tell one place from another */
#define SHIM_ROOM     65536 /* places; a power of two */

enum shim_calls {
    SHIM_NO_CALLS,
    SHIM_WRITES, /* and what else needs room: making, growing, renaming, syncing */
    SHIM_READS,
    SHIM_ALLOCATIONS,
    SHIM_NEW,    /* those of C++'s operator new */
    SHIM_PLACES, /* allocations, but each place, a stack of callers, is one call and fails once */
};

struct shim {
    char root[300];   /* of the files that count: those of the state */
    char shadow[300]; /* see power.h; "": nothing is kept */
    atomic_int calls; /* which are counted, and may fail */
    atomic_int error; /* errno that they fail with */
    atomic_long left; /* so many more succeed */
    atomic_long fail; /* then so many fail */
    atomic_long seen, failed;
    atomic_long clock_s; /* what is added to the wall clock */
    _Bool is_verbose;    /* each refusal's callers go to stderr */
    atomic_long n_places;
    atomic_ulong places[SHIM_ROOM]; /* hashes of those that have failed; 0: free */
    void *stack[SHIM_DEPTH];        /* of the last one */
};

/* ---- inside of the library */

/* The page; NULL: the library does nothing. */
extern struct shim *shim;

/* Whether this call, on a file that counts, is to fail; errno is set. */
_Bool shim_fails(enum shim_calls calls);
/* Whether the open file is one that counts. */
_Bool shim_counts(int fd);

/* A file or folder was synced: it is on disk as it is now. */
void shim_synced(int fd);
/* At the start: all that is there is on disk. */
void shim_begin_power(void);

#endif
