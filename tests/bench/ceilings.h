/* ceilings.h - what the machine's cores can do at most, measured in the same run. */
#ifndef BENCH_CEILINGS_H
#define BENCH_CEILINGS_H

#include <stddef.h>

double ceiling_seconds(void); /* a monotonic clock */

/* Each with n threads at once, one per core; the best of several tries. */
double ceiling_fma(size_t n_threads);       /* single-precision operations per second */
double ceiling_sgemm(size_t n_threads);     /* operations per second of 1024 x 768 x 768 */
double ceiling_bandwidth(size_t n_threads); /* bytes read per second from memory */

#endif
