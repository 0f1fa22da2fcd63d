/*
 * adapter.h - the low-rank maps of one run: which modules, what rank, what scale, where in the
 * block.
 *
 * Knows nothing of architectures: a model offers its adaptable maps as a list of struct
 * pl_map_site.
 */
#ifndef PL_ADAPTER_H
#define PL_ADAPTER_H

#include "adapter/layout.h"

struct pl_map_site {
    const char *path; /* "deberta.encoder.layer.0.attention.self.query_proj" */
    const char *kind; /* "query", "key", "value", "attention_output", "intermediate", "output" */
    size_t layer;     /* 0 is nearest the input */
    size_t in, out;
    size_t input; /* maps fed by the same tensor share this number: one input statistic each */
};

struct pl_lora {
    size_t rank; /* 0: not adapted */
    double alpha, scale;
    size_t a, b;             /* offsets in a block: A f32[rank, in], B f32[out, rank] */
    size_t param_a, param_b; /* indices in the layout */
};

struct pl_adapter {
    struct pl_lora *maps; /* [n_maps], parallel to the model's sites */
    size_t n_maps, n_adapted;
    size_t n_parameters; /* of all A and B */
};

/*
 * pl_adapter_plan - matches targets by PEFT's rule, gives each adapted map its rank and scale, and
 * appends A and B to the layout. The method "head" adapts none.
 *
 * Targets  "all-linear": every site. A list: a site whose path equals an entry or ends in
 *          "." + entry, or whose kind is an entry. A pattern: a POSIX-extended-like regular
 * expression (PCRE2) on the whole path. Errors   EINVAL if nothing matches or the pattern is
 * malformed, EUNSUPPORTED never
 */
enum prilora_status pl_adapter_plan(struct pl_adapter *out, struct pl_layout *layout,
                                    const struct pl_map_site *sites, size_t n_sites,
                                    size_t n_layers, const struct prilora_spec *spec,
                                    struct prilora_error *err);
void pl_adapter_free(struct pl_adapter *adapter);

#endif
