/* keys.c - the keys that the daemon knows: made, listed, revoked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/cli/commands.h"
#include "api/cli/http.h"
#include "api/cli/json.h"
#include "api/cli/list.h"
#include "api/cli/table.h"
#include "api/cli/text.h"

static int add_integer(const struct call *call, json_t *body, const char *option,
                       const char *member)
{
    int64_t value;
    int rc = call_integer(call, option, 0, INT64_MAX, 0, &value);

    if (rc == EXIT_DONE && call_has(call, option))
        json_object_set_new(body, member, json_integer((json_int_t)value));
    return rc;
}

static int make_body(const struct call *call, json_t *body)
{
    const char *scope = call_option(call, "scope"), *expires = call_option(call, "expires");
    int64_t seconds;

    if (scope)
        json_object_set_new(body, "scope", json_string(scope));
    if (expires && (!text_duration(expires, &seconds) || seconds == 0))
        return fail(EXIT_USAGE, "--expires: \"%s\", but must be a time as 24h or 90d", expires);
    if (expires)
        json_object_set_new(body, "expires_in", json_integer((json_int_t)seconds));
    if (add_integer(call, body, "max-queued-jobs", "max_queued_jobs") != EXIT_DONE ||
        add_integer(call, body, "max-bytes", "max_bytes") != EXIT_DONE)
        return EXIT_USAGE;
    return EXIT_DONE;
}

/* For whoever sits there: the key itself is alone on stdout. */
static void tell_made(const json_t *key)
{
    int64_t expires = json_whole(key, "expires_at");

    note("%s, scope %s, %s%s. This is the only time that the key is shown.", json_text(key, "id"),
         json_text(key, "scope"), expires ? "good until " : "good until it is revoked",
         expires ? text_minute(expires) : "");
    note("where it is to be used: export PRILORA_API_KEY=..., or: prilora config set key -");
}

int run_keys_create(struct call *call)
{
    struct http_reply reply = {0};
    json_t *body = json_pack("{s:s}", "name", call->args[0]);
    int rc = body ? make_body(call, body) : fail(EXIT_USAGE, "the name is not UTF-8");

    if (rc == EXIT_DONE)
        rc = post(call, &reply, "/v1/keys", NULL, body);
    if (rc == EXIT_DONE && !show_json(call, &reply)) {
        text_say("%s", json_text(reply.json, "key"));
        fflush(stdout);
        if (terminal_is(stderr))
            tell_made(reply.json);
    }
    json_decref(body);
    http_reply_clear(&reply);
    return rc;
}

static const char *state_of(const json_t *key)
{
    int64_t expires = json_whole(key, "expires_at");

    if (json_at(key, "revoked_at"))
        return "revoked";
    return expires > 0 && expires <= (int64_t)time(NULL) ? "expired" : "valid";
}

int run_keys(struct call *call)
{
    static const struct column columns[] = {
        {"ID", COLUMN_LEFT},          {"STATE", COLUMN_LEFT},   {"SCOPE", COLUMN_LEFT},
        {"CREATED", COLUMN_OPTIONAL}, {"EXPIRES", COLUMN_LEFT}, {"LAST USED", COLUMN_OPTIONAL},
        {"NAME", COLUMN_SHRINKS},
    };
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    struct http_reply reply = {0};
    const json_t *key;
    size_t i;
    int rc = get(call, &reply, "/v1/keys", NULL);

    json_array_foreach ((json_t *)json_at(reply.json, "data"), i, key) {
        table_cell(table, json_text(key, "id"));
        table_cell_coloured(table, state_of(key), terminal_status_colour(state_of(key)));
        table_cell(table, json_text(key, "scope"));
        table_cell(table, text_minute(json_whole(key, "created_at")));
        table_cell(table, text_minute(json_whole(key, "expires_at")));
        table_cell(table, text_minute(json_whole(key, "last_used_at")));
        table_cell(table, json_text(key, "name"));
    }
    if (rc == EXIT_DONE && !show_json(call, &reply))
        table_print(table);
    table_free(table);
    http_reply_clear(&reply);
    return rc;
}

int run_keys_revoke(struct call *call)
{
    return delete_each(call, THING_KEY, "/v1/keys/%s", "revoked");
}
