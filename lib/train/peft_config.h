/* peft_config.h - adapter_config.json as PEFT writes it: what is needed to compute with it. */
#ifndef PL_PEFT_CONFIG_H
#define PL_PEFT_CONFIG_H

#include "adapter/pattern.h"

#define PL_PEFT_MAX_PATTERNS 16384

struct pl_peft_config {
    enum prilora_task task; /* TOKEN_CLASSIFICATION; AUTO: it says nothing of it */
    double lora_alpha;
    bool use_rslora; /* scale = alpha / sqrt(rank) */
    /* alpha_pattern: the first that matches gives the module's alpha */
    struct pl_pattern **patterns; /* [n_patterns] */
    double *alphas;               /* [n_patterns] */
    size_t n_patterns;
};

/* Errors: EFORMAT; EUNSUPPORTED for a feature that would change what the adapter computes. */
enum prilora_status pl_peft_config_parse(struct pl_peft_config *out, const char *json,
                                         size_t length, const char *path,
                                         struct prilora_error *err);
void pl_peft_config_free(struct pl_peft_config *config);

/* The factor of B A at a module. Errors: those of pl_pattern_match. */
enum prilora_status pl_peft_config_scale(const struct pl_peft_config *config, const char *module,
                                         size_t rank, double *scale, struct prilora_error *err);

#endif
