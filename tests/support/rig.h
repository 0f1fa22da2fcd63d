/* rig.h - a net with everything that one step needs, for tests. */
#ifndef TEST_RIG_H
#define TEST_RIG_H

#include "model/model.h"
#include "model/net.h"

#define TEST_RIG_MAX_SEQUENCES 16

struct test_rig {
    struct pl_model *model;
    struct pl_net *net;
    struct pl_tables *tables;
    struct pl_workspace *ws;
    pl_real *params; /* a block */
    pl_real *grads, *stats, *part, *part_stats;
    pl_real *logits; /* [TEST_RIG_MAX_SEQUENCES + max_tokens, n_outputs] */
    double loss;
    struct pl_batch batch;
    size_t starts[TEST_RIG_MAX_SEQUENCES + 1];
    int32_t *ids;
    uint8_t *type_ids;
    float *labels;
    uint64_t seed, step;
    bool train;
};

/* Lengths and n_outputs are taken from options; fails the test on any error. `ranks` are those of
 * the layers; targets a list of names or NULL for all maps. */
void test_rig_open(struct test_rig *rig, const char *folder, const long *ranks, size_t n_layers,
                   const char *const *targets, size_t n_targets,
                   const struct pl_net_options *options);
void test_rig_close(struct test_rig *rig);

/* A batch of sequences of these lengths, with drawn ids and types and labels of 0. */
void test_rig_batch(struct test_rig *rig, const size_t *lengths, size_t n);

/* One step in which share k has sizes[k] sequences, in the batch's order: loss, logits and, in
 * training, the summed grads and stats. */
void test_rig_step(struct test_rig *rig, const size_t *sizes, size_t n_shares);
/* The same in one share; returns the loss. */
double test_rig_loss(struct test_rig *rig);

/* Fills x with numbers in (-range, range), the same for the same seed. */
void test_fill(pl_real *x, size_t n, double range, uint64_t seed);
/* |x - y| / |y|, Euclidean; |x| where y is zero. */
double test_distance(const pl_real *x, const pl_real *y, size_t n);

#endif
