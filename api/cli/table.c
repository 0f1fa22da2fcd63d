/* table.c - see table.h. */
#include "api/cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/cli.h"
#include "api/cli/text.h"

#define GAP           2
#define LEAST_COLUMNS 8 /* a column that shrinks keeps so many */

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

/* ---- widths ---- */

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void measure(const struct table *table, size_t *widths)
{
    bool titled = table->columns[0].title != NULL;

    assert(table->n_columns > 0);
    for (size_t i = 0; i < table->n_columns; i++)
        widths[i] = titled ? text_width(table->columns[i].title) : 0;
    for (size_t i = 0; i < table->n_cells; i++) {
        size_t column = i % table->n_columns;

        widths[column] = most(widths[column], text_width(table->cells[i].text));
    }
}

static size_t total(const struct table *table, const size_t *widths)
{
    size_t sum = 0;

    for (size_t i = 0; i < table->n_columns; i++)
        sum += widths[i] > 0 ? widths[i] + (sum > 0 ? GAP : 0) : 0;
    return sum;
}

/* Optional columns are left out (width 0), the last first, before anything is cut. */
static void leave_out(const struct table *table, size_t *widths, size_t available)
{
    for (size_t i = table->n_columns; i > 0 && total(table, widths) > available; i--) {
        if (table->columns[i - 1].kind == COLUMN_OPTIONAL)
            widths[i - 1] = 0;
    }
}

/* Takes from the widest column that may shrink until all fit `available`, or none is left. */
static void shrink(const struct table *table, size_t *widths, size_t available)
{
    while (total(table, widths) > available) {
        size_t widest = table->n_columns;

        for (size_t i = 0; i < table->n_columns; i++) {
            if (table->columns[i].kind == COLUMN_SHRINKS && widths[i] > LEAST_COLUMNS &&
                (widest == table->n_columns || widths[i] > widths[widest]))
                widest = i;
        }
        if (widest == table->n_columns)
            return;
        widths[widest]--;
    }
}

/* ---- printing ---- */

static void put_spaces(size_t n)
{
    printf("%*s", (int)n, "");
}

static void print_cell(const struct table *table, size_t column, size_t n_columns,
                       const struct cell *cell, size_t width)
{
    bool last = column + 1 == n_columns;
    char *cut = table->columns[column].kind == COLUMN_SHRINKS ? text_cut(cell->text, width) : NULL;
    const char *shown = cut ? cut : cell->text;
    size_t used = text_width(shown), padding = used < width ? width - used : 0;

    if (table->columns[column].kind == COLUMN_RIGHT)
        put_spaces(padding);
    if (cell->colour != COLOUR_NONE)
        fputs(terminal_colour(stdout, cell->colour), stdout);
    fputs(shown, stdout);
    if (cell->colour != COLOUR_NONE)
        fputs(terminal_colour(stdout, COLOUR_NONE), stdout);
    if (table->columns[column].kind != COLUMN_RIGHT && !last)
        put_spaces(padding);
    if (!last)
        put_spaces(GAP);
    free(cut);
}

/* Empty cells at the end are left out: no line ends with spaces. */
static void print_row(const struct table *table, const struct cell *cells, const size_t *widths)
{
    size_t n = table->n_columns;

    while (n > 0 && (cells[n - 1].text[0] == '\0' || widths[n - 1] == 0))
        n--;
    for (size_t i = 0; i < n; i++) {
        if (widths[i] > 0)
            print_cell(table, i, n, &cells[i], widths[i]);
    }
    putchar('\n');
}

void table_print(const struct table *table)
{
    size_t widths[TABLE_MAX_COLUMNS], available = terminal_width(stdout);

    measure(table, widths);
    if (available > 0) {
        leave_out(table, widths, available);
        shrink(table, widths, available);
    }
    if (table->columns[0].title) {
        struct cell titles[TABLE_MAX_COLUMNS];

        for (size_t i = 0; i < table->n_columns; i++)
            titles[i] = (struct cell){(char *)table->columns[i].title, COLOUR_STRONG};
        print_row(table, titles, widths);
    }
    for (size_t i = 0; i < table->n_cells; i += table->n_columns)
        print_row(table, table->cells + i, widths);
    if (table->n_cells == 0 && terminal_is(stdout))
        printf("%s(none)%s\n", terminal_colour(stdout, COLOUR_FAINT),
               terminal_colour(stdout, COLOUR_NONE));
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
    char *text;

    va_start(arguments, format);
    text = format_list(format, arguments);
    va_end(arguments);
    table_cell_coloured(table, name, COLOUR_FAINT);
    table_cell(table, text);
    free(text);
}
