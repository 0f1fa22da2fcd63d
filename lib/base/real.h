/*
 * real.h - the number that training computes in.
 *
 * float in the library. The tests build the same sources once more with PL_DOUBLE, where
 * finite differences and the double-precision reference numbers leave no room for doubt.
 */
#ifndef PL_REAL_H
#define PL_REAL_H

#ifdef PL_DOUBLE
typedef double pl_real;
#define PL_REAL_NAME "f64"
#else
typedef float pl_real;
#define PL_REAL_NAME "f32"
#endif

#endif
