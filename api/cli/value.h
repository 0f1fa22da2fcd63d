/* value.h - what options and files put into the JSON that is submitted. */
#ifndef CLI_VALUE_H
#define CLI_VALUE_H

#include <jansson.h>

/* A number, true, false or null, a list with commas, JSON, or else text. NULL: not UTF-8. */
json_t *value_parse(const char *text);

/* The JSON object in the file (or "-"); `what` it should be, as "a job", is for errors. */
int value_read_object(const char *path, const char *what, json_t **out);

/* A text, or with '@' before it the file ("-": stdin) that holds it; `option` is for errors. */
int value_read_text(const char *given, const char *option, json_t **out);

int value_set_text(json_t *object, const char *name, const char *text);

/* --metadata NAME=TEXT */
int value_set_metadata(json_t *object, const char *pair);

#endif
