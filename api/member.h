/*
 * member.h - reading the members of a JSON body: each check names the member, shows the value seen,
 * and says what it must be.
 */
#ifndef MEMBER_H
#define MEMBER_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "api/fault.h"

/* The body's object, a new reference; NULL: fault. Members given twice are a fault. */
json_t *member_body(const char *body, size_t size, struct fault *fault);

/* A fault if the object has members other than `names` (NULL-terminated). */
bool member_check_names(json_t *object, const char *const *names, struct fault *fault);

/* Fills *fault and returns false: `value` (NULL: the member is missing) is not what it must be. */
bool member_fail(struct fault *fault, const char *name, const json_t *value, const char *must);

/* A copied string of 1 to `max` characters, none of them a control character. */
bool member_text(const json_t *value, const char *name, size_t max, const char *must, char **out,
                 struct fault *fault);
bool member_integer(const json_t *value, const char *name, int64_t min, int64_t max,
                    const char *must, int64_t *out, struct fault *fault);

#endif
