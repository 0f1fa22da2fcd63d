/* files.c - /v1/files: uploads streamed to disk, and what became of them. */
#include "api/handlers.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/content.h"
#include "api/creation.h"
#include "api/expiry.h"
#include "api/file_json.h"
#include "api/form_body.h"
#include "api/idempotency.h"
#include "api/list.h"
#include "api/respond.h"
#include "daemon/error.h"
#include "daemon/files.h"

#define MAX_PER_PAGE 10000

void api_write_file(struct json_out *out, const char *name, const struct file *file)
{
    json_out_open(out, name, '{');
    json_out_text(out, "id", file->id);
    json_out_text(out, "object", "file");
    json_out_integer(out, "bytes", file->bytes);
    json_out_integer(out, "created_at", file->created_at);
    json_out_text(out, "filename", file->filename);
    json_out_text(out, "purpose", file->purpose);
    json_out_text(out, "status", file->status);
    json_out_null(out, "status_details");
    json_out_text(out, "sha256", file->sha256);
    if (file->expires_at)
        json_out_integer(out, "expires_at", file->expires_at);
    else
        json_out_null(out, "expires_at");
    json_out_close(out, '}');
}

static void respond_not_found(struct request *r, const char *id)
{
    respond_error(r, 404, "file_not_found", "file_id", "no such file: %s", id);
}

bool api_find_file(struct request *r, struct file *out)
{
    struct prilora_error err;
    enum prilora_status rc = files_get(r->api->store, r->captures[0], out, &err);

    if (rc == PRILORA_ENOENT)
        respond_not_found(r, r->captures[0]);
    else if (rc != PRILORA_OK)
        respond_internal(r, &err);
    return rc == PRILORA_OK;
}

/* ---- uploading ---- */

static void begin(struct request *r, void **state)
{
    const struct form_rules rules = {"file", true, true,
                                     (uint64_t)config_now(r->api->config)->max_upload_mb << 20,
                                     "max_upload_mb"};

    form_body_begin(r, state, &rules, "file and purpose");
}

const struct body_sink api_file_sink = {begin, form_body_take, form_body_free};

static bool check_purpose(struct request *r, const char *purpose)
{
    if (purpose && strcmp(purpose, "fine-tune") == 0)
        return true;
    if (purpose)
        respond_error(r, 400, "invalid_value", "purpose",
                      "purpose: \"%s\", but must be fine-tune, the only one served here", purpose);
    else
        respond_error(r, 400, "missing_required_parameter", "purpose",
                      "the form has no purpose: it must be fine-tune");
    return false;
}

static bool read_expiry(struct request *r, const struct form *form, int64_t *seconds)
{
    const char *anchor = form_value(form, FORM_ANCHOR), *text = form_value(form, FORM_SECONDS);
    char *end = NULL;

    *seconds = 0;
    if (!anchor && !text)
        return true;
    if (!anchor || strcmp(anchor, "created_at") != 0) {
        respond_error(r, 400, "invalid_value", "expires_after[anchor]",
                      "expires_after[anchor]: \"%s\", but must be created_at",
                      anchor ? anchor : "");
        return false;
    }
    if (text && *text >= '0' && *text <= '9')
        *seconds = strtol(text, &end, 10);
    if (end && *end == '\0' && *seconds >= EXPIRY_MIN_S && *seconds <= EXPIRY_MAX_S)
        return true;
    respond_error(r, 400, "invalid_value", "expires_after[seconds]",
                  "expires_after[seconds]: \"%s\", but must be an integer from %d to %d",
                  text ? text : "", EXPIRY_MIN_S, EXPIRY_MAX_S);
    return false;
}

static enum prilora_status write_created(struct json_out *out, struct api *api, const void *object,
                                         struct prilora_error *err)
{
    (void)api;
    (void)err;
    api_write_file(out, NULL, object);
    return PRILORA_OK;
}

/* What the form says becomes a file. False: answered, nothing is kept. */
static bool adopt(struct request *r, struct form *form, const char *sha256, int64_t life)
{
    struct prilora_error err;
    struct file file;
    struct creation creation = {.write = write_created, .object = &file};
    enum prilora_status rc = creation_begin(&creation, r, &err);

    if (rc == PRILORA_OK)
        rc =
            files_adopt(r->api->store, r->caller, form->path, form->filename, "fine-tune",
                        (int64_t)form->n_bytes, sha256, life ? store_now() + life : 0, &file, &err);
    if (rc == PRILORA_OK) {
        form_keep(form);
        file_clear(&file);
    }
    if (creation_end(&creation, r, rc))
        return true;
    if (rc == PRILORA_ELIMIT)
        respond_quota(r, &err);
    else
        respond_internal(r, &err);
    return false;
}

