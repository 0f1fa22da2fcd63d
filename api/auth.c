/* auth.c - see auth.h. */
#include "api/auth.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "api/request.h"
#include "api/respond.h"

#define FORM_ROOM ((uint64_t)64 * 1024) /* of an upload's body that may be other than the file */

/* ---- from where ---- */

static const char *const proxy_headers[] = {"X-Forwarded-For", "X-Real-IP", "Forwarded"};

static bool is_forwarded(const struct request *r)
{
    for (size_t i = 0; i < sizeof proxy_headers / sizeof *proxy_headers; i++)
        if (request_header(r, proxy_headers[i]))
            return true;
    return false;
}

/* The last address of a list: the one that the nearest proxy has put there itself. */
static bool last_address(const char *list, char out[PEER_ADDRESS_SIZE])
{
    const char *comma = list ? strrchr(list, ',') : NULL, *begin = comma ? comma + 1 : list;
    unsigned char bytes[sizeof(struct in6_addr)];

    if (!begin)
        return false;
    begin += strspn(begin, " \t");
    if (snprintf(out, PEER_ADDRESS_SIZE, "%.*s", (int)strcspn(begin, " \t"), begin) >=
        PEER_ADDRESS_SIZE)
        return false;
    return inet_pton(AF_INET, out, bytes) == 1 || inet_pton(AF_INET6, out, bytes) == 1;
}

/* Only what runs on this machine is believed, and only to tell strangers apart. */
static void find_address(struct request *r, const struct peer *peer, bool forwarded)
{
    if (forwarded && (peer->is_loopback || peer->is_unix) &&
        (last_address(request_header(r, "X-Forwarded-For"), r->who.address) ||
         last_address(request_header(r, "X-Real-IP"), r->who.address)))
        return;
    memcpy(r->who.address, peer->address, sizeof r->who.address);
}

static bool needs_key(const struct request *r, const struct peer *peer, bool forwarded)
{
    if (forwarded || !(peer->is_unix || peer->is_loopback))
        return true;
    return !peer->is_unix && strcmp(config_now(r->api->config)->keys, "always") == 0;
}

/* ---- refusing ---- */

static void refuse(struct request *r, const char *why)
{
    struct timespec now;
    long wait_s;

    clock_gettime(CLOCK_MONOTONIC, &now);
    wait_s = attempts_count(&r->api->attempts, r->who.address,
                            (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1);
    r->who.is_refused = true;
    if (wait_s > 0) {
        r->who.is_quiet = true;
        respond_later(r, 429, "too_many_attempts", NULL, (unsigned)wait_s,
                      "%s; and %d requests without a valid key have come from %s within %d s: wait "
                      "%ld s",
                      why, ATTEMPTS_MAX, r->who.address, ATTEMPTS_WINDOW_S, wait_s);
        return;
    }
    respond_error(r, 401, "invalid_api_key", NULL, "%s", why);
    respond_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"prilorad\"");
}

static bool check_scope(struct request *r)
{
    if (r->who.key.scope >= r->route->scope)
        return true;
    r->who.is_refused = true;
    respond_error(r, 403, "insufficient_scope", NULL,
                  "this needs a key of scope %s, but %s is one of scope %s",
                  scope_name(r->route->scope), r->who.key.id, scope_name(r->who.key.scope));
    return false;
}

/* ---- the check ---- */

/* What follows "Bearer "; NULL: no such header. */
static const char *bearer(const struct request *r)
{
    const char *header = request_header(r, "Authorization");

    if (!header || strncasecmp(header, "Bearer ", 7) != 0)
        return NULL;
    return header + 7 + strspn(header + 7, " ");
}

static bool check_key(struct request *r, const char *text)
{
    switch (keys_find(r->api->keys, text, &r->who.key)) {
    case KEY_FOUND:
        memcpy(r->caller, r->who.key.id, sizeof r->caller);
        return check_scope(r);
    case KEY_EXPIRED:
        refuse(r, "this API key has expired");
        return false;
    default:
        refuse(r, "this API key is not known here, or was revoked");
        return false;
    }
}

bool auth_check(struct request *r)
{
    const struct peer *peer = peer_of(r->connection);
    const char *text = bearer(r);
    bool forwarded;

    if (!peer) {
        respond_json(r, 503, NULL);
        return false;
    }
    forwarded = is_forwarded(r);
    find_address(r, peer, forwarded);
    if (r->route->scope == SCOPE_NONE)
        return true;
    if (text && strncmp(text, KEY_PREFIX, strlen(KEY_PREFIX)) == 0)
        return check_key(r, text);
    if (!needs_key(r, peer, forwarded))
        return true;
    refuse(r, text ? "this is no API key of this server, whose keys begin with " KEY_PREFIX
                   : "an API key is needed: send \"Authorization: Bearer " KEY_PREFIX
                     "...\" (\"prilora keys create\" on the server's machine makes one)");
    return false;
}

bool auth_still_holds(const struct request *r)
{
    return !r->caller[0] || keys_is_valid(r->api->keys, r->caller);
}

bool auth_check_bytes(struct request *r, uint64_t n_bytes)
{
    struct prilora_error err;
    enum prilora_status rc;

    if (n_bytes <= FORM_ROOM)
        return true; /* what the file itself has is seen when it is there */
    rc = keys_check_bytes(r->api->store, r->caller, (int64_t)(n_bytes - FORM_ROOM), &err);
    if (rc == PRILORA_ELIMIT)
        respond_quota(r, &err);
    else if (rc != PRILORA_OK)
        respond_internal(r, &err);
    return rc == PRILORA_OK;
}

void respond_quota(struct request *r, const struct prilora_error *err)
{
    struct fault fault;

    fault_set(&fault, 429, "quota_exceeded", err->where, "%s", err->message);
    fault.is_final = true;
    respond_fault(r, &fault);
}
