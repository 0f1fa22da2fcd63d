/*
 * simd.h - how loops here become vector code: the compiler makes one version per instruction set
 * and the dynamic linker picks one. Sanitizers start too late for that choice, and clang and other
 * machines have their own ways: they get the plain version, which computes the same formulas.
 *
 * For static functions only: gcc exports the others from a shared library, hidden or not.
 */
#ifndef PL_SIMD_H
#define PL_SIMD_H

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) &&                        \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PL_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define PL_CLONES
#endif

/* For what must be compiled into each version of its caller. */
#define PL_INLINE static inline __attribute__((always_inline))

#endif
