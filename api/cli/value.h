/* value.h - values of --set. */
#ifndef CLI_VALUE_H
#define CLI_VALUE_H

#include <jansson.h>

/* A number, true, false or null, a list with commas, JSON, or else text. NULL: not UTF-8. */
json_t *value_parse(const char *text);

#endif
