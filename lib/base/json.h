/*
 * json.h - JSON that is whole or is not there. jansson refuses a member when memory is short, and
 * the object without it is as good JSON as the one with it, but says something else.
 */
#ifndef PL_BASE_JSON_H
#define PL_BASE_JSON_H

#include <jansson.h>

/* Takes `value`; where it is NULL, or there is no room for it, *object is released and NULL from
 * then on: all that is set later is released, too, and json_pack and json_dumps give NULL. */
void pl_json_set(json_t **object, const char *name, json_t *value);
void pl_json_append(json_t **list, json_t *value); /* the same */

/* json_dumps, but NULL when memory is short: where there is none for the name of a member, jansson
 * leaves the name out and goes on. */
char *pl_json_text(const json_t *value, size_t flags);

#endif
