/* pulls.c - POST /v1/models and /v1/pulls: base models brought from the hub in the background. */
#include "api/handlers.h"

#include <stdlib.h>
#include <string.h>

#include "api/json_out.h"
#include "api/list.h"
#include "api/member.h"
#include "api/respond.h"
#include "daemon/pulls.h"

#define STANDARD_REVISION "main"
#define STANDARD_LIMIT    20
#define MAX_LIMIT         100
#define RETRY_AFTER_S     60

/* ---- what is shown ---- */

static void write_time(struct json_out *out, const char *name, int64_t seconds)
{
    if (seconds)
        json_out_integer(out, name, seconds);
    else
        json_out_null(out, name);
}

static void write_bytes(struct json_out *out, uint64_t bytes, uint64_t total)
{
    json_out_integer(out, "bytes", (int64_t)bytes);
    write_time(out, "total_bytes", (int64_t)total);
}

static void write_pull(struct json_out *out, const struct pull_view *view)
{
    json_out_open(out, NULL, '{');
    json_out_text(out, "id", view->id);
    json_out_text(out, "object", "model.pull");
    json_out_text(out, "model", view->model);
    json_out_text(out, "revision", view->revision);
    json_out_text(out, "commit", view->commit[0] ? view->commit : NULL);
    json_out_text(out, "status", pull_status_name(view->status));
    json_out_integer(out, "created_at", view->created_at);
    write_time(out, "finished_at", view->finished_at);
    json_out_bool(out, "was_there", view->was_there);
    write_bytes(out, view->bytes, view->total_bytes);
    json_out_open(out, "files", '[');
    for (size_t i = 0; i < view->n_files; i++) {
        json_out_open(out, NULL, '{');
        json_out_text(out, "name", view->files[i].name);
        write_bytes(out, view->files[i].bytes, view->files[i].total_bytes);
        json_out_close(out, '}');
    }
    json_out_close(out, ']');
    json_out_real(out, "bytes_per_second", view->bytes_per_second);
    if (view->code[0]) {
        json_out_open(out, "error", '{');
        json_out_text(out, "code", view->code);
        json_out_text(out, "message", view->message);
        json_out_close(out, '}');
    } else {
        json_out_null(out, "error");
    }
    json_out_close(out, '}');
}

static void respond_view(struct request *r, struct pull_view *view)
{
    struct json_out out = {0};

    write_pull(&out, view);
    pull_view_clear(view);
    respond_written(r, 200, &out);
}

/* ---- what is asked for ---- */

static bool read_text(struct request *r, json_t *body, const char *name, bool required,
                      const char **out)
{
    const json_t *value = json_object_get(body, name);

    if (json_is_string(value)) {
        *out = json_string_value(value);
        return true;
    }
    if (!required && (!value || json_is_null(value)))
        return true;
    respond_error(r, 400, value ? "invalid_value" : "missing_required_parameter", name,
                  value ? "%s must be a string" : "%s is missing: it must be a string", name);
    return false;
}

/* The texts in *order are the body's. */
static bool read_order(struct request *r, json_t *body, struct pulls_order *order)
{
    static const char *const names[] = {"model", "revision", "token", "force", NULL};
    const json_t *force = json_object_get(body, "force");
    struct fault fault;

    *order = (struct pulls_order){.revision = STANDARD_REVISION, .force = json_is_true(force)};
    if (!member_check_names(body, names, &fault)) {
        respond_fault(r, &fault);
        return false;
    }
    if (!read_text(r, body, "model", true, &order->model) ||
        !read_text(r, body, "revision", false, &order->revision) ||
        !read_text(r, body, "token", false, &order->token))
        return false;
    if (!force || json_is_boolean(force) || json_is_null(force))
        return true;
    respond_error(r, 400, "invalid_value", "force", "force must be true or false");
    return false;
}

/* NULL: answered. */
static json_t *read_body(struct request *r)
{
    struct fault fault;
    json_t *body;

    if (!respond_unless_json(r))
        return NULL;
    body = member_body(r->body, r->n_body, &fault);
    if (!body)
        respond_fault(r, &fault);
    return body;
}

static void respond_start_failure(struct request *r, const struct prilora_error *err)
{
    if (err->status == PRILORA_EINVAL) {
        respond_error(r, 400, "invalid_value", err->where, "%s", err->message);
    } else if (err->status == PRILORA_EMISMATCH) {
        respond_error(r, 409, "pull_in_progress", err->where, "%s", err->message);
    } else if (err->status == PRILORA_ELIMIT) {
        respond_later(r, 429, "too_many_pulls", NULL, RETRY_AFTER_S, "%s", err->message);
    } else {
        respond_internal(r, err);
    }
}

void api_pull_create(struct request *r)
{
    json_t *body = query_check(r, NULL) ? read_body(r) : NULL;
    struct pulls_order order;
    struct pull_view view;
    struct prilora_error err = {0};

    if (!body)
        return;
    if (!read_order(r, body, &order))
        ; /* answered */
    else if (pulls_start(r->api->pulls, &order, &view, &err) == PRILORA_OK)
        respond_view(r, &view);
    else
        respond_start_failure(r, &err);
    json_decref(body);
}

/* ---- looking, cancelling ---- */

static void respond_result(struct request *r, enum prilora_status rc, struct pull_view *view,
                           const struct prilora_error *err)
{
    if (rc == PRILORA_OK)
        respond_view(r, view);
    else if (rc == PRILORA_ENOENT)
        respond_error(r, 404, "pull_not_found", "id", "%s", err->message);
    else if (rc == PRILORA_EMISMATCH)
        respond_error(r, 409, "pull_is_over", NULL, "%s", err->message);
    else
        respond_internal(r, err);
}

void api_pull_show(struct request *r)
{
    struct pull_view view;
    struct prilora_error err;

    if (query_check(r, NULL))
        respond_result(r, pulls_get(r->api->pulls, r->captures[0], &view, &err), &view, &err);
}

void api_pull_cancel(struct request *r)
{
    struct pull_view view;
    struct prilora_error err;

    if (query_check(r, NULL))
        respond_result(r, pulls_cancel(r->api->pulls, r->captures[0], &view, &err), &view, &err);
}

void api_pull_list(struct request *r)
{
    static const struct page_rules rules = {.standard_limit = STANDARD_LIMIT,
                                            .max_limit = MAX_LIMIT};
    struct json_out out = {0};
    struct prilora_error err;
    struct pull_view *views;
    struct page page;
    size_t n;
    bool has_more;

    if (!page_read(r, &rules, &page))
        return;
    if (pulls_list(r->api->pulls, page.after, page.limit, &views, &n, &has_more, &err) !=
        PRILORA_OK) {
        list_respond_failure(r, &page, &err);
        return;
    }
    json_out_open_list(&out);
    for (size_t i = 0; i < n; i++)
        write_pull(&out, &views[i]);
    json_out_close_list(&out, has_more);
    pulls_free_list(views, n);
    respond_written(r, 200, &out);
}
