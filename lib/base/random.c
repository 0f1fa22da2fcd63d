/* random.c - Philox4x32-10; constants and rounds from the paper, checked against its test vectors.
 */
#include "base/random.h"

#include <math.h>

#define MULTIPLIER_0 0xD2511F53u
#define MULTIPLIER_1 0xCD9E8D57u
#define WEYL_0       0x9E3779B9u
#define WEYL_1       0xBB67AE85u
#define ROUNDS       10

struct pl_random pl_random_at(uint64_t seed, uint64_t step, enum pl_site site, size_t index)
{
    return (struct pl_random){
        .seed = seed,
        .step = step,
        .site = ((uint32_t)site << 24) | ((uint32_t)index & 0xFFFFFFu),
    };
}

/*
 * The key is the seed (its upper half mixed with the upper half of the step); the counter is the
 * block number (64 bits), the lower half of the step, and the site.
 */
void pl_random_block(const struct pl_random *r, uint64_t block, uint32_t out[4])
{
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32), c2 = (uint32_t)r->step,
             c3 = r->site;
    uint32_t k0 = (uint32_t)r->seed, k1 = (uint32_t)(r->seed >> 32) ^ (uint32_t)(r->step >> 32);

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)MULTIPLIER_0 * c0, p1 = (uint64_t)MULTIPLIER_1 * c2;

        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += WEYL_0;
        k1 += WEYL_1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

uint32_t pl_random_u32(const struct pl_random *r, uint64_t element)
{
    uint32_t block[4];

    pl_random_block(r, element / 4, block);
    return block[element % 4];
}

double pl_random_uniform(const struct pl_random *r, uint64_t element)
{
    return (double)(pl_random_u32(r, element) >> 8) * 0x1p-24;
}

double pl_random_normal(const struct pl_random *r, uint64_t element)
{
    uint32_t block[4];
    double u, v;

    pl_random_block(r, element / 2, block);
    u = ((double)block[element % 2 * 2] + 0.5) * 0x1p-32;
    v = (double)block[element % 2 * 2 + 1] * 0x1p-32;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

void pl_random_permute(const struct pl_random *r, size_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) {
        /* A 64-bit fraction of i: the bias is below i / 2^64. */
        uint32_t block[4];
        uint64_t draw;
        size_t j, kept;

        pl_random_block(r, i, block);
        draw = (uint64_t)block[0] << 32 | block[1];
        j = (size_t)(((unsigned __int128)draw * i) >> 64);
        kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}
