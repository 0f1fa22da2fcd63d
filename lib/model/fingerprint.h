/* fingerprint.h - tells one frozen model from another. */
#ifndef PL_FINGERPRINT_H
#define PL_FINGERPRINT_H

#include "model/binder.h"

/*
 * SHA-256 over the configuration's members, and of every tensor that is used: its name, type,
 * shape, and first and last PL_FINGERPRINT_SAMPLE bytes. Independent of how files are sharded.
 */
#define PL_FINGERPRINT_SAMPLE ((size_t)4096)
void pl_fingerprint(char out[65], const struct pl_model *model, const struct pl_binder *binder);

#endif
