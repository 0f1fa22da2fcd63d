/* respond.c - see respond.h. */
#include "api/respond.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/etag.h"
#include "api/range.h"
#include "api/utf8.h"
#include "daemon/json_memory.h"
#include "daemon/log.h"

void respond_header(struct request *r, const char *name, const char *value)
{
    if (r->answer.response && MHD_add_response_header(r->answer.response, name, value) != MHD_YES)
        log_warn("http", "%s: cannot add the header %s", r->id, name);
}

static void add_sorry_headers(struct MHD_Response *response)
{
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "2");
}

void respond_take(struct request *r, unsigned status, struct MHD_Response *response)
{
    static char sorry[] = "{\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\","
                          "\"param\":null,\"code\":\"out_of_memory\"}}\n";

    if (!response) {
        status = 503;
        response = MHD_create_response_from_buffer(sizeof sorry - 1, sorry, MHD_RESPMEM_PERSISTENT);
        if (response)
            add_sorry_headers(response);
    }
    if (r->answer.response)
        MHD_destroy_response(r->answer.response);
    r->answer = (struct answer){true, response, status, 0};
}

void respond_size(struct request *r, uint64_t n_bytes)
{
    r->answer.n_bytes = strcmp(r->method, "HEAD") == 0 ? 0 : n_bytes;
}

/*
 * respond_made - an answer of text that was made for it; takes `text`, NULL becomes a 503. What was
 * asked for by GET has an entity tag, so that who asks again and again is sent only what is new.
 */
static void respond_made(struct request *r, unsigned status, char *text, size_t n, const char *type)
{
    bool is_look =
        status == 200 && (strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0);
    struct MHD_Response *response = NULL;
    char etag[ETAG_SIZE];

    if (text && is_look) {
        etag_make(etag, text, n);
        if (etag_listed(request_header(r, MHD_HTTP_HEADER_IF_NONE_MATCH), etag))
            status = 304; /* libmicrohttpd sends the text's length then, but not the text */
    }
    if (text)
        response = MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(text);
    respond_take(r, status, response);
    respond_size(r, response && status != 304 ? n : 0);
    if (response && status != 304)
        respond_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (response && is_look) {
        respond_header(r, MHD_HTTP_HEADER_ETAG, etag);
        respond_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
    }
}

/* Takes `body`. */
static void respond_text(struct request *r, unsigned status, json_t *body, const char *type)
{
    char *text =
        body ? json_whole_text(body, JSON_COMPACT | JSON_REAL_PRECISION(JSON_DIGITS)) : NULL;
    size_t n = text ? strlen(text) : 0;
    char *longer = text ? realloc(text, n + 2) : NULL;

    json_decref(body);
    if (longer)
        memcpy(longer + n, "\n", 2);
    else
        free(text);
    if (json_memory_refusals() != r->refusals) { /* it may lack a member */
        free(longer);
        longer = NULL;
    }
    respond_made(r, status, longer, n + 1, type);
}

void respond_written(struct request *r, unsigned status, struct json_out *out)
{
    json_out_end(out);
    if (out->failed)
        json_out_clear(out);
    respond_made(r, status, out->text, out->n, "application/json");
    *out = (struct json_out){0}; /* the response has it now */
}

void respond_json(struct request *r, unsigned status, json_t *body)
{
    respond_text(r, status, body, "application/json");
}

static const char *error_type(unsigned status)
{
    static const struct {
        unsigned status;
        const char *type;
    } types[] = {{401, "authentication_error"},
                 {403, "permission_error"},
                 {429, "rate_limit_error"}};

    if (status >= 500)
        return "server_error";
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].status == status)
            return types[i].type;
    return "invalid_request_error";
}

static json_t *text_or_null(const char *text)
{
    return *text ? json_string(text) : json_null();
}

/* Clients try again by themselves after some statuses: whether that helps, and when. */
static void add_retry(struct request *r, const struct fault *fault)
{
    static const struct {
        unsigned status, after_s; /* 0: never */
    } standard[] = {{409, 0}, {507, 0}, {429, 5}, {503, 2}};
    unsigned after_s = fault->retry_after_s;
    bool is_final = fault->is_final;
    char text[16];

    for (size_t i = 0; i < sizeof standard / sizeof *standard && !after_s && !is_final; i++) {
        if (standard[i].status != fault->status)
            continue;
        after_s = standard[i].after_s;
        is_final = !after_s;
    }
    snprintf(text, sizeof text, "%u", after_s);
    if (is_final)
        respond_header(r, "x-should-retry", "false");
    else if (after_s)
        respond_header(r, MHD_HTTP_HEADER_RETRY_AFTER, text);
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
    add_retry(r, fault);
}

/* after_s as in struct fault. */
static void respond_formatted(struct request *r, unsigned status, const char *code,
                              const char *param, unsigned after_s, const char *format,
                              va_list arguments) __attribute__((format(printf, 6, 0)));

static void respond_formatted(struct request *r, unsigned status, const char *code,
                              const char *param, unsigned after_s, const char *format,
                              va_list arguments)
{
    struct fault fault;
    char message[sizeof fault.message];

    vsnprintf(message, sizeof message, format, arguments);
    fault_set(&fault, status, code, param, "%s", message);
    fault.retry_after_s = after_s;
    respond_fault(r, &fault);
}

void respond_error(struct request *r, unsigned status, const char *code, const char *param,
                   const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    respond_formatted(r, status, code, param, 0, format, arguments);
    va_end(arguments);
}

void respond_later(struct request *r, unsigned status, const char *code, const char *param,
                   unsigned after_s, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    respond_formatted(r, status, code, param, after_s, format, arguments);
    va_end(arguments);
}

bool respond_unless_json(struct request *r)
{
    const char *type = request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);

    if (request_is_type(r, "application/json"))
        return true;
    respond_error(r, 415, "unsupported_media_type", "Content-Type",
                  "Content-Type: \"%.100s\", but the body must be application/json",
                  type ? type : "");
    return false;
}

void respond_internal(struct request *r, const struct prilora_error *err)
{
    log_error("http", "%s: %s %s: %s: %s%s%s", r->id, r->method, r->target,
              prilora_status_name(err->status), err->where, err->where[0] ? ": " : "",
              err->message);
    switch (err->status) {
    case PRILORA_ENOMEM:
        respond_error(r, 503, "out_of_memory", NULL, "out of memory");
        break;
    case PRILORA_ENOSPC:
        respond_error(r, 507, "disk_full", NULL, "the server's disk is full: this cannot be kept");
        break;
    case PRILORA_EBUSY:
        respond_error(r, 503, "database_busy", NULL,
                      "another process holds the server's database; try again");
        break;
    default:
        respond_error(r, 500, "internal_error", NULL,
                      "the server could not do this; its log says why, under %s", r->id);
    }
}
