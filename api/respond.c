/* respond.c - see respond.h. */
#include "api/respond.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/utf8.h"
#include "daemon/log.h"

void respond_header(struct request *r, const char *name, const char *value)
{
    if (r->answer.response && MHD_add_response_header(r->answer.response, name, value) != MHD_YES)
        log_warn("http", "%s: cannot add the header %s", r->id, name);
}

void respond_take(struct request *r, unsigned status, struct MHD_Response *response)
{
    static char sorry[] = "{\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\","
                          "\"param\":null,\"code\":\"out_of_memory\"}}\n";

    if (!response) {
        status = 503;
        response = MHD_create_response_from_buffer(sizeof sorry - 1, sorry, MHD_RESPMEM_PERSISTENT);
        if (response)
            MHD_add_response_header(response, "Content-Type", "application/json");
    }
    if (r->answer.response)
        MHD_destroy_response(r->answer.response);
    r->answer = (struct answer){response, status, 0};
}

void respond_size(struct request *r, uint64_t n_bytes)
{
    r->answer.n_bytes = strcmp(r->method, "HEAD") == 0 ? 0 : n_bytes;
}

/* Takes `body`. */
static void respond_text(struct request *r, unsigned status, json_t *body, const char *type)
{
    struct MHD_Response *response = NULL;
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(JSON_DIGITS)) : NULL;
    size_t n = text ? strlen(text) : 0;
    char *longer = text ? realloc(text, n + 2) : NULL;

    if (longer) {
        text = longer;
        memcpy(text + n, "\n", 2);
        response = MHD_create_response_from_buffer(n + 1, text, MHD_RESPMEM_MUST_FREE);
    }
    if (!response)
        free(text);
    json_decref(body);
    respond_take(r, status, response);
    respond_size(r, response ? n + 1 : 0);
    if (response)
        respond_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
}

void respond_written(struct request *r, unsigned status, struct json_out *out)
{
    struct MHD_Response *response = NULL;
    size_t n;

    json_out_end(out);
    n = out->n;
    if (!out->failed)
        response = MHD_create_response_from_buffer(out->n, out->text, MHD_RESPMEM_MUST_FREE);
    if (response)
        *out = (struct json_out){0}; /* the response has it now */
    json_out_clear(out);
    respond_take(r, status, response);
    respond_size(r, response ? n : 0);
    if (response)
        respond_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
}

void respond_json(struct request *r, unsigned status, json_t *body)
{
    respond_text(r, status, body, "application/json");
}

static const char *error_type(unsigned status)
{
    if (status >= 500)
        return "server_error";
    return status == 403 ? "permission_error" : "invalid_request_error";
}

static json_t *text_or_null(const char *text)
{
    return *text ? json_string(text) : json_null();
}

void respond_fault(struct request *r, const struct fault *fault)
{
    char path[256];
    json_t *body;

    snprintf(path, sizeof path, "%s", r->path);
    utf8_repair(path);
    body = json_pack("{s:{s:s, s:s, s:o, s:s}, s:s, s:s, s:i, s:s, s:s}", "error", "message",
                     fault->message, "type", error_type(fault->status), "param",
                     text_or_null(fault->param), "code", fault->code, "type", "about:blank",
                     "title", MHD_get_reason_phrase_for(fault->status), "status",
                     (int)fault->status, "detail", fault->message, "instance", path);
    if (body && fault->pointer[0])
        json_object_set_new(body, "errors",
                            json_pack("[{s:s, s:s}]", "detail", fault->message, "pointer",
                                      fault->pointer));
    respond_text(r, fault->status, body, "application/problem+json");
    if (fault->status == 409 || fault->status == 507)
        respond_header(r, "x-should-retry", "false");
}

void respond_error(struct request *r, unsigned status, const char *code, const char *param,
                   const char *format, ...)
{
    struct fault fault;
    va_list arguments;
    char message[sizeof fault.message];

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    fault_set(&fault, status, code, param, "%s", message);
    respond_fault(r, &fault);
}

void respond_internal(struct request *r, const struct prilora_error *err)
{
    log_error("http", "%s: %s %s: %s: %s%s%s", r->id, r->method, r->target,
              prilora_status_name(err->status), err->where, err->where[0] ? ": " : "",
              err->message);
    if (err->status == PRILORA_ENOMEM)
        respond_error(r, 503, "out_of_memory", NULL, "out of memory");
    else
        respond_error(r, 500, "internal_error", NULL,
                      "the server could not do this; its log says why, under %s", r->id);
}
