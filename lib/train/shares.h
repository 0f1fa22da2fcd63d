/*
 * shares.h - cuts a step's sequences into shares: what one thread computes at a time.
 *
 * The cut depends on the sequences' lengths alone, never on the number of threads, so that sums
 * over shares have the same bits on every machine size.
 */
#ifndef PL_SHARES_H
#define PL_SHARES_H

#include "model/net.h"

#define PL_SHARE_TOKENS 512 /* a share has at most so many, or one longer sequence's */
#define PL_MIN_SHARES   4   /* and a multiple of it, if there are as many sequences: even work */

struct pl_shares {
    struct pl_share *shares; /* [n], in the order in which their gradients are summed */
    size_t n;
    size_t *sequences; /* [capacity] all shares' sequence numbers, end to end */
    size_t capacity;   /* sequences that fit */
    size_t *owner, *order;
    double *load;
    size_t *tokens;
};

/* Room for cuts of up to `capacity` sequences. */
enum prilora_status pl_shares_new(struct pl_shares *out, size_t capacity,
                                  struct prilora_error *err);
void pl_shares_free(struct pl_shares *shares);
size_t pl_shares_bytes(size_t capacity);

/*
 * pl_shares_cut - longest processing time first: sequences in descending order of cost (of equal
 * ones the lower number first) each go to the share with the least cost so far that has room for
 * its tokens; the number of shares is the least multiple of PL_MIN_SHARES that works, or n.
 *
 * starts   [n + 1] as in struct pl_batch       cost   by length, [longest + 1]
 * budget   tokens per share; at least the longest sequence
 */
void pl_shares_cut(struct pl_shares *shares, const size_t *starts, size_t n, const double *cost,
                   size_t budget);

/* Neighbours together, as many as fit: for evaluations, where order makes no difference. */
void pl_shares_fill(struct pl_shares *shares, const size_t *starts, size_t n, size_t budget);

#endif
