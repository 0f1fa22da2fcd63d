/* origin.c - see origin.h. */
#include "api/origin.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/request.h"
#include "api/respond.h"

#define PREFLIGHT_LIFE_S "600"

/* What a page may read besides the body and the few headers that it may anyway. */
static const char exposed[] = "x-request-id, x-should-retry, Retry-After, ETag, Location, Link, "
                              "Allow, WWW-Authenticate, Content-Disposition, Content-Range, "
                              "Accept-Ranges, Repr-Digest, Idempotent-Replayed";

/* ---- comparing ---- */

bool origin_in_list(const char *list, const char *word, size_t n)
{
    for (const char *at = list + strspn(list, " ,"); *at; at += strspn(at, " ,")) {
        size_t length = strcspn(at, " ,");

        if (length == n && strncasecmp(at, word, n) == 0)
            return true;
        at += length;
    }
    return false;
}

/* How long the name or address at the beginning of "name:port" or "[v6]:port" is; 0: there is none,
 * or what follows is no port. */
static size_t name_length(const char *host)
{
    size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    const char *rest;

    if (n > strlen(host))
        return 0;
    rest = host + n;
    return *rest == '\0' || (*rest == ':' && rest[1 + strspn(rest + 1, "0123456789")] == '\0') ? n
                                                                                               : 0;
}

static bool is_address(const char *host, size_t n)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    char text[INET6_ADDRSTRLEN];
    bool v6 = n > 2 && host[0] == '[';

    if (n >= sizeof text)
        return false;
    snprintf(text, sizeof text, "%.*s", (int)(v6 ? n - 2 : n), host + v6);
    return inet_pton(v6 ? AF_INET6 : AF_INET, text, bytes) == 1;
}

bool origin_is_own_host(const char *host, const char *listen, const char *allowed)
{
    size_t n = name_length(host);

    if (n == 0)
        return false;
    return is_address(host, n) || (n == 9 && strncasecmp(host, "localhost", n) == 0) ||
           (n == name_length(listen) && strncasecmp(host, listen, n) == 0) ||
           origin_in_list(allowed, host, n) || origin_in_list(allowed, "*", 1);
}

bool origin_is_same(const char *origin, const char *host)
{
    static const struct {
        const char *scheme, *port;
    } schemes[] = {{"http://", ":80"}, {"https://", ":443"}};

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t n = strlen(schemes[i].scheme), n_own = strlen(host), n_port;
        const char *other = origin + n;

        if (strncasecmp(origin, schemes[i].scheme, n) != 0)
            continue;
        n_port = strlen(schemes[i].port);
        if (n_own > n_port && strcmp(host + n_own - n_port, schemes[i].port) == 0)
            n_own -= n_port; /* browsers leave a scheme's own port out */
        return n_own > 0 && strlen(other) == n_own && strncasecmp(other, host, n_own) == 0;
    }
    return false;
}

/* ---- checks ---- */

bool origin_check_host(struct request *r)
{
    const struct config *config = config_now(r->api->config);
    const char *host = request_header(r, "Host");
    const struct peer *peer = peer_of(r->connection);

    if (peer && peer->is_unix)
        return true; /* no page gets there */
    if (host && r->authority)
        host = r->authority;
    if (!host && r->is_http10)
        return true;
    if (!host || !*host)
        respond_error(r, 400, "invalid_host", NULL,
                      host && r->authority ? "the target %.200s names no host"
                                           : "there is no Host header%.0s",
                      r->target);
    else if (!origin_is_own_host(host, config->listen, config->allowed_hosts))
        respond_error(r, 421, "host_not_allowed", NULL,
                      "\"%.200s\" is no name of this server: use its address or localhost, or add "
                      "the name to server.allowed_hosts",
                      host);
    else
        return true;
    return false;
}

static bool is_look(const struct request *r)
{
    return strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0 ||
           strcmp(r->method, "OPTIONS") == 0;
}

/* The request's origin if it is a listed one, else NULL. */
static const char *listed_origin(const struct request *r)
{
    const char *origin = r->connection ? request_header(r, "Origin") : NULL;

    return origin &&
                   origin_in_list(config_now(r->api->config)->cors_origins, origin, strlen(origin))
               ? origin
               : NULL;
}

bool origin_check_change(struct request *r)
{
    const char *origin = request_header(r, "Origin"), *host = request_header(r, "Host");

    if (!origin || is_look(r) || (host && origin_is_same(origin, host)) || listed_origin(r))
        return true;
    respond_error(r, 403, "origin_not_allowed", NULL,
                  "pages of %.200s may change nothing here (server.cors_origins lists those that "
                  "may)",
                  origin);
    return false;
}

/* ---- CORS ---- */

/* A list of header names, as it may be sent back. */
static bool is_names(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-_., ";

    return text && *text && strlen(text) <= 4096 && text[strspn(text, letters)] == '\0';
}

bool origin_preflight(struct request *r)
{
    const char *wanted = request_header(r, "Access-Control-Request-Headers");
    char methods[64];

    if (strcmp(r->method, "OPTIONS") != 0 || !listed_origin(r) ||
        !request_header(r, "Access-Control-Request-Method"))
        return false;
    route_methods(r->path, methods, sizeof methods);
    if (!methods[0])
        return false;
    respond_take(r, 204, MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT));
    respond_header(r, "Access-Control-Allow-Methods", methods);
    if (is_names(wanted))
        respond_header(r, "Access-Control-Allow-Headers", wanted);
    respond_header(r, "Access-Control-Max-Age", PREFLIGHT_LIFE_S);
    return true;
}

void origin_add_headers(struct request *r)
{
    const char *origin;

    if (!config_now(r->api->config)->cors_origins[0])
        return;
    respond_header(r, MHD_HTTP_HEADER_VARY, "Origin");
    origin = listed_origin(r);
    if (!origin)
        return;
    respond_header(r, "Access-Control-Allow-Origin", origin);
    if (strcmp(r->method, "OPTIONS") != 0)
        respond_header(r, "Access-Control-Expose-Headers", exposed);
}
