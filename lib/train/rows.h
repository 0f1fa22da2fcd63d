/*
 * rows.h - the rows of a data file one after another, whatever its format.
 *
 * The whole file is in memory (mapped); a row's texts point into it or into the reader, and end
 * with the next call. Readers stand in one table in rows.c, chosen by the file name's ending.
 */
#ifndef PL_ROWS_H
#define PL_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define PL_MAX_LINE    ((size_t)4 << 20) /* bytes of one row */
#define PL_MAX_COLUMNS 1024
#define PL_MAX_REASON  320              /* bytes of a sentence that says why a row is wrong */
#define PL_MAX_WORDS   ((size_t)100000) /* of a row that is a list of them */

enum pl_label_kind { PL_LABEL_TEXT, PL_LABEL_INTEGER, PL_LABEL_REAL };

/* One label as it stands in the file. */
struct pl_label {
    enum pl_label_kind kind;
    const char *text; /* its name as a class */
    size_t size;
    double value; /* INTEGER, REAL; may be infinite */
};

struct pl_row {
    size_t line;             /* of its beginning, from 1 */
    const char *text, *pair; /* pair NULL: none */
    size_t text_size, pair_size;
    const struct prilora_word *words; /* instead of a text; NULL: none. Each has a label */
    size_t n_words;
    const struct pl_label *labels;
    size_t n_labels;
    bool is_question; /* the text asks of the pair; labels are the answers, as they stand in it */
    bool same_pair;   /* of a question: its pair is that of the row before */
    const size_t *places; /* [n_labels] of a question: where in the pair each answer begins */
    bool is_list;         /* the labels stood in a list: several, or none */
    bool may_be_empty;    /* texts of a published table that has empty ones */
};

enum pl_row_result {
    PL_ROW_GOOD,
    PL_ROW_BAD,     /* row->line and the reason are set */
    PL_ROW_SKIPPED, /* a short row of a published table, or a list of no words */
    PL_ROW_END,
    PL_ROW_NOMEM,
};

struct pl_rows;

struct pl_rows_format {
    const char *ending;
    /* Looks at the beginning (a header, if there must be one) and makes rows->state. */
    enum prilora_status (*open)(struct pl_rows *rows, struct prilora_error *err);
    enum pl_row_result (*next)(struct pl_rows *rows, struct pl_row *row, char *reason);
    void (*close)(struct pl_rows *rows);
};

struct pl_rows {
    const struct pl_rows_format *format;
    const char *name;
    enum prilora_glue glue; /* the file must be one of this task */
    const char *at, *end;   /* what is not read yet */
    size_t line;            /* the number of the line at `at` */
    void *state;            /* the format's */
};

extern const struct pl_rows_format pl_rows_jsonl, pl_rows_ndjson, pl_rows_json, pl_rows_csv,
    pl_rows_tsv, pl_rows_conll, pl_rows_bio, pl_rows_txt;

/* SQuAD's own form, which is told by its shape from other files that end in .json. */
extern const struct pl_rows_format pl_rows_squad;
/* Whether it stands at rows->at: an object with a list "data". Nothing is moved. */
bool pl_rows_squad_here(const struct pl_rows *rows);

/*
 * pl_rows_open - `data` must stay until pl_rows_close; `glue` NONE for any file. Errors: EINVAL if
 * the ending of `name` is none of .jsonl .ndjson .json .csv .tsv .conll .bio .txt; EFORMAT for
 * UTF-16; EDATA for a header without the columns that are needed.
 */
enum prilora_status pl_rows_open(struct pl_rows *rows, const char *data, size_t size,
                                 const char *name, enum prilora_glue glue,
                                 struct prilora_error *err);
void pl_rows_close(struct pl_rows *rows);

/* The next row; its texts have been checked: UTF-8, size, emptiness. reason[PL_MAX_REASON]. */
enum pl_row_result pl_rows_next(struct pl_rows *rows, struct pl_row *row, char *reason);

/*
 * For the readers. The line at rows->at without its end (LF or CR LF), moved behind it; BAD above
 * PL_MAX_LINE or if it is not UTF-8; END at the end.
 */
enum pl_row_result pl_rows_line(struct pl_rows *rows, const char **line, size_t *size,
                                char *reason);
enum pl_row_result pl_rows_check(const char *text, size_t size, char *reason);

/* A row's words and their labels, for readers to fill; start with {0}. */
struct pl_row_words {
    struct prilora_word *words; /* [room] */
    struct pl_label *labels;    /* [room] */
    size_t n, room;
};
/* Room for n of them. Errors: NOMEM; BAD above PL_MAX_WORDS. */
enum pl_row_result pl_row_words_room(struct pl_row_words *words, size_t n, char *reason);
void pl_row_words_free(struct pl_row_words *words);

/* "file:line" for err->where. */
void pl_rows_where(char *out, size_t room, const char *name, size_t line);

/* text in quotes, cut to some 40 bytes, control characters as '?'; the buffer it wrote. */
#define PL_QUOTE_SIZE 64
const char *pl_rows_quote(char out[PL_QUOTE_SIZE], const char *text, size_t size);

#endif
