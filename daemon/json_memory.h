/*
 * json_memory.h - whether jansson was refused memory. Where its reader is, it leaves out a letter
 * and goes on: a name or a number would be another one. So who reads JSON that matters asks here.
 *
 * What jansson allocates is not for free(3): text of JSON is made by json_whole_text.
 */
#ifndef JSON_MEMORY_H
#define JSON_MEMORY_H

#include <jansson.h>

#include "prilora.h"

void json_memory_watch(void); /* once, before JSON is read */
/* How often this thread was refused memory so far: more often afterwards, and what was read between
 * is worth nothing. */
unsigned long json_memory_refusals(void);

/* Takes `value`; where it is NULL, or there is no room for it, *whole is released and NULL from
 * then on: better nothing than an object that lacks a member. */
void json_put(json_t **whole, const char *name, json_t *value);
void json_add(json_t **whole, json_t *value); /* to an array */

/* json_dumps, but NULL when memory is short: jansson's writer leaves out names, too. */
char *json_whole_text(const json_t *value, size_t flags);

/* prilora_spec_parse, and ENOMEM if memory was refused meanwhile. */
enum prilora_status json_memory_spec(struct prilora_spec **out, const char *json,
                                     struct prilora_error *err);

#endif
