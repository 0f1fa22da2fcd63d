/*
 * inputs_file.h - input_statistics.safetensors of an adapter's folder: the accumulated norm of each
 * column of the adapted maps' inputs, as the run ended. It stands beside PEFT's files, which know
 * nothing of it: the adapter computes the same without.
 *
 *     <module path>.input [in]   F32; of maps that are fed by the same input, the first adapted one
 */
#ifndef PL_INPUTS_FILE_H
#define PL_INPUTS_FILE_H

#include "adapter/prune.h"
#include "io/tensors.h"

enum prilora_status pl_inputs_file_write(const char *folder, const struct pl_pruner *pruner,
                                         struct prilora_error *err);

/* *out NULL: the folder has none. */
enum prilora_status pl_inputs_file_open(struct pl_tensors **out, const char *folder,
                                        struct prilora_error *err);

/*
 * pl_inputs_file_read - the statistic of sites[site]'s input into columns [in]; *found false: the
 * file (or NULL) has none. Errors: EFORMAT for one of another shape, or numbers that are no norms.
 */
enum prilora_status pl_inputs_file_read(double *columns, bool *found, const struct pl_tensors *file,
                                        const struct pl_map_site *sites, size_t n_sites,
                                        size_t site, struct prilora_error *err);

#endif
