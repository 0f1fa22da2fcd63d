/*
 * preview.c - a first look at a data file: the rows, labels and errors that training would see, of
 * its beginning and without a tokenizer. Formats are rows.h's, labels labels.h's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "tok/utf8.h"
#include "train/bad_rows.h"
#include "train/dataset.h"
#include "train/labels.h"
#include "train/preview.h"
#include "train/rows.h"

struct shown {
    struct prilora_preview_row row;
    char **labels;
};

struct prilora_preview {
    struct pl_rows rows;
    struct pl_labels labels;
    struct pl_bad_rows bad;
    struct prilora_dataset outputs; /* task and labels only */
    struct shown *shown;            /* [options.n_shown] */
    size_t n_shown, n_rows, n_skipped;
    const char *format;
    bool is_complete;
    struct prilora_error problem;
    size_t counts[PL_MAX_LABELS];
};

static char *copy(const char *text, size_t size, size_t limit, bool *is_cut)
{
    size_t n = size;
    char *out;

    if (n > limit)
        n = pl_utf8_check(text, limit);
    *is_cut = n < size;
    out = pl_calloc(n + 1, 1);
    if (out && n)
        memcpy(out, text, n);
    return out;
}

/* The first n of the row's labels. */
static bool copy_labels(struct shown *shown, const struct pl_row *row, size_t n)
{
    bool is_cut;

    shown->labels = pl_calloc(n + 1, sizeof *shown->labels);
    shown->row.labels = (const char *const *)shown->labels;
    for (size_t i = 0; shown->labels && i < n; i++) {
        const struct pl_label *label = &row->labels[i];

        shown->labels[i] = copy(label->text, label->size, PL_MAX_LABEL, &is_cut);
        if (!shown->labels[i])
            return false;
        shown->row.n_labels++;
    }
    return shown->labels != NULL;
}

/* Words with spaces between, as many as there is room for; they and their tags. */
static bool keep_words(struct shown *shown, const struct pl_row *row, size_t limit)
{
    size_t used = 0, n = 0;
    char *text = pl_calloc(limit + 1, 1);

    if (!text)
        return false;
    for (; n < row->n_words && row->words[n].size + (n > 0) <= limit - used; n++) {
        if (n > 0)
            text[used++] = ' ';
        if (row->words[n].size)
            memcpy(text + used, row->words[n].text, row->words[n].size);
        used += row->words[n].size;
    }
    shown->row.text = text;
    shown->row.text_is_cut = n < row->n_words;
    shown->row.is_list = true;
    return copy_labels(shown, row, n);
}

static bool keep(struct prilora_preview *p, const struct pl_row *row, size_t limit)
{
    struct shown *shown = &p->shown[p->n_shown++];
    struct prilora_preview_row *to = &shown->row;

    to->line = row->line;
    if (row->words)
        return keep_words(shown, row, limit);
    to->is_list = row->is_list;
    to->text = copy(row->text, row->text_size, limit, &to->text_is_cut);
    if (row->pair)
        to->text_pair = copy(row->pair, row->pair_size, limit, &to->pair_is_cut);
    return to->text && (to->text_pair || !row->pair) && copy_labels(shown, row, row->n_labels);
}

/* One row of the file; `end`: there are no more, or enough. */
static enum prilora_status read_row(struct prilora_preview *p,
                                    const struct prilora_preview_options *options, bool *end,
                                    struct prilora_error *err)
{
    char reason[PL_MAX_REASON];
    struct pl_row row;
    enum pl_row_result result = pl_rows_next(&p->rows, &row, reason);
    bool enough = true;

    *end = result == PL_ROW_END;
    p->is_complete = *end;
    if (result == PL_ROW_SKIPPED)
        p->n_skipped++;
    else if (result == PL_ROW_BAD || result == PL_ROW_GOOD)
        p->n_rows++;
    if (result == PL_ROW_BAD)
        pl_bad_rows_add(&p->bad, row.line, "%s", reason);
    if (result == PL_ROW_GOOD)
        enough = pl_labels_add(&p->labels, &row, NULL) &&
                 (p->n_shown >= options->n_shown || keep(p, &row, options->max_text));
    if (result == PL_ROW_NOMEM || !enough)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory at line %zu", p->rows.name,
                       p->rows.line);
    return PRILORA_OK;
}

static enum prilora_status read_rows(struct prilora_preview *p, const char *data,
                                     const struct prilora_preview_options *options,
                                     struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    bool end = false;

    while (rc == PRILORA_OK && !end && (size_t)(p->rows.at - data) <= options->max_bytes &&
           p->n_rows + p->n_skipped < options->max_rows)
        rc = read_row(p, options, &end, err);
    return rc;
}

