/* preview.c - GET /v1/files/{id}/preview: an uploaded file as training would read it. */
#include "api/handlers.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/aside.h"
#include "api/list.h"
#include "api/respond.h"
#include "daemon/error.h"
#include "daemon/files.h"

#define ROWS_SHOWN     10
#define MAX_ROWS_SHOWN 100
#define MAX_TEXT       2000                   /* bytes of a text that is shown */
#define MAX_BYTES      ((size_t)32 * 1048576) /* of the file: a second or two */
#define MAX_ROWS       200000

/* ---- reading, on a thread of its own ---- */

struct previewing {
    struct file file;
    char *path;
    struct prilora_preview_options options;
    struct prilora_preview *preview;
    struct prilora_error err;
};

static void read_preview(void *state)
{
    struct previewing *p = state;

    prilora_preview_read(&p->preview, p->path, &p->options, &p->err);
}

static void previewing_free(void *state)
{
    struct previewing *p = state;

    if (!p)
        return;
    prilora_preview_free(p->preview);
    file_clear(&p->file);
    free(p->path);
    free(p);
}

/* ---- answering ---- */

static void write_label(struct json_out *out, const struct prilora_preview_row *row)
{
    if (!row->is_list) {
        json_out_text(out, "label", row->labels[0]);
        return;
    }
    json_out_open(out, "label", '[');
    for (size_t i = 0; i < row->n_labels; i++)
        json_out_text(out, NULL, row->labels[i]);
    json_out_close(out, ']');
}

static void write_rows(struct json_out *out, const struct prilora_preview *preview, size_t n)
{
    struct prilora_preview_row row;

    json_out_open(out, "rows", '[');
    for (size_t i = 0; i < n; i++) {
        prilora_preview_show(preview, i, &row);
        json_out_open(out, NULL, '{');
        json_out_integer(out, "line", (int64_t)row.line);
        json_out_text(out, "text", row.text);
        json_out_text(out, "text_pair", row.text_pair);
        json_out_bool(out, "is_cut", row.text_is_cut || row.pair_is_cut);
        write_label(out, &row);
        json_out_close(out, '}');
    }
    json_out_close(out, ']');
}

static void write_labels(struct json_out *out, const struct prilora_preview *preview, size_t n)
{
    json_out_open(out, "labels", '[');
    for (size_t i = 0; i < n; i++) {
        size_t count;
        const char *label = prilora_preview_label(preview, i, &count);

        json_out_open(out, NULL, '{');
        json_out_text(out, "label", label);
        json_out_integer(out, "count", (int64_t)count);
        json_out_close(out, '}');
    }
    json_out_close(out, ']');
}

static void write_errors(struct json_out *out, const struct prilora_preview *preview, size_t n)
{
    json_out_open(out, "errors", '[');
    for (size_t i = 0; i < n; i++) {
        size_t line;
        const char *reason = prilora_preview_error(preview, i, &line);

        json_out_open(out, NULL, '{');
        json_out_integer(out, "line", (int64_t)line);
        json_out_text(out, "reason", reason);
        json_out_close(out, '}');
    }
    json_out_close(out, ']');
}

static void write_preview(struct json_out *out, const struct previewing *p)
{
    struct prilora_preview_info info;

    prilora_preview_describe(p->preview, &info);
    json_out_open(out, NULL, '{');
    json_out_text(out, "object", "file.preview");
    json_out_text(out, "file_id", p->file.id);
    json_out_text(out, "filename", p->file.filename);
    json_out_text(out, "format", info.format);
    json_out_text(out, "task", api_task_word(info.task));
    json_out_integer(out, "n_rows", (int64_t)info.n_rows);
    json_out_integer(out, "n_skipped", (int64_t)info.n_skipped);
    json_out_integer(out, "n_bad", (int64_t)info.n_bad);
    json_out_bool(out, "is_complete", info.is_complete);
    json_out_text(out, "problem", info.problem);
    write_labels(out, p->preview, info.n_labels);
    write_rows(out, p->preview, info.n_shown);
    write_errors(out, p->preview, info.n_errors);
    json_out_close(out, '}');
}

/* A file that is no data at all is the client's; the disk's trouble is ours. */
static void respond_unreadable(struct request *r, const struct previewing *p)
{
    enum prilora_status status = p->err.status;

    if (status == PRILORA_ENOENT)
        respond_error(r, 404, "file_not_found", "file_id", "no such file: %s", p->file.id);
    else if (error_is_machines(status))
        respond_internal(r, &p->err);
    else
        respond_error(r, 422, "invalid_file", "file_id", "%s", p->err.message);
}

static void answer_preview(struct request *r, void *state)
{
    struct previewing *p = state;
    struct json_out out = {0};

    if (!p->preview) {
        respond_unreadable(r, p);
        return;
    }
    write_preview(&out, p);
    respond_written(r, 200, &out);
}

/* ---- the request ---- */

/* A kind of task, or a GLUE task's name. */
static bool read_task(struct request *r, struct prilora_preview_options *out)
{
    const char *given = query_get(&r->query, "task"), *word = given ? given : "auto";

    out->glue = prilora_glue_find(word);
    if (out->glue || api_task_find(word, strlen(word), &out->task))
        return true;
    respond_error(r, 400, "invalid_value", "task",
                  "task: \"%s\", but must be auto, classification, regression, multi_label, "
                  "token_classification, question_answering or the name of a GLUE task",
                  word);
    return false;
}

void api_file_preview(struct request *r)
{
    static const char *const names[] = {"limit", "task", NULL};
    static const struct aside_work work = {read_preview, answer_preview, previewing_free};
    struct prilora_preview_options options = {.max_text = MAX_TEXT,
                                              .max_bytes = MAX_BYTES,
                                              .max_rows = MAX_ROWS};
    struct previewing *p;
    int64_t limit = ROWS_SHOWN;
    struct file file;

    if (!query_check(r, names) || !read_task(r, &options) ||
        (query_get(&r->query, "limit") && !query_number(r, "limit", 0, MAX_ROWS_SHOWN, &limit)) ||
        !api_find_file(r, &file))
        return;
    p = calloc(1, sizeof *p);
    if (!p) {
        file_clear(&file);
        respond_json(r, 503, NULL);
        return;
    }
    p->file = file;
    p->path = files_path(r->api->store, file.id);
    p->options = options;
    p->options.name = p->file.filename;
    p->options.n_shown = (size_t)limit;
    if (p->path) {
        aside_run(r, &work, p);
        return;
    }
    previewing_free(p);
    respond_json(r, 503, NULL);
}
