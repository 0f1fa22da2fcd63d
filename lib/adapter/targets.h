/*
 * targets.h - which maps a specification's target_modules means, by PEFT's rule; and by kind, which
 * is the same word for every architecture ("query" is also DistilBERT's q_lin).
 */
#ifndef PL_TARGETS_H
#define PL_TARGETS_H

#include "adapter/pattern.h"

struct pl_targets {
    const struct prilora_spec *spec;
    struct pl_pattern *pattern; /* NULL unless the targets are a pattern */
};

/*
 * pl_targets_new - what spec's targets say, ready to be asked. The specification must outlive it.
 *
 *   none       ("all-linear") every path
 *   a list     a path that equals an entry or ends in "." + entry; a map whose kind an entry names
 *   a pattern  a regular expression that matches the whole path, from its first byte to its last
 *
 * Errors  EINVAL for a malformed pattern, at its JSON pointer
 */
enum prilora_status pl_targets_new(struct pl_targets *out, const struct prilora_spec *spec,
                                   struct prilora_error *err);
void pl_targets_free(struct pl_targets *targets);

/* Errors: those of pl_pattern_match. */
enum prilora_status pl_targets_match(const struct pl_targets *targets, const char *path,
                                     const char *kind, bool *matches, struct prilora_error *err);

#endif
