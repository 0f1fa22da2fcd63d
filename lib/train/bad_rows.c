/* bad_rows.c - see bad_rows.h. */
#include "train/bad_rows.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tok/utf8.h"

void pl_bad_rows_add(struct pl_bad_rows *bad, size_t line, const char *format, ...)
{
    size_t i = bad->n;
    char *reason;
    va_list args;

    bad->total++;
    while (i > 0 && bad->list[i - 1].line > line)
        i--;
    if (i == PRILORA_MAX_BAD_ROWS)
        return;
    if (bad->n < PRILORA_MAX_BAD_ROWS)
        bad->n++;
    memmove(&bad->list[i + 1], &bad->list[i], (bad->n - 1 - i) * sizeof *bad->list);
    bad->list[i].line = line;
    reason = bad->list[i].reason;
    va_start(args, format);
    vsnprintf(reason, PL_MAX_REASON, format, args);
    va_end(args);
    /* a cut may fall inside a character: what goes to others stays UTF-8 */
    reason[pl_utf8_check(reason, strlen(reason))] = '\0';
}

enum prilora_status pl_bad_rows_report(const struct pl_bad_rows *bad, size_t n_rows,
                                       const char *name,
                                       const struct prilora_dataset_options *options,
                                       struct prilora_error *err)
{
    char where[192];

    if (bad->total == 0)
        return PRILORA_OK;
    for (size_t i = 0; options->bad_row && i < bad->n; i++)
        options->bad_row(options->context, bad->list[i].line, bad->list[i].reason);
    pl_rows_where(where, sizeof where, name, bad->list[0].line);
    return pl_fail_at(err, PRILORA_EDATA, where, "%zu of %zu row%s %s wrong; line %zu: %s",
                      bad->total, n_rows, n_rows == 1 ? "" : "s", bad->total == 1 ? "is" : "are",
                      bad->list[0].line, bad->list[0].reason);
}
