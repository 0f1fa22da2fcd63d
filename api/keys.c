/* keys.c - /v1/keys: making, listing and revoking API keys. */
#include "api/handlers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/json.h"
#include "api/list.h"
#include "api/member.h"
#include "api/respond.h"
#include "api/utf8.h"
#include "daemon/log.h"

#define KEYS_PER_PAGE     20
#define MAX_KEYS_PER_PAGE 100
#define MAX_LIFE_S        (INT64_C(100) * 366 * 86400)
#define MAX_QUOTA         INT64_C(9007199254740991) /* what every JSON reader takes exactly */

/* ---- showing ---- */

static json_t *quota(int64_t number)
{
    return number > 0 ? json_integer(number) : json_null();
}

static json_t *encode(const struct key *key, const struct key_usage *usage)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:{s:I, s:I}}", "id",
                     key->id, "object", "api_key", "name", key->name, "scope",
                     scope_name(key->scope), "created_at", (json_int_t)key->created_at,
                     "expires_at", json_time(key->expires_at), "last_used_at",
                     json_time(key->last_used_at), "revoked_at", json_time(key->revoked_at),
                     "max_queued_jobs", quota(key->max_queued_jobs), "max_bytes",
                     quota(key->max_bytes), "usage", "queued_jobs", (json_int_t)usage->queued_jobs,
                     "bytes", (json_int_t)usage->bytes);
}

/* The key as JSON, with what it has used; NULL: answered with what went wrong. */
static json_t *describe(struct request *r, const struct key *key)
{
    struct prilora_error err;
    struct key_usage usage;
    json_t *object;

    if (keys_usage(r->api->store, key->id, &usage, &err) != PRILORA_OK) {
        respond_internal(r, &err);
        return NULL;
    }
    object = encode(key, &usage);
    if (!object)
        respond_json(r, 503, NULL);
    return object;
}

static void respond_failure(struct request *r, const struct prilora_error *err)
{
    if (err->status == PRILORA_ENOENT)
        respond_error(r, 404, "key_not_found", "key_id", "no such key: %s", r->captures[0]);
    else
        respond_internal(r, err);
}

void api_key_show(struct request *r)
{
    struct prilora_error err;
    struct key key;
    json_t *object;

    if (!query_check(r, NULL))
        return;
    if (keys_get(r->api->keys, r->captures[0], &key, &err) != PRILORA_OK) {
        respond_failure(r, &err);
        return;
    }
    object = describe(r, &key);
    if (object)
        respond_json(r, 200, object);
}

void api_key_list(struct request *r)
{
    static const struct page_rules rules = {KEYS_PER_PAGE, MAX_KEYS_PER_PAGE, false, NULL};
    struct prilora_error err;
    struct page page;
    struct key *keys;
    size_t n;
    bool has_more;
    json_t *data;

    if (!page_read(r, &rules, &page))
        return;
    if (keys_list(r->api->keys, page.after, page.limit, &keys, &n, &has_more, &err) != PRILORA_OK) {
        list_respond_failure(r, &page, &err);
        return;
    }
    data = json_array();
    for (size_t i = 0; i < n && !r->answer.is_given; i++) {
        json_t *object = describe(r, &keys[i]);

        if (object)
            json_array_append_new(data, object);
    }
    free(keys);
    if (r->answer.is_given)
        json_decref(data);
    else
        respond_json(r, 200, list_make(data, has_more, false));
}

/* ---- making ---- */

struct wish {
    struct key key;
    int64_t expires_in;
};

static bool take_name(const json_t *value, struct wish *wish, struct fault *fault)
{
    const char *name = json_string_value(value);
    size_t n = json_string_length(value);

    if (!name || n == 0 || n > KEY_MAX_NAME || strlen(name) != n)
        return fault_set(fault, 400, "invalid_value", "name",
                         "name: must be a text of 1 to %d bytes", KEY_MAX_NAME);
    memcpy(wish->key.name, name, n + 1);
    utf8_repair(wish->key.name);
    if (strcmp(wish->key.name, name) != 0)
        return fault_set(fault, 400, "invalid_value", "name",
                         "name: must have no control characters");
    return true;
}

static bool take_scope(const json_t *value, struct wish *wish, struct fault *fault)
{
    const char *name = json_string_value(value);

    return (name && scope_parse(&wish->key.scope, name)) ||
           fault_set(fault, 400, "invalid_value", "scope",
                     "scope: \"%.40s\", but must be read, submit or admin", name ? name : "");
}

