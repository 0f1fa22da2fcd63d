/* bad_rows.h - the wrong rows of a file: the first ones kept, all counted, told in line order. */
#ifndef PL_BAD_ROWS_H
#define PL_BAD_ROWS_H

#include "train/rows.h"

struct pl_bad_rows {
    size_t total, n;
    struct {
        size_t line;
        char reason[PL_MAX_REASON];
    } list[PRILORA_MAX_BAD_ROWS]; /* [n] by line */
};

/* Rows may come in any order; of too many, those with the lowest lines stay. */
void pl_bad_rows_add(struct pl_bad_rows *bad, size_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Tells options->bad_row of each and fills *err: EDATA at the first, with the total; or OK. */
enum prilora_status pl_bad_rows_report(const struct pl_bad_rows *bad, size_t n_rows,
                                       const char *name,
                                       const struct prilora_dataset_options *options,
                                       struct prilora_error *err);

#endif
