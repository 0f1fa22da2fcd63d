/* ceilings.c - see ceilings.h. */
#include "ceilings.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/team.h"

#define TRIES 5

double ceiling_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The best rate of several tries of one unit of work on every thread. */
static double best_rate(size_t n_threads, void (*work)(void *context, size_t task, size_t thread),
                        void *context, double units_per_task)
{
    struct pl_team *team;
    double best = 0;

    if (pl_team_new(&team, n_threads, NULL) != PRILORA_OK)
        return 0;
    for (int i = 0; i < TRIES; i++) {
        double start = ceiling_seconds(), rate;

        pl_team_run(team, work, context, n_threads);
        rate = units_per_task * (double)n_threads / (ceiling_seconds() - start);
        best = rate > best ? rate : best;
    }
    pl_team_free(team);
    return best;
}

#define LANES  16 /* floats of one vector: one AVX-512 register, or several narrower ones */
#define CHAINS 8  /* independent sums: enough for two units of four cycles' latency */
#define ROUNDS 4000000

struct lanes {
    float v __attribute__((vector_size(LANES * sizeof(float))));
};

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((target_clones("avx512f", "fma", "default"), optimize("O3", "fp-contract=fast")))
#endif
static void
fma_work(void *context, size_t task, size_t thread)
{
    struct lanes sums[CHAINS], factor, term;
    float *out = context;

    (void)thread;
    for (size_t i = 0; i < LANES; i++) {
        factor.v[i] = 0.999f;
        term.v[i] = 0.5f;
        for (size_t c = 0; c < CHAINS; c++)
            sums[c].v[i] = (float)c; /* different, or the compiler computes fewer */
    }
    for (size_t k = 0; k < ROUNDS; k++)
        for (size_t c = 0; c < CHAINS; c++)
            sums[c].v = sums[c].v * factor.v + term.v;
    for (size_t c = 0; c < CHAINS; c++)
        for (size_t i = 0; i < LANES; i++)
            out[task] += sums[c].v[i];
}

double ceiling_fma(size_t n_threads)
{
    float *sink = pl_calloc(n_threads, sizeof *sink);
    double rate =
        sink ? best_rate(n_threads, fma_work, sink, 2.0 * LANES * CHAINS * (double)ROUNDS) : 0;

    free(sink);
    return rate;
}

enum { M = 1024, N = 768, K = 768, PRODUCTS = 20 };

static void sgemm_work(void *context, size_t task, size_t thread)
{
    float *a = context, *b = a + M * K, *c = b + N * K + task * M * N;

    (void)thread;
    for (int i = 0; i < PRODUCTS; i++)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, M, N, K, 1, a, K, b, K, 0, c, N);
}

double ceiling_sgemm(size_t n_threads)
{
    float *data = pl_calloc_aligned(M * K + N * K + n_threads * M * N, sizeof *data);
    double rate;

    if (!data)
        return 0;
    for (size_t i = 0; i < M * K + N * K; i++)
        data[i] = (float)(i % 17) * 0.01f;
    rate = best_rate(n_threads, sgemm_work, data, 2.0 * M * N * K * PRODUCTS);
    free(data);
    return rate;
}

#define BLOCK ((size_t)128 << 20)

struct blocks {
    const double *data; /* one block a thread */
    double *sums;
};

__attribute__((optimize("O3", "fast-math"))) static void read_work(void *context, size_t task,
                                                                   size_t thread)
{
    struct blocks *b = context;
    const double *p = b->data + task * (BLOCK / sizeof *p);
    double sum = 0;

    (void)thread;
    for (size_t i = 0; i < BLOCK / sizeof *p; i++)
        sum += p[i];
    b->sums[task] = sum;
}

double ceiling_bandwidth(size_t n_threads)
{
    double *data = pl_calloc_aligned(n_threads, BLOCK), *sums = pl_calloc(n_threads, sizeof *sums);
    double rate = 0;

    if (data && sums) {
        struct blocks blocks = {data, sums};

        memset(data, 1, n_threads * BLOCK);
        rate = best_rate(n_threads, read_work, &blocks, (double)BLOCK);
    }
    free(data);
    free(sums);
    return rate;
}