static bool take_number(const json_t *value, const char *name, int64_t least, int64_t most,
                        int64_t *out, struct fault *fault)
{
    if (json_is_integer(value) && json_integer_value(value) >= least &&
        json_integer_value(value) <= most) {
        *out = json_integer_value(value);
        return true;
    }
    return fault_set(fault, 400, "invalid_value", name,
                     "%s: must be an integer from %" PRId64 " to %" PRId64, name, least, most);
}

static bool take_expires_in(const json_t *value, struct wish *wish, struct fault *fault)
{
    return take_number(value, "expires_in", 1, MAX_LIFE_S, &wish->expires_in, fault);
}

static bool take_expires_at(const json_t *value, struct wish *wish, struct fault *fault)
{
    return take_number(value, "expires_at", store_now() + 1, store_now() + MAX_LIFE_S,
                       &wish->key.expires_at, fault);
}

static bool take_jobs(const json_t *value, struct wish *wish, struct fault *fault)
{
    return take_number(value, "max_queued_jobs", 1, MAX_QUOTA, &wish->key.max_queued_jobs, fault);
}

static bool take_bytes(const json_t *value, struct wish *wish, struct fault *fault)
{
    return take_number(value, "max_bytes", 1, MAX_QUOTA, &wish->key.max_bytes, fault);
}

static const struct member {
    const char *name;
    bool (*take)(const json_t *value, struct wish *wish, struct fault *fault);
} members[] = {
    {"name", take_name},
    {"scope", take_scope},
    {"expires_in", take_expires_in},
    {"expires_at", take_expires_at},
    {"max_queued_jobs", take_jobs},
    {"max_bytes", take_bytes},
};
#define N_MEMBERS (sizeof members / sizeof *members)

static bool take_members(json_t *body, struct wish *wish, struct fault *fault)
{
    const char *names[N_MEMBERS + 1] = {NULL};
    const json_t *value;

    for (size_t i = 0; i < N_MEMBERS; i++)
        names[i] = members[i].name;
    if (!member_check_names(body, names, fault))
        return false;
    for (size_t i = 0; i < N_MEMBERS; i++) {
        value = json_object_get(body, names[i]);
        if (value && !json_is_null(value) && !members[i].take(value, wish, fault))
            return false;
    }
    if (!wish->key.name[0])
        return fault_set(fault, 400, "missing_required_parameter", "name",
                         "name is missing: what is this key for?");
    if (wish->expires_in && wish->key.expires_at)
        return fault_set(fault, 400, "invalid_value", "expires_at",
                         "expires_in and expires_at are both given");
    if (wish->expires_in)
        wish->key.expires_at = store_now() + wish->expires_in;
    return true;
}

static bool read_wish(struct request *r, struct wish *wish)
{
    struct fault fault;
    json_t *body;
    bool right;

    if (!respond_unless_json(r))
        return false;
    body = member_body(r->body, r->n_body, &fault);
    right = body && take_members(body, wish, &fault);
    json_decref(body);
    if (!right)
        respond_fault(r, &fault);
    return right;
}

void api_key_create(struct request *r)
{
    struct wish wish = {.key.scope = SCOPE_SUBMIT};
    struct prilora_error err;
    char text[KEY_SIZE];
    enum prilora_status rc;
    json_t *object;

    if (!query_check(r, NULL) || !read_wish(r, &wish))
        return;
    rc = keys_create(r->api->keys, &wish.key, text, &err);
    if (rc == PRILORA_ELIMIT) {
        respond_error(r, 409, "too_many_keys", NULL, "%s", err.message);
    } else if (rc != PRILORA_OK) {
        respond_internal(r, &err);
    } else {
        log_info("audit", "%s \"%s\" of scope %s was made (%s)", wish.key.id, wish.key.name,
                 scope_name(wish.key.scope), r->id);
        object = encode(&wish.key, &(struct key_usage){0});
        if (object)
            json_object_set_new(object, "key", json_string(text));
        respond_json(r, 200, object);
        respond_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    }
}

/* ---- revoking ---- */

void api_key_revoke(struct request *r)
{
    struct prilora_error err;
    struct key key;
    json_t *object;

    if (!query_check(r, NULL))
        return;
    if (keys_revoke(r->api->keys, r->captures[0], &key, &err) != PRILORA_OK) {
        respond_failure(r, &err);
        return;
    }
    object = describe(r, &key);
    if (!object)
        return;
    json_object_set_new(object, "deleted", json_true());
    respond_json(r, 200, object);
}
