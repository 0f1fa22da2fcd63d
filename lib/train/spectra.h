/* spectra.h - inside view of struct prilora_spectra, for who computes with it and for tests. */
#ifndef PL_SPECTRA_H
#define PL_SPECTRA_H

#include "base/error.h"

struct prilora_spectra {
    struct prilora_map_spectrum *maps; /* [n_maps] */
    size_t n_maps, n_layers;
    double *values; /* what the maps' values point into */
};

/*
 * pl_spectrum_describe - all members from the values, which it keeps. weight_norm is of the frozen
 * weight in the same measure.
 */
void pl_spectrum_describe(struct prilora_spectrum *out, const double *values, size_t rank,
                          double weight_norm);

#endif
