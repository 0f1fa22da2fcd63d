/* label_rows.h - inside view of struct pl_labels: what is collected of every row. */
#ifndef PL_LABEL_ROWS_H
#define PL_LABEL_ROWS_H

#include "train/labels.h"

struct pl_label_item {
    enum pl_label_kind kind;
    size_t text, size; /* in texts */
    double value;
    size_t place; /* of a word's tag: the token that it is the target of */
};

/* What a row is, whatever its label. */
enum pl_row_kind { PL_ROW_OF_TEXT, PL_ROW_OF_WORDS, PL_ROW_OF_QUESTION };

struct pl_label_row {
    size_t line, first, n; /* items; a question has none */
    bool is_list;
    enum pl_row_kind kind;
};

#endif
