/* targets.h - which maps a specification's target_modules means, by PEFT's rule. */
#ifndef PL_TARGETS_H
#define PL_TARGETS_H

#include "base/error.h"

#define PL_TARGETS_MAX_PATTERN 4096 /* bytes of a pattern */

struct pl_targets;

/*
 * pl_targets_new - what spec's targets say, ready to be asked. The specification must outlive it.
 *
 *   none       ("all-linear") every path
 *   a list     a path that equals an entry or ends in "." + entry
 *   a pattern  a regular expression that matches the whole path, from its first byte to its last
 *
 * Errors  EINVAL for a malformed pattern, at its JSON pointer
 */
enum prilora_status pl_targets_new(struct pl_targets **out, const struct prilora_spec *spec,
                                   struct prilora_error *err);
void pl_targets_free(struct pl_targets *targets);

/* Errors: EINVAL if matching the pattern takes more steps than any sensible one needs. */
enum prilora_status pl_targets_match(const struct pl_targets *targets, const char *path,
                                     bool *matches, struct prilora_error *err);

#endif
