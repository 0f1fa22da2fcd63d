/*
 * rows_delimited.c - CSV (RFC 4180) and TSV as GLUE publishes it.
 *
 * CSV needs a header; fields may be quoted and then hold commas, line ends and doubled quotes; a
 * quote inside an unquoted field is text. TSV has no quoting at all: every quote is text, a line is
 * a row. Its header may be missing only in CoLA's four columns. Blank lines are passed over.
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tok/utf8.h"
#include "train/columns.h"
#include "train/rows.h"

struct field {
    const char *text;
    size_t size;
};

struct delimited {
    char separator;
    bool quoting;
    struct field *fields; /* [PL_MAX_COLUMNS] of the row just read */
    size_t n;
    char *unquoted; /* [PL_MAX_LINE] fields with doubled quotes, undoubled */
    size_t n_unquoted;
    size_t text, pair, label, n_columns; /* pair SIZE_MAX: none */
    bool has_gaps;
    struct pl_label one;
    locale_t locale; /* "C": numbers have a point, wherever the program runs */
};

/* ---- records --------------------------------------------------------------------------------- */

static enum pl_row_result too_many_columns(char *reason)
{
    snprintf(reason, PL_MAX_REASON, "more than %d columns", PL_MAX_COLUMNS);
    return PL_ROW_BAD;
}

static enum pl_row_result next_line(struct pl_rows *rows, char *reason)
{
    struct delimited *s = rows->state;
    enum pl_row_result result;
    const char *line, *tab;
    size_t size;

    result = pl_rows_line(rows, &line, &size, reason);
    s->n = 0;
    if (result != PL_ROW_GOOD)
        return result;
    do {
        tab = memchr(line, s->separator, size);
        if (s->n == PL_MAX_COLUMNS)
            return too_many_columns(reason);
        s->fields[s->n++] = (struct field){line, tab ? (size_t)(tab - line) : size};
        if (tab) {
            size -= (size_t)(tab - line) + 1;
            line = tab + 1;
        }
    } while (tab);
    return PL_ROW_GOOD;
}

/*
 * The quoted field whose opening quote stands at `at`; returns what follows the closing one, or
 * NULL if there is none before `end`.
 */
static const char *read_quoted(struct delimited *s, const char *at, const char *end)
{
    char *start = s->unquoted + s->n_unquoted, *to = start;

    for (at++; at < end; at++) {
        if (*at == '"') {
            if (at + 1 == end || at[1] != '"') {
                s->fields[s->n++] = (struct field){start, (size_t)(to - start)};
                s->n_unquoted += (size_t)(to - start);
                return at + 1;
            }
            at++;
        }
        *to++ = *at;
    }
    return NULL;
}

static bool at_line_end(const char *at, const char *end)
{
    return at == end || *at == '\n' || (*at == '\r' && (at + 1 == end || at[1] == '\n'));
}

/* Fields up to the end of the record; NULL with a reason if it is broken. */
static const char *read_fields(struct delimited *s, const char *at, const char *end, char *reason)
{
    for (;;) {
        const char *start = at;

        if (s->n == PL_MAX_COLUMNS) {
            too_many_columns(reason);
            return NULL;
        }
        if (at < end && *at == '"') {
            at = read_quoted(s, at, end);
            if (!at) {
                snprintf(reason, PL_MAX_REASON,
                         "column %zu: a quote is opened and not closed within %zu bytes", s->n + 1,
                         PL_MAX_LINE);
                return NULL;
            }
        } else {
            while (!at_line_end(at, end) && *at != s->separator)
                at++;
            s->fields[s->n++] = (struct field){start, (size_t)(at - start)};
        }
        if (at_line_end(at, end))
            return at;
        if (*at != s->separator) {
            snprintf(reason, PL_MAX_REASON, "column %zu: text after the closing quote", s->n);
            return NULL;
        }
        at++;
    }
}

static enum pl_row_result next_record(struct pl_rows *rows, char *reason)
{
    struct delimited *s = rows->state;
    size_t left = (size_t)(rows->end - rows->at);
    const char *start = rows->at, *limit, *end, *newline;
    enum pl_row_result result;

