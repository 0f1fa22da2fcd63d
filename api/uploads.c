/* uploads.c - /v1/uploads: files that come in parts. */
#include "api/handlers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/auth.h"
#include "api/completions.h"
#include "api/creation.h"
#include "api/file_json.h"
#include "api/form_body.h"
#include "api/idempotency.h"
#include "api/list.h"
#include "api/member.h"
#include "api/respond.h"
#include "api/upload_decode.h"

#define UPLOADS_PER_PAGE     20
#define MAX_UPLOADS_PER_PAGE 100

/* ---- showing ---- */

static enum prilora_status write_upload(struct json_out *out, const char *name, struct api *api,
                                        const struct upload *upload, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    struct file file = {0};

    if (upload->file_id[0])
        rc = files_get(api->store, upload->file_id, &file, err);
    if (rc != PRILORA_OK && rc != PRILORA_ENOENT) /* it may have been deleted */
        return rc;
    json_out_open(out, name, '{');
    json_out_text(out, "id", upload->id);
    json_out_text(out, "object", "upload");
    json_out_integer(out, "bytes", upload->bytes);
    json_out_integer(out, "created_at", upload->created_at);
    json_out_integer(out, "expires_at", upload->expires_at);
    json_out_text(out, "filename", upload->filename);
    json_out_text(out, "mime_type", upload->mime_type);
    json_out_text(out, "purpose", upload->purpose);
    json_out_text(out, "status", upload_status_name(upload->status));
    if (file.filename)
        api_write_file(out, "file", &file);
    else
        json_out_null(out, "file");
    json_out_close(out, '}');
    file_clear(&file);
    return PRILORA_OK;
}

static void respond_upload(struct request *r, const struct upload *upload)
{
    struct prilora_error err;
    struct json_out out = {0};

    if (write_upload(&out, NULL, r->api, upload, &err) == PRILORA_OK)
        respond_written(r, 200, &out);
    else
        respond_internal(r, &err);
}

/* Of all below, for the upload that the path names. */
static void respond_failure(struct request *r, const struct prilora_error *err)
{
    struct fault fault;

    switch (err->status) {
    case PRILORA_ENOENT:
        respond_error(r, 404, "upload_not_found", "upload_id", "no such upload: %s",
                      r->captures[0]);
        break;
    case PRILORA_EMISMATCH:
        respond_error(r, 409, "upload_not_pending", "upload_id", "%s", err->message);
        break;
    case PRILORA_EINVAL:
        fault_from_spec(&fault, err);
        respond_fault(r, &fault);
        break;
    default:
        respond_internal(r, err);
    }
}

void api_upload_show(struct request *r)
{
    struct upload upload;
    struct prilora_error err;

    if (!query_check(r, NULL))
        return;
    if (uploads_get(r->api->store, r->captures[0], &upload, &err) == PRILORA_OK)
        respond_upload(r, &upload);
    else
        respond_failure(r, &err);
    upload_clear(&upload);
}

void api_upload_list(struct request *r)
{
    static const struct page_rules rules = {UPLOADS_PER_PAGE, MAX_UPLOADS_PER_PAGE, false, NULL};
    struct page page;
    struct upload *uploads;
    struct prilora_error err;
    enum prilora_status rc;
    struct json_out out = {0};
    size_t n;
    bool has_more;

    if (!page_read(r, &rules, &page))
        return;
    rc = uploads_list(r->api->store, page.after, page.limit, &uploads, &n, &has_more, &err);
    if (rc != PRILORA_OK) {
        list_respond_failure(r, &page, &err);
        return;
    }
    json_out_open_list(&out);
    for (size_t i = 0; i < n && rc == PRILORA_OK; i++)
        rc = write_upload(&out, NULL, r->api, &uploads[i], &err);
    json_out_close_list(&out, has_more);
    uploads_free_list(uploads, n);
    if (rc == PRILORA_OK) {
        respond_written(r, 200, &out);
    } else {
        json_out_clear(&out);
        respond_internal(r, &err);
    }
}

/* ---- announcing and cancelling ---- */

/* creation.write; the object is a struct upload. */
static enum prilora_status write_created(struct json_out *out, struct api *api, const void *object,
                                         struct prilora_error *err)
{
    return write_upload(out, NULL, api, object, err);
}

static void create(struct request *r, struct upload *upload)
{
    struct prilora_error err;
    struct creation creation = {.write = write_created, .object = upload};
    enum prilora_status rc = creation_begin(&creation, r, &err);

    snprintf(upload->key_id, sizeof upload->key_id, "%s", r->caller);
    if (rc == PRILORA_OK)
        rc = uploads_create(r->api->store, upload, &err);
    if (creation_end(&creation, r, rc))
        return;
    if (rc == PRILORA_ELIMIT)
        respond_quota(r, &err);
    else
        respond_internal(r, &err);
}

