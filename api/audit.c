/* audit.c - see audit.h. */
#include "api/audit.h"

#include <stdio.h>
#include <string.h>

#include "api/request.h"
#include "daemon/log.h"

/* A POST that every reader may send changes nothing. */
static bool is_change(const struct request *r)
{
    return r->route && r->route->scope > SCOPE_READ && strcmp(r->method, "GET") != 0 &&
           strcmp(r->method, "HEAD") != 0;
}

void audit_request(const struct request *r)
{
    const struct caller *who = &r->who;
    char path[200], key[ID_SIZE + KEY_MAX_NAME + 8] = "no key";
    size_t n = 0;

    if (!(is_change(r) && who->address[0]) && !(who->is_refused && !who->is_quiet))
        return;
    for (; r->path[n] && n + 1 < sizeof path; n++)
        path[n] = r->path[n] > ' ' && r->path[n] < 127 ? r->path[n] : '?';
    path[n] = '\0';
    if (who->key.id[0])
        snprintf(key, sizeof key, "%s \"%s\"", who->key.id, who->key.name);
    log_write(who->is_refused ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "audit", "%s%s, %s: %s %s %u %s",
              who->is_refused ? "refused: " : "", key, who->address, r->method, path,
              r->answer.status, r->id);
}
