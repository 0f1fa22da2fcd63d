/*
 * golden.h - a tiny model of the reference (tests/golden) with the adapters and the batch of its
 * reference numbers, in an engine.
 */
#ifndef TEST_GOLDEN_H
#define TEST_GOLDEN_H

#include "train/engine.h"

enum { TEST_GOLDEN_SEQUENCES = 5, TEST_GOLDEN_PADDED = 40, TEST_GOLDEN_OUTPUTS = 4 };

/* "tiny-deberta" and so on; ends in NULL. */
extern const char *const test_golden_models[];

struct test_golden {
    char expected[128];               /* the reference's folder */
    struct pl_tensors *wide, *narrow; /* the reference in F64 and in F32 */
    struct pl_model *model;
    struct prilora_spec *spec;
    struct pl_engine *engine;
    pl_real *params; /* a block, the reference's start values */
    struct pl_batch batch;
    size_t starts[TEST_GOLDEN_SEQUENCES + 1];
    int32_t ids[TEST_GOLDEN_SEQUENCES * TEST_GOLDEN_PADDED];
    uint8_t type_ids[TEST_GOLDEN_SEQUENCES * TEST_GOLDEN_PADDED];
    float labels[TEST_GOLDEN_SEQUENCES];
};

void test_golden_open(struct test_golden *golden, const char *model, size_t n_threads);
void test_golden_close(struct test_golden *golden);

/*
 * Fails unless x [n] is the reference's tensor "<kind><name>": in float within 1e-4 relative, or
 * ten times the distance between the reference's own float and double numbers if that is larger. In
 * double within 1e-9 for logits, for both sides round at 1e-16 and a few hundred operations follow
 * each other; 1e-6 for what comes after the loss, which the reference took in float even there
 * (2^-24 is 6e-8).
 */
void test_golden_compare(const struct test_golden *golden, const char *kind, const char *name,
                         const pl_real *x, size_t n);

/* |x - y| / |y|, Euclidean. */
double test_relative(const pl_real *x, const pl_real *y, size_t n);

#endif
