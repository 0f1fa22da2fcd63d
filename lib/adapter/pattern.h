/*
 * pattern.h - a regular expression that matches a whole module path or not at all.
 *
 * Patterns come from strangers: they run without PCRE2's compiler to machine code and with its
 * counters set, so that one can be wrong but not slow.
 */
#ifndef PL_PATTERN_H
#define PL_PATTERN_H

#include "base/error.h"

#define PL_PATTERN_MAX 4096 /* bytes */

struct pl_pattern;

/* `where` (a JSON pointer) goes into errors. Errors: EINVAL if it is no regular expression. */
enum prilora_status pl_pattern_new(struct pl_pattern **out, const char *text, const char *where,
                                   struct prilora_error *err);
void pl_pattern_free(struct pl_pattern *pattern);

/* Errors: EINVAL if matching takes more steps than any sensible pattern needs. */
enum prilora_status pl_pattern_match(const struct pl_pattern *pattern, const char *path,
                                     bool *matches, struct prilora_error *err);

#endif