    s->n = s->n_unquoted = 0;
    if (left == 0)
        return PL_ROW_END;
    limit = left > PL_MAX_LINE ? start + PL_MAX_LINE : rows->end;
    end = read_fields(s, start, limit, reason);
    if (!end) {
        /* where the next row begins is unknown once a quote is wrong: stop here */
        rows->at = rows->end;
        return PL_ROW_BAD;
    }
    if (end == limit && limit < rows->end) {
        newline = memchr(end, '\n', (size_t)(rows->end - end));
        end = newline ? newline : rows->end;
    }
    result = pl_rows_check(start, (size_t)(end - start), reason);
    for (const char *p = start; (p = memchr(p, '\n', (size_t)(end - p))); p++)
        rows->line++;
    rows->line++;
    end += end < rows->end && *end == '\r';
    rows->at = end < rows->end ? end + 1 : end;
    return result;
}

static enum pl_row_result read_record(struct pl_rows *rows, struct pl_row *row, char *reason)
{
    struct delimited *s = rows->state;
    enum pl_row_result result;

    do {
        row->line = rows->line;
        result = s->quoting ? next_record(rows, reason) : next_line(rows, reason);
    } while (result == PL_ROW_GOOD && s->n == 1 && s->fields[0].size == 0);
    return result;
}

/* ---- the header ------------------------------------------------------------------------------ */

static size_t find_column(const struct delimited *s, const char *name)
{
    size_t size = strlen(name);

    for (size_t i = 0; i < s->n; i++)
        if (s->fields[i].size == size && memcmp(s->fields[i].text, name, size) == 0)
            return i;
    return SIZE_MAX;
}

static bool has_column(const void *context, const char *name)
{
    return find_column(context, name) != SIZE_MAX;
}

static bool is_header(const struct delimited *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (pl_columns_is_text(s->fields[i].text, s->fields[i].size))
            return true;
    return false;
}

static bool is_cola(const struct delimited *s, enum prilora_glue glue)
{
    const struct field *label = &s->fields[PL_COLA_LABEL];

    return (!glue || glue == PRILORA_GLUE_COLA) && !s->quoting && s->n == PL_COLA_COLUMNS &&
           label->size == 1 && (*label->text == '0' || *label->text == '1');
}

static enum prilora_status read_header(struct pl_rows *rows, struct prilora_error *err)
{
    struct delimited *s = rows->state;
    const struct pl_rows before = *rows;
    const struct pl_columns *c;
    struct pl_row row = {0};
    char where[192], reason[PL_MAX_REASON], first[PL_QUOTE_SIZE];
    enum pl_row_result result = read_record(rows, &row, reason);

    pl_rows_where(where, sizeof where, rows->name, row.line);
    if (result == PL_ROW_END)
        return PRILORA_OK; /* no rows at all */
    if (result != PL_ROW_GOOD)
        return pl_fail_at(err, PRILORA_EDATA, where, "line %zu: %s", row.line, reason);
    s->n_columns = s->n;
    s->pair = SIZE_MAX;
    if (!is_header(s) && is_cola(s, rows->glue)) {
        s->text = PL_COLA_TEXT;
        s->label = PL_COLA_LABEL;
        rows->at = before.at;
        rows->line = before.line;
        return PRILORA_OK;
    }
    c = pl_columns_choose(rows->glue, has_column, s, reason, sizeof reason);
    if (!c)
        return pl_fail_at(err, PRILORA_EDATA, where,
                          "line %zu: the header (%zu column%s, the first is %s) %s%s", row.line,
                          s->n, s->n == 1 ? "" : "s",
                          pl_rows_quote(first, s->fields[0].text, s->fields[0].size),
                          rows->glue ? "is " : "has ", reason);
    s->text = find_column(s, c->text);
    s->label = find_column(s, c->label);
    if (c->pair)
        s->pair = find_column(s, c->pair);
    s->has_gaps = c->has_gaps && !s->quoting;
    return PRILORA_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Decimal numbers only: no "nan", "inf" or hexadecimal, which strtod would take too. */
static enum pl_label_kind kind_of(const char *text, size_t size)
{
    size_t i = size && (text[0] == '-' || text[0] == '+'), digits = 0;
    bool real = false;