void api_upload_create(struct request *r)
{
    struct upload upload = {0};
    struct fault fault;
    int64_t most = (int64_t)config_now(r->api->config)->max_upload_mb << 20;

    if (!query_check(r, NULL) || !respond_unless_json(r))
        return;
    if (!upload_decode(r->body, r->n_body, most, &upload, &fault))
        respond_fault(r, &fault);
    else if (idempotency_check(r))
        create(r, &upload);
    upload_clear(&upload);
}

void api_upload_cancel(struct request *r)
{
    struct upload upload;
    struct prilora_error err;

    if (!query_check(r, NULL))
        return;
    if (uploads_cancel(r->api->store, r->captures[0], &upload, &err) == PRILORA_OK)
        respond_upload(r, &upload);
    else
        respond_failure(r, &err);
    upload_clear(&upload);
}

/* ---- parts ---- */

/* creation.write; the object is a struct upload_part. */
static enum prilora_status write_part(struct json_out *out, struct api *api, const void *object,
                                      struct prilora_error *err)
{
    const struct upload_part *part = object;

    (void)api;
    (void)err;
    json_out_open(out, NULL, '{');
    json_out_text(out, "id", part->id);
    json_out_text(out, "object", "upload.part");
    json_out_integer(out, "created_at", part->created_at);
    json_out_text(out, "upload_id", part->upload_id);
    json_out_integer(out, "bytes", part->bytes);
    json_out_text(out, "sha256", part->sha256);
    json_out_close(out, '}');
    return PRILORA_OK;
}

/* Before its bytes are taken: whether the upload wants them. */
static void begin_part(struct request *r, void **state)
{
    static const struct form_rules rules = {"data", false, false, UPLOAD_MAX_PART_BYTES, NULL};
    struct upload upload;
    struct prilora_error err;

    if (uploads_get(r->api->store, r->captures[0], &upload, &err) == PRILORA_OK)
        form_body_begin(r, state, &rules, "data");
    else
        respond_failure(r, &err);
    upload_clear(&upload);
}

const struct body_sink api_part_sink = {begin_part, form_body_take, form_body_free};

static bool add_part(struct request *r, struct form *form, struct upload_part *part)
{
    struct prilora_error err;
    struct creation creation = {.write = write_part, .object = part};
    enum prilora_status rc = creation_begin(&creation, r, &err);

    snprintf(part->upload_id, sizeof part->upload_id, "%s", r->captures[0]);
    part->bytes = (int64_t)form->n_bytes;
    if (rc == PRILORA_OK)
        rc = uploads_add_part(r->api->store, form->path, part, &err);
    if (rc == PRILORA_OK)
        form_keep(form);
    if (creation_end(&creation, r, rc))
        return true;
    if (rc == PRILORA_ELIMIT)
        respond_error(r, 400, "too_many_bytes", "data", "%s", err.message);
    else
        respond_failure(r, &err);
    return false;
}

static bool take_part(struct request *r, struct form *form)
{
    struct upload_part part = {0};

    if (!query_check(r, NULL))
        return false;
    if (!form_end(form, part.sha256)) {
        respond_fault(r, &form->fault);
        return false;
    }
    return idempotency_check_form(r, form, part.sha256) && add_part(r, form, &part);
}

void api_upload_add_part(struct request *r)
{
    struct form *form = form_body_end(r);

    if (form && !take_part(r, form))
        form_discard(form);
}

/* ---- completing ---- */

/* creation.write; the object is the upload's id. */
static enum prilora_status write_completed(struct json_out *out, struct api *api,
                                           const void *object, struct prilora_error *err)
{
    struct upload upload;
    enum prilora_status rc = uploads_get(api->store, object, &upload, err);

    if (rc == PRILORA_OK)
        rc = write_upload(out, NULL, api, &upload, err);
    upload_clear(&upload);
    return rc;
}

static void respond_not_completed(struct request *r, const struct prilora_error *err)
{
    if (err->status == PRILORA_ELIMIT)
        respond_quota(r, err);
    else
        respond_failure(r, err);
}

void api_upload_complete(struct request *r)
{
    struct completion_order order = {.write = write_completed,
                                     .respond_failure = respond_not_completed};
    struct fault fault;

    if (!query_check(r, NULL) || !respond_unless_json(r))
        return;
    if (!upload_decode_order(r->body, r->n_body, &order, &fault))
        respond_fault(r, &fault);
    else if (idempotency_check(r))
        completions_take(r, &order);
    completion_order_clear(&order);
}
