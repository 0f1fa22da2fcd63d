/* json.h - small helpers around jansson. Encoders return NULL when out of memory. */
#ifndef JSON_H
#define JSON_H

#include <jansson.h>
#include <stdint.h>

json_t *json_text(const char *text);   /* NULL: null */
json_t *json_time(int64_t seconds);    /* 0: null */
json_t *json_parsed(const char *text); /* stored JSON; NULL or broken: null */

#endif
