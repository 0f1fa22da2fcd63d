/* json.h - members of what the server answered, which may lack any of them. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* By a path as "error.message"; NULL: there is none, or it is null. */
const json_t *json_at(const json_t *object, const char *path);
const char *json_text(const json_t *object, const char *path); /* "": none, or no text */
int64_t json_whole(const json_t *object, const char *path);    /* 0: none, or no number; ±10^15 */
bool json_number(const json_t *object, const char *path, double *out);
/* Any value as people would write it; free it. */
char *json_shown(const json_t *value);

#endif
