/* form_body.c - see form_body.h: libmicrohttpd's parser between a request and its form. */
#include "api/form_body.h"

#include <errno.h>
#include <stdlib.h>

#include "api/closing.h"
#include "api/respond.h"

#define FORM_TYPE   "multipart/form-data"
#define POST_BUFFER ((size_t)64 * 1024)
#define AROUND_FILE ((uint64_t)1 << 20) /* what a form may have beside its file */

struct form_body {
    struct form *form;
    struct MHD_PostProcessor *parser;
    struct closing closing;
    uint64_t n_behind; /* bytes that came after the form's end */
};

static enum MHD_Result on_piece(void *context, enum MHD_ValueKind kind, const char *key,
                                const char *filename, const char *content_type,
                                const char *encoding, const char *data, uint64_t offset,
                                size_t size)
{
    struct form_body *body = context;
    const struct form_piece piece = {key, filename, encoding, data, offset, size};

    (void)kind;
    (void)content_type;
    if (errno == ENOMEM) /* the piece may lack its name */
        return MHD_NO;
    return form_take(body->form, &piece) ? MHD_YES : MHD_NO;
}

/* What the headers alone make impossible. */
static bool check_length(struct request *r, const struct form_rules *rules)
{
    const char *length = request_header(r, "Content-Length");

    if (!length || strtoull(length, NULL, 10) <= rules->max_bytes + AROUND_FILE)
        return true;
    respond_error(r, 413, "body_too_large", NULL,
                  "the body has %s bytes, but its part %s may have %llu at most", length,
                  rules->file, (unsigned long long)rules->max_bytes);
    return false;
}

void form_body_begin(struct request *r, void **state, const struct form_rules *rules,
                     const char *parts)
{
    struct form_body *body;

    if (!request_is_type(r, FORM_TYPE)) {
        respond_error(r, 415, "unsupported_media_type", "Content-Type",
                      "the body must be " FORM_TYPE " with the parts %s", parts);
        return;
    }
    if (!check_length(r, rules))
        return;
    body = calloc(1, sizeof *body);
    *state = body;
    if (body)
        body->form = form_new(r->api->store, rules);
    if (!body || !body->form) {
        respond_error(r, 503, "out_of_memory", NULL, "out of memory");
        return;
    }
    closing_begin(&body->closing, request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE));
    errno = 0;
    body->parser = MHD_create_post_processor(r->connection, POST_BUFFER, on_piece, body);
    if (body->parser)
        return;
    if (errno == ENOMEM)
        respond_error(r, 503, "out_of_memory", NULL, "out of memory");
    else
        respond_error(r, 400, "invalid_form", NULL, "the Content-Type has no usable boundary");
}

/* `is_short`: of memory, as errno told of libmicrohttpd's parser, which goes on without a part's
 * name. */
static void respond_bad_form(struct request *r, struct form *form, bool is_short)
{
    form_discard(form); /* before the client hears of it */
    if (form->fault.status)
        respond_fault(r, &form->fault);
    else if (is_short)
        respond_error(r, 503, "out_of_memory", NULL, "out of memory");
    else
        respond_error(r, 400, "invalid_form", NULL,
                      "the body is not " FORM_TYPE ", or not all of it came");
}

void form_body_take(struct request *r, void *state, const char *data, size_t size)
{
    struct form_body *body = state;
    size_t n = closing_take(&body->closing, data, size);
    bool whole;

    body->n_behind += size - n;
    errno = 0;
    whole = n == 0 || (MHD_post_process(body->parser, data, n) == MHD_YES && errno != ENOMEM);
    if (!whole || body->form->fault.status || body->n_behind > AROUND_FILE)
        respond_bad_form(r, body->form, errno == ENOMEM);
}

void form_body_free(void *state)
{
    struct form_body *body = state;

    if (!body)
        return;
    if (body->parser)
        MHD_destroy_post_processor(body->parser);
    form_free(body->form);
    free(body);
}

struct form *form_body_end(struct request *r)
{
    struct form_body *body = r->sink;
    enum MHD_Result whole;

    errno = 0;
    whole = MHD_destroy_post_processor(body->parser);
    body->parser = NULL;
    if (whole == MHD_YES && !body->form->fault.status && body->form->n_pieces > 0)
        return body->form;
    respond_bad_form(r, body->form, errno == ENOMEM);
    return NULL;
}