static bool create(struct request *r, struct form *form)
{
    char sha256[65];
    int64_t life;

    if (!query_check(r, NULL) || !check_purpose(r, form_value(form, FORM_PURPOSE)) ||
        !read_expiry(r, form, &life))
        return false;
    if (!form_end(form, sha256)) {
        respond_fault(r, &form->fault);
        return false;
    }
    return idempotency_check_form(r, form, sha256) && adopt(r, form, sha256, life);
}

void api_file_create(struct request *r)
{
    struct form *form = form_body_end(r);

    if (form && !create(r, form))
        form_discard(form);
}

/* ---- looking ---- */

static void write_list(struct json_out *out, const struct file *files, size_t n, bool has_more)
{
    json_out_open(out, NULL, '{');
    json_out_text(out, "object", "list");
    json_out_open(out, "data", '[');
    for (size_t i = 0; i < n; i++)
        api_write_file(out, NULL, &files[i]);
    json_out_close(out, ']');
    json_out_bool(out, "has_more", has_more);
    json_out_text(out, "first_id", n > 0 ? files[0].id : NULL);
    json_out_text(out, "last_id", n > 0 ? files[n - 1].id : NULL);
    json_out_close(out, '}');
}

void api_file_list(struct request *r)
{
    static const char *const others[] = {"purpose", NULL};
    static const struct page_rules rules = {MAX_PER_PAGE, MAX_PER_PAGE, true, others};
    struct page page;
    struct files_query query;
    struct file *files;
    struct prilora_error err;
    enum prilora_status rc;
    size_t n;
    bool has_more;
    struct json_out out = {0};

    if (!page_read(r, &rules, &page))
        return;
    query = (struct files_query){page.after, query_get(&r->query, "purpose"), page.ascending,
                                 page.limit};
    rc = files_list(r->api->store, &query, &files, &n, &has_more, &err);
    if (rc != PRILORA_OK) {
        list_respond_failure(r, &page, &err);
        return;
    }
    write_list(&out, files, n, has_more);
    files_free_list(files, n);
    respond_written(r, 200, &out);
}

void api_file_show(struct request *r)
{
    struct file file;
    struct json_out out = {0};

    if (!query_check(r, NULL) || !api_find_file(r, &file))
        return;
    api_write_file(&out, NULL, &file);
    respond_written(r, 200, &out);
    file_clear(&file);
}

void api_file_delete(struct request *r)
{
    struct prilora_error err;
    const char *id = r->captures[0];
    enum prilora_status rc;

    if (!query_check(r, NULL))
        return;
    rc = files_delete(r->api->store, id, &err);
    if (rc == PRILORA_ENOENT)
        respond_not_found(r, id);
    else if (rc == PRILORA_EMISMATCH)
        respond_error(r, 409, "file_in_use", "file_id", "%s", err.message);
    else if (rc != PRILORA_OK)
        respond_internal(r, &err);
    else
        respond_json(r, 200,
                     json_pack("{s:s, s:s, s:b}", "id", id, "object", "file", "deleted", 1));
}

static void send_file(struct request *r, const struct file *file, const char *path)
{
    struct content content = {.media_type = "application/octet-stream",
                              .filename = file->filename,
                              .size = (uint64_t)file->bytes};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct prilora_error err;

    if (fd >= 0) {
        memcpy(content.sha256, file->sha256, sizeof content.sha256);
        respond_file(r, &content, fd);
    } else if (errno == ENOENT) { /* deleted since it was found */
        respond_not_found(r, file->id);
    } else {
        error_errno(&err, path, "read it");
        respond_internal(r, &err);
    }
}

void api_file_content(struct request *r)
{
    struct file file;
    char *path;

    if (!query_check(r, NULL) || !api_find_file(r, &file))
        return;
    path = files_path(r->api->store, file.id);
    if (path)
        send_file(r, &file, path);
    else
        respond_json(r, 503, NULL);
    free(path);
    file_clear(&file);
}
