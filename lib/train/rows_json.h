/* rows_json.h - what the readers of JSON share: a walk through a file, value by value. */
#ifndef PL_ROWS_JSON_H
#define PL_ROWS_JSON_H

#include <jansson.h>

#include "train/rows.h"

/* "an object", "a list", ... */
const char *pl_json_type_name(const json_t *value);

/* The next byte that is not white space, which is passed over, or -1 at the end. */
int pl_rows_json_space(struct pl_rows *rows);

/*
 * pl_rows_json_value - the value at rows->at, of at most PL_MAX_LINE bytes, into *out; rows->at and
 * rows->line are behind it then. BAD: it is none; rows->line is that of the fault.
 */
enum pl_row_result pl_rows_json_value(struct pl_rows *rows, size_t flags, json_t **out,
                                      char *reason);

#endif
