/*
 * denormal.h - numbers too small for a full mantissa, taken as zero.
 *
 * Probabilities and gradients that have faded to below 1e-38 mean nothing, but some processors
 * compute with them a hundred times slower. A share's work is done with them flushed to zero.
 */
#ifndef PL_DENORMAL_H
#define PL_DENORMAL_H

#include <stdint.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/* From here on, on this thread; returns what pl_denormals_restore needs. */
static inline uint64_t pl_denormals_flush(void)
{
#if defined(__x86_64__)
    const unsigned kept = _mm_getcsr();

    _mm_setcsr(kept | 0x8040); /* results to zero, operands as zero */
    return kept;
#elif defined(__aarch64__)
    uint64_t kept;

    __asm__ volatile("mrs %0, fpcr" : "=r"(kept));
    __asm__ volatile("msr fpcr, %0" : : "r"(kept | (uint64_t)1 << 24));
    return kept;
#else
    return 0;
#endif
}

static inline void pl_denormals_restore(uint64_t kept)
{
#if defined(__x86_64__)
    _mm_setcsr((unsigned)kept);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(kept));
#else
    (void)kept;
#endif
}

#endif
