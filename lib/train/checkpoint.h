/*
 * checkpoint.h - the whole state of a run as one file.
 *
 *     magic, version, size of a number      what kind of file
 *     fingerprints                          of base, training and validation data, start
 *     specification                         its dump, resolved
 *     counts                                of the blocks' numbers, A's entries, statistics, maps
 *     state, statistic updates              numbers of eight bytes each
 *     parameters, both moments, best        blocks
 *     statistics, mask, prunings            the pruner
 *     SHA-256                               of all before it, in hexadecimal
 *
 * Little endian, without padding.
 */
#ifndef PL_CHECKPOINT_H
#define PL_CHECKPOINT_H

#include <stdint.h>

#include "adapter/prune.h"
#include "train/run.h"

/* What a file says, checked in itself but not yet against a run; pointers into the file's bytes. */
struct pl_checkpoint {
    const char *fingerprints[4]; /* 64 bytes each (zeros: none): base, train, valid, start */
    const char *spec;
    size_t spec_size;
    uint64_t n_block, n_mask, n_stats, n_maps, n_updates;
    struct pl_state state;
    const unsigned char *blocks[4]; /* parameters, moments, best: [n_block] each */
    const unsigned char *stats, *mask, *maps;
};

/* Errors: EFORMAT for anything that pl_checkpoint_save would not write, EUNSUPPORTED for another
 * version. */
enum prilora_status pl_checkpoint_parse(struct pl_checkpoint *out, const unsigned char *data,
                                        size_t size, const char *path, struct prilora_error *err);

#endif
