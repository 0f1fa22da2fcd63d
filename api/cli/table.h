/*
 * table.h - rows and columns that fit a terminal: too wide a table loses width where a column may
 * shrink. Without a terminal nothing is cut, so that another program finds all of it.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stddef.h>

#include "api/cli/terminal.h"

#define TABLE_MAX_COLUMNS 16

struct column {
    const char *title; /* NULL in the first: no line of titles */
    /* where there is no room optional ones are left out, the last first; then others shrink */
    enum { COLUMN_LEFT, COLUMN_RIGHT, COLUMN_SHRINKS, COLUMN_OPTIONAL } kind;
};

struct table;

struct table *table_new(const struct column *columns, size_t n); /* `columns` stay the caller's */
void table_free(struct table *table);
/* The next cell, rows after rows; the text is copied and cleaned. */
void table_cell(struct table *table, const char *text);
void table_cell_coloured(struct table *table, const char *text, enum colour colour);
void table_print(const struct table *table); /* to stdout */

/* A name and a value: one row of a table of two columns, made by table_new_fields. */
struct table *table_new_fields(void);
void table_field(struct table *table, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
