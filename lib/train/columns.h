/* columns.h - which columns (or JSON members) hold the texts and the label: one table. */
#ifndef PL_COLUMNS_H
#define PL_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct pl_columns {
    const char *text, *pair, *label; /* pair NULL: single sentences */
    bool pair_is_optional;
    bool has_gaps;  /* as published (TSV), it has short rows, to be skipped, and empty texts */
    unsigned tasks; /* bit t: files of GLUE task t are so */
};

/*
 * pl_columns_choose - the first row of the table (of a GLUE task: of its rows) whose columns are
 * all there, as `has` tells; NULL with a reason that names what is missing.
 */
const struct pl_columns *pl_columns_choose(enum prilora_glue glue,
                                           bool (*has)(const void *context, const char *name),
                                           const void *context, char *reason, size_t room);

/*
 * pl_columns_tagged - the same for rows that are a list of words and a list of tags, as `has` and
 * `is_list` tell: true if they are, with *tags NULL if there are none.
 */
bool pl_columns_tagged(bool (*has)(const void *context, const char *name),
                       bool (*is_list)(const void *context, const char *name), const void *context,
                       const char **words, const char **tags);

/* The same for rows that are a question about a context, with answers or (which is an error)
 * without anything else that could be their label. */
bool pl_columns_asked(bool (*has)(const void *context, const char *name), const void *context);

/* Whether some row of the table calls its text or pair so: a header has at least one such name. */
bool pl_columns_is_text(const char *name, size_t size);

/* CoLA's headerless file: source, label, mark, sentence. */
enum { PL_COLA_LABEL = 1, PL_COLA_TEXT = 3, PL_COLA_COLUMNS = 4 };

#endif