/* Labels that make no head at all are told, not failed on: the rows are still worth seeing. */
static enum prilora_status count_labels(struct prilora_preview *p,
                                        const struct prilora_preview_options *options,
                                        struct prilora_error *err)
{
    struct prilora_dataset_options same = {.task = options->task, .glue = options->glue};
    enum prilora_status rc =
        pl_labels_count(&p->labels, &p->outputs, p->counts, &same, &p->bad, &p->problem);

    if (rc == PRILORA_ENOMEM)
        return pl_fail(err, rc, "%s", p->problem.message);
    if (rc == PRILORA_OK && p->n_rows == 0)
        pl_fail(&p->problem, PRILORA_EDATA, "there are no rows in it");
    return PRILORA_OK;
}

static enum prilora_status look(struct prilora_preview *p, const char *data, size_t size,
                                const struct prilora_preview_options *options,
                                struct prilora_error *err)
{
    enum prilora_status rc = pl_rows_open(&p->rows, data, size, options->name, options->glue, err);

    if (rc != PRILORA_OK)
        return rc;
    p->format = p->rows.format->ending + 1;
    rc = read_rows(p, data, options, err);
    if (rc == PRILORA_OK)
        rc = count_labels(p, options, err);
    pl_rows_close(&p->rows);
    return rc;
}

enum prilora_status pl_preview_parse(struct prilora_preview **out, const char *data, size_t size,
                                     const struct prilora_preview_options *options,
                                     struct prilora_error *err)
{
    struct prilora_preview *p = pl_calloc(1, sizeof *p);
    enum prilora_status rc;

    *out = NULL;
    if (p)
        p->shown = pl_calloc(options->n_shown + 1, sizeof *p->shown);
    if (!p || !p->shown) {
        prilora_preview_free(p);
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", options->name);
    }
    rc = look(p, data ? data : "", size, options, err);
    if (rc == PRILORA_OK) {
        *out = p;
        p = NULL;
    }
    prilora_preview_free(p);
    return rc;
}

enum prilora_status prilora_preview_read(struct prilora_preview **out, const char *path,
                                         const struct prilora_preview_options *options,
                                         struct prilora_error *err)
{
    struct prilora_preview_options named = *options;
    struct pl_file_map map;
    enum prilora_status rc = pl_file_map(&map, path, err);

    *out = NULL;
    if (rc != PRILORA_OK)
        return rc;
    if (!named.name)
        named.name = path;
    rc = pl_preview_parse(out, (const char *)map.data, map.size, &named, err);
    rc = pl_file_map_end(&map, rc, err);
    if (rc != PRILORA_OK) {
        prilora_preview_free(*out);
        *out = NULL;
    }
    return rc;
}

/* Answers are no classes. */
static bool has_labels(const struct prilora_preview *p)
{
    return p->outputs.task != PRILORA_TASK_QUESTION_ANSWERING;
}

void prilora_preview_describe(const struct prilora_preview *p, struct prilora_preview_info *info)
{
    *info = (struct prilora_preview_info){
        .task = p->outputs.task,
        .format = p->format,
        .n_rows = p->n_rows,
        .n_skipped = p->n_skipped,
        .n_bad = p->bad.total,
        .n_shown = p->n_shown,
        .n_errors = p->bad.n,
        .n_labels = has_labels(p) ? p->outputs.n_labels : 0,
        .is_complete = p->is_complete,
        .problem = p->problem.status != PRILORA_OK ? p->problem.message : NULL,
    };
}

void prilora_preview_show(const struct prilora_preview *p, size_t i,
                          struct prilora_preview_row *row)
{
    *row = p->shown[i].row;
}

const char *prilora_preview_label(const struct prilora_preview *p, size_t i, size_t *count)
{
    *count = p->counts[i];
    return p->outputs.labels[i];
}

const char *prilora_preview_error(const struct prilora_preview *p, size_t i, size_t *line)
{
    *line = p->bad.list[i].line;
    return p->bad.list[i].reason;
}

static void shown_free(struct shown *shown)
{
    free((char *)(uintptr_t)shown->row.text);
    free((char *)(uintptr_t)shown->row.text_pair);
    for (size_t i = 0; i < shown->row.n_labels; i++)
        free(shown->labels[i]);
    free(shown->labels);
}

void prilora_preview_free(struct prilora_preview *p)
{
    if (!p)
        return;
    for (size_t i = 0; p->shown && i < p->n_shown; i++)
        shown_free(&p->shown[i]);
    for (size_t i = 0; i < p->outputs.n_labels; i++)
        free(p->outputs.labels[i]);
    free(p->outputs.labels);
    free(p->shown);
    pl_labels_free(&p->labels);
    free(p);
}
