/*
 * json_memory.h - whether jansson was refused memory. Where its reader is, it leaves out a letter
 * and goes on: a name or a number would be another one. So who reads JSON that matters asks here.
 */
#ifndef JSON_MEMORY_H
#define JSON_MEMORY_H

#include "prilora.h"

void json_memory_watch(void); /* once, before JSON is read */
/* How often this thread was refused memory so far: more often afterwards, and what was read between
 * is worth nothing. */
unsigned long json_memory_refusals(void);

/* prilora_spec_parse, and ENOMEM if memory was refused meanwhile. */
enum prilora_status json_memory_spec(struct prilora_spec **out, const char *json,
                                     struct prilora_error *err);

#endif