    for (; i < size && text[i] >= '0' && text[i] <= '9'; i++)
        digits++;
    if (i < size && text[i] == '.') {
        real = true;
        for (i++; i < size && text[i] >= '0' && text[i] <= '9'; i++)
            digits++;
    }
    if (digits && i < size && (text[i] == 'e' || text[i] == 'E')) {
        size_t exponent;

        real = true;
        i++;
        i += i < size && (text[i] == '-' || text[i] == '+');
        exponent = i;
        while (i < size && text[i] >= '0' && text[i] <= '9')
            i++;
        if (i == exponent)
            return PL_LABEL_TEXT;
    }
    if (!digits || i < size)
        return PL_LABEL_TEXT;
    return real ? PL_LABEL_REAL : PL_LABEL_INTEGER;
}

/* White space around a label does not count. */
static void read_label(struct delimited *s, const struct field *field)
{
    size_t skip = pl_utf8_spaces_at_start(field->text, field->size);
    const char *text = field->text + skip;
    size_t size = field->size - skip;
    char number[64];

    size -= pl_utf8_spaces_at_end(text, size);
    s->one = (struct pl_label){kind_of(text, size), text, size, 0};
    if (s->one.kind == PL_LABEL_TEXT)
        return;
    if (size >= sizeof number) {
        s->one.kind = PL_LABEL_TEXT;
        return;
    }
    memcpy(number, text, size);
    number[size] = '\0';
    s->one.value = strtod_l(number, NULL, s->locale);
}

static enum pl_row_result check_width(const struct delimited *s, char *reason)
{
    size_t n = s->n;

    while (n > s->n_columns && s->fields[n - 1].size == 0)
        n--; /* separators at the end of a line */
    if (n == s->n_columns)
        return PL_ROW_GOOD;
    snprintf(reason, PL_MAX_REASON, "%zu column%s, but the first line has %zu", n,
             n == 1 ? "" : "s", s->n_columns);
    return n < s->n_columns && s->has_gaps ? PL_ROW_SKIPPED : PL_ROW_BAD;
}

static enum pl_row_result delimited_next(struct pl_rows *rows, struct pl_row *row, char *reason)
{
    struct delimited *s = rows->state;
    enum pl_row_result result = read_record(rows, row, reason);

    if (result == PL_ROW_GOOD)
        result = check_width(s, reason);
    if (result != PL_ROW_GOOD)
        return result;
    row->text = s->fields[s->text].text;
    row->text_size = s->fields[s->text].size;
    if (s->pair != SIZE_MAX) {
        row->pair = s->fields[s->pair].text;
        row->pair_size = s->fields[s->pair].size;
    }
    read_label(s, &s->fields[s->label]);
    row->labels = &s->one;
    row->n_labels = 1;
    row->may_be_empty = s->has_gaps;
    return PL_ROW_GOOD;
}

/* ---- opening --------------------------------------------------------------------------------- */

static enum prilora_status open_dialect(struct pl_rows *rows, char separator, bool quoting,
                                        struct prilora_error *err)
{
    struct delimited *s = pl_calloc(1, sizeof *s);

    rows->state = s;
    if (s) {
        s->separator = separator;
        s->quoting = quoting;
        s->fields = pl_alloc(PL_MAX_COLUMNS, sizeof *s->fields);
        s->unquoted = quoting ? pl_alloc(PL_MAX_LINE, 1) : NULL;
        s->locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    }
    if (!s || !s->fields || !s->locale || (quoting && !s->unquoted))
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", rows->name);
    return read_header(rows, err);
}

static enum prilora_status csv_open(struct pl_rows *rows, struct prilora_error *err)
{
    return open_dialect(rows, ',', true, err);
}

static enum prilora_status tsv_open(struct pl_rows *rows, struct prilora_error *err)
{
    return open_dialect(rows, '\t', false, err);
}

static void delimited_close(struct pl_rows *rows)
{
    struct delimited *s = rows->state;

    if (!s)
        return;
    free(s->fields);
    free(s->unquoted);
    if (s->locale)
        freelocale(s->locale);
    free(s);
}

const struct pl_rows_format pl_rows_csv = {".csv", csv_open, delimited_next, delimited_close};
const struct pl_rows_format pl_rows_tsv = {".tsv", tsv_open, delimited_next, delimited_close};
