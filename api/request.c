/* request.c - see request.h. Finding the route and collecting the body; routes do the rest. */
#include "api/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/headers.h"
#include "api/idempotency.h"
#include "api/origin.h"
#include "api/respond.h"

#define MAX_PATH 4096
#define MEGABYTE ((uint64_t)1 << 20)
#define DISCARD_LIMIT                                                                              \
    (64 * MEGABYTE) /* of a body that nobody wants: then the connection is cut                     \
                     */

/* How long "http://host:port" at the beginning of a target is (RFC 9112, 3.2.2); 0: it is a path.
 */
static size_t authority_length(const char *target)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t n = strlen(schemes[i]);

        if (strncasecmp(target, schemes[i], n) == 0)
            return n + strcspn(target + n, "/?#");
    }
    return 0;
}

/* The target's path, and who it says it is for; false: out of memory. */
static bool split_target(struct request *r, const char **path, size_t *n)
{
    size_t n_authority = authority_length(r->target);

    *path = r->target + n_authority;
    *n = strcspn(*path, "?#");
    if (n_authority > 0)
        r->authority =
            strndup(strstr(r->target, "//") + 2, (size_t)(*path - strstr(r->target, "//")) - 2);
    r->path = n_authority > 0 && *n == 0 ? strdup("/") : strndup(*path, *n);
    return r->path && (r->authority || n_authority == 0);
}

struct request *request_new(struct api *api, const char *target)
{
    struct request *r = calloc(1, sizeof *r);
    const char *path;
    size_t n;

    if (!r)
        return NULL;
    r->api = api;
    clock_gettime(CLOCK_MONOTONIC, &r->started);
    store_new_id(r->id, "req-");
    r->target = strdup(target);
    if (!r->target || !split_target(r, &path, &n)) {
        request_free(r);
        return NULL;
    }
    if (n > MAX_PATH)
        fault_set(&r->fault, 414, "path_too_long", NULL, "the path is longer than %d bytes",
                  MAX_PATH);
    else
        r->target_ok = query_parse(&r->query, path[n] == '?' ? path + n + 1 : "", &r->fault);
    return r;
}

void request_free(struct request *r)
{
    if (!r)
        return;
    idempotency_release(r);
    if (r->route && r->route->sink)
        r->route->sink->free(r->sink);
    if (r->free_state)
        r->free_state(r->state);
    if (r->answer.response)
        MHD_destroy_response(r->answer.response);
    for (size_t i = 0; i < ROUTE_MAX_CAPTURES; i++)
        free(r->captures[i]);
    query_clear(&r->query);
    free(r->body);
    free(r->path);
    free(r->authority);
    free(r->target);
    free(r);
}

const char *request_header(const struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

bool request_is_type(const struct request *r, const char *media_type)
{
    const char *header = request_header(r, "Content-Type");
    size_t n = strlen(media_type);

    return header && strncasecmp(header, media_type, n) == 0 && strchr("; \t", header[n]);
}

/* What the headers alone make impossible. */
static bool check_length(struct request *r)
{
    const char *length = request_header(r, "Content-Length");
    const struct config *config = config_now(r->api->config);
    uint64_t limit =
        MEGABYTE * (uint64_t)(r->route->sink ? config->max_upload_mb + 1 : config->max_body_mb);

    if (!length)
        return true;
    if (strtoull(length, NULL, 10) <= limit)
        return !r->route->sink || auth_check_bytes(r, strtoull(length, NULL, 10));
    respond_error(r, 413, "body_too_large", NULL,
                  "the body has %s bytes, but at most %llu are taken (%s)", length,
                  (unsigned long long)limit, r->route->sink ? "max_upload_mb" : "max_body_mb");
    return false;
}

static void respond_no_route(struct request *r, enum route_found found)
{
    char methods[64];

    if (found == ROUTE_NO_MEMORY) {
        respond_error(r, 503, "out_of_memory", NULL, "out of memory");
        return;
    }
    if (found == ROUTE_NO_PATH) {
        respond_error(r, 404, "unknown_url", NULL, "nothing is at %s", r->path);
        return;
    }
    route_methods(r->path, methods, sizeof methods);
    respond_error(r, 405, "method_not_allowed", NULL, "%s cannot be done at %s, only %s", r->method,
                  r->path, methods);
    respond_header(r, MHD_HTTP_HEADER_ALLOW, methods);
}

/* What must be right before the body is read, each check with its own answer. */
static bool check(struct request *r)
{
    enum route_found found;

    if (!headers_check(r) || !origin_check_host(r) || origin_preflight(r))
        return false;
    if (!r->target_ok) {
        respond_fault(r, &r->fault);
        return false;
    }
    found = route_find(r->method, r->path, &r->route, r->captures);
    if (found != ROUTE_FOUND) {
        respond_no_route(r, found);
        return false;
    }
    return auth_check(r) && origin_check_change(r) && check_length(r);
}

void request_begin(struct request *r, struct MHD_Connection *connection, const char *method,
                   const char *version)
{
    r->begun = true;
    r->connection = connection;
    r->is_http10 = strcmp(version, "HTTP/1.0") == 0;
    snprintf(r->method, sizeof r->method, "%s", method);
    if (check(r) && r->route->sink)
        r->route->sink->begin(r, &r->sink);
    peer_enter(peer_of(connection),
               r->route && r->route->sink && !r->answer.is_given ? PEER_UPLOAD : PEER_BODY);
}

bool request_answers_early(const struct request *r)
{
    const char *length = request_header(r, "Content-Length");

    return r->answer.is_given &&
           (!r->answer.response || r->must_close || request_header(r, "Expect") ||
            (length && strtoull(length, NULL, 10) > DISCARD_LIMIT));
}

static void collect(struct request *r, const char *data, size_t size)
{
    size_t limit = (size_t)(MEGABYTE * (uint64_t)config_now(r->api->config)->max_body_mb);

    /* a reload may have made it less meanwhile */
    if (r->n_body > limit || size > limit - r->n_body) {
        respond_error(r, 413, "body_too_large", NULL,
                      "the body has more than %zu bytes (max_body_mb)", limit);
        return;
    }
    if (r->body_room - r->n_body <= size) { /* one more for the NUL */
        size_t room = 2 * (r->n_body + size) + 1;
        char *body = realloc(r->body, room);

        if (!body) {
            respond_error(r, 503, "out_of_memory", NULL, "no memory for the body");
            return;
        }
        r->body = body;
        r->body_room = room;
    }
    memcpy(r->body + r->n_body, data, size);
    r->n_body += size;
    r->body[r->n_body] = '\0';
}

bool request_take(struct request *r, const char *data, size_t size)
{
    peer_received(peer_of(r->connection), size);
    if (r->answer.is_given) {
        r->n_discarded += size;
        return r->n_discarded <= DISCARD_LIMIT;
    }
    if (r->route->sink)
        r->route->sink->take(r, r->sink, data, size);
    else
        collect(r, data, size);
    return true;
}

void request_handle(struct request *r)
{
    peer_enter(peer_of(r->connection), PEER_ANSWER);
    if (r->waiting.resumed)
        r->waiting.resumed(r);
    else if (!r->answer.is_given)
        r->route->handle(r);
}
