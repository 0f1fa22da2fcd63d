/* gc.c - POST /v1/maintenance/gc: what nobody needs any more is removed, or with dry_run listed. */
#include "api/handlers.h"

#include <stdlib.h>
#include <string.h>

#include "api/aside.h"
#include "api/json_out.h"
#include "api/list.h"
#include "api/respond.h"
#include "api/utf8.h"
#include "api/waiting.h"
#include "daemon/gc.h"
#include "daemon/log.h"

#define MAX_LISTED    10000
#define RETRY_AFTER_S 5

struct sweeping {
    struct api *api;
    struct sweep sweep;
    struct json_out items; /* the list's elements */
    size_t n_listed;
    enum prilora_status rc;
    struct prilora_error err;
};

static bool is_stopping(void *context)
{
    struct sweeping *s = context;

    return api_is_stopping(s->api);
}

/* Names on disk are whatever somebody has put there. */
static void tell(void *context, const struct sweep_item *item)
{
    struct sweeping *s = context;
    char *name;

    if (s->n_listed == MAX_LISTED)
        return;
    name = strdup(item->name);
    if (!name) {
        s->items.failed = true;
        return;
    }
    utf8_repair(name);
    s->n_listed++;
    json_out_open(&s->items, NULL, '{');
    json_out_text(&s->items, "kind", item->kind);
    json_out_text(&s->items, "name", name);
    json_out_text(&s->items, "why", item->why);
    json_out_integer(&s->items, "n", item->n);
    json_out_integer(&s->items, "bytes", item->bytes);
    json_out_close(&s->items, '}');
    free(name);
}

static void work(void *state)
{
    struct sweeping *s = state;

    json_out_open(&s->items, NULL, '{');
    json_out_text(&s->items, "object", "gc");
    json_out_bool(&s->items, "dry_run", s->sweep.is_dry);
    json_out_open(&s->items, "data", '[');
    s->rc = gc_run(s->api->store, s->api->config, &s->sweep, &s->err);
    json_out_close(&s->items, ']');
    json_out_bool(&s->items, "has_more", (int64_t)s->n_listed < s->sweep.n_items);
    json_out_integer(&s->items, "n_items", s->sweep.n_items);
    json_out_integer(&s->items, "bytes", s->sweep.bytes);
    json_out_close(&s->items, '}');
}

static void answer(struct request *r, void *state)
{
    struct sweeping *s = state;

    if (s->rc == PRILORA_OK) {
        log_info("audit", "%lld things of %lld bytes %s (%s)", (long long)s->sweep.n_items,
                 (long long)s->sweep.bytes, s->sweep.is_dry ? "could be swept" : "were swept",
                 r->id);
        respond_written(r, 200, &s->items);
    } else if (s->rc == PRILORA_EMISMATCH) {
        respond_later(r, 409, "gc_in_progress", NULL, RETRY_AFTER_S, "%s", s->err.message);
    } else if (s->rc == PRILORA_ESTOPPED) {
        respond_error(r, 503, "stopping", NULL, "%s", s->err.message);
    } else {
        respond_internal(r, &s->err);
    }
}

static void sweeping_free(void *state)
{
    struct sweeping *s = state;

    json_out_clear(&s->items);
    free(s);
}

static bool read_dry_run(struct request *r, bool *out)
{
    static const char *const names[] = {"dry_run", NULL};
    const char *value;

    if (!query_check(r, names))
        return false;
    value = query_get(&r->query, "dry_run");
    *out = value && strcmp(value, "true") == 0;
    if (!value || *out || strcmp(value, "false") == 0)
        return true;
    respond_error(r, 400, "invalid_value", "dry_run",
                  "dry_run: \"%.60s\", but must be true or false", value);
    return false;
}

void api_gc(struct request *r)
{
    static const struct aside_work sweeping = {work, answer, sweeping_free};
    struct sweeping *s;
    bool is_dry;

    if (!read_dry_run(r, &is_dry))
        return;
    s = calloc(1, sizeof *s);
    if (s) {
        s->api = r->api;
        s->sweep = (struct sweep){
            .is_dry = is_dry, .depth = SWEEP_ALL, .stop = is_stopping, .tell = tell, .context = s};
    }
    aside_run(r, &sweeping, s);
}
