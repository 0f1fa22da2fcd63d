/* files.c - /v1/files: uploads streamed to disk, and what became of them. */
#include "api/handlers.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/content.h"
#include "api/form.h"
#include "api/json.h"
#include "api/list.h"
#include "api/respond.h"
#include "daemon/files.h"

#define FORM_TYPE    "multipart/form-data"
#define POST_BUFFER  ((size_t)64 * 1024)
#define MIN_LIFE_S   3600
#define MAX_LIFE_S   2592000
#define MAX_PER_PAGE 10000

static json_t *encode(const struct file *file)
{
    json_t *object =
        json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:n, s:s}", "id", file->id, "object", "file",
                  "bytes", (json_int_t)file->bytes, "created_at", (json_int_t)file->created_at,
                  "filename", file->filename, "purpose", file->purpose, "status", file->status,
                  "status_details", "sha256", file->sha256);

    if (object)
        json_object_set_new(object, "expires_at", json_time(file->expires_at));
    return object;
}

static void respond_not_found(struct request *r, const char *id)
{
    respond_error(r, 404, "file_not_found", "file_id", "no such file: %s", id);
}

/* The file that the path names; answers and returns false if there is none. */
static bool find(struct request *r, struct file *out)
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

struct upload {
    struct form *form;
    struct MHD_PostProcessor *parser;
};

static enum MHD_Result on_piece(void *context, enum MHD_ValueKind kind, const char *key,
                                const char *filename, const char *content_type,
                                const char *encoding, const char *data, uint64_t offset,
                                size_t size)
{
    struct upload *upload = context;
    const struct form_piece piece = {key, filename, encoding, data, offset, size};

    (void)kind;
    (void)content_type;
    return form_take(upload->form, &piece) ? MHD_YES : MHD_NO;
}

static void sink_begin(struct request *r, void **state)
{
    struct upload *upload;
    uint64_t limit = (uint64_t)r->api->config->max_upload_mb << 20;

    if (!request_is_type(r, FORM_TYPE)) {
        respond_error(r, 415, "unsupported_media_type", NULL,
                      "the body must be " FORM_TYPE " with the parts file and purpose");
        return;
    }
    upload = calloc(1, sizeof *upload);
    *state = upload;
    if (upload)
        upload->form = form_new(r->api->store, limit);
    if (!upload || !upload->form) {
        respond_error(r, 503, "out_of_memory", NULL, "out of memory");
        return;
    }
    upload->parser = MHD_create_post_processor(r->connection, POST_BUFFER, on_piece, upload);
    if (!upload->parser)
        respond_error(r, 400, "invalid_form", NULL, "the Content-Type has no usable boundary");
}

static void respond_bad_form(struct request *r, struct form *form)
{
    form_discard(form); /* before the client hears of it */
    if (form->fault.status)
        respond_fault(r, &form->fault);
    else
        respond_error(r, 400, "invalid_form", NULL,
                      "the body is not " FORM_TYPE ", or not all of it came");
}

static void sink_take(struct request *r, void *state, const char *data, size_t size)
{
    struct upload *upload = state;

    if (MHD_post_process(upload->parser, data, size) != MHD_YES || upload->form->fault.status)
        respond_bad_form(r, upload->form);
}

static void sink_free(void *state)
{
    struct upload *upload = state;

    if (!upload)
        return;
    if (upload->parser)
        MHD_destroy_post_processor(upload->parser);
    form_free(upload->form);
    free(upload);
}

const struct body_sink api_file_sink = {sink_begin, sink_take, sink_free};

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
    if (end && *end == '\0' && *seconds >= MIN_LIFE_S && *seconds <= MAX_LIFE_S)
        return true;
    respond_error(r, 400, "invalid_value", "expires_after[seconds]",
                  "expires_after[seconds]: \"%s\", but must be an integer from %d to %d",
                  text ? text : "", MIN_LIFE_S, MAX_LIFE_S);
    return false;
}

/* The parser's last word: whether the form was closed by its final boundary. */
static bool close_parser(struct request *r, struct upload *upload)
{
    enum MHD_Result whole = MHD_destroy_post_processor(upload->parser);

    upload->parser = NULL;
    if (whole == MHD_YES && !upload->form->fault.status && upload->form->n_pieces > 0)
        return true;
    respond_bad_form(r, upload->form);
    return false;
}

/* The form is whole: what it says becomes a file. False: answered, nothing is kept. */
static bool adopt(struct request *r, struct form *form)
{
    struct prilora_error err;
    enum prilora_status rc;
    struct file file;
    char sha256[65];
    int64_t life;

    if (!check_purpose(r, form_value(form, FORM_PURPOSE)) || !read_expiry(r, form, &life))
        return false;
    if (!form_end(form, sha256)) {
        respond_fault(r, &form->fault);
        return false;
    }
    rc = files_adopt(r->api->store, r->caller, form->path, form->filename, "fine-tune",
                     (int64_t)form->n_bytes, sha256, life ? store_now() + life : 0, &file, &err);
    if (rc != PRILORA_OK) {
        if (rc == PRILORA_ELIMIT)
            respond_quota(r, &err);
        else
            respond_internal(r, &err);
        return false;
    }
    form_keep(form);
    respond_json(r, 200, encode(&file));
    file_clear(&file);
    return true;
}

void api_file_create(struct request *r)
{
    struct upload *upload = r->sink;

    if (!close_parser(r, upload))
        return;
    if (!query_check(r, NULL) || !adopt(r, upload->form))
        form_discard(upload->form);
}

/* ---- looking ---- */

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
    json_t *data;

    if (!page_read(r, &rules, &page))
        return;
    query = (struct files_query){page.after, query_get(&r->query, "purpose"), page.ascending,
                                 page.limit};
    rc = files_list(r->api->store, &query, &files, &n, &has_more, &err);
    if (rc != PRILORA_OK) {
        list_respond_failure(r, &page, &err);
        return;
    }
    data = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(data, encode(&files[i]));
    files_free_list(files, n);
    respond_json(r, 200, list_make(data, has_more, true));
}

void api_file_show(struct request *r)
{
    struct file file;

    if (!query_check(r, NULL) || !find(r, &file))
        return;
    respond_json(r, 200, encode(&file));
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

void api_file_content(struct request *r)
{
    struct file file;
    struct content content = {.media_type = "application/octet-stream"};
    char *path;
    int fd;

    if (!query_check(r, NULL) || !find(r, &file))
        return;
    path = files_path(r->api->store, file.id);
    fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    free(path);
    if (fd < 0) { /* deleted since it was found */
        respond_not_found(r, file.id);
    } else {
        content.filename = file.filename;
        content.size = (uint64_t)file.bytes;
        memcpy(content.sha256, file.sha256, sizeof content.sha256);
        respond_file(r, &content, fd);
    }
    file_clear(&file);
}
