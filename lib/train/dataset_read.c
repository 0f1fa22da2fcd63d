/*
 * dataset_read.c - from the rows of a file to tokenized examples, in one pass; labels follow when
 * all are known. Formats are rows.h's, labels labels.h's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/pulse.h"
#include "tok/tokenizer.h"
#include "train/bad_rows.h"
#include "train/dataset.h"
#include "train/labels.h"
#include "train/questions_read.h"
#include "train/rows.h"

/* A file being read. */
struct reading {
    const struct pl_tokenizer *tokenizer;
    const struct prilora_dataset_options *options;
    struct pl_rows rows;
    struct pl_labels labels;
    struct pl_bad_rows bad;
    struct pl_ids ids;
    size_t *starts;     /* [n + 1] */
    uint8_t *truncated; /* [n] */
    uint32_t *cut;      /* [n] words that were cut off */
    size_t *firsts;     /* [n_firsts] tokens of one row's words */
    struct pl_questions_reading asked;
    size_t n, room, n_firsts, n_rows, n_skipped;
};

static enum prilora_status no_memory(const struct reading *r, struct prilora_error *err)
{
    return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory at line %zu", r->rows.name,
                   r->rows.line);
}

static bool grow(void *array, size_t n, size_t size)
{
    void *more = pl_realloc(*(void **)array, n, size);

    if (more)
        *(void **)array = more;
    return more != NULL;
}

static bool make_room(struct reading *r, size_t n_words)
{
    size_t room = r->room + r->room / 2 + 1024;

    if (n_words > r->n_firsts) {
        if (!grow(&r->firsts, n_words, sizeof *r->firsts))
            return false;
        r->n_firsts = n_words;
    }
    if (r->n < r->room)
        return true;
    if (!grow(&r->starts, room + 1, sizeof *r->starts) ||
        !grow(&r->truncated, room, sizeof *r->truncated) || !grow(&r->cut, room, sizeof *r->cut))
        return false;
    r->room = room;
    return true;
}

/* A row's tokens; *n_cut of its words lost theirs. */
static enum prilora_status encode(struct reading *r, const struct pl_row *row, bool *truncated,
                                  size_t *n_cut, struct prilora_error *err)
{
    const size_t most = r->options->max_length;
    enum prilora_status rc;

    if (!row->words)
        return pl_tokenizer_encode(r->tokenizer, &r->ids, row->text, row->text_size, row->pair,
                                   row->pair_size, most, truncated, err);
    rc = pl_tokenizer_encode_words(r->tokenizer, &r->ids, row->words, row->n_words, most, r->firsts,
                                   truncated, err);
    for (size_t i = row->n_words; rc == PRILORA_OK && *truncated && i-- > 0;) {
        if (r->firsts[i] != PL_NO_PLACE)
            break;
        ++*n_cut;
    }
    return rc;
}

/* The row is wrong, or reading cannot go on: what came of `rc`, which e says. */
static enum prilora_status told(struct reading *r, const struct pl_row *row, enum prilora_status rc,
                                const struct prilora_error *e, struct prilora_error *err)
{
    if (rc == PRILORA_ENOMEM || rc == PRILORA_EINVAL)
        return pl_fail(err, rc, "%s: line %zu: %s", r->rows.name, row->line, e->message);
    if (rc != PRILORA_OK)
        pl_bad_rows_add(&r->bad, row->line, "%s", e->message);
    return PRILORA_OK;
}

/* The examples of a question: its windows. */
static enum prilora_status add_windows(struct reading *r, const struct pl_row *row,
                                       struct prilora_error *err)
{
    enum prilora_status rc = pl_questions_read(&r->asked, row, err);

    for (size_t i = 0; rc == PRILORA_OK && i < r->asked.windows.n; i++) {
        if (!make_room(r, 0))
            return pl_fail(err, PRILORA_ENOMEM, "out of memory");
        rc = pl_questions_read_window(&r->asked, &r->ids, i, err);
        r->cut[r->n] = 0;
        r->truncated[r->n++] = pl_questions_read_cut(&r->asked);
        r->starts[r->n] = r->ids.n;
    }
    return rc;
}

static enum prilora_status add_question(struct reading *r, const struct pl_row *row,
                                        struct prilora_error *err)
{
    struct prilora_error e = {0};
    enum prilora_status rc = r->bad.total == 0 ? add_windows(r, row, &e) : PRILORA_OK;
    char where[192];

    rc = told(r, row, rc, &e, err);
    if (rc != PRILORA_OK)
        return rc;
    if (r->n > PL_MAX_ROWS || r->ids.n > PL_MAX_WINDOW_TOKENS) {
        pl_rows_where(where, sizeof where, r->rows.name, row->line);
        return pl_fail_at(err, PRILORA_ELIMIT, where,
                          "the questions take more than %zu windows or %zu tokens", PL_MAX_ROWS,
                          PL_MAX_WINDOW_TOKENS);
    }
    return pl_labels_add(&r->labels, row, NULL) ? PRILORA_OK : no_memory(r, err);
}

/* Once a row was bad there will be no data set: the rest is only checked. */
static enum prilora_status add_example(struct reading *r, const struct pl_row *row,
                                       struct prilora_error *err)
{
    struct prilora_error e = {0};
    enum prilora_status rc = PRILORA_OK;
    bool truncated = false, encoded = r->bad.total == 0;
    size_t n_cut = 0;

