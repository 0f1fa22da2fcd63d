/*
 * feed.h - the data in the order of training: step k's batch is a function of (seed, k).
 *
 * Every epoch is a fresh permutation; the last batch of an epoch may be smaller. So a position in
 * the data is a step number, and nothing else is to be stored.
 */
#ifndef PL_FEED_H
#define PL_FEED_H

#include "model/net.h"
#include "train/dataset.h"

struct pl_feed {
    const struct prilora_dataset *data;
    uint64_t seed;
    size_t step_size; /* sequences of one optimiser step */
    uint64_t steps_per_epoch;
    uint64_t epoch; /* that `order` is of; UINT64_MAX: none yet */
    size_t *order;  /* [data->n] */
    size_t *starts; /* [step_size + 1] */
    int32_t *ids;
    uint8_t *type_ids;
    float *labels; /* [step_size, data->width]; of tokens one for each */
};

enum prilora_status pl_feed_new(struct pl_feed *out, const struct prilora_dataset *data,
                                uint64_t seed, size_t step_size, struct prilora_error *err);
void pl_feed_free(struct pl_feed *feed);
/* What of a feed is used by steps of so many examples and at most `step_tokens` tokens. */
size_t pl_feed_bytes(const struct prilora_dataset *data, size_t step_size, size_t step_tokens);

/* Tokens of a step of average examples. */
size_t pl_feed_step_tokens(const struct prilora_dataset *data, size_t step_size);

/* The batch of a step (0-based); its arrays are the feed's, until the next call. */
struct pl_batch pl_feed_batch(struct pl_feed *feed, uint64_t step);

/* The whole of a dataset as one batch: for evaluations, and without copying. */
struct pl_batch pl_feed_all(const struct prilora_dataset *data);

#endif
