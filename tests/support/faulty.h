/*
 * faulty.h - a real daemon with faults/shim.h in it, and what the harness does from outside.
 *
 * The library is faults/shim.so beside the program that $PRILORAD names, which must not be one of a
 * sanitizer's: two libraries cannot both be the first.
 */
#ifndef TEST_FAULTY_H
#define TEST_FAULTY_H

#include <stdint.h>

#include "faults/shim.h"
#include "support/server.h"

struct faulty {
    struct test_server *server;
    struct shim *shim; /* shared with the daemon */
};

/* The daemon's state folder counts; `with_power`: what a disk would hold is kept, too. */
void faulty_open(struct faulty *f, const char *const *settings, bool with_power);
void faulty_close(struct faulty *f);

/* From now on: `left` calls succeed, `fail` fail with `error`. */
void faulty_arm(struct faulty *f, enum shim_calls calls, long left, long fail, int error);
void faulty_disarm(struct faulty *f);

/* After the daemon was killed: the state folder becomes what a disk would hold. `random` chooses
 * what else of the unsynced is there. */
void faulty_cut_power(struct faulty *f, uint64_t random);

#endif