    if (row->is_question)
        return add_question(r, row, err);
    if (!make_room(r, row->n_words))
        return no_memory(r, err);
    if (encoded)
        rc = encode(r, row, &truncated, &n_cut, &e);
    encoded = encoded && rc == PRILORA_OK;
    rc = told(r, row, rc, &e, err);
    if (rc != PRILORA_OK)
        return rc;
    if (!pl_labels_add(&r->labels, row, row->words && encoded ? r->firsts : NULL))
        return no_memory(r, err);
    r->cut[r->n] = (uint32_t)n_cut;
    r->truncated[r->n++] = truncated;
    r->starts[r->n] = r->ids.n;
    return PRILORA_OK;
}

static bool stop_raised(const struct reading *r)
{
    const atomic_int *stop = r->options->stop;

    return stop && atomic_load_explicit(stop, memory_order_relaxed) == PRILORA_STOP;
}

static enum prilora_status read_rows(struct reading *r, struct prilora_error *err)
{
    char reason[PL_MAX_REASON], where[192];
    struct pl_row row;

    for (;;) {
        enum pl_row_result result = pl_rows_next(&r->rows, &row, reason);
        enum prilora_status rc = PRILORA_OK;

        pl_pulse_beat();
        if (result == PL_ROW_END)
            return PRILORA_OK;
        if (stop_raised(r))
            return pl_fail(err, PRILORA_ESTOPPED, "%s: stopped at line %zu", r->rows.name,
                           r->rows.line);
        if (result == PL_ROW_NOMEM)
            return no_memory(r, err);
        if (++r->n_rows > PL_MAX_ROWS) {
            pl_rows_where(where, sizeof where, r->rows.name, row.line);
            return pl_fail_at(err, PRILORA_ELIMIT, where, "more than %zu rows", PL_MAX_ROWS);
        }
        if (result == PL_ROW_SKIPPED)
            r->n_skipped++;
        else if (result == PL_ROW_BAD)
            pl_bad_rows_add(&r->bad, row.line, "%s", reason);
        else
            rc = add_example(r, &row, err);
        if (rc != PRILORA_OK)
            return rc;
    }
}

/* Examples and labels put together; the arrays change hands. */
static enum prilora_status build(struct reading *r, struct prilora_dataset *d,
                                 struct prilora_error *err)
{
    enum prilora_status rc = pl_labels_resolve(&r->labels, d, r->ids.n, r->options, &r->bad, err);

    if (rc != PRILORA_OK) {
        if (err && !err->where[0])
            snprintf(err->where, sizeof err->where, "%s", r->rows.name);
        return rc;
    }
    rc = pl_bad_rows_report(&r->bad, r->n_rows, r->rows.name, r->options, err);
    if (rc != PRILORA_OK)
        return rc;
    if (r->n == 0)
        return pl_fail_at(err, PRILORA_EDATA, r->rows.name, "%s: there are no rows in it",
                          r->rows.name);
    d->n = r->n;
    d->n_skipped = r->n_skipped;
    d->starts = r->starts;
    d->starts[0] = 0;
    d->truncated = r->truncated;
    if (d->task == PRILORA_TASK_TOKEN_CLASSIFICATION) {
        d->cut = r->cut;
        r->cut = NULL;
    }
    if (d->task == PRILORA_TASK_QUESTION_ANSWERING) {
        d->questions = r->asked.questions;
        d->targets = r->asked.targets;
        r->asked.questions = NULL;
        r->asked.targets = NULL;
    }
    d->ids = r->ids.ids;
    d->type_ids = r->ids.type_ids;
    r->starts = NULL;
    r->truncated = NULL;
    r->ids = (struct pl_ids){0};
    return pl_dataset_finish(d, err);
}

static void reading_close(struct reading *r)
{
    pl_rows_close(&r->rows);
    pl_labels_free(&r->labels);
    pl_ids_free(&r->ids);
    free(r->starts);
    free(r->truncated);
    free(r->cut);
    free(r->firsts);
    pl_questions_reading_free(&r->asked);
    free(r);
}

enum prilora_status pl_dataset_parse(struct prilora_dataset **out,
                                     const struct pl_tokenizer *tokenizer, const char *data,
                                     size_t size, const struct prilora_dataset_options *options,
                                     struct prilora_error *err)
{
    struct reading *r = pl_calloc(1, sizeof *r);
    struct prilora_dataset *d = pl_calloc(1, sizeof *d);
    enum prilora_status rc;

    *out = NULL;
    if (!r || !d) {
        free(r);
        free(d);
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", options->name);
    }
    r->tokenizer = tokenizer;
    r->options = options;
    r->asked = (struct pl_questions_reading){.tokenizer = tokenizer,
                                             .max_length = options->max_length,
                                             .stride = options->doc_stride};
    rc = pl_rows_open(&r->rows, data ? data : "", size, options->name, options->glue, err);
    if (rc == PRILORA_OK)
        rc = pl_tokenizer_prepare(tokenizer, err);
    if (rc == PRILORA_OK)
        rc = read_rows(r, err);
    if (rc == PRILORA_OK)
        rc = build(r, d, err);
    if (rc == PRILORA_OK) {
        *out = d;
        d = NULL;
    }
    reading_close(r);
    prilora_dataset_free(d);
    return rc;
}

enum prilora_status pl_dataset_read(struct prilora_dataset **out,
                                    const struct pl_tokenizer *tokenizer, const char *path,
                                    const struct prilora_dataset_options *options,
                                    struct prilora_error *err)
{
    struct prilora_dataset_options named = *options;
    struct pl_file_map map;
    enum prilora_status rc;

    *out = NULL;
    if (!named.name)
        named.name = path;
    rc = pl_file_map(&map, path, err);
    if (rc != PRILORA_OK)
        return rc;
    rc = pl_dataset_parse(out, tokenizer, (const char *)map.data, map.size, &named, err);
    rc = pl_file_map_end(&map, rc, err);
    if (rc != PRILORA_OK) {
        prilora_dataset_free(*out);
        *out = NULL;
    }
    return rc;
}
