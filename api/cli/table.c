/* table.c - see table.h. */
#include "api/cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/cli.h"
#include "api/cli/text.h"

#define GAP           2
#define LEAST_COLUMNS 6 /* a column that shrinks keeps so many */

struct cell {
    char *text;
    enum colour colour;
};

struct table {
    const struct column *columns;
    size_t n_columns, n_cells, room;
    struct cell *cells;
};

struct table *table_new(const struct column *columns, size_t n)
{
    struct table *table = must(calloc(1, sizeof *table));

    assert(n <= TABLE_MAX_COLUMNS);
    table->columns = columns;
    table->n_columns = n;
    return table;
}

void table_free(struct table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->n_cells; i++)
        free(table->cells[i].text);
    free(table->cells);
    free(table);
}

void table_cell_coloured(struct table *table, const char *text, enum colour colour)
{
    if (table->n_cells == table->room) {
        table->room = table->room ? 2 * table->room : 64;
        table->cells = must(reallocarray(table->cells, table->room, sizeof *table->cells));
    }
    table->cells[table->n_cells++] = (struct cell){text_clean(text), colour};
}

void table_cell(struct table *table, const char *text)
{
    table_cell_coloured(table, text, COLOUR_NONE);
}

size_t table_rows(const struct table *table)
{
    return table->n_cells / table->n_columns;
}

/* ---- widths ---- */

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void measure(const struct table *table, size_t *widths)
{
    bool titled = table->columns[0].title != NULL;

    for (size_t i = 0; i < table->n_columns; i++)
        widths[i] = titled ? text_width(table->columns[i].title) : 0;
    for (size_t i = 0; i < table->n_cells; i++) {
        size_t column = i % table->n_columns;

        widths[column] = most(widths[column], text_width(table->cells[i].text));
    }
}

/* Takes from the widest column that may shrink until all fit `available`, or none is left. */
static void shrink(const struct table *table, size_t *widths, size_t available)
{
    for (;;) {
        size_t total = GAP * (table->n_columns - 1), widest = table->n_columns;

        for (size_t i = 0; i < table->n_columns; i++) {
            total += widths[i];
            if (table->columns[i].kind == COLUMN_SHRINKS && widths[i] > LEAST_COLUMNS &&
                (widest == table->n_columns || widths[i] > widths[widest]))
                widest = i;
        }
        if (total <= available || widest == table->n_columns)
            return;
        widths[widest]--;
    }
}

/* ---- printing ---- */

static void put_spaces(size_t n)
{
    printf("%*s", (int)n, "");
}

static void print_cell(const struct table *table, size_t column, const char *text,
                       enum colour colour, size_t width)
{
    bool last = column + 1 == table->n_columns;
    char *cut = table->columns[column].kind == COLUMN_SHRINKS ? text_cut(text, width) : NULL;
    const char *shown = cut ? cut : text;
    size_t padding = width - (text_width(shown) < width ? text_width(shown) : width);

    if (table->columns[column].kind == COLUMN_RIGHT)
        put_spaces(padding);
    if (colour != COLOUR_NONE)
        fputs(terminal_colour(stdout, colour), stdout);
    fputs(shown, stdout);
    if (colour != COLOUR_NONE)
        fputs(terminal_colour(stdout, COLOUR_NONE), stdout);
    if (table->columns[column].kind != COLUMN_RIGHT && !last)
        put_spaces(padding);
    if (last)
        putchar('\n');
    else
        put_spaces(GAP);
    free(cut);
}

void table_print(const struct table *table)
{
    size_t widths[TABLE_MAX_COLUMNS], available = terminal_width(stdout);

    measure(table, widths);
    if (available > 0)
        shrink(table, widths, available);
    for (size_t i = 0; table->columns[0].title && i < table->n_columns; i++)
        print_cell(table, i, table->columns[i].title, COLOUR_STRONG, widths[i]);
    for (size_t i = 0; i < table->n_cells; i++) {
        size_t column = i % table->n_columns;

        print_cell(table, column, table->cells[i].text, table->cells[i].colour, widths[column]);
    }
}

/* ---- names and values ---- */

struct table *table_new_fields(void)
{
    static const struct column columns[] = {{NULL, COLUMN_LEFT}, {NULL, COLUMN_LEFT}};

    return table_new(columns, 2);
}

void table_field(struct table *table, const char *name, const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    int n;

    va_start(arguments, format);
    n = vasprintf(&text, format, arguments);
    va_end(arguments);
    must(n < 0 ? NULL : text);
    table_cell_coloured(table, name, COLOUR_FAINT);
    table_cell(table, text);
    free(text);
}
